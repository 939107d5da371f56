/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gather: what an unmapping collects so that nothing is freed before the
 * last CPU has forgotten it.
 *
 *   1. the unmapper takes entries out of the tables and adds the folios;
 *   2. gather_flush() flushes the TLBs of the collected range, once;
 *   3. only then are references dropped and tables freed.
 *
 * A full batch asks for a flush in between (gather_add_* says so).  The
 * batches come from frames; when there is none the inline part is used alone
 * and flushes are more frequent: a gather never fails.
 *
 * A dirty page of a file mapping keeps its rmap until after the flush, so that
 * writeback finds it and waits for the table lock (letter
 * 001_ef4970009e19dfd6.txt): see gather_flush_rmap.  Which pages are delayed
 * is the rmap-removal decision's business, not the gather's.
 */
#ifndef TLB_GATHER_H
#define TLB_GATHER_H

#include "pgtable/pgtable.h"

#define GATHER_INLINE 8

struct gather_item {
	struct frame *frame; /* bit 0: rmap removal is delayed */
	u32 nr_refs;         /* to drop; of a delayed item, one for each of its pages */
};

/* The first lies in the gather, the others at the start of frames. */
struct gather_batch {
	struct gather_batch *next;
	struct gather_item *items;
	u32 nr, max;
};

/* What rooms above fill in: removes the rmap of `nr` pages mapped by `vma`. */
typedef void gather_remove_rmap_fn(struct phys *phys, struct frame *frame, u32 nr,
				   void *vma);

struct gather {
	struct pgtable *pt;
	gather_remove_rmap_fn *remove_rmap;
	bool full_mm;        /* nobody runs in this address space any more */
	u32 nr_batches;      /* frames in use */
	u64 start, end;      /* what must be flushed; empty: start >= end */
	struct list tables;  /* unlinked, to free */
	struct gather_batch *active; /* where the next item goes */
	struct gather_batch *delayed; /* batch of the first delayed item, or NULL */
	u32 delayed_from;    /* its index there */
	struct gather_batch first;
	struct gather_item items[GATHER_INLINE];
};

/*
 * Pre: full_mm only from the exit of the last user.  Then the whole address
 * space is flushed here, once: nobody can fill a TLB from it again.
 */
void gather_begin(struct gather *gather, struct pgtable *pt,
		  gather_remove_rmap_fn *remove_rmap, bool full_mm);

static inline void gather_note_range(struct gather *gather, u64 start, u64 end)
{
	if (start < gather->start)
		gather->start = start;
	if (end > gather->end)
		gather->end = end;
}

/*
 * Takes over `nr_refs` references to the frame's folio.  `delayed`: call
 * remove_rmap for as many pages from `frame` on after the flush.  True: the gather
 * is full; the caller must flush before it adds more.
 */
bool gather_add(struct gather *gather, struct frame *frame, u32 nr_refs, bool delayed) MUST_CHECK;
/* What gather_add said last: it must be flushed before more is added. */
static inline bool gather_is_full(const struct gather *gather)
{
	return gather->active->nr == gather->active->max;
}
/* Takes over a table that no walker can reach: a deposit that was withdrawn. */
static inline void gather_add_table(struct gather *gather, struct table *table)
{
	list_append(&gather->tables, &table->link);
}
/* Takes the tables of a range out of the tree, to be freed after the flush:
 * see pgtable_unlink_range. */
void gather_unlink_tables(struct gather *gather, u64 addr, u64 end, u64 floor, u64 ceiling);
/*
 * With delayed items: flushes the TLB and removes their rmap.  Called with the
 * table lock still held under which the entries were taken.
 */
void gather_flush_delayed(struct gather *gather, void *vma);
static inline void gather_flush_rmap(struct gather *gather, void *vma)
{
	if (unlikely(gather->delayed != NULL))
		gather_flush_delayed(gather, vma);
}

/* Flushes the TLB, frees what was collected, goes on empty.  No locks held
 * but the mmap lock. */
void gather_flush(struct gather *gather);
void gather_end(struct gather *gather);

/* A flush by itself, for entries that were changed and stay. */
void tlb_flush_range(struct pgtable *pt, u64 start, u64 end);

#endif
