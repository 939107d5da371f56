/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes a recording.  Events go in by the order and rules of event.h; the
 * file appears under its name only when it is complete (output.h): until then
 * it is PATH.part, which is a readable recording up to its last whole block.
 * A FIFO or a device is written to as it is.
 */
#ifndef QUIRE_TRACE_WRITER_H
#define QUIRE_TRACE_WRITER_H

#include "error.h"
#include "event.h"

struct trace_writer;

/* header's strings are copied; version is filled in here. */
struct trace_writer *trace_writer_open(const char *path, const struct trace_header *,
	struct trace_error *);
/* Writes into memory instead; take the bytes with trace_writer_take. */
struct trace_writer *trace_writer_open_memory(const struct trace_header *,
	struct trace_error *);
/* A failure sticks: every later call returns it, and close does too. */
int trace_writer_put(struct trace_writer *, const struct trace_event *, struct trace_error *);
/* Closes the block being filled if its first event came that long ago, so that
 * what the file has is never much older. */
int trace_writer_flush(struct trace_writer *, uint64_t older_than_ns);
/* tell is called once, from within put or flush, when a write has failed. */
void trace_writer_on_failure(struct trace_writer *,
	void (*tell)(void *context, const struct trace_error *), void *context);
/*
 * Ends the recording, gives it its name, frees the writer (also on failure).
 * On failure what is good stays as PATH.part, and the message says so.
 */
int trace_writer_close(struct trace_writer *, struct trace_error *);
/* As close, for a writer into memory; the caller frees *bytes. */
int trace_writer_take(struct trace_writer *, void **bytes, size_t *len_bytes,
	struct trace_error *);
/* The recording cannot be completed, as error says: what is good stays as
 * PATH.part, which is added to the message.  Frees the writer. */
void trace_writer_abandon(struct trace_writer *, struct trace_error *error);
/* Throws the recording away and removes the file.  NULL is allowed. */
void trace_writer_discard(struct trace_writer *);
/* Bytes written to the file so far, and events put. */
uint64_t trace_writer_bytes(const struct trace_writer *);
uint64_t trace_writer_events(const struct trace_writer *);

#endif
