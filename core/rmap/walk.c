/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walking the reverse map: each VMA that may map a folio, and write-protecting
 * a folio everywhere before it is written back.
 *
 * A walk meets every VMA that maps a page of the folio for as long as the walk
 * lasts; it may meet one that does not.  A visitor looks at the entries under
 * their table's lock.
 */
#include "rmap/rmap.h"

#include "tlb/gather.h"

/* Where the first page of the folio would be in the VMA, or the VMA starts. */
static u64 folio_address(const struct folio *folio, const struct vma *vma)
{
	u64 index = folio->index;

	return index > vma->pgoff ? vma_address(vma, index) : vma->start;
}

static void walk_anon(struct rmap *rmap, struct folio *folio, const struct rmap_walk *walk)
{
	struct anon_vma *anon_vma = folio_hold_anon_vma(rmap, folio);
	struct interval_node *node;
	u64 first, last;

	if (!anon_vma)
		return;
	first = folio->index; /* written before the mapping that was seen */
	last = first + folio_nr_pages(folio) - 1;
	rwsem_read_lock(&anon_vma->root->lock);
	interval_for_each(node, &anon_vma->links, first, last) {
		struct vma *vma = container_of(node, struct anon_vma_link, node)->vma;

		if (!walk->visit(folio, vma, folio_address(folio, vma), walk->arg))
			break;
	}
	rwsem_read_unlock(&anon_vma->root->lock);
	anon_vma_put(rmap, anon_vma);
}

static void walk_file(struct folio *folio, struct i_mmap *i_mmap,
		      const struct rmap_walk *walk)
{
	u64 first = folio->index, last = first + folio_nr_pages(folio) - 1;
	struct interval_node *node;

	rwsem_read_lock(&i_mmap->lock);
	interval_for_each(node, &i_mmap->vmas, first, last) {
		struct vma *vma = container_of(node, struct vma, i_mmap);

		if (!walk->visit(folio, vma, folio_address(folio, vma), walk->arg))
			break;
	}
	rwsem_read_unlock(&i_mmap->lock);
}

void rmap_walk(struct rmap *rmap, struct folio *folio, struct i_mmap *i_mmap,
	       const struct rmap_walk *walk)
{
	if (i_mmap)
		walk_file(folio, i_mmap, walk);
	else
		walk_anon(rmap, folio, walk);
}

/* ---- cleaning --------------------------------------------------------------- */

struct clean_walk {
	struct phys *phys;
	u32 nr_cleaned;
};

/* Does the entry map a page of the folio? */
static bool entry_maps_folio(const struct phys *phys, entry_t entry,
			     const struct folio *folio)
{
	if (!entry_is_present(entry) || entry_is_special(entry))
		return false;
	return entry_pfn(entry).v - folio_pfn(phys, folio).v < folio_nr_pages(folio);
}

/* One run of entries, locked.  Returns how many could be or had been written. */
static u32 clean_span(const struct clean_walk *clean, const struct folio *folio,
		      const struct span *span)
{
	u64 step = UINT64_C(1) << QUIRE_LEVEL_SHIFT(span->level);
	u32 nr = 0;

	for (u64 i = 0; span->addr + i * step < span->end; i++) {
		entry_t entry = entry_load(&span->slots[i]);

		if (!entry_maps_folio(clean->phys, entry, folio))
			continue;
		if (!entry_is_writable(entry) && !entry_is_dirty(entry))
			continue;
		entry_fetch_clear(&span->slots[i], QUIRE_ENTRY_WRITE | QUIRE_ENTRY_DIRTY);
		nr++;
	}
	return nr;
}

/*
 * The flush is done with the table lock held: who takes the lock next, and
 * finds the entry clean, knows that no CPU still writes through it.
 * False: a leaf was there and is no more, walk again.
 */
static bool clean_span_locked(struct clean_walk *clean, const struct folio *folio,
			      const struct vma *vma, const struct span *span)
{
	bool same;
	u32 nr = 0;

	table_lock(span->table);
	same = span->level == 0 || entry_is_leaf(entry_load(span->slots));
	if (likely(same))
		nr = clean_span(clean, folio, span);
	if (nr)
		tlb_flush_range(vma->pt, span->addr, span->end);
	table_unlock(span->table);
	clean->nr_cleaned += nr;
	return same;
}

static bool clean_visit(struct folio *folio, struct vma *vma, u64 addr, void *arg)
{
	u64 nr_pages = folio->index + folio_nr_pages(folio) - vma_index(vma, addr);
	u64 end = u64_min(addr + (nr_pages << PAGE_SHIFT), vma->end);
	struct span span = { 0 };

	/* A private mapping has no entry that could write to the file's folio. */
	if (!(vma->flags & VMA_SHARED))
		return true;
	for (u64 a = addr; pgtable_next_span(vma->pt, a, end, &span);)
		a = clean_span_locked(arg, folio, vma, &span) ? span.end : span.addr;
	return true;
}

u32 rmap_clean(struct rmap *rmap, struct folio *folio, struct i_mmap *i_mmap)
{
	struct clean_walk clean = { .phys = rmap->phys };
	const struct rmap_walk walk = { .visit = clean_visit, .arg = &clean };

	if (!folio_is_mapped(rmap, folio)) {
		/* The stores of who unmapped it are in the folio: pairs with the
		 * mapcount that fell after the flush (rmap_remove). */
		mach_fence(MACH_ACQUIRE);
		return 0;
	}
	rmap_walk(rmap, folio, i_mmap, &walk);
	return clean.nr_cleaned;
}
