/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each call refuses, and with which number; a refused call changes
 * nothing and writes no result.
 * variants: threads_4k threads_tiny threads_64k
 */
#include "mm_rows.h"

#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)
#define UNTOUCHED UINT64_C(0x1234567)

static struct quire_file *opened(uint32_t mode)
{
	return file_of_pages(8, mode);
}

static int map_call(uint64_t addr, uint64_t len, uint32_t prot, uint32_t flags,
		    struct quire_file *file, uint64_t offset)
{
	uint64_t got = UNTOUCHED;
	int ret = quire_mmap(mm, addr, len, prot, flags, file, offset, &got);

	assert_true((ret == 0) == (got != UNTOUCHED));
	return ret;
}

static void mmap_arguments(void **state)
{
	const uint32_t fixed = ANON | QUIRE_MAP_FIXED;

	(void)state;
	assert_int_equal(map_call(0, 0, R, ANON, NULL, 0), -QUIRE_EINVAL);
	assert_int_equal(map_call(0, UINT64_MAX, R, ANON, NULL, 0), -QUIRE_ENOMEM);
	assert_int_equal(map_call(0, QUIRE_TASK_SIZE + PAGE, R, ANON, NULL, 0), -QUIRE_ENOMEM);
	assert_int_equal(map_call(0, PAGE, R, ANON, NULL, 1), -QUIRE_EINVAL);
	assert_int_equal(map_call(0, PAGE, R, QUIRE_MAP_PRIVATE, NULL, 0), -QUIRE_EBADF);
	assert_int_equal(map_call(0, PAGE, R, QUIRE_MAP_ANONYMOUS, NULL, 0), -QUIRE_EINVAL);
	assert_int_equal(map_call(0, PAGE, R,
				  QUIRE_MAP_SHARED_VALIDATE | QUIRE_MAP_ANONYMOUS, NULL, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(map_call(at(0) + 1, PAGE, R, fixed, NULL, 0), -QUIRE_EINVAL);
	assert_int_equal(map_call(QUIRE_TASK_SIZE, PAGE, R, fixed, NULL, 0), -QUIRE_ENOMEM);
	assert_int_equal(map_call(0, PAGE, R, fixed, NULL, 0), -QUIRE_EPERM);
	assert_int_equal(map_call(0, PAGE, R,
				  QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_GROWSDOWN,
				  NULL, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(map_call(0, QUIRE_PMD_SIZE, R, ANON | QUIRE_MAP_HUGETLB, NULL, 0),
			 -QUIRE_ENOMEM);
	assert_int_equal(map_call(0, 0, R, ANON | QUIRE_MAP_HUGETLB, NULL, 0), -QUIRE_EINVAL);
	assert_int_equal(map_call(0, PAGE, R, ANON | QUIRE_MAP_HUGETLB | 63u << 26, NULL, 0),
			 -QUIRE_EINVAL);
	EXPECT_NONE();
	/* The offset of anonymous memory is not looked at. */
	assert_int_equal(map_call(at(0), PAGE, R, fixed, NULL, UINT64_MAX & ~(PAGE - 1)), 0);
	assert_int_equal(map_call(at(0), PAGE, R, ANON | QUIRE_MAP_FIXED_NOREPLACE, NULL, 0),
			 -QUIRE_EEXIST);
	assert_int_equal(map_call(at(1), PAGE, R, ANON | QUIRE_MAP_FIXED_NOREPLACE, NULL, 0),
			 0);
	EXPECT({ 0, 2, "r--p", 0 });
}

static void mmap_of_files(void **state)
{
	struct quire_file *reading = opened(QUIRE_FILE_READ);
	struct quire_file *writing = opened(QUIRE_FILE_WRITE);
	struct quire_file *both = opened(FILE_RW);
	struct quire_file *noexec = opened(FILE_RW | QUIRE_FILE_NOEXEC);
	const uint32_t shared = QUIRE_MAP_SHARED, validate = QUIRE_MAP_SHARED_VALIDATE;
	const uint32_t exec = R | QUIRE_PROT_EXEC;

	(void)state;
	assert_int_equal(map_call(0, PAGE, RW, shared, reading, 0), -QUIRE_EACCES);
	assert_int_equal(map_call(0, PAGE, R, shared, writing, 0), -QUIRE_EACCES);
	assert_int_equal(map_call(0, PAGE, R, QUIRE_MAP_PRIVATE, writing, 0), -QUIRE_EACCES);
	assert_int_equal(map_call(0, PAGE, R, validate | QUIRE_MAP_FIXED_NOREPLACE, both, 0),
			 -QUIRE_EPERM);
	assert_int_equal(map_call(at(9), PAGE, R, validate | QUIRE_MAP_FIXED_NOREPLACE, both,
				  0),
			 -QUIRE_EOPNOTSUPP);
	assert_int_equal(map_call(0, PAGE, R, shared | QUIRE_MAP_GROWSDOWN, both, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(map_call(0, PAGE, R, shared, both, UINT64_C(1) << 63),
			 -QUIRE_EOVERFLOW);
	assert_int_equal(map_call(0, PAGE, exec, QUIRE_MAP_PRIVATE, noexec, 0), -QUIRE_EPERM);
	EXPECT_NONE();
	/* Read-only and shared: shown shared, never to be made writable. */
	map_in(mm, at(0), 2, R, SHARED_FILE, reading, 0);
	EXPECT({ 0, 2, "r--s", 0 });
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, RW), -QUIRE_EACCES);
	assert_int_equal(quire_madvise(mm, at(0), PAGE, QUIRE_MADV_REMOVE), -QUIRE_EACCES);
	map_in(mm, at(0), 2, R, PRIVATE_FILE, noexec, 0);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, exec), -QUIRE_EACCES);
	assert_int_equal(quire_mprotect(mm, at(0), 2 * PAGE, RW), 0);
	EXPECT({ 0, 2, "rw-p", 0 });
	quire_file_put(reading);
	quire_file_put(writing);
	quire_file_put(both);
	quire_file_put(noexec);
}

static void munmap_arguments(void **state)
{
	(void)state;
	map_prot(0, 2, R);
	assert_int_equal(quire_munmap(mm, at(0) + 1, PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(mm, at(0), 0), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(mm, at(0), QUIRE_TASK_SIZE), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(mm, QUIRE_TASK_SIZE + PAGE, PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(mm, at(4), PAGE), 0);
	EXPECT({ 0, 2, "r--p", 0 });
	assert_int_equal(quire_munmap(mm, at(1), 1), 0);
	EXPECT({ 0, 1, "r--p", 0 });
}

static void mprotect_arguments(void **state)
{
	(void)state;
	map_prot(0, 2, R);
	map_prot(3, 1, R);
	assert_int_equal(quire_mprotect(mm, at(0) + 1, PAGE, RW), -QUIRE_EINVAL);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, 0x10), -QUIRE_EINVAL);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE,
					QUIRE_PROT_GROWSDOWN | QUIRE_PROT_GROWSUP),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, R | QUIRE_PROT_GROWSUP),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_mprotect(mm, at(0), UINT64_MAX - 5, RW), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(mm, at(8), PAGE, RW), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(mm, at(2), PAGE, RW), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(mm, at(8), 0, RW), 0);
	EXPECT({ 0, 2, "r--p", 0 }, { 3, 4, "r--p", 0 });
	/* Up to the hole, then the error. */
	assert_int_equal(quire_mprotect(mm, at(1), 3 * PAGE, RW), -QUIRE_ENOMEM);
	EXPECT({ 0, 1, "r--p", 0 }, { 1, 2, "rw-p", 0 }, { 3, 4, "r--p", 0 });
}

