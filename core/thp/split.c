/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public calls that split folios: those that a range maps, as Linux's
 * debugfs file split_huge_pages does, and those of the deferred queue.
 */
#include "thp/thp.h"

#include "mm/api.h"
#include "rmap/split.h"

int folio_split(struct quire *q, struct folio *folio, unsigned order)
{
	struct mapping *mapping = folio->mapping;

	if (mapping == NULL)
		return -QUIRE_EBUSY;
	if (folio_is_anon(folio))
		return folio_split_anon(&q->rmap, folio, order, NULL);
	mm_unmap_mapping(mapping, folio->index, folio->index + folio_nr_pages(folio) - 1, false);
	return mapping_split_folio(mapping, folio, order);
}

/* ---- a range ----------------------------------------------------------------------- */

/* What one address maps: a folio larger than asked for, with a reference, or NULL. */
struct found {
	struct folio *folio;
	u64 nr_pages; /* to go on behind it */
};

static struct found find_at(struct mm *mm, const struct span *span, unsigned order)
{
	struct found found = { .nr_pages = 1 };
	struct folio *folio;
	entry_t e;

	table_lock(span->table);
	e = entry_load(span->slots);
	/* A leaf that is a table now is found again page by page. */
	if (entry_is_present(e) && !entry_is_special(e) &&
	    (span->level == 0 || entry_is_leaf(e))) {
		struct frame *frame = pfn_frame(&mm->q->phys, entry_pfn(e));
		u64 page = span->level == 0 ?
				   0 : (span->addr & (PMD_SIZE - 1)) >> PAGE_SHIFT;

		folio = frame_folio(frame);
		if (folio_order(folio) > order) {
			folio_get(folio);
			found.folio = folio;
			found.nr_pages = folio_nr_pages(folio) - page -
					 (u64)(frame - &folio->frame);
		}
	}
	table_unlock(span->table);
	return found;
}

/* Splits what the start of the span maps; returns the pages to go on by. */
static u64 split_at(struct mm *mm, const struct span *span, unsigned order, u64 *nr_split)
{
	struct found found = find_at(mm, span, order);

	if (found.folio == NULL)
		return 1;
	folio_lock(found.folio);
	/* Somebody may have split it before us. */
	if (folio_order(found.folio) > order && folio_split(mm->q, found.folio, order) == 0)
		++*nr_split;
	folio_unlock(found.folio);
	folio_put(&mm->q->phys, found.folio);
	return found.nr_pages;
}

int quire_split_folios(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes,
		       unsigned order, uint64_t *ret_nr)
{
	u64 end, nr_split = 0;
	struct span span = { 0 };
	struct mm *mm;
	int err = api_enter_mm(handle, &mm);

	if (err)
		return err;
	if (!is_aligned(addr, PAGE_SIZE) || len_bytes > TASK_SIZE ||
	    addr > TASK_SIZE - len_bytes || (order != 0 && !order_is_mappable(order)) ||
	    order >= QUIRE_PMD_ORDER || ret_nr == NULL)
		return -QUIRE_EINVAL;
	end = addr + page_align_up(len_bytes);
	rwsem_read_lock(&mm->mmap_lock);
	while (pgtable_next_span(&mm->pt, addr, end, &span))
		addr = span.addr + (split_at(mm, &span, order, &nr_split) << PAGE_SHIFT);
	rwsem_read_unlock(&mm->mmap_lock);
	*ret_nr = nr_split;
	return 0;
}

/* ---- the deferred queue -------------------------------------------------------------- */

int quire_split_deferred(struct quire *q, uint64_t nr_to_scan, uint64_t *ret_nr_freed)
{
	int err = api_enter(q);

	if (err)
		return err;
	if (ret_nr_freed == NULL)
		return -QUIRE_EINVAL;
	*ret_nr_freed = rmap_split_deferred(&q->rmap, nr_to_scan);
	return 0;
}

void quire_deferred_stats(struct quire *q, struct quire_deferred_stats *ret_stats)
{
	const struct deferred *deferred;

	if (q == NULL || ret_stats == NULL)
		return;
	deferred = &q->rmap.deferred;
	*ret_stats = (struct quire_deferred_stats){
		.nr_folios = atomic_load(&deferred->nr_folios),
		.nr_queued = atomic_load(&deferred->nr_queued),
		.nr_scanned = atomic_load(&deferred->nr_scanned),
		.nr_whole = atomic_load(&deferred->nr_whole),
		.nr_split = atomic_load(&deferred->nr_split),
		.nr_busy = atomic_load(&deferred->nr_busy),
	};
}
