/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Splitting a large folio of the cache into smaller ones, in place.
 *
 * Guarantees.  All or nothing: a split that fails leaves folio, contents and
 * marks as they were.  A page of the folio is in the cache before, during and
 * after: nobody takes it for a hole.
 *
 * Design.  Everything happens in one hold of the index lock.  What can fail
 * comes first: the folio's one range of the index is cut into a range for each
 * part, all of which still name the whole folio.  (That is why the index may
 * have several ranges for a folio; a split that goes on to fail joins them
 * again if there is memory, and else leaves them.)  Then the references are
 * frozen, which shows at one instant that nobody but the index and the caller
 * has one: no entry maps the folio, nobody pins it, no lookup is on its way to
 * it.  The rest cannot fail: the frames become folios, and each range is
 * overwritten in place by the folio that now is there, or, beyond the file's
 * size, by the mark of a removed one.
 */
#include "file/cache.h"

#include "base/bits.h"

/* The index's and the caller's. */
#define SPLIT_REFS 2u

/* Pages [first, last] of the index get a range of their own for each 2^order.
 * 0, or -ENOMEM with some of them cut. */
static int cut_ranges(struct mapping *mapping, struct folio *folio, unsigned order)
{
	struct maple_cursor cur = maple_cursor(&mapping->folios, 0, 0);
	u64 last = folio_last_index(folio);

	/* From the front: what is left of the old range is always the end. */
	for (u64 first = folio->index; first + BIT(order) <= last; first += BIT(order)) {
		maple_set_range(&cur, first, first + BIT(order) - 1);
		if (maple_store(&cur, folio))
			return -QUIRE_ENOMEM;
	}
	return 0;
}

static void join_ranges(struct mapping *mapping, struct folio *folio)
{
	struct maple_cursor cur =
		maple_cursor(&mapping->folios, folio->index, folio_last_index(folio));

	if (maple_store(&cur, folio)) {
		/* No memory: it keeps its ranges. */
	}
}

/* A part that nobody can have seen leaves the file; its range says so already. */
static void drop_part(struct mapping *mapping, struct folio *part)
{
	u64 nr_pages = folio_nr_pages(part);

	if (folio_test(part, FRAME_DIRTY))
		atomic_store(&mapping->nr_dirty, mapping->nr_dirty - 1);
	folio_clear(part, FRAME_DIRTY);
	atomic_store(&part->mapping, NULL);
	atomic_store(&mapping->nr_pages, mapping->nr_pages - nr_pages);
	atomic_fetch_sub(&mapping->files->nr_cached, nr_pages);
	folio_put(mapping->files->phys, part);
}

/* Each range names the folio that begins there.  Those beyond the size go, but
 * for the first, which the caller has: whoever lowered the size sees to it. */
static void name_parts(struct mapping *mapping, struct folio *folio, u64 last)
{
	struct maple_cursor cur = maple_cursor(&mapping->folios, folio->index, folio->index);
	u64 first = folio->index, end = u64_max(mapping_size_pages(mapping), first + 1);
	void *entry;

	maple_for_each(&cur, entry, last) {
		struct frame *frame = folio_frame(folio, cur.first - first);

		check(entry == (void *)folio);
		if (cur.first < end) {
			maple_replace(&cur, frame);
		} else {
			maple_replace(&cur, CACHE_GONE);
			drop_part(mapping, frame_folio(frame));
		}
	}
}

/* Nobody else has a reference, and so nobody maps it. */
static int freeze(struct mapping *mapping, struct folio *folio)
{
	int err;

	if (!refcount_freeze(&folio->refs, SPLIT_REFS))
		return -QUIRE_EBUSY;
	err = sharing_split(&mapping->files->rmap->sharing, folio_sharing(folio));
	if (err)
		refcount_unfreeze(&folio->refs, SPLIT_REFS);
	return err;
}

/* Index lock held. */
static int split_indexed(struct mapping *mapping, struct folio *folio, unsigned order)
{
	u64 nr_parts = BIT(folio_order(folio) - order), last = folio_last_index(folio);
	const struct rmap *rmap = mapping->files->rmap;
	int err;

	if (refcount_read(&folio->refs) != SPLIT_REFS)
		return -QUIRE_EBUSY;
	err = cut_ranges(mapping, folio, order);
	if (!err)
		err = freeze(mapping, folio);
	if (err) {
		join_ranges(mapping, folio);
		return err;
	}
	if (folio_test(folio, FRAME_DIRTY))
		atomic_store(&mapping->nr_dirty, mapping->nr_dirty + nr_parts - 1);
	folio_split_frames(mapping->files->phys, folio, order, 1);
	folio_get(folio); /* the caller's: the first part's */
	for (u64 i = 0; order != 0 && i < nr_parts; i++) {
		err = rmap_folio_init(rmap, frame_folio(folio_frame(folio, i << order)));
		check(!err);
	}
	name_parts(mapping, folio, last);
	return 0;
}

int mapping_split_folio(struct mapping *mapping, struct folio *folio, unsigned order)
{
	int err;

	if (order >= folio_order(folio) || !rmap_has_order(mapping->files->rmap, order))
		return -QUIRE_EINVAL;
	spin_lock(&mapping->index_lock);
	check(folio->mapping == (void *)mapping);
	err = split_indexed(mapping, folio, order);
	spin_unlock(&mapping->index_lock);
	return err;
}
