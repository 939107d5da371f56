/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The invariants of mm.h, asserted one by one: for tests, and for whoever
 * suspects something.  A breach stops the machine.
 */
#include "mm/api.h"
#include "mm/pages.h"

struct sums {
	u64 total, locked, data, stack, exec, committed;
	u32 nr_vmas;
};

/* Invariant 1. */
static void check_vma(const struct mm *mm, const struct vma *vma,
		      const struct maple_cursor *cur)
{
	ensure(vma->mm == mm && vma->pt == &mm->pt);
	ensure(vma->start < vma->end && vma->end <= TASK_SIZE);
	ensure(is_aligned(vma->start, PAGE_SIZE) && is_aligned(vma->end, PAGE_SIZE));
	ensure(cur->first == vma->start && cur->last == vma->end - 1);
	ensure(vma->mapping == (vma->file != NULL ? vma->file->mapping : NULL));
	ensure(vma->entry_bits == vma_entry_bits(vma));
	ensure((vma->flags & (VMA_SHARED | VMA_MAYSHARE)) != VMA_SHARED);
	ensure((vma->flags & (VMA_LOCKED | VMA_LOCKONFAULT)) != VMA_LOCKONFAULT);
}

static void add_vma(struct sums *sums, const struct vma *vma)
{
	u64 nr_pages = vma_nr_pages(vma);

	sums->nr_vmas++;
	sums->total += nr_pages;
	if (vma->flags & VMA_LOCKED)
		sums->locked += nr_pages;
	if (vma->flags & VMA_ACCOUNT)
		sums->committed += nr_pages;
	if (vma->flags & VMA_GROWSDOWN)
		sums->stack += nr_pages;
	else if ((vma->flags & (VMA_EXEC | VMA_WRITE)) == VMA_EXEC)
		sums->exec += nr_pages;
	else if ((vma->flags & (VMA_WRITE | VMA_SHARED)) == VMA_WRITE)
		sums->data += nr_pages;
}

/* Invariants 3 and 4 for one entry; counts it into `rss` and `mapcounts`. */
static void check_entry(struct mm *mm, u64 addr, entry_t e, u64 *rss, u32 *mapcounts)
{
	struct vma *vma = vma_at(mm, addr);
	struct frame *frame = pfn_frame(&mm->q->phys, entry_pfn(e));
	struct folio *folio;

	ensure(vma != NULL);
	ensure(!entry_is_writable(e) || (vma->flags & VMA_WRITE));
	ensure(((e.v & QUIRE_ENTRY_PROTNONE) != 0) == ((vma->flags & VMA_ACCESS) == 0));
	ensure(entry_is_special(e) == folio_test(frame_folio(frame), FRAME_ZERO_PAGE));
	if (entry_is_special(e)) {
		ensure(!entry_is_writable(e));
		return;
	}
	folio = frame_folio(frame);
	ensure(refcount_read(&folio->refs) != 0 && folio_is_mapped(&mm->q->rmap, folio));
	if (mapcounts != NULL)
		mapcounts[entry_pfn(e).v]++;
	if (folio_is_anon(folio)) {
		ensure(vma->anon_vma != NULL && !(vma->flags & VMA_SHARED));
		ensure(!entry_is_writable(e) || entry_is_exclusive(e));
		ensure(!entry_is_exclusive(e) || folio_is_large(folio) || frame->mapcount == 1);
		rss[RSS_ANON]++;
	} else {
		ensure(vma->mapping != NULL && folio->mapping == vma->mapping);
		ensure(!entry_is_writable(e) || (vma->flags & VMA_SHARED));
		rss[vma->mapping->kind == QUIRE_FILE_MEMORY ? RSS_SHMEM : RSS_FILE]++;
	}
}

static void check_span(struct mm *mm, const struct span *span, u64 *rss, u32 *mapcounts)
{
	u64 nr = (span->end - span->addr) >> PAGE_SHIFT;

	ensure(span->table->va == align_down(span->addr, PMD_SIZE));
	for (u64 i = 0; i < nr; i++) {
		entry_t e = entry_load(&span->slots[i]);

		if (entry_is_present(e))
			check_entry(mm, span->addr + (i << PAGE_SHIFT), e, rss, mapcounts);
		else
			ensure(entry_is_none(e));
	}
}

/* A leaf says the same of each of its pages; and invariant 5. */
static void check_leaf(struct mm *mm, const struct span *span, u64 *rss, u32 *mapcounts)
{
	struct vma *vma = vma_at(mm, span->addr);
	entry_t leaf = entry_load(span->slots);
	struct folio *folio;

	ensure(span_is_whole_leaf(span) && span->table->level == 1);
	ensure(vma != NULL && vma->start <= span->addr && span->end <= vma->end);
	ensure(atomic_load(&mm->has_leaves) && entry_is_present(leaf));
	folio = (struct folio *)(void *)pfn_frame(&mm->q->phys, entry_pfn(leaf));
	ensure(folio_order(folio) == QUIRE_PMD_ORDER);
	ensure(!folio_test(folio, FRAME_TAIL));
	for (u32 i = 0; i < QUIRE_TABLE_ENTRIES; i++)
		check_entry(mm, span->addr + ((u64)i << PAGE_SHIFT), leaf_page_entry(leaf, i),
			    rss, mapcounts);
}

