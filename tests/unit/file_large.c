/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large folios in the page cache: which order a miss gets, reads and writes
 * over their borders, cutting them by truncation and holes, pinned ones, and
 * splitting.  Contents are compared byte by byte with what they should be.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 * presets: release debug asan count (it has one thread)
 */
#include "base/bits.h"
#include "unit/file_world.h"

/* Cuts are tried at every page: few orders, fewer where pages are long to clear.
 * The rest is tried with each, but for 64 KiB pages; there the largest has a
 * test of its own. */
#define MAX_CUT (PAGE_SIZE > 4096 ? 3u : QUIRE_PMD_ORDER < 5 ? QUIRE_PMD_ORDER : 5u)
#define MAX_TRIED (PAGE_SIZE > 4096 ? MAX_CUT : QUIRE_PMD_ORDER)
#define for_each_order(o) for (unsigned o = 2; o <= MAX_TRIED; o++)
#define for_each_cut_order(o) for (unsigned o = 2; o <= MAX_CUT; o++)
/* Enough for nodes of the index that wait for a grace period. */
#define NR_FRAMES (WORLD_FRAMES + ((UINT64_C(16) << 20) >> PAGE_SHIFT))

static void open_with_order(struct file_world *f, unsigned order)
{
	files_open(f, NR_FRAMES);
	f->files.file_order = order;
}

static unsigned order_at(struct file_world *f, struct file *file, u64 index)
{
	struct folio *folio = get(file, index);
	unsigned order = folio_order(folio);

	assert_true(is_aligned(folio->index, BIT(order)));
	folio_put(&f->phys, folio);
	return order;
}

static void write_pattern(struct file *file, u64 offset, u64 len_bytes)
{
	u8 *bytes = malloc(len_bytes);

	assert_non_null(bytes);
	for (u64 i = 0; i < len_bytes; i++)
		bytes[i] = store_pattern(offset + i);
	assert_int_equal(mapping_write(file->mapping, offset, bytes, len_bytes), 0);
	free(bytes);
}

/* Bytes [0, end) of the file are the pattern but for [hole, hole_end). */
static void assert_contents(struct file *file, u64 hole, u64 hole_end, u64 end)
{
	u8 *bytes = malloc(end), *expected = malloc(end);

	assert_non_null(bytes);
	assert_non_null(expected);
	for (u64 i = 0; i < end; i++)
		expected[i] = i >= hole && i < hole_end ? 0 : store_pattern(i);
	assert_int_equal(mapping_read(file->mapping, 0, bytes, end), 0);
	assert_memory_equal(bytes, expected, end);
	free(bytes);
	free(expected);
}

/* What a truncation unmaps is mapped nowhere here. */
static void no_unmap(struct mapping *mapping, u64 first, u64 last, bool even_private_copies)
{
	(void)mapping;
	(void)first;
	(void)last;
	(void)even_private_copies;
}

/* ---- which order ------------------------------------------------------------------ */

static void a_miss_gets_the_largest_order_that_fits(void **state)
{
	(void)state;
	for_each_order (order) {
		u64 nr = BIT(order);
		struct file_world f;
		struct file *file;
		struct folio *folio;

		open_with_order(&f, order);
		file = memory_file(&f, PAGES(3 * nr) - 5);
		folio = get(file, nr + 1);
		assert_int_equal(folio_order(folio), order);
		assert_int_equal(folio->index, nr);
		assert_int_equal(refcount_read(&folio->refs), 2);
		assert_int_equal(file->mapping->nr_pages, nr);
		assert_int_equal(f.files.nr_cached, nr);
		for (u64 i = 0; i < PAGES(nr); i++)
			assert_int_equal(folio_page(&f, folio, nr)[i], 0);
		/* Every page of it finds it. */
		for (u64 i = nr; i < 2 * nr; i++) {
			assert_ptr_equal(mapping_find_folio(file->mapping, i), folio);
			folio_put(&f.phys, folio);
		}
		assert_null(mapping_find_folio(file->mapping, nr - 1));
		assert_null(mapping_find_folio(file->mapping, 2 * nr));
		folio_put(&f.phys, folio);
		/* The last page in part is a page of the file. */
		assert_int_equal(order_at(&f, file, 3 * nr - 1), order);
		assert_int_equal(order_at(&f, file, 0), order);
		files_close_last(&f, file, NULL);
	}
}

static void the_size_limits_the_order(void **state)
{
	(void)state;
	for_each_order (order) {
		u64 nr = BIT(order);
		struct file_world f;
		struct file *file;

		open_with_order(&f, order);
		file = memory_file(&f, PAGES(2 * nr - 1));
		assert_int_equal(order_at(&f, file, 0), order);
		/* One page short: half of it has all its pages, if it is an order. */
		assert_int_equal(order_at(&f, file, nr), order > 2 ? order - 1 : 0);
		assert_int_equal(order_at(&f, file, 2 * nr - 2), 0);
		mapping_check(file->mapping);
		file_put(file);
		file = memory_file(&f, 1);
		assert_int_equal(order_at(&f, file, 0), 0);
		files_close_last(&f, file, NULL);
	}
}

