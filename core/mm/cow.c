/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copy on write: a write to a present entry that does not allow it.
 *
 * When may an anonymous page be written where it is?  When nobody else can see
 * it.  The default asks two things (decision cow-reuse, refcount+exclusive):
 *   - the entry is marked exclusive: fork clears the mark, and copies for the
 *     child what may be pinned instead;
 *   - or all references to the folio are mappings of ours.  Then nobody can gain
 *     another.  For a small folio, under the lock of the table that maps it, that is
 *     one reference; for a large one it takes a proof: see reuse.c.
 * Asking for the mapcount instead (alternative `mapcount`) forgets whoever
 * holds the page without mapping it, such as a pipe filled by vmsplice: the
 * child reads what the parent writes later (CVE-2020-29374).  It is kept as a
 * known-bad alternative.
 *
 * The copy is made with a reference and without the lock.  The new entry is
 * stored after the old one was taken and flushed, so that no CPU reads the old
 * page after another wrote the new one.
 */
#include "mm/pages.h"
#include "mm/reuse.h"

/* ---- which anon_vma ---------------------------------------------------------- */

/* Flags that mprotect changes: they do not keep two VMAs apart for good. */
static bool could_be_one_vma(const struct vma *low, const struct vma *high)
{
	return low->end == high->start && low->file == high->file &&
	       ((low->flags ^ high->flags) & ~(u32)VMA_ACCESS) == 0 &&
	       high->pgoff == low->pgoff + vma_nr_pages(low);
}

NOINLINE int vma_prepare_anon(struct vma *vma)
{
	struct mm *mm = vma->mm;
	struct maple_cursor cur = maple_cursor(&mm->vmas, vma->start, vma->start);
	struct anon_vma *share = NULL;
	struct vma *next, *prev;

	maple_walk(&cur);
	next = maple_next(&cur, TASK_SIZE);
	if (next != NULL && could_be_one_vma(vma, next))
		share = vma_shareable_anon_vma(next);
	if (share == NULL) {
		maple_set_range(&cur, vma->start, vma->start);
		maple_walk(&cur);
		prev = maple_prev(&cur, 0);
		if (prev != NULL && could_be_one_vma(prev, vma))
			share = vma_shareable_anon_vma(prev);
	}
	return anon_vma_prepare(&mm->q->rmap, vma, share);
}

int fault_prepare_anon(struct fault *fault)
{
	/* Pairs with the release by which anon_vma_prepare publishes it. */
	if (likely(atomic_load_acquire(&fault->vma->anon_vma) != NULL))
		return 0;
	return vma_prepare_anon(fault->vma);
}

/* ---- reuse -------------------------------------------------------------------- */

static struct neighbours neighbours_of(const struct fault *fault, const struct folio *folio)
{
	u64 page = entry_pfn(fault->seen).v - folio_pfn(&fault->mm->q->phys, folio).v;
	u32 below = pgtable_index(fault->addr, 0);
	u32 before = (u32)u64_min(page, below);
	u32 from_here = (u32)u64_min(folio_nr_pages(folio) - page, QUIRE_TABLE_ENTRIES - below);

	return (struct neighbours){
		.slots = fault->slot - before,
		.nr = before + from_here,
		.first_pfn = entry_pfn(fault->seen).v - before,
		.first_addr = fault->addr - ((u64)before << PAGE_SHIFT),
	};
}

/* What of the folio nobody else sees.  Table lock held. */
static enum reuse may_reuse(const struct fault *fault, struct folio *folio)
{
	const struct quire *q = fault->mm->q;
	struct neighbours n;

	if (entry_is_exclusive(fault->seen))
		return REUSE_PAGE;
	if (DECIDED(q, cow_reuse, mapcount))
		return folio_is_exclusive(folio, fault->vma) ? REUSE_MAPPED : REUSE_NOTHING;
	if (!folio_is_large(folio))
		/* ACQUIRE as in reuse.c: who copied the page has read it. */
		return atomic_load_acquire(&folio->refs.value) == 1 ? REUSE_WHOLE :
								       REUSE_NOTHING;
	n = neighbours_of(fault, folio);
	return reuse_proof(q->config.decisions.chosen[QUIRE_DECISION_reuse_proof], folio,
			   fault->vma, &n);
}

