/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software MMU: the walk through the tables, and one CPU's TLB.
 *
 * Neither locks anything.  A walk reads entries that others may be changing,
 * so each read is one atomic load and each bit it sets one compare-and-swap.
 * A TLB is plain memory: who may touch it when is the machine's business, and
 * so is the rule that a fill never outlives a flush that came after the walk
 * began.
 *
 * As on x86, a cached translation that does not allow an access is dropped
 * and the tables decide; a write through one whose entry was clean walks
 * again, to set the dirty bit in the table.  Accessed and dirty bits are set
 * in leaf entries only.  There is no page-walk cache.
 */
#ifndef COMMON_MMU_H
#define COMMON_MMU_H

#include <quire/entry.h>
#include <quire/geometry.h>
#include <quire/machine.h>

/* What a leaf entry says about the addresses it covers. */
struct mmu_translation {
	uint64_t page;  /* first address >> QUIRE_PAGE_SHIFT */
	uint64_t pfn;   /* of that page */
	uint32_t epoch; /* a TLB's: whether this counts; 0: it does not */
	uint8_t level;  /* of the leaf; it covers 2^(QUIRE_LEVEL_BITS * level) pages */
	uint8_t allows; /* bit n: enum mach_access_kind n, without another walk */
};

static inline bool mmu_allows(const struct mmu_translation *translation,
			      enum mach_access_kind kind)
{
	return translation->allows >> kind & 1;
}

struct mmu_memory {
	char *base;
	uint64_t nr_frames;
};

/*
 * 0, or -EFAULT: the tables do not allow it, and nothing was changed.  On
 * success the accessed bit of the leaf is set, and the dirty bit for a write.
 */
int mmu_walk(const struct mmu_memory *memory, uint64_t root_pfn, uint64_t va,
	     enum mach_access_kind kind, struct mmu_translation *ret_translation);

/* ---- the TLB --------------------------------------------------------------- */

/* Address spaces a TLB tells apart; one more takes the place of the oldest. */
#define MMU_TLB_SPACES 8u

/*
 * Invariant: an entry counts only while its epoch is that of a slot in
 * `spaces`.  Epochs are never used again, so to give a slot a new one removes
 * every entry of that address space at once.
 */
struct mmu_tlb {
	uint32_t epoch;  /* of the loaded address space; 0: none */
	uint32_t levels; /* bit n: entries of level n may exist */
	uint32_t set_mask;
	uint32_t ways;
	uint32_t next_way;   /* the way that is replaced next */
	uint32_t next_space; /* the slot that is replaced next */
	uint32_t last_epoch;
	uint32_t loaded;     /* slot of the loaded address space */
	struct {
		uint32_t asid;
		uint32_t epoch; /* 0: no address space */
	} spaces[MMU_TLB_SPACES];
	struct mmu_translation *entries; /* (set_mask + 1) * ways */
};

/* `entries` is zeroed memory for sets * ways entries; sets is a power of two. */
void mmu_tlb_init(struct mmu_tlb *tlb, struct mmu_translation *entries, unsigned sets,
		  unsigned ways);
/* What is found and filled from now on belongs to `asid`. */
void mmu_tlb_load(struct mmu_tlb *tlb, uint32_t asid);
struct mmu_translation *mmu_tlb_find_large(struct mmu_tlb *tlb, uint64_t page);

/*
 * The entry that covers `va`, which may not allow the access at hand; NULL if
 * there is none.  It stays in the TLB: to clear its epoch removes it.
 */
static inline struct mmu_translation *mmu_tlb_find(struct mmu_tlb *tlb, uint64_t va)
{
	uint64_t page = va >> QUIRE_PAGE_SHIFT;
	struct mmu_translation *entry = tlb->entries + (page & tlb->set_mask) * tlb->ways;

	for (uint32_t way = 0; way < tlb->ways; way++, entry++)
		if (entry->page == page && entry->epoch == tlb->epoch && entry->level == 0)
			return entry;
	return mmu_tlb_find_large(tlb, page);
}

/* Replaces a translation of the same addresses, if there is one. */
void mmu_tlb_fill(struct mmu_tlb *tlb, const struct mmu_translation *translation);
/* Removes what covers an address in [start, end). */
void mmu_tlb_flush(struct mmu_tlb *tlb, uint32_t asid, uint64_t start, uint64_t end);
void mmu_tlb_flush_asid(struct mmu_tlb *tlb, uint32_t asid);

#endif
