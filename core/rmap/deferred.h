/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deferred split queue: large anonymous folios of which pages may be
 * mapped by nobody.  Such pages are memory lost until the folio is split;
 * splitting at once would be a waste where the rest is about to go too, so the
 * folio is queued when mappings go (rmap_remove) and split when memory is
 * short.
 *
 * A page that nobody maps can never be mapped again: new mappings are copies of
 * others.  So once partly mapped a folio stays so, and the mark
 * (FRAME_PARTLY_MAPPED) stays: what a later removal sees cannot take it back.
 * Mark and place on the queue are one thing, and change under the queue's lock.
 * They end when the folio is split or freed, or when who empties the queue
 * takes it off to look at it: then a removal meanwhile queues it anew.
 *
 * What tells that a page lost its last mapping is the decision deferred-split,
 * after letter 002_c2ad3a3754927e32.txt (David Hildenbrand), cases (1), (2)(a)
 * and (2)(b).
 *
 * Lock key:  (Q) deferred.lock  (A) atomic  (C) constant
 */
#ifndef RMAP_DEFERRED_H
#define RMAP_DEFERRED_H

#include "phys/phys.h"

struct rmap;

enum deferred_rule {
	/* Fewer mappings than pages, (2)(a).  Then some page has none; but where
	 * several map the folio the others' mappings can hide one. */
	DEFERRED_TOTAL_COUNT,
	/* The letter's last words on (2)(b): every time, and who empties the queue
	 * finds out. */
	DEFERRED_TOTAL_COUNT_SCAN,
	/* A page's own count is 0: the letter's (1), and (2) answered exactly.
	 * Needs rmap_config.per_subpage. */
	DEFERRED_SUBPAGE_COUNTS,
};

struct deferred {
	struct spinlock lock;    /* rank leaf */
	enum deferred_rule rule; /* (C) */
	struct list folios;      /* (Q) folio_large.deferred */
	u64 nr_folios;           /* (Q) on it; read alone (A) */
	u64 nr_queued;           /* (Q) put there by a removal, ever */
	u64 nr_scanned;          /* (Q) taken off to be looked at */
	u64 nr_whole;            /* (A) of those: every page was mapped, or none */
	u64 nr_split;            /* (A) were split */
	u64 nr_busy;             /* (A) could not be, and went back */
};

void deferred_init(struct rmap *rmap, enum deferred_rule rule);

void rmap_note_removal_slow(struct rmap *rmap, struct folio *folio);
/*
 * Mappings of the large folio were taken away: queues it where the rule says
 * that a page may be without one.  Pre: the caller has a reference.
 * Context: any, a table lock included.
 */
static inline void rmap_note_removal(struct rmap *rmap, struct folio *folio)
{
	if (!folio_test(folio, FRAME_PARTLY_MAPPED))
		rmap_note_removal_slow(rmap, folio);
}

/* Takes it off, if it is there: before the folio is split. */
void deferred_forget(struct rmap *rmap, struct folio *folio);

/*
 * Pages of the anonymous folio that somebody maps, found by a walk.  Pre: folio
 * lock, so that no split is under way; a reference.  Exact only while nobody
 * unmaps.
 */
u32 folio_nr_mapped_pages(struct rmap *rmap, struct folio *folio);

/*
 * Takes at most `nr_to_scan` folios off the queue, looks whether they are partly
 * mapped, splits those to single pages.  What is locked, pinned or otherwise
 * held goes back.  Returns the pages that were freed.
 * Context: no lock but mmap's.
 */
u64 rmap_split_deferred(struct rmap *rmap, u64 nr_to_scan);

#endif
