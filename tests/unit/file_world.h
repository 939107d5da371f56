/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files without address spaces: memory, the caches, and a backing that lies in
 * an array, can fail, and counts what it is asked.
 */
#ifndef TESTS_FILE_WORLD_H
#define TESTS_FILE_WORLD_H

#include "file/file.h"
#include "unit/rmap_world.h"

struct file_world {
	struct phys phys;
	struct rmap rmap;
	struct objcache tree_nodes;
	struct files files;
};

static inline void files_open(struct file_world *f, u64 nr_frames)
{
	assert_int_equal(phys_init(&f->phys, nr_frames, 4), 0);
	assert_int_equal(rmap_init(&f->rmap, &f->phys, &world_rmap), 0);
	assert_int_equal(objcache_init(&f->tree_nodes, &f->phys, "tree node",
				       maple_node_bytes(), maple_node_align_bytes()), 0);
	assert_int_equal(files_init(&f->files, &f->phys, &f->rmap, &f->tree_nodes), 0);
}

static inline void files_close(struct file_world *f)
{
	assert_int_equal(f->files.nr_cached, 0);
	assert_int_equal(files_fini(&f->files), 0);
	assert_int_equal(objcache_fini(&f->tree_nodes), 0);
	assert_int_equal(rmap_fini(&f->rmap), 0);
	assert_int_equal(phys_fini(&f->phys), 0);
}

#define PAGES(n) ((u64)(n) << PAGE_SHIFT)
#define BACKING_PAGES 64

struct backing_store {
	u8 bytes[BACKING_PAGES * PAGE_SIZE];
	u64 nr_reads, nr_writes, nr_bytes_written;
	u64 fail_from, fail_end; /* offsets that give an error */
	bool destroyed;
};

static inline bool backing_fails(const struct backing_store *store, u64 offset,
				 u64 len_bytes)
{
	return offset < store->fail_end && offset + len_bytes > store->fail_from;
}

static inline int store_read(void *context, u64 offset, void *buf, u64 len_bytes)
{
	struct backing_store *store = context;

	atomic_fetch_add(&store->nr_reads, 1);
	if (backing_fails(store, offset, len_bytes))
		return -QUIRE_EIO;
	assert_true(offset + len_bytes <= sizeof(store->bytes));
	memcpy(buf, store->bytes + offset, len_bytes);
	return 0;
}

static inline int store_write(void *context, u64 offset, const void *buf, u64 len_bytes)
{
	struct backing_store *store = context;

	store->nr_writes++;
	if (backing_fails(store, offset, len_bytes))
		return -QUIRE_EIO;
	assert_true(offset + len_bytes <= sizeof(store->bytes));
	memcpy(store->bytes + offset, buf, len_bytes);
	store->nr_bytes_written += len_bytes;
	return 0;
}

static inline void store_destroy(void *context)
{
	((struct backing_store *)context)->destroyed = true;
}

/* A store whose byte at offset n is a function of n. */
static inline u8 store_pattern(u64 offset)
{
	return (u8)(1 + (offset * 7 + offset / PAGE_SIZE) % 250);
}

static inline struct backing_store *store_create(void)
{
	struct backing_store *store = calloc(1, sizeof(*store));

	assert_non_null(store);
	for (u64 i = 0; i < sizeof(store->bytes); i++)
		store->bytes[i] = store_pattern(i);
	return store;
}

static inline struct file *memory_file(struct file_world *f, u64 size_bytes)
{
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = size_bytes,
	};
	struct file *file;

	assert_int_equal(file_create(&f->files, &config, &file), 0);
	return file;
}

static inline struct file *host_file(struct file_world *f, struct backing_store *store,
				     u64 size_bytes)
{
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_HOST,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = size_bytes,
		.backing = { store, store_read, store_write, store_destroy },
	};
	struct file *file;

	assert_int_equal(file_create(&f->files, &config, &file), 0);
	return file;
}

/* Of files that are put by their last user, and what is behind them (or NULL). */
static inline void files_close_last(struct file_world *f, struct file *file,
				    struct backing_store *store)
{
	mapping_check(file->mapping);
	file_put(file);
	free(store);
	files_close(f);
}

static inline struct folio *get(struct file *file, u64 index)
{
	struct folio *folio;

	assert_int_equal(mapping_get_folio(file->mapping, index, &folio), 0);
	assert_true(folio_test(folio, FRAME_UPTODATE));
	assert_true(folio_is_at(folio, file->mapping, index));
	return folio;
}

/* Nobody maps these files; what would have been unmapped is noted. */
struct unmap_note {
	u64 nr, first, last;
	bool private_copies;
};

extern struct unmap_note unmapped;

static inline void note_unmap(struct mapping *mapping, u64 first, u64 last,
			      bool even_private_copies)
{
	/* Whoever faults now must not find the folio any more. */
	if (first <= last)
		assert_null(mapping_find_folio(mapping, first));
	unmapped = (struct unmap_note){ unmapped.nr + 1, first, last, even_private_copies };
}

static inline u8 *folio_page(struct file_world *f, struct folio *folio, u64 index)
{
	return frame_bytes(&f->phys, folio_frame(folio, index - folio->index));
}

#endif