static void what_is_there_limits_the_order(void **state)
{
	(void)state;
	for_each_order (order) {
		u64 nr = BIT(order);
		struct file_world f;
		struct file *file;

		open_with_order(&f, 0);
		file = memory_file(&f, PAGES(2 * nr));
		assert_int_equal(order_at(&f, file, nr - 1), 0);
		f.files.file_order = order;
		/* The order below that leaves that page out. */
		assert_int_equal(order_at(&f, file, 0), order > 2 ? order - 1 : 0);
		assert_int_equal(order_at(&f, file, nr - 2), 0);
		assert_int_equal(order_at(&f, file, nr), order);
		/* A removed page is no obstacle, with or without memory to forget it. */
		quire_fail_nth(1);
		assert_int_equal(mapping_punch(file->mapping, 0, nr - 1, no_unmap), 0);
		quire_fail_nth(0);
		assert_int_equal(order_at(&f, file, 1), order);
		files_close_last(&f, file, NULL);
	}
}

static void order_one_is_no_order(void **state)
{
	struct file_world f;
	struct file *file;

	(void)state;
	open_with_order(&f, 1);
	file = memory_file(&f, PAGES(8));
	assert_int_equal(order_at(&f, file, 0), 0);
	files_close_last(&f, file, NULL);
}

static void want_of_memory_lowers_the_order(void **state)
{
	(void)state;
	for_each_order (order) {
		struct file_world f;
		struct file *file;

		open_with_order(&f, order);
		file = memory_file(&f, PAGES(BIT(order)));
		quire_fail_nth(1);
		assert_int_equal(order_at(&f, file, 0), order > 2 ? order - 1 : 0);
		quire_fail_nth(0);
		files_close_last(&f, file, NULL);
	}
}

static void every_allocation_of_a_miss_can_fail(void **state)
{
	struct file_world f;
	struct file *file;
	u64 nr_pages = 0;

	(void)state;
	open_with_order(&f, MAX_TRIED);
	file = memory_file(&f, PAGES(600));
	for (u64 i = 0; i < 200; i++)
		for (unsigned nth = 1;; nth++) {
			struct folio *folio = NULL;
			u64 index = (i * 37) % 600;
			int err;

			quire_fail_nth(nth);
			err = mapping_get_folio(file->mapping, index, &folio);
			quire_fail_nth(0);
			if (!err) {
				folio_put(&f.phys, folio);
				nr_pages = file->mapping->nr_pages;
				break;
			}
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_null(folio);
			assert_int_equal(file->mapping->nr_pages, nr_pages);
			assert_null(mapping_find_folio(file->mapping, index));
			assert_in_range(nth, 1, 40);
		}
	mapping_check(file->mapping);
	assert_int_equal(f.files.nr_cached, nr_pages);
	files_close_last(&f, file, NULL);
}

/* A PMD-order folio of every geometry, the 64k one's of 512 MiB included. */
static void the_largest_folio_of_all(void **state)
{
	u64 nr = BIT(QUIRE_PMD_ORDER);
	struct file_world f;
	struct file *file;
	struct folio *folio;
	u8 byte = 0;

	(void)state;
	files_open(&f, 3 * nr + 1024);
	f.files.file_order = QUIRE_PMD_ORDER;
	file = memory_file(&f, PAGES(nr));
	assert_int_equal(mapping_write(file->mapping, PAGES(nr) - 1, "x", 1), 0);
	folio = get(file, 0);
	assert_int_equal(folio_order(folio), QUIRE_PMD_ORDER);
	folio_put(&f.phys, folio);
	assert_int_equal(mapping_truncate(file->mapping, PAGES(nr) - PAGE_SIZE, no_unmap), 0);
	assert_int_equal(file->mapping->nr_pages, nr - 1);
	assert_int_equal(order_at(&f, file, 1), 0);
	assert_int_equal(mapping_truncate(file->mapping, PAGES(nr), no_unmap), 0);
	assert_int_equal(mapping_read(file->mapping, PAGES(nr) - 1, &byte, 1), 0);
	assert_int_equal(byte, 0);
	files_close_last(&f, file, NULL);
}

/* ---- reads and writes ----------------------------------------------------------------- */

