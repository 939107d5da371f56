/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PMD leaves under calls that race: a leaf becomes a table, or comes, or goes,
 * while other CPUs use its pages.  What a program relies on is checked, and at the
 * end every invariant.
 *
 * In the tiny geometry a leaf maps four pages.  Where there is no memory for one
 * (4 KiB pages: a world has 512 frames) the same programs run on pages.
 */
#include "scenarios/world.h"

#define HUGE QUIRE_PMD_SIZE
#define NR_USED 4u /* pages of a range that are looked at */

static int map_huge(struct world *w, uint64_t addr)
{
	int ret = map(w, addr, HUGE / PAGE);

	return ret ? ret : quire_madvise(w->mm, addr, HUGE, QUIRE_MADV_HUGEPAGE);
}

static int empty_setup(void *state)
{
	struct world *w = state;
	int ret = world_begin(w);

	return ret ? ret : map_huge(w, BASE);
}

/* A leaf whose pages hold 1, 2, 3 and 4. */
static int leaf_setup(void *state)
{
	struct world *w = state;
	struct quire_page_info info;
	int ret = empty_setup(state);

	if (!ret)
		ret = put_pages(w->mm, NR_USED, 1, 1);
	if (!ret && quire_page_info(w->mm, BASE, &info) == 0)
		scenario_expect(info.leaf || QUIRE_PMD_ORDER > 2);
	return ret;
}

static void huge_finish(void *state)
{
	world_end(state);
}

/* A neighbour keeps the table of level 1, so that its end causes no flush. */
static int neighbour_setup(void *state)
{
	struct world *w = state;
	int ret = leaf_setup(state);

	if (!ret)
		ret = map(w, BASE + HUGE, 1);
	return ret || put(w->mm, BASE + HUGE, 5) ? ret : -QUIRE_ENOMEM;
}

/* ---- a part goes while another is written -------------------------------------- */

static void split_store_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		drop(w->mm, 0, 1);
		return;
	}
	scenario_expect(put(w->mm, BASE + PAGE, 9));
	scenario_expect(must_get(w->mm, BASE + PAGE) == 9);
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 3);
}

static void split_store_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 0);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 9);
	scenario_expect(must_get(w->mm, BASE + 3 * PAGE) == 4);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_split_store, "huge-split-store",
		  "a page of a leaf is dropped while another is written", 2, leaf_setup,
		  split_store_body, split_store_finish);

/* The dirty bit that a walker sets in the leaf is in the page's entry afterwards. */
static int clean_leaf_setup(void *state)
{
	struct world *w = state;
	int ret = leaf_setup(state);

	return ret ? ret : quire_madvise(w->mm, BASE, HUGE, QUIRE_MADV_FREE);
}

static void split_dirty_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		drop(w->mm, 0, 1);
	else
		scenario_expect(put(w->mm, BASE + PAGE, 9));
}

static void split_dirty_finish(void *state)
{
	struct world *w = state;
	struct quire_page_info info;

	scenario_expect(quire_page_info(w->mm, BASE + PAGE, &info) == 0);
	scenario_expect(info.dirty && info.accessed);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 9);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_split_dirty, "huge-split-dirty",
		  "a walker marks a leaf dirty while it is split: the page's entry is dirty", 2,
		  clean_leaf_setup, split_dirty_body, split_dirty_finish);

/* ---- who is first --------------------------------------------------------------- */

static void faults_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		scenario_expect(put(w->mm, BASE + PAGE, 9));
		break;
	case 1:
		w->seen[1] = must_get(w->mm, BASE + PAGE);
		scenario_expect(w->seen[1] == 0 || w->seen[1] == 9);
		break;
	default:
		drop(w->mm, 2, 2);
		break;
	}
}

static void faults_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE + PAGE) == 9);
	scenario_expect(must_get(w->mm, BASE) == 0);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_faults, "huge-faults",
		  "a range is read, written and partly dropped at once for the first time", 3,
		  empty_setup, faults_body, faults_finish, .racy_bytes = true);

static void fails_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		w->seen[0] = put(w->mm, BASE + PAGE, 9);
	else if (get(w->mm, BASE + PAGE, &w->seen[1]))
		scenario_expect(w->seen[1] == 0 || w->seen[1] == 9);
}

