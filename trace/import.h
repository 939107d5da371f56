/* SPDX-License-Identifier: BSD-2-Clause */
/* The importers' inner parts: for them, their tests and their fuzzers. */
#ifndef QUIRE_TRACE_IMPORT_H
#define QUIRE_TRACE_IMPORT_H

#include <sys/types.h>

#include "error.h"
#include "recorder.h"
#include "writer.h"

/*
 * The whole of a log that is in memory.  name stands in messages, with the
 * number of the line.  The writer stays open.
 */
typedef int import_text(const char *name, const char *text, size_t len_bytes,
	struct trace_writer *, struct trace_error *);

import_text import_strace_text;
import_text import_perf_text;

/* ---- import_log.c: the lines, one after the other ---- */

struct import_log {
	const char *name; /* for messages */
	const char *at, *end;
	uint64_t line; /* the number of the one that was given last */
	struct trace_error *error;
};

void import_log_open(struct import_log *, const char *name, const char *text, size_t len_bytes,
	struct trace_error *);
/* The next one without its newline, malloced; *whole: no zero byte stands in it. */
char *import_log_take(struct import_log *, bool *whole);
/* Errors at the line that was given last. */
int import_log_fail(struct import_log *, const char *what);
int import_log_fail_memory(struct import_log *);
/* Room for one more element in the array whose address is given. */
bool import_room(void *array, size_t nr, size_t *capacity, size_t size);
/* A whole file, malloced; NULL: error says why. */
char *import_read(const char *path, size_t *len_bytes, struct trace_error *);
/* Makes the recording output of the text. */
int import_write(const char *log_path, const char *text, size_t len_bytes,
	const struct trace_header *, import_text *, const char *output, struct trace_error *);

/* ---- import_world.c: whom a log tells of ---- */

struct import_fd {
	int fd;
	uint32_t file;
};

struct import_file {
	char *path;
	enum trace_file_kind kind;
	uint64_t dev, ino; /* 0: not known */
	uint64_t bytes; /* as the log said, or as large as its mappings need */
	bool deleted; /* had no name any more */
};

struct import_process {
	uint32_t mm;
	uint32_t nr_threads; /* alive */
	struct import_fd *fd;
	size_t nr_fds, fds_capacity;
};

struct import_thread {
	pid_t pid;
	uint32_t process;
	bool alive;
	char *text; /* what the importer keeps of it; freed at its end */
};

struct import_world {
	struct import_log *log;
	struct trace_writer *writer;
	struct model *model; /* kept in step, if there is one; freed with the rest */
	uint64_t time_us; /* of the next events */

	struct import_thread *thread; /* its place is its index; so with the others */
	size_t nr_threads, threads_capacity;
	struct import_process *process;
	size_t nr_processes, processes_capacity;
	uint32_t *mm_users;
	size_t nr_mms, mms_capacity;
	struct import_file *file;
	size_t nr_files, files_capacity;
};

int world_put(struct import_world *, struct trace_event *);
struct trace_event world_event(const struct import_world *, uint32_t thread, enum trace_kind);
/* The living one of that id, or TRACE_NONE. */
uint32_t world_find_thread(const struct import_world *, pid_t);
/* Made by the thread parent with CLONE_* flags, or found there (parent TRACE_NONE). */
int world_add_thread(struct import_world *, pid_t, uint32_t parent, uint64_t flags,
	uint32_t *index);
int world_end_thread(struct import_world *, uint32_t thread, int status);
/* The thread is the one that lives on.  Fills in the mm, and what no log says. */
int world_exec(struct import_world *, uint32_t thread, struct trace_exec *);
/* The file that is wanted, by its inode or else by its path; introduced if it is new. */
int world_find_inode(struct import_world *, const struct import_file *wanted, uint32_t *index);
int world_find_file(struct import_world *, char *path, uint32_t *index);
/* The file has at least bytes. */
int world_grow_file(struct import_world *, uint32_t file, uint64_t bytes);
struct import_fd *world_find_fd(struct import_process *, int fd);
int world_set_fd(struct import_world *, uint32_t process, int fd, uint32_t file);
/* An unknown descriptor is a file by that name. */
int world_file_of_fd(struct import_world *, uint32_t process, int fd, uint32_t *file);
/* The call works on the file. */
int world_call_file(struct import_world *, uint32_t file, struct trace_call *);
/* shmat of a segment, known by its id alone. */
int world_segment(struct import_world *, uint64_t id, struct trace_call *);
void world_fini(struct import_world *);

/* ---- strace_log.c: the joining of what strace tore apart ---- */

struct strace_line;

/* 1: *parsed points into *text, which the caller frees.  0: the end. */
int strace_next(struct import_log *, char **text, struct strace_line *parsed);
/* Keeps the first part of a call until its end comes by. */
int strace_keep(struct import_log *, char **unfinished, const char *text);
/* The whole of a resumed call, malloced; NULL with *err 0: nothing to join. */
char *strace_resume(struct import_log *, char **unfinished, const struct strace_line *,
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

int strace_births_read(struct strace_births *, struct import_log *);
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
