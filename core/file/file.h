/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files and their page cache.
 *
 * A mapping is what can be mapped: a file's contents as folios by page index,
 * the VMAs that map it, and where the contents come from.  Memory-backed
 * (tmpfs, shared anonymous memory, memfd): the cache is the contents, a missing
 * page reads as zeros.  Host-backed: read and write callbacks.
 * A file is an open handle: a reference to a mapping with an access mode.
 *
 * Lock key:  (C) constant  (A) atomic  (S) size lock  (X) index lock
 *            (F) folio lock
 *
 * Invariants:
 *   1. folio->mapping is a mapping exactly while the mapping's index holds the
 *      folio at folio->index; both change in one hold of the index lock, the
 *      folio lock held too when it ends (or nobody else has a reference:
 *      collapse.c).  The index owns one reference.
 *   2. A folio of the index begins inside the size, but during mapping_write
 *      (which creates a folio before it raises the size).  Where a large one
 *      goes on beyond, it was cut off by a truncation while somebody pinned it,
 *      or could not be read in for a write that was to raise the size.
 *      Lookups for a fault ask the size.
 *   3. A folio has order 0 or 2 .. QUIRE_PMD_ORDER and begins at a multiple of
 *      its length; so an aligned range of virtual memory can map it whole.
 *   4. FRAME_DIRTY of a folio of the index changes under (X); nr_dirty counts.
 *   5. Of a host-backed file no entry is writable unless its folio is marked
 *      dirty; the mark is set before the entry becomes writable, in the same
 *      hold of the table lock or the folio lock.
 *
 * Truncation against faults.  Truncation lowers the size, takes the folios out
 * of the index, each under its folio lock, and unmaps last.  A fault that maps
 * a folio (or a private copy of it) looks at folio->mapping under the folio
 * lock or the table lock and writes its entry before it lets go of that lock:
 * either it sees the folio gone, or the unmapping that follows sees its entry.
 *
 * A large folio that is cut in the middle is unmapped first, under its folio
 * lock, and split to single pages: some go, the others stay with contents and
 * dirty mark.  When somebody else has a reference (a pin, or a lookup under
 * way) or there is no memory for the index's ranges, it is zeroed from the cut
 * on and stays whole.  A fault on the part that was cut off sees the size, that
 * is lower since before the folio lock was taken.
 */
#ifndef FILE_FILE_H
#define FILE_FILE_H

#include <quire/file.h>

#include "rmap/rmap.h"
#include "tree/maple.h"

struct mapping {
	struct files *files;            /* (C) the room's state */
	enum quire_file_kind kind;      /* (C) */
	struct quire_backing backing;   /* (C) host-backed only */
	struct refcount refs;           /* handles */
	struct mutex size_lock;         /* rank file: truncation, punch, plain write and
	                                   writeback, one at a time; never a fault */
	u64 size_bytes;                 /* (A) changed under (S) and (X) */
	u64 backed_bytes;               /* (S)+(X) what lies beyond reads as zeros,
	                                   whatever the backing holds there */
	u64 backing_end_bytes;          /* (S) the backing holds nothing beyond */
	u64 hole_first, hole_end;       /* (X) pages that read as zeros while a hole is
	                                   being punched; empty: both 0 */
	struct spinlock index_lock;     /* rank page_cache: guards (X); readers use RCU */
	struct maple_tree folios;       /* (X) page index -> folio, a range per folio */
	u64 nr_pages;                   /* (X)+(A) pages in the cache */
	u64 nr_dirty;                   /* (X)+(A) folios marked dirty */
	struct i_mmap i_mmap;
	u64 id;                         /* (C) for people: unique in the instance */
	bool on_tmpfs;                  /* (C) its folios are the next field's business */
	enum quire_shmem_folios tmpfs_folios; /* (C) */
	u64 nr_charged;                 /* (C) pages counted in files.committed_pages
	                                   until the mapping goes */
};

/* What include/quire/file.h calls struct quire_file. */
struct file {
	struct mapping *mapping; /* (C) reference */
	struct refcount refs;    /* (A) */
	u32 mode;                /* (C) enum quire_file_mode */
};

