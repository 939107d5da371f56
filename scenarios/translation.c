/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Freeing what a TLB or a walk may still reach: the order of clearing the
 * entry, flushing, and freeing.  The tables are built by hand, so that nothing
 * but the machine's own memory management unit is at work.
 */
#include <quire/entry.h>

#include "scenarios/scenario.h"
#include "sync/atomic.h"

#define VA QUIRE_PAGE_SIZE
#define ASID 1u
#define DATA_FRAME (QUIRE_LEVELS + 1) /* tables are frames 1 .. QUIRE_LEVELS */
#define NR_FRAMES (QUIRE_LEVELS + 2)

struct translation_state {
	struct mach_mmu *mmu;
	char *memory;
	bool freed; /* plain: looked at by the finish alone */
};

static u64 *entry_of(struct translation_state *s, unsigned level)
{
	u64 table = level + 1;
	u64 index = (VA >> QUIRE_LEVEL_SHIFT(level)) & (QUIRE_TABLE_ENTRIES - 1);

	return (u64 *)(void *)(s->memory + table * QUIRE_PAGE_SIZE) + index;
}

static u64 entry_to(u64 pfn)
{
	return QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_USER |
	       pfn << QUIRE_ENTRY_PFN_SHIFT;
}

static int translation_setup(void *state)
{
	struct translation_state *s = state;
	struct mach_mmu_config config = { .nr_frames = NR_FRAMES,
		.nr_cpus = SCENARIO_INSTANCE_CPUS(2), .tlb_sets = 2, .tlb_ways = 1 };
	int ret;

	s->memory = mach_phys_create(NR_FRAMES * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE);
	if (!s->memory)
		return -QUIRE_ENOMEM;
	config.phys_base = s->memory;
	ret = mach_mmu_create(&config, &s->mmu);
	if (ret) {
		mach_phys_destroy(s->memory, NR_FRAMES * QUIRE_PAGE_SIZE);
		return ret;
	}
	mach_note_alloc(s->memory + QUIRE_PAGE_SIZE, (NR_FRAMES - 1) * QUIRE_PAGE_SIZE);
	for (unsigned level = 0; level < QUIRE_LEVELS; level++)
		*entry_of(s, level) = entry_to(level == 0 ? DATA_FRAME : level);
	scenario_name(entry_of(s, 0), 8, 0, "leaf entry");
	scenario_name(entry_of(s, 1), 8, 0, "entry of the table");
	return 0;
}

/* Both CPUs use the page; then one takes it away. */
static void touch(struct translation_state *s)
{
	struct mach_access access;

	mach_mmu_load(s->mmu, QUIRE_LEVELS, ASID);
	for (int i = 0; i < 2; i++) {
		if (mach_mmu_access_begin(s->mmu, VA, MACH_READ, &access))
			return;
		scenario_expect(access.pfn == DATA_FRAME);
		mach_mmu_access_end(s->mmu);
	}
}

static void flush_on(struct translation_state *s, u64 cpus)
{
	const struct mach_cpuset set = { cpus };

	mach_mmu_flush(s->mmu, set, ASID, VA, VA + QUIRE_PAGE_SIZE);
}

static void flush(struct translation_state *s)
{
	flush_on(s, UINT64_MAX);
}

static void free_frame(struct translation_state *s, u64 pfn)
{
	s->freed = true;
	mach_note_free(s->memory + pfn * QUIRE_PAGE_SIZE, QUIRE_PAGE_SIZE);
}

static void flush_before_free_body(void *state, unsigned body)
{
	struct translation_state *s = state;

	touch(s);
	if (body > 0)
		return;
	atomic_store(entry_of(s, 0), UINT64_C(0));
	flush(s);
	free_frame(s, DATA_FRAME);
}

static void free_before_flush_body(void *state, unsigned body)
{
	struct translation_state *s = state;

	touch(s);
	if (body > 0)
		return;
	atomic_store(entry_of(s, 0), UINT64_C(0));
	/* Its own TLB is clean; the other CPU's is not yet. */
	flush_on(s, UINT64_C(1) << mach_cpu());
	free_frame(s, DATA_FRAME);
	flush(s);
}

static void table_freed_after_flush_body(void *state, unsigned body)
{
	struct translation_state *s = state;

	touch(s);
	if (body > 0)
		return;
	atomic_store(entry_of(s, 1), UINT64_C(0));
	flush(s);
	free_frame(s, 1);
}

static void table_freed_early_body(void *state, unsigned body)
{
	struct translation_state *s = state;

	touch(s);
	if (body > 0)
		return;
	atomic_store(entry_of(s, 1), UINT64_C(0));
	free_frame(s, 1);
	flush(s);
}

static void translation_finish(void *state)
{
	struct translation_state *s = state;

	scenario_expect(s->freed);
	mach_mmu_destroy(s->mmu);
	mach_phys_destroy(s->memory, NR_FRAMES * QUIRE_PAGE_SIZE);
}

#define TRANSLATION_SCENARIO(id, text, what, bug)                                  \
	SCENARIO(id, text, what, 2, struct translation_state, translation_setup, id##_body, \
		 translation_finish, .finds = bug)

TRANSLATION_SCENARIO(flush_before_free, "flush-before-free",
		     "entry cleared, TLBs flushed, page freed: the right order", NULL);
TRANSLATION_SCENARIO(free_before_flush, "free-before-flush",
		     "the page is freed before the other CPU's TLB is flushed", "stale-translation");
TRANSLATION_SCENARIO(table_freed_after_flush, "table-freed-after-flush",
		     "a page table is unlinked, flushed, freed: the right order", NULL);
TRANSLATION_SCENARIO(table_freed_early, "table-freed-early",
		     "a page table is freed while a walk may be in it", "use-after-free");
