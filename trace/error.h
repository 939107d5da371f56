/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the functions of trace/ tell what went wrong: a negative errno as the
 * result and, in a struct the caller owns, a sentence that names the file and
 * the place.  The sentence is ready to print after "quire: ".
 */
#ifndef QUIRE_TRACE_ERROR_H
#define QUIRE_TRACE_ERROR_H

#include <stdarg.h>
#include <stdint.h>

struct trace_error {
	int err; /* positive errno; 0: nothing happened yet */
	uint64_t offset; /* byte in a recording, or line of a log; 0: none */
	char message[512];
};

/* Fills e (which may be NULL) unless it already tells of an earlier error;
 * returns -err. */
int trace_fail(struct trace_error *e, int err, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
