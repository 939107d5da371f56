/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing what a file covers: truncation, holes, plain reads and writes.
 *
 * Truncation cannot fail for want of memory, and punching cannot either: see
 * cache.c.  Their order (size, index, unmapping) is explained in file.h.
 */
#include "file/cache.h"

#include "base/memory.h"

/* ---- size ---------------------------------------------------------------------- */

/* Size lock held.  An insertion under the index lock sees either size. */
static void set_size(struct mapping *mapping, u64 size_bytes)
{
	spin_lock(&mapping->index_lock);
	atomic_store(&mapping->size_bytes, size_bytes);
	mapping->backed_bytes = u64_min(mapping->backed_bytes, size_bytes);
	spin_unlock(&mapping->index_lock);
}

/* Clears what the folio that holds byte `offset` has from there on, if it is
 * in the cache: bytes beyond the end that a mapping may have written. */
static void zero_tail(struct mapping *mapping, u64 offset)
{
	struct folio *folio;
	u64 index = offset >> PAGE_SHIFT;

	if (is_aligned(offset, PAGE_SIZE))
		return;
	folio = mapping_find_folio(mapping, index);
	if (!folio)
		return;
	folio_lock(folio);
	if (folio_is_at(folio, mapping, index) && folio_is_uptodate(folio)) {
		u64 from = offset - (folio->index << PAGE_SHIFT);
		char *bytes = folio_bytes(mapping->files->phys, folio);

		mapping_dirty_folio(mapping, folio);
		mem_zero(bytes + from, (folio_nr_pages(folio) << PAGE_SHIFT) - from);
	}
	folio_unlock(folio);
	folio_put(mapping->files->phys, folio);
}

/*
 * Before the size grows.  What a mapping wrote beyond the end of the last page
 * must not come to light, says POSIX.  Linux keeps that for files on a disk;
 * tmpfs leaves the bytes, and so do memory-backed files here.
 */
static void zero_old_tail(struct mapping *mapping)
{
	if (mapping->kind == QUIRE_FILE_HOST)
		zero_tail(mapping, mapping->size_bytes);
}

int mapping_truncate(struct mapping *mapping, u64 size_bytes, mapping_unmap_fn *unmap)
{
	u64 first_gone = page_align_up(size_bytes) >> PAGE_SHIFT;

	if (size_bytes > FILE_SIZE_MAX)
		return -QUIRE_EINVAL;
	mutex_lock(&mapping->size_lock);
	if (size_bytes >= mapping->size_bytes) {
		zero_old_tail(mapping);
		set_size(mapping, size_bytes);
	} else {
		set_size(mapping, size_bytes);
		zero_tail(mapping, size_bytes);
		cache_remove_range(mapping, first_gone, UINT64_MAX);
		unmap(mapping, first_gone, UINT64_MAX, true);
	}
	mutex_unlock(&mapping->size_lock);
	return 0;
}

/* Pages [first, end) are made of zeros from now on; 0, 0: none. */
static void set_hole(struct mapping *mapping, u64 first, u64 end)
{
	spin_lock(&mapping->index_lock);
	mapping->hole_first = first;
	mapping->hole_end = end;
	spin_unlock(&mapping->index_lock);
}

int mapping_punch(struct mapping *mapping, u64 first_index, u64 last_index,
		  mapping_unmap_fn *unmap)
{
	u64 last_page = (FILE_SIZE_MAX >> PAGE_SHIFT) - 1;
	int err = 0;

	last_index = u64_min(last_index, last_page);
	if (first_index > last_index)
		return 0;
	mutex_lock(&mapping->size_lock);
	set_hole(mapping, first_index, last_index + 1);
	cache_remove_range(mapping, first_index, last_index);
	unmap(mapping, first_index, last_index, false);
	if (mapping->kind == QUIRE_FILE_HOST)
		err = backing_zero(mapping, first_index << PAGE_SHIFT,
				   (last_index + 1) << PAGE_SHIFT);
	set_hole(mapping, 0, 0);
	mutex_unlock(&mapping->size_lock);
	return err;
}

/* ---- plain read and write ----------------------------------------------------------- */

/* The bytes of one page at `offset`. */
static char *page_bytes(struct mapping *mapping, struct folio *folio, u64 offset)
{
	char *bytes = folio_bytes(mapping->files->phys, folio);

	return bytes + (offset - (folio->index << PAGE_SHIFT));
}

static int read_page(struct mapping *mapping, u64 offset, void *buf, u64 len_bytes)
{
	u64 index = offset >> PAGE_SHIFT;
	struct folio *folio;
	int err;

	if (mapping->kind == QUIRE_FILE_MEMORY) {
		folio = mapping_find_folio(mapping, index);
		if (!folio) {
			/* A hole stays one. */
			mem_zero(buf, len_bytes);
			return 0;
		}
		folio_put(mapping->files->phys, folio);
	}
	err = cache_lock_folio(mapping, index, CACHE_INSIDE_SIZE, &folio);
	if (err)
		return err;
	mem_copy(buf, page_bytes(mapping, folio, offset), len_bytes);
	cache_unlock_folio(mapping, folio);
	return 0;
}

int mapping_read(struct mapping *mapping, u64 offset, void *buf, u64 len_bytes)
{
	u64 size_bytes = atomic_load(&mapping->size_bytes);
	char *to = buf;

	if (offset > size_bytes || len_bytes > size_bytes - offset)
		return -QUIRE_ERANGE;
	while (len_bytes) {
		u64 n = u64_min(PAGE_SIZE - (offset & ~PAGE_MASK), len_bytes);
		int err = read_page(mapping, offset, to, n);

		if (err)
			return err;
		offset += n;
		to += n;
		len_bytes -= n;
	}
	return 0;
}

/* Size lock held.  The page may lie beyond the size, which then grows. */
static int write_page(struct mapping *mapping, u64 offset, const void *buf, u64 len_bytes)
{
	struct folio *folio;
	int err = cache_lock_folio(mapping, offset >> PAGE_SHIFT, CACHE_ANYWHERE, &folio);

	if (err)
		return err;
	mem_copy(page_bytes(mapping, folio, offset), buf, len_bytes);
	mapping_dirty_folio(mapping, folio);
	if (offset + len_bytes > mapping->size_bytes)
		set_size(mapping, offset + len_bytes);
	cache_unlock_folio(mapping, folio);
	return 0;
}

int mapping_write(struct mapping *mapping, u64 offset, const void *buf, u64 len_bytes)
{
	const char *from = buf;
	int err = 0;

	if (offset > FILE_SIZE_MAX || len_bytes > FILE_SIZE_MAX - offset)
		return -QUIRE_EFBIG;
	if (len_bytes == 0)
		return 0;
	mutex_lock(&mapping->size_lock);
	if (offset + len_bytes > mapping->size_bytes)
		zero_old_tail(mapping);
	while (len_bytes && !err) {
		u64 n = u64_min(PAGE_SIZE - (offset & ~PAGE_MASK), len_bytes);

		err = write_page(mapping, offset, from, n);
		offset += n;
		from += n;
		len_bytes -= n;
	}
	mutex_unlock(&mapping->size_lock);
	return err;
}
