/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "trace/record.h"

static const char help_text[] =
	"quire import strace LOG -o FILE\n"
	"quire import perf LOG -o FILE\n\n"
	"Makes a recording of what another tool wrote of a program.\n\n"
	"  -o, --output FILE    the recording to write\n"
	"  -h, --help           this text\n"
	"  -V, --version        which quire this is\n\n"
	"strace: LOG is what strace -f -o LOG CMD... writes; without page touches.\n"
	"perf: LOG is what these write, as root (docs/recording.md says what others can do):\n"
	"    perf record -d -e raw_syscalls:sys_enter,raw_syscalls:sys_exit \\\n"
	"        -e exceptions:page_fault_user,exceptions:page_fault_kernel CMD...\n"
	"    perf script --header --ns --show-task-events --show-mmap-events \\\n"
	"        --show-lost-events -F comm,pid,tid,time,event,trace >LOG\n\n"
	"Examples:\n"
	"  quire import strace ls.strace -o imported.quire\n"
	"  quire import perf ls.perf -o faults.quire\n"
	"  quire import -o again.quire strace ls.strace\n";

static const struct {
	const char *name;
	int (*import)(const char *log_path, const char *output, struct trace_error *);
} kinds[] = {
	{ "strace", import_strace },
	{ "perf", import_perf },
};

static int import(const char *kind, const char *log_path, const char *output)
{
	struct trace_error error = { 0 };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, kind) != 0)
			continue;
		if (kinds[i].import(log_path, output, &error) == 0)
			return 0;
		fprintf(stderr, "quire import: %s\n", error.message);
		return 1;
	}
	return command_usage_error("import", "takes logs of strace and perf");
}

int cmd_import(int argc, char **argv)
{
	static const struct option longs[] = { { "output", required_argument, NULL, 'o' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	const char *output = NULL;
	int c;

	while ((c = getopt_long(argc, argv, ":o:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			output = optarg;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		case 'V':
			return command_version();
		default:
			return command_bad_option("import", argv, c);
		}
	}
	if (!output)
		return command_usage_error("import", "-o FILE is missing");
	if (optind + 2 != argc)
		return command_usage_error("import", "takes the kind of log, strace or perf, and one log");
	return import(argv[optind], argv[optind + 1], output);
}