static void reads_and_writes_cross_folios(void **state)
{
	(void)state;
	for_each_order (order) {
		u64 end = PAGES(3 * BIT(order)) - 11;
		struct file_world f;
		struct file *file;

		open_with_order(&f, order);
		file = memory_file(&f, end);
		/* Two writes that both end in the middle of a page and folio. */
		write_pattern(file, 0, PAGES(BIT(order)) + 17);
		write_pattern(file, PAGES(BIT(order)) + 17, end - PAGES(BIT(order)) - 17);
		assert_contents(file, 0, 0, end);
		assert_int_equal(file->mapping->nr_pages, 3 * BIT(order));
		assert_int_equal(file->mapping->nr_dirty, 3);
		files_close_last(&f, file, NULL);
	}
}

static void a_write_that_extends_reaches_ahead(void **state)
{
	(void)state;
	for_each_order (order) {
		u64 nr = BIT(order), end = PAGES(2 * nr - 1) + 9;
		struct file_world f;
		struct file *file;

		open_with_order(&f, order);
		file = memory_file(&f, 0);
		write_pattern(file, 0, 5);
		write_pattern(file, 5, end - 5);
		assert_contents(file, 0, 0, end);
		/* The first write had no more than a page. */
		assert_int_equal(order_at(&f, file, 0), 0);
		assert_int_equal(order_at(&f, file, nr), order);
		mapping_check(file->mapping);
		/* Beside the end, and with a gap that reads as zeros. */
		write_pattern(file, PAGES(3 * nr - 1), PAGE_SIZE);
		assert_int_equal(order_at(&f, file, 2 * nr), order);
		assert_contents(file, end, PAGES(3 * nr - 1), PAGES(3 * nr));
		files_close_last(&f, file, NULL);
	}
}

/* What was made for a write that then fails does not stay beyond the size. */
static void a_write_that_fails_leaves_nothing_behind(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	u8 bytes[2] = { 1, 1 };

	(void)state;
	open_with_order(&f, 2);
	file = host_file(&f, store, PAGES(1));
	store->fail_end = 1;
	assert_int_equal(mapping_write(file->mapping, PAGES(1) - 1, store->bytes, PAGES(3) + 1),
			 -QUIRE_EIO);
	assert_int_equal(file->mapping->size_bytes, PAGES(1));
	assert_int_equal(file->mapping->nr_pages, 1);
	mapping_check(file->mapping);
	store->fail_end = 0;
	assert_int_equal(mapping_read(file->mapping, 0, bytes, 2), 0);
	assert_int_equal(bytes[1], store_pattern(1));
	files_close_last(&f, file, store);
}

static void every_allocation_of_a_write_can_fail(void **state)
{
	u64 len_bytes = PAGES(2 * BIT(MAX_CUT)) + 7;
	u8 *bytes = calloc(1, len_bytes);
	struct file_world f;
	int err = -QUIRE_ENOMEM;

	(void)state;
	open_with_order(&f, MAX_CUT);
	for (unsigned nth = 1; nth < 12; nth++) {
		struct file *file = memory_file(&f, 5);

		quire_fail_nth(nth);
		err = mapping_write(file->mapping, 0, bytes, len_bytes);
		quire_fail_nth(0);
		mapping_check(file->mapping);
		if (err)
			assert_int_equal(err, -QUIRE_ENOMEM);
		else
			assert_int_equal(file->mapping->size_bytes, len_bytes);
		assert_int_equal(file->mapping->nr_pages,
				 err && file->mapping->size_bytes == 5 ?
					 0 : mapping_size_pages(file->mapping));
		file_put(file);
	}
	assert_int_equal(err, 0);
	free(bytes);
	files_close(&f);
}

/* ---- truncation and holes ----------------------------------------------------------- */

/* Cuts a file of three folios at every page, and in the middle of pages. */
static void truncation_cuts_a_folio_anywhere(void **state)
{
	(void)state;
	for_each_cut_order (order) {
		u64 nr = BIT(order), end = PAGES(3 * nr);

		for (u64 cut = PAGES(nr); cut <= PAGES(2 * nr); cut += PAGE_SIZE / 2) {
			struct file_world f;
			struct file *file;

			open_with_order(&f, order);
			file = memory_file(&f, end);
			write_pattern(file, 0, end);
			assert_int_equal(mapping_truncate(file->mapping, cut, no_unmap), 0);
			mapping_check(file->mapping);
			assert_int_equal(file->mapping->nr_pages, (cut + PAGE_SIZE - 1) / PAGE_SIZE);
			assert_contents(file, 0, 0, cut);
			/* What was not cut is as large as before. */
			assert_int_equal(order_at(&f, file, 0), order);
			assert_int_equal(mapping_truncate(file->mapping, end, no_unmap), 0);
			assert_contents(file, cut, end, end);
			files_close_last(&f, file, NULL);
		}
	}
}

