/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two errors of rmap-ids as posted, each as the sequence of operations
 * that shows it, printed; and the repaired rmap-ids, and moments, on the same sequences.
 *
 * variants: threads_4k threads_64k
 */
#include "sharing_world.h"

struct step {
	u32 id;
	int pages; /* mapped, or unmapped when negative */
};

static void print_steps(const struct sharing_ops *ops, unsigned order,
			const struct step *steps, unsigned nr_steps, u32 id)
{
	print_message("%s, order %u:\n", ops->name, order);
	for (unsigned i = 0; i < nr_steps; i++)
		print_message("    mm %3u %s %d\n", steps[i].id,
			      steps[i].pages > 0 ? "maps  " : "unmaps", abs(steps[i].pages));
	print_message("    exclusive to mm %u, falsely\n", id);
}

/* Runs the steps and asks for mm `id`; the others have mappings, too. */
static bool exclusive_after(const struct sharing_ops *ops, unsigned order,
			    const struct step *steps, unsigned nr_steps, u32 id)
{
	struct sharing_world w;
	bool exclusive;
	u32 n = 0;

	world_init(&w, ops, order, 255);
	for (unsigned i = 0; i < nr_steps; i++) {
		unsigned mm = steps[i].id - 1;
		u32 pages = (u32)abs(steps[i].pages);

		if (steps[i].pages > 0)
			assert_int_equal(world_map(&w, mm, 0, pages), 0);
		else
			world_unmap(&w, mm, 0, pages);
		n += (u32)steps[i].pages;
	}
	assert_int_equal(world_mapcount(&w), n);
	exclusive = world_exclusive(&w, id - 1);
	if (exclusive)
		print_steps(ops, order, steps, nr_steps, id);
	world_fini(&w);
	return exclusive;
}

/* Three values of 8 bits in base 513: 70 mappings of seven pass for mm 0xaa's. */
static void overflow(void **state)
{
	static const u32 own[] = { 1, 58, 442 };
	struct step steps[] = {
		{ 0xf7, 2 }, { 0xf6, 12 }, { 0xb6, 14 }, { 0x96, 14 },
		{ 0x92, 14 }, { 0x90, 12 }, { 0x10, 2 }, { 0xaa, 0 },
	};

	(void)state;
	for (unsigned order = 7; order <= 9; order++)
		for (unsigned i = 0; i < ARRAY_LEN(own); i++) {
			if (70 + own[i] > UINT32_C(1) << order)
				continue;
			steps[7].pages = (int)own[i];
			assert_true(exclusive_after(&sharing_rmap_ids_posted, order, steps, 8, 0xaa));
			assert_false(exclusive_after(&sharing_rmap_ids, order, steps, 8, 0xaa));
			assert_false(exclusive_after(&sharing_moments, order, steps, 8, 0xaa));
		}
}

/* The same mappings where the class has room: base 1025, 6 bits a value. */
static void no_overflow_at_order_10(void **state)
{
	const struct step steps[] = {
		{ 0xf7, 2 }, { 0xf6, 12 }, { 0xb6, 14 }, { 0x96, 14 },
		{ 0x92, 14 }, { 0x90, 12 }, { 0x10, 2 }, { 0xaa, 58 },
	};

	(void)state;
	assert_false(exclusive_after(&sharing_rmap_ids_posted, 10, steps, 8, 0xaa));
}

/* Mm 1 has two pages, and mm 3, who has one, passes for the only one. */
static void count_forgotten(void **state)
{
	const struct step steps[] = { { 1, 1 }, { 1, 1 }, { 2, 1 }, { 2, -1 }, { 3, 1 } };

	(void)state;
	assert_true(exclusive_after(&sharing_rmap_ids_posted, 2, steps, 5, 3));
	assert_false(exclusive_after(&sharing_rmap_ids_posted, 3, steps, 5, 3));
	assert_false(exclusive_after(&sharing_rmap_ids, 2, steps, 5, 3));
	assert_false(exclusive_after(&sharing_moments, 2, steps, 5, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overflow),
		cmocka_unit_test(no_overflow_at_order_10),
		cmocka_unit_test(count_forgotten),
	};

	return cmocka_run_group_tests(tests, world_attach, world_detach);
}
