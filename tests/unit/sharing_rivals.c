/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every rival promises: orders, the bytes it uses, counting, limits,
 * split and collapse; and what each says of the cases of the letters.
 *
 * variants: threads_4k threads_tiny threads_64k explore_tiny count_4k
 */
#include "sharing_world.h"

#define PATTERN 0xa5

static void orders_are_checked(void **state)
{
	(void)state;
	for_each_rival(ops, 2) {
		struct sharing s = { .ops = ops };
		struct sharing_state folio;
		struct sharing_mm mm = { .id = 1 };

		memset(&folio, PATTERN, sizeof(folio));
		for (unsigned order = 0; order < 70; order++) {
			bool fits = order >= ops->min_order && order <= ops->max_order &&
				    order <= QUIRE_MAX_ORDER;
			struct sharing_state before = folio;
			int ret = sharing_folio_init(&s, &folio, order);

			assert_int_equal(ret, fits ? 0 : -QUIRE_EINVAL);
			if (ret)
				assert_memory_equal(&before, &folio, sizeof(folio));
			if (!fits)
				assert_int_equal(sharing_collapse(&s, &folio, order, &mm, 0, 1),
						 -QUIRE_EINVAL);
		}
	}
}

/* Bytes of the overlay that belong to others. */
static void expect_others_untouched(const struct sharing_state *folio)
{
	u8 pattern[64];

	memset(pattern, PATTERN, sizeof(pattern));
	for (unsigned i = 0; i < 3; i++) {
		const union sharing_tail *tail = &folio->tails[i];

		assert_memory_equal(tail->taken, pattern, sizeof(tail->taken));
		assert_memory_equal(&tail->mapcount, pattern, sizeof(tail->mapcount));
	}
	assert_memory_equal(folio->tails[0].words, pattern, sizeof(folio->tails[0].words));
}

static unsigned bytes_not(const struct sharing_state *folio, u8 value)
{
	const u8 *bytes = (const u8 *)folio;
	unsigned nr = 0;

	for (size_t i = 0; i < sizeof(*folio); i++)
		nr += bytes[i] != value;
	return nr;
}

static void only_own_bytes_are_used(void **state)
{
	(void)state;
	for_each_rival(ops, 2) {
		struct sharing_world w;
		struct sharing_state once;

		world_init(&w, ops, 2, 2);
		memset(&w.state, PATTERN, sizeof(w.state));
		assert_int_equal(sharing_folio_init(&w.sharing, &w.state, 2), 0);
		assert_int_equal(bytes_not(&w.state, PATTERN), ops->state_bytes);
		once = w.state;
		assert_int_equal(world_map(&w, 0, 0, 4), 0);
		assert_int_equal(world_map(&w, 1, 1, 2), 0);
		expect_others_untouched(&w.state);
		if (ops->min_order == 1)
			assert_memory_equal(&once.tails[1], &w.state.tails[1],
					    2 * sizeof(w.state.tails[1]));
		assert_int_equal(sharing_split(&w.sharing, &w.state), -QUIRE_EBUSY);
		world_unmap(&w, 0, 0, 4);
		world_unmap(&w, 1, 1, 2);
		assert_int_equal(sharing_split(&w.sharing, &w.state), 0);
		expect_others_untouched(&w.state);

		memset(&w.state, 0, sizeof(w.state));
		assert_int_equal(sharing_folio_init(&w.sharing, &w.state, 2), 0);
		assert_int_equal(world_map(&w, 0, 0, 1), 0);
		world_unmap(&w, 0, 0, 1);
		assert_int_equal(sharing_split(&w.sharing, &w.state), 0);
		assert_int_equal(bytes_not(&w.state, 0), 0);
		world_fini(&w);
	}
}

/* One mm, pages and batches of a folio of each order: never shared. */
static void one_mm_is_exclusive(void **state)
{
	(void)state;
	for (unsigned order = 1; order <= QUIRE_MAX_ORDER; order++)
		for_each_rival(ops, order) {
			u32 nr = UINT32_C(1) << order;
			struct sharing_world w;

			world_init(&w, ops, order, 1);
			assert_int_equal(world_mapcount(&w), 0);
			assert_false(world_shared(&w));
			assert_int_equal(world_map(&w, 0, 0, 1), 0);
			assert_true(world_exclusive(&w, 0));
			assert_int_equal(world_map(&w, 0, 1, nr - 1), 0);
			assert_true(world_exclusive(&w, 0) || ops == &sharing_rmap_ids_posted);
			assert_false(world_shared(&w) && ops != &sharing_rmap_ids_posted);
			assert_int_equal(world_mapcount(&w), nr);
			world_unmap(&w, 0, 0, nr);
			assert_int_equal(world_mapcount(&w), 0);
			assert_int_equal(sharing_collapse(&w.sharing, &w.state, order,
							  &w.mms[0], 0, nr), 0);
			assert_true(world_exclusive(&w, 0));
			assert_false(world_shared(&w));
			assert_int_equal(world_mapcount(&w), nr);
			world_fini(&w);
		}
}

