/* SPDX-License-Identifier: BSD-2-Clause */
#include "buffer.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void buffer_init(struct buffer *b)
{
	memset(b, 0, sizeof(*b));
}

static void reserve(struct buffer *b, size_t more)
{
	size_t want = b->capacity ? b->capacity : 256;

	while (want < b->len + more + 1)
		want *= 2;
	if (want == b->capacity)
		return;
	b->bytes = realloc(b->bytes, want);
	if (!b->bytes) {
		fprintf(stderr, "jot: out of memory\n");
		exit(2);
	}
	b->capacity = want;
}

void buffer_add(struct buffer *b, const char *bytes, size_t len)
{
	reserve(b, len);
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

void buffer_print(struct buffer *b, const char *format, ...)
{
	va_list measure, print;
	int len;

	va_start(measure, format);
	va_copy(print, measure);
	len = vsnprintf(NULL, 0, format, measure);
	va_end(measure);
	if (len > 0) {
		reserve(b, (size_t)len);
		vsnprintf(b->bytes + b->len, (size_t)len + 1, format, print);
		b->len += (size_t)len;
	}
	va_end(print);
}

void buffer_read(struct buffer *b, FILE *file)
{
	char chunk[4096];
	size_t got;

	while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		buffer_add(b, chunk, got);
}

const char *buffer_text(struct buffer *b)
{
	reserve(b, 0);
	b->bytes[b->len] = 0;
	return b->bytes;
}

void buffer_fini(struct buffer *b)
{
	free(b->bytes);
	buffer_init(b);
}
