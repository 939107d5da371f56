/* SPDX-License-Identifier: BSD-2-Clause */
/* The same recording under every alternative of chosen decisions. */
#ifndef REPLAY_COMPARE_H
#define REPLAY_COMPARE_H

#include <stdio.h>

#include <jansson.h>

#include "replay.h"

/* Each alternative is timed so often, in turns with the others of its row. */
#define COMPARE_ROUNDS 5

struct compare_run {
	struct quire_decisions decisions;
	struct quire_cost cost;
	struct quire_sharing_score sharing; /* where quire_scores_sharing() */
	struct replay_figures figures;
	uint64_t replay_ns[COMPARE_ROUNDS]; /* ascending at the end */
	uint64_t leaked_frames;
};

struct compare_result {
	char *command;
	struct compare_run *runs;
	size_t nr_runs;
	bool rows[QUIRE_NR_DECISIONS]; /* which rows were varied */
};

/* Where a comparison is. */
struct compare_progress {
	size_t nr_done, nr_replays;         /* replays */
	enum quire_alternative alternative; /* of the one under way */
	uint64_t nr_events;                 /* of it, so far */
};

struct compare_options {
	struct replay_options replay; /* its progress is not used */
	bool rows[QUIRE_NR_DECISIONS]; /* to be varied */
	/* Called at each replay's start and now and then; may be NULL. */
	void (*progress)(void *context, const struct compare_progress *progress);
	void *context;
};

/*
 * For each row that is varied, per alternative one replay that is counted and
 * scored, and COMPARE_ROUNDS that are timed, in turns; all other rows as in
 * options->replay.  0 or negative errno with `error` set and no result.
 */
int compare_file(const char *path, const struct compare_options *options,
		 struct compare_result *result, struct trace_error *error);
void compare_result_fini(struct compare_result *result);
void compare_print(FILE *out, const struct compare_result *result);
json_t *compare_json(const struct compare_result *result);
/* One HTML page with plots: 0 or negative errno. */
int compare_write_report(const char *path, const struct compare_result *result,
			 struct trace_error *error);

/* The median of the times. */
uint64_t compare_median_ns(const struct compare_run *run);
/* The runs of the row's alternatives, in their order. */
const struct compare_run *compare_runs_of(const struct compare_result *result,
					  enum quire_decision row);

/* compare_sharing.c: the arena of the row `sharing`. */
void compare_print_sharing(FILE *out, const struct compare_run *runs, unsigned nr);
json_t *compare_sharing_json(const struct quire_sharing_score *score);

#endif
