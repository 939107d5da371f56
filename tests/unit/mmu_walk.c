/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software MMU: walks against a plain reading of the tables, the bits
 * they set, and the TLB against a list of what may be in it.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/entry.h>
#include <quire/machine.h>

#include "base/types.h"
#include "common/mmu.h"
#include "sync/lock.h"

enum { NR_FRAMES = 64 };

#define TABLE_FLAGS (QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_USER)

static char *memory;
static struct mmu_memory phys_memory;

static u64 *entry_of(u64 table, u64 slot)
{
	return (u64 *)(void *)(memory + (table << PAGE_SHIFT)) + slot;
}

static u64 make_entry(u64 pfn, u64 flags)
{
	return pfn << QUIRE_ENTRY_PFN_SHIFT | flags;
}

/* Tables 1 .. QUIRE_LEVELS, the root first; slot 1 of each but the last leads
 * to the next, slot 0 of each lower one too. */
static void build_tables(void)
{
	memset(memory, 0, NR_FRAMES * PAGE_SIZE);
	for (u64 i = 1; i < QUIRE_LEVELS; i++)
		*entry_of(i, 1) = make_entry(i + 1, TABLE_FLAGS);
}

/* The address whose slots are 1 at every level but the last. */
static u64 address_of(u64 last_slot)
{
	u64 va = last_slot << PAGE_SHIFT;

	for (unsigned level = 1; level < QUIRE_LEVELS; level++)
		va |= UINT64_C(1) << QUIRE_LEVEL_SHIFT(level);
	return va;
}

static void walks_to_a_page(void **state)
{
	struct mmu_translation t;
	u64 *leaf = entry_of(QUIRE_LEVELS, 2), va = address_of(2) + 5;

	(void)state;
	build_tables();
	assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_READ, &t), -QUIRE_EFAULT);
	*leaf = make_entry(20, QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_USER);
	assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_WRITE, &t), -QUIRE_EFAULT);
	assert_int_equal(*leaf, make_entry(20, QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_USER));
	assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_READ, &t), 0);
	assert_true(*leaf & QUIRE_ENTRY_ACCESSED);
	assert_false(*leaf & QUIRE_ENTRY_DIRTY);
	assert_int_equal(t.page, va >> PAGE_SHIFT);
	assert_int_equal(t.pfn, 20);
	assert_int_equal(t.level, 0);
	assert_true(mmu_allows(&t, MACH_READ) && mmu_allows(&t, MACH_EXEC));
	assert_false(mmu_allows(&t, MACH_WRITE));

	*leaf |= QUIRE_ENTRY_WRITE;
	assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_READ, &t), 0);
	assert_false(mmu_allows(&t, MACH_WRITE)); /* the entry is clean */
	assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_WRITE, &t), 0);
	assert_true(*leaf & QUIRE_ENTRY_DIRTY);
	assert_true(mmu_allows(&t, MACH_WRITE));
	assert_int_equal(mmu_walk(&phys_memory, 1, UINT64_C(1) << QUIRE_VA_BITS, MACH_READ, &t),
			 -QUIRE_EFAULT);
}

/* Each entry on the way can forbid. */
static void every_level_has_a_say(void **state)
{
	struct mmu_translation t;
	u64 va = address_of(0), all = TABLE_FLAGS;

	(void)state;
	for (u64 level = 1; level <= QUIRE_LEVELS; level++) {
		u64 slot = level < QUIRE_LEVELS ? 1 : 0;

		build_tables();
		*entry_of(QUIRE_LEVELS, 0) = make_entry(30, all);
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_WRITE, &t), 0);
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_EXEC, &t), 0);
		*entry_of(level, slot) |= QUIRE_ENTRY_NX;
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_EXEC, &t), -QUIRE_EFAULT);
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_WRITE, &t), 0);
		assert_false(mmu_allows(&t, MACH_EXEC));
		*entry_of(level, slot) &= ~QUIRE_ENTRY_WRITE;
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_WRITE, &t), -QUIRE_EFAULT);
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_READ, &t), 0);
		assert_false(mmu_allows(&t, MACH_WRITE));
		*entry_of(level, slot) &= ~QUIRE_ENTRY_USER;
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_READ, &t), -QUIRE_EFAULT);
		*entry_of(level, slot) = 0;
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_READ, &t), -QUIRE_EFAULT);
	}
}

