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

/* The VMAs of [0, limit) as a list, ascending. */
static struct vma *detach_all(struct mm *mm, u64 limit)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);
	struct vma *first = NULL, **tail = &first;
	void *entry;

	if (limit == 0)
		return NULL;
	maple_for_each(&cur, entry, limit - 1) {
		struct vma *vma = entry;

		if (entry == (const void *)&fork_undo_marker)
			break;
		*tail = vma;
		tail = &vma->next_detached;
	}
	*tail = NULL;
	return first;
}

void mm_unmap_all(struct mm *mm, u64 limit, u64 ceiling)
{
	struct vma *first = detach_all(mm, limit);
	u64 nr_charged = 0;

	unmap_vmas_exit(mm, first, ceiling);
	while (first != NULL) {
		struct vma *vma = first;

		first = vma->next_detached;
		if (vma->flags & VMA_ACCOUNT)
			nr_charged += vma_nr_pages(vma);
		vma_free(vma);
	}
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
	rwsem_write_lock(&mm->mmap_lock);
	mm_unmap_all(mm, TASK_SIZE, 0);
	rwsem_write_unlock(&mm->mmap_lock);
	mm_discard(mm);
}