static void madvise_arguments(void **state)
{
	struct quire_file *file = opened(FILE_RW);

	(void)state;
	map_prot(0, 2, RW);
	map_in(mm, at(3), 1, R, SHARED_FILE, file, 0);
	assert_int_equal(quire_madvise(mm, at(0), PAGE, 9999), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, at(0) + 1, PAGE, QUIRE_MADV_NORMAL), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, at(0), UINT64_MAX, QUIRE_MADV_NORMAL),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, at(8), 0, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(quire_madvise(mm, at(8), PAGE, QUIRE_MADV_DONTNEED), -QUIRE_ENOMEM);
	put(mm, at(1), 1);
	assert_int_equal(quire_madvise(mm, at(1), 3 * PAGE, QUIRE_MADV_DONTNEED),
			 -QUIRE_ENOMEM);
	assert_int_equal(get(mm, at(1)), 0);
	assert_int_equal(quire_madvise(mm, at(3), PAGE, QUIRE_MADV_FREE), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, at(3), PAGE, QUIRE_MADV_WIPEONFORK), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, at(0), PAGE, QUIRE_MADV_REMOVE), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, at(3), PAGE, QUIRE_MADV_POPULATE_WRITE),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, at(0), 3 * PAGE, QUIRE_MADV_POPULATE_READ),
			 -QUIRE_ENOMEM);
	assert_true(info(mm, at(0)).present && info(mm, at(1)).present);
	assert_int_equal(quire_mlock(mm, at(0), PAGE, 0), 0);
	assert_int_equal(quire_madvise(mm, at(0), PAGE, QUIRE_MADV_DONTNEED), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, at(0), PAGE, QUIRE_MADV_DONTNEED_LOCKED), 0);
	quire_file_put(file);
}

