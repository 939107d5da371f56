/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subcommands of `quire`: one file each, no logic of their own beyond
 * reading arguments.  Exit status: 0 done; 1 it failed, with a message on
 * standard error; 2 the arguments are wrong.  An option has the same letter in
 * all of them: docs/commands.md.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>

#include "bench/command.h"
#include "replay/replay.h"

#define EXIT_USAGE COMMAND_EXIT_USAGE

struct command {
	const char *name, *arguments, *what;
	int (*run)(int argc, char **argv);
};

int cmd_record(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_host(int argc, char **argv);
int cmd_decisions(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_import(int argc, char **argv);

/*
 * Commands that take FILE or -- CMD...: sets *ret_path to the recording, made
 * first when it is a command.  0, or the exit status to end with.  The
 * recording made here is removed by input_close().
 */
struct input {
	const char *path;
	char temporary[64]; /* "" when the recording was the user's */
};
int input_open(const char *command, int argc, char **argv, int first, struct input *ret_input);
void input_close(struct input *input);

/* --decide ROW=ALTERNATIVE; 0 or EXIT_USAGE. */
int decide_option(const char *command, const char *argument, struct quire_decisions *decisions);

/*
 * --folios SIZE,SIZE...: anonymous memory gets folios of these sizes wherever
 * they fit, whatever a program advised, and files up to the largest; `list` is
 * taken apart.  0 or EXIT_USAGE.
 */
int folios_option(const char *command, char *list, struct replay_options *options);

/* For struct record_options: a line on standard error; context: the command's name. */
void tell_line(void *context, const char *sentence);

/* Progress on one line of standard error, when that is a terminal. */
void progress_line(void *context, uint64_t nr_events, uint64_t time_us);
void progress_end(void);

#endif
