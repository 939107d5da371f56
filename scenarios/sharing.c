/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three mms map and unmap one folio while they ask whose it is.
 *
 * Mm 0 maps a page from before the start and keeps it.  Whoever changes its
 * mappings says so before and after; so an asker knows what was true all the
 * time between call and answer: an mm that was mapped throughout makes
 * "exclusive" false, and when both others were unmapped throughout,
 * "shared" is.  Then the two errors of rmap-ids as posted, beside the repaired.
 */
#include "scenarios/scenario.h"
#include "sharing/sharing.h"

enum { NR_MMS = 3, ORDER = 2 };

struct sharing_race {
	struct sharing sharing;
	struct sharing_mm mms[NR_MMS];
	struct sharing_state folio;
	u32 stage[NR_MMS]; /* (A) 4 k: unmapped, 4 k + 2: mapped, odd: on the way */
};

static void name_folio(struct sharing_state *folio)
{
	scenario_name(&folio->tails[0].half, sizeof(u32), 0, "n");
	scenario_name(&folio->tails[0].last, sizeof(u64), 0, "sequence");
	scenario_name(&folio->tails[1].words, sizeof(folio->tails[1].words), 0, "words");
	scenario_name(&folio->tails[1].last, sizeof(u64), 0, "last");
}

static int sharing_setup_with(struct sharing_race *s, const struct sharing_ops *ops)
{
	int ret = sharing_init(&s->sharing, ops, NR_MMS + 1);

	for (unsigned i = 0; ret == 0 && i < NR_MMS; i++)
		ret = sharing_mm_init(&s->sharing, &s->mms[i]);
	if (ret == 0)
		ret = sharing_folio_init(&s->sharing, &s->folio, ORDER);
	if (ret)
		return ret;
	sharing_map_new(&s->sharing, &s->folio, ORDER, &s->mms[0], 0, 1);
	name_folio(&s->folio);
	scenario_name_field(s, stage);
	return 0;
}

/* Each mm's pages are its own two; mm 0 keeps the one it began with. */
static void map(struct sharing_race *s, unsigned mm, u32 nr)
{
	atomic_fetch_add(&s->stage[mm], 1u);
	scenario_expect(sharing_map(&s->sharing, &s->folio, ORDER, &s->mms[mm], 1, nr) == 0);
	atomic_fetch_add(&s->stage[mm], 1u);
}

static void unmap(struct sharing_race *s, unsigned mm, u32 nr)
{
	atomic_fetch_add(&s->stage[mm], 1u);
	sharing_unmap(&s->sharing, &s->folio, ORDER, &s->mms[mm], 1, nr);
	atomic_fetch_add(&s->stage[mm], 1u);
}

static void ask(struct sharing_race *s)
{
	u32 before[NR_MMS], after[NR_MMS];
	bool exclusive, mapped = false, alone = true;

	for (unsigned i = 1; i < NR_MMS; i++)
		before[i] = atomic_load_acquire(&s->stage[i]);
	exclusive = sharing_exclusive(&s->sharing, &s->folio, ORDER, &s->mms[0]);
	for (unsigned i = 1; i < NR_MMS; i++) {
		after[i] = atomic_load_acquire(&s->stage[i]);
		mapped |= before[i] == after[i] && after[i] % 4 == 2;
		alone &= before[i] == after[i] && after[i] % 4 == 0;
	}
	scenario_expect(!exclusive || !mapped);
	/* Two slots may not see that it is alone once three have met. */
	if (s->sharing.ops->exact)
		scenario_expect(exclusive || !alone);
}

/* Mm 0 asks; mm 1 comes and goes; mm 2 comes, and asks, and goes. */
static void sharing_body(void *state, unsigned body)
{
	struct sharing_race *s = state;

	if (body == 0) {
		ask(s);
		ask(s);
		return;
	}
	map(s, body, body);
	if (body == 2)
		scenario_expect(!sharing_exclusive(&s->sharing, &s->folio, ORDER, &s->mms[2]));
	unmap(s, body, body);
}

/* The same, and mm 0 changes its mappings too: three writers. */
static void sharing_writers_body(void *state, unsigned body)
{
	struct sharing_race *s = state;

	map(s, body, 2);
	scenario_expect(body == 0 ||
			!sharing_exclusive(&s->sharing, &s->folio, ORDER, &s->mms[body]));
	unmap(s, body, 2);
}

static void sharing_finish(void *state)
{
	struct sharing_race *s = state;

	scenario_expect(sharing_mapcount(&s->sharing, &s->folio) == 1);
	if (s->sharing.ops->exact)
		scenario_expect(sharing_exclusive(&s->sharing, &s->folio, ORDER, &s->mms[0]) &&
				!sharing_shared(&s->sharing, &s->folio, ORDER));
	scenario_expect(sharing_split(&s->sharing, &s->folio) == -QUIRE_EBUSY);
	sharing_unmap(&s->sharing, &s->folio, ORDER, &s->mms[0], 0, 1);
	scenario_expect(sharing_split(&s->sharing, &s->folio) == 0);
	for (unsigned i = 0; i < NR_MMS; i++)
		scenario_expect(sharing_mm_put(&s->sharing, &s->mms[i]));
	scenario_expect_no_leak(sharing_fini(&s->sharing), "ids");
}

