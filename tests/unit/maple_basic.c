/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The maple tree's promises one by one: the ends of the index space, limits of
 * next and prev, holes, cursors that outlive stores, bulk store, duplication.
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "model/maple_world.h"

static struct world world;

static void *E(uintptr_t n)
{
	return (void *)(n << 2);
}

static void store(u64 first, u64 last, void *entry)
{
	struct maple_cursor cur = maple_cursor(&world.tree, first, last);

	assert_int_equal(maple_store(&cur, entry), 0);
	maple_check(&world.tree);
}

static void expect_range(u64 index, u64 first, u64 last, void *entry)
{
	struct maple_cursor cur = maple_cursor(&world.tree, index, index);

	assert_ptr_equal(maple_walk(&cur), entry);
	assert_int_equal(cur.first, first);
	assert_int_equal(cur.last, last);
	assert_ptr_equal(maple_load(&world.tree, index), entry);
}

static void both_ends_of_the_index_space(void **state)
{
	(void)state;
	expect_range(7, 0, UINT64_MAX, NULL);
	store(0, 0, E(1));
	store(UINT64_MAX, UINT64_MAX, E(2));
	expect_range(0, 0, 0, E(1));
	expect_range(5, 1, UINT64_MAX - 1, NULL);
	expect_range(UINT64_MAX, UINT64_MAX, UINT64_MAX, E(2));
	store(0, UINT64_MAX, E(3));
	expect_range(9, 0, UINT64_MAX, E(3));
	store(4, 4, NULL);
	expect_range(0, 0, 3, E(3));
	expect_range(4, 4, 4, NULL);
	expect_range(5, 5, UINT64_MAX, E(3));
	store(0, UINT64_MAX, NULL);
	assert_true(maple_is_empty(&world.tree));
	store(3, 9, NULL);
	assert_true(maple_is_empty(&world.tree));
}

static void next_and_prev_keep_their_limits(void **state)
{
	struct maple_cursor cur = maple_cursor(&world.tree, 0, 0);

	(void)state;
	assert_null(maple_find(&cur, UINT64_MAX));
	for (u64 i = 1; i <= 40; i++)
		store(i * 10, i * 10 + 3, E(i));
	assert_null(maple_find(&cur, 9));
	assert_int_equal(cur.first, 0);
	assert_ptr_equal(maple_find(&cur, 10), E(1));
	assert_null(maple_next(&cur, 19));
	assert_int_equal(cur.last, 13);
	assert_ptr_equal(maple_next(&cur, 20), E(2));
	assert_null(maple_prev(&cur, 14));
	assert_int_equal(cur.first, 20);
	assert_ptr_equal(maple_prev(&cur, 13), E(1));
	assert_null(maple_prev(&cur, 0));
	maple_set_range(&cur, 405, 405);
	assert_null(maple_find(&cur, UINT64_MAX));
	assert_ptr_equal(maple_prev(&cur, 0), E(40));
	assert_null(maple_next(&cur, UINT64_MAX));
	for (u64 i = 39; i >= 1; i--)
		assert_ptr_equal(maple_prev(&cur, 0), E(i));
	maple_set_range(&cur, 12, 12);
	assert_ptr_equal(maple_find(&cur, UINT64_MAX), E(1));
	assert_int_equal(cur.first, 10);
}

static void erase_returns_what_was_there(void **state)
{
	struct maple_cursor cur = maple_cursor(&world.tree, 52, 52);
	void *old;

	(void)state;
	assert_int_equal(maple_erase(&cur, &old), 0);
	assert_null(old);
	store(50, 59, E(1));
	store(60, 69, E(2));
	assert_int_equal(maple_erase(&cur, &old), 0);
	assert_ptr_equal(old, E(1));
	assert_int_equal(cur.first, 50);
	assert_int_equal(cur.last, 59);
	expect_range(55, 0, 59, NULL);
	maple_set_range(&cur, 69, 69);
	assert_int_equal(maple_erase(&cur, NULL), 0);
	assert_true(maple_is_empty(&world.tree));
}

