/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs seldom ask for: seals, protection keys, droppable and low memory,
 * guards, KSM, the pool of huge pages; and the last VMA that may be.
 * variants: threads_4k threads_tiny threads_64k
 */
#include "mm_rows.h"

#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)
#define DROPPABLE (QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED)

static int try_map(uint64_t addr, uint64_t len, uint32_t flags)
{
	uint64_t got;

	return quire_mmap(mm, addr, len, RW, flags, NULL, 0, &got);
}

static int advise(uint64_t first, uint64_t nr_pages, int advice)
{
	return quire_madvise(mm, at(first), nr_pages * PAGE, advice);
}

/* The flags of the VMA that begins at page `first`, and its key. */
static struct quire_map_info info_at(uint64_t first)
{
	struct rows rows = { 0 };

	quire_mm_maps(mm, rows_visit, &rows);
	for (unsigned i = 0; i < rows.nr; i++)
		if (rows.maps[i].start == at(first))
			return rows.maps[i];
	fail();
	return (struct quire_map_info){ 0 };
}

/* ---- the last VMA that may be ---------------------------------------------------- */

static int one_more_setup(void **state)
{
	(void)state;
	world_config_default();
	world_config.map_count_max = 2;
	world_begin();
	return 0;
}

static void first_cut_stays(void **state)
{
	(void)state;
	map_anon(at(0), 6);
	assert_int_equal(quire_mprotect(mm, at(2), 2 * PAGE, R), -QUIRE_ENOMEM);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 6, "rw-p", 0 });
}

static void first_cut_of_advice_stays(void **state)
{
	(void)state;
	map_anon(at(0), 6);
	assert_int_equal(advise(2, 2, QUIRE_MADV_DONTFORK), -QUIRE_EAGAIN);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 6, "rw-p", 0 });
}

static void first_cut_of_lock_stays(void **state)
{
	(void)state;
	map_anon(at(0), 6);
	assert_int_equal(quire_mlock(mm, at(2), 2 * PAGE, 0), -QUIRE_ENOMEM);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 6, "rw-p", 0 });
}

/* ---- special mappings -------------------------------------------------------------- */

static void special_is_whole(void **state)
{
	uint64_t got;

	(void)state;
	assert_int_equal(quire_map_kernel(mm, at(0), 4 * PAGE, R, PRIVATE_ANON, NULL, 0,
					  QUIRE_MAPK_SPECIAL, "[vvar]"),
			 0);
	assert_int_equal(quire_munmap(mm, at(1), PAGE), -QUIRE_EINVAL);
	assert_int_equal(try_map(at(3), 2 * PAGE, ANON | QUIRE_MAP_FIXED), -QUIRE_EINVAL);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, RW), -QUIRE_EACCES);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, QUIRE_PROT_NONE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_RANDOM), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 4, QUIRE_MADV_COLD), -QUIRE_EINVAL);
	assert_int_equal(quire_mremap(mm, at(0), PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, at(8), &got),
			 -QUIRE_EINVAL);
	EXPECT({ 0, 4, "r--p", 0 });
	assert_int_equal(quire_mremap(mm, at(0), 4 * PAGE, 4 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, at(8), &got),
			 0);
	EXPECT({ 8, 12, "r--p", 0 });
}

/* ---- seals ---------------------------------------------------------------------------- */

