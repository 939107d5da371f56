/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collapse: private anonymous memory that came in page by page is moved into one
 * PMD-sized folio, so that one entry and one TLB slot map it.
 *
 * Guarantees.  The program sees the same bytes before and after, and no access of
 * it is lost on the way.  A page that is pinned is never moved.  Whoever else maps
 * a page keeps it; our mapping is exclusive afterwards, as if every page had
 * been copied on write.  What is refused changes nothing.
 *
 * How.  Under the mmap lock and the lock of the anon_vma's root, both for writing:
 *   1. the slot that points to the table is emptied and the TLBs are flushed;
 *   2. the entries are looked at; if one does not allow it, the table goes back;
 *   3. pages are copied into the folio, holes cleared, and old mappings and their
 *      references dropped, a run of one folio's pages at a time;
 *   4. a leaf takes the slot, the table becomes its deposit (pgtable.h).
 *
 * Why nobody reads the table between 1 and 4.  A fault, a pin, a zap, a fork of
 * this address space needs the mmap lock.  Who comes through the reverse map (a
 * folio being split) needs the anon_vma.  What is left is the hardware: a walker that
 * read the pointer before 1 may still use it, and a TLB what it found there, until
 * the flush returns; then every access of this range faults, and waits for the
 * mmap lock.  So after the flush bytes and entries stand still, accessed and dirty
 * bits included.
 *
 * A pinner that walks tables without a lock would not be stopped by the flush
 * where that sends no interrupt (the race of khugepaged with GUP-fast).  There is
 * none here: gup.c pins under mmap lock and table lock.  One that is added
 * must look at the level 1 slot again after it took its pin.  Looking at the
 * entries only after the slot is empty is what makes that enough.
 *
 * The folio lock is not needed.  A split, which holds it, has the lock of the
 * anon_vma's root from before its first migration entry until after its last
 * (rmap/split.h).  So it comes before us, or after us, when it finds none of the
 * pages that we took: never in between.
 *
 * Check, then lock: collapse_look() without the write lock saves work and
 * decides nothing.  VMA and entries are looked at again under the lock (the race of
 * khugepaged with userfaultfd write-protection: a mark put there in between was
 * lost).
 *
 * Which pages can be moved.  References that are not mappings are somebody
 * who holds the page without an entry.  If it is a pin, the entry is
 * exclusive, and nobody but us could add another: folio_maybe_pinned() is exact.
 * Other references make no promise about who sees what; they are refused too, as
 * Linux does, because they tell that the page is in use just now, and there the
 * two counters, read one after the other, may be wrong for a moment.
 *
 * Swap entries do not exist before reclaim/ does; max_ptes_swap is its business.
 */
#include "thp/collapse.h"

#include "mm/above.h"

/* ---- which ranges ---------------------------------------------------------------- */

/* A file's pages have to lie in it as in the tables. */
static bool vma_suits(const struct vma *vma)
{
	/* To ask for it is advice enough, where an address space wants to be advised. */
	if ((vma->flags & (VMA_NOHUGEPAGE | VMA_SPECIAL)) ||
	    vma->mm->thp_disable == QUIRE_THP_DISABLED)
		return false;
	return vma_is_anonymous(vma) ||
	       (vma->mapping->kind == QUIRE_FILE_MEMORY &&
		is_aligned(vma->start - (vma->pgoff << PAGE_SHIFT), PMD_SIZE));
}

bool vma_may_collapse(const struct vma *vma, u64 addr)
{
	return vma_suits(vma) && is_aligned(addr, PMD_SIZE) && addr >= vma->start &&
	       addr < vma->end && vma->end - addr >= PMD_SIZE;
}

bool vma_has_collapsible(const struct vma *vma)
{
	return vma_suits(vma) && align_up(vma->start, PMD_SIZE) < align_down(vma->end, PMD_SIZE);
}

/* ---- looking ---------------------------------------------------------------------- */

struct look {
	u32 nr_none, nr_zero, nr_shared;
	bool busy, guarded;
};

/* Somebody has a reference that is no mapping.  References are read last: at
 * every moment they are at least the mappings. */
