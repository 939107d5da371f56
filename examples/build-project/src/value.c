/* SPDX-License-Identifier: BSD-2-Clause */
#include "value.h"

#include <string.h>

static struct value *new_value(struct arena *a, enum value_kind kind)
{
	struct value *v = arena_alloc(a, sizeof(*v));

	memset(v, 0, sizeof(*v));
	v->kind = kind;
	return v;
}

struct value *value_null(struct arena *a)
{
	return new_value(a, VALUE_NULL);
}

struct value *value_bool(struct arena *a, bool truth)
{
	struct value *v = new_value(a, VALUE_BOOL);

	v->truth = truth;
	return v;
}

struct value *value_number(struct arena *a, double number)
{
	struct value *v = new_value(a, VALUE_NUMBER);

	v->number = number;
	return v;
}

struct value *value_string(struct arena *a, const char *string)
{
	struct value *v = new_value(a, VALUE_STRING);

	v->string = string;
	return v;
}

struct value *value_list(struct arena *a, enum value_kind kind)
{
	struct value *v = new_value(a, kind);

	v->list.last = &v->list.first;
	return v;
}

void value_append(struct arena *a, struct value *list, const char *key, struct value *value)
{
	struct member *m = arena_alloc(a, sizeof(*m));

	m->key = key;
	m->value = value;
	m->next = NULL;
	*list->list.last = m;
	list->list.last = &m->next;
	list->list.nr++;
}

struct value *value_at(const struct value *list, size_t index)
{
	struct member *m = list->list.first;

	while (m && index--)
		m = m->next;
	return m ? m->value : NULL;
}

struct value *value_member(const struct value *object, const char *key)
{
	for (struct member *m = object->list.first; m; m = m->next)
		if (m->key && strcmp(m->key, key) == 0)
			return m->value;
	return NULL;
}

bool value_true(const struct value *v)
{
	switch (v->kind) {
	case VALUE_NULL:
		return false;
	case VALUE_BOOL:
		return v->truth;
	case VALUE_NUMBER:
		return v->number != 0;
	case VALUE_STRING:
		return v->string[0] != 0;
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		return v->list.nr != 0;
	}
	return false;
}

static int compare_lists(const struct value *a, const struct value *b)
{
	struct member *x = a->list.first, *y = b->list.first;

	for (; x && y; x = x->next, y = y->next) {
		int order = x->key && y->key ? strcmp(x->key, y->key) : 0;

		if (!order)
			order = value_compare(x->value, y->value);
		if (order)
			return order;
	}
	return (x != NULL) - (y != NULL);
}

int value_compare(const struct value *a, const struct value *b)
{
	int order;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	switch (a->kind) {
	case VALUE_NULL:
		return 0;
	case VALUE_BOOL:
		return a->truth - b->truth;
	case VALUE_NUMBER:
		return (a->number > b->number) - (a->number < b->number);
	case VALUE_STRING:
		order = strcmp(a->string, b->string);
		return (order > 0) - (order < 0);
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		return compare_lists(a, b);
	}
	return 0;
}

const char *value_kind_name(enum value_kind kind)
{
	static const char *const names[] = {
		"null", "boolean", "number", "string", "array", "object",
	};

	return names[kind];
}
