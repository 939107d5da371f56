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

/* The parts that a plan needs, made before the store, so that it alone decides. */
static int plan_cut(struct detach_plan *plan)
{
	struct vma *first = plan->first, *last = plan->last;

	if (first->start < plan->start) {
		plan->head = vma_clone_part(first, plan->start,
					    u64_min(first->end, plan->end));
		if (plan->head == NULL)
			return -QUIRE_ENOMEM;
	}
	if (last->end <= plan->end)
		return 0;
	if (first == last && plan->head != NULL) {
		plan->right = vma_clone_part(first, plan->end, first->end);
		if (plan->right == NULL)
			goto fail;
	} else {
		plan->tail = vma_clone_part(last, last->start, plan->end);
		if (plan->tail == NULL)
			goto fail;
	}
	return 0;
fail:
	if (plan->head != NULL)
		vma_dispose(plan->head);
	return -QUIRE_ENOMEM;
}

static void plan_undo_cut(struct detach_plan *plan)
{
	if (plan->head != NULL)
		vma_dispose(plan->head);
	if (plan->tail != NULL)
		vma_dispose(plan->tail);
	if (plan->right != NULL)
		vma_dispose(plan->right);
}

/* After the store: what stays of the VMAs at both ends gets its boundaries. */
static void plan_trim(struct detach_plan *plan)
{
	struct mm *mm = plan->first->mm;

	if (plan->right != NULL) {
		maple_set_range(plan->cur, plan->end, plan->end);
		maple_walk(plan->cur);
		maple_replace(plan->cur, plan->right);
		mm->nr_vmas++;
	}
	if (plan->head != NULL)
		vma_set_range(plan->first, plan->first->start, plan->start);
	if (plan->tail != NULL)
		vma_set_range(plan->last, plan->end, plan->last->end);
	/* The parts that went were counted out without ever counting in. */
	mm->nr_vmas += (plan->head != NULL ? 1u : 0u) + (plan->tail != NULL ? 1u : 0u);
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

/* Links the VMAs from `first` to `end` by next_detached; returns the last.  The
 * first and the last may stick out. */
static struct vma *range_list(struct maple_cursor *cur, struct vma *first, u64 end,
			      u32 *ret_flags)
{
	struct vma *last = first;

	*ret_flags = first->flags;

	while (last->end < end) {
		struct vma *next = maple_next(cur, end - 1);

		if (next == NULL)
			break;
		last->next_detached = next;
		last = next;
		*ret_flags |= last->flags;
	}
	last->next_detached = NULL;
	return last;
}

int mm_check_detach(struct maple_cursor *cur, struct vma *first, u64 start, u64 end)
{
	struct vma *vma = first;
	int ret = 0;

	if (first->start < start && first->end > end && mm_check_map_count(first->mm, 1))
		return -QUIRE_ENOMEM;
	if (first->start < start && (first->flags & VMA_SPECIAL))
		return first->flags & VMA_SEALED ? -QUIRE_EPERM : -QUIRE_EINVAL;
	for (; vma != NULL && vma->start < end && !ret; vma = vma_find(vma->mm, vma->end)) {
		if (vma->flags & VMA_SEALED)
			ret = -QUIRE_EPERM;
		else if (vma->end > end && (vma->flags & VMA_SPECIAL))
			ret = -QUIRE_EINVAL;
		if (ret && vma != first && first->start < start) {
			int cut = vma_cut(cur, first, start);

			(void)cut; /* the call has failed already */
		}
	}
	return ret;
}

/* Finds the VMAs and makes the parts; what is left to do is a store. */
static int plan_make(struct detach_plan *plan, u64 start, u64 end)
{
	struct maple_cursor *cur = plan->cur;
	struct vma *first, *last;
	u32 flags;
	int ret;

	plan->start = start;
	plan->end = end;
	plan->head = plan->tail = plan->right = NULL;
	maple_set_range(cur, start, start);
	plan->first = first = maple_find(cur, end - 1);
	if (first == NULL)
		return 0;
	plan->last = last = range_list(cur, first, end, &flags);
	if (!mm_detach_is_free(flags)) {
		ret = mm_check_detach(cur, first, start, end);
		if (ret)
			return ret;
	}
	if (likely(first->start >= start && last->end <= end))
		return 0;
	/* Only a hole in the middle makes one more of them. */
	if (first->start < start && first->end > end &&
	    mm_check_map_count(first->mm, 1))
		return -QUIRE_ENOMEM;
	return plan_cut(plan);
}

/* After the store: what is out of the tree, as a list. */
static void plan_commit(struct detach_plan *plan, struct detached *ret_detached)
{
	struct vma **link = &ret_detached->first;
	struct maple_cursor *cur = plan->cur;

	for (struct vma *vma = plan->first, *next; vma != NULL; vma = next) {
		struct vma *goes = vma;

		next = vma->next_detached;
		if (vma == plan->first && plan->head != NULL)
			goes = plan->head;
		else if (vma == plan->last && plan->tail != NULL)
			goes = plan->tail;
		detached_append(ret_detached, &link, goes);
	}
	*link = NULL;
	if (plan->head != NULL || plan->tail != NULL)
		plan_trim(plan);
	maple_set_range(cur, plan->start, plan->start);
	maple_walk(cur);
	ret_detached->floor = cur->first;
	ret_detached->ceiling = cur->last + 1;
}

int mm_detach(struct maple_cursor *cur, u64 start, u64 end, struct detached *ret_detached)
{
	struct detach_plan plan = { .cur = cur };
	int ret;

	*ret_detached = (struct detached){ 0 };
	ret = plan_make(&plan, start, end);
	if (ret || plan.first == NULL)
		return ret;
	maple_set_range(cur, start, end - 1);
	ret = maple_store(cur, NULL);
	if (ret) {
		plan_undo_cut(&plan);
		return ret;
	}
	plan_commit(&plan, ret_detached);
	return 0;
}

int mm_detach_prepare(struct detach_plan *plan, struct maple_cursor *cur, u64 start,
		      u64 end)
{
	int ret;

	plan->cur = cur;
	ret = plan_make(plan, start, end);
	if (ret || plan->first == NULL)
		return ret;
	maple_set_range(cur, start, end - 1);
	ret = maple_preallocate(cur, NULL);
	if (ret)
		plan_undo_cut(plan);
	return ret;
}

void mm_detach_commit(struct detach_plan *plan, struct detached *ret_detached)
{
	*ret_detached = (struct detached){ 0 };
	if (plan->first == NULL)
		return;
	maple_store_prealloc(plan->cur, NULL);
	plan_commit(plan, ret_detached);
	maple_prealloc_free(plan->cur);
}

void mm_detach_cancel(struct detach_plan *plan)
{
	if (plan->first == NULL)
		return;
	maple_prealloc_free(plan->cur);
	plan_undo_cut(plan);
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
	ret = mm_detach(&cur, start, start + len, &detached);
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
	if (start < mm_placed_min(mm))
		return -QUIRE_EPERM;
	prev = maple_prev(&cur, 0);
	if (prev != NULL && (prev->flags & VMA_GROWSDOWN) == 0 &&
	    (prev->flags & VMA_ACCESS) != 0 &&
	    start - prev->end < mm->q->config.guard_gap_bytes)
		return -QUIRE_ENOMEM;
	ret = vma_prepare_anon(vma);
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
