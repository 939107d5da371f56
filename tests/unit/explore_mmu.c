/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory management unit of the explore machine: what a translation may
 * do, what it leaves in the tables, and what a TLB keeps and a flush removes.
 * variants: explore_tiny explore_4k
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <explore.h>
#include <quire/entry.h>
#include <quire/errno.h>
#include <quire/geometry.h>
#include <quire/machine.h>

#define PERMISSIONS (QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_USER)
#define DATA 16u
#define NR_FRAMES 64u
#define ALL ((struct mach_cpuset){ UINT64_MAX })

static char *memory;
static struct mach_mmu *mmu;

/* Table of level n is frame n + 1, but the root is frame QUIRE_LEVELS. */
static uint64_t *entry_of(uint64_t va, unsigned level)
{
	uint64_t index = (va >> QUIRE_LEVEL_SHIFT(level)) & (QUIRE_TABLE_ENTRIES - 1);

	return (uint64_t *)(void *)(memory + (level + 1) * QUIRE_PAGE_SIZE) + index;
}

static void map(uint64_t va, unsigned level, uint64_t pfn, uint64_t flags)
{
	for (unsigned l = QUIRE_LEVELS - 1; l > level; l--)
		*entry_of(va, l) = PERMISSIONS | (uint64_t)l << QUIRE_ENTRY_PFN_SHIFT;
	*entry_of(va, level) = flags | pfn << QUIRE_ENTRY_PFN_SHIFT;
}

