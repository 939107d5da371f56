/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dice for tests that go on at random, the same way each time: a linear
 * congruential generator with the constants of Donald Knuth's MMIX.  Its low
 * bits are of little use.
 */
#ifndef TESTS_DICE_H
#define TESTS_DICE_H

#include <stdint.h>

static inline uint64_t dice_next(uint64_t *dice)
{
	*dice = *dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *dice;
}

/* 0 .. sides - 1, of at most 2^31. */
static inline uint64_t dice_roll(uint64_t *dice, uint64_t sides)
{
	return (dice_next(dice) >> 33) % sides;
}

#endif
