/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * khugepaged: goes round the address spaces and collapses what may be collapsed.
 *
 * It is a function, not a thread: who embeds the core calls it from a thread of
 * its own, as often as it likes.
 *
 * Where it is: quire.scan_mm and scan_addr.  How it keeps hold of an address
 * space without keeping it alive:
 *   - quire.mms holds those that are whole; exit and a failed fork never show
 *     theirs there (mm_withdraw comes first, mm_publish last);
 *   - one is taken by a trylock of its mmap lock under mms_lock.  Exit takes
 *     that lock for writing before it unmaps, so it waits for us: for one PMD
 *     range and the way to it, after which the lock is let go each time;
 *   - the lock is let go under mms_lock again: mm_free takes that one last, so
 *     the lock we release cannot be freed while we release it;
 *   - mm_withdraw moves the place on when it names what goes.
 * No reference is taken, so khugepaged is never the last user of anything.
 *
 * The lock is had for writing by a second trylock.  In between, still under
 * mms_lock, the address space may have exited, but not been freed: it is not on
 * the list any more then.
 */
#include "mm/api.h"
#include "thp/collapse.h"

struct scan {
	struct quire *q;
	struct collapse_limits limits;
	u64 pages_left;
	u64 nr_collapsed;
	u32 nr_ends;      /* how often it came to the end of the list */
	struct mm *mm;    /* read-locked, or NULL: not ours any more */
	u64 addr;         /* where to go on in it */
};

static void take_pages(struct scan *scan, u64 nr_pages)
{
	scan->pages_left -= u64_min(nr_pages, scan->pages_left);
}

/* ---- getting hold of address spaces: see above ------------------------------------ */

/* mms_lock held.  Nobody but this scan and exits move it. */
static void next_mm_locked(struct quire *q)
{
	q->scan_mm = mm_next(q->scan_mm);
	q->scan_addr = 0;
}

/* False: the next one is busy, or this is the end of the list. */
static bool begin_mm(struct scan *scan)
	NO_LOCK_ANALYSIS /* locked only when there is one */
{
	struct quire *q = scan->q;

	scan->mm = NULL;
	spin_lock(&q->mms_lock);
	if (q->scan_mm == NULL) {
		q->scan_addr = 0;
		if (++scan->nr_ends < 2 && !list_empty(&q->mms))
			q->scan_mm = list_first(&q->mms, struct mm, link);
	} else if (rwsem_read_trylock(&q->scan_mm->mmap_lock)) {
		scan->mm = q->scan_mm;
		scan->addr = q->scan_addr;
	} else {
		next_mm_locked(q);
	}
	spin_unlock(&q->mms_lock);
	return scan->mm != NULL;
}

/* Where the next scan goes on; mms_lock held. */
static void note_place_locked(const struct scan *scan)
{
	struct quire *q = scan->q;

	if (q->scan_mm != scan->mm)
		return; /* it was withdrawn */
	q->scan_addr = scan->addr;
	if (scan->addr >= TASK_SIZE)
		next_mm_locked(q);
}

static void end_mm(struct scan *scan)
	NO_LOCK_ANALYSIS /* begin_mm */
{
	spin_lock(&scan->q->mms_lock);
	note_place_locked(scan);
	rwsem_read_unlock(&scan->mm->mmap_lock);
	spin_unlock(&scan->q->mms_lock);
}

/* False: it is not ours any more, and may be gone. */
static bool lock_for_writing(struct scan *scan)
	NO_LOCK_ANALYSIS /* begin_mm */
{
	struct mm *mm = scan->mm;
	bool locked;

	spin_lock(&scan->q->mms_lock);
	note_place_locked(scan);
	rwsem_read_unlock(&mm->mmap_lock);
	locked = !list_empty(&mm->link) && rwsem_write_trylock(&mm->mmap_lock);
	if (!locked && scan->q->scan_mm == mm)
		next_mm_locked(scan->q);
	spin_unlock(&scan->q->mms_lock);
	if (!locked)
		scan->mm = NULL;
	return locked;
}

/* ---- one range ---------------------------------------------------------------------- */

static bool is_wanted(const struct vma *vma)
{
	return vma_is_anonymous(vma) && vma_has_collapsible(vma) &&
	       (vma_anon_orders(vma) & BIT(QUIRE_PMD_ORDER)) != 0;
}

/* The next range from scan->addr on that could be one, with its VMA; NULL at the end. */
static struct vma *find_range(struct scan *scan, u64 *ret_addr)
{
	struct mm *mm = scan->mm;
	u64 addr = scan->addr;
	struct vma *vma;

	for (; addr < TASK_SIZE && (vma = vma_find(mm, addr)) != NULL; addr = vma->end) {
		struct span span = { 0 };

		if (!is_wanted(vma))
			continue;
		addr = align_up(u64_max(addr, vma->start), PMD_SIZE);
		if (!pgtable_next_span(&mm->pt, addr, align_down(vma->end, PMD_SIZE), &span))
			continue;
		*ret_addr = align_down(span.addr, PMD_SIZE);
		return vma;
	}
	return NULL;
}

/* scan->mm is read-locked afterwards, or NULL. */
static void collapse_found(struct scan *scan, u64 addr)
	NO_LOCK_ANALYSIS /* begin_mm */
{
	struct folio *folio = collapse_alloc(scan->q);
	enum collapse answer;
	struct vma *vma;

	if (folio == NULL)
		return; /* others need the memory more */
	if (lock_for_writing(scan)) {
		/* It may be another VMA's place now. */
		vma = vma_at(scan->mm, addr);
		if (vma != NULL && is_wanted(vma)) {
			answer = collapse_range(scan->mm, addr, &scan->limits, &folio);
			scan->nr_collapsed += answer == COLLAPSE_OK;
		}
		rwsem_downgrade(&scan->mm->mmap_lock);
	}
	if (folio != NULL)
		folio_put(&scan->q->phys, folio);
}

/* Goes on in scan->mm by one range. */
static void scan_range(struct scan *scan)
{
	struct vma *vma;
	u64 addr;

	vma = find_range(scan, &addr);
	if (vma == NULL) {
		scan->addr = TASK_SIZE;
		return;
	}
	scan->addr = addr + PMD_SIZE;
	take_pages(scan, QUIRE_TABLE_ENTRIES);
	switch (collapse_look(vma, addr, &scan->limits)) {
	case COLLAPSE_OK:
	case COLLAPSE_IN_PLACE:
		collapse_found(scan, addr);
		break;
	default:
		break;
	}
}

static void scan_step(struct scan *scan)
{
	take_pages(scan, 1);
	if (!begin_mm(scan))
		return;
	scan_range(scan);
	if (scan->mm != NULL)
		end_mm(scan);
}

int quire_khugepaged_scan(struct quire *q, uint64_t nr_pages, uint64_t *ret_nr_collapsed)
{
	struct scan scan = { .q = q, .pages_left = nr_pages };
	int err = api_enter(q);

	if (err)
		return err;
	/* ACQUIRE and the RELEASE below: one scan after the other. */
	if (atomic_xchg(&q->scanning, 1u) != 0)
		return -QUIRE_EBUSY;
	scan.limits = (struct collapse_limits){
		.max_none = q->config.max_ptes_none, .max_shared = q->config.max_ptes_shared,
	};
	/* The rest of a round that began earlier, and one that begins now. */
	while (scan.pages_left > 0 && scan.nr_ends < 2)
		scan_step(&scan);
	atomic_store_release(&q->scanning, 0u);
	if (ret_nr_collapsed != NULL)
		*ret_nr_collapsed = scan.nr_collapsed;
	return 0;
}