/*
 * What the other entries of a folio that is ours alone are given: more than before, so
 * a TLB that still says less faults and looks again, and nothing is flushed.  Where
 * each page is to have a write fault of its own, the mark is given all the same: the
 * next fault need not prove again what this one has.
 */
static u64 reuse_bits(const struct fault *fault)
{
	if (fault->unshare || !(fault->vma->flags & VMA_WRITE) ||
	    !DECIDED(fault->mm->q, reuse_scope, folio))
		return ENTRY_EXCLUSIVE;
	return ENTRY_EXCLUSIVE | QUIRE_ENTRY_WRITE;
}

/* The pages around it are as much ours as the one written.  Returns how many
 * changed. */
static u32 reuse_neighbours(const struct fault *fault, const struct folio *folio)
{
	struct neighbours n = neighbours_of(fault, folio);
	u64 bits = reuse_bits(fault);
	u32 nr = 0;

	for (u32 i = 0; i < n.nr; i++) {
		u64 addr = n.first_addr + ((u64)i << PAGE_SHIFT);
		entry_t e = entry_load(&n.slots[i]);

		if (addr >= fault->vma->start && addr < fault->vma->end &&
		    maps_pfn(e, n.first_pfn + i) && (e.v & bits) != bits) {
			entry_fetch_set(&n.slots[i], bits);
			nr++;
		}
	}
	return nr;
}

/* What of the folio fits the table lies in the VMA. */
static bool lies_in_vma(const struct fault *fault, const struct folio *folio)
{
	struct neighbours n = neighbours_of(fault, folio);

	return n.first_addr >= fault->vma->start &&
	       n.first_addr + ((u64)n.nr << PAGE_SHIFT) <= fault->vma->end;
}

/*
 * A folio that is the VMA's alone is found through its own anon_vma from now on.
 * Pre: all its mappings are in the table whose lock is held; others, of another
 * VMA, would not be found any more.
 */
static void move_to_own_anon_vma(const struct fault *fault, struct folio *folio)
{
	struct vma *vma = fault->vma;

	if (atomic_load(&folio->mapping) == anon_mapping(vma->anon_vma) ||
	    (folio_is_large(folio) && !lies_in_vma(fault, folio)))
		return;
	if (folio_trylock(folio)) {
		rmap_move_anon(folio, vma);
		folio_unlock(folio);
	}
}

/* The page is ours alone: says so, for as much of the folio as `reuse` and the
 * decision reuse-scope allow. */
static void reuse_page(struct fault *fault, struct folio *folio, enum reuse reuse)
{
	u32 nr = 1;

	entry_fetch_set(fault->slot,
			fault->unshare ? ENTRY_EXCLUSIVE :
					 ENTRY_EXCLUSIVE | QUIRE_ENTRY_WRITE |
						 QUIRE_ENTRY_DIRTY | QUIRE_ENTRY_ACCESSED);
	if (reuse == REUSE_WHOLE)
		move_to_own_anon_vma(fault, folio);
	if (reuse == REUSE_PAGE || !folio_is_large(folio))
		return;
	nr += reuse_neighbours(fault, folio);
	rmap_score_reused(&fault->mm->q->rmap, nr);
}

/* ---- copy ---------------------------------------------------------------------- */

/* The entry for the copy: writable unless it is made for a reader's pin. */
static entry_t copy_entry(const struct fault *fault, const struct folio *copy)
{
	entry_t e = anon_entry(fault->vma, fault->mm->q, copy);

	return fault->unshare ? entry_without(e, QUIRE_ENTRY_WRITE) : e;
}

/* Puts the copy where the old page was.  Table lock held.  Returns the references
 * that the old mapping leaves. */
static u32 replace_page(struct fault *fault, struct frame *old, struct folio *copy)
{
	entry_take(fault->slot);
	tlb_flush_range(&fault->mm->pt, fault->addr, fault->addr + PAGE_SIZE);
	rmap_add_new_anon(copy, fault->vma, fault->addr);
	entry_store(fault->slot, copy_entry(fault, copy));
	return old != NULL ? rmap_remove(old, 1, fault->vma) : 0;
}

/*
 * `old` is the page seen, with a reference of ours, or NULL for the zero page.
 * Consumes the reference.
 */
