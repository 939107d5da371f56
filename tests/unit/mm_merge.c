/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Splits and merges: what maps look like after calls, as Linux lays them out.
 * variants: threads_4k threads_tiny threads_64k explore_tiny
 */
#include "mm_rows.h"

static void new_mapping_joins_below(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(2, 2, RW);
	EXPECT({ 0, 4, "rw-p", 0 });
}

static void new_mapping_joins_above(void **state)
{
	(void)state;
	map_prot(2, 2, RW);
	map_prot(0, 2, RW);
	EXPECT({ 0, 4, "rw-p", 0 });
}

static void new_mapping_joins_both(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(4, 2, RW);
	map_prot(2, 2, RW);
	EXPECT({ 0, 6, "rw-p", 0 });
	assert_int_equal(stats(mm).nr_vmas, 1);
}

static void other_protection_does_not_join(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(2, 2, R);
	map_prot(4, 2, RW);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 4, "r--p", 0 }, { 4, 6, "rw-p", 0 });
}

/* Two written neighbours have an anon_vma each: a range between joins one. */
static void two_written_neighbours_stay_two(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(4, 2, RW);
	put(mm, at(0), 1);
	put(mm, at(4), 2);
	map_prot(2, 2, RW);
	EXPECT({ 0, 4, "rw-p", 0 }, { 4, 6, "rw-p", 0 });
	put(mm, at(3), 3);
	assert_int_equal(get(mm, at(0)), 1);
	assert_int_equal(get(mm, at(3)), 3);
	assert_int_equal(get(mm, at(4)), 2);
}

/* Written on one side only: one anon_vma serves all. */
static void one_written_neighbour_joins(void **state)
{
	(void)state;
	map_prot(0, 2, RW);
	map_prot(4, 2, RW);
	put(mm, at(5), 7);
	map_prot(2, 2, RW);
	EXPECT({ 0, 6, "rw-p", 0 });
	put(mm, at(0), 8);
	assert_int_equal(get(mm, at(5)), 7);
}

/* Written while something kept them apart: an anon_vma each, for good. */
static void written_apart_stay_apart(void **state)
{
	(void)state;
	map_prot(0, 4, RW);
	assert_int_equal(quire_madvise(mm, at(2), 2 * PAGE, QUIRE_MADV_DONTFORK), 0);
	put(mm, at(0), 1);
	put(mm, at(2), 2);
	assert_int_equal(quire_madvise(mm, at(2), 2 * PAGE, QUIRE_MADV_DOFORK), 0);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 4, "rw-p", 0 });
	/* Read-only at the time they share one: mprotect keeps nothing apart. */
	map_prot(6, 4, RW);
	protect(8, 2, R);
	put(mm, at(6), 1);
	protect(8, 2, RW);
	put(mm, at(8), 2);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 4, "rw-p", 0 }, { 6, 10, "rw-p", 0 });
}

/* A stack that grows gets an anon_vma though it was only read. */
static void grown_stack_has_an_anon_vma(void **state)
{
	const uint32_t stack = PRIVATE_ANON | QUIRE_MAP_GROWSDOWN;

	(void)state;
	map_in(mm, at(6), 2, RW, stack, NULL, 0);
	put(mm, at(7), 1);
	map_in(mm, at(10), 2, RW, stack, NULL, 0);
	assert_int_equal(get(mm, at(9)), 0);
	EXPECT({ 6, 8, "rw-p", 0 }, { 9, 12, "rw-p", 0 });
	map_in(mm, at(8), 1, RW, stack, NULL, 0);
	EXPECT({ 6, 9, "rw-p", 0 }, { 9, 12, "rw-p", 0 });
}

/* After fork the child's chain has two links: nobody else may join it. */
static void forked_memory_does_not_join(void **state)
{
	struct quire_mm *parent = mm, *child;

	(void)state;
	map_prot(0, 2, RW);
	put(mm, at(0), 1);
	child = fork_of(mm);
	mm = child;
	map_prot(2, 2, RW);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 4, "rw-p", 0 });
	mm = parent;
	map_prot(2, 2, RW);
	EXPECT({ 0, 4, "rw-p", 0 });
	quire_mm_put(child);
}

static void unmap_splits(void **state)
{
	(void)state;
	map_prot(0, 9, RW);
	for (unsigned page = 0; page < 9; page++)
		put(mm, at(page), (uint8_t)page);
	unmap(3, 3);
	EXPECT({ 0, 3, "rw-p", 0 }, { 6, 9, "rw-p", 0 });
	unmap(0, 1);
	unmap(8, 1);
	EXPECT({ 1, 3, "rw-p", 0 }, { 6, 8, "rw-p", 0 });
	assert_int_equal(get(mm, at(7)), 7);
	unmap(2, 5);
	EXPECT({ 1, 2, "rw-p", 0 }, { 7, 8, "rw-p", 0 });
	assert_int_equal(get(mm, at(1)), 1);
	unmap(0, 12);
	EXPECT_NONE();
	assert_int_equal(stats(mm).rss_anon_pages, 0);
	assert_int_equal(stats(mm).page_table_bytes, 0);
}

