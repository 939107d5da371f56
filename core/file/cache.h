/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this room share and nobody else needs. */
#ifndef FILE_CACHE_H
#define FILE_CACHE_H

#include "file/file.h"

/* ---- cache.c: the index --------------------------------------------------- */

/* What a removal without memory leaves in the index: not a folio. */
extern const u64 cache_gone_mark;
#define CACHE_GONE ((void *)(uintptr_t)&cache_gone_mark)

/* The smallest order above 0 that can be mapped: see order_is_mappable(). */
#define FILE_MIN_LARGE_ORDER 2u

/* The last page of a folio that is in a file. */
static inline u64 folio_last_index(const struct folio *folio)
{
	return folio->index + folio_nr_pages(folio) - 1;
}

/*
 * The folio of page `index`: referenced, locked, uptodate and in the mapping;
 * created and read in if missing.  Errors as mapping_get_folio.  `reach`: pages that
 * the file will have in a moment (a plain write, size lock held); 0: what its size
 * says now.
 */
int cache_lock_folio(struct mapping *mapping, u64 index, u64 reach,
		     struct folio **ret_folio) MUST_CHECK;
/* Unlocks and drops the reference. */
void cache_unlock_folio(struct mapping *mapping, struct folio *folio);

#define CACHE_BATCH 16

/*
 * Up to CACHE_BATCH folios with a page in [*index, last] and all of `flags`
 * set, ascending, each with a reference; *index moves behind them.  Returns
 * how many; 0: there is none.
 */
u32 cache_find_batch(struct mapping *mapping, u64 *index, u64 last, u32 flags,
		     struct folio **ret_folios);
/*
 * Takes the folios that lie in [first, last] out of the index and drops the
 * index's references; a large one that reaches beyond stays.  Cannot fail.
 * Size lock held, or nobody else is there.
 */
void cache_remove_range(struct mapping *mapping, u64 first, u64 last);
/* Takes the dirty mark off; false when there was none.  Folio lock held. */
bool cache_clear_dirty(struct mapping *mapping, struct folio *folio);

/* ---- backing.c: what the contents come from -------------------------------- */

/* Fills a folio that is not uptodate.  Folio lock held.  0 or -EIO. */
int backing_read_folio(struct mapping *mapping, struct folio *folio) MUST_CHECK;
/* Writes a folio's bytes inside the size.  Size lock and folio lock held. */
int backing_write_folio(struct mapping *mapping, struct folio *folio) MUST_CHECK;
/* Makes [offset, end) of the backing read as zeros.  Size lock held. */
int backing_zero(struct mapping *mapping, u64 offset, u64 end) MUST_CHECK;

/* Set when the contents are valid; ACQUIRE pairs with folio_set_uptodate. */
static inline bool folio_is_uptodate(const struct folio *folio)
{
	return (atomic_load_acquire(&folio->flags) & FRAME_UPTODATE) != 0;
}

/* A full barrier: the contents are seen by who sees the flag. */
static inline void folio_set_uptodate(struct folio *folio)
{
	folio_set(folio, FRAME_UPTODATE);
}

#endif
