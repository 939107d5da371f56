/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collapse in the cache: the folios of an aligned range of a memory-backed file,
 * and the holes between them, become one large folio.
 *
 * Guarantees.  A reader finds the old folios or the new one, never a hole where
 * there was a page, and in the new one only when it is whole: until then it
 * waits for the folio lock.  No byte that anybody wrote is lost.  A failure
 * leaves the cache as it was; what was unmapped on the way faults in again.
 *
 * Design.  We take a reference to every folio of the range and unmap them
 * everywhere.  Nobody truncates, punches or writes through the file meanwhile (the
 * size lock), nor splits what we hold.  In one hold of the index lock the range is
 * looked at again (a fault may have filled a hole), the references are frozen, and
 * one range is stored over all.  Frozen at the index's and ours, a folio has no
 * mapping, no pin, and nobody who holds its lock or waits for it, for each of
 * them has a reference; so the folio locks are not needed, of which there might be
 * hundreds.  Whoever was in between, a fault that mapped a page again, makes the
 * freezing fail.
 *
 * The new folio is locked and not uptodate until it has the contents, so copying
 * needs no spin lock.
 *
 * The old ones are linked by `lru`, on which a folio of a file is not otherwise.
 */
#include "file/cache.h"

#include "base/memory.h"

/* The index's and ours. */
#define COLLAPSE_REFS 2u

struct gathered {
	struct mapping *mapping;
	u64 first, last;     /* the range */
	struct list folios;  /* ascending; with a reference */
	u64 nr_pages;        /* that they have */
	bool dirty;          /* some folio is: of what was replaced */
};

static struct folio *link_folio(struct list *link)
{
	return (struct folio *)(void *)list_entry(link, struct frame, lru);
}

/* ---- the old folios ---------------------------------------------------------------- */

/* Takes over the reference.  A batch may begin with another range of the folio that
 * the last one ended with: see split.c. */
static void gather_folio(struct gathered *g, struct folio *folio)
{
	if (!list_empty(&g->folios) && link_folio(g->folios.prev) == folio) {
		folio_put(g->mapping->files->phys, folio);
		return;
	}
	list_append(&g->folios, &folio->lru);
	g->nr_pages += folio_nr_pages(folio);
}

static void gather_folios(struct gathered *g)
{
	struct folio *batch[CACHE_BATCH];
	u64 index = g->first;
	u32 nr;

	while ((nr = cache_find_batch(g->mapping, &index, g->last, 0, batch)) != 0) {
		for (u32 i = 0; i < nr; i++)
			gather_folio(g, batch[i]);
	}
}

static void release_folios(struct gathered *g)
{
	list_for_each_safe(pos, &g->folios) {
		list_remove(pos);
		folio_put(g->mapping->files->phys, link_folio(pos));
	}
}

/* Nobody but the index, us and mappings has a reference to any.  A hint. */
static bool are_free(const struct gathered *g)
{
	list_for_each(pos, &g->folios) {
		struct folio *folio = link_folio(pos);
		u32 mapcount = folio_mapcount(g->mapping->files->rmap, folio);

		/* Read last: references are at least the mappings. */
		if (refcount_read(&folio->refs) > mapcount + COLLAPSE_REFS)
			return false;
	}
	return true;
}

/* Unfreezes those before `end`. */
static void unfreeze_until(struct gathered *g, const struct list *end)
{
	for (struct list *pos = g->folios.next; pos != end; pos = pos->next)
		refcount_unfreeze(&link_folio(pos)->refs, COLLAPSE_REFS);
}

static bool freeze_all(struct gathered *g)
{
	list_for_each(pos, &g->folios) {
		if (refcount_freeze(&link_folio(pos)->refs, COLLAPSE_REFS))
			continue;
		unfreeze_until(g, pos);
		return false;
	}
	return true;
}

/* ---- the index --------------------------------------------------------------------- */

/* Index lock held, here and below.  What is there is what was gathered: nothing
 * was removed, so it is enough that nothing was added. */
static bool is_as_gathered(const struct gathered *g)
{
	struct maple_cursor cur = maple_cursor(&g->mapping->folios, g->first, g->first);
	u64 nr_pages = 0;
	void *entry;

	maple_for_each(&cur, entry, g->last) {
		if (entry != CACHE_GONE)
			nr_pages += u64_min(cur.last, g->last) - cur.first + 1;
	}
	return nr_pages == g->nr_pages;
}

