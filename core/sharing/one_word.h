/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arithmetic of one-word: moments (moments.h) in fewer bits, so that the
 * references that are no mappings fit the same 16 bytes.
 *
 *     bit 127                72 71           35 34     16 15          0
 *         |         T          |       S       |    n    |  references  |
 *                  56                 37            19           16
 *
 * T = sum of a(a - 1)/2 instead of Q = sum of a^2 saves a bit: Q = 2 T + S.  The
 * lemma is the same: n (2T + S) = S S exactly when all ids are equal, and mm x has
 * all mappings exactly when (n, S, T) = n (1, x, x(x - 1)/2).
 *
 * References and n never pass their fields: what would is refused.  Up to
 * 2^17 mappings S and T are exact; above, S may run into T and T out of the word,
 * the answer is "shared", and all is exact again when n is.
 */
#ifndef SHARING_ONE_WORD_H
#define SHARING_ONE_WORD_H

#include "base/bits.h"
#include "phys/frame.h"

#define ONE_WORD_ID_BITS 20
#define ONE_WORD_N_SHIFT FOLIO_WORD_REFS_BITS
#define ONE_WORD_N_BITS 19
#define ONE_WORD_S_SHIFT (ONE_WORD_N_SHIFT + ONE_WORD_N_BITS)
#define ONE_WORD_S_BITS 37
#define ONE_WORD_T_SHIFT (ONE_WORD_S_SHIFT + ONE_WORD_S_BITS)
#define ONE_WORD_N_MAX (BIT(ONE_WORD_N_BITS) - 1)
/* The most mappings for which the fields are exact. */
#define ONE_WORD_EXACT_BITS 17
#define ONE_WORD_EXACT_MAX BIT(ONE_WORD_EXACT_BITS)
/* So each folio up to this order is exact for one mm. */
#define ONE_WORD_MAX_ORDER (ONE_WORD_EXACT_BITS - 1)

_Static_assert(ONE_WORD_ID_BITS + ONE_WORD_EXACT_BITS <= ONE_WORD_S_BITS, "S is exact");
_Static_assert(2 * ONE_WORD_ID_BITS - 1 + ONE_WORD_EXACT_BITS <= 128 - ONE_WORD_T_SHIFT,
	       "T is exact");

/* k mappings of mm x, no reference. */
static inline mach_u128 one_word_of(u64 k, u64 x)
{
	mach_u128 one = (mach_u128)(x * (x - 1) / 2) << ONE_WORD_T_SHIFT;

	one |= (mach_u128)x << ONE_WORD_S_SHIFT | BIT(ONE_WORD_N_SHIFT);
	return one * k;
}

/* Both are in the low half. */
static inline u64 one_word_n(u64 low)
{
	return low >> ONE_WORD_N_SHIFT & ONE_WORD_N_MAX;
}

static inline u64 one_word_refs(u64 low)
{
	return low & FOLIO_WORD_REFS_MAX;
}

static inline mach_u128 one_word_without_refs(mach_u128 word)
{
	return word & ~(mach_u128)FOLIO_WORD_REFS_MAX;
}

/* All mappings are of mm x, and there are some. */
static inline bool one_word_all_of(mach_u128 word, u64 x)
{
	u64 n = one_word_n((u64)word);

	return n != 0 && n <= ONE_WORD_EXACT_MAX &&
	       one_word_without_refs(word) == one_word_of(n, x);
}

/* Whoever they are, they are not one. */
static inline bool one_word_of_several(mach_u128 word)
{
	u64 n = one_word_n((u64)word);
	u64 s = (u64)(word >> ONE_WORD_S_SHIFT) & (BIT(ONE_WORD_S_BITS) - 1);
	u64 t = (u64)(word >> ONE_WORD_T_SHIFT);

	return n > ONE_WORD_EXACT_MAX || (mach_u128)n * (2 * t + s) != (mach_u128)s * s;
}

#endif
