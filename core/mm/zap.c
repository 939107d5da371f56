/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking entries out: munmap, MADV_DONTNEED, truncation, exit.
 *
 * Guarantees.  Each entry is taken whole (its final accessed and dirty bits
 * included) under its table lock; a dirty page of a file is marked dirty before
 * the lock is dropped; frames and tables are freed only after the flush.
 *
 * The mapcount of an anonymous page falls here, under the table lock, and
 * before unmap_vmas() unlinks the VMA from its anon_vma (the rule of
 * rmap/rmap.h).  That of a dirty page of a file falls after the flush, still
 * under the lock, so that writeback finds the entry and waits: a CPU may be
 * writing through its TLB until then (letter 001_ef4970009e19dfd6.txt).
 */
#include "mm/pages.h"

void zap_remove_rmap(struct phys *phys, struct frame *frame, u32 nr, void *vma)
{
	u32 nr_refs = rmap_remove(frame, nr, vma);

	(void)phys;
	check(nr_refs == nr); /* a file's folio: see FRAME_WORD_REFS */
	(void)nr_refs;
}

void zap_account(struct zap *zap, struct mm *mm)
{
	for (int kind = 0; kind < NR_RSS; kind++)
		if (zap->rss[kind] != 0)
			mm_rss_add(mm, (enum rss_kind)kind, -zap->rss[kind]);
}

/* Takes `nr` entries; the union of what they said. */
static entry_t take_entries(entry_t *slots, u32 nr)
{
	entry_t e = entry_take(&slots[0]);

	for (u32 i = 1; i < nr; i++)
		e.v |= entry_take(&slots[i]).v & ENTRY_WALKER_BITS;
	return e;
}

/* A page of a file: true when the gather is full. */
static NOINLINE bool zap_file_pages(struct zap *zap, struct folio *folio, struct frame *frame,
				    u32 nr, entry_t e)
{
	struct mapping *mapping = zap->vma->mapping;
	bool dirty = entry_is_dirty(e);

	zap->rss[mapping_rss_kind(mapping)] += nr;
	if (dirty && vma_is_shared(zap->vma))
		mapping_dirty_folio(mapping, folio);
	if (entry_is_young(e) && !folio_test(folio, FRAME_REFERENCED))
		folio_set(folio, FRAME_REFERENCED);
	return gather_add(zap->gather, frame, dirty ? nr : rmap_remove(frame, nr, zap->vma),
			  dirty);
}

/*
 * At exit no walker can set a bit in the entry or use what TLBs held: they were
 * flushed, and nobody runs here.  So the page goes at once, and its mapcount
 * and reference in one atomic.
 */
static inline void zap_at_exit(struct zap *zap, entry_t *slot, struct frame *frame,
			       struct folio *folio)
{
	entry_store(slot, entry_none());
	zap->rss[RSS_ANON]++;
	if (rmap_remove_put(frame, zap->vma))
		folio_free(zap->gather->pt->phys, folio);
}

/* A page on the move counts as resident and as nothing else; it was flushed.  A guard
 * is nobody's page. */
static NOINLINE void zap_not_present(struct zap *zap, entry_t *slot, entry_t e)
{
	if (entry_is_guard(e)) {
		if (!zap->keep_guards)
			entry_store(slot, entry_none());
		return;
	}
	if (zap->keep_anon)
		return;
	entry_store(slot, entry_none());
	zap->rss[RSS_ANON]++;
}

/*
 * Zaps the slots of a span from index i on; the index where it stopped, which
 * is short of the end when the gather is full.  Table lock held.
 */
static u32 zap_slots(struct zap *zap, u32 i)
{
	const struct span *span = &zap->span;
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT);
	struct phys *phys = zap->gather->pt->phys;
	entry_t *slots = span->slots;
	u32 first = nr;
	bool full = false;

	while (i < nr && !full) {
		entry_t e = entry_load(&slots[i]);
		struct frame *frame;
		struct folio *folio;
		u32 run = 1, at = i;

		i++;
		if (!entry_is_present(e)) {
			if (unlikely(!entry_is_none(e)))
				zap_not_present(zap, &slots[at], e);
			continue;
		}
		if (entry_is_special(e)) {
			entry_take(&slots[at]);
			first = at < first ? at : first;
			continue;
		}
		frame = pfn_frame(phys, entry_pfn(e));
		folio = frame_folio(frame);
		if (zap->keep_anon && folio_is_anon(folio))
			continue;
		if (folio_is_large(folio)) {
			run = entry_run(&slots[at], nr - at, e, frame);
		} else if (zap->gather->full_mm && folio_is_anon(folio)) {
			zap_at_exit(zap, &slots[at], frame, folio);
			continue;
		}
		e = take_entries(&slots[at], run);
		i = at + run;
		first = at < first ? at : first;
		if (likely(folio_is_anon(folio))) {
			zap->rss[RSS_ANON] += run;
			full = gather_add(zap->gather, frame,
					  rmap_remove(frame, run, zap->vma), false);
		} else {
			full = zap_file_pages(zap, folio, frame, run, e);
		}
	}
	if (first < nr)
		gather_note_range(zap->gather, span->addr + ((u64)first << PAGE_SHIFT),
				  span->addr + ((u64)i << PAGE_SHIFT));
	return i;
}

/* The whole of an anonymous leaf, or the leaf of zeros (`folio` NULL), with its
 * deposit; true when the gather is full.  Lock held. */
