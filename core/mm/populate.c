/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faulting a range in without touching it: mlock, MAP_POPULATE,
 * MADV_POPULATE_READ and _WRITE.  Pages that are there already cost a walk.
 */
#include "mm/pages.h"

static bool is_populated(struct mm *mm, u64 addr, bool write)
{
	struct table *table;
	entry_t *slot = pgtable_find(&mm->pt, addr, 0, &table);
	entry_t e;

	if (slot == NULL)
		return false;
	e = entry_load(slot);
	return (e.v & QUIRE_ENTRY_PRESENT) != 0 && (!write || entry_is_writable(e));
}

static int populate_page(struct mm *mm, struct vma *vma, u64 addr, bool write)
{
	enum mach_access_kind kind = write ? MACH_WRITE : MACH_READ;
	enum quire_signal signal;

	/* A page that goes away again at once was there: once more is enough
	 * against a truncation that ran into the first fault. */
	for (int tries = 0; tries < 3 && !is_populated(mm, addr, write); tries++) {
		int err = mm_handle_fault(mm, vma, addr, kind, &signal);

		if (err)
			return err;
	}
	return 0;
}

int mm_populate_range(struct mm *mm, u64 start, u64 end, bool write)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	struct vma *vma;

	maple_for_each(&cur, vma, end - 1) {
		u64 last = u64_min(end, vma->end);

		for (u64 at = u64_max(start, vma->start); at < last; at += PAGE_SIZE) {
			int err = populate_page(mm, vma, at, write);

			if (err)
				return err;
		}
	}
	return 0;
}
