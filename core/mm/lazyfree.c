/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MADV_FREE: pages whose contents may be forgotten until they are written again.
 *
 * Guarantees.  A folio marked lazy is mapped by nobody else, and clean in every
 * entry: reclaim may drop it as long as it stays so.  What is not marked is as it
 * was.
 *
 * Reclaim drops whole folios.  So of a large folio of which only a part is given
 * up the part has to become folios of its own: it is split to single pages, in
 * place.  Where others map it, or hold it, or are at work on it, nothing is done:
 * the advice is one that may be left.
 */
#include "mm/pages.h"
#include "rmap/split.h"

struct lazyfree {
	struct vma *vma;
	bool flush;          /* a TLB may remember an entry as dirty */
	struct folio *part;  /* met, with a reference: only a part of it goes */
};

static void mark_folio(struct lazyfree *lazy, struct folio *folio, entry_t *slots, u32 nr_slots)
{
	folio_set(folio, FRAME_LAZYFREE);
	for (u32 i = 0; i < nr_slots; i++) {
		if ((entry_load(&slots[i]).v & ENTRY_WALKER_BITS) == 0)
			continue;
		entry_fetch_clear(&slots[i], ENTRY_WALKER_BITS);
		lazy->flush = true;
	}
}

/*
 * `nr_pages` of the folio are to go, mapped by slots[0..nr_slots).  False: they
 * are a part of what is ours alone, and lazy->part says so.  Table lock held.
 */
static bool mark_or_stop(struct lazyfree *lazy, struct folio *folio, u64 nr_pages,
			 entry_t *slots, u32 nr_slots)
{
	u32 mapcount;

	if (!folio_is_anon(folio))
		return true;
	mapcount = folio_mapcount(&lazy->vma->mm->q->rmap, folio);
	if (nr_pages == folio_nr_pages(folio)) {
		if (mapcount == nr_pages)
			mark_folio(lazy, folio, slots, nr_slots);
		return true;
	}
	if (mapcount > folio_nr_pages(folio) || !folio_is_exclusive(folio, lazy->vma))
		return true;
	folio_get(folio);
	lazy->part = folio;
	return false;
}

/* The slots of a span from index i on; where it stopped, or the end.  Locked. */
static u32 mark_slots(struct lazyfree *lazy, const struct span *span, u32 i)
{
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT), run;
	struct mm *mm = lazy->vma->mm;

	for (; i < nr; i += run) {
		entry_t *slots = &span->slots[i];
		entry_t e = entry_load(slots);
		struct frame *frame;

		run = 1;
		if (!entry_is_present(e) || entry_is_special(e))
			continue;
		frame = entry_frame(mm, e);
		run = entry_run(slots, nr - i, e, frame);
		if (!mark_or_stop(lazy, frame_folio(frame), run, slots, run))
			break;
	}
	return i;
}

/* Splits lazy->part.  False: it stays whole. */
static bool split_part(struct lazyfree *lazy)
{
	struct quire *q = lazy->vma->mm->q;
	struct folio *folio = lazy->part;
	bool done = false;

	lazy->part = NULL;
	if (folio_trylock(folio)) {
		done = folio_split_anon(&q->rmap, folio, 0, NULL) == 0;
		folio_unlock(folio);
	}
	folio_put(&q->phys, folio);
	return done;
}

/* Where a run of one folio that begins at slot i ends. */
static u32 run_end(const struct lazyfree *lazy, const struct span *span, u32 i)
{
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT), end = i + 1;
	entry_t e;

	table_lock(span->table);
	e = entry_load(&span->slots[i]);
	if (entry_is_present(e) && !entry_is_special(e))
		end = i + entry_run(&span->slots[i], nr - i, e,
				    entry_frame(lazy->vma->mm, e));
	table_unlock(span->table);
	return end;
}

static void free_span(struct lazyfree *lazy, const struct span *span)
{
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT), i = 0;

	while (i < nr) {
		table_lock(span->table);
		i = mark_slots(lazy, span, i);
		table_unlock(span->table);
		/* Split, the same entry is looked at again. */
		if (lazy->part != NULL && !split_part(lazy))
			i = run_end(lazy, span, i);
	}
}

/* False: there is no leaf (any more): walk again. */
static bool free_leaf(struct lazyfree *lazy, const struct span *span)
{
	entry_t e;

	if (!span_lock_leaf(span, &e))
		return false;
	if (!entry_is_special(e))
		mark_or_stop(lazy, frame_folio(entry_frame(lazy->vma->mm, e)),
			     (span->end - span->addr) >> PAGE_SHIFT, span->slots, 1);
	table_unlock(span->table);
	return lazy->part == NULL || !split_part(lazy);
}

void mark_lazyfree_range(struct vma *vma, u64 start, u64 end)
{
	struct lazyfree lazy = { .vma = vma };
	struct pgtable *pt = &vma->mm->pt;
	struct span span = { 0 };

	for (u64 at = start; pgtable_next_span(pt, at, end, &span);) {
		bool done = true;

		if (likely(span.level == 0))
			free_span(&lazy, &span);
		else
			done = free_leaf(&lazy, &span);
		at = done ? span.end : span.addr;
	}
	/* A TLB that remembers the dirty bit would not set it again. */
	if (lazy.flush)
		tlb_flush_range(pt, start, end);
}
