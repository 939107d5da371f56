/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gather: nothing is freed before the flush.
 *
 * Invariants.  1. A folio's reference that was handed over is dropped only
 * after a flush that began after its entry was taken.  2. A delayed item keeps
 * its mapcount until gather_flush_rmap(), which runs under the table lock its
 * entry was taken under; so at most the items since the last one are delayed,
 * and they are a tail of what was gathered.  3. A table is freed after the
 * flush that follows its unlinking, and no CPU walks it then.
 *
 * Source: letter 001_ef4970009e19dfd6.txt for the order of rmap removal.
 */
#include "tlb/gather.h"

/* A gather holds back at most some ten thousand pages of 4 KiB. */
#define MAX_BATCHES 40

#define DELAYED ((uintptr_t)1)
#define BATCH_ITEMS \
	((u32)((PAGE_SIZE - sizeof(struct gather_batch)) / sizeof(struct gather_item)))

_Static_assert(sizeof(struct gather_batch) + sizeof(struct gather_item) <= QUIRE_PAGE_SIZE,
	       "a frame holds a batch");

static struct frame *item_frame(const struct gather_item *item)
{
	return (struct frame *)((uintptr_t)item->frame & ~DELAYED);
}

static bool item_is_delayed(const struct gather_item *item)
{
	return ((uintptr_t)item->frame & DELAYED) != 0;
}

void tlb_flush_range(struct pgtable *pt, u64 start, u64 end)
{
	struct mach_cpuset cpus;

	/* The changed entries before the set: pairs with the read-modify-write
	 * by which a CPU enters the set before its first walk. */
	mach_fence(MACH_SEQ_CST);
	cpus.bits = atomic_load(&pt->cpus.bits);
	if (cpus.bits != 0)
		mach_mmu_flush(pt->mmu, cpus, pt->asid, start, end);
}

static void forget_range(struct gather *gather)
{
	gather->start = UINT64_MAX;
	gather->end = 0;
}

static void flush_tlb(struct gather *gather)
{
	if (gather->start >= gather->end)
		return;
	if (!gather->full_mm)
		tlb_flush_range(gather->pt, gather->start, gather->end);
	forget_range(gather);
}

void gather_begin(struct gather *gather, struct pgtable *pt,
		  gather_remove_rmap_fn *remove_rmap, bool full_mm)
{
	gather->pt = pt;
	gather->remove_rmap = remove_rmap;
	gather->full_mm = full_mm;
	gather->nr_batches = 0;
	forget_range(gather);
	list_init(&gather->tables);
	gather->first = (struct gather_batch){ .items = gather->items, .max = GATHER_INLINE };
	gather->active = &gather->first;
	gather->delayed = NULL;
	gather->delayed_from = 0;
	if (full_mm)
		tlb_flush_range(pt, 0, UINT64_MAX);
}

/* Makes a batch with room active; false when there is none to be had. */
static NOINLINE bool next_batch(struct gather *gather)
{
	struct gather_batch *batch = gather->active->next;

	if (batch == NULL) {
		struct folio *folio;

		if (gather->nr_batches == MAX_BATCHES)
			return false;
		folio = folio_alloc(gather->pt->phys, 0, 0);
		if (folio == NULL)
			return false;
		batch = folio_bytes(gather->pt->phys, folio);
		*batch = (struct gather_batch){
			.items = (struct gather_item *)(void *)(batch + 1),
			.max = BATCH_ITEMS,
		};
		gather->active->next = batch;
		gather->nr_batches++;
	}
	gather->active = batch;
	return true;
}

bool gather_add(struct gather *gather, struct frame *frame, u32 nr_refs, bool delayed)
{
	struct gather_batch *batch = gather->active;

	if (unlikely(delayed)) {
		if (gather->delayed == NULL) {
			gather->delayed = batch;
			gather->delayed_from = batch->nr;
		}
		frame = (struct frame *)((uintptr_t)frame | DELAYED);
	}
	batch->items[batch->nr++] = (struct gather_item){ frame, nr_refs };
	return unlikely(batch->nr == batch->max) && !next_batch(gather);
}

void gather_unlink_tables(struct gather *gather, u64 addr, u64 end, u64 floor, u64 ceiling)
{
	pgtable_unlink_range(gather->pt, addr, end, floor, ceiling, &gather->tables);
	/* Walkers may still be on their way through what was unlinked. */
	if (!list_empty(&gather->tables))
		gather_note_range(gather, addr, end);
}

void gather_flush_delayed(struct gather *gather, void *vma)
{
	struct gather_batch *batch = gather->delayed;
	u32 i = gather->delayed_from;

	flush_tlb(gather);
	for (; batch != NULL; batch = batch->next, i = 0) {
		for (; i < batch->nr; i++) {
			struct gather_item *item = &batch->items[i];

			if (!item_is_delayed(item))
				continue;
			item->frame = item_frame(item);
			gather->remove_rmap(gather->pt->phys, item->frame, item->nr_refs, vma);
		}
		if (batch == gather->active)
			break;
	}
	gather->delayed = NULL;
}

static void free_items(struct gather *gather)
{
	struct phys *phys = gather->pt->phys;

	for (struct gather_batch *batch = &gather->first; batch != NULL; batch = batch->next) {
		for (u32 i = 0; i < batch->nr; i++) {
			struct gather_item *item = &batch->items[i];

			folio_put_n(phys, frame_folio(item->frame), item->nr_refs);
		}
		batch->nr = 0;
	}
	gather->active = &gather->first;
}

void gather_flush(struct gather *gather)
{
	check(gather->delayed == NULL);
	flush_tlb(gather);
	free_items(gather);
	while (!list_empty(&gather->tables)) {
		struct table *table = list_first(&gather->tables, struct table, link);

		list_remove(&table->link);
		table_free(gather->pt, table);
	}
}

void gather_end(struct gather *gather)
{
	struct gather_batch *batch;

	gather_flush(gather);
	while ((batch = gather->first.next) != NULL) {
		struct phys *phys = gather->pt->phys;
		pfn_t pfn = pfn_make((u64)((char *)batch - (char *)phys->base) >> PAGE_SHIFT);

		gather->first.next = batch->next;
		folio_put(phys, frame_folio(pfn_frame(phys, pfn)));
	}
}
