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
 * so far is moved back, which needs none.
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

/* Moves what it can; *ret_done tells how far it came. */
static int move_range(struct vma *vma, u64 from, u64 to, u64 len_bytes, u64 *ret_done)
{
	struct pgtable *pt = &vma->mm->pt;
	struct span span = { 0 };
	u64 at = from;

	while (pgtable_next_span(pt, at, from + len_bytes, &span)) {
		u64 dest = to + (span.addr - from);
		struct table *to_table;
		entry_t *slots;

		/* As far as the table at the destination reaches. */
		span.end = u64_min(span.end,
				   span.addr + (align_down(dest, PMD_SIZE) + PMD_SIZE - dest));
		if (pgtable_ensure(pt, dest, 0, &slots, &to_table)) {
			*ret_done = span.addr - from;
			return -QUIRE_ENOMEM;
		}
		move_span(vma, &span, slots, to_table);
		at = span.end;
	}
	*ret_done = len_bytes;
	return 0;
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