/* Invariant 5: deposits. */
static void check_deposits(struct mm *mm, const struct table *pmd_table)
{
	const entry_t *slots = table_slots(&mm->pt, pmd_table);
	u32 nr = 0;

	for (u32 i = 0; i < QUIRE_TABLE_ENTRIES; i++) {
		entry_t e = entry_load(&slots[i]);

		nr += entry_is_leaf(e) &&
		      (entry_is_special(e) || folio_is_anon(frame_folio(entry_frame(mm, e))));
	}
	ensure(nr == pgtable_nr_deposited(pmd_table));
}

static void check_tables(struct mm *mm, u32 *mapcounts)
{
	u64 rss[NR_RSS] = { 0 }, addr = 0;
	struct span span = { 0 };
	struct table *table;

	for (u64 at = 0; pgtable_next_span(&mm->pt, at, TASK_SIZE, &span); at = span.end) {
		if (span.level == 0)
			check_span(mm, &span, rss, mapcounts);
		else
			check_leaf(mm, &span, rss, mapcounts);
	}
	while ((table = pgtable_next_pmd_table(&mm->pt, &addr)) != NULL)
		check_deposits(mm, table);
	for (unsigned kind = 0; kind < NR_RSS; kind++)
		ensure(rss[kind] == atomic_load(&mm->rss[kind]));
}

/* Returns the pages that count as committed. */
static u64 check_address_space(struct mm *mm, u32 *mapcounts)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);
	struct sums sums = { 0 };
	struct vma *vma, *prev = NULL;

	maple_check(&mm->vmas);
	maple_for_each(&cur, vma, UINT64_MAX) {
		check_vma(mm, vma, &cur);
		ensure(prev == NULL || prev->end <= vma->start);
		vma_rmap_check(vma);
		add_vma(&sums, vma);
		prev = vma;
	}
	ensure(sums.nr_vmas == mm->nr_vmas);
	ensure(sums.total == mm->total_pages && sums.locked == mm->locked_pages);
	ensure(sums.data == mm->data_pages && sums.stack == mm->stack_pages);
	ensure(sums.exec == mm->exec_pages);
	check_tables(mm, mapcounts);
	return sums.committed;
}

void mm_check(struct mm *mm)
{
	check_address_space(mm, NULL);
}

/* A large folio counts its mappings in sum, and perhaps page by page. */
static void check_large_mapcount(struct quire *q, struct folio *folio, const u32 *mapcounts)
{
	u64 nr = folio_nr_pages(folio), first = folio_pfn(&q->phys, folio).v, sum = 0;

	for (u64 i = 0; i < nr; i++) {
		sum += mapcounts[first + i];
		ensure(!q->rmap.per_subpage ||
		       mapcounts[first + i] == folio_frame(folio, i)->mapcount +
						       folio_large(folio)->entire_mapcount);
	}
	ensure(sum == folio_mapcount(&q->rmap, folio));
	ensure(sum <= refcount_read(&folio->refs));
}

/* Every folio is mapped as often as it says.  A large folio of zeros says nothing:
 * its entries are counted nowhere, and it has no state to count them in. */
static void check_mapcounts(struct quire *q, const u32 *mapcounts)
{
	for (u64 pfn = 1; pfn < q->phys.nr_frames; pfn++) {
		struct frame *frame = &q->phys.frames[pfn];

		if (frame_test(frame, FRAME_TABLE) || frame_test(frame, FRAME_SLAB) ||
		    frame_test(frame, FRAME_TAIL) || frame_test(frame, FRAME_FREE))
			continue;
		if (frame->order == 0)
			ensure(frame->mapcount == mapcounts[pfn]);
		else if (refcount_read(&frame->refs) != 0 &&
			 !frame_test(frame, FRAME_ZERO_PAGE))
			check_large_mapcount(q, frame_folio(frame), mapcounts);
	}
}

void quire_check(struct quire *q)
{
	size_t bytes;
	u32 *mapcounts;
	u64 committed = 0;

	if (api_enter(q))
		return;
	bytes = q->phys.nr_frames * sizeof(*mapcounts);
	/* Without memory for it the counts go unchecked, the rest does not. */
	mapcounts = mach_mem_alloc(bytes, _Alignof(u32));
	list_for_each(pos, &q->mms)
		committed += check_address_space(list_entry(pos, struct mm, link), mapcounts);
	ensure(committed <= atomic_load(&q->committed_pages));
	if (mapcounts != NULL) {
		check_mapcounts(q, mapcounts);
		mach_mem_free(mapcounts, bytes);
	}
	phys_check(&q->phys);
}
