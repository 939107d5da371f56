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
	struct refcount refs;           /* handles and VMAs' files */
	struct rwsem size_lock;         /* rank file: write to truncate, read to fault */
	u64 size_bytes;                 /* (A) changed under (S) write */
	struct spinlock index_lock;     /* rank page_cache: guards (X); readers use RCU */
	struct maple_tree folios;       /* (X) page index -> folio, a range per folio */
	u64 nr_pages;                   /* (A) pages in the cache */
	u64 nr_dirty;                   /* (A) folios marked dirty */
	u32 nr_writable_maps;           /* (A) VMAs that may write to it */
	struct i_mmap i_mmap;
	u64 id;                         /* (C) for people: unique in the instance */
};

struct file {
	struct mapping *mapping; /* (C) reference */
	struct refcount refs;    /* (A) */
	u32 mode;                /* (C) enum quire_file_mode */
};

/* The state of this room in one instance. */
struct files {
	struct phys *phys;
	struct rmap *rmap;
	struct objcache *tree_nodes; /* shared with the VMA trees */
	struct objcache mappings;
	struct objcache handles;
	u64 next_id; /* (A) */
	u64 nr_cached; /* (A) pages in all caches */
};

int files_init(struct files *files, struct phys *phys, struct rmap *rmap,
	       struct objcache *tree_nodes) MUST_CHECK;
u64 files_fini(struct files *files); /* objects leaked */

/* A new file of `size_bytes` with one handle.  0, -ENOMEM, -EINVAL. */
int file_create(struct files *files, const struct quire_file_config *config,
		struct file **ret_file) MUST_CHECK;
/* Another handle on the same mapping. */
int file_reopen(struct file *file, u32 mode, struct file **ret_file) MUST_CHECK;
void file_get(struct file *file);
/* The last put of the last handle drops the cache. */
void file_put(struct file *file);

/*
 * The folio that holds page `index`, with a reference, or NULL.  RCU inside:
 * no lock needed; the folio may be truncated a moment later (check
 * folio->mapping under the folio lock).
 */
struct folio *mapping_find_folio(struct mapping *mapping, u64 index);
/*
 * The same, created and read in if missing; uptodate and with a reference.
 * 0; -ENOMEM; -EIO; -ERANGE when index is beyond the file's size (for a fault:
 * SIGBUS).
 */
int mapping_get_folio(struct mapping *mapping, u64 index, struct folio **ret_folio) MUST_CHECK;
/*
 * Calls `visit` for each uptodate folio present in [first, last], with no
 * reference taken, under RCU: fault-around.  A false return ends it.
 */
void mapping_for_each_cached(struct mapping *mapping, u64 first, u64 last,
			     bool (*visit)(struct folio *folio, u64 index, void *arg),
			     void *arg);

/* Marks dirty for writeback; folio lock or table lock held. */
void mapping_dirty_folio(struct mapping *mapping, struct folio *folio);

/*
 * Sets the size; what lies beyond is unmapped everywhere (through `unmap`,
 * which mm/ fills in), removed, and the tail of the last page zeroed.
 */
typedef void mapping_unmap_fn(struct mapping *mapping, u64 first_index, u64 last_index,
			      bool even_private_copies);
int mapping_truncate(struct mapping *mapping, u64 size_bytes, mapping_unmap_fn *unmap) MUST_CHECK;
/* Drops the pages of whole-page range [first, last] (MADV_REMOVE, hole punch). */
int mapping_punch(struct mapping *mapping, u64 first_index, u64 last_index,
		  mapping_unmap_fn *unmap) MUST_CHECK;
/* Writes dirty folios in [first, last] back; clean means write-protected and
 * not dirty in every table first.  0 or -EIO. */
int mapping_writeback(struct mapping *mapping, u64 first_index, u64 last_index) MUST_CHECK;
/* Plain read and write through the cache. */
int mapping_read(struct mapping *mapping, u64 offset, void *buf, u64 len_bytes) MUST_CHECK;
int mapping_write(struct mapping *mapping, u64 offset, const void *buf, u64 len_bytes) MUST_CHECK;

#endif
