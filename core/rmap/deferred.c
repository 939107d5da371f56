/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deferred split queue: see deferred.h.
 *
 * Invariant.  A folio is on the list if and only if it has the mark; both
 * change under the lock.  So whoever frees a folio with the mark takes it off,
 * under the lock, before its descriptor means something else; and who empties
 * the queue takes a reference under the lock, or sees that there is none left
 * and leaves the folio to who frees it.
 *
 * Folios being looked at are in an array, each with a reference and off the
 * queue: not on a second list, whose elements others would take out under a
 * lock that is not its own, and that no length counts (both were bugs of the
 * field: folios lost or freed under the scanner).
 */
#include "rmap/split.h"

#include "base/bits.h"

/* Held back from everybody else at a time: their references spoil reuse. */
#define SCAN_BATCH 8u

static struct list *folio_link(struct folio *folio)
{
	return &folio_large(folio)->deferred;
}

static struct folio *link_folio(struct list *link)
{
	struct folio_large *large = list_entry(link, struct folio_large, deferred);

	return (struct folio *)(void *)((struct frame *)(void *)large - 1);
}

/* Queue locked. */
static void take_off(struct deferred *deferred, struct folio *folio)
{
	list_remove(folio_link(folio));
	atomic_store(&deferred->nr_folios, deferred->nr_folios - 1);
	folio_clear(folio, FRAME_PARTLY_MAPPED);
}

void deferred_forget(struct rmap *rmap, struct folio *folio)
{
	struct deferred *deferred = &rmap->deferred;

	if (!folio_test(folio, FRAME_PARTLY_MAPPED))
		return;
	spin_lock(&deferred->lock);
	if (folio_test(folio, FRAME_PARTLY_MAPPED))
		take_off(deferred, folio);
	spin_unlock(&deferred->lock);
}

static void forget_freed(void *arg, struct folio *folio)
{
	deferred_forget(arg, folio);
}

void deferred_init(struct rmap *rmap, enum deferred_rule rule)
{
	rmap->deferred = (struct deferred){ .rule = rule };
	spin_init(&rmap->deferred.lock, LOCK_RANK_leaf);
	list_init(&rmap->deferred.folios);
	rmap->phys->above = (struct phys_above){ forget_freed, rmap };
}

/* True when it was not there.  Pre: a reference. */
static bool put_on(struct deferred *deferred, struct folio *folio)
{
	bool is_new = !folio_test(folio, FRAME_PARTLY_MAPPED);

	lock_assert_held(&deferred->lock);
	if (is_new) {
		folio_set(folio, FRAME_PARTLY_MAPPED);
		list_append(&deferred->folios, folio_link(folio));
		atomic_store(&deferred->nr_folios, deferred->nr_folios + 1);
	}
	return is_new;
}

/* ---- what a removal tells ------------------------------------------------------- */

/* Removals that race: each looks after its own, so the last sees what they all left. */
static bool is_suspect(const struct rmap *rmap, struct folio *folio)
{
	struct folio_large *large = folio_large(folio);
	u32 nr;

	switch (rmap->deferred.rule) {
	case DEFERRED_SUBPAGE_COUNTS:
		/* Before the pages: a leaf that is split counts twice for a moment. */
		if (atomic_load_acquire(&large->entire_mapcount) != 0)
			return false;
		nr = atomic_load(&large->nr_pages_mapped);
		return nr != 0 && nr < folio_nr_pages(folio);
	case DEFERRED_TOTAL_COUNT:
		nr = folio_mapcount(rmap, folio);
		return nr != 0 && nr < folio_nr_pages(folio);
	default:
		return folio_mapcount(rmap, folio) != 0;
	}
}

void rmap_note_removal_slow(struct rmap *rmap, struct folio *folio)
{
	struct deferred *deferred = &rmap->deferred;

	/* A file's folio is whole as long as it is in the file. */
	if (!folio_is_anon(folio) || !is_suspect(rmap, folio))
		return;
	spin_lock(&deferred->lock);
	deferred->nr_queued += put_on(deferred, folio);
	spin_unlock(&deferred->lock);
}

/* ---- which pages are mapped ------------------------------------------------------- */

struct page_set {
	const struct phys *phys;
	u64 bits[(QUIRE_TABLE_ENTRIES + 63) / 64];
};

