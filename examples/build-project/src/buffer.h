/* SPDX-License-Identifier: BSD-2-Clause */
/* A string that grows. */
#ifndef JOT_BUFFER_H
#define JOT_BUFFER_H

#include <stddef.h>
#include <stdio.h>

struct buffer {
	char *bytes;
	size_t len, capacity;
};

void buffer_init(struct buffer *);
void buffer_add(struct buffer *, const char *bytes, size_t len);
void buffer_print(struct buffer *, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* All of a stream; its end is a NUL. */
void buffer_read(struct buffer *, FILE *);
const char *buffer_text(struct buffer *);
void buffer_fini(struct buffer *);

#endif
