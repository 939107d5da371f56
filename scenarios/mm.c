/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces under calls that race: the whole core, on a machine of a few
 * kilobytes.  None has a bug; what is checked is what a program may rely on
 * (its stores are there, another's are not, a freed page is not reached), and
 * at the end that every invariant holds and nothing leaked.
 */
#include "scenarios/world.h"

/* One page mapped, with a 1 in it. */
static int one_page_setup(void *state)
{
	struct world *w = state;
	int ret = world_begin(w);

	if (!ret)
		ret = map(w, BASE, 1);
	if (!ret && !put(w->mm, BASE, 1))
		ret = -QUIRE_ENOMEM;
	return ret;
}

static void mm_finish(void *state)
{
	world_end(state);
}

/* ---- fork against a store ---------------------------------------------------------- */

static void fork_fault_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		w->forked = quire_mm_fork(w->mm, &w->children[0]);
	else
		scenario_expect(put(w->mm, BASE, 2));
}

/* The child has the page as it was before the store or after it. */
static void fork_fault_finish(void *state)
{
	struct world *w = state;
	uint8_t child;

	scenario_expect(must_get(w->mm, BASE) == 2);
	scenario_expect(w->forked == 0);
	child = must_get(w->children[0], BASE);
	scenario_expect(child == 1 || child == 2);
	scenario_expect(put(w->mm, BASE, 3));
	scenario_expect(must_get(w->children[0], BASE) == child);
	world_end(w);
}

const struct scenario scenario_fork_fault = {
	.name = "fork-fault",
	.shows = "a store while the address space forks: the child has the page from before or after",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = one_page_setup,
	.body = fork_fault_body,
	.finish = fork_fault_finish,
};

/* Any of the allocations may fail: fork says so, and the parent is as before. */
static void fork_fails_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		w->forked = quire_mm_fork(w->mm, &w->children[0]);
	else
		w->seen[1] = put(w->mm, BASE, 2);
}

static void fork_fails_finish(void *state)
{
	struct world *w = state;

	scenario_expect(w->forked == 0 || w->forked == -QUIRE_ENOMEM);
	scenario_expect(must_get(w->mm, BASE) == (w->seen[1] ? 2 : 1));
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 7);
	world_end(w);
}

static int fork_fails_setup(void *state)
{
	struct world *w = state;
	int ret = one_page_setup(state);

	if (!ret)
		ret = map(w, BASE + 2 * PAGE, 1);
	if (!ret && !put(w->mm, BASE + 2 * PAGE, 7))
		ret = -QUIRE_ENOMEM;
	return ret;
}

const struct scenario scenario_fork_fails = {
	.name = "fork-fails",
	.shows = "fork beside a store, each allocation failing in turn: undone, nothing leaked",
	.nr_bodies = 2,
	.fail_each = true,
	.state_bytes = sizeof(struct world),
	.setup = fork_fails_setup,
	.body = fork_fails_body,
	.finish = fork_fails_finish,
};

/* ---- unmapping from two sides ------------------------------------------------------------ */

static int three_pages_setup(void *state)
{
	struct world *w = state;
	int ret = world_begin(w);

	if (!ret)
		ret = map(w, BASE, 3);
	for (uint64_t i = 0; i < 3 && !ret; i++)
		if (!put(w->mm, BASE + i * PAGE, (uint8_t)(i + 1)))
			ret = -QUIRE_ENOMEM;
	return ret;
}

static void munmap_munmap_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		scenario_expect(quire_munmap(w->mm, BASE, 2 * PAGE) == 0);
		break;
	case 1:
		scenario_expect(quire_munmap(w->mm, BASE + PAGE, 2 * PAGE) == 0);
		break;
	default:
		if (get(w->mm, BASE + PAGE, &w->seen[0]))
			scenario_expect(w->seen[0] == 2);
		put(w->mm, BASE + PAGE, 9);
		break;
	}
}

static void munmap_munmap_finish(void *state)
{
	struct world *w = state;
	uint8_t byte;

	for (uint64_t i = 0; i < 3; i++)
		scenario_expect(!get(w->mm, BASE + i * PAGE, &byte));
	world_end(w);
}

const struct scenario scenario_munmap_munmap = {
	.name = "munmap-munmap",
	.shows = "two munmaps that overlap while a third CPU uses the page of both",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct world),
	.setup = three_pages_setup,
	.body = munmap_munmap_body,
	.finish = munmap_munmap_finish,
};

/* A page that is unmapped and mapped anew is zero, or what was stored since. */
static void munmap_mmap_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(quire_munmap(w->mm, BASE, PAGE) == 0);
		scenario_expect(map(w, BASE, 1) == 0);
		scenario_expect(must_get(w->mm, BASE) == 0);
		return;
	}
	if (get(w->mm, BASE, &w->seen[1]))
		scenario_expect(w->seen[1] == 0 || w->seen[1] == 1);
	put(w->mm, BASE + 1, 5);
}

