/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mprotect and mseal: VMA after VMA, each merged or carved, then its entries.
 *
 * An error in the middle leaves what was done before it, as Linux does and
 * mprotect(2) allows.  A private mapping that becomes writable is charged; the
 * charge is given back only by anonymous memory that was never written.
 */
#include "mm/change.h"

#define PROT_ACCESS (QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC)
#define PROT_SEM 0x8u /* known to Linux, without meaning */
#define PROT_GROWS (QUIRE_PROT_GROWSDOWN | QUIRE_PROT_GROWSUP)

/* Limits and charge for `vma` getting *flags; *ret_charged may be undone. */
static int charge_write(struct vma *vma, u64 nr_pages, u32 *flags, u64 *ret_charged)
{
	struct mm *mm = vma->mm;
	u32 old = vma->flags;

	*ret_charged = 0;
	if ((*flags & VMA_WRITE) == 0) {
		if ((old & (VMA_ACCOUNT | VMA_SPECIAL)) == VMA_ACCOUNT && vma_is_anonymous(vma) &&
		    vma->anon_vma == NULL)
			*flags &= ~(u32)VMA_ACCOUNT;
		return 0;
	}
	if (!mm_may_expand(mm, *flags, nr_pages) && mm_may_expand(mm, old, nr_pages))
		return -QUIRE_ENOMEM;
	if (old & (VMA_ACCOUNT | VMA_WRITE | VMA_SHARED | VMA_NORESERVE))
		return 0;
	if (commit_charge(mm, nr_pages))
		return -QUIRE_ENOMEM;
	*ret_charged = nr_pages;
	*flags |= VMA_ACCOUNT;
	return 0;
}

/* One VMA's part of the range; *ret_vma contains it afterwards. */
static int protect_part(struct maple_cursor *cur, struct vma *vma, u64 start, u64 end,
			u32 flags, struct vma **ret_vma)
{
	struct mm *mm = vma->mm;
	u64 nr_pages = (end - start) >> PAGE_SHIFT, charged;
	u32 old = vma->flags;
	int ret;

	*ret_vma = vma;
	if (old & VMA_SEALED)
		return -QUIRE_EPERM;
	if (flags == old)
		return 0;
	ret = charge_write(vma, nr_pages, &flags, &charged);
	if (ret)
		return ret;
	ret = vma_modify(cur, vma, start, end, flags, &vma);
	if (ret) {
		if (charged != 0)
			commit_uncharge(mm, charged);
		return ret;
	}
	vma_set_flags(vma, flags);
	change_protection(vma, start, end);
	if ((old & VMA_ACCOUNT) && !(flags & VMA_ACCOUNT))
		commit_uncharge(mm, nr_pages);
	mm_account_vma(mm, old, -(s64)nr_pages);
	mm_account_vma(mm, flags, (s64)nr_pages);
	/* Locked memory is never to fault: its copies are made now. */
	if ((old & (VMA_WRITE | VMA_SHARED | VMA_LOCKED | VMA_LOCKONFAULT)) == VMA_LOCKED &&
	    (flags & VMA_WRITE)) {
		ret = mm_populate_range(mm, start, end, true);
		(void)ret; /* best effort: the fault itself will tell */
	}
	*ret_vma = vma;
	return 0;
}

/* What PROT_GROWSDOWN extends the range to, or an error. */
static int grow_range(const struct vma *vma, u32 grows, u64 end, u64 *start)
{
	if (grows == QUIRE_PROT_GROWSDOWN) {
		if (vma->start >= end)
			return -QUIRE_ENOMEM;
		*start = vma->start;
		return vma->flags & VMA_GROWSDOWN ? 0 : -QUIRE_EINVAL;
	}
	if (vma->start > *start)
		return -QUIRE_ENOMEM;
	return grows == QUIRE_PROT_GROWSUP ? -QUIRE_EINVAL : 0;
}

