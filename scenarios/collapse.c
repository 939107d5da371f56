/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PMD range becomes one folio while everything else happens to it.  Whatever the
 * order, the program sees the bytes it stored, pins stay with their pages, and
 * a relative that shares the pages sees nothing of it.
 */
#include "scenarios/world.h"

enum { NR = QUIRE_TABLE_ENTRIES };

static uint64_t page(unsigned i)
{
	return BASE + i * PAGE;
}

/* Page i holds i + 1. */
static int pages_setup(struct world *w, unsigned step)
{
	int ret = world_begin_roomy(w);

	if (!ret)
		ret = map(w, BASE, NR);
	return ret ? ret : put_pages(w->mm, NR, step, 1);
}

static int full_setup(void *state)
{
	return pages_setup(state, 1);
}

static int holes_setup(void *state)
{
	return pages_setup(state, 2);
}

static int child_setup(void *state)
{
	struct world *w = state;
	int ret = full_setup(state);

	return ret ? ret : quire_mm_fork(w->mm, &w->children[0]);
}

static int collapse(struct quire_mm *mm)
{
	return quire_madvise(mm, BASE, QUIRE_PMD_SIZE, QUIRE_MADV_COLLAPSE);
}

/* A fault, or whoever splits, holds a page for a moment. */
static void collapse_or_try_again(struct quire_mm *mm)
{
	int ret = collapse(mm);

	scenario_expect(ret == 0 || ret == -QUIRE_EAGAIN);
}

static bool is_leaf(struct quire_mm *handle)
{
	struct mm *mm = (struct mm *)(void *)handle;
	struct table *table;
	entry_t *slot;
	bool leaf;

	rwsem_read_lock(&mm->mmap_lock);
	slot = pgtable_find(&mm->pt, BASE, 1, &table);
	leaf = slot && entry_is_leaf(entry_load(slot));
	rwsem_read_unlock(&mm->mmap_lock);
	return leaf;
}

/* ---- stores ------------------------------------------------------------------------ */

static void collapse_store_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(collapse(w->mm) == 0);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		scenario_expect(put(w->mm, page(body) + i, (uint8_t)(10 * body + i)));
		scenario_expect(must_get(w->mm, page(body) + i) == 10 * body + i);
	}
}

static void collapse_store_finish(void *state)
{
	struct world *w = state;

	scenario_expect(is_leaf(w->mm));
	scenario_expect(must_get(w->mm, page(0)) == 1);
	for (unsigned body = 1; body < 3; body++)
		for (unsigned i = 0; i < 2; i++)
			scenario_expect(must_get(w->mm, page(body) + i) == 10 * body + i);
	world_end(w);
}

WORLD_SCENARIO(collapse_store, "collapse-store",
	       "two threads store to a range while it is collapsed: no store is lost", 3,
	       full_setup);

/* ---- faults ---------------------------------------------------------------------------- */

static void collapse_fault_body(void *state, unsigned body)
{
	struct world *w = state;
	int ret;

	switch (body) {
	case 0:
		ret = collapse(w->mm);
		scenario_expect(ret == 0 || ret == -QUIRE_ENOMEM);
		break;
	case 1:
		/* A hole.  When memory failed it stays one. */
		w->flag = put(w->mm, page(1), 9);
		break;
	default:
		scenario_expect(must_get(w->mm, page(2)) == 3);
		if (get(w->mm, page(3), &w->seen[0]))
			scenario_expect(w->seen[0] == 0);
		break;
	}
}

static void collapse_fault_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, page(0)) == 1);
	scenario_expect(must_get(w->mm, page(1)) == (w->flag ? 9 : 0));
	scenario_expect(must_get(w->mm, page(2)) == 3);
	scenario_expect(must_get(w->mm, page(3)) == 0);
	world_end(w);
}

WORLD_SCENARIO(collapse_fault, "collapse-fault",
	       "holes of a range are written and read while it is collapsed", 3, holes_setup,
	       .fail_each = true);

/* ---- zaps and unmaps ------------------------------------------------------------------------ */

static void collapse_dontneed_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		scenario_expect(collapse(w->mm) == 0);
		break;
	case 1:
		drop(w->mm, 1, 1);
		scenario_expect(must_get(w->mm, page(1)) == 0);
		scenario_expect(put(w->mm, page(1), 7));
		break;
	default:
		scenario_expect(must_get(w->mm, page(2)) == 3);
		scenario_expect(put(w->mm, page(2), 8));
		break;
	}
}