static void a_hole_cuts_folios_anywhere(void **state)
{
	(void)state;
	for_each_cut_order (order) {
		u64 nr = BIT(order), step = u64_max(nr / 8, 1), end = 2 * nr;

		for (u64 first = 0; first < end; first += step) {
			for (u64 last = first; last < end; last += step) {
				struct file_world f;
				struct file *file;

				open_with_order(&f, order);
				file = memory_file(&f, PAGES(end));
				write_pattern(file, 0, PAGES(end));
				assert_int_equal(mapping_punch(file->mapping, first, last, no_unmap),
						 0);
				mapping_check(file->mapping);
				assert_int_equal(file->mapping->nr_pages, end - (last - first + 1));
				assert_contents(file, PAGES(first), PAGES(last + 1), PAGES(end));
				files_close_last(&f, file, NULL);
			}
		}
	}
}

struct noted {
	u64 nr, first[4], last[4];
	bool private_copies[4];
};

static struct noted noted;

static void note(struct mapping *mapping, u64 first, u64 last, bool even_private_copies)
{
	(void)mapping;
	assert_in_range(noted.nr, 0, 3);
	noted.first[noted.nr] = first;
	noted.last[noted.nr] = last;
	noted.private_copies[noted.nr++] = even_private_copies;
}

static void a_cut_folio_is_unmapped_whole(void **state)
{
	struct file_world f;
	struct file *file;

	(void)state;
	open_with_order(&f, 2);
	file = memory_file(&f, PAGES(8));
	assert_int_equal(order_at(&f, file, 4), 2);
	noted.nr = 0;
	assert_int_equal(mapping_truncate(file->mapping, PAGES(6), note), 0);
	/* Private copies of pages that stay, stay. */
	assert_int_equal(noted.nr, 2);
	assert_int_equal(noted.first[0], 4);
	assert_int_equal(noted.last[0], 7);
	assert_false(noted.private_copies[0]);
	assert_int_equal(noted.first[1], 6);
	assert_int_equal(noted.last[1], UINT64_MAX);
	assert_true(noted.private_copies[1]);
	/* Small pages and whole folios: once. */
	noted.nr = 0;
	assert_int_equal(mapping_truncate(file->mapping, PAGES(4), note), 0);
	assert_int_equal(noted.nr, 1);
	files_close_last(&f, file, NULL);
}

static void a_pinned_folio_stays_whole_and_is_zeroed(void **state)
{
	(void)state;
	for_each_order (order) {
		u64 nr = BIT(order), cut = PAGES(nr / 2) + 3, end = PAGES(nr);
		struct file_world f;
		struct file *file;
		struct folio *folio;

		open_with_order(&f, order);
		file = memory_file(&f, end);
		write_pattern(file, 0, end);
		folio = get(file, 0);
		assert_int_equal(mapping_truncate(file->mapping, cut, no_unmap), 0);
		assert_int_equal(folio_order(folio), order);
		assert_int_equal(file->mapping->nr_pages, nr);
		mapping_check(file->mapping);
		assert_contents(file, 0, 0, cut);
		for (u64 i = cut; i < end; i++)
			assert_int_equal(folio_page(&f, folio, 0)[i], 0);
		/* A fault on the part that was cut off has the size to ask. */
		assert_int_equal(mapping_get_folio(file->mapping, nr - 1, &folio), -QUIRE_ERANGE);
		assert_int_equal(mapping_truncate(file->mapping, end, no_unmap), 0);
		assert_contents(file, cut, end, end);
		folio_put(&f.phys, folio);

		/* The next cut has its way; a hole cuts what lay beyond the size. */
		assert_int_equal(mapping_punch(file->mapping, 1, 1, no_unmap), 0);
		assert_int_equal(file->mapping->nr_pages, nr - 1);
		files_close_last(&f, file, NULL);
	}
}

static void a_pinned_folio_under_a_hole_is_zeroed_there(void **state)
{
	struct file_world f;
	struct file *file;
	struct folio *folio;

	(void)state;
	open_with_order(&f, 2);
	file = memory_file(&f, PAGES(8));
	write_pattern(file, 0, PAGES(8));
	folio = get(file, 0);
	assert_int_equal(mapping_punch(file->mapping, 1, 2, no_unmap), 0);
	assert_int_equal(folio_order(folio), 2);
	assert_contents(file, PAGES(1), PAGES(3), PAGES(8));
	assert_int_equal(mapping_punch(file->mapping, 2, 5, no_unmap), 0);
	assert_contents(file, PAGES(1), PAGES(6), PAGES(8));
	assert_int_equal(file->mapping->nr_pages, 4 + 2);
	mapping_check(file->mapping);
	folio_put(&f.phys, folio);
	files_close_last(&f, file, NULL);
}

