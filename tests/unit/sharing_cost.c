/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an uncontended update and a query cost, counted, for a folio of each
 * kind of order.  The table is that of docs/sharing.md.
 *
 * variants: count_4k
 */
#include "sharing_world.h"

struct cost {
	u64 rmw, rmw16, locks;
};

static struct cost cost_now(void)
{
	const struct quire_cost *cost = mach_cost();

	return (struct cost){ cost->atomic_rmw, cost->atomic_rmw16, cost->lock_acquisitions };
}

static struct cost cost_since(struct cost before)
{
	struct cost now = cost_now();

	return (struct cost){ now.rmw - before.rmw, now.rmw16 - before.rmw16,
			      now.locks - before.locks };
}

/* Of one update and of one exclusive(): atomics of 8 and of 16 bytes, locks. */
static const struct expected {
	const struct sharing_ops *ops;
	struct cost update, query;
} expected[] = {
	{ &sharing_first_subpage, { 1, 0, 0 }, { 0, 0, 0 } },
	{ &sharing_total_mapcount, { 1, 0, 0 }, { 0, 0, 0 } },
	{ &sharing_owner, { 1, 0, 0 }, { 0, 0, 0 } },
	{ &sharing_rmap_ids_posted, { 2, 0, 0 }, { 0, 0, 0 } },
	{ &sharing_rmap_ids, { 2, 0, 0 }, { 0, 0, 0 } },
	{ &sharing_mm_ids, { 1, 0, 1 }, { 0, 0, 0 } },
	{ &sharing_moments, { 0, 1, 0 }, { 0, 0, 0 } },
	{ &sharing_moments_locked, { 0, 0, 1 }, { 0, 0, 1 } },
	{ &sharing_moments_wide, { 0, 0, 1 }, { 0, 0, 1 } },
	{ &sharing_one_word, { 0, 1, 0 }, { 0, 0, 0 } },
};

static void expect_cost(struct cost got, struct cost want)
{
	assert_int_equal(got.rmw, want.rmw);
	assert_int_equal(got.rmw16, want.rmw16);
	assert_int_equal(got.locks, want.locks);
}

static void one_batch(const struct expected *e, unsigned order)
{
	u32 nr = UINT32_C(1) << order;
	struct sharing_world w;
	struct cost before;

	world_init(&w, e->ops, order, 2);
	before = cost_now();
	sharing_map_new(&w.sharing, &w.state, order, &w.mms[0], 0, nr);
	expect_cost(cost_since(before), (struct cost){ 0, 0, 0 });

	before = cost_now();
	assert_int_equal(world_map(&w, 1, 0, nr), 0);
	expect_cost(cost_since(before), e->update);
	before = cost_now();
	world_unmap(&w, 1, 0, nr);
	expect_cost(cost_since(before), e->update);
	before = cost_now();
	world_exclusive(&w, 0);
	expect_cost(cost_since(before), e->query);
	before = cost_now();
	assert_true(world_mapcount(&w) == nr);
	expect_cost(cost_since(before), (struct cost){ 0, 0, 0 });
	world_fini(&w);
}

/* However many pages, and whatever the order. */
static void a_batch_costs_one_update(void **state)
{
	static const unsigned orders[] = { 2, 4, 9, 10 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(expected); i++) {
		const struct expected *e = &expected[i];

		assert_ptr_equal(sharing_rivals[i], e->ops);
		for (unsigned k = 0; k < ARRAY_LEN(orders); k++)
			one_batch(e, orders[k]);
		print_message("%-16s %2u bytes; update: %lu atomics, %lu of 16 bytes, %lu locks\n",
			      e->ops->name, e->ops->state_bytes, (unsigned long)e->update.rmw,
			      (unsigned long)e->update.rmw16, (unsigned long)e->update.locks);
	}
	assert_null(sharing_rivals[ARRAY_LEN(expected)]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_batch_costs_one_update) };

	return cmocka_run_group_tests(tests, world_attach, world_detach);
}
