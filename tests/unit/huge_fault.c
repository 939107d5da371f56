/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults that map a PMD leaf: where they do, what it says, and what happens
 * where memory for it cannot be had.
 *
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "huge_world.h"

static void a_write_maps_a_leaf(void **state)
{
	uint64_t table_bytes;
	struct quire_page_info page;

	(void)state;
	map_huge(BASE, 2);
	put(mm, BASE + HUGE - PAGE, 7);
	page = info(mm, BASE + PAGE);
	assert_true(page.leaf && page.exclusive && page.writable && page.anon);
	assert_int_equal(page.order, QUIRE_PMD_ORDER);
	assert_int_equal(page.refcount, HPAGES);
	assert_int_equal(page.mapcount, HPAGES);
	assert_int_equal(info(mm, BASE + HUGE - PAGE).pfn, page.pfn + HPAGES - 2);
	assert_int_equal(stats(mm).rss_anon_pages, HPAGES);
	assert_int_equal(stats(mm).anon_leaf_pages, HPAGES);
	assert_int_equal(stats(mm).faults, 1);
	assert_int_equal(get(mm, BASE + HUGE - PAGE), 7);
	put(mm, BASE, 1);
	assert_int_equal(stats(mm).faults, 1);
	/* The deposit counts as the table would. */
	table_bytes = stats(mm).page_table_bytes;
	assert_int_equal(table_bytes, (QUIRE_LEVELS - 1) * PAGE);
	quire_check(q);

	put(mm, BASE + HUGE, 1);
	assert_int_equal(stats(mm).page_table_bytes, table_bytes + PAGE);
	assert_int_equal(quire_madvise(mm, BASE, 2 * HUGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(stats(mm).rss_anon_pages, 0);
	assert_int_equal(stats(mm).page_table_bytes, table_bytes - PAGE);
	assert_int_equal(get(mm, BASE + HUGE - PAGE), 0);
	quire_check(q);
}

static void a_read_maps_zeros(void **state)
{
	uint64_t free_pages;

	(void)state;
	map_huge(BASE, 3);
	assert_int_equal(get(mm, BASE + PAGE), 0);
	assert_true(info(mm, BASE).leaf && info(mm, BASE).zero_page);
	assert_int_equal(stats(mm).rss_anon_pages, 0);
	assert_int_equal(stats(mm).anon_leaf_pages, 0);
	assert_int_equal(get(mm, BASE + HUGE), 0);
	/* The same frames. */
	free_pages = info(mm, BASE + PAGE).pfn;
	assert_int_equal(info(mm, BASE + HUGE + PAGE).pfn, free_pages);
	quire_check(q);

	put(mm, BASE + PAGE, 3);
	assert_true(info(mm, BASE).leaf && !info(mm, BASE).zero_page);
	assert_int_equal(stats(mm).rss_anon_pages, HPAGES);
	assert_int_equal(stats(mm).faults, 3);
	assert_int_equal(stats(mm).cow_copies, 0);
	assert_int_equal(get(mm, BASE), 0);
	assert_int_equal(get(mm, BASE + PAGE), 3);
	quire_check(q);
	assert_int_equal(quire_munmap(mm, BASE, 3 * HUGE), 0);
	assert_int_equal(stats(mm).page_table_bytes, 0);
}

static void read_gets_its_own_leaf(void)
{
	map_huge(BASE, 1);
	assert_int_equal(get(mm, BASE), 0);
	assert_true(info(mm, BASE).leaf && info(mm, BASE).exclusive);
	assert_false(info(mm, BASE).zero_page);
	put(mm, BASE, 1);
	assert_int_equal(stats(mm).faults, 1);
}

static void without_the_folio_of_zeros_a_read_gets_its_own(void **state)
{
	(void)state;
	world_end();
	world_config.huge_zero_page = false;
	world_begin();
	read_gets_its_own_leaf();
}

static void without_any_page_of_zeros_neither(void **state)
{
	(void)state;
	world_end();
	world_config.zero_page = false;
	world_begin();
	read_gets_its_own_leaf();
}

static void only_where_it_is_wanted_and_fits(void **state)
{
	(void)state;
	/* By default only where advised. */
	map_anon(BASE, HPAGES);
	put(mm, BASE, 1);
	assert_false(info(mm, BASE).leaf);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	/* Something is there: pages, until it is gone. */
	assert_int_equal(quire_madvise(mm, BASE, HUGE, QUIRE_MADV_HUGEPAGE), 0);
	put(mm, BASE + PAGE, 1);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
	assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);

	/* A VMA that ends, or begins, within the range. */
	map_huge(BASE, 1);
	assert_int_equal(quire_munmap(mm, BASE + HUGE - PAGE, PAGE), 0);
	put(mm, BASE, 1);
	assert_false(info(mm, BASE).leaf);
	map_huge(BASE + 2 * HUGE, 1);
	assert_int_equal(quire_munmap(mm, BASE + 2 * HUGE, PAGE), 0);
	put(mm, BASE + 2 * HUGE + PAGE, 1);
	assert_false(info(mm, BASE + 2 * HUGE + PAGE).leaf);

	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE + 4 * HUGE, 2 * HPAGES);
	assert_int_equal(quire_madvise(mm, BASE + 4 * HUGE, HUGE, QUIRE_MADV_NOHUGEPAGE), 0);
	put(mm, BASE + 4 * HUGE, 1);
	assert_false(info(mm, BASE + 4 * HUGE).leaf);
	put(mm, BASE + 5 * HUGE, 1);
	assert_true(info(mm, BASE + 5 * HUGE).leaf);
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_NEVER), 0);
	map_huge(BASE + 6 * HUGE, 1);
	put(mm, BASE + 6 * HUGE, 1);
	assert_false(info(mm, BASE + 6 * HUGE).leaf);
	quire_check(q);
}

