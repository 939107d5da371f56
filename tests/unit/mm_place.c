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

/* ---- other layouts ----------------------------------------------------------- */

/* The world's address space makes way for one with another layout. */
static void begin_layout(const struct quire_layout *layout)
{
	quire_mm_put(mm);
	mm = NULL;
	assert_int_equal(quire_mm_create(q, layout, &mm), 0);
}

static struct quire_layout upwards(void)
{
	struct quire_layout up;

	quire_layout_default(&up);
	up.bottom_up = true;
	up.mmap_base = QUIRE_PMD_SIZE * (QUIRE_TASK_SIZE / QUIRE_PMD_SIZE / 3) + PAGE;
	return up;
}

static void bottom_up(void **state)
{
	struct quire_layout up = upwards();
	uint64_t base = up.mmap_base, gap = world_config.guard_gap_bytes, stack, got;

	(void)state;
	begin_layout(&up);
	assert_int_equal(place(0, PAGE, RW, ANON), base);
	assert_int_equal(place(0, PAGE, R, ANON), base + PAGE);
	/* The lowest hole that fits. */
	assert_int_equal(quire_munmap(mm, base, PAGE), 0);
	assert_int_equal(place(0, 2 * PAGE, R, ANON), base + 2 * PAGE);
	assert_int_equal(place(0, PAGE, R, ANON), base);
	assert_int_equal(place(at(3), PAGE, R, ANON), at(3));
	/* The gap below what grows down lies above what was there. */
	stack = place(0, PAGE, RW, ANON | QUIRE_MAP_GROWSDOWN);
	assert_int_equal(stack, base + 4 * PAGE);
	assert_int_equal(quire_munmap(mm, base, 4 * PAGE), 0);
	got = place(0, PAGE, R, ANON);
	assert_int_equal(got, stack - gap >= base + PAGE && stack - gap < stack ? base :
										  stack + PAGE);
	/* A move goes there too. */
	assert_int_equal(quire_mremap(mm, got, PAGE, 3 * PAGE, QUIRE_MREMAP_MAYMOVE, 0, &got), 0);
	assert_true(got >= base && got < base + 8 * PAGE);
	quire_check(q);
}

static void bottom_up_has_no_other_way(void **state)
{
	struct quire_layout up = upwards();
	uint64_t len = QUIRE_TASK_SIZE - up.mmap_base, addr;

	(void)state;
	begin_layout(&up);
	assert_int_equal(quire_mmap(mm, 0, len + PAGE, NONE, ANON | QUIRE_MAP_NORESERVE, NULL, 0,
				    &addr),
			 -QUIRE_ENOMEM);
	assert_int_equal(place(0, len, NONE, ANON | QUIRE_MAP_NORESERVE), up.mmap_base);
	assert_int_equal(quire_mmap(mm, 0, PAGE, NONE, ANON, NULL, 0, &addr), -QUIRE_ENOMEM);
	assert_int_equal(place(at(0), PAGE, NONE, ANON), at(0));
}

/* Upwards an aligned place costs nothing; downwards it is one PMD higher than need be. */
static void bottom_up_huge(void **state)
{
	struct quire_layout up = upwards();
	uint64_t base = up.mmap_base - PAGE + QUIRE_PMD_SIZE;

	(void)state;
	begin_layout(&up);
	assert_int_equal(place(0, QUIRE_PMD_SIZE, NONE, ANON), base);
	assert_int_equal(place(0, QUIRE_PMD_SIZE, R, ANON), base + QUIRE_PMD_SIZE);
	assert_int_equal(place(0, PAGE, NONE, ANON), up.mmap_base);
}

/* What does not fit below goes above. */
static void fallback_place(void **state)
{
	struct quire_layout down;
	uint64_t high = QUIRE_TASK_SIZE / 2 / PAGE * PAGE;

	(void)state;
	quire_layout_default(&down);
	down.mmap_base = 8 * PAGE;
	down.mmap_min = 2 * PAGE;
	begin_layout(&down);
	assert_int_equal(place(0, 6 * PAGE, NONE, ANON), 2 * PAGE);
	assert_int_equal(place(0, PAGE, NONE, ANON),
			 QUIRE_TASK_SIZE / 3 / PAGE * PAGE);
	down.mmap_fallback = high;
	begin_layout(&down);
	assert_int_equal(place(0, 7 * PAGE, NONE, ANON), high);
	assert_int_equal(place(0, 6 * PAGE, NONE, ANON), 2 * PAGE);
}

