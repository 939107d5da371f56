/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collapse: the pages of one PMD range become one folio, mapped by one entry.
 * What it is for, and why it is safe, is told in collapse.c.
 */
#ifndef THP_COLLAPSE_H
#define THP_COLLAPSE_H

#include "mm/pages.h"

/* Pages of a range that may be other than there and its own. */
struct collapse_limits {
	u32 max_none;   /* not there, or the page of zeros */
	u32 max_shared; /* mapped by other address spaces too */
};

enum collapse {
	COLLAPSE_OK,       /* it can be, or was just made, one folio */
	COLLAPSE_IN_PLACE, /* it can be, and needs no new folio */
	COLLAPSE_ALREADY,  /* one entry maps it */
	COLLAPSE_NOTHING,  /* there is no table of pages, or the VMA is none for it */
	COLLAPSE_ABSENT,   /* there is not even the table above */
	COLLAPSE_BUSY,     /* somebody holds a page: try again */
	COLLAPSE_BEYOND,   /* a limit forbids it */
	COLLAPSE_NO_MEMORY,
};

/* The whole PMD range at `addr` may be one folio of this VMA. */
bool vma_may_collapse(const struct vma *vma, u64 addr);
/* Some PMD range of it may. */
bool vma_has_collapsible(const struct vma *vma);

/*
 * What collapse_range() would say now.  mmap lock in any mode: a hint, unless it
 * is held for writing.  Pre: vma_may_collapse(), anonymous memory.
 */
enum collapse collapse_look(struct vma *vma, u64 addr, const struct collapse_limits *limits);

/*
 * Makes [addr, addr + PMD_SIZE) one folio: `*folio`, which is new, of PMD order and
 * known to nobody, and becomes NULL when it was used; or, where it is NULL, only if
 * it can be done in place.  Anything but COLLAPSE_OK: nothing changed.
 * mmap write lock; all that was known before it was taken is asked anew.
 */
enum collapse collapse_range(struct mm *mm, u64 addr, const struct collapse_limits *limits,
			     struct folio **folio) MUST_CHECK;

/* ---- what collapse.c and collapse_file.c share ----------------------------------- */

/* One range at work: the table taken out of its slot.  mmap write lock, and those of
 * the reverse maps of the VMA, so that nobody else finds the table. */
struct collapse_work {
	struct vma *vma;
	u64 addr;
	struct table *pmd_table;
	entry_t *slot;        /* of pmd_table */
	entry_t pointer;      /* what the slot held */
	struct table *table;  /* that it points to */
	entry_t *entries;     /* of table */
};

/* Empties work->slot, which points to a table, and flushes: sets the last three. */
void collapse_detach_table(struct collapse_work *work);
void collapse_put_table_back(struct collapse_work *work);
/* Pages of one folio that a detached table maps lose these mappings; the TLBs were
 * flushed, so they can go at once. */
void collapse_drop_run(struct vma *vma, struct frame *frame, u32 nr);

/* collapse_file.c: the range at `addr` of a VMA of a memory-backed file, mmap read
 * lock held, which is dropped and taken again. */
enum collapse collapse_file_one(struct vma *vma, u64 addr) MUST_CHECK;

static inline struct folio *collapse_alloc(struct quire *q)
{
	return anon_folio_alloc_order(q, QUIRE_PMD_ORDER, 0);
}

#endif
