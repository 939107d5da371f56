/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork: a second address space that looks like the first.
 *
 * Guarantees.  0: the child has a copy of every VMA (but those not to be
 * inherited), and parent and child see each other's later writes only in
 * shared mappings.  -ENOMEM, -EAGAIN (too many address spaces), -EOVERFLOW (a
 * large folio is mapped too often): the child is gone with everything that was
 * made for it; the parent differs only in pages that are no longer marked
 * exclusive, which costs it a fault each.
 *
 * How the tree of VMAs is duplicated (decision fork-tree):
 *   dup          the tree is copied node by node with the parent's VMAs in it,
 *                each of which is then replaced in place: no store can fail
 *   bulk-store   nodes for all VMAs are had ahead, and VMAs appended
 *   insert-each  each VMA is stored by itself
 *
 * How a failure half-way is undone (decision fork-undo).  Under `dup` the
 * child's tree then holds the child's VMAs up to some place and the parent's
 * behind it, so whoever unmaps it must know where to stop:
 *   own-limit-and-ceiling  stops at a limit; tables are freed to the top
 *   marker                 something that is no VMA lies over the first VMA not
 *                          done, and exit stops there
 *   next-as-ceiling        stops there too, but also takes the start of the VMA
 *                          not done as the ceiling for tables.  That VMA was
 *                          never mapped in the child, so nobody frees the
 *                          tables that reach across its start: a leak, kept as
 *                          the known-bad alternative
 * Source: letter 004_b20df14de9f2b197.txt (Peng Zhang, Liam Howlett).
 */
#include "mm/pages.h"

/* In a tree it stands for "nothing behind this": only its address matters. */
const u64 fork_undo_marker;

struct fork {
	struct mm *parent, *child;
	struct maple_cursor cur;  /* where we are: the child's tree if duplicated */
	struct maple_bulk bulk;
	bool dup, bulk_store;
	struct copy copy;
	bool copied_entries;      /* the parent's TLBs must be flushed */
	struct vma *not_done;     /* the parent's first VMA without a copy, or NULL */
};

/* ---- the tree, by each alternative ------------------------------------------- */

static int tree_begin(struct fork *fork)
{
	struct mm *parent = fork->parent, *child = fork->child;
	int err = 0;

	fork->dup = DECIDED(parent->q, fork_tree, dup);
	fork->bulk_store = DECIDED(parent->q, fork_tree, bulk_store);
	fork->cur = maple_cursor(fork->dup ? &child->vmas : &parent->vmas, 0, 0);
	if (fork->dup)
		err = maple_dup(&parent->vmas, &child->vmas);
	/* Nobody reads the child's tree yet: what a store replaces can go. */
	maple_set_rcu(&child->vmas, false);
	if (fork->bulk_store)
		err = maple_bulk_begin(&fork->bulk, &child->vmas, parent->nr_vmas);
	return err;
}

static int tree_store(struct fork *fork, struct vma *vma)
{
	struct maple_cursor cur;

	if (fork->dup) {
		maple_replace(&fork->cur, vma);
		return 0;
	}
	if (fork->bulk_store) {
		maple_bulk_store(&fork->bulk, vma->start, vma->end - 1, vma);
		return 0;
	}
	cur = maple_cursor(&fork->child->vmas, vma->start, vma->end - 1);
	return maple_store(&cur, vma);
}

/* A VMA that the child does not inherit. */
static int tree_drop(struct fork *fork, const struct vma *src)
{
	int err;

	if (!fork->dup)
		return 0;
	maple_set_range(&fork->cur, src->start, src->end - 1);
	err = maple_store(&fork->cur, NULL);
	/* Nothing lies there any more: go on behind it. */
	maple_set_range(&fork->cur, err ? src->start : src->end - 1, src->end - 1);
	return err;
}

static void tree_end(struct fork *fork)
{
	if (fork->bulk_store)
		maple_bulk_end(&fork->bulk);
}

/* ---- one VMA ---------------------------------------------------------------------- */

/* The child's VMA, linked to its anon_vmas and file, in no tree yet. */
static int fork_vma(struct fork *fork, const struct vma *src, struct vma **ret_vma)
{
	struct mm *child = fork->child;
	u64 nr_charged = src->flags & VMA_ACCOUNT ? vma_nr_pages(src) : 0;
	struct vma *vma;
	int err = -QUIRE_ENOMEM;

	if (nr_charged != 0 && commit_charge(child, nr_charged))
		return -QUIRE_ENOMEM;
	vma = vma_copy(child, src);
	if (vma == NULL)
		goto uncharge;
	vma->flags &= ~(u32)(VMA_LOCKED | VMA_LOCKONFAULT);
	/* What is wiped starts as if nothing had ever been written there. */
	if (src->anon_vma != NULL && !(src->flags & VMA_WIPEONFORK)) {
		err = anon_vma_fork(&child->q->rmap, vma, src);
		if (err)
			goto free;
	}
	/* Behind the parent's in the tree of the file's VMAs, so that a walk
	 * that runs beside us sees the entry at one of the two. */
	if (vma->mapping != NULL)
		i_mmap_insert(&vma->mapping->i_mmap, vma);
	*ret_vma = vma;
	return 0;
free:
	vma_free(vma);
uncharge:
	commit_uncharge(child, nr_charged);
	return err;
}