/* Marks the pages of the folio that the entry maps. */
static void note_entry(struct page_set *set, struct folio *folio, entry_t e)
{
	u64 page, nr = entry_is_leaf(e) ? folio_nr_pages(folio) : 1;

	if (!entry_is_present(e) || entry_is_special(e))
		return;
	page = entry_pfn(e).v - folio_pfn(set->phys, folio).v;
	if (page >= folio_nr_pages(folio))
		return;
	for (u64 i = 0; i < nr; i++)
		bitmap_set(set->bits, page + i);
}

static bool note_visit(struct folio *folio, struct vma *vma, u64 addr, void *arg)
{
	u64 nr_pages = folio->index + folio_nr_pages(folio) - vma_index(vma, addr);
	u64 end = u64_min(addr + (nr_pages << PAGE_SHIFT), vma->end);
	struct span span = { 0 };

	for (u64 at = addr; pgtable_next_span(vma->pt, at, end, &span);) {
		u64 nr = span.level == 0 ? (span.end - span.addr) >> PAGE_SHIFT : 1;

		at = span.end;
		table_lock(span.table);
		/* A leaf that was found may have become a table: walk again. */
		if (span.level != 0 && !entry_is_leaf(entry_load(span.slots)))
			at = span.addr;
		for (u64 i = 0; i < nr && at == span.end; i++)
			note_entry(arg, folio, entry_load(&span.slots[i]));
		table_unlock(span.table);
	}
	return true;
}

u32 folio_nr_mapped_pages(struct rmap *rmap, struct folio *folio)
{
	struct page_set set = { .phys = rmap->phys };
	const struct rmap_walk walk = { .visit = note_visit, .arg = &set };
	u32 nr = 0;

	rmap_walk(rmap, folio, NULL, &walk);
	for (unsigned i = 0; i < ARRAY_LEN(set.bits); i++)
		nr += bit_count(set.bits[i]);
	return nr;
}

/* ---- emptying ------------------------------------------------------------------------ */

/* Takes the oldest off, each with a reference. */
static u32 take_batch(struct deferred *deferred, struct folio **batch, u32 max)
{
	u32 nr = 0;

	spin_lock(&deferred->lock);
	list_for_each_safe(pos, &deferred->folios) {
		struct folio *folio = link_folio(pos);

		if (nr == max)
			break;
		/* Else it is being freed, and taken off there. */
		if (!folio_get_unless_zero(folio))
			continue;
		take_off(deferred, folio);
		batch[nr++] = folio;
	}
	deferred->nr_scanned += nr;
	spin_unlock(&deferred->lock);
	return nr;
}

static void put_back(struct deferred *deferred, struct folio *folio)
{
	spin_lock(&deferred->lock);
	put_on(deferred, folio);
	spin_unlock(&deferred->lock);
	atomic_fetch_add(&deferred->nr_busy, 1);
}

/* Folio locked.  It is large still: it cannot be split while it has our reference
 * and we do not do it. */
static bool is_partly_mapped(struct rmap *rmap, struct folio *folio)
{
	u32 nr = folio_nr_mapped_pages(rmap, folio);

	return nr != 0 && nr < folio_nr_pages(folio);
}

/* Returns the pages freed. */
static u64 scan_folio(struct rmap *rmap, struct folio *folio)
{
	struct deferred *deferred = &rmap->deferred;
	u64 nr_freed = 0;

	if (!folio_trylock(folio)) {
		put_back(deferred, folio);
		return 0;
	}
	if (!is_partly_mapped(rmap, folio))
		atomic_fetch_add(&deferred->nr_whole, 1);
	else if (folio_split_anon(rmap, folio, 0, &nr_freed))
		put_back(deferred, folio);
	else
		atomic_fetch_add(&deferred->nr_split, 1);
	folio_unlock(folio);
	return nr_freed;
}

u64 rmap_split_deferred(struct rmap *rmap, u64 nr_to_scan)
{
	struct deferred *deferred = &rmap->deferred;
	struct folio *batch[SCAN_BATCH];
	u64 nr_freed = 0;

	/* What goes back is not looked at twice. */
	nr_to_scan = u64_min(nr_to_scan, atomic_load(&deferred->nr_folios));
	while (nr_to_scan > 0) {
		u32 nr = take_batch(deferred, batch, (u32)u64_min(nr_to_scan, SCAN_BATCH));

		if (nr == 0)
			break;
		for (u32 i = 0; i < nr; i++) {
			nr_freed += scan_folio(rmap, batch[i]);
			if (folio_drop_n(batch[i], 1)) {
				nr_freed += folio_nr_pages(batch[i]);
				folio_free(rmap->phys, batch[i]);
			}
		}
		nr_to_scan -= nr;
	}
	return nr_freed;
}
