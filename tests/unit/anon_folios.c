/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large folios of anonymous memory mapped page by page: which order a fault
 * brings in, and when a write may reuse what fork shared.
 *
 * variants: threads_4k threads_64k
 */
#include "mm_world.h"

enum { ORDER = 4, NR = 1 << ORDER };

/* NR pages at BASE in one folio of mm. */
static void map_folio(void)
{
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, NR);
	put(mm, BASE + 5 * PAGE, 1);
	assert_int_equal(stats(mm).faults, 1);
	assert_int_equal(info(mm, BASE).mapcount, NR);
	assert_int_equal(info(mm, BASE).refcount, NR);
}

static void orders_that_cannot_be_are_refused(void **state)
{
	static const unsigned wrong[] = { 0, 1, QUIRE_PMD_ORDER + 1, 64, ~0u };

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(quire_set_anon_folios(q, wrong[i], QUIRE_FOLIOS_ALWAYS),
				 -QUIRE_EINVAL);
	assert_int_equal(quire_set_anon_folios(q, 2, (enum quire_folios)3), -QUIRE_EINVAL);
	map_anon(BASE, NR);
	put(mm, BASE, 1);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
}

static void each_order_comes_in_whole(void **state)
{
	(void)state;
	for (unsigned order = 2; order < QUIRE_PMD_ORDER && order <= 9; order++) {
		uint64_t nr = UINT64_C(1) << order;

		assert_int_equal(quire_set_anon_folios(q, order, QUIRE_FOLIOS_ALWAYS), 0);
		map_anon(BASE, nr);
		put(mm, BASE + (nr - 1) * PAGE, 7);
		assert_int_equal(stats(mm).rss_anon_pages, nr);
		for (uint64_t i = 0; i < nr; i++) {
			assert_int_equal(info(mm, BASE + i * PAGE).pfn, info(mm, BASE).pfn + i);
			assert_true(info(mm, BASE + i * PAGE).exclusive);
			assert_int_equal(get(mm, BASE + i * PAGE), i == nr - 1 ? 7 : 0);
		}
		assert_int_equal(stats(mm).faults, order - 1);
		assert_int_equal(quire_munmap(mm, BASE, nr * PAGE), 0);
		assert_int_equal(stats(mm).rss_anon_pages, 0);
	}
}

