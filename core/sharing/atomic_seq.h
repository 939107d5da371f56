/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sequence counter with two kinds of writers, as the rmap-ids series
 * describes it (cover letter and patches 7 and 18 of November 2023).
 *
 *     | sequence : 32 | exclusive : 16 | shared : 16 |
 *
 * Who finds no writer is the *exclusive* one: alone with the data, it may load
 * and store.  Who finds one is *shared*: it waits for the exclusive one to
 * leave and then changes the data with atomic read-modify-writes, beside
 * other shared ones.  So nobody waits for more than one exclusive writer: while
 * a shared one is inside or waits, no new exclusive one comes in.
 * Readers look, and look again.
 *
 * The low half is 0 exactly when no writer is inside.  Trying to be exclusive is one
 * addition; who finds that it is not turns its own mark into a shared one, so
 * the exclusive field may count several for a moment.
 */
#ifndef SHARING_ATOMIC_SEQ_H
#define SHARING_ATOMIC_SEQ_H

#include "base/bits.h"
#include "sync/atomic.h"

struct atomic_seq {
	u64 word; /* (A) */
};

#define ATOMIC_SEQ_SHARED BIT(0)
#define ATOMIC_SEQ_EXCLUSIVE BIT(16)
#define ATOMIC_SEQ_STEP BIT(32)
#define ATOMIC_SEQ_WRITERS (ATOMIC_SEQ_STEP - 1)
#define ATOMIC_SEQ_EXCLUSIVE_FIELD (ATOMIC_SEQ_WRITERS & ~(ATOMIC_SEQ_EXCLUSIVE - 1))

/* True: exclusive. */
static inline bool atomic_seq_write_begin(struct atomic_seq *seq)
{
	bool exclusive = false;

	if (!(atomic_load(&seq->word) & ATOMIC_SEQ_WRITERS)) {
		exclusive = !(atomic_fetch_add(&seq->word, ATOMIC_SEQ_EXCLUSIVE) &
			      ATOMIC_SEQ_WRITERS);
		if (unlikely(!exclusive))
			atomic_fetch_sub(&seq->word, ATOMIC_SEQ_EXCLUSIVE - ATOMIC_SEQ_SHARED);
	} else {
		atomic_fetch_add(&seq->word, ATOMIC_SEQ_SHARED);
	}
	/* ACQUIRE pairs with the addition of the exclusive one's end. */
	if (!exclusive)
		while (atomic_load_acquire(&seq->word) & ATOMIC_SEQ_EXCLUSIVE_FIELD)
			mach_relax();
	/* Who sees a change sees the mark: pairs with atomic_seq_read_retry. */
	mach_fence(MACH_RELEASE);
	return exclusive;
}

static inline void atomic_seq_write_end(struct atomic_seq *seq, bool exclusive)
{
	/* A full barrier: the changes are seen by whoever sees the step. */
	atomic_fetch_add(&seq->word, ATOMIC_SEQ_STEP -
			 (exclusive ? ATOMIC_SEQ_EXCLUSIVE : ATOMIC_SEQ_SHARED));
}

/* What retry compares with; with a writer inside it is of no use. */
static inline u64 atomic_seq_read_try(const struct atomic_seq *seq)
{
	return atomic_load_acquire(&seq->word);
}

static inline bool atomic_seq_has_writer(u64 begin)
{
	return (begin & ATOMIC_SEQ_WRITERS) != 0;
}

static inline u64 atomic_seq_read_begin(const struct atomic_seq *seq)
{
	u64 begin;

	while (atomic_seq_has_writer(begin = atomic_seq_read_try(seq)))
		mach_relax();
	return begin;
}

/* True: what was read since may be torn. */
static inline bool atomic_seq_read_retry(const struct atomic_seq *seq, u64 begin)
{
	mach_fence(MACH_ACQUIRE);
	return atomic_load(&seq->word) != begin;
}

#endif
