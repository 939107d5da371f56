/* SPDX-License-Identifier: BSD-2-Clause */
/* What JSON and expressions are made of. */
#ifndef JOT_VALUE_H
#define JOT_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

enum value_kind { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_ARRAY, VALUE_OBJECT };

struct value;

struct member {
	const char *key; /* NULL in an array */
	struct value *value;
	struct member *next;
};

struct value {
	enum value_kind kind;
	union {
		bool truth;
		double number;
		const char *string;
		struct {
			struct member *first, **last;
			size_t nr;
		} list;
	};
};

struct value *value_null(struct arena *);
struct value *value_bool(struct arena *, bool);
struct value *value_number(struct arena *, double);
struct value *value_string(struct arena *, const char *);
struct value *value_list(struct arena *, enum value_kind);
void value_append(struct arena *, struct value *list, const char *key, struct value *);
struct value *value_at(const struct value *list, size_t index);
struct value *value_member(const struct value *object, const char *key);
bool value_true(const struct value *);
/* -1, 0, 1; values of different kinds are ordered by kind. */
int value_compare(const struct value *, const struct value *);
const char *value_kind_name(enum value_kind);

#endif
