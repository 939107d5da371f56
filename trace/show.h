/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists a recording as text. */
#ifndef QUIRE_TRACE_SHOW_H
#define QUIRE_TRACE_SHOW_H

#include <stdio.h>

#include "error.h"
#include "event.h"

struct show_options {
	bool events; /* one line per event */
	bool touches; /* with events: the touches too */
	bool maps; /* the maps of EXEC and MM_END under their events */
	bool summary; /* the header, and one line per process */
};

/* One line, with its newline. */
void show_event(FILE *out, const struct trace_event *event);
/* Lists path to out.  On damage the good part is listed first. */
int show_recording(FILE *out, const char *path, const struct show_options *options,
	struct trace_error *error);

#endif
