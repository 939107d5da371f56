/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run of a program yields, on either side, in one form.
 */
#ifndef DIFFERENTIAL_OUTCOME_H
#define DIFFERENTIAL_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "program.h"

struct diff_program {
	uint64_t seed;
	uint32_t nr_ops;
	struct diff_op ops[DIFF_MAX_OPS];
};

/* One line of the maps of a process. */
struct diff_map {
	uint64_t start, end, offset;
	uint64_t object; /* what is mapped, named as the side likes; 0: anonymous */
	uint32_t prot;
	bool shared;
	uint32_t flags; /* enum quire_map_flag; in deep looks only */
};

/*
 * What maps a page; alone: nothing else maps it; unsure: the core does not know
 * that (it counts the mappings of a large folio in sum).
 */
enum diff_page {
	DIFF_PAGE_PRESENT = 1,
	DIFF_PAGE_FILE = 2,
	DIFF_PAGE_ALONE = 4,
	DIFF_PAGE_ZERO = 8,
	DIFF_PAGE_HUGE = 16, /* behind a PMD entry */
	DIFF_PAGE_UNSURE = 32,
};

#define DIFF_COUNT_LIST(X) X(total) X(locked) X(data) X(stack) X(table) X(resident) X(anonymous)
enum diff_count {
#define DIFF_COUNT_ENUM(name) DIFF_COUNT_##name,
	DIFF_COUNT_LIST(DIFF_COUNT_ENUM)
#undef DIFF_COUNT_ENUM
	DIFF_NR_COUNTS
};

/* What a look or a sweep saw; the parts it did not look at are empty. */
struct diff_snapshot {
	uint32_t op;
	bool deep;
	struct diff_map *maps;
	uint32_t nr_maps, room_maps;
	uint64_t start; /* of the pages */
	uint32_t nr_pages;
	uint8_t pages[DIFF_WIDE_PAGES]; /* enum diff_page */
	/* Pages; of resident ones those that are not the native executor's own. */
	uint64_t counts[DIFF_NR_COUNTS];
	uint64_t sweep[DIFF_ARENA_PAGES];
	uint32_t nr_sweep;
};

struct diff_outcome {
	struct diff_result results[DIFF_MAX_OPS];
	struct diff_snapshot *snapshots;
	uint32_t nr_snapshots, room_snapshots;
	/* Not empty: the side itself failed, and this is how. */
	char failure[512];
	/* The host was short of huge pages, or made some by itself meanwhile:
	 * another run may go otherwise. */
	bool disturbed;
};

/* Ends the program of the harness: it has no memory to go on with. */
void *diff_grow(void *items, uint32_t nr, uint32_t *room, size_t item_bytes);
/* Forgets results and snapshots; memory is kept for the next run. */
void outcome_reset(struct diff_outcome *outcome);
void outcome_fini(struct diff_outcome *outcome);
/* The snapshot of operation `op`, made when there is none. */
struct diff_snapshot *outcome_snapshot(struct diff_outcome *outcome, uint32_t op);
/* NULL when the operation made none. */
const struct diff_snapshot *outcome_find(const struct diff_outcome *outcome, uint32_t op);
void snapshot_add_map(struct diff_snapshot *snapshot, const struct diff_map *map);

/* The two letters that smaps has for a bit of enum quire_map_flag. */
const char *diff_flag_letters(unsigned bit);

/* ---- text.c: programs as text ------------------------------------------------- */

const char *diff_kind_name(unsigned kind);
void text_print_op(FILE *to, uint32_t index, const struct diff_op *op);
void text_print_program(FILE *to, const struct diff_program *program);
/* 0, or -1 with a message on stderr that names the file and the line. */
int text_read_program(const char *path, struct diff_program *ret_program);

/* ---- generate.c ------------------------------------------------------------------ */

/* `nr_ops` random operations, then a deep look and sweeps in every process. */
void generate_program(uint64_t seed, uint32_t nr_ops, struct diff_program *ret_program);

/* ---- deliberate.c: see deliberate.md ------------------------------------------------ */

/* Is a difference in the state of a page, or in a count, one that is meant?  In
 * how many faults an access took? */
bool deliberate_page(const struct diff_program *program, uint8_t left, uint8_t right);
bool deliberate_faults(const struct diff_program *program, uint64_t left, uint64_t right);
/* In what a call read? */
bool deliberate_data(const struct diff_program *program, const struct diff_op *op);
bool deliberate_count(const struct diff_program *program, enum diff_count count, uint64_t left,
		      uint64_t right);

/* ---- compare.c ------------------------------------------------------------------- */

enum diff_what {
	DIFF_SAME,
	DIFF_IN_FAILURE,
	DIFF_IN_SKIP,
	DIFF_IN_RESULT,
	DIFF_IN_SIGNAL,
	DIFF_IN_FAULT_ADDR,
	DIFF_IN_DATA,
	DIFF_IN_FAULTS,
	DIFF_IN_MAPS,
	DIFF_IN_PAGES,
	DIFF_IN_COUNTS,
	DIFF_IN_SWEEP,
	DIFF_NR_WHATS
};

struct diff_difference {
	enum diff_what what;
	uint32_t op;
	char text[256];
};

const char *diff_what_name(enum diff_what what);
/* The first difference, in the order of the operations. */
void compare_outcomes(const struct diff_program *program, const struct diff_outcome *left,
		      const struct diff_outcome *right, struct diff_difference *ret_difference);
/* The program with both sides' results, and both sides' maps where they differ. */
void print_difference(FILE *to, const struct diff_program *program,
		      const struct diff_outcome *left, const char *left_name,
		      const struct diff_outcome *right, const char *right_name,
		      const struct diff_difference *difference);

#endif
