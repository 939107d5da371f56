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
	uint8_t level;  /* of the leaf; it covers 2^(QUIRE_LEVEL_BITS * level) pages */
	bool writable;  /* all entries on the way say so */
	bool no_exec;   /* one entry on the way says so */
	bool dirty;     /* the leaf's dirty bit is set */
};

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

static inline bool mmu_allows(const struct mmu_translation *translation,
			      enum mach_access_kind kind)
{
	if (kind == MACH_WRITE)
		return translation->writable && translation->dirty;
	return kind == MACH_READ || !translation->no_exec;
}

/* ---- the TLB --------------------------------------------------------------- */

/* Address spaces a TLB tells apart; one more takes the place of the oldest. */
#define MMU_TLB_SPACES 8u

/* An entry holds for one incarnation of an address space: its epoch. */
struct mmu_tlb_entry {
	uint64_t page;
	uint64_t pfn;
	uint32_t epoch; /* 0: empty */
	uint8_t level;
	bool writable, no_exec, dirty;
};

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
	struct mmu_tlb_entry *entries; /* (set_mask + 1) * ways */
};

/* `entries` is zeroed memory for sets * ways entries; sets is a power of two. */
void mmu_tlb_init(struct mmu_tlb *tlb, struct mmu_tlb_entry *entries, unsigned sets,
		  unsigned ways);
/* What is found and filled from now on belongs to `asid`. */
void mmu_tlb_load(struct mmu_tlb *tlb, uint32_t asid);
/* True when a translation was found; it may not allow the access at hand. */
bool mmu_tlb_find(struct mmu_tlb *tlb, uint64_t va, struct mmu_translation *ret_translation);
/* Replaces a translation of the same addresses, if there is one. */
void mmu_tlb_fill(struct mmu_tlb *tlb, const struct mmu_translation *translation);
/* Removes what mmu_tlb_find() has just found. */
void mmu_tlb_drop(struct mmu_tlb *tlb, const struct mmu_translation *translation);
/* Removes what covers an address in [start, end). */
void mmu_tlb_flush(struct mmu_tlb *tlb, uint32_t asid, uint64_t start, uint64_t end);
void mmu_tlb_flush_asid(struct mmu_tlb *tlb, uint32_t asid);

#endif
