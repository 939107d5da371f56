/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapcounts of large folios, and pins.  What small folios need is inline in
 * rmap.h.
 *
 * Per batch of pages mapped or unmapped together: one atomic per page, and one
 * each for the folio's sum and (where a page begins or ceases to be mapped)
 * for its number of mapped pages.  The sum falls last and rises last: a folio
 * whose sum is 0 has no page with a mapping that was completed.
 */
#include "rmap/rmap.h"

#include "base/bits.h"
#include "base/memory.h"

/* ---- counting ---------------------------------------------------------------- */

/* All but the head's own count and marks, which rmap_add_new_anon writes. */
void rmap_add_new_large(struct folio *folio)
{
	struct folio_large *large = folio_large(folio);
	u32 nr = (u32)folio_nr_pages(folio);

	for (u32 i = 1; i < nr; i++) {
		struct frame *frame = folio_frame(folio, i);

		atomic_store(&frame->flags,
			     atomic_load(&frame->flags) | FRAME_ANON_EXCLUSIVE);
		atomic_store(&frame->mapcount, 1u);
	}
	atomic_store(&large->entire_mapcount, 0u);
	atomic_store(&large->nr_pages_mapped, nr);
	atomic_store(&large->total_mapcount, nr);
}

void rmap_add_large(struct folio *folio, struct frame *frame, u32 nr)
{
	struct folio_large *large = folio_large(folio);
	u32 newly_mapped = 0;

	check(frame_folio(frame + nr - 1) == folio);
	for (u32 i = 0; i < nr; i++)
		newly_mapped += atomic_fetch_add(&frame[i].mapcount, 1u) == 0;
	if (newly_mapped)
		atomic_fetch_add(&large->nr_pages_mapped, newly_mapped);
	atomic_fetch_add(&large->total_mapcount, nr);
}

void rmap_remove_large(struct folio *folio, struct frame *frame, u32 nr)
{
	struct folio_large *large = folio_large(folio);
	u32 unmapped = 0, old;

	check(frame_folio(frame + nr - 1) == folio);
	for (u32 i = 0; i < nr; i++) {
		old = atomic_fetch_sub(&frame[i].mapcount, 1u);
		check(old > 0);
		unmapped += old == 1;
	}
	if (unmapped)
		atomic_fetch_sub(&large->nr_pages_mapped, unmapped);
	old = atomic_fetch_sub(&large->total_mapcount, nr);
	check(old >= nr);
}

/* A batch lies in one table. */
#define BATCH_MAX QUIRE_TABLE_ENTRIES

/* Drops the exclusive marks, setting the bits of those that were there; true
 * when there was one. */
static bool drop_exclusive(struct frame *frame, u32 nr, u64 *dropped)
{
	bool any = false;

	mem_zero(dropped, BITMAP_WORDS(nr) * sizeof(*dropped));
	for (u32 i = 0; i < nr; i++) {
		if (!frame_test(frame + i, FRAME_ANON_EXCLUSIVE))
			continue;
		frame_clear(frame + i, FRAME_ANON_EXCLUSIVE);
		bitmap_set(dropped, i);
		any = true;
	}
	return any;
}

int rmap_dup_anon_large(struct folio *folio, struct frame *frame, u32 nr,
			bool may_be_pinned)
{
	u64 dropped[BITMAP_WORDS(BATCH_MAX)];

	check(nr <= BATCH_MAX);
	if (drop_exclusive(frame, nr, dropped) && may_be_pinned &&
	    folio_maybe_pinned(folio)) {
		for (u32 i = 0; i < nr; i++)
			if (bitmap_test(dropped, i))
				frame_set(frame + i, FRAME_ANON_EXCLUSIVE);
		return -QUIRE_EBUSY;
	}
	rmap_add_large(folio, frame, nr);
	return 0;
}

/* ---- pins ------------------------------------------------------------------------ */

/* Above this no pin is added; CPUs that pass the test together cannot add
 * enough to wrap the count. */
#define PIN_REFS_MAX (UINT32_MAX / 2)

bool folio_pin(struct folio *folio)
{
	if (refcount_read(&folio->refs) > PIN_REFS_MAX)
		return false;
	if (folio_is_large(folio)) {
		refcount_get(&folio->refs, 1);
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
