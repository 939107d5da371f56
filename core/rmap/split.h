/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Splitting a large anonymous folio into smaller ones, in place.
 *
 * While it is split its entries are migration entries (pgtable/entry.h): not
 * present, and nobody counts them.  Who makes them holds the folio lock, the
 * root's lock of its anon_vma for reading and the migration lock of the folio's
 * PMD range.  So
 *   - mremap and the change of a VMA, which take the root's lock for writing,
 *     never meet one;
 *   - zap drops one like an empty slot, but for the page's rss;
 *   - mprotect changes it as it would the entry that it stands for;
 *   - who needs the page (a fault, a pin, fork) waits for the migration lock
 *     and looks again.
 */
#ifndef RMAP_SPLIT_H
#define RMAP_SPLIT_H

#include "rmap/rmap.h"

/* The lock for what page `pfn` belongs to: one for all pages of a folio. */
static inline struct mutex *migration_lock(struct rmap *rmap, pfn_t pfn)
{
	return &rmap->migrations[(pfn.v >> QUIRE_PMD_ORDER) % NR_MIGRATION_LOCKS];
}

/*
 * Waits until the page of a migration entry is no longer on the move; then the
 * entry has to be read again.  Context: no lock but mmap's.
 */
static inline void rmap_wait_migration(struct rmap *rmap, entry_t e)
{
	struct mutex *lock = migration_lock(rmap, entry_pfn(e));

	mutex_lock(lock);
	mutex_unlock(lock);
}

/*
 * Splits an anonymous folio into folios of 2^order pages, and frees those of
 * which no page is mapped.  The first stays the caller's: locked, and with
 * the caller's reference.  *ret_nr_freed: pages freed; may be NULL.
 * 0; -EINVAL: no large anonymous folio, or no such smaller order; -EBUSY, with
 * nothing changed: somebody else holds a reference, or so many map it that the
 * `sharing` alternative can hardly count more.
 * Pre: folio lock and one reference.  Locks above folio may be held: mmap.
 */
int folio_split_anon(struct rmap *rmap, struct folio *folio, unsigned order,
		     u64 *ret_nr_freed) MUST_CHECK;

#endif
