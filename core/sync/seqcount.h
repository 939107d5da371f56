/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sequence counter: readers of a few words notice that a writer was there.
 * Odd while a writer is inside; writers exclude one another by a lock.  What
 * is protected is read and written with relaxed atomics.
 */
#ifndef SYNC_SEQCOUNT_H
#define SYNC_SEQCOUNT_H

#include "sync/atomic.h"

struct seqcount {
	u32 sequence; /* (A) */
};

/* Waits for a writer to leave; ACQUIRE pairs with seq_write_end's RELEASE. */
static inline u32 seq_read_begin(const struct seqcount *seq)
{
	u32 sequence;

	while ((sequence = atomic_load_acquire(&seq->sequence)) & 1)
		mach_relax();
	return sequence;
}

/* True: what was read since seq_read_begin may be torn. */
static inline bool seq_read_retry(const struct seqcount *seq, u32 begin)
{
	mach_fence(MACH_ACQUIRE);
	return atomic_load(&seq->sequence) != begin;
}

static inline void seq_write_begin(struct seqcount *seq)
{
	atomic_store(&seq->sequence, atomic_load(&seq->sequence) + 1);
	mach_fence(MACH_RELEASE);
}

static inline void seq_write_end(struct seqcount *seq)
{
	atomic_store_release(&seq->sequence, atomic_load(&seq->sequence) + 1);
}

#endif
