/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * madvise: a table of advices.
 *
 * Three kinds: those that change a VMA's flags (and so split and merge), those
 * that drop or fetch pages, and those that fault a range in.  A hole does not
 * stop a walk; it is reported when the walk is done.
 */
#include "mm/above.h"
#include "mm/change.h"

/* What an advice does to the flags of a VMA; -EINVAL where it makes no sense. */
static int advised_flags(const struct vma *vma, int advice, u32 *flags)
{
	const u32 reading = VMA_SEQ_READ | VMA_RAND_READ;
	const u32 huge = VMA_HUGEPAGE | VMA_NOHUGEPAGE;

	switch (advice) {
	case QUIRE_MADV_NORMAL:
		*flags &= ~reading;
		return 0;
	case QUIRE_MADV_SEQUENTIAL:
		*flags = (*flags & ~reading) | VMA_SEQ_READ;
		return 0;
	case QUIRE_MADV_RANDOM:
		*flags = (*flags & ~reading) | VMA_RAND_READ;
		return 0;
	case QUIRE_MADV_DONTFORK:
		*flags |= VMA_DONTFORK;
		return 0;
	case QUIRE_MADV_DOFORK:
		*flags &= ~(u32)VMA_DONTFORK;
		return vma_is_pfnmap(vma) ? -QUIRE_EINVAL : 0;
	case QUIRE_MADV_WIPEONFORK:
		*flags |= VMA_WIPEONFORK;
		return vma->file != NULL || (vma->flags & VMA_SHARED) ? -QUIRE_EINVAL : 0;
	case QUIRE_MADV_KEEPONFORK:
		*flags &= ~(u32)VMA_WIPEONFORK;
		return vma->flags & VMA_DROPPABLE ? -QUIRE_EINVAL : 0;
	case QUIRE_MADV_DONTDUMP:
		*flags |= VMA_DONTDUMP;
		return 0;
	case QUIRE_MADV_DODUMP:
		*flags &= ~(u32)VMA_DONTDUMP;
		return vma->flags & (VMA_SPECIAL | VMA_DROPPABLE) ? -QUIRE_EINVAL : 0;
	case QUIRE_MADV_MERGEABLE:
		if (!(vma->flags & (VMA_MAYSHARE | VMA_SHARED | VMA_SPECIAL | VMA_DROPPABLE)))
			*flags |= VMA_MERGEABLE;
		return 0;
	case QUIRE_MADV_UNMERGEABLE:
		*flags &= ~(u32)VMA_MERGEABLE;
		return 0;
	case QUIRE_MADV_HUGEPAGE:
		*flags = (*flags & ~huge) | VMA_HUGEPAGE;
		return 0;
	case QUIRE_MADV_NOHUGEPAGE:
		*flags = (*flags & ~huge) | VMA_NOHUGEPAGE;
		return 0;
	default:
		return -QUIRE_EINVAL;
	}
}

/* *ret_next: where to go on; a merge may have taken more than was asked. */
static int advise_flags(struct maple_cursor *cur, struct vma *vma, u64 start, u64 end,
			int advice, u64 *ret_next)
{
	u32 flags = vma->flags;
	int ret = advised_flags(vma, advice, &flags);

	if (ret || flags == vma->flags)
		return ret;
	ret = vma_modify(cur, vma, start, end, flags, &vma);
	if (ret) /* as Linux: try again, no limit was hit */
		return ret == -QUIRE_ENOMEM ? -QUIRE_EAGAIN : ret;
	vma_set_flags(vma, flags);
	*ret_next = u64_max(*ret_next, vma->end);
	return 0;
}

static int advise_drop(struct vma *vma, u64 start, u64 end, int advice)
{
	if ((vma->flags & VMA_LOCKED) && advice != QUIRE_MADV_DONTNEED_LOCKED)
		return -QUIRE_EINVAL;
	if (vma_is_pfnmap(vma))
		return -QUIRE_EINVAL;
	if (advice != QUIRE_MADV_FREE) {
		zap_range_single(vma, start, end);
		return 0;
	}
	if (!vma_is_anonymous(vma) || (vma->flags & VMA_SPECIAL))
		return -QUIRE_EINVAL;
	mark_lazyfree_range(vma, start, end);
	return 0;
}