static int setup(void **state)
{
	struct mach_mmu_config config = { .nr_frames = NR_FRAMES, .nr_cpus = 3,
		.tlb_sets = 4, .tlb_ways = 2 };

	(void)state;
	memory = mach_phys_create(NR_FRAMES * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE);
	config.phys_base = memory;
	if (!memory || mach_mmu_create(&config, &mmu))
		return -1;
	mach_mmu_load(mmu, QUIRE_LEVELS, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mach_mmu_destroy(mmu);
	mach_phys_destroy(memory, NR_FRAMES * QUIRE_PAGE_SIZE);
	return 0;
}

/* The frame reached, or a negative errno. */
static int64_t touch(uint64_t va, enum mach_access_kind kind)
{
	struct mach_access access;
	int ret = mach_mmu_access_begin(mmu, va, kind, &access);

	if (ret)
		return ret;
	assert_ptr_equal(access.mem, memory + access.pfn * QUIRE_PAGE_SIZE +
					     va % QUIRE_PAGE_SIZE);
	mach_mmu_access_end(mmu);
	return (int64_t)access.pfn;
}

static void test_walk_marks_the_leaf(void **state)
{
	const uint64_t va = 3 * QUIRE_PAGE_SIZE + 5;

	(void)state;
	assert_int_equal(touch(va, MACH_READ), -QUIRE_EFAULT);
	map(va, 0, DATA, PERMISSIONS);
	assert_int_equal(touch(va, MACH_READ), DATA);
	assert_true(*entry_of(va, 0) & QUIRE_ENTRY_ACCESSED);
	assert_false(*entry_of(va, 0) & QUIRE_ENTRY_DIRTY);
	/* The cached translation is clean: a write walks again. */
	assert_int_equal(touch(va, MACH_WRITE), DATA);
	assert_true(*entry_of(va, 0) & QUIRE_ENTRY_DIRTY);
	for (unsigned level = 1; level < QUIRE_LEVELS; level++)
		assert_false(*entry_of(va, level) & QUIRE_ENTRY_ACCESSED);
}

static void test_permissions_of_all_levels_count(void **state)
{
	const uint64_t va = QUIRE_PAGE_SIZE;

	(void)state;
	map(va, 0, DATA, PERMISSIONS & ~QUIRE_ENTRY_WRITE);
	assert_int_equal(touch(va, MACH_WRITE), -QUIRE_EFAULT);
	assert_int_equal(touch(va, MACH_READ), DATA);
	assert_int_equal(touch(va, MACH_WRITE), -QUIRE_EFAULT);
	map(va, 0, DATA, PERMISSIONS);
	*entry_of(va, 1) &= ~QUIRE_ENTRY_WRITE;
	mach_mmu_flush(mmu, ALL, 1, 0, UINT64_MAX);
	assert_int_equal(touch(va, MACH_WRITE), -QUIRE_EFAULT);
	*entry_of(va, 1) = (*entry_of(va, 1) | QUIRE_ENTRY_WRITE) & ~QUIRE_ENTRY_USER;
	mach_mmu_flush(mmu, ALL, 1, 0, UINT64_MAX);
	assert_int_equal(touch(va, MACH_READ), -QUIRE_EFAULT);
	map(va, 0, DATA, PERMISSIONS | QUIRE_ENTRY_NX);
	assert_int_equal(touch(va, MACH_EXEC), -QUIRE_EFAULT);
	assert_int_equal(touch(va, MACH_WRITE), DATA);
	assert_int_equal(touch(UINT64_C(1) << QUIRE_VA_BITS, MACH_READ), -QUIRE_EFAULT);
}

static void test_tlb_keeps_what_the_table_lost(void **state)
{
	const uint64_t va = 2 * QUIRE_PAGE_SIZE;

	(void)state;
	map(va, 0, DATA, PERMISSIONS);
	assert_int_equal(touch(va, MACH_READ), DATA);
	*entry_of(va, 0) = 0;
	assert_int_equal(touch(va, MACH_READ), DATA);
	/* Another address, another address space: not this translation. */
	mach_mmu_flush(mmu, ALL, 1, va + QUIRE_PAGE_SIZE, va + 2 * QUIRE_PAGE_SIZE);
	mach_mmu_flush(mmu, ALL, 2, 0, UINT64_MAX);
	assert_int_equal(touch(va, MACH_READ), DATA);
	mach_mmu_load(mmu, QUIRE_LEVELS, 2);
	assert_int_equal(touch(va, MACH_READ), -QUIRE_EFAULT);
	mach_mmu_load(mmu, QUIRE_LEVELS, 1);
	assert_int_equal(touch(va, MACH_READ), DATA);
	mach_mmu_flush(mmu, ALL, 1, va, va + 1);
	assert_int_equal(touch(va, MACH_READ), -QUIRE_EFAULT);
}

static void test_a_large_entry_is_one_translation(void **state)
{
	const uint64_t last = QUIRE_PMD_SIZE - QUIRE_PAGE_SIZE;

	(void)state;
	map(0, 1, 0, PERMISSIONS | QUIRE_ENTRY_LEAF);
	if (last / QUIRE_PAGE_SIZE < NR_FRAMES)
		assert_int_equal(touch(last, MACH_READ), last / QUIRE_PAGE_SIZE);
	assert_int_equal(touch(QUIRE_PAGE_SIZE, MACH_READ), 1);
	*entry_of(0, 1) = 0;
	assert_int_equal(touch(2 * QUIRE_PAGE_SIZE, MACH_READ), 2);
	/* A flush of any page of it removes it whole. */
	mach_mmu_flush(mmu, ALL, 1, last, last + QUIRE_PAGE_SIZE);
	assert_int_equal(touch(QUIRE_PAGE_SIZE, MACH_READ), -QUIRE_EFAULT);
}

static void test_sets_and_ways_replace(void **state)
{
	(void)state;
	/* Three pages of one set of two ways. */
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t va = QUIRE_PAGE_SIZE * 4 * i % (QUIRE_PAGE_SIZE * QUIRE_TABLE_ENTRIES);

		if (QUIRE_TABLE_ENTRIES < 16)
			return;
		map(va, 0, DATA + i, PERMISSIONS);
		assert_int_equal(touch(va, MACH_READ), DATA + i);
		*entry_of(va, 0) = 0;
	}
	assert_int_equal(touch(0, MACH_READ), -QUIRE_EFAULT);
	assert_int_equal(touch(4 * QUIRE_PAGE_SIZE, MACH_READ), DATA + 1);
	assert_int_equal(touch(8 * QUIRE_PAGE_SIZE, MACH_READ), DATA + 2);
}

/* ---- under the scheduler --------------------------------------------------------- */

static int explored_setup(void *context)
{
	if (setup(context))
		return -QUIRE_ENOMEM;
	mach_note_alloc(memory, NR_FRAMES * QUIRE_PAGE_SIZE);
	map(0, 0, DATA, PERMISSIONS);
	return 0;
}

