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
 * Lock key:  (C) constant  (A) atomic  (V) root's lock
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
	struct anon_vma *parent; /* (C) */
	struct rwsem lock;       /* the root's is used; rank anon_vma */
	struct refcount refs;    /* keeps the memory, not the links */
	u32 nr_children;         /* (V) anon_vmas whose parent this is */
	u32 nr_vmas;             /* (V) VMAs whose anon_vma this is */
	struct interval_tree links; /* (V) anon_vma_link.node */
};

/* Joins one VMA to one anon_vma. */
struct anon_vma_link {
	struct vma *vma;          /* (C) */
	struct anon_vma *anon_vma; /* (C) */
	struct list same_vma;     /* vma->anon_chain */
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

/* `vma` gets an anon_vma if it has none (its own, or a neighbour's `share`
 * when not NULL).  mmap read lock is enough.  0 or -ENOMEM. */
int anon_vma_prepare(struct rmap *rmap, struct vma *vma, struct anon_vma *share) MUST_CHECK;
/* dst (a VMA of the same mm made from src) is linked where src is. */
int anon_vma_clone(struct rmap *rmap, struct vma *dst, const struct vma *src) MUST_CHECK;
/* dst is the child's copy of src: linked where src is, plus one of its own
 * (or a reused one: an anon_vma with no VMA and fewer than two children). */
int anon_vma_fork(struct rmap *rmap, struct vma *dst, const struct vma *src) MUST_CHECK;
/* Unlinks from all; frees what nobody needs.  vma->anon_vma becomes NULL. */
void anon_vma_unlink(struct rmap *rmap, struct vma *vma);

void i_mmap_init(struct i_mmap *i_mmap);
void i_mmap_insert(struct i_mmap *i_mmap, struct vma *vma);
void i_mmap_remove(struct i_mmap *i_mmap, struct vma *vma);
/*
 * Brackets a change of start, end or pgoff of a VMA: takes it out of its
 * interval trees with their locks held, and puts it back.  Cannot fail.
 */
void rmap_vma_change_begin(struct vma *vma);
void rmap_vma_change_end(struct vma *vma);

/* ---- mapcounts: table lock held --------------------------------------------- */
/*
 * Each of these accounts `nr` consecutive pages of one folio, from `frame`.
 * The reference that a mapping holds is the caller's: taken before, dropped
 * after.
 */

/* A new folio, not yet visible: sets mapping, index, all pages exclusive. */
void rmap_add_new_anon(struct folio *folio, struct vma *vma, u64 addr);
void rmap_add_anon(struct frame *frame, u32 nr, struct vma *vma, bool exclusive);
void rmap_add_file(struct frame *frame, u32 nr, struct vma *vma);
/*
 * Fork: the child maps what the parent maps.  For anonymous pages the
 * exclusive mark is dropped; -EBUSY (and nothing changed) when the page is
 * exclusive and may be pinned: the caller copies it instead.
 */
int rmap_dup_anon(struct frame *frame, u32 nr, struct vma *src, bool may_be_pinned);
void rmap_dup_file(struct frame *frame, u32 nr);
void rmap_remove(struct phys *phys, struct frame *frame, u32 nr, struct vma *vma);

/* Moves an exclusive folio to the VMA's own anon_vma (after COW reuse). */
void rmap_move_anon(struct folio *folio, struct vma *vma);

static inline bool folio_is_anon(const struct folio *folio)
{
	return ((uintptr_t)atomic_load(&folio->mapping) & 1) != 0;
}

/* Mappings of any of its pages. */
u32 folio_mapcount(struct folio *folio);
static inline bool folio_is_mapped(struct folio *folio)
{
	return folio_mapcount(folio) != 0;
}

/* Pins: references that others must not copy away from.  A pin adds
 * FOLIO_PIN_BIAS references to a small folio, and counts apart on a large. */
#define FOLIO_PIN_BIAS 1024u
void folio_pin(struct folio *folio);
void folio_unpin(struct phys *phys, struct folio *folio);
bool folio_maybe_pinned(struct folio *folio);

/* ---- walking ------------------------------------------------------------------ */

struct rmap_walk {
	/* Called for each VMA that may map a page of the folio, at the address
	 * where `index` (first page of the folio) would be or the VMA starts;
	 * false ends the walk. */
	bool (*visit)(struct folio *folio, struct vma *vma, u64 addr, void *arg);
	void *arg;
};
/*
 * Pre: reference and, for a file's folio, the folio lock.  An anonymous folio
 * may be unlocked: the walk gets hold of the anon_vma by the rule above.
 */
void rmap_walk(struct rmap *rmap, struct folio *folio, struct i_mmap *i_mmap,
	       const struct rmap_walk *walk);
/*
 * Write-protects and cleans every entry that maps the folio (before writeback);
 * returns how many were writable or dirty.
 */
u32 rmap_clean(struct rmap *rmap, struct folio *folio, struct i_mmap *i_mmap);

#endif