static void seal_arguments(void **state)
{
	(void)state;
	map_anon(at(0), 2);
	assert_int_equal(quire_mseal(mm, at(0), PAGE, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_mseal(mm, at(0) + 1, PAGE, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_mseal(mm, at(0), UINT64_MAX, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_mseal(mm, at(1), 2 * PAGE, 0), -QUIRE_ENOMEM);
	assert_int_equal(quire_mseal(mm, at(5), 0, 0), 0);
	EXPECT({ 0, 2, "rw-p", 0 });
	assert_int_equal(quire_mseal(mm, at(1), PAGE, 0), 0);
	EXPECT({ 0, 1, "rw-p", 0 }, { 1, 2, "rw-p", 0 });
	assert_true(info_at(1).flags & QUIRE_MAPF_SEALED);
	assert_int_equal(quire_mseal(mm, at(0), 2 * PAGE, 0), 0);
	EXPECT({ 0, 2, "rw-p", 0 });
}

static void sealed_stays(void **state)
{
	uint64_t got;

	(void)state;
	map_anon(at(0), 6);
	assert_int_equal(quire_mseal(mm, at(2), 2 * PAGE, 0), 0);
	assert_int_equal(quire_munmap(mm, at(2), PAGE), -QUIRE_EPERM);
	assert_int_equal(quire_mprotect(mm, at(2), PAGE, RW), -QUIRE_EPERM);
	assert_int_equal(try_map(at(2), PAGE, ANON | QUIRE_MAP_FIXED), -QUIRE_EPERM);
	assert_int_equal(quire_mremap(mm, at(2), PAGE, 0, 0, 0, &got), -QUIRE_EINVAL);
	assert_int_equal(quire_mremap(mm, at(2), PAGE, PAGE, 0, 0, &got), -QUIRE_EPERM);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 4, "rw-p", 0 }, { 4, 6, "rw-p", 0 });
	/* What is refused behind the first VMA leaves that cut. */
	assert_int_equal(quire_munmap(mm, at(1), 2 * PAGE), -QUIRE_EPERM);
	EXPECT({ 0, 1, "rw-p", 0 }, { 1, 2, "rw-p", 0 }, { 2, 4, "rw-p", 0 },
	       { 4, 6, "rw-p", 0 });
	assert_int_equal(quire_mlock(mm, at(2), PAGE, 0), 0);
	assert_int_equal(quire_munlock(mm, at(2), PAGE), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_DONTNEED), 0);
}

static void sealed_keeps_what_cannot_be_written(void **state)
{
	static const int drops[] = { QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE, QUIRE_MADV_DONTFORK,
				     QUIRE_MADV_WIPEONFORK, QUIRE_MADV_GUARD_INSTALL };

	(void)state;
	map_anon(at(0), 2);
	put(mm, at(0), 7);
	assert_int_equal(quire_mprotect(mm, at(0), 2 * PAGE, R), 0);
	assert_int_equal(quire_mseal(mm, at(0), 2 * PAGE, 0), 0);
	for (unsigned i = 0; i < sizeof(drops) / sizeof(drops[0]); i++)
		assert_int_equal(advise(0, 1, drops[i]), -QUIRE_EPERM);
	assert_int_equal(get(mm, at(0)), 7);
	assert_int_equal(advise(0, 2, QUIRE_MADV_DONTDUMP), 0);
}

/* ---- keys ------------------------------------------------------------------------------ */

static void keys_cut_and_merge(void **state)
{
	(void)state;
	map_anon(at(0), 4);
	assert_int_equal(quire_pkey_mprotect(mm, at(0), PAGE, RW, 16), -QUIRE_EINVAL);
	assert_int_equal(quire_pkey_mprotect(mm, at(0), PAGE, RW, -2), -QUIRE_EINVAL);
	assert_int_equal(quire_pkey_mprotect(mm, at(1), 2 * PAGE, RW, 3), 0);
	EXPECT({ 0, 1, "rw-p", 0 }, { 1, 3, "rw-p", 0 }, { 3, 4, "rw-p", 0 });
	assert_int_equal(info_at(1).pkey, 3);
	/* mprotect and key -1 keep it. */
	assert_int_equal(quire_mprotect(mm, at(1), PAGE, R), 0);
	assert_int_equal(info_at(1).pkey, 3);
	assert_int_equal(quire_pkey_mprotect(mm, at(1), PAGE, RW, -1), 0);
	EXPECT({ 0, 1, "rw-p", 0 }, { 1, 3, "rw-p", 0 }, { 3, 4, "rw-p", 0 });
	put(mm, at(1), 1);
	assert_int_equal(quire_pkey_mprotect(mm, at(0), 4 * PAGE, RW, 0), 0);
	EXPECT({ 0, 4, "rw-p", 0 });
}

static void execute_only_has_a_key(void **state)
{
	(void)state;
	map_anon(at(0), 2);
	assert_int_equal(quire_pkey_mprotect(mm, at(1), PAGE, R, 2), 0);
	assert_int_equal(quire_mprotect(mm, at(0), 2 * PAGE, QUIRE_PROT_EXEC), 0);
	EXPECT({ 0, 2, "--xp", 0 });
	assert_int_equal(quire_mprotect(mm, at(0), 2 * PAGE, R), 0);
	EXPECT({ 0, 2, "r--p", 0 });
	assert_int_equal(info_at(0).pkey, 0);
}

