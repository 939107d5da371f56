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
 * Only VMAs that have anonymous pages, or guards, are copied.  What a file holds can
 * be faulted in again, and most children never touch it.
 */
#include "mm/pages.h"
#include "rmap/split.h"

/*
 * What copies entries returns how many it copied; 0: it stopped, for want of a page
 * (copy->spare), for a page on the move, or as copy->err says.
 */

/* The child's own copy of a page that stays with the parent. */
static NOINLINE u32 copy_pinned(struct copy *copy, entry_t *dst_slot, struct frame *frame,
			       u64 addr)
{
	struct quire *q = copy->child->q;
	struct folio *folio = copy->spare;

	if (folio == NULL)
		return 0;
	copy->spare = NULL;
	mem_copy(folio_bytes(&q->phys, folio), frame_bytes(&q->phys, frame), PAGE_SIZE);
	COST_ADD(bytes_copied, PAGE_SIZE);
	rmap_add_new_anon(folio, copy->dst, addr);
	entry_store(dst_slot, anon_entry(copy->dst, q, folio));
	copy->rss[RSS_ANON]++;
	return 1;
}

/* What the child's entry says where the parent's says `e`. */
static entry_t child_entry(entry_t e)
{
	return entry_without(e, ENTRY_EXCLUSIVE | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_ACCESSED);
}

static void count_copied(struct copy *copy, const struct folio *folio, u32 nr)
{
	if (likely(folio_is_anon(folio)))
		copy->rss[RSS_ANON] += nr;
	else
		copy->rss[mapping_rss_kind(copy->src->mapping)] += nr;
}

/* As many entries as lie side by side of one large folio: its counts are updated
 * once.  Pre: the parent pinned nothing. */
static NOINLINE u32 copy_run(struct copy *copy, entry_t *dst_slots, entry_t *src_slots, u32 nr,
			     struct frame *frame)
{
	struct folio *folio = frame_folio(frame);

	if (unlikely(rmap_add_get(frame, nr, copy->dst))) {
		copy->err = -QUIRE_EOVERFLOW;
		return 0;
	}
	for (u32 i = 0; i < nr; i++) {
		entry_t e = entry_load(&src_slots[i]);
		bool shared = rmap_share_entry(&src_slots[i], e, folio, false);

		check(shared);
		(void)shared;
		entry_store(&dst_slots[i], child_entry(e));
	}
	count_copied(copy, folio, nr);
	return nr;
}

/* Of shared memory with guards in it: nobody has to give anything up. */
static NOINLINE u32 copy_shared(struct copy *copy, entry_t *dst_slot, entry_t e)
{
	struct frame *frame = entry_frame(copy->parent, e);
	u64 not_his = QUIRE_ENTRY_ACCESSED | QUIRE_ENTRY_DIRTY;

	if (vma_wants_write_notice(copy->src))
		not_his |= QUIRE_ENTRY_WRITE;
	if (rmap_add_get(frame, 1, copy->dst)) {
		copy->err = -QUIRE_EOVERFLOW;
		return 0;
	}
	count_copied(copy, frame_folio(frame), 1);
	entry_store(dst_slot, entry_without(e, not_his));
	return 1;
}

/* The present `e` in src_slots[0], and what of the next `max` goes with it.  Both
 * table locks held. */
static inline u32 copy_entries(struct copy *copy, entry_t *dst_slots, entry_t *src_slots,
			       entry_t e, u32 max, u64 addr)
{
	struct frame *frame;
	struct folio *folio;

	if (entry_is_special(e)) {
		entry_store(dst_slots, entry_without(e, QUIRE_ENTRY_ACCESSED));
		return 1;
	}
	if (unlikely(vma_is_shared(copy->src)))
		return copy_shared(copy, dst_slots, e);
	frame = entry_frame(copy->parent, e);
	folio = frame_folio(frame);
	if (folio_is_large(folio) && !copy->has_pinned)
		return copy_run(copy, dst_slots, src_slots,
				entry_run(src_slots, max, e, frame), frame);
	if (unlikely(!rmap_share_entry(src_slots, e, folio, copy->has_pinned)))
		return copy_pinned(copy, dst_slots, frame, addr);
	if (unlikely(rmap_add_get(frame, 1, copy->dst))) {
		copy->err = -QUIRE_EOVERFLOW;
		return 0;
	}
	count_copied(copy, folio, 1);
	entry_store(dst_slots, child_entry(e));
	return 1;
}

/* What is neither none nor present: a guard goes along, a page on the move has to come
 * to rest before it can be copied. */
static NOINLINE u32 copy_not_present(struct copy *copy, entry_t *dst_slot, entry_t e)
{
	if (entry_is_guard(e)) {
		entry_store(dst_slot, e);
		return 1;
	}
	copy->moving = e;
	return 0;
}

/* Copies the slots from index i on; where it stopped, or the end. */
static u32 copy_slots(struct copy *copy, entry_t *dst_slots, u32 i)
{
	const struct span *span = &copy->span;
	u32 nr = (u32)((span->end - span->addr) >> PAGE_SHIFT);
	entry_t *slots = span->slots;

	while (i < nr) {
		entry_t e = entry_load(&slots[i]);
		u32 run = 1;

		if (entry_is_present(e))
			run = copy_entries(copy, &dst_slots[i], &slots[i], e, nr - i,
					   span->addr + ((u64)i << PAGE_SHIFT));
		else if (unlikely(!entry_is_none(e)))
			run = copy_not_present(copy, &dst_slots[i], e);
		if (unlikely(run == 0))
			break;
		i += run;
	}
	return i;
}

