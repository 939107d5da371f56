/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading from and writing to what a host-backed file's contents come from,
 * and writeback.
 *
 * A backing can be read and written but not cut.  So the mapping remembers up
 * to where the backing still holds the file's contents (backed_bytes, lowered
 * by truncation) and up to where it may hold anything (backing_end_bytes).
 * Between the two lie bytes of the past: they are not read, and are written
 * over with zeros before backed_bytes is raised past them.
 *
 * No byte of a backing is read and written at once: a folio's bytes are read
 * and written under its lock; what lies beyond backed_bytes is not read; and
 * while a hole is written, its pages are made of zeros instead of read.
 *
 * Writeback.  Under the folio lock: (1) the dirty mark is taken off, (2) every
 * entry is write-protected and cleaned, TLBs flushed, (3) the bytes are
 * written.  A store that came before (2) is in the bytes; a later one faults
 * and marks the folio again.  Were the mark taken off after (2), a fault
 * between the two would find it still set, make its entry writable, and lose
 * it.  An unmapper that took a dirty entry marks the folio first and keeps its
 * mapcount until after its flush, so (2) waits for it (letter
 * 001_ef4970009e19dfd6.txt).
 */
#include "file/cache.h"

#include "base/memory.h"

static const u8 zeros[512];

static u64 folio_offset(const struct folio *folio)
{
	return folio->index << PAGE_SHIFT;
}

static u64 folio_len_bytes(const struct folio *folio)
{
	return folio_nr_pages(folio) << PAGE_SHIFT;
}

/* Where the bytes of the folio come from: [offset, there) from the backing, but
 * for [hole, hole_end); what is left is zeros. */
struct sources {
	u64 there, hole, hole_end;
};

static struct sources folio_sources(struct mapping *mapping, const struct folio *folio)
{
	u64 offset = folio_offset(folio), end = offset + folio_len_bytes(folio);
	struct sources from;

	spin_lock(&mapping->index_lock);
	from.there = u64_max(u64_min(mapping->backed_bytes, end), offset);
	from.hole = mapping->hole_first << PAGE_SHIFT;
	from.hole_end = mapping->hole_end << PAGE_SHIFT;
	spin_unlock(&mapping->index_lock);
	from.hole = u64_min(u64_max(from.hole, offset), from.there);
	from.hole_end = u64_max(u64_min(from.hole_end, from.there), from.hole);
	return from;
}

/* Fills [from, end) of the file, at `bytes`, from the backing. */
static int read_backing(struct mapping *mapping, u64 from, u64 end, char *bytes)
{
	const struct quire_backing *backing = &mapping->backing;

	if (from == end)
		return 0;
	return backing->read(backing->context, from, bytes, end - from) ? -QUIRE_EIO : 0;
}

int backing_read_folio(struct mapping *mapping, struct folio *folio)
{
	u64 offset = folio_offset(folio);
	struct sources from = folio_sources(mapping, folio);
	char *bytes = folio_bytes(mapping->files->phys, folio);
	int err;

	check(mapping->kind == QUIRE_FILE_HOST);
	err = read_backing(mapping, offset, from.hole, bytes);
	if (err)
		return err;
	mem_zero(bytes + (from.hole - offset), from.hole_end - from.hole);
	err = read_backing(mapping, from.hole_end, from.there, bytes + (from.hole_end - offset));
	if (err)
		return err;
	mem_zero(bytes + (from.there - offset), offset + folio_len_bytes(folio) - from.there);
	return 0;
}

static int write_zeros(struct mapping *mapping, u64 offset, u64 end)
{
	const struct quire_backing *backing = &mapping->backing;

	while (offset < end) {
		u64 len_bytes = u64_min(end - offset, sizeof(zeros));

		if (backing->write(backing->context, offset, zeros, len_bytes))
			return -QUIRE_EIO;
		offset += len_bytes;
	}
	return 0;
}

int backing_zero(struct mapping *mapping, u64 offset, u64 end)
{
	return write_zeros(mapping, offset, u64_min(end, mapping->backed_bytes));
}

int backing_write_folio(struct mapping *mapping, struct folio *folio)
{
	const struct quire_backing *backing = &mapping->backing;
	u64 offset = folio_offset(folio), end = offset + folio_len_bytes(folio);
	char *bytes = folio_bytes(mapping->files->phys, folio);
	int err;

	end = u64_min(end, atomic_load(&mapping->size_bytes));
	if (end <= offset)
		return 0;
	/* As Linux: what a mapping wrote beyond the end is gone with this. */
	mem_zero(bytes + (end - offset), folio_len_bytes(folio) - (end - offset));
	if (offset > mapping->backed_bytes) {
		err = write_zeros(mapping, mapping->backed_bytes,
				  u64_min(offset, mapping->backing_end_bytes));
		if (err)
			return err;
	}
	if (backing->write(backing->context, offset, bytes, end - offset))
		return -QUIRE_EIO;
	spin_lock(&mapping->index_lock);
	mapping->backed_bytes = u64_max(mapping->backed_bytes, end);
	spin_unlock(&mapping->index_lock);
	mapping->backing_end_bytes = u64_max(mapping->backing_end_bytes, end);
	return 0;
}

/* ---- writeback ---------------------------------------------------------------- */

static int write_back_folio(struct mapping *mapping, struct folio *folio)
{
	int err = 0;

	folio_lock(folio);
	if (cache_clear_dirty(mapping, folio)) {
		rmap_clean(mapping->files->rmap, folio, &mapping->i_mmap);
		err = backing_write_folio(mapping, folio);
		if (err)
			mapping_dirty_folio(mapping, folio);
	}
	folio_unlock(folio);
	return err;
}

int mapping_writeback(struct mapping *mapping, u64 first_index, u64 last_index)
{
	struct folio *folios[CACHE_BATCH];
	u64 index = first_index;
	int result = 0;
	u32 nr;

	if (mapping->kind == QUIRE_FILE_MEMORY)
		return 0;
	mutex_lock(&mapping->size_lock);
	while ((nr = cache_find_batch(mapping, &index, last_index, FRAME_DIRTY, folios)) != 0) {
		for (u32 i = 0; i < nr; i++) {
			if (write_back_folio(mapping, folios[i]))
				result = -QUIRE_EIO;
			folio_put(mapping->files->phys, folios[i]);
		}
	}
	mutex_unlock(&mapping->size_lock);
	return result;
}
