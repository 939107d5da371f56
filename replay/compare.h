/* SPDX-License-Identifier: BSD-2-Clause */
/* The same recording under every alternative of chosen decisions. */
#ifndef REPLAY_COMPARE_H
#define REPLAY_COMPARE_H

#include <stdio.h>

#include <jansson.h>

#include "replay.h"

/* Each alternative is replayed so often, in turns with the others of its row. */
#define COMPARE_ROUNDS 5

struct compare_run {
	struct quire_decisions decisions;
	struct quire_cost cost;
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

/*
 * For each row of `rows`, COMPARE_ROUNDS replays per alternative, in turns, all
 * other rows as in `options`.  Costs are those of the first, times the median.
 *  0 or negative errno with `error` set and no result.
 */
int compare_file(const char *path, const struct replay_options *options,
		 const bool rows[QUIRE_NR_DECISIONS], struct compare_result *result,
		 struct trace_error *error);
void compare_result_fini(struct compare_result *result);
void compare_print(FILE *out, const struct compare_result *result);
json_t *compare_json(const struct compare_result *result);

#endif
