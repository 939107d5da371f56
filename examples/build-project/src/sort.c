/* SPDX-License-Identifier: BSD-2-Clause */
#include "sort.h"

static struct member *merge(struct member *a, struct member *b)
{
	struct member *first = NULL, **last = &first;

	while (a && b) {
		struct member **less = value_compare(b->value, a->value) < 0 ? &b : &a;

		*last = *less;
		last = &(*less)->next;
		*less = (*less)->next;
	}
	*last = a ? a : b;
	return first;
}

static struct member *sort(struct member *list, size_t nr)
{
	struct member *half = list, *rest;

	if (nr < 2)
		return list;
	for (size_t i = 1; i < nr / 2; i++)
		half = half->next;
	rest = half->next;
	half->next = NULL;
	return merge(sort(list, nr / 2), sort(rest, nr - nr / 2));
}

struct value *sort_list(struct arena *a, const struct value *list)
{
	struct value *sorted = value_list(a, VALUE_ARRAY);

	for (struct member *m = list->list.first; m; m = m->next)
		value_append(a, sorted, NULL, m->value);
	sorted->list.first = sort(sorted->list.first, sorted->list.nr);
	for (sorted->list.last = &sorted->list.first; *sorted->list.last;)
		sorted->list.last = &(*sorted->list.last)->next;
	return sorted;
}