/* /dev/zero: it has no contents, only mappings.  NULL is allowed. */
static inline bool file_is_zeros(const struct file *file)
{
	return file != NULL && file->mapping->kind == QUIRE_FILE_ZERO;
}

/* The state of this room in one instance. */
struct files {
	struct phys *phys;
	struct rmap *rmap;
	struct objcache *tree_nodes; /* shared with the VMA trees */
	struct objcache mappings;
	struct objcache handles;
	u64 next_id; /* (A) */
	u64 nr_cached; /* (A) pages in all caches */
	unsigned file_order; /* (C) largest order of a folio; 0: no large ones.  Set
	                        by mm/ before there is a file */
	enum quire_shmem_folios shmem_folios;  /* (C) set as file_order */
	enum quire_shmem_folios shared_folios; /* (C) of shared anonymous memory */
	u64 *committed_pages; /* (C) the instance's; mm/ charges, the last put uncharges */
};

int files_init(struct files *files, struct phys *phys, struct rmap *rmap,
	       struct objcache *tree_nodes) MUST_CHECK;
u64 files_fini(struct files *files); /* objects leaked */

/* The orders of large folios that any page of a file may get: bit n for order n. */
static inline u32 files_orders(const struct files *files)
{
	/* Order 1 is never mapped. */
	return ((UINT32_C(2) << files->file_order) - 1) & ~UINT32_C(3);
}

/* The setting that counts for this memory (NULL: shared anonymous, which has no file
 * yet). */
static inline enum quire_shmem_folios files_shmem_folios(const struct files *files,
							 const struct mapping *mapping)
{
	enum quire_shmem_folios own = files->shared_folios;

	if (mapping != NULL)
		own = mapping->on_tmpfs ? mapping->tmpfs_folios : QUIRE_SHMEM_INHERIT;
	return files->shmem_folios >= QUIRE_SHMEM_DENY || own == QUIRE_SHMEM_INHERIT ?
		       files->shmem_folios : own;
}

static inline struct file *file_of(struct quire_file *file)
{
	return (struct file *)(void *)file;
}

/* A new file of `size_bytes` with one handle.  0, -ENOMEM, -EINVAL. */
int file_create(struct files *files, const struct quire_file_config *config,
		struct file **ret_file) MUST_CHECK;
/* Another handle on the same mapping.  0, -ENOMEM, -EINVAL for a bad mode. */
int file_reopen(struct file *file, u32 mode, struct file **ret_file) MUST_CHECK;
void file_get(struct file *file);
/* The last put of the last handle drops the cache, dirty pages written back
 * first as far as the backing takes them. */
void file_put(struct file *file);

/* The largest size a file may have. */
#define FILE_SIZE_MAX ((u64)INT64_MAX & PAGE_MASK)

/* Pages that the size covers. */
static inline u64 mapping_size_pages(const struct mapping *mapping)
{
	return page_align_up(atomic_load(&mapping->size_bytes)) >> PAGE_SHIFT;
}

/*
 * Is the folio in the mapping, with page `index`?  Pre: a reference.  The
 * answer holds until the folio lock, when held, is dropped.
 */
static inline bool folio_is_at(const struct folio *folio, const struct mapping *mapping,
			       u64 index)
{
	/* ACQUIRE pairs with the insertion: the folio's index is seen too. */
	return atomic_load_acquire(&folio->mapping) == (const void *)mapping &&
	       index - atomic_load(&folio->index) < folio_nr_pages(folio);
}

/*
 * The folio that holds page `index`, with a reference, or NULL.  RCU inside:
 * no lock needed; the folio may be truncated a moment later (check
 * folio->mapping under the folio lock), and may not be uptodate.
 */
struct folio *mapping_find_folio(struct mapping *mapping, u64 index);
/*
 * The same, created and read in if missing; uptodate and with a reference.
 * What lies around it is read in too, as far as there is memory.
 * 0; -ENOMEM; -EIO; -ERANGE when index is beyond the file's size (for a fault:
 * SIGBUS).
 */
