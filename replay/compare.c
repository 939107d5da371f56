/* SPDX-License-Identifier: BSD-2-Clause */
#include "compare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define CELL 24

/* A comparison under way. */
struct comparison {
	const char *path;
	const struct compare_options *options;
	struct compare_result *result;
	struct compare_progress progress;
	struct trace_error *error;
};

static void tell_progress(void *context, uint64_t nr_events, uint64_t time_us)
{
	struct comparison *c = context;

	(void)time_us;
	c->progress.nr_events = nr_events;
	if (c->options->progress)
		c->options->progress(c->options->context, &c->progress);
}

/* Replays once under the alternative.  Scoring takes time of its own. */
static int replay_under(struct comparison *c, enum quire_alternative alternative, bool scored,
			struct replay_result *replayed)
{
	struct replay_options options = c->options->replay;
	int err;

	options.config.decisions.chosen[quire_alternative_info(alternative)->row] =
		(uint8_t)alternative;
	options.config.score_sharing = scored;
	options.progress = tell_progress;
	options.context = c;
	c->progress.alternative = alternative;
	tell_progress(c, 0, 0);
	err = replay_file(c->path, &options, replayed, c->error);
	c->progress.nr_done++;
	/* Of a damaged recording there is the good part: nothing to compare. */
	if (err)
		replay_result_fini(replayed);
	return err;
}

static int count_one(struct comparison *c, enum quire_alternative alternative,
		     struct compare_run *run)
{
	struct compare_result *result = c->result;
	struct replay_result replayed = { 0 };
	int err = replay_under(c, alternative, quire_scores_sharing(), &replayed);

	if (err)
		return err;
	run->decisions = c->options->replay.config.decisions;
	run->decisions.chosen[quire_alternative_info(alternative)->row] = (uint8_t)alternative;
	run->cost = replayed.cost;
	run->sharing = replayed.sharing;
	run->figures = replayed.quire_says;
	run->leaked_frames = replayed.leaks.nr_frames;
	if (!result->command)
		result->command = strdup(replayed.command);
	replay_result_fini(&replayed);
	return result->command ? 0 : trace_fail(c->error, ENOMEM, 0, "%s: no memory", c->path);
}

static int time_one(struct comparison *c, enum quire_alternative alternative,
		    uint64_t *ret_ns)
{
	struct replay_result replayed = { 0 };
	int err = replay_under(c, alternative, false, &replayed);

	if (err)
		return err;
	*ret_ns = replayed.replay_ns;
	replay_result_fini(&replayed);
	return 0;
}

static int by_ns(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

uint64_t compare_median_ns(const struct compare_run *run)
{
	return run->replay_ns[COMPARE_ROUNDS / 2];
}

static unsigned nr_alternatives(unsigned row)
{
	const struct quire_decision_info *info = quire_decision_info((enum quire_decision)row);

	return info->last - info->first + 1;
}

/* All alternatives of one row, in turns. */
static int compare_row(struct comparison *c, enum quire_decision row)
{
	enum quire_alternative first = quire_decision_info(row)->first;
	struct compare_run *runs = &c->result->runs[c->result->nr_runs];
	unsigned nr = nr_alternatives(row);
	int err = 0;

	for (unsigned i = 0; i < nr && !err; i++)
		err = count_one(c, (enum quire_alternative)(first + i), &runs[i]);
	for (unsigned round = 0; round < COMPARE_ROUNDS; round++)
		for (unsigned i = 0; i < nr && !err; i++)
			err = time_one(c, (enum quire_alternative)(first + i),
				       &runs[i].replay_ns[round]);
	for (unsigned i = 0; i < nr; i++)
		qsort(runs[i].replay_ns, COMPARE_ROUNDS, sizeof(runs[i].replay_ns[0]), by_ns);
	c->result->nr_runs += nr;
	return err;
}

int compare_file(const char *path, const struct compare_options *options,
		 struct compare_result *result, struct trace_error *error)
{
	struct comparison c = { .path = path, .options = options, .result = result,
				.error = error };
	int err = 0;

	*result = (struct compare_result){ 0 };
	result->runs = calloc(QUIRE_NR_ALTERNATIVES, sizeof(*result->runs));
	if (!result->runs)
		return trace_fail(error, ENOMEM, 0, "%s: no memory", path);
	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++) {
		result->rows[row] = options->rows[row];
		if (options->rows[row])
			c.progress.nr_replays += nr_alternatives(row) * (COMPARE_ROUNDS + 1);
	}
	for (unsigned row = 0; row < QUIRE_NR_DECISIONS && !err; row++)
		if (result->rows[row])
			err = compare_row(&c, (enum quire_decision)row);
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

/* Runs stand in the order of rows, then alternatives. */
const struct compare_run *compare_runs_of(const struct compare_result *result,
					  enum quire_decision row)
{
	const struct compare_run *run = result->runs;

	for (unsigned before = 0; before < row; before++)
		if (result->rows[before])
			run += nr_alternatives(before);
	return run;
}

/* Of a column, so that a line fits a terminal. */
static int column_width(unsigned nr)
{
	enum { TERMINAL = 100, NAMES = 22, MARK = 2, WIDEST = 21 };
	int width = (TERMINAL - NAMES - MARK) / (int)nr - 1;

	return width < WIDEST ? width : WIDEST;
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
		fprintf(out, " %*s", column_width(nr), format_count(value, buf, CELL));
	}
	fprintf(out, "%s\n", differs ? " *" : "");
}