/* Stores through one cursor while another walks. */
static void a_cursor_outlives_stores(void **state)
{
	struct maple_cursor cur = maple_cursor(&world.tree, 0, 0);
	void *entry;
	u64 n = 0;

	(void)state;
	for (u64 i = 0; i < 100; i++)
		store(i * 4, i * 4 + 1, E(i + 1));
	maple_for_each(&cur, entry, UINT64_MAX) {
		assert_ptr_equal(entry, E(n + 1));
		store(cur.first, cur.first, NULL);
		store(cur.first + 2, cur.first + 3, E(1000 + n));
		assert_ptr_equal(maple_next(&cur, UINT64_MAX), E(1000 + n));
		assert_int_equal(cur.first, n * 4 + 2);
		maple_replace(&cur, E(2000 + n));
		n++;
	}
	assert_int_equal(n, 100);
	for (u64 i = 0; i < 100; i++) {
		expect_range(i * 4 + 1, i * 4 + 1, i * 4 + 1, E(i + 1));
		expect_range(i * 4 + 2, i * 4 + 2, i * 4 + 3, E(2000 + i));
	}
}

static void empty_areas(void **state)
{
	struct maple_cursor cur = maple_cursor(&world.tree, 0, 0);

	(void)state;
	assert_int_equal(maple_empty_area(&cur, 5, 9, 5), 0);
	assert_int_equal(cur.first, 5);
	assert_int_equal(maple_empty_area_rev(&cur, 0, UINT64_MAX, 1), 0);
	assert_int_equal(cur.first, UINT64_MAX);
	assert_int_equal(maple_empty_area(&cur, 5, 9, 6), -QUIRE_EINVAL);
	assert_int_equal(maple_empty_area(&cur, 5, 9, 0), -QUIRE_EINVAL);
	assert_int_equal(maple_empty_area_rev(&cur, 9, 5, 1), -QUIRE_EINVAL);
	for (u64 i = 0; i < 60; i++)
		store(100 + i * 10, 100 + i * 10 + 10 - i % 8, E(i + 1));
	/* i % 8 - 1 indexes are free behind range i: 6 behind range 7. */
	assert_int_equal(maple_empty_area(&cur, 100, UINT64_MAX, 6), 0);
	assert_int_equal(cur.first, 174);
	assert_int_equal(cur.last, 179);
	assert_int_equal(maple_empty_area(&cur, 100, 699, 7), -QUIRE_EBUSY);
	assert_int_equal(maple_empty_area(&cur, 100, UINT64_MAX, 7), 0);
	assert_int_equal(cur.first, 698);
	assert_int_equal(maple_empty_area_rev(&cur, 100, 690, 6), 0);
	assert_int_equal(cur.first, 654);
	assert_int_equal(maple_empty_area_rev(&cur, 0, 690, 7), 0);
	assert_int_equal(cur.first, 93);
	assert_int_equal(maple_empty_area_rev(&cur, 94, 690, 7), -QUIRE_EBUSY);
}

/* Rising, falling, and rising below other ranges: full nodes are left behind. */
static void sequential_stores_fill_nodes(void **state)
{
	enum { NR = 2000 };
	const double wanted = maple_node_bytes() == 256 ? 13.0 : 2.0;

	(void)state;
	for (int way = 0; way < 3; way++) {
		struct maple_stats stats;

		if (way == 2) {
			store(1u << 20, (1u << 20) + 4, E(1));
			store((1u << 20) + 8, (1u << 20) + 9, E(2));
		}
		for (u64 i = 0; i < NR; i++) {
			u64 at = way == 1 ? NR + 1 - i : i + 1;
			struct maple_cursor cur = maple_cursor(&world.tree, at, at);

			assert_int_equal(maple_store(&cur, E(at)), 0);
		}
		maple_check(&world.tree);
		maple_stats(&world.tree, &stats);
		assert_int_equal(stats.nr_entries, way == 2 ? NR + 2 : NR);
		if (way < 2)
			assert_true((double)stats.nr_entries / (double)stats.nr_nodes > wanted);
		maple_destroy(&world.tree);
	}
}

static void bulk_of(u64 nr, u64 stride, u64 len, u64 base)
{
	struct maple_bulk bulk;

	assert_int_equal(maple_bulk_begin(&bulk, &world.tree, nr), 0);
	for (u64 i = 0; i < nr; i++)
		maple_bulk_store(&bulk, base + i * stride, base + i * stride + len - 1,
				 E(i + 1));
	maple_bulk_end(&bulk);
	maple_check(&world.tree);
	for (u64 i = 0; i < nr; i++)
		expect_range(base + i * stride, base + i * stride,
			     base + i * stride + len - 1, E(i + 1));
}

