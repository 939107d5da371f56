/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdio.h>

#include "commands.h"
#include "trace/show.h"

static const char help_text[] =
	"quire show [options] FILE\n\n"
	"Lists a recording: by default a summary of each process.\n\n"
	"  -e, --events   one line per event\n"
	"  -t, --touches  with the page touches\n"
	"  -M, --maps     with the maps at exec and at the end\n"
	"  -h, --help     this text\n"
	"  -V, --version  which quire this is\n\n"
	"Examples:\n"
	"  quire show ls.quire\n"
	"  quire show --events --touches ls.quire\n";

int cmd_show(int argc, char **argv)
{
	static const struct option longs[] = { { "events", no_argument, NULL, 'e' },
					       { "touches", no_argument, NULL, 't' },
					       { "maps", no_argument, NULL, 'M' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	struct show_options options = { .summary = true };
	struct trace_error error = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, ":etMhV", longs, NULL)) != -1) {
		switch (c) {
		case 'e':
			options.events = true;
			break;
		case 't':
			options.events = options.touches = true;
			break;
		case 'M':
			options.maps = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		case 'V':
			return command_version();
		default:
			return command_bad_option("show", argv, c);
		}
	}
	if (optind + 1 != argc)
		return command_usage_error("show", "takes one recording");
	if (show_recording(stdout, argv[optind], &options, &error) != 0) {
		fprintf(stderr, "quire show: %s\n", error.message);
		return 1;
	}
	return 0;
}
