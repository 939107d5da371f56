/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page cache: folios by index, sizes, truncation and holes, reading in,
 * dirty marks and writeback, plain reads and writes.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include "unit/file_world.h"

struct unmap_note unmapped;

static void get_and_put(struct file_world *f, struct file *file, u64 index)
{
	folio_put(&f->phys, get(file, index));
}

static void a_page_comes_once_and_stays(void **state)
{
	struct file_world f;
	struct file *file;
	struct folio *folio;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = memory_file(&f, PAGES(10));
	assert_null(mapping_find_folio(file->mapping, 3));
	folio = get(file, 3);
	assert_int_equal(refcount_read(&folio->refs), 2);
	for (u64 i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(folio_page(&f, folio, 3)[i], 0);
	folio_put(&f.phys, folio);
	assert_ptr_equal(get(file, 3), folio);
	assert_ptr_equal(mapping_find_folio(file->mapping, 3), folio);
	folio_put_n(&f.phys, folio, 2);
	assert_int_equal(file->mapping->nr_pages, 1);
	assert_int_equal(f.files.nr_cached, 1);
	assert_false(folio_is_at(folio, file->mapping, 2));
	assert_false(folio_is_at(folio, file->mapping, 4));
	files_close_last(&f, file, NULL);
}

static void beyond_the_size_there_is_nothing(void **state)
{
	struct file_world f;
	struct file *file;
	struct folio *folio = NULL;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = memory_file(&f, PAGES(2) + 1);
	get_and_put(&f, file, 2);
	assert_int_equal(mapping_get_folio(file->mapping, 3, &folio), -QUIRE_ERANGE);
	assert_null(folio);
	assert_int_equal(mapping_get_folio(file->mapping, UINT64_MAX, &folio), -QUIRE_ERANGE);
	file_put(file);
	file = memory_file(&f, 0);
	assert_int_equal(mapping_get_folio(file->mapping, 0, &folio), -QUIRE_ERANGE);
	files_close_last(&f, file, NULL);
}

static void bad_configurations_are_refused(void **state)
{
	struct file_world f;
	struct file *file = NULL;
	struct quire_file_config config = { .kind = QUIRE_FILE_HOST };

	(void)state;
	files_open(&f, WORLD_FRAMES);
	assert_int_equal(file_create(&f.files, &config, &file), -QUIRE_EINVAL);
	config.kind = (enum quire_file_kind)7;
	assert_int_equal(file_create(&f.files, &config, &file), -QUIRE_EINVAL);
	config.kind = QUIRE_FILE_MEMORY;
	config.mode = 64;
	assert_int_equal(file_create(&f.files, &config, &file), -QUIRE_EINVAL);
	config.mode = 0;
	config.size_bytes = UINT64_MAX;
	assert_int_equal(file_create(&f.files, &config, &file), -QUIRE_EINVAL);
	assert_null(file);
	file = memory_file(&f, 0);
	assert_int_equal(mapping_truncate(file->mapping, UINT64_MAX, note_unmap),
			 -QUIRE_EINVAL);
	assert_int_equal(file_reopen(file, 64, &file), -QUIRE_EINVAL);
	files_close_last(&f, file, NULL);
}

static void handles_share_the_contents(void **state)
{
	struct file_world f;
	struct file *file, *other;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = memory_file(&f, PAGES(2));
	assert_int_equal(file_reopen(file, QUIRE_FILE_READ, &other), 0);
	assert_ptr_equal(other->mapping, file->mapping);
	get_and_put(&f, file, 0);
	file_get(file);
	file_put(file);
	file_put(file);
	assert_int_equal(other->mapping->nr_pages, 1);
	file_put(other);
	files_close(&f);
}

static void truncation_drops_and_zeroes(void **state)
{
	struct file_world f;
	struct file *file;
	struct folio *edge, *kept;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = memory_file(&f, PAGES(100));
	for (u64 i = 0; i < 100; i += 3)
		get_and_put(&f, file, i);
	edge = get(file, 30);
	memset(folio_page(&f, edge, 30), 0xaa, PAGE_SIZE);
	kept = get(file, 60);
	unmapped.nr = 0;
	assert_int_equal(mapping_truncate(file->mapping, PAGES(30) + 5, note_unmap), 0);
	assert_int_equal(unmapped.nr, 1);
	assert_int_equal(unmapped.first, 31);
	assert_int_equal(unmapped.last, UINT64_MAX);
	assert_true(unmapped.private_copies);
	assert_int_equal(file->mapping->nr_pages, 11);
	assert_int_equal(f.files.nr_cached, 11);
	assert_int_equal(folio_page(&f, edge, 30)[4], 0xaa);
	for (u64 i = 5; i < PAGE_SIZE; i++)
		assert_int_equal(folio_page(&f, edge, 30)[i], 0);
	assert_true(folio_is_at(edge, file->mapping, 30));
	/* Whoever still has a reference sees that the folio left. */
	assert_null(kept->mapping);
	assert_int_equal(refcount_read(&kept->refs), 1);
	folio_put(&f.phys, kept);
	mapping_check(file->mapping);

	/* A mapping wrote behind the end; growing a tmpfs file leaves that. */
	memset(folio_page(&f, edge, 30), 0xbb, PAGE_SIZE);
	assert_int_equal(mapping_truncate(file->mapping, PAGES(40), note_unmap), 0);
	assert_int_equal(unmapped.nr, 1);
	assert_int_equal(folio_page(&f, edge, 30)[4], 0xbb);
	assert_int_equal(folio_page(&f, edge, 30)[5], 0xbb);
	folio_put(&f.phys, edge);
	assert_null(mapping_find_folio(file->mapping, 33));
	get_and_put(&f, file, 39);
	files_close_last(&f, file, NULL);
}

static void a_hole_reads_as_zeros(void **state)
{
	struct file_world f;
	struct file *file;
	struct folio *folio;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = memory_file(&f, PAGES(20));
	for (u64 i = 0; i < 20; i++) {
		folio = get(file, i);
		memset(folio_page(&f, folio, i), 0xcc, PAGE_SIZE);
		folio_put(&f.phys, folio);
	}
	unmapped.nr = 0;
	assert_int_equal(mapping_punch(file->mapping, 5, 9, note_unmap), 0);
	assert_int_equal(unmapped.nr, 1);
	assert_false(unmapped.private_copies);
	assert_int_equal(file->mapping->nr_pages, 15);
	mapping_check(file->mapping);
	folio = get(file, 7);
	assert_int_equal(folio_page(&f, folio, 7)[0], 0);
	folio_put(&f.phys, folio);
	folio = get(file, 10);
	assert_int_equal(folio_page(&f, folio, 10)[0], 0xcc);
	folio_put(&f.phys, folio);
	assert_int_equal(mapping_punch(file->mapping, 50, UINT64_MAX, note_unmap), 0);
	assert_int_equal(mapping_punch(file->mapping, 6, 5, note_unmap), 0);
	files_close_last(&f, file, NULL);
}

struct seen {
	u64 nr, stop_after;
	u64 indexes[64];
};

static bool note_cached(struct folio *folio, u64 index, void *arg)
{
	struct seen *seen = arg;

	assert_int_equal(folio->index, index);
	seen->indexes[seen->nr++] = index;
	return seen->nr != seen->stop_after;
}

static void fault_around_sees_what_is_there(void **state)
{
	struct file_world f;
	struct file *file;
	struct seen seen = { .nr = 0 };
	struct folio *folio;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = memory_file(&f, PAGES(20));
	mapping_for_each_cached(file->mapping, 0, UINT64_MAX, note_cached, &seen);
	assert_int_equal(seen.nr, 0);
	for (u64 i = 2; i < 20; i += 4)
		get_and_put(&f, file, i);
	folio = get(file, 10);
	folio_clear(folio, FRAME_UPTODATE);
	mapping_for_each_cached(file->mapping, 3, 17, note_cached, &seen);
	assert_int_equal(seen.nr, 2);
	assert_int_equal(seen.indexes[0], 6);
	assert_int_equal(seen.indexes[1], 14);
	folio_set(folio, FRAME_UPTODATE);
	folio_put(&f.phys, folio);
	seen = (struct seen){ .stop_after = 1 };
	mapping_for_each_cached(file->mapping, 0, UINT64_MAX, note_cached, &seen);
	assert_int_equal(seen.nr, 1);
	files_close_last(&f, file, NULL);
}

/* ---- a backing ------------------------------------------------------------------ */

static void assert_pattern(const u8 *bytes, u64 offset, u64 len_bytes)
{
	for (u64 i = 0; i < len_bytes; i++)
		assert_int_equal(bytes[i], store_pattern(offset + i));
}

static void assert_zeros(const u8 *bytes, u64 len_bytes)
{
	for (u64 i = 0; i < len_bytes; i++)
		assert_int_equal(bytes[i], 0);
}

static void a_backing_is_read_in_windows(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = host_file(&f, store, PAGES(40) + 9);
	folio = get(file, 17);
	assert_pattern(folio_page(&f, folio, 17), PAGES(17), PAGE_SIZE);
	folio_put(&f.phys, folio);
	assert_int_equal(file->mapping->nr_pages, 16); /* 16 .. 31 */
	assert_int_equal(store->nr_reads, 16);
	assert_non_null(folio = mapping_find_folio(file->mapping, 31));
	assert_pattern(folio_page(&f, folio, 31), PAGES(31), PAGE_SIZE);
	folio_put(&f.phys, folio);
	get_and_put(&f, file, 20);
	assert_int_equal(store->nr_reads, 16);
	folio = get(file, 40); /* 32 .. 40, the last with a tail */
	assert_int_equal(file->mapping->nr_pages, 25);
	assert_pattern(folio_page(&f, folio, 40), PAGES(40), 9);
	assert_zeros(folio_page(&f, folio, 40) + 9, PAGE_SIZE - 9);
	folio_put(&f.phys, folio);
	assert_int_equal(file->mapping->nr_dirty, 0);
	file_put(file);
	assert_true(store->destroyed);
	assert_int_equal(store->nr_writes, 0);
	free(store);
	files_close(&f);
}

static void a_read_error_is_told_and_forgotten(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio = NULL;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = host_file(&f, store, PAGES(20));
	store->fail_from = PAGES(4);
	store->fail_end = PAGES(4) + 1;
	assert_int_equal(mapping_get_folio(file->mapping, 4, &folio), -QUIRE_EIO);
	assert_null(folio);
	get_and_put(&f, file, 5); /* its window meets the error and goes on */
	assert_int_equal(mapping_get_folio(file->mapping, 4, &folio), -QUIRE_EIO);
	store->fail_end = 0;
	folio = get(file, 4);
	assert_pattern(folio_page(&f, folio, 4), PAGES(4), PAGE_SIZE);
	folio_put(&f.phys, folio);
	files_close_last(&f, file, store);
}

static void dirty(struct file_world *f, struct file *file, u64 index, u8 value)
{
	struct folio *folio = get(file, index);

	folio_lock(folio);
	mapping_dirty_folio(file->mapping, folio);
	memset(folio_page(f, folio, index), value, PAGE_SIZE);
	folio_unlock(folio);
	folio_put(&f->phys, folio);
}

static void writeback_writes_what_is_dirty(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = host_file(&f, store, PAGES(40) + 3);
	for (u64 i = 0; i <= 40; i += 2)
		dirty(&f, file, i, 0x11);
	dirty(&f, file, 0, 0x12);
	assert_int_equal(file->mapping->nr_dirty, 21);
	assert_int_equal(mapping_writeback(file->mapping, 3, 9), 0);
	assert_int_equal(store->nr_writes, 3);
	assert_int_equal(file->mapping->nr_dirty, 18);
	assert_pattern(store->bytes, 0, PAGE_SIZE);
	assert_int_equal(store->bytes[PAGES(4)], 0x11);
	assert_int_equal(store->bytes[PAGES(8) + PAGE_SIZE - 1], 0x11);
	assert_int_equal(mapping_writeback(file->mapping, 3, 9), 0);
	assert_int_equal(store->nr_writes, 3);
	assert_int_equal(mapping_writeback(file->mapping, 0, UINT64_MAX), 0);
	assert_int_equal(file->mapping->nr_dirty, 0);
	assert_int_equal(store->bytes[0], 0x12);
	/* What a mapping wrote beyond the end is cleared. */
	folio = get(file, 40);
	assert_int_equal(folio_page(&f, folio, 40)[2], 0x11);
	assert_zeros(folio_page(&f, folio, 40) + 3, PAGE_SIZE - 3);
	folio_put(&f.phys, folio);
	/* Not a byte beyond the end. */
	assert_int_equal(store->bytes[PAGES(40) + 2], 0x11);
	assert_pattern(store->bytes + PAGES(40) + 3, PAGES(40) + 3, PAGE_SIZE);
	files_close_last(&f, file, store);
}

static void a_write_error_keeps_the_page_dirty(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = host_file(&f, store, PAGES(10));
	dirty(&f, file, 2, 0x21);
	dirty(&f, file, 5, 0x22);
	dirty(&f, file, 7, 0x23);
	store->fail_from = PAGES(5);
	store->fail_end = PAGES(6);
	assert_int_equal(mapping_writeback(file->mapping, 0, UINT64_MAX), -QUIRE_EIO);
	assert_int_equal(file->mapping->nr_dirty, 1);
	assert_int_equal(store->bytes[PAGES(2)], 0x21);
	assert_int_equal(store->bytes[PAGES(7)], 0x23);
	store->fail_end = 0;
	/* The end of the file is the last chance. */
	file_put(file);
	assert_int_equal(store->bytes[PAGES(5)], 0x22);
	free(store);
	files_close(&f);
}

static void what_was_cut_off_a_backing_stays_away(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = host_file(&f, store, PAGES(30));
	dirty(&f, file, 29, 0x31);
	assert_int_equal(mapping_truncate(file->mapping, PAGES(3) + 7, note_unmap), 0);
	assert_int_equal(file->mapping->nr_dirty, 0);
	assert_int_equal(mapping_truncate(file->mapping, PAGES(60), note_unmap), 0);
	folio = get(file, 3);
	assert_pattern(folio_page(&f, folio, 3), PAGES(3), 7);
	assert_zeros(folio_page(&f, folio, 3) + 7, PAGE_SIZE - 7);
	folio_put(&f.phys, folio);
	folio = get(file, 29);
	assert_zeros(folio_page(&f, folio, 29), PAGE_SIZE);
	folio_put(&f.phys, folio);
	/* To write behind the cut makes the backing say so too; where it never
	 * held anything there is nothing to clear. */
	dirty(&f, file, 50, 0x32);
	assert_int_equal(mapping_writeback(file->mapping, 0, UINT64_MAX), 0);
	assert_zeros(store->bytes + PAGES(3) + 7, PAGES(27) - 7);
	assert_pattern(store->bytes + PAGES(30), PAGES(30), PAGES(20));
	assert_int_equal(store->bytes[PAGES(50)], 0x32);
	files_close_last(&f, file, store);
}

static void a_hole_in_a_backing_is_written(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio;

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = host_file(&f, store, PAGES(10));
	dirty(&f, file, 4, 0x41);
	store->fail_from = PAGES(4);
	store->fail_end = PAGES(5);
	assert_int_equal(mapping_punch(file->mapping, 4, 5, note_unmap), -QUIRE_EIO);
	store->fail_end = 0;
	dirty(&f, file, 4, 0x42);
	assert_int_equal(mapping_punch(file->mapping, 4, 5, note_unmap), 0);
	assert_int_equal(file->mapping->nr_dirty, 0);
	assert_zeros(store->bytes + PAGES(4), PAGES(2));
	folio = get(file, 4);
	assert_zeros(folio_page(&f, folio, 4), PAGE_SIZE);
	folio_put(&f.phys, folio);
	assert_pattern(store->bytes + PAGES(6), PAGES(6), PAGE_SIZE);
	files_close_last(&f, file, store);
}

/* ---- plain reads and writes ---------------------------------------------------------- */

static void reads_and_writes_cross_pages(void **state)
{
	struct file_world f;
	struct file *file;
	u8 *out = malloc(PAGES(3)), *in = malloc(PAGES(3));

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = memory_file(&f, 10);
	for (u64 i = 0; i < PAGES(3); i++)
		out[i] = (u8)(i * 5 + 1);
	assert_int_equal(mapping_write(file->mapping, PAGES(2) - 7, out, PAGES(2)), 0);
	assert_int_equal(file->mapping->size_bytes, PAGES(4) - 7);
	assert_int_equal(file->mapping->nr_pages, 3);
	memset(in, 0xff, PAGES(3));
	assert_int_equal(mapping_read(file->mapping, PAGES(2) - 8, in, PAGES(2) + 1), 0);
	assert_int_equal(in[0], 0);
	assert_memory_equal(in + 1, out, PAGES(2));
	/* A hole is read without being filled. */
	assert_int_equal(mapping_read(file->mapping, 0, in, PAGE_SIZE), 0);
	assert_zeros(in, PAGE_SIZE);
	assert_int_equal(file->mapping->nr_pages, 3);
	assert_int_equal(mapping_read(file->mapping, PAGES(4) - 7, in, 1), -QUIRE_ERANGE);
	assert_int_equal(mapping_read(file->mapping, PAGES(4) - 8, in, 2), -QUIRE_ERANGE);
	assert_int_equal(mapping_read(file->mapping, PAGES(4) - 7, in, 0), 0);
	assert_int_equal(mapping_read(file->mapping, UINT64_MAX, in, 2), -QUIRE_ERANGE);
	assert_int_equal(mapping_write(file->mapping, FILE_SIZE_MAX, out, 1), -QUIRE_EFBIG);
	assert_int_equal(mapping_write(file->mapping, 5, out, UINT64_MAX), -QUIRE_EFBIG);
	mapping_check(file->mapping);
	file_put(file);
	free(in);
	free(out);
	files_close(&f);
}

static void writing_past_the_end_leaves_zeros_between(void **state)
{
	struct file_world f;
	struct backing_store *store = store_create();
	struct file *file;
	struct folio *folio;
	u8 in[4];

	(void)state;
	files_open(&f, WORLD_FRAMES);
	file = host_file(&f, store, 3);
	folio = get(file, 0);
	memset(folio_page(&f, folio, 0), 0x99, PAGE_SIZE); /* a mapping did that */
	assert_int_equal(mapping_write(file->mapping, 9, "x", 1), 0);
	assert_int_equal(folio_page(&f, folio, 0)[2], 0x99);
	assert_zeros(folio_page(&f, folio, 0) + 3, 6);
	assert_int_equal(mapping_read(file->mapping, 6, in, 4), 0);
	assert_memory_equal(in, "\0\0\0x", 4);
	folio_put(&f.phys, folio);
	files_close_last(&f, file, store);
}

/* ---- want of memory ------------------------------------------------------------------- */

static void failed_allocations_change_nothing(void **state)
{
	struct file_world f;
	struct file *file = NULL;
	const struct quire_file_config config = { .kind = QUIRE_FILE_MEMORY,
						  .size_bytes = PAGES(600) };

	(void)state;
	files_open(&f, WORLD_FRAMES);
	for (unsigned nth = 1; !file; nth++) {
		int err;

		quire_fail_nth(nth);
		err = file_create(&f.files, &config, &file);
		assert_int_equal(err, file ? 0 : -QUIRE_ENOMEM);
		assert_in_range(nth, 1, 8);
	}
	/* Every allocation of every insertion, so that nodes split under it. */
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
				break;
			}
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_null(folio);
			assert_int_equal(file->mapping->nr_pages, i);
			assert_null(mapping_find_folio(file->mapping, index));
			assert_in_range(nth, 1, 40);
		}
	mapping_check(file->mapping);
	assert_int_equal(f.files.nr_cached, 200);
	files_close_last(&f, file, NULL);
}

