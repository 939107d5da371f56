/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Splitting a large anonymous folio: see split.h.
 *
 *     entries --> migration entries, uncounted, flushed     unmap
 *     references frozen, if the caller's is the only one    freeze
 *     frames become folios                                  folio_split_frames
 *     migration entries --> entries that map those          remap
 *
 * Guarantees.  All or nothing: where the references cannot be frozen the same
 * entries map the same folio again.  No page that somebody maps is freed or
 * moved, its contents, accessed, dirty and exclusive marks stay.
 *
 * Why it cannot miss a mapping.  It may: a child's VMA is looked at before fork
 * copies the parent's entry into it.  But every mapping holds a reference, so
 * a folio with one that was missed is not frozen.  And once frozen the folio
 * cannot gain one, since it has no entry left to copy or to fault on.
 *
 * Why it finds its migration entries again.  They leave their slot only by zap:
 * mremap needs the root's lock, which is held here for reading from before the
 * first is made until after the last is gone, and fork waits.
 *
 * The reference of a mapping is dropped after its count fell, and taken before
 * it rises, as everywhere: references are never fewer than mappings.
 */
#include "rmap/split.h"

#include "base/bits.h"
#include "tlb/gather.h"

struct split {
	struct rmap *rmap;
	struct anon_vma *anon_vma; /* locked; NULL: nobody maps the folio */
	u64 index, first_pfn;      /* of the folio's first page */
	u32 nr_pages;
	u32 nr_unmapped, nr_remapped; /* entries */
};

/* ---- the entries that map it ------------------------------------------------- */

/* One run of slots; sets span->end to where to go on. */
typedef void split_visit_fn(struct split *split, struct vma *vma, struct span *span);

static void for_each_span(struct split *split, split_visit_fn *visit)
{
	u64 last = split->index + split->nr_pages - 1;
	struct interval_node *node;

	if (split->anon_vma == NULL)
		return;
	interval_for_each(node, &split->anon_vma->links, split->index, last) {
		struct vma *vma = container_of(node, struct anon_vma_link, node)->vma;
		u64 vma_last = vma->pgoff + vma_nr_pages(vma) - 1;
		u64 start = vma_address(vma, u64_max(split->index, vma->pgoff));
		u64 end = vma_address(vma, u64_min(last, vma_last)) + PAGE_SIZE;
		struct span span = { 0 };

		for (u64 at = start; pgtable_next_span(vma->pt, at, end, &span); at = span.end)
			visit(split, vma, &span);
	}
}

static bool is_page_of(const struct split *split, entry_t e)
{
	return entry_pfn(e).v - split->first_pfn < split->nr_pages;
}

static bool maps_page(const struct split *split, entry_t e)
{
	return entry_is_present(e) && !entry_is_special(e) && is_page_of(split, e);
}

static bool stands_for_page(const struct split *split, entry_t e)
{
	return entry_is_migration(e) && is_page_of(split, e);
}

/* How many of the slots, from the first on, are such entries of consecutive pages. */
static u32 run_length(const struct split *split, const entry_t *slots, u32 max,
		      bool (*is_one)(const struct split *, entry_t))
{
	u64 first = entry_pfn(entry_load(&slots[0])).v;
	u32 nr = 0;

	while (nr < max) {
		entry_t e = entry_load(&slots[nr]);

		if (!is_one(split, e) || entry_pfn(e).v != first + nr)
			break;
		nr++;
	}
	return nr;
}

static u32 span_nr_slots(const struct span *span)
{
	return (u32)((span->end - span->addr) >> PAGE_SHIFT);
}

/* ---- unmap ---------------------------------------------------------------------- */

/* The leaf of this folio becomes a table, which is looked at next. */
static void split_leaf(struct split *split, struct vma *vma, struct span *span)
{
	entry_t e;

	table_lock(span->table);
	e = entry_load(span->slots);
	if (entry_is_leaf(e) && maps_page(split, e)) {
		rmap_split_leaf(frame_folio(pfn_frame(split->rmap->phys, entry_pfn(e))), vma);
		pgtable_split_leaf(vma->pt, span->table, span->slots, entry_pfn(e), 1);
		span->end = span->addr;
	} else if (!entry_is_leaf(e)) {
		span->end = span->addr; /* since it was found */
	}
	table_unlock(span->table);
}

