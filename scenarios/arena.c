/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three address spaces have met on a large folio; two leave it, each in its own
 * way, while the third writes.  On the explore machine the rival's answers are
 * held against the page tables at the moment they are given (core/rmap/score.c;
 * world_end() looks at the verdicts).
 */
#include "scenarios/world.h"

#define HUGE QUIRE_PMD_SIZE
#define NR_USED 4u /* pages that hold something */

static int meet_under(struct world *w, const char *rival)
{
	int ret = world_begin_with(w, "sharing", rival);

	if (!ret)
		ret = map(w, BASE, HUGE / PAGE);
	if (!ret)
		ret = quire_madvise(w->mm, BASE, HUGE, QUIRE_MADV_HUGEPAGE);
	for (unsigned i = 0; i < NR_USED && !ret; i++)
		if (!put(w->mm, BASE + i * PAGE, (uint8_t)(i + 1)))
			ret = -QUIRE_ENOMEM;
	for (unsigned i = 0; i < 2 && !ret; i++)
		ret = quire_mm_fork(w->mm, &w->children[i]);
	return ret;
}

/* The first child splits its leaf by dropping a part and then the rest. */
static void leave_by_parts(struct world *w)
{
	scenario_expect(quire_munmap(w->children[0], BASE, PAGE) == 0);
	scenario_expect(quire_munmap(w->children[0], BASE + PAGE, HUGE - PAGE) == 0);
}

static void leave_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(put(w->mm, BASE + PAGE, 8));
		scenario_expect(put(w->mm, BASE + 2 * PAGE, 9));
	} else if (body == 1) {
		leave_by_parts(w);
	} else {
		exit_child(w, 1);
	}
}

static void leave_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 1);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 8);
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 9);
	scenario_expect(put(w->mm, BASE + 3 * PAGE, 7)); /* alone: one more answer */
	world_end(w);
}

#define ARENA_SCENARIO(id, rival)                                                       \
	static int id##_setup(void *state)                                              \
	{                                                                               \
		return meet_under(state, rival);                                        \
	}                                                                               \
	SCENARIO(id, "arena-" rival,                                                    \
		 "two leave a large folio while the third writes; " rival " judged", 3, \
		 struct world, id##_setup, leave_body, leave_finish)

ARENA_SCENARIO(arena_moments, "moments");
ARENA_SCENARIO(arena_one_word, "one-word");
ARENA_SCENARIO(arena_mm_ids, "mm-ids");
ARENA_SCENARIO(arena_rmap_ids, "rmap-ids");
ARENA_SCENARIO(arena_owner, "owner");