/* What was kept whole and beyond the size goes when it is split after all. */
static void a_hole_before_the_size_takes_what_lies_beyond(void **state)
{
	struct file_world f;
	struct file *file;
	struct folio *folio;

	(void)state;
	open_with_order(&f, 2);
	file = memory_file(&f, PAGES(4));
	write_pattern(file, 0, PAGES(4));
	folio = get(file, 0);
	assert_int_equal(mapping_truncate(file->mapping, PAGES(2), no_unmap), 0);
	folio_put(&f.phys, folio);
	assert_int_equal(file->mapping->nr_pages, 4);
	assert_int_equal(mapping_punch(file->mapping, 0, 0, no_unmap), 0);
	assert_int_equal(file->mapping->nr_pages, 1);
	assert_int_equal(file->mapping->nr_dirty, 1);
	mapping_check(file->mapping);
	assert_contents(file, 0, PAGES(1), PAGES(2));
	files_close_last(&f, file, NULL);
}

/* A host's file: what a pin wrote beyond the end does not come to light. */
static void what_a_pin_wrote_beyond_the_end_is_cleared(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio;
	u8 byte = 1;

	(void)state;
	open_with_order(&f, 2);
	file = host_file(&f, store, PAGES(4));
	folio = get(file, 0);
	assert_int_equal(mapping_truncate(file->mapping, PAGES(2), no_unmap), 0);
	memset(folio_page(&f, folio, 2), 0x99, PAGES(2));
	assert_int_equal(mapping_truncate(file->mapping, PAGES(4), no_unmap), 0);
	assert_int_equal(mapping_read(file->mapping, PAGES(3), &byte, 1), 0);
	assert_int_equal(byte, 0);
	folio_put(&f.phys, folio);
	files_close_last(&f, file, store);
}

static void truncation_needs_no_memory(void **state)
{
	u64 nr = BIT(MAX_CUT), cut = PAGES(nr / 2) + PAGE_SIZE / 2;

	(void)state;
	for (unsigned nth = 1; nth < 12; nth++) {
		struct file_world f;
		struct file *file;

		open_with_order(&f, MAX_CUT);
		file = memory_file(&f, PAGES(2 * nr));
		write_pattern(file, 0, PAGES(2 * nr));
		quire_fail_nth(nth);
		assert_int_equal(mapping_punch(file->mapping, nr + 1, nr + 1, no_unmap), 0);
		assert_int_equal(mapping_truncate(file->mapping, cut, no_unmap), 0);
		quire_fail_nth(0);
		mapping_check(file->mapping);
		assert_contents(file, 0, 0, cut);
		assert_int_equal(mapping_truncate(file->mapping, PAGES(2 * nr), no_unmap), 0);
		assert_contents(file, cut, PAGES(2 * nr), PAGES(2 * nr));
		mapping_check(file->mapping);
		assert_int_equal(mapping_punch(file->mapping, 0, UINT64_MAX, no_unmap), 0);
		assert_int_equal(file->mapping->nr_pages, 0);
		files_close_last(&f, file, NULL);
	}
}

/* ---- splitting --------------------------------------------------------------------------- */

static void a_split_keeps_everything_in_place(void **state)
{
	(void)state;
	for_each_cut_order (from) {
		for (unsigned to = 0; to < from; to += to ? 1 : 2) {
			u64 nr = BIT(from);
			struct file_world f;
			struct file *file;
			struct folio *folio;

			open_with_order(&f, from);
			file = memory_file(&f, PAGES(2 * nr));
			write_pattern(file, 0, PAGES(2 * nr));
			assert_int_equal(file->mapping->nr_dirty, 2);
			folio = get(file, nr);
			folio_lock(folio);
			assert_int_equal(mapping_split_folio(file->mapping, folio, to), 0);
			assert_int_equal(folio_order(folio), to);
			assert_int_equal(refcount_read(&folio->refs), 2);
			folio_unlock(folio);
			folio_put(&f.phys, folio);
			assert_int_equal(file->mapping->nr_dirty, 1 + BIT(from - to));
			assert_int_equal(file->mapping->nr_pages, 2 * nr);
			for (u64 i = nr; i < 2 * nr; i += BIT(to))
				assert_int_equal(order_at(&f, file, i), to);
			assert_int_equal(order_at(&f, file, 0), from);
			mapping_check(file->mapping);
			assert_contents(file, 0, 0, PAGES(2 * nr));
			files_close_last(&f, file, NULL);
		}
	}
}

