/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MMU of the threads machine: accesses, faults and flushes on several
 * CPUs.  A frame that was unmapped and flushed is never reached again.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quire/cost.h>
#include <quire/entry.h>
#include <quire/errno.h>
#include <quire/machine.h>

#include "base/bits.h"
#include "base/types.h"
#include "threads_run.h"
#include "attached.h"

enum { NR_FRAMES = 64, CPUS = 3, ROUNDS = 10000, ASID = 5 };

#define TABLE_FLAGS (QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_USER)
#define ALL_CPUS ((struct mach_cpuset){ BIT(CPUS + 1) - 1 })

static char *memory;
static struct mach_mmu *mmu;

static u64 *entry_of(u64 table, u64 slot)
{
	return (u64 *)(void *)(memory + (table << PAGE_SHIFT)) + slot;
}

static u64 make_entry(u64 pfn, u64 flags)
{
	return pfn << QUIRE_ENTRY_PFN_SHIFT | flags;
}

/* Tables 1 .. QUIRE_LEVELS, slot 0 of each leads to the next; slots of the
 * last table map pages 0, 1, ... of the address space. */
static u64 *leaf_of(u64 page)
{
	return entry_of(QUIRE_LEVELS, page);
}

static void start_mmu(void)
{
	struct mach_mmu_config config = {
		.nr_frames = NR_FRAMES, .nr_cpus = CPUS + 1, .tlb_sets = 4, .tlb_ways = 2,
	};

	memory = mach_phys_create(NR_FRAMES * PAGE_SIZE, PAGE_SIZE);
	assert_non_null(memory);
	config.phys_base = memory;
	for (u64 i = 1; i < QUIRE_LEVELS; i++)
		*entry_of(i, 0) = make_entry(i + 1, TABLE_FLAGS);
	assert_int_equal(mach_mmu_create(&config, &mmu), 0);
}

static void end_mmu(void)
{
	mach_mmu_destroy(mmu);
	mach_phys_destroy(memory, NR_FRAMES * PAGE_SIZE);
}

static int touch(u64 va, enum mach_access_kind kind, u64 *pfn)
{
	struct mach_access access;
	int err = mach_mmu_access_begin(mmu, va, kind, &access);

	if (err)
		return err;
	if (pfn)
		*pfn = access.pfn;
	assert_ptr_equal(access.mem, memory + (access.pfn << PAGE_SHIFT) + va % PAGE_SIZE);
	mach_mmu_access_end(mmu);
	return 0;
}

/* The bits a walk sets are a change of their entry: atomic against others. */
static u64 bits_of(u64 page)
{
	return mach_load(leaf_of(page), MACH_RELAXED) &
	       (QUIRE_ENTRY_ACCESSED | QUIRE_ENTRY_DIRTY);
}

static void translates_and_faults(void **state)
{
	struct mach_access access;
	u64 pfn;

	(void)state;
	start_mmu();
	assert_int_equal(touch(0, MACH_READ, &pfn), -QUIRE_EFAULT); /* nothing loaded */
	mach_mmu_load(mmu, 1, ASID);
	assert_int_equal(touch(3, MACH_READ, &pfn), -QUIRE_EFAULT);
	*leaf_of(0) = make_entry(30, QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_USER);
	assert_int_equal(touch(3, MACH_READ, &pfn), 0);
	assert_int_equal(pfn, 30);
	assert_int_equal(bits_of(0), QUIRE_ENTRY_ACCESSED);
	assert_int_equal(touch(3, MACH_WRITE, &pfn), -QUIRE_EFAULT);

	/* More rights need no flush: the tables decide. */
	*leaf_of(0) |= QUIRE_ENTRY_WRITE;
	assert_int_equal(mach_mmu_access_begin(mmu, 3, MACH_READ, &access), 0);
	assert_false(access.writable); /* clean: a write would have to walk */
	mach_mmu_access_end(mmu);
	assert_int_equal(touch(3, MACH_WRITE, &pfn), 0);
	assert_int_equal(bits_of(0), QUIRE_ENTRY_ACCESSED | QUIRE_ENTRY_DIRTY);
	assert_int_equal(mach_mmu_access_begin(mmu, 3, MACH_READ, &access), 0);
	assert_true(access.writable);
	mach_mmu_access_end(mmu);

	/* A stale translation stays until it is flushed. */
	*leaf_of(0) = make_entry(31, TABLE_FLAGS);
	assert_int_equal(touch(3, MACH_READ, &pfn), 0);
	assert_int_equal(pfn, 30);
	mach_mmu_flush(mmu, ALL_CPUS, ASID, PAGE_SIZE, PAGE_SIZE * 2); /* not it */
	mach_mmu_flush(mmu, ALL_CPUS, ASID + 1, 0, UINT64_MAX);
	mach_mmu_flush(mmu, (struct mach_cpuset){ BIT(1) }, ASID, 0, PAGE_SIZE);
	assert_int_equal(touch(3, MACH_READ, &pfn), 0);
	assert_int_equal(pfn, 30);
	mach_mmu_flush(mmu, ALL_CPUS, ASID, 0, PAGE_SIZE);
	assert_int_equal(touch(3, MACH_READ, &pfn), 0);
	assert_int_equal(pfn, 31);
	*leaf_of(0) = 0;
	assert_int_equal(touch(3, MACH_READ, &pfn), 0);
	mach_mmu_flush(mmu, ALL_CPUS, ASID, 0, UINT64_MAX);
	assert_int_equal(touch(3, MACH_READ, &pfn), -QUIRE_EFAULT);
	end_mmu();
}

