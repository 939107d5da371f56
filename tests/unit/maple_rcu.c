/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers of the maple tree beside a writer: meant for the thread sanitizer.
 *
 * Entries are objects that say which range they were stored over, and are
 * freed, after a grace period, when the last index leaves them; so an entry
 * found at the wrong place or too late is seen.  Of every 64 indexes number 0
 * always has some entry and number 32 never: a reader that misses the one or
 * finds the other has looked at a torn tree.
 *
 * variants: threads_4k threads_tiny
 */
#include "model/maple_world.h"

#include <pthread.h>

enum {
	NR_INDEXES = 1024,
	WINDOW = 64,
	HOLE = 32,
	NR_READERS = 3,
	NR_ROUNDS = 1000,    /* of each reader */
	NR_STORES = 15000,  /* at least */
};

struct entry {
	u64 first, last;
	u64 alive; /* ALIVE until it is freed */
	u64 held;  /* the writer's: indexes it still stands at */
};

#define ALIVE UINT64_C(0x616c697665)

static struct shared {
	struct phys phys;
	struct objcache nodes, entries;
	struct maple_tree tree;
	struct entry *at[NR_INDEXES]; /* the writer's own idea of it */
	u32 nr_done;                  /* (A) readers that have finished */
} shared;

static u32 random_below(u64 *seed, u32 n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (u32)((*seed >> 16) % n);
}

/* ---- the writer ------------------------------------------------------------------ */

static struct entry *entry_make(u64 first, u64 last)
{
	struct entry *entry = objcache_alloc(&shared.entries);

	assert_non_null(entry);
	*entry = (struct entry){ .first = first, .last = last, .alive = ALIVE };
	return entry;
}

/* The indexes [first, last] pass to `entry`, which may be NULL. */
static void pass_to(u64 first, u64 last, struct entry *entry)
{
	for (u64 i = first; i <= last; i++) {
		struct entry *old = shared.at[i];

		shared.at[i] = entry;
		if (entry != NULL)
			entry->held++;
		if (old != NULL && --old->held == 0)
			objcache_free_rcu(&shared.entries, old);
	}
}

static void write_range(u64 first, u64 last, bool hole, bool prealloc)
{
	struct maple_cursor cur = maple_cursor(&shared.tree, first, last);
	struct entry *entry = hole ? NULL : entry_make(first, last);

	if (prealloc) {
		assert_int_equal(maple_preallocate(&cur, entry), 0);
		maple_store_prealloc(&cur, entry);
	} else {
		assert_int_equal(maple_store(&cur, entry), 0);
	}
	pass_to(first, last, entry);
}

static void erase_at(u64 index)
{
	struct maple_cursor cur = maple_cursor(&shared.tree, index, index);
	struct entry *entry = shared.at[index];
	void *old;

	if (entry == NULL || maple_walk(&cur) != entry)
		return;
	for (u64 i = cur.first; i <= cur.last; i++)
		if (i % WINDOW == 0)
			return;
	assert_int_equal(maple_erase(&cur, &old), 0);
	assert_ptr_equal(old, entry);
	pass_to(cur.first, cur.last, NULL);
}

static void replace_at(u64 index)
{
	struct maple_cursor cur = maple_cursor(&shared.tree, index, index);
	struct entry *entry;

	if (maple_walk(&cur) == NULL)
		return;
	entry = entry_make(cur.first, cur.last);
	maple_replace(&cur, entry);
	pass_to(cur.first, cur.last, entry);
}

/*
 * A range inside the 63 indexes between two that stay holes, or, to become a
 * hole, between two that stay entries.
 */
static void write_some(u64 *seed)
{
	bool hole = random_below(seed, 100) < 40;
	u32 kept = hole ? 0 : HOLE;
	u32 from = 1 + random_below(seed, WINDOW - 1), len = 1 + random_below(seed, 4);
	u64 base = WINDOW * (u64)random_below(seed, NR_INDEXES / WINDOW);

	if (random_below(seed, 40) == 0)
		len = WINDOW;
	if (len > WINDOW - from)
		len = WINDOW - from;
	if (base + kept + from + len - 1 >= NR_INDEXES)
		return;
	write_range(base + kept + from, base + kept + from + len - 1, hole,
		    random_below(seed, 2) == 0);
}

/* Until the readers have seen enough. */
static void write_all(void)
{
	u64 seed = 88172645463325252;

	for (u32 n = 0; n < NR_STORES || atomic_load(&shared.nr_done) < NR_READERS; n++) {
		u32 what = random_below(&seed, 10);
		u64 index = random_below(&seed, NR_INDEXES);

		if (what < 7)
			write_some(&seed);
		else if (what < 9)
			erase_at(index);
		else
			replace_at(index);
		/* A reader may be off its core for long: wait for it, or the
		 * nodes it holds up use all memory. */
		if (n % 1024 == 0)
			mach_rcu_barrier();
	}
}

/* ---- readers ----------------------------------------------------------------------- */

/* mach_stop: a failed assertion of cmocka must not leave a thread by longjmp. */
static void expect_entry(const struct entry *entry, u64 first, u64 last)
{
	ensure(entry->alive == ALIVE);
	ensure(entry->first <= first && last <= entry->last);
}