static void bulk_store(void **state)
{
	struct maple_stats stats;

	(void)state;
	for (u64 nr = 0; nr < 200; nr++) {
		bulk_of(nr, 1, 1, 0);
		maple_destroy(&world.tree);
		bulk_of(nr, 3, 2, 1);
		maple_stats(&world.tree, &stats);
		assert_int_equal(stats.nr_entries, nr);
		maple_destroy(&world.tree);
		if (nr != 0)
			bulk_of(nr, 1, 1, UINT64_MAX - nr + 1);
		maple_destroy(&world.tree);
	}
	/* Fewer than promised. */
	{
		struct maple_bulk bulk;

		assert_int_equal(maple_bulk_begin(&bulk, &world.tree, 100), 0);
		maple_bulk_store(&bulk, 7, 8, E(1));
		maple_bulk_end(&bulk);
		expect_range(8, 7, 8, E(1));
	}
}

static void duplication(void **state)
{
	struct maple_tree copy;
	struct maple_stats a, b;

	(void)state;
	for (u64 nr = 0; nr < 400; nr = nr * 2 + 1) {
		struct maple_cursor from = maple_cursor(&world.tree, 0, 0), to;
		void *entry;

		for (u64 i = 0; i < nr; i++)
			store(i * 7 % 401 * 3, i * 7 % 401 * 3 + 1, E(i + 1));
		maple_init(&copy, &world.nodes, world.tree.flags);
		to = maple_cursor(&copy, 0, 0);
		assert_int_equal(maple_dup(&world.tree, &copy), 0);
		maple_check(&copy);
		maple_stats(&world.tree, &a);
		maple_stats(&copy, &b);
		assert_memory_equal(&a, &b, sizeof(a));
		assert_ptr_equal(maple_find(&from, UINT64_MAX), maple_find(&to, UINT64_MAX));
		while ((entry = maple_next(&from, UINT64_MAX)) != NULL) {
			assert_ptr_equal(maple_next(&to, UINT64_MAX), entry);
			assert_int_equal(from.first, to.first);
			assert_int_equal(from.last, to.last);
		}
		assert_null(maple_next(&to, UINT64_MAX));
		if (nr != 0)
			assert_int_equal(maple_dup(&world.tree, &copy), -QUIRE_EINVAL);
		/* Two trees: a store in one is not seen in the other. */
		maple_destroy(&copy);
		maple_check(&world.tree);
		maple_destroy(&world.tree);
	}
	maple_init(&copy, &world.nodes, world.tree.flags ^ MAPLE_RCU);
	store(1, 1, E(1));
	assert_int_equal(maple_dup(&world.tree, &copy), -QUIRE_EINVAL);
}

static void preallocated_stores_need_no_memory(void **state)
{
	enum { NR = 300 };

	(void)state;
	for (u64 i = 0; i < NR; i++)
		store(i, i, E(i + 1));
	for (u64 i = 0; i < NR; i++) {
		/* Entries and holes, short and wide, all over the place. */
		u64 first = i * 97 % NR, last = first + (i % 5 == 0 ? i : i % 3);
		struct maple_cursor cur = maple_cursor(&world.tree, first, last);
		void *entry = i % 2 ? E(NR + i) : NULL;

		assert_int_equal(maple_preallocate(&cur, entry), 0);
		quire_fail_nth(1);
		maple_store_prealloc(&cur, entry);
		assert_int_equal(quire_fail_seen(), 0);
		quire_fail_nth(0);
		maple_check(&world.tree);
		assert_ptr_equal(maple_walk(&cur), entry);
		assert_true(entry == NULL ? cur.first <= first : cur.first == first);
		assert_true(entry == NULL ? cur.last >= last : cur.last == last);
	}
}

static int set_up(void **state)
{
	(void)state;
	if (mach_attach() != 0)
		return -1;
	world_init(&world, 0, 1, MAPLE_GAPS | MAPLE_RCU);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_fini(&world);
	mach_detach();
	return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(both_ends_of_the_index_space),
		T(next_and_prev_keep_their_limits),
		T(erase_returns_what_was_there),
		T(a_cursor_outlives_stores),
		T(empty_areas),
		T(sequential_stores_fill_nodes),
		T(bulk_store),
		T(duplication),
		T(preallocated_stores_need_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
