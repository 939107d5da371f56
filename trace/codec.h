/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of events and of the header, in both directions.
 *
 * One walk over the fields serves writing and reading: codec_header and
 * codec_event call codec_u64 and its kin, which put the field into the buffer
 * or take it out.  So the two directions cannot drift apart.
 *
 * Numbers are LEB128 varints.  Numbers that may be "unknown" or "none" (all
 * ones) are stored plus one, so that the exception is a single 0 byte.
 * Signed numbers are zigzag.  Strings are a length, the bytes and a NUL, so
 * that a decoded string can point into the buffer.
 */
#ifndef QUIRE_TRACE_CODEC_H
#define QUIRE_TRACE_CODEC_H

#include "event.h"

struct codec {
	bool decoding;
	const char *wrong; /* the first thing that did not fit, or NULL */
	int err; /* positive errno that goes with it */
	uint8_t *buffer; /* decoding: never written */
	size_t at; /* next byte */
	size_t len_bytes; /* decoding: end of the bytes */
	size_t capacity_bytes; /* encoding: of the buffer, which grows */
	struct trace_map *maps; /* decoding: storage of an event's maps */
	size_t maps_capacity;
};

/*
 * What both ends must agree on while events go by: who exists, and the bases
 * of the deltas.  It also is the judge of event.h's rule 2.
 */
struct trace_state_thread {
	uint32_t process;
	bool alive;
	uint64_t page; /* of its last touch, in pages */
};

struct trace_state_process {
	uint32_t mm;
	uint32_t nr_threads; /* alive */
};

struct trace_state {
	uint64_t page_bytes;
	uint64_t time_us;
	uint32_t thread; /* of the last event that had one */
	uint32_t nr_threads, nr_processes, nr_mms, nr_files;
	uint32_t threads_capacity, processes_capacity;
	struct trace_state_thread *threads;
	struct trace_state_process *processes;
};

void codec_init_encoder(struct codec *);
void codec_init_decoder(struct codec *, const void *bytes, size_t len_bytes);
void codec_fini(struct codec *);

void codec_header(struct codec *, struct trace_header *);
/* Decoding: fills *event.  Returns false when the event or its bytes break a
 * rule; c->wrong then says which. */
bool codec_event(struct codec *, struct trace_state *, struct trace_event *event);

void trace_state_init(struct trace_state *, uint64_t page_bytes);
void trace_state_fini(struct trace_state *);

#endif
