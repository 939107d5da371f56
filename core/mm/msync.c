/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msync: writes the dirty pages of shared mappings back, file by file.
 *
 * Holes are passed over and reported at the end.  The file is written without
 * the mmap lock, held by a reference, so that other CPUs can fault meanwhile.
 */
#include "mm/change.h"

#define MSYNC_FLAGS ((u32)(QUIRE_MS_ASYNC | QUIRE_MS_INVALIDATE | QUIRE_MS_SYNC))

static bool wants_writeback(const struct vma *vma, u32 flags)
{
	return (flags & QUIRE_MS_SYNC) && vma->file != NULL && (vma->flags & VMA_SHARED);
}

/* Drops the read lock, writes [start, end) of the VMA back, takes it again. */
static int write_back(struct mm *mm, struct vma *vma, u64 start, u64 end)
	NO_LOCK_ANALYSIS /* the caller's read lock */
{
	struct file *file = vma->file;
	u64 first = vma_index(vma, start), last = vma_index(vma, end - 1);
	int ret;

	file_get(file);
	rwsem_read_unlock(&mm->mmap_lock);
	ret = mapping_writeback(file->mapping, first, last);
	file_put(file);
	rwsem_read_lock(&mm->mmap_lock);
	return ret;
}

static int sync_range(struct mm *mm, u64 start, u64 end, u32 flags)
{
	int unmapped = 0, ret;

	while (start < end) {
		struct vma *vma = vma_find(mm, start);
		u64 vma_end;

		if (vma == NULL)
			return -QUIRE_ENOMEM;
		if (start < vma->start) {
			if (flags == QUIRE_MS_ASYNC || vma->start >= end)
				return -QUIRE_ENOMEM;
			start = vma->start;
			unmapped = -QUIRE_ENOMEM;
		}
		if ((flags & QUIRE_MS_INVALIDATE) && (vma->flags & VMA_LOCKED))
			return -QUIRE_EBUSY;
		vma_end = vma->end;
		if (wants_writeback(vma, flags)) {
			ret = write_back(mm, vma, start, u64_min(end, vma_end));
			if (ret)
				return ret;
		}
		start = vma_end;
	}
	return unmapped;
}

int mm_msync(struct mm *mm, u64 start, u64 len_bytes, u32 flags)
{
	u64 end = start + page_align_up(len_bytes);
	int ret;

	if ((flags & ~MSYNC_FLAGS) || !is_aligned(start, PAGE_SIZE) ||
	    ((flags & QUIRE_MS_ASYNC) && (flags & QUIRE_MS_SYNC)))
		return -QUIRE_EINVAL;
	if (end < start)
		return -QUIRE_ENOMEM;
	rwsem_read_lock(&mm->mmap_lock);
	ret = sync_range(mm, start, end, flags);
	rwsem_read_unlock(&mm->mmap_lock);
	return ret;
}
