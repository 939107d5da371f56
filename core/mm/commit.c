/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits: what an address space may still take.
 *
 * Commit accounting counts pages that private writable memory may one day
 * need, whether or not they are ever touched.  Three modes, as the
 * documentation of Linux's vm.overcommit_memory describes them.  What memory and
 * swap there is may be said by the config: a replay's instance need not be as large
 * as the machine that it plays.
 */
#include "mm/change.h"

/* What could be had at all. */
static u64 nr_possible_pages(const struct quire *q)
{
	u64 bytes = q->config.memory_and_swap_bytes;

	return bytes != 0 ? bytes >> PAGE_SHIFT : q->phys.nr_frames;
}

static u64 minus(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

/* So many pages all together must stay below, if this address space wants more. */
static u64 commit_limit(const struct mm *mm)
{
	const struct quire_config *config = &mm->q->config;
	u64 limit = config->commit_limit_bytes >> PAGE_SHIFT;

	if (limit == 0)
		limit = mm->q->phys.nr_frames * config->overcommit_ratio / 100;
	if (!mm->layout.limits.may_use_reserve)
		limit = minus(limit, config->admin_reserve_bytes >> PAGE_SHIFT);
	return minus(limit, u64_min(mm->total_pages / 32,
				    config->user_reserve_bytes >> PAGE_SHIFT));
}

int commit_charge(struct mm *mm, u64 nr_pages)
{
	struct quire *q = mm->q;
	u64 before;

	if (nr_pages == 0)
		return 0;
	if (q->config.overcommit == QUIRE_OVERCOMMIT_HEURISTIC &&
	    unlikely(nr_pages > nr_possible_pages(q)))
		return -QUIRE_ENOMEM;
	before = atomic_fetch_add(&q->committed_pages, nr_pages);
	if (q->config.overcommit == QUIRE_OVERCOMMIT_NEVER &&
	    unlikely(before + nr_pages >= commit_limit(mm))) {
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