static void collapse_dontneed_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, page(0)) == 1);
	scenario_expect(must_get(w->mm, page(1)) == 7);
	scenario_expect(must_get(w->mm, page(2)) == 8);
	world_end(w);
}

WORLD_SCENARIO(collapse_dontneed, "collapse-dontneed",
	       "a page is given back, and a leaf perhaps split, while its range is collapsed",
	       3, full_setup);

static void collapse_munmap_body(void *state, unsigned body)
{
	struct world *w = state;
	uint8_t byte;
	int ret;

	switch (body) {
	case 0:
		ret = collapse(w->mm);
		scenario_expect(ret == 0 || ret == -QUIRE_EINVAL || ret == -QUIRE_ENOMEM);
		break;
	case 1:
		scenario_expect(quire_munmap(w->mm, page(1), PAGE) == 0);
		scenario_expect(!get(w->mm, page(1), &byte));
		break;
	default:
		scenario_expect(must_get(w->mm, page(0)) == 1);
		break;
	}
}

static void collapse_munmap_finish(void *state)
{
	struct world *w = state;
	uint8_t byte;

	scenario_expect(!is_leaf(w->mm));
	scenario_expect(must_get(w->mm, page(0)) == 1);
	scenario_expect(!get(w->mm, page(1), &byte));
	scenario_expect(must_get(w->mm, page(2)) == 3);
	world_end(w);
}

WORLD_SCENARIO(collapse_munmap, "collapse-munmap",
	       "a page of a range is unmapped while it is collapsed", 3, full_setup);

/*
 * Check, then lock: what was seen before the lock was taken may be different now
 * (the shape of khugepaged's race with userfaultfd write-protection).
 */
static void collapse_advice_body(void *state, unsigned body)
{
	struct world *w = state;
	int ret;

	if (body == 0) {
		ret = collapse(w->mm);
		scenario_expect(ret == 0 || ret == -QUIRE_EINVAL);
		return;
	}
	scenario_expect(quire_madvise(w->mm, BASE, QUIRE_PMD_SIZE, QUIRE_MADV_NOHUGEPAGE) == 0);
	w->flag = is_leaf(w->mm);
}

static void collapse_advice_finish(void *state)
{
	struct world *w = state;

	if (is_leaf(w->mm) != (w->flag != 0))
		scenario_fail("collapsed after it was forbidden");
	world_end(w);
}

WORLD_SCENARIO(collapse_advice, "collapse-advice",
	       "MADV_NOHUGEPAGE comes while a range is collapsed: not after it", 2, full_setup);

/* ---- pins --------------------------------------------------------------------------------------- */

static void collapse_pin_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		collapse_or_try_again(w->mm);
		return;
	}
	pin_store_write(w->mm, page(1), 20);
}

static void collapse_pin_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, page(0)) == 1);
	scenario_expect(must_get(w->mm, page(1)) == 21);
	world_end(w);
}

WORLD_SCENARIO(collapse_pin, "collapse-pin",
	       "a page is pinned and written while its range is collapsed: the pin stays", 2,
	       full_setup);

/* ---- relatives ------------------------------------------------------------------------------------ */

static void collapse_cow_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_mm *child = w->children[0];

	switch (body) {
	case 0:
		collapse_or_try_again(w->mm);
		break;
	case 1:
		scenario_expect(must_get(child, page(1)) == 2);
		scenario_expect(put(child, page(0), 10));
		scenario_expect(must_get(child, page(0)) == 10);
		break;
	default:
		scenario_expect(put(w->mm, page(1), 20));
		scenario_expect(must_get(w->mm, page(0)) == 1);
		break;
	}
}

static void collapse_cow_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, page(0)) == 1);
	scenario_expect(must_get(w->mm, page(1)) == 20);
	scenario_expect(must_get(w->children[0], page(0)) == 10);
	scenario_expect(must_get(w->children[0], page(1)) == 2);
	world_end(w);
}

WORLD_SCENARIO(collapse_cow, "collapse-cow",
	       "a child and a thread write shared pages while the parent's are collapsed", 3,
	       child_setup);

