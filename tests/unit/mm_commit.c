/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commit accounting: who pays, who gets it back, and when it is refused.
 * variants: threads_4k
 */
#include "mm_rows.h"

static uint64_t committed(void)
{
	struct quire_memory_stats memory;

	quire_memory_stats(q, &memory);
	return memory.committed_pages;
}

static int commit_map(uint64_t page, uint64_t nr_pages, uint32_t prot, uint32_t flags)
{
	uint64_t addr;

	return quire_mmap(mm, at(page), nr_pages * PAGE, prot, PRIVATE_ANON | flags, NULL, 0,
			  &addr);
}

/* Half of memory, and MAP_NORESERVE does not help. */
static void never(void **state)
{
	uint64_t half = world_config.memory_bytes / PAGE / 2;

	(void)state;
	map_prot(0, half - 1, RW);
	map_prot(half - 1, 4, R);
	assert_int_equal(commit_map(half + 4, 2, RW, QUIRE_MAP_NORESERVE), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(mm, at(half - 1), 2 * PAGE, RW), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(mm, at(half - 1), PAGE, RW), 0);
	assert_int_equal(committed(), half);
	quire_check(q);
	unmap(0, half + 3);
	assert_int_equal(committed(), 0);
}

/* Refuses only what memory could never hold. */
static void heuristic(void **state)
{
	uint64_t all = world_config.memory_bytes / PAGE;

	(void)state;
	assert_int_equal(commit_map(0, all + 1, RW, 0), -QUIRE_ENOMEM);
	assert_int_equal(commit_map(0, all, RW, 0), 0);
	assert_int_equal(commit_map(all, all, RW, 0), 0);
	assert_int_equal(commit_map(2 * all, 4 * all, RW, QUIRE_MAP_NORESERVE), 0);
	assert_int_equal(committed(), 2 * all);
	unmap(0, 6 * all);
	assert_int_equal(committed(), 0);
}

static void replacing_pays_the_difference(void **state)
{
	(void)state;
	map_prot(0, 8, RW);
	map_prot(4, 8, RW);
	assert_int_equal(committed(), 12);
	map_prot(2, 4, R);
	assert_int_equal(committed(), 8);
	EXPECT({ 0, 2, "rw-p", 0 }, { 2, 6, "r--p", 0 }, { 6, 12, "rw-p", 0 });
	protect(0, 12, NONE);
	assert_int_equal(committed(), 0);
}

static void fork_pays_again(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_prot(0, 8, RW);
	map_prot(8, 8, R);
	child = fork_of(mm);
	assert_int_equal(committed(), 16);
	quire_mm_put(child);
	assert_int_equal(committed(), 8);
}

/* Shared memory is paid for whole, once, until its last mapping goes. */
static void shared_memory_is_charged_once(void **state)
{
	uint64_t all = world_config.memory_bytes / PAGE, addr;
	struct quire_mm *child;

	(void)state;
	map_in(mm, at(0), 8, RW, SHARED_ANON, NULL, 0);
	map_in(mm, at(8), 8, RW, SHARED_ANON | QUIRE_MAP_NORESERVE, NULL, 0);
	assert_int_equal(committed(), 8);
	child = fork_of(mm);
	unmap(0, 4);
	assert_int_equal(committed(), 8);
	quire_mm_put(child);
	unmap(4, 4);
	assert_int_equal(committed(), 0);
	assert_int_equal(quire_mmap(mm, 0, (all + 1) * PAGE, RW,
				    QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL, 0, &addr),
			 -QUIRE_ENOMEM);
}

static int never_overcommit(void **state)
{
	(void)state;
	world_config_default();
	world_config.overcommit = QUIRE_OVERCOMMIT_NEVER;
	world_begin();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(never, never_overcommit, world_teardown),
		world_test(heuristic),
		world_test(replacing_pays_the_difference),
		world_test(fork_pays_again),
		world_test(shared_memory_is_charged_once),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
