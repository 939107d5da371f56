/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ids: the lowest free first, none twice, none back before its last holder
 * went, a clean refusal when all are taken.
 *
 * variants: threads_4k explore_tiny
 */
#include "dice.h"
#include "sharing_world.h"

static void lowest_first(void **state)
{
	static const u64 sizes[] = { 2, 3, 64, 65, 66, 128, 4096, 4097, 262145 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct sharing_ids ids;
		u32 id = 7;

		assert_int_equal(sharing_ids_init(&ids, sizes[i]), 0);
		for (u64 want = 1; want < sizes[i]; want++) {
			assert_int_equal(sharing_id_alloc(&ids, &id), 0);
			assert_int_equal(id, want);
		}
		id = 7;
		for (unsigned again = 0; again < 3; again++)
			assert_int_equal(sharing_id_alloc(&ids, &id), -QUIRE_EAGAIN);
		assert_int_equal(id, 7);
		for (u64 back = sizes[i] - 1; back > 0; back = back * 3 / 4) {
			sharing_id_free(&ids, (u32)back);
			assert_int_equal(sharing_id_alloc(&ids, &id), 0);
			assert_int_equal(id, back);
		}
		assert_int_equal(sharing_ids_fini(&ids), sizes[i] - 1);
	}
}

static void all_that_moments_can_tell_apart(void **state)
{
	struct sharing s;
	struct sharing_mm mm;

	(void)state;
	assert_int_equal(sharing_init(&s, &sharing_moments, (UINT64_C(1) << 22) + 1),
			 -QUIRE_EINVAL);
	assert_int_equal(sharing_init(&s, &sharing_moments, 1), -QUIRE_EINVAL);
	assert_int_equal(sharing_init(&s, &sharing_moments, UINT64_C(1) << 22), 0);
	for (u32 i = 1; i < UINT32_C(1) << 22; i++) {
		if (sharing_mm_init(&s, &mm) || mm.id != i)
			fail_msg("id %u instead of %u", mm.id, i);
	}
	assert_int_equal(sharing_mm_init(&s, &mm), -QUIRE_EAGAIN);
	assert_true(sharing_mm_put(&s, &mm)); /* the last one */
	assert_int_equal(sharing_mm_init(&s, &mm), 0);
	assert_int_equal(mm.id, (1 << 22) - 1);
	assert_int_equal(sharing_fini(&s), (1 << 22) - 1);
}

/* Against an array of flags. */
static void random_against_flags(void **state)
{
	enum { NR = 300, STEPS = 200000 };
	struct sharing_ids ids;
	bool taken[NR] = { true };
	u64 random = 1, nr_taken = 0;

	(void)state;
	assert_int_equal(sharing_ids_init(&ids, NR), 0);
	for (unsigned i = 0; i < STEPS; i++) {
		u32 id, want = 0;

		id = (u32)(dice_next(&random) >> 40) % NR;
		/* For a while more are taken, then fewer. */
		if (taken[id] && id != 0 && ((random >> 33) % 8 < 4 + (i / 4096 % 2))) {
			sharing_id_free(&ids, id);
			taken[id] = false;
			nr_taken--;
			continue;
		}
		while (want < NR && taken[want])
			want++;
		if (want == NR) {
			assert_int_equal(sharing_id_alloc(&ids, &id), -QUIRE_EAGAIN);
			continue;
		}
		assert_int_equal(sharing_id_alloc(&ids, &id), 0);
		assert_int_equal(id, want);
		taken[want] = true;
		nr_taken++;
	}
	assert_int_equal(sharing_ids_fini(&ids), nr_taken);
}

/* The gather of a delayed removal still holds the mm: its id stays. */
static void not_before_the_last_unmap(void **state)
{
	struct sharing s;
	struct sharing_mm old, next;

	(void)state;
	assert_int_equal(sharing_init(&s, &sharing_moments, 16), 0);
	assert_int_equal(sharing_mm_init(&s, &old), 0);
	sharing_mm_get(&old);
	assert_false(sharing_mm_put(&s, &old));
	assert_int_equal(sharing_mm_init(&s, &next), 0);
	assert_int_equal(next.id, 2);
	assert_true(sharing_mm_put(&s, &next));
	assert_true(sharing_mm_put(&s, &old));
	assert_int_equal(sharing_mm_init(&s, &next), 0);
	assert_int_equal(next.id, 1);
	assert_true(sharing_mm_put(&s, &next));
	assert_int_equal(sharing_fini(&s), 0);
}

/* Why: an id that comes back too early, and its new mm looks alone. */
static void too_early_is_falsely_exclusive(void **state)
{
	struct sharing s;
	struct sharing_state folio = { 0 };
	struct sharing_mm old, next;

	(void)state;
	assert_int_equal(sharing_init(&s, &sharing_moments, 16), 0);
	assert_int_equal(sharing_mm_init(&s, &old), 0);
	assert_int_equal(sharing_folio_init(&s, &folio, 2), 0);
	assert_int_equal(sharing_map(&s, &folio, 2, &old, 0, 2), 0);
	assert_true(sharing_mm_put(&s, &old)); /* against the rule: it maps 2 pages */
	assert_int_equal(sharing_mm_init(&s, &next), 0);
	assert_int_equal(sharing_map(&s, &folio, 2, &next, 2, 2), 0);
	assert_true(sharing_exclusive(&s, &folio, 2, &next));
	assert_true(sharing_mm_put(&s, &next));
	assert_int_equal(sharing_fini(&s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lowest_first),
		cmocka_unit_test(all_that_moments_can_tell_apart),
		cmocka_unit_test(random_against_flags),
		cmocka_unit_test(not_before_the_last_unmap),
		cmocka_unit_test(too_early_is_falsely_exclusive),
	};

	return cmocka_run_group_tests(tests, world_attach, world_detach);
}
