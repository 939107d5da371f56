/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page tables of one address space.
 *
 * QUIRE_LEVELS levels; a table fills one frame (its first
 * QUIRE_TABLE_ENTRIES entries); level 0 tables map pages.  A leaf at level 1
 * maps a PMD-sized folio.  Every table but the root counts in table_bytes,
 * as Linux's VmPTE counts them, deposited ones included.
 *
 * Locking.  Entries of a table of level 0 or 1: that table's lock (rank pte or
 * pmd).  Entries of the tables above: pgtable.lock (rank page_table).  All only
 * for changing entries; walking down needs no lock but a promise that no table
 * goes away: the mmap lock in any mode, or a lock that keeps one of the VMAs in
 * the range findable by rmap (i_mmap, anon_vma): tables are freed under the mmap
 * write lock after their VMAs were unlinked from rmap.
 *
 * A slot of level 1 moves under its lock, and
 *
 *     none <-> leaf, none -> table, leaf -> table   the mmap lock in any mode
 *     table -> leaf, table -> none                  for writing, and rmap's locks
 *
 * So a table that was found stays, and a leaf that was found may be a table or
 * nothing by the time its lock is taken: who met a leaf locks, reads the slot
 * again, and walks again when it is no leaf any more.
 *
 * Who meets an empty slot of level 1 passes it by without the lock, and so does
 * not wait for who emptied it, as it would at level 0, where the table is there
 * to be locked.  What others may rely on once a leaf is gone (that no CPU writes
 * through its TLB any more) has to be true before the slot is emptied.
 *
 * Lock key:  (C) constant  (A) atomic  (U) pgtable.lock  (T) table lock
 */
#ifndef PGTABLE_PGTABLE_H
#define PGTABLE_PGTABLE_H

#include "pgtable/entry.h"
#include "phys/phys.h"

/* Laid over the descriptor of a frame that is a table (FRAME_TABLE). */
struct table {
	u32 flags; /* as struct frame */
	u8 order;
	u8 level;          /* (C) 0: maps pages */
	u8 spare[2];
	struct list link;  /* (O) while on its way to be freed */
	void *spare_mapping;
	u64 va;            /* first address its entries cover: (C), but for a move,
	                      which keeps all walks away */
	struct table *deposited; /* (T) of a level 1 table: the first one deposited in
	                            it; of that one: the next */
	u32 spare_mapcount;
	struct refcount refs;
	struct spinlock lock; /* guards the entries of a table of level 0 or 1 */
};

_Static_assert(sizeof(struct table) <= sizeof(struct frame), "overlay");
_Static_assert(offsetof(struct table, refs) == offsetof(struct frame, refs), "overlay");

struct pgtable {
	struct phys *phys;       /* (C) */
	struct mach_mmu *mmu;    /* (C) */
	struct table *root;      /* (C) */
	u32 asid;                /* (C) not 0 */
	struct mach_cpuset cpus; /* (A) CPUs whose TLB may hold our entries */
	struct spinlock lock;    /* guards entries above level 1 */
	u64 table_bytes;         /* (A) all tables but the root */
	u64 table_bytes_peak;    /* (A) */
};

/* 0 or -ENOMEM. */
int pgtable_init(struct pgtable *pt, struct phys *phys, struct mach_mmu *mmu,
		 u32 asid) MUST_CHECK;
/* Frees the root.  Returns the bytes of other tables that were never freed: 0,
 * but for the known-bad alternative of the fork-undo decision. */
u64 pgtable_fini(struct pgtable *pt);

static inline unsigned pgtable_index(u64 addr, unsigned level)
{
	return (unsigned)(addr >> QUIRE_LEVEL_SHIFT(level)) & (QUIRE_TABLE_ENTRIES - 1);
}

static inline entry_t *table_slots(const struct pgtable *pt, const struct table *table)
{
	return frame_bytes(pt->phys, (const struct frame *)(const void *)table);
}

/* The table a (non-leaf) upper entry points to. */
static inline struct table *entry_table(const struct pgtable *pt, entry_t e)
{
	return (struct table *)(void *)pfn_frame(pt->phys, entry_pfn(e));
}

/*
 * The slot for `addr` at `level`, and its table; NULL when a table on the way
 * is missing or a leaf is in the way.
 */
entry_t *pgtable_find(const struct pgtable *pt, u64 addr, unsigned level,
		      struct table **ret_table);
/*
 * The same, allocating missing tables; 0, -ENOMEM, or -EEXIST when a leaf is
 * in the way.  What was allocated on the way to a failure stays (empty tables
 * are valid) and goes with the range.
 */
int pgtable_ensure(struct pgtable *pt, u64 addr, unsigned level, entry_t **ret_slot,
		   struct table **ret_table) MUST_CHECK;

/*
 * A run of slots that lie in one table: [addr, end) at `level`; level 0, or a
 * single leaf at level 1 or the part of it that was asked for.
 */
struct span {
	u64 addr, end;
	entry_t *slots; /* slots[0] maps addr */
	struct table *table;
	unsigned level;
	u64 none_from, none_until; /* seen to have no table */
};

/* What maps `addr`, which is in the span. */
static inline entry_t *span_slot(const struct span *span, u64 addr)
{
	return span->slots + ((addr - span->addr) >> QUIRE_LEVEL_SHIFT(span->level));
}

/* By walking down from the root. */
bool pgtable_walk_span(const struct pgtable *pt, u64 addr, u64 end, struct span *span);

