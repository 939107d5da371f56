/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that are seen without stopping the program.
 *
 *	perf_calls.c   the kernel's rings  --call records-->  call_stream.c
 *	call_stream.c  pairs them          --seen calls---->  merge.c
 *
 * A record is one thing that the kernel told: a call began, it has the lock of
 * its address space, it made a mapping, it ended.  A seen call is all of them
 * together, at the moment at which it took effect.
 */
#ifndef QUIRE_TRACE_CALL_SOURCE_H
#define QUIRE_TRACE_CALL_SOURCE_H

#include "recorder.h"

enum call_record_kind {
	RECORD_ENTER, /* arg: the call's arguments */
	RECORD_LOCKED, /* the thread may change an address space */
	RECORD_MAPPING, /* arg[0], arg[1]: made or changed; file, file_bytes */
	RECORD_EXIT, /* arg[0]: the result */
	RECORD_LOST, /* arg[0]: so many records are missing */
};

/* Address ranges of a process_madvise. */
struct call_ranges {
	uint32_t nr;
	uint64_t range[][2];
};

struct call_record {
	uint64_t time_ns;
	pid_t tid;
	enum call_record_kind kind;
	uint32_t nr; /* the system call's number */
	bool unread; /* ENTER: what the arguments point at was gone already */
	pid_t target; /* ENTER of process_madvise: of which process; 0: none */
	uint32_t file; /* of a call that resizes; of a mapping; or TRACE_NONE */
	uint64_t file_bytes;
	uint64_t ino; /* of that file; ENTER of mmap: behind the descriptor; 0: unknown */
	uint32_t mode; /* ENTER of mmap: TRACE_MODE_*, of the descriptor */
	uint64_t arg[6]; /* ENTER of clone, clone3: arg[0] is the flags */
	struct call_ranges *ranges; /* ENTER of process_madvise; owned */
};

struct call_records {
	struct call_record *record;
	size_t first, nr, capacity;
};

/* ---- perf_calls.c ---- */

struct call_rings;

/* NULL: not permitted here. */
struct call_rings *call_rings_create(const struct record_target *);
/* As those of the drain. */
void call_rings_enable(struct call_rings *);
void call_rings_disable(struct call_rings *);
/* Begins to empty the rings; both must live until destroy, or stop. */
int call_rings_start(struct call_rings *, struct merge *, struct files *);
void call_rings_stop(struct call_rings *);
void call_rings_destroy(struct call_rings *);
/* Empties the rings now: what calls refer to is looked at while it is there. */
void call_rings_look(struct call_rings *);
unsigned int call_rings_nr(const struct call_rings *);
/* Moves what has come in to the end of the caller's arrays, one per CPU. */
void call_rings_take(struct call_rings *, struct call_records *);

/* ---- call_stream.c ---- */

struct seen_call {
	uint64_t time_ns;
	pid_t tid;
	uint64_t lost; /* not a call: so many records are missing here */
	struct trace_call call; /* target is not filled in */
	pid_t target;
	struct call_ranges *ranges; /* process_madvise: one event each */
};

struct call_stream;

struct call_stream *call_stream_create(struct call_rings *);
void call_stream_destroy(struct call_stream *);
/*
 * Pairs what was recorded up to the moment until, by which all that happened
 * before must be in the rings and in *items, in the order of time.  Items that
 * start a process are moved to when the parent was copied.  Returns the moment
 * up to which nothing more will come: until, or earlier where a call that has
 * taken effect has not ended.
 */
uint64_t call_stream_run(struct call_stream *, struct item **items, uint64_t until);
/* The earliest call, or NULL; and on to the next. */
const struct seen_call *call_stream_first(const struct call_stream *);
void call_stream_pop(struct call_stream *);
/* Sentences about what could not be told, one after the other; NULL: no more. */
const char *call_stream_regret(const struct call_stream *, unsigned int i, char *text,
	size_t text_bytes);

#endif
