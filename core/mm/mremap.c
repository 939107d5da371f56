/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mremap: shrinks, grows in place, or moves.
 *
 * A move makes the new VMA first, moves the entries, then unmaps the old
 * range.  If a page table for the new place cannot be had, the entries have
 * been moved back and the new range is unmapped again: the address space is as
 * it was, but for what a MREMAP_FIXED target or a shrink already unmapped, as
 * mremap(2) says.
 *
 * Several VMAs can be moved by one call if their size stays (since Linux 6.17);
 * the gaps between them move along.
 */
#include "mm/change.h"

#define MREMAP_FLAGS \
	((u32)(QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP))

struct remap {
	struct mm *mm;
	struct vma *vma;         /* the one at addr */
	u64 addr, old_len, new_len; /* page aligned */
	u32 flags;
	u64 new_addr;            /* wanted; then where it went */
	u64 populate_start, populate_end;
};

static bool names_target(const struct remap *r)
{
	return (r->flags & (QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP)) != 0;
}

static u64 growth(const struct remap *r)
{
	return r->new_len > r->old_len ? r->new_len - r->old_len : 0;
}

static int check_arguments(const struct remap *r)
{
	if (r->flags & ~MREMAP_FLAGS)
		return -QUIRE_EINVAL;
	if (!is_aligned(r->addr, PAGE_SIZE) || r->new_len == 0 || r->new_len > TASK_SIZE)
		return -QUIRE_EINVAL;
	if (!names_target(r))
		return 0;
	if (r->new_addr > TASK_SIZE - r->new_len || !is_aligned(r->new_addr, PAGE_SIZE) ||
	    !(r->flags & QUIRE_MREMAP_MAYMOVE))
		return -QUIRE_EINVAL;
	if ((r->flags & QUIRE_MREMAP_DONTUNMAP) && r->old_len != r->new_len)
		return -QUIRE_EINVAL;
	/* The target must not overlap the source. */
	if (r->addr + r->old_len > r->new_addr && r->new_addr + r->new_len > r->addr)
		return -QUIRE_EINVAL;
	/* A move may need a few more VMAs in between. */
	return r->mm->nr_vmas + 5 >= r->mm->q->config.map_count_max ? -QUIRE_ENOMEM : 0;
}

/* May this VMA be grown or moved as asked? */
static int check_vma(struct remap *r)
{
	struct vma *vma = r->vma;
	u64 index;

	if (vma == NULL)
		return -QUIRE_EFAULT;
	if (vma->flags & VMA_SEALED)
		return -QUIRE_EPERM;
	if (!names_target(r)) {
		r->new_addr = r->addr;
		if (r->new_len <= r->old_len)
			return 0;
	}
	/* Length 0 duplicates a shared mapping. */
	if (r->old_len == 0 && !(vma->flags & (VMA_SHARED | VMA_MAYSHARE)))
		return -QUIRE_EINVAL;
	if ((vma->flags & VMA_SPECIAL) && (r->flags & QUIRE_MREMAP_DONTUNMAP))
		return -QUIRE_EINVAL;
	if (u64_min(r->old_len, r->new_len) > vma->end - r->addr)
		return -QUIRE_EFAULT;
	if (r->new_len <= r->old_len)
		return 0;
	index = vma_index(vma, r->addr);
	if (index + (r->new_len >> PAGE_SHIFT) < index)
		return -QUIRE_EINVAL;
	if (vma->flags & VMA_SPECIAL)
		return -QUIRE_EFAULT;
	if (!mm_may_lock(r->mm, vma->flags, growth(r)))
		return -QUIRE_EAGAIN;
	if (!mm_may_expand(r->mm, vma->flags, growth(r) >> PAGE_SHIFT))
		return -QUIRE_ENOMEM;
	return 0;
}

/* Sums for `nr_pages` more of the VMA's kind. */
static void account_more(struct mm *mm, u32 flags, u64 nr_pages)
{
	mm_account_vma(mm, flags, (s64)nr_pages);
	if (flags & VMA_LOCKED)
		mm->locked_pages += nr_pages;
}