static bool take_leaf(struct zap *zap, struct folio *folio)
{
	const struct span *span = &zap->span;

	entry_take(span->slots);
	gather_add_table(zap->gather, pgtable_withdraw(span->table));
	gather_note_range(zap->gather, span->addr, span->end);
	if (folio == NULL)
		return false;
	zap->rss[RSS_ANON] += PMD_PAGES;
	return gather_add(zap->gather, &folio->frame, rmap_remove_leaf(folio, zap->vma),
			  false);
}

/* False: no leaf is there any more, or only a part of it is to go: walk again. */
static NOINLINE bool zap_leaf(struct zap *zap)
{
	const struct span *span = &zap->span;
	bool done = true, full = false;
	struct folio *folio;
	entry_t e;

	if (!span_lock_leaf(span, &e))
		return false;
	folio = entry_is_special(e) ? NULL : frame_folio(entry_frame(zap->vma->mm, e));
	if (folio != NULL && !folio_is_anon(folio)) {
		/* All of it, whatever the part: it is in the cache. */
		huge_split_locked(zap->vma, span->table, span->slots);
	} else if (folio == NULL || !zap->keep_anon) {
		done = span_is_whole_leaf(span);
		if (done)
			full = take_leaf(zap, folio);
		else
			huge_split_locked(zap->vma, span->table, span->slots);
	}
	table_unlock(span->table);
	if (unlikely(full))
		gather_flush(zap->gather);
	return done;
}

static void zap_span(struct zap *zap)
{
	struct span *span = &zap->span;
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT);

	for (u32 i = 0; i < nr;) {
		table_lock(span->table);
		i = zap_slots(zap, i);
		gather_flush_rmap(zap->gather, zap->vma);
		table_unlock(span->table);
		/* Also when the last slot filled it: the next span adds more. */
		if (unlikely(gather_is_full(zap->gather)))
			gather_flush(zap->gather);
	}
}

ALWAYS_INLINE void zap_range(struct zap *zap, struct vma *vma, u64 start, u64 end)
{
	zap->vma = vma;
	for (u64 at = start; pgtable_next_span(&vma->mm->pt, at, end, &zap->span);) {
		bool done = true;

		if (likely(zap->span.level == 0))
			zap_span(zap);
		else
			done = zap_leaf(zap);
		at = done ? zap->span.end : zap->span.addr;
	}
}

/* A gather and a pass of their own for one range of one VMA. */
static void zap_alone(struct vma *vma, u64 start, u64 end, bool keep_anon)
{
	struct gather gather;
	struct zap zap = { .gather = &gather, .keep_anon = keep_anon, .keep_guards = true };

	mm_note_peak_rss(vma->mm);
	gather_begin(&gather, &vma->mm->pt, zap_remove_rmap, false);
	zap_range(&zap, vma, start, end);
	zap_account(&zap, vma->mm);
	gather_end(&gather);
}

void zap_range_single(struct vma *vma, u64 start, u64 end)
{
	zap_alone(vma, start, end, false);
}

/* ---- unmapping VMAs ------------------------------------------------------------ */

static void unlink_rmap(struct mm *mm, struct vma *vma)
{
	if (vma->anon_vma != NULL || !list_empty(&vma->anon_chain))
		anon_vma_unlink(&mm->q->rmap, vma);
	if (vma->mapping != NULL)
		i_mmap_remove(&vma->mapping->i_mmap, vma);
}

/* VMAs this close share a walk over the upper tables. */
#define NEAR_BYTES (8 * PMD_SIZE)

static void unlink_and_free_tables(struct mm *mm, struct gather *gather, struct vma *first,
				   u64 floor, u64 ceiling)
{
	for (struct vma *vma = first, *next; vma != NULL; vma = next) {
		u64 start = vma->start, end;

		/* Nobody may find a table by rmap any more when it goes. */
		for (;;) {
			unlink_rmap(mm, vma);
			end = vma->end;
			next = vma->next_detached;
			if (next == NULL || next->start > end + NEAR_BYTES)
				break;
			vma = next;
		}
		gather_unlink_tables(gather, start, end, floor,
				     next != NULL ? next->start : ceiling);
	}
}

void zap_vmas(struct zap *zap, struct mm *mm, struct vma *first, u64 floor, u64 ceiling)
{
	for (struct vma *vma = first; vma != NULL; vma = vma->next_detached)
		zap_range(zap, vma, vma->start, vma->end);
	unlink_and_free_tables(mm, zap->gather, first, floor, ceiling);
}

void unmap_vmas(struct mm *mm, struct vma *first, u64 floor, u64 ceiling)
{
	struct gather gather;
	struct zap zap = { .gather = &gather };

	mm_note_peak_rss(mm);
	gather_begin(&gather, &mm->pt, zap_remove_rmap, false);
	zap_vmas(&zap, mm, first, floor, ceiling);
	zap_account(&zap, mm);
	gather_end(&gather);
}

/* ---- a file's pages, everywhere --------------------------------------------------- */

void mm_unmap_mapping(struct mapping *mapping, u64 first_index, u64 last_index,
		      bool even_private_copies)
{
	struct interval_node *node;

	/* The lock keeps the VMAs, and so their tables, where they are. */
	rwsem_read_lock(&mapping->i_mmap.lock);
	interval_for_each(node, &mapping->i_mmap.vmas, first_index, last_index) {
		struct vma *vma = container_of(node, struct vma, i_mmap);
		u64 first = u64_max(first_index, vma->pgoff);
		u64 last = u64_min(last_index, vma->pgoff + vma_nr_pages(vma) - 1);

		zap_alone(vma, vma_address(vma, first), vma_address(vma, last) + PAGE_SIZE,
			  !even_private_copies);
	}
	rwsem_read_unlock(&mapping->i_mmap.lock);
}