static void unmap_across_kinds(void **state)
{
	struct quire_file *file = file_of_pages(8, FILE_RW);

	(void)state;
	map_prot(0, 2, RW);
	map_in(mm, at(2), 2, RW, SHARED_FILE, file, 1);
	map_prot(4, 2, R);
	put(mm, at(1), 1);
	put(mm, at(2), 2);
	unmap(1, 4);
	EXPECT({ 0, 1, "rw-p", 0 }, { 5, 6, "r--p", 0 });
	map_in(mm, at(2), 2, R, SHARED_FILE, file, 1);
	assert_int_equal(get(mm, at(2)), 2);
	quire_file_put(file);
}

static void fixed_mapping_replaces(void **state)
{
	(void)state;
	map_prot(0, 6, RW);
	put(mm, at(2), 9);
	map_prot(2, 2, R);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 4, "r--p", 0 }, { 4, 6, "rw-p", 0 });
	assert_int_equal(get(mm, at(2)), 0);
	/* The same again over it: all three are one. */
	map_prot(2, 2, RW);
	EXPECT({ 0, 6, "rw-p", 0 });
	map_prot(1, 9, R);
	EXPECT({ 0, 1, "rw-p", 0 }, { 1, 10, "r--p", 0 });
}

static void protect_splits_and_merges(void **state)
{
	(void)state;
	map_prot(0, 9, RW);
	put(mm, at(4), 4);
	protect(3, 3, R);
	EXPECT({ 0, 3, "rw-p", 0 }, { 3, 6, "r--p", 0 }, { 6, 9, "rw-p", 0 });
	/* The boundary moves: what is left of the middle gives way. */
	protect(3, 1, RW);
	EXPECT({ 0, 4, "rw-p", 0 }, { 4, 6, "r--p", 0 }, { 6, 9, "rw-p", 0 });
	protect(5, 1, RW);
	EXPECT({ 0, 4, "rw-p", 0 }, { 4, 5, "r--p", 0 }, { 5, 9, "rw-p", 0 });
	assert_int_equal(get(mm, at(4)), 4);
	assert_signal(mm, at(4), QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
	protect(4, 1, RW);
	EXPECT({ 0, 9, "rw-p", 0 });
	put(mm, at(4), 5);
}

static void protect_at_the_ends(void **state)
{
	(void)state;
	map_prot(0, 6, RW);
	protect(0, 2, R);
	protect(4, 2, R);
	EXPECT({ 0, 2, "r--p", 0 }, { 2, 4, "rw-p", 0 }, { 4, 6, "r--p", 0 });
	protect(0, 6, NONE);
	EXPECT({ 0, 6, "---p", 0 });
	protect(0, 6, RW);
	EXPECT({ 0, 6, "rw-p", 0 });
}

/* Read-only memory that was written keeps its charge, memory that never was
 * gives it back: they cannot be one VMA. */
static void charged_and_uncharged_stay_two(void **state)
{
	struct quire_memory_stats memory;

	(void)state;
	map_prot(0, 4, RW);
	put(mm, at(0), 1);
	protect(0, 4, R);
	quire_memory_stats(q, &memory);
	assert_int_equal(memory.committed_pages, 4);
	map_prot(4, 2, R);
	EXPECT({ 0, 4, "r--p", 0 }, { 4, 6, "r--p", 0 });
	protect(4, 2, RW);
	protect(4, 2, R);
	quire_memory_stats(q, &memory);
	assert_int_equal(memory.committed_pages, 4);
}

static void file_offsets_decide(void **state)
{
	struct quire_file *file = file_of_pages(16, FILE_RW), *other;

	(void)state;
	assert_int_equal(quire_file_reopen(file, FILE_RW, &other), 0);
	map_in(mm, at(0), 2, R, PRIVATE_FILE, file, 3);
	map_in(mm, at(2), 2, R, PRIVATE_FILE, file, 5);
	EXPECT({ 0, 4, "r--p", 3 });
	map_in(mm, at(4), 2, R, PRIVATE_FILE, file, 8);
	map_in(mm, at(6), 2, R, PRIVATE_FILE, other, 10);
	EXPECT({ 0, 4, "r--p", 3 }, { 4, 6, "r--p", 8 }, { 6, 8, "r--p", 10 });
	map_in(mm, at(10), 4, RW, SHARED_FILE, file, 0);
	protect(11, 2, R);
	EXPECT({ 0, 4, "r--p", 3 }, { 4, 6, "r--p", 8 }, { 6, 8, "r--p", 10 },
	       { 10, 11, "rw-s", 0 }, { 11, 13, "r--s", 1 }, { 13, 14, "rw-s", 3 });
	protect(11, 2, RW);
	EXPECT({ 0, 4, "r--p", 3 }, { 4, 6, "r--p", 8 }, { 6, 8, "r--p", 10 },
	       { 10, 14, "rw-s", 0 });
	quire_file_put(file);
	quire_file_put(other);
}

static void shared_anonymous_is_a_file_each(void **state)
{
	(void)state;
	map_in(mm, at(0), 2, RW, SHARED_ANON, NULL, 0);
	map_in(mm, at(2), 2, RW, SHARED_ANON, NULL, 0);
	EXPECT({ 0, 2, "rw-s", 0 }, { 2, 4, "rw-s", 0 });
	put(mm, at(1), 5);
	unmap(0, 1);
	EXPECT({ 1, 2, "rw-s", 1 }, { 2, 4, "rw-s", 0 });
	assert_int_equal(get(mm, at(1)), 5);
}

static void lock_splits_and_merges(void **state)
{
	(void)state;
	map_prot(0, 6, RW);
	assert_int_equal(quire_mlock(mm, at(2), 2 * PAGE, 0), 0);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 4, "rw-pl", 0 }, { 4, 6, "rw-p", 0 });
	assert_int_equal(stats(mm).locked_pages, 2);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
	assert_int_equal(quire_mlock(mm, at(2), 2 * PAGE, QUIRE_MLOCK_ONFAULT), 0);
	assert_int_equal(stats(mm).locked_pages, 2);
	assert_int_equal(quire_munlock(mm, at(1), 4 * PAGE), 0);
	EXPECT({ 0, 6, "rw-p", 0 });
	assert_int_equal(stats(mm).locked_pages, 0);
	assert_int_equal(quire_mlockall(mm, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE), 0);
	map_prot(6, 2, RW);
	EXPECT({ 0, 8, "rw-pl", 0 });
	assert_int_equal(stats(mm).rss_anon_pages, 8);
	assert_int_equal(quire_munlockall(mm), 0);
	map_prot(8, 1, RW);
	EXPECT({ 0, 9, "rw-p", 0 });
}

