/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads and writes JSON (RFC 8259). */
#ifndef JOT_JSON_H
#define JOT_JSON_H

#include "buffer.h"
#include "value.h"

struct json_error {
	size_t line, column;
	const char *what;
};

/* NULL: *error says why. */
struct value *json_read(struct arena *, const char *text, struct json_error *error);
void json_write(struct buffer *, const struct value *, int indent);

#endif
