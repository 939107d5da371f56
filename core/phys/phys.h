/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Physical memory of one instance: frames, the buddy allocator, per-CPU lists.
 *
 * The range comes from the machine and is given back whole.  Free memory lies
 * in naturally aligned blocks of 2^order frames, order 0 to QUIRE_MAX_ORDER;
 * two free buddies of one order below the largest are never both on the lists
 * (they would be one block).  A CPU keeps a short list of single frames so
 * that the common allocation takes no lock.  CPUs from `nr_cpus` on may use
 * everything here too, they only go without a list.
 *
 * Lock key: (C) constant after phys_init  (Z) the zone lock  (A) atomic
 *
 * Invariants, asserted by phys_check():
 *  1. FRAME_FREE is set on the first frame of a block on free[], nowhere else;
 *     its `order` is the block's, and the block is naturally aligned.
 *  2. FRAME_PERCPU is set on the frames of per-CPU lists, nowhere else.
 *  3. No two blocks overlap; no two free buddies below the largest order.
 *  4. nr_free_by_order, nr_free and free_orders say what free[] holds.
 *  5. Frame 0 is on no list.
 */
#ifndef PHYS_PHYS_H
#define PHYS_PHYS_H

#include <quire/machine.h>

#include "phys/frame.h"

struct phys_cpu; /* a CPU's lists; private to buddy.c */

/* What the rooms above want to be told. */
struct phys_above {
	/* A folio marked FRAME_PARTLY_MAPPED has lost its last reference and is about
	 * to be freed.  Context: as folio_put. */
	void (*forget_folio)(void *arg, struct folio *folio);
	void *arg;
};

struct phys {
	void *base;            /* (C) byte 0 of frame 0 */
	u64 nr_frames;         /* (C) */
	struct frame *frames;  /* (C) nr_frames descriptors */
	unsigned nr_cpus;      /* (C) */
	struct phys_cpu *cpus; /* (C) array; each used by its CPU alone */
	u32 cpu_high;          /* (C) longest per-CPU list */
	u32 cpu_batch;         /* (C) frames moved to or from one at once */
	struct spinlock zone;  /* guards (Z) */
	u32 free_orders;       /* (Z) bit n: free[n] is not empty */
	struct list free[QUIRE_MAX_ORDER + 1]; /* (Z) */
	u64 nr_free_by_order[QUIRE_MAX_ORDER + 1]; /* (Z) blocks */
	u64 nr_free;           /* (A) frames on the lists, without per-CPU ones */
	u64 nr_reserved;       /* (C) frames that cannot be allocated (frame 0) */
	u64 nr_quarantined;    /* (A) freed frames that the machine keeps */
	struct list caches;    /* (C) object caches; changed only while the instance
				* is made or taken down */
	struct phys_above above; /* (C) set by the room above, NULLs before */
};

enum alloc_flag {
	ALLOC_ZERO = 1u << 0, /* contents are cleared */
};

/* 0 or -ENOMEM / -EINVAL (nr_frames < 2).  Frame 0 is never handed out. */
int phys_init(struct phys *phys, u64 nr_frames, unsigned nr_cpus) MUST_CHECK;
/*
 * Gives everything back.  Returns the number of frames that were still
 * allocated: a leak of the caller's.
 * Pre: every other CPU has left the instance, in an order that this one has
 * seen (it joined them, or took a lock after them).
 */
u64 phys_fini(struct phys *phys);

/*
 * A folio of 2^order frames with one reference, order in the descriptor, all
 * flags clear, mapcounts 0, lru initialised.  NULL when there is no memory,
 * when mach_should_fail() says so, or order > QUIRE_MAX_ORDER.  Before it fails
 * for want of memory it asks the object caches for slabs that nobody uses.
 * Context: any; takes the zone lock.
 */
struct folio *folio_alloc(struct phys *phys, unsigned order, unsigned flags);
/* Drops `n` references; frees with the last.  Pre: then unmapped, unlocked. */
void folio_put_n(struct phys *phys, struct folio *folio, u32 n);
static inline void folio_put(struct phys *phys, struct folio *folio)
{
	folio_put_n(phys, folio, 1);
}
/* Drops one reference of each; frees those whose last it was. */
void folio_put_many(struct phys *phys, struct folio **folios, u32 nr);
/* Frees a folio whose references are already 0 (refcount_put said so). */
void folio_free(struct phys *phys, struct folio *folio);
/*
 * Turns a folio of order n into 2^(n-m) folios of order m, each with
 * `refs` references.  The new ones have the old one's flags, mapping and (by
 * their place in it) index; private is 0; a frame keeps its own mapcount.
 * They come unlocked, but for the first,
 * whose lock stays as it was.
 * Pre: the caller has frozen the references and owns all.
 */
void folio_split_frames(struct phys *phys, struct folio *folio, unsigned order,
			u32 refs);

/* Folios that page tables can map: what knows who maps one needs the descriptors
 * of four pages. */
static inline bool order_is_mappable(unsigned order)
{
	return order >= 2 && order <= QUIRE_PMD_ORDER;
}

/* Returns this CPU's list to the buddy allocator. */
void phys_drain_cpu(struct phys *phys);
/*
 * Frames that are free, the per-CPU lists of all CPUs included.  Another CPU's
 * list is not there for this one's taking: together the lists hold at most an
 * eighth of memory, or two frames each.
 */
u64 phys_nr_free(const struct phys *phys);
/* Asserts every invariant above; stops the machine on a breach.  Pre: no other
 * CPU allocates or frees. */
void phys_check(struct phys *phys);

static inline pfn_t frame_pfn(const struct phys *phys, const struct frame *frame)
{
	return pfn_make((u64)(frame - phys->frames));
}

static inline struct frame *pfn_frame(const struct phys *phys, pfn_t pfn)
{
	check(pfn.v < phys->nr_frames);
	return &phys->frames[pfn.v];
}

static inline void *pfn_bytes(const struct phys *phys, pfn_t pfn)
{
	return (char *)phys->base + (pfn.v << PAGE_SHIFT);
}

static inline void *frame_bytes(const struct phys *phys, const struct frame *frame)
{
	return pfn_bytes(phys, frame_pfn(phys, frame));
}

static inline void *folio_bytes(const struct phys *phys, const struct folio *folio)
{
	return frame_bytes(phys, &folio->frame);
}

static inline pfn_t folio_pfn(const struct phys *phys, const struct folio *folio)
{
	return frame_pfn(phys, &folio->frame);
}

#endif