/* Punches a hole into the file, without the mmap lock. */
static int advise_remove(struct mm *mm, struct vma *vma, u64 start, u64 end)
	NO_LOCK_ANALYSIS /* drops the caller's read lock and takes it again */
{
	struct file *file = vma->file;
	u64 first = vma_index(vma, start), last = vma_index(vma, end - 1);
	int ret;

	if ((vma->flags & VMA_LOCKED) || file == NULL)
		return -QUIRE_EINVAL;
	if ((vma->flags & (VMA_SHARED | VMA_MAYWRITE)) != (VMA_SHARED | VMA_MAYWRITE))
		return -QUIRE_EACCES;
	file_get(file);
	rwsem_read_unlock(&mm->mmap_lock);
	ret = mapping_punch(file->mapping, first, last, mm_unmap_mapping);
	file_put(file);
	rwsem_read_lock(&mm->mmap_lock);
	return ret;
}

/* Reads a file ahead; what cannot be had is not missed. */
static int advise_willneed(struct mm *mm, struct vma *vma, u64 start, u64 end)
	NO_LOCK_ANALYSIS /* as above */
{
	struct file *file = vma->file;
	u64 index = vma_index(vma, start), last = vma_index(vma, end - 1);

	if (file == NULL || file->mapping->kind == QUIRE_FILE_MEMORY)
		return 0;
	file_get(file);
	rwsem_read_unlock(&mm->mmap_lock);
	for (; index <= last; index++) {
		struct folio *folio;

		if (mapping_get_folio(file->mapping, index, &folio))
			break;
		folio_put(&mm->q->phys, folio);
	}
	file_put(file);
	rwsem_read_lock(&mm->mmap_lock);
	return 0;
}

/* Reclaim will have something to do here; whether it may is what Linux answers. */
static int advise_reclaim(const struct vma *vma)
{
	return (vma->flags & VMA_LOCKED) || vma_is_pfnmap(vma) ? -QUIRE_EINVAL : 0;
}

static int advise_guard(struct vma *vma, u64 start, u64 end, int advice)
{
	bool install = advice == QUIRE_MADV_GUARD_INSTALL;

	if (vma->flags & (VMA_SPECIAL | (install ? VMA_LOCKED : 0u)))
		return -QUIRE_EINVAL;
	if (install)
		return guard_install(vma, start, end);
	guard_remove(vma, start, end);
	return 0;
}

/* Contents of a sealed VMA are dropped only where they could be overwritten. */
static bool seal_forbids(const struct vma *vma, int advice)
{
	if (likely((vma->flags & VMA_SEALED) == 0))
		return false;
	switch (advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_DONTFORK:
	case QUIRE_MADV_WIPEONFORK:
	case QUIRE_MADV_GUARD_INSTALL:
		return vma_is_anonymous(vma) && !(vma->flags & (VMA_WRITE | VMA_SPECIAL));
	default:
		return false;
	}
}

static int advise_part(struct maple_cursor *cur, struct vma *vma, u64 start, u64 end,
		       int advice, u64 *ret_next)
{
	struct mm *mm = vma->mm;

	if (seal_forbids(vma, advice))
		return -QUIRE_EPERM;
	switch (advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_FREE:
		return advise_drop(vma, start, end, advice);
	case QUIRE_MADV_REMOVE:
		return advise_remove(mm, vma, start, end);
	case QUIRE_MADV_WILLNEED:
		return advise_willneed(mm, vma, start, end);
	case QUIRE_MADV_COLLAPSE:
		return collapse_advised(vma, start, end);
	case QUIRE_MADV_COLD:
	case QUIRE_MADV_PAGEOUT:
		return advise_reclaim(vma);
	case QUIRE_MADV_GUARD_INSTALL:
	case QUIRE_MADV_GUARD_REMOVE:
		return advise_guard(vma, start, end, advice);
	default:
		return advise_flags(cur, vma, start, end, advice, ret_next);
	}
}

