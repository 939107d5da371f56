/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mremap: in place, moved, several VMAs at once, and what it refuses.
 * variants: threads_4k threads_tiny threads_64k explore_tiny
 */
#include "mm_rows.h"

static int remap(uint64_t page, uint64_t old_pages, uint64_t new_pages, uint32_t flags,
		 uint64_t new_page, uint64_t *ret_page)
{
	uint64_t addr = UINT64_MAX;
	int ret = quire_mremap(mm, at(page), old_pages * PAGE, new_pages * PAGE, flags,
			       at(new_page), &addr);

	if (!ret)
		*ret_page = (addr - BASE) / PAGE;
	return ret;
}

static void expect_remap(uint64_t page, uint64_t old_pages, uint64_t new_pages,
			 uint32_t flags, uint64_t new_page)
{
	uint64_t where = 0;

	assert_int_equal(remap(page, old_pages, new_pages, flags, new_page, &where), 0);
	assert_int_equal(where, new_page);
}

#define MAYMOVE QUIRE_MREMAP_MAYMOVE
#define FIXED (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED)
#define KEEP (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP)

static void grows_in_place(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	put(mm, at(1), 1);
	expect_remap(0, 2, 5, 0, 0);
	EXPECT({ 0, 5, "rw-p", 0 });
	expect_remap(1, 4, 5, 0, 1);
	EXPECT({ 0, 6, "rw-p", 0 });
	assert_int_equal(get(mm, at(1)), 1);
}

static void grows_until_it_meets(void **state)
{
	uint64_t where = 0;

	(void)state;
	map_prot(0, 2, RW);
	map_prot(4, 2, RW);
	expect_remap(0, 2, 4, 0, 0);
	EXPECT({ 0, 6, "rw-p", 0 });
	/* Not at its end, and no leave to move. */
	assert_int_equal(remap(0, 2, 3, 0, 0, &where), -QUIRE_ENOMEM);
	map_prot(6, 1, R);
	assert_int_equal(remap(0, 6, 7, 0, 0, &where), -QUIRE_ENOMEM);
}

/* A chain of two links is not asked for when a VMA grows up to its next. */
static void grows_until_it_meets_after_fork(void **state)
{
	struct quire_mm *parent = mm, *child;

	(void)state;
	map_prot(0, 2, RW);
	map_prot(3, 1, RW);
	put(mm, at(0), 1);
	child = fork_of(mm);
	mm = child;
	expect_remap(1, 1, 2, 0, 1);
	EXPECT({ 0, 4, "rw-p", 0 });
	put(mm, at(3), 3);
	assert_int_equal(get(mm, at(0)), 1);
	mm = parent;
	quire_mm_put(child);
}

static void shrinks(void **state)
{
	(void)state;
	map_prot(0, 6, RW);
	expect_remap(0, 6, 2, 0, 0);
	EXPECT({ 0, 2, "rw-p", 0 });
	assert_int_equal(stats(mm).total_pages, 2);
}

static void moves_with_contents(void **state)
{
	(void)state;
	map_prot(0, 4, RW);
	for (unsigned page = 0; page < 4; page++)
		put(mm, at(page), (uint8_t)(page + 1));
	expect_remap(1, 2, 2, FIXED, 10);
	EXPECT({ 0, 1, "rw-p", 0 }, { 3, 4, "rw-p", 0 }, { 10, 12, "rw-p", 0 });
	assert_int_equal(get(mm, at(10)), 2);
	assert_int_equal(get(mm, at(11)), 3);
	assert_signal(mm, at(1), QUIRE_TOUCH_READ, QUIRE_SIGSEGV_MAPERR);
	/* Back again it fits: same anon_vma, same page indexes. */
	expect_remap(10, 2, 2, FIXED, 1);
	EXPECT({ 0, 4, "rw-p", 0 });
	assert_int_equal(get(mm, at(2)), 3);
	assert_int_equal(stats(mm).rss_anon_pages, 4);
}

static void untouched_memory_forgets_its_place(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(8, 2, RW);
	expect_remap(0, 2, 2, FIXED, 10);
	EXPECT({ 8, 12, "rw-p", 0 });
	/* Into its own neighbourhood: the old VMA itself takes the range. */
	expect_remap(8, 2, 2, FIXED, 12);
	EXPECT({ 10, 14, "rw-p", 0 });
}

static void moves_and_grows(void **state)
{
	uint64_t where = 0;

	(void)state;
	map_prot(0, 2, RW);
	map_prot(2, 1, R);
	put(mm, at(1), 9);
	assert_int_equal(remap(0, 2, 4, MAYMOVE, 0, &where), 0);
	assert_true(where > 3);
	assert_int_equal(get(mm, at(where + 1)), 9);
	put(mm, at(where + 3), 1);
	assert_int_equal(quire_munmap(mm, at(where), 4 * PAGE), 0);
	EXPECT({ 2, 3, "r--p", 0 });
}

