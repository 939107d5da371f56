/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MADV_FREE of pages, of large folios and of parts of them: what is marked is
 * clean and nobody else's, and what is not given up keeps its contents.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include "mm/mm.h"

#include "mm_world.h"

enum { ORDER = QUIRE_PMD_ORDER > 4 ? 4 : 2, NR = 1 << ORDER };

static struct folio *folio_at(uint64_t page)
{
	return frame_folio(pfn_frame(&((struct mm *)(void *)mm)->q->phys,
				     pfn_make(info(mm, BASE + page * PAGE).pfn)));
}

static bool is_lazy(uint64_t page)
{
	bool lazy = folio_test(folio_at(page), FRAME_LAZYFREE);

	if (lazy)
		assert_false(info(mm, BASE + page * PAGE).dirty);
	return lazy;
}

static void give_up(uint64_t first, uint64_t nr_pages)
{
	assert_int_equal(quire_madvise(mm, BASE + first * PAGE, nr_pages * PAGE, QUIRE_MADV_FREE),
			 0);
	quire_check(q);
}

static void map_folio(void)
{
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, NR);
	for (unsigned i = 0; i < NR; i++)
		put(mm, BASE + i * PAGE, (uint8_t)(i + 1));
	assert_int_equal(folio_order(folio_at(0)), ORDER);
}

/* The folio is one still, and nothing was marked. */
static void assert_left_alone(void)
{
	assert_int_equal(folio_order(folio_at(0)), ORDER);
	for (unsigned i = 0; i < NR; i++)
		assert_false(is_lazy(i));
}

static void assert_contents(struct quire_mm *where)
{
	for (unsigned i = 0; i < NR; i++)
		assert_int_equal(get(where, BASE + i * PAGE), i + 1);
}

static void small_pages(void **state)
{
	(void)state;
	map_anon(BASE, 3);
	for (unsigned i = 0; i < 3; i++)
		put(mm, BASE + i * PAGE, 1);
	give_up(1, 1);
	assert_false(is_lazy(0));
	assert_true(is_lazy(1));
	assert_false(is_lazy(2));
	put(mm, BASE + PAGE, 2);
	assert_true(info(mm, BASE + PAGE).dirty);
}

static void a_whole_folio(void **state)
{
	(void)state;
	map_folio();
	give_up(0, NR);
	assert_int_equal(folio_order(folio_at(0)), ORDER);
	for (unsigned i = 0; i < NR; i++)
		assert_true(is_lazy(i));
	assert_contents(mm);
}

/* By pages or by a leaf: the parts become folios of their own. */
static void a_part(void **state)
{
	static const struct { uint64_t first, nr; } parts[] = {
		{ 0, 1 }, { NR - 1, 1 }, { 1, NR - 1 }, { 1, NR - 2 },
	};

	(void)state;
	for (unsigned p = 0; p < 4; p++) {
		uint64_t pfn;

		map_folio();
		pfn = info(mm, BASE).pfn;
		give_up(parts[p].first, parts[p].nr);
		for (uint64_t i = 0; i < NR; i++) {
			assert_int_equal(folio_order(folio_at(i)), 0);
			assert_int_equal(info(mm, BASE + i * PAGE).pfn, pfn + i);
			assert_int_equal(is_lazy(i), i - parts[p].first < parts[p].nr);
		}
		assert_contents(mm);
		assert_int_equal(quire_munmap(mm, BASE, NR * PAGE), 0);
	}
}

/* What is left of a folio, given up whole. */
static void the_rest(void **state)
{
	(void)state;
	map_folio();
	assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
	give_up(1, NR - 1);
	for (unsigned i = 1; i < NR; i++)
		assert_true(is_lazy(i));
}

static void shared_is_left_alone(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_folio();
	child = fork_of(mm);
	give_up(1, 1);
	assert_left_alone();
	give_up(0, NR);
	assert_left_alone();
	assert_contents(child);
	quire_mm_put(child);
	give_up(1, 1);
	assert_true(is_lazy(1));
}

static void held_is_left_alone(void **state)
{
	struct quire_pin *pin;
	struct folio *folio;

	(void)state;
	map_folio();
	pin = pin_pages(mm, BASE, 1, QUIRE_PIN_WRITE);
	give_up(1, 1);
	assert_left_alone();
	quire_unpin(pin);
	/* As if another CPU had the lock: of this one's nobody is told. */
	folio = folio_at(0);
	assert_true(mach_mutex_trylock(&folio->lock.mach));
	give_up(1, 1);
	mach_mutex_unlock(&folio->lock.mach);
	assert_left_alone();
	assert_contents(mm);
}

/* Several folios in one range, the ends cut through them. */
static void across_folios(void **state)
{
	(void)state;
	map_folio();
	map_anon(BASE + NR * PAGE, 2 * NR);
	for (unsigned i = NR; i < 3 * NR; i++)
		put(mm, BASE + i * PAGE, 1);
	give_up(NR - 1, NR + 2);
	assert_int_equal(folio_order(folio_at(0)), 0);
	assert_int_equal(folio_order(folio_at(NR)), ORDER);
	assert_int_equal(folio_order(folio_at(3 * NR - 1)), 0);
	for (unsigned i = 0; i < 3 * NR; i++)
		assert_int_equal(is_lazy(i), i >= NR - 1 && i < 2 * NR + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(small_pages),
		world_test(a_whole_folio),
		world_test(a_part),
		world_test(the_rest),
		world_test(shared_is_left_alone),
		world_test(held_is_left_alone),
		world_test(across_folios),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
