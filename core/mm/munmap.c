/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * munmap, and growth of stacks.
 *
 * Unmapping has two halves.  mm_detach() takes the range out of the tree: parts
 * of VMAs that stay are cut off first, then one store of a hole forgets the
 * rest.  It may fail, and then nothing happened.  mm_dispose_detached() takes
 * the entries out of the page tables and frees; it cannot fail.
 */
#include "mm/change.h"

/* Parts made before the store, so that the store alone decides. */
struct cut {
	struct vma *head;  /* new: the part of `first` that goes */
	struct vma *tail;  /* new: the part of `last` that goes */
	struct vma *right; /* new: what stays of `first` beyond the range */
};

static int cut_prepare(struct cut *cut, struct vma *first, struct vma *last, u64 start,
		       u64 end)
{
	*cut = (struct cut){ 0 };
	if (first->start < start) {
		cut->head = vma_clone_part(first, start, u64_min(first->end, end));
		if (cut->head == NULL)
			return -QUIRE_ENOMEM;
	}
	if (last->end > end && cut->head != NULL && first == last) {
		cut->right = vma_clone_part(first, end, first->end);
		if (cut->right == NULL)
			goto fail;
	} else if (last->end > end) {
		cut->tail = vma_clone_part(last, last->start, end);
		if (cut->tail == NULL)
			goto fail;
	}
	return 0;
fail:
	if (cut->head != NULL)
		vma_dispose(cut->head);
	return -QUIRE_ENOMEM;
}

static void cut_undo(struct cut *cut)
{
	if (cut->head != NULL)
		vma_dispose(cut->head);
	if (cut->tail != NULL)
		vma_dispose(cut->tail);
	if (cut->right != NULL)
		vma_dispose(cut->right);
}

/* After the store: what stays of the VMAs at both ends gets its boundaries. */
static void cut_commit(struct cut *cut, struct maple_cursor *cur, struct vma *first,
		       struct vma *last, u64 start, u64 end)
{
	struct mm *mm = first->mm;

	if (cut->right != NULL) {
		maple_set_range(cur, end, end);
		maple_walk(cur);
		maple_replace(cur, cut->right);
		mm->nr_vmas++;
	}
	if (cut->head != NULL)
		vma_set_range(first, first->start, start);
	if (cut->tail != NULL)
		vma_set_range(last, end, last->end);
	/* The parts that go count as VMAs until they are forgotten. */
	mm->nr_vmas += (cut->head != NULL) + (cut->tail != NULL);
}

static void detached_append(struct detached *detached, struct vma ***link,
			    struct vma *vma)
{
	struct mm *mm = vma->mm;
	u64 nr_pages = vma_nr_pages(vma);

	**link = vma;
	*link = &vma->next_detached;
	mm_account_vma(mm, vma->flags, -(s64)nr_pages);
	if (vma->flags & VMA_LOCKED)
		mm->locked_pages -= nr_pages;
	if (vma->flags & VMA_ACCOUNT)
		detached->nr_accounted += nr_pages;
	mm->nr_vmas--;
}

/*
 * The VMAs of [start, end) in order, as a list by next_detached; the first and
 * the last may stick out.
 */
static struct vma *range_list(struct maple_cursor *cur, struct vma *first, u64 end,
			      struct vma **ret_last)
{
	struct vma *last = first;

	while (last->end < end) {
		struct vma *next = maple_next(cur, end - 1);

		if (next == NULL)
			break;
		last->next_detached = next;
		last = next;
	}
	last->next_detached = NULL;
	*ret_last = last;
	return first;
}

int mm_detach(struct mm *mm, struct maple_cursor *cur, u64 start, u64 end,
	      struct detached *ret_detached)
{
	struct vma *first, *last, **link = &ret_detached->first;
	struct cut cut = { 0 };
	int ret;

