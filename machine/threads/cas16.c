/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sixteen-byte compare-and-swap where the architecture has none: the word's
 * address chooses one of a few spin locks.  Nothing else touches such words.
 */
#include <quire/machine.h>

#if !defined(__x86_64__) && !defined(__aarch64__)

#define NR_LOCKS 64u

static struct {
	struct mach_spin spin;
} __attribute__((aligned(64))) locks[NR_LOCKS];

bool threads_cas16(mach_u128 *p, mach_u128 *expected, mach_u128 v)
{
	struct mach_spin *spin = &locks[((uintptr_t)p >> 4) % NR_LOCKS].spin;
	mach_u128 seen;
	bool equal;

	mach_spin_lock(spin);
	seen = *p;
	equal = seen == *expected;
	if (equal)
		*p = v;
	mach_spin_unlock(spin);
	*expected = seen;
	return equal;
}

#else
/* A file may not be empty. */
extern int threads_cas16_is_an_instruction;
#endif
