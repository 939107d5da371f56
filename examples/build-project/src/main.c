/* SPDX-License-Identifier: BSD-2-Clause */
/* jot EXPRESSION < JSON: evaluates the expression over the JSON. */
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "expr.h"
#include "json.h"
#include "utf8.h"

static int run(struct arena *a, const char *expression, const char *text, struct buffer *out)
{
	struct json_error json = { 0 };
	struct expr_error error = { 0 };
	struct value *root = json_read(a, text, &json), *result;
	struct expr *e;

	if (!root) {
		fprintf(stderr, "jot: line %zu, column %zu: %s\n", json.line, json.column,
			json.what);
		return 1;
	}
	e = expr_parse(a, expression, &error);
	if (!e) {
		fprintf(stderr, "jot: at '%s': %s\n", error.at, error.what);
		return 1;
	}
	result = expr_eval(a, e, root, &error);
	if (!result) {
		fprintf(stderr, "jot: %s\n", error.what);
		return 1;
	}
	json_write(out, result, 2);
	buffer_print(out, "\n");
	return 0;
}

int main(int argc, char **argv)
{
	struct buffer in, out;
	struct arena arena;
	int failed;

	if (argc != 2) {
		fprintf(stderr, "usage: jot EXPRESSION < JSON\n");
		return 2;
	}
	buffer_init(&in);
	buffer_init(&out);
	arena_init(&arena);
	buffer_read(&in, stdin);
	if (!utf8_valid(buffer_text(&in))) {
		fprintf(stderr, "jot: the input is not UTF-8\n");
		return 1;
	}
	failed = run(&arena, argv[1], buffer_text(&in), &out);
	fputs(buffer_text(&out), stdout);
	arena_fini(&arena);
	buffer_fini(&out);
	buffer_fini(&in);
	return failed;
}