/* The walker may set bits until the entry is gone. */
static void make_migration(entry_t *slot)
{
	entry_t e = entry_load(slot);

	while (!entry_cas(slot, &e, entry_to_migration(e)))
		continue;
}

static void unmap_run(struct split *split, struct vma *vma, entry_t *slots, u32 nr)
{
	struct frame *frame = pfn_frame(split->rmap->phys, entry_pfn(entry_load(&slots[0])));
	struct folio *folio = frame_folio(frame);

	for (u32 i = 0; i < nr; i++)
		make_migration(&slots[i]);
	COST_ADD(rmap_updates, 1);
	/* Not the last: the caller has one. */
	folio_put_n(split->rmap->phys, folio, rmap_uncount_large(folio, frame, nr, vma));
	split->nr_unmapped += nr;
}

/*
 * The flush is made with the lock held: who takes it next, finds a migration
 * entry and drops it, must not have to know that a TLB still has the page.
 */
static void unmap_span(struct split *split, struct vma *vma, struct span *span)
{
	u32 nr = span_nr_slots(span), before = split->nr_unmapped;

	if (span->level != 0) {
		split_leaf(split, vma, span);
		return;
	}
	table_lock(span->table);
	for (u32 i = 0; i < nr;) {
		u32 run = run_length(split, &span->slots[i], nr - i, maps_page);

		if (run != 0)
			unmap_run(split, vma, &span->slots[i], run);
		i += run != 0 ? run : 1;
	}
	if (split->nr_unmapped != before)
		tlb_flush_range(vma->pt, span->addr, span->end);
	table_unlock(span->table);
}

/* ---- remap ---------------------------------------------------------------------- */

/* Entries of one folio: the old one, or a part.  There is room to count them: see
 * has_room(). */
static void remap_run(struct split *split, struct vma *vma, entry_t *slots, u32 nr,
		      struct frame *frame)
{
	int err = rmap_add_get(frame, nr, vma);

	ensure(!err);
	for (u32 i = 0; i < nr; i++)
		entry_store(&slots[i], entry_from_migration(entry_load(&slots[i])));
	split->nr_remapped += nr;
}

/* The entries from slots[0] on that stand for pages of one folio; how many. */
static u32 remap_slots(struct split *split, struct vma *vma, entry_t *slots, u32 max)
{
	entry_t e = entry_load(&slots[0]);
	struct folio *folio;
	struct frame *frame;
	u64 left;
	u32 nr;

	if (!stands_for_page(split, e))
		return 1;
	frame = pfn_frame(split->rmap->phys, entry_pfn(e));
	folio = frame_folio(frame);
	left = folio_nr_pages(folio) - (u64)(frame - &folio->frame);
	nr = run_length(split, slots, (u32)u64_min(max, left), stands_for_page);
	remap_run(split, vma, slots, nr, frame);
	return nr;
}

static void remap_span(struct split *split, struct vma *vma, struct span *span)
{
	u32 nr = span_nr_slots(span);

	if (span->level != 0)
		return;
	table_lock(span->table);
	for (u32 i = 0; i < nr;)
		i += remap_slots(split, vma, &span->slots[i], nr - i);
	table_unlock(span->table);
}

/* ---- the folio itself ----------------------------------------------------------- */

/* Nobody else has a reference, so nobody maps it: what it kept to know is void. */
static bool freeze(struct split *split, struct folio *folio)
{
	if (!folio_freeze(folio, 1))
		return false;
	deferred_forget(split->rmap, folio);
	/* No reference, so no mapping. */
	ensure(sharing_split(&split->rmap->sharing, folio_sharing(folio)) == 0);
	return true;
}

static struct folio *part_at(struct folio *folio, u64 page)
{
	return (struct folio *)(void *)folio_frame(folio, page);
}

