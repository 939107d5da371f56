/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's atomics: the machine's, counted.  Fields that are touched with
 * these carry the letter (A) in their struct's lock key.
 */
#ifndef SYNC_ATOMIC_H
#define SYNC_ATOMIC_H

#include <quire/machine.h>

#include "base/cost.h"
#include "base/types.h"

#define atomic_load(p) mach_load(p, MACH_RELAXED)
#define atomic_load_acquire(p) mach_load(p, MACH_ACQUIRE)
#define atomic_store(p, v) mach_store(p, v, MACH_RELAXED)
#define atomic_store_release(p, v) mach_store(p, v, MACH_RELEASE)

/* Read-modify-writes return the OLD value and are full barriers. */
#define atomic_xchg(p, v) (COST_ADD(atomic_rmw, 1), mach_xchg(p, v, MACH_SEQ_CST))
#define atomic_fetch_add(p, v) \
	(COST_ADD(atomic_rmw, 1), mach_fetch_add(p, v, MACH_SEQ_CST))
#define atomic_fetch_sub(p, v) \
	(COST_ADD(atomic_rmw, 1), mach_fetch_sub(p, v, MACH_SEQ_CST))
/* Of two neighbouring 32-bit words, which are else used apart. */
#define atomic_pair_add(p, v) (COST_ADD(atomic_rmw, 1), mach_pair_add(p, v))
#define atomic_pair_sub(p, v) (COST_ADD(atomic_rmw, 1), mach_pair_sub(p, v))
#define atomic_fetch_or(p, v) \
	(COST_ADD(atomic_rmw, 1), mach_fetch_or(p, v, MACH_SEQ_CST))
#define atomic_fetch_and(p, v) \
	(COST_ADD(atomic_rmw, 1), mach_fetch_and(p, v, MACH_SEQ_CST))
/* On failure *expected holds what was there. */
#define atomic_cas(p, expected, v) \
	(COST_ADD(atomic_rmw, 1), mach_cas(p, expected, v, MACH_SEQ_CST))

#define atomic_load16(p) mach_load16(p)
#define atomic_cas16(p, expected, v) \
	(COST_ADD(atomic_rmw16, 1), mach_cas16(p, expected, v))

/*
 * 16 bytes in two loads: what a compare-and-swap may expect.  It may be torn;
 * then the swap fails and tells what is there.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first half is the low one");
static inline mach_u128 atomic_guess16(const mach_u128 *p)
{
	const u64 *halves = (const u64 *)(const void *)p;

	return atomic_load(&halves[0]) | (mach_u128)atomic_load(&halves[1]) << 64;
}

/* Pointers that readers follow under RCU: load pairs with publish. */
#define rcu_load(p) mach_load(p, MACH_ACQUIRE)
#define rcu_publish(p, v) mach_store(p, v, MACH_RELEASE)

#endif