static void print_row_table(FILE *out, const struct compare_result *result,
			    enum quire_decision row)
{
	const struct quire_decision_info *info = quire_decision_info(row);
	const struct compare_run *runs = compare_runs_of(result, row);
	unsigned nr = nr_alternatives(row);

	fprintf(out, "\n  %s: %s\n\n", info->name, info->question);
	if (row == QUIRE_DECISION_sharing && quire_scores_sharing()) {
		compare_print_sharing(out, runs, nr);
		return;
	}
	fprintf(out, "  %-20s", "");
	for (unsigned i = 0; i < nr; i++) {
		const struct quire_alternative_info *alt =
			quire_alternative_info((enum quire_alternative)(info->first + i));
		char name[CELL];

		snprintf(name, sizeof(name), "%s%s", alt->name, alt->sound ? "" : "!");
		fprintf(out, " %*.*s", column_width(nr), column_width(nr), name);
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
		fprintf(out, " %*" PRIu64, column_width(nr), runs[i].leaked_frames);
	fprintf(out, "\n  %-20s", "replay, ms (median)");
	for (unsigned i = 0; i < nr; i++)
		fprintf(out, " %*.1f", column_width(nr), (double)compare_median_ns(&runs[i]) / 1e6);
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

static json_t *decisions_json(const struct quire_decisions *decisions)
{
	json_t *out = json_object();

	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++)
		json_object_set_new(out, quire_decision_info((enum quire_decision)row)->name,
				    json_string(quire_alternative_info(
					(enum quire_alternative)decisions->chosen[row])->name));
	return out;
}

static json_t *cost_json(const struct compare_run *run)
{
	json_t *out = json_object();

#define SET_COST(field, what) \
	json_object_set_new(out, #field, json_integer((json_int_t)run->cost.field));
	QUIRE_COST_LIST(SET_COST)
#undef SET_COST
	json_object_set_new(out, "leaked_frames", json_integer((json_int_t)run->leaked_frames));
	json_object_set_new(out, "replay_seconds",
			    json_real((double)compare_median_ns(run) / 1e9));
	return out;
}

static json_t *row_json(const struct quire_decision_info *row)
{
	return json_pack("{s:s, s:s, s:s}", "name", row->name, "question", row->question, "letter",
			 row->letter);
}

static json_t *run_json(const struct compare_run *run, enum quire_decision row)
{
	const struct quire_alternative_info *alternative =
		quire_alternative_info((enum quire_alternative)run->decisions.chosen[row]);

	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o}", "row", quire_decision_info(row)->name,
			 "alternative", alternative->name, "sound", alternative->sound,
			 "decisions", decisions_json(&run->decisions), "cost", cost_json(run),
			 "sharing", compare_sharing_json(&run->sharing));
}

json_t *compare_json(const struct compare_result *result)
{
	json_t *rows = json_array(), *list = json_array();

	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++) {
		const struct compare_run *runs = compare_runs_of(result, (enum quire_decision)row);

		if (!result->rows[row])
			continue;
		json_array_append_new(rows, row_json(quire_decision_info((enum quire_decision)row)));
		for (unsigned i = 0; i < nr_alternatives(row); i++)
			json_array_append_new(list, run_json(&runs[i], (enum quire_decision)row));
	}
	return json_pack("{s:s, s:b, s:o, s:o}", "command", result->command, "counted",
			 quire_counts_costs(), "rows", rows, "results", list);
}