static bool has_other_users(const struct rmap *rmap, struct folio *folio)
{
	u32 mapcount = folio_mapcount(rmap, folio);

	return folio_maybe_pinned(folio) || folio_refs(folio) > mapcount;
}

/* Lock of the table held, or nobody else can find it. */
static struct look look_at_entries(struct quire *q, const entry_t *slots)
{
	struct look look = { 0 };

	for (u32 i = 0, run; i < QUIRE_TABLE_ENTRIES; i += run) {
		entry_t e = entry_load(&slots[i]);
		struct folio *folio;
		struct frame *frame;

		run = 1;
		if (entry_is_none(e)) {
			look.nr_none++;
			continue;
		}
		if (entry_is_guard(e)) {
			look.guarded = true;
			break;
		}
		if (!entry_is_present(e)) {
			look.busy = true;
			continue;
		}
		if (entry_is_special(e)) {
			look.nr_zero++;
			continue;
		}
		frame = pfn_frame(&q->phys, entry_pfn(e));
		folio = frame_folio(frame);
		check(folio_is_anon(folio));
		run = entry_run(&slots[i], QUIRE_TABLE_ENTRIES - i, e, frame);
		look.busy |= has_other_users(&q->rmap, folio);
		if (folio_is_shared(&q->rmap, folio))
			look.nr_shared += run;
	}
	return look;
}

/*
 * The folio that the entries map whole, in order and exclusively, or NULL; and
 * what the walker noted in them.  Nothing has to be copied then: pins stay
 * with the pages, which stay where they are.
 */
static struct folio *whole_folio(struct quire *q, const entry_t *slots, u64 *ret_bits)
{
	entry_t first = entry_load(&slots[0]);
	struct folio *folio;
	u64 bits = 0;

	if (!entry_is_present(first) || entry_is_special(first))
		return NULL;
	folio = frame_folio(pfn_frame(&q->phys, entry_pfn(first)));
	if (folio_order(folio) != QUIRE_PMD_ORDER ||
	    folio_pfn(&q->phys, folio).v != entry_pfn(first).v)
		return NULL;
	for (u32 i = 0; i < QUIRE_TABLE_ENTRIES; i++) {
		entry_t e = entry_load(&slots[i]);

		if (!entry_is_present(e) || !entry_is_exclusive(e) ||
		    entry_pfn(e).v != entry_pfn(first).v + i)
			return NULL;
		bits |= e.v & ENTRY_WALKER_BITS;
	}
	*ret_bits = bits;
	return folio;
}

static enum collapse judge(const struct look *look, const struct collapse_limits *limits)
{
	if (look->busy)
		return COLLAPSE_BUSY;
	if (look->guarded)
		return COLLAPSE_NOTHING;
	if (look->nr_none + look->nr_zero > limits->max_none ||
	    look->nr_shared > limits->max_shared)
		return COLLAPSE_BEYOND;
	return COLLAPSE_OK;
}

enum collapse collapse_look(struct vma *vma, u64 addr, const struct collapse_limits *limits)
{
	struct quire *q = vma->mm->q;
	struct table *pmd_table, *table;
	entry_t *slot = pgtable_find(vma->pt, addr, 1, &pmd_table), e;
	enum collapse answer = COLLAPSE_IN_PLACE;
	u64 bits;

	if (slot == NULL)
		return COLLAPSE_ABSENT;
	e = entry_load(slot);
	if (entry_is_leaf(e))
		return COLLAPSE_ALREADY;
	/* Without an anon_vma nothing was ever written here. */
	if (entry_is_none(e) || atomic_load_acquire(&vma->anon_vma) == NULL)
		return COLLAPSE_NOTHING;
	/* A table does not go before the mmap lock does. */
	table = entry_table(vma->pt, e);
	table_lock(table);
	if (whole_folio(q, table_slots(vma->pt, table), &bits) == NULL) {
		struct look look = look_at_entries(q, table_slots(vma->pt, table));

		answer = judge(&look, limits);
	}
	table_unlock(table);
	return answer;
}

/* ---- doing it ---------------------------------------------------------------------- */

