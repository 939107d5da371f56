/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The atomics of the explore machine.  Each is one scheduling point that
 * precedes the operation: what is about to be done is published, somebody is
 * chosen to run, and the operation happens when its CPU is chosen.  The place
 * of the call is its return address, looked up only when a run is shown.
 */
#ifndef EXPLORE_MACH_OPS_H
#define EXPLORE_MACH_OPS_H

enum explore_rmw { EXPLORE_XCHG, EXPLORE_ADD, EXPLORE_SUB, EXPLORE_OR, EXPLORE_AND };

uint64_t explore_load(const volatile void *p, size_t size, int order);
void explore_store(volatile void *p, uint64_t v, size_t size, int order);
uint64_t explore_rmw(volatile void *p, enum explore_rmw what, uint64_t v,
		     size_t size, int order);
/* *expected is of the same size as *p. */
bool explore_cas(volatile void *p, void *expected, uint64_t v, size_t size,
		 int order);
void explore_fence(int order);
mach_u128 explore_load16(const volatile mach_u128 *p);
bool explore_cas16(volatile mach_u128 *p, mach_u128 *expected, mach_u128 v);

/* The type of *p without its qualifiers. */
#define explore_typeof(p) __typeof__(((void)0, *(p)))
#define explore_word(p, v) ((uint64_t)(explore_typeof(p))(v))

/* A value of the type of *p; a statement's, so that it may be left unused. */
#define explore_typed(p, call) __extension__({ (explore_typeof(p))(call); })

#define mach_load(p, order) explore_typed(p, explore_load(p, sizeof(*(p)), order))
#define mach_store(p, v, order) \
	explore_store(p, explore_word(p, v), sizeof(*(p)), order)
#define mach_cas(p, expected, v, order)                                     \
	((void)sizeof((p) == (expected)),                                   \
	 explore_cas(p, expected, explore_word(p, v), sizeof(*(p)), order))
#define explore_typed_rmw(p, what, v, order) \
	explore_typed(p, explore_rmw(p, what, explore_word(p, v), sizeof(*(p)), order))
#define mach_xchg(p, v, order) explore_typed_rmw(p, EXPLORE_XCHG, v, order)
#define mach_fetch_add(p, v, order) explore_typed_rmw(p, EXPLORE_ADD, v, order)
#define mach_fetch_sub(p, v, order) explore_typed_rmw(p, EXPLORE_SUB, v, order)
#define mach_pair_add(p, v) mach_fetch_add(p, v, MACH_SEQ_CST)
#define mach_pair_sub(p, v) mach_fetch_sub(p, v, MACH_SEQ_CST)
#define mach_fetch_or(p, v, order) explore_typed_rmw(p, EXPLORE_OR, v, order)
#define mach_fetch_and(p, v, order) explore_typed_rmw(p, EXPLORE_AND, v, order)
#define mach_fence(order) explore_fence(order)
#define mach_load16(p) explore_load16(p)
#define mach_cas16(p, expected, v) explore_cas16(p, expected, v)

#endif
