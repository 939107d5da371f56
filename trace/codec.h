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
	uint32_t version; /* of the format; encoding: the newest */
	bool unknown; /* decoding: the event was of an unknown kind, and passed over */
	const char *wrong; /* the first thing that did not fit, or NULL */
	int err; /* positive errno that goes with it */
	uint8_t *buffer; /* decoding: never written */
	size_t at; /* next byte */
	size_t len_bytes; /* decoding: end of the bytes */
	size_t capacity_bytes; /* encoding: of the buffer, which grows */
	uint8_t *body; /* encoding: of an event whose length comes first */
	size_t body_bytes; /* its capacity */
	struct trace_map *maps; /* decoding: storage of an event's maps */
	size_t maps_capacity;
};

/* The calls of a file, by the number that they have in it. */
#define CODEC_MAX_CALLS 1024

struct codec_call {
	enum trace_call_nr nr; /* ours, or TRACE_OTHER */
	uint64_t fields; /* bit n: TRACE_ARG n is stored; in this order */
	const char *name;
};

struct codec_calls {
	uint32_t nr;
	struct codec_call call[CODEC_MAX_CALLS];
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
	struct codec_calls calls;
};

void codec_init_encoder(struct codec *);
void codec_init_decoder(struct codec *, uint32_t version, const void *bytes, size_t len_bytes);
void codec_fini(struct codec *);

/* Decoding: fills *header and *calls, whose strings point into the bytes. */
void codec_header(struct codec *, uint32_t version, struct trace_header *header,
	struct codec_calls *calls);
/* Decoding: fills *event.  Returns false when the event or its bytes break a
 * rule; c->wrong then says which.  c->unknown: there was an event, but of a kind
 * that nobody here knows. */
bool codec_event(struct codec *, struct trace_state *, struct trace_event *event);

void trace_state_init(struct trace_state *, uint64_t page_bytes);
void trace_state_fini(struct trace_state *);

#endif
