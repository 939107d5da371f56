/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "commands.h"

static const char help_text[] =
	"quire decisions\n\n"
	"Prints each contested choice, the letter it comes from, and its alternatives:\n"
	"* is the default, ! is known to be unsound (and there to be found out).\n";

int cmd_decisions(int argc, char **argv)
{
	if (argc > 1) {
		if (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0)
			return usage_error("decisions", "'%s' is not understood", argv[1]);
		fputs(help_text, stdout);
		return 0;
	}
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
