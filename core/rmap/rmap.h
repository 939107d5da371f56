/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reverse map: from a folio to the places that map it.
 *
 * A file's folios: mapping -> i_mmap, an interval tree of VMAs by page index.
 * Anonymous folios: folio->mapping holds an anon_vma (tagged bit 0), whose
 * interval tree holds one link per VMA that may map its folios.  At fork the
 * child's VMA is linked into every anon_vma of the parent's and gets one of
 * its own (Rik van Riel's chains); all anon_vmas that descend from one share
 * the lock of their root.
 *
 * The rule that keeps an anon_vma alive (letter 001_ef4970009e19dfd6.txt): a
 * folio that looks mapped promises that its anon_vma is linked and allocated,
 * so the mapcount of an anonymous page falls before its VMA is unlinked.
 *
 * Lock key:  (C) constant  (A) atomic  (M) mmap lock of the VMA's mm
 *            (V) root's lock  (T) lock of the table that maps the page
 *
 * Invariants (vma_rmap_check asserts those that one VMA shows):
 *   1. A VMA is linked to its anon_vma, to that one's parent, and so on up to
 *      the root: what descends from an anon_vma is linked to it too.
 *   2. All links of a VMA lead to one root.
 *   3. An anonymous folio's mapping is an anon_vma to which every VMA that maps
 *      the folio is linked.  It changes only from an anon_vma to one that
 *      descends from it, and only while a single page-table entry maps the
 *      page; so whoever walks the old one finds all that the new one has.
 *   4. nr_vmas counts the VMAs whose anon_vma this is; nr_children the anon_vmas
 *      whose parent it is (a root is its own parent).  They are two numbers:
 *      one number for both made an anon_vma in use look unused (CVE-2022-42703).
 *   5. Two VMAs of one address space with the same anon_vma have the same
 *      links: only then may they be merged.
 */
#ifndef RMAP_RMAP_H
#define RMAP_RMAP_H

#include "phys/objcache.h"
#include "rmap/vma.h"

/* The VMAs of one file (or shared memory object). */
struct i_mmap {
	struct rwsem lock; /* rank i_mmap */
	struct interval_tree vmas; /* (lock) vma.i_mmap */
};

struct anon_vma {
	struct anon_vma *root;   /* (C) */
	struct anon_vma *parent; /* (C) alive as long as this has links */
	struct rwsem lock;       /* the root's is used; rank anon_vma */
	struct refcount refs;    /* keeps the memory, not the links: one while there
	                            are links, one per holder, and in a root one
	                            per anon_vma that descends from it */
	u32 nr_children;         /* (V) anon_vmas whose parent this is */
	u32 nr_vmas;             /* (V) VMAs whose anon_vma this is */
	struct interval_tree links; /* (V) anon_vma_link.node */
};

/* Joins one VMA to one anon_vma. */
struct anon_vma_link {
	struct vma *vma;          /* (C) */
	struct anon_vma *anon_vma; /* (C) */
	struct list same_vma;     /* (M) vma->anon_chain, from the root down */
	struct interval_node node; /* (V) */
};

/* Caches of one instance. */
struct rmap {
	struct phys *phys;
	struct objcache anon_vmas;
	struct objcache links;
};

int rmap_init(struct rmap *rmap, struct phys *phys) MUST_CHECK;
/* Number of objects leaked. */
u64 rmap_fini(struct rmap *rmap);

/* ---- which VMAs: mmap write lock held unless said otherwise --------------- */

int anon_vma_prepare_slow(struct rmap *rmap, struct vma *vma,
			  struct anon_vma *share) MUST_CHECK;
/*
 * `vma` gets an anon_vma if it has none: its own, or when `share` is not NULL
 * that one, which vma_shareable_anon_vma() gave for a neighbour that the VMA
 * could be merged with.  mmap read lock is enough.  0 or -ENOMEM.
 */
static inline int anon_vma_prepare(struct rmap *rmap, struct vma *vma,
				   struct anon_vma *share)
{
	/* ACQUIRE pairs with anon_vma_prepare_slow: the link is seen too. */
	if (likely(atomic_load_acquire(&vma->anon_vma) != NULL))
		return 0;
	return anon_vma_prepare_slow(rmap, vma, share);
}

/*
 * The anon_vma that a neighbour of `vma` may share, or NULL.  One with further
 * links (a fork made it) is not shareable: the neighbour would have to be
 * linked to all of them.  mmap lock in any mode.
 */
static inline struct anon_vma *vma_shareable_anon_vma(const struct vma *vma)
{
	/* ACQUIRE pairs with anon_vma_prepare_slow: the chain is seen too. */
	struct anon_vma *anon_vma = atomic_load_acquire(&vma->anon_vma);

	if (!anon_vma || vma->anon_chain.next != vma->anon_chain.prev)
		return NULL;
	return anon_vma;
}

/*
 * dst, of the same mm and with no links, is linked where src is, over dst's
 * present range; dst->anon_vma becomes src's.  Used before dst is in the VMA
 * tree (split, move) or where dst has no anonymous page yet (merge).
 * 0 or -ENOMEM with dst unlinked.
 */
int anon_vma_clone(struct rmap *rmap, struct vma *dst, const struct vma *src) MUST_CHECK;
/* dst is the child's copy of src: linked where src is, plus one of its own
 * (or a reused one: an anon_vma with no VMA and fewer than two children).
 * mmap write lock of both.  0 or -ENOMEM with dst unlinked. */
int anon_vma_fork(struct rmap *rmap, struct vma *dst, const struct vma *src) MUST_CHECK;
/* Unlinks from all; frees what nobody needs.  vma->anon_vma becomes NULL.
 * Harmless for a VMA without links.  Pre: it maps no anonymous page. */
void anon_vma_unlink(struct rmap *rmap, struct vma *vma);

void i_mmap_init(struct i_mmap *i_mmap);
void i_mmap_insert(struct i_mmap *i_mmap, struct vma *vma);
void i_mmap_remove(struct i_mmap *i_mmap, struct vma *vma);
/*
 * Brackets a change of start, end or pgoff of a VMA: takes it out of its
 * interval trees with their locks held, and puts it back.  Cannot fail.
 * Pre: a VMA of a file was inserted in the file's i_mmap.
 * One VMA at a time: where pages pass from one VMA to another, the one that
 * grows changes first, so that a walk may meet a page twice but never misses it.
 */
void rmap_vma_change_begin(struct vma *vma);
void rmap_vma_change_end(struct vma *vma);

/* Asserts what one VMA shows of the invariants above; stops the machine on a
 * breach.  Pre: mmap write lock. */
void vma_rmap_check(struct vma *vma);

/* ---- mapcounts: table lock held --------------------------------------------- */
/*
 * Each of these accounts `nr` consecutive pages of one folio, from `frame`.
 * The reference that a mapping holds is the caller's: taken before, dropped
 * after.  So references are never fewer than mappings.
 *
 * A small folio has one atomic counter.  A large one counts per page, in sum,
 * and how many pages are mapped at all, the latter two once per batch.
 */

void rmap_add_new_large(struct folio *folio);
void rmap_add_large(struct folio *folio, struct frame *frame, u32 nr);
void rmap_remove_large(struct folio *folio, struct frame *frame, u32 nr);
int rmap_dup_anon_large(struct folio *folio, struct frame *frame, u32 nr,
			bool may_be_pinned) MUST_CHECK;
bool folio_maybe_pinned(struct folio *folio);

/* What folio->mapping of an anonymous folio holds, and back. */
static inline void *anon_mapping(struct anon_vma *anon_vma)
{
	return (char *)anon_vma + 1;
}

static inline struct anon_vma *mapping_anon_vma(void *mapping)
{
	return (struct anon_vma *)(void *)((char *)mapping - 1);
}

static inline bool folio_is_anon(const struct folio *folio)
{
	return ((uintptr_t)atomic_load(&folio->mapping) & 1) != 0;
}

/* A new folio, not yet visible: sets mapping, index, all pages mapped once and
 * exclusive.  Pre: vma->anon_vma was prepared. */
static inline void rmap_add_new_anon(struct folio *folio, struct vma *vma, u64 addr)
{
	u32 flags = atomic_load(&folio->flags);

	check(vma->anon_vma && !folio->mapping);
	atomic_store(&folio->index, vma_index(vma, addr));
	/* RELEASE pairs with folio_hold_anon_vma. */
	atomic_store_release(&folio->mapping, anon_mapping(vma->anon_vma));
	atomic_store(&folio->flags, flags | FRAME_SWAPBACKED | FRAME_ANON_EXCLUSIVE);
	atomic_store(&folio->mapcount, 1u);
	if (folio_is_large(folio))
		rmap_add_new_large(folio);
	COST_ADD(rmap_updates, 1);
}

static inline void rmap_add(struct frame *frame, u32 nr)
{
	struct folio *folio = frame_folio(frame);

	COST_ADD(rmap_updates, 1);
	if (folio_is_large(folio))
		rmap_add_large(folio, frame, nr);
	else
		atomic_fetch_add(&frame->mapcount, 1u);
}

/* Pages of an anonymous folio that has its mapping already. */
static inline void rmap_add_anon(struct frame *frame, u32 nr, struct vma *vma,
				 bool exclusive)
{
	check(vma->anon_vma && folio_is_anon(frame_folio(frame)));
	for (u32 i = 0; exclusive && i < nr; i++)
		frame_set(frame + i, FRAME_ANON_EXCLUSIVE);
	rmap_add(frame, nr);
	(void)vma;
}

static inline void rmap_add_file(struct frame *frame, u32 nr, struct vma *vma)
{
	check(vma->mapping != NULL);
	rmap_add(frame, nr);
	(void)vma;
}

static inline void rmap_dup_file(struct frame *frame, u32 nr)
{
	rmap_add(frame, nr);
}

/* Takes the exclusive mark from a page of a small folio; false, with nothing
 * changed, when it has one and may be pinned. */
static inline bool rmap_share_small(struct frame *frame, struct folio *folio,
				    bool may_be_pinned)
{
	if (!frame_test(frame, FRAME_ANON_EXCLUSIVE))
		return true;
	frame_clear(frame, FRAME_ANON_EXCLUSIVE);
	if (likely(!may_be_pinned) || !folio_maybe_pinned(folio))
		return true;
	frame_set(frame, FRAME_ANON_EXCLUSIVE);
	return false;
}

/*
 * Fork: the child maps what the parent (`src`) maps.  For anonymous pages the
 * exclusive mark is dropped; -EBUSY (and nothing changed) when a page is
 * exclusive and its folio may be pinned: the caller copies it instead.
 * `may_be_pinned`: somebody pinned pages of this mm at some time; false spares
 * the question.
 */
static inline int rmap_dup_anon(struct frame *frame, u32 nr, struct vma *src,
				bool may_be_pinned)
{
	struct folio *folio = frame_folio(frame);

	check(src->anon_vma && folio_is_anon(folio));
	(void)src;
	COST_ADD(rmap_updates, 1);
	if (folio_is_large(folio))
		return rmap_dup_anon_large(folio, frame, nr, may_be_pinned);
	if (!rmap_share_small(frame, folio, may_be_pinned))
		return -QUIRE_EBUSY;
	atomic_fetch_add(&frame->mapcount, 1u);
	return 0;
}

/* rmap_dup_anon of one page together with the reference of the new mapping,
 * which a small folio counts in the same word. */
static inline int rmap_dup_anon_get(struct frame *frame, struct vma *src,
				    bool may_be_pinned)
{
	struct folio *folio = frame_folio(frame);
	int err;

	check(src->anon_vma && folio_is_anon(folio));
	if (folio_is_large(folio)) {
		folio_get(folio);
		err = rmap_dup_anon(frame, 1, src, may_be_pinned);
		if (err)
			refcount_put(&folio->refs, 1); /* the caller has one */
		return err;
	}
	COST_ADD(rmap_updates, 1);
	if (!rmap_share_small(frame, folio, may_be_pinned))
		return -QUIRE_EBUSY;
	frame_add_counts(frame, 1);
	return 0;
}

/*
 * The exclusive mark stays with a page that is no longer mapped: it says
 * nothing there, and goes when the page is mapped again or freed.
 */
static inline void rmap_remove(struct phys *phys, struct frame *frame, u32 nr,
			       struct vma *vma)
{
	struct folio *folio = frame_folio(frame);

	(void)phys;
	check(folio_is_anon(folio) ? vma->anon_vma != NULL : vma->mapping != NULL);
	(void)vma;
	COST_ADD(rmap_updates, 1);
	if (folio_is_large(folio)) {
		rmap_remove_large(folio, frame, nr);
	} else {
		u32 old = atomic_fetch_sub(&frame->mapcount, 1u);

		check(old > 0);
		(void)old;
	}
}

/*
 * rmap_remove of one page of a small folio together with the reference of its
 * mapping, where no flush has to come between the two.  True: it was the last
 * reference, and the caller frees.
 */
static inline bool rmap_remove_put(struct frame *frame, struct vma *vma)
{
	check(!folio_is_large(frame_folio(frame)));
	check(vma->anon_vma != NULL || vma->mapping != NULL);
	(void)vma;
	COST_ADD(rmap_updates, 1);
	return frame_take_counts(frame, 1) == 1;
}

/*
 * Moves a folio to the VMA's own anon_vma (after COW reuse).
 * Pre: the faulting entry is its only mapping and reference; the caller marks
 * the page exclusive.
 */
static inline void rmap_move_anon(struct folio *folio, struct vma *vma)
{
	void *mapping = anon_mapping(vma->anon_vma);

	check(folio_is_anon(folio));
	/* RELEASE pairs with folio_hold_anon_vma. */
	if (folio->mapping != mapping)
		atomic_store_release(&folio->mapping, mapping);
}

/* Mappings of any of its pages. */
static inline u32 folio_mapcount(struct folio *folio)
{
	if (folio_is_large(folio))
		return atomic_load(&folio_large(folio)->total_mapcount);
	return atomic_load(&folio->mapcount);
}

static inline bool folio_is_mapped(struct folio *folio)
{
	return folio_mapcount(folio) != 0;
}

/* ---- pins ------------------------------------------------------------------- */
/*
 * Pins are references that others must not copy away from.  A pin adds
 * FOLIO_PIN_BIAS references to a small folio, and one reference and one pin,
 * counted apart, to a large one.
 *
 * Against fork.  Fork drops the exclusive mark and then asks
 * folio_maybe_pinned; a pinner pins and then looks whether the page is still
 * exclusive (and its entry unchanged), and unpins if not.  Each has a full
 * barrier between its two steps, so at least one sees the other: either fork
 * copies, or the pinner retries.  Under one table lock both are safe anyway;
 * the barriers are for a pinner without it.
 */
#define FOLIO_PIN_BIAS 1024u

/* False, with nothing done, when the folio has no room for another pin. */
bool folio_pin(struct folio *folio);
void folio_unpin(struct phys *phys, struct folio *folio);
/* True too, falsely, for a small folio with FOLIO_PIN_BIAS references; never
 * false for a pinned one. */
bool folio_maybe_pinned(struct folio *folio);

/* ---- walking ------------------------------------------------------------------ */

/*
 * The anon_vma of an anonymous folio that is mapped, with a reference, or NULL.
 * No lock needed, only a reference to the folio.
 */
struct anon_vma *folio_hold_anon_vma(struct folio *folio);
void anon_vma_put(struct rmap *rmap, struct anon_vma *anon_vma);

struct rmap_walk {
	/* Called for each VMA that may map a page of the folio, at the address
	 * where `index` (first page of the folio) would be or the VMA starts;
	 * false ends the walk. */
	bool (*visit)(struct folio *folio, struct vma *vma, u64 addr, void *arg);
	void *arg;
};
/*
 * Pre: reference and, for a file's folio, the folio lock and the file's i_mmap
 * (NULL for an anonymous folio).  An anonymous folio may be unlocked: the walk
 * gets hold of the anon_vma by the rule above.  The visitor runs with the lock
 * of the interval tree held for reading.
 */
void rmap_walk(struct rmap *rmap, struct folio *folio, struct i_mmap *i_mmap,
	       const struct rmap_walk *walk);
/*
 * Write-protects and cleans every entry that maps the folio (before writeback);
 * returns how many were writable or dirty.  When it returns, every store made
 * through one of them is in the folio, and the next one faults.
 * That holds because an unmapper that takes a dirty entry marks the folio
 * dirty, flushes the TLB and only then lets the mapcount fall, all under the
 * table lock (letter 001_ef4970009e19dfd6.txt).
 */
u32 rmap_clean(struct rmap *rmap, struct folio *folio, struct i_mmap *i_mmap);

#endif
