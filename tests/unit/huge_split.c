/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What breaks a PMD leaf into pages, and what does not: the other pages keep
 * contents, rights and marks, nothing is copied, and nothing can fail.
 *
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "huge_world.h"

/* Each tagged page of [from, HPAGES) can be written without a fault. */
static void assert_still_ours(uint64_t addr, uint64_t from, uint64_t until)
{
	uint64_t faults = stats(mm).faults;

	for (unsigned i = 0; i < NR_TAGGED; i++) {
		if (tagged[i] < from || tagged[i] >= until)
			continue;
		assert_true(info(mm, tagged_page(addr, i)).exclusive);
		assert_false(info(mm, tagged_page(addr, i)).leaf);
		assert_int_equal(get(mm, tagged_page(addr, i)), i + 1);
		put(mm, tagged_page(addr, i), (uint8_t)(i + 1));
	}
	assert_int_equal(stats(mm).faults, faults);
	assert_int_equal(stats(mm).cow_copies, 0);
	quire_check(q);
}

struct part {
	uint64_t from, nr; /* pages that change */
};

static const struct part parts[] = {
	{ 0, 1 }, { HPAGES - 1, 1 }, { HPAGES / 2, 1 }, { 0, HPAGES / 2 }, { HPAGES / 2, HPAGES / 2 },
};
enum { NR_PARTS = 5 };

static void munmap_of_a_part(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_PARTS; i++) {
		const struct part *p = &parts[i];

		make_leaf(BASE);
		assert_int_equal(quire_munmap(mm, BASE + p->from * PAGE, p->nr * PAGE), 0);
		assert_int_equal(stats(mm).rss_anon_pages, HPAGES - p->nr);
		/* The folio stays whole as long as a page of it is mapped. */
		assert_still_ours(BASE, 0, p->from);
		assert_still_ours(BASE, p->from + p->nr, HPAGES);
		assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
		assert_int_equal(stats(mm).page_table_bytes, 0);
		assert_int_equal(stats(mm).rss_anon_pages, 0);
	}
}

/* No memory is needed: none is asked for. */
static void dontneed_of_a_part(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_PARTS; i++) {
		const struct part *p = &parts[i];
		uint64_t table_bytes;

		make_leaf(BASE);
		table_bytes = stats(mm).page_table_bytes;
		quire_fail_nth(1);
		assert_int_equal(quire_madvise(mm, BASE + p->from * PAGE, p->nr * PAGE,
					       QUIRE_MADV_DONTNEED), 0);
		quire_fail_nth(0);
		assert_int_equal(stats(mm).rss_anon_pages, HPAGES - p->nr);
		assert_int_equal(stats(mm).page_table_bytes, table_bytes);
		assert_still_ours(BASE, 0, p->from);
		assert_still_ours(BASE, p->from + p->nr, HPAGES);
		assert_int_equal(get(mm, BASE + p->from * PAGE), 0);
		assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
	}
}

