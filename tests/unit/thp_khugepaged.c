/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * khugepaged: where it goes, what it collapses, and that it keeps its place.
 *
 * variants: threads_4k threads_tiny
 */
#include "mm/mm.h"

#include "mm_world.h"

enum { NR = QUIRE_TABLE_ENTRIES, ALL = 1 << 20 };

#define PMD QUIRE_PMD_SIZE

static uint64_t at(unsigned pmd)
{
	return BASE + pmd * PMD;
}

static uint64_t scan(uint64_t nr_pages)
{
	uint64_t nr = 0;

	assert_int_equal(quire_khugepaged_scan(q, nr_pages, &nr), 0);
	quire_check(q);
	return nr;
}

static bool is_leaf(struct quire_mm *where, uint64_t addr)
{
	return info(where, addr).leaf;
}

static unsigned nr_leaves(struct quire_mm *where, unsigned nr_pmds)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < nr_pmds; i++)
		nr += is_leaf(where, at(i));
	return nr;
}

/* Ranges of small pages; only then does the policy allow more. */
static void map_ranges(struct quire_mm *where, unsigned nr_pmds)
{
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_NEVER), 0);
	map_in(where, BASE, nr_pmds * NR, RW, PRIVATE_ANON, NULL, 0);
	for (uint64_t i = 0; i < nr_pmds * NR; i++)
		put(where, BASE + i * PAGE, (uint8_t)(i + 1));
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS), 0);
}

static void assert_bytes(struct quire_mm *where, unsigned nr_pmds)
{
	for (uint64_t i = 0; i < nr_pmds * NR; i++)
		assert_int_equal(get(where, BASE + i * PAGE), (uint8_t)(i + 1));
}

static struct quire_mm *another_mm(void)
{
	struct quire_layout layout;
	struct quire_mm *other;

	quire_layout_default(&layout);
	assert_int_equal(quire_mm_create(q, &layout, &other), 0);
	return other;
}

static void begin_with_limits(unsigned max_none, unsigned max_shared)
{
	world_end();
	world_config.max_ptes_none = max_none;
	world_config.max_ptes_shared = max_shared;
	world_begin();
}

/* ---- which ranges ------------------------------------------------------------------- */

static void all_that_may_be(void **state)
{
	(void)state;
	map_ranges(mm, 3);
	assert_int_equal(scan(ALL), 3);
	assert_int_equal(nr_leaves(mm, 3), 3);
	assert_bytes(mm, 3);
	assert_int_equal(scan(ALL), 0);
}

static void policy_is_asked(void **state)
{
	(void)state;
	map_ranges(mm, 4);
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_NEVER), 0);
	assert_int_equal(scan(ALL), 0);
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_MADVISE), 0);
	assert_int_equal(scan(ALL), 0);
	assert_int_equal(quire_madvise(mm, at(1), PMD, QUIRE_MADV_HUGEPAGE), 0);
	assert_int_equal(scan(ALL), 1);
	assert_true(is_leaf(mm, at(1)));
	assert_int_equal(quire_madvise(mm, at(2), PMD, QUIRE_MADV_NOHUGEPAGE), 0);
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	assert_int_equal(scan(ALL), 2);
	assert_false(is_leaf(mm, at(2)));
	assert_bytes(mm, 4);
}

/* Ends of VMAs, holes, other kinds of memory. */
static void only_whole_ranges_of_a_vma(void **state)
{
	(void)state;
	map_ranges(mm, 5);
	assert_int_equal(quire_munmap(mm, at(1), PAGE), 0);
	assert_int_equal(quire_mprotect(mm, at(3) + PAGE, PAGE, QUIRE_PROT_READ), 0);
	map_in(mm, at(2), NR, RW, SHARED_ANON, NULL, 0);
	for (uint64_t i = 0; i < NR; i++)
		put(mm, at(2) + i * PAGE, 1);
	assert_int_equal(scan(ALL), 2);
	assert_true(is_leaf(mm, at(0)) && is_leaf(mm, at(4)));
}

