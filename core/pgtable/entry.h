/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-table entries as software sees them: the hardware bits of
 * include/quire/entry.h plus ours.  An entry is a value (entry_t); a slot is
 * where one lives.  The page walker of another CPU may set A and D in a slot
 * at any time while the entry is present, so a present slot is only changed by
 * an atomic operation or taken (exchanged for none) first.
 *
 *   present          P or PROTNONE set: maps a frame
 *   none             the whole word is 0
 *   migration        ENTRY_MIGRATION set: mapped a frame of an anonymous folio
 *                    that is being split, and will map it again
 *   guard            ENTRY_GUARD: nothing is there, and an access is a fault
 *   anything else    software's (swap comes with reclaim)
 */
#ifndef PGTABLE_ENTRY_H
#define PGTABLE_ENTRY_H

#include <quire/entry.h>

#include "base/cost.h"
#include "base/types.h"
#include "sync/atomic.h"

typedef struct entry {
	u64 v;
} entry_t;

/* Maps a frame that has no reference, no mapcount: the zero page. */
#define ENTRY_SPECIAL (UINT64_C(1) << 9)
/*
 * Of an anonymous page: no other entry maps it, and whoever pinned it through
 * this one sees what is written here.  It belongs to the entry and not to the
 * page, as it says something about the entry: fork takes it and the right to
 * write in one step, moving an entry moves it, and no line of another
 * descriptor is touched.  An anonymous page is writable only where it is set.
 */
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 10)
/*
 * Not present, for a moment (rmap/split.h).  All else is as it was and will be
 * again: whoever may change the entry while it was present may do so now, and
 * who needs the page waits.  It holds no reference and counts as no mapping;
 * the address space goes on counting the page as resident.
 */
#define ENTRY_MIGRATION (UINT64_C(1) << 11)
/* Of a migration entry: which of the two kinds of present it was. */
#define ENTRY_WAS_PROTNONE (UINT64_C(1) << 52)

/* Of an entry that maps nothing and is not to be filled (MADV_GUARD_INSTALL). */
#define ENTRY_GUARD (UINT64_C(1) << 53)

static inline entry_t entry_make(pfn_t pfn, u64 bits)
{
	return (entry_t){ (pfn.v << QUIRE_ENTRY_PFN_SHIFT) | bits };
}

static inline entry_t entry_none(void)
{
	return (entry_t){ 0 };
}

static inline entry_t entry_guard(void)
{
	return (entry_t){ ENTRY_GUARD };
}

static inline bool entry_is_guard(entry_t e)
{
	return e.v == ENTRY_GUARD;
}

static inline bool entry_is_none(entry_t e)
{
	return e.v == 0;
}

static inline bool entry_is_present(entry_t e)
{
	return (e.v & (QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_PROTNONE)) != 0;
}

/* Pre: present, or migration. */
static inline pfn_t entry_pfn(entry_t e)
{
	return pfn_make((e.v & QUIRE_ENTRY_PFN_MASK) >> QUIRE_ENTRY_PFN_SHIFT);
}

static inline bool entry_is_writable(entry_t e)
{
	return (e.v & QUIRE_ENTRY_WRITE) != 0;
}

static inline bool entry_is_dirty(entry_t e)
{
	return (e.v & QUIRE_ENTRY_DIRTY) != 0;
}

static inline bool entry_is_young(entry_t e)
{
	return (e.v & QUIRE_ENTRY_ACCESSED) != 0;
}

static inline bool entry_is_special(entry_t e)
{
	return (e.v & ENTRY_SPECIAL) != 0;
}

static inline bool entry_is_exclusive(entry_t e)
{
	return (e.v & ENTRY_EXCLUSIVE) != 0;
}

/* At a level above 0: a leaf that maps a large folio, not a table. */
static inline bool entry_is_leaf(entry_t e)
{
	return (e.v & QUIRE_ENTRY_LEAF) != 0;
}

static inline bool entry_is_migration(entry_t e)
{
	return (e.v & ENTRY_MIGRATION) != 0;
}

/* Pre: present, and of a page (no special one). */
static inline entry_t entry_to_migration(entry_t e)
{
	u64 was = e.v & QUIRE_ENTRY_PROTNONE ? ENTRY_WAS_PROTNONE : 0;

	return (entry_t){ (e.v & ~(QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_PROTNONE)) |
			  ENTRY_MIGRATION | was };
}

/* The entry that it was.  Pre: entry_is_migration(). */
static inline entry_t entry_from_migration(entry_t e)
{
	u64 present = e.v & ENTRY_WAS_PROTNONE ? QUIRE_ENTRY_PROTNONE : QUIRE_ENTRY_PRESENT;

	return (entry_t){ (e.v & ~(ENTRY_MIGRATION | ENTRY_WAS_PROTNONE)) | present };
}

static inline entry_t entry_with(entry_t e, u64 bits)
{
	return (entry_t){ e.v | bits };
}

static inline entry_t entry_without(entry_t e, u64 bits)
{
	return (entry_t){ e.v & ~bits };
}

/* The same for the frame `nr` further on. */
static inline entry_t entry_plus_pages(entry_t e, u64 nr)
{
	return (entry_t){ e.v + (nr << QUIRE_ENTRY_PFN_SHIFT) };
}

/* ACQUIRE pairs with entry_store's RELEASE: a table is seen initialised. */
static inline entry_t entry_load(const entry_t *slot)
{
	return (entry_t){ mach_load(&slot->v, MACH_ACQUIRE) };
}

/* Pre: the slot is not present, or nobody can walk to it. */
static inline void entry_store(entry_t *slot, entry_t e)
{
	COST_ADD(entries_written, 1);
	mach_store(&slot->v, e.v, MACH_RELEASE);
}

/* Empties the slot; returns what was there, with the final A and D bits. */
static inline entry_t entry_take(entry_t *slot)
{
	COST_ADD(entries_written, 1);
	return (entry_t){ atomic_xchg(&slot->v, UINT64_C(0)) };
}

/* Replaces *expected by `e`; when something else is there: false, and that in
 * *expected. */
static inline bool entry_cas(entry_t *slot, entry_t *expected, entry_t e)
{
	COST_ADD(entries_written, 1);
	return atomic_cas(&slot->v, &expected->v, e.v);
}

/* Sets or clears bits of a live slot; returns the old entry. */
static inline entry_t entry_fetch_clear(entry_t *slot, u64 bits)
{
	COST_ADD(entries_written, 1);
	return (entry_t){ atomic_fetch_and(&slot->v, ~bits) };
}

static inline entry_t entry_fetch_set(entry_t *slot, u64 bits)
{
	COST_ADD(entries_written, 1);
	return (entry_t){ atomic_fetch_or(&slot->v, bits) };
}

#endif
