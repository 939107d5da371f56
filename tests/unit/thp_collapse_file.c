/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MADV_COLLAPSE of memory that belongs to a file: one folio in the cache, mapped by
 * one leaf where it was asked for, and by nobody else until it is touched.
 *
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "mm/mm.h"

#include "mm_world.h"

enum { NR = QUIRE_TABLE_ENTRIES, WINDOWS = 3 };

#define PMD QUIRE_PMD_SIZE
/* Where the file is mapped a second time. */
#define OTHER (BASE + 8 * PMD)

static struct quire_file *file;

static uint8_t pattern(uint64_t page)
{
	return (uint8_t)(page * 7 + 1);
}

static int collapse(uint64_t addr, uint64_t nr_pmds)
{
	int ret = quire_madvise(mm, addr, nr_pmds * PMD, QUIRE_MADV_COLLAPSE);

	quire_check(q);
	return ret;
}

static void map_file(uint64_t addr, uint64_t nr_pmds, uint32_t flags)
{
	map_in(mm, addr, nr_pmds * NR, RW, flags | QUIRE_MAP_FIXED, file, 0);
}

static void fill(uint64_t addr, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		put(mm, addr + i * PAGE + i % PAGE, pattern(i));
}

static void assert_filled(uint64_t addr, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		assert_int_equal(get(mm, addr + i * PAGE + i % PAGE), pattern(i));
}

static uint64_t nr_cached(void)
{
	struct quire_memory_stats now;

	quire_memory_stats(q, &now);
	return now.nr_cached_pages;
}

/* ---- what is done --------------------------------------------------------------------- */

static void pages_of_a_file_become_one_folio(void **state)
{
	(void)state;
	map_file(BASE, 1, QUIRE_MAP_SHARED);
	fill(BASE, 0, NR);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(info(mm, BASE).leaf);
	assert_int_equal(info(mm, BASE).mapcount, NR);
	assert_int_equal(stats(mm).rss_shmem_pages, NR);
	assert_int_equal(nr_cached(), NR);
	assert_filled(BASE, 0, NR);
	fill(BASE, 0, 1);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(info(mm, BASE).leaf);
}

static void holes_are_filled(void **state)
{
	(void)state;
	map_file(BASE, 1, QUIRE_MAP_SHARED);
	fill(BASE, 1, 2);
	assert_int_equal(nr_cached(), 1);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_int_equal(nr_cached(), NR);
	assert_int_equal(stats(mm).rss_shmem_pages, NR);
	assert_filled(BASE, 1, 2);
	assert_int_equal(get(mm, BASE), 0);
	for (uint64_t i = 2; i < NR; i++)
		assert_int_equal(get(mm, BASE + i * PAGE + i % PAGE), 0);
}

/* Whether it was mapped or not does not matter, nor the right to write. */
static void what_only_the_cache_has(void **state)
{
	uint8_t byte = 9;

	(void)state;
	assert_int_equal(quire_file_write(file, 2 * PAGE, &byte, 1), 0);
	map_in(mm, BASE, NR, QUIRE_PROT_READ, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(info(mm, BASE).leaf);
	assert_int_equal(get(mm, BASE + 2 * PAGE), 9);
	assert_signal(mm, BASE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
}

static void others_fault_it_in_again(void **state)
{
	(void)state;
	map_file(BASE, 1, QUIRE_MAP_SHARED);
	map_file(OTHER, 1, QUIRE_MAP_SHARED);
	fill(BASE, 0, NR);
	fill(OTHER, 0, NR);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_int_equal(stats(mm).rss_shmem_pages, NR);
	assert_false(info(mm, OTHER).present);
	put(mm, OTHER + PAGE, 77);
	assert_int_equal(get(mm, BASE + PAGE), 77);
	assert_int_equal(info(mm, OTHER + PAGE).pfn, info(mm, BASE + PAGE).pfn);
	quire_check(q);
	/* The folio is there already. */
	assert_int_equal(collapse(OTHER, 1), 0);
	assert_true(info(mm, OTHER).leaf);
	assert_int_equal(stats(mm).rss_shmem_pages, 2 * NR);
	assert_int_equal(info(mm, OTHER).pfn, info(mm, BASE).pfn);
}

static void a_split_leaf_is_mapped_again(void **state)
{
	uint64_t pfn;

	(void)state;
	map_file(BASE, 1, QUIRE_MAP_SHARED);
	fill(BASE, 0, NR);
	assert_int_equal(collapse(BASE, 1), 0);
	pfn = info(mm, BASE).pfn;
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, RW), 0);
	fill(BASE, 0, 3);
	assert_false(info(mm, BASE).leaf);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(info(mm, BASE).leaf);
	assert_int_equal(info(mm, BASE).pfn, pfn);
	assert_filled(BASE, 0, NR);
	assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
	quire_check(q);
	assert_filled(BASE, 1, NR);
}

