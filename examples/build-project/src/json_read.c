/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

#define MAX_DEPTH 200

struct reader {
	struct arena *arena;
	const char *start, *at;
	int depth;
	const char *wrong;
};

static struct value *read_value(struct reader *);

static void *fail(struct reader *r, const char *what)
{
	if (!r->wrong)
		r->wrong = what;
	return NULL;
}

static void skip_space(struct reader *r)
{
	while (*r->at && strchr(" \t\r\n", *r->at))
		r->at++;
}

static bool take(struct reader *r, char c)
{
	skip_space(r);
	if (*r->at != c)
		return false;
	r->at++;
	return true;
}

static int hex4(struct reader *r)
{
	char digits[5] = { 0 };
	char *end;
	long code;

	for (int i = 0; i < 4; i++) {
		if (!r->at[i])
			return -1;
		digits[i] = r->at[i];
	}
	code = strtol(digits, &end, 16);
	if (*end || digits[0] == '+' || digits[0] == '-' || digits[0] == ' ')
		return -1;
	r->at += 4;
	return (int)code;
}

static bool read_unicode(struct reader *r, struct buffer *out)
{
	int code = hex4(r), low;
	char bytes[4];

	if (code >= 0xd800 && code < 0xdc00) {
		if (r->at[0] != '\\' || r->at[1] != 'u')
			return false;
		r->at += 2;
		low = hex4(r);
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	if (code <= 0 || (code >= 0xdc00 && code <= 0xdfff))
		return false;
	buffer_add(out, bytes, utf8_encode((unsigned int)code, bytes));
	return true;
}

static bool read_escape(struct reader *r, struct buffer *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = *r->at++;
	const char *found;

	if (c == 'u')
		return read_unicode(r, out);
	found = c ? strchr(from, c) : NULL;
	if (!found)
		return false;
	buffer_add(out, &to[found - from], 1);
	return true;
}

static const char *read_string(struct reader *r)
{
	struct buffer out;
	const char *copy;

	buffer_init(&out);
	while (*r->at != '"') {
		if ((unsigned char)*r->at < 0x20) {
			fail(r, "a string does not end");
			break;
		}
		if (*r->at != '\\') {
			buffer_add(&out, r->at++, 1);
			continue;
		}
		r->at++;
		if (!read_escape(r, &out)) {
			fail(r, "a bad escape");
			break;
		}
	}
	if (!r->wrong)
		r->at++;
	copy = arena_copy(r->arena, buffer_text(&out), out.len);
	buffer_fini(&out);
	return copy;
}

static struct value *read_list(struct reader *r, enum value_kind kind, char close)
{
	struct value *list = value_list(r->arena, kind);

	if (++r->depth > MAX_DEPTH)
		return fail(r, "nested too deeply");
	while (!r->wrong && !take(r, close)) {
		const char *key = NULL;
		struct value *v;

		if (list->list.nr && !take(r, ','))
			return fail(r, "a comma is missing");
		if (kind == VALUE_OBJECT) {
			if (!take(r, '"'))
				return fail(r, "a key is missing");
			key = read_string(r);
			if (!take(r, ':'))
				return fail(r, "a colon is missing");
		}
		v = read_value(r);
		if (!v)
			return NULL;
		value_append(r->arena, list, key, v);
	}
	r->depth--;
	return list;
}

static struct value *read_number(struct reader *r)
{
	char *end;
	double number;

	errno = 0;
	number = strtod(r->at, &end);
	if (end == r->at || errno == ERANGE)
		return fail(r, "not a number");
	r->at = end;
	return value_number(r->arena, number);
}

static bool word(struct reader *r, const char *w)
{
	size_t len = strlen(w);

	if (strncmp(r->at, w, len) != 0)
		return false;
	r->at += len;
	return true;
}

static struct value *read_value(struct reader *r)
{
	skip_space(r);
	if (take(r, '{'))
		return read_list(r, VALUE_OBJECT, '}');
	if (take(r, '['))
		return read_list(r, VALUE_ARRAY, ']');
	if (take(r, '"'))
		return value_string(r->arena, read_string(r));
	if (word(r, "true"))
		return value_bool(r->arena, true);
	if (word(r, "false"))
		return value_bool(r->arena, false);
	if (word(r, "null"))
		return value_null(r->arena);
	return read_number(r);
}

struct value *json_read(struct arena *a, const char *text, struct json_error *error)
{
	struct reader r = { .arena = a, .start = text, .at = text };
	struct value *v = read_value(&r);

	skip_space(&r);
	if (!r.wrong && *r.at)
		fail(&r, "something follows the value");
	if (!r.wrong)
		return v;
	error->what = r.wrong;
	error->line = error->column = 1;
	for (const char *c = text; c < r.at && *c; c++) {
		error->column++;
		if (*c == '\n') {
			error->line++;
			error->column = 1;
		}
	}
	return NULL;
}
