/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of an expression. */
#ifndef JOT_TOKEN_H
#define JOT_TOKEN_H

#include <stddef.h>

enum token_kind {
	TOKEN_END, TOKEN_NUMBER, TOKEN_STRING, TOKEN_NAME, TOKEN_SIGN, TOKEN_BAD
};

struct token {
	enum token_kind kind;
	const char *start;
	size_t len;
	double number;
};

/* The token at *at, which moves past it. */
struct token token_next(const char **at);
int token_is(const struct token *, const char *text);

#endif
