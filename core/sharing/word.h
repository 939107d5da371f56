/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16-byte word that moments and one-word keep in the second tail, and how it
 * is read and written: whole by a compare-and-swap or a load of 16 bytes, or by
 * halves where that is enough.
 */
#ifndef SHARING_WORD_H
#define SHARING_WORD_H

#include "sharing/sharing.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words[0] is the low half");

static inline mach_u128 *word_of(const struct sharing_state *state)
{
	return (mach_u128 *)&state->tails[1].wide;
}

static inline const u64 *word_half(const struct sharing_state *state, unsigned half)
{
	return &state->tails[1].words[half];
}

static inline mach_u128 word_guess(const struct sharing_state *state)
{
	return atomic_guess16(&state->tails[1].wide);
}

/* Alone with the state. */
static inline void word_write_alone(struct sharing_state *state, mach_u128 word)
{
	atomic_store(&state->tails[1].words[0], (u64)word);
	atomic_store(&state->tails[1].words[1], (u64)(word >> 64));
}

#endif
