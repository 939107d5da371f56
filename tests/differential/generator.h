/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two halves of the generator share: generate.c makes programs,
 * operations.c the operations in them.
 */
#ifndef DIFFERENTIAL_GENERATOR_H
#define DIFFERENTIAL_GENERATOR_H

#include "outcome.h"

#define MAX_PLACED 24
#define NR_MAPPED 8
#define TABLE_PAGES DIFF_PMD_PAGES /* that one page table maps */
#define MAX_PLAIN_LEN (DIFF_ARENA_PAGES * DIFF_PAGE)

enum feature {
	FEATURE_SHARED, FEATURE_FILES, FEATURE_FREE, FEATURE_HINT, FEATURE_NOREPLACE,
	FEATURE_GROWSDOWN, FEATURE_NORESERVE, FEATURE_POPULATE, FEATURE_LOCKED, FEATURE_PROTS,
	FEATURE_OFFSETS, FEATURE_DONTUNMAP, FEATURE_SPANS, FEATURE_LONG, FEATURE_DISK,
	FEATURE_NEAR, FEATURE_FAMILY, FEATURE_BRK, FEATURE_BAD, FEATURE_HUGE, FEATURE_COLLAPSE,
	FEATURE_FLAGS,   /* of mmap that are seldom used */
	FEATURE_SPECIAL, /* calls on the kernel's own pages */
	FEATURE_RECLAIM, /* see deliberate.md, "advice to reclaim" */
	FEATURE_LOSSES, /* see deliberate.md, "emptied tables" and "zeros after a split" */
	NR_FEATURES
};

struct generator {
	uint64_t state;
	struct diff_program *program;
	uint32_t weights[DIFF_NR_KINDS];
	bool features[NR_FEATURES];
	uint64_t window_pages, max_len_pages;
	uint64_t plain_bytes; /* lengths above are for errors, and not filled */
	bool alive[DIFF_MAX_PROCS];
	uint32_t nr_procs; /* ever forked, and the first */
	uint32_t who;
	uint16_t placed[MAX_PLACED]; /* operations that chose an address */
	uint32_t nr_placed;
	/* Where something was mapped lately, in the arena; a ring. */
	struct {
		struct diff_addr addr;
		uint64_t nr_pages;
	} mapped[NR_MAPPED];
	uint32_t nr_mapped;
	/* Where the operation before was at work, when that was the arena. */
	struct diff_addr last_addr;
	uint64_t last_pages; /* 0: it was elsewhere */
};

static inline uint64_t draw(struct generator *gen)
{
	uint64_t x = gen->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline uint64_t below(struct generator *gen, uint64_t limit)
{
	return draw(gen) % limit;
}

static inline bool chance(struct generator *gen, unsigned percent)
{
	return below(gen, 100) < percent;
}

static inline bool feature(struct generator *gen, enum feature what, unsigned percent)
{
	return gen->features[what] && chance(gen, percent);
}

#define PICK(gen, array) ((array)[below(gen, sizeof(array) / sizeof((array)[0]))])

/* Draws the operands of an operation whose kind and process are chosen. */
void make_op(struct generator *gen, struct diff_op *op);

#endif