/*
 * Fork, then the child goes: the parent may reuse.  Fork, then the parent
 * unmaps: the child may, by the rivals that are exact with two mms.
 */
static void fork_and_leave(void **state)
{
	(void)state;
	for_each_rival(ops, PMD_ORDER) {
		u32 nr = UINT32_C(1) << PMD_ORDER;
		bool posted = ops == &sharing_rmap_ids_posted;
		struct sharing_world w;

		for (unsigned leaver = 0; leaver < 2; leaver++) {
			bool blind = posted && PMD_ORDER <= 2;
			bool child_too = ops != &sharing_owner || leaver == 1;

			world_init(&w, ops, PMD_ORDER, 2);
			sharing_map_new(&w.sharing, &w.state, PMD_ORDER, &w.mms[0], 0, nr);
			assert_true(world_exclusive(&w, 0));
			assert_int_equal(sharing_fork(&w.sharing, &w.state, PMD_ORDER,
						      &w.mms[1], 0, nr), 0);
			assert_int_equal(world_mapcount(&w), 2 * nr);
			assert_true(world_shared(&w));
			assert_false(world_exclusive(&w, 0));
			assert_false(world_exclusive(&w, 1));
			world_unmap(&w, leaver, 0, nr);
			assert_int_equal(world_mapcount(&w), nr);
			if (!blind) {
				assert_int_equal(world_exclusive(&w, 1 - leaver), child_too);
				assert_int_equal(world_shared(&w), !child_too);
			}
			world_unmap(&w, 1 - leaver, 0, nr);
			assert_int_equal(sharing_split(&w.sharing, &w.state), 0);
			world_fini(&w);
		}
	}
}

/* Half of the pages each: estimates take two mms for one. */
static void halves_fool_the_estimates(void **state)
{
	(void)state;
	for_each_rival(ops, 4) {
		bool estimate = ops == &sharing_first_subpage || ops == &sharing_total_mapcount;
		struct sharing_world w;

		world_init(&w, ops, 4, 2);
		assert_int_equal(world_map(&w, 0, 0, 8), 0);
		assert_int_equal(world_map(&w, 1, 8, 8), 0);
		assert_int_equal(world_exclusive(&w, 0), estimate);
		assert_int_equal(world_exclusive(&w, 1), estimate);
		assert_int_equal(world_shared(&w), !estimate);
		assert_true(!ops->sound || !estimate);
		world_fini(&w);
	}
}

/* A file's folio that one mm maps three times: only what needs no bound on
 * the count, and no single page, is exact. */
static void one_mm_maps_it_three_times(void **state)
{
	(void)state;
	for_each_rival(ops, 4) {
		bool bounded = ops == &sharing_first_subpage || ops == &sharing_total_mapcount ||
			       ops == &sharing_rmap_ids || ops == &sharing_rmap_ids_posted;
		struct sharing_world w;

		world_init(&w, ops, 4, 1);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(world_map(&w, 0, 0, 16), 0);
		assert_int_equal(world_exclusive(&w, 0), !bounded);
		assert_int_equal(world_shared(&w), bounded);
		world_fini(&w);
	}
}

/* As many mappings as can be counted, and one more. */
static void the_last_mapping_is_refused(void **state)
{
	(void)state;
	for_each_rival(ops, 2) {
		unsigned order = ops->max_order < 18 ? ops->max_order : 18;
		struct sharing_mm mm = { .id = 1 };
		struct sharing_state folio, before;
		u32 nr = UINT32_C(1) << order;
		u64 sum = 0;

		if (ops->mm_init)
			ops->mm_init(&mm);
		memset(&folio, 0, sizeof(folio));
		ops->init(&folio);
		while (nr > 0)
			if (ops->map(&folio, order, &mm, 0, nr) == 0)
				sum += nr;
			else
				nr /= 2;
		assert_true(sum == ops->mapcount(&folio) &&
			    sum >= (ops == &sharing_one_word ? 1u << 19 : 1u << 21) - 1);
		assert_int_equal((sum + 1) & sum, 0); /* all ones */
		before = folio;
		assert_int_equal(ops->map(&folio, order, &mm, 1, 3), -QUIRE_EOVERFLOW);
		if (ops == &sharing_rmap_ids || ops == &sharing_rmap_ids_posted)
			before.tails[0].last = folio.tails[0].last; /* the sequence */
		assert_memory_equal(&before, &folio, sizeof(before));
		ops->unmap(&folio, order, &mm, 0, 1);
		assert_int_equal(ops->map(&folio, order, &mm, 0, 1), 0);
	}
}

