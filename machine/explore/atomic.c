/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The atomics of the explore machine.  Sequentially consistent whatever order
 * is asked for: an order that is too weak is not seen here.  A failed
 * compare-and-swap is a read.
 */
#include "explore/world.h"

static inline uint64_t read_word(const volatile void *p, size_t size)
{
	switch (size) {
	case 8:
		return *(const volatile uint64_t *)p;
	case 4:
		return *(const volatile uint32_t *)p;
	case 2:
		return *(const volatile uint16_t *)p;
	default:
		return *(const volatile uint8_t *)p;
	}
}

static inline void write_word(volatile void *p, uint64_t v, size_t size)
{
	switch (size) {
	case 8:
		*(volatile uint64_t *)p = v;
		break;
	case 4:
		*(volatile uint32_t *)p = (uint32_t)v;
		break;
	case 2:
		*(volatile uint16_t *)p = (uint16_t)v;
		break;
	default:
		*(volatile uint8_t *)p = (uint8_t)v;
		break;
	}
}

uint64_t explore_load(const volatile void *p, size_t size, int order)
{
	uint64_t v;

	(void)order;
	xp_point(XP_LOAD, p, size, false, XP_SITE);
	xp_check_access(p, size, "reads");
	v = read_word(p, size);
	xp_did(XP_LOAD, p, size, v, v, false, XP_SITE);
	return v;
}

void explore_store(volatile void *p, uint64_t v, size_t size, int order)
{
	(void)order;
	xp_point(XP_STORE, p, size, true, XP_SITE);
	xp_check_access(p, size, "writes");
	if (xp_unlikely(xp.recording))
		xp_did(XP_STORE, p, size, read_word(p, size), v, false, XP_SITE);
	else
		xp_did(XP_STORE, p, size, v, v, false, XP_SITE);
	write_word(p, v, size);
}

uint64_t explore_rmw(volatile void *p, enum explore_rmw what, uint64_t v, size_t size,
		     int order)
{
	uint64_t old, new;

	(void)order;
	xp_point(XP_RMW, p, size, true, XP_SITE);
	xp_check_access(p, size, "writes");
	old = read_word(p, size);
	switch (what) {
	case EXPLORE_ADD:
		new = old + v;
		break;
	case EXPLORE_SUB:
		new = old - v;
		break;
	case EXPLORE_OR:
		new = old | v;
		break;
	case EXPLORE_AND:
		new = old & v;
		break;
	default:
		new = v;
		break;
	}
	write_word(p, new, size);
	xp_did(XP_RMW, p, size, old, read_word(p, size), false, XP_SITE);
	return old;
}

bool explore_cas(volatile void *p, void *expected, uint64_t v, size_t size, int order)
{
	uint64_t seen;
	bool equal;

	(void)order;
	xp_point(XP_CAS, p, size, true, XP_SITE);
	xp_check_access(p, size, "writes");
	seen = read_word(p, size);
	equal = seen == read_word(expected, size);
	if (equal)
		write_word(p, v, size);
	else
		write_word(expected, seen, size);
	xp_did(XP_CAS, p, size, seen, equal ? v : seen, !equal, XP_SITE);
	return equal;
}

void explore_fence(int order)
{
	(void)order;
	xp_point(XP_FENCE, NULL, 0, false, XP_SITE);
	xp_did(XP_FENCE, NULL, 0, 0, 0, false, XP_SITE);
}

mach_u128 explore_load16(const volatile mach_u128 *p)
{
	mach_u128 v;

	xp_point(XP_LOAD, p, 16, false, XP_SITE);
	xp_check_access(p, 16, "reads");
	v = *p;
	xp_did(XP_LOAD, p, 16, (uint64_t)v, (uint64_t)v ^ (uint64_t)(v >> 64), false,
	       XP_SITE);
	return v;
}

bool explore_cas16(volatile mach_u128 *p, mach_u128 *expected, mach_u128 v)
{
	mach_u128 seen;
	bool equal;

	xp_point(XP_CAS, p, 16, true, XP_SITE);
	xp_check_access(p, 16, "writes");
	seen = *p;
	equal = seen == *expected;
	if (equal)
		*p = v;
	else
		*expected = seen;
	xp_did(XP_CAS, p, 16, (uint64_t)seen, (uint64_t)*p ^ (uint64_t)(*p >> 64), !equal,
	       XP_SITE);
	return equal;
}