static int no_keys_setup(void **state)
{
	(void)state;
	world_config_default();
	world_config.pkeys = false;
	world_begin();
	return 0;
}

static void no_keys(void **state)
{
	(void)state;
	map_anon(at(0), 2);
	assert_int_equal(quire_pkey_mprotect(mm, at(0), PAGE, R, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_pkey_mprotect(mm, at(0), PAGE, R, -1), 0);
	EXPECT({ 0, 1, "r--p", 0 }, { 1, 2, "rw-p", 0 });
}

/* ---- flags of mmap ------------------------------------------------------------------------ */

static void droppable(void **state)
{
	struct quire_mm *child;
	struct quire_mm_stats stats;

	(void)state;
	assert_int_equal(try_map(at(0), PAGE, DROPPABLE | QUIRE_MAP_LOCKED), -QUIRE_EINVAL);
	assert_int_equal(try_map(at(0), PAGE, DROPPABLE | QUIRE_MAP_GROWSDOWN), -QUIRE_EINVAL);
	map_in(mm, at(0), 2, RW, DROPPABLE, NULL, 0);
	map_in(mm, at(2), 1, RW, DROPPABLE, NULL, 0);
	map_anon(at(3), 1);
	EXPECT({ 0, 3, "rw-p", 0 }, { 3, 4, "rw-p", 0 });
	assert_int_equal(quire_mlock(mm, at(0), PAGE, 0), 0);
	assert_int_equal(quire_mlockall(mm, QUIRE_MCL_FUTURE), 0);
	map_in(mm, at(6), 1, RW, DROPPABLE, NULL, 0);
	quire_mm_stats(mm, &stats);
	assert_int_equal(stats.locked_pages, 0);
	EXPECT({ 0, 3, "rw-p", 0 }, { 3, 4, "rw-p", 0 }, { 6, 7, "rw-p", 0 });
	assert_int_equal(advise(0, 1, QUIRE_MADV_KEEPONFORK), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_DODUMP), -QUIRE_EINVAL);
	put(mm, at(0), 9);
	put(mm, at(3), 9);
	assert_int_equal(quire_mm_fork(mm, &child), 0);
	assert_int_equal(get(child, at(0)), 0);
	assert_int_equal(get(child, at(3)), 9);
	quire_mm_put(child);
}

static void low_memory(void **state)
{
	const uint64_t low = UINT64_C(1) << 30, end = UINT64_C(1) << 31;
	uint64_t got;

	(void)state;
	if (QUIRE_TASK_SIZE <= end)
		return;
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(quire_mmap(mm, 0, PAGE, RW, ANON | QUIRE_MAP_32BIT, NULL, 0,
					    &got),
				 0);
		assert_int_equal(got, low + i * PAGE);
	}
	assert_int_equal(quire_mmap(mm, low / 2, PAGE, RW, ANON | QUIRE_MAP_32BIT, NULL, 0,
				    &got),
			 0);
	assert_int_equal(got, low / 2);
	assert_int_equal(quire_mmap(mm, end, PAGE, RW, ANON | QUIRE_MAP_32BIT, NULL, 0, &got),
			 0);
	assert_int_equal(got, low + 2 * PAGE);
	assert_int_equal(try_map(0, low, ANON | QUIRE_MAP_32BIT), -QUIRE_ENOMEM);
	assert_int_equal(try_map(0, 4 * low, ANON | QUIRE_MAP_32BIT), -QUIRE_ENOMEM);
	map_in(mm, at(0), 1, RW, PRIVATE_ANON | QUIRE_MAP_32BIT, NULL, 0);
}

