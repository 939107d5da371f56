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
	{ "import", "TOOL LOG -o FILE", "make a recording of a log of strace -f or perf", cmd_import },
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
	fprintf(out, "\nEach command explains itself with --help; quire --version says which this is.\n\n"
		     "Examples:\n"
		     "  quire record -o ls.quire -- ls -l /\n"
		     "  quire replay ls.quire\n"
		     "  quire compare --rows fork-tree ls.quire\n");
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

static bool is(const char *word, const char *letter, const char *option, const char *name)
{
	return strcmp(word, letter) == 0 || strcmp(word, option) == 0 || strcmp(word, name) == 0;
}

/* `quire help NAME` is `quire NAME --help`. */
static int help_of(char *name)
{
	const struct command *command = find(name);
	char *argv[] = { name, "--help", NULL };

	return command ? command->run(2, argv) : command_usage_error("help",
		"there is no command '%s'", name);
}

static int run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (is(argv[1], "-h", "--help", "help")) {
		if (argc > 2)
			return help_of(argv[2]);
		help(stdout);
		return 0;
	}
	if (is(argv[1], "-V", "--version", "version"))
		return command_version();
	command = find(argv[1]);
	if (command)
		return command->run(argc - 1, argv + 1);
	fprintf(stderr, "quire: there is no %s '%s'; try: quire help\n",
		argv[1][0] == '-' ? "option" : "command", argv[1]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	int status = run(argc, argv);

	return command_end(argc > 1 && find(argv[1]) ? argv[1] : NULL, status);
}
