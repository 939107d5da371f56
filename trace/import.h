/* SPDX-License-Identifier: BSD-2-Clause */
/* The importer's inner parts: for import_strace.c, its tests and its fuzzer. */
#ifndef QUIRE_TRACE_IMPORT_H
#define QUIRE_TRACE_IMPORT_H

#include <sys/types.h>

#include "error.h"
#include "writer.h"

/*
 * The whole of a log that is in memory.  name stands in messages, with the
 * number of the line.  The writer stays open.
 */
int import_strace_text(const char *name, const char *text, size_t len_bytes,
	struct trace_writer *, struct trace_error *);

/* ---- strace_line.c: what stands in one line ---- */

enum strace_kind {
	STRACE_NOISE, /* a signal, a message of strace itself, an empty line */
	STRACE_CALL, /* text: name(arguments) = result */
	STRACE_UNFINISHED, /* text: the beginning of one */
	STRACE_RESUMED, /* name and text: the rest of one */
	STRACE_EXITED, /* number: the exit status */
	STRACE_KILLED, /* number: the signal */
	STRACE_SUPERSEDED, /* number: the thread that execs and takes the id over */
};

struct strace_line {
	enum strace_kind kind;
	pid_t pid; /* 0: the log has no ids, it is of one process */
	bool has_time;
	uint64_t time_us; /* of its own clock; see is_delta */
	bool is_delta; /* the time is since the line before */
	const char *name;
	char *text;
	long number;
};

#define STRACE_MAX_ARGUMENTS 12

struct strace_call {
	const char *name;
	char *argument[STRACE_MAX_ARGUMENTS];
	unsigned int nr_arguments;
	char *result; /* "0x7f...", "-1 ENOMEM (...)", "?" */
};

/* Takes a line apart, in place.  NULL, or what is wrong with it. */
const char *strace_parse_line(char *line, struct strace_line *out);
/* Takes a whole call apart, in place. */
const char *strace_parse_call(char *text, struct strace_call *out);
/* A number: decimal, 0x, NULL; or words and numbers joined by |. */
bool strace_parse_flags(const char *text, uint64_t *value);
/* A result: a number, or the negative errno of "-1 ENAME". */
bool strace_parse_result(const char *text, int64_t *value);

#endif
