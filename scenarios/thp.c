/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large folios that are split while others use them, and the queue of those
 * that lost pages.  What a program relies on is checked, and at the end every
 * invariant: that no page is lost or freed twice, and that each folio of which
 * nobody maps a page is queued.
 *
 * The folio has four pages.  In the tiny geometry a leaf maps it, elsewhere page
 * entries do; *_pages scenarios take the leaf apart first.
 */
#include "scenarios/world.h"

enum { ORDER = 2, NR = 4 };

static void split_range(struct quire_mm *mm)
{
	uint64_t nr;

	scenario_expect(quire_split_folios(mm, BASE, NR * PAGE, 0, &nr) == 0);
}

static unsigned order_at(struct world *w, uint64_t addr)
{
	struct quire_page_info info;

	scenario_expect(quire_page_info(w->mm, addr, &info) == 0 && info.present);
	return folio_order(frame_folio(pfn_frame(&w->q->phys, pfn_make(info.pfn))));
}

/* A folio whose pages hold 1, 2, 3 and 4. */
static int folio_setup_with(struct world *w, const char *row, const char *alternative)
{
	int ret = world_begin_with(w, row, alternative);

	if (!ret)
		ret = map_folio(w, ORDER);
	scenario_expect(ret || order_at(w, BASE) == ORDER);
	return ret;
}

static int folio_setup(void *state)
{
	return folio_setup_with(state, NULL, NULL);
}

static int pages_setup(void *state)
{
	struct world *w = state;
	int ret = folio_setup(state);

	return ret ? ret : take_leaf_apart(w->mm);
}

static int family_setup(void *state)
{
	struct world *w = state;
	int ret = folio_setup(state);

	return ret ? ret : quire_mm_fork(w->mm, &w->children[0]);
}

static void just_end(void *state)
{
	world_end(state);
}

/* Everything is as it was, in pages that are their owner's alone. */
static void whole_finish(void *state)
{
	struct world *w = state;

	expect_filled(w->mm, 0, NR);
	world_end(w);
}

/* ---- a split beside what a program does ----------------------------------------- */

static void store_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		split_range(w->mm);
		return;
	}
	scenario_expect(must_get(w->mm, BASE) == 1);
	scenario_expect(put(w->mm, BASE + 2 * PAGE, 9));
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 9);
}

static void store_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 9);
	scenario_expect(must_get(w->mm, BASE + 3 * PAGE) == 4);
	scenario_expect(order_at(w, BASE) == 0);
	world_end(w);
}

WORLD_SCENARIO_OF(thp_split_store, "thp-split-store",
		  "a folio that a leaf maps is split while its pages are read and written", 2,
		  folio_setup, store_body, store_finish);
WORLD_SCENARIO_OF(thp_split_store_pages, "thp-split-store-pages",
		  "a folio that page entries map is split while its pages are read and written",
		  2, pages_setup, store_body, store_finish);

/* The splitter is under no lock of the address space that forks. */
static void fork_again_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		split_range(w->children[0]);
		return;
	}
	scenario_expect(quire_mm_fork(w->mm, &w->children[1]) == 0);
	scenario_expect(must_get(w->children[1], BASE + 3 * PAGE) == 4);
}

WORLD_SCENARIO_OF(thp_split_fork_again, "thp-split-fork-again",
		  "a child splits a folio while its parent forks once more", 2, family_setup,
		  fork_again_body, whole_finish);

static void unmap_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		split_range(w->children[0]);
	else
		scenario_expect(quire_munmap(w->mm, BASE + PAGE, 2 * PAGE) == 0);
}

static void unmap_finish(void *state)
{
	struct world *w = state;
	struct quire_mm_stats stats;
	uint8_t byte;

	quire_mm_stats(w->mm, &stats);
	scenario_expect(stats.rss_anon_pages == 2);
	scenario_expect(must_get(w->mm, BASE) == 1 && must_get(w->mm, BASE + 3 * PAGE) == 4);
	scenario_expect(!get(w->mm, BASE + PAGE, &byte));
	world_end(w);
}