static void look_at_one(u64 *seed)
{
	u64 index = random_below(seed, NR_INDEXES);
	struct maple_cursor cur = maple_cursor(&shared.tree, index, index);
	struct entry *entry = maple_load(&shared.tree, index);

	ensure(entry != NULL || index % WINDOW != 0);
	ensure(entry == NULL || index % WINDOW != HOLE);
	if (entry != NULL)
		expect_entry(entry, index, index);
	entry = maple_walk(&cur);
	ensure(cur.first <= index && index <= cur.last);
	if (entry != NULL)
		expect_entry(entry, cur.first, cur.last);
	else
		ensure(cur.first / WINDOW == index / WINDOW &&
		       (cur.last / WINDOW == index / WINDOW || cur.last == UINT64_MAX));
}

static void walk_up(void)
{
	struct maple_cursor cur = maple_cursor(&shared.tree, 0, 0);
	u64 wanted = 0; /* the next index that always has an entry */
	struct entry *entry;

	maple_for_each(&cur, entry, UINT64_MAX) {
		expect_entry(entry, cur.first, cur.last);
		ensure(cur.first <= wanted);
		if (wanted <= cur.last)
			wanted += WINDOW;
	}
	ensure(wanted == NR_INDEXES);
}

static void walk_down(void)
{
	struct maple_cursor cur = maple_cursor(&shared.tree, NR_INDEXES, NR_INDEXES);
	u64 wanted = NR_INDEXES;
	struct entry *entry;

	ensure(maple_walk(&cur) == NULL);
	while ((entry = maple_prev(&cur, 0)) != NULL) {
		expect_entry(entry, cur.first, cur.last);
		ensure(wanted != 0 && cur.last >= wanted - WINDOW);
		if (wanted - WINDOW >= cur.first)
			wanted -= WINDOW;
	}
	ensure(wanted == 0);
}

static void search_holes(u64 *seed)
{
	struct maple_cursor cur = maple_cursor(&shared.tree, 0, 0);
	u64 min = random_below(seed, NR_INDEXES / 2);
	u64 max = min + random_below(seed, NR_INDEXES / 2), size = 1 + random_below(seed, 4);

	if (max - min < size - 1)
		return;
	if (maple_empty_area(&cur, min, max, size) == 0)
		ensure(cur.first >= min && cur.last <= max &&
		       (cur.first + WINDOW - 1) / WINDOW * WINDOW > cur.last);
	if (maple_empty_area_rev(&cur, min, max, size) == 0)
		ensure(cur.first >= min && cur.last <= max &&
		       (cur.first + WINDOW - 1) / WINDOW * WINDOW > cur.last);
	/* The index that is never used is there for every search. */
	min = min / WINDOW * WINDOW;
	ensure(maple_empty_area_rev(&cur, min, min + HOLE, 1) == 0);
	ensure(maple_empty_area(&cur, min + HOLE, min + WINDOW, 1) == 0);
}

static void *reader(void *arg)
{
	u64 seed = 362436069 + (uintptr_t)arg;

	ensure(mach_attach() == 0);
	for (u32 round = 0; round < NR_ROUNDS; round++) {
		mach_rcu_read_lock();
		for (u32 i = 0; i < 20; i++)
			look_at_one(&seed);
		search_holes(&seed);
		if (random_below(&seed, 2))
			walk_up();
		else
			walk_down();
		mach_rcu_read_unlock();
	}
	atomic_fetch_add(&shared.nr_done, 1u);
	mach_detach();
	return NULL;
}

/* ---- */

static void readers_beside_a_writer(void **state)
{
	pthread_t threads[NR_READERS];

	(void)state;
	assert_int_equal(phys_init(&shared.phys, WORLD_BYTES >> PAGE_SHIFT, 8), 0);
	assert_int_equal(objcache_init(&shared.nodes, &shared.phys, "maple",
				       maple_node_bytes(), maple_node_align_bytes()), 0);
	assert_int_equal(objcache_init(&shared.entries, &shared.phys, "entries",
				       sizeof(struct entry), 8), 0);
	maple_init(&shared.tree, &shared.nodes, MAPLE_GAPS | MAPLE_RCU);
	for (u64 i = 0; i < NR_INDEXES; i += WINDOW)
		write_range(i, i, false, false);
	for (uintptr_t i = 0; i < NR_READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, (void *)i), 0);
	write_all();
	for (u32 i = 0; i < NR_READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	maple_check(&shared.tree);
	for (u64 i = 0; i < NR_INDEXES; i++)
		assert_ptr_equal(maple_load(&shared.tree, i), shared.at[i]);
	pass_to(0, NR_INDEXES - 1, NULL);
	maple_destroy(&shared.tree);
	mach_rcu_barrier();
	assert_int_equal(objcache_fini(&shared.entries), 0);
	assert_int_equal(objcache_fini(&shared.nodes), 0);
	assert_int_equal(phys_fini(&shared.phys), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_beside_a_writer),
	};
	int failed;

	if (mach_attach() != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	mach_detach();
	return failed;
}
