/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The museum: designs that are known to be wrong, switched on by their decision,
 * each beside a sound one.  A checker that misses these proves nothing.
 */
#include "scenarios/world.h"

/* ---- fork-undo: letter 004_b20df14de9f2b197.txt ------------------------------------- */

/* VMAs that share tables, so that the first one not done lies in a table that
 * the undo has to free. */
static int fork_undo_setup(struct world *w, const char *alternative)
{
	int ret = world_begin_with(w, "fork-undo", alternative);

	for (uint64_t i = 0; i < 3 && !ret; i++) {
		ret = map(w, BASE + 2 * i * PAGE, 1);
		if (!ret && !put(w->mm, BASE + 2 * i * PAGE, (uint8_t)(i + 1)))
			ret = -QUIRE_ENOMEM;
	}
	return ret;
}

static int fork_undo_limit_setup(void *state)
{
	return fork_undo_setup(state, "own-limit-and-ceiling");
}

static int fork_undo_marker_setup(void *state)
{
	return fork_undo_setup(state, "marker");
}

static int fork_undo_next_setup(void *state)
{
	return fork_undo_setup(state, "next-as-ceiling");
}

static void fork_undo_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		w->forked = quire_mm_fork(w->mm, &w->children[0]);
	else
		w->seen[1] = put(w->mm, BASE + 2 * PAGE, 9);
}

static void fork_undo_finish(void *state)
{
	struct world *w = state;

	scenario_expect(w->forked == 0 || w->forked == -QUIRE_ENOMEM);
	scenario_expect(must_get(w->mm, BASE) == 1);
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == (w->seen[1] ? 9 : 2));
	scenario_expect(must_get(w->mm, BASE + 4 * PAGE) == 3);
	world_end(w);
}

#define FORK_UNDO_SCENARIO(id, text, what, bug)                                      \
	SCENARIO(id, text, what, 2, struct world, id##_setup, fork_undo_body, fork_undo_finish, \
		 .finds = bug, .fail_each = true)

FORK_UNDO_SCENARIO(fork_undo_limit, "fork-undo-limit",
		   "a fork that fails anywhere is undone up to its own limit", NULL);
FORK_UNDO_SCENARIO(fork_undo_marker, "fork-undo-marker",
		   "a fork that fails anywhere is undone up to a marker", NULL);
FORK_UNDO_SCENARIO(fork_undo_next, "fork-undo-next",
		   "undone with the next VMA as the ceiling: page tables leak", "leak");

/* ---- cow-reuse: CVE-2020-29374 --------------------------------------------------------- */

/*
 * The child keeps a reference to the page it shares with its parent, as
 * vmsplice did, and unmaps it.  The parent's store must not reach the child.
 */
static int vmsplice_setup(struct world *w, const char *alternative)
{
	int ret = world_begin_with(w, "cow-reuse", alternative);

	if (!ret)
		ret = map_filled(w, 1);
	return ret ? ret : quire_mm_fork(w->mm, &w->children[0]);
}

static int vmsplice_exclusive_setup(void *state)
{
	return vmsplice_setup(state, "refcount+exclusive");
}

static int vmsplice_mapcount_setup(void *state)
{
	return vmsplice_setup(state, "mapcount");
}

static void vmsplice_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_pin *pin;
	uint8_t byte = 0;

	if (body == 0) {
		scenario_expect(put(w->mm, BASE, 2));
		return;
	}
	scenario_expect(quire_pin_pages(w->children[0], BASE, 1, QUIRE_PIN_GET_ONLY,
					&pin) == 0);
	scenario_expect(quire_munmap(w->children[0], BASE, PAGE) == 0);
	scenario_expect(quire_pin_read(pin, 0, &byte, 1) == 0);
	w->seen[0] = byte;
	scenario_expect(quire_pin_read(pin, 0, &byte, 1) == 0);
	w->seen[1] = byte;
	quire_unpin(pin);
}

static void vmsplice_finish(void *state)
{
	struct world *w = state;

	if (w->seen[0] != 1 || w->seen[1] != 1)
		scenario_fail("the child read %u, which its parent stored after the fork",
			      w->seen[0] == 1 ? w->seen[1] : w->seen[0]);
	scenario_expect(must_get(w->mm, BASE) == 2);
	world_end(w);
}

#define VMSPLICE_SCENARIO(id, text, what, bug)                                     \
	SCENARIO(id, text, what, 2, struct world, id##_setup, vmsplice_body, vmsplice_finish, \
		 .finds = bug)

VMSPLICE_SCENARIO(vmsplice_exclusive, "vmsplice-exclusive",
		  "a parent stores while its child holds a reference to their page", NULL);
VMSPLICE_SCENARIO(vmsplice_mapcount, "vmsplice-mapcount",
		  "the same, pages mapped once being reused: the child sees the store", "check");
