/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapcounts of large folios, and pins.  What small folios need is inline in
 * rmap.h.
 *
 * A batch of pages mapped or unmapped together is one update of the rival's
 * state, and where pages count by themselves one atomic per page and one for
 * the number of mapped pages.  The rival's count falls last and rises last: a
 * folio whose count is 0 has no page with a mapping that was completed.
 */
#include "rmap/rmap.h"

/* ---- pages that count by themselves -------------------------------------------- */

static void pages_add(struct folio *folio, struct frame *frame, u32 nr)
{
	u32 newly_mapped = 0;

	for (u32 i = 0; i < nr; i++)
		newly_mapped += atomic_fetch_add(&frame[i].mapcount, 1u) == 0;
	if (newly_mapped)
		atomic_fetch_add(&folio_large(folio)->nr_pages_mapped, newly_mapped);
}

static void pages_remove(struct folio *folio, struct frame *frame, u32 nr)
{
	u32 unmapped = 0;

	for (u32 i = 0; i < nr; i++) {
		u32 old = atomic_fetch_sub(&frame[i].mapcount, 1u);

		check(old > 0);
		unmapped += old == 1;
	}
	if (unmapped)
		atomic_fetch_sub(&folio_large(folio)->nr_pages_mapped, unmapped);
}

static void pages_add_new(struct folio *folio, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		atomic_store(&folio_frame(folio, i)->mapcount, 1u);
	atomic_store(&folio_large(folio)->nr_pages_mapped, nr);
}

/* ---- counting -------------------------------------------------------------------- */

void rmap_add_new_large(struct folio *folio, struct vma *vma, bool leaf)
{
	const struct rmap *rmap = vma->owner->rmap;
	u32 nr = (u32)folio_nr_pages(folio);

	if (!folio_has_word_refs(folio))
		folio_get_n(folio, nr - 1);
	if (rmap->per_subpage) {
		if (leaf)
			atomic_store(&folio_large(folio)->entire_mapcount, 1u);
		else
			pages_add_new(folio, nr);
	}
	if (rmap_scores(rmap))
		score_map_new(folio, vma, nr);
	else
		sharing_map_new(&rmap->sharing, folio_sharing(folio), folio_order(folio),
				vma_sharer(vma), 0, nr);
}

static u32 page_in_folio(const struct folio *folio, const struct frame *frame)
{
	return (u32)(frame - &folio->frame);
}

static int count_map(struct folio *folio, struct frame *frame, u32 nr, struct vma *vma)
{
	if (rmap_scores(vma->owner->rmap))
		return score_map(folio, vma, page_in_folio(folio, frame), nr);
	return sharing_map(&vma->owner->rmap->sharing, folio_sharing(folio),
			   folio_order(folio), vma_sharer(vma), page_in_folio(folio, frame), nr);
}

static u32 count_unmap(struct folio *folio, struct frame *frame, u32 nr, struct vma *vma)
{
	if (rmap_scores(vma->owner->rmap))
		return score_unmap(folio, vma, page_in_folio(folio, frame), nr);
	return rmap_unmap_large(folio, vma, page_in_folio(folio, frame), nr);
}

int rmap_add_large(struct folio *folio, struct frame *frame, u32 nr, struct vma *vma)
{
	int err;

	check(frame_folio(frame + nr - 1) == folio);
	if (!vma->owner->rmap->per_subpage)
		return count_map(folio, frame, nr, vma);
	pages_add(folio, frame, nr);
	err = count_map(folio, frame, nr, vma);
	if (err)
		pages_remove(folio, frame, nr);
	return err;
}

/* Where a mapping is its own reference there is nothing to get. */
static void get_for_mappings(struct folio *folio, u32 nr)
{
	if (!folio_has_word_refs(folio))
		folio_get_n(folio, nr);
}

/* The caller has another. */
static void unget_for_mappings(struct folio *folio, u32 nr)
{
	bool last = !folio_has_word_refs(folio) && folio_drop_n(folio, nr);

	check(!last);
	(void)last;
}

int rmap_add_large_get(struct folio *folio, struct frame *frame, u32 nr, struct vma *vma)
{
	int err;

	get_for_mappings(folio, nr);
	err = rmap_add_large(folio, frame, nr, vma);
	if (err)
		unget_for_mappings(folio, nr);
	return err;
}