static void fails_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE + PAGE) == (w->seen[0] ? 9 : 0));
	world_end(w);
}

WORLD_SCENARIO_OF(huge_faults_fail, "huge-faults-fail",
		  "two first faults of a range, each allocation failing in turn", 2,
		  empty_setup, fails_body, fails_finish, .fail_each = true, .racy_bytes = true);

/* ---- zeros ------------------------------------------------------------------------ */

static int zeros_setup(void *state)
{
	struct world *w = state;
	int ret = empty_setup(state);
	uint8_t byte;

	return ret || get(w->mm, BASE, &byte) ? ret : -QUIRE_ENOMEM;
}

static void zeros_body(void *state, unsigned body)
{
	struct world *w = state;
	bool written;

	switch (body) {
	case 0:
		scenario_expect(put(w->mm, BASE + PAGE, 9));
		mach_store(&w->flag, 1u, MACH_RELEASE);
		break;
	case 1:
		w->seen[0] = must_get(w->mm, BASE + PAGE);
		/* Pairs with the release: what was written is read now. */
		written = mach_load(&w->flag, MACH_ACQUIRE) != 0;
		w->seen[1] = must_get(w->mm, BASE + PAGE);
		scenario_expect(w->seen[1] == 9 || (!written && w->seen[0] == 0));
		scenario_expect(put(w->mm, BASE + 2 * PAGE, 8));
		break;
	default:
		drop(w->mm, 0, 1);
		break;
	}
}

static void zeros_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 0);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 9);
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 8);
	scenario_expect(must_get(w->mm, BASE + 3 * PAGE) == 0);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_zeros, "huge-zeros",
		  "a leaf of zeros is read and written while a page of it is dropped", 3,
		  zeros_setup, zeros_body, zeros_finish, .racy_bytes = true);

/* ---- fork ---------------------------------------------------------------------------- */

static void fork_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		w->forked = quire_mm_fork(w->mm, &w->children[0]);
		break;
	case 1:
		scenario_expect(put(w->mm, BASE + PAGE, 9));
		break;
	default:
		drop(w->mm, 0, 1);
		break;
	}
}

static void fork_finish(void *state)
{
	struct world *w = state;
	uint8_t byte;

	scenario_expect(w->forked == 0);
	byte = must_get(w->children[0], BASE + PAGE);
	scenario_expect(byte == 2 || byte == 9);
	scenario_expect(put(w->mm, BASE + PAGE, 7));
	scenario_expect(must_get(w->children[0], BASE + PAGE) == byte);
	byte = must_get(w->children[0], BASE);
	scenario_expect(byte == 1 || byte == 0);
	scenario_expect(must_get(w->mm, BASE) == 0);
	scenario_expect(must_get(w->children[0], BASE + 3 * PAGE) == 4);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_fork, "huge-fork",
		  "fork of a leaf that is written and partly dropped meanwhile", 3, leaf_setup,
		  fork_body, fork_finish);

static int shared_leaf_setup(void *state)
{
	struct world *w = state;
	int ret = leaf_setup(state);

	return ret ? ret : quire_mm_fork(w->mm, &w->children[0]);
}

/* Both write the page they share, and the child a third. */
static void cow_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		scenario_expect(put(w->mm, BASE + PAGE, 9));
		break;
	case 1:
		scenario_expect(put(w->children[0], BASE + PAGE, 8));
		break;
	default:
		scenario_expect(put(w->children[0], BASE + 2 * PAGE, 7));
		break;
	}
}

static void cow_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE + PAGE) == 9);
	scenario_expect(must_get(w->children[0], BASE + PAGE) == 8);
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 3);
	scenario_expect(must_get(w->children[0], BASE + 2 * PAGE) == 7);
	scenario_expect(must_get(w->mm, BASE) == 1);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_cow, "huge-cow",
		  "parent and child write a leaf they share, from three sides", 3,
		  shared_leaf_setup, cow_body, cow_finish);

/* The child goes: the leaf is the parent's again, or a page was copied before. */
static void reuse_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		exit_child(w, 0);
		return;
	}
	scenario_expect(put(w->mm, BASE + PAGE, 9));
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 3);
}

static uint64_t reuse_outcome(void *state)
{
	struct world *w = state;
	struct quire_mm_stats stats;

	quire_mm_stats(w->mm, &stats);
	return stats.cow_copies;
}

