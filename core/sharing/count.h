/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A count of mappings that refuses to pass its limit.  The limit is half of
 * what the word holds: all CPUs together may be over it, each by a batch, for
 * the moment until they take it back, and the word does not wrap.
 */
#ifndef SHARING_COUNT_H
#define SHARING_COUNT_H

#include "base/assert.h"
#include "base/bits.h"
#include "sync/atomic.h"

#define SHARING_COUNT_MAX (UINT32_MAX / 2)
/* The largest order for which that is so. */
#define SHARING_COUNT_MAX_ORDER 24
_Static_assert((u64)MACH_MAX_CPUS << SHARING_COUNT_MAX_ORDER <= SHARING_COUNT_MAX + UINT64_C(1),
	       "the word does not wrap");

static inline MUST_CHECK int sharing_count_add(u32 *count, u32 nr)
{
	u32 old = atomic_fetch_add(count, nr);

	if (likely((u64)old + nr <= SHARING_COUNT_MAX))
		return 0;
	atomic_fetch_sub(count, nr);
	return -QUIRE_EOVERFLOW;
}

static inline void sharing_count_sub(u32 *count, u32 nr)
{
	u32 old = atomic_fetch_sub(count, nr);

	check(old >= nr);
	(void)old;
}

#endif
