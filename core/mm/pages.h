/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the page-table side share: what an entry of a VMA may say,
 * and the small steps of which faults, zaps and copies are made.
 *
 * States of one page's entry in a private writable VMA, and who moves it:
 *
 *     none --read-- zero page --write--+              fault.c
 *     none --write---------------------+-> own, writable, exclusive
 *     own, exclusive --fork--> shared, read-only      copy.c
 *     shared --write, others hold it--> own copy      cow.c
 *     shared --write, nobody else--> exclusive again  cow.c
 *     any --zap--> none                               zap.c
 *
 * An anonymous page is writable in a table only if it is exclusive: no other
 * address space maps it, and a pin that anybody took stays with it.
 */
#ifndef MM_PAGES_H
#define MM_PAGES_H

#include "base/bits.h"
#include "base/memory.h"
#include "mm/mm.h"

/* One fault on its way through fault.c and cow.c. */
struct fault {
	struct mm *mm;
	struct vma *vma;
	u64 addr;             /* of the page */
	bool write;
	bool unshare;         /* wants its own copy, read-only: for a read pin */
	bool major;           /* contents were read from a backing */
	bool guarded;         /* a guard is there */
	entry_t *slot;
	struct table *table;
	entry_t seen;         /* what the slot held, read without the lock */
};

static inline bool vma_is_shared(const struct vma *vma)
{
	return (vma->flags & VMA_SHARED) != 0;
}

static inline enum rss_kind mapping_rss_kind(const struct mapping *mapping)
{
	return mapping->kind == QUIRE_FILE_MEMORY ? RSS_SHMEM : RSS_FILE;
}

/* Writes must be noticed so that the folio is written back one day. */
static inline bool vma_wants_write_notice(const struct vma *vma)
{
	return vma_is_shared(vma) && vma->mapping->kind == QUIRE_FILE_HOST;
}

/* Bits that the walker may change in a live entry. */
#define ENTRY_WALKER_BITS (QUIRE_ENTRY_ACCESSED | QUIRE_ENTRY_DIRTY)

/* The same entry but for what the walker did to it. */
static inline bool entry_same(entry_t a, entry_t b)
{
	return ((a.v ^ b.v) & ~ENTRY_WALKER_BITS) == 0;
}

static inline struct frame *entry_frame(const struct mm *mm, entry_t e)
{
	return pfn_frame(&mm->q->phys, entry_pfn(e));
}

/* How many entries from slots[0] on, which holds the present `e` and so `frame`, map
 * the pages of one folio in order; at most `max`. */
static inline u32 entry_run(const entry_t *slots, u32 max, entry_t e, struct frame *frame)
{
	const struct folio *folio = frame_folio(frame);
	u64 left = folio_nr_pages(folio) - (u64)(frame - &folio->frame);
	u32 nr = 1;

	while (nr < max && nr < left &&
	       ((entry_load(&slots[nr]).v ^ (e.v + ((u64)nr << QUIRE_ENTRY_PFN_SHIFT))) &
		(QUIRE_ENTRY_PFN_MASK | QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_PROTNONE)) == 0)
		nr++;
	return nr;
}

/* A new folio of anonymous memory, known to nobody yet; NULL: no memory, or an
 * order that the chosen `sharing` cannot count. */
static inline struct folio *anon_folio_alloc_order(struct quire *q, unsigned order,
						   unsigned flags)
{
	struct folio *folio;

	/* Before a large one is cleared for nothing. */
	if (!rmap_has_order(&q->rmap, order))
		return NULL;
	folio = folio_alloc(&q->phys, order, flags);
	if (likely(folio != NULL)) {
		int err;

		atomic_store(&folio->flags, (u32)(FRAME_UPTODATE | FRAME_SWAPBACKED));
		err = rmap_anon_folio_init(&q->rmap, folio);
		check(!err);
		(void)err;
	}
	return folio;
}

static inline struct folio *anon_folio_alloc(struct quire *q, unsigned flags)
{
	return anon_folio_alloc_order(q, 0, flags);
}

/* A page of the VMA's own: exclusive, and writable if the VMA is. */
static inline entry_t anon_entry(const struct vma *vma, struct quire *q,
				 const struct folio *folio)
{
	u64 bits = vma->entry_bits | ENTRY_EXCLUSIVE | QUIRE_ENTRY_ACCESSED |
		   QUIRE_ENTRY_DIRTY;

	if (vma->flags & VMA_WRITE)
		bits |= QUIRE_ENTRY_WRITE;
	return entry_make(folio_pfn(&q->phys, folio), bits);
}

/* gather_remove_rmap_fn of this room. */
void zap_remove_rmap(struct phys *phys, struct frame *frame, u32 nr, void *vma);

/* Remembers the highest rss before it falls. */
static inline void mm_note_peak_rss(struct mm *mm)
{
	u64 now = atomic_load(&mm->rss[RSS_ANON]) + atomic_load(&mm->rss[RSS_FILE]) +
		  atomic_load(&mm->rss[RSS_SHMEM]);

	/* Two that note at once may lose the lower of two true peaks. */
	if (now > atomic_load(&mm->peak_rss))
		atomic_store(&mm->peak_rss, now);
}

/* ---- fault.c ------------------------------------------------------------------ */

/* Maps a file's folio by a leaf, where one may be and nothing is.  As fault_huge. */
bool fault_file_leaf(struct fault *fault);