/* MAP_FIXED and a hint of mremap obey the lower, what is placed and grows the other. */
static void two_lowest_addresses(void **state)
{
	struct quire_layout two;
	uint64_t addr, page;

	(void)state;
	quire_layout_default(&two);
	two.mmap_base = 8 * PAGE;
	two.mmap_min = 2 * PAGE;
	two.mmap_min_placed = 6 * PAGE;
	begin_layout(&two);
	assert_int_equal(place(2 * PAGE + 1, PAGE, RW, ANON), 6 * PAGE);
	page = place(0, PAGE, RW, ANON);
	assert_int_equal(page, 7 * PAGE);
	assert_true(place(5 * PAGE, PAGE, RW, ANON) > 7 * PAGE);
	assert_int_equal(place(2 * PAGE, PAGE, RW, ANON | QUIRE_MAP_FIXED), 2 * PAGE);
	assert_int_equal(quire_mmap(mm, PAGE, PAGE, RW, PRIVATE_ANON, NULL, 0, &addr),
			 -QUIRE_EPERM);
	assert_int_equal(quire_mremap(mm, page, PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP, 3 * PAGE,
				      &addr),
			 0);
	assert_int_equal(addr, 3 * PAGE);
	assert_int_equal(quire_mremap(mm, page, PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, PAGE, &addr),
			 -QUIRE_EPERM);
	assert_int_equal(quire_munmap(mm, 0, 8 * PAGE), 0);
	map_in(mm, 7 * PAGE, 1, RW, PRIVATE_ANON | QUIRE_MAP_GROWSDOWN, NULL, 0);
	put(mm, 6 * PAGE, 1);
	assert_signal(mm, 5 * PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_MAPERR);
}

static void layouts_that_cannot_be(void **state)
{
	struct quire_layout bad = layout();
	struct quire_mm *made;

	(void)state;
	bad.mmap_fallback = 1;
	assert_int_equal(quire_mm_create(q, &bad, &made), -QUIRE_EINVAL);
	bad = layout();
	bad.mmap_min_placed = QUIRE_TASK_SIZE;
	assert_int_equal(quire_mm_create(q, &bad, &made), -QUIRE_EINVAL);
}

static int old_kernel(void **state)
{
	(void)state;
	world_config_default();
	world_config.huge_placement = false;
	world_begin();
	return 0;
}