static void target_is_unmapped_first(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(4, 6, RW);
	put(mm, at(0), 1);
	put(mm, at(5), 2);
	expect_remap(0, 2, 2, FIXED, 5);
	EXPECT({ 4, 5, "rw-p", 0 }, { 5, 7, "rw-p", 0 }, { 7, 10, "rw-p", 0 });
	assert_int_equal(get(mm, at(5)), 1);
	expect_remap(7, 3, 1, FIXED, 0);
	EXPECT({ 0, 1, "rw-p", 0 }, { 4, 5, "rw-p", 0 }, { 5, 7, "rw-p", 0 });
}

static void dontunmap_leaves_the_source_empty(void **state)
{
	struct quire_memory_stats memory;

	(void)state;
	map_prot(0, 2, RW);
	put(mm, at(0), 1);
	expect_remap(0, 2, 2, KEEP | QUIRE_MREMAP_FIXED, 6);
	EXPECT({ 0, 2, "rw-p", 0 }, { 6, 8, "rw-p", 0 });
	assert_int_equal(get(mm, at(6)), 1);
	assert_int_equal(get(mm, at(0)), 0);
	quire_memory_stats(q, &memory);
	assert_int_equal(memory.committed_pages, 4);
}

/* Nor has it an anon_vma any more, so it can join what has one. */
static void dontunmap_leaves_no_anon_vma(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(4, 2, RW);
	put(mm, at(0), 1);
	put(mm, at(4), 2);
	expect_remap(0, 2, 2, KEEP | QUIRE_MREMAP_FIXED, 10);
	map_prot(2, 2, RW);
	EXPECT({ 0, 6, "rw-p", 0 }, { 10, 12, "rw-p", 0 });
}

static void length_zero_duplicates_shared(void **state)
{
	uint64_t where = 0;

	(void)state;
	map_in(mm, at(0), 4, RW, SHARED_ANON, NULL, 0);
	put(mm, at(1), 3);
	expect_remap(1, 0, 2, FIXED, 8);
	EXPECT({ 0, 4, "rw-s", 0 }, { 8, 10, "rw-s", 1 });
	assert_int_equal(get(mm, at(8)), 3);
	map_prot(20, 1, RW);
	assert_int_equal(remap(20, 0, 1, FIXED, 22, &where), -QUIRE_EINVAL);
}

static void several_vmas_move_together(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(2, 1, R);
	map_prot(4, 2, RW);
	put(mm, at(5), 5);
	expect_remap(1, 5, 5, FIXED, 11);
	EXPECT({ 0, 1, "rw-p", 0 }, { 11, 12, "rw-p", 0 }, { 12, 13, "r--p", 0 },
	       { 14, 16, "rw-p", 0 });
	assert_int_equal(get(mm, at(15)), 5);
}

static void locked_growth_is_resident(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	assert_int_equal(quire_mlock(mm, at(0), 2 * PAGE, 0), 0);
	expect_remap(0, 2, 4, 0, 0);
	EXPECT({ 0, 4, "rw-pl", 0 });
	assert_int_equal(stats(mm).locked_pages, 4);
	assert_int_equal(stats(mm).rss_anon_pages, 4);
}

static void refuses(void **state)
{
	uint64_t where = 77;

	(void)state;
	map_prot(0, 4, RW);
	map_prot(4, 2, R);
	assert_int_equal(remap(0, 4, 4, 8, 0, &where), -QUIRE_EINVAL);
	assert_int_equal(remap(0, 4, 0, 0, 0, &where), -QUIRE_EINVAL);
	assert_int_equal(remap(0, 4, 4, QUIRE_MREMAP_FIXED, 10, &where), -QUIRE_EINVAL);
	assert_int_equal(remap(0, 4, 4, FIXED, 2, &where), -QUIRE_EINVAL);
	assert_int_equal(remap(0, 4, 5, KEEP, 10, &where), -QUIRE_EINVAL);
	assert_int_equal(remap(8, 1, 2, MAYMOVE, 0, &where), -QUIRE_EFAULT);
	/* Growth may not start from more than one VMA. */
	assert_int_equal(remap(2, 4, 5, MAYMOVE, 0, &where), -QUIRE_EFAULT);
	assert_int_equal(quire_mremap(mm, at(0) + 1, PAGE, PAGE, 0, 0, &where), -QUIRE_EINVAL);
	assert_int_equal(where, 77);
	EXPECT({ 0, 4, "rw-p", 0 }, { 4, 6, "r--p", 0 });
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		world_test(grows_in_place),
		world_test(grows_until_it_meets),
		world_test(grows_until_it_meets_after_fork),
		world_test(shrinks),
		world_test(moves_with_contents),
		world_test(untouched_memory_forgets_its_place),
		world_test(moves_and_grows),
		world_test(target_is_unmapped_first),
		world_test(dontunmap_leaves_the_source_empty),
		world_test(dontunmap_leaves_no_anon_vma),
		world_test(length_zero_duplicates_shared),
		world_test(several_vmas_move_together),
		world_test(locked_growth_is_resident),
		world_test(refuses),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