void collapse_detach_table(struct collapse_work *work)
{
	table_lock(work->pmd_table);
	work->pointer = entry_take(work->slot);
	table_unlock(work->pmd_table);
	tlb_flush_range(work->vma->pt, work->addr, work->addr + PMD_SIZE);
	work->table = entry_table(work->vma->pt, work->pointer);
	work->entries = table_slots(work->vma->pt, work->table);
}

void collapse_put_table_back(struct collapse_work *work)
{
	table_lock(work->pmd_table);
	entry_store(work->slot, work->pointer);
	table_unlock(work->pmd_table);
}

static void install_leaf(struct collapse_work *work, entry_t leaf)
{
	mm_note_leaf(work->vma->mm);
	table_lock(work->pmd_table);
	pgtable_deposit(work->pmd_table, work->table);
	entry_store(work->slot, entry_with(leaf, QUIRE_ENTRY_LEAF));
	table_unlock(work->pmd_table);
}

void collapse_drop_run(struct vma *vma, struct frame *frame, u32 nr)
{
	struct phys *phys = &vma->mm->q->phys;
	struct folio *folio = frame_folio(frame);

	if (folio_is_large(folio)) {
		folio_put_n(phys, folio, rmap_remove(frame, nr, vma));
	} else if (rmap_remove_put(frame, vma)) {
		folio_free(phys, folio);
	}
}

/* Fills the folio from the pages, which are dropped.  How many were not there. */
static u32 move_pages(const struct collapse_work *work, const struct folio *folio)
{
	struct quire *q = work->vma->mm->q;
	char *to = folio_bytes(&q->phys, folio);
	u32 nr_none = 0;

	for (u32 i = 0, run; i < QUIRE_TABLE_ENTRIES; i += run) {
		entry_t e = entry_load(&work->entries[i]);
		char *bytes = to + ((u64)i << PAGE_SHIFT);
		struct frame *frame;

		run = 1;
		if (entry_is_none(e) || entry_is_special(e)) {
			mem_zero(bytes, PAGE_SIZE);
			nr_none++;
			continue;
		}
		frame = pfn_frame(&q->phys, entry_pfn(e));
		run = entry_run(&work->entries[i], QUIRE_TABLE_ENTRIES - i, e, frame);
		mem_copy(bytes, frame_bytes(&q->phys, frame), (u64)run << PAGE_SHIFT);
		COST_ADD(bytes_copied, (u64)run << PAGE_SHIFT);
		collapse_drop_run(work->vma, frame, run);
	}
	return nr_none;
}

static void replace_pages(struct collapse_work *work, struct folio *folio)
{
	struct vma *vma = work->vma;
	u32 nr_none = move_pages(work, folio);

	rmap_add_new_anon_leaf(folio, vma, work->addr);
	install_leaf(work, anon_entry(vma, vma->mm->q, folio));
	mm_rss_add(vma->mm, RSS_ANON, nr_none);
}

/* The entries say of the folio what one can say. */
static void join_entries(struct collapse_work *work, struct folio *folio, u64 walker_bits)
{
	entry_t leaf = anon_entry(work->vma, work->vma->mm->q, folio);

	rmap_join_leaf(folio, work->vma);
	install_leaf(work, entry_with(entry_without(leaf, ENTRY_WALKER_BITS), walker_bits));
}

/* Steps 1 to 4.  Locks as collapse_range, and the anon_vma's. */
static enum collapse collapse_locked(struct collapse_work *work, const struct collapse_limits *limits,
				     struct folio **new)
{
	struct quire *q = work->vma->mm->q;
	enum collapse answer = COLLAPSE_OK;
	struct folio *whole;
	u64 bits;

	collapse_detach_table(work);
	whole = whole_folio(q, work->entries, &bits);
	if (whole != NULL) {
		join_entries(work, whole, bits);
		return COLLAPSE_OK;
	}
	if (*new == NULL) {
		answer = COLLAPSE_BUSY;
	} else {
		struct look look = look_at_entries(q, work->entries);

		answer = judge(&look, limits);
	}
	if (answer != COLLAPSE_OK) {
		collapse_put_table_back(work);
		return answer;
	}
	replace_pages(work, *new);
	*new = NULL;
	return COLLAPSE_OK;
}

