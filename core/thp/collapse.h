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
 * is held for writing.  Pre: vma_may_collapse().
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

static inline struct folio *collapse_alloc(struct quire *q)
{
	return anon_folio_alloc_order(q, QUIRE_PMD_ORDER, 0);
}

#endif