/* Truncation and punching go through without a single allocation, and the
 * pages come back afterwards. */
static void removal_needs_no_memory(void **state)
{
	(void)state;
	for (unsigned nth = 1; nth < 12; nth++) {
		struct file_world f;
		struct file *file;
		struct folio *folio;

		files_open(&f, WORLD_FRAMES);
		file = memory_file(&f, PAGES(300));
		for (u64 i = 0; i < 300; i += 2)
			get_and_put(&f, file, i);
		quire_fail_nth(nth);
		assert_int_equal(mapping_punch(file->mapping, 20, 60, note_unmap), 0);
		assert_int_equal(file->mapping->nr_pages, 150 - 21);
		assert_int_equal(mapping_truncate(file->mapping, PAGES(100), note_unmap), 0);
		quire_fail_nth(0);
		assert_int_equal(file->mapping->nr_pages, 50 - 21);
		mapping_check(file->mapping);
		assert_null(mapping_find_folio(file->mapping, 40));
		folio = get(file, 40);
		assert_int_equal(file->mapping->nr_pages, 50 - 20);
		folio_put(&f.phys, folio);
		assert_int_equal(mapping_punch(file->mapping, 0, UINT64_MAX, note_unmap), 0);
		assert_int_equal(file->mapping->nr_pages, 0);
		files_close_last(&f, file, NULL);
	}
}