static void a_split_that_cannot_be_changes_nothing(void **state)
{
	struct file_world f;
	struct file *file;
	struct folio *folio;
	struct maple_stats before, after;

	(void)state;
	open_with_order(&f, MAX_CUT);
	file = memory_file(&f, PAGES(BIT(MAX_CUT)));
	write_pattern(file, 0, PAGES(BIT(MAX_CUT)));
	folio = get(file, 0);
	maple_stats(&file->mapping->folios, &before);
	folio_lock(folio);
	folio_get(folio);
	assert_int_equal(mapping_split_folio(file->mapping, folio, 0), -QUIRE_EBUSY);
	folio_put(&f.phys, folio);
	assert_int_equal(mapping_split_folio(file->mapping, folio, 1), -QUIRE_EINVAL);
	assert_int_equal(mapping_split_folio(file->mapping, folio, MAX_CUT), -QUIRE_EINVAL);
	for (unsigned nth = 1;; nth++) {
		int err;

		quire_fail_nth(nth);
		err = mapping_split_folio(file->mapping, folio, 0);
		quire_fail_nth(0);
		mapping_check(file->mapping);
		if (!err)
			break;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_int_equal(folio_order(folio), MAX_CUT);
		assert_int_equal(refcount_read(&folio->refs), 2);
		maple_stats(&file->mapping->folios, &after);
		assert_int_equal(after.nr_entries, before.nr_entries);
	}
	folio_unlock(folio);
	folio_put(&f.phys, folio);
	assert_contents(file, 0, 0, PAGES(BIT(MAX_CUT)));
	files_close_last(&f, file, NULL);
}

/* No memory to cut the ranges, and none to join them again: the folio has
 * several, and everything goes on as if it had one. */
static void a_folio_of_several_ranges_is_one_folio(void **state)
{
	u64 nr = BIT(MAX_CUT);
	struct file_world f;
	struct file *file;
	struct folio *folios[2];
	struct maple_cursor cur;

	(void)state;
	open_with_order(&f, MAX_CUT);
	file = memory_file(&f, PAGES(2 * nr));
	write_pattern(file, 0, PAGES(2 * nr));
	for (u64 i = 0; i < 2; i++) {
		folios[i] = get(file, i * nr);
		cur = maple_cursor(&file->mapping->folios, i * nr, i * nr);
		assert_int_equal(maple_store(&cur, folios[i]), 0);
		maple_set_range(&cur, i * nr + 1, i * nr + 1);
		assert_int_equal(maple_store(&cur, folios[i]), 0);
		folio_put(&f.phys, folios[i]);
	}
	mapping_check(file->mapping);
	assert_contents(file, 0, 0, PAGES(2 * nr));
	assert_int_equal(order_at(&f, file, nr + 1), MAX_CUT);
	folio_lock(folios[0]);
	folio_get(folios[0]);
	assert_int_equal(mapping_split_folio(file->mapping, folios[0], 0), 0);
	folio_unlock(folios[0]);
	folio_put(&f.phys, folios[0]);
	mapping_check(file->mapping);
	assert_contents(file, 0, 0, PAGES(2 * nr));
	assert_int_equal(mapping_punch(file->mapping, nr, 2 * nr - 1, no_unmap), 0);
	assert_int_equal(file->mapping->nr_pages, nr);
	files_close_last(&f, file, NULL);
}

#if QUIRE_PMD_ORDER >= 7
/* The search takes sixteen folios at a time: the last of them is found again. */
static void a_folio_of_several_ranges_is_collapsed_once(void **state)
{
	struct file_world f;
	struct file *file;
	struct folio *large, *cut;
	struct maple_cursor cur;

	(void)state;
	open_with_order(&f, 2);
	file = memory_file(&f, PAGES(128));
	write_pattern(file, 0, PAGES(128));
	cut = get(file, 15 * 4);
	cur = maple_cursor(&file->mapping->folios, 15 * 4, 15 * 4);
	assert_int_equal(maple_store(&cur, cut), 0);
	folio_put(&f.phys, cut);
	large = folio_alloc(&f.phys, 7, 0);
	assert_non_null(large);
	assert_int_equal(rmap_folio_init(&f.rmap, large), 0);
	assert_int_equal(mapping_collapse(file->mapping, 0, large, no_unmap), 0);
	folio_put(&f.phys, large);
	assert_int_equal(order_at(&f, file, 61), 7);
	mapping_check(file->mapping);
	assert_contents(file, 0, 0, PAGES(128));
	files_close_last(&f, file, NULL);
}
#endif

/* ---- a backing -------------------------------------------------------------------------------- */

