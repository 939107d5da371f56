/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A maple tree beside a plain array that says the same.
 *
 * The array covers the indexes [base, base + nr); everywhere else the tree is
 * to be empty.  Each store writes an entry that was never used before, so that
 * equal neighbours in the array are one range.
 */
#ifndef MODEL_MAPLE_WORLD_H
#define MODEL_MAPLE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/machine.h>
#include <quire/testing.h>

#include "tree/maple.h"

#define WORLD_MAX 4096u
#define WORLD_BYTES (UINT64_C(1) << (PAGE_SHIFT < 12 ? 25 : 26))

struct world {
	struct phys phys;
	struct objcache nodes;
	struct maple_tree tree;
	u64 base;
	u32 nr;
	u64 nr_stored;      /* entries made up so far */
	void *at[WORLD_MAX];
};

struct range {
	u64 first, last;
	void *entry;
};

static inline void world_init(struct world *w, u64 base, u32 nr, u32 flags)
{
	memset(w, 0, sizeof(*w));
	w->base = base;
	w->nr = nr;
	assert_true(nr <= WORLD_MAX && base + (nr - 1) >= base);
	assert_int_equal(phys_init(&w->phys, WORLD_BYTES >> PAGE_SHIFT, 1), 0);
	assert_int_equal(objcache_init(&w->nodes, &w->phys, "maple", maple_node_bytes(),
				       maple_node_align_bytes()), 0);
	maple_init(&w->tree, &w->nodes, flags);
}

/* Nothing may be left of the tree, or of nodes set aside. */
static inline void world_fini(struct world *w)
{
	maple_destroy(&w->tree);
	assert_true(maple_is_empty(&w->tree));
	mach_rcu_barrier();
	assert_int_equal(objcache_fini(&w->nodes), 0);
	assert_int_equal(phys_fini(&w->phys), 0);
}

static inline void *world_entry(struct world *w)
{
	return (void *)(uintptr_t)(++w->nr_stored << 2);
}

static inline void world_fill(struct world *w, u32 from, u32 to, void *entry)
{
	for (u32 i = from; i <= to; i++)
		w->at[i] = entry;
}

/* The range that holds element i. */
static inline struct range world_range(const struct world *w, u32 i)
{
	u32 from = i, to = i;
	struct range range;

	while (from > 0 && w->at[from - 1] == w->at[i])
		from--;
	while (to < w->nr - 1 && w->at[to + 1] == w->at[i])
		to++;
	range.entry = w->at[i];
	range.first = w->base + from;
	range.last = w->base + to;
	if (range.entry == NULL && from == 0)
		range.first = 0;
	if (range.entry == NULL && to == w->nr - 1)
		range.last = UINT64_MAX;
	return range;
}

/* The first entry at or after / last at or before element i; false: none. */
static inline bool world_up(const struct world *w, u32 i, struct range *ret)
{
	for (; i < w->nr; i++)
		if (w->at[i] != NULL) {
			*ret = world_range(w, i);
			return true;
		}
	return false;
}

static inline bool world_down(const struct world *w, u32 i, struct range *ret)
{
	for (;; i--) {
		if (w->at[i] != NULL) {
			*ret = world_range(w, i);
			return true;
		}
		if (i == 0)
			return false;
	}
}

/* The tree and the array agree on every range, and the tree on itself. */
static inline void world_compare(struct world *w)
{
	struct maple_cursor cur = maple_cursor(&w->tree, 0, 0);
	struct range range = { 0 };
	void *entry;
	u32 i = 0;

	maple_check(&w->tree);
	maple_for_each(&cur, entry, UINT64_MAX) {
		assert_true(world_up(w, i, &range));
		assert_ptr_equal(entry, range.entry);
		assert_int_equal(cur.first, range.first);
		assert_int_equal(cur.last, range.last);
		i = (u32)(range.last - w->base) + 1;
	}
	assert_true(!world_up(w, i, &range));
}

#endif
