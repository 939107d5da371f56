/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guards: MADV_GUARD_INSTALL and _REMOVE.
 *
 * A guard is an entry that maps nothing and is not none, so that whoever fills empty
 * slots passes it by; an access to it is SIGSEGV.  The VMA stays one.  Unmapping takes
 * guards away, moving moves them, fork copies them; whatever only drops pages
 * (MADV_DONTNEED, truncation) leaves them.
 *
 * Guarantees.  Installed: every page of the range has a guard, and what was there is
 * gone.  -ENOMEM: a part of it has.  The VMA is marked, so that fork copies its entries;
 * and has an anon_vma, if it is anonymous, as on Linux, where that decides what merges.
 */
#include "mm/change.h"
#include "mm/pages.h"

/* Guards in empty slots; how far it came: something may be mapped there. */
static u64 fill_slots(entry_t *slots, struct table *table, u64 start, u64 end)
{
	u64 at = start;

	table_lock(table);
	for (; at < end; at += PAGE_SIZE) {
		entry_t *slot = &slots[(at - start) >> PAGE_SHIFT];
		entry_t e = entry_load(slot);

		if (entry_is_none(e))
			entry_store(slot, entry_guard());
		else if (!entry_is_guard(e))
			break;
	}
	table_unlock(table);
	return at;
}

int guard_install(struct vma *vma, u64 start, u64 end)
{
	u64 at = start;
	int err;

	/* Pairs with the release by which anon_vma_prepare publishes it. */
	if (vma_is_anonymous(vma) && atomic_load_acquire(&vma->anon_vma) == NULL &&
	    vma_prepare_anon(vma))
		return -QUIRE_ENOMEM;
	atomic_store(&vma->guarded, true);
	zap_range_single(vma, start, end);
	while (at < end) {
		u64 stop = u64_min(end, align_down(at, PMD_SIZE) + PMD_SIZE);
		struct table *table;
		entry_t *slots;

		err = pgtable_ensure(vma->pt, at, 0, &slots, &table);
		if (err == -QUIRE_ENOMEM)
			return err;
		if (!err)
			at = fill_slots(slots, table, at, stop);
		/* Somebody faulted a page, or a leaf, in. */
		if (at < stop)
			zap_range_single(vma, at, stop);
	}
	return 0;
}

void guard_remove(struct vma *vma, u64 start, u64 end)
{
	struct span span = { 0 };

	for (u64 at = start; pgtable_next_span(vma->pt, at, end, &span); at = span.end) {
		u64 nr = (span.end - span.addr) >> PAGE_SHIFT;

		if (span.level != 0)
			continue;
		table_lock(span.table);
		for (u64 i = 0; i < nr; i++)
			if (entry_is_guard(entry_load(&span.slots[i])))
				entry_store(&span.slots[i], entry_none());
		table_unlock(span.table);
	}
}