static void collapse_fork_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		collapse_or_try_again(w->mm);
		break;
	case 1:
		scenario_expect(quire_mm_fork(w->mm, &w->children[0]) == 0);
		break;
	default:
		scenario_expect(put(w->mm, page(3), 30));
		break;
	}
}

static void collapse_fork_finish(void *state)
{
	struct world *w = state;
	uint8_t seen = must_get(w->children[0], page(3));

	scenario_expect(seen == 4 || seen == 30);
	scenario_expect(must_get(w->mm, page(3)) == 30);
	scenario_expect(put(w->mm, page(0), 9));
	scenario_expect(must_get(w->children[0], page(0)) == 1);
	world_end(w);
}

WORLD_SCENARIO(collapse_fork, "collapse-fork",
	       "an address space forks while a range of it is collapsed", 3, full_setup);

/* Both collapse what they share; a grandchild's walk would find either. */
static void collapse_both_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 2) {
		scenario_expect(put(w->children[0], page(2), 12));
		return;
	}
	collapse_or_try_again(body == 0 ? w->mm : w->children[0]);
}

static void collapse_both_finish(void *state)
{
	struct world *w = state;

	expect_filled(w->mm, 0, NR);
	scenario_expect(must_get(w->children[0], page(2)) == 12);
	world_end(w);
}

WORLD_SCENARIO(collapse_both, "collapse-both", "parent and child collapse the pages they share",
	       3, child_setup);

static void collapse_twice_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body < 2)
		scenario_expect(collapse(w->mm) == 0);
	else
		scenario_expect(put(w->mm, page(3), 40));
}

static void collapse_twice_finish(void *state)
{
	struct world *w = state;

	scenario_expect(is_leaf(w->mm));
	scenario_expect(must_get(w->mm, page(2)) == 3);
	scenario_expect(must_get(w->mm, page(3)) == 40);
	world_end(w);
}

WORLD_SCENARIO(collapse_twice, "collapse-twice", "two threads collapse one range", 3,
	       full_setup);

/* ---- splits of folios --------------------------------------------------------------------------- */

/* One folio, mapped by an entry for each page, the last of which may be gone. */
static int folio_setup(struct world *w, bool whole)
{
	int ret = world_begin_roomy(w);

	if (!ret)
		ret = map_folio(w, QUIRE_PMD_ORDER);
	if (!ret && whole)
		ret = take_leaf_apart(w->mm);
	if (!ret && !whole)
		drop(w->mm, NR - 1, 1);
	return ret;
}

static int whole_folio_setup(void *state)
{
	return folio_setup(state, true);
}

static int part_folio_setup(void *state)
{
	return folio_setup(state, false);
}

static void collapse_split_body(void *state, unsigned body)
{
	struct world *w = state;
	uint64_t nr;

	switch (body) {
	case 0:
		collapse_or_try_again(w->mm);
		break;
	case 1:
		scenario_expect(quire_split_folios(w->mm, BASE, QUIRE_PMD_SIZE, 0, &nr) == 0);
		break;
	default:
		scenario_expect(put(w->mm, page(1), 20));
		scenario_expect(must_get(w->mm, page(0)) == 1);
		break;
	}
}

static void collapse_split_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, page(0)) == 1);
	scenario_expect(must_get(w->mm, page(1)) == 20);
	scenario_expect(must_get(w->mm, page(NR - 1)) == (uint8_t)NR);
	world_end(w);
}

WORLD_SCENARIO(collapse_split, "collapse-split",
	       "a folio is split while its entries become a leaf again", 3, whole_folio_setup);

static void collapse_deferred_body(void *state, unsigned body)
{
	struct world *w = state;
	uint64_t nr;

	switch (body) {
	case 0:
		collapse_or_try_again(w->mm);
		break;
	case 1:
		scenario_expect(quire_split_deferred(w->q, 8, &nr) == 0);
		break;
	default:
		scenario_expect(put(w->mm, page(1), 20));
		break;
	}
}

static void collapse_deferred_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, page(0)) == 1);
	scenario_expect(must_get(w->mm, page(1)) == 20);
	scenario_expect(must_get(w->mm, page(NR - 1)) == 0);
	world_end(w);
}