/* The child's slots for the span: neighbouring VMAs share a table. */
static int ensure_dst(struct copy *copy, entry_t **ret_slots)
{
	struct pgtable *pt = &copy->child->pt;
	u64 addr = copy->span.addr;

	if (copy->table != NULL && copy->table->va == align_down(addr, PMD_SIZE)) {
		*ret_slots = table_slots(pt, copy->table) + pgtable_index(addr, 0);
		return 0;
	}
	return pgtable_ensure(pt, addr, 0, ret_slots, &copy->table);
}

/* What stopped copy_slots.  0 or -ENOMEM. */
static int overcome(struct copy *copy)
{
	struct quire *q = copy->child->q;

	if (entry_is_migration(copy->moving)) {
		rmap_wait_migration(&q->rmap, copy->moving);
		copy->moving = entry_none();
		return 0;
	}
	copy->spare = anon_folio_alloc(q, 0);
	return copy->spare != NULL ? 0 : -QUIRE_ENOMEM;
}

static int copy_span(struct copy *copy)
{
	u32 nr = (u32)((copy->span.end - copy->span.addr) >> PAGE_SHIFT), i = 0;
	entry_t *dst_slots;
	int err = ensure_dst(copy, &dst_slots);

	while (!err) {
		table_lock(copy->table);
		table_lock(copy->span.table);
		i = copy_slots(copy, dst_slots, i);
		table_unlock(copy->span.table);
		table_unlock(copy->table);
		if (i == nr || copy->err)
			return copy->err;
		err = overcome(copy);
	}
	return err;
}

/* ---- leaves -------------------------------------------------------------------- */

enum leaf_copied {
	LEAF_COPIED,
	LEAF_SKIPPED,     /* the child has no use for it now */
	LEAF_GONE,        /* it is, or had to be, split */
	LEAF_NOT_COUNTED, /* the folio is mapped too often */
};

/* The parent's leaf, locked; so is the child's table. */
static enum leaf_copied share_leaf(struct copy *copy, entry_t *dst_slot, entry_t e)
{
	const struct span *span = &copy->span;
	struct folio *folio;

	if (!entry_is_special(e)) {
		folio = frame_folio(entry_frame(copy->parent, e));
		/* A file's pages can be faulted in again. */
		if (unlikely(!folio_is_anon(folio)))
			return LEAF_SKIPPED;
		if (unlikely(!rmap_share_entry(span->slots, e, folio, copy->has_pinned))) {
			huge_split_locked(copy->src, span->table, span->slots);
			return LEAF_GONE;
		}
		if (unlikely(rmap_add_leaf_get(folio, copy->dst)))
			return LEAF_NOT_COUNTED;
		copy->rss[RSS_ANON] += PMD_PAGES;
	}
	entry_store(dst_slot, child_entry(e));
	return LEAF_COPIED;
}

/* 0 or an error; *ret_next: where to go on, the same place if there is no leaf any
 * more. */
static int copy_leaf(struct copy *copy, u64 *ret_next)
{
	const struct span *span = &copy->span;
	struct pgtable *pt = &copy->child->pt;
	enum leaf_copied copied = LEAF_GONE;
	struct table *table, *deposit;
	entry_t *slot, e;
	int err = pgtable_ensure(pt, span->addr, 1, &slot, &table);

	if (err)
		return err;
	check(span_is_whole_leaf(span) && entry_is_none(entry_load(slot)));
	deposit = pgtable_alloc_deposit(pt);
	if (deposit == NULL)
		return -QUIRE_ENOMEM;
	copy->child->has_leaves = true;
	table_lock(table);
	if (span_lock_leaf(span, &e)) {
		copied = share_leaf(copy, slot, e);
		if (copied == LEAF_COPIED)
			pgtable_deposit(table, deposit);
		table_unlock(span->table);
	}
	table_unlock(table);
	if (copied != LEAF_COPIED)
		table_free(pt, deposit);
	*ret_next = copied == LEAF_GONE ? span->addr : span->end;
	return copied == LEAF_NOT_COUNTED ? -QUIRE_EOVERFLOW : 0;
}

int copy_page_range(struct copy *copy, struct vma *dst, struct vma *src)
{
	u64 at = src->start;
	int err = 0;

	copy->dst = dst;
	copy->src = src;
	while (!err && pgtable_next_span(&copy->parent->pt, at, src->end, &copy->span)) {
		at = copy->span.end;
		err = likely(copy->span.level == 0) ? copy_span(copy) : copy_leaf(copy, &at);
	}
	return err;
}

void copy_end(struct copy *copy)
{
	/* Asked for and then not needed: the page was unpinned meanwhile. */
	if (copy->spare != NULL)
		folio_put(&copy->child->q->phys, copy->spare);
	for (int kind = 0; kind < NR_RSS; kind++)
		if (copy->rss[kind] != 0)
			mm_rss_add(copy->child, (enum rss_kind)kind, copy->rss[kind]);
}
