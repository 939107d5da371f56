/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * More of address spaces under calls that race: pins, stacks that grow, VMAs
 * that split and merge, forks of forks.
 */
#include "scenarios/world.h"

static int pages_setup(struct world *w, uint64_t nr_pages)
{
	int ret = world_begin(w);

	return ret ? ret : map_filled(w, nr_pages);
}

static int one_page(void *state)
{
	return pages_setup(state, 1);
}

static int three_pages(void *state)
{
	return pages_setup(state, 3);
}

/* ---- pins ---------------------------------------------------------------------- */

/*
 * A device writes through a pin while the address space forks.  The pinned page
 * stays the parent's: its later stores are seen through the pin.
 */
static void pin_fork_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		w->forked = quire_mm_fork(w->mm, &w->children[0]);
		scenario_expect(w->forked == 0);
		return;
	}
	pin_store_write(w->mm, BASE, 2);
}

static void pin_fork_finish(void *state)
{
	struct world *w = state;
	uint8_t child = must_get(w->children[0], BASE);

	scenario_expect(must_get(w->mm, BASE) == 3);
	scenario_expect(child >= 1 && child <= 3);
	scenario_expect(put(w->mm, BASE, 4));
	scenario_expect(must_get(w->children[0], BASE) == child);
	world_end(w);
}

/* The child's copy may catch a store half-way, as on any machine. */
WORLD_SCENARIO(pin_fork, "pin-fork",
	       "a page is pinned and written while its owner forks: the pin stays with the owner",
	       2, one_page, .racy_bytes = true);

/* A page that is unmapped while it is pinned lives on until it is unpinned. */
static void pin_munmap_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_pin *pin;
	uint8_t byte = 0;

	if (body == 0) {
		scenario_expect(quire_munmap(w->mm, BASE, PAGE) == 0);
		return;
	}
	if (quire_pin_pages(w->mm, BASE, 1, QUIRE_PIN_WRITE, &pin))
		return;
	scenario_expect(quire_pin_read(pin, 0, &byte, 1) == 0);
	scenario_expect(byte == 1);
	byte = 9;
	scenario_expect(quire_pin_write(pin, 0, &byte, 1) == 0);
	quire_unpin(pin);
}

static void pin_munmap_finish(void *state)
{
	struct world *w = state;
	uint8_t byte;

	scenario_expect(!get(w->mm, BASE, &byte));
	world_end(w);
}

WORLD_SCENARIO(pin_munmap, "pin-munmap", "a page is pinned while it is unmapped", 2, one_page);

/* ---- a stack that grows ------------------------------------------------------------ */

#define STACK_TOP (16 * QUIRE_PMD_SIZE)

static int stack_setup(void *state)
{
	struct world *w = state;
	int ret = world_begin(w);
	uint64_t got;

	if (!ret)
		ret = quire_mmap(w->mm, STACK_TOP - PAGE, PAGE, RW,
				 ANON | QUIRE_MAP_GROWSDOWN, NULL, 0, &got);
	return ret;
}

static void stack_growth_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		scenario_expect(put(w->mm, STACK_TOP - 2 * PAGE, 1));
		break;
	case 1:
		scenario_expect(put(w->mm, STACK_TOP - 3 * PAGE, 2));
		break;
	default:
		scenario_expect(put(w->mm, STACK_TOP - 1, 3));
		scenario_expect(must_get(w->mm, STACK_TOP - 1) == 3);
		break;
	}
}

static void stack_growth_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, STACK_TOP - 2 * PAGE) == 1);
	scenario_expect(must_get(w->mm, STACK_TOP - 3 * PAGE) == 2);
	scenario_expect(must_get(w->mm, STACK_TOP - 1) == 3);
	world_end(w);
}

WORLD_SCENARIO(stack_growth, "stack-growth", "two CPUs grow a stack while a third uses it", 3,
	       stack_setup);

/* ---- splitting and merging ------------------------------------------------------------ */

/* The VMA is split in three and merged again while its pages are used. */
static void split_merge_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(quire_mprotect(w->mm, BASE + PAGE, PAGE, QUIRE_PROT_READ) == 0);
		scenario_expect(quire_mprotect(w->mm, BASE + PAGE, PAGE, RW) == 0);
		return;
	}
	scenario_expect(put(w->mm, BASE + (body == 1 ? 0 : 2 * PAGE), 7));
	scenario_expect(must_get(w->mm, BASE + PAGE) == 2);
}

