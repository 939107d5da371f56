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

/* ---- strace_log.c: the lines, one after the other ---- */

struct strace_line;

struct strace_log {
	const char *name; /* for messages */
	const char *at, *end;
	uint64_t line; /* the number of the one that was given last */
	struct trace_error *error;
};

void strace_open(struct strace_log *, const char *name, const char *text, size_t len_bytes,
	struct trace_error *);
/* 1: *parsed points into *text, which the caller frees.  0: the end. */
int strace_next(struct strace_log *, char **text, struct strace_line *parsed);
/* Errors at the line that was given last. */
int strace_fail(struct strace_log *, const char *what);
int strace_fail_memory(struct strace_log *);
/* Room for one more element in the array whose address is given. */
bool strace_room(void *array, size_t nr, size_t *capacity, size_t size);
/* Keeps the first part of a call until its end comes by. */
int strace_keep(struct strace_log *, char **unfinished, const char *text);
/* The whole of a resumed call, malloced; NULL with *err 0: nothing to join. */
char *strace_resume(struct strace_log *, char **unfinished, const struct strace_line *,
	int *err);

/* ---- strace_births.c: which clone returned which id ---- */

struct strace_birth {
	pid_t child, parent;
	uint64_t flags; /* CLONE_* */
	bool taken;
};

struct strace_births {
	struct strace_birth *birth;
	size_t nr, capacity;
};

int strace_births_read(struct strace_births *, struct strace_log *);
/* The first birth of this id that nobody took yet; NULL: none. */
struct strace_birth *strace_births_take(struct strace_births *, pid_t child);
void strace_births_fini(struct strace_births *);
/* Is it a call that makes processes or threads?  Ends at a bracket. */
bool strace_is_clone(const char *name);

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