WORLD_SCENARIO_OF(thp_split_munmap, "thp-split-munmap",
		  "a folio is split by one while the other that maps it unmaps a part", 2,
		  family_setup, unmap_body, unmap_finish);

/* Dropped, and filled again while entries of the old folio are on their way back. */
static void refill_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		split_range(w->mm);
		return;
	}
	drop(w->mm, 0, NR);
	scenario_expect(put(w->mm, BASE + PAGE, 7));
	scenario_expect(must_get(w->mm, BASE) == 0);
}

static void refill_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 0 && must_get(w->mm, BASE + PAGE) == 7);
	world_end(w);
}

WORLD_SCENARIO_OF(thp_split_refill, "thp-split-refill",
		  "a folio is split while it is dropped and another takes its place", 2,
		  folio_setup, refill_body, refill_finish);

/* The pin keeps the folio whole, or comes after the split. */
static void pin_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_pin *pin;
	uint8_t byte = 9;

	if (body == 0) {
		split_range(w->mm);
		return;
	}
	scenario_expect(quire_pin_pages(w->mm, BASE + PAGE, 1, QUIRE_PIN_WRITE, &pin) == 0);
	scenario_expect(quire_pin_write(pin, 0, &byte, 1) == 0);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 9);
	scenario_expect(put(w->mm, BASE + PAGE, 2));
	scenario_expect(quire_pin_read(pin, 0, &byte, 1) == 0);
	if (byte != 2)
		scenario_fail("the pin does not see what its owner stored");
	quire_unpin(pin);
}

WORLD_SCENARIO_OF(thp_split_pin, "thp-split-pin",
		  "a folio is split while a page of it is pinned", 2, pages_setup, pin_body,
		  whole_finish);

static void split_split_body(void *state, unsigned body)
{
	struct world *w = state;

	split_range(body == 2 ? w->children[0] : w->mm);
}

WORLD_SCENARIO_OF(thp_split_split, "thp-split-split",
		  "parent and child split a folio that both map, one of them twice", 3,
		  family_setup, split_split_body, whole_finish);

static void cow_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		split_range(w->mm);
		return;
	}
	scenario_expect(put(w->children[0], BASE + PAGE, 8));
	scenario_expect(must_get(w->children[0], BASE + PAGE) == 8);
	scenario_expect(must_get(w->children[0], BASE + 2 * PAGE) == 3);
}

WORLD_SCENARIO_OF(thp_split_cow, "thp-split-cow",
		  "a folio is split by one while the other that maps it writes a copy", 2,
		  family_setup, cow_body, whole_finish);

static void exit_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		split_range(w->mm);
		return;
	}
	exit_child(w, 0);
}

WORLD_SCENARIO_OF(thp_split_exit, "thp-split-exit",
		  "a folio is split by one while the other that maps it exits", 2, family_setup,
		  exit_body, whole_finish);

static void move_body(void *state, unsigned body)
{
	struct world *w = state;
	uint64_t to;

	if (body == 0) {
		split_range(w->children[0]);
		return;
	}
	scenario_expect(quire_mremap(w->mm, BASE + PAGE, 2 * PAGE, 2 * PAGE,
				     QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, OTHER, &to) == 0);
	scenario_expect(must_get(w->mm, OTHER) == 2 && must_get(w->mm, OTHER + PAGE) == 3);
}

static void move_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->mm, BASE) == 1 && must_get(w->mm, BASE + 3 * PAGE) == 4);
	scenario_expect(must_get(w->mm, OTHER) == 2 && must_get(w->mm, OTHER + PAGE) == 3);
	world_end(w);
}

WORLD_SCENARIO_OF(thp_split_move, "thp-split-move",
		  "a folio is split by one while the other that maps it moves a part", 2,
		  family_setup, move_body, move_finish);

/* ---- MADV_FREE of a part ----------------------------------------------------------- */

/* Two give up parts that overlap, each of which makes it split; the rest is used. */
static void free_part_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body < 2) {
		scenario_expect(quire_madvise(w->mm, BASE + body * PAGE, 2 * PAGE,
					      QUIRE_MADV_FREE) == 0);
		return;
	}
	scenario_expect(put(w->mm, BASE + 3 * PAGE, 9));
	scenario_expect(must_get(w->mm, BASE + 3 * PAGE) == 9);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 2);
}

