/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faulting a range in without touching it: mlock, MAP_POPULATE,
 * MADV_POPULATE_READ and _WRITE.  Pages that are there already cost a walk.
 */
#include "mm/pages.h"

/* Up to where an entry maps `addr` so that the access would succeed; `addr`: none
 * does. */
static u64 populated_until(const struct mm *mm, u64 addr, bool write)
{
	struct table *table;
	entry_t *slot = pgtable_find(&mm->pt, addr, 1, &table);
	u64 size = PMD_SIZE;
	entry_t e;

	if (slot == NULL)
		return addr;
	e = entry_load(slot);
	if (!entry_is_none(e) && !entry_is_leaf(e)) {
		size = PAGE_SIZE;
		e = entry_load(table_slots(&mm->pt, entry_table(&mm->pt, e)) +
			       pgtable_index(addr, 0));
	}
	if ((e.v & QUIRE_ENTRY_PRESENT) == 0 || (write && !entry_is_writable(e)))
		return addr;
	return align_down(addr, size) + size;
}

/* *addr moves on past what is populated then. */
static int populate_at(struct mm *mm, struct vma *vma, u64 *addr, bool write)
{
	enum mach_access_kind kind = write ? MACH_WRITE : MACH_READ;
	enum quire_signal signal;

	/* A page that goes away again at once was there: once more is enough
	 * against a truncation that ran into the first fault. */
	for (int tries = 0; tries <= 3; tries++) {
		u64 until = populated_until(mm, *addr, write);
		int err;

		if (until != *addr) {
			*addr = until;
			return 0;
		}
		err = tries < 3 ? mm_handle_fault(mm, vma, *addr, kind, &signal) : 0;
		if (err)
			return err;
	}
	*addr += PAGE_SIZE;
	return 0;
}

int mm_populate_range(struct mm *mm, u64 start, u64 end, bool write)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	struct vma *vma;

	maple_for_each(&cur, vma, end - 1) {
		u64 last = u64_min(end, vma->end);

		for (u64 at = u64_max(start, vma->start); at < last;) {
			int err = populate_at(mm, vma, &at, write);

			if (err)
				return err;
		}
	}
	return 0;
}
