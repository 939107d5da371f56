/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "trace/record.h"

static const char help_text[] =
	"quire record -o FILE [options] [--] CMD...\n\n"
	"Runs CMD and everything it starts, and writes to FILE what they did to their\n"
	"memory.  Exits with CMD's own status.\n\n"
	"  -o, --output FILE    the recording to write\n"
	"  -s, --source SOURCE  where page touches come from, at best: tracepoint, perf,\n"
	"                       perf-user or pagemap; default: the best that is permitted\n"
	"  -c, --calls MEANS    how calls are seen, at best: tracepoint (the program runs on)\n"
	"                       or ptrace (it is stopped); default: the best permitted\n"
	"      --no-cgroup      no control group for CMD: for programs that leave theirs\n"
	"  -q, --quiet          no line about the recording at the end\n"
	"  -h, --help           this text\n"
	"  -V, --version        which quire this is\n\n"
	"Examples:\n"
	"  quire record -o ls.quire -- ls -l /\n"
	"  quire record -q -o sort.quire -- sh -c 'ls /usr/bin | sort | tail -n 1'\n"
	"  quire record -s pagemap -o true.quire true\n";

/* Short words for --source; the recording says the long ones. */
static const struct {
	const char *word;
	enum trace_source source;
} sources[] = {
	{ "tracepoint", TRACE_SOURCE_TRACEPOINT },
	{ "perf", TRACE_SOURCE_PERF },
	{ "perf-user", TRACE_SOURCE_PERF_USER },
	{ "pagemap", TRACE_SOURCE_PAGEMAP },
};

static int source_option(const char *word, enum trace_source *ret_source)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		if (strcmp(word, sources[i].word) == 0) {
			*ret_source = sources[i].source;
			return 0;
		}
	}
	return command_usage_error("record", "'%s' is no source of touches: tracepoint, perf, perf-user "
				     "or pagemap", word);
}

static int calls_option(const char *word, enum trace_calls *ret_calls)
{
	*ret_calls = trace_calls_of_name(word);
	return *ret_calls != TRACE_CALLS_UNKNOWN ? 0 :
		command_usage_error("record", "'%s' is no way to see calls: tracepoint or ptrace", word);
}

/* What it costs that tracepoints are not permitted. */
static void tell_cost(const struct record_options *options, const struct record_result *result)
{
	if (options->best_calls != TRACE_CALLS_PTRACE && result->calls == TRACE_CALLS_PTRACE)
		fprintf(stderr, "quire record: tracepoints are not permitted or not enough here: each memory "
				"call stopped the program, for some 100 microseconds\n");
}

static void tell(const char *path, const struct record_result *result)
{
	fprintf(stderr,
		"quire record: %s: %" PRIu64 " bytes, %" PRIu32 " processes, %" PRIu64
		" events, %" PRIu64 " of them touches (%s; calls by %s)\n",
		path, result->bytes, result->processes, result->events, result->touches,
		trace_source_name(result->source), trace_calls_name(result->calls));
	if (result->lost)
		fprintf(stderr, "quire record: %" PRIu64 " touches were lost: the kernel's buffer "
				"overflowed\n", result->lost);
	if (result->lost_calls)
		fprintf(stderr, "quire record: %" PRIu64 " records of calls were lost: the kernel's "
				"buffer overflowed; the recording's mappings are wrong from there on\n",
			result->lost_calls);
}

int cmd_record(int argc, char **argv)
{
	static char name[] = "record";
	static const struct option longs[] = { { "output", required_argument, NULL, 'o' },
					       { "source", required_argument, NULL, 's' },
					       { "calls", required_argument, NULL, 'c' },
					       { "no-cgroup", no_argument, NULL, 'G' },
					       { "quiet", no_argument, NULL, 'q' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	struct record_options options = { .tell = tell_line, .context = name };
	struct record_result result = { 0 };
	struct trace_error error = { 0 };
	bool quiet = false;
	int c, status;

	while ((c = getopt_long(argc, argv, "+:o:s:c:qhV", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			options.output = optarg;
			break;
		case 's':
			if (source_option(optarg, &options.best_source) != 0)
				return EXIT_USAGE;
			break;
		case 'c':
			if (calls_option(optarg, &options.best_calls) != 0)
				return EXIT_USAGE;
			break;
		case 'G':
			options.no_cgroup = true;
			break;
		case 'q':
			quiet = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		case 'V':
			return command_version();
		default:
			return command_bad_option("record", argv, c);
		}
	}
	if (!options.output)
		return command_usage_error("record", "-o FILE is missing");
	if (optind >= argc)
		return command_usage_error("record", "a command to run is missing");
	status = record_command(&options, argv + optind, &result, &error);
	if (error.err) {
		fprintf(stderr, "quire record: %s\n", error.message);
	} else if (!quiet) {
		tell(options.output, &result);
		tell_cost(&options, &result);
	}
	return status;
}