/* Nothing drops lazily freed pages yet: all are there, in pages or in one folio if
 * each split met the other. */
static void free_part_finish(void *state)
{
	struct world *w = state;

	expect_filled(w->mm, 0, NR - 1);
	scenario_expect(must_get(w->mm, BASE + 3 * PAGE) == 9);
	world_end(w);
}

WORLD_SCENARIO_OF(thp_free_part, "thp-free-part",
		  "parts of a folio are given up by MADV_FREE while the rest is written", 3,
		  folio_setup, free_part_body, free_part_finish);

/* ---- the deferred queue ------------------------------------------------------------ */

static uint64_t split_deferred(struct world *w)
{
	uint64_t nr;

	scenario_expect(quire_split_deferred(w->q, 16, &nr) == 0);
	return nr;
}

/* One page is gone already: the folio is on the queue. */
static int queued_setup(void *state)
{
	struct world *w = state;
	struct quire_deferred_stats stats;
	int ret = folio_setup(state);

	if (ret)
		return ret;
	drop(w->mm, 0, 1);
	quire_deferred_stats(w->q, &stats);
	scenario_expect(stats.nr_folios == 1);
	return 0;
}

/* Who empties the queue holds no lock of an address space: what its owner does
 * meets his own pages on the move. */
static void queue_fork_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		split_deferred(w);
		return;
	}
	scenario_expect(quire_mm_fork(w->mm, &w->children[0]) == 0);
	scenario_expect(put(w->children[0], BASE + PAGE, 8));
}

static void queue_fork_finish(void *state)
{
	struct world *w = state;

	scenario_expect(must_get(w->children[0], BASE + PAGE) == 8);
	expect_filled(w->mm, 1, NR);
	expect_filled(w->children[0], 2, NR);
	world_end(w);
}

WORLD_SCENARIO_OF(thp_queue_fork, "thp-queue-fork",
		  "a queued folio is split while its owner forks", 2, queued_setup,
		  queue_fork_body, queue_fork_finish);

static void queue_protect_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		split_deferred(w);
		return;
	}
	scenario_expect(quire_mprotect(w->mm, BASE + PAGE, 2 * PAGE, QUIRE_PROT_READ) == 0);
	if (put(w->mm, BASE + PAGE, 9) || put(w->mm, BASE + 2 * PAGE, 9))
		scenario_fail("a store to what is read-only");
	scenario_expect(must_get(w->mm, BASE + PAGE) == 2);
	scenario_expect(quire_mprotect(w->mm, BASE + PAGE, PAGE, RW) == 0);
	scenario_expect(put(w->mm, BASE + PAGE, 5));
}

static void queue_protect_finish(void *state)
{
	struct world *w = state;
	struct quire_mm_stats stats;

	quire_mm_stats(w->mm, &stats);
	scenario_expect(stats.cow_copies == 0);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 5 && must_get(w->mm, BASE + 2 * PAGE) == 3);
	world_end(w);
}

WORLD_SCENARIO_OF(thp_queue_protect, "thp-queue-protect",
		  "a queued folio is split while its owner takes and gives the right to write",
		  2, queued_setup, queue_protect_body, queue_protect_finish);

static void queue_unmap_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		split_deferred(w);
	else
		scenario_expect(quire_munmap(w->mm, BASE + PAGE, 2 * PAGE) == 0);
}

static void queue_unmap_finish(void *state)
{
	struct world *w = state;
	struct quire_mm_stats stats;
	uint8_t byte;

	quire_mm_stats(w->mm, &stats);
	scenario_expect(stats.rss_anon_pages == 1);
	scenario_expect(must_get(w->mm, BASE + 3 * PAGE) == 4);
	scenario_expect(!get(w->mm, BASE + PAGE, &byte));
	world_end(w);
}

WORLD_SCENARIO_OF(thp_queue_munmap, "thp-queue-munmap",
		  "a queued folio is split while its owner unmaps more of it", 2, queued_setup,
		  queue_unmap_body, queue_unmap_finish);