static void dontneed_of_a_part_of_zeros(void **state)
{
	(void)state;
	map_huge(BASE, 1);
	assert_int_equal(get(mm, BASE), 0);
	assert_int_equal(quire_madvise(mm, BASE + PAGE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_false(info(mm, BASE).leaf);
	assert_true(info(mm, BASE).zero_page);
	assert_false(info(mm, BASE + PAGE).present);
	assert_int_equal(info(mm, BASE + HUGE - PAGE).pfn, info(mm, BASE).pfn);
	quire_check(q);
	put(mm, BASE, 1);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	quire_check(q);
}

static void mprotect_of_a_part(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_PARTS; i++) {
		const struct part *p = &parts[i];
		uint64_t addr = BASE + p->from * PAGE;

		make_leaf(BASE);
		assert_int_equal(quire_mprotect(mm, addr, p->nr * PAGE, QUIRE_PROT_READ), 0);
		assert_signal(mm, addr, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
		assert_still_ours(BASE, 0, p->from);
		assert_still_ours(BASE, p->from + p->nr, HPAGES);
		/* The way back is free. */
		assert_int_equal(quire_mprotect(mm, addr, p->nr * PAGE, RW), 0);
		assert_still_ours(BASE, 0, HPAGES);
		assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
	}
}

/* A VMA is cut and no entry changes: the leaf may not lie across the cut. */
static void a_cut_vma(void **state)
{
	static const int advices[] = { QUIRE_MADV_DONTFORK, QUIRE_MADV_SEQUENTIAL };

	(void)state;
	for (unsigned i = 0; i < NR_PARTS; i++) {
		const struct part *p = &parts[i];

		for (unsigned a = 0; a < 2; a++) {
			make_leaf(BASE);
			assert_int_equal(quire_madvise(mm, BASE + p->from * PAGE, p->nr * PAGE,
						       advices[a]), 0);
			assert_still_ours(BASE, 0, HPAGES);
			assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
		}
		make_leaf(BASE);
		assert_int_equal(quire_mlock(mm, BASE + p->from * PAGE, p->nr * PAGE, 0), 0);
		assert_still_ours(BASE, 0, HPAGES);
		assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
	}
}

/* A neighbour takes over a part that now says the same as it does, from above or
 * from below; no entry changes. */
static void a_cut_by_a_merge(void **state)
{
	uint64_t middle = BASE + HUGE;

	(void)state;
	for (unsigned below = 0; below < 2; below++) {
		uint64_t neighbour = below ? BASE : BASE + 2 * HUGE;
		uint64_t taken = below ? middle : middle + HUGE - PAGE;

		map_huge(BASE, 3);
		for (unsigned i = 0; i < NR_TAGGED; i++)
			put(mm, tagged_page(middle, i), (uint8_t)(i + 1));
		put(mm, neighbour, 1);
		assert_int_equal(quire_madvise(mm, neighbour, HUGE, QUIRE_MADV_DONTFORK), 0);
		assert_int_equal(stats(mm).nr_vmas, 2);
		assert_true(info(mm, middle).leaf);
		assert_int_equal(quire_madvise(mm, taken, PAGE, QUIRE_MADV_DONTFORK), 0);
		assert_int_equal(stats(mm).nr_vmas, 2);
		assert_still_ours(middle, 0, HPAGES);
		assert_true(info(mm, neighbour).leaf);
		assert_int_equal(quire_munmap(mm, BASE, 3 * HUGE), 0);
	}
}

/* Every allocation of a call that cuts fails: the call does, or it is as if not. */
static void cuts_with_failing_allocations(void **state)
{
	(void)state;
	for (uint64_t nth = 1;; nth++) {
		int err;

		make_leaf(BASE);
		quire_fail_nth(nth);
		err = quire_mprotect(mm, BASE + PAGE, PAGE, QUIRE_PROT_READ);
		quire_fail_nth(0);
		quire_check(q);
		assert_tags(mm, BASE);
		if (err)
			assert_int_equal(err, -QUIRE_ENOMEM);
		assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
		if (!err && nth > 8)
			break;
	}
}

/* ---- moving --------------------------------------------------------------- */

static int move_to(uint64_t from, uint64_t len_bytes, uint64_t to)
{
	uint64_t got;

	return quire_mremap(mm, from, len_bytes, len_bytes,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, to, &got);
}

/* Whole to an aligned place: the leaf goes, to another table of level 1 too. */
static void a_leaf_moves(void **state)
{
	static const uint64_t places[] = { BASE + 2 * HUGE, FAR, FAR + HUGE };
	uint64_t at = BASE;

	(void)state;
	make_leaf(BASE);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(move_to(at, HUGE, places[i]), 0);
		at = places[i];
		quire_check(q);
		assert_true(info(mm, at).leaf && info(mm, at).exclusive);
		assert_tags(mm, at);
	}
	put(mm, at, 1);
	assert_int_equal(stats(mm).faults, 1);
	/* The deposit came along: it can be split where it is now. */
	assert_int_equal(quire_madvise(mm, at + PAGE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_still_ours(at, 2, HPAGES);
	assert_int_equal(quire_munmap(mm, at, HUGE), 0);
	assert_int_equal(stats(mm).page_table_bytes, 0);
}

/* A table moves whole as a leaf does. */
static void a_table_moves(void **state)
{
	uint64_t table_bytes;

	(void)state;
	make_leaf(BASE);
	assert_int_equal(quire_madvise(mm, BASE + PAGE, PAGE, QUIRE_MADV_DONTNEED), 0);
	table_bytes = stats(mm).page_table_bytes;
	assert_int_equal(move_to(BASE, HUGE, BASE + 2 * HUGE), 0);
	assert_int_equal(stats(mm).page_table_bytes, table_bytes);
	assert_still_ours(BASE + 2 * HUGE, 2, HPAGES);
	assert_int_equal(move_to(BASE + 2 * HUGE, HUGE, FAR), 0);
	assert_still_ours(FAR, 2, HPAGES);
	assert_int_equal(quire_munmap(mm, FAR, HUGE), 0);
	assert_int_equal(stats(mm).page_table_bytes, 0);
}

static void to_an_unaligned_place_pages_move(void **state)
{
	uint64_t to = BASE + 2 * HUGE + PAGE;

	(void)state;
	make_leaf(BASE);
	assert_int_equal(move_to(BASE, HUGE, to), 0);
	assert_still_ours(to, 0, HPAGES);
	assert_int_equal(quire_munmap(mm, to, HUGE), 0);
	make_leaf(BASE);
	/* A part of it, to where it lies the same way. */
	assert_int_equal(move_to(BASE + PAGE, HUGE - PAGE, BASE + 2 * HUGE + PAGE), 0);
	assert_still_ours(BASE, 0, 1);
	assert_still_ours(BASE + 2 * HUGE, 1, HPAGES);
}

/* Two leaves and half of a third: what was moved as a leaf comes back as one. */
static void moves_with_failing_allocations(void **state)
{
	(void)state;
	for (uint64_t nth = 1;; nth++) {
		uint64_t len = 2 * HUGE + HUGE / 2, to = FAR + HUGE;
		int err;

		map_huge(BASE, 3);
		for (unsigned i = 0; i < 3; i++)
			put(mm, BASE + i * HUGE, (uint8_t)(i + 1));
		quire_fail_nth(nth);
		err = move_to(BASE, len, to);
		quire_fail_nth(0);
		quire_check(q);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(get(mm, (err ? BASE : to) + i * HUGE), i + 1);
		assert_int_equal(stats(mm).rss_anon_pages, 3 * HPAGES);
		assert_int_equal(quire_munmap(mm, BASE, 3 * HUGE), 0);
		assert_int_equal(quire_munmap(mm, to, 3 * HUGE), 0);
		assert_int_equal(stats(mm).page_table_bytes, 0);
		if (!err && nth > 12)
			break;
	}
}

/* A pin goes on where it is, whatever becomes of the leaf. */
static void a_pinned_page_stays(void **state)
{
	struct quire_pin *pin;

	(void)state;
	make_leaf(BASE);
	pin = pin_pages(mm, BASE + PAGE, 1, QUIRE_PIN_WRITE);
	assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
	put(mm, BASE + PAGE, 77);
	assert_int_equal(pin_get(pin, 0), 77);
	assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
	pin_put(pin, 0, 78);
	quire_check(q);
	quire_unpin(pin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		huge_test(munmap_of_a_part),
		huge_test(dontneed_of_a_part),
		huge_zeros_test(dontneed_of_a_part_of_zeros),
		huge_test(mprotect_of_a_part),
		huge_test(a_cut_vma),
		huge_test(a_cut_by_a_merge),
		huge_test(cuts_with_failing_allocations),
		huge_test(a_leaf_moves),
		huge_test(a_table_moves),
		huge_test(to_an_unaligned_place_pages_move),
		huge_test(moves_with_failing_allocations),
		huge_test(a_pinned_page_stays),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
