/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * brk: the heap is an anonymous mapping whose end a program moves.  A move that
 * is refused is no error; the break stays where it is.
 */
#include "mm/change.h"

static bool brk_within_data_limit(const struct mm *mm, u64 brk)
{
	const struct quire_layout *layout = &mm->layout;
	u64 heap = brk - layout->brk_start;

	return layout->limits.data_bytes == QUIRE_UNLIMITED ||
	       heap + layout->data_segment_bytes <= layout->limits.data_bytes;
}

/* Grows only upwards: what lies above the heap is never joined to it. */
static int heap_insert(struct mm *mm, const struct vma_spec *spec)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, spec->start, spec->start);
	struct vma *prev = maple_load(&mm->vmas, spec->start - 1), *vma = NULL;
	int ret;

	if (prev != NULL && prev->end == spec->start && prev->end > mm->layout.brk_start) {
		ret = vma_merge_new(&cur, spec, prev, NULL, &vma);
		if (ret || vma != NULL)
			return ret;
	}
	vma = vma_alloc(mm);
	if (vma == NULL)
		return -QUIRE_ENOMEM;
	vma->start = spec->start;
	vma->end = spec->end;
	vma->pgoff = spec->pgoff;
	vma->name = "[heap]";
	vma_set_flags(vma, spec->flags);
	ret = vma_insert(&cur, vma);
	if (ret)
		vma_free(vma);
	return ret;
}

static int heap_grow(struct mm *mm, u64 start, u64 end)
{
	struct vma_spec spec = {
		.start = start, .end = end, .pgoff = start >> PAGE_SHIFT,
		.flags = VMA_READ | VMA_WRITE | VMA_MAYREAD | VMA_MAYWRITE | VMA_MAYEXEC |
			 VMA_ACCOUNT | mm->default_lock_flags,
	};
	u64 nr_pages = (end - start) >> PAGE_SHIFT;
	struct vma *next;
	int ret;

	if (end > TASK_SIZE || !mm_may_lock(mm, spec.flags, end - start))
		return -QUIRE_ENOMEM;
	next = vma_find(mm, start);
	if (next != NULL && end + PAGE_SIZE > vma_guard_start(next))
		return -QUIRE_ENOMEM;
	if (!mm_may_expand(mm, spec.flags, nr_pages) || mm_check_map_count(mm, 0))
		return -QUIRE_ENOMEM;
	ret = commit_charge(mm, nr_pages);
	if (ret)
		return ret;
	ret = heap_insert(mm, &spec);
	if (ret) {
		commit_uncharge(mm, nr_pages);
		return ret;
	}
	mm_account_vma(mm, spec.flags, (s64)nr_pages);
	if (spec.flags & VMA_LOCKED)
		mm->locked_pages += nr_pages;
	return 0;
}

int mm_brk(struct mm *mm, u64 brk, u64 *ret_old_end, u64 *ret_populate)
{
	u64 old_end = page_align_up(mm->brk), end = page_align_up(brk);

	*ret_old_end = old_end;
	*ret_populate = 0;
	if (brk < mm->layout.brk_start || !brk_within_data_limit(mm, brk) || end < brk)
		return -QUIRE_ENOMEM;
	if (end < old_end) {
		struct vma *vma = vma_find(mm, end);
		int ret;

		if (vma == NULL || vma->start >= old_end)
			return -QUIRE_ENOMEM;
		ret = mm_munmap(mm, end, old_end - end);
		if (ret)
			return ret;
	} else if (end > old_end) {
		int ret = heap_grow(mm, old_end, end);

		if (ret)
			return ret;
		if (mm->default_lock_flags & VMA_LOCKED)
			*ret_populate = end - old_end;
	}
	mm->brk = brk;
	return 0;
}
