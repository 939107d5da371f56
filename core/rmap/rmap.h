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
 *      descends from it, under the folio lock, and only while all that maps
 *      the folio are entries of one VMA in the table whose lock is held; so
 *      whoever walks the old one finds all that the new one has.
 *   4. nr_vmas counts the VMAs whose anon_vma this is; nr_children the anon_vmas
 *      whose parent it is (a root is its own parent).  They are two numbers:
 *      one number for both made an anon_vma in use look unused (CVE-2022-42703).
 *   5. Two VMAs of one address space with the same anon_vma have the same
 *      links: only then may they be merged.
 */
#ifndef RMAP_RMAP_H
#define RMAP_RMAP_H

#include "phys/objcache.h"
#include "rmap/deferred.h"
#include "rmap/score.h"
#include "rmap/vma.h"
#include "sharing/one_word.h"
#include "sharing/sharing.h"

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

/* A folio's place among them is that of its PMD range. */
#define NR_MIGRATION_LOCKS 16

/* Of one instance. */
struct rmap {
	struct phys *phys;
	struct objcache anon_vmas;
	struct objcache links;
	struct sharing sharing;
	bool per_subpage;       /* (C) pages of large folios count by themselves */
	struct rmap_score *score; /* (C) NULL: nobody judges the rival */
	struct deferred deferred;
	struct mutex migrations[NR_MIGRATION_LOCKS]; /* rank migration: see split.h */
};

struct rmap_config {
	const struct sharing_ops *ops; /* who tells how a large folio is mapped */
	u64 nr_ids;                    /* one more than mms at a time */
	bool per_subpage;              /* decision nr-mapped */
	bool score;                    /* judge the rival (score.h); only if RMAP_SCORES */
	enum deferred_rule deferred;   /* decision deferred-split */
};

/*
 * 0; -EINVAL: the rival has not so many ids, or the rule for the deferred queue
 * wants pages that count by themselves; -ENOMEM.
 */
int rmap_init(struct rmap *rmap, struct phys *phys, const struct rmap_config *config) MUST_CHECK;
/* Number of objects and ids leaked. */
u64 rmap_fini(struct rmap *rmap);

/* The chosen rival is judged: see score.h. */
static inline bool rmap_scores(const struct rmap *rmap)
{
	return RMAP_SCORES && rmap->score != NULL;
}

/* What an address space is for the reverse map: embedded in struct mm. */
struct rmap_owner {
	struct rmap *rmap;         /* (C) */
	struct sharing_mm sharing;
};

/* 0, or -EAGAIN: all ids are taken. */
int rmap_owner_init(struct rmap *rmap, struct rmap_owner *owner) MUST_CHECK;
/* Pre: it maps nothing any more. */
void rmap_owner_fini(struct rmap_owner *owner);

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

/* False: no reference may be added that is kept at a user's wish. */
bool folio_has_room(struct folio *folio);
/* False, with nothing done, when the folio has no room for another pin. */
bool folio_pin(struct folio *folio);
void folio_unpin(struct phys *phys, struct folio *folio);
/* True too, falsely, for a small folio with FOLIO_PIN_BIAS references; never
 * false for a pinned one. */
bool folio_maybe_pinned(struct folio *folio);

/* ---- mapcounts: table lock held --------------------------------------------- */
/*
 * Each of these accounts `nr` consecutive pages of one folio, from `frame`, all
 * mapped by `vma` in one table: a batch.  A mapping holds a reference, taken
 * before it is counted and dropped after: so references are never fewer than
 * mappings.  What ends in _get takes them, one a page.  What removes says how many
 * are left for the caller to drop, after the TLB flush if there is one: one a page, or
 * one for the batch where a mapping is its own reference (FRAME_WORD_REFS).
 *
 * A small folio has one atomic counter.  For a large one the rival that the
 * instance chose counts (sharing/sharing.h), once per batch, and knows who the
 * mappings are of.  A PMD entry maps each page of its folio and holds a reference for
 * each, so that splitting it into page entries changes neither.
 *
 * With nr-mapped=per-subpage each page of a large folio counts too, and the
 * folio how many of them are mapped: that is an atomic a page.
 */

/* What `vma` maps in a large folio is this owner's. */
static inline const struct sharing_mm *vma_sharer(const struct vma *vma)
{
	return &vma->owner->sharing;
}

static inline struct sharing_state *folio_sharing(struct folio *folio)
{
	return (struct sharing_state *)(void *)(&folio->frame + 1);
}

/* Folios of that order can be counted, and so mapped. */
static inline bool rmap_has_order(const struct rmap *rmap, unsigned order)
{
	const struct sharing_ops *ops = rmap->sharing.ops;

	return order == 0 || (order_is_mappable(order) && order >= ops->min_order &&
			      order <= ops->max_order);
}

/*
 * Of a new folio, known to nobody: 0, or -EINVAL for a large one of an order
 * that the rival has not.
 */