/* The last reference goes, and with it the folio from the queue, while the queue
 * is emptied: whose list is it on, and who takes it off? */
static void queue_free_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		split_deferred(w);
	else
		drop(w->mm, 0, NR);
}

static void queue_free_finish(void *state)
{
	struct world *w = state;
	struct quire_deferred_stats stats;

	quire_deferred_stats(w->q, &stats);
	scenario_expect(stats.nr_folios == 0);
	world_end(w);
}

WORLD_SCENARIO_OF(thp_queue_free, "thp-queue-free",
		  "a queued folio is unmapped for good while the queue is emptied", 2,
		  queued_setup, queue_free_body, queue_free_finish);

/* Two empty the queue while another page goes. */
static void queue_scan_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 2)
		drop(w->mm, 2, 1);
	else
		split_deferred(w);
}

/* Whatever they left undone is queued: nothing is missed. */
static void queue_scan_finish(void *state)
{
	struct world *w = state;

	quire_check(w->q);
	split_deferred(w);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 2);
	scenario_expect(order_at(w, BASE + PAGE) == 0 && order_at(w, BASE + 3 * PAGE) == 0);
	world_end(w);
}

WORLD_SCENARIO_OF(thp_queue_scan, "thp-queue-scan",
		  "two empty the queue of a folio that loses another page", 3, queued_setup,
		  queue_scan_body, queue_scan_finish);

/*
 * Each time mappings go the folio is queued, and found whole, while the page that
 * really goes is on its way: the look at it must not undo what it tells.
 */
static int looked_at_setup(void *state)
{
	struct world *w = state;
	int ret = folio_setup_with(w, "deferred-split", "total-count+scan");

	if (!ret)
		ret = quire_mm_fork(w->mm, &w->children[0]);
	if (!ret)
		drop(w->children[0], 0, 1);
	return ret;
}

static void looked_at_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0)
		split_deferred(w);
	else
		drop(w->mm, 0, 1);
}

WORLD_SCENARIO_OF(thp_queue_look, "thp-queue-look",
		  "a queued folio loses its page while somebody looks whether it did", 2,
		  looked_at_setup, looked_at_body, just_end);

static int counted_setup(void *state)
{
	struct world *w = state;
	int ret = folio_setup_with(w, "deferred-split", "subpage-counts");

	return ret ? ret : quire_mm_fork(w->mm, &w->children[0]);
}

/* Of each page either may be the last who maps it. */
static void counted_body(void *state, unsigned body)
{
	struct world *w = state;

	switch (body) {
	case 0:
		drop(w->mm, 0, 2);
		break;
	case 1:
		drop(w->children[0], 1, NR - 1);
		break;
	default:
		split_deferred(w);
	}
}

WORLD_SCENARIO_OF(thp_queue_counts, "thp-queue-counts",
		  "parent and child drop parts of a folio whose pages count, while the queue is emptied",
		  3, counted_setup, counted_body, just_end);

/* The splitter takes the entries, finds that a reference came, and puts back what
 * is left of them: what was unmapped meanwhile is not forgotten. */
struct in_vain {
	struct world w;
	struct quire_pin *pin;
};

static void in_vain_body(void *state, unsigned body)
{
	struct in_vain *v = state;

	switch (body) {
	case 0:
		split_range(v->w.mm);
		break;
	case 1:
		scenario_expect(quire_pin_pages(v->w.mm, BASE + 3 * PAGE, 1, QUIRE_PIN_GET_ONLY,
						&v->pin) == 0);
		break;
	default:
		drop(v->w.mm, 0, 1);
	}
}

static void in_vain_finish(void *state)
{
	struct in_vain *v = state;

	quire_check(v->w.q);
	quire_unpin(v->pin);
	scenario_expect(must_get(v->w.mm, BASE + 3 * PAGE) == 4);
	world_end(&v->w);
}

SCENARIO(thp_split_in_vain, "thp-split-in-vain",
	 "a split that a new reference stops, while a page goes", 3, struct in_vain, pages_setup,
	 in_vain_body, in_vain_finish);
