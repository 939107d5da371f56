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
	ensure(vma->mapping == (vma->file == NULL || file_is_zeros(vma->file) ? NULL :
								  vma->file->mapping));
	ensure(vma->entry_bits == vma_entry_bits(vma));
	ensure((vma->flags & (VMA_SHARED | VMA_MAYSHARE)) != VMA_SHARED);
	ensure((vma->flags & (VMA_LOCKED | VMA_LOCKONFAULT)) != VMA_LOCKONFAULT);
	if (vma->mapping != NULL)
		mapping_check(vma->mapping);
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

/* What the entries of all address spaces say of one frame. */
struct seen {
	u32 mapcount;
	u32 asid;       /* of the address space that maps it, or SEVERAL; 0: none does */
	bool exclusive; /* an entry says so */
};

#define SEVERAL UINT32_MAX

static void note_mapping(struct seen *frame, entry_t e, u32 asid)
{
	frame->mapcount++;
	frame->asid = frame->asid == 0 || frame->asid == asid ? asid : SEVERAL;
	frame->exclusive |= entry_is_exclusive(e);
}

/* Invariants 3 and 4 for one entry; counts it into `rss` and `seen`. */
static void check_entry(struct mm *mm, u64 addr, entry_t e, u64 *rss, struct seen *seen)
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
	ensure(folio_refs(folio) != 0 && folio_is_mapped(&mm->q->rmap, folio));
	if (seen != NULL)
		note_mapping(&seen[entry_pfn(e).v], e, mm->pt.asid);
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

static void check_span(struct mm *mm, const struct span *span, u64 *rss, struct seen *seen)
{
	u64 nr = (span->end - span->addr) >> PAGE_SHIFT;

	ensure(span->table->va == align_down(span->addr, PMD_SIZE));
	for (u64 i = 0; i < nr; i++) {
		entry_t e = entry_load(&span->slots[i]);

		if (entry_is_present(e))
			check_entry(mm, span->addr + (i << PAGE_SHIFT), e, rss, seen);
		else
			ensure(entry_is_none(e) || entry_is_guard(e));
	}
}

/* A leaf says the same of each of its pages; and invariant 5. */
static void check_leaf(struct mm *mm, const struct span *span, u64 *rss, struct seen *seen)
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
			    rss, seen);
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

static void check_tables(struct mm *mm, struct seen *seen)
{
	u64 rss[NR_RSS] = { 0 }, addr = 0;
	struct span span = { 0 };
	struct table *table;

	for (u64 at = 0; pgtable_next_span(&mm->pt, at, TASK_SIZE, &span); at = span.end) {
		if (span.level == 0)
			check_span(mm, &span, rss, seen);
		else
			check_leaf(mm, &span, rss, seen);
	}
	while ((table = pgtable_next_pmd_table(&mm->pt, &addr)) != NULL)
		check_deposits(mm, table);
	for (unsigned kind = 0; kind < NR_RSS; kind++)
		ensure(rss[kind] == atomic_load(&mm->rss[kind]));
}

/* Returns the pages that count as committed. */
static u64 check_address_space(struct mm *mm, struct seen *seen)
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
	check_tables(mm, seen);
	return sums.committed;
}

void mm_check(struct mm *mm)
{
	check_address_space(mm, NULL);
}

/* The pages of a folio, added up. */
struct seen_folio {
	u64 nr_mappings;
	u64 nr_mapped;     /* pages with a mapping */
	u32 asid;          /* as in struct seen */
	bool twice;        /* a page is mapped by more than one entry */
};

static struct seen_folio add_up(const struct seen *first, u64 nr_pages)
{
	struct seen_folio sum = { .asid = 0 };

	for (const struct seen *page = first; page < first + nr_pages; page++) {
		ensure(!page->exclusive || page->mapcount == 1);
		sum.nr_mappings += page->mapcount;
		sum.nr_mapped += page->mapcount != 0;
		sum.twice |= page->mapcount > 1;
		if (page->asid != 0)
			sum.asid = sum.asid == 0 || sum.asid == page->asid ? page->asid : SEVERAL;
	}
	return sum;
}