static int advise_range(struct mm *mm, u64 start, u64 end, int advice)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	int unmapped = 0;

	for (;;) {
		struct vma *vma = vma_find(mm, start);
		u64 stop, next;
		int ret;

		if (vma == NULL)
			return -QUIRE_ENOMEM;
		if (start < vma->start) {
			unmapped = -QUIRE_ENOMEM;
			start = vma->start;
			if (start >= end)
				return unmapped;
		}
		stop = u64_min(vma->end, end);
		next = stop;
		ret = advise_part(&cur, vma, start, stop, advice, &next);
		if (ret)
			return ret;
		start = next;
		if (start >= end)
			return unmapped;
	}
}

/* MADV_POPULATE_*: stops at the first hole or VMA that does not allow it. */
static int advise_populate(struct mm *mm, u64 start, u64 end, bool write)
{
	int ret = 0;

	rwsem_read_lock(&mm->mmap_lock);
	while (start < end && !ret) {
		struct vma *vma = vma_at(mm, start);
		u64 stop;

		if (vma == NULL) {
			ret = -QUIRE_ENOMEM;
			break;
		}
		if (!(vma->flags & (write ? VMA_WRITE : VMA_READ)) ||
		    vma_is_pfnmap(vma)) {
			ret = -QUIRE_EINVAL;
			break;
		}
		stop = u64_min(end, vma->end);
		ret = mm_populate_range(mm, start, stop, write);
		start = stop;
	}
	rwsem_read_unlock(&mm->mmap_lock);
	return ret;
}

enum advice_lock { ADVICE_UNKNOWN, ADVICE_WRITE, ADVICE_READ, ADVICE_POPULATE };

static enum advice_lock advice_lock(int advice)
{
	switch (advice) {
	case QUIRE_MADV_NORMAL:
	case QUIRE_MADV_RANDOM:
	case QUIRE_MADV_SEQUENTIAL:
	case QUIRE_MADV_DONTFORK:
	case QUIRE_MADV_DOFORK:
	case QUIRE_MADV_HUGEPAGE:
	case QUIRE_MADV_NOHUGEPAGE:
	case QUIRE_MADV_DONTDUMP:
	case QUIRE_MADV_DODUMP:
	case QUIRE_MADV_WIPEONFORK:
	case QUIRE_MADV_KEEPONFORK:
	case QUIRE_MADV_MERGEABLE:
	case QUIRE_MADV_UNMERGEABLE:
		return ADVICE_WRITE;
	case QUIRE_MADV_WILLNEED:
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_COLLAPSE:
	case QUIRE_MADV_COLD:
	case QUIRE_MADV_PAGEOUT:
	case QUIRE_MADV_GUARD_INSTALL:
	case QUIRE_MADV_GUARD_REMOVE:
		return ADVICE_READ;
	case QUIRE_MADV_POPULATE_READ:
	case QUIRE_MADV_POPULATE_WRITE:
		return ADVICE_POPULATE;
	default:
		return ADVICE_UNKNOWN;
	}
}

int mm_madvise(struct mm *mm, u64 start, u64 len_bytes, int advice)
{
	u64 len = page_align_up(len_bytes), end = start + len;
	enum advice_lock lock = advice_lock(advice);
	int ret;

	if (lock == ADVICE_UNKNOWN || !is_aligned(start, PAGE_SIZE) ||
	    (len_bytes != 0 && len == 0) || end < start)
		return -QUIRE_EINVAL;
	if (len == 0)
		return 0;
	if (lock == ADVICE_POPULATE)
		return advise_populate(mm, start, end, advice == QUIRE_MADV_POPULATE_WRITE);
	if (lock == ADVICE_WRITE) {
		rwsem_write_lock(&mm->mmap_lock);
		ret = advise_range(mm, start, end, advice);
		rwsem_write_unlock(&mm->mmap_lock);
	} else {
		rwsem_read_lock(&mm->mmap_lock);
		ret = advise_range(mm, start, end, advice);
		rwsem_read_unlock(&mm->mmap_lock);
	}
	return ret;
}
