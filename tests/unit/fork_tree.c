/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork by each way to duplicate the tree of VMAs, failing at each allocation,
 * undone by each way to undo.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include "mm_world.h"

static const char *const trees[] = { "dup", "bulk-store", "insert-each" };
static const char *const undos[] = { "own-limit-and-ceiling", "marker", "next-as-ceiling" };

enum { NR_MAPS = 14 };

static void begin_with(const char *tree, const char *undo)
{
	world_config_default();
	world_decide("fork-tree", tree);
	world_decide("fork-undo", undo);
	world_begin();
}

/* Every second page is a VMA of its own, touched; some are not inherited. */
static void fill(void)
{
	for (unsigned i = 0; i < NR_MAPS; i++) {
		map_anon(BASE + 2 * i * PAGE, 1);
		put(mm, BASE + 2 * i * PAGE, (uint8_t)(i + 1));
	}
	assert_int_equal(quire_madvise(mm, BASE + 6 * PAGE, PAGE, QUIRE_MADV_DONTFORK), 0);
	assert_int_equal(quire_madvise(mm, BASE + 8 * PAGE, PAGE, QUIRE_MADV_WIPEONFORK), 0);
}

struct map_list {
	unsigned nr;
	uint64_t start[2 * NR_MAPS];
};

static bool list_map(const struct quire_map_info *map, void *arg)
{
	struct map_list *list = arg;

	if (map->start >= BASE && list->nr < 2 * NR_MAPS)
		list->start[list->nr++] = map->start;
	return true;
}

static void check_child(struct quire_mm *child)
{
	struct map_list maps = { 0 };
	unsigned expect = 0;

	quire_mm_maps(child, list_map, &maps);
	for (unsigned i = 0; i < NR_MAPS; i++) {
		if (i == 3)
			continue;
		assert_int_equal(maps.start[expect++], BASE + 2 * i * PAGE);
		assert_int_equal(get(child, BASE + 2 * i * PAGE), i == 4 ? 0 : i + 1);
	}
	assert_int_equal(maps.nr, expect);
	assert_int_equal(stats(child).nr_vmas, stats(mm).nr_vmas - 1);
	assert_int_equal(stats(child).total_pages, stats(mm).total_pages - 1);
	assert_signal(child, BASE + 6 * PAGE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_MAPERR);
}

static void all_trees_alike(void **state)
{
	(void)state;
	for (unsigned t = 0; t < 3; t++) {
		struct quire_mm *child;

		begin_with(trees[t], undos[0]);
		fill();
		child = fork_of(mm);
		check_child(child);
		/* The child can go on to change what it got. */
		map_anon(BASE + 6 * PAGE, 1);
		assert_int_equal(quire_munmap(child, BASE + 10 * PAGE, 3 * PAGE), 0);
		put(child, BASE, 77);
		assert_int_equal(get(mm, BASE), 1);
		quire_check(q);
		quire_mm_put(child);
		world_end();
	}
}

/*
 * Fails the nth allocation of a fork.  Returns false when the fork came
 * through; else asserts that the parent is as before.
 */
static bool failing_fork(uint64_t n)
{
	struct quire_mm_stats before = stats(mm);
	struct quire_memory_stats memory_before, memory_after;
	struct quire_mm *child = NULL;
	int err;

	quire_memory_stats(q, &memory_before);
	quire_fail_nth(n);
	err = quire_mm_fork(mm, &child);
	quire_fail_nth(0);
	if (err == 0) {
		check_child(child);
		quire_mm_put(child);
		return false;
	}
	assert_int_equal(err, -QUIRE_ENOMEM);
	assert_null(child);
	assert_int_equal(stats(mm).nr_vmas, before.nr_vmas);
	assert_int_equal(stats(mm).rss_anon_pages, before.rss_anon_pages);
	assert_int_equal(stats(mm).page_table_bytes, before.page_table_bytes);
	quire_memory_stats(q, &memory_after);
	assert_int_equal(memory_after.committed_pages, memory_before.committed_pages);
	assert_int_equal(memory_after.nr_address_spaces, memory_before.nr_address_spaces);
	for (unsigned i = 0; i < NR_MAPS; i++)
		assert_int_equal(get(mm, BASE + 2 * i * PAGE), i + 1);
	return true;
}

/* All failures of a fork under the two alternatives; frames leaked. */
static uint64_t leaked_frames(const char *tree, const char *undo)
{
	struct quire_leaks leaks;
	uint64_t n = 1;

	begin_with(tree, undo);
	fill();
	while (failing_fork(n))
		n++;
	/* The VMAs, their links, the tables, the tree: many places to fail. */
	assert_true(n > NR_MAPS);
	for (unsigned i = 0; i < NR_MAPS; i++) {
		put(mm, BASE + 2 * i * PAGE, 99);
		assert_int_equal(info(mm, BASE + 2 * i * PAGE).mapcount, 1);
		assert_int_equal(info(mm, BASE + 2 * i * PAGE).refcount, 1);
	}
	leaks = world_end_leaks();
	assert_int_equal(leaks.nr_objects, 0);
	assert_int_equal(leaks.nr_address_spaces, 0);
	return leaks.nr_frames;
}

/*
 * Letter 004_b20df14de9f2b197.txt: the first VMA that was not duplicated, taken
 * as the ceiling, keeps the tables that reach across its start.
 */
static void undo_leaks_nothing_but(void **state)
{
	(void)state;
	for (unsigned t = 0; t < 3; t++) {
		assert_int_equal(leaked_frames(trees[t], "own-limit-and-ceiling"), 0);
		assert_int_equal(leaked_frames(trees[t], "marker"), 0);
		assert_true(leaked_frames(trees[t], "next-as-ceiling") > 0);
	}
}

static void fork_limits_and_locks(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_anon(BASE, 2);
	assert_int_equal(quire_mlock(mm, BASE, PAGE, 0), 0);
	child = fork_of(mm);
	assert_int_equal(stats(mm).locked_pages, 1);
	assert_int_equal(stats(child).locked_pages, 0);
	quire_mm_put(child);
}

static void shared_memory_stays_shared(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_in(mm, BASE, 2, RW, SHARED_ANON, NULL, 0);
	put(mm, BASE, 5);
	child = fork_of(mm);
	/* Not copied: faulted in again. */
	assert_false(info(child, BASE).present);
	assert_int_equal(get(child, BASE), 5);
	put(child, BASE, 6);
	assert_int_equal(get(mm, BASE), 6);
	put(mm, BASE + PAGE, 7);
	assert_int_equal(get(child, BASE + PAGE), 7);
	assert_int_equal(stats(child).rss_shmem_pages, 2);
	quire_mm_put(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_trees_alike),
		cmocka_unit_test(undo_leaks_nothing_but),
		world_test(fork_limits_and_locks),
		world_test(shared_memory_stays_shared),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
