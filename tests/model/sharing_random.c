/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on moments, in its three forms, beside an array that
 * counts the mappings of each mm.  Ids lie around every power of two up to
 * 2^22 - 1, batches and totals around every boundary of the word's fields.
 *
 * variants: threads_4k
 *
 * SHARING_OPS=n does n operations (default a million), SHARING_SEED=n another
 * sequence.
 */
#include "sharing_dice.h"

#include "sharing/moments.h"

enum { NR_MMS = 4, NR_FORMS = 3, LIFE = 64, ORDER = MOMENTS_MAX_ORDER };

static const struct sharing_ops *const forms[NR_FORMS] = {
	&sharing_moments, &sharing_moments_locked, &sharing_moments_wide,
};

struct model {
	struct sharing_mm mms[NR_MMS];
	struct sharing_state folios[NR_FORMS];
	u64 has[NR_MMS]; /* the truth */
	u64 n;
	bool fills;      /* this life heads for the most that can be counted */
	unsigned batch_bits; /* its batches are up to 2^this */
	u64 refused, above, alone; /* operations of each kind */
};

/* New mms and an unmapped folio. */
static void live_again(struct model *m)
{
	pick_ids(m->mms, NR_MMS, MOMENTS_ID_BITS);
	memset(m->has, 0, sizeof(m->has));
	m->n = 0;
	m->fills = pick(4) == 0;
	m->batch_bits = m->fills ? ORDER : pick(ORDER + 1);
	for (unsigned f = 0; f < NR_FORMS; f++)
		forms[f]->init(&m->folios[f]);
}

static void map(struct model *m, unsigned mm, u32 nr)
{
	for (unsigned f = 0; f < NR_FORMS; f++) {
		bool fits = f == 2 || m->n + nr <= MOMENTS_N_MAX;
		int ret = forms[f]->map(&m->folios[f], ORDER, &m->mms[mm], 0, nr);

		assert_int_equal(ret, fits ? 0 : -QUIRE_EOVERFLOW);
		/* What the word has no room for is taken back from the wide one. */
		if (f == 2 && m->n + nr > MOMENTS_N_MAX)
			forms[f]->unmap(&m->folios[f], ORDER, &m->mms[mm], 0, nr);
	}
	if (m->n + nr > MOMENTS_N_MAX) {
		m->refused++;
		return;
	}
	m->has[mm] += nr;
	m->n += nr;
}

static void unmap(struct model *m, unsigned mm, u32 nr)
{
	for (unsigned f = 0; f < NR_FORMS; f++)
		forms[f]->unmap(&m->folios[f], ORDER, &m->mms[mm], 0, nr);
	m->has[mm] -= nr;
	m->n -= nr;
}

/* One operation, by the mm that is returned. */
static unsigned step(struct model *m)
{
	unsigned mm = pick(NR_MMS);
	u32 what = pick(8);

	if (what < (m->fills ? 1 : 5) && m->has[mm] > 0) {
		u32 most = (u32)u64_min(m->has[mm], BIT(ORDER));

		unmap(m, mm, what < 3 ? most : near_power(23, most));
		return mm;
	}
	map(m, mm, m->fills && pick(2) ? 1u << ORDER : near_power(23, 1u << m->batch_bits));
	/* Exactly to the top, and past it. */
	if (MOMENTS_N_MAX - m->n < BIT(ORDER) && m->n < MOMENTS_N_MAX)
		map(m, mm, (u32)(MOMENTS_N_MAX - m->n) + pick(2));
	return mm;
}

static void expect_truth(struct model *m, unsigned last)
{
	unsigned sharers = 0, x = pick(2) ? last : pick(NR_MMS);
	bool alone;

	for (unsigned i = 0; i < NR_MMS; i++)
		sharers += m->has[i] > 0;
	alone = sharers == 1 && m->has[x] > 0;
	m->alone += alone;
	m->above += m->n > MOMENTS_EXACT_MAX;
	for (unsigned f = 0; f < NR_FORMS; f++) {
		/* Above the exact range the word says "shared", whoever it is. */
		bool exact = f == 2 || m->n <= MOMENTS_EXACT_MAX;

		if (forms[f]->mapcount(&m->folios[f]) != m->n ||
		    forms[f]->exclusive(&m->folios[f], ORDER, &m->mms[x]) != (alone && exact) ||
		    forms[f]->shared(&m->folios[f], ORDER) != (sharers > 1 || !exact))
			fail_msg("%s: %u sharers, n %lu, mm %u has %lu", forms[f]->name, sharers,
				 (unsigned long)m->n, m->mms[x].id, (unsigned long)m->has[x]);
	}
	if (alone && m->n <= MOMENTS_EXACT_MAX)
		assert_int_equal(moments_owner(m->folios[0].tails[1].wide), m->mms[x].id);
	assert_true(m->folios[0].tails[1].wide == m->folios[1].tails[1].wide);
}

static void random_operations(void **state)
{
	static struct model m;
	u64 nr = from_environment("SHARING_OPS", 1000000);

	(void)state;
	random_state = from_environment("SHARING_SEED", 1);
	for (u64 i = 0; i < nr; i++) {
		if (i % LIFE == 0)
			live_again(&m);
		expect_truth(&m, step(&m));
	}
	print_message("%lu operations: %lu asked by the only mm, %lu above the exact range, "
		      "%lu refused\n", (unsigned long)nr, (unsigned long)m.alone,
		      (unsigned long)m.above, (unsigned long)m.refused);
	/* The cases were really there. */
	assert_true(m.alone > nr / 100 && m.above > nr / 100 && m.refused > nr / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_operations) };

	return cmocka_run_group_tests(tests, world_attach, world_detach);
}
