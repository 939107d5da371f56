/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Placement, limits, stacks and the heap.
 * variants: threads_4k threads_tiny threads_64k explore_tiny
 */
#include "mm_rows.h"

#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

static struct quire_layout layout(void)
{
	struct quire_layout now;

	quire_mm_get_layout(mm, &now);
	return now;
}

static uint64_t place(uint64_t hint, uint64_t len_bytes, uint32_t prot, uint32_t flags)
{
	uint64_t addr = 0;

	assert_int_equal(quire_mmap(mm, hint, len_bytes, prot, flags, NULL, 0, &addr), 0);
	return addr;
}

static void top_down(void **state)
{
	uint64_t top = layout().mmap_base;

	(void)state;
	assert_int_equal(place(0, PAGE, RW, ANON), top - PAGE);
	assert_int_equal(place(0, PAGE, R, ANON), top - 2 * PAGE);
	/* The highest hole that fits. */
	assert_int_equal(quire_munmap(mm, top - PAGE, PAGE), 0);
	assert_int_equal(place(0, 2 * PAGE, R, ANON), top - 4 * PAGE);
	assert_int_equal(place(0, PAGE, R, ANON), top - PAGE);
	quire_check(q);
}

static void hint_is_taken_or_forgotten(void **state)
{
	uint64_t top = layout().mmap_base;

	(void)state;
	assert_int_equal(place(at(3) + 5, PAGE, RW, ANON), at(3));
	assert_int_equal(place(at(3), PAGE, R, ANON), top - PAGE);
	assert_int_equal(place(at(2), PAGE, R, ANON), at(2));
	/* Below the lowest address: rounded up to it. */
	assert_int_equal(place(1, PAGE, RW, ANON), top - 2 * PAGE);
}

static void huge_lengths_are_aligned(void **state)
{
	uint64_t top = layout().mmap_base, addr;

	(void)state;
	/* Shared memory is not aligned, nor are odd lengths, nor is a hint. */
	place(0, PAGE, R, ANON);
	addr = place(0, QUIRE_PMD_SIZE, RW,
		     QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_NORESERVE);
	assert_int_equal(addr, top - PAGE - QUIRE_PMD_SIZE);
	assert_int_equal(quire_munmap(mm, addr, QUIRE_PMD_SIZE), 0);
	addr = place(0, QUIRE_PMD_SIZE + PAGE, NONE, ANON);
	assert_int_equal(addr, top - 2 * PAGE - QUIRE_PMD_SIZE);
	assert_int_equal(quire_munmap(mm, addr, QUIRE_PMD_SIZE + PAGE), 0);
	addr = place(0, QUIRE_PMD_SIZE, NONE, ANON);
	assert_int_equal(addr % QUIRE_PMD_SIZE, 0);
	assert_true(addr + QUIRE_PMD_SIZE <= top - PAGE);
	assert_int_equal(place(at(1), QUIRE_PMD_SIZE, NONE, ANON), at(1));
	/* What lies between is still taken by what does not care. */
	assert_int_equal(place(0, PAGE, RW, ANON), top - 2 * PAGE);
}

static void guard_gap_is_kept_free(void **state)
{
	uint64_t gap = world_config.guard_gap_bytes, top = layout().mmap_base;
	uint64_t stack = place(0, 2 * PAGE, RW, ANON | QUIRE_MAP_GROWSDOWN);

	(void)state;
	assert_int_equal(stack, top - 2 * PAGE);
	assert_int_equal(place(0, PAGE, RW, ANON), stack - gap - PAGE);
	/* A hint into the gap is not taken; a fixed address is. */
	assert_int_not_equal(place(stack - PAGE, PAGE, RW, ANON), stack - PAGE);
	assert_int_equal(place(stack - gap, PAGE, RW, ANON | QUIRE_MAP_FIXED), stack - gap);
	quire_check(q);
}

