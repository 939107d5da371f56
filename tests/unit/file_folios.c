/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large folios of a file, mapped: runs mapped at one stroke, cut by truncation
 * and holes while several address spaces map them, write notification, pins.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include "mm_world.h"

/* Of the folios here, and of the window that a read fault maps. */
enum { ORDER = 2, NR = 1 << ORDER, FILE_PAGES = 3 * NR };

struct host {
	uint8_t bytes[FILE_PAGES * QUIRE_PAGE_SIZE];
	unsigned nr_writes;
};

static struct host host;

static int host_read(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	memcpy(buf, ((struct host *)context)->bytes + offset, len_bytes);
	return 0;
}

static int host_write(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct host *h = context;

	h->nr_writes++;
	memcpy(h->bytes + offset, buf, len_bytes);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	world_config_default();
	world_config.file_order = ORDER;
	world_config.fault_around_bytes = NR * PAGE;
	world_begin();
	return 0;
}

#define folio_test(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

/* Page i is filled with i + 1. */
static struct quire_file *new_file(enum quire_file_kind kind)
{
	struct quire_file_config config = {
		.kind = kind,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = FILE_PAGES * PAGE,
	};
	struct quire_file *file;

	memset(&host, 0, sizeof(host));
	for (unsigned i = 0; i < FILE_PAGES; i++)
		memset(host.bytes + i * PAGE, (int)i + 1, PAGE);
	if (kind == QUIRE_FILE_HOST)
		config.backing = (struct quire_backing){ &host, host_read, host_write, NULL };
	assert_int_equal(quire_file_create(q, &config, &file), 0);
	if (kind == QUIRE_FILE_MEMORY)
		assert_int_equal(quire_file_write(file, 0, host.bytes, sizeof(host.bytes)), 0);
	return file;
}

static struct quire_file *map_file(enum quire_file_kind kind, uint32_t flags)
{
	struct quire_file *file = new_file(kind);

	map_in(mm, BASE, FILE_PAGES, RW, flags | QUIRE_MAP_FIXED, file, 0);
	return file;
}

static uint64_t at(uint64_t page)
{
	return BASE + page * PAGE;
}

/* In the tiny geometry the folios are as long as a PMD entry maps. */
static void forbid_leaves(void)
{
	assert_int_equal(quire_madvise(mm, BASE, FILE_PAGES * PAGE, QUIRE_MADV_NOHUGEPAGE), 0);
}

static void a_read_maps_a_run(void **state)
{
	struct quire_file *file = map_file(QUIRE_FILE_MEMORY, QUIRE_MAP_SHARED);

	(void)state;
	forbid_leaves();
	assert_int_equal(get(mm, at(1)), 2);
	assert_int_equal(stats(mm).faults, 1);
	assert_int_equal(stats(mm).rss_shmem_pages, NR);
	for (unsigned i = 0; i < NR; i++) {
		struct quire_page_info page = info(mm, at(i));

		assert_true(page.present);
		assert_int_equal(page.order, ORDER);
		assert_int_equal(page.accessed, i == 1);
		assert_int_equal(page.pfn, info(mm, at(0)).pfn + i);
		assert_int_equal(page.mapcount, NR);
		assert_int_equal(page.refcount, NR + 1);
		assert_int_equal(get(mm, at(i)), i + 1);
	}
	quire_file_put(file);
}

/* So does a write, but only its own page is dirty. */
static void a_write_maps_a_run(void **state)
{
	struct quire_file *file = map_file(QUIRE_FILE_MEMORY, QUIRE_MAP_SHARED);

	(void)state;
	forbid_leaves();
	put(mm, at(2), 9);
	assert_int_equal(stats(mm).faults, 1);
	for (unsigned i = 0; i < NR; i++) {
		assert_true(info(mm, at(i)).present);
		assert_int_equal(info(mm, at(i)).dirty, i == 2);
		assert_int_equal(info(mm, at(i)).refcount, NR + 1);
	}
	quire_file_put(file);
}