static int copy_page(struct fault *fault, struct frame *old)
{
	struct mm *mm = fault->mm;
	struct phys *phys = &mm->q->phys;
	struct folio *old_folio = old != NULL ? frame_folio(old) : NULL;
	bool was_anon = old != NULL && folio_is_anon(old_folio);
	struct folio *copy = NULL;
	u32 nr_refs = 1;
	int err = -QUIRE_ENOMEM;

	if (fault_prepare_anon(fault))
		goto out;
	copy = anon_folio_alloc(mm->q, old != NULL ? 0 : ALLOC_ZERO);
	if (copy == NULL)
		goto out;
	if (old != NULL) {
		mem_copy(folio_bytes(phys, copy), frame_bytes(phys, old), PAGE_SIZE);
		COST_ADD(bytes_copied, PAGE_SIZE);
	}
	err = 0;
	table_lock(fault->table);
	if (likely(entry_same(entry_load(fault->slot), fault->seen))) {
		nr_refs += replace_page(fault, old, copy);
		copy = NULL;
	}
	table_unlock(fault->table);
	if (copy != NULL)
		goto out;
	if (!was_anon) {
		mm_rss_add(mm, RSS_ANON, 1);
		if (old != NULL)
			mm_rss_add(mm, mapping_rss_kind(fault->vma->mapping), -1);
	}
	if (old != NULL) {
		atomic_fetch_add(&mm->cow_copies, 1);
		COST_ADD(cow_copies, 1);
	}
out:
	if (copy != NULL)
		folio_put(phys, copy);
	if (old != NULL)
		folio_put_n(phys, old_folio, nr_refs);
	return err;
}

/* A private mapping: our own page, the zero page, or a file's. */
static int fault_private(struct fault *fault)
{
	enum reuse reuse = REUSE_NOTHING;
	struct frame *frame;
	struct folio *folio;

	if (entry_is_special(fault->seen))
		return copy_page(fault, NULL);
	table_lock(fault->table);
	if (unlikely(!entry_same(entry_load(fault->slot), fault->seen))) {
		table_unlock(fault->table);
		return 0;
	}
	frame = entry_frame(fault->mm, fault->seen);
	folio = frame_folio(frame);
	if (folio_is_anon(folio))
		reuse = may_reuse(fault, folio);
	if (reuse != REUSE_NOTHING) {
		reuse_page(fault, folio, reuse);
		table_unlock(fault->table);
		atomic_fetch_add(&fault->mm->cow_reuses, 1);
		COST_ADD(cow_reuses, 1);
		return 0;
	}
	folio_get(folio);
	table_unlock(fault->table);
	return copy_page(fault, frame);
}

/* ---- shared mappings ------------------------------------------------------------- */

static bool allow_write(struct fault *fault)
{
	bool same = entry_same(entry_load(fault->slot), fault->seen);

	/* More is allowed than before: nothing is flushed. */
	if (same)
		entry_fetch_set(fault->slot, QUIRE_ENTRY_WRITE | QUIRE_ENTRY_DIRTY |
						     QUIRE_ENTRY_ACCESSED);
	return same;
}

/* The file's page gets written through this mapping: it is told first. */
static int fault_shared(struct fault *fault)
{
	struct phys *phys = &fault->mm->q->phys;
	struct mapping *mapping = fault->vma->mapping;
	struct folio *folio;

	table_lock(fault->table);
	if (!vma_wants_write_notice(fault->vma)) {
		allow_write(fault);
		table_unlock(fault->table);
		return 0;
	}
	if (!entry_same(entry_load(fault->slot), fault->seen)) {
		table_unlock(fault->table);
		return 0;
	}
	folio = frame_folio(entry_frame(fault->mm, fault->seen));
	folio_get(folio);
	table_unlock(fault->table);

	/* Writeback cleans entries under the folio lock: it comes before us and
	 * sees no writable entry, or after us and finds this one. */
	folio_lock(folio);
	if (folio->mapping == mapping) {
		mapping_dirty_folio(mapping, folio);
		table_lock(fault->table);
		allow_write(fault);
		table_unlock(fault->table);
	}
	folio_unlock(folio);
	folio_put(phys, folio);
	return 0;
}

int fault_write_protected(struct fault *fault)
{
	if (vma_is_shared(fault->vma))
		return fault->unshare ? 0 : fault_shared(fault);
	return fault_private(fault);
}