static void a_large_folio_is_read_and_written_in_whole(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio;

	(void)state;
	open_with_order(&f, 2);
	file = host_file(&f, store, PAGES(6) + 9);
	folio = get(file, 1);
	assert_int_equal(folio_order(folio), 2);
	for (u64 i = 0; i < PAGES(4); i++)
		assert_int_equal(folio_page(&f, folio, 0)[i], store_pattern(i));
	folio_put(&f.phys, folio);
	/* One read for the folio, one for each page around it that is left. */
	assert_int_equal(store->nr_reads, 1 + 3);
	assert_int_equal(file->mapping->nr_pages, 7);
	assert_int_equal(mapping_write(file->mapping, PAGES(2) + 1, "x", 1), 0);
	assert_int_equal(file->mapping->nr_dirty, 1);
	assert_int_equal(mapping_writeback(file->mapping, 3, 3), 0);
	assert_int_equal(store->nr_writes, 1);
	assert_int_equal(store->nr_bytes_written, PAGES(4));
	assert_int_equal(store->bytes[PAGES(2) + 1], 'x');
	assert_int_equal(file->mapping->nr_dirty, 0);
	files_close_last(&f, file, store);
}

static void a_cut_leaves_the_rest_dirty(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;

	(void)state;
	open_with_order(&f, 2);
	file = host_file(&f, store, PAGES(4));
	assert_int_equal(mapping_write(file->mapping, PAGE_SIZE, "x", 1), 0);
	assert_int_equal(mapping_truncate(file->mapping, PAGES(3), no_unmap), 0);
	assert_int_equal(file->mapping->nr_dirty, 3);
	mapping_check(file->mapping);
	assert_int_equal(mapping_writeback(file->mapping, 0, UINT64_MAX), 0);
	assert_int_equal(store->bytes[PAGE_SIZE], 'x');
	assert_int_equal(store->nr_bytes_written, PAGES(3));
	files_close_last(&f, file, store);
}

static void a_read_error_strikes_one_page(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio;

	(void)state;
	open_with_order(&f, 2);
	file = host_file(&f, store, PAGES(8));
	store->fail_from = PAGES(2) + 1;
	store->fail_end = PAGES(2) + 2;
	assert_int_equal(mapping_get_folio(file->mapping, 2, &folio), -QUIRE_EIO);
	for (u64 i = 0; i < 8; i++) {
		if (i == 2)
			continue;
		folio = get(file, i);
		assert_int_equal(folio_page(&f, folio, i)[3], store_pattern(PAGES(i) + 3));
		folio_put(&f.phys, folio);
	}
	assert_int_equal(order_at(&f, file, 5), 2);
	assert_int_equal(mapping_get_folio(file->mapping, 2, &folio), -QUIRE_EIO);
	store->fail_end = 0;
	folio = get(file, 2);
	assert_int_equal(folio_page(&f, folio, 2)[1], store_pattern(PAGES(2) + 1));
	folio_put(&f.phys, folio);
	files_close_last(&f, file, store);
}

static void a_hole_in_a_backing_cuts_folios(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	u8 *bytes = malloc(PAGES(12));

	(void)state;
	open_with_order(&f, 2);
	file = host_file(&f, store, PAGES(12));
	for (u64 i = 0; i < 12; i += 4)
		assert_int_equal(order_at(&f, file, i), 2);
	assert_int_equal(mapping_punch(file->mapping, 2, 8, no_unmap), 0);
	assert_int_equal(file->mapping->nr_pages, 5);
	assert_int_equal(mapping_read(file->mapping, 0, bytes, PAGES(12)), 0);
	for (u64 i = 0; i < PAGES(12); i++) {
		u8 expected = i >= PAGES(2) && i < PAGES(9) ? 0 : store_pattern(i);

		assert_int_equal(bytes[i], expected);
		assert_int_equal(store->bytes[i], expected);
	}
	mapping_check(file->mapping);
	free(bytes);
	files_close_last(&f, file, store);
}

/* ---- a model ------------------------------------------------------------------------------------ */

#define MODEL_PAGES 40
#define MODEL_STEPS 600

struct model {
	struct file *file;
	u64 size_bytes;
	u8 bytes[PAGES(MODEL_PAGES)]; /* beyond the size: zeros */
};

static u32 rand_state;

static u64 rand_below(u64 n)
{
	rand_state = rand_state * 1103515245u + 12345u;
	return (rand_state >> 8) % n;
}

static void model_write(struct model *model)
{
	u64 offset = rand_below(PAGES(MODEL_PAGES) - 1);
	u64 len_bytes = 1 + rand_below(u64_min(PAGES(10), PAGES(MODEL_PAGES) - offset));
	u8 fill = (u8)(1 + rand_below(255));

	memset(model->bytes + offset, fill, len_bytes);
	assert_int_equal(mapping_write(model->file->mapping, offset, model->bytes + offset,
				       len_bytes), 0);
	model->size_bytes = u64_max(model->size_bytes, offset + len_bytes);
}

static void model_truncate(struct model *model)
{
	u64 size_bytes = rand_below(PAGES(MODEL_PAGES));

	if (rand_below(2))
		size_bytes = align_down(size_bytes, PAGE_SIZE);
	if (rand_below(3) == 0)
		size_bytes = PAGES(MODEL_PAGES);
	assert_int_equal(mapping_truncate(model->file->mapping, size_bytes, no_unmap), 0);
	if (size_bytes < model->size_bytes)
		memset(model->bytes + size_bytes, 0, model->size_bytes - size_bytes);
	model->size_bytes = size_bytes;
}