static void stack_grows_within_its_limits(void **state)
{
	struct quire_limits limits = layout().limits;
	uint64_t gap = world_config.guard_gap_bytes;
	uint64_t stack = at(200 * QUIRE_PMD_SIZE / PAGE);

	(void)state;
	if (QUIRE_TASK_SIZE < UINT64_C(1) << 30)
		stack = QUIRE_TASK_SIZE - 8 * PAGE;
	map_in(mm, stack, 2, RW, PRIVATE_ANON | QUIRE_MAP_GROWSDOWN, NULL, 0);
	put(mm, stack - 1, 1);
	put(mm, stack - 3 * PAGE, 2);
	assert_int_equal(stats(mm).stack_pages, 5);
	assert_int_equal(get(mm, stack - 1), 1);
	quire_check(q);
	limits.stack_bytes = 6 * PAGE;
	quire_mm_set_limits(mm, &limits);
	put(mm, stack - 4 * PAGE, 3);
	assert_signal(mm, stack - 5 * PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_MAPERR);
	limits.stack_bytes = QUIRE_UNLIMITED;
	quire_mm_set_limits(mm, &limits);
	/* Something accessible below must keep its distance. */
	map_in(mm, stack - 5 * PAGE - gap, 1, R, PRIVATE_ANON, NULL, 0);
	assert_signal(mm, stack - 5 * PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_MAPERR);
	assert_int_equal(quire_mprotect(mm, stack - 5 * PAGE - gap, PAGE, NONE), 0);
	put(mm, stack - 5 * PAGE, 4);
	quire_check(q);
}

static void grows_down_protects_from_the_start(void **state)
{
	(void)state;
	map_in(mm, at(4), 4, RW, PRIVATE_ANON | QUIRE_MAP_GROWSDOWN, NULL, 0);
	assert_int_equal(quire_mprotect(mm, at(6), PAGE, R | QUIRE_PROT_GROWSDOWN), 0);
	EXPECT({ 4, 7, "r--p", 0 }, { 7, 8, "rw-p", 0 });
	map_prot(10, 2, RW);
	assert_int_equal(quire_mprotect(mm, at(11), PAGE, R | QUIRE_PROT_GROWSDOWN),
			 -QUIRE_EINVAL);
}

static void heap(void **state)
{
	uint64_t start = layout().brk_start, now;

	(void)state;
	assert_int_equal(quire_brk(mm, 0, &now), 0);
	assert_int_equal(now, start);
	assert_int_equal(quire_brk(mm, start + PAGE + 5, &now), 0);
	assert_int_equal(now, start + PAGE + 5);
	put(mm, start + PAGE, 1);
	assert_int_equal(quire_brk(mm, start + 4 * PAGE, &now), 0);
	put(mm, start + 3 * PAGE, 1);
	assert_int_equal(stats(mm).nr_vmas, 1);
	assert_int_equal(stats(mm).data_pages, 4);
	assert_int_equal(quire_brk(mm, start + 2 * PAGE, &now), 0);
	assert_int_equal(now, start + 2 * PAGE);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	/* Not over what is there, nor up to it. */
	map_in(mm, start + 4 * PAGE, 1, R, PRIVATE_ANON, NULL, 0);
	assert_int_equal(quire_brk(mm, start + 4 * PAGE, &now), 0);
	assert_int_equal(now, start + 2 * PAGE);
	assert_int_equal(quire_brk(mm, start + 3 * PAGE, &now), 0);
	assert_int_equal(now, start + 3 * PAGE);
	quire_check(q);
}