static void advice_splits_and_merges(void **state)
{
	(void)state;
	map_prot(0, 6, RW);
	assert_int_equal(quire_madvise(mm, at(2), 2 * PAGE, QUIRE_MADV_DONTFORK), 0);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 4, "rw-p", 0 }, { 4, 6, "rw-p", 0 });
	assert_int_equal(quire_madvise(mm, at(0), 6 * PAGE, QUIRE_MADV_DONTFORK), 0);
	EXPECT({ 0, 6, "rw-p", 0 });
	assert_int_equal(quire_madvise(mm, at(0), 3 * PAGE, QUIRE_MADV_DOFORK), 0);
	EXPECT({ 0, 3, "rw-p", 0 }, { 3, 6, "rw-p", 0 });
	assert_int_equal(quire_madvise(mm, at(0), 6 * PAGE, QUIRE_MADV_DOFORK), 0);
	EXPECT({ 0, 6, "rw-p", 0 });
	/* A hole is passed over, and told. */
	unmap(2, 1);
	assert_int_equal(quire_madvise(mm, at(0), 6 * PAGE, QUIRE_MADV_NOHUGEPAGE),
			 -QUIRE_ENOMEM);
	map_in(mm, at(2), 1, RW, PRIVATE_ANON | QUIRE_MAP_STACK, NULL, 0);
	EXPECT({ 0, 6, "rw-p", 0 });
}

static void special_never_merges(void **state)
{
	(void)state;
	for (unsigned page = 0; page < 4; page += 2)
		assert_int_equal(quire_map_kernel(mm, at(page), 2 * PAGE, R, PRIVATE_ANON,
						  NULL, 0, QUIRE_MAPK_SPECIAL, "[vdso]"),
				 0);
	EXPECT({ 0, 2, "r--p", 0 }, { 2, 4, "r--p", 0 });
	/* Nor is it cut. */
	assert_int_equal(quire_munmap(mm, at(1), 2 * PAGE), -QUIRE_EINVAL);
	EXPECT({ 0, 2, "r--p", 0 }, { 2, 4, "r--p", 0 });
	unmap(2, 2);
	EXPECT({ 0, 2, "r--p", 0 });
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		world_test(new_mapping_joins_below),
		world_test(new_mapping_joins_above),
		world_test(new_mapping_joins_both),
		world_test(other_protection_does_not_join),
		world_test(two_written_neighbours_stay_two),
		world_test(one_written_neighbour_joins),
		world_test(written_apart_stay_apart),
		world_test(grown_stack_has_an_anon_vma),
		world_test(forked_memory_does_not_join),
		world_test(unmap_splits),
		world_test(unmap_across_kinds),
		world_test(fixed_mapping_replaces),
		world_test(protect_splits_and_merges),
		world_test(protect_at_the_ends),
		world_test(charged_and_uncharged_stay_two),
		world_test(file_offsets_decide),
		world_test(shared_anonymous_is_a_file_each),
		world_test(lock_splits_and_merges),
		world_test(advice_splits_and_merges),
		world_test(special_never_merges),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
