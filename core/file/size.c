/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing what a file covers: truncation, holes, plain reads and writes.
 *
 * Truncation cannot fail for want of memory, and punching cannot either: see
 * cache.c; a large folio that cannot be split is zeroed in part.  Their order
 * (size, index, unmapping) is explained in file.h.
 */
#include "file/cache.h"

#include "base/memory.h"

/* No file has a page from here on. */
#define FILE_END_PAGE (FILE_SIZE_MAX >> PAGE_SHIFT)

/* ---- size ---------------------------------------------------------------------- */

/* Size lock held.  An insertion under the index lock sees either size. */
static void set_size(struct mapping *mapping, u64 size_bytes)
{
	spin_lock(&mapping->index_lock);
	atomic_store(&mapping->size_bytes, size_bytes);
	mapping->backed_bytes = u64_min(mapping->backed_bytes, size_bytes);
	spin_unlock(&mapping->index_lock);
}

/*
 * The folio of page `index` if it is in the cache: locked, with a reference.
 * The size lock is held, so nobody else takes it out of the file; and nobody
 * splits a folio to which we have a reference.
 */
static struct folio *find_and_lock(struct mapping *mapping, u64 index)
	NO_LOCK_ANALYSIS /* locked only when there is one */
{
	struct folio *folio = mapping_find_folio(mapping, index);

	if (folio) {
		folio_lock(folio);
		check(folio_is_at(folio, mapping, index));
	}
	return folio;
}

/* Folio lock held. */
static void zero_bytes(struct mapping *mapping, struct folio *folio, u64 from, u64 end)
{
	u64 offset = folio->index << PAGE_SHIFT;
	char *bytes = folio_bytes(mapping->files->phys, folio);

	end = u64_min(end, offset + (folio_nr_pages(folio) << PAGE_SHIFT));
	mem_zero(bytes + (from - offset), end - from);
}

/* Clears what the folio that holds byte `offset` has from there on, if it is
 * in the cache and begins before: bytes beyond the end that a mapping (or who
 * pins a folio that was cut off) may have written. */
static void zero_tail(struct mapping *mapping, u64 offset)
	NO_LOCK_ANALYSIS /* find_and_lock */
{
	struct folio *folio = find_and_lock(mapping, offset >> PAGE_SHIFT);

	if (!folio)
		return;
	if (folio_is_uptodate(folio) && folio->index << PAGE_SHIFT < offset) {
		mapping_dirty_folio(mapping, folio);
		zero_bytes(mapping, folio, offset, UINT64_MAX);
	}
	cache_unlock_folio(mapping, folio);
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

/* ---- cutting -------------------------------------------------------------------- */

/* The folio lock keeps faults from mapping it anew; private copies have nothing
 * to do with the folio. */
static int unmap_and_split(struct mapping *mapping, struct folio *folio,
			   mapping_unmap_fn *unmap)
{
	unmap(mapping, folio->index, folio_last_index(folio), false);
	return mapping_split_folio(mapping, folio, 0);
}

/*
 * Before pages [first, end) are removed: if a folio lies across `edge`, which is
 * one of the two, it is split, or else zeroed as far as the range goes.
 * Size lock held.
 */
static void cut_folio(struct mapping *mapping, u64 edge, u64 first, u64 end,
		      mapping_unmap_fn *unmap)
	NO_LOCK_ANALYSIS /* find_and_lock */
{
	struct folio *folio = find_and_lock(mapping, edge);

	if (!folio)
		return;
	if (folio->index < edge && unmap_and_split(mapping, folio, unmap))
		zero_bytes(mapping, folio, u64_max(first, folio->index) << PAGE_SHIFT,
			   end << PAGE_SHIFT);
	cache_unlock_folio(mapping, folio);
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
		cut_folio(mapping, first_gone, first_gone, FILE_END_PAGE, unmap);
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
	int err = 0;

	last_index = u64_min(last_index, FILE_END_PAGE - 1);
	if (first_index > last_index)
		return 0;
	mutex_lock(&mapping->size_lock);
	set_hole(mapping, first_index, last_index + 1);
	cut_folio(mapping, first_index, first_index, last_index + 1, unmap);
	cut_folio(mapping, last_index + 1, first_index, last_index + 1, unmap);
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

/* A part of a read or write: the bytes of one folio. */
struct part {
	struct mapping *mapping;
	u64 offset;
	u64 len_bytes; /* in: what is left; out: what was done */
};

/* As many bytes as the folio has from the offset on; *ret_bytes says where. */
static void part_cut(struct part *part, struct folio *folio, char **ret_bytes)
{
	u64 start = folio->index << PAGE_SHIFT;
	u64 end = start + (folio_nr_pages(folio) << PAGE_SHIFT);

	part->len_bytes = u64_min(part->len_bytes, end - part->offset);
	*ret_bytes = (char *)folio_bytes(part->mapping->files->phys, folio) +
		     (part->offset - start);
}

static int read_part(struct part *part, void *buf)
{
	struct mapping *mapping = part->mapping;
	u64 index = part->offset >> PAGE_SHIFT;
	struct folio *folio;
	char *bytes;
	int err;

	if (mapping->kind == QUIRE_FILE_MEMORY) {
		folio = mapping_find_folio(mapping, index);
		if (!folio) {
			/* A hole stays one. */
			part->len_bytes = u64_min(part->len_bytes,
						  PAGE_SIZE - (part->offset & ~PAGE_MASK));
			mem_zero(buf, part->len_bytes);
			return 0;
		}
		folio_put(mapping->files->phys, folio);
	}
	err = cache_lock_folio(mapping, index, 0, &folio);
	if (err)
		return err;
	part_cut(part, folio, &bytes);
	mem_copy(buf, bytes, part->len_bytes);
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
		struct part part = { mapping, offset, len_bytes };
		int err = read_part(&part, to);

		if (err)
			return err;
		offset += part.len_bytes;
		to += part.len_bytes;
		len_bytes -= part.len_bytes;
	}
	return 0;
}

/* Size lock held.  The folio may lie beyond the size, which then grows: as far as
 * the folio goes, because what is left of the write covers it. */
static int write_part(struct part *part, const void *buf)
{
	struct mapping *mapping = part->mapping;
	u64 reach = page_align_up(part->offset + part->len_bytes) >> PAGE_SHIFT;
	struct folio *folio;
	char *bytes;
	int err = cache_lock_folio(mapping, part->offset >> PAGE_SHIFT, reach, &folio);

	if (err)
		return err;
	part_cut(part, folio, &bytes);
	mem_copy(bytes, buf, part->len_bytes);
	mapping_dirty_folio(mapping, folio);
	if (part->offset + part->len_bytes > mapping->size_bytes)
		set_size(mapping, part->offset + part->len_bytes);
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
	while (len_bytes) {
		struct part part = { mapping, offset, len_bytes };

		err = write_part(&part, from);
		if (err)
			break;
		offset += part.len_bytes;
		from += part.len_bytes;
		len_bytes -= part.len_bytes;
	}
	mutex_unlock(&mapping->size_lock);
	return err;
}
