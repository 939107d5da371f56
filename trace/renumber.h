/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Indexes by the order of the recording.
 *
 * The tracer numbers processes, threads and address spaces as it hears of
 * them.  Where a start is moved to the moment at which it happened, two of them
 * may change places; a file's indexes, though, are dense and ascend.  So they
 * are given anew as events are written.
 */
#ifndef QUIRE_TRACE_RENUMBER_H
#define QUIRE_TRACE_RENUMBER_H

#include "event.h"

struct renumber_map {
	uint32_t *to; /* by the tracer's index; TRACE_NONE: not met yet */
	uint32_t capacity, next;
};

struct renumber {
	struct renumber_map process, thread, mm;
};

/* False: no memory, and the event is as it was. */
bool renumber_event(struct renumber *, struct trace_event *);
void renumber_fini(struct renumber *);

#endif
