/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a file that a command writes goes.  What stands under the name is never
 * damaged: a regular file is replaced in one step and only by a whole one, a
 * symbolic link is followed, and what is no regular file (a FIFO, a terminal,
 * /dev/full, what a link of /proc leads to) is written to and stays what it is.
 * Folders and block devices are refused.
 *
 * Until it is whole a file is called NAME.part, or NAME.part.2 and so on where
 * that is taken: two writers never share one, and none takes over what a killed
 * one has left.
 */
#ifndef QUIRE_TRACE_OUTPUT_H
#define QUIRE_TRACE_OUTPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "error.h"

struct output {
	FILE *file;
	char *path; /* as the user said it */
	char *target; /* what is to be replaced, links followed; NULL: written directly */
	char *part; /* its name until then; NULL: likewise */
	bool replaces; /* there is a file under that name already */
};

/* 0 or a negative errno; then there is nothing to close. */
int output_open(struct output *, const char *path, struct trace_error *);
/* Closes the file and gives it its name.  On failure it stays as o->part. */
int output_commit(struct output *, struct trace_error *);
/* Closes the file, cut to its first bytes, and leaves it as o->part. */
void output_keep(struct output *, uint64_t bytes);
/* Closes and removes the file; after output_commit and output_keep it only
 * frees the names. */
void output_fini(struct output *);

#endif
