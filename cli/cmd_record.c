/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "trace/record.h"

static const char help_text[] =
	"quire record -o FILE [options] [--] CMD...\n"
	"quire record -o FILE [options] -p PID\n\n"
	"Runs CMD and everything it starts, and writes to FILE what they did to their\n"
	"memory.  Exits with CMD's own status.  With -p it attaches to a process that runs\n"
	"already, until that ends or quire is told to stop (Ctrl-C, SIGTERM, SIGHUP): then\n"
	"the process runs on, and FILE is complete.\n\n"
	"  -o, --output FILE    the recording to write\n"
	"  -s, --source SOURCE  where page touches come from, at best: tracepoint, perf,\n"
	"                       perf-user or pagemap; default: the best that is permitted\n"
	"  -c, --calls MEANS    how calls are seen, at best: tracepoint (the program runs on)\n"
	"                       or ptrace (it is stopped); default: the best permitted\n"
	"      --no-cgroup      no control group for CMD: for programs that leave theirs\n"
	"  -p, --pid PID        record this process, its threads, and what they start\n"
	"  -q, --quiet          no line about the recording at the end\n"
	"  -h, --help           this text\n"
	"  -V, --version        which quire this is\n\n"
	"Examples:\n"
	"  quire record -o ls.quire -- ls -l /\n"
	"  quire record -q -o sort.quire -- sh -c 'ls /usr/bin | sort | tail -n 1'\n"
	"  quire record -s pagemap -o true.quire true\n"
	"  sleep 2 & quire record -o sleep.quire -p $!\n";

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

static int pid_option(const char *word, pid_t *ret_pid)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(word, &end, 10);
	if (end == word || *end || errno || value <= 0 || value > INT32_MAX)
		return command_usage_error("record", "'%s' is no number of a process", word);
	*ret_pid = (pid_t)value;
	return 0;
}

/* What it costs that tracepoints are not permitted. */
static void tell_cost(const struct record_options *options, bool attached,
	const struct record_result *result)
{
	if (attached && result->calls == TRACE_CALLS_PTRACE)
		fprintf(stderr, "quire record: calls by tracepoints %s: each system call stopped the program "
				"twice, for some 100 microseconds\n",
			options->best_calls == TRACE_CALLS_PTRACE ? "were not wanted" :
			"are not permitted or not enough here");
	else if (options->best_calls != TRACE_CALLS_PTRACE && result->calls == TRACE_CALLS_PTRACE)
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
					       { "pid", required_argument, NULL, 'p' },
					       { "quiet", no_argument, NULL, 'q' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	struct record_options options = { .tell = tell_line, .context = name };
	struct record_result result = { 0 };
	struct trace_error error = { 0 };
	bool quiet = false;
	pid_t pid = 0;
	int c, status;

	while ((c = getopt_long(argc, argv, "+:o:s:c:p:qhV", longs, NULL)) != -1) {
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
		case 'p':
			if (pid_option(optarg, &pid) != 0)
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
	if (optind >= argc && !pid)
		return command_usage_error("record", "a command to run is missing");
	if (optind < argc && pid)
		return command_usage_error("record", "either -p PID or a command, not both");
	status = pid ? record_process(&options, pid, &result, &error) :
		record_command(&options, argv + optind, &result, &error);
	if (error.err) {
		fprintf(stderr, "quire record: %s\n", error.message);
	} else if (!quiet) {
		tell(options.output, &result);
		tell_cost(&options, pid != 0, &result);
	}
	return status;
}