static int shrink(struct remap *r)
{
	return mm_munmap(r->mm, r->addr + r->new_len, r->old_len - r->new_len);
}

/* ---- growing in place ------------------------------------------------------- */

static bool can_grow_in_place(const struct remap *r)
{
	u64 end = r->vma->end + growth(r);
	struct vma *next;

	if (r->old_len != r->vma->end - r->addr || end > TASK_SIZE)
		return false;
	next = vma_find(r->mm, r->vma->end);
	return next == NULL || next->start >= end;
}

static int grow_in_place(struct remap *r)
{
	struct vma *vma = r->vma, *next, *merged;
	struct mm *mm = r->mm;
	u64 nr_pages = growth(r) >> PAGE_SHIFT;
	/* No source: as on Linux, a VMA with a fork's chain may swallow what it
	 * grows up to. */
	struct vma_spec spec = {
		.start = vma->end, .end = vma->end + growth(r),
		.pgoff = vma_index(vma, vma->end), .flags = vma->flags,
		.file = vma->file, .anon_vma = vma->anon_vma,
	};
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);
	bool charged = (vma->flags & VMA_ACCOUNT) != 0;
	int ret;

	if (charged && commit_charge(mm, nr_pages))
		return -QUIRE_ENOMEM;
	next = maple_load(&mm->vmas, spec.end);
	ret = vma_merge_new(&cur, &spec, vma, next, &merged);
	if (ret) {
		if (charged)
			commit_uncharge(mm, nr_pages);
		return ret;
	}
	ensure(merged == vma);
	account_more(mm, spec.flags, nr_pages);
	if (spec.flags & VMA_LOCKED) {
		r->populate_start = spec.start;
		r->populate_end = spec.end;
	}
	return 0;
}

/* ---- moving ------------------------------------------------------------------ */

/*
 * The VMA for the new place: a neighbour there that takes the range over, or
 * a copy.  Anonymous memory that was never written forgets where it came from
 * and so can join what is there; r->vma itself may grow by that.
 */
static int make_target(struct remap *r, struct vma **ret_vma)
{
	struct vma *vma = r->vma, *prev, *next;
	struct mm *mm = r->mm;
	struct vma_spec spec = {
		.start = r->new_addr, .end = r->new_addr + r->new_len,
		.pgoff = vma_index(vma, r->addr), .flags = vma->flags,
		.file = vma->file, .anon_vma = vma->anon_vma, .source = vma,
	};
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);
	struct vma *target;
	int ret;

	if (vma_is_anonymous(vma) && vma->anon_vma == NULL)
		spec.pgoff = spec.start >> PAGE_SHIFT;
	prev = spec.start == 0 ? NULL : maple_load(&mm->vmas, spec.start - 1);
	next = maple_load(&mm->vmas, spec.end);
	ret = vma_merge_new(&cur, &spec, prev, next, ret_vma);
	if (ret || *ret_vma != NULL)
		return ret;
	/* No anonymous page: nothing to be linked for yet. */
	target = vma_copy(mm, vma);
	if (target == NULL)
		return -QUIRE_ENOMEM;
	target->start = spec.start;
	target->end = spec.end;
	target->pgoff = spec.pgoff;
	ret = anon_vma_clone(&mm->q->rmap, target, vma);
	if (!ret)
		ret = vma_insert(&cur, target);
	if (ret) {
		vma_free(target);
		return ret;
	}
	*ret_vma = target;
	return 0;
}

/* Unmaps without giving the commit charge back. */
static int unmap_keeping_charge(struct mm *mm, u64 start, u64 end)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	struct detached detached;
	int ret = mm_detach(&cur, start, end, &detached);

	if (ret)
		return ret;
	detached.nr_accounted = 0;
	mm_dispose_detached(mm, &detached);
	return 0;
}

/* The old range stays mapped, empty. */
static void keep_source(struct remap *r, const struct vma *target)
{
	struct vma *vma = r->vma;

	if (vma->flags & VMA_LOCKED) {
		r->mm->locked_pages -= vma_nr_pages(vma);
		vma_set_flags(vma, vma->flags & ~(u32)VMA_LOCK_FLAGS);
	}
	if (vma != target && vma->start == r->addr && vma->end == r->addr + r->old_len)
		anon_vma_unlink(&r->mm->q->rmap, vma);
}

