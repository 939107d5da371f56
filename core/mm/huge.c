/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PMD leaves of an address space: one entry that maps a whole PMD-sized folio.
 *
 * States of a PMD range in anonymous memory, and who moves it:
 *
 *     none --read-- leaf of zeros --write--+
 *     none --write-------------------------+-> own, writable, exclusive
 *     own --fork--> shared, read-only                       copy.c
 *     shared --write, nobody else--> exclusive again
 *     shared --write, others hold it--> table: cow.c copies a page
 *     any --a part of it changes--> table                   huge_split_locked
 *     any --zap of the whole--> none                        zap.c
 *
 * Guarantees.  Invariant 5 of mm.h: a leaf lies in one VMA, and an anonymous one
 * has a table deposited beside it; so it can become a table wherever a walk finds
 * that it must treat its pages differently, and that cannot fail.  A leaf holds a
 * reference and counts a mapping for each of its pages: splitting it changes
 * neither, and no page is touched.
 *
 * Nothing here fails either: what a leaf cannot be had for (memory, an order
 * that the `sharing` alternative has not), pages are had for.
 *
 * A leaf of a file needs no deposit: it is dropped where it would be split, and
 * the pages are in the cache for the next fault.
 */
#include "mm/pages.h"

/* ---- the folio of zeros ------------------------------------------------------- */

static bool has_huge_zero_page(const struct quire *q)
{
	return q->config.zero_page && q->config.huge_zero_page;
}

/*
 * Made when it is first needed and kept until the instance ends.  Counting its
 * users would cost two atomics on a line that all CPUs share for each leaf that
 * comes and goes, to be able to give back one folio an instance.
 */
static struct folio *huge_zero_folio(struct quire *q)
{
	/* ACQUIRE pairs with the compare-and-swap: the zeros are seen. */
	struct folio *folio = atomic_load_acquire(&q->huge_zero_folio), *winner = NULL;

	if (likely(folio != NULL))
		return folio;
	folio = folio_alloc(&q->phys, QUIRE_PMD_ORDER, ALLOC_ZERO);
	if (folio == NULL)
		return NULL;
	atomic_store(&folio->flags, (u32)(FRAME_UPTODATE | FRAME_ZERO_PAGE));
	if (atomic_cas(&q->huge_zero_folio, &winner, folio))
		return folio;
	folio_put(&q->phys, folio);
	return winner;
}

/* ---- splitting ------------------------------------------------------------------ */

/*
 * The leaf at `addr`: as zapping it, but that the flush is not put off: one for so
 * many pages.
 *
 * Writeback waits for who has the lock only where it finds the leaf: a slot that is
 * empty it passes by.  So the leaf stays, without the right to write, until no CPU can
 * write through its TLB any more and the folio is marked.
 */
static void drop_file_leaf(struct vma *vma, entry_t *slot, u64 addr)
{
	struct mm *mm = vma->mm;
	struct mapping *mapping = vma->mapping;
	entry_t e = entry_load(slot);
	struct folio *folio = frame_folio(entry_frame(mm, e));

	mm_note_peak_rss(mm);
	if (entry_is_writable(e)) {
		entry_fetch_clear(slot, QUIRE_ENTRY_WRITE);
		tlb_flush_range(&mm->pt, addr, addr + PMD_SIZE);
	}
	if (entry_is_dirty(entry_load(slot)) && vma_is_shared(vma))
		mapping_dirty_folio(mapping, folio);
	e = entry_take(slot);
	if (entry_is_young(e))
		folio_set(folio, FRAME_REFERENCED);
	tlb_flush_range(&mm->pt, addr, addr + PMD_SIZE);
	mm_rss_add(mm, mapping_rss_kind(mapping), -(s64)PMD_PAGES);
	folio_put_n(&mm->q->phys, folio, rmap_remove_leaf(folio, vma));
}

void huge_split_locked(struct vma *vma, struct table *pmd_table, entry_t *slot)
{
	struct quire *q = vma->mm->q;
	entry_t leaf = entry_load(slot);
	struct folio *folio;

	if (entry_is_special(leaf)) {
		pgtable_split_leaf(vma->pt, pmd_table, slot, folio_pfn(&q->phys, q->zero_folio),
				   0);
		return;
	}
	folio = frame_folio(entry_frame(vma->mm, leaf));
	if (unlikely(!folio_is_anon(folio))) {
		drop_file_leaf(vma, slot, pmd_table->va + PMD_SIZE *
				      (u64)(slot - table_slots(vma->pt, pmd_table)));
		return;
	}
	/* Before the pages' entries can be found and taken. */
	rmap_split_leaf(folio, vma);
	pgtable_split_leaf(vma->pt, pmd_table, slot, entry_pfn(leaf), 1);
}

void huge_split_pmd(struct vma *vma, u64 addr)
{
	struct table *table;
	entry_t *slot = pgtable_find(vma->pt, addr, 1, &table);

	if (slot == NULL || !entry_is_leaf(entry_load(slot)))
		return;
	table_lock(table);
	if (entry_is_leaf(entry_load(slot)))
		huge_split_locked(vma, table, slot);
	table_unlock(table);
}