static void limits_of_address_space_and_data(void **state)
{
	struct quire_limits limits = layout().limits;
	uint64_t addr, now, start = layout().brk_start;

	(void)state;
	limits.address_space_bytes = 8 * PAGE;
	limits.data_bytes = 4 * PAGE;
	quire_mm_set_limits(mm, &limits);
	map_prot(0, 3, RW);
	assert_int_equal(quire_mmap(mm, 0, 2 * PAGE, RW, ANON, NULL, 0, &addr), -QUIRE_ENOMEM);
	map_prot(8, 5, R);
	assert_int_equal(quire_mmap(mm, 0, PAGE, R, ANON, NULL, 0, &addr), -QUIRE_ENOMEM);
	limits.address_space_bytes = 16 * PAGE;
	quire_mm_set_limits(mm, &limits);
	assert_int_equal(quire_mprotect(mm, at(8), 2 * PAGE, RW), -QUIRE_ENOMEM);
	EXPECT({ 0, 3, "rw-p", 0 }, { 8, 13, "r--p", 0 });
	limits.address_space_bytes = 8 * PAGE;
	quire_mm_set_limits(mm, &limits);
	/* Replacing takes nothing more. */
	map_prot(8, 5, NONE);
	unmap(8, 2);
	assert_int_equal(quire_brk(mm, start + PAGE, &now), 0);
	assert_int_equal(now, start + PAGE);
	assert_int_equal(quire_brk(mm, start + 5 * PAGE, &now), 0);
	assert_int_equal(now, start + PAGE);
}

static void limit_of_locked_memory(void **state)
{
	struct quire_limits limits = layout().limits;
	uint64_t addr;

	(void)state;
	limits.locked_bytes = 2 * PAGE;
	quire_mm_set_limits(mm, &limits);
	map_prot(0, 6, RW);
	assert_int_equal(quire_mlock(mm, at(0), 3 * PAGE, 0), -QUIRE_ENOMEM);
	assert_int_equal(quire_mlock(mm, at(0), 2 * PAGE, 0), 0);
	assert_int_equal(quire_mlock(mm, at(0), 2 * PAGE, 0), 0);
	assert_int_equal(quire_mmap(mm, 0, PAGE, RW, ANON | QUIRE_MAP_LOCKED, NULL, 0, &addr),
			 -QUIRE_EAGAIN);
	assert_int_equal(quire_mlockall(mm, QUIRE_MCL_CURRENT), -QUIRE_ENOMEM);
	limits.locked_bytes = 0;
	quire_mm_set_limits(mm, &limits);
	assert_int_equal(quire_mlock(mm, at(0), PAGE, 0), -QUIRE_EPERM);
	assert_int_equal(quire_mlockall(mm, QUIRE_MCL_FUTURE), -QUIRE_EPERM);
	limits.may_lock_any = true;
	quire_mm_set_limits(mm, &limits);
	assert_int_equal(quire_mlock(mm, at(0), 6 * PAGE, 0), 0);
	assert_int_equal(quire_munlockall(mm), 0);
	EXPECT({ 0, 6, "rw-p", 0 });
}

static void map_count(void **state)
{
	uint64_t addr;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		map_prot(2 * i, 1, RW);
	/* One too many is let in, as Linux lets it; not a second. */
	assert_int_equal(quire_mmap(mm, at(20), PAGE, RW, PRIVATE_ANON, NULL, 0, &addr),
			 -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, R), 0);
	unmap(8, 1);
	unmap(6, 1);
	map_prot(6, 3, RW);
	assert_int_equal(quire_munmap(mm, at(7), PAGE), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(mm, at(7), PAGE, R), -QUIRE_ENOMEM);
	assert_int_equal(quire_munmap(mm, at(8), PAGE), 0);
	EXPECT({ 0, 1, "r--p", 0 }, { 2, 3, "rw-p", 0 }, { 4, 5, "rw-p", 0 },
	       { 6, 8, "rw-p", 0 });
}

static int four_maps(void **state)
{
	(void)state;
	world_config_default();
	world_config.map_count_max = 4;
	world_begin();
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		world_test(top_down),
		world_test(hint_is_taken_or_forgotten),
		world_test(huge_lengths_are_aligned),
		world_test(guard_gap_is_kept_free),
		world_test(stack_grows_within_its_limits),
		world_test(grows_down_protects_from_the_start),
		world_test(heap),
		world_test(limits_of_address_space_and_data),
		world_test(limit_of_locked_memory),
		cmocka_unit_test_setup_teardown(map_count, four_maps, world_teardown),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