static void unfork_vma(struct fork *fork, struct vma *vma)
{
	u64 nr_charged = vma->flags & VMA_ACCOUNT ? vma_nr_pages(vma) : 0;

	if (vma->mapping != NULL)
		i_mmap_remove(&vma->mapping->i_mmap, vma);
	vma_free(vma);
	commit_uncharge(fork->child, nr_charged);
}

/*
 * A file's pages can be faulted in again.  What the kernel itself mapped cannot, so
 * its entries are copied, and with them the tables that the parent has there
 * (Linux: VM_PFNMAP).  The vdso, which is executed, has pages like a file's.  Nor can
 * guards: a child gets what they keep out, and then all that is mapped beside them.
 */
static bool has_entries_to_copy(const struct vma *src, const struct vma *copy)
{
	return copy->anon_vma != NULL ||
	       (src->flags & (VMA_SPECIAL | VMA_EXEC)) == VMA_SPECIAL ||
	       unlikely(src->guarded && !(src->flags & VMA_WIPEONFORK));
}

static int dup_vma(struct fork *fork, struct vma *src)
{
	struct vma *vma;
	int err;

	if (src->flags & VMA_DONTFORK) {
		mm_account_vma(fork->child, src->flags, -(s64)vma_nr_pages(src));
		return tree_drop(fork, src);
	}
	err = fork_vma(fork, src, &vma);
	if (err)
		return err;
	err = tree_store(fork, vma);
	if (err) {
		unfork_vma(fork, vma);
		return err;
	}
	fork->child->nr_vmas++;
	fork->not_done = NULL;
	if (!has_entries_to_copy(src, vma))
		return 0;
	fork->copied_entries = true;
	return copy_page_range(&fork->copy, vma, src);
}

static int dup_vmas(struct fork *fork)
{
	struct vma *src = maple_find(&fork->cur, TASK_SIZE);
	int err = 0;

	while (src != NULL) {
		bool done;

		fork->not_done = src;
		err = dup_vma(fork, src);
		done = fork->not_done == NULL;
		if (err && !done)
			break;
		src = maple_next(&fork->cur, TASK_SIZE);
		fork->not_done = src;
		if (err)
			break;
	}
	tree_end(fork);
	copy_end(&fork->copy);
	return err;
}

/* ---- undoing -------------------------------------------------------------------------- */

static void undo(struct fork *fork)
{
	struct mm *child = fork->child;
	u64 limit = TASK_SIZE, ceiling = 0;

	if (fork->not_done != NULL) {
		if (DECIDED(child->q, fork_undo, marker)) {
			if (fork->dup)
				maple_replace(&fork->cur, (void *)&fork_undo_marker);
		} else {
			limit = fork->not_done->start;
			if (DECIDED(child->q, fork_undo, next_as_ceiling))
				ceiling = limit;
		}
	}
	mm_unmap_all(child, limit, ceiling);
}

/* ---- fork ---------------------------------------------------------------------------------- */

static void copy_sums(struct mm *child, const struct mm *parent)
{
	child->brk = parent->brk;
	child->thp_disable = parent->thp_disable;
	child->mdwe = parent->mdwe & QUIRE_MDWE_NO_INHERIT ? 0 : parent->mdwe;
	child->total_pages = parent->total_pages;
	child->data_pages = parent->data_pages;
	child->stack_pages = parent->stack_pages;
	child->exec_pages = parent->exec_pages;
	/* Locks are not inherited, nor is the wish to lock what comes. */
}

int mm_fork(struct mm *parent, struct mm **ret_child)
{
	struct fork fork = { .parent = parent };
	struct mm *child;
	int err;

	rwsem_write_lock(&parent->mmap_lock);
	err = mm_alloc(parent->q, &parent->layout, &child);
	if (err) {
		rwsem_write_unlock(&parent->mmap_lock);
		return err;
	}
	fork.child = child;
	fork.copy = (struct copy){
		.parent = parent, .child = child,
		.has_pinned = pins_are_kept(parent->q) && atomic_load(&parent->has_pinned),
	};
	rwsem_write_lock(&child->mmap_lock);
	copy_sums(child, parent);
	err = tree_begin(&fork);
	if (!err) {
		err = dup_vmas(&fork);
		if (err)
			undo(&fork);
		else
			maple_set_rcu(&child->vmas, (parent->vmas.flags & MAPLE_RCU) != 0);
	}
	/* Nobody writes what the child maps: not after we returned. */
	if (fork.copied_entries)
		tlb_flush_range(&parent->pt, 0, UINT64_MAX);
	rwsem_write_unlock(&child->mmap_lock);
	rwsem_write_unlock(&parent->mmap_lock);
	if (err) {
		mm_discard(child);
		return err;
	}
	mm_publish(child);
	*ret_child = child;
	return 0;
}