static void private_mappings_without_copies(void **state)
{
	(void)state;
	map_file(BASE, 1, QUIRE_MAP_SHARED);
	fill(BASE, 0, NR);
	map_file(OTHER, 1, QUIRE_MAP_PRIVATE);
	assert_filled(OTHER, 0, 2);
	assert_int_equal(collapse(OTHER, 1), 0);
	assert_true(info(mm, OTHER).leaf);
	assert_false(info(mm, OTHER).writable);
	put(mm, OTHER, 99);
	assert_int_equal(get(mm, BASE), pattern(0));
	quire_check(q);
	/* Now it has one. */
	assert_int_equal(collapse(OTHER, 1), -QUIRE_EINVAL);
	assert_int_equal(get(mm, OTHER), 99);
	assert_int_equal(get(mm, OTHER + PAGE + 1), pattern(1));
	assert_int_equal(collapse(BASE, 1), 0);
	assert_int_equal(get(mm, OTHER), 99);
}

static void shared_anonymous_memory_too(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_in(mm, BASE, NR, RW, SHARED_ANON, NULL, 0);
	fill(BASE, 0, NR / 2);
	child = fork_of(mm);
	assert_int_equal(get(child, BASE + PAGE + 1), pattern(1));
	assert_int_equal(collapse(BASE, 1), 0);
	put(child, BASE + PAGE + 1, 3);
	assert_int_equal(get(mm, BASE + PAGE + 1), 3);
	quire_check(q);
	quire_mm_put(child);
}

static void what_is_cut_afterwards(void **state)
{
	(void)state;
	map_file(BASE, 2, QUIRE_MAP_SHARED);
	fill(BASE, 0, 2 * NR);
	assert_int_equal(collapse(BASE, 2), 0);
	assert_int_equal(quire_file_punch(file, PAGE, PAGE), 0);
	quire_check(q);
	assert_int_equal(get(mm, BASE + PAGE + 1), 0);
	assert_int_equal(quire_file_truncate(file, PMD + 2 * PAGE), 0);
	quire_check(q);
	assert_filled(BASE, 2, NR + 2);
	assert_signal(mm, BASE + PMD + 2 * PAGE, QUIRE_TOUCH_READ, QUIRE_SIGBUS);
}

/* ---- what is refused -------------------------------------------------------------------- */

static void nothing_cached_ends_the_walk(void **state)
{
	(void)state;
	map_file(BASE, 3, QUIRE_MAP_SHARED);
	fill(BASE, 0, 1);
	fill(BASE, 2 * NR, 2 * NR + 1);
	assert_int_equal(collapse(BASE, 3), -QUIRE_EINVAL);
	assert_true(info(mm, BASE).leaf);
	assert_false(info(mm, BASE + 2 * PMD).leaf);
	assert_int_equal(nr_cached(), NR + 1);
}

static void places_that_do_not_fit(void **state)
{
	(void)state;
	map_in(mm, BASE, NR, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 1);
	fill(BASE, 0, NR);
	assert_int_equal(collapse(BASE, 1), -QUIRE_EINVAL);
	map_file(BASE, 1, QUIRE_MAP_SHARED);
	fill(BASE, 0, NR);
	assert_int_equal(quire_madvise(mm, BASE, PMD, QUIRE_MADV_NOHUGEPAGE), 0);
	assert_int_equal(collapse(BASE, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, BASE, PMD, QUIRE_MADV_HUGEPAGE), 0);
	/* Not all of it is inside the file. */
	assert_int_equal(quire_file_truncate(file, PMD - PAGE), 0);
	assert_int_equal(collapse(BASE, 1), -QUIRE_EINVAL);
	assert_filled(BASE, 2, NR - 1);
}

