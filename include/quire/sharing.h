/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the `sharing` alternative of an instance right?  Each time it is asked
 * whether a large folio is mapped by one address space only, its answer is held
 * against the page tables, in libraries that were built to score (those that
 * count costs, and those of the explore machine) and in instances whose config
 * says so.
 */
#ifndef QUIRE_SHARING_H
#define QUIRE_SHARING_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire;

/* Large folios that were mapped, and how many address spaces met on them. */
struct quire_sharing_met {
	uint64_t folios, by_two, by_three; /* by so many at least */
};

/* Batches of pages of one large folio, mapped or unmapped by one update. */
struct quire_sharing_updates {
	uint64_t nr, pages, atomics, locks;
};

struct quire_sharing_score {
	uint64_t queries;         /* "is it mapped by me alone?" */
	uint64_t true_exclusive, true_shared;
	uint64_t false_shared;    /* a page is copied for nothing */
	uint64_t false_exclusive; /* corruption, if copy-on-write believed it */
	uint64_t unjudged;        /* a mapping was on its way: either may be right */
	uint64_t queries_met_by_three; /* of a folio that three or more had met on */
	/* Write faults that kept a page of a large folio which fork had shared, and
	 * the pages made exclusive by them. */
	uint64_t copies_avoided, pages_reused;
	/* But for a folio's first, which nobody else sees: plain stores. */
	struct quire_sharing_updates maps, unmaps;
	struct quire_sharing_met anon, file;
	uint32_t bytes_per_folio; /* of its descriptors, at most */
};

/* True when the library was built to score. */
bool quire_scores_sharing(void);
/* 0, or -EINVAL: the instance does not score (config.score_sharing). */
int quire_sharing_score(struct quire *q, struct quire_sharing_score *ret_score);

#ifdef __cplusplus
}
#endif
#endif