static void missing_pages_are_counted(void **state)
{
	(void)state;
	world_has_zero_pages();
	begin_with_limits(2, NR);
	map_ranges(mm, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(quire_madvise(mm, at(i), i * PAGE, QUIRE_MADV_DONTNEED), 0);
	/* The page of zeros counts as missing. */
	assert_int_equal(get(mm, at(2)), 0);
	assert_int_equal(get(mm, at(3)), 0);
	assert_int_equal(scan(ALL), 3);
	assert_int_equal(nr_leaves(mm, 3), 3);
	assert_false(is_leaf(mm, at(3)));
	assert_int_equal(stats(mm).rss_anon_pages, 4 * NR - 3);
	/* Who asks for it has no such limit. */
	assert_int_equal(quire_madvise(mm, at(3), PMD, QUIRE_MADV_COLLAPSE), 0);
	assert_true(is_leaf(mm, at(3)));
}

static void shared_pages_are_counted(void **state)
{
	struct quire_mm *child;

	(void)state;
	begin_with_limits(NR - 1, 2);
	map_ranges(mm, 2);
	child = fork_of(mm);
	/* In the first range two pages stay shared, in the second three. */
	for (uint64_t i = 2; i < NR; i++)
		put(mm, at(0) + i * PAGE, (uint8_t)(i + 1));
	for (uint64_t i = 3; i < NR; i++)
		put(mm, at(1) + i * PAGE, (uint8_t)(NR + i + 1));
	assert_int_equal(scan(ALL), 2);
	assert_true(is_leaf(mm, at(0)) && !is_leaf(mm, at(1)));
	assert_true(is_leaf(child, at(0)) && !is_leaf(child, at(1)));
	assert_bytes(mm, 2);
	assert_bytes(child, 2);
	quire_mm_put(child);
	/* Nobody shares any more. */
	assert_int_equal(scan(ALL), 1);
	assert_bytes(mm, 2);
}

static void pinned_pages_wait(void **state)
{
	struct quire_pin *pin;

	(void)state;
	map_ranges(mm, 2);
	pin = pin_pages(mm, at(1), 1, QUIRE_PIN_WRITE);
	assert_int_equal(scan(ALL), 1);
	assert_false(is_leaf(mm, at(1)));
	quire_unpin(pin);
	assert_int_equal(scan(ALL), 1);
	assert_bytes(mm, 2);
}

/* ---- its place ---------------------------------------------------------------------------- */

static void it_goes_on_where_it_was(void **state)
{
	struct quire_mm *other = another_mm();

	(void)state;
	map_ranges(mm, 2);
	map_ranges(other, 2);
	/* One page for the way, which was not there before; a range each. */
	assert_int_equal(scan(2), 1);
	assert_int_equal(nr_leaves(mm, 2), 1);
	assert_int_equal(scan(2), 1);
	assert_int_equal(nr_leaves(mm, 2), 2);
	assert_int_equal(nr_leaves(other, 2), 0);
	assert_int_equal(scan(1), 0); /* there is no more in the first */
	assert_int_equal(scan(1), 1);
	assert_int_equal(scan(1), 1);
	assert_int_equal(nr_leaves(other, 2), 2);
	/* Around again. */
	assert_int_equal(quire_madvise(mm, at(0), PAGE, QUIRE_MADV_DONTNEED), 0);
	put(mm, at(0), 1);
	assert_int_equal(scan(ALL), 1);
	assert_bytes(mm, 2);
	assert_bytes(other, 2);
	quire_mm_put(other);
}

static void what_exits_is_forgotten(void **state)
{
	struct quire_mm *second = another_mm(), *third = another_mm();

	(void)state;
	map_ranges(mm, 1);
	map_ranges(second, 3);
	map_ranges(third, 1);
	assert_int_equal(scan(2), 1);
	assert_int_equal(scan(1), 0);
	assert_int_equal(scan(1), 1);
	assert_int_equal(nr_leaves(second, 3), 1);
	quire_mm_put(second); /* where it is */
	assert_int_equal(scan(1), 1);
	assert_true(is_leaf(third, at(0)));
	quire_mm_put(third);
	assert_int_equal(scan(ALL), 0);
}

static void what_is_busy_is_passed_over(void **state)
{
	struct quire_mm *other = another_mm();
	struct mm *inside = (struct mm *)(void *)mm;

	(void)state;
	map_ranges(mm, 1);
	map_ranges(other, 1);
	rwsem_write_lock(&inside->mmap_lock);
	assert_int_equal(quire_khugepaged_scan(q, ALL, NULL), 0);
	rwsem_write_unlock(&inside->mmap_lock);
	assert_false(is_leaf(mm, at(0)));
	assert_true(is_leaf(other, at(0)));
	/* Read by somebody: seen, but not changed. */
	rwsem_read_lock(&inside->mmap_lock);
	assert_int_equal(quire_khugepaged_scan(q, ALL, NULL), 0);
	rwsem_read_unlock(&inside->mmap_lock);
	assert_false(is_leaf(mm, at(0)));
	assert_int_equal(scan(ALL), 1);
	quire_mm_put(other);
}

static void one_at_a_time(void **state)
{
	uint64_t nr = 77;

	(void)state;
	map_ranges(mm, 1);
	atomic_store(&((struct quire *)q)->scanning, 1u);
	assert_int_equal(quire_khugepaged_scan(q, ALL, &nr), -QUIRE_EBUSY);
	assert_int_equal(nr, 77);
	atomic_store(&((struct quire *)q)->scanning, 0u);
	assert_int_equal(quire_khugepaged_scan(NULL, ALL, &nr), -QUIRE_EINVAL);
	assert_int_equal(scan(0), 0);
	assert_int_equal(scan(ALL), 1);
}

static void without_memory_nothing_happens(void **state)
{
	(void)state;
	map_ranges(mm, 2);
	quire_fail_nth(1);
	/* The second range finds memory again. */
	assert_int_equal(scan(ALL), 1);
	assert_false(is_leaf(mm, at(0)));
	assert_bytes(mm, 2);
	assert_int_equal(scan(ALL), 1);
}

static int roomy_setup(void **state)
{
	(void)state;
	world_config_default();
	world_config.memory_bytes = 12 * NR * PAGE + 512 * PAGE;
	world_begin();
	return 0;
}

#define roomy_test(name) cmocka_unit_test_setup_teardown(name, roomy_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		roomy_test(all_that_may_be),
		roomy_test(policy_is_asked),
		roomy_test(only_whole_ranges_of_a_vma),
		roomy_test(missing_pages_are_counted),
		roomy_test(shared_pages_are_counted),
		roomy_test(pinned_pages_wait),
		roomy_test(it_goes_on_where_it_was),
		roomy_test(what_exits_is_forgotten),
		roomy_test(what_is_busy_is_passed_over),
		roomy_test(one_at_a_time),
		roomy_test(without_memory_nothing_happens),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