static inline int rmap_folio_init(const struct rmap *rmap, struct folio *folio)
{
	if (!folio_is_large(folio))
		return 0;
	if (rmap_scores(rmap))
		score_folio_born(rmap, folio);
	return sharing_folio_init(&rmap->sharing, folio_sharing(folio), folio_order(folio));
}

/* The same of one that will be anonymous. */
static inline int rmap_anon_folio_init(const struct rmap *rmap, struct folio *folio)
{
	int err = rmap_folio_init(rmap, folio);

	if (!err && folio_is_large(folio) && rmap->sharing.ops->unmap_hold != NULL)
		folio_move_refs_to_word(folio);
	return err;
}

/* All references to it, those of its mappings included. */
static inline u32 folio_refs(struct folio *folio)
{
	u64 low;

	if (!folio_has_word_refs(folio))
		return atomic_load_acquire(&folio->refs.value);
	low = atomic_load_acquire((const u64 *)(const void *)folio_word(folio));
	return (u32)(one_word_n(low) + one_word_refs(low));
}

/* The rival's part of an unmapping, pages by their first index in the folio. */
static inline MUST_CHECK u32 rmap_unmap_large(struct folio *folio, struct vma *vma, u32 first,
					      u32 nr)
{
	const struct sharing *sharing = &vma->owner->rmap->sharing;

	if (folio_has_word_refs(folio)) {
		sharing->ops->unmap_hold(folio_sharing(folio), vma_sharer(vma), nr);
		return 1;
	}
	sharing_unmap(sharing, folio_sharing(folio), folio_order(folio), vma_sharer(vma), first,
		      nr);
	return nr;
}

void rmap_add_new_large(struct folio *folio, struct vma *vma, bool leaf);
int rmap_add_large(struct folio *folio, struct frame *frame, u32 nr, struct vma *vma) MUST_CHECK;
int rmap_add_large_get(struct folio *folio, struct frame *frame, u32 nr,
		       struct vma *vma) MUST_CHECK;
u32 rmap_remove_large(struct folio *folio, struct frame *frame, u32 nr, struct vma *vma) MUST_CHECK;
/* The same, and no word to the deferred queue: for who will map them again. */
u32 rmap_uncount_large(struct folio *folio, struct frame *frame, u32 nr,
		       struct vma *vma) MUST_CHECK;
/* A PMD entry maps the whole folio, or no longer does. */
int rmap_add_leaf_get(struct folio *folio, struct vma *vma) MUST_CHECK;
u32 rmap_remove_leaf(struct folio *folio, struct vma *vma) MUST_CHECK;
/* A PMD entry becomes an entry for each page: only where pages are counted. */
void rmap_split_leaf(struct folio *folio, struct vma *vma);
/* An entry for each page, in one table, becomes a PMD entry: as above. */
void rmap_join_leaf(struct folio *folio, struct vma *vma);

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

static inline void rmap_set_anon(struct folio *folio, struct vma *vma, u64 addr)
{
	u32 flags = atomic_load(&folio->flags);

	check(vma->anon_vma && !folio->mapping);
	atomic_store(&folio->index, vma_index(vma, addr));
	/* RELEASE pairs with folio_hold_anon_vma. */
	atomic_store_release(&folio->mapping, anon_mapping(vma->anon_vma));
	atomic_store(&folio->flags, flags | FRAME_SWAPBACKED);
}

/*
 * A new folio, not yet visible, whose first page lies at `addr`: sets mapping
 * and index, all pages mapped once.  The caller's entries are exclusive; its
 * one reference is that of the first, and those of the others are added here.
 * Pre: vma->anon_vma was prepared; a large folio's order suits the rival.
 */
static inline void rmap_add_new_anon(struct folio *folio, struct vma *vma, u64 addr)
{
	COST_ADD(rmap_updates, 1);
	rmap_set_anon(folio, vma, addr);
	if (folio_is_large(folio))
		rmap_add_new_large(folio, vma, false);
	else
		atomic_store(&folio->mapcount, 1u);
}

/* The same for one PMD entry. */
static inline void rmap_add_new_anon_leaf(struct folio *folio, struct vma *vma, u64 addr)
{
	COST_ADD(rmap_updates, 1);
	rmap_set_anon(folio, vma, addr);
	rmap_add_new_large(folio, vma, true);
}

/*
 * 0, or -EOVERFLOW: a large folio cannot count so many; nothing changed.  The
 * caller's reference becomes that of the one page of a file.
 */
static inline MUST_CHECK int rmap_add_file(struct frame *frame, struct vma *vma)
{
	struct folio *folio = frame_folio(frame);

	check(vma->mapping != NULL && !folio_has_word_refs(folio));
	COST_ADD(rmap_updates, 1);
	if (folio_is_large(folio))
		return rmap_add_large(folio, frame, 1, vma);
	atomic_fetch_add(&frame->mapcount, 1u);
	return 0;
}