static void held_pages_are_told(void **state)
{
	struct quire_pin *pin;
	uint8_t byte = 4;

	(void)state;
	map_file(BASE, 2, QUIRE_MAP_SHARED);
	fill(BASE, 0, 2 * NR);
	pin = pin_pages(mm, BASE + PAGE, 1, QUIRE_PIN_WRITE);
	assert_int_equal(collapse(BASE, 2), -QUIRE_EAGAIN);
	assert_true(!info(mm, BASE).leaf && info(mm, BASE + PMD).leaf);
	/* It was not even unmapped. */
	assert_int_equal(stats(mm).rss_shmem_pages, 2 * NR);
	assert_int_equal(quire_pin_write(pin, 0, &byte, 1), 0);
	assert_int_equal(get(mm, BASE + PAGE), 4);
	quire_unpin(pin);
	assert_int_equal(collapse(BASE, 2), 0);
	assert_int_equal(get(mm, BASE + PAGE), 4);
}

static void each_allocation_may_fail(void **state)
{
	int err = -QUIRE_ENOMEM;
	uint64_t nth;

	(void)state;
	map_file(BASE, 2, QUIRE_MAP_SHARED);
	fill(BASE, 0, NR);
	for (nth = 1; err; nth++) {
		quire_fail_nth(nth);
		err = quire_madvise(mm, BASE, PMD, QUIRE_MADV_COLLAPSE);
		quire_fail_nth(0);
		quire_check(q);
		assert_true(err == 0 || err == -QUIRE_ENOMEM);
		assert_filled(BASE, 0, NR);
	}
	assert_true(nth > 1);
	assert_true(info(mm, BASE).leaf);
}

static void with_every_rival(void **state)
{
	const struct quire_decision_info *row = quire_decision_info(QUIRE_DECISION_sharing);

	(void)state;
	quire_file_put(file);
	file = NULL;
	for (enum quire_alternative alt = row->first; alt <= row->last; alt++) {
		struct quire_mm *child;

		world_end();
		world_decide("sharing", quire_alternative_info(alt)->name);
		world_begin();
		map_in(mm, BASE, NR, RW, SHARED_ANON, NULL, 0);
		fill(BASE, 0, NR);
		child = fork_of(mm);
		assert_int_equal(collapse(BASE, 1), 0);
		assert_int_equal(quire_madvise(child, BASE, PMD, QUIRE_MADV_COLLAPSE), 0);
		quire_check(q);
		assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
		quire_check(q);
		assert_int_equal(get(child, BASE + PAGE + 1), pattern(1));
		quire_mm_put(child);
	}
}

static int file_setup(void **state)
{
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY, .mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = WINDOWS * PMD,
	};

	(void)state;
	world_config_default();
	world_config.memory_bytes = 10 * NR * PAGE + 640 * PAGE;
	world_begin();
	assert_int_equal(quire_file_create(q, &config, &file), 0);
	return 0;
}

static int file_teardown(void **state)
{
	(void)state;
	if (file != NULL)
		quire_file_put(file);
	world_end();
	return 0;
}

#define file_test(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		file_test(pages_of_a_file_become_one_folio),
		file_test(holes_are_filled),
		file_test(what_only_the_cache_has),
		file_test(others_fault_it_in_again),
		file_test(a_split_leaf_is_mapped_again),
		file_test(private_mappings_without_copies),
		file_test(shared_anonymous_memory_too),
		file_test(what_is_cut_afterwards),
		file_test(nothing_cached_ends_the_walk),
		file_test(places_that_do_not_fit),
		file_test(held_pages_are_told),
		file_test(each_allocation_may_fail),
		file_test(with_every_rival),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