static void a_missing_dirty_bit_is_set_again(void **state)
{
	(void)state;
	start_mmu();
	mach_mmu_load(mmu, 1, ASID);
	*leaf_of(1) = make_entry(9, TABLE_FLAGS);
	assert_int_equal(touch(PAGE_SIZE, MACH_WRITE, NULL), 0);
	*leaf_of(1) = make_entry(9, TABLE_FLAGS);
	mach_mmu_flush(mmu, ALL_CPUS, ASID, PAGE_SIZE, PAGE_SIZE * 2);
	assert_int_equal(touch(PAGE_SIZE, MACH_READ, NULL), 0);
	assert_int_equal(bits_of(1), QUIRE_ENTRY_ACCESSED);
	assert_int_equal(touch(PAGE_SIZE, MACH_WRITE, NULL), 0);
	assert_int_equal(bits_of(1), QUIRE_ENTRY_ACCESSED | QUIRE_ENTRY_DIRTY);
	end_mmu();
}

/* In the counting build, what letters argue about is counted. */
static void counts_its_costs(void **state)
{
	struct quire_cost cost = { 0 };
#ifdef QUIRE_COUNT_COSTS
	const unsigned one = 1;
#else
	const unsigned one = 0;
#endif

	(void)state;
	start_mmu();
	mach_mmu_load(mmu, 1, ASID);
	*leaf_of(0) = make_entry(9, TABLE_FLAGS);
	mach_set_cost(&cost);
	assert_int_equal(touch(0, MACH_WRITE, NULL), 0);
	assert_int_equal(touch(0, MACH_WRITE, NULL), 0);
	mach_mmu_flush(mmu, (struct mach_cpuset){ BIT(0) | BIT(2) | BIT(3) }, ASID, 0, PAGE_SIZE);
	mach_set_cost(NULL);
	assert_int_equal(cost.tlb_misses, 1 * one);
	assert_int_equal(cost.tlb_flushes, 1 * one);
	assert_int_equal(cost.tlb_interrupts, 2 * one);
	end_mmu();
}

/*
 * CPU 0 moves page 0 from frame to frame: it clears the entry, flushes, and
 * then poisons the old frame, as an allocator would that gives it to somebody
 * else.  The others read and write through their TLBs.
 */
struct race {
	u64 failed, hits;
	u32 done;
};

#define ALIVE UINT64_C(0x600d600d600d600d)

static void move_page(struct race *race)
{
	/* Goes on until the others had their share, however they are run. */
	for (u64 i = 0; i < ROUNDS || mach_load(&race->hits, MACH_RELAXED) < 1000; i++) {
		u64 from = 20 + i % 8, to = 20 + (i + 1) % 8;
		u64 *new = entry_of(to, 0), *old = entry_of(from, 0);

		*new = ALIVE;
		mach_xchg(leaf_of(0), 0, MACH_SEQ_CST);
		if (i % 3 == 0)
			mach_mmu_flush(mmu, ALL_CPUS, ASID, 0, UINT64_MAX);
		else
			mach_mmu_flush(mmu, ALL_CPUS, ASID, 0, PAGE_SIZE);
		*old = i;
		mach_store(leaf_of(0), make_entry(to, TABLE_FLAGS), MACH_RELEASE);
	}
	mach_store(&race->done, 1, MACH_RELEASE);
}

static void race_body(void *arg, unsigned nth)
{
	struct race *race = arg;

	mach_mmu_load(mmu, 1, ASID);
	if (nth == 0) {
		move_page(race);
		return;
	}
	while (!mach_load(&race->done, MACH_ACQUIRE)) {
		struct mach_access access;

		if (mach_mmu_access_begin(mmu, 0, nth == 1 ? MACH_READ : MACH_WRITE, &access))
			continue;
		for (unsigned again = 0; again < 3; again++)
			if (mach_load((u64 *)access.mem, MACH_RELAXED) != ALIVE)
				mach_fetch_add(&race->failed, 1, MACH_RELAXED);
		mach_fetch_add(&race->hits, 1, MACH_RELAXED);
		mach_mmu_access_end(mmu);
	}
}

static void nothing_is_reached_after_its_flush(void **state)
{
	struct race race = { 0 };

	(void)state;
	start_mmu();
	*entry_of(20, 0) = ALIVE;
	*leaf_of(0) = make_entry(20, TABLE_FLAGS);
	threads_run(CPUS, race_body, &race);
	assert_int_equal(race.failed, 0);
	end_mmu();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(translates_and_faults),
		cmocka_unit_test(a_missing_dirty_bit_is_set_again),
		cmocka_unit_test(counts_its_costs),
		cmocka_unit_test(nothing_is_reached_after_its_flush),
	};

	return cmocka_run_group_tests(tests, attach, detach);
}
