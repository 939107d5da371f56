/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdio.h>

#include "commands.h"

static const char help_text[] =
	"quire decisions\n\n"
	"Prints each contested choice, the letter it comes from, and its alternatives:\n"
	"* is the default, ! is known to be unsound (and there to be found out).\n\n"
	"  -h, --help     this text\n"
	"  -V, --version  which quire this is\n\n"
	"Examples:\n"
	"  quire decisions\n"
	"  quire decisions | grep -A 8 fork-tree\n";

int cmd_decisions(int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, ":hV", longs, NULL)) != -1) {
		switch (c) {
		case 'h':
			fputs(help_text, stdout);
			return 0;
		case 'V':
			return command_version();
		default:
			return command_bad_option("decisions", argv, c);
		}
	}
	if (optind < argc)
		return command_usage_error("decisions", "'%s' is too much", argv[optind]);
	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++) {
		const struct quire_decision_info *info = quire_decision_info((enum quire_decision)row);

		printf("%s%s: %s\n  (letter %s)\n", row ? "\n" : "", info->name, info->question,
		       info->letter);
		for (unsigned a = info->first; a <= info->last; a++) {
			const struct quire_alternative_info *alt =
				quire_alternative_info((enum quire_alternative)a);

			printf("  %c%c %-22s %s\n", a == info->first ? '*' : ' ',
			       alt->sound ? ' ' : '!', alt->name, alt->what);
		}
	}
	return 0;
}
