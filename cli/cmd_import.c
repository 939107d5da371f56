/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "trace/record.h"

static const char help_text[] =
	"quire import strace LOG -o FILE\n\n"
	"Makes a recording, without page touches, of what strace -f wrote to LOG.\n\n"
	"  -o, --output FILE    the recording to write\n"
	"  -h, --help           this text\n"
	"  -V, --version        which quire this is\n\n"
	"LOG is what strace -f -o LOG CMD... writes.\n\n"
	"Examples:\n"
	"  quire import strace ls.strace -o imported.quire\n"
	"  quire import -o again.quire strace ls.strace\n";

int cmd_import(int argc, char **argv)
{
	static const struct option longs[] = { { "output", required_argument, NULL, 'o' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	struct trace_error error = { 0 };
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
	if (optind + 2 != argc || strcmp(argv[optind], "strace") != 0)
		return command_usage_error("import", "takes the kind of log, which is strace, and one log");
	if (import_strace(argv[optind + 1], output, &error) != 0) {
		fprintf(stderr, "quire import: %s\n", error.message);
		return 1;
	}
	return 0;
}
