/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gather: nothing is freed before the flush, nothing is forgotten.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quire/testing.h>

#include "tlb/gather.h"

enum { NR_FRAMES = 1200, NR_PAGES = 700 };

static struct phys phys;
static struct pgtable pt;
static struct mach_mmu *mmu;
static u64 nr_removed;
static int vma_stand_in;

static void remove_rmap(struct phys *phys_arg, struct frame *frame, u32 nr, void *vma)
{
	assert_ptr_equal(phys_arg, &phys);
	assert_ptr_equal(vma, &vma_stand_in);
	assert_int_equal(frame->mapcount, 1);
	frame->mapcount = 0;
	nr_removed += nr;
}

static int setup(void **state)
{
	struct mach_mmu_config config = { .nr_cpus = 1, .tlb_sets = 4, .tlb_ways = 2 };

	(void)state;
	assert_int_equal(phys_init(&phys, NR_FRAMES, 1), 0);
	config.phys_base = phys.base;
	config.nr_frames = phys.nr_frames;
	assert_int_equal(mach_mmu_create(&config, &mmu), 0);
	assert_int_equal(pgtable_init(&pt, &phys, mmu, 1), 0);
	mach_mmu_load(mmu, frame_pfn(&phys, (struct frame *)(void *)pt.root).v, 1);
	pt.cpus.bits = 1;
	nr_removed = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(pgtable_fini(&pt), 0);
	mach_mmu_destroy(mmu);
	assert_int_equal(phys_fini(&phys), 0);
	return 0;
}

static struct folio *map_page(u64 addr)
{
	struct folio *folio = folio_alloc(&phys, 0, ALLOC_ZERO);
	struct table *table;
	entry_t *slot;

	assert_non_null(folio);
	assert_int_equal(pgtable_ensure(&pt, addr, 0, &slot, &table), 0);
	folio->mapcount = 1;
	entry_store(slot, entry_make(folio_pfn(&phys, folio),
				     QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_USER |
					     QUIRE_ENTRY_WRITE));
	return folio;
}

static void take_page(u64 addr)
{
	struct table *table;

	entry_take(pgtable_find(&pt, addr, 0, &table));
}

static bool tlb_reaches(u64 addr)
{
	struct mach_access access;

	if (mach_mmu_access_begin(mmu, addr, MACH_WRITE, &access))
		return false;
	mach_mmu_access_end(mmu);
	return true;
}

static void frees_after_the_flush(void **state)
{
	u64 addr = 2 * PMD_SIZE, nr_free;
	struct gather gather;
	struct folio *folio = map_page(addr);

	(void)state;
	assert_true(tlb_reaches(addr));
	gather_begin(&gather, &pt, remove_rmap, false);
	nr_free = phys_nr_free(&phys);
	take_page(addr);
	folio->mapcount = 0;
	gather_note_range(&gather, addr, addr + PAGE_SIZE);
	assert_false(gather_add(&gather, &folio->frame, 1, false));
	/* The table no longer says so, but the TLB still does: not yet free. */
	assert_true(tlb_reaches(addr));
	assert_int_equal(phys_nr_free(&phys), nr_free);
	gather_unlink_tables(&gather, addr, addr + PAGE_SIZE, 0, 0);
	assert_int_equal(phys_nr_free(&phys), nr_free);
	gather_end(&gather);
	assert_false(tlb_reaches(addr));
	assert_int_equal(phys_nr_free(&phys), nr_free + 1 + QUIRE_LEVELS - 1);
}

/* A page whose rmap is delayed keeps its mapcount until the TLB is flushed. */
static void delayed_rmap(void **state)
{
	u64 addr = PMD_SIZE;
	struct folio *folios[3];
	struct gather gather;

	(void)state;
	gather_begin(&gather, &pt, remove_rmap, false);
	for (unsigned i = 0; i < 3; i++) {
		folios[i] = map_page(addr + i * PAGE_SIZE);
		assert_true(tlb_reaches(addr + i * PAGE_SIZE));
		take_page(addr + i * PAGE_SIZE);
	}
	gather_note_range(&gather, addr, addr + 3 * PAGE_SIZE);
	folios[1]->mapcount = 0;
	assert_false(gather_add(&gather, &folios[0]->frame, 1, true));
	assert_false(gather_add(&gather, &folios[1]->frame, 1, false));
	assert_false(gather_add(&gather, &folios[2]->frame, 1, true));
	assert_int_equal(nr_removed, 0);
	gather_flush_rmap(&gather, &vma_stand_in);
	assert_int_equal(nr_removed, 2);
	for (unsigned i = 0; i < 3; i++)
		assert_false(tlb_reaches(addr + i * PAGE_SIZE));
	/* Once is enough. */
	gather_flush_rmap(&gather, &vma_stand_in);
	assert_int_equal(nr_removed, 2);
	gather_unlink_tables(&gather, addr, addr + PMD_SIZE, 0, 0);
	gather_end(&gather);
}

/* More than one batch holds; every `every`-th is delayed; flush when told. */
static void gathers_many(unsigned every, u64 fail_nth)
{
	u64 nr_free = phys_nr_free(&phys), nr_flushes = 0, nr_delayed = 0;
	struct gather gather;

	quire_fail_nth(0);
	gather_begin(&gather, &pt, remove_rmap, false);
	for (unsigned i = 0; i < NR_PAGES; i++) {
		struct folio *folio = folio_alloc(&phys, 0, 0);
		bool delayed = i % every == 0;

		assert_non_null(folio);
		folio->mapcount = delayed;
		nr_delayed += delayed;
		if (fail_nth)
			quire_fail_nth(fail_nth);
		if (gather_add(&gather, &folio->frame, 1, delayed)) {
			gather_flush_rmap(&gather, &vma_stand_in);
			gather_flush(&gather);
			nr_flushes++;
		}
		quire_fail_nth(0);
	}
	gather_flush_rmap(&gather, &vma_stand_in);
	gather_end(&gather);
	assert_int_equal(nr_removed, nr_delayed);
	assert_int_equal(phys_nr_free(&phys), nr_free);
	if (fail_nth) /* no batch was to be had: the inline part alone */
		assert_int_equal(nr_flushes, NR_PAGES / GATHER_INLINE);
}

static void many_pages(void **state)
{
	(void)state;
	gathers_many(3, 0);
}

static void many_pages_without_memory(void **state)
{
	(void)state;
	gathers_many(5, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frees_after_the_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(delayed_rmap, setup, teardown),
		cmocka_unit_test_setup_teardown(many_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(many_pages_without_memory, setup, teardown),
	};

	assert_int_equal(mach_attach(), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
