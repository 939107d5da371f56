/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arithmetic of moments: pure functions of one word.
 *
 * Let a folio be mapped n times, by mms with ids a_1 ... a_n.  Kept are
 *
 *     n        S = sum a_i        Q = sum a_i^2
 *
 *     n Q - S S = sum over i < j of (a_i - a_j)^2      (Lagrange; Cauchy-Schwarz)
 *
 * so n Q = S S exactly when all ids are equal: mapped exclusively, by S / n.
 * And mm x has them all exactly when (n, S, Q) = n (1, x, x^2).  Mapping k
 * pages for x adds k (1, x, x^2), unmapping takes it away.
 *
 *     bit 127                     63 62               22 21         0
 *         |            Q            |         S         |     n     |
 *                   65                        41              22
 *
 * n never passes its field: a mapping that would pass it is refused.  While
 * n <= 2^19, S < 2^41 and Q < 2^63: the fields are exact.  Above, S may run over into
 * Q, and Q out of the word; the answer is then "shared", the safe one (no anonymous
 * folio has so many pages).  The word stays a linear function of the list of
 * mappings, modulo 2^128, so it is exact again as soon as n is.
 */
#ifndef SHARING_MOMENTS_H
#define SHARING_MOMENTS_H

#include <quire/machine.h>

#include "base/bits.h"

#define MOMENTS_N_BITS 22
#define MOMENTS_S_BITS 41
#define MOMENTS_ID_BITS 22
#define MOMENTS_S_SHIFT MOMENTS_N_BITS
#define MOMENTS_Q_SHIFT (MOMENTS_N_BITS + MOMENTS_S_BITS)
#define MOMENTS_N_MAX (BIT(MOMENTS_N_BITS) - 1)
/* The most mappings for which the fields are exact. */
#define MOMENTS_EXACT_MAX BIT(19)
/* So each folio up to this order is exact for one mm. */
#define MOMENTS_MAX_ORDER 18

_Static_assert(MOMENTS_ID_BITS + 19 <= MOMENTS_S_BITS, "S is exact");
_Static_assert(2 * MOMENTS_ID_BITS + 19 <= 128 - MOMENTS_Q_SHIFT, "Q is exact");

/* k mappings of mm x. */
static inline mach_u128 moments_of(u64 k, u64 x)
{
	mach_u128 one = (mach_u128)(x * x) << MOMENTS_Q_SHIFT;

	one |= (mach_u128)x << MOMENTS_S_SHIFT | 1;
	return one * k;
}

/* The number of mappings is in the low half, so 8 bytes are enough to read it. */
static inline u64 moments_n(u64 low)
{
	return low & MOMENTS_N_MAX;
}

/* All mappings are of mm x, and there are some. */
static inline bool moments_all_of(mach_u128 word, u64 x)
{
	u64 n = moments_n((u64)word);

	return n != 0 && n <= MOMENTS_EXACT_MAX && word == moments_of(n, x);
}

/* Whoever they are, they are not one. */
static inline bool moments_of_several(mach_u128 word)
{
	u64 n = moments_n((u64)word);
	u64 s = (u64)(word >> MOMENTS_S_SHIFT) & (BIT(MOMENTS_S_BITS) - 1);
	mach_u128 q = word >> MOMENTS_Q_SHIFT;

	return n > MOMENTS_EXACT_MAX || n * q != (mach_u128)s * s;
}

/* The mm that all mappings are of.  Pre: some, and not of several. */
static inline u64 moments_owner(mach_u128 word)
{
	u64 s = (u64)(word >> MOMENTS_S_SHIFT) & (BIT(MOMENTS_S_BITS) - 1);

	return s / moments_n((u64)word);
}

#endif