static void reuse_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE + PAGE) == 9);
	scenario_expect(put(w->mm, BASE, 5));
	scenario_expect(must_get(w->mm, BASE + 3 * PAGE) == 4);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_reuse, "huge-reuse",
		  "a write to a leaf while the child that shared it exits", 2,
		  shared_leaf_setup, reuse_body, reuse_finish, .outcome = reuse_outcome);

/* ---- moving and unmapping ----------------------------------------------------------- */

/* The page is at one of two places; when the call is done, at the second. */
static void move_body(void *state, unsigned body)
{
	struct world *w = state;
	bool moved, written;
	uint64_t got;
	uint8_t byte;

	if (body == 0) {
		scenario_expect(quire_mremap(w->mm, BASE, HUGE, HUGE,
					     QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
					     OTHER, &got) == 0);
		mach_store(&w->flag, 1u, MACH_RELEASE);
		return;
	}
	put(w->mm, BASE + PAGE, 9);
	/* Pairs with the release. */
	moved = mach_load(&w->flag, MACH_ACQUIRE) != 0;
	written = put(w->mm, BASE + PAGE, 9);
	scenario_expect(!moved || !written);
	if (get(w->mm, OTHER + 2 * PAGE, &byte))
		scenario_expect(byte == 3);
}

static void move_finish(void *state)
{
	struct world *w = state;
	uint8_t byte;

	scenario_expect(!get(w->mm, BASE + PAGE, &byte));
	byte = must_get(w->mm, OTHER + PAGE);
	scenario_expect(byte == 2 || byte == 9);
	scenario_expect(must_get(w->mm, OTHER + 3 * PAGE) == 4);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_move, "huge-move",
		  "a leaf moves to another table while its pages are used", 2, neighbour_setup,
		  move_body, move_finish);

/* What is reached through a translation of the leaf is not freed before it is gone. */
static void drop_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		drop(w->mm, 0, HUGE / PAGE);
		return;
	}
	w->seen[1] = must_get(w->mm, BASE + PAGE);
	scenario_expect(w->seen[1] == 2 || w->seen[1] == 0);
	scenario_expect(put(w->mm, BASE + 2 * PAGE, 9));
}

static void drop_finish(void *state)
{
	struct world *w = state;
	uint8_t byte = must_get(w->mm, BASE + 2 * PAGE);

	scenario_expect(byte == 9 || byte == 0);
	scenario_expect(must_get(w->mm, BASE) == 0);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_drop, "huge-drop", "a leaf is dropped whole while its pages are used", 2,
		  leaf_setup, drop_body, drop_finish);

static void drop_drop_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		drop(w->mm, 0, 2);
		break;
	case 1:
		drop(w->mm, 1, HUGE / PAGE - 1);
		break;
	default:
		w->seen[2] = must_get(w->mm, BASE + PAGE);
		scenario_expect(w->seen[2] == 0 || w->seen[2] == 2);
		break;
	}
}

static void drop_drop_finish(void *state)
{
	struct world *w = state;

	for (unsigned i = 0; i < NR_USED; i++)
		scenario_expect(must_get(w->mm, BASE + i * PAGE) == 0);
	world_end(w);
}

WORLD_SCENARIO_OF(huge_drop_drop, "huge-drop-drop",
		  "two parts of a leaf that overlap are dropped while a page of both is read",
		  3, leaf_setup, drop_drop_body, drop_drop_finish);

/* A pin beside the drop of a part: what is pinned stays what the program sees, or
 * was let go before. */
static void pin_split_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_pin *pin;

	if (body == 0) {
		drop(w->mm, 0, 1);
		return;
	}
	scenario_expect(quire_pin_pages(w->mm, BASE + PAGE, 1, QUIRE_PIN_WRITE, &pin) == 0);
	scenario_expect(put(w->mm, BASE + PAGE, 9));
	scenario_expect(quire_pin_read(pin, 0, &w->seen[1], 1) == 0);
	scenario_expect(w->seen[1] == 9);
	quire_unpin(pin);
}

WORLD_SCENARIO_OF(huge_pin_split, "huge-pin-split",
		  "a page of a leaf is pinned while another is dropped", 2, leaf_setup,
		  pin_split_body, huge_finish);
