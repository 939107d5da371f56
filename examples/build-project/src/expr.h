/* SPDX-License-Identifier: BSD-2-Clause */
/* Expressions: their tree, how it is read and what it is worth. */
#ifndef JOT_EXPR_H
#define JOT_EXPR_H

#include "token.h"
#include "value.h"

enum expr_kind {
	EXPR_VALUE, EXPR_NAME, EXPR_MEMBER, EXPR_INDEX, EXPR_UNARY, EXPR_BINARY, EXPR_CHOICE,
	EXPR_CALL
};

#define EXPR_MAX_ARGUMENTS 8

struct expr {
	enum expr_kind kind;
	char sign[3];
	const char *name;
	struct value *value;
	struct expr *part[EXPR_MAX_ARGUMENTS];
	size_t nr_parts;
};

struct expr_error {
	const char *what;
	const char *at; /* in the text, or NULL */
};

struct expr *expr_parse(struct arena *, const char *text, struct expr_error *);
struct value *expr_eval(struct arena *, const struct expr *, const struct value *root,
	struct expr_error *);
/* NULL: no such function, or the wrong arguments; error tells which. */
struct value *call_function(struct arena *, const char *name, struct value **argument,
	size_t nr, struct expr_error *);

#endif
