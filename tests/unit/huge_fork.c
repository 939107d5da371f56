/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork of PMD leaves, and what a write does afterwards: the leaf is ours again
 * when nobody else has it, and pages are copied one by one when somebody has.
 *
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "huge_world.h"

static void the_child_has_a_leaf_too(void **state)
{
	uint64_t table_bytes;
	struct quire_mm *child;

	(void)state;
	make_leaf(BASE);
	table_bytes = stats(mm).page_table_bytes;
	child = fork_of(mm);
	assert_true(info(mm, BASE).leaf && info(child, BASE).leaf);
	assert_int_equal(info(child, BASE).pfn, info(mm, BASE).pfn);
	assert_false(info(mm, BASE).exclusive || info(mm, BASE).writable);
	assert_false(info(child, BASE).exclusive || info(child, BASE).writable);
	assert_int_equal(info(mm, BASE).refcount, 2 * HPAGES);
	assert_int_equal(info(mm, BASE).mapcount, 2 * HPAGES);
	assert_int_equal(stats(child).rss_anon_pages, HPAGES);
	assert_int_equal(stats(child).page_table_bytes, table_bytes);
	assert_tags(child, BASE);
	quire_mm_put(child);
	assert_int_equal(info(mm, BASE).refcount, HPAGES);
}

/* The first write splits the writer's leaf and copies one page. */
static void a_write_copies_a_page(void **state)
{
	struct quire_mm *child;

	(void)state;
	make_leaf(BASE);
	child = fork_of(mm);
	put(mm, BASE + PAGE, 99);
	assert_int_equal(stats(mm).cow_copies, 1);
	assert_false(info(mm, BASE).leaf);
	assert_true(info(child, BASE).leaf);
	assert_int_equal(info(mm, BASE).mapcount, 2 * HPAGES - 1);
	assert_int_equal(info(mm, BASE).pfn, info(child, BASE).pfn);
	quire_check(q);
	assert_tags(child, BASE);
	assert_int_equal(get(mm, BASE + PAGE), 99);
	put(child, BASE, 98);
	assert_int_equal(stats(child).cow_copies, 1);
	assert_false(info(child, BASE).leaf);
	assert_int_equal(get(mm, BASE), 1);
	quire_check(q);
	quire_mm_put(child);
	quire_check(q);
	/* What is left is the parent's: no copy any more. */
	for (unsigned i = 0; i < NR_TAGGED; i++)
		put(mm, tagged_page(BASE, i), 1);
	assert_int_equal(stats(mm).cow_copies, 1);
	quire_check(q);
}

static void parent_reuses_after_the_child_is_gone(void **state)
{
	uint64_t pfn, faults;

	(void)state;
	make_leaf(BASE);
	pfn = info(mm, BASE).pfn;
	quire_mm_put(fork_of(mm));
	faults = stats(mm).faults;
	put(mm, BASE, 50);
	put(mm, BASE + HUGE - PAGE, 51);
	assert_int_equal(stats(mm).faults, faults + 1);
	assert_int_equal(stats(mm).cow_reuses, 1);
	assert_int_equal(stats(mm).cow_copies, 0);
	assert_true(info(mm, BASE).leaf && info(mm, BASE).exclusive);
	assert_int_equal(info(mm, BASE).pfn, pfn);
	quire_check(q);
}

static void child_reuses_after_the_parent_unmapped(void **state)
{
	struct quire_mm *child;

	(void)state;
	make_leaf(BASE);
	child = fork_of(mm);
	assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
	put(child, BASE, 50);
	assert_true(info(child, BASE).leaf && info(child, BASE).exclusive);
	assert_int_equal(stats(child).cow_copies, 0);
	quire_check(q);
	/* By its own anon_vma it is found now: fork and write once more. */
	quire_mm_put(fork_of(child));
	put(child, BASE, 51);
	assert_int_equal(stats(child).cow_reuses, 2);
	quire_mm_put(child);
}

/* A page of it is held by somebody who does not map it: not ours to reuse. */
static void a_reference_is_respected(void **state)
{
	struct quire_mm *child;
	struct quire_pin *pin;

	(void)state;
	make_leaf(BASE);
	child = fork_of(mm);
	pin = pin_pages(child, BASE + PAGE, 1, QUIRE_PIN_GET_ONLY);
	assert_int_equal(quire_munmap(child, BASE, HUGE), 0);
	put(mm, BASE + PAGE, 99);
	assert_int_equal(stats(mm).cow_copies, 1);
	assert_int_equal(pin_get(pin, 0), 2);
	quire_check(q);
	quire_unpin(pin);
	quire_mm_put(child);
}

/* Pinned before fork: the pages stay the parent's, the child gets copies. */
static void pinned_pages_are_copied(void **state)
{
	struct quire_mm *child;
	struct quire_pin *pin;

	(void)state;
	make_leaf(BASE);
	pin = pin_pages(mm, BASE + PAGE, 1, 0);
	child = fork_of(mm);
	assert_false(info(mm, BASE + PAGE).leaf);
	assert_true(info(mm, BASE + PAGE).exclusive && info(mm, BASE + PAGE).writable);
	assert_int_not_equal(info(child, BASE + PAGE).pfn, info(mm, BASE + PAGE).pfn);
	assert_tags(child, BASE);
	put(mm, BASE + PAGE, 77);
	assert_int_equal(pin_get(pin, 0), 77);
	assert_int_equal(stats(mm).cow_copies, 0);
	assert_int_equal(get(child, BASE + PAGE), 2);
	quire_unpin(pin);
	quire_check(q);
	quire_mm_put(child);
}