static int moments_setup(void *state)
{
	return sharing_setup_with(state, &sharing_moments);
}

static int mm_ids_setup(void *state)
{
	return sharing_setup_with(state, &sharing_mm_ids);
}

static int rmap_ids_setup(void *state)
{
	return sharing_setup_with(state, &sharing_rmap_ids);
}

const struct scenario scenario_sharing_moments = {
	.name = "sharing-moments",
	.shows = "asked by mms of which two come and go: no wrong answer while others map and unmap",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = moments_setup,
	.body = sharing_body,
	.finish = sharing_finish,
};

const struct scenario scenario_sharing_moments_writers = {
	.name = "sharing-moments-writers",
	.shows = "changed by three mms at once: what is left is counted right",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = moments_setup,
	.body = sharing_writers_body,
	.finish = sharing_finish,
};

const struct scenario scenario_sharing_mm_ids = {
	.name = "sharing-mm-ids",
	.shows = "asked by mms of which two come and go: never exclusive while another mm maps it",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = mm_ids_setup,
	.body = sharing_body,
	.finish = sharing_finish,
};

const struct scenario scenario_sharing_mm_ids_writers = {
	.name = "sharing-mm-ids-writers",
	.shows = "changed by three mms at once: what is left is counted right",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = mm_ids_setup,
	.body = sharing_writers_body,
	.finish = sharing_finish,
};

const struct scenario scenario_sharing_rmap_ids = {
	.name = "sharing-rmap-ids",
	.shows = "asked by mms of which two come and go: no wrong answer, whichever kind the writers are",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = rmap_ids_setup,
	.body = sharing_body,
	.finish = sharing_finish,
};

const struct scenario scenario_sharing_rmap_ids_writers = {
	.name = "sharing-rmap-ids-writers",
	.shows = "changed by three mms at once: what is left is counted right",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = rmap_ids_setup,
	.body = sharing_writers_body,
	.finish = sharing_finish,
};

/* ---- a word read in two halves ----------------------------------------------------------- */

/*
 * Ids 1, 2 and 3 map a page each: n = 3 and S = 6, as for 2 alone with three.
 * Then 3 unmaps its page and 1 maps seven more: Q = 8 * 1 + 4 = 12, which is that
 * of 2 alone with three.  So who reads the word in two halves may take
 * mm 2 for the only one, though mm 1 is there all the time.
 */
enum { WHOLE_ORDER = 3 };

static int whole_setup(void *state)
{
	struct sharing_race *s = state;
	int ret = sharing_setup_with(s, &sharing_moments);

	for (unsigned i = 1; ret == 0 && i < NR_MMS; i++)
		ret = sharing_map(&s->sharing, &s->folio, WHOLE_ORDER, &s->mms[i], 0, 1);
	return ret;
}

static void whole_body(void *state, unsigned body)
{
	struct sharing_race *s = state;

	if (body == 0)
		scenario_expect(sharing_map(&s->sharing, &s->folio, WHOLE_ORDER, &s->mms[0], 1,
					    7) == 0);
	else if (body == 1)
		scenario_expect(!sharing_exclusive(&s->sharing, &s->folio, WHOLE_ORDER,
						   &s->mms[1]));
	else
		sharing_unmap(&s->sharing, &s->folio, WHOLE_ORDER, &s->mms[2], 0, 1);
}

static void whole_finish(void *state)
{
	struct sharing_race *s = state;

	scenario_expect(sharing_shared(&s->sharing, &s->folio, WHOLE_ORDER));
	sharing_unmap(&s->sharing, &s->folio, WHOLE_ORDER, &s->mms[0], 1, 7);
	sharing_unmap(&s->sharing, &s->folio, WHOLE_ORDER, &s->mms[1], 0, 1);
	sharing_finish(state);
}

const struct scenario scenario_sharing_moments_whole = {
	.name = "sharing-moments-whole",
	.shows = "halves of two moments' words would make mm 2 look alone; the word does not",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = whole_setup,
	.body = whole_body,
	.finish = whole_finish,
};

/* ---- the count forgotten ------------------------------------------------------------- */

static int posted_setup(void *state)
{
	return sharing_setup_with(state, &sharing_rmap_ids_posted);
}

/* Mm 0 has two pages, mm 1 had one, mm 2 has one, and asks. */
static void count_body(void *state, unsigned body)
{
	struct sharing_race *s = state;

	map(s, body, 1);
	if (body == 1)
		unmap(s, body, 1);
	if (body == 2)
		scenario_expect(!sharing_exclusive(&s->sharing, &s->folio, ORDER, &s->mms[2]));
}