static void munmap_mmap_finish(void *state)
{
	struct world *w = state;
	uint8_t byte = must_get(w->mm, BASE + 1);

	scenario_expect(byte == 0 || byte == 5);
	scenario_expect(must_get(w->mm, BASE) == 0);
	world_end(w);
}

const struct scenario scenario_munmap_mmap = {
	.name = "munmap-mmap",
	.shows = "a page is unmapped and mapped anew while another CPU uses it",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = one_page_setup,
	.body = munmap_mmap_body,
	.finish = munmap_mmap_finish,
};

/* ---- copy on write -------------------------------------------------------------------------- */

static int two_children_setup(void *state)
{
	struct world *w = state;
	int ret = one_page_setup(state);

	for (unsigned i = 0; i < 2 && !ret; i++)
		ret = quire_mm_fork(w->mm, &w->children[i]);
	return ret;
}

static void cow_children_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_mm *mine = body < 2 ? w->children[body] : w->mm;

	scenario_expect(must_get(mine, BASE) == 1);
	scenario_expect(put(mine, BASE, (uint8_t)(10 + body)));
	scenario_expect(must_get(mine, BASE) == 10 + body);
}

static void cow_children_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->children[0], BASE) == 10);
	scenario_expect(must_get(w->children[1], BASE) == 11);
	scenario_expect(must_get(w->mm, BASE) == 12);
	world_end(w);
}

const struct scenario scenario_cow_children = {
	.name = "cow-children",
	.shows = "a parent and two children store to the page they share: each has its own",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct world),
	.setup = two_children_setup,
	.body = cow_children_body,
	.finish = cow_children_finish,
};

/* Two CPUs of one address space store to a page that a child shares. */
static int one_child_setup(void *state)
{
	struct world *w = state;
	int ret = one_page_setup(state);

	return ret ? ret : quire_mm_fork(w->mm, &w->children[0]);
}

static void cow_threads_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 2) {
		exit_child(w, 0);
		return;
	}
	scenario_expect(put(w->mm, BASE + body, (uint8_t)(20 + body)));
	scenario_expect(must_get(w->mm, BASE + body) == 20 + body);
}

static void cow_threads_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 20);
	scenario_expect(must_get(w->mm, BASE + 1) == 21);
	world_end(w);
}

const struct scenario scenario_cow_threads = {
	.name = "cow-threads",
	.shows = "two threads store to a page while the child that shares it exits: no store is lost",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct world),
	.setup = one_child_setup,
	.body = cow_threads_body,
	.finish = cow_threads_finish,
};

/* What one thread stored, another reads once it knows of the store. */
static void cow_visible_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(put(w->mm, BASE, 20));
		mach_store(&w->flag, 1u, MACH_RELEASE);
		return;
	}
	scenario_expect(must_get(w->mm, BASE + 2) == 0);
	if (mach_load(&w->flag, MACH_ACQUIRE))
		scenario_expect(must_get(w->mm, BASE) == 20);
	scenario_expect(put(w->mm, BASE + 1, 21));
}

static void cow_visible_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 20);
	scenario_expect(must_get(w->mm, BASE + 1) == 21);
	scenario_expect(must_get(w->children[0], BASE) == 1);
	world_end(w);
}

const struct scenario scenario_cow_visible = {
	.name = "cow-visible",
	.shows = "a page is copied on one CPU's store while another CPU reads it",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = one_child_setup,
	.body = cow_visible_body,
	.finish = cow_visible_finish,
};

/* ---- moving against dropping -------------------------------------------------------------------- */

static void mremap_zap_body(void *state, unsigned body)
{
	struct world *w = state;
	uint64_t got;

	switch (body) {
	case 0:
		scenario_expect(quire_mremap(w->mm, BASE, PAGE, PAGE,
					     QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, OTHER,
					     &got) == 0);
		break;
	case 1:
		/* Drops the page at its new place, if it is there already. */
		quire_madvise(w->mm, OTHER, PAGE, QUIRE_MADV_DONTNEED);
		break;
	default:
		put(w->mm, BASE, 4);
		break;
	}
}

static void mremap_zap_finish(void *state)
{
	struct world *w = state;
	uint8_t byte = must_get(w->mm, OTHER);

	scenario_expect(byte == 0 || byte == 1 || byte == 4);
	scenario_expect(!get(w->mm, BASE, &byte));
	/* Its neighbours, and so the table, stayed where they were. */
	scenario_expect(must_get(w->mm, BASE + PAGE) == 2);
	world_end(w);
}