/* A store through the TLB and a write protection: the dirty bit or the fault. */
static void dirty_body(void *context, unsigned cpu)
{
	struct mach_access access;
	uint64_t entry;

	(void)context;
	mach_mmu_load(mmu, QUIRE_LEVELS, 1);
	if (cpu == 0) {
		if (mach_mmu_access_begin(mmu, 0, MACH_WRITE, &access) == 0) {
			*(volatile char *)access.mem = 1;
			mach_mmu_access_end(mmu);
		}
		return;
	}
	entry = mach_fetch_and(entry_of(0, 0), ~QUIRE_ENTRY_WRITE, MACH_SEQ_CST);
	mach_mmu_flush(mmu, ALL, 1, 0, QUIRE_PAGE_SIZE);
	if (*(volatile char *)(memory + DATA * QUIRE_PAGE_SIZE) &&
	    !(mach_load(entry_of(0, 0), MACH_RELAXED) & QUIRE_ENTRY_DIRTY))
		explore_fail("a store without a dirty bit, entry was 0x%llx",
			     (unsigned long long)entry);
	*(volatile char *)(memory + DATA * QUIRE_PAGE_SIZE) = 2;
}

static void dirty_check(void *context)
{
	(void)context;
	/* Protected and flushed before it was set to 2: nobody wrote later. */
	if (memory[DATA * QUIRE_PAGE_SIZE] != 2)
		explore_fail("a store after the flush");
}

static void test_no_store_is_lost_or_late(void **state)
{
	struct explore_config config = { .program = { .name = "dirty", .nr_cpus = 2,
		.setup = explored_setup, .body = dirty_body, .check = dirty_check },
		.schedules = 20000 };
	struct explore_result result;

	(void)state;
	for (int i = 0; i < 2; i++) {
		config.strategy = i ? EXPLORE_PCT : EXPLORE_RANDOM;
		config.depth = 3;
		assert_int_equal(explore_run(&config, &result), 0);
		if (result.failure != EXPLORE_NONE)
			fail_msg("%s\n%s", result.diagnosis, result.timeline);
	}
}

static uint32_t *touched; /* in the machine's memory */

static int stale_setup(void *context)
{
	int ret = explored_setup(context);

	touched = mach_mem_alloc(sizeof(*touched), 64);
	return ret ? ret : touched ? 0 : -QUIRE_ENOMEM;
}

/* CPU 1 has used the page and does not touch it again: its TLB could. */
static void stale_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 1) {
		mach_mmu_load(mmu, QUIRE_LEVELS, 1);
		assert_int_equal(touch(0, MACH_READ), DATA);
		mach_store(touched, 1u, MACH_RELEASE);
		return;
	}
	while (!mach_load(touched, MACH_ACQUIRE))
		mach_relax();
	mach_store(entry_of(0, 0), UINT64_C(0), MACH_RELAXED);
	mach_note_free(memory + DATA * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE);
}

/* The same after CPU 1 has gone to another address space: nobody reaches it. */
static void elsewhere_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 1) {
		mach_mmu_load(mmu, QUIRE_LEVELS, 1);
		assert_int_equal(touch(0, MACH_READ), DATA);
		mach_mmu_load(mmu, QUIRE_LEVELS, 2);
		mach_store(touched, 1u, MACH_RELEASE);
		return;
	}
	while (!mach_load(touched, MACH_ACQUIRE))
		mach_relax();
	mach_store(entry_of(0, 0), UINT64_C(0), MACH_RELAXED);
	mach_note_free(memory + DATA * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE);
}

static void test_a_free_looks_at_every_tlb(void **state)
{
	struct explore_config config = { .program = { .name = "stale", .nr_cpus = 2,
		.setup = stale_setup, .body = stale_body }, .schedules = 100 };
	struct explore_result result;

	(void)state;
	assert_int_equal(explore_run(&config, &result), 0);
	assert_int_equal(result.failure, EXPLORE_STALE_TRANSLATION);
	assert_non_null(strstr(result.diagnosis, "still reaches"));
	explore_result_fini(&result);
	config.program.body = elsewhere_body;
	assert_int_equal(explore_run(&config, &result), 0);
	assert_int_equal(result.failure, EXPLORE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_walk_marks_the_leaf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_permissions_of_all_levels_count, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_tlb_keeps_what_the_table_lost, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_large_entry_is_one_translation, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_sets_and_ways_replace, setup, teardown),
		cmocka_unit_test(test_no_store_is_lost_or_late),
		cmocka_unit_test(test_a_free_looks_at_every_tlb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