static void huge_placement_may_be_off(void **state)
{
	uint64_t top = layout().mmap_base;

	(void)state;
	place(0, PAGE, R, ANON);
	assert_int_equal(place(0, QUIRE_PMD_SIZE, NONE, ANON), top - PAGE - QUIRE_PMD_SIZE);
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

/* ---- limits of next to nothing -------------------------------------------------- */

/* `max` and one more; nothing can be cut out of one, or moved. */
static void few_maps(void **state)
{
	uint64_t addr, now;

	(void)state;
	for (unsigned max = 0; max < 4; max++) {
		world_config_default();
		world_config.map_count_max = max;
		world_begin();
		for (unsigned i = 0; i <= max; i++)
			map_prot(4 * i, 3, i % 2 ? RW : R);
		assert_int_equal(quire_mmap(mm, at(20), PAGE, RW, PRIVATE_ANON, NULL, 0, &addr),
				 -QUIRE_ENOMEM);
		assert_int_equal(quire_munmap(mm, at(1), PAGE), -QUIRE_ENOMEM);
		assert_int_equal(quire_mprotect(mm, at(1), PAGE, NONE), -QUIRE_ENOMEM);
		assert_int_equal(quire_mlock(mm, at(1), PAGE, 0), -QUIRE_ENOMEM);
		assert_int_equal(quire_mremap(mm, at(0), 3 * PAGE, 3 * PAGE,
					      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, at(30),
					      &addr),
				 -QUIRE_ENOMEM);
		assert_int_equal(quire_brk(mm, layout().brk_start + PAGE, &now), 0);
		assert_int_equal(now, layout().brk_start);
		assert_int_equal(quire_munmap(mm, at(0), PAGE), 0);
		quire_mm_put(fork_of(mm));
		quire_check(q);
		world_end();
	}
}

static void no_address_space(void **state)
{
	struct quire_limits limits = layout().limits;
	uint64_t addr, now, start = layout().brk_start, stack = at(8);

	(void)state;
	map_prot(0, 2, RW);
	map_in(mm, stack, 1, RW, PRIVATE_ANON | QUIRE_MAP_GROWSDOWN, NULL, 0);
	limits.address_space_bytes = 0;
	quire_mm_set_limits(mm, &limits);
	assert_int_equal(quire_mmap(mm, 0, PAGE, NONE, ANON, NULL, 0, &addr), -QUIRE_ENOMEM);
	assert_int_equal(quire_mmap(mm, 0, PAGE, RW, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL,
				    0, &addr),
			 -QUIRE_ENOMEM);
	assert_int_equal(quire_mremap(mm, at(0), 2 * PAGE, 3 * PAGE, QUIRE_MREMAP_MAYMOVE, 0,
				      &addr),
			 -QUIRE_ENOMEM);
	assert_int_equal(quire_brk(mm, start + PAGE, &now), 0);
	assert_int_equal(now, start);
	assert_signal(mm, stack - PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_MAPERR);
	/* What is there can be used, moved and shrunk. */
	put(mm, at(0), 1);
	quire_mm_put(fork_of(mm));
	assert_int_equal(quire_mremap(mm, at(0), 2 * PAGE, 2 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, at(30), &addr),
			 0);
	assert_int_equal(quire_mremap(mm, at(30), 2 * PAGE, PAGE, 0, 0, &addr), 0);
	assert_int_equal(quire_mprotect(mm, at(30), PAGE, R), 0);
	quire_check(q);
}

/* A soft limit of 0 lets mappings ask the hard one, but not the heap. */
static void no_data(void **state)
{
	struct quire_limits limits = layout().limits;
	uint64_t addr, now, start = layout().brk_start;

	(void)state;
	map_prot(0, 2, R);
	limits.data_bytes = 0;
	quire_mm_set_limits(mm, &limits);
	assert_int_equal(quire_brk(mm, start + PAGE, &now), 0);
	assert_int_equal(now, start);
	place(0, PAGE, RW, ANON);
	assert_int_equal(quire_mprotect(mm, at(0), PAGE, RW), 0);
	limits.data_max_bytes = 3 * PAGE;
	quire_mm_set_limits(mm, &limits);
	place(0, PAGE, RW, ANON);
	assert_int_equal(quire_mmap(mm, 0, PAGE, RW, ANON, NULL, 0, &addr), -QUIRE_ENOMEM);
	limits.data_max_bytes = 0;
	quire_mm_set_limits(mm, &limits);
	assert_int_equal(quire_mmap(mm, 0, PAGE, RW, ANON, NULL, 0, &addr), -QUIRE_ENOMEM);
	assert_int_equal(quire_mprotect(mm, at(1), PAGE, RW), -QUIRE_ENOMEM);
	place(0, PAGE, R, ANON);
	quire_check(q);
}

/* Lowered below what is there: it stays, and nothing more may come. */
static void limits_change_in_the_middle(void **state)
{
	struct quire_limits limits = layout().limits;
	uint64_t addr, now, start = layout().brk_start;
	uint64_t stack = at(30) + world_config.guard_gap_bytes;

	(void)state;
	assert_int_equal(quire_brk(mm, start + 2 * PAGE, &now), 0);
	map_in(mm, stack, 1, RW, PRIVATE_ANON | QUIRE_MAP_GROWSDOWN, NULL, 0);
	put(mm, stack - PAGE, 1);
	map_prot(0, 4, RW);
	limits.may_lock_any = true;
	limits.locked_bytes = PAGE;
	quire_mm_set_limits(mm, &limits);
	assert_int_equal(quire_mlock(mm, at(0), 3 * PAGE, 0), 0);
	limits.may_lock_any = false;
	limits.data_bytes = PAGE;
	limits.stack_bytes = 0;
	quire_mm_set_limits(mm, &limits);
	assert_int_equal(stats(mm).locked_pages, 3);
	assert_int_equal(quire_mlock(mm, at(3), PAGE, 0), -QUIRE_ENOMEM);
	assert_int_equal(quire_mmap(mm, 0, PAGE, R, ANON | QUIRE_MAP_LOCKED, NULL, 0, &addr),
			 -QUIRE_EAGAIN);
	assert_int_equal(quire_mremap(mm, at(0), 3 * PAGE, 4 * PAGE, QUIRE_MREMAP_MAYMOVE, 0,
				      &addr),
			 -QUIRE_EAGAIN);
	assert_int_equal(quire_munlock(mm, at(0), 2 * PAGE), 0);
	assert_int_equal(quire_mlock(mm, at(2), PAGE, 0), 0);
	assert_int_equal(quire_brk(mm, start + 3 * PAGE, &now), 0);
	assert_int_equal(now, start + 2 * PAGE);
	/* Even to a place below the old end that is beyond the limit. */
	assert_int_equal(quire_brk(mm, start + PAGE + 1, &now), 0);
	assert_int_equal(now, start + 2 * PAGE);
	assert_int_equal(quire_brk(mm, start + PAGE, &now), 0);
	assert_int_equal(now, start + PAGE);
	assert_signal(mm, stack - 2 * PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_MAPERR);
	put(mm, stack - PAGE, 2);
	limits.stack_bytes = 3 * PAGE;
	quire_mm_set_limits(mm, &limits);
	/* The data limit does not count stacks. */
	put(mm, stack - 2 * PAGE, 3);
	quire_check(q);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		world_test(top_down),
		world_test(hint_is_taken_or_forgotten),
		world_test(huge_lengths_are_aligned),
		world_test(bottom_up),
		world_test(bottom_up_has_no_other_way),
		world_test(bottom_up_huge),
		world_test(fallback_place),
		world_test(two_lowest_addresses),
		world_test(layouts_that_cannot_be),
		cmocka_unit_test_setup_teardown(huge_placement_may_be_off, old_kernel,
						world_teardown),
		world_test(guard_gap_is_kept_free),
		world_test(stack_grows_within_its_limits),
		world_test(grows_down_protects_from_the_start),
		world_test(heap),
		world_test(limits_of_address_space_and_data),
		world_test(limit_of_locked_memory),
		cmocka_unit_test_setup_teardown(map_count, four_maps, world_teardown),
		cmocka_unit_test(few_maps),
		world_test(no_address_space),
		world_test(no_data),
		world_test(limits_change_in_the_middle),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
