/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software MMU: see mmu.h for what it guarantees.  The shape of a walk,
 * of the accessed and dirty bits and of address-space ids follows the x86-64
 * manuals (Intel SDM volume 3, chapter 4); that epochs stand for ids inside a
 * TLB is ours, so that to flush a whole address space is one assignment.
 */
#include "common/mmu.h"

#include <quire/errno.h>

#define TABLE_MASK ((uint64_t)QUIRE_TABLE_ENTRIES - 1)
#define LEVEL_PAGE_SHIFT(level) (QUIRE_LEVEL_BITS * (unsigned)(level))

/* ---- the walk ------------------------------------------------------------------ */

static uint64_t entry_pfn(uint64_t entry)
{
	return (entry & QUIRE_ENTRY_PFN_MASK) >> QUIRE_ENTRY_PFN_SHIFT;
}

static uint64_t *entry_at(const struct mmu_memory *memory, uint64_t table_pfn,
			  uint64_t va, unsigned level)
{
	char *table = memory->base + (table_pfn << QUIRE_PAGE_SHIFT);

	return (uint64_t *)(void *)table + (va >> QUIRE_LEVEL_SHIFT(level) & TABLE_MASK);
}

/* All entries on the way have a say: P, U and W must be set in each. */
struct walk {
	uint64_t all_of; /* AND of the entries */
	uint64_t any_of; /* OR of the entries */
};

static bool walk_allows(const struct walk *walk, enum mach_access_kind kind)
{
	if (!(walk->all_of & QUIRE_ENTRY_USER))
		return false;
	if (kind == MACH_WRITE)
		return (walk->all_of & QUIRE_ENTRY_WRITE) != 0;
	return kind == MACH_READ || !(walk->any_of & QUIRE_ENTRY_NX);
}

/* What a translation allows without another walk, as a set of kinds. */
static uint8_t allowed_kinds(const struct walk *walk, bool is_dirty)
{
	unsigned kinds = 1u << MACH_READ;

	if (is_dirty && walk_allows(walk, MACH_WRITE))
		kinds |= 1u << MACH_WRITE;
	if (walk_allows(walk, MACH_EXEC))
		kinds |= 1u << MACH_EXEC;
	return (uint8_t)kinds;
}

/* Sets A, and D for a write.  False: the entry has changed, walk again. */
static bool mark_leaf(uint64_t *at, uint64_t entry, enum mach_access_kind kind)
{
	uint64_t marked = entry | QUIRE_ENTRY_ACCESSED;

	if (kind == MACH_WRITE)
		marked |= QUIRE_ENTRY_DIRTY;
	return marked == entry || mach_cas(at, &entry, marked, MACH_SEQ_CST);
}

enum walk_result { WALK_DONE, WALK_AGAIN, WALK_FAULT };

static enum walk_result walk_once(const struct mmu_memory *memory, uint64_t root_pfn,
				  uint64_t va, enum mach_access_kind kind,
				  struct mmu_translation *ret_translation)
{
	struct walk walk = { .all_of = UINT64_MAX };
	uint64_t table_pfn = root_pfn;
	uint64_t *at, entry;
	unsigned level = QUIRE_LEVELS;

	do {
		level--;
		at = entry_at(memory, table_pfn, va, level);
		/* ACQUIRE pairs with the RELEASE that publishes a table: what is
		 * behind this entry was written before it. */
		entry = mach_load(at, MACH_ACQUIRE);
		if (!(entry & QUIRE_ENTRY_PRESENT))
			return WALK_FAULT;
		table_pfn = entry_pfn(entry);
		if (__builtin_expect(table_pfn >= memory->nr_frames, 0))
			mach_stop(__FILE__, __LINE__, "an entry points beyond the memory");
		walk.all_of &= entry;
		walk.any_of |= entry;
	} while (level > 0 && !(entry & QUIRE_ENTRY_LEAF));

	if (!walk_allows(&walk, kind))
		return WALK_FAULT;
	if (!mark_leaf(at, entry, kind))
		return WALK_AGAIN;
	*ret_translation = (struct mmu_translation){
		.page = va >> QUIRE_LEVEL_SHIFT(level) << LEVEL_PAGE_SHIFT(level),
		.pfn = table_pfn,
		.level = (uint8_t)level,
		.allows = allowed_kinds(&walk, kind == MACH_WRITE ||
						       (entry & QUIRE_ENTRY_DIRTY)),
	};
	return WALK_DONE;
}

int mmu_walk(const struct mmu_memory *memory, uint64_t root_pfn, uint64_t va,
	     enum mach_access_kind kind, struct mmu_translation *ret_translation)
{
	enum walk_result result;

	if (va >> QUIRE_VA_BITS)
		return -QUIRE_EFAULT;
	do
		result = walk_once(memory, root_pfn, va, kind, ret_translation);
	while (result == WALK_AGAIN);
	return result == WALK_DONE ? 0 : -QUIRE_EFAULT;
}

/* ---- the TLB --------------------------------------------------------------------- */

static struct mmu_translation *set_of(const struct mmu_tlb *tlb, uint64_t page, unsigned level)
{
	uint64_t set = page >> LEVEL_PAGE_SHIFT(level) & tlb->set_mask;

	return tlb->entries + set * tlb->ways;
}