static void model_punch(struct model *model)
{
	u64 first = rand_below(MODEL_PAGES), last = first + rand_below(MODEL_PAGES - first);

	assert_int_equal(mapping_punch(model->file->mapping, first, last, no_unmap), 0);
	memset(model->bytes + PAGES(first), 0, PAGES(last - first + 1));
}

static void model_compare(struct model *model)
{
	static u8 bytes[PAGES(MODEL_PAGES)];

	assert_int_equal(mapping_read(model->file->mapping, 0, bytes, model->size_bytes), 0);
	assert_memory_equal(bytes, model->bytes, model->size_bytes);
	mapping_check(model->file->mapping);
}

/* Some folios are pinned for a while, some allocations fail. */
static void model_run(struct file_world *f, struct model *model)
{
	struct folio *pinned = NULL;

	for (unsigned step = 0; step < MODEL_STEPS; step++) {
		u64 what = rand_below(8);

		if (what < 3)
			model_write(model);
		else if (what < 5)
			model_truncate(model);
		else if (what == 5)
			model_punch(model);
		else if (what == 6 && !pinned)
			pinned = mapping_find_folio(model->file->mapping, rand_below(MODEL_PAGES));
		else if (pinned) {
			folio_put(&f->phys, pinned);
			pinned = NULL;
		}
		if (step % 8 == 0)
			model_compare(model);
	}
	if (pinned)
		folio_put(&f->phys, pinned);
}

static void random_calls_agree_with_an_array(void **state)
{
	static struct model model;

	(void)state;
	for (unsigned order = 0; order <= MAX_CUT; order++) {
		for (unsigned host = 0; host < 2; host++) {
			struct backing_store *store = store_create();
			struct file_world f;

			open_with_order(&f, order);
			memset(store->bytes, 0, sizeof(store->bytes));
			model = (struct model){ .size_bytes = PAGES(MODEL_PAGES) };
			model.file = host ? host_file(&f, store, model.size_bytes) :
					    memory_file(&f, model.size_bytes);
			rand_state = order * 2 + host + 1;
			model_run(&f, &model);
			if (host) {
				assert_int_equal(mapping_writeback(model.file->mapping, 0,
								   UINT64_MAX), 0);
				model_compare(&model);
				assert_memory_equal(store->bytes, model.bytes, model.size_bytes);
			}
			file_put(model.file);
			files_close(&f);
			free(store);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_miss_gets_the_largest_order_that_fits),
		cmocka_unit_test(the_size_limits_the_order),
		cmocka_unit_test(what_is_there_limits_the_order),
		cmocka_unit_test(order_one_is_no_order),
		cmocka_unit_test(want_of_memory_lowers_the_order),
		cmocka_unit_test(every_allocation_of_a_miss_can_fail),
		cmocka_unit_test(the_largest_folio_of_all),
		cmocka_unit_test(reads_and_writes_cross_folios),
		cmocka_unit_test(a_write_that_extends_reaches_ahead),
		cmocka_unit_test(a_write_that_fails_leaves_nothing_behind),
		cmocka_unit_test(every_allocation_of_a_write_can_fail),
		cmocka_unit_test(truncation_cuts_a_folio_anywhere),
		cmocka_unit_test(a_hole_cuts_folios_anywhere),
		cmocka_unit_test(a_cut_folio_is_unmapped_whole),
		cmocka_unit_test(a_pinned_folio_stays_whole_and_is_zeroed),
		cmocka_unit_test(a_pinned_folio_under_a_hole_is_zeroed_there),
		cmocka_unit_test(a_hole_before_the_size_takes_what_lies_beyond),
		cmocka_unit_test(what_a_pin_wrote_beyond_the_end_is_cleared),
		cmocka_unit_test(truncation_needs_no_memory),
		cmocka_unit_test(a_split_keeps_everything_in_place),
		cmocka_unit_test(a_split_that_cannot_be_changes_nothing),
		cmocka_unit_test(a_folio_of_several_ranges_is_one_folio),
#if QUIRE_PMD_ORDER >= 7
		cmocka_unit_test(a_folio_of_several_ranges_is_collapsed_once),
#endif
		cmocka_unit_test(a_large_folio_is_read_and_written_in_whole),
		cmocka_unit_test(a_cut_leaves_the_rest_dirty),
		cmocka_unit_test(a_read_error_strikes_one_page),
		cmocka_unit_test(a_hole_in_a_backing_cuts_folios),
		cmocka_unit_test(random_calls_agree_with_an_array),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
