/* SPDX-License-Identifier: BSD-2-Clause */
/* Bits of words, and bitmaps of words.  No locking, no atomics. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/types.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Index of the lowest / highest set bit.  Pre: v != 0. */
static inline unsigned bit_lowest(u64 v)
{
	return (unsigned)__builtin_ctzll(v);
}

static inline unsigned bit_highest(u64 v)
{
	return 63u - (unsigned)__builtin_clzll(v);
}

static inline unsigned bit_count(u64 v)
{
	return (unsigned)__builtin_popcountll(v);
}

/* Smallest order with 2^order >= n.  Pre: n >= 1. */
static inline unsigned order_covering(u64 n)
{
	return n <= 1 ? 0 : bit_highest(n - 1) + 1;
}

#define BITMAP_WORDS(nr_bits) (((nr_bits) + 63) / 64)

static inline bool bitmap_test(const u64 *map, u64 bit)
{
	return (map[bit / 64] >> (bit % 64)) & 1;
}

static inline void bitmap_set(u64 *map, u64 bit)
{
	map[bit / 64] |= BIT(bit % 64);
}

static inline void bitmap_clear(u64 *map, u64 bit)
{
	map[bit / 64] &= ~BIT(bit % 64);
}

#endif
