/* SPDX-License-Identifier: BSD-2-Clause */
#include "compare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define CELL 24

static int compare_one(const char *path, const struct replay_options *options,
		       enum quire_alternative alternative, unsigned round,
		       struct compare_run *run, struct compare_result *result,
		       struct trace_error *error)
{
	enum quire_decision row = quire_alternative_info(alternative)->row;
	struct replay_options varied = *options;
	struct replay_result replayed;
	int err;

	varied.config.decisions.chosen[row] = (uint8_t)alternative;
	err = replay_file(path, &varied, &replayed, error);
	if (err)
		return err;
	run->replay_ns[round] = replayed.replay_ns;
	if (round == 0) {
		run->decisions = varied.config.decisions;
		run->cost = replayed.cost;
		run->figures = replayed.quire_says;
		run->leaked_frames = replayed.leaks.nr_frames;
	}
	if (!result->command)
		result->command = strdup(replayed.command);
	replay_result_fini(&replayed);
	return result->command ? 0 : -ENOMEM;
}

static int by_ns(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint64_t median_ns(const struct compare_run *run)
{
	return run->replay_ns[COMPARE_ROUNDS / 2];
}

/* All alternatives of one row, in turns. */
static int compare_row(const char *path, const struct replay_options *options,
		       enum quire_decision row, struct compare_result *result,
		       struct trace_error *error)
{
	const struct quire_decision_info *info = quire_decision_info(row);
	unsigned nr = info->last - info->first + 1;
	struct compare_run *runs = &result->runs[result->nr_runs];
	int err = 0;

	for (unsigned round = 0; round < COMPARE_ROUNDS; round++)
		for (unsigned i = 0; i < nr && !err; i++)
			err = compare_one(path, options, (enum quire_alternative)(info->first + i),
					  round, &runs[i], result, error);
	for (unsigned i = 0; i < nr; i++)
		qsort(runs[i].replay_ns, COMPARE_ROUNDS, sizeof(runs[i].replay_ns[0]), by_ns);
	result->nr_runs += nr;
	return err;
}

int compare_file(const char *path, const struct replay_options *options,
		 const bool rows[QUIRE_NR_DECISIONS], struct compare_result *result,
		 struct trace_error *error)
{
	int err = 0;

	*result = (struct compare_result){ 0 };
	result->runs = calloc(QUIRE_NR_ALTERNATIVES, sizeof(*result->runs));
	if (!result->runs)
		return trace_fail(error, ENOMEM, 0, "%s: no memory", path);
	for (unsigned row = 0; row < QUIRE_NR_DECISIONS && !err; row++) {
		result->rows[row] = rows[row];
		if (rows[row])
			err = compare_row(path, options, (enum quire_decision)row, result, error);
	}
	if (err)
		compare_result_fini(result);
	return err;
}

void compare_result_fini(struct compare_result *result)
{
	free(result->runs);
	free(result->command);
	*result = (struct compare_result){ 0 };
}

/* The row that a run varies: runs stand in the order of rows, then alternatives. */
static const struct compare_run *runs_of_row(const struct compare_result *result,
					     enum quire_decision row)
{
	const struct compare_run *run = result->runs;

	for (unsigned before = 0; before < row; before++) {
		const struct quire_decision_info *info =
			quire_decision_info((enum quire_decision)before);

		if (result->rows[before])
			run += info->last - info->first + 1;
	}
	return run;
}

static void print_cost_row(FILE *out, const char *name, size_t offset,
			   const struct compare_run *runs, unsigned nr)
{
	bool differs = false;

	fprintf(out, "  %-20s", name);
	for (unsigned i = 0; i < nr; i++) {
		uint64_t value = *(const uint64_t *)(const void *)((const char *)&runs[i].cost + offset);
		uint64_t first = *(const uint64_t *)(const void *)((const char *)&runs[0].cost + offset);
		char buf[CELL];

		differs |= (value > first ? value - first : first - value) * 500 > first;
		fprintf(out, " %21s", format_count(value, buf, CELL));
	}
	fprintf(out, "%s\n", differs ? " *" : "");
}

static void print_row_table(FILE *out, const struct compare_result *result,
			    enum quire_decision row)
{
	const struct quire_decision_info *info = quire_decision_info(row);
	const struct compare_run *runs = runs_of_row(result, row);
	unsigned nr = info->last - info->first + 1;

	fprintf(out, "\n  %s: %s\n\n  %-20s", info->name, info->question, "");
	for (unsigned i = 0; i < nr; i++) {
		const struct quire_alternative_info *alt =
			quire_alternative_info((enum quire_alternative)(info->first + i));
		char name[CELL];

		snprintf(name, sizeof(name), "%s%s", alt->name, alt->sound ? "" : "!");
		fprintf(out, " %21.21s", name);
	}
	fputc('\n', out);
#define PRINT_COST(field, what) \
	print_cost_row(out, #field, offsetof(struct quire_cost, field), runs, nr);
	if (quire_counts_costs()) {
		QUIRE_COST_LIST(PRINT_COST)
	}
#undef PRINT_COST
	fprintf(out, "  %-20s", "leaked frames");
	for (unsigned i = 0; i < nr; i++)
		fprintf(out, " %21" PRIu64, runs[i].leaked_frames);
	fprintf(out, "\n  %-20s", "replay, ms (median)");
	for (unsigned i = 0; i < nr; i++)
		fprintf(out, " %21.1f", (double)median_ns(&runs[i]) / 1e6);
	fputc('\n', out);
}

void compare_print(FILE *out, const struct compare_result *result)
{
	fprintf(out, "\n%.76s\n", result->command);
	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++)
		if (result->rows[row])
			print_row_table(out, result, (enum quire_decision)row);
	fprintf(out, "\n  !: known to be unsound.  *: more than two in a thousand apart (when grace\n"
		     "  periods end moves a few frames and locks of object caches from run to run).\n"
		     "  Times are medians of %d replays each, in turns.\n", COMPARE_ROUNDS);
}

json_t *compare_json(const struct compare_result *result)
{
	json_t *list = json_array();

	for (size_t i = 0; i < result->nr_runs; i++) {
		const struct compare_run *run = &result->runs[i];
		json_t *decisions = json_object(), *cost = json_object();

		for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++)
			json_object_set_new(decisions,
				quire_decision_info((enum quire_decision)row)->name,
				json_string(quire_alternative_info(
					(enum quire_alternative)run->decisions.chosen[row])->name));
#define SET_COST(field, what) \
	json_object_set_new(cost, #field, json_integer((json_int_t)run->cost.field));
		QUIRE_COST_LIST(SET_COST)
#undef SET_COST
		json_object_set_new(cost, "leaked_frames",
				    json_integer((json_int_t)run->leaked_frames));
		json_object_set_new(cost, "replay_seconds", json_real((double)median_ns(run) / 1e9));
		json_array_append_new(list, json_pack("{s:o, s:o}", "decisions", decisions, "cost",
						      cost));
	}
	return json_pack("{s:s, s:b, s:o}", "command", result->command, "counted",
			 quire_counts_costs(), "results", list);
}