/* ---- faults ------------------------------------------------------------------------ */

static u64 leaf_start(const struct fault *fault)
{
	return align_down(fault->addr, PMD_SIZE);
}

static bool file_may_have_leaves(const struct mapping *mapping)
{
	const struct files *files = mapping->files;
	enum quire_shmem_folios mode;

	if (files->file_order == QUIRE_PMD_ORDER)
		return true;
	mode = mapping->kind == QUIRE_FILE_MEMORY ? files_shmem_folios(files, mapping) :
						    QUIRE_SHMEM_NEVER;
	return mode != QUIRE_SHMEM_NEVER && mode != QUIRE_SHMEM_DENY;
}

/* A file's folios of that size lie in its cache, if anywhere, where page 0 of the
 * file and the tables' ranges agree. */
static bool vma_may_have_leaves(const struct vma *vma)
{
	if (vma_is_anonymous(vma))
		return (vma_anon_orders(vma) & BIT(QUIRE_PMD_ORDER)) != 0;
	return file_may_have_leaves(vma->mapping) && !vma_forbids_folios(vma) &&
	       is_aligned(vma->start - (vma->pgoff << PAGE_SHIFT), PMD_SIZE);
}

/* A leaf could be mapped where the fault is, if nothing is there yet. */
static bool may_map_leaf(const struct fault *fault)
{
	const struct vma *vma = fault->vma;
	u64 start = leaf_start(fault);

	return vma_may_have_leaves(vma) && start >= vma->start &&
	       start + PMD_SIZE <= vma->end;
}

u32 fault_file_orders(const struct fault *fault)
{
	const struct vma *vma = fault->vma;
	const struct mapping *mapping = vma->mapping;
	u32 orders = files_orders(mapping->files);
	enum quire_shmem_folios mode;

	/* The cache of a disk does not ask who maps it. */
	if (mapping->kind != QUIRE_FILE_MEMORY)
		return orders;
	mode = files_shmem_folios(mapping->files, mapping);
	if (mode == QUIRE_SHMEM_DENY || vma_forbids_folios(vma))
		return 0;
	if (mode == QUIRE_SHMEM_NEVER || !may_map_leaf(fault) ||
	    (mode == QUIRE_SHMEM_ADVISE && !(vma->flags & VMA_HUGEPAGE)))
		return orders;
	return orders | (u32)BIT(QUIRE_PMD_ORDER);
}

/* Prepared like a write, which zeros do not need: whether a VMA has an anon_vma
 * decides what it merges with and what fork copies, and so it is on Linux. */
static bool map_zero_leaf(struct fault *fault)
{
	struct mm *mm = fault->mm;
	struct table *deposit;
	struct folio *zeros;
	entry_t e;

	if (fault_prepare_anon(fault))
		return false;
	zeros = huge_zero_folio(mm->q);
	if (zeros == NULL)
		return false;
	deposit = pgtable_alloc_deposit(&mm->pt);
	if (deposit == NULL)
		return false;
	e = entry_make(folio_pfn(&mm->q->phys, zeros),
		       fault->vma->entry_bits | ENTRY_SPECIAL | QUIRE_ENTRY_LEAF |
			       QUIRE_ENTRY_ACCESSED);
	mm_note_leaf(mm);
	table_lock(fault->table);
	if (entry_is_none(entry_load(fault->slot))) {
		pgtable_deposit(fault->table, deposit);
		entry_store(fault->slot, e);
		deposit = NULL;
	}
	table_unlock(fault->table);
	if (deposit != NULL)
		table_free(&mm->pt, deposit);
	return true;
}

/* Puts the new folio where nothing is, or the leaf of zeros, whose deposit it
 * takes over.  Lock held. */
static void put_own_leaf(struct fault *fault, struct folio *folio, struct table *deposit)
{
	u64 start = leaf_start(fault);

	if (deposit != NULL) {
		pgtable_deposit(fault->table, deposit);
	} else {
		entry_take(fault->slot);
		tlb_flush_range(&fault->mm->pt, start, start + PMD_SIZE);
	}
	rmap_add_new_anon_leaf(folio, fault->vma, start);
	entry_store(fault->slot, entry_with(anon_entry(fault->vma, fault->mm->q, folio),
					    QUIRE_ENTRY_LEAF));
}

/* `seen` is none or the leaf of zeros. */
static bool map_own_leaf(struct fault *fault)
{
	struct mm *mm = fault->mm;
	struct table *deposit = NULL;
	struct folio *folio;
	bool same;

	if (fault_prepare_anon(fault))
		return false;
	folio = anon_folio_alloc_order(mm->q, QUIRE_PMD_ORDER, ALLOC_ZERO);
	if (folio == NULL)
		return false;
	if (entry_is_none(fault->seen)) {
		deposit = pgtable_alloc_deposit(&mm->pt);
		if (deposit == NULL) {
			folio_put(&mm->q->phys, folio);
			return false;
		}
	}
	mm_note_leaf(mm);
	table_lock(fault->table);
	same = entry_same(entry_load(fault->slot), fault->seen);
	if (likely(same))
		put_own_leaf(fault, folio, deposit);
	table_unlock(fault->table);
	if (likely(same)) {
		mm_rss_add(mm, RSS_ANON, PMD_PAGES);
		return true;
	}
	if (deposit != NULL)
		table_free(&mm->pt, deposit);
	folio_put(&mm->q->phys, folio);
	return true;
}

