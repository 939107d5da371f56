/* SPDX-License-Identifier: BSD-2-Clause */
/* What proves that a large anonymous folio is the writer's: see reuse.c. */
#ifndef MM_REUSE_H
#define MM_REUSE_H

#include "mm/mm.h"

/* The slots of one table where the pages of a large folio lie side by side. */
struct neighbours {
	entry_t *slots;   /* of the first page that the table has room for */
	u32 nr;
	u64 first_pfn;    /* what slots[0] holds, if it maps the folio */
	u64 first_addr;   /* what it maps */
};

/* What a write to a page that fork shared may make writable again. */
enum reuse {
	REUSE_NOTHING, /* another may see the page: copy it */
	REUSE_PAGE,    /* this page; of the folio's others nothing is known */
	REUSE_MAPPED,  /* whatever the writer's mm maps of the folio */
	REUSE_WHOLE,   /* the same, and all of it is in the table whose lock is held */
};

/* The slot maps this page now. */
static inline bool maps_pfn(entry_t e, u64 pfn)
{
	return entry_is_present(e) && !entry_is_special(e) && entry_pfn(e).v == pfn;
}

/*
 * By decision reuse-proof, `how`.  Pre: an entry of `vma` among the neighbours
 * maps a page of the folio; their table's lock is held.
 */
enum reuse reuse_proof(enum quire_alternative how, struct folio *folio,
		       const struct vma *vma, const struct neighbours *n);

#endif
