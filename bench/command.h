/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every command and benchmark does alike, so that each says it in the same
 * words: wrong arguments, the version, output that cannot be written.
 */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

#define COMMAND_EXIT_USAGE 2

/* Prints "quire NAME: ...; try: quire NAME --help"; returns COMMAND_EXIT_USAGE. */
int command_usage_error(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * getopt_long() said c, which is '?' or ':'.  Says what is wrong with the option;
 * returns COMMAND_EXIT_USAGE.  The option string must begin with ":" (after a
 * "+"), so that getopt_long() itself says nothing.
 */
int command_bad_option(const char *command, char **argv, int c);

/* Prints "quire 0.1 (REVISION)"; returns 0. */
int command_version(void);

/*
 * The last thing that a program does: writes out standard output.  Returns
 * status, or 1 instead of 0 if that is not possible, which is said (but for a
 * pipe that nobody reads any more).  command NULL: quire itself.
 */
int command_end(const char *command, int status);

#endif