/* A read pin after fork gets a page that stays the reader's. */
static void a_read_pin_unshares(void **state)
{
	struct quire_mm *child;
	struct quire_pin *pin;

	(void)state;
	make_leaf(BASE);
	child = fork_of(mm);
	pin = pin_pages(mm, BASE + PAGE, 1, 0);
	assert_true(info(mm, BASE + PAGE).exclusive);
	assert_true(info(child, BASE + PAGE).leaf);
	put(mm, BASE + PAGE, 77);
	assert_int_equal(pin_get(pin, 0), 77);
	quire_unpin(pin);
	quire_mm_put(child);
	/* Alone with a leaf: it is marked, and stays whole. */
	make_leaf(BASE + 2 * HUGE);
	quire_mm_put(fork_of(mm));
	pin = pin_pages(mm, BASE + 2 * HUGE, 1, 0);
	assert_true(info(mm, BASE + 2 * HUGE).leaf && info(mm, BASE + 2 * HUGE).exclusive);
	assert_false(info(mm, BASE + 2 * HUGE).writable);
	quire_check(q);
	quire_unpin(pin);
}

static void zeros_are_inherited(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_huge(BASE, 2);
	assert_int_equal(get(mm, BASE), 0);
	put(mm, BASE + HUGE, 1); /* there is an anon_vma: fork copies the VMA */
	child = fork_of(mm);
	assert_true(info(child, BASE).leaf && info(child, BASE).zero_page);
	put(child, BASE, 1);
	assert_true(info(child, BASE).leaf && !info(child, BASE).zero_page);
	assert_int_equal(get(mm, BASE), 0);
	assert_true(info(mm, BASE).zero_page);
	quire_check(q);
	quire_mm_put(child);
}

/* Parts that differ after a split: each page goes its own way. */
static void a_chain_of_forks(void **state)
{
	struct quire_mm *child, *grandchild;

	(void)state;
	make_leaf(BASE);
	child = fork_of(mm);
	grandchild = fork_of(child);
	assert_int_equal(info(mm, BASE).mapcount, 3 * HPAGES);
	put(child, BASE, 20);
	assert_int_equal(quire_munmap(grandchild, BASE + PAGE, PAGE), 0);
	quire_check(q);
	assert_tags(mm, BASE);
	quire_mm_put(child);
	assert_int_equal(info(mm, BASE).mapcount, 2 * HPAGES - 1);
	put(grandchild, BASE, 30);
	assert_int_equal(get(mm, BASE), 1);
	quire_check(q);
	quire_mm_put(mm);
	mm = NULL;
	put(grandchild, BASE + HUGE - PAGE, 31);
	assert_int_equal(stats(grandchild).cow_copies, 1);
	quire_check(q);
	quire_mm_put(grandchild);
}

/* A fork that fails leaves nothing, and the parent may write at once. */
static void every_allocation_fails(void **state)
{
	struct quire_mm *child;

	(void)state;
	make_leaf(BASE);
	make_leaf(BASE + 2 * HUGE);
	assert_int_equal(quire_madvise(mm, BASE, PAGE, QUIRE_MADV_DONTNEED), 0);
	for (uint64_t nth = 1;; nth++) {
		int err;

		quire_fail_nth(nth);
		err = quire_mm_fork(mm, &child);
		quire_fail_nth(0);
		quire_check(q);
		assert_tags(mm, BASE + 2 * HUGE);
		put(mm, BASE + 2 * HUGE, 1);
		put(mm, BASE + PAGE, 2);
		if (!err) {
			quire_mm_put(child);
			break;
		}
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_true(info(mm, BASE + 2 * HUGE).leaf);
		assert_int_equal(info(mm, BASE + 2 * HUGE).refcount, HPAGES);
		assert_int_equal(stats(mm).cow_copies, 0);
	}
}

/* With pages of large folios counted one by one the sums come out the same. */
static void with_counts_per_page(void **state)
{
	struct quire_mm *child;

	(void)state;
	world_end();
	world_decide("nr-mapped", "per-subpage");
	world_begin();
	make_leaf(BASE);
	child = fork_of(mm);
	assert_int_equal(quire_madvise(mm, BASE, PAGE, QUIRE_MADV_DONTNEED), 0);
	quire_check(q);
	put(child, BASE, 1);
	quire_check(q);
	assert_int_equal(info(mm, BASE + PAGE).mapcount, 2 * HPAGES - 2);
	quire_mm_put(child);
	put(mm, BASE + PAGE, 1);
	assert_int_equal(stats(mm).cow_copies, 0);
	quire_check(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		huge_test(the_child_has_a_leaf_too),
		huge_test(a_write_copies_a_page),
		huge_test(parent_reuses_after_the_child_is_gone),
		huge_test(child_reuses_after_the_parent_unmapped),
		huge_test(a_reference_is_respected),
		huge_test(pinned_pages_are_copied),
		huge_test(a_read_pin_unshares),
		huge_zeros_test(zeros_are_inherited),
		huge_test(a_chain_of_forks),
		huge_test(every_allocation_fails),
		huge_test(with_counts_per_page),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