/* Shared memory has folios of its own. */
static void not_in_shared_memory(void **state)
{
	(void)state;
	map_in(mm, BASE, HPAGES, RW, SHARED_ANON, NULL, 0);
	assert_int_equal(quire_madvise(mm, BASE, HUGE, QUIRE_MADV_HUGEPAGE), 0);
	put(mm, BASE, 1);
	assert_false(info(mm, BASE).leaf && info(mm, BASE).anon);
	assert_int_equal(stats(mm).rss_anon_pages, 0);
	quire_check(q);
}

enum how { WRITE, READ, WRITE_TO_ZEROS, NR_HOW };

/* 0, or what the access said, at BASE. */
static int access_how(enum how how)
{
	return quire_touch(mm, BASE, how == READ ? QUIRE_TOUCH_READ : QUIRE_TOUCH_WRITE, NULL);
}

/* Whichever allocation fails: pages instead, or -ENOMEM and nothing changed. */
static void every_allocation_fails(void **state)
{
	(void)state;
	for (enum how how = WRITE; how < NR_HOW; how++) {
		unsigned nr_leaves = 0, nr_pages = 0, nr_failed = 0;

		for (uint64_t nth = 1; nr_leaves == 0 || nth < 12; nth++) {
			int err;

			map_huge(BASE, 1);
			if (how == WRITE_TO_ZEROS)
				assert_int_equal(get(mm, BASE), 0);
			quire_fail_nth(nth);
			err = access_how(how);
			quire_fail_nth(0);
			quire_check(q);
			if (err) {
				assert_int_equal(err, -QUIRE_ENOMEM);
				nr_failed++;
			} else if (info(mm, BASE).leaf) {
				nr_leaves++;
			} else {
				assert_true(info(mm, BASE).present);
				nr_pages++;
			}
			assert_int_equal(get(mm, BASE + PAGE), 0);
			assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
			assert_int_equal(stats(mm).rss_anon_pages, 0);
			assert_int_equal(stats(mm).page_table_bytes, 0);
		}
		assert_true(nr_pages >= 1);
		assert_true(nr_failed <= 1);
	}
}

/* Writes to one PMD range after the other until one gets no leaf; false: all did. */
static bool use_up_leaves(struct quire_mm *where, uint64_t nr)
{
	for (uint64_t addr = BASE; addr < BASE + nr * HUGE; addr += HUGE) {
		if (quire_touch(where, addr, QUIRE_TOUCH_WRITE, NULL) != 0 ||
		    !info(where, addr).leaf)
			return true;
	}
	return false;
}

/* No folio of that size is left: pages, and in the leaf of zeros too. */
static void pages_when_memory_is_short(void **state)
{
	uint64_t zeros = BASE + 11 * HUGE;
	struct quire_mm *other;

	(void)state;
	world_end();
	world_config.memory_bytes = 12 * HUGE + 256 * PAGE;
	world_begin();
	map_huge(BASE, 12);
	assert_int_equal(get(mm, zeros), 0);
	other = fork_of(mm);
	assert_true(use_up_leaves(mm, 11) || use_up_leaves(other, 11));
	assert_true(info(mm, zeros).leaf);
	/* A page is had for the one written; the others are still nobody's zeros. */
	quire_mm_put(other);
	quire_fail_nth(1);
	put(mm, zeros + PAGE, 1);
	quire_fail_nth(0);
	assert_false(info(mm, zeros).leaf);
	assert_true(info(mm, zeros).zero_page);
	assert_int_equal(get(mm, zeros), 0);
	assert_int_equal(get(mm, zeros + PAGE), 1);
	quire_check(q);
}

