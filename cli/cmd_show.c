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
	"  -m, --maps     with the maps at exec and at the end\n";

int cmd_show(int argc, char **argv)
{
	static const struct option longs[] = { { "events", no_argument, NULL, 'e' },
					       { "touches", no_argument, NULL, 't' },
					       { "maps", no_argument, NULL, 'm' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	struct show_options options = { .summary = true };
	struct trace_error error = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "etmh", longs, NULL)) != -1) {
		switch (c) {
		case 'e':
			options.events = true;
			break;
		case 't':
			options.events = options.touches = true;
			break;
		case 'm':
			options.maps = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind + 1 != argc)
		return usage_error("show", "takes one recording");
	if (show_recording(stdout, argv[optind], &options, &error) != 0) {
		fprintf(stderr, "quire show: %s\n", error.message);
		return 1;
	}
	return 0;
}
