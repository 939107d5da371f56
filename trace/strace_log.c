/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An strace log as a sequence of lines, and the joining of what strace tore
 * apart: calls that another thread's line interrupted, and lines into which
 * strace wrote a message of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

/* first + rest; malloced. */
static char *join(const char *first, const char *rest)
{
	size_t len = strlen(first);
	char *whole = malloc(len + strlen(rest) + 1);

	if (whole) {
		memcpy(whole, first, len);
		strcpy(whole + len, rest);
	}
	return whole;
}

/* Where "strace: Process 12 attached" begins that ends the line but is not
 * all of it; or NULL. */
static char *find_message(char *line)
{
	static const char attached[] = " attached";
	size_t len = strlen(line);
	char *message = strstr(line, "strace: Process ");

	return message && message != line && len > strlen(attached) &&
		strcmp(line + len - strlen(attached), attached) == 0 ? message : NULL;
}

int strace_next(struct import_log *log, char **text, struct strace_line *parsed)
{
	const char *wrong = NULL;
	char *line, *message;
	bool whole;

	if (log->at == log->end)
		return 0;
	line = import_log_take(log, &whole);
	/*
	 * On a terminal strace's message falls into the middle of the parent's
	 * clone: it is cut out, and the next line joined on.
	 */
	message = line && whole ? find_message(line) : NULL;
	if (message && log->at != log->end) {
		char *rest = import_log_take(log, &whole), *joined;

		*message = 0;
		joined = rest ? join(line, rest) : NULL;
		free(rest);
		free(line);
		line = joined;
	}
	if (!line)
		return import_log_fail_memory(log);
	wrong = whole ? strace_parse_line(line, parsed) : "a byte that no text has";
	if (wrong) {
		free(line);
		return import_log_fail(log, wrong);
	}
	*text = line;
	return 1;
}

int strace_keep(struct import_log *log, char **unfinished, const char *text)
{
	free(*unfinished);
	*unfinished = strdup(text);
	return *unfinished ? 0 : import_log_fail_memory(log);
}

char *strace_resume(struct import_log *log, char **unfinished, const struct strace_line *line,
	int *err)
{
	char *whole;

	*err = 0;
	/* NULL: the log began while the call was under way. */
	if (!*unfinished)
		return NULL;
	if (strncmp(*unfinished, line->name, strlen(line->name)) != 0) {
		*err = import_log_fail(log, "the end of a call that did not begin");
		return NULL;
	}
	whole = join(*unfinished, line->text);
	free(*unfinished);
	*unfinished = NULL;
	if (!whole)
		*err = import_log_fail_memory(log);
	return whole;
}
