/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moving entries to another place, for mremap.
 *
 * Guarantees.  Each page is found by a walk of the reverse map at its old or
 * at its new place: the moves of one table are made with the locks of the
 * VMA's rmap trees held for writing.  The old place is flushed before the
 * lock of the new table is dropped, or somebody could unmap the page there,
 * flush only the new address, and free it under a CPU that still reaches it by
 * the old one (CVE-2018-18281).  When a table cannot be had, everything moved
 * so far is moved back, which needs none: what was moved as a whole, leaf or
 * table, goes back as a whole, to a slot that is still empty; and where pages
 * were moved one by one their table is still there.
 */
#include "mm/pages.h"

static void lock_rmap(const struct vma *vma) NO_LOCK_ANALYSIS /* which locks depends on the VMA */
{
	if (vma->mapping != NULL)
		rwsem_write_lock(&vma->mapping->i_mmap.lock);
	if (vma->anon_vma != NULL)
		rwsem_write_lock(&vma->anon_vma->root->lock);
}

static void unlock_rmap(const struct vma *vma) NO_LOCK_ANALYSIS /* as above */
{
	if (vma->anon_vma != NULL)
		rwsem_write_unlock(&vma->anon_vma->root->lock);
	if (vma->mapping != NULL)
		rwsem_write_unlock(&vma->mapping->i_mmap.lock);
}

/* Moves the entries of `span` to the slots at `to`, which are empty. */
static void move_span(struct vma *vma, const struct span *span, entry_t *to,
		      struct table *to_table) NO_LOCK_ANALYSIS /* one table or two */
{
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT);
	bool moved = false;

	lock_rmap(vma);
	table_lock(to_table);
	if (to_table != span->table)
		table_lock(span->table);
	for (u32 i = 0; i < nr; i++) {
		if (entry_is_none(entry_load(&span->slots[i])))
			continue;
		check(entry_is_none(entry_load(&to[i])));
		entry_store(&to[i], entry_take(&span->slots[i]));
		moved = true;
	}
	if (moved)
		tlb_flush_range(&vma->mm->pt, span->addr, span->end);
	if (to_table != span->table)
		table_unlock(span->table);
	table_unlock(to_table);
	unlock_rmap(vma);
}

/* A run of pages to `dest`, as far as the table there reaches; 0 or -ENOMEM. */
static int move_pages(struct vma *vma, struct span *span, u64 dest)
{
	struct table *to_table;
	entry_t *slots;
	int err = pgtable_ensure(vma->pt, dest, 0, &slots, &to_table);

	if (err)
		return -QUIRE_ENOMEM;
	span->end = u64_min(span->end,
			    span->addr + (align_down(dest, PMD_SIZE) + PMD_SIZE - dest));
	move_span(vma, span, slots, to_table);
	return 0;
}

/* ---- a whole PMD range ------------------------------------------------------------ */

/* The span is all that its entry of level 1 maps, and so is its destination, where
 * nothing is. */
static bool moves_whole(const struct span *span, u64 dest, const struct pgtable *pt)
{
	struct table *table;
	entry_t *slot;

	if (span->end - span->addr != PMD_SIZE || !is_aligned(dest, PMD_SIZE))
		return false;
	slot = pgtable_find(pt, dest, 1, &table);
	return slot == NULL || entry_is_none(entry_load(slot));
}

/* What a level 1 table holds for an entry of its own goes with it. */
static void move_belongings(const struct pgtable *pt, entry_t e, struct table *from,
			    struct table *to, u64 dest)
{
	if (!entry_is_leaf(e))
		entry_table(pt, e)->va = dest;
	else if (from != to && (entry_is_special(e) ||
				folio_is_anon(frame_folio(pfn_frame(pt->phys, entry_pfn(e))))))
		pgtable_deposit(to, pgtable_withdraw(from));
}

/* Moves a leaf with its deposit, or a table with all that is in it: one entry.
 * 0 or -ENOMEM. */
static int move_pmd(struct vma *vma, const struct span *span, u64 dest)
	NO_LOCK_ANALYSIS /* one table or two */
{
	struct pgtable *pt = vma->pt;
	struct table *from_table, *to_table;
	entry_t *from = pgtable_find(pt, span->addr, 1, &from_table), *to, e;

	if (pgtable_ensure(pt, dest, 1, &to, &to_table))
		return -QUIRE_ENOMEM;
	lock_rmap(vma);
	table_lock(to_table);
	if (to_table != from_table)
		table_lock(from_table);
	e = entry_take(from);
	if (likely(!entry_is_none(e))) {
		move_belongings(pt, e, from_table, to_table, dest);
		tlb_flush_range(pt, span->addr, span->end);
		entry_store(to, e);
	}
	if (to_table != from_table)
		table_unlock(from_table);
	table_unlock(to_table);
	unlock_rmap(vma);
	return 0;
}

/* Moves what it can; *ret_done tells how far it came. */
static int move_range(struct vma *vma, u64 from, u64 to, u64 len_bytes, u64 *ret_done)
{
	struct pgtable *pt = &vma->mm->pt;
	struct span span = { 0 };
	u64 at = from;
	int err = 0;

	while (!err && pgtable_next_span(pt, at, from + len_bytes, &span)) {
		u64 dest = to + (span.addr - from);

		at = span.addr;
		if (moves_whole(&span, dest, pt)) {
			err = move_pmd(vma, &span, dest);
		} else if (span.level == 1) {
			huge_split_pmd(vma, span.addr);
			continue;
		} else {
			err = move_pages(vma, &span, dest);
		}
		if (!err)
			at = span.end;
	}
	*ret_done = err ? at - from : len_bytes;
	return err;
}

int move_page_tables(struct vma *from, u64 from_addr, struct vma *to, u64 to_addr,
		     u64 len_bytes)
{
	u64 done;
	int err = move_range(from, from_addr, to_addr, len_bytes, &done);

	if (err) {
		u64 back;

		/* The old tables are still there: this needs no memory. */
		ensure(move_range(to, to_addr, from_addr, done, &back) == 0);
	}
	return err;
}
