/* SPDX-License-Identifier: BSD-2-Clause */
/* What the random models of the sharing room draw from. */
#ifndef TESTS_SHARING_DICE_H
#define TESTS_SHARING_DICE_H

#include "../unit/sharing_world.h"

#include "base/bits.h"
#include "dice.h"

static u64 random_state;

static inline u32 pick(u32 n)
{
	return (u32)((dice_next(&random_state) >> 32) * n >> 32);
}

/* A number near a power of two, 1 .. max; the power up to 2^(bits - 1). */
static inline u32 near_power(unsigned bits, u32 max)
{
	u64 v = (BIT(pick(bits)) + pick(5)) - 2;

	return v < 1 || v > max ? 1 + pick(max) : (u32)v;
}

/* Gives each an id of up to `bits` bits that no other has. */
static inline void pick_ids(struct sharing_mm *mms, unsigned nr, unsigned bits)
{
	for (unsigned i = 0; i < nr; i++) {
		bool taken;

		do {
			mms[i].id = near_power(bits + 1, (u32)BIT(bits) - 1);
			taken = false;
			for (unsigned j = 0; j < i; j++)
				taken |= mms[j].id == mms[i].id;
		} while (taken);
	}
}

static inline u64 from_environment(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

#endif