/* True when the level 0 table of `span` is also that of addr. */
static inline bool span_has_table_for(const struct span *span, u64 addr)
{
	return span->table != NULL && span->level == 0 &&
	       align_down(addr, PMD_SIZE) == span->table->va;
}

/*
 * The next run in [addr, end) that has a table; false when there is none.
 *     struct span s = { 0 };
 *     for (u64 a = start; pgtable_next_span(pt, a, end, &s); a = s.end)
 * What *span found last is looked at first: going on with the same span over
 * neighbouring ranges spares the walk.  No table may go away meanwhile; one
 * that comes may be missed.
 */
static inline bool pgtable_next_span(const struct pgtable *pt, u64 addr, u64 end,
				     struct span *span)
{
	if (addr >= end)
		return false;
	if (!span_has_table_for(span, addr)) {
		if (addr >= span->none_from && end <= span->none_until)
			return false;
		return pgtable_walk_span(pt, addr, end, span);
	}
	span->addr = addr;
	span->end = u64_min(end, span->table->va + PMD_SIZE);
	span->slots = table_slots(pt, span->table) + pgtable_index(addr, 0);
	return true;
}

static inline void table_lock(struct table *table) ACQUIRES(table->lock)
{
	spin_lock(&table->lock);
}

static inline void table_unlock(struct table *table) RELEASES(table->lock)
{
	spin_unlock(&table->lock);
}

/*
 * For a span that is a leaf: locks its table and reads the slot.  False, with
 * nothing locked: it is no leaf any more, walk again from span->addr.
 */
static inline bool span_lock_leaf(const struct span *span, entry_t *ret_entry)
	TRY_ACQUIRES(true, span->table->lock) NO_LOCK_ANALYSIS
{
	table_lock(span->table);
	*ret_entry = entry_load(span->slots);
	if (likely(entry_is_leaf(*ret_entry)))
		return true;
	table_unlock(span->table);
	return false;
}

/* All of a leaf, not only a part. */
static inline bool span_is_whole_leaf(const struct span *span)
{
	return span->level == 1 && span->end - span->addr == PMD_SIZE;
}

/*
 * Takes out of the tree and appends to `tables` (by table.link) every table
 * whose whole span lies in [floor, ceiling) and which [addr, end) touches: the
 * caller knows that nothing else is mapped in [floor, ceiling).  ceiling 0
 * means the top of the address space.  A `ceiling` that is not the start of
 * something mapped but of something that never was leaves tables behind: the
 * leak told in letter 004_b20df14de9f2b197.txt.
 * Pre: mmap write lock; the range holds no present entries.
 */
void pgtable_unlink_range(struct pgtable *pt, u64 addr, u64 end, u64 floor, u64 ceiling,
			  struct list *tables);
/* Frees a table that was unlinked, after the flush (see tlb/gather.h), or one
 * that never was in the tree. */
void table_free(struct pgtable *pt, struct table *table);

/* ---- leaves ------------------------------------------------------------------ */
/*
 * A leaf may have to become a table at a moment when nothing may fail (half of
 * it is unmapped).  So whoever puts one that must not be dropped deposits a
 * level 0 table with it in the level 1 table.  Which deposit is whose does not
 * matter; there are as many as such leaves.
 */

/* A table for a deposit, counted in table_bytes; what is in it means nothing.
 * NULL when there is no memory. */
struct table *pgtable_alloc_deposit(struct pgtable *pt);

/* Both: lock of `pmd_table` held. */
static inline void pgtable_deposit(struct table *pmd_table, struct table *table)
{
	lock_assert_held(&pmd_table->lock);
	check(pmd_table->level == 1 && table->level == 0 && table->deposited == NULL);
	table->deposited = pmd_table->deposited;
	pmd_table->deposited = table;
}

/* Pre: there is one. */
static inline struct table *pgtable_withdraw(struct table *pmd_table)
{
	struct table *table = pmd_table->deposited;

	lock_assert_held(&pmd_table->lock);
	check(table != NULL);
	pmd_table->deposited = table->deposited;
	table->deposited = NULL;
	return table;
}

/* For checks: how many there are, and the first level 1 table that covers an address
 * from *addr on, *addr then being its end; NULL: none. */
u32 pgtable_nr_deposited(const struct table *pmd_table);
struct table *pgtable_next_pmd_table(const struct pgtable *pt, u64 *addr);

/* What the entry of page `index` would say, were the leaf split; it keeps the
 * LEAF bit, by which it can be told. */
static inline entry_t leaf_page_entry(entry_t leaf, u64 index)
{
	return (entry_t){ leaf.v + (index << QUIRE_ENTRY_PFN_SHIFT) };
}

/*
 * The leaf in `slot` of `pmd_table` becomes the table that is withdrawn: page i
 * of it maps frame first + i * step with all that the leaf said.  `step` is 1
 * for the pages of a folio, 0 where all share one frame (that of the small page
 * of zeros).  Returns the table, whose slots others may find from now on.
 *
 * Lock of `pmd_table` held.  Nothing has to be flushed: what TLBs hold of the
 * leaf and the new entries say the same, and whoever changes one of those
 * flushes its address, with which the translation of the leaf goes everywhere.
 */
struct table *pgtable_split_leaf(struct pgtable *pt, struct table *pmd_table, entry_t *slot,
				 pfn_t first, u32 step);

#endif
