/* SPDX-License-Identifier: BSD-2-Clause */
/* What a running replay knows; shared by replay.c, calls.c and spaces.c. */
#ifndef REPLAY_STATE_H
#define REPLAY_STATE_H

#include "trace/reader.h"
#include "replay.h"

struct file_slot {
	struct quire_file *file;
	enum trace_file_kind kind;
	uint64_t bytes;
	uint64_t filled_bytes; /* the cache holds [0, filled) */
};

/* Indexed by the recording's mm index. */
struct space_slot {
	struct quire_mm *mm;  /* NULL: not there (unknown contents, or ended) */
	bool unknown;         /* what is mapped was not recorded */
	uint64_t start_us;
	uint32_t process, pid;
	char *name;
};

struct process_slot {
	uint32_t mm;
	uint32_t pid;
	uint64_t counted_faults; /* of Linux's count, already given to a space */
	/* counted_faults holds what exec itself filled, which belongs to the new
	 * space: each of its touches takes one away again. */
	bool counted_exec;
};

struct replay {
	const struct replay_options *options;
	struct replay_result *result;
	const struct trace_header *header;
	struct quire *q;
	struct file_slot *files;
	struct space_slot *spaces;
	struct process_slot *processes;
	uint32_t nr_files, nr_spaces, nr_processes; /* allocated slots */
	uint64_t sample_interval, until_sample;
	uint64_t ended_faults, ended_copies; /* of spaces that ended */
};

/* spaces.c: address spaces and files.  0 or negative errno (out of memory). */
int replay_add_file(struct replay *replay, const struct trace_file *file);
struct file_slot *replay_file_slot(struct replay *replay, uint32_t index);
/* The file's cache holds [0, end_bytes), as a warm page cache would. */
int replay_fill_file(struct file_slot *slot, uint64_t end_bytes);
int replay_start_process(struct replay *replay, const struct trace_event *event);
int replay_exec(struct replay *replay, const struct trace_event *event);
int replay_end_space(struct replay *replay, const struct trace_event *event);
void replay_end_process(struct replay *replay, const struct trace_event *event);
struct space_slot *replay_space_of(struct replay *replay, uint32_t process);

/* calls.c */
int replay_call(struct replay *replay, const struct trace_event *event);

/* A sentence for the report; only the first ones are kept. */
void replay_mismatch(struct replay *replay, const struct trace_event *event,
		     const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