/* The frozen folios are in the file no more. */
static void forget_folios(struct gathered *g)
{
	struct mapping *mapping = g->mapping;

	list_for_each(pos, &g->folios) {
		struct folio *folio = link_folio(pos);

		if (frame_test_and_clear(&folio->frame, FRAME_DIRTY)) {
			atomic_store(&mapping->nr_dirty, mapping->nr_dirty - 1);
			g->dirty = true;
		}
		atomic_store(&folio->mapping, NULL);
	}
}

static void insert_folio(struct gathered *g, struct folio *folio)
{
	struct mapping *mapping = g->mapping;
	u64 nr_new = folio_nr_pages(folio) - g->nr_pages;

	folio_get(folio); /* the index's */
	if (g->dirty) {
		folio_set(folio, FRAME_DIRTY);
		atomic_store(&mapping->nr_dirty, mapping->nr_dirty + 1);
	}
	atomic_store(&folio->index, g->first);
	atomic_store(&mapping->nr_pages, mapping->nr_pages + nr_new);
	atomic_fetch_add(&mapping->files->nr_cached, nr_new);
	/* RELEASE pairs with folio_is_at. */
	atomic_store_release(&folio->mapping, (void *)mapping);
}

static int replace_indexed(struct gathered *g, struct folio *folio)
{
	struct maple_cursor cur = maple_cursor(&g->mapping->folios, g->first, g->last);
	int err;

	if (!is_as_gathered(g) || !freeze_all(g))
		return -QUIRE_EAGAIN;
	err = maple_store(&cur, folio);
	if (err) {
		unfreeze_until(g, &g->folios);
		return err;
	}
	forget_folios(g);
	insert_folio(g, folio);
	return 0;
}

static int replace(struct gathered *g, struct folio *folio)
{
	int err;

	spin_lock(&g->mapping->index_lock);
	err = replace_indexed(g, folio);
	spin_unlock(&g->mapping->index_lock);
	return err;
}

/* ---- contents ---------------------------------------------------------------------- */

static void zero_pages(const struct phys *phys, const struct folio *folio, u64 page, u64 nr)
{
	mem_zero((char *)folio_bytes(phys, folio) + (page << PAGE_SHIFT), nr << PAGE_SHIFT);
}

/* Moves what the old folios hold, which nobody else can see any more, and frees
 * them.  In the file and locked, the new one is not uptodate yet. */
static void move_contents(struct gathered *g, struct folio *folio)
{
	struct phys *phys = g->mapping->files->phys;
	char *to = folio_bytes(phys, folio);
	u64 at = 0, nr_pages = folio_nr_pages(folio);

	list_for_each_safe(pos, &g->folios) {
		struct folio *old = link_folio(pos);
		u64 page = old->index - g->first, nr = folio_nr_pages(old);

		zero_pages(phys, folio, at, page - at);
		mem_copy(to + (page << PAGE_SHIFT), folio_bytes(phys, old), nr << PAGE_SHIFT);
		COST_ADD(bytes_copied, nr << PAGE_SHIFT);
		at = page + nr;
		list_remove(pos);
		folio_free(phys, old);
	}
	zero_pages(phys, folio, at, nr_pages - at);
	folio_set_uptodate(folio);
}

/* ---- the call ------------------------------------------------------------------------ */

/* Size lock held, the new folio locked. */
static int collapse_locked(struct gathered *g, struct folio *folio, mapping_unmap_fn *unmap)
{
	int err = 0;

	if (g->last >= mapping_size_pages(g->mapping))
		return -QUIRE_ERANGE;
	gather_folios(g);
	if (list_empty(&g->folios))
		return -QUIRE_ENOENT;
	if (folio_order(link_folio(g->folios.next)) >= folio_order(folio))
		err = -QUIRE_EEXIST;
	else if (!are_free(g))
		err = -QUIRE_EAGAIN;
	if (!err) {
		unmap(g->mapping, g->first, g->last, false);
		err = replace(g, folio);
	}
	if (err)
		release_folios(g);
	else
		move_contents(g, folio);
	return err;
}

int mapping_collapse(struct mapping *mapping, u64 first, struct folio *folio,
		     mapping_unmap_fn *unmap)
{
	struct gathered g = {
		.mapping = mapping, .first = first, .last = first + folio_nr_pages(folio) - 1,
	};
	int err;

	if (mapping->kind != QUIRE_FILE_MEMORY)
		return -QUIRE_EINVAL;
	list_init(&g.folios);
	mutex_lock(&mapping->size_lock);
	folio_lock(folio);
	err = collapse_locked(&g, folio, unmap);
	folio_unlock(folio);
	mutex_unlock(&mapping->size_lock);
	return err;
}