/* The entry of `epoch` whose first page is `page`; NULL if there is none. */
static inline struct mmu_translation *find_entry(const struct mmu_tlb *tlb, uint32_t epoch,
					       uint64_t page, unsigned level)
{
	struct mmu_translation *entry = set_of(tlb, page, level);

	for (uint32_t way = 0; way < tlb->ways; way++, entry++)
		if (entry->page == page && entry->epoch == epoch && entry->level == level)
			return entry;
	return NULL;
}

static uint64_t first_page(uint64_t page, unsigned level)
{
	return page >> LEVEL_PAGE_SHIFT(level) << LEVEL_PAGE_SHIFT(level);
}

void mmu_tlb_init(struct mmu_tlb *tlb, struct mmu_translation *entries, unsigned sets,
		  unsigned ways)
{
	*tlb = (struct mmu_tlb){
		.set_mask = sets - 1, .ways = ways, .entries = entries,
	};
}

/* Epochs run out after 2^32 flushes: then the whole TLB starts anew. */
static uint32_t new_epoch(struct mmu_tlb *tlb)
{
	if (++tlb->last_epoch != 0)
		return tlb->last_epoch;
	for (uint64_t i = 0; i < ((uint64_t)tlb->set_mask + 1) * tlb->ways; i++)
		tlb->entries[i].epoch = 0;
	for (unsigned i = 0; i < MMU_TLB_SPACES; i++)
		if (tlb->spaces[i].epoch)
			tlb->spaces[i].epoch = ++tlb->last_epoch;
	tlb->epoch = tlb->spaces[tlb->loaded].epoch;
	return ++tlb->last_epoch;
}

/* The slot of `asid`, or MMU_TLB_SPACES. */
static unsigned space_of(const struct mmu_tlb *tlb, uint32_t asid)
{
	for (unsigned i = 0; i < MMU_TLB_SPACES; i++)
		if (tlb->spaces[i].epoch && tlb->spaces[i].asid == asid)
			return i;
	return MMU_TLB_SPACES;
}

void mmu_tlb_load(struct mmu_tlb *tlb, uint32_t asid)
{
	unsigned slot = space_of(tlb, asid);

	if (slot == MMU_TLB_SPACES) {
		slot = tlb->next_space++ % MMU_TLB_SPACES;
		tlb->spaces[slot].asid = asid;
		tlb->spaces[slot].epoch = new_epoch(tlb);
	}
	tlb->loaded = slot;
	tlb->epoch = tlb->spaces[slot].epoch;
}

struct mmu_translation *mmu_tlb_find_large(struct mmu_tlb *tlb, uint64_t page)
{
	for (uint32_t levels = tlb->levels & ~1u; levels; levels &= levels - 1) {
		unsigned level = (unsigned)__builtin_ctz(levels);
		struct mmu_translation *entry =
			find_entry(tlb, tlb->epoch, first_page(page, level), level);

		if (entry)
			return entry;
	}
	return NULL;
}

void mmu_tlb_fill(struct mmu_tlb *tlb, const struct mmu_translation *translation)
{
	unsigned level = translation->level;
	struct mmu_translation *entry = find_entry(tlb, tlb->epoch, translation->page, level);

	if (!entry)
		entry = set_of(tlb, translation->page, level) + tlb->next_way++ % tlb->ways;
	*entry = *translation;
	entry->epoch = tlb->epoch;
	tlb->levels |= 1u << level;
}

void mmu_tlb_flush_asid(struct mmu_tlb *tlb, uint32_t asid)
{
	unsigned slot = space_of(tlb, asid);
	uint32_t epoch;

	if (slot == MMU_TLB_SPACES)
		return;
	epoch = new_epoch(tlb);
	tlb->spaces[slot].epoch = epoch;
	if (tlb->loaded == slot)
		tlb->epoch = epoch;
}

/* Looks at every entry: for ranges of more pages than there are entries. */
static void flush_by_entry(struct mmu_tlb *tlb, uint32_t epoch, uint64_t page, uint64_t end)
{
	uint64_t nr = ((uint64_t)tlb->set_mask + 1) * tlb->ways;

	for (uint64_t i = 0; i < nr; i++) {
		struct mmu_translation *entry = &tlb->entries[i];
		uint64_t span = UINT64_C(1) << LEVEL_PAGE_SHIFT(entry->level);

		if (entry->epoch == epoch && entry->page < end && entry->page + span > page)
			entry->epoch = 0;
	}
}

/* Looks for every page, at every level that has entries. */
static void flush_by_page(struct mmu_tlb *tlb, uint32_t epoch, uint64_t page, uint64_t end)
{
	for (uint32_t levels = tlb->levels; levels; levels &= levels - 1) {
		unsigned level = (unsigned)__builtin_ctz(levels);
		uint64_t span = UINT64_C(1) << LEVEL_PAGE_SHIFT(level);

		for (uint64_t p = first_page(page, level); p < end; p += span) {
			struct mmu_translation *entry = find_entry(tlb, epoch, p, level);

			if (entry)
				entry->epoch = 0;
		}
	}
}

void mmu_tlb_flush(struct mmu_tlb *tlb, uint32_t asid, uint64_t start, uint64_t end)
{
	unsigned slot = space_of(tlb, asid);
	uint64_t page = start >> QUIRE_PAGE_SHIFT;
	uint64_t end_page = ((end - 1) >> QUIRE_PAGE_SHIFT) + 1;

	if (slot == MMU_TLB_SPACES || start >= end)
		return;
	if (end_page - page > tlb->set_mask)
		flush_by_entry(tlb, tlb->spaces[slot].epoch, page, end_page);
	else
		flush_by_page(tlb, tlb->spaces[slot].epoch, page, end_page);
}
