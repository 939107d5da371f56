/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on one-word, the only rival that counts the references of the
 * folio too, beside an array of what each mm maps and a number of references: ids
 * around every power of two up to 2^20 - 1, totals around every boundary of the
 * word's fields, and the one load that proves "all mine, and nobody else's".
 *
 * variants: threads_4k
 *
 * SHARING_OPS=n does n operations (default a million), SHARING_SEED=n another
 * sequence.
 */
#include "sharing_dice.h"

#include "sharing/one_word.h"

enum { NR_MMS = 4, LIFE = 64, ORDER = ONE_WORD_MAX_ORDER };

struct model {
	union {
		struct frame frames[4];
		struct folio folio;
	};
	struct sharing_mm mms[NR_MMS];
	u64 has[NR_MMS]; /* the truth */
	u64 n;
	u32 refs;
	bool fills;      /* this life heads for the most that can be counted */
	u64 refused, refs_refused, above, mine; /* operations of each kind */
};

static const struct sharing_ops *const ops = &sharing_one_word;
static struct sharing_state *state_of(struct model *m)
{
	return (struct sharing_state *)(void *)&m->frames[1];
}

/* New mms and an unmapped folio with one reference. */
static void live_again(struct model *m)
{
	memset(m->frames, 0, sizeof(m->frames));
	m->folio.order = ORDER;
	refcount_init(&m->folio.refs, 1);
	ops->init(state_of(m));
	folio_move_refs_to_word(&m->folio);
	pick_ids(m->mms, NR_MMS, ONE_WORD_ID_BITS);
	memset(m->has, 0, sizeof(m->has));
	m->n = 0;
	m->refs = 1;
	m->fills = pick(4) == 0;
}

static void map(struct model *m, unsigned mm, u32 nr)
{
	bool fits = m->n + nr <= ONE_WORD_N_MAX;

	assert_int_equal(ops->map(state_of(m), ORDER, &m->mms[mm], 0, nr),
			 fits ? 0 : -QUIRE_EOVERFLOW);
	m->refused += !fits;
	if (fits) {
		m->has[mm] += nr;
		m->n += nr;
	}
}

static void unmap(struct model *m, unsigned mm, u32 nr)
{
	/* unmap_hold has no refusal: who calls it holds far fewer. */
	if (pick(2) && m->refs < FOLIO_WORD_REFS_MAX) {
		ops->unmap_hold(state_of(m), &m->mms[mm], nr);
		m->refs++;
	} else {
		ops->unmap(state_of(m), ORDER, &m->mms[mm], 0, nr);
	}
	m->has[mm] -= nr;
	m->n -= nr;
}

static void change_refs(struct model *m)
{
	u32 nr = near_power(21, FOLIO_WORD_REFS_MAX);

	if (pick(3) == 0) {
		bool fits = m->refs + nr <= FOLIO_WORD_REFS_MAX;

		assert_int_equal(folio_try_get_word(&m->folio, nr), fits);
		m->refs += fits ? nr : 0;
		m->refs_refused += !fits;
	} else if (m->refs > 0) {
		nr = pick(4) || nr > m->refs ? m->refs : nr;
		m->refs -= nr;
		assert_int_equal(folio_put_word(&m->folio, nr), m->refs == 0 && m->n == 0);
	}
}

static unsigned step(struct model *m)
{
	unsigned mm = pick(NR_MMS);
	u32 what = pick(12);

	if (what >= 8) {
		change_refs(m);
	} else if (what < (m->fills ? 1 : 5) && m->has[mm] > 0) {
		u32 most = (u32)u64_min(m->has[mm], BIT(ORDER));

		unmap(m, mm, what < 3 ? most : near_power(21, most));
	} else {
		map(m, mm, near_power(21, 1u << ORDER));
		/* Exactly to the top, and past it. */
		if (ONE_WORD_N_MAX - m->n < BIT(ORDER) && m->n < ONE_WORD_N_MAX)
			map(m, mm, (u32)(ONE_WORD_N_MAX - m->n) + pick(2));
	}
	return mm;
}

static void expect_truth(struct model *m, unsigned last)
{
	unsigned sharers = 0, x = pick(2) ? last : pick(NR_MMS);
	struct sharing_state *state = state_of(m);
	bool exact = m->n <= ONE_WORD_EXACT_MAX, alone;

	for (unsigned i = 0; i < NR_MMS; i++)
		sharers += m->has[i] > 0;
	alone = sharers == 1 && m->has[x] > 0;
	m->above += !exact;
	m->mine += alone && exact && m->refs == 0;
	assert_int_equal(ops->mapcount(state), m->n);
	assert_int_equal(one_word_refs((u64)*folio_word(&m->folio)), m->refs);
	assert_int_equal(ops->exclusive(state, ORDER, &m->mms[x]), alone && exact);
	assert_int_equal(ops->all_mine(state, ORDER, &m->mms[x], NULL),
			 alone && exact && m->refs == 0);
	assert_int_equal(ops->shared(state, ORDER), sharers > 1 || !exact);
	assert_int_equal(*folio_word(&m->folio) == 0, m->n == 0 && m->refs == 0);
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
	print_message("%lu operations: %lu proven by one load, %lu above the exact range, "
		      "%lu mappings and %lu references refused\n",
		      (unsigned long)nr, (unsigned long)m.mine, (unsigned long)m.above,
		      (unsigned long)m.refused, (unsigned long)m.refs_refused);
	/* The cases were really there. */
	assert_true(m.mine > nr / 200 && m.above > nr / 100 && m.refused > nr / 1000 &&
		    m.refs_refused > nr / 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_operations) };

	return cmocka_run_group_tests(tests, world_attach, world_detach);
}