	*ret_detached = (struct detached){ 0 };
	maple_set_range(cur, start, start);
	first = maple_find(cur, end - 1);
	if (first == NULL)
		return 0;
	range_list(cur, first, end, &last);
	if (first->start < start || last->end > end) {
		/* Only a hole in the middle makes one more of them. */
		if (first->start < start && first->end > end &&
		    mm_check_map_count(mm, 1))
			return -QUIRE_ENOMEM;
		ret = cut_prepare(&cut, first, last, start, end);
		if (ret)
			return ret;
	}
	maple_set_range(cur, start, end - 1);
	ret = maple_store(cur, NULL);
	if (ret) {
		cut_undo(&cut);
		return ret;
	}
	for (struct vma *vma = first, *next; vma != NULL; vma = next) {
		struct vma *goes = vma;

		next = vma->next_detached;
		if (vma == first && cut.head != NULL)
			goes = cut.head;
		else if (vma == last && cut.tail != NULL)
			goes = cut.tail;
		detached_append(ret_detached, &link, goes);
	}
	*link = NULL;
	if (cut.head != NULL || cut.tail != NULL)
		cut_commit(&cut, cur, first, last, start, end);
	maple_set_range(cur, start, start);
	maple_walk(cur);
	ret_detached->floor = cur->first;
	ret_detached->ceiling = cur->last + 1;
	return 0;
}

void mm_dispose_detached(struct mm *mm, struct detached *detached)
{
	if (detached->first == NULL)
		return;
	unmap_vmas(mm, detached->first, detached->floor, detached->ceiling);
	for (struct vma *vma = detached->first, *next; vma != NULL; vma = next) {
		next = vma->next_detached;
		vma_free(vma);
	}
	if (detached->nr_accounted != 0)
		commit_uncharge(mm, detached->nr_accounted);
	detached->first = NULL;
}

int mm_munmap(struct mm *mm, u64 start, u64 len_bytes)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	struct detached detached;
	u64 len = page_align_up(len_bytes);
	int ret;

	if (!is_aligned(start, PAGE_SIZE) || start > TASK_SIZE ||
	    len_bytes > TASK_SIZE - start || len == 0)
		return -QUIRE_EINVAL;
	ret = mm_detach(mm, &cur, start, start + len, &detached);
	if (ret)
		return ret;
	mm_dispose_detached(mm, &detached);
	return 0;
}

/* May a stack grow by so much, to `len_bytes` in all? */
static bool stack_may_grow(const struct mm *mm, const struct vma *vma, u64 len_bytes,
			   u64 grow_bytes)
{
	return mm_may_expand(mm, vma->flags, grow_bytes >> PAGE_SHIFT) &&
	       len_bytes <= mm->layout.limits.stack_bytes &&
	       mm_may_lock(mm, vma->flags, grow_bytes);
}

int mm_expand_stack(struct mm *mm, u64 addr)
{
	u64 start = align_down(addr, PAGE_SIZE), grow;
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	struct vma *vma, *prev;
	bool charged;
	int ret;

	vma = maple_find(&cur, TASK_SIZE);
	if (vma == NULL)
		return -QUIRE_EFAULT;
	if (vma->start <= start)
		return 0;
	if ((vma->flags & VMA_GROWSDOWN) == 0)
		return -QUIRE_EFAULT;
	if (start < mm->layout.mmap_min)
		return -QUIRE_EPERM;
	prev = maple_prev(&cur, 0);
	if (prev != NULL && (prev->flags & VMA_GROWSDOWN) == 0 &&
	    (prev->flags & VMA_ACCESS) != 0 &&
	    start - prev->end < mm->q->config.guard_gap_bytes)
		return -QUIRE_ENOMEM;
	ret = anon_vma_prepare(&mm->q->rmap, vma, NULL);
	if (ret)
		return ret;
	grow = vma->start - start;
	if (grow >> PAGE_SHIFT > vma->pgoff ||
	    !stack_may_grow(mm, vma, vma->end - start, grow))
		return -QUIRE_ENOMEM;
	charged = (vma->flags & VMA_ACCOUNT) != 0;
	if (charged && commit_charge(mm, grow >> PAGE_SHIFT))
		return -QUIRE_ENOMEM;
	maple_set_range(&cur, start, vma->end - 1);
	ret = maple_store(&cur, vma);
	if (ret) {
		if (charged)
			commit_uncharge(mm, grow >> PAGE_SHIFT);
		return ret;
	}
	vma_set_range(vma, start, vma->end);
	mm_account_vma(mm, vma->flags, (s64)(grow >> PAGE_SHIFT));
	if (vma->flags & VMA_LOCKED)
		mm->locked_pages += grow >> PAGE_SHIFT;
	return 0;
}