u32 rmap_uncount_large(struct folio *folio, struct frame *frame, u32 nr, struct vma *vma)
{
	check(frame_folio(frame + nr - 1) == folio);
	if (vma->owner->rmap->per_subpage)
		pages_remove(folio, frame, nr);
	return count_unmap(folio, frame, nr, vma);
}

u32 rmap_remove_large(struct folio *folio, struct frame *frame, u32 nr, struct vma *vma)
{
	u32 nr_refs = rmap_uncount_large(folio, frame, nr, vma);

	/* A reference is still there: the folio cannot go. */
	rmap_note_removal(vma->owner->rmap, folio);
	return nr_refs;
}

int rmap_add_leaf_get(struct folio *folio, struct vma *vma)
{
	u32 nr = (u32)folio_nr_pages(folio);
	int err;

	COST_ADD(rmap_updates, 1);
	get_for_mappings(folio, nr);
	err = count_map(folio, &folio->frame, nr, vma);
	if (err)
		unget_for_mappings(folio, nr);
	else if (vma->owner->rmap->per_subpage)
		atomic_fetch_add(&folio_large(folio)->entire_mapcount, 1u);
	return err;
}

u32 rmap_remove_leaf(struct folio *folio, struct vma *vma)
{
	u32 nr_refs;

	COST_ADD(rmap_updates, 1);
	if (vma->owner->rmap->per_subpage) {
		u32 old = atomic_fetch_sub(&folio_large(folio)->entire_mapcount, 1u);

		check(old > 0);
		(void)old;
	}
	nr_refs = count_unmap(folio, &folio->frame, (u32)folio_nr_pages(folio), vma);
	rmap_note_removal(vma->owner->rmap, folio);
	return nr_refs;
}

void rmap_split_leaf(struct folio *folio, struct vma *vma)
{
	if (!vma->owner->rmap->per_subpage)
		return;
	/* Pages rise before the leaf falls: none looks unmapped in between. */
	pages_add(folio, &folio->frame, (u32)folio_nr_pages(folio));
	atomic_fetch_sub(&folio_large(folio)->entire_mapcount, 1u);
}

void rmap_join_leaf(struct folio *folio, struct vma *vma)
{
	if (!vma->owner->rmap->per_subpage)
		return;
	/* The leaf rises before the pages fall: as in rmap_split_leaf. */
	atomic_fetch_add(&folio_large(folio)->entire_mapcount, 1u);
	pages_remove(folio, &folio->frame, (u32)folio_nr_pages(folio));
}

/* ---- pins ------------------------------------------------------------------------ */

/* Above half of what the field holds no reference is added that may stay; CPUs
 * that pass the test together cannot add enough to wrap it. */
#define PIN_REFS_MAX (UINT32_MAX / 2)
#define PIN_WORD_REFS_MAX (FOLIO_WORD_REFS_MAX / 2)

bool folio_has_room(struct folio *folio)
{
	if (folio_has_word_refs(folio))
		return (atomic_load((const u64 *)(const void *)folio_word(folio)) &
			FOLIO_WORD_REFS_MAX) <= PIN_WORD_REFS_MAX;
	return refcount_read(&folio->refs) <= PIN_REFS_MAX;
}

bool folio_pin(struct folio *folio)
{
	if (!folio_has_room(folio))
		return false;
	if (folio_is_large(folio)) {
		folio_get(folio);
		atomic_fetch_add(&folio_large(folio)->pincount, 1u);
	} else {
		refcount_get(&folio->refs, FOLIO_PIN_BIAS);
	}
	/* The pin before the pinner's look at the exclusive mark: pairs with
	 * folio_maybe_pinned. */
	mach_fence(MACH_SEQ_CST);
	return true;
}

void folio_unpin(struct phys *phys, struct folio *folio)
{
	if (folio_is_large(folio)) {
		u32 old = atomic_fetch_sub(&folio_large(folio)->pincount, 1u);

		check(old > 0);
		(void)old;
		folio_put(phys, folio);
	} else {
		folio_put_n(phys, folio, FOLIO_PIN_BIAS);
	}
}

bool folio_maybe_pinned(struct folio *folio)
{
	/* The exclusive mark was dropped before: pairs with folio_pin. */
	mach_fence(MACH_SEQ_CST);
	if (folio_is_large(folio))
		return atomic_load(&folio_large(folio)->pincount) != 0;
	return refcount_read(&folio->refs) >= FOLIO_PIN_BIAS;
}
