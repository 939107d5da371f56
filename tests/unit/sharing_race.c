/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that hammer one folio.  Every update is counted, the answers that
 * cannot change meanwhile are right at any moment, and when the threads are
 * gone the state is that of the mappings that are left.
 *
 * variants: threads_4k
 */
#include "dice.h"
#include "sharing_world.h"

#include "threads_run.h"

enum { CPUS = 4, ROUNDS = 20000, ORDER = 9, MOST = 100 };

struct race {
	struct sharing_world world;
	bool one_mm;     /* all threads are of mm 0; else each has its own */
	u32 left[CPUS];  /* mappings that each thread leaves */
	u64 wrong_exclusive, wrong_shared; /* (A) answers */
	u64 sure;        /* (A) times that exclusive() said yes */
};

static u32 pick(u64 *random, u32 n)
{
	return (u32)dice_roll(random, n);
}

/* The thread has a mapping, and with several mms so has every other. */
static void ask(struct race *r, unsigned mm)
{
	struct sharing_world *w = &r->world;
	const struct sharing_ops *ops = w->sharing.ops;
	bool exclusive = world_exclusive(w, mm), shared = world_shared(w);

	if (exclusive)
		mach_fetch_add(&r->sure, 1, MACH_RELAXED);
	if (!r->one_mm && ops->sound && (exclusive || !shared))
		mach_fetch_add(&r->wrong_exclusive, 1, MACH_RELAXED);
	if (r->one_mm && (ops->exact || ops == &sharing_mm_ids || ops == &sharing_owner) &&
	    shared)
		mach_fetch_add(&r->wrong_shared, 1, MACH_RELAXED);
}

/* Maps its pages 0 .. has - 1; the first all the time, and before. */
static void race_body(void *arg, unsigned nth)
{
	struct race *r = arg;
	struct sharing_world *w = &r->world;
	unsigned mm = r->one_mm ? 0 : nth;
	u64 random = nth + 1;
	u32 has = 1;

	for (unsigned i = 0; i < ROUNDS; i++) {
		if (has == 1 || (has < MOST && pick(&random, 2))) {
			u32 nr = 1 + pick(&random, MOST - has);

			if (world_map(w, mm, has, nr))
				abort();
			has += nr;
		} else {
			u32 nr = 1 + pick(&random, has - 1);

			has -= nr;
			world_unmap(w, mm, has, nr);
		}
		ask(r, mm);
	}
	r->left[nth] = has;
}

/* Every thread's mappings but the last one's go; then those, too. */
static void take_apart(struct race *r)
{
	struct sharing_world *w = &r->world;
	u32 sum = 0;

	for (unsigned i = 0; i < CPUS; i++)
		sum += r->left[i];
	assert_int_equal(world_mapcount(w), sum);
	for (unsigned i = 0; i < CPUS - 1; i++)
		world_unmap(w, r->one_mm ? 0 : i, 0, r->left[i]);
	assert_int_equal(world_mapcount(w), r->left[CPUS - 1]);
	if (w->sharing.ops->exact) {
		assert_true(world_exclusive(w, r->one_mm ? 0 : CPUS - 1));
		assert_false(world_shared(w));
	}
	world_unmap(w, r->one_mm ? 0 : CPUS - 1, 0, r->left[CPUS - 1]);
	assert_int_equal(world_mapcount(w), 0);
	assert_int_equal(sharing_split(&w->sharing, &w->state), 0);
}

/* All bytes but the sequence are as they were: nothing is left of the race. */
static void expect_nothing_left(const struct sharing_world *w)
{
	static const struct sharing_state none;

	assert_memory_equal(&w->state, &none, sizeof(none));
}

static void race(const struct sharing_ops *ops, bool one_mm)
{
	struct race r = { .one_mm = one_mm };

	world_init(&r.world, ops, ORDER, CPUS);
	for (unsigned i = 0; i < CPUS; i++)
		assert_int_equal(world_map(&r.world, one_mm ? 0 : i, 0, 1), 0);
	threads_run(CPUS, race_body, &r);
	assert_int_equal(r.wrong_exclusive, 0);
	assert_int_equal(r.wrong_shared, 0);
	if (ops->exact && one_mm && ops != &sharing_rmap_ids)
		assert_int_equal(r.sure, CPUS * ROUNDS);
	take_apart(&r);
	expect_nothing_left(&r.world);
	world_fini(&r.world);
}

static void several_mms(void **state)
{
	(void)state;
	for_each_rival(ops, ORDER)
		race(ops, false);
}

static void several_threads_of_one_mm(void **state)
{
	(void)state;
	for_each_rival(ops, ORDER)
		race(ops, true);
}

/* ---- ids ------------------------------------------------------------------------ */

enum { NR_IDS = 64, HELD = 20 };

struct ids_race {
	struct sharing sharing;
	u8 used[NR_IDS]; /* (A) by whom each id is held, plus 1 */
	u64 twice;       /* (A) ids that two hold */
};

static void ids_body(void *arg, unsigned nth)
{
	struct ids_race *r = arg;
	struct sharing_mm mms[HELD];

	for (unsigned i = 0; i < ROUNDS / 50; i++) {
		unsigned nr = 0;

		while (nr < HELD && sharing_mm_init(&r->sharing, &mms[nr]) == 0) {
			if (mach_xchg(&r->used[mms[nr].id], (u8)(nth + 1), MACH_SEQ_CST))
				mach_fetch_add(&r->twice, 1, MACH_RELAXED);
			nr++;
		}
		while (nr-- > 0) {
			mach_store(&r->used[mms[nr].id], (u8)0, MACH_RELEASE);
			sharing_mm_put(&r->sharing, &mms[nr]);
		}
	}
}

/* 80 are wanted, 63 are there. */
static void ids_are_held_by_one(void **state)
{
	struct ids_race r = { .twice = 0 };

	(void)state;
	assert_int_equal(sharing_init(&r.sharing, &sharing_moments, NR_IDS), 0);
	threads_run(CPUS, ids_body, &r);
	assert_int_equal(r.twice, 0);
	assert_int_equal(sharing_fini(&r.sharing), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_mms),
		cmocka_unit_test(several_threads_of_one_mm),
		cmocka_unit_test(ids_are_held_by_one),
	};

	return cmocka_run_group_tests(tests, world_attach, world_detach);
}
