/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults on anonymous memory that has nothing mapped yet.
 *
 * How much one fault brings in: the largest folio of the orders that the
 * instance allows for the VMA (quire_set_anon_folios, MADV_HUGEPAGE) whose
 * naturally aligned range lies in the VMA and is empty, and that memory can
 * be had for; in the end always a single page.
 *
 * All is decided without the table lock but the last look: a slot that filled
 * meanwhile makes the fault start over (the access is tried again).
 */
#include "mm/pages.h"

/* Reading memory never written costs no memory where all share one page of zeros. */
static void map_zero_page(struct fault *fault)
{
	struct quire *q = fault->mm->q;
	entry_t e = entry_make(folio_pfn(&q->phys, q->zero_folio),
			       fault->vma->entry_bits | ENTRY_SPECIAL | QUIRE_ENTRY_ACCESSED);

	table_lock(fault->table);
	if (entry_is_none(entry_load(fault->slot)))
		entry_store(fault->slot, e);
	table_unlock(fault->table);
}

/* Where a folio of 2^order pages around the fault would lie. */
struct place {
	u64 addr;
	entry_t *slots;
	unsigned order;
};

static struct place place_of(const struct fault *fault, unsigned order)
{
	u64 addr = align_down(fault->addr, PAGE_SIZE << order);

	return (struct place){
		.addr = addr, .order = order,
		.slots = fault->slot - ((fault->addr - addr) >> PAGE_SHIFT),
	};
}

static bool place_is_empty(const struct place *place)
{
	for (u64 i = 0; i < BIT(place->order); i++)
		if (!entry_is_none(entry_load(&place->slots[i])))
			return false;
	return true;
}

static bool place_suits(const struct fault *fault, const struct place *place)
{
	return place->addr >= fault->vma->start &&
	       place->addr + (PAGE_SIZE << place->order) <= fault->vma->end &&
	       place_is_empty(place);
}

/* The largest folio of `orders` there is memory and a place for, or NULL. */
static struct folio *alloc_for(struct fault *fault, u32 orders, struct place *ret_place)
{
	while (orders != 0) {
		unsigned order = bit_highest(orders);
		struct folio *folio;

		orders &= ~(u32)BIT(order);
		*ret_place = place_of(fault, order);
		if (!place_suits(fault, ret_place))
			continue;
		folio = anon_folio_alloc_order(fault->mm->q, order, ALLOC_ZERO);
		if (folio != NULL)
			return folio;
	}
	return NULL;
}

/* False: a page will have to do. */
static NOINLINE bool map_large(struct fault *fault, u32 orders)
{
	struct quire *q = fault->mm->q;
	struct place place;
	struct folio *folio = alloc_for(fault, orders, &place);
	entry_t e;
	bool empty;

	if (folio == NULL)
		return false;
	e = anon_entry(fault->vma, q, folio);
	table_lock(fault->table);
	empty = place_is_empty(&place);
	if (likely(empty)) {
		rmap_add_new_anon(folio, fault->vma, place.addr);
		for (u64 i = 0; i < BIT(place.order); i++)
			entry_store(&place.slots[i], entry_plus_pages(e, i));
	}
	table_unlock(fault->table);
	if (likely(empty))
		mm_rss_add(fault->mm, RSS_ANON, (s64)BIT(place.order));
	else
		folio_put(&q->phys, folio);
	return true;
}

/* 0 or -ENOMEM. */
static int map_page(struct fault *fault)
{
	struct quire *q = fault->mm->q;
	struct folio *folio = anon_folio_alloc(q, ALLOC_ZERO);
	entry_t e;

	if (folio == NULL)
		return -QUIRE_ENOMEM;
	e = anon_entry(fault->vma, q, folio);
	table_lock(fault->table);
	if (unlikely(!entry_is_none(entry_load(fault->slot)))) {
		table_unlock(fault->table);
		folio_put(&q->phys, folio);
		return 0;
	}
	rmap_add_new_anon(folio, fault->vma, fault->addr);
	entry_store(fault->slot, e);
	table_unlock(fault->table);
	mm_rss_add(fault->mm, RSS_ANON, 1);
	return 0;
}

/* The kernel's own pages stand for themselves, whatever the instance has. */
static bool reads_share_zeros(const struct fault *fault)
{
	return fault->mm->q->config.zero_page || (fault->vma->flags & VMA_SPECIAL);
}

int fault_anon(struct fault *fault)
{
	/* One of PMD size is mapped by another entry: see huge.c. */
	u32 orders = vma_anon_orders(fault->vma) & ~(u32)BIT(QUIRE_PMD_ORDER);

	if (!fault->write && likely(reads_share_zeros(fault))) {
		map_zero_page(fault);
		return 0;
	}
	if (fault_prepare_anon(fault))
		return -QUIRE_ENOMEM;
	if (unlikely(orders != 0) && map_large(fault, orders))
		return 0;
	return map_page(fault);
}