static void protection_of_a_whole_leaf(void **state)
{
	(void)state;
	make_leaf(BASE);
	assert_int_equal(quire_mprotect(mm, BASE, HUGE, QUIRE_PROT_READ), 0);
	assert_true(info(mm, BASE).leaf && info(mm, BASE).exclusive && !info(mm, BASE).writable);
	assert_signal(mm, BASE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
	assert_int_equal(quire_mprotect(mm, BASE, HUGE, QUIRE_PROT_NONE), 0);
	assert_true(info(mm, BASE).leaf);
	quire_check(q);
	assert_signal(mm, BASE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_ACCERR);
	assert_int_equal(quire_mprotect(mm, BASE, HUGE, RW), 0);
	assert_tags(mm, BASE);
	put(mm, BASE, 1);
	assert_int_equal(stats(mm).faults, 1);
	quire_check(q);
}

/* One fault a leaf: MAP_POPULATE, mlock, MADV_POPULATE_READ of what is there. */
static void ranges_fault_in_by_leaves(void **state)
{
	uint8_t vec[2 * QUIRE_TABLE_ENTRIES];

	(void)state;
	map_huge(BASE, 2);
	assert_int_equal(quire_mincore(mm, BASE, 2 * HUGE, vec), 0);
	assert_false(vec[0] & 1);
	assert_int_equal(quire_madvise(mm, BASE, 2 * HUGE, QUIRE_MADV_POPULATE_WRITE), 0);
	assert_int_equal(stats(mm).faults, 2);
	assert_true(info(mm, BASE).leaf && info(mm, BASE + HUGE).leaf);
	assert_int_equal(quire_madvise(mm, BASE, 2 * HUGE, QUIRE_MADV_POPULATE_READ), 0);
	assert_int_equal(quire_mlock(mm, BASE, 2 * HUGE, 0), 0);
	assert_int_equal(stats(mm).faults, 2);
	assert_int_equal(quire_mincore(mm, BASE, 2 * HUGE, vec), 0);
	for (unsigned i = 0; i < 2 * HPAGES; i++)
		assert_true(vec[i] & 1);
	quire_check(q);
}

/* A device sees what the program wrote, and the reverse. */
static void pages_of_a_leaf_are_pinned(void **state)
{
	uint64_t addr = BASE + HUGE - 2 * PAGE;
	struct quire_pin *pin;

	(void)state;
	map_huge(BASE, 2);
	put(mm, BASE + HUGE - PAGE, 5);
	pin = pin_pages(mm, addr, 4, QUIRE_PIN_WRITE);
	assert_true(info(mm, BASE).leaf && info(mm, BASE + HUGE).leaf);
	assert_int_equal(info(mm, addr).refcount, HPAGES + 2);
	assert_int_equal(pin_get(pin, PAGE), 5);
	pin_put(pin, 3 * PAGE, 6);
	assert_int_equal(get(mm, BASE + HUGE + PAGE), 6);
	quire_check(q);
	quire_unpin(pin);
	assert_int_equal(info(mm, addr).refcount, HPAGES);
}

/* A pin for long leaves the zeros for a page of its own; a short one does not. */
static void pins_of_zeros(void **state)
{
	struct quire_pin *pin;

	(void)state;
	map_huge(BASE, 1);
	assert_int_equal(get(mm, BASE), 0);
	pin = pin_pages(mm, BASE + PAGE, 1, 0);
	assert_true(info(mm, BASE).leaf && info(mm, BASE).zero_page);
	quire_unpin(pin);
	pin = pin_pages(mm, BASE + PAGE, 1, QUIRE_PIN_LONGTERM);
	assert_true(info(mm, BASE + PAGE).exclusive);
	assert_false(info(mm, BASE + PAGE).zero_page);
	quire_check(q);
	quire_unpin(pin);
}

static void lazily_freed_whole(void **state)
{
	(void)state;
	make_leaf(BASE);
	assert_true(info(mm, BASE).dirty);
	assert_int_equal(quire_madvise(mm, BASE, HUGE, QUIRE_MADV_FREE), 0);
	assert_true(info(mm, BASE).leaf && !info(mm, BASE).dirty);
	assert_tags(mm, BASE);
	put(mm, BASE + PAGE, 2);
	assert_true(info(mm, BASE).dirty);
	/* A part becomes folios of its own: see lazyfree.c. */
	assert_int_equal(quire_madvise(mm, BASE, HUGE - PAGE, QUIRE_MADV_FREE), 0);
	assert_false(info(mm, BASE).leaf || info(mm, BASE + PAGE).dirty);
	assert_true(info(mm, BASE + HUGE - PAGE).dirty);
	assert_tags(mm, BASE);
	quire_check(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		huge_test(a_write_maps_a_leaf),
		huge_zeros_test(a_read_maps_zeros),
		huge_test(without_the_folio_of_zeros_a_read_gets_its_own),
		huge_test(without_any_page_of_zeros_neither),
		huge_test(only_where_it_is_wanted_and_fits),
		huge_test(not_in_shared_memory),
		huge_zeros_test(every_allocation_fails),
		huge_zeros_test(pages_when_memory_is_short),
		huge_test(protection_of_a_whole_leaf),
		huge_test(ranges_fault_in_by_leaves),
		huge_test(pages_of_a_leaf_are_pinned),
		huge_zeros_test(pins_of_zeros),
		huge_test(lazily_freed_whole),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
