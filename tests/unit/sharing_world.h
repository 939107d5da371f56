/* SPDX-License-Identifier: BSD-2-Clause */
/* A rival, some mms and one folio's state, for the tests of core/sharing. */
#ifndef SHARING_WORLD_H
#define SHARING_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sharing/sharing.h"

struct sharing_world {
	struct sharing sharing;
	struct sharing_mm *mms; /* mms[0] has id 1 */
	unsigned nr_mms;
	struct sharing_state state;
	unsigned order;
};

static inline void world_init(struct sharing_world *w, const struct sharing_ops *ops,
			      unsigned order, unsigned nr_mms)
{
	*w = (struct sharing_world){ .order = order, .nr_mms = nr_mms };
	assert_int_equal(sharing_init(&w->sharing, ops, nr_mms + 1), 0);
	w->mms = calloc(nr_mms, sizeof(*w->mms));
	assert_non_null(w->mms);
	for (unsigned i = 0; i < nr_mms; i++) {
		assert_int_equal(sharing_mm_init(&w->sharing, &w->mms[i]), 0);
		assert_int_equal(w->mms[i].id, i + 1);
	}
	assert_int_equal(sharing_folio_init(&w->sharing, &w->state, order), 0);
}

/* The folio is unmapped or forgotten. */
static inline void world_fini(struct sharing_world *w)
{
	for (unsigned i = 0; i < w->nr_mms; i++)
		assert_true(sharing_mm_put(&w->sharing, &w->mms[i]));
	assert_int_equal(sharing_fini(&w->sharing), 0);
	free(w->mms);
}

static inline int world_map(struct sharing_world *w, unsigned mm, u32 first, u32 nr)
{
	return sharing_map(&w->sharing, &w->state, w->order, &w->mms[mm], first, nr);
}

static inline void world_unmap(struct sharing_world *w, unsigned mm, u32 first, u32 nr)
{
	sharing_unmap(&w->sharing, &w->state, w->order, &w->mms[mm], first, nr);
}

static inline bool world_exclusive(struct sharing_world *w, unsigned mm)
{
	return sharing_exclusive(&w->sharing, &w->state, w->order, &w->mms[mm]);
}

static inline bool world_all_mine(struct sharing_world *w, unsigned mm,
				  const struct refcount *refs)
{
	return sharing_all_mine(&w->sharing, &w->state, w->order, &w->mms[mm], refs);
}

static inline bool world_shared(struct sharing_world *w)
{
	return sharing_shared(&w->sharing, &w->state, w->order);
}

static inline u32 world_mapcount(struct sharing_world *w)
{
	return sharing_mapcount(&w->sharing, &w->state);
}

/* Each rival that takes this order. */
#define for_each_rival(ops, order)                                              \
	for (const struct sharing_ops *const *ops##_at = sharing_rivals, *ops;  \
	     (ops = *ops##_at) != NULL; ops##_at++)                             \
		if ((order) >= ops->min_order && (order) <= ops->max_order)

static inline int world_attach(void **state)
{
	(void)state;
	return mach_attach();
}

static inline int world_detach(void **state)
{
	(void)state;
	mach_detach();
	return 0;
}

#endif