/* The new range goes again, and with it what it was charged.  Should there be no
 * memory even for that, it stays, empty, and counts. */
static void undo_target(struct remap *r, bool accounted, u64 nr_charged)
{
	u64 nr_new = r->new_len >> PAGE_SHIFT;

	if (unmap_keeping_charge(r->mm, r->new_addr, r->new_addr + r->new_len) == 0) {
		if (accounted)
			commit_uncharge(r->mm, nr_charged);
	} else if (accounted) {
		atomic_fetch_add(&r->mm->q->committed_pages, nr_new - nr_charged);
	}
}

/*
 * Moves the entries; then the old range goes, or stays empty.  That it can go
 * is made sure of first.  On failure everything is where it was.
 */
static int move_entries(struct remap *r, struct vma *target)
{
	struct maple_cursor cur = maple_cursor(&r->mm->vmas, 0, 0);
	bool keep = (r->flags & QUIRE_MREMAP_DONTUNMAP) != 0 || r->old_len == 0;
	struct detach_plan plan;
	struct detached detached;
	int ret;

	if (!keep) {
		ret = mm_detach_prepare(&plan, &cur, r->addr, r->addr + r->old_len);
		if (ret)
			return ret;
	}
	ret = move_page_tables(r->vma, r->addr, target, r->new_addr, r->old_len);
	if (ret) {
		if (!keep)
			mm_detach_cancel(&plan);
		return ret;
	}
	if (!keep) {
		mm_detach_commit(&plan, &detached);
		/* Its charge is the new range's now. */
		detached.nr_accounted = 0;
		mm_dispose_detached(r->mm, &detached);
	} else if (r->old_len != 0) {
		keep_source(r, target);
	}
	return 0;
}

static int move(struct remap *r)
{
	struct mm *mm = r->mm;
	u32 flags = r->vma->flags;
	bool accounted = (flags & VMA_ACCOUNT) != 0;
	u64 nr_new = r->new_len >> PAGE_SHIFT;
	u64 nr_charged = r->flags & QUIRE_MREMAP_DONTUNMAP ? nr_new :
							     growth(r) >> PAGE_SHIFT;
	struct vma *target;
	int ret;

	if (mm->nr_vmas + 3 >= mm->q->config.map_count_max)
		return -QUIRE_ENOMEM;
	/* A special mapping is moved as a whole. */
	if ((flags & VMA_SPECIAL) &&
	    (r->addr != r->vma->start || r->addr + r->old_len != r->vma->end))
		return -QUIRE_EINVAL;
	if (accounted && commit_charge(mm, nr_charged))
		return -QUIRE_ENOMEM;
	ret = make_target(r, &target);
	if (ret) {
		if (accounted)
			commit_uncharge(mm, nr_charged);
		return ret;
	}
	account_more(mm, flags, nr_new);
	/* The old VMA may have been swallowed by a merge with the target. */
	r->vma = vma_at(mm, r->addr);
	ret = move_entries(r, target);
	if (ret) {
		undo_target(r, accounted, nr_charged);
		return ret;
	}
	if ((flags & VMA_LOCKED) && growth(r) != 0) {
		r->populate_start = r->new_addr + r->old_len;
		r->populate_end = r->new_addr + r->new_len;
	}
	return 0;
}

/* Sets r->new_addr to where a mapping of the new length can go. */
static int find_target(struct remap *r)
{
	const struct vma *vma = r->vma;
	struct area_request area = {
		.addr = names_target(r) ? r->new_addr : 0,
		.len_bytes = r->new_len,
		.fixed = (r->flags & QUIRE_MREMAP_FIXED) != 0,
		.offset = vma->file != NULL ? vma_index(vma, r->addr) << PAGE_SHIFT : 0,
	};
	struct area found;
	int ret;

	area.align = area_alignment(r->mm, vma->file, (vma->flags & VMA_MAYSHARE) != 0,
				    area.addr, r->new_len);
	ret = mm_find_area(r->mm, &area, &found);
	if (!ret)
		r->new_addr = found.addr;
	return ret;
}

