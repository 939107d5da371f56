/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PMD-sized folios of a file mapped by one entry: when, and what ends it.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 * presets: release debug asan count (it has one thread)
 */
#include <stdlib.h>

#include "mm_world.h"

#define NR (UINT64_C(1) << QUIRE_PMD_ORDER)
#define LEAF_BYTES (NR * PAGE)

static int setup(void **state)
{
	(void)state;
	world_config_default();
	world_config.memory_bytes = (3 * NR + 2048) * PAGE;
	world_config.file_order = QUIRE_PMD_ORDER;
	world_begin();
	return 0;
}

#define leaf_test(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

static struct quire_file *memory_file(uint64_t size_bytes)
{
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = size_bytes,
	};
	struct quire_file *file;

	assert_int_equal(quire_file_create(q, &config, &file), 0);
	return file;
}

static struct quire_file *map_leaf(uint32_t flags)
{
	struct quire_file *file = memory_file(LEAF_BYTES);

	map_in(mm, BASE, NR, RW, flags | QUIRE_MAP_FIXED, file, 0);
	return file;
}

static uint64_t at(uint64_t page)
{
	return BASE + page * PAGE;
}

static void a_read_and_a_write_map_a_leaf(void **state)
{
	struct quire_file *file = map_leaf(QUIRE_MAP_SHARED);
	struct quire_page_info page;

	(void)state;
	assert_int_equal(get(mm, at(1)), 0);
	page = info(mm, at(2));
	assert_true(page.leaf && page.present && page.accessed && !page.dirty);
	assert_int_equal(page.mapcount, NR);
	assert_int_equal(page.refcount, NR + 1);
	assert_int_equal(stats(mm).rss_shmem_pages, NR);
	/* Nobody has to be told of a write to memory. */
	put(mm, at(1), 8);
	assert_true(info(mm, at(2)).leaf);
	assert_int_equal(stats(mm).faults, 1);
	assert_int_equal(quire_munmap(mm, BASE, LEAF_BYTES), 0);
	assert_int_equal(stats(mm).rss_shmem_pages, 0);

	map_in(mm, BASE, NR, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	put(mm, at(NR - 1), 9);
	page = info(mm, at(0));
	assert_true(page.leaf && page.writable && page.dirty);
	assert_int_equal(stats(mm).faults, 2);
	assert_int_equal(get(mm, at(1)), 8);
	quire_file_put(file);
}

static void where_no_leaf_can_be(void **state)
{
	struct quire_file *file = memory_file(2 * LEAF_BYTES);

	(void)state;
	/* Not all of the range in the VMA; table and file out of step; forbidden. */
	map_in(mm, BASE, NR - 1, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	put(mm, at(0), 1);
	assert_false(info(mm, at(0)).leaf);
	assert_int_equal(info(mm, at(0)).order, QUIRE_PMD_ORDER);
	map_in(mm, BASE, NR, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 1);
	assert_int_equal(get(mm, at(0)), 0);
	assert_false(info(mm, at(0)).leaf);
	map_in(mm, BASE, NR, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	assert_int_equal(quire_madvise(mm, BASE, LEAF_BYTES, QUIRE_MADV_NOHUGEPAGE), 0);
	assert_int_equal(get(mm, at(0)), 1);
	assert_false(info(mm, at(0)).leaf);
	/* A page is mapped there: its table stays. */
	assert_int_equal(quire_madvise(mm, BASE, LEAF_BYTES, QUIRE_MADV_HUGEPAGE), 0);
	assert_int_equal(get(mm, at(NR - 1)), 0);
	assert_false(info(mm, at(NR - 1)).leaf);
	quire_file_put(file);
}

/* The file ends in the folio, which a pin kept whole. */
static void a_leaf_lies_inside_the_size(void **state)
{
	struct quire_file *file = map_leaf(QUIRE_MAP_SHARED);
	struct quire_pin *pin;

	(void)state;
	put(mm, at(0), 1);
	pin = pin_pages(mm, at(0), 1, 0);
	assert_int_equal(quire_file_truncate(file, LEAF_BYTES - PAGE), 0);
	assert_int_equal(get(mm, at(0)), 1);
	assert_false(info(mm, at(0)).leaf);
	assert_int_equal(info(mm, at(0)).order, QUIRE_PMD_ORDER);
	assert_signal(mm, at(NR - 1), QUIRE_TOUCH_READ, QUIRE_SIGBUS);
	quire_unpin(pin);
	quire_file_put(file);
}

static void a_private_write_copies_a_page(void **state)
{
	struct quire_file *file = map_leaf(QUIRE_MAP_PRIVATE);

	(void)state;
	assert_int_equal(quire_file_write(file, PAGE, "\7", 1), 0);
	assert_int_equal(get(mm, at(1)), 7);
	assert_true(info(mm, at(1)).leaf);
	put(mm, at(2), 5);
	assert_false(info(mm, at(2)).leaf);
	assert_true(info(mm, at(2)).anon);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	assert_int_equal(get(mm, at(2)), 5);
	assert_int_equal(get(mm, at(1)), 7);
	assert_int_equal(get(mm, at(NR - 1)), 0);
	quire_file_put(file);
}

/* Each of these takes a part of the leaf, or cuts its VMA. */
static void a_leaf_that_is_cut_is_dropped(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 5; how++) {
		struct quire_file *file = map_leaf(QUIRE_MAP_SHARED);
		uint64_t half = NR / 2, got;

		put(mm, at(0), 31);
		put(mm, at(NR - 1), 32);
		assert_true(info(mm, at(0)).leaf);
		switch (how) {
		case 0:
			assert_int_equal(quire_munmap(mm, at(half), half * PAGE), 0);
			break;
		case 1:
			assert_int_equal(quire_mprotect(mm, at(half), half * PAGE,
							QUIRE_PROT_READ), 0);
			break;
		case 2:
			assert_int_equal(quire_madvise(mm, at(half), PAGE, QUIRE_MADV_DONTNEED), 0);
			break;
		case 3:
			assert_int_equal(quire_mremap(mm, at(half), half * PAGE, half * PAGE,
						      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
						      BASE + 3 * LEAF_BYTES, &got), 0);
			break;
		case 4:
			assert_int_equal(quire_file_punch(file, PAGE, PAGE), 0);
			break;
		}
		quire_check(q);
		assert_false(info(mm, at(0)).leaf);
		assert_int_equal(get(mm, at(0)), 31);
		if (how == 1 || how == 2 || how == 4)
			assert_int_equal(get(mm, at(NR - 1)), 32);
		if (how == 3)
			assert_int_equal(get(mm, BASE + 3 * LEAF_BYTES + (half - 1) * PAGE), 32);
		quire_check(q);
		assert_int_equal(quire_munmap(mm, BASE, 8 * LEAF_BYTES), 0);
		quire_file_put(file);
	}
}

static void truncation_takes_leaves_of_all(void **state)
{
	struct quire_file *file = map_leaf(QUIRE_MAP_SHARED);
	struct quire_mm *child;

	(void)state;
	child = fork_of(mm);
	put(mm, at(0), 3);
	assert_int_equal(get(child, at(NR - 1)), 0);
	assert_true(info(child, at(0)).leaf);
	assert_int_equal(info(mm, at(0)).mapcount, 2 * NR);
	assert_int_equal(quire_file_truncate(file, PAGE), 0);
	assert_int_equal(quire_file_nr_cached_pages(file), 1);
	assert_int_equal(get(child, at(0)), 3);
	assert_signal(mm, at(1), QUIRE_TOUCH_WRITE, QUIRE_SIGBUS);
	assert_signal(child, at(NR - 1), QUIRE_TOUCH_READ, QUIRE_SIGBUS);
	quire_mm_put(child);
	quire_file_put(file);
}

/* ---- a host's file -------------------------------------------------------------------- */

struct host {
	uint8_t *bytes;
	unsigned nr_reads, nr_writes;
};

static int host_read(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct host *host = context;

	host->nr_reads++;
	memcpy(buf, host->bytes + offset, len_bytes);
	return 0;
}

static int host_write(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct host *host = context;

	host->nr_writes++;
	memcpy(host->bytes + offset, buf, len_bytes);
	return 0;
}

static void a_clean_leaf_is_not_writable(void **state)
{
	struct host host = { .bytes = calloc(1, LEAF_BYTES) };
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_HOST, .mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = LEAF_BYTES,
		.backing = { &host, host_read, host_write, NULL },
	};
	struct quire_file *file;

	(void)state;
	assert_non_null(host.bytes);
	assert_int_equal(quire_file_create(q, &config, &file), 0);
	map_in(mm, BASE, NR, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	put(mm, at(1), 11);
	assert_int_equal(host.nr_reads, 1);
	assert_true(info(mm, at(0)).leaf && info(mm, at(0)).writable);
	assert_int_equal(quire_file_sync(file), 0);
	assert_int_equal(host.nr_writes, 1);
	assert_int_equal(host.bytes[PAGE], 11);
	assert_true(info(mm, at(0)).leaf);
	assert_false(info(mm, at(0)).writable || info(mm, at(0)).dirty);
	/* The leaf itself becomes writable. */
	put(mm, at(2), 12);
	assert_true(info(mm, at(0)).leaf && info(mm, at(0)).writable);
	/* What the leaf's dirty bit says outlives the leaf. */
	assert_int_equal(quire_munmap(mm, at(0), PAGE), 0);
	assert_int_equal(quire_file_sync(file), 0);
	assert_int_equal(host.nr_writes, 2);
	assert_int_equal(host.bytes[2 * PAGE], 12);
	quire_file_put(file);
	assert_int_equal(quire_munmap(mm, BASE, LEAF_BYTES), 0);
	free(host.bytes);
}

static void every_allocation_can_fail(void **state)
{
	int err = -QUIRE_ENOMEM;

	(void)state;
	for (unsigned nth = 1; nth < 12; nth++) {
		struct quire_file *file = map_leaf(QUIRE_MAP_SHARED);
		uint8_t byte = 1;

		quire_fail_nth(nth);
		err = quire_write(mm, at(1), &byte, 1, NULL);
		quire_fail_nth(0);
		quire_check(q);
		put(mm, at(2), 5);
		assert_int_equal(get(mm, at(1)), err ? 0 : 1);
		assert_int_equal(quire_munmap(mm, BASE, LEAF_BYTES), 0);
		quire_file_put(file);
	}
	assert_int_equal(err, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leaf_test(a_read_and_a_write_map_a_leaf),
		leaf_test(where_no_leaf_can_be),
		leaf_test(a_leaf_lies_inside_the_size),
		leaf_test(a_private_write_copies_a_page),
		leaf_test(a_leaf_that_is_cut_is_dropped),
		leaf_test(truncation_takes_leaves_of_all),
		leaf_test(a_clean_leaf_is_not_writable),
		leaf_test(every_allocation_can_fail),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