/* The chosen rival is what it says of itself: sound, exact. */
static void check_rival(struct quire *q, struct folio *folio, const struct seen_folio *sum)
{
	const struct sharing_ops *rival = q->rmap.sharing.ops;
	bool shared = sharing_shared(&q->rmap.sharing, folio_sharing(folio),
				     folio_order(folio)); /* no query to be judged */

	ensure(!rival->sound || sum->asid != SEVERAL || shared);
	ensure(!rival->exact || sum->asid == SEVERAL || sum->twice || !shared);
}

/* A folio with pages that nobody maps is queued to be split, as far as the decision
 * deferred-split promises it. */
static void check_queued(struct quire *q, struct folio *folio, const struct seen_folio *sum)
{
	u64 nr = folio_nr_pages(folio);
	bool is_partial = folio_is_anon(folio) && sum->nr_mapped != 0 && sum->nr_mapped < nr;
	bool is_missed = q->rmap.deferred.rule == DEFERRED_TOTAL_COUNT &&
			 sum->nr_mappings >= nr;

	ensure(!is_partial || is_missed || folio_test(folio, FRAME_PARTLY_MAPPED));
}

/* A large folio counts its mappings in sum, and perhaps page by page. */
static void check_large(struct quire *q, struct folio *folio, const struct seen *seen)
{
	const struct seen *first = &seen[folio_pfn(&q->phys, folio).v];
	u64 nr = folio_nr_pages(folio);
	struct seen_folio sum = add_up(first, nr);

	for (u64 i = 0; q->rmap.per_subpage && i < nr; i++)
		ensure(first[i].mapcount == folio_frame(folio, i)->mapcount +
						    folio_large(folio)->entire_mapcount);
	ensure(sum.nr_mappings == folio_mapcount(&q->rmap, folio));
	ensure(sum.nr_mappings <= folio_refs(folio));
	check_rival(q, folio, &sum);
	check_queued(q, folio, &sum);
}

/* Every folio is mapped as often as it says.  A large folio of zeros says nothing:
 * its entries are counted nowhere, and it has no state to count them in. */
static void check_mappings(struct quire *q, const struct seen *seen)
{
	u64 nr_queued = 0;

	for (u64 pfn = 1; pfn < q->phys.nr_frames; pfn++) {
		struct frame *frame = &q->phys.frames[pfn];

		if (frame_test(frame, FRAME_TABLE) || frame_test(frame, FRAME_SLAB) ||
		    frame_test(frame, FRAME_TAIL) || frame_test(frame, FRAME_FREE))
			continue;
		if (frame->order == 0)
			ensure(frame->mapcount == seen[pfn].mapcount);
		else if (folio_refs(frame_folio(frame)) != 0 &&
			 !frame_test(frame, FRAME_ZERO_PAGE))
			check_large(q, frame_folio(frame), seen);
		nr_queued += frame_test(frame, FRAME_PARTLY_MAPPED);
	}
	ensure(nr_queued == q->rmap.deferred.nr_folios);
}

void quire_check(struct quire *q)
{
	size_t bytes;
	struct seen *seen;
	u64 committed = 0;

	if (api_enter(q))
		return;
	bytes = q->phys.nr_frames * sizeof(*seen);
	/* Without memory for it the counts go unchecked, the rest does not. */
	seen = mach_mem_alloc(bytes, _Alignof(struct seen));
	list_for_each(pos, &q->mms)
		committed += check_address_space(list_entry(pos, struct mm, link), seen);
	ensure(committed <= atomic_load(&q->committed_pages));
	if (seen != NULL) {
		check_mappings(q, seen);
		mach_mem_free(seen, bytes);
	}
	phys_check(&q->phys);
}