static void make_parts(struct split *split, struct folio *folio, unsigned order)
{
	folio_split_frames(split->rmap->phys, folio, order, 1);
	for (u64 page = 0; order != 0 && page < split->nr_pages; page += BIT(order)) {
		int err = rmap_anon_folio_init(split->rmap, part_at(folio, page));

		check(!err); /* the order was asked for first */
	}
}

/* Drops what held the parts together.  Returns the pages freed: of those that
 * nobody maps, the first aside. */
static u64 put_parts(struct split *split, struct folio *folio, unsigned order)
{
	struct rmap *rmap = split->rmap;
	u64 nr_freed = 0;

	for (u64 page = 0; page < split->nr_pages; page += BIT(order)) {
		struct folio *part = part_at(folio, page);

		if (order != 0)
			rmap_note_removal(rmap, part);
		if (page == 0 || !folio_drop_n(part, 1))
			continue;
		folio_free(rmap->phys, part);
		nr_freed += BIT(order);
	}
	return nr_freed;
}

/*
 * Can the mappings that are taken away be counted again?  For a part surely: it
 * has no more of them than the folio had.  For the folio, if it stays one, forks
 * might have used the room.  But fork takes the root's lock for each VMA before it
 * copies the entries of it; so as long as we have the lock, each other CPU can finish
 * at most the one VMA that it is at, with each page once.
 */
static bool has_room(const struct split *split, struct folio *folio)
{
	u64 more = (u64)split->rmap->phys->nr_cpus * split->nr_pages;

	return folio_mapcount(split->rmap, folio) + more <=
	       split->rmap->sharing.ops->max_mappings;
}

static int split_locked(struct split *split, struct folio *folio, unsigned order,
			u64 *ret_nr_freed)
{
	bool frozen;

	if (!has_room(split, folio))
		return -QUIRE_EBUSY;
	for_each_span(split, unmap_span);
	frozen = freeze(split, folio);
	if (frozen)
		make_parts(split, folio, order);
	for_each_span(split, remap_span);
	if (frozen) {
		*ret_nr_freed = put_parts(split, folio, order);
		return 0;
	}
	/* Who unmapped a page meanwhile found no mapping to remove. */
	if (split->nr_remapped != split->nr_unmapped)
		rmap_note_removal(split->rmap, folio);
	return -QUIRE_EBUSY;
}

static bool is_smaller_order(const struct rmap *rmap, const struct folio *folio, unsigned order)
{
	return order < folio_order(folio) && rmap_has_order(rmap, order);
}

/* From here to unlock_mappings no VMA comes, goes or changes that maps the folio. */
static void lock_mappings(struct split *split, struct folio *folio)
	NO_LOCK_ANALYSIS /* until unlock_mappings, if there are any */
{
	split->anon_vma = folio_hold_anon_vma(split->rmap, folio);
	if (split->anon_vma != NULL)
		rwsem_read_lock(&split->anon_vma->root->lock);
}

static void unlock_mappings(struct split *split) NO_LOCK_ANALYSIS /* as above */
{
	if (split->anon_vma == NULL)
		return;
	rwsem_read_unlock(&split->anon_vma->root->lock);
	anon_vma_put(split->rmap, split->anon_vma);
}

int folio_split_anon(struct rmap *rmap, struct folio *folio, unsigned order, u64 *ret_nr_freed)
{
	struct split split = {
		.rmap = rmap, .index = folio->index,
		.first_pfn = folio_pfn(rmap->phys, folio).v,
		.nr_pages = (u32)folio_nr_pages(folio),
	};
	struct mutex *migration = migration_lock(rmap, folio_pfn(rmap->phys, folio));
	u64 nr_freed = 0;
	int err;

	if (!folio_is_anon(folio) || !is_smaller_order(rmap, folio, order))
		return -QUIRE_EINVAL;
	/* In vain: it is not worth the flushes. */
	if (folio_refs(folio) != folio_mapcount(rmap, folio) + 1)
		return -QUIRE_EBUSY;
	mutex_lock(migration);
	lock_mappings(&split, folio);
	err = split_locked(&split, folio, order, &nr_freed);
	unlock_mappings(&split);
	mutex_unlock(migration);
	if (!err && ret_nr_freed != NULL)
		*ret_nr_freed = nr_freed;
	return err;
}
