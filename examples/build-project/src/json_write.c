/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <stdio.h>

#include "json.h"

static void write_string(struct buffer *out, const char *text)
{
	buffer_print(out, "\"");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			buffer_print(out, "\\%c", c);
		else if (c == '\n')
			buffer_print(out, "\\n");
		else if (c < 0x20)
			buffer_print(out, "\\u%04x", c);
		else
			buffer_add(out, text, 1);
	}
	buffer_print(out, "\"");
}

static void write_number(struct buffer *out, double number)
{
	if (number == floor(number) && fabs(number) < 1e15)
		buffer_print(out, "%.0f", number);
	else
		buffer_print(out, "%.15g", number);
}

static void new_line(struct buffer *out, int indent, int depth)
{
	if (indent)
		buffer_print(out, "\n%*s", indent * depth, "");
}

static void write_value(struct buffer *out, const struct value *v, int indent, int depth)
{
	const char *brackets = v->kind == VALUE_ARRAY ? "[]" : "{}";

	switch (v->kind) {
	case VALUE_NULL:
		buffer_print(out, "null");
		return;
	case VALUE_BOOL:
		buffer_print(out, v->truth ? "true" : "false");
		return;
	case VALUE_NUMBER:
		write_number(out, v->number);
		return;
	case VALUE_STRING:
		write_string(out, v->string);
		return;
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		break;
	}
	buffer_add(out, brackets, 1);
	for (struct member *m = v->list.first; m; m = m->next) {
		new_line(out, indent, depth + 1);
		if (m->key) {
			write_string(out, m->key);
			buffer_print(out, indent ? ": " : ":");
		}
		write_value(out, m->value, indent, depth + 1);
		if (m->next)
			buffer_print(out, ",");
	}
	if (v->list.first)
		new_line(out, indent, depth);
	buffer_add(out, brackets + 1, 1);
}

void json_write(struct buffer *out, const struct value *v, int indent)
{
	write_value(out, v, indent, 0);
}
