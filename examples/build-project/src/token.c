/* SPDX-License-Identifier: BSD-2-Clause */
#include "token.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static size_t sign_length(const char *at)
{
	static const char *const two[] = { "<=", ">=", "==", "!=", "&&", "||" };

	for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++)
		if (strncmp(at, two[i], 2) == 0)
			return 2;
	return *at && strchr("+-*/%^()[].,<>!?:", *at) ? 1 : 0;
}

static size_t string_length(const char *at)
{
	const char *close = strchr(at + 1, *at);

	return close ? (size_t)(close - at) + 1 : 0;
}

struct token token_next(const char **at)
{
	struct token t = { .kind = TOKEN_BAD };
	char *end;

	while (isspace((unsigned char)**at))
		++*at;
	t.start = *at;
	if (!*t.start) {
		t.kind = TOKEN_END;
	} else if (isdigit((unsigned char)*t.start)) {
		t.kind = TOKEN_NUMBER;
		t.number = strtod(t.start, &end);
		t.len = (size_t)(end - t.start);
	} else if (isalpha((unsigned char)*t.start) || *t.start == '_') {
		t.kind = TOKEN_NAME;
		while (isalnum((unsigned char)t.start[t.len]) || t.start[t.len] == '_')
			t.len++;
	} else if (*t.start == '"' || *t.start == '\'') {
		t.len = string_length(t.start);
		if (t.len)
			t.kind = TOKEN_STRING;
	} else {
		t.len = sign_length(t.start);
		if (t.len)
			t.kind = TOKEN_SIGN;
	}
	*at += t.len;
	return t;
}

int token_is(const struct token *t, const char *text)
{
	return t->kind == TOKEN_SIGN && strlen(text) == t->len &&
		memcmp(t->start, text, t->len) == 0;
}
