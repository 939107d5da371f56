/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <string.h>

#include "expr.h"
#include "sort.h"
#include "utf8.h"

typedef struct value *function(struct arena *, struct value **);

static struct value *do_sum(struct arena *a, struct value **v)
{
	double sum = 0;

	for (struct member *m = v[0]->list.first; m; m = m->next)
		if (m->value->kind == VALUE_NUMBER)
			sum += m->value->number;
	return value_number(a, sum);
}

static struct value *extreme(struct arena *a, const struct value *list, int sign)
{
	struct value *best = NULL;

	for (struct member *m = list->list.first; m; m = m->next)
		if (!best || value_compare(m->value, best) * sign > 0)
			best = m->value;
	return best ? best : value_null(a);
}

static struct value *do_min(struct arena *a, struct value **v)
{
	return extreme(a, v[0], -1);
}

static struct value *do_max(struct arena *a, struct value **v)
{
	return extreme(a, v[0], 1);
}

static struct value *do_sort(struct arena *a, struct value **v)
{
	return sort_list(a, v[0]);
}

static struct value *do_keys(struct arena *a, struct value **v)
{
	struct value *keys = value_list(a, VALUE_ARRAY);

	for (struct member *m = v[0]->list.first; m; m = m->next)
		value_append(a, keys, NULL, value_string(a, m->key));
	return keys;
}

static struct value *do_length(struct arena *a, struct value **v)
{
	return value_number(a, (double)utf8_length(v[0]->string));
}

static struct value *do_count(struct arena *a, struct value **v)
{
	return value_number(a, (double)v[0]->list.nr);
}

static struct value *do_sqrt(struct arena *a, struct value **v)
{
	return value_number(a, sqrt(v[0]->number));
}

static struct value *do_floor(struct arena *a, struct value **v)
{
	return value_number(a, floor(v[0]->number));
}

static const struct {
	const char *name;
	enum value_kind takes;
	function *run;
} functions[] = {
	{ "sum", VALUE_ARRAY, do_sum },
	{ "min", VALUE_ARRAY, do_min },
	{ "max", VALUE_ARRAY, do_max },
	{ "sort", VALUE_ARRAY, do_sort },
	{ "count", VALUE_ARRAY, do_count },
	{ "keys", VALUE_OBJECT, do_keys },
	{ "length", VALUE_STRING, do_length },
	{ "sqrt", VALUE_NUMBER, do_sqrt },
	{ "floor", VALUE_NUMBER, do_floor },
};

struct value *call_function(struct arena *a, const char *name, struct value **argument,
	size_t nr, struct expr_error *error)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (strcmp(functions[i].name, name) != 0)
			continue;
		if (nr == 1 && argument[0]->kind == functions[i].takes)
			return functions[i].run(a, argument);
		error->what = "a function got the wrong arguments";
		return NULL;
	}
	error->what = "no such function";
	return NULL;
}
