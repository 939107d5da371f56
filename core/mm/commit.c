/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits: what an address space may still take.
 *
 * Commit accounting counts pages that private writable memory may one day
 * need, whether or not they are ever touched.  Three modes, as the
 * documentation of Linux's vm.overcommit_memory describes them; there is no
 * swap, so memory is all there is.
 */
#include "mm/change.h"

static u64 commit_limit(const struct quire *q)
{
	u64 nr_frames = q->phys.nr_frames;

	return q->config.overcommit == QUIRE_OVERCOMMIT_NEVER ? nr_frames / 2 : nr_frames;
}

int commit_charge(struct mm *mm, u64 nr_pages)
{
	struct quire *q = mm->q;
	u64 before;

	if (q->config.overcommit == QUIRE_OVERCOMMIT_HEURISTIC &&
	    unlikely(nr_pages > commit_limit(q)))
		return -QUIRE_ENOMEM;
	before = atomic_fetch_add(&q->committed_pages, nr_pages);
	if (q->config.overcommit == QUIRE_OVERCOMMIT_NEVER &&
	    unlikely(before + nr_pages > commit_limit(q))) {
		commit_uncharge(mm, nr_pages);
		return -QUIRE_ENOMEM;
	}
	return 0;
}

void commit_uncharge(struct mm *mm, u64 nr_pages)
{
	u64 before = atomic_fetch_sub(&mm->q->committed_pages, nr_pages);

	check(before >= nr_pages);
	(void)before;
}

bool mm_may_expand(const struct mm *mm, u32 flags, u64 nr_pages)
{
	const struct quire_limits *limits = &mm->layout.limits;
	bool data = (flags & (VMA_WRITE | VMA_SHARED | VMA_GROWSDOWN)) == VMA_WRITE;

	if (mm->total_pages + nr_pages > limits->address_space_bytes >> PAGE_SHIFT)
		return false;
	if (!data || mm->data_pages + nr_pages <= limits->data_bytes >> PAGE_SHIFT)
		return true;
	/* As Linux, which lets programs go on that always set it to 0. */
	return limits->data_bytes == 0 &&
	       mm->data_pages + nr_pages <= limits->data_max_bytes >> PAGE_SHIFT;
}

bool mm_may_lock(const struct mm *mm, u32 flags, u64 len_bytes)
{
	const struct quire_limits *limits = &mm->layout.limits;

	if ((flags & VMA_LOCKED) == 0 || limits->may_lock_any)
		return true;
	return mm->locked_pages + (len_bytes >> PAGE_SHIFT) <=
	       limits->locked_bytes >> PAGE_SHIFT;
}

bool mm_may_lock_some(const struct mm *mm)
{
	return mm->layout.limits.may_lock_any || mm->layout.limits.locked_bytes != 0;
}

int mm_check_map_count(const struct mm *mm, u32 more)
{
	return mm->nr_vmas + more > mm->q->config.map_count_max ? -QUIRE_ENOMEM : 0;
}
