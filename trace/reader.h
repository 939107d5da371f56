/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a recording, one event after the other.
 *
 * Any bytes at all may be fed to it: what is not a good recording is an error
 * that names the file and the byte, never a crash, and every event before the
 * damage is delivered first.  What it delivers keeps the promises of event.h:
 * indexes were introduced before they are used, enums are in range, maps
 * ascend, strings end.
 *
 *	struct trace_error error = { 0 };
 *	struct trace_reader *r = trace_reader_open(path, &error);
 *	const struct trace_event *event;
 *	int got;
 *
 *	if (!r) ...
 *	while ((got = trace_reader_next(r, &event, &error)) > 0)
 *		...
 *	if (got < 0)
 *		fprintf(stderr, "quire: %s\n", error.message);
 *	trace_reader_close(r);
 */
#ifndef QUIRE_TRACE_READER_H
#define QUIRE_TRACE_READER_H

#include "error.h"
#include "event.h"

struct trace_reader;

/* NULL: error says why.  path "-" is standard input. */
struct trace_reader *trace_reader_open(const char *path, struct trace_error *);
/* Reads from memory, which must stay; name stands in messages. */
struct trace_reader *trace_reader_open_memory(const void *bytes, size_t len_bytes,
	const char *name, struct trace_error *);
/* Valid until close. */
const struct trace_header *trace_reader_header(const struct trace_reader *);
/*
 * 1: *event is set, and stays valid until the next call.  0: the end, and the
 * recording is complete.  Negative: damage here; calling again gives the same.
 */
int trace_reader_next(struct trace_reader *, const struct trace_event **event,
	struct trace_error *);
/* How many of each were introduced so far. */
uint32_t trace_reader_nr_processes(const struct trace_reader *);
uint32_t trace_reader_nr_threads(const struct trace_reader *);
uint32_t trace_reader_nr_mms(const struct trace_reader *);
uint32_t trace_reader_nr_files(const struct trace_reader *);
/* Events so far of a kind that a newer recorder wrote and this reader does not
 * know: passed over. */
uint64_t trace_reader_nr_skipped(const struct trace_reader *);
/* NULL is allowed. */
void trace_reader_close(struct trace_reader *);

#endif