static void walks_to_large_leaves(void **state)
{
	(void)state;
	for (unsigned level = 1; level < QUIRE_LEVELS; level++) {
		struct mmu_translation t;
		u64 table = QUIRE_LEVELS - level;
		u64 pages = UINT64_C(1) << (QUIRE_LEVEL_BITS * level);
		u64 va = address_of(1);

		build_tables();
		*entry_of(table, 1) = make_entry(8, TABLE_FLAGS | QUIRE_ENTRY_LEAF);
		assert_int_equal(mmu_walk(&phys_memory, 1, va, MACH_WRITE, &t), 0);
		assert_int_equal(t.level, level);
		assert_int_equal(t.pfn, 8);
		assert_int_equal(t.page, align_down(va >> PAGE_SHIFT, pages));
		assert_true(*entry_of(table, 1) & QUIRE_ENTRY_DIRTY);
	}
}

/* ---- the TLB ------------------------------------------------------------------ */

enum { SETS = 8, WAYS = 2 };

static struct mmu_translation entries[SETS * WAYS];

static struct mmu_translation translation_of(u64 page, u64 pfn, u8 level)
{
	return (struct mmu_translation){ .page = page, .pfn = pfn, .level = level };
}

static bool holds(struct mmu_tlb *tlb, u64 page, u64 *pfn)
{
	const struct mmu_translation *t = mmu_tlb_find(tlb, page << PAGE_SHIFT);

	if (!t)
		return false;
	*pfn = t->pfn + (page - t->page);
	return true;
}

static void start_tlb(struct mmu_tlb *tlb)
{
	memset(entries, 0, sizeof(entries));
	mmu_tlb_init(tlb, entries, SETS, WAYS);
}

static void keeps_address_spaces_apart(void **state)
{
	struct mmu_tlb tlb;
	struct mmu_translation t = translation_of(3, 33, 0);
	u64 pfn;

	(void)state;
	start_tlb(&tlb);
	mmu_tlb_load(&tlb, 7);
	mmu_tlb_fill(&tlb, &t);
	assert_true(holds(&tlb, 3, &pfn) && pfn == 33);
	mmu_tlb_load(&tlb, 8);
	assert_false(holds(&tlb, 3, &pfn));
	t.pfn = 44;
	mmu_tlb_fill(&tlb, &t);
	mmu_tlb_load(&tlb, 7);
	assert_true(holds(&tlb, 3, &pfn) && pfn == 33);
	mmu_tlb_flush_asid(&tlb, 7);
	assert_false(holds(&tlb, 3, &pfn));
	mmu_tlb_fill(&tlb, &t);
	assert_true(holds(&tlb, 3, &pfn) && pfn == 44);
	/* Flushing one that is not there is nothing. */
	mmu_tlb_flush_asid(&tlb, 99);
	mmu_tlb_flush(&tlb, 99, 0, PAGE_SIZE * 100);
	assert_true(holds(&tlb, 3, &pfn));
	/* More address spaces than it can tell apart: the oldest is forgotten,
	 * and what it had does not come back with its number. */
	for (u32 asid = 100; asid < 100 + MMU_TLB_SPACES; asid++) {
		mmu_tlb_load(&tlb, asid);
		assert_false(holds(&tlb, 3, &pfn));
	}
	mmu_tlb_load(&tlb, 7);
	assert_false(holds(&tlb, 3, &pfn));
}

static void large_translations_are_one_entry(void **state)
{
	struct mmu_tlb tlb;
	u64 pages = QUIRE_TABLE_ENTRIES, pfn;
	struct mmu_translation large = translation_of(pages * 4, 1000, 1);

	(void)state;
	start_tlb(&tlb);
	mmu_tlb_load(&tlb, 1);
	mmu_tlb_fill(&tlb, &large);
	assert_true(holds(&tlb, pages * 4, &pfn) && pfn == 1000);
	assert_true(holds(&tlb, pages * 5 - 1, &pfn) && pfn == 1000 + pages - 1);
	assert_false(holds(&tlb, pages * 5, &pfn));
	assert_false(holds(&tlb, pages * 4 - 1, &pfn));
	/* To flush one page of it removes it whole. */
	mmu_tlb_flush(&tlb, 1, (pages * 4 + 1) << PAGE_SHIFT, (pages * 4 + 2) << PAGE_SHIFT);
	assert_false(holds(&tlb, pages * 4, &pfn));
	mmu_tlb_fill(&tlb, &large);
	mmu_tlb_flush(&tlb, 1, 0, (pages * 4 + 1) << PAGE_SHIFT);
	assert_false(holds(&tlb, pages * 4, &pfn));
	mmu_tlb_fill(&tlb, &large);
	mmu_tlb_flush(&tlb, 1, 0, (pages * 4) << PAGE_SHIFT);
	mmu_tlb_flush(&tlb, 1, (pages * 5) << PAGE_SHIFT, (pages * 60) << PAGE_SHIFT);
	assert_true(holds(&tlb, pages * 4 + 1, &pfn) && pfn == 1001);
	/* The same for ranges so long that every entry is looked at. */
	mmu_tlb_flush(&tlb, 1, (pages * 5) << PAGE_SHIFT, (pages * 5 + 99) << PAGE_SHIFT);
	assert_true(holds(&tlb, pages * 4 + 1, &pfn));
	mmu_tlb_flush(&tlb, 1, (pages * 5 - 1) << PAGE_SHIFT, (pages * 5 + 99) << PAGE_SHIFT);
	assert_false(holds(&tlb, pages * 4, &pfn));
	mmu_tlb_fill(&tlb, &large);
	mmu_tlb_find(&tlb, (pages * 4) << PAGE_SHIFT)->epoch = 0;
	assert_false(holds(&tlb, pages * 4, &pfn));
}