/* The largest that fits between what is mapped and the ends of the VMA. */
static void the_largest_that_fits(void **state)
{
	(void)state;
	assert_int_equal(quire_set_anon_folios(q, 2, QUIRE_FOLIOS_ALWAYS), 0);
	assert_int_equal(quire_set_anon_folios(q, 3, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE + 2 * PAGE, 12); /* pages 2 to 13 */
	put(mm, BASE + 9 * PAGE, 1);   /* 8 to 15 and 8 to 11: the latter */
	assert_int_equal(stats(mm).rss_anon_pages, 4);
	put(mm, BASE + 2 * PAGE, 1);   /* 0 to 3 begins too low */
	assert_int_equal(stats(mm).rss_anon_pages, 5);
	put(mm, BASE + 6 * PAGE, 1);   /* 4 to 7 */
	assert_int_equal(stats(mm).rss_anon_pages, 9);
}

static void advice_decides_where_it_is_asked(void **state)
{
	(void)state;
	assert_int_equal(quire_set_anon_folios(q, 2, QUIRE_FOLIOS_MADVISE), 0);
	assert_int_equal(quire_set_anon_folios(q, 3, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, 64);
	assert_int_equal(quire_madvise(mm, BASE + 16 * PAGE, 16 * PAGE, QUIRE_MADV_NOHUGEPAGE), 0);
	assert_int_equal(quire_madvise(mm, BASE + 32 * PAGE, 16 * PAGE, QUIRE_MADV_HUGEPAGE), 0);
	assert_int_equal(quire_set_anon_folios(q, 3, QUIRE_FOLIOS_NEVER), 0);
	put(mm, BASE, 1);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	put(mm, BASE + 16 * PAGE, 1);
	assert_int_equal(stats(mm).rss_anon_pages, 2);
	put(mm, BASE + 32 * PAGE, 1);
	assert_int_equal(stats(mm).rss_anon_pages, 6);
}

/* A smaller folio where memory for the larger is short, never a failed fault. */
static void short_memory_gives_smaller_folios(void **state)
{
	(void)state;
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	assert_int_equal(quire_set_anon_folios(q, 2, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, 64);
	put(mm, BASE + 32 * PAGE, 1); /* tables and the anon_vma */
	assert_int_equal(stats(mm).rss_anon_pages, NR);
	quire_fail_nth(1);
	put(mm, BASE, 1);
	quire_fail_nth(0);
	assert_int_equal(stats(mm).rss_anon_pages, NR + 4);
}

static void parent_reuses_after_the_child_is_gone(void **state)
{
	uint64_t pfn, faults;

	(void)state;
	map_folio();
	pfn = info(mm, BASE).pfn;
	quire_mm_put(fork_of(mm));
	faults = stats(mm).faults;
	for (unsigned i = 0; i < NR; i++)
		put(mm, BASE + i * PAGE, (uint8_t)i);
	assert_int_equal(info(mm, BASE + PAGE).pfn, pfn + 1);
	assert_int_equal(stats(mm).cow_copies, 0);
	/* Linux takes NR. */
	assert_int_equal(stats(mm).faults - faults, 1);
}

static void page_by_page_where_that_is_decided(void **state)
{
	(void)state;
	world_end();
	world_decide("reuse-scope", "page");
	world_begin();
	map_folio();
	quire_mm_put(fork_of(mm));
	for (unsigned i = 0; i < NR; i++)
		put(mm, BASE + i * PAGE, (uint8_t)i);
	assert_int_equal(stats(mm).cow_reuses, NR);
	assert_int_equal(stats(mm).cow_copies, 0);
}

static void child_reuses_after_the_parent_unmapped(void **state)
{
	struct quire_mm *child;
	uint64_t pfn;

	(void)state;
	map_folio();
	pfn = info(mm, BASE).pfn;
	child = fork_of(mm);
	put(child, BASE, 9); /* shared: a copy */
	assert_int_equal(stats(child).cow_copies, 1);
	assert_int_equal(get(mm, BASE), 0);
	assert_int_equal(quire_munmap(mm, BASE, NR * PAGE), 0);
	put(child, BASE + PAGE, 8);
	assert_int_equal(stats(child).cow_reuses, 1);
	assert_int_equal(info(child, BASE + PAGE).pfn, pfn + 1);
	assert_int_equal(get(child, BASE + 5 * PAGE), 1);
	for (unsigned i = 1; i < NR; i++)
		assert_true(info(child, BASE + i * PAGE).writable);
	quire_mm_put(child);
}

/* One page that another still maps, or pins, keeps all from being reused. */
static void one_foreign_reference_is_enough(void **state)
{
	struct quire_mm *child;
	struct quire_pin *pin;

	(void)state;
	map_folio();
	child = fork_of(mm);
	pin = pin_pages(child, BASE + 3 * PAGE, 1, QUIRE_PIN_GET_ONLY);
	quire_mm_put(child);
	put(mm, BASE, 2);
	assert_int_equal(stats(mm).cow_copies, 1);
	quire_unpin(pin);
	put(mm, BASE + PAGE, 2);
	assert_int_equal(stats(mm).cow_copies, 1);
	assert_int_equal(stats(mm).cow_reuses, 1);

	child = fork_of(mm);
	assert_int_equal(quire_munmap(child, BASE, (NR - 1) * PAGE), 0);
	put(mm, BASE + PAGE, 3);
	assert_int_equal(stats(mm).cow_copies, 2);
	quire_mm_put(child);
	put(mm, BASE + 2 * PAGE, 3);
	assert_int_equal(stats(mm).cow_reuses, 2);
}

/* Half of it moved to another table: not all entries are behind one lock. */
static void entries_in_two_tables_are_not_proven(void **state)
{
	uint64_t got;

	(void)state;
	map_folio();
	assert_int_equal(quire_mremap(mm, BASE, PAGE, PAGE, QUIRE_MREMAP_MAYMOVE |
				      QUIRE_MREMAP_FIXED, 2 * BASE, &got), 0);
	quire_mm_put(fork_of(mm));
	put(mm, BASE + PAGE, 4);
	assert_int_equal(stats(mm).cow_copies, 1);
	assert_int_equal(quire_munmap(mm, 2 * BASE, PAGE), 0);
	put(mm, BASE + 2 * PAGE, 4);
	assert_int_equal(stats(mm).cow_copies, 1);
	assert_int_equal(stats(mm).cow_reuses, 1);
}

/* Where one load tells of mappings and references, tables do not matter. */
static void one_word_proves_it_in_any_tables(void **state)
{
	struct quire_mm *child;
	struct quire_pin *pin;
	uint64_t got;

	(void)state;
	world_end();
	world_decide("sharing", "one-word");
	world_decide("reuse-proof", "rival");
	world_begin();
	map_folio();
	assert_int_equal(quire_mremap(mm, BASE, PAGE, PAGE, QUIRE_MREMAP_MAYMOVE |
				      QUIRE_MREMAP_FIXED, 2 * BASE, &got), 0);
	child = fork_of(mm);
	put(mm, BASE + PAGE, 4);
	assert_int_equal(stats(mm).cow_copies, 1);
	pin = pin_pages(child, BASE + 3 * PAGE, 1, QUIRE_PIN_GET_ONLY);
	quire_mm_put(child);
	put(mm, BASE + 2 * PAGE, 4);
	assert_int_equal(stats(mm).cow_copies, 2);
	quire_unpin(pin);
	put(mm, BASE + 4 * PAGE, 4);
	assert_int_equal(stats(mm).cow_copies, 2);
	assert_int_equal(stats(mm).cow_reuses, 1);
	assert_true(info(mm, BASE + 5 * PAGE).writable);
	assert_int_equal(info(mm, BASE + 5 * PAGE).refcount, NR - 2);
}

/* What protection keeps apart stays apart, though one fault proved all of it. */
static void reuse_respects_the_vma(void **state)
{
	(void)state;
	map_folio();
	quire_mm_put(fork_of(mm));
	assert_int_equal(quire_mprotect(mm, BASE + 8 * PAGE, 4 * PAGE, QUIRE_PROT_READ), 0);
	put(mm, BASE, 1);
	assert_true(info(mm, BASE + PAGE).writable);
	assert_false(info(mm, BASE + 8 * PAGE).writable);
	assert_signal(mm, BASE + 8 * PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
	assert_int_equal(quire_mprotect(mm, BASE + 8 * PAGE, 4 * PAGE, RW), 0);
	put(mm, BASE + 8 * PAGE, 1);
	assert_int_equal(stats(mm).cow_copies, 0);
}

static void too_many_address_spaces(void **state)
{
	struct quire_mm *a, *b;

	(void)state;
	world_end();
	world_config.max_mms = 2;
	world_begin();
	map_folio();
	a = fork_of(mm);
	assert_int_equal(quire_mm_fork(mm, &b), -QUIRE_EAGAIN);
	quire_check(q);
	quire_mm_put(a);
	b = fork_of(mm);
	quire_mm_put(b);
}

static void every_rival_keeps_them_apart(void **state)
{
	const struct quire_decision_info *row = quire_decision_info(QUIRE_DECISION_sharing);

	(void)state;
	for (enum quire_alternative alt = row->first; alt <= row->last; alt++) {
		struct quire_mm *child;

		world_end();
		world_decide("sharing", quire_alternative_info(alt)->name);
		world_begin();
		map_folio();
		child = fork_of(mm);
		put(child, BASE, 3);
		put(mm, BASE + PAGE, 4);
		assert_int_equal(get(mm, BASE), 0);
		assert_int_equal(get(child, BASE + PAGE), 0);
		quire_check(q);
		quire_mm_put(child);
		put(mm, BASE, 5);
		assert_int_equal(get(mm, BASE), 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(orders_that_cannot_be_are_refused),
		world_test(each_order_comes_in_whole),
		world_test(the_largest_that_fits),
		world_test(advice_decides_where_it_is_asked),
		world_test(short_memory_gives_smaller_folios),
		world_test(parent_reuses_after_the_child_is_gone),
		world_test(page_by_page_where_that_is_decided),
		world_test(child_reuses_after_the_parent_unmapped),
		world_test(one_foreign_reference_is_enough),
		world_test(entries_in_two_tables_are_not_proven),
		world_test(one_word_proves_it_in_any_tables),
		world_test(reuse_respects_the_vma),
		world_test(too_many_address_spaces),
		world_test(every_rival_keeps_them_apart),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
