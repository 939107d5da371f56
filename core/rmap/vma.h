/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct vma: one range of an address space with one set of properties.
 *
 * Its operations live in mm/; the type lives here because the reverse map
 * finds VMAs and must read where they are.
 *
 * Lock key:  (C) constant  (M) mmap lock of the mm: write to change, any mode
 *   to read; start, end and pgoff are also changed only with the locks of the
 *   rmap trees that hold the VMA, so that either is enough to read
 *   (I) i_mmap lock of the mapping  (V) anon_vma root lock
 */
#ifndef RMAP_VMA_H
#define RMAP_VMA_H

#include "base/interval.h"
#include "base/list.h"
#include "pgtable/pgtable.h"

struct mm;
struct rmap_owner;
struct anon_vma;
struct file;
struct mapping;

/* What the owner of a VMA may do and what was asked for it. */
enum vma_flag {
	VMA_READ = 1u << 0,
	VMA_WRITE = 1u << 1,
	VMA_EXEC = 1u << 2,
	VMA_SHARED = 1u << 3,
	VMA_MAYREAD = 1u << 4, /* mprotect may add it */
	VMA_MAYWRITE = 1u << 5,
	VMA_MAYEXEC = 1u << 6,
	VMA_MAYSHARE = 1u << 7, /* was mapped MAP_SHARED (even of a read-only file) */
	VMA_GROWSDOWN = 1u << 8,
	VMA_LOCKED = 1u << 9,
	VMA_LOCKONFAULT = 1u << 10,
	VMA_DONTFORK = 1u << 11,
	VMA_WIPEONFORK = 1u << 12,
	VMA_NORESERVE = 1u << 13,
	VMA_ACCOUNT = 1u << 14, /* counts in commit accounting */
	VMA_HUGEPAGE = 1u << 15,
	VMA_NOHUGEPAGE = 1u << 16,
	VMA_SEQ_READ = 1u << 17,
	VMA_RAND_READ = 1u << 18,
	VMA_DONTDUMP = 1u << 19,
	VMA_SPECIAL = 1u << 20, /* vdso and the like: not merged, cut or grown */
	VMA_MERGEABLE = 1u << 21, /* asked for KSM, which there is not */
	VMA_DROPPABLE = 1u << 22,
	VMA_SYNC = 1u << 23,      /* MAP_SYNC: means nothing without such a file */
	VMA_SEALED = 1u << 24,
	/* Above: the protection key, so that VMAs of two keys are never one. */
	VMA_PKEY_SHIFT = 25,
};

#define VMA_ACCESS (VMA_READ | VMA_WRITE | VMA_EXEC)
#define VMA_PKEY_MASK (UINT32_C(0x1f) << VMA_PKEY_SHIFT)
/* The key that the kernel itself gives to what may only be executed. */
#define VMA_PKEY_EXEC_ONLY (UINT32_C(16) << VMA_PKEY_SHIFT)

struct vma {
	u64 start, end;   /* (M) + rmap locks */
	struct mm *mm;    /* (C) */
	struct pgtable *pt; /* (C) the mm's tables */
	struct rmap_owner *owner; /* (C) who its mappings of large folios count for */
	u32 flags;        /* (M) enum vma_flag */
	u64 pgoff;        /* (M) + rmap locks: page index of `start` in the file, or
	                     start >> PAGE_SHIFT at the time of mapping if anonymous */
	u64 entry_bits;   /* (M) protection bits of a new entry (derived from flags) */
	struct file *file;       /* (C) reference, or NULL; shared anonymous memory has one */
	struct mapping *mapping; /* (C) file's, or NULL */
	struct anon_vma *anon_vma;     /* (M)+(page_table lock when set under a read lock) */
	struct list anon_chain;        /* (M) its anon_vma_links */
	struct interval_node i_mmap;   /* (I) */
	struct i_mmap *i_mmap_tree;    /* (M) where `i_mmap` was inserted; means nothing
	                                  before that, or without a mapping */
	const char *name;              /* (C) for people; may be NULL */
	bool guarded;              /* (M) set atomically under the lock in any mode: guards
	                              may be in it; two that differ in this may merge */
	struct vma *next_detached; /* (M) list of VMAs on their way out of the mm */
};

static inline u64 vma_nr_pages(const struct vma *vma)
{
	return (vma->end - vma->start) >> PAGE_SHIFT;
}

/* The page index in file or anon_vma of an address inside. */
static inline u64 vma_index(const struct vma *vma, u64 addr)
{
	return vma->pgoff + ((addr - vma->start) >> PAGE_SHIFT);
}

/* The address of page `index`; the caller knows that it is inside. */
static inline u64 vma_address(const struct vma *vma, u64 index)
{
	return vma->start + ((index - vma->pgoff) << PAGE_SHIFT);
}

/* A special mapping of data that the kernel keeps (vvar): its pages have no folio. */
static inline bool vma_is_pfnmap(const struct vma *vma)
{
	return (vma->flags & (VMA_SPECIAL | VMA_MAYWRITE)) == VMA_SPECIAL;
}

static inline bool vma_is_anonymous(const struct vma *vma)
{
	return vma->mapping == NULL;
}

#endif