/* The same with references for `nr` mappings.  Pre: the caller has one, or keeps a
 * mapping from going; an anonymous folio has its mapping. */
static inline MUST_CHECK int rmap_add_get(struct frame *frame, u32 nr, struct vma *vma)
{
	struct folio *folio = frame_folio(frame);

	COST_ADD(rmap_updates, 1);
	if (folio_is_large(folio))
		return rmap_add_large_get(folio, frame, nr, vma);
	frame_add_counts(frame, 1);
	return 0;
}

/*
 * Fork takes the exclusive mark and the right to write from the parent's entry
 * `e` in `slot`.  False, with nothing changed, when the entry is exclusive and
 * its folio may be pinned: the child gets a copy instead.
 * `may_be_pinned`: somebody pinned pages of this mm at some time; false spares
 * the question.
 */
static inline bool rmap_share_entry(entry_t *slot, entry_t e, struct folio *folio,
				    bool may_be_pinned)
{
	u64 dropped = e.v & (ENTRY_EXCLUSIVE | QUIRE_ENTRY_WRITE);

	if (dropped == 0)
		return true;
	entry_fetch_clear(slot, dropped);
	if (likely(!may_be_pinned) || !entry_is_exclusive(e) || !folio_maybe_pinned(folio))
		return true;
	entry_fetch_set(slot, dropped);
	return false;
}

/* Returns the references to drop. */
static inline MUST_CHECK u32 rmap_remove(struct frame *frame, u32 nr, struct vma *vma)
{
	struct folio *folio = frame_folio(frame);
	u32 old;

	check(folio_is_anon(folio) ? vma->anon_vma != NULL : vma->mapping != NULL);
	COST_ADD(rmap_updates, 1);
	if (folio_is_large(folio))
		return rmap_remove_large(folio, frame, nr, vma);
	old = atomic_fetch_sub(&frame->mapcount, 1u);
	check(old > 0);
	(void)old;
	return 1;
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
 * Pre: all its mappings and references are the VMA's entries in the table whose
 * lock is held; the caller marks them exclusive.
 */
static inline void rmap_move_anon(struct folio *folio, struct vma *vma)
{
	void *mapping = anon_mapping(vma->anon_vma);

	check(folio_is_anon(folio));
	/* RELEASE pairs with folio_hold_anon_vma. */
	if (folio->mapping != mapping)
		atomic_store_release(&folio->mapping, mapping);
}

/* Mappings of all its pages. */
static inline u32 folio_mapcount(const struct rmap *rmap, struct folio *folio)
{
	if (folio_is_large(folio))
		return sharing_mapcount(&rmap->sharing, folio_sharing(folio));
	return atomic_load(&folio->mapcount);
}

static inline bool folio_is_mapped(const struct rmap *rmap, struct folio *folio)
{
	return folio_mapcount(rmap, folio) != 0;
}

/*
 * All mappings of the folio are of the VMA's mm, as far as the rival can tell.
 * Pre: the VMA maps a page of it, which the caller keeps from being unmapped.
 */
static inline bool folio_is_exclusive(struct folio *folio, const struct vma *vma)
{
	if (!folio_is_large(folio))
		return atomic_load_acquire(&folio->mapcount) == 1;
	if (rmap_scores(vma->owner->rmap))
		return score_exclusive(folio, vma);
	return sharing_exclusive(&vma->owner->rmap->sharing, folio_sharing(folio),
				 folio_order(folio), vma_sharer(vma));
}

/* A write fault decides about a large folio without folio_is_exclusive(): the
 * judge asks the rival all the same. */
static inline void rmap_score_question(struct folio *folio, const struct vma *vma)
{
	if (rmap_scores(vma->owner->rmap))
		score_question(folio, vma);
}

/* A write fault kept its page of a large folio that fork had shared, and made
 * `nr_pages` of it exclusive. */
static inline void rmap_score_reused(const struct rmap *rmap, u32 nr_pages)
{
	if (rmap_scores(rmap))
		score_reused(rmap, nr_pages);
}

/* More than one mm maps it, as far as the rival can tell; a small file folio
 * mapped twice counts as shared. */
static inline bool folio_is_shared(const struct rmap *rmap, struct folio *folio)
{
	if (!folio_is_large(folio))
		return atomic_load(&folio->mapcount) > 1;
	if (rmap_scores(rmap) && folio_is_anon(folio))
		return score_shared(rmap, folio);
	return sharing_shared(&rmap->sharing, folio_sharing(folio), folio_order(folio));
}

/* ---- walking ------------------------------------------------------------------ */

/*
 * The anon_vma of an anonymous folio that is mapped, with a reference, or NULL.
 * No lock needed, only a reference to the folio.
 */
struct anon_vma *folio_hold_anon_vma(const struct rmap *rmap, struct folio *folio);
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