static void epochs_may_wrap(void **state)
{
	struct mmu_tlb tlb;
	struct mmu_translation t = translation_of(3, 33, 0);
	u64 pfn;

	(void)state;
	/* What had the first epoch does not come back with it. */
	start_tlb(&tlb);
	mmu_tlb_load(&tlb, 1);
	mmu_tlb_fill(&tlb, &t);
	mmu_tlb_flush_asid(&tlb, 1);
	mmu_tlb_load(&tlb, 2);
	tlb.last_epoch = UINT32_MAX;
	mmu_tlb_flush_asid(&tlb, 2);
	mmu_tlb_load(&tlb, 1);
	assert_false(holds(&tlb, 3, &pfn));

	start_tlb(&tlb);
	tlb.last_epoch = UINT32_MAX - 3;
	mmu_tlb_load(&tlb, 1);
	mmu_tlb_fill(&tlb, &t);
	mmu_tlb_load(&tlb, 2);
	for (unsigned i = 0; i < 10; i++) {
		mmu_tlb_fill(&tlb, &t);
		assert_true(holds(&tlb, 3, &pfn));
		mmu_tlb_flush_asid(&tlb, 2);
		assert_false(holds(&tlb, 3, &pfn));
	}
	mmu_tlb_fill(&tlb, &t);
	mmu_tlb_load(&tlb, 1);
	assert_false(holds(&tlb, 3, &pfn));
	mmu_tlb_load(&tlb, 2);
	assert_true(holds(&tlb, 3, &pfn));
}

/* What is found is what was last filled and not flushed since. */
static void equals_a_map(void **state)
{
	enum { PAGES = 64, SPACES = 12 };
	static u64 map[SPACES][PAGES]; /* 0: must not be found */
	struct mmu_tlb tlb;
	u32 asid = 0;
	u64 nr_found = 0, pfn;

	(void)state;
	start_tlb(&tlb);
	mmu_tlb_load(&tlb, asid);
	for (u64 step = 1; step < 200000; step++) {
		u64 page = mach_random() % PAGES, end = page + 1 + mach_random() % 16;
		struct mmu_translation t = translation_of(page, step, 0);
		u32 victim = (u32)(mach_random() % SPACES);

		switch (mach_random() % 16) {
		case 0:
			asid = victim;
			mmu_tlb_load(&tlb, asid);
			break;
		case 1:
			mmu_tlb_flush_asid(&tlb, victim);
			memset(map[victim], 0, sizeof(map[victim]));
			break;
		case 2:
		case 3:
			mmu_tlb_flush(&tlb, victim, page << PAGE_SHIFT, end << PAGE_SHIFT);
			for (u64 p = page; p < end && p < PAGES; p++)
				map[victim][p] = 0;
			break;
		case 4:
		case 5:
		case 6:
			mmu_tlb_fill(&tlb, &t);
			map[asid][page] = step;
			break;
		default:
			if (!holds(&tlb, page, &pfn))
				break;
			assert_int_equal(pfn, map[asid][page]);
			nr_found++;
		}
	}
	/* A TLB that holds nothing would pass the above. */
	assert_true(nr_found > 5000);
}

static int set_up(void **state)
{
	(void)state;
	if (mach_attach())
		return -1;
	memory = mach_phys_create(NR_FRAMES * PAGE_SIZE, PAGE_SIZE);
	phys_memory = (struct mmu_memory){ memory, NR_FRAMES };
	return memory ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	mach_phys_destroy(memory, NR_FRAMES * PAGE_SIZE);
	mach_detach();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_to_a_page),
		cmocka_unit_test(every_level_has_a_say),
		cmocka_unit_test(walks_to_large_leaves),
		cmocka_unit_test(keeps_address_spaces_apart),
		cmocka_unit_test(large_translations_are_one_entry),
		cmocka_unit_test(epochs_may_wrap),
		cmocka_unit_test(equals_a_map),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
