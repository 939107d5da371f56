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

/* Less than half of memory, and MAP_NORESERVE does not help. */
static void never(void **state)
{
	uint64_t half = world_config.memory_bytes / PAGE / 2 - 1;

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

static void begin(enum quire_overcommit mode)
{
	world_config_default();
	world_config.overcommit = mode;
}

static int never_overcommit(void **state)
{
	(void)state;
	begin(QUIRE_OVERCOMMIT_NEVER);
	world_begin();
	return 0;
}

/* The largest mapping that is granted, in pages; found by halving. */
static uint64_t largest(void)
{
	uint64_t granted = 0, refused = 1 << 20;

	while (granted + 1 < refused) {
		uint64_t middle = (granted + refused) / 2;

		if (commit_map(0, middle, RW, 0)) {
			refused = middle;
		} else {
			unmap(0, middle);
			granted = middle;
		}
	}
	assert_int_equal(committed(), 0);
	return granted;
}

/* Of memory, or a number; one below it is the most. */
static void limits_may_be_given(void **state)
{
	(void)state;
	begin(QUIRE_OVERCOMMIT_NEVER);
	world_config.overcommit_ratio = 25;
	world_begin();
	assert_int_equal(largest(), world_config.memory_bytes / PAGE / 4 - 1);
	world_end();
	world_config.overcommit_ratio = 150;
	world_begin();
	assert_int_equal(largest(), world_config.memory_bytes / PAGE * 3 / 2 - 1);
	world_end();
	world_config.overcommit_ratio = 0;
	world_begin();
	assert_int_equal(largest(), 0);
	world_end();
	world_config.commit_limit_bytes = 5000 * PAGE + 1;
	world_begin();
	assert_int_equal(largest(), 4999);
	world_end();
	begin(QUIRE_OVERCOMMIT_HEURISTIC);
	world_config.memory_and_swap_bytes = 5000 * PAGE;
	world_begin();
	assert_int_equal(largest(), 5000);
	world_end();
}

static void reserves_are_kept_back(void **state)
{
	struct quire_layout layout;

	(void)state;
	begin(QUIRE_OVERCOMMIT_NEVER);
	world_config.commit_limit_bytes = 1000 * PAGE;
	world_config.admin_reserve_bytes = 200 * PAGE;
	world_config.user_reserve_bytes = 10 * PAGE;
	world_begin();
	assert_int_equal(largest(), 799);
	quire_mm_get_layout(mm, &layout);
	layout.limits.may_use_reserve = true;
	quire_mm_set_limits(mm, &layout.limits);
	assert_int_equal(largest(), 999);
	/* What needs no more is not asked, though it would be beyond the limit now. */
	map_prot(0, 900, RW);
	layout.limits.may_use_reserve = false;
	quire_mm_set_limits(mm, &layout.limits);
	map_prot(0, 900, RW);
	assert_int_equal(commit_map(0, 901, RW, 0), -QUIRE_ENOMEM);
	unmap(0, 901);
	layout.limits.may_use_reserve = true;
	quire_mm_set_limits(mm, &layout.limits);
	/* From one with 160 pages 5 are kept back, from one with 3200 no more than 10. */
	map_prot(2000, 160, R);
	assert_int_equal(largest(), 994);
	map_prot(2000, 3200, R);
	assert_int_equal(largest(), 989);
	world_end();
	world_config.admin_reserve_bytes = 2000 * PAGE;
	world_begin();
	assert_int_equal(largest(), 0);
	map_prot(0, 8, R);
	world_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(never, never_overcommit, world_teardown),
		world_test(heuristic),
		world_test(replacing_pays_the_difference),
		world_test(fork_pays_again),
		world_test(shared_memory_is_charged_once),
		cmocka_unit_test(limits_may_be_given),
		cmocka_unit_test(reserves_are_kept_back),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
