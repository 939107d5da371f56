/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mlock and its relatives, and faulting ranges in.
 *
 * Locking is a flag of VMAs, which splits and merges them, and then a walk that
 * faults everything in, without the write lock.
 */
#include "mm/change.h"

/* Locks ([flags] has VMA_LOCKED) or unlocks a part of one VMA. */
static int lock_part(struct maple_cursor *cur, struct vma *vma, u64 start, u64 end,
		     u32 lock_flags, struct vma **ret_vma)
{
	struct mm *mm = vma->mm;
	u32 old = vma->flags, flags = (old & ~(u32)VMA_LOCK_FLAGS) | lock_flags;
	u64 nr_pages = (end - start) >> PAGE_SHIFT;
	int ret;

	*ret_vma = vma;
	if (flags == old || !vma_flags_lockable(old))
		return 0;
	ret = vma_modify(cur, vma, start, end, flags, ret_vma);
	if (ret)
		return ret;
	vma_set_flags(*ret_vma, flags);
	if ((old & VMA_LOCKED) && !(flags & VMA_LOCKED))
		mm->locked_pages -= nr_pages;
	else if (!(old & VMA_LOCKED) && (flags & VMA_LOCKED))
		mm->locked_pages += nr_pages;
	return 0;
}

/* Pre: mmap write lock. */
static int lock_range(struct mm *mm, u64 start, u64 end, u32 lock_flags)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	int ret;

	if (end < start)
		return -QUIRE_EINVAL;
	while (start < end) {
		struct vma *vma = maple_load(&mm->vmas, start);

		if (vma == NULL)
			return -QUIRE_ENOMEM;
		ret = lock_part(&cur, vma, start, u64_min(vma->end, end), lock_flags, &vma);
		if (ret)
			return ret;
		start = vma->end;
	}
	return 0;
}

/* Pages of [start, end) that are locked already. */
static u64 count_locked(struct mm *mm, u64 start, u64 end)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	struct vma *vma;
	u64 nr_pages = 0;

	if (end <= start)
		return 0;
	maple_for_each(&cur, vma, end - 1)
		if (vma->flags & VMA_LOCKED)
			nr_pages += (u64_min(vma->end, end) - u64_max(vma->start, start)) >>
				    PAGE_SHIFT;
	return nr_pages;
}

int mm_populate(struct mm *mm, u64 start, u64 end, bool best_effort)
{
	int ret = 0;

	rwsem_read_lock(&mm->mmap_lock);
	while (start < end && (!ret || best_effort)) {
		struct vma *vma = vma_find(mm, start);
		u64 stop;

		if (vma == NULL || vma->start >= end)
			break;
		start = u64_max(start, vma->start);
		stop = u64_min(end, vma->end);
		if (!(vma->flags & (VMA_SPECIAL | VMA_LOCKONFAULT))) {
			/* Writing a shared mapping would only make it dirty. */
			bool write = (vma->flags & (VMA_WRITE | VMA_SHARED)) == VMA_WRITE;

			ret = vma->flags & VMA_ACCESS ?
				      mm_populate_range(mm, start, stop, write) :
				      -QUIRE_EFAULT;
		}
		start = stop;
	}
	rwsem_read_unlock(&mm->mmap_lock);
	return best_effort ? 0 : ret;
}

int mm_mlock(struct mm *mm, u64 start, u64 len_bytes, u32 lock_flags)
{
	u64 len = page_align_up(len_bytes + (start & (PAGE_SIZE - 1)));
	const struct quire_limits *limits = &mm->layout.limits;
	int ret = -QUIRE_ENOMEM;
	u64 nr_pages;

	start = align_down(start, PAGE_SIZE);
	rwsem_write_lock(&mm->mmap_lock);
	if (!mm_may_lock_some(mm)) {
		ret = -QUIRE_EPERM;
		goto unlock;
	}
	nr_pages = mm->locked_pages + (len >> PAGE_SHIFT);
	if (!limits->may_lock_any && nr_pages > limits->locked_bytes >> PAGE_SHIFT)
		nr_pages -= count_locked(mm, start, start + len);
	if (limits->may_lock_any || nr_pages <= limits->locked_bytes >> PAGE_SHIFT)
		ret = lock_range(mm, start, start + len, lock_flags);
unlock:
	rwsem_write_unlock(&mm->mmap_lock);
	if (ret)
		return ret;
	ret = mm_populate(mm, start, start + len, false);
	/* POSIX: ENOMEM for what cannot be accessed, EAGAIN for what cannot be
	 * locked. */
	if (ret == -QUIRE_EFAULT)
		return -QUIRE_ENOMEM;
	return ret == -QUIRE_ENOMEM ? -QUIRE_EAGAIN : ret;
}

int mm_munlock(struct mm *mm, u64 start, u64 len_bytes)
{
	u64 len = page_align_up(len_bytes + (start & (PAGE_SIZE - 1)));
	int ret;

	start = align_down(start, PAGE_SIZE);
	rwsem_write_lock(&mm->mmap_lock);
	ret = lock_range(mm, start, start + len, 0);
	rwsem_write_unlock(&mm->mmap_lock);
	return ret;
}

/* Every VMA gets these lock flags; one that cannot be changed is passed over. */
static void lock_all(struct mm *mm, u32 lock_flags)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);
	struct vma *vma = maple_find(&cur, TASK_SIZE);

	while (vma != NULL) {
		u64 end;
		int ret = lock_part(&cur, vma, vma->start, vma->end, lock_flags, &vma);

		(void)ret; /* as documented: what could be locked is */
		end = vma->end;
		maple_set_range(&cur, end, end);
		vma = maple_find(&cur, TASK_SIZE);
	}
}

int mm_mlockall(struct mm *mm, u32 flags)
{
	const struct quire_limits *limits = &mm->layout.limits;
	u32 lock_flags = VMA_LOCKED | (flags & QUIRE_MCL_ONFAULT ? VMA_LOCKONFAULT : 0u);
	int ret = 0;

	if ((flags & (QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE)) == 0 ||
	    (flags & ~(u32)(QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT)))
		return -QUIRE_EINVAL;
	rwsem_write_lock(&mm->mmap_lock);
	if (!mm_may_lock_some(mm)) {
		ret = -QUIRE_EPERM;
	} else if ((flags & QUIRE_MCL_CURRENT) && !limits->may_lock_any &&
		   mm->total_pages > limits->locked_bytes >> PAGE_SHIFT) {
		ret = -QUIRE_ENOMEM;
	} else {
		mm->default_lock_flags = flags & QUIRE_MCL_FUTURE ? lock_flags : 0;
		if (flags & QUIRE_MCL_CURRENT)
			lock_all(mm, lock_flags);
	}
	rwsem_write_unlock(&mm->mmap_lock);
	if (!ret && (flags & QUIRE_MCL_CURRENT))
		mm_populate(mm, 0, TASK_SIZE, true);
	return ret;
}

int mm_munlockall(struct mm *mm)
{
	rwsem_write_lock(&mm->mmap_lock);
	mm->default_lock_flags = 0;
	lock_all(mm, 0);
	rwsem_write_unlock(&mm->mmap_lock);
	return 0;
}