static void remove_punches_the_file(void **state)
{
	struct quire_file *file = opened(FILE_RW);
	uint8_t byte;

	(void)state;
	map_in(mm, at(0), 4, RW, SHARED_FILE, file, 1);
	put(mm, at(1), 5);
	put(mm, at(2), 6);
	assert_int_equal(quire_madvise(mm, at(1), PAGE, QUIRE_MADV_REMOVE), 0);
	assert_int_equal(get(mm, at(1)), 0);
	assert_int_equal(get(mm, at(2)), 6);
	assert_int_equal(quire_file_read(file, 2 * PAGE, &byte, 1), 0);
	assert_int_equal(byte, 0);
	quire_file_put(file);
}

static void mlock_arguments(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(3, 1, NONE);
	assert_int_equal(quire_mlock(mm, at(0), PAGE, 2), -QUIRE_EINVAL);
	assert_int_equal(quire_mlock(mm, at(8), PAGE, 0), -QUIRE_ENOMEM);
	assert_int_equal(quire_munlock(mm, at(8), PAGE), -QUIRE_ENOMEM);
	assert_int_equal(quire_mlock(mm, at(8), 0, 0), 0);
	/* Half of it is there: locked all the same. */
	assert_int_equal(quire_mlock(mm, at(1), 2 * PAGE, 0), -QUIRE_ENOMEM);
	EXPECT({ 0, 1, "rw-p", 0 }, { 1, 2, "rw-pl", 0 }, { 3, 4, "---p", 0 });
	/* What cannot be accessed cannot be faulted in. */
	assert_int_equal(quire_mlock(mm, at(3), PAGE, 0), -QUIRE_ENOMEM);
	EXPECT({ 0, 1, "rw-p", 0 }, { 1, 2, "rw-pl", 0 }, { 3, 4, "---pl", 0 });
	assert_int_equal(quire_mlockall(mm, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_mlockall(mm, QUIRE_MCL_ONFAULT), -QUIRE_EINVAL);
	assert_int_equal(quire_mlockall(mm, 8), -QUIRE_EINVAL);
}

static void msync_arguments(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(3, 1, RW);
	assert_int_equal(quire_msync(mm, at(0) + 1, PAGE, QUIRE_MS_SYNC), -QUIRE_EINVAL);
	assert_int_equal(quire_msync(mm, at(0), PAGE, QUIRE_MS_SYNC | QUIRE_MS_ASYNC),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_msync(mm, at(0), PAGE, 8), -QUIRE_EINVAL);
	assert_int_equal(quire_msync(mm, at(0), 0, QUIRE_MS_SYNC), 0);
	assert_int_equal(quire_msync(mm, at(0), 4 * PAGE, QUIRE_MS_SYNC), -QUIRE_ENOMEM);
	assert_int_equal(quire_msync(mm, at(0), 2 * PAGE, QUIRE_MS_SYNC), 0);
	assert_int_equal(quire_mlock(mm, at(0), PAGE, 0), 0);
	assert_int_equal(quire_msync(mm, at(0), PAGE, QUIRE_MS_INVALIDATE), -QUIRE_EBUSY);
}

static void handles_that_are_none(void **state)
{
	struct quire_layout layout;
	struct quire_mm *other = NULL;
	uint64_t got;

	(void)state;
	assert_int_equal(quire_munmap(NULL, at(0), PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_mmap(NULL, 0, PAGE, R, ANON, NULL, 0, &got), -QUIRE_EINVAL);
	quire_layout_default(&layout);
	layout.mmap_base = QUIRE_TASK_SIZE + PAGE;
	assert_int_equal(quire_mm_create(q, &layout, &other), -QUIRE_EINVAL);
	layout.mmap_base = at(0) + 1;
	assert_int_equal(quire_mm_create(q, &layout, &other), -QUIRE_EINVAL);
	assert_int_equal(quire_mm_create(q, NULL, &other), -QUIRE_EINVAL);
	assert_null(other);
	assert_int_equal(quire_mm_fork(mm, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_mmap(mm, 0, PAGE, R, ANON, NULL, 0, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_mremap(mm, at(0), PAGE, PAGE, 0, 0, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_brk(mm, 0, NULL), -QUIRE_EINVAL);
	EXPECT_NONE();
}

static int refused(struct quire_config config)
{
	struct quire *other = NULL;
	int ret = quire_create(&config, &other);

	assert_null(other);
	return ret;
}

static void configs_that_cannot_be(void **state)
{
	struct quire_config config;

	(void)state;
#define REFUSED(field, value)                                         \
	do {                                                          \
		quire_config_default(&config);                        \
		config.field = value;                                 \
		assert_int_equal(refused(config), -QUIRE_EINVAL);     \
	} while (0)
	REFUSED(memory_bytes, PAGE);
	REFUSED(memory_bytes, UINT64_MAX);
	REFUSED(nr_cpus, 0);
	REFUSED(nr_cpus, 65);
	REFUSED(tlb_sets, 3);
	REFUSED(tlb_ways, 0);
	REFUSED(fault_around_bytes, 3);
	REFUSED(shmem_folios, QUIRE_SHMEM_FORCE + 1);
	REFUSED(shared_folios, QUIRE_SHMEM_DENY);
	REFUSED(guard_gap_bytes, 1);
	REFUSED(decisions.chosen[0], QUIRE_NR_ALTERNATIVES);
#undef REFUSED
}

static void decisions_by_name(void **state)
{
	struct quire_decisions decisions;

	(void)state;
	quire_decisions_default(&decisions);
	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++) {
		const struct quire_decision_info *row_info =
			quire_decision_info((enum quire_decision)row);

		assert_int_equal(decisions.chosen[row], row_info->first);
		for (unsigned alt = row_info->first; alt <= row_info->last; alt++) {
			const struct quire_alternative_info *alt_info =
				quire_alternative_info((enum quire_alternative)alt);

			assert_int_equal(alt_info->row, row);
			assert_int_equal(quire_decisions_set(&decisions, row_info->name,
							     alt_info->name),
					 0);
			assert_int_equal(decisions.chosen[row], alt);
		}
		if (row > 0)
			assert_int_equal(row_info->first,
					 quire_decision_info((enum quire_decision)(row - 1))->last +
						 1);
	}
	assert_int_equal(quire_decisions_set(&decisions, "no-such-row", "dup"), -QUIRE_ENOENT);
	assert_int_equal(quire_decisions_set(&decisions, "fork-tree", "marker"),
			 -QUIRE_EINVAL);
	assert_null(quire_decision_info((enum quire_decision)QUIRE_NR_DECISIONS));
	assert_null(quire_alternative_info((enum quire_alternative)QUIRE_NR_ALTERNATIVES));
}

/* Every allocation of quire_create fails once. */
static void creation_fails_cleanly(void **state)
{
	struct quire_leaks leaks;
	struct quire *other;
	uint64_t nth = 0, seen;
	int ret;

	(void)state;
	do {
		quire_fail_nth(++nth);
		ret = quire_create(&world_config, &other);
		seen = quire_fail_seen();
		quire_fail_nth(0);
		if (ret == 0) {
			quire_destroy(other, &leaks);
			assert_int_equal(leaks.nr_frames + leaks.nr_objects, 0);
		} else {
			assert_int_equal(ret, -QUIRE_ENOMEM);
		}
		assert_true(nth < 200);
	} while (seen >= nth);
	assert_true(nth > 5);
}

static void what_is_left_is_told(void **state)
{
	struct quire_layout layout;
	struct quire_leaks leaks;
	struct quire_mm *kept;
	struct quire *other;

	(void)state;
	assert_int_equal(quire_create(&world_config, &other), 0);
	quire_layout_default(&layout);
	assert_int_equal(quire_mm_create(other, &layout, &kept), 0);
	quire_destroy(other, &leaks);
	assert_int_equal(leaks.nr_address_spaces, 1);
	assert_true(leaks.nr_objects >= 1 && leaks.nr_frames >= 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		world_test(mmap_arguments),
		world_test(mmap_of_files),
		world_test(munmap_arguments),
		world_test(mprotect_arguments),
		world_test(madvise_arguments),
		world_test(remove_punches_the_file),
		world_test(mlock_arguments),
		world_test(msync_arguments),
		world_test(handles_that_are_none),
		world_test(configs_that_cannot_be),
		world_test(decisions_by_name),
		world_test(creation_fails_cleanly),
		world_test(what_is_left_is_told),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
