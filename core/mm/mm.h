/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces: what the files of this room share.
 *
 * Flow.  A call comes in through api.c, takes the mmap lock, finds VMAs in the
 * tree, changes them (change.h), and lets the page-table side (fault.c, zap.c,
 * protect.c, move.c, copy.c) do what follows for entries.  A fault comes in
 * through access.c and takes the mmap lock for reading.
 *
 * Lock key:  (C) constant  (A) atomic  (M) mmap_lock, write to change
 *
 * Invariants (quire_check asserts them all):
 *   1. VMAs in the tree do not overlap; each lies below TASK_SIZE, is page
 *      aligned, and sits in the tree at exactly [start, end - 1].
 *   2. nr_vmas counts them; total_pages etc. are the sums over them.
 *   3. Every present entry lies in a VMA, maps a frame whose mapcount counts
 *      it (special entries aside), and is writable only if its VMA is.
 *   4. rss counters are the numbers of such entries by kind; a PMD leaf is one
 *      for each of its pages, in all of these.
 *   5. A leaf lies in one VMA.  A level 1 table has as many tables deposited as
 *      anonymous leaves, those of zeros included.
 *   6. A page with an exclusive entry has no other entry.  What the chosen
 *      `sharing` alternative says of a large folio is true where it claims to be
 *      sound or exact.
 * And one that no check can assert, because what keeps two VMAs apart may end
 * later (a fork's chain, a stack that grows): where a call changes a range, it
 * merges it with the neighbours it can be merged with, as Linux does (merge.c).
 */
#ifndef MM_MM_H
#define MM_MM_H

#include <quire/instance.h>
#include <quire/mm.h>

#include "file/file.h"
#include "pgtable/pgtable.h"
#include "phys/objcache.h"
#include "rmap/rmap.h"
#include "tlb/gather.h"
#include "tree/maple.h"

enum rss_kind { RSS_ANON, RSS_FILE, RSS_SHMEM, NR_RSS };

struct mm {
	struct quire *q;          /* (C) */
	struct refcount users;    /* threads */
	struct list link;         /* quire.mms_lock; on quire.mms from when it is whole
	                             until it begins to go */
	struct rwsem mmap_lock;   /* rank mmap */
	struct maple_tree vmas;   /* (M) */
	struct pgtable pt;
	struct rmap_owner owner;  /* its id among those that map large folios */
	u32 nr_vmas;              /* (M) */
	u32 default_lock_flags;   /* (M) VMA_LOCKED... for new VMAs (MCL_FUTURE) */
	u64 total_pages, locked_pages, data_pages, stack_pages, exec_pages; /* (M) */
	struct quire_layout layout; /* (M) limits included */
	u32 thp_disable;          /* (M) enum quire_thp_disable */
	u32 mdwe;                 /* (M) enum quire_mdwe */
	u64 brk;                  /* (M) current break */
	u64 rss[NR_RSS];          /* (A) pages */
	u64 peak_rss;             /* (A) */
	u64 faults, major_faults, cow_copies, cow_reuses; /* (A) */
	bool has_pinned;          /* (A) pages of it were pinned at some time */
	bool has_leaves;          /* (A) PMD leaves were mapped at some time */
};

/* What one CPU does in an instance; touched by that CPU, and by the exit of the
 * address space it names. */
struct mm_cpu {
	u32 asid; /* (A) whose tables its walker uses; 0: nobody's */
} __attribute__((aligned(64)));

struct quire {
	struct quire_config config; /* (C) */
	struct mm_cpu cpus[MACH_MAX_CPUS]; /* zeroed: no tables loaded */
	struct phys phys;
	struct mach_mmu *mmu;     /* (C) */
	struct rmap rmap;
	struct files files;
	struct objcache tree_nodes;
	struct objcache vma_cache;
	struct objcache mm_cache;
	struct objcache pin_cache;
	struct folio *zero_folio; /* (C) one page of zeros, mapped special */
	struct folio *huge_zero_folio; /* (A) PMD-sized, once it was needed */
	u32 always_orders, madvise_orders; /* (A) bit n: anonymous folios of order n */
	struct spinlock mms_lock; /* rank instance */
	struct list mms;          /* (mms_lock) */
	struct mm *scan_mm;       /* (mms_lock) khugepaged goes on here; NULL: at the first */
	u64 scan_addr;            /* (mms_lock) in it */
	u32 scanning;             /* (A) khugepaged is at work */
	u64 nr_mms;               /* (mms_lock) */
	u32 next_asid;            /* (A) */
	u64 committed_pages;      /* (A) commit accounting */
	struct quire_cost *costs; /* (C) array by CPU */
};

/* The chosen alternative of a row. */
#define DECIDED(q, row, alt) \
	((q)->config.decisions.chosen[QUIRE_DECISION_##row] == QUIRE_##row##_##alt)

/* ---- vma.c: making, finding, splitting, merging; mmap write lock ------------- */

struct vma *vma_alloc(struct mm *mm); /* fields of mm set, rest zero; NULL */
/* A copy not in any tree: file reference taken, anon chain empty. */
struct vma *vma_copy(struct mm *mm, const struct vma *from);
/* Pre: in no tree.  Drops the file, unlinks anon_vmas, frees. */
void vma_free(struct vma *vma);
/* First VMA that ends above addr, or NULL; mmap lock in any mode. */
struct vma *vma_find(struct mm *mm, u64 addr);
/* The VMA that contains addr, or NULL. */
struct vma *vma_at(struct mm *mm, u64 addr);
u64 vma_entry_bits(const struct vma *vma);
/* Sums of mm: total_pages, data, stack, exec. */
void mm_account_vma(struct mm *mm, u32 flags, s64 nr_pages);

/*
 * munmap.c.  Lets the GROWSDOWN VMA above `addr` grow down to it: 0 (also when
 * somebody else did), -EFAULT nothing there that grows, -ENOMEM a limit, the
 * guard gap or memory is in the way.  mmap write lock.
 */
int mm_expand_stack(struct mm *mm, u64 addr) MUST_CHECK;

/* ---- commit accounting: commit.c ---------------------------------------------- */
int commit_charge(struct mm *mm, u64 nr_pages) MUST_CHECK; /* 0 or -ENOMEM */
void commit_uncharge(struct mm *mm, u64 nr_pages);

/* cow.c.  The VMA gets an anon_vma if it has none: a neighbour's where the two
 * could be one VMA.  mmap lock in any mode; 0 or -ENOMEM. */
int vma_prepare_anon(struct vma *vma) MUST_CHECK;

/* ---- the page-table side --------------------------------------------------------- */

/* fault.c.  mmap lock held (any mode); 0 or -ENOMEM or -EFAULT with signal. */
int mm_handle_fault(struct mm *mm, struct vma *vma, u64 addr, enum mach_access_kind kind,
		    enum quire_signal *ret_signal) MUST_CHECK;
/* Gives a page mapped read-only that others may see a copy of its own, still
 * read-only: before a pin.  Locks and results as mm_handle_fault. */
int mm_unshare_page(struct mm *mm, struct vma *vma, u64 addr,
		    enum quire_signal *ret_signal) MUST_CHECK;
/*
 * Faults [start, end) in; holes are passed over.  `write`: as a write to each
 * page would (MADV_POPULATE_WRITE; mlock and MAP_POPULATE of a private writable
 * VMA), else as a read.  mmap lock in any mode.  0; -ENOMEM; -EFAULT when a
 * page could not be accessed.
 */
int mm_populate_range(struct mm *mm, u64 start, u64 end, bool write) MUST_CHECK;

/* zap.c.  MADV_DONTNEED; mmap lock in any mode. */
void zap_range_single(struct vma *vma, u64 start, u64 end);
/*
 * Unmaps the VMAs of the list that starts at `first` and is linked by
 * next_detached (ascending, already out of the tree): zaps, unlinks them from
 * rmap, frees the tables between floor and ceiling (what remains mapped before
 * and after; ceiling 0: nothing after).  VMAs are not freed.
 */
void unmap_vmas(struct mm *mm, struct vma *first, u64 floor, u64 ceiling);
/* mapping_unmap_fn of file/: unmaps a file's pages everywhere. */
void mm_unmap_mapping(struct mapping *mapping, u64 first_index, u64 last_index,
		      bool even_private_copies);

/* lazyfree.c.  MADV_FREE of private anonymous memory; mmap lock in any mode. */
void mark_lazyfree_range(struct vma *vma, u64 start, u64 end);

/* protect.c: entries of [start, end) to the VMA's present entry_bits. */
void change_protection(struct vma *vma, u64 start, u64 end);
/* move.c: moves entries; both VMAs exist.  0 or -ENOMEM with all moved back. */
int move_page_tables(struct vma *from, u64 from_addr, struct vma *to, u64 to_addr,
		     u64 len_bytes) MUST_CHECK;

/*
 * huge.c.  The PMD leaf that maps `addr`, if there is one, becomes a table (a
 * file's: nothing, to be faulted in again).  mmap lock in any mode, or one of the
 * VMA's rmap locks.
 */
void huge_split_pmd(struct vma *vma, u64 addr);
/* A VMA is to begin at `addr`, cut off from what lies below: no leaf may lie across. */
static inline void huge_cut(struct vma *vma, u64 addr)
{
	if (!is_aligned(addr, PMD_SIZE) && unlikely(atomic_load(&vma->mm->has_leaves)))
		huge_split_pmd(vma, addr);
}

/* gup.c: size of the objects of quire.pin_cache */
u32 pin_object_bytes(void);

/* fork.c, exit.c */
int mm_fork(struct mm *parent, struct mm **ret_child) MUST_CHECK;
void mm_exit(struct mm *mm); /* last user gone */
/* instance.c: 0; -ENOMEM; -EAGAIN: too many address spaces */
int mm_alloc(struct quire *q, const struct quire_layout *layout, struct mm **ret_mm) MUST_CHECK;
void mm_free(struct mm *mm); /* Pre: no VMAs, no tables but the root; withdrawn */
/* From now on, or no longer, who goes through the instance's mms meets it. */
void mm_publish(struct mm *mm);
void mm_withdraw(struct mm *mm);
/* The next on quire.mms, or NULL at the end; mms_lock held. */
struct mm *mm_next(const struct mm *mm);

/* check.c */
void mm_check(struct mm *mm);

static inline void mm_rss_add(struct mm *mm, enum rss_kind kind, s64 nr_pages)
{
	atomic_fetch_add(&mm->rss[kind], (u64)nr_pages);
}

#endif