static void a_write_that_runs_out_says_how_far_it_came(void **state)
{
	struct file_world f;
	u8 *bytes = calloc(4, PAGE_SIZE);

	(void)state;
	files_open(&f, WORLD_FRAMES);
	memset(bytes, 0x55, PAGES(4));
	for (unsigned nth = 1;; nth++) {
		struct file *file = memory_file(&f, 5);
		u64 size_bytes;
		int err;

		quire_fail_nth(nth);
		err = mapping_write(file->mapping, 0, bytes, PAGES(4));
		quire_fail_nth(0);
		size_bytes = file->mapping->size_bytes;
		mapping_check(file->mapping);
		if (err) {
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_true(size_bytes == 5 || is_aligned(size_bytes, PAGE_SIZE));
			assert_int_equal(file->mapping->nr_pages, size_bytes / PAGE_SIZE);
		}
		file_put(file);
		if (!err)
			break;
		assert_in_range(nth, 1, 40);
	}
	free(bytes);
	files_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_comes_once_and_stays),
		cmocka_unit_test(beyond_the_size_there_is_nothing),
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(handles_share_the_contents),
		cmocka_unit_test(truncation_drops_and_zeroes),
		cmocka_unit_test(a_hole_reads_as_zeros),
		cmocka_unit_test(fault_around_sees_what_is_there),
		cmocka_unit_test(a_backing_is_read_in_windows),
		cmocka_unit_test(a_read_error_is_told_and_forgotten),
		cmocka_unit_test(writeback_writes_what_is_dirty),
		cmocka_unit_test(a_write_error_keeps_the_page_dirty),
		cmocka_unit_test(what_was_cut_off_a_backing_stays_away),
		cmocka_unit_test(a_hole_in_a_backing_is_written),
		cmocka_unit_test(reads_and_writes_cross_pages),
		cmocka_unit_test(writing_past_the_end_leaves_zeros_between),
		cmocka_unit_test(failed_allocations_change_nothing),
		cmocka_unit_test(removal_needs_no_memory),
		cmocka_unit_test(a_write_that_runs_out_says_how_far_it_came),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