enum collapse collapse_range(struct mm *mm, u64 addr, const struct collapse_limits *limits,
			     struct folio **folio)
{
	struct collapse_work work = { .addr = addr, .vma = vma_at(mm, addr) };
	struct anon_vma *root;
	enum collapse answer;
	entry_t e;

	if (work.vma == NULL || !vma_is_anonymous(work.vma) || !vma_may_collapse(work.vma, addr))
		return COLLAPSE_NOTHING;
	work.slot = pgtable_find(&mm->pt, addr, 1, &work.pmd_table);
	if (work.slot == NULL)
		return COLLAPSE_ABSENT;
	e = entry_load(work.slot);
	if (entry_is_leaf(e))
		return COLLAPSE_ALREADY;
	if (entry_is_none(e) || work.vma->anon_vma == NULL)
		return COLLAPSE_NOTHING;
	root = work.vma->anon_vma->root;
	rwsem_write_lock(&root->lock);
	answer = collapse_locked(&work, limits, folio);
	rwsem_write_unlock(&root->lock);
	return answer;
}

/* ---- MADV_COLLAPSE -------------------------------------------------------------- */

/* The limits are khugepaged's: who asks for it gets it. */
static const struct collapse_limits no_limits = {
	.max_none = QUIRE_TABLE_ENTRIES, .max_shared = QUIRE_TABLE_ENTRIES,
};

static int collapse_errno(enum collapse answer)
{
	switch (answer) {
	case COLLAPSE_OK:
	case COLLAPSE_IN_PLACE:
	case COLLAPSE_ALREADY:
		return 0;
	case COLLAPSE_BUSY:
		return -QUIRE_EAGAIN;
	case COLLAPSE_NO_MEMORY:
		return -QUIRE_ENOMEM;
	default:
		return -QUIRE_EINVAL;
	}
}

/* Memory is had without the lock, for which faults wait. */
static enum collapse collapse_one(struct mm *mm, u64 addr)
	NO_LOCK_ANALYSIS /* drops the caller's read lock and takes it again */
{
	struct vma *vma = vma_at(mm, addr);
	enum collapse answer = COLLAPSE_NOTHING;
	struct folio *folio = NULL;

	if (vma != NULL && vma_may_collapse(vma, addr)) {
		if (!vma_is_anonymous(vma))
			return collapse_file_one(vma, addr);
		answer = collapse_look(vma, addr, &no_limits);
	}
	if (answer != COLLAPSE_OK && answer != COLLAPSE_IN_PLACE)
		return answer;
	rwsem_read_unlock(&mm->mmap_lock);
	if (answer == COLLAPSE_OK)
		folio = collapse_alloc(mm->q);
	rwsem_write_lock(&mm->mmap_lock);
	if (answer == COLLAPSE_OK && folio == NULL)
		answer = COLLAPSE_NO_MEMORY;
	else
		answer = collapse_range(mm, addr, &no_limits, &folio);
	rwsem_downgrade(&mm->mmap_lock);
	if (folio != NULL)
		folio_put(&mm->q->phys, folio);
	return answer;
}

/* Ranges behind one that was refused for now, or that nothing was ever near, get
 * their turn; what else is refused ends it (as on Linux). */
int collapse_advised(struct vma *vma, u64 start, u64 end)
{
	u64 first = align_up(start, PMD_SIZE), last = align_down(end, PMD_SIZE);
	struct mm *mm = vma->mm;
	int ret = 0;

	/* A part within one range is wrong, one that touches two is only empty. */
	if (!vma_has_collapsible(vma) || first > last ||
	    (vma_is_anonymous(vma) && atomic_load(&vma->anon_vma) == NULL))
		return -QUIRE_EINVAL;
	for (u64 addr = first; addr < last; addr += PMD_SIZE) {
		enum collapse answer = collapse_one(mm, addr);
		int err = collapse_errno(answer);

		if (err)
			ret = err;
		if (err && answer != COLLAPSE_BUSY && answer != COLLAPSE_ABSENT)
			break;
	}
	return ret;
}
