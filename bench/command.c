/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifndef QUIRE_VERSION
#error "the build says which version this is"
#endif

int command_usage_error(const char *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "quire %s: ", command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; try: quire %s --help\n", command);
	return COMMAND_EXIT_USAGE;
}

int command_bad_option(const char *command, char **argv, int c)
{
	const char *word = argv[optind - 1];
	int is_long = strncmp(word, "--", 2) == 0;

	if (c == ':' && is_long)
		return command_usage_error(command, "option '%s' needs a value", word);
	if (c == ':')
		return command_usage_error(command, "option '-%c' needs a value", optopt);
	/* A letter that is unknown stands in a word that may not be done yet. */
	if (optopt && !(is_long && strchr(word, '=')))
		return command_usage_error(command, "there is no option '-%c'", optopt);
	if (optopt)
		return command_usage_error(command, "option '%.*s' takes no value",
					   (int)strcspn(word, "="), word);
	return command_usage_error(command, "there is no option '%s', or more than one that "
				   "begins so", word);
}

int command_version(void)
{
	printf("quire %s\n", QUIRE_VERSION);
	return 0;
}

int command_end(const char *command, int status)
{
	int err = 0;

	errno = 0;
	if (fflush(stdout) != 0)
		err = errno;
	else if (ferror(stdout))
		err = errno ? errno : EIO;
	if (!err)
		return status;
	if (err != EPIPE)
		fprintf(stderr, "quire%s%s: cannot write to standard output: %s\n",
			command ? " " : "", command ? command : "", strerror(err));
	return status ? status : 1;
}