/*
 * Nobody else sees the folio.  Its references are as many as its pages: all are
 * our leaf's, and no other can come while the leaf is behind the lock that we
 * hold (count-entries of reuse.c: a leaf counts for each page).
 */
static bool may_reuse_leaf(const struct fault *fault, struct folio *folio)
{
	if (entry_is_exclusive(fault->seen))
		return true;
	if (DECIDED(fault->mm->q, cow_reuse, mapcount))
		return folio_is_exclusive(folio, fault->vma);
	/* ACQUIRE pairs with the put of whoever copied a page before us. */
	if (folio_refs(folio) != PMD_PAGES)
		return false;
	rmap_score_question(folio, fault->vma);
	return true;
}

static void reuse_leaf(struct fault *fault, struct folio *folio)
{
	/* More is allowed than before: nothing is flushed. */
	entry_fetch_set(fault->slot,
			fault->unshare ? ENTRY_EXCLUSIVE :
					 ENTRY_EXCLUSIVE | QUIRE_ENTRY_WRITE |
						 QUIRE_ENTRY_DIRTY | QUIRE_ENTRY_ACCESSED);
	if (!entry_is_exclusive(fault->seen)) {
		if (folio_trylock(folio)) {
			rmap_move_anon(folio, fault->vma);
			folio_unlock(folio);
		}
		rmap_score_reused(&fault->mm->q->rmap, PMD_PAGES);
	}
	atomic_fetch_add(&fault->mm->cow_reuses, 1);
	COST_ADD(cow_reuses, 1);
}

/*
 * A leaf that does not allow the write: as fault_huge.  A leaf of zeros gives way
 * to one of our own even where advice given since asks for none: what would be
 * the use of 512 entries of zeros?  (Linux does the same.)
 */
static bool fault_protected_leaf(struct fault *fault)
{
	struct folio *folio;
	bool done = true;

	if (vma_is_shared(fault->vma))
		return fault_write_protected(fault) == 0;
	if (entry_is_special(fault->seen) && !fault->unshare && map_own_leaf(fault))
		return true;
	table_lock(fault->table);
	if (likely(entry_same(entry_load(fault->slot), fault->seen))) {
		folio = frame_folio(entry_frame(fault->mm, fault->seen));
		done = folio_is_anon(folio) && may_reuse_leaf(fault, folio);
		if (done)
			reuse_leaf(fault, folio);
		else
			huge_split_locked(fault->vma, fault->table, fault->slot);
	}
	table_unlock(fault->table);
	return done;
}

/* Nothing is mapped in the range that a leaf would map. */
static bool map_leaf(struct fault *fault)
{
	if (!may_map_leaf(fault) || fault->unshare)
		return false;
	/* Should there be no memory, the pages' fault will tell. */
	if (pgtable_ensure(&fault->mm->pt, fault->addr, 1, &fault->slot, &fault->table))
		return false;
	fault->seen = entry_none();
	if (!vma_is_anonymous(fault->vma))
		return fault_file_leaf(fault);
	return fault->write || !has_huge_zero_page(fault->mm->q) ? map_own_leaf(fault) :
								   map_zero_leaf(fault);
}

bool fault_huge(struct fault *fault)
{
	fault->slot = pgtable_find(&fault->mm->pt, fault->addr, 1, &fault->table);
	fault->seen = fault->slot != NULL ? entry_load(fault->slot) : entry_none();
	if (entry_is_none(fault->seen))
		return map_leaf(fault);
	if (!entry_is_leaf(fault->seen))
		return false;
	if ((fault->write && !entry_is_writable(fault->seen)) ||
	    (fault->unshare && !vma_is_shared(fault->vma)))
		return fault_protected_leaf(fault);
	/* Somebody else did it first. */
	return true;
}

/* ---- looking at one page -------------------------------------------------------------- */

bool lock_page_entry(const struct mm *mm, u64 addr, entry_t *ret_entry,
		     struct table **ret_table) NO_LOCK_ANALYSIS /* locked only if true */
{
	for (;;) {
		struct table *table;
		const entry_t *slot = pgtable_find(&mm->pt, addr, 1, &table);
		entry_t e;

		if (slot == NULL)
			return false;
		e = entry_load(slot);
		if (entry_is_none(e))
			return false;
		if (!entry_is_leaf(e)) {
			/* A table that was found stays. */
			table = entry_table(&mm->pt, e);
			slot = table_slots(&mm->pt, table) + pgtable_index(addr, 0);
		}
		*ret_table = table;
		table_lock(table);
		*ret_entry = entry_load(slot);
		if (table->level == 0)
			return true;
		if (entry_is_leaf(*ret_entry)) {
			*ret_entry = leaf_page_entry(*ret_entry, pgtable_index(addr, 0));
			return true;
		}
		table_unlock(table);
	}
}