/* A refusal of the pool comes when what was there is gone. */
static void pool_leaves_a_hole(void **state)
{
	const uint64_t pmd_pages = QUIRE_PMD_SIZE / PAGE;
	const uint32_t pool = ANON | QUIRE_MAP_FIXED | QUIRE_MAP_HUGETLB;

	(void)state;
	map_in(mm, at(0), pmd_pages + 1, RW, PRIVATE_ANON | QUIRE_MAP_NORESERVE, NULL, 0);
	assert_int_equal(try_map(at(1), PAGE, pool), -QUIRE_EINVAL);
	assert_int_equal(try_map(at(0), PAGE, pool | 63u << 26), -QUIRE_EINVAL);
	EXPECT({ 0, pmd_pages + 1, "rw-p", 0 });
	assert_int_equal(try_map(at(0), PAGE, pool), -QUIRE_ENOMEM);
	EXPECT({ pmd_pages, pmd_pages + 1, "rw-p", 0 });
}

static void flags_of_files(void **state)
{
	struct quire_file *file = file_of_pages(8, QUIRE_FILE_READ | QUIRE_FILE_WRITE);
	const uint32_t validate = QUIRE_MAP_SHARED_VALIDATE | QUIRE_MAP_FIXED;
	uint64_t got;

	(void)state;
	assert_int_equal(quire_mmap(mm, at(0), PAGE, RW, validate | 1u << 31, file, 0, &got),
			 -QUIRE_EOPNOTSUPP);
	assert_int_equal(quire_mmap(mm, at(0), PAGE, RW, validate | QUIRE_MAP_SYNC, file, 0,
				    &got),
			 -QUIRE_EOPNOTSUPP);
	map_in(mm, at(0), 1, RW, SHARED_FILE | QUIRE_MAP_SYNC, file, 0);
	map_in(mm, at(1), 1, RW, SHARED_FILE, file, 1);
	EXPECT({ 0, 1, "rw-s", 0 }, { 1, 2, "rw-s", 1 });
	quire_file_put(file);
}

/* ---- advices -------------------------------------------------------------------------------- */

static void mergeable(void **state)
{
	(void)state;
	map_anon(at(0), 4);
	assert_int_equal(advise(1, 1, QUIRE_MADV_MERGEABLE), 0);
	EXPECT({ 0, 1, "rw-p", 0 }, { 1, 2, "rw-p", 0 }, { 2, 4, "rw-p", 0 });
	assert_int_equal(advise(1, 1, QUIRE_MADV_UNMERGEABLE), 0);
	EXPECT({ 0, 4, "rw-p", 0 });
	map_in(mm, at(0), 4, RW, SHARED_ANON, NULL, 0);
	assert_int_equal(advise(1, 1, QUIRE_MADV_MERGEABLE), 0);
	EXPECT({ 0, 4, "rw-s", 0 });
}

static void reclaim_advices(void **state)
{
	(void)state;
	map_anon(at(0), 2);
	put(mm, at(0), 5);
	assert_int_equal(advise(0, 3, QUIRE_MADV_COLD), -QUIRE_ENOMEM);
	assert_int_equal(advise(0, 2, QUIRE_MADV_PAGEOUT), 0);
	assert_int_equal(get(mm, at(0)), 5);
	assert_int_equal(quire_mlock(mm, at(0), PAGE, 0), 0);
	assert_int_equal(advise(0, 2, QUIRE_MADV_COLD), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_PAGEOUT), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 0, QUIRE_MADV_COLD), 0);
}

static enum quire_signal touch_signal(struct quire_mm *where, uint64_t page)
{
	struct quire_fault fault = { QUIRE_NO_SIGNAL, 0 };
	int err = quire_touch(where, at(page), QUIRE_TOUCH_READ, &fault);

	assert_true(err == 0 || err == -QUIRE_EFAULT);
	return fault.signal;
}

