/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Costs are counted by another build of the same core, so that the plain one
 * pays nothing: this command runs itself again on that one (bench/counting.h).
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/counting.h"
#include "commands.h"
#include "replay/compare.h"

static const char help_text[] =
	"quire compare [options] FILE\n"
	"quire compare [options] -- CMD...\n\n"
	"Replays the same recording once for each alternative of the decisions and\n"
	"prints what each costs.\n\n"
	"  -r, --rows ROW,ROW...         only these decisions (default: all)\n"
	"  -d, --decide ROW=ALTERNATIVE  for the rows that are not varied\n"
	"  -f, --folios SIZE,SIZE...     large folios: 64k,2m and the like, or all; 4k: none\n"
	"                                (default: as the recorded kernel was set)\n"
	"  -P, --progress                say on standard error how far it is, though that\n"
	"                                is no terminal\n"
	"  -R, --report FILE.html        write one self-contained page with plots\n"
	"  -j, --json                    print JSON instead of tables\n"
	"  -h, --help                    this text\n"
	"  -V, --version                 which quire this is\n\n"
	"Examples:\n"
	"  quire compare --rows fork-tree ls.quire\n"
	"  quire compare --rows sharing,cow-reuse --folios 64k --report compare.html ls.quire\n"
	"  quire compare --rows sharing --folios all --json -- true\n";

struct compare_arguments {
	struct compare_options options;
	const char *report;
	bool progress, json;
};

static int rows_option(char *list, bool rows[QUIRE_NR_DECISIONS])
{
	memset(rows, 0, QUIRE_NR_DECISIONS * sizeof(rows[0]));
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		unsigned row;

		for (row = 0; row < QUIRE_NR_DECISIONS; row++)
			if (strcmp(quire_decision_info((enum quire_decision)row)->name, name) == 0)
				break;
		if (row == QUIRE_NR_DECISIONS)
			return command_usage_error("compare", "there is no decision '%s' (quire decisions "
						      "lists them)", name);
		rows[row] = true;
	}
	return 0;
}

static int parse(int argc, char **argv, struct compare_arguments *args)
{
	static const struct option longs[] = { { "rows", required_argument, NULL, 'r' },
					       { "decide", required_argument, NULL, 'd' },
					       { "folios", required_argument, NULL, 'f' },
					       { "progress", no_argument, NULL, 'P' },
					       { "report", required_argument, NULL, 'R' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	struct quire_config *config = &args->options.replay.config;
	int c;

	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++)
		args->options.rows[row] = true;
	while ((c = getopt_long(argc, argv, "+:r:d:f:PR:jhV", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			if (rows_option(optarg, args->options.rows) != 0)
				return EXIT_USAGE;
			break;
		case 'd':
			if (decide_option("compare", optarg, &config->decisions) != 0)
				return EXIT_USAGE;
			break;
		case 'f':
			if (folios_option("compare", optarg, &args->options.replay) != 0)
				return EXIT_USAGE;
			break;
		case 'P':
			args->progress = true;
			break;
		case 'R':
			args->report = optarg;
			break;
		case 'j':
			args->json = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		case 'V':
			return command_version();
		default:
			return command_bad_option("compare", argv, c);
		}
	}
	return -1;
}

/* Becomes the program that counts, with the same arguments; returns only on failure. */
static void run_counting(char **argv)
{
	static char name[] = "quire";
	char **arguments;
	int argc = 0, err = -ENOMEM;

	while (argv[argc])
		argc++;
	arguments = calloc((size_t)argc + 2, sizeof(*arguments));
	if (arguments) {
		arguments[0] = name;
		memcpy(arguments + 1, argv, (size_t)argc * sizeof(*arguments));
		err = counting_become(arguments);
		free(arguments);
	}
	fprintf(stderr, "quire compare: cannot run the core that counts its costs from memory nor "
		"from %s: %s\n", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", strerror(-err));
}

static int print_json(const struct compare_result *result)
{
	json_t *json = compare_json(result);

	if (!json)
		return 1;
	json_dumpf(json, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(json);
	return 0;
}

static int print_result(const struct compare_arguments *args, const struct compare_result *result)
{
	struct trace_error error = { 0 };

	if (args->json && print_json(result) != 0)
		return 1;
	if (!args->json)
		compare_print(stdout, result);
	if (args->report && compare_write_report(args->report, result, &error) != 0) {
		fprintf(stderr, "quire compare: %s\n", error.message);
		return 1;
	}
	if (args->report && !args->json)
		printf("\n  report: %s\n", args->report);
	return 0;
}

/* One line that is written over and over on a terminal; elsewhere a line for
 * each replay. */
static void show_progress(void *context, const struct compare_progress *progress)
{
	const struct compare_arguments *args = context;
	const struct quire_alternative_info *alternative =
		quire_alternative_info(progress->alternative);
	const char *row = quire_decision_info(alternative->row)->name;

	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r  replay %zu of %zu: %s=%s, event %" PRIu64 "%20s",
			progress->nr_done + 1, progress->nr_replays, row, alternative->name,
			progress->nr_events, "");
	else if (args->progress && progress->nr_events == 0)
		fprintf(stderr, "replay %zu of %zu: %s=%s\n", progress->nr_done + 1,
			progress->nr_replays, row, alternative->name);
}

int cmd_compare(int argc, char **argv)
{
	struct compare_arguments args = { 0 };
	struct compare_result result;
	struct trace_error error = { 0 };
	struct input input;
	int status;

	if (!quire_counts_costs()) {
		run_counting(argv);
		return 1;
	}
	replay_options_default(&args.options.replay);
	args.options.progress = show_progress;
	args.options.context = &args;
	status = parse(argc, argv, &args);
	if (status >= 0)
		return status;
	status = input_open("compare", argc, argv, optind, &input);
	if (status)
		return status;
	if (compare_file(input.path, &args.options, &result, &error) != 0) {
		progress_end();
		fprintf(stderr, "quire compare: %s\n", error.message);
		input_close(&input);
		return 1;
	}
	progress_end();
	status = print_result(&args, &result);
	compare_result_fini(&result);
	input_close(&input);
	return status;
}
