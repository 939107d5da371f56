/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "replay/output.h"

static const char help_text[] =
	"quire replay [options] FILE\n"
	"quire replay [options] -- CMD...\n\n"
	"Replays a recording (or records CMD first) and prints what Linux said of each\n"
	"process beside what Quire says.\n\n"
	"  -d, --decide ROW=ALTERNATIVE  see: quire decisions\n"
	"  -f, --folios SIZE,SIZE...     large folios: 64k,2m and the like, or all; 4k: none\n"
	"                                (default: as the recorded kernel was set)\n"
	"  -m, --memory MIB              physical memory of the instance (default 8192)\n"
	"  -R, --report FILE.html        write one self-contained page with plots\n"
	"  -j, --json                    print JSON instead of tables\n"
	"  -h, --help                    this text\n"
	"  -V, --version                 which quire this is\n\n"
	"Examples:\n"
	"  quire replay ls.quire\n"
	"  quire replay --decide fork-tree=insert-each --report ls.html ls.quire\n"
	"  quire replay --json -- sh -c 'ls / | wc -l'\n";

struct replay_arguments {
	struct replay_options options;
	const char *report;
	bool json;
};

/* -1: go on; otherwise the exit status. */
static int parse(int argc, char **argv, struct replay_arguments *args)
{
	static const struct option longs[] = { { "decide", required_argument, NULL, 'd' },
					       { "folios", required_argument, NULL, 'f' },
					       { "memory", required_argument, NULL, 'm' },
					       { "report", required_argument, NULL, 'R' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "+:d:f:m:R:jhV", longs, NULL)) != -1) {
		switch (c) {
		case 'd':
			if (decide_option("replay", optarg, &args->options.config.decisions) != 0)
				return EXIT_USAGE;
			break;
		case 'f':
			if (folios_option("replay", optarg, &args->options) != 0)
				return EXIT_USAGE;
			break;
		case 'm':
			args->options.config.memory_bytes = strtoull(optarg, &end, 10) << 20;
			if (*end || args->options.config.memory_bytes == 0)
				return command_usage_error("replay", "--memory takes MiB, not '%s'", optarg);
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
			return command_bad_option("replay", argv, c);
		}
	}
	return -1;
}

static int print_result(const struct replay_arguments *args, const struct replay_result *result)
{
	struct trace_error error = { 0 };

	if (args->json) {
		json_t *json = replay_json(result);

		if (!json)
			return 1;
		json_dumpf(json, stdout, JSON_INDENT(1));
		putchar('\n');
		json_decref(json);
	} else {
		replay_print(stdout, result);
	}
	if (!args->report)
		return 0;
	if (replay_write_report(args->report, result, &error) != 0) {
		fprintf(stderr, "quire replay: %s\n", error.message);
		return 1;
	}
	if (!args->json)
		printf("\n  report: %s\n", args->report);
	return 0;
}

int cmd_replay(int argc, char **argv)
{
	struct replay_arguments args = { 0 };
	struct replay_result result = { 0 };
	struct trace_error error = { 0 };
	struct input input;
	int status;

	replay_options_default(&args.options);
	args.options.progress = progress_line;
	status = parse(argc, argv, &args);
	if (status >= 0)
		return status;
	status = input_open("replay", argc, argv, optind, &input);
	if (status)
		return status;
	if (replay_file(input.path, &args.options, &result, &error) != 0) {
		progress_end();
		fprintf(stderr, "quire replay: %s\n", error.message);
		status = 1;
	}
	progress_end();
	if (result.command && print_result(&args, &result) != 0)
		status = 1;
	replay_result_fini(&result);
	input_close(&input);
	return status;
}