/* So many mms map the folio whole that the sums of moments run over. */
static void sums_that_ran_over_come_back(void **state)
{
	enum { ORDER = QUIRE_MAX_ORDER, NR = 1 << ORDER };

	(void)state;
	for_each_rival(ops, ORDER) {
		/* one-word runs over above 2^17, and is full at 2^19. */
		const unsigned nr_all = ops == &sharing_one_word ? 1u << 18 : 1u << 20;
		const unsigned nr_mms = nr_all / NR;
		struct sharing_world w;

		if (!ops->exact)
			continue;
		world_init(&w, ops, ORDER, nr_mms);
		for (unsigned i = 0; i < nr_mms; i++) {
			assert_int_equal(world_map(&w, i, 0, NR), 0);
			assert_int_equal(world_shared(&w), i > 0);
			assert_int_equal(world_exclusive(&w, i), i == 0);
			assert_int_equal(world_exclusive(&w, 0), i == 0);
		}
		assert_int_equal(world_mapcount(&w), nr_all);
		for (unsigned i = 0; i < nr_mms - 1; i++) {
			assert_true(world_shared(&w));
			world_unmap(&w, i, 0, NR);
		}
		assert_true(world_exclusive(&w, nr_mms - 1));
		assert_false(world_shared(&w));
		world_unmap(&w, nr_mms - 1, 0, NR - 1);
		assert_true(world_exclusive(&w, nr_mms - 1));
		world_unmap(&w, nr_mms - 1, NR - 1, 1);
		assert_int_equal(sharing_split(&w.sharing, &w.state), 0);
		world_fini(&w);
	}
}

/* References that equal the mappings, all of them mine: and not one more or less. */
static void references_are_compared_at_one_instant(void **state)
{
	unsigned nr_able = 0;

	(void)state;
	for_each_rival(ops, 3) {
		struct refcount refs = { .value = 5 };
		struct sharing_world w;
		bool able = ops->all_mine != NULL;

		if (ops->unmap_hold != NULL)
			continue; /* its references are in the word: one_word_random.c */
		nr_able += able;
		world_init(&w, ops, 3, 2);
		sharing_map_new(&w.sharing, &w.state, 3, &w.mms[0], 0, 5);
		assert_int_equal(world_all_mine(&w, 0, &refs), able);
		refs.value = 6;
		assert_false(world_all_mine(&w, 0, &refs));
		assert_int_equal(world_map(&w, 1, 0, 1), 0);
		assert_false(world_all_mine(&w, 0, &refs));
		assert_false(world_all_mine(&w, 1, &refs));
		world_unmap(&w, 1, 0, 1);
		assert_false(world_all_mine(&w, 0, &refs));
		refs.value = 5;
		assert_int_equal(world_all_mine(&w, 0, &refs), able);
		/* Nothing was changed by asking. */
		assert_int_equal(world_mapcount(&w), 5);
		assert_true(world_exclusive(&w, 0));
		world_unmap(&w, 0, 0, 5);
		assert_int_equal(sharing_split(&w.sharing, &w.state), 0);
		world_fini(&w);
	}
	/* All with a lock or a sequence counter. */
	assert_int_equal(nr_able, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_are_checked),
		cmocka_unit_test(only_own_bytes_are_used),
		cmocka_unit_test(one_mm_is_exclusive),
		cmocka_unit_test(fork_and_leave),
		cmocka_unit_test(halves_fool_the_estimates),
		cmocka_unit_test(one_mm_maps_it_three_times),
		cmocka_unit_test(the_last_mapping_is_refused),
		cmocka_unit_test(sums_that_ran_over_come_back),
		cmocka_unit_test(references_are_compared_at_one_instant),
	};

	return cmocka_run_group_tests(tests, world_attach, world_detach);
}
