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

	for (unsigned i = 0; i < NR_USED && !ret; i++)
		if (!put(w->mm, BASE + i * PAGE, (uint8_t)(i + 1)))
			ret = -QUIRE_ENOMEM;
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

static void drop(struct world *w, uint64_t page, uint64_t nr_pages)
{
	scenario_expect(quire_madvise(w->mm, BASE + page * PAGE, nr_pages * PAGE,
				      QUIRE_MADV_DONTNEED) == 0);
}

/* ---- a part goes while another is written -------------------------------------- */

static void split_store_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		drop(w, 0, 1);
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

const struct scenario scenario_huge_split_store = {
	.name = "huge-split-store",
	.shows = "a page of a leaf is dropped while another is written",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = leaf_setup,
	.body = split_store_body,
	.finish = split_store_finish,
};

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
		drop(w, 0, 1);
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

const struct scenario scenario_huge_split_dirty = {
	.name = "huge-split-dirty",
	.shows = "a walker marks a leaf dirty while it is split: the page's entry is dirty",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = clean_leaf_setup,
	.body = split_dirty_body,
	.finish = split_dirty_finish,
};

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
		drop(w, 2, 2);
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

const struct scenario scenario_huge_faults = {
	.name = "huge-faults",
	.shows = "a range is read, written and partly dropped at once for the first time",
	.nr_bodies = 3,
	.racy_bytes = true,
	.state_bytes = sizeof(struct world),
	.setup = empty_setup,
	.body = faults_body,
	.finish = faults_finish,
};

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

const struct scenario scenario_huge_faults_fail = {
	.name = "huge-faults-fail",
	.shows = "two first faults of a range, each allocation failing in turn",
	.nr_bodies = 2,
	.fail_each = true,
	.racy_bytes = true,
	.state_bytes = sizeof(struct world),
	.setup = empty_setup,
	.body = fails_body,
	.finish = fails_finish,
};

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
		drop(w, 0, 1);
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

const struct scenario scenario_huge_zeros = {
	.name = "huge-zeros",
	.shows = "a leaf of zeros is read and written while a page of it is dropped",
	.nr_bodies = 3,
	.racy_bytes = true,
	.state_bytes = sizeof(struct world),
	.setup = zeros_setup,
	.body = zeros_body,
	.finish = zeros_finish,
};

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
		drop(w, 0, 1);
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

const struct scenario scenario_huge_fork = {
	.name = "huge-fork",
	.shows = "fork of a leaf that is written and partly dropped meanwhile",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct world),
	.setup = leaf_setup,
	.body = fork_body,
	.finish = fork_finish,
};

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

const struct scenario scenario_huge_cow = {
	.name = "huge-cow",
	.shows = "parent and child write a leaf they share, from three sides",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct world),
	.setup = shared_leaf_setup,
	.body = cow_body,
	.finish = cow_finish,
};

/* The child goes: the leaf is the parent's again, or a page was copied before. */
static void reuse_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		quire_mm_put(w->children[0]);
		w->children[0] = NULL;
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

const struct scenario scenario_huge_reuse = {
	.name = "huge-reuse",
	.shows = "a write to a leaf while the child that shared it exits",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = shared_leaf_setup,
	.body = reuse_body,
	.outcome = reuse_outcome,
	.finish = reuse_finish,
};

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

const struct scenario scenario_huge_move = {
	.name = "huge-move",
	.shows = "a leaf moves to another table while its pages are used",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = neighbour_setup,
	.body = move_body,
	.finish = move_finish,
};

/* What is reached through a translation of the leaf is not freed before it is gone. */
static void drop_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		drop(w, 0, HUGE / PAGE);
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

const struct scenario scenario_huge_drop = {
	.name = "huge-drop",
	.shows = "a leaf is dropped whole while its pages are used",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = leaf_setup,
	.body = drop_body,
	.finish = drop_finish,
};

static void drop_drop_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		drop(w, 0, 2);
		break;
	case 1:
		drop(w, 1, HUGE / PAGE - 1);
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

const struct scenario scenario_huge_drop_drop = {
	.name = "huge-drop-drop",
	.shows = "two parts of a leaf that overlap are dropped while a page of both is read",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct world),
	.setup = leaf_setup,
	.body = drop_drop_body,
	.finish = drop_drop_finish,
};

/* A pin beside the drop of a part: what is pinned stays what the program sees, or
 * was let go before. */
static void pin_split_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_pin *pin;

	if (body == 0) {
		drop(w, 0, 1);
		return;
	}
	scenario_expect(quire_pin_pages(w->mm, BASE + PAGE, 1, QUIRE_PIN_WRITE, &pin) == 0);
	scenario_expect(put(w->mm, BASE + PAGE, 9));
	scenario_expect(quire_pin_read(pin, 0, &w->seen[1], 1) == 0);
	scenario_expect(w->seen[1] == 9);
	quire_unpin(pin);
}

const struct scenario scenario_huge_pin_split = {
	.name = "huge-pin-split",
	.shows = "a page of a leaf is pinned while another is dropped",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = leaf_setup,
	.body = pin_split_body,
	.finish = huge_finish,
};
