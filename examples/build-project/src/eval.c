/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "buffer.h"
#include "expr.h"

struct eval {
	struct arena *arena;
	const struct value *root;
	struct expr_error *error;
};

static struct value *eval(struct eval *, const struct expr *);

static struct value *fail(struct eval *v, const char *what)
{
	if (!v->error->what)
		v->error->what = what;
	return NULL;
}

static struct value *member(struct eval *v, const struct value *of, const char *name)
{
	struct value *found;

	if (of->kind != VALUE_OBJECT)
		return fail(v, "not an object");
	found = value_member(of, name);
	return found ? found : value_null(v->arena);
}

static struct value *element(struct eval *v, const struct value *of, const struct value *index)
{
	struct value *found;
	double i;

	if (of->kind == VALUE_OBJECT && index->kind == VALUE_STRING)
		return member(v, of, index->string);
	if (of->kind != VALUE_ARRAY || index->kind != VALUE_NUMBER)
		return fail(v, "this cannot be indexed so");
	i = index->number < 0 ? index->number + (double)of->list.nr : index->number;
	found = i < 0 ? NULL : value_at(of, (size_t)i);
	return found ? found : value_null(v->arena);
}

static struct value *add(struct eval *v, const struct value *a, const struct value *b)
{
	struct buffer text;
	struct value *sum;

	if (a->kind == VALUE_NUMBER && b->kind == VALUE_NUMBER)
		return value_number(v->arena, a->number + b->number);
	if (a->kind == VALUE_ARRAY && b->kind == VALUE_ARRAY) {
		sum = value_list(v->arena, VALUE_ARRAY);
		for (struct member *m = a->list.first; m; m = m->next)
			value_append(v->arena, sum, NULL, m->value);
		for (struct member *m = b->list.first; m; m = m->next)
			value_append(v->arena, sum, NULL, m->value);
		return sum;
	}
	if (a->kind != VALUE_STRING || b->kind != VALUE_STRING)
		return fail(v, "these cannot be added");
	buffer_init(&text);
	buffer_print(&text, "%s%s", a->string, b->string);
	sum = value_string(v->arena, arena_copy(v->arena, buffer_text(&text), text.len));
	buffer_fini(&text);
	return sum;
}

static struct value *arithmetic(struct eval *v, char sign, const struct value *a,
	const struct value *b)
{
	double x = a->number, y = b->number;

	if (sign == '+')
		return add(v, a, b);
	if (a->kind != VALUE_NUMBER || b->kind != VALUE_NUMBER)
		return fail(v, "not a number");
	switch (sign) {
	case '-':
		return value_number(v->arena, x - y);
	case '*':
		return value_number(v->arena, x * y);
	case '/':
		return y == 0 ? fail(v, "division by zero") : value_number(v->arena, x / y);
	case '%':
		return y == 0 ? fail(v, "division by zero") :
			value_number(v->arena, fmod(x, y));
	default:
		return value_number(v->arena, pow(x, y));
	}
}

static struct value *compare(struct eval *v, const char *sign, int order)
{
	bool truth;

	if (strcmp(sign, "==") == 0)
		truth = order == 0;
	else if (strcmp(sign, "!=") == 0)
		truth = order != 0;
	else if (sign[0] == '<')
		truth = order < 0 || (sign[1] == '=' && order == 0);
	else
		truth = order > 0 || (sign[1] == '=' && order == 0);
	return value_bool(v->arena, truth);
}

static struct value *eval_binary(struct eval *v, const struct expr *e)
{
	struct value *a = eval(v, e->part[0]), *b;

	if (!a)
		return NULL;
	if (strcmp(e->sign, "&&") == 0 && !value_true(a))
		return a;
	if (strcmp(e->sign, "||") == 0 && value_true(a))
		return a;
	b = eval(v, e->part[1]);
	if (!b || e->sign[0] == '&' || e->sign[0] == '|')
		return b;
	if (strchr("<>=!", e->sign[0]))
		return compare(v, e->sign, value_compare(a, b));
	return arithmetic(v, e->sign[0], a, b);
}

static struct value *eval_unary(struct eval *v, const struct expr *e)
{
	struct value *a = eval(v, e->part[0]);

	if (!a)
		return NULL;
	if (e->sign[0] == '!')
		return value_bool(v->arena, !value_true(a));
	if (a->kind != VALUE_NUMBER)
		return fail(v, "not a number");
	return value_number(v->arena, -a->number);
}

static struct value *eval_call(struct eval *v, const struct expr *e)
{
	struct value *argument[EXPR_MAX_ARGUMENTS];

	for (size_t i = 0; i < e->nr_parts; i++) {
		argument[i] = eval(v, e->part[i]);
		if (!argument[i])
			return NULL;
	}
	return call_function(v->arena, e->name, argument, e->nr_parts, v->error);
}

static struct value *eval_parts(struct eval *v, const struct expr *e)
{
	struct value *a = eval(v, e->part[0]), *b;

	if (!a)
		return NULL;
	if (e->kind == EXPR_MEMBER)
		return member(v, a, e->name);
	if (e->kind == EXPR_CHOICE)
		return eval(v, e->part[value_true(a) ? 1 : 2]);
	b = eval(v, e->part[1]);
	return b ? element(v, a, b) : NULL;
}

static struct value *eval(struct eval *v, const struct expr *e)
{
	switch (e->kind) {
	case EXPR_VALUE:
		return e->value;
	case EXPR_NAME:
		return member(v, v->root, e->name);
	case EXPR_UNARY:
		return eval_unary(v, e);
	case EXPR_BINARY:
		return eval_binary(v, e);
	case EXPR_CALL:
		return eval_call(v, e);
	default:
		return eval_parts(v, e);
	}
}

struct value *expr_eval(struct arena *a, const struct expr *e, const struct value *root,
	struct expr_error *error)
{
	struct eval v = { .arena = a, .root = root, .error = error };

	return eval(&v, e);
}
