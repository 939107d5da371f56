/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef JOT_SORT_H
#define JOT_SORT_H

#include "value.h"

/* A new array with the same elements, ascending; equal ones keep their order. */
struct value *sort_list(struct arena *, const struct value *list);

#endif
