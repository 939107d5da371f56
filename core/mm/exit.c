/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of an address space.
 *
 * Nobody runs in it any more, so its TLB entries are flushed once, before
 * anything is freed, and no flush is needed after that.  VMAs leave their
 * reverse maps before the tables go, as in munmap.  The VMA tree is not taken
 * apart entry by entry: it is thrown away whole.
 */
#include "mm/pages.h"

/* VMAs that are taken through all steps together: few enough to be still in
 * the cache at the last. */
#define BATCH 32u

/*
 * The next VMAs below `limit` as a list, ascending, from *next on, which is
 * NULL at the end; then also *next.
 */
static struct vma *detach_batch(struct maple_cursor *cur, u64 limit, struct vma **next)
{
	struct vma *first = NULL, **tail = &first;

	for (u32 i = 0; i < BATCH && *next != NULL; i++) {
		*tail = *next;
		tail = &(*next)->next_detached;
		*next = maple_next(cur, limit - 1);
		if ((const void *)*next == &fork_undo_marker)
			*next = NULL;
	}
	*tail = NULL;
	return first;
}

/* Returns how many pages they were charged for. */
static u64 free_vmas(struct vma *first)
{
	u64 nr_charged = 0;

	while (first != NULL) {
		struct vma *vma = first;

		first = vma->next_detached;
		if (vma->flags & VMA_ACCOUNT)
			nr_charged += vma_nr_pages(vma);
		vma_free(vma);
	}
	return nr_charged;
}

void mm_unmap_all(struct mm *mm, u64 limit, u64 ceiling)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);
	struct vma *next = limit != 0 ? maple_find(&cur, limit - 1) : NULL, *first;
	struct gather gather;
	struct zap zap = { .gather = &gather };
	u64 nr_charged = 0;

	if ((const void *)next == &fork_undo_marker)
		next = NULL;
	mm_note_peak_rss(mm);
	gather_begin(&gather, &mm->pt, zap_remove_rmap, true);
	while ((first = detach_batch(&cur, limit, &next)) != NULL) {
		zap_vmas(&zap, mm, first, 0, next != NULL ? next->start : ceiling);
		gather_flush(&gather);
		/* The table it remembers may have gone. */
		zap.span = (struct span){ 0 };
		nr_charged += free_vmas(first);
	}
	gather_end(&gather);
	zap_account(&zap, mm);
	mm->nr_vmas = 0;
	commit_uncharge(mm, nr_charged);
}

/* No CPU shall believe that the tables it has loaded are those of a later
 * address space that is given the same number. */
static void forget_loaded(struct mm *mm)
{
	u64 cpus = atomic_load(&mm->pt.cpus.bits);

	for (; cpus != 0; cpus &= cpus - 1) {
		u32 asid = mm->pt.asid;

		atomic_cas(&mm->q->cpus[bit_lowest(cpus)].asid, &asid, 0u);
	}
}

void mm_discard(struct mm *mm)
{
	/* Nobody reads the tree: its nodes need not wait for readers. */
	maple_set_rcu(&mm->vmas, false);
	maple_destroy(&mm->vmas);
	forget_loaded(mm);
	mm_free(mm);
}

void mm_exit(struct mm *mm)
{
	mm_withdraw(mm);
	/* Who found it before has the lock, and is waited for. */
	rwsem_write_lock(&mm->mmap_lock);
	mm_unmap_all(mm, TASK_SIZE, 0);
	rwsem_write_unlock(&mm->mmap_lock);
	mm_discard(mm);
}