static void count_finish(void *state)
{
	struct sharing_race *s = state;

	unmap(s, 0, 1);
	unmap(s, 2, 1);
	sharing_finish(state);
}

const struct scenario scenario_sharing_count_kept = {
	.name = "sharing-count-kept",
	.shows = "rmap-ids at order 2: the third mm is not alone",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = rmap_ids_setup,
	.body = count_body,
	.finish = count_finish,
};

const struct scenario scenario_sharing_count_lost = {
	.name = "sharing-count-lost",
	.shows = "the same as posted: sub-ids are not multiplied by the count",
	.finds = "check",
	.nr_bodies = NR_MMS,
	.state_bytes = sizeof(struct sharing_race),
	.setup = posted_setup,
	.body = count_body,
	.finish = count_finish,
};

/* ---- the overflow ---------------------------------------------------------------------- */

enum { OVERFLOW_ORDER = 9, NR_OTHERS = 7, NR_OVERFLOW_IDS = 256 };

static const struct {
	u32 id, pages;
} others[NR_OTHERS] = {
	{ 0xf7, 2 }, { 0xf6, 12 }, { 0xb6, 14 }, { 0x96, 14 },
	{ 0x92, 14 }, { 0x90, 12 }, { 0x10, 2 },
};

static const u32 asker_id = 0xaa, asker_pages = 442;

struct overflow {
	struct sharing sharing;
	struct sharing_mm asker, mms[NR_OTHERS];
	struct sharing_state folio;
};

static int overflow_map(struct overflow *s, unsigned k)
{
	return sharing_map(&s->sharing, &s->folio, OVERFLOW_ORDER, &s->mms[k], 0,
			   others[k].pages);
}

/* Ids are given out lowest first: all up to the highest wanted are taken. */
static int overflow_setup_with(struct overflow *s, const struct sharing_ops *ops)
{
	int ret = sharing_init(&s->sharing, ops, NR_OVERFLOW_IDS);

	for (unsigned i = 1; ret == 0 && i < NR_OVERFLOW_IDS; i++) {
		struct sharing_mm mm;

		ret = sharing_mm_init(&s->sharing, &mm);
		for (unsigned k = 0; ret == 0 && k < NR_OTHERS; k++)
			if (mm.id == others[k].id)
				s->mms[k] = mm;
		if (ret == 0 && mm.id == asker_id)
			s->asker = mm;
	}
	if (ret == 0)
		ret = sharing_folio_init(&s->sharing, &s->folio, OVERFLOW_ORDER);
	if (ret)
		return ret;
	sharing_map_new(&s->sharing, &s->folio, OVERFLOW_ORDER, &s->asker, 70, asker_pages);
	name_folio(&s->folio);
	for (unsigned k = 0; ret == 0 && k < NR_OTHERS - 2; k++)
		ret = overflow_map(s, k);
	return ret;
}

static int overflow_posted_setup(void *state)
{
	return overflow_setup_with(state, &sharing_rmap_ids_posted);
}

static int overflow_repaired_setup(void *state)
{
	return overflow_setup_with(state, &sharing_rmap_ids);
}

/* Two mms map what is missing, a third asks: it is never alone. */
static void overflow_body(void *state, unsigned body)
{
	struct overflow *s = state;

	if (body < 2)
		scenario_expect(overflow_map(s, NR_OTHERS - 1 - body) == 0);
	else
		scenario_expect(!sharing_exclusive(&s->sharing, &s->folio, OVERFLOW_ORDER,
						   &s->asker));
}

static void overflow_finish(void *state)
{
	struct overflow *s = state;

	scenario_expect(sharing_mapcount(&s->sharing, &s->folio) == 512);
	for (unsigned k = 0; k < NR_OTHERS; k++)
		sharing_unmap(&s->sharing, &s->folio, OVERFLOW_ORDER, &s->mms[k], 0,
			      others[k].pages);
	scenario_expect(sharing_exclusive(&s->sharing, &s->folio, OVERFLOW_ORDER, &s->asker));
	scenario_expect(sharing_fini(&s->sharing) == NR_OVERFLOW_IDS - 1);
}

const struct scenario scenario_sharing_overflow_repaired = {
	.name = "sharing-overflow-repaired",
	.shows = "rmap-ids at order 9: 70 mappings of seven mms are not the eighth's",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct overflow),
	.setup = overflow_repaired_setup,
	.body = overflow_body,
	.finish = overflow_finish,
};

const struct scenario scenario_sharing_overflow = {
	.name = "sharing-overflow",
	.shows = "the same as posted: three values of 8 bits in base 513",
	.finds = "check",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct overflow),
	.setup = overflow_posted_setup,
	.body = overflow_body,
	.finish = overflow_finish,
};
