/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copy on write between parent and child, and when a page may be written where
 * it is.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include "mm_world.h"

static void child_and_parent_do_not_see_each_other(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_anon(BASE, 3);
	put(mm, BASE, 1);
	put(mm, BASE + PAGE, 2);
	child = fork_of(mm);
	assert_int_equal(info(mm, BASE).pfn, info(child, BASE).pfn);
	assert_int_equal(info(mm, BASE).mapcount, 2);
	assert_int_equal(info(mm, BASE).refcount, 2);
	assert_false(info(mm, BASE).writable || info(mm, BASE).exclusive);
	assert_int_equal(stats(child).rss_anon_pages, 2);

	/* The parent's TLB knew the page writable: the flush has to have come. */
	put(mm, BASE, 11);
	assert_int_equal(get(child, BASE), 1);
	put(child, BASE + PAGE, 12);
	assert_int_equal(get(mm, BASE + PAGE), 2);
	put(child, BASE + 2 * PAGE, 13);
	assert_int_equal(get(mm, BASE + 2 * PAGE), 0);
	assert_int_equal(stats(mm).cow_copies, 1);
	assert_int_equal(stats(child).cow_copies, 1);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
	quire_mm_put(child);
}

static void last_one_reuses(void **state)
{
	struct quire_mm *child;
	uint64_t pfn;

	(void)state;
	map_anon(BASE, 2);
	put(mm, BASE, 1);
	pfn = info(mm, BASE).pfn;
	quire_mm_put(fork_of(mm));
	put(mm, BASE, 2);
	assert_int_equal(info(mm, BASE).pfn, pfn);
	assert_true(info(mm, BASE).exclusive);
	assert_int_equal(stats(mm).cow_reuses, 1);
	assert_int_equal(stats(mm).cow_copies, 0);

	/* The child that outlives its parent's copy reuses as well. */
	child = fork_of(mm);
	put(mm, BASE, 3);
	assert_int_equal(stats(mm).cow_copies, 1);
	put(child, BASE, 4);
	assert_int_equal(info(child, BASE).pfn, pfn);
	assert_int_equal(stats(child).cow_reuses, 1);
	assert_int_equal(get(mm, BASE), 3);
	/* And found by the child's own anon_vma, it survives the parent. */
	quire_mm_put(mm);
	mm = child;
	assert_int_equal(get(mm, BASE), 4);
}

/* The parent's stale TLB must not let it write what the child reads. */
static void grandchildren(void **state)
{
	struct quire_mm *children[3];

	(void)state;
	map_anon(BASE, 1);
	put(mm, BASE, 1);
	for (unsigned i = 0; i < 3; i++)
		children[i] = fork_of(i == 0 ? mm : children[i - 1]);
	assert_int_equal(info(mm, BASE).mapcount, 4);
	for (unsigned i = 0; i < 3; i++)
		put(children[i], BASE, (uint8_t)(i + 10));
	assert_int_equal(get(mm, BASE), 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(get(children[i], BASE), i + 10);
		quire_mm_put(children[i]);
	}
}

/*
 * CVE-2020-29374.  The child takes a reference to a page (as vmsplice to a
 * pipe did), unmaps it, and reads through the reference what the parent writes
 * later.  Returns what it reads; the parent wrote 2 over 1.
 */
static uint8_t vmsplice_leak(void)
{
	struct quire_mm *child;
	struct quire_pin *pipe;
	uint8_t byte;

	map_anon(BASE, 1);
	put(mm, BASE, 1);
	child = fork_of(mm);
	pipe = pin_pages(child, BASE, 1, QUIRE_PIN_GET_ONLY);
	assert_int_equal(quire_munmap(child, BASE, PAGE), 0);
	put(mm, BASE, 2);
	byte = pin_get(pipe, 0);
	quire_unpin(pipe);
	quire_mm_put(child);
	return byte;
}

static void references_count(void **state)
{
	(void)state;
	assert_int_equal(vmsplice_leak(), 1);
}

static void mapcount_leaks(void **state)
{
	(void)state;
	world_config_default();
	world_decide("cow-reuse", "mapcount");
	world_begin();
	assert_int_equal(vmsplice_leak(), 2);
	world_end();
}

static void every_allocation_fails(void **state)
{
	struct quire_mm *child;
	struct quire_fault fault;
	int err = -1;

	(void)state;
	map_anon(BASE, 1);
	put(mm, BASE, 1);
	child = fork_of(mm);
	for (uint64_t n = 1; err != 0; n++) {
		quire_fail_nth(n);
		err = quire_touch(child, BASE, QUIRE_TOUCH_WRITE, &fault);
		quire_fail_nth(0);
		if (err != 0) {
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_int_equal(info(mm, BASE).refcount, 2);
			assert_int_equal(info(mm, BASE).mapcount, 2);
			assert_int_equal(get(child, BASE), 1);
		}
	}
	assert_int_equal(stats(child).cow_copies, 1);
	quire_mm_put(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		zeros_test(child_and_parent_do_not_see_each_other),
		world_test(last_one_reuses),
		world_test(grandchildren),
		world_test(references_count),
		cmocka_unit_test(mapcount_leaks),
		world_test(every_allocation_fails),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
