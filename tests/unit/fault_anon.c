/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults on private anonymous memory, and what unmaps, protects and moves it.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include "mm_world.h"

static void reading_costs_no_memory(void **state)
{
	struct quire_page_info page;

	(void)state;
	map_anon(BASE, 3);
	assert_int_equal(get(mm, BASE + 5), 0);
	page = info(mm, BASE);
	assert_true(page.present && page.zero_page && page.accessed);
	assert_false(page.writable || page.dirty || page.anon);
	assert_int_equal(stats(mm).rss_anon_pages, 0);
	assert_int_equal(stats(mm).faults, 1);
	/* Another page's zeros are the same ones. */
	assert_int_equal(get(mm, BASE + PAGE), 0);
	assert_int_equal(info(mm, BASE + PAGE).pfn, page.pfn);
}

static void zero_page_then_written(void **state)
{
	struct quire_page_info page;
	uint64_t zero_pfn;

	(void)state;
	map_anon(BASE, 2);
	assert_int_equal(get(mm, BASE), 0);
	zero_pfn = info(mm, BASE).pfn;
	put(mm, BASE + 7, 9);
	page = info(mm, BASE);
	assert_true(page.pfn != zero_pfn && page.anon && page.exclusive);
	assert_true(page.writable && page.dirty && page.accessed);
	assert_int_equal(page.mapcount, 1);
	assert_int_equal(page.refcount, 1);
	assert_int_equal(get(mm, BASE + 7), 9);
	assert_int_equal(get(mm, BASE + 8), 0);
	assert_int_equal(get(mm, BASE + PAGE), 0);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	assert_int_equal(stats(mm).faults, 3);
	/* Nothing was copied: zeros need no copying. */
	assert_int_equal(stats(mm).cow_copies, 0);
}

/* A kernel without a page of zeros: what is read is the reader's own at once. */
static void without_the_zero_page_a_read_gets_its_own(void **state)
{
	struct quire_page_info page;

	(void)state;
	world_end();
	world_config.zero_page = false;
	world_begin();
	map_anon(BASE, 2);
	assert_int_equal(get(mm, BASE + 5), 0);
	page = info(mm, BASE);
	assert_true(page.anon && page.exclusive && page.writable && page.dirty);
	assert_false(page.zero_page);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	/* The write that follows takes no fault. */
	put(mm, BASE + 7, 9);
	assert_int_equal(stats(mm).faults, 1);
	assert_int_equal(get(mm, BASE + 7), 9);
	/* Where the VMA may not be written the page is not writable either, and is
	 * still nobody else's. */
	map_in(mm, BASE + 4 * PAGE, 1, QUIRE_PROT_READ, PRIVATE_ANON, NULL, 0);
	assert_int_equal(get(mm, BASE + 4 * PAGE), 0);
	page = info(mm, BASE + 4 * PAGE);
	assert_true(page.anon && page.exclusive && !page.writable);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
	assert_int_equal(quire_munmap(mm, BASE, 8 * PAGE), 0);
	assert_int_equal(stats(mm).rss_anon_pages, 0);
	quire_check(q);
}

static void written_first(void **state)
{
	uint8_t bytes[40], back[40];

	(void)state;
	map_anon(BASE, 2);
	memset(bytes, 0x5a, sizeof(bytes));
	/* Across two pages: two faults. */
	assert_int_equal(quire_write(mm, BASE + PAGE - 20, bytes, sizeof(bytes), NULL), 0);
	assert_int_equal(stats(mm).faults, 2);
	assert_int_equal(quire_read(mm, BASE + PAGE - 20, back, sizeof(back), NULL), 0);
	assert_memory_equal(bytes, back, sizeof(bytes));
	assert_int_equal(stats(mm).faults, 2);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
}