/* ---- anon.c ------------------------------------------------------------------- */

/* No large folios for this VMA, whatever the instance says: its advice, or its address
 * space's wish. */
static inline bool vma_forbids_folios(const struct vma *vma)
{
	u32 disable = vma->mm->thp_disable;

	return (vma->flags & VMA_NOHUGEPAGE) || disable == QUIRE_THP_DISABLED ||
	       (disable == QUIRE_THP_ADVISED && !(vma->flags & VMA_HUGEPAGE));
}

/* Which orders of folios the VMA's anonymous memory may get: bit n for order n. */
static inline u32 vma_anon_orders(const struct vma *vma)
{
	const struct quire *q = vma->mm->q;

	if (unlikely(vma_forbids_folios(vma)))
		return 0;
	return atomic_load(unlikely(vma->flags & VMA_HUGEPAGE) ? &q->madvise_orders :
								 &q->always_orders);
}
/* A fault where nothing is mapped.  As mm_handle_fault. */
int fault_anon(struct fault *fault) MUST_CHECK;

/* ---- huge.c ------------------------------------------------------------------- */

#define PMD_PAGES (UINT32_C(1) << QUIRE_PMD_ORDER)

/* From now on whoever cuts a VMA has to look for leaves: before the first is mapped. */
static inline void mm_note_leaf(struct mm *mm)
{
	if (!atomic_load(&mm->has_leaves))
		atomic_store(&mm->has_leaves, true);
}

/*
 * A fault where a leaf is or may be: no table is.  True: dealt with, the access can be tried
 * again.  False: go on with pages (or once more: another leaf may have come).
 */
bool fault_huge(struct fault *fault);
/* The orders that a folio of a file may have if this fault brings it in: bit n for
 * order n. */
u32 fault_file_orders(const struct fault *fault);
/*
 * The leaf in `slot` becomes a table, or nothing if it is a file's.  Lock of
 * `pmd_table` held, and the mmap lock in any mode or one of the VMA's rmap
 * locks.  Nothing has to be flushed.
 */
void huge_split_locked(struct vma *vma, struct table *pmd_table, entry_t *slot);
/*
 * What is mapped at `addr`, its table locked: an entry of level 0, or what it
 * would be were a leaf split (see leaf_page_entry).  False: no table is there.
 */
bool lock_page_entry(const struct mm *mm, u64 addr, entry_t *ret_entry,
		     struct table **ret_table) TRY_ACQUIRES(true, (*ret_table)->lock);

/* ---- cow.c ------------------------------------------------------------------- */

/* A write to a present entry that does not allow it, or an unshare. */
int fault_write_protected(struct fault *fault) MUST_CHECK;
/* The VMA gets an anon_vma: a neighbour's where they could be one VMA. */
int fault_prepare_anon(struct fault *fault) MUST_CHECK;

/*
 * A pinned page stays the one that its mm sees.  The alternative `mapcount` of
 * cow-reuse comes from the time before exclusive marks: fork shares what is
 * pinned, the next write copies it away from the pin, and a read pin is taken of a
 * page that others map.
 */
static inline bool pins_are_kept(const struct quire *q)
{
	return !DECIDED(q, cow_reuse, mapcount);
}

/* ---- copy.c ------------------------------------------------------------------- */

/* One pass over the VMAs of a parent; zeroed but for what is said to be set. */
struct copy {
	struct mm *parent, *child; /* set */
	bool has_pinned;       /* set: the parent pinned pages at some time */
	struct vma *dst, *src;
	struct folio *spare;   /* for the child's copy of a pinned page */
	s64 rss[NR_RSS];       /* pages the child maps now */
	int err;               /* what stopped it, or 0 */
	entry_t moving;        /* a migration entry that stopped it, or none */
	struct span span;      /* the parent's slots */
	struct table *table;   /* the child's */
};

/* Fork's copy of one VMA's entries.  0; -ENOMEM, or -EOVERFLOW: a large folio
 * is mapped too often (child partial). */
int copy_page_range(struct copy *copy, struct vma *dst, struct vma *src) MUST_CHECK;
void copy_end(struct copy *copy);

/* ---- zap.c -------------------------------------------------------------------- */

/* One pass over VMAs of one address space; zeroed but for the gather. */
struct zap {
	struct gather *gather;
	struct vma *vma;
	bool keep_anon;   /* truncation leaves private copies */
	bool keep_guards; /* only what unmaps takes them away */
	s64 rss[NR_RSS];  /* pages taken */
	struct span span; /* where it is: neighbours share tables */
};

/* unmap_vmas into a gather that the caller began and will end. */
void zap_vmas(struct zap *zap, struct mm *mm, struct vma *first, u64 floor, u64 ceiling);
/* Takes from the mm's rss what was zapped. */
void zap_account(struct zap *zap, struct mm *mm);

/* ---- exit.c -------------------------------------------------------------------- */

/*
 * Takes the VMAs of [0, limit) out of the address space and frees them, and
 * the tables up to `ceiling` (0: all).  The VMA tree is left as it is.
 * mmap write lock; nobody else can find the mm.
 */
void mm_unmap_all(struct mm *mm, u64 limit, u64 ceiling);

/* Frees an address space whose VMAs are gone; its tree may name others'. */
void mm_discard(struct mm *mm);

/* What the marker alternative of fork-undo leaves in a tree; no VMA. */
extern const u64 fork_undo_marker;

#endif
