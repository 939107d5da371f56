/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork's copy of the entries of one VMA.
 *
 * Guarantees.  Afterwards parent and child map the same frames, and neither may
 * write one without a fault: the parent's writable entries are write-protected
 * here (the caller flushes its TLBs, once, before fork returns), its pages lose
 * their exclusive marks.  An exclusive page that may be pinned stays the
 * parent's, writable as it was, and the child gets a copy at once: whoever
 * pinned it goes on seeing what the parent writes.
 *
 * Only VMAs that have anonymous pages are copied.  What a file holds can be
 * faulted in again, and most children never touch it.
 */
#include "mm/pages.h"

struct copy {
	struct vma *dst, *src;
	bool has_pinned;       /* the parent pinned pages at some time */
	struct folio *spare;   /* for the child's copy of a pinned page */
	s64 rss[NR_RSS];
};

enum copied { COPIED, NEEDS_PAGE };

/* The child's own copy of a page that stays with the parent. */
static enum copied copy_pinned(struct copy *copy, entry_t *dst_slot, struct frame *frame,
			       u64 addr)
{
	struct quire *q = copy->dst->mm->q;
	struct folio *folio = copy->spare;

	if (folio == NULL)
		return NEEDS_PAGE;
	copy->spare = NULL;
	mem_copy(folio_bytes(&q->phys, folio), frame_bytes(&q->phys, frame), PAGE_SIZE);
	COST_ADD(bytes_copied, PAGE_SIZE);
	rmap_add_new_anon(folio, copy->dst, addr);
	entry_store(dst_slot, anon_entry(copy->dst, q, folio));
	copy->rss[RSS_ANON]++;
	return COPIED;
}

/* One present entry.  Both table locks held. */
static enum copied copy_entry(struct copy *copy, entry_t *dst_slot, entry_t *src_slot,
			      entry_t e, u64 addr)
{
	struct frame *frame;
	struct folio *folio;

	if (entry_is_special(e)) {
		entry_store(dst_slot, entry_without(e, QUIRE_ENTRY_ACCESSED));
		return COPIED;
	}
	frame = entry_frame(copy->src->mm, e);
	folio = frame_folio(frame);
	/* The reference comes before the mapcount that it answers for. */
	folio_get(folio);
	if (likely(folio_is_anon(folio))) {
		if (unlikely(rmap_dup_anon(frame, 1, copy->src, copy->has_pinned))) {
			folio_put(&copy->dst->mm->q->phys, folio);
			return copy_pinned(copy, dst_slot, frame, addr);
		}
		copy->rss[RSS_ANON]++;
	} else {
		rmap_dup_file(frame, 1);
		copy->rss[mapping_rss_kind(copy->src->mapping)]++;
	}
	if (entry_is_writable(e))
		entry_fetch_clear(src_slot, QUIRE_ENTRY_WRITE);
	entry_store(dst_slot, entry_without(e, QUIRE_ENTRY_WRITE | QUIRE_ENTRY_ACCESSED));
	return COPIED;
}

/* Copies the slots from index i on; where it stopped for want of a page, or
 * the end. */
static u32 copy_slots(struct copy *copy, entry_t *dst_slots, const struct span *span, u32 i)
{
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT);

	for (; i < nr; i++) {
		entry_t e = entry_load(&span->slots[i]);

		if (!entry_is_present(e))
			continue;
		if (unlikely(copy_entry(copy, &dst_slots[i], &span->slots[i], e,
					span->addr + ((u64)i << PAGE_SHIFT)) == NEEDS_PAGE))
			break;
	}
	return i;
}

static int copy_span(struct copy *copy, const struct span *span)
{
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT);
	struct mm *mm = copy->dst->mm;
	struct table *dst_table;
	entry_t *dst_slots;
	u32 i = 0;
	int err = pgtable_ensure(&mm->pt, span->addr, 0, &dst_slots, &dst_table);

	while (!err) {
		table_lock(dst_table);
		table_lock(span->table);
		i = copy_slots(copy, dst_slots, span, i);
		table_unlock(span->table);
		table_unlock(dst_table);
		if (i == nr)
			break;
		copy->spare = anon_folio_alloc(mm->q, 0);
		if (copy->spare == NULL)
			err = -QUIRE_ENOMEM;
	}
	return err;
}

int copy_page_range(struct vma *dst, struct vma *src)
{
	struct copy copy = {
		.dst = dst, .src = src, .has_pinned = atomic_load(&src->mm->has_pinned),
	};
	struct span span;
	int err = 0;

	if (src->anon_vma == NULL)
		return 0;
	for (u64 at = src->start; pgtable_next_span(&src->mm->pt, at, src->end, &span);
	     at = span.end) {
		err = copy_span(&copy, &span);
		if (err)
			break;
	}
	/* Asked for and then not needed: the page was unpinned meanwhile. */
	if (copy.spare != NULL)
		folio_put(&dst->mm->q->phys, copy.spare);
	for (int kind = 0; kind < NR_RSS; kind++)
		if (copy.rss[kind] != 0)
			mm_rss_add(dst->mm, (enum rss_kind)kind, copy.rss[kind]);
	return err;
}