int mapping_get_folio(struct mapping *mapping, u64 index, struct folio **ret_folio) MUST_CHECK;
/* The same; one that is created has one of `orders`, bit n for order n, or is a page. */
int mapping_get_folio_of(struct mapping *mapping, u64 index, u32 orders,
			 struct folio **ret_folio) MUST_CHECK;
/*
 * Turns a large folio into folios of a smaller order: cached at their own
 * places, with contents, dirty mark and one reference each (the index's).
 * What begins beyond the size goes.
 * Pre: folio lock and one reference, which become the first part's; in the
 * mapping.  0; -EBUSY when anybody else has a reference, an entry that maps it
 * included; -ENOMEM; -EINVAL for an order that is not smaller or that no folio
 * has.  Nothing changed on failure.
 */
int mapping_split_folio(struct mapping *mapping, struct folio *folio, unsigned order) MUST_CHECK;
/*
 * Calls `visit` for each uptodate folio present in [first, last] and inside the
 * size, with no reference taken, under RCU: fault-around.  `index` is a page of
 * the folio in the range, the first one or, for a folio that somebody tried to
 * split, again a later one.  A visitor that wants the folio takes a
 * reference unless there is none any more, and then asks folio_is_at().
 * A false return ends it.
 */
void mapping_for_each_cached(struct mapping *mapping, u64 first, u64 last,
			     bool (*visit)(struct folio *folio, u64 index, void *arg),
			     void *arg);

/*
 * Marks dirty for writeback; folio lock or table lock held, and kept until the
 * write it announces is done or the entry is writable.  Nothing for a folio
 * that was truncated.
 */
void mapping_dirty_folio(struct mapping *mapping, struct folio *folio);

/*
 * Sets the size; what lies beyond is removed, unmapped everywhere (through
 * `unmap`, which mm/ fills in; folio lock held when a large folio is cut), and
 * the tail of the last page zeroed.
 * 0, or -EINVAL for a size above FILE_SIZE_MAX: needs no memory.
 */
typedef void mapping_unmap_fn(struct mapping *mapping, u64 first_index, u64 last_index,
			      bool even_private_copies);
int mapping_truncate(struct mapping *mapping, u64 size_bytes, mapping_unmap_fn *unmap) MUST_CHECK;
/*
 * Drops the pages of whole-page range [first, last] (MADV_REMOVE, hole punch),
 * which then read as zeros; private copies stay.  0; -EIO when a backing does
 * not take the zeros: what its part of the range holds then is anybody's guess.
 */
int mapping_punch(struct mapping *mapping, u64 first_index, u64 last_index,
		  mapping_unmap_fn *unmap) MUST_CHECK;
/*
 * The pages from `first` on, as many as `folio` has, become one folio of a
 * memory-backed file: `folio`, new, known to nobody and not uptodate, which keeps
 * the caller's reference.  Holes become zeros.  All are unmapped, through `unmap`.
 * 0; -ENOENT: none of them is in the cache; -EEXIST: they are one folio already;
 * -EAGAIN: somebody holds one; -ERANGE: not all are inside the size; -ENOMEM;
 * -EINVAL: no memory-backed file.  The folio is still the caller's then.
 * Context: no lock but mmap's.
 */
int mapping_collapse(struct mapping *mapping, u64 first, struct folio *folio,
		     mapping_unmap_fn *unmap) MUST_CHECK;
/*
 * Writes dirty folios in [first, last] back; clean means write-protected and
 * not dirty in every table first.  0 or -EIO: what could not be written stays
 * dirty, the rest is written.
 */
int mapping_writeback(struct mapping *mapping, u64 first_index, u64 last_index) MUST_CHECK;
/* Plain read and write through the cache; a write extends the file.  0, -EIO,
 * -ENOMEM; -ERANGE for a read beyond the end; -EFBIG.  A write that fails has
 * written, and extended the file, up to the page it failed at. */
int mapping_read(struct mapping *mapping, u64 offset, void *buf, u64 len_bytes) MUST_CHECK;
int mapping_write(struct mapping *mapping, u64 offset, const void *buf, u64 len_bytes) MUST_CHECK;

/* Asserts what the index says of its folios; stops the machine on a breach.
 * Pre: nobody else uses the mapping. */
void mapping_check(struct mapping *mapping);

#endif