static void split_merge_finish(void *state)
{
	struct world *w = state;
	struct quire_mm_stats stats;

	scenario_expect(must_get(w->mm, BASE) == 7);
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 7);
	quire_mm_stats(w->mm, &stats);
	scenario_expect(stats.nr_vmas == 1);
	world_end(w);
}

WORLD_SCENARIO(split_merge, "split-merge",
	       "a VMA is split and merged by mprotect while two CPUs use it", 3, three_pages);

/* ---- populating ------------------------------------------------------------------------- */

static void populate_munmap_body(void *state, unsigned body)
{
	struct world *w = state;
	uint64_t got;

	if (body == 0) {
		scenario_expect(quire_mmap(w->mm, OTHER, 2 * PAGE, RW,
					   ANON | QUIRE_MAP_POPULATE, NULL, 0, &got) == 0);
		return;
	}
	scenario_expect(quire_munmap(w->mm, OTHER, 2 * PAGE) == 0);
}

static void populate_munmap_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 1);
	world_end(w);
}

WORLD_SCENARIO(populate_munmap, "populate-munmap",
	       "a mapping is populated while another CPU takes it away", 2, one_page);

/* ---- fork against dropping, and against fork --------------------------------------------- */

static void dontneed_fork_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		w->forked = quire_mm_fork(w->mm, &w->children[0]);
		scenario_expect(w->forked == 0);
		return;
	}
	drop(w->mm, 0, 2);
	scenario_expect(must_get(w->mm, BASE) == 0);
	scenario_expect(put(w->mm, BASE, 5));
}

static void dontneed_fork_finish(void *state)
{
	struct world *w = state;
	uint8_t child = must_get(w->children[0], BASE);

	scenario_expect(must_get(w->mm, BASE) == 5);
	scenario_expect(child == 0 || child == 1 || child == 5);
	scenario_expect(must_get(w->children[0], BASE + 2 * PAGE) == 3);
	world_end(w);
}

WORLD_SCENARIO(dontneed_fork, "dontneed-fork",
	       "pages are dropped and stored to anew while their owner forks", 2, three_pages);

static void fork_fork_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body < 2)
		scenario_expect(quire_mm_fork(w->mm, &w->children[body]) == 0);
	else
		scenario_expect(put(w->mm, BASE, 8));
}

static void fork_fork_finish(void *state)
{
	struct world *w = state;

	for (unsigned i = 0; i < 2; i++) {
		uint8_t child = must_get(w->children[i], BASE);

		scenario_expect(child == 1 || child == 8);
		scenario_expect(put(w->children[i], BASE, (uint8_t)(20 + i)));
	}
	scenario_expect(must_get(w->mm, BASE) == 8);
	scenario_expect(must_get(w->children[0], BASE) == 20);
	world_end(w);
}

WORLD_SCENARIO(fork_fork, "fork-fork",
	       "two forks of one address space and a store, all at once", 3, one_page);

/* ---- calls that fail ------------------------------------------------------------------------ */

/* Each either does all of its work or none of it. */
static void mmap_fails_body(void *state, unsigned body)
{
	struct world *w = state;
	uint64_t got;

	if (body == 0) {
		w->seen[0] = map(w, BASE + PAGE, 1) == 0;
		w->seen[1] = quire_mprotect(w->mm, BASE + 2 * PAGE, PAGE, QUIRE_PROT_READ) == 0;
		return;
	}
	w->seen[2] = quire_mremap(w->mm, BASE, PAGE, PAGE,
				  QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, OTHER,
				  &got) == 0;
}

static void mmap_fails_finish(void *state)
{
	struct world *w = state;
	uint8_t byte;

	scenario_expect(must_get(w->mm, w->seen[2] ? OTHER : BASE) == 1);
	scenario_expect(!get(w->mm, w->seen[2] ? BASE : OTHER, &byte));
	/* A fixed mapping that fails may have unmapped what was there. */
	if (w->seen[0])
		scenario_expect(must_get(w->mm, BASE + PAGE) == 0);
	else if (get(w->mm, BASE + PAGE, &byte))
		scenario_expect(byte == 2);
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 3);
	scenario_expect(put(w->mm, BASE + 2 * PAGE, 3) == !w->seen[1]);
	world_end(w);
}

WORLD_SCENARIO(mmap_fails, "mmap-fails",
	       "mmap, mprotect and mremap, each allocation failing in turn: all or nothing", 2,
	       three_pages, .fail_each = true);