/* What is mapped already ends a run and begins the next. */
static void a_read_maps_what_is_missing(void **state)
{
	struct quire_file *file = map_file(QUIRE_FILE_MEMORY, QUIRE_MAP_SHARED);
	uint64_t pfn;

	(void)state;
	forbid_leaves();
	put(mm, at(NR + 2), 77);
	assert_int_equal(stats(mm).rss_shmem_pages, NR);
	assert_int_equal(quire_madvise(mm, at(NR), 2 * PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(quire_madvise(mm, at(NR + 3), PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(stats(mm).rss_shmem_pages, 1);
	assert_int_equal(get(mm, at(NR)), NR + 1);
	assert_int_equal(stats(mm).rss_shmem_pages, NR);
	assert_int_equal(info(mm, at(NR)).mapcount, NR);
	pfn = info(mm, at(NR)).pfn;
	for (unsigned i = 0; i < NR; i++)
		assert_int_equal(info(mm, at(NR + i)).pfn, pfn + i);
	assert_int_equal(quire_munmap(mm, at(NR + 1), PAGE), 0);
	assert_int_equal(info(mm, at(NR)).mapcount, NR - 1);
	assert_int_equal(get(mm, at(NR + 2)), 77);
	quire_file_put(file);
}

static void a_window_ends_with_the_file(void **state)
{
	struct quire_file *file = map_file(QUIRE_FILE_MEMORY, QUIRE_MAP_SHARED);
	struct quire_pin *pin;

	(void)state;
	/* A pinned folio is kept whole by truncation; its end is not the file's. */
	pin = pin_pages(mm, at(NR), 1, 0);
	assert_int_equal(quire_file_truncate(file, (NR + 2) * PAGE), 0);
	assert_int_equal(quire_file_nr_cached_pages(file), 2 * NR);
	assert_int_equal(get(mm, at(NR)), NR + 1);
	assert_int_equal(stats(mm).rss_shmem_pages, 2);
	assert_signal(mm, at(NR + 2), QUIRE_TOUCH_READ, QUIRE_SIGBUS);
	assert_signal(mm, at(NR + 3), QUIRE_TOUCH_WRITE, QUIRE_SIGBUS);
	quire_unpin(pin);
	quire_file_put(file);
}

static void truncation_cuts_what_two_map(void **state)
{
	(void)state;
	for (unsigned cut = NR + 1; cut < 2 * NR; cut++) {
		struct quire_file *file = map_file(QUIRE_FILE_MEMORY, QUIRE_MAP_SHARED);
		struct quire_mm *child = fork_of(mm);

		for (unsigned i = 0; i < FILE_PAGES; i++) {
			assert_int_equal(get(mm, at(i)), i + 1);
			assert_int_equal(get(child, at(i)), i + 1);
		}
		put(child, at(NR), 99);
		assert_int_equal(quire_file_truncate(file, cut * PAGE - 1), 0);
		assert_int_equal(quire_file_nr_cached_pages(file), cut);
		assert_int_equal(stats(mm).rss_shmem_pages, NR);
		quire_check(q);
		for (unsigned i = NR; i < cut; i++) {
			assert_int_equal(get(mm, at(i)), i == NR ? 99 : i + 1);
			assert_int_equal(get(child, at(i)), i == NR ? 99 : i + 1);
			assert_int_equal(info(mm, at(i)).order, 0);
		}
		assert_int_equal(get(mm, at(cut) - 1), 0);
		assert_int_equal(info(mm, at(0)).order, ORDER);
		assert_signal(child, at(cut), QUIRE_TOUCH_READ, QUIRE_SIGBUS);
		quire_mm_put(child);
		assert_int_equal(quire_munmap(mm, BASE, FILE_PAGES * PAGE), 0);
		quire_file_put(file);
	}
}

/* Copies of pages that stay are not touched; those of pages that go, go. */
static void private_copies_under_a_cut(void **state)
{
	struct quire_file *file = map_file(QUIRE_FILE_MEMORY, QUIRE_MAP_PRIVATE);

	(void)state;
	for (unsigned i = 0; i < NR; i++)
		assert_int_equal(get(mm, at(i)), i + 1);
	put(mm, at(0), 50);
	put(mm, at(2), 52);
	assert_int_equal(quire_file_punch(file, PAGE, 2 * PAGE), 0);
	assert_int_equal(get(mm, at(0)), 50);
	assert_int_equal(get(mm, at(1)), 0);
	assert_int_equal(get(mm, at(2)), 52);
	assert_int_equal(get(mm, at(3)), 4);
	assert_int_equal(quire_file_truncate(file, PAGE), 0);
	assert_int_equal(get(mm, at(0)), 50);
	assert_signal(mm, at(2), QUIRE_TOUCH_READ, QUIRE_SIGBUS);
	assert_int_equal(quire_file_truncate(file, FILE_PAGES * PAGE), 0);
	assert_int_equal(get(mm, at(2)), 0);
	quire_file_put(file);
}

static void a_pin_keeps_the_folio_and_sees_the_zeros(void **state)
{
	struct quire_file *file = map_file(QUIRE_FILE_MEMORY, QUIRE_MAP_SHARED);
	struct quire_pin *pin;

	(void)state;
	put(mm, at(3), 44);
	pin = pin_pages(mm, at(0), NR, QUIRE_PIN_WRITE);
	assert_int_equal(quire_file_punch(file, 2 * PAGE, 2 * PAGE), 0);
	assert_int_equal(pin_get(pin, 3 * PAGE), 0);
	/* The folio is the file's still: what the pin writes is seen. */
	pin_put(pin, 3 * PAGE, 61);
	assert_int_equal(get(mm, at(3)), 61);
	assert_int_equal(get(mm, at(1)), 2);
	assert_int_equal(info(mm, at(1)).order, ORDER);
	quire_unpin(pin);
	quire_file_put(file);
}

static void writes_to_a_large_folio_are_noticed(void **state)
{
	struct quire_file *file = map_file(QUIRE_FILE_HOST, QUIRE_MAP_SHARED);
	struct quire_mm *child;

	(void)state;
	forbid_leaves();
	child = fork_of(mm);
	for (unsigned i = 0; i < NR; i++) {
		assert_int_equal(get(mm, at(i)), i + 1);
		assert_false(info(mm, at(i)).writable);
	}
	put(mm, at(1), 81);
	put(child, at(3), 83);
	assert_true(info(mm, at(1)).writable);
	assert_false(info(mm, at(2)).writable);
	assert_true(info(child, at(2)).present && !info(child, at(2)).writable);
	assert_int_equal(quire_file_sync(file), 0);
	/* One write for the folio; nobody can write unnoticed. */
	assert_int_equal(host.nr_writes, 1);
	assert_int_equal(host.bytes[PAGE], 81);
	assert_int_equal(host.bytes[3 * PAGE], 83);
	for (unsigned i = 0; i < NR; i++) {
		assert_false(info(mm, at(i)).writable);
		assert_false(info(child, at(i)).writable);
		assert_false(info(mm, at(i)).dirty);
	}
	put(mm, at(1), 82);
	assert_int_equal(quire_file_sync(file), 0);
	assert_int_equal(host.nr_writes, 2);
	assert_int_equal(host.bytes[PAGE], 82);
	quire_mm_put(child);
	quire_file_put(file);
}

/* A dirty entry that a cut takes away leaves its mark on what stays. */
static void a_cut_of_mapped_dirty_pages_keeps_what_was_written(void **state)
{
	struct quire_file *file = map_file(QUIRE_FILE_HOST, QUIRE_MAP_SHARED);

	(void)state;
	put(mm, at(0), 90);
	put(mm, at(1), 91);
	put(mm, at(3), 93);
	assert_int_equal(quire_file_truncate(file, 2 * PAGE), 0);
	assert_int_equal(quire_munmap(mm, BASE, FILE_PAGES * PAGE), 0);
	quire_file_put(file);
	assert_int_equal(host.bytes[0], 90);
	assert_int_equal(host.bytes[PAGE], 91);
	assert_int_equal(host.bytes[3 * PAGE], 4);
}

static void every_allocation_of_a_fault_can_fail(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		for (unsigned nth = 1;; nth++) {
			struct quire_file *file = map_file(
				kind ? QUIRE_FILE_HOST : QUIRE_FILE_MEMORY, QUIRE_MAP_SHARED);
			uint8_t byte = 1;
			int err;

			quire_fail_nth(nth);
			err = quire_write(mm, at(NR + 1), &byte, 1, NULL);
			quire_fail_nth(0);
			quire_check(q);
			put(mm, at(NR + 1), 5);
			assert_int_equal(quire_munmap(mm, BASE, FILE_PAGES * PAGE), 0);
			quire_file_put(file);
			if (!err && nth > 8)
				break;
			assert_in_range(nth, 1, 60);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		folio_test(a_read_maps_a_run),
		folio_test(a_write_maps_a_run),
		folio_test(a_read_maps_what_is_missing),
		folio_test(a_window_ends_with_the_file),
		folio_test(truncation_cuts_what_two_map),
		folio_test(private_copies_under_a_cut),
		folio_test(a_pin_keeps_the_folio_and_sees_the_zeros),
		folio_test(writes_to_a_large_folio_are_noticed),
		folio_test(a_cut_of_mapped_dirty_pages_keeps_what_was_written),
		folio_test(every_allocation_of_a_fault_can_fail),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
