/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "expr.h"

struct parser {
	struct arena *arena;
	const char *at;
	struct token token;
	struct expr_error *error;
};

static struct expr *parse_choice(struct parser *);

static void advance(struct parser *p)
{
	p->token = token_next(&p->at);
}

static void *fail(struct parser *p, const char *what)
{
	if (!p->error->what) {
		p->error->what = what;
		p->error->at = p->token.start;
	}
	return NULL;
}

static struct expr *node(struct parser *p, enum expr_kind kind, struct expr *a, struct expr *b)
{
	struct expr *e = arena_alloc(p->arena, sizeof(*e));

	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->part[0] = a;
	e->part[1] = b;
	e->nr_parts = b ? 2 : a ? 1 : 0;
	return e;
}

static bool accept(struct parser *p, const char *sign)
{
	if (!token_is(&p->token, sign))
		return false;
	advance(p);
	return true;
}

static struct expr *parse_call(struct parser *p, struct expr *e)
{
	e->kind = EXPR_CALL;
	while (!accept(p, ")")) {
		if (e->nr_parts == EXPR_MAX_ARGUMENTS)
			return fail(p, "too many arguments");
		if (e->nr_parts && !accept(p, ","))
			return fail(p, "a comma or ) is missing");
		e->part[e->nr_parts] = parse_choice(p);
		if (!e->part[e->nr_parts++])
			return NULL;
	}
	return e;
}

static struct expr *parse_name(struct parser *p)
{
	struct expr *e = node(p, EXPR_NAME, NULL, NULL);

	e->name = arena_copy(p->arena, p->token.start, p->token.len);
	advance(p);
	return accept(p, "(") ? parse_call(p, e) : e;
}

static struct expr *parse_primary(struct parser *p)
{
	struct token t = p->token;
	struct expr *e;

	if (t.kind == TOKEN_NAME)
		return parse_name(p);
	if (accept(p, "(")) {
		e = parse_choice(p);
		return !e || accept(p, ")") ? e : fail(p, "a ) is missing");
	}
	if (t.kind != TOKEN_NUMBER && t.kind != TOKEN_STRING)
		return fail(p, "a value is missing");
	e = node(p, EXPR_VALUE, NULL, NULL);
	e->value = t.kind == TOKEN_NUMBER ? value_number(p->arena, t.number) :
		value_string(p->arena, arena_copy(p->arena, t.start + 1, t.len - 2));
	advance(p);
	return e;
}

static struct expr *parse_postfix(struct parser *p)
{
	struct expr *e = parse_primary(p);

	while (e) {
		if (accept(p, ".")) {
			if (p->token.kind != TOKEN_NAME)
				return fail(p, "a name is missing");
			e = node(p, EXPR_MEMBER, e, NULL);
			e->name = arena_copy(p->arena, p->token.start, p->token.len);
			advance(p);
		} else if (accept(p, "[")) {
			struct expr *index = parse_choice(p);

			if (!index || !accept(p, "]"))
				return fail(p, "a ] is missing");
			e = node(p, EXPR_INDEX, e, index);
		} else {
			break;
		}
	}
	return e;
}

static struct expr *parse_unary(struct parser *p)
{
	struct token t = p->token;
	struct expr *e;

	if (!accept(p, "-") && !accept(p, "!"))
		return parse_postfix(p);
	e = parse_unary(p);
	if (!e)
		return NULL;
	e = node(p, EXPR_UNARY, e, NULL);
	e->sign[0] = *t.start;
	return e;
}

static int precedence(const struct token *t)
{
	static const struct {
		const char *sign;
		int level;
	} table[] = {
		{ "||", 1 }, { "&&", 2 }, { "==", 3 }, { "!=", 3 }, { "<", 4 }, { ">", 4 },
		{ "<=", 4 }, { ">=", 4 }, { "+", 5 }, { "-", 5 }, { "*", 6 }, { "/", 6 },
		{ "%", 6 }, { "^", 7 },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (token_is(t, table[i].sign))
			return table[i].level;
	return 0;
}

static struct expr *parse_binary(struct parser *p, int least)
{
	struct expr *left = parse_unary(p);

	while (left) {
		struct token t = p->token;
		int level = precedence(&t);
		struct expr *right;

		if (!level || level < least)
			break;
		advance(p);
		right = parse_binary(p, *t.start == '^' ? level : level + 1);
		if (!right)
			return NULL;
		left = node(p, EXPR_BINARY, left, right);
		memcpy(left->sign, t.start, t.len);
	}
	return left;
}

static struct expr *parse_choice(struct parser *p)
{
	struct expr *e = parse_binary(p, 1), *yes, *no;

	if (!e || !accept(p, "?"))
		return e;
	yes = parse_choice(p);
	if (!yes || !accept(p, ":"))
		return fail(p, "a : is missing");
	no = parse_choice(p);
	if (!no)
		return NULL;
	e = node(p, EXPR_CHOICE, e, yes);
	e->part[2] = no;
	e->nr_parts = 3;
	return e;
}

struct expr *expr_parse(struct arena *a, const char *text, struct expr_error *error)
{
	struct parser p = { .arena = a, .at = text, .error = error };
	struct expr *e;

	advance(&p);
	e = parse_choice(&p);
	if (e && p.token.kind != TOKEN_END)
		return fail(&p, "something follows the expression");
	return e;
}
