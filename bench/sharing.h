/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of `quire bench sharing`: see sharing.c. */
#ifndef BENCH_SHARING_H
#define BENCH_SHARING_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#define SHARING_MAX_ROUNDS 101u

/* Calls it; what callgrind counts (sharing.c). */
void sharing_measured(void (*run)(void *arg), void *arg);

/* ---- the letter's operations on memory (sharing_letter.c) ------------------------ */

/* A size of folios, and how they are mapped. */
struct folio_size {
	const char *name;
	unsigned order;
	bool by_pages; /* PMD-sized, its PMD entry split before */
};

/* One alternative of one decision; the other decisions have their defaults. */
struct variant {
	const char *head; /* of its column */
	const char *row, *alternative;
};

struct operation {
	const char *name, *what;
	bool of_leaves; /* only where PMD entries map the folios */
};

extern const struct folio_size folio_sizes[];
extern const struct variant variants[];
extern const struct operation operations[];

enum { NR_FOLIO_SIZES = 6, NR_VARIANTS = 10, NR_OPERATIONS = 8 };

struct figure {
	bool there;
	double ns, ratio;      /* per page; to the first variant in the same round */
	double atomics, locks; /* per page; NAN: not counted */
};

struct letter_figures {
	bool wanted[NR_FOLIO_SIZES];
	uint64_t bytes;
	unsigned rounds;
	bool counted; /* figures have atomics and locks */
	struct figure at[NR_FOLIO_SIZES][NR_OPERATIONS][NR_VARIANTS];
};

/* Fills `at` for the wanted sizes.  0, or -1 with a message. */
int letter_measure(struct letter_figures *figures);
/* Where an operation has no figure, or not for this variant. */
bool letter_has(unsigned size, unsigned operation, unsigned variant);

/*
 * Runs one row "OPERATION/SIZE/ALTERNATIVE" under sharing_measured(), once, and
 * prints of how many pages.  0; -1: there is no such row, or it failed.
 */
int letter_run_row(const char *row, uint64_t bytes);

/* ---- one folio's state alone (sharing_room.c) ------------------------------------ */

enum { ROOM_MAX_RIVALS = 12, ROOM_MAX_THREADS = 4 };

/* How an update is made when nobody else is there. */
enum update_case { UPDATE_SECOND, UPDATE_OWNER, NR_UPDATE_CASES };
extern const char *const update_case_names[];

enum { NR_BATCHES = 2 };
extern const unsigned room_batches[NR_BATCHES]; /* pages */

struct room_figures {
	unsigned rounds, nr_rivals;
	const char *names[ROOM_MAX_RIVALS];
	struct {
		double ns, ratio; /* of an update; to mm-ids in the same round */
	} updates[NR_UPDATE_CASES][ROOM_MAX_RIVALS];
	/* Time until all are done, by the updates of all threads. */
	double contended_ns[NR_BATCHES][ROOM_MAX_RIVALS][ROOM_MAX_THREADS];
};

/* 0, or -1 with a message. */
int room_measure(struct room_figures *figures);
/* The larger ratio of moments. */
double room_moments_ratio(const struct room_figures *figures);
/* One row "CASE/RIVAL" under sharing_measured(), as letter_run_row(), by updates. */
int room_run_row(const char *row);

/* ---- what they say (sharing_print.c) ----------------------------------------------- */

void letter_print(FILE *out, const struct letter_figures *figures);
void room_print(FILE *out, const struct room_figures *figures);
json_t *letter_json(const struct letter_figures *figures);
json_t *room_json(const struct room_figures *figures);
/* Takes the atomics and locks from what another run printed as JSON. */
void letter_take_counts(struct letter_figures *figures, const json_t *json);

#endif