static void signals(void **state)
{
	uint8_t byte = 1;
	uint64_t beyond = QUIRE_TASK_SIZE;

	(void)state;
	map_in(mm, BASE, 1, QUIRE_PROT_READ, PRIVATE_ANON, NULL, 0);
	map_in(mm, BASE + PAGE, 1, QUIRE_PROT_NONE, PRIVATE_ANON, NULL, 0);
	assert_signal(mm, BASE + 2, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
	assert_signal(mm, BASE + 2, QUIRE_TOUCH_EXEC, QUIRE_SIGSEGV_ACCERR);
	assert_signal(mm, BASE + PAGE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_ACCERR);
	assert_signal(mm, BASE + 2 * PAGE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_MAPERR);
	assert_signal(mm, beyond, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_MAPERR);
	assert_signal(mm, UINT64_MAX, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_MAPERR);
	/* The zero page under a read-only mapping is no way in either. */
	assert_int_equal(get(mm, BASE), 0);
	assert_int_equal(quire_write(mm, BASE, &byte, 1, NULL), -QUIRE_EFAULT);
	assert_int_equal(get(mm, BASE), 0);
}

static void arguments(void **state)
{
	struct quire_page_info page;
	uint8_t byte = 0;

	(void)state;
	map_anon(BASE, 1);
	assert_int_equal(quire_read(NULL, BASE, &byte, 1, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_read(mm, BASE, NULL, 1, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_read(mm, BASE, NULL, 0, NULL), 0);
	assert_int_equal(quire_write(mm, BASE, NULL, 1, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_touch(mm, BASE, (enum quire_touch)7, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_touch(NULL, BASE, QUIRE_TOUCH_READ, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_page_info(mm, QUIRE_TASK_SIZE, &page), -QUIRE_EFAULT);
	assert_int_equal(quire_page_info(mm, BASE, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_mincore(mm, BASE, PAGE, NULL), -QUIRE_EFAULT);
	assert_int_equal(stats(mm).faults, 0);
}

static void bytes_before_the_fault_are_done(void **state)
{
	uint8_t bytes[16];
	struct quire_fault fault;

	(void)state;
	map_anon(BASE, 1);
	memset(bytes, 3, sizeof(bytes));
	assert_int_equal(quire_write(mm, BASE + PAGE - 8, bytes, 16, &fault), -QUIRE_EFAULT);
	assert_int_equal(fault.signal, QUIRE_SIGSEGV_MAPERR);
	assert_int_equal(fault.addr, BASE + PAGE);
	assert_int_equal(get(mm, BASE + PAGE - 1), 3);
}

static void dontneed_forgets(void **state)
{
	struct quire_mm_stats now;

	(void)state;
	map_anon(BASE, 4);
	for (unsigned i = 0; i < 4; i++)
		put(mm, BASE + i * PAGE, (uint8_t)(i + 1));
	assert_int_equal(quire_madvise(mm, BASE + PAGE, 2 * PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
	assert_false(info(mm, BASE + PAGE).present);
	assert_int_equal(get(mm, BASE), 1);
	assert_int_equal(get(mm, BASE + PAGE), 0);
	assert_int_equal(get(mm, BASE + 2 * PAGE), 0);
	assert_int_equal(get(mm, BASE + 3 * PAGE), 4);
	now = stats(mm);
	assert_int_equal(now.peak_rss_pages, 4);
}

static void free_keeps_what_is_not_reclaimed(void **state)
{
	(void)state;
	map_anon(BASE, 2);
	put(mm, BASE, 7);
	assert_int_equal(quire_madvise(mm, BASE, 2 * PAGE, QUIRE_MADV_FREE), 0);
	assert_false(info(mm, BASE).dirty);
	assert_int_equal(get(mm, BASE), 7);
	/* A write through a TLB that knew the page sets the mark again. */
	put(mm, BASE, 8);
	assert_true(info(mm, BASE).dirty);
}

static void munmap_frees_pages_and_tables(void **state)
{
	struct quire_memory_stats before, after;

	(void)state;
	map_anon(BASE, 1);
	put(mm, BASE, 1);
	quire_memory_stats(q, &before);
	map_anon(BASE + 2 * QUIRE_PMD_SIZE, 6);
	for (unsigned i = 0; i < 6; i++)
		put(mm, BASE + 2 * QUIRE_PMD_SIZE + i * PAGE, 1);
	assert_true(stats(mm).page_table_bytes > (QUIRE_LEVELS - 1) * PAGE);
	assert_int_equal(quire_munmap(mm, BASE + 2 * QUIRE_PMD_SIZE, 6 * PAGE), 0);
	assert_int_equal(stats(mm).page_table_bytes, (QUIRE_LEVELS - 1) * PAGE);
	assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
	assert_int_equal(stats(mm).page_table_bytes, 0);
	assert_int_equal(stats(mm).rss_anon_pages, 0);
	quire_memory_stats(q, &after);
	assert_true(after.nr_free_frames >= before.nr_free_frames + QUIRE_LEVELS);
	assert_signal(mm, BASE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_MAPERR);
}

static void protecting_and_back_costs_no_fault(void **state)
{
	uint64_t faults;

	(void)state;
	map_anon(BASE, 3);
	put(mm, BASE, 1);
	put(mm, BASE + PAGE, 2);
	assert_int_equal(get(mm, BASE + 2 * PAGE), 0);
	faults = stats(mm).faults;
	assert_int_equal(quire_mprotect(mm, BASE, 3 * PAGE, QUIRE_PROT_READ), 0);
	/* The TLB had a writable translation. */
	assert_signal(mm, BASE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
	assert_int_equal(get(mm, BASE), 1);
	assert_true(info(mm, BASE).exclusive && info(mm, BASE).dirty);
	assert_int_equal(quire_mprotect(mm, BASE, 3 * PAGE, RW), 0);
	put(mm, BASE, 3);
	put(mm, BASE + PAGE, 4);
	assert_int_equal(stats(mm).faults, faults);
	/* The zero page must not have become writable. */
	assert_false(info(mm, BASE + 2 * PAGE).writable);
	put(mm, BASE + 2 * PAGE, 5);
	assert_int_equal(stats(mm).faults, faults + 1);

	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_NONE), 0);
	assert_true(info(mm, BASE).present);
	assert_signal(mm, BASE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_ACCERR);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ | QUIRE_PROT_EXEC), 0);
	assert_int_equal(quire_touch(mm, BASE, QUIRE_TOUCH_EXEC, NULL), 0);
	assert_int_equal(get(mm, BASE), 3);
}

static void moving_takes_the_pages_along(void **state)
{
	uint64_t to = BASE + 3 * QUIRE_PMD_SIZE - PAGE, got, pfn;

	(void)state;
	map_anon(BASE + PAGE, 3);
	put(mm, BASE + PAGE, 1);
	put(mm, BASE + 3 * PAGE, 3);
	pfn = info(mm, BASE + 3 * PAGE).pfn;
	/* The destination lies in two tables. */
	assert_int_equal(quire_mremap(mm, BASE + PAGE, 3 * PAGE, 3 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, to, &got),
			 0);
	assert_int_equal(got, to);
	assert_int_equal(info(mm, to + 2 * PAGE).pfn, pfn);
	assert_signal(mm, BASE + PAGE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_MAPERR);
	assert_int_equal(get(mm, to), 1);
	assert_int_equal(get(mm, to + PAGE), 0);
	assert_int_equal(get(mm, to + 2 * PAGE), 3);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
}

static void every_allocation_fails(void **state)
{
	struct quire_fault fault;
	uint64_t n;
	int err = -1;

	(void)state;
	map_anon(BASE, 2);
	for (n = 1; err != 0; n++) {
		quire_fail_nth(n);
		err = quire_touch(mm, BASE, QUIRE_TOUCH_WRITE, &fault);
		quire_fail_nth(0);
		if (err != 0) {
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_int_equal(fault.signal, QUIRE_OOM);
			assert_false(info(mm, BASE).present);
			assert_int_equal(stats(mm).rss_anon_pages, 0);
			assert_int_equal(stats(mm).faults, 0);
		}
	}
	/* The tables, the page, and what the reverse map needs. */
	assert_true(n > QUIRE_LEVELS + 1);
	put(mm, BASE, 1);
	assert_int_equal(stats(mm).faults, 1);
}

/* Pages that the kernel mapped are not had again by a fault: fork copies their
 * entries and tables.  What is executed there has pages like a file's. */
static void fork_copies_what_the_kernel_mapped(void **state)
{
	const uint32_t prots[] = { QUIRE_PROT_READ, QUIRE_PROT_READ | QUIRE_PROT_EXEC };

	(void)state;
	for (int exec = 0; exec < 2; exec++) {
		struct quire_mm *child;

		assert_int_equal(quire_map_kernel(mm, BASE, PAGE, prots[exec], PRIVATE_ANON, NULL,
						  0, QUIRE_MAPK_SPECIAL, "[vvar]"), 0);
		assert_int_equal(get(mm, BASE), 0);
		assert_true(stats(mm).page_table_bytes > 0);
		assert_int_equal(quire_mm_fork(mm, &child), 0);
		assert_int_equal(stats(child).page_table_bytes,
				 exec ? 0 : stats(mm).page_table_bytes);
		assert_int_equal(info(child, BASE).present, !exec);
		quire_mm_put(child);
		assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
	}
	quire_check(q);
}

static void populates(void **state)
{
	(void)state;
	map_anon(BASE, 4);
	assert_int_equal(quire_madvise(mm, BASE, 2 * PAGE, QUIRE_MADV_POPULATE_READ), 0);
	assert_true(info(mm, BASE + PAGE).zero_page);
	assert_int_equal(quire_madvise(mm, BASE, 3 * PAGE, QUIRE_MADV_POPULATE_WRITE), 0);
	assert_true(info(mm, BASE).writable && info(mm, BASE + 2 * PAGE).writable);
	assert_false(info(mm, BASE + 3 * PAGE).present);
	assert_int_equal(stats(mm).rss_anon_pages, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		zeros_test(reading_costs_no_memory),
		world_test(without_the_zero_page_a_read_gets_its_own),
		zeros_test(zero_page_then_written),
		world_test(written_first),
		world_test(signals),
		world_test(arguments),
		world_test(bytes_before_the_fault_are_done),
		world_test(dontneed_forgets),
		world_test(free_keeps_what_is_not_reclaimed),
		world_test(munmap_frees_pages_and_tables),
		zeros_test(protecting_and_back_costs_no_fault),
		zeros_test(moving_takes_the_pages_along),
		world_test(every_allocation_fails),
		world_test(fork_copies_what_the_kernel_mapped),
		zeros_test(populates),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