/* The protection key that `vma` is to have. */
static u32 choose_pkey(const struct vma *vma, u32 access, int pkey)
{
	u32 old = vma->flags & VMA_PKEY_MASK;

	if (pkey >= 0)
		return (u32)pkey << VMA_PKEY_SHIFT;
	if (vma_pkey_for(vma->mm, access))
		return VMA_PKEY_EXEC_ONLY;
	return old == VMA_PKEY_EXEC_ONLY ? 0 : old;
}

/* What Linux refuses before it looks at what is mapped; *ret_end, 0: nothing to do. */
static int check_mprotect(const struct mm *mm, u64 start, u64 len_bytes, u32 prot, int pkey,
			  u64 *ret_end)
{
	u64 end = start + page_align_up(len_bytes);

	if ((prot & PROT_GROWS) == PROT_GROWS || !is_aligned(start, PAGE_SIZE))
		return -QUIRE_EINVAL;
	*ret_end = 0;
	if (len_bytes == 0)
		return 0;
	if (end <= start)
		return -QUIRE_ENOMEM;
	if (prot & ~(u32)(PROT_GROWS | PROT_ACCESS | PROT_SEM))
		return -QUIRE_EINVAL;
	if (pkey < -1 || pkey > 15 || (pkey >= 0 && !mm->q->config.pkeys))
		return -QUIRE_EINVAL;
	*ret_end = end;
	return 0;
}

int mm_mprotect(struct mm *mm, u64 start, u64 len_bytes, u32 prot, int pkey)
{
	u32 grows = prot & PROT_GROWS, access = prot & PROT_ACCESS;
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	struct vma *vma;
	u64 end;
	int ret;

	ret = check_mprotect(mm, start, len_bytes, prot, pkey, &end);
	if (ret || end == 0)
		return ret;
	vma = maple_find(&cur, end - 1);
	if (vma == NULL)
		return -QUIRE_ENOMEM;
	ret = grow_range(vma, grows, end, &start);
	if (ret)
		return ret;
	for (;;) {
		u32 flags = (vma->flags & ~(u32)(VMA_ACCESS | VMA_PKEY_MASK)) | access |
			    choose_pkey(vma, access, pkey);

		/* VMA_MAY* are the same bits, four higher. */
		if ((flags & ~(flags >> 4) & VMA_ACCESS) || mm_denies_exec(mm, vma->flags, flags))
			return -QUIRE_EACCES;
		ret = protect_part(&cur, vma, start, u64_min(vma->end, end), flags, &vma);
		if (ret)
			return ret;
		start = vma->end;
		if (start >= end)
			return 0;
		vma = maple_load(&mm->vmas, start);
		if (vma == NULL)
			return -QUIRE_ENOMEM;
		maple_set_range(&cur, start, start);
	}
}

/* Is every page of the range mapped? */
static bool is_mapped_whole(struct mm *mm, u64 start, u64 end)
{
	while (start < end) {
		struct vma *vma = vma_at(mm, start);

		if (vma == NULL)
			return false;
		start = vma->end;
	}
	return true;
}

int mm_mseal(struct mm *mm, u64 start, u64 len_bytes, u32 flags)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	u64 len = page_align_up(len_bytes), end = start + len;

	if (flags != 0 || !is_aligned(start, PAGE_SIZE) || (len_bytes != 0 && len == 0) ||
	    end < start)
		return -QUIRE_EINVAL;
	if (!is_mapped_whole(mm, start, end))
		return -QUIRE_ENOMEM;
	while (start < end) {
		struct vma *vma = vma_at(mm, start);
		u32 sealed = vma->flags | VMA_SEALED;
		int ret;

		if (sealed != vma->flags) {
			ret = vma_modify(&cur, vma, start, u64_min(vma->end, end), sealed, &vma);
			if (ret)
				return ret;
			vma_set_flags(vma, sealed);
		}
		start = vma->end;
	}
	return 0;
}