const struct scenario scenario_mremap_zap = {
	.name = "mremap-zap",
	.shows = "a page is moved, dropped at its new place, and used at its old one",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct world),
	.setup = three_pages_setup,
	.body = mremap_zap_body,
	.finish = mremap_zap_finish,
};

/* ---- protecting against a store ---------------------------------------------------------------------- */

static void mprotect_store_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(quire_mprotect(w->mm, BASE, PAGE, QUIRE_PROT_READ) == 0);
		w->seen[0] = must_get(w->mm, BASE);
		w->seen[1] = must_get(w->mm, BASE);
		return;
	}
	put(w->mm, BASE, 6);
}

static void mprotect_store_finish(void *state)
{
	struct world *w = state;

	/* Once protected, the page does not change any more. */
	scenario_expect(w->seen[0] == w->seen[1]);
	scenario_expect(must_get(w->mm, BASE) == w->seen[0]);
	scenario_expect(!put(w->mm, BASE, 8));
	world_end(w);
}

const struct scenario scenario_mprotect_store = {
	.name = "mprotect-store",
	.shows = "a page is made read-only while another CPU stores to it: later it does not change",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = one_page_setup,
	.body = mprotect_store_body,
	.finish = mprotect_store_finish,
};

/* ---- first touches ------------------------------------------------------------------------------------- */

static int empty_pages_setup(void *state)
{
	struct world *w = state;
	int ret = world_begin(w);

	return ret ? ret : map(w, BASE, 2);
}

static void first_touch_body(void *state, unsigned body)
{
	struct world *w = state;

	scenario_expect(put(w->mm, BASE + body, (uint8_t)(30 + body)));
	scenario_expect(must_get(w->mm, BASE + PAGE + body) == 0);
	scenario_expect(put(w->mm, BASE + PAGE + body, (uint8_t)(40 + body)));
}

static void first_touch_finish(void *state)
{
	struct world *w = state;

	for (unsigned i = 0; i < 2; i++) {
		scenario_expect(must_get(w->mm, BASE + i) == 30 + i);
		scenario_expect(must_get(w->mm, BASE + PAGE + i) == 40 + i);
	}
	world_end(w);
}

const struct scenario scenario_first_touch = {
	.name = "first-touch",
	.shows = "two CPUs touch the same new pages first: one page each time, no store lost",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = empty_pages_setup,
	.body = first_touch_body,
	.finish = first_touch_finish,
};

static void fault_fails_body(void *state, unsigned body)
{
	struct world *w = state;

	w->seen[body] = put(w->mm, BASE + body * PAGE, 1);
	if (body == 0)
		w->forked = quire_munmap(w->mm, BASE + PAGE, PAGE);
}

static void fault_fails_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == w->seen[0]);
	scenario_expect(w->forked == 0 || w->forked == -QUIRE_ENOMEM);
	world_end(w);
}

const struct scenario scenario_fault_fails = {
	.name = "fault-fails",
	.shows = "faults and an munmap, each allocation failing in turn: nothing lost, nothing leaked",
	.nr_bodies = 2,
	.fail_each = true,
	.state_bytes = sizeof(struct world),
	.setup = empty_pages_setup,
	.body = fault_fails_body,
	.finish = fault_fails_finish,
};

/* ---- the end of an address space -------------------------------------------------------------------------- */

static void exit_fault_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		exit_child(w, 0);
	} else {
		scenario_expect(must_get(w->mm, BASE) == 1);
		scenario_expect(put(w->mm, BASE, 2));
	}
}

static void exit_fault_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 2);
	mm_finish(w);
}

const struct scenario scenario_exit_fault = {
	.name = "exit-fault",
	.shows = "a child exits while its parent stores to the page they share",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = one_child_setup,
	.body = exit_fault_body,
	.finish = exit_fault_finish,
};

/* Whoever is last tears it down, on whatever CPU the other one used it. */
static void exit_last_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_mm *child = w->children[0];

	if (body == 0)
		scenario_expect(put(child, BASE, 3));
	else
		scenario_expect(must_get(child, BASE + 1) == 0);
	quire_mm_put(child);
}

static int exit_last_setup(void *state)
{
	struct world *w = state;
	int ret = one_child_setup(w);

	if (!ret)
		quire_mm_get(w->children[0]); /* one reference for each body */
	return ret;
}

static void exit_last_finish(void *state)
{
	struct world *w = state;

	w->children[0] = NULL;
	scenario_expect(must_get(w->mm, BASE) == 1);
	world_end(w);
}

const struct scenario scenario_exit_last = {
	.name = "exit-last",
	.shows = "two CPUs use an address space and leave it: the last one tears it down",
	.nr_bodies = 2,
	.state_bytes = sizeof(struct world),
	.setup = exit_last_setup,
	.body = exit_last_body,
	.finish = exit_last_finish,
};
