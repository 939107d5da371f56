/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Folios larger than a page table of the 4k geometry has entries: orders 10 to
 * 13 of 64 KiB pages, 64 to 512 MiB.  What counts pages or entries counts to
 * thousands here, in one folio and in several address spaces.
 *
 * The largest one is cleared only where nothing smaller would do.
 *
 * variants: threads_64k
 * presets: release debug asan count (it has one thread)
 */
#include "mm_world.h"

enum { ORDER = 10, NR = 1 << ORDER, NR_CHILDREN = 5 };
#define PMD_PAGES ((uint64_t)QUIRE_TABLE_ENTRIES)

static int large_setup(void **state)
{
	(void)state;
	world_config_default();
	/* Twice the largest order, aligned, and what else is needed. */
	world_config.memory_bytes = 3 * QUIRE_PMD_SIZE;
	world_begin();
	return 0;
}

#define large_test(name) cmocka_unit_test_setup_teardown(name, large_setup, world_teardown)

static void again_with(const char *row, const char *alternative)
{
	world_end();
	world_decide(row, alternative);
	world_begin();
}

static void map_folio(uint64_t addr, unsigned order)
{
	assert_int_equal(quire_set_anon_folios(q, order, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(addr, UINT64_C(1) << order);
	put(mm, addr + 5 * PAGE, 5);
	assert_int_equal(info(mm, addr).order, order);
	assert_int_equal(quire_set_anon_folios(q, order, QUIRE_FOLIOS_NEVER), 0);
}

static void assert_mapcount(struct quire_mm *where, uint64_t addr, uint64_t nr)
{
	assert_int_equal(info(where, addr).mapcount, nr);
	assert_int_equal(info(where, addr).refcount, nr);
}

static void orders_above_nine(void **state)
{
	(void)state;
	for (unsigned order = 10; order < QUIRE_PMD_ORDER; order++) {
		uint64_t nr = UINT64_C(1) << order, faults = stats(mm).faults;

		map_folio(BASE, order);
		assert_int_equal(stats(mm).faults, faults + 1);
		assert_int_equal(stats(mm).rss_anon_pages, nr);
		assert_mapcount(mm, BASE, nr);
		for (uint64_t i = 0; i < nr; i += 97)
			assert_int_equal(info(mm, BASE + i * PAGE).pfn, info(mm, BASE).pfn + i);
		assert_int_equal(get(mm, BASE + 5 * PAGE), 5);
		assert_int_equal(get(mm, BASE + (nr - 1) * PAGE), 0);
		assert_int_equal(quire_munmap(mm, BASE, nr * PAGE), 0);
		assert_int_equal(stats(mm).rss_anon_pages, 0);
	}
}

/* Thousands of mappings of several: shared until the last of the others is gone,
 * then a single fault proves a thousand entries. */
static void several_map_thousands(void **state)
{
	struct quire_mm *children[NR_CHILDREN];
	uint64_t faults;

	(void)state;
	map_folio(BASE, ORDER);
	for (unsigned i = 0; i < NR_CHILDREN; i++)
		children[i] = fork_of(i ? children[i - 1] : mm);
	assert_mapcount(mm, BASE, (NR_CHILDREN + 1) * NR);
	/* Each keeps another part; what is kept adds up. */
	for (unsigned i = 0; i < NR_CHILDREN; i++)
		assert_int_equal(quire_munmap(children[i], BASE + (i + 1) * PAGE,
					      (NR - 1 - i) * PAGE), 0);
	assert_mapcount(mm, BASE, NR + NR_CHILDREN * (NR_CHILDREN + 1) / 2);
	quire_check(q);
	for (unsigned i = 0; i + 1 < NR_CHILDREN; i++)
		quire_mm_put(children[i]);
	put(mm, BASE + 9 * PAGE, 9);
	assert_int_equal(stats(mm).cow_copies, 1);
	quire_mm_put(children[NR_CHILDREN - 1]);
	assert_mapcount(mm, BASE, NR - 1);
	faults = stats(mm).faults;
	for (unsigned i = 0; i < NR; i += 3)
		put(mm, BASE + i * PAGE, 1);
	assert_int_equal(stats(mm).faults, faults + 1);
	assert_int_equal(stats(mm).cow_copies, 1);
}

static void every_rival_counts_them(void **state)
{
	const struct quire_decision_info *row = quire_decision_info(QUIRE_DECISION_sharing);

	(void)state;
	for (unsigned alt = row->first; alt <= row->last; alt++) {
		struct quire_mm *child;

		again_with("sharing", quire_alternative_info(alt)->name);
		map_folio(BASE, ORDER);
		/* Its ids may not be wide enough for so large a folio. */
		if (info(mm, BASE).order != ORDER)
			continue;
		child = fork_of(mm);
		assert_mapcount(mm, BASE, 2 * NR);
		put(child, BASE + 5 * PAGE, 6);
		put(mm, BASE + 6 * PAGE, 7);
		assert_int_equal(get(mm, BASE + 5 * PAGE), 5);
		assert_int_equal(get(child, BASE + 6 * PAGE), 0);
		quire_check(q);
		quire_mm_put(child);
		put(mm, BASE, 8);
		assert_int_equal(get(mm, BASE + 5 * PAGE), 5);
	}
}

/* Entries of one folio in two tables of thousands. */
static void half_of_it_moves(void **state)
{
	const uint64_t half = NR / 2 * PAGE, to = 2 * BASE;
	uint64_t got;

	(void)state;
	map_folio(BASE, ORDER);
	put(mm, BASE + half, 3);
	assert_int_equal(quire_mremap(mm, BASE + half, half, half, QUIRE_MREMAP_MAYMOVE |
				      QUIRE_MREMAP_FIXED, to, &got), 0);
	assert_mapcount(mm, BASE, NR);
	assert_int_equal(get(mm, to), 3);
	quire_mm_put(fork_of(mm));
	put(mm, BASE, 4);
	assert_int_equal(quire_munmap(mm, to, half), 0);
	assert_int_equal(get(mm, BASE + 5 * PAGE), 5);
}

static void split_to_lower_orders(void **state)
{
	static const unsigned orders[] = { 9, 4, 0 };
	uint64_t nr_split;

	(void)state;
	map_folio(BASE, ORDER);
	for (unsigned i = 0; i < NR; i += 5)
		put(mm, BASE + i * PAGE, (uint8_t)i);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(quire_split_folios(mm, BASE, NR * PAGE, orders[i], &nr_split), 0);
		assert_int_equal(nr_split, i ? NR >> orders[i - 1] : 1);
		assert_int_equal(info(mm, BASE + 7 * PAGE).order, orders[i]);
		quire_check(q);
	}
	for (unsigned i = 0; i < NR; i += 5)
		assert_int_equal(get(mm, BASE + i * PAGE), (uint8_t)i);
	assert_int_equal(stats(mm).rss_anon_pages, NR);
}

/* 512 MiB behind one entry, of which calls on parts make 8,192. */
static void the_largest_of_all(void **state)
{
	struct quire_mm *child;
	uint64_t got;

	(void)state;
	map_anon(BASE, PMD_PAGES);
	assert_int_equal(quire_madvise(mm, BASE, QUIRE_PMD_SIZE, QUIRE_MADV_HUGEPAGE), 0);
	put(mm, BASE + 8000 * PAGE, 1);
	assert_true(info(mm, BASE).leaf);
	assert_mapcount(mm, BASE, PMD_PAGES);
	child = fork_of(mm);
	assert_mapcount(mm, BASE, 2 * PMD_PAGES);
	/* The child's leaf becomes a table; the parent's stays. */
	assert_int_equal(quire_munmap(child, BASE + PAGE, PAGE), 0);
	assert_false(info(child, BASE).leaf);
	assert_true(info(mm, BASE).leaf);
	assert_mapcount(mm, BASE, 2 * PMD_PAGES - 1);
	put(child, BASE + 8000 * PAGE, 2);
	assert_int_equal(get(mm, BASE + 8000 * PAGE), 1);
	assert_int_equal(stats(child).cow_copies, 1);
	assert_int_equal(quire_mremap(child, BASE + 8191 * PAGE, PAGE, PAGE, QUIRE_MREMAP_MAYMOVE |
				      QUIRE_MREMAP_FIXED, 2 * BASE, &got), 0);
	assert_mapcount(child, 2 * BASE, 2 * PMD_PAGES - 2);
	quire_check(q);
	/* The parent's goes; what the child still has becomes its own. */
	assert_int_equal(quire_munmap(mm, BASE, QUIRE_PMD_SIZE), 0);
	assert_int_equal(quire_munmap(child, 2 * BASE, PAGE), 0);
	assert_mapcount(child, BASE, PMD_PAGES - 3);
	put(child, BASE + 4 * PAGE, 3);
	assert_int_equal(stats(child).cow_reuses, 1);
	assert_true(info(child, BASE + 8190 * PAGE).writable);
	quire_mm_put(child);
}

static void collapsed_from_smaller_ones(void **state)
{
	(void)state;
	map_anon(BASE, PMD_PAGES);
	for (uint64_t i = 0; i < PMD_PAGES; i += 1000)
		put(mm, BASE + i * PAGE, (uint8_t)(i / 1000 + 1));
	assert_int_equal(quire_madvise(mm, BASE, QUIRE_PMD_SIZE, QUIRE_MADV_COLLAPSE), 0);
	assert_true(info(mm, BASE).leaf);
	assert_mapcount(mm, BASE, PMD_PAGES);
	for (uint64_t i = 0; i < PMD_PAGES; i += 1000) {
		assert_int_equal(get(mm, BASE + i * PAGE), i / 1000 + 1);
		assert_int_equal(get(mm, BASE + (i + 1) * PAGE), 0);
	}
	assert_int_equal(stats(mm).rss_anon_pages, PMD_PAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		large_test(orders_above_nine),
		large_test(several_map_thousands),
		large_test(every_rival_counts_them),
		large_test(half_of_it_moves),
		large_test(split_to_lower_orders),
		large_test(the_largest_of_all),
		large_test(collapsed_from_smaller_ones),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