static void guards(void **state)
{
	struct quire_mm_stats stats;
	struct quire_mm *child;
	uint64_t got;

	(void)state;
	map_anon(at(0), 4);
	put(mm, at(1), 5);
	assert_int_equal(advise(1, 2, QUIRE_MADV_GUARD_INSTALL), 0);
	EXPECT({ 0, 4, "rw-p", 0 });
	quire_mm_stats(mm, &stats);
	assert_int_equal(stats.rss_anon_pages, 0);
	assert_int_equal(touch_signal(mm, 1), QUIRE_SIGSEGV_MAPERR);
	assert_int_equal(touch_signal(mm, 3), QUIRE_NO_SIGNAL);
	/* Neither dropping nor locking removes them. */
	assert_int_equal(advise(0, 4, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(advise(0, 4, QUIRE_MADV_POPULATE_READ), -QUIRE_EFAULT);
	assert_int_equal(quire_mlock(mm, at(0), 4 * PAGE, 0), -QUIRE_ENOMEM);
	assert_int_equal(advise(0, 1, QUIRE_MADV_GUARD_INSTALL), -QUIRE_EINVAL);
	assert_int_equal(quire_munlock(mm, at(0), 4 * PAGE), 0);
	assert_int_equal(quire_mm_fork(mm, &child), 0);
	assert_int_equal(touch_signal(child, 2), QUIRE_SIGSEGV_MAPERR);
	quire_mm_put(child);
	assert_int_equal(quire_mremap(mm, at(0), 4 * PAGE, 4 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, at(8), &got),
			 0);
	assert_int_equal(touch_signal(mm, 9), QUIRE_SIGSEGV_MAPERR);
	assert_int_equal(advise(8, 2, QUIRE_MADV_GUARD_REMOVE), 0);
	assert_int_equal(get(mm, at(9)), 0);
	assert_int_equal(touch_signal(mm, 10), QUIRE_SIGSEGV_MAPERR);
	unmap(10, 1);
	map_anon(at(10), 1);
	put(mm, at(10), 1);
}

/* A file's guards stay when it is cut, and a child has them. */
static void guards_in_a_file(void **state)
{
	struct quire_file *file = file_of_pages(4, QUIRE_FILE_READ | QUIRE_FILE_WRITE);
	struct quire_mm *child;

	(void)state;
	map_in(mm, at(0), 4, RW, SHARED_FILE, file, 0);
	put(mm, at(0), 3);
	assert_int_equal(advise(1, 1, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(quire_file_truncate(file, PAGE), 0);
	assert_int_equal(touch_signal(mm, 1), QUIRE_SIGSEGV_MAPERR);
	assert_int_equal(touch_signal(mm, 2), QUIRE_SIGBUS);
	assert_int_equal(quire_file_truncate(file, 4 * PAGE), 0);
	assert_int_equal(quire_mm_fork(mm, &child), 0);
	assert_int_equal(touch_signal(child, 1), QUIRE_SIGSEGV_MAPERR);
	put(child, at(0), 4);
	assert_int_equal(get(mm, at(0)), 4);
	quire_mm_put(child);
	quire_file_put(file);
}

/* What moves into a VMA that had none brings the mark along. */
static void guards_move_into_a_neighbour(void **state)
{
	struct quire_file *file = file_of_pages(4, QUIRE_FILE_READ | QUIRE_FILE_WRITE);
	struct quire_mm *child;
	uint64_t got;

	(void)state;
	map_in(mm, at(0), 2, RW, SHARED_FILE, file, 0);
	map_in(mm, at(8), 2, RW, SHARED_FILE, file, 2);
	assert_int_equal(advise(8, 1, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(quire_mremap(mm, at(8), 2 * PAGE, 2 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, at(2), &got),
			 0);
	EXPECT({ 0, 4, "rw-s", 0 });
	assert_int_equal(quire_mm_fork(mm, &child), 0);
	assert_int_equal(touch_signal(child, 2), QUIRE_SIGSEGV_MAPERR);
	quire_mm_put(child);
	quire_file_put(file);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_cut_stays, one_more_setup, world_teardown),
		cmocka_unit_test_setup_teardown(first_cut_of_advice_stays, one_more_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(first_cut_of_lock_stays, one_more_setup,
						world_teardown),
		world_test(special_is_whole),
		world_test(seal_arguments),
		world_test(sealed_stays),
		world_test(sealed_keeps_what_cannot_be_written),
		world_test(keys_cut_and_merge),
		world_test(execute_only_has_a_key),
		cmocka_unit_test_setup_teardown(no_keys, no_keys_setup, world_teardown),
		world_test(droppable),
		world_test(low_memory),
		world_test(pool_leaves_a_hole),
		world_test(flags_of_files),
		world_test(mergeable),
		world_test(reclaim_advices),
		world_test(guards),
		world_test(guards_in_a_file),
		world_test(guards_move_into_a_neighbour),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
