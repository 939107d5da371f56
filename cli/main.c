/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "commands.h"

static const struct command commands[] = {
	{ "record", "-o FILE [--] CMD...", "run a command and record what it does to its memory",
	  cmd_record },
	{ "replay", "FILE | -- CMD...", "do the same on Quire, beside what Linux said", cmd_replay },
	{ "compare", "FILE | -- CMD...", "replay under each alternative of the decisions",
	  cmd_compare },
	{ "show", "FILE", "list a recording as text", cmd_show },
	{ "import", "strace LOG -o FILE", "make a recording of a log of strace -f", cmd_import },
	{ "host", "", "what this machine's kernel is set to", cmd_host },
	{ "decisions", "", "the contested choices and their alternatives", cmd_decisions },
	{ "bench", "fork|maple|ops|...", "measure, beside the host kernel where it can", cmd_bench },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(FILE *out)
{
	fprintf(out, "quire: a memory-management subsystem that runs as a process\n\n");
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  quire %-9s %-21s %s\n", commands[i].name, commands[i].arguments,
			commands[i].what);
	fprintf(out, "\nEach command explains itself with --help.\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		help(stdout);
		return 0;
	}
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "quire: there is no command '%s'; try: quire help\n", argv[1]);
	return EXIT_USAGE;
}