/* Could so much more be committed?  Linux asks that of a shrink that moves, for
 * what it gives back. */
static int ask_commit(const struct remap *r, u64 nr_pages)
{
	if (nr_pages == 0 || (r->vma->flags & VMA_ACCOUNT) == 0)
		return 0;
	if (commit_charge(r->mm, nr_pages))
		return -QUIRE_ENOMEM;
	commit_uncharge(r->mm, nr_pages);
	return 0;
}

static int move_to(struct remap *r)
{
	u64 nr_shrunk = r->new_len < r->old_len ? (r->old_len - r->new_len) >> PAGE_SHIFT : 0;
	int ret;

	if (r->flags & QUIRE_MREMAP_FIXED) {
		ret = mm_munmap(r->mm, r->new_addr, r->new_len);
		if (ret)
			return ret;
		r->vma = vma_at(r->mm, r->addr);
		if (r->vma == NULL)
			return -QUIRE_EFAULT;
	}
	if (nr_shrunk != 0) {
		ret = shrink(r);
		if (ret)
			return ret;
		r->old_len = r->new_len;
		r->vma = vma_at(r->mm, r->addr);
	}
	if ((r->flags & QUIRE_MREMAP_DONTUNMAP) &&
	    !mm_may_expand(r->mm, r->vma->flags, r->old_len >> PAGE_SHIFT))
		return -QUIRE_ENOMEM;
	ret = find_target(r);
	if (!ret)
		ret = ask_commit(r, nr_shrunk);
	return ret ? ret : move(r);
}

static int resize(struct remap *r)
{
	int ret;

	if (r->new_len == r->old_len)
		return 0;
	if (r->new_len < r->old_len)
		return shrink(r);
	if (can_grow_in_place(r))
		return grow_in_place(r);
	if (!(r->flags & QUIRE_MREMAP_MAYMOVE))
		return -QUIRE_ENOMEM;
	ret = find_target(r);
	return ret ? ret : move(r);
}

/* All VMAs of the old range to a fixed place, gaps included. */
static int move_all(struct remap *r)
{
	u64 end = r->addr + r->old_len, start = r->addr;
	u64 shift = r->new_addr - start, first_target = r->new_addr;
	struct vma *vma;
	int ret;

	vma = vma_find(r->mm, start);
	if (vma == NULL || vma->start > start)
		return -QUIRE_EFAULT;
	while (vma != NULL && vma->start < end) {
		u64 vma_end = vma->end;

		r->vma = vma;
		r->addr = u64_max(vma->start, start);
		r->old_len = u64_min(vma_end, end) - r->addr;
		r->new_len = r->old_len;
		r->new_addr = r->addr + shift;
		ret = check_vma(r);
		if (!ret)
			ret = move_to(r);
		if (ret)
			return ret;
		vma = vma_end < end ? vma_find(r->mm, vma_end) : NULL;
	}
	r->new_addr = first_target;
	return 0;
}

int mm_mremap(struct mm *mm, const struct mremap_request *req, u64 *ret_addr,
	      u64 *ret_populate_start, u64 *ret_populate_end)
{
	struct remap r = {
		.mm = mm, .addr = req->addr, .old_len = page_align_up(req->old_len),
		.new_len = page_align_up(req->new_len), .flags = req->flags,
		.new_addr = req->new_addr,
	};
	int ret = check_arguments(&r);

	if (ret)
		return ret;
	if ((r.flags & QUIRE_MREMAP_FIXED) && r.old_len == r.new_len) {
		ret = move_all(&r);
	} else {
		r.vma = vma_at(mm, r.addr);
		ret = check_vma(&r);
		if (!ret)
			ret = names_target(&r) ? move_to(&r) : resize(&r);
	}
	if (ret)
		return ret;
	*ret_addr = r.new_addr;
	*ret_populate_start = r.populate_start;
	*ret_populate_end = r.populate_end;
	return 0;
}