WORLD_SCENARIO(collapse_deferred, "collapse-deferred",
	       "the queue is emptied while what is left of a folio on it is collapsed", 3,
	       part_folio_setup);

/* ---- khugepaged -------------------------------------------------------------------------------------- */

static int khugepaged_setup(void *state)
{
	struct world *w = state;
	int ret = full_setup(state);

	if (!ret)
		ret = quire_mm_fork(w->mm, &w->children[0]);
	/* Some pages are the child's own: not too many are shared. */
	if (!ret)
		ret = put_pages(w->children[0], NR - 1, 1, 11);
	return ret ? ret : quire_set_anon_folios(w->q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS);
}

static int scan(struct world *w)
{
	return quire_khugepaged_scan(w->q, 64 * NR, NULL);
}

static void khugepaged_exit_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		scenario_expect(scan(w) == 0);
		break;
	case 1:
		scenario_expect(must_get(w->children[0], page(0)) == 11);
		exit_child(w, 0);
		break;
	default:
		scenario_expect(put(w->mm, page(1), 50));
		scenario_expect(must_get(w->mm, page(0)) == 1);
		break;
	}
}

static void khugepaged_exit_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, page(1)) == 50);
	scenario_expect(must_get(w->mm, page(3)) == 4);
	world_end(w);
}

WORLD_SCENARIO(khugepaged_exit, "khugepaged-exit",
	       "khugepaged is at work while one of its address spaces exits", 3,
	       khugepaged_setup);

static void khugepaged_fork_body(void *state, unsigned body)
{
	struct world *w = state;
	int ret;

	switch (body) {
	case 0:
		ret = scan(w);
		scenario_expect(ret == 0 || ret == -QUIRE_EBUSY);
		break;
	case 1:
		ret = quire_mm_fork(w->mm, &w->children[1]);
		scenario_expect(ret == 0 || ret == -QUIRE_ENOMEM);
		break;
	default:
		ret = scan(w);
		scenario_expect(ret == 0 || ret == -QUIRE_EBUSY);
		break;
	}
}

static void khugepaged_fork_finish(void *state)
{
	struct world *w = state;

	expect_filled(w->mm, 0, NR);
	if (w->children[1])
		expect_filled(w->children[1], 0, NR);
	world_end(w);
}

WORLD_SCENARIO(khugepaged_fork, "khugepaged-fork",
	       "two CPUs are khugepaged while an address space forks, or fails to", 3,
	       khugepaged_setup, .fail_each = true);

static void khugepaged_munmap_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(scan(w) == 0);
	} else if (body == 1) {
		scenario_expect(quire_munmap(w->mm, page(2), 2 * PAGE) == 0);
		scenario_expect(map(w, page(2), 2) == 0);
	} else {
		scenario_expect(put(w->children[0], page(3), 60));
		scenario_expect(must_get(w->mm, page(1)) == 2);
	}
}

static void khugepaged_munmap_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, page(1)) == 2);
	scenario_expect(must_get(w->mm, page(2)) == 0);
	scenario_expect(must_get(w->mm, page(3)) == 0);
	scenario_expect(must_get(w->children[0], page(3)) == 60);
	world_end(w);
}

WORLD_SCENARIO(khugepaged_munmap, "khugepaged-munmap",
	       "khugepaged is at work while pages are unmapped and new ones mapped", 3,
	       khugepaged_setup);

static int advised_setup(void *state)
{
	struct world *w = state;
	int ret = full_setup(state);

	return ret ? ret : quire_madvise(w->mm, BASE, QUIRE_PMD_SIZE, QUIRE_MADV_HUGEPAGE);
}

/* New memory at the same place, for which nobody asked for large folios. */
static void khugepaged_remap_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(scan(w) == 0);
		return;
	}
	scenario_expect(map(w, BASE, NR) == 0);
	for (unsigned i = 0; i < 2; i++)
		scenario_expect(put(w->mm, page(i), 70));
}

static void khugepaged_remap_finish(void *state)
{
	struct world *w = state;

	scenario_expect(!is_leaf(w->mm));
	scenario_expect(must_get(w->mm, page(1)) == 70);
	world_end(w);
}

WORLD_SCENARIO(khugepaged_remap, "khugepaged-remap",
	       "khugepaged is at work while memory it may collapse becomes such as it may not", 2,
	       advised_setup);
