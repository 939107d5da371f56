/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ids of mms: small numbers from 1, the lowest that is free first, so that they
 * stay small.  An id is free again only with the last reference to its holder,
 * and a holder is kept as long as a folio counts a mapping of its mm: if an id
 * came back earlier, a new mm would inherit the mappings of the old one
 * and look exclusive where it is not.
 *
 * A tree of bitmaps: a set bit of the lowest row is an id that is taken; of a
 * higher row, a word below without a clear bit.  So the lowest free id is
 * found, taken and given back in one step per row (four rows for 2^22).
 * All 0 is all free: memory of ids that were never given out is never touched.
 *
 * Lock key:  (C) constant  (A) atomic  (L) lock
 */
#ifndef SHARING_ID_H
#define SHARING_ID_H

#include "sync/lock.h"
#include "sync/refcount.h"

#define SHARING_ID_ROWS 6 /* enough for 2^32 */

struct sharing_ids {
	struct spinlock lock; /* rank leaf */
	u64 nr_ids;           /* (C) ids are 1 .. nr_ids - 1 */
	u64 nr_taken;         /* (L) */
	unsigned nr_rows;     /* (C) */
	u64 *rows[SHARING_ID_ROWS]; /* (L) the lowest first; one allocation */
};

/* The most sub-ids that a rival keeps in an mm: see rmap_ids.c. */
#define SHARING_SUBIDS 25

/* What a rival knows of an mm. */
struct sharing_mm {
	u32 id;               /* (C) */
	struct refcount refs; /* (A) */
	u64 subids[SHARING_SUBIDS]; /* (C) of rmap-ids */
};

/* Pre: 2 <= nr_ids <= 2^32.  0 or -ENOMEM. */
int sharing_ids_init(struct sharing_ids *ids, u64 nr_ids) MUST_CHECK;
/* Number of ids still taken. */
u64 sharing_ids_fini(struct sharing_ids *ids);
/* 0 or -EAGAIN: all are taken. */
int sharing_id_alloc(struct sharing_ids *ids, u32 *ret_id) MUST_CHECK;
void sharing_id_free(struct sharing_ids *ids, u32 id);

#endif
