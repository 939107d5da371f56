/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The judge of the `sharing` decision: what rivals answer in situations where
 * they are known to be right or wrong, and random lives of a family of address
 * spaces, where each verdict is held against who has which page by
 * quire_page_info().
 *
 * variants: count_4k explore_4k
 */
#include "dice.h"
#include "mm/mm.h"

#include "mm_world.h"

enum { ORDER = 4, NR = 1 << ORDER };

static struct quire_sharing_score score(void)
{
	struct quire_sharing_score now;

	assert_int_equal(quire_sharing_score(q, &now), 0);
	return now;
}

static void begin_with(const char *rival)
{
	world_end();
	world_decide("sharing", rival);
	world_config.score_sharing = true;
	world_begin();
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, NR);
	put(mm, BASE, 1);
}

static void unmap(struct quire_mm *where, unsigned first, unsigned nr)
{
	assert_int_equal(quire_munmap(where, BASE + first * PAGE, nr * PAGE), 0);
}

/* One query was made since the instance began, and this was the verdict. */
static void expect_verdict(size_t offset)
{
	struct quire_sharing_score now = score();

	assert_int_equal(now.queries, 1);
	assert_int_equal(*(const uint64_t *)(const void *)((const char *)&now + offset), 1);
}

#define EXPECT_VERDICT(field) expect_verdict(offsetof(struct quire_sharing_score, field))

static const char *const rivals[] = {
	"moments", "moments-locked", "moments-wide", "one-word", "mm-ids", "rmap-ids",
	"rmap-ids-posted", "owner", "total-mapcount", "first-subpage",
};
#define NR_RIVALS (sizeof(rivals) / sizeof(rivals[0]))

static void nobody_scores_unasked(void **state)
{
	struct quire_sharing_score now;

	(void)state;
	assert_true(quire_scores_sharing());
	assert_int_equal(quire_sharing_score(q, &now), -QUIRE_EINVAL);
	assert_int_equal(quire_sharing_score(NULL, &now), -QUIRE_EINVAL);
	begin_with("moments");
	assert_int_equal(quire_sharing_score(q, NULL), -QUIRE_EINVAL);
	assert_int_equal(score().queries, 0);
}

static void alone_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_RIVALS; i++) {
		begin_with(rivals[i]);
		quire_mm_put(fork_of(mm));
		put(mm, BASE + PAGE, 2);
		EXPECT_VERDICT(true_exclusive);
		assert_int_equal(score().copies_avoided, 1);
		assert_int_equal(score().pages_reused, NR);
	}
}

static void shared_by_two(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_RIVALS; i++) {
		struct quire_mm *child;

		begin_with(rivals[i]);
		child = fork_of(mm);
		put(child, BASE + PAGE, 2);
		EXPECT_VERDICT(true_shared);
		assert_int_equal(score().copies_avoided, 0);
		assert_int_equal(score().anon.folios, 1);
		assert_int_equal(score().anon.by_two, 1);
		assert_int_equal(score().anon.by_three, 0);
		quire_mm_put(child);
	}
}

/* The child has the second half, the parent the first. */
static void guesses_are_falsely_exclusive(void **state)
{
	static const char *const guessing[] = { "total-mapcount", "first-subpage" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct quire_mm *child;

		begin_with(guessing[i]);
		child = fork_of(mm);
		unmap(child, 0, NR / 2);
		unmap(mm, NR / 2, NR / 2);
		put(mm, BASE, 2);
		EXPECT_VERDICT(false_exclusive);
		/* What it said was not believed. */
		assert_int_equal(score().copies_avoided, 0);
		quire_mm_put(child);
	}
}

static void owner_does_not_know_when_the_owner_left(void **state)
{
	struct quire_mm *child;

	(void)state;
	begin_with("owner");
	child = fork_of(mm);
	unmap(mm, 0, NR);
	put(child, BASE, 2);
	EXPECT_VERDICT(false_shared);
	quire_mm_put(child);
}

/* The third to come is left alone. */
static void third_is_left(const char *rival)
{
	struct quire_mm *second, *third;

	begin_with(rival);
	second = fork_of(mm);
	third = fork_of(mm);
	unmap(mm, 0, NR);
	quire_mm_put(second);
	put(third, BASE, 2);
	assert_int_equal(score().anon.by_three, 1);
	assert_int_equal(score().queries_met_by_three, 1);
	quire_mm_put(third);
}

static void two_slots_do_not_know_the_third(void **state)
{
	(void)state;
	third_is_left("mm-ids");
	EXPECT_VERDICT(false_shared);
	third_is_left("moments");
	EXPECT_VERDICT(true_exclusive);
}

static void updates_are_counted(void **state)
{
	struct quire_sharing_score now;

	(void)state;
	begin_with("moments");
	assert_int_equal(score().maps.nr, 0);
	quire_mm_put(fork_of(mm));
	now = score();
	assert_int_equal(now.maps.pages, NR);
	assert_int_equal(now.unmaps.pages, NR);
	assert_true(now.maps.nr > 0 && now.maps.nr <= NR);
	if (quire_counts_costs()) {
		assert_int_equal(now.maps.atomics, now.maps.nr);
		assert_int_equal(now.maps.locks, 0);
		assert_int_equal(now.unmaps.atomics, now.unmaps.nr);
	}
	assert_int_equal(now.bytes_per_folio, 16);
}

/* Who met on a folio is not who meets on the next one in the same frames. */
static void a_new_folio_has_met_nobody(void **state)
{
	(void)state;
	begin_with("moments");
	quire_mm_put(fork_of(mm));
	unmap(mm, 0, NR);
	for (uint64_t i = 1; i <= 64; i++) {
		map_anon(BASE, NR);
		put(mm, BASE, 1);
		assert_int_equal(score().anon.folios, 1 + i);
		unmap(mm, 0, NR);
	}
	assert_int_equal(score().anon.by_two, 1);
}

/* A PMD leaf is reused without asking: the judge asks. */
static void leaves_are_judged(void **state)
{
	(void)state;
	begin_with("moments");
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(2 * BASE, QUIRE_PMD_SIZE / PAGE);
	put(mm, 2 * BASE, 1);
	quire_mm_put(fork_of(mm));
	put(mm, 2 * BASE + PAGE, 2);
	EXPECT_VERDICT(true_exclusive);
	assert_int_equal(score().copies_avoided, 1);
	assert_int_equal(score().pages_reused, QUIRE_PMD_SIZE / PAGE);
}

static void whatever_proves_the_reuse(void **state)
{
	(void)state;
	world_decide("reuse-proof", "rival");
	begin_with("mm-ids");
	quire_mm_put(fork_of(mm));
	put(mm, BASE, 2);
	EXPECT_VERDICT(true_exclusive);
	assert_int_equal(score().copies_avoided, 1);
}

/* Collapse asks about each folio of its range. */
static void collapse_is_judged(void **state)
{
	struct quire_sharing_score now;
	struct quire_mm *child;

	(void)state;
	begin_with("moments");
	map_anon(2 * BASE, QUIRE_PMD_SIZE / PAGE);
	for (unsigned i = 0; i < QUIRE_PMD_SIZE / PAGE; i += NR)
		put(mm, 2 * BASE + i * PAGE, 1);
	child = fork_of(mm);
	(void)quire_madvise(mm, 2 * BASE, QUIRE_PMD_SIZE, QUIRE_MADV_COLLAPSE);
	now = score();
	assert_true(now.true_shared >= QUIRE_PMD_SIZE / PAGE / NR);
	assert_int_equal(now.queries, now.true_shared + now.true_exclusive + now.unjudged);
	quire_mm_put(child);
}

/* ---- random families ------------------------------------------------------------ */

enum { NR_MMS = 4, NR_PAGES = 4 * NR };
#define MOVED (8 * QUIRE_PMD_SIZE) /* where mremap takes pages of BASE */

static struct quire_mm *mms[NR_MMS];
static uint64_t seed;

static unsigned roll(unsigned sides)
{
	return (unsigned)dice_roll(&seed, sides);
}

/* The large folio that has the page at `addr`, or NULL. */
static const struct folio *folio_at(struct quire_mm *where, uint64_t addr, bool *ret_exclusive)
{
	struct quire_page_info page;
	struct folio *folio;

	if (where == NULL || quire_page_info(where, addr, &page) != 0 || !page.present)
		return NULL;
	folio = frame_folio(pfn_frame(&q->phys, pfn_make(page.pfn)));
	*ret_exclusive = page.exclusive;
	return folio_is_large(folio) ? folio : NULL;
}

static bool has_page_of(struct quire_mm *where, const struct folio *folio)
{
	for (unsigned p = 0; p < NR_PAGES; p++) {
		bool exclusive;

		if (folio_at(where, BASE + p * PAGE, &exclusive) == folio ||
		    folio_at(where, MOVED + p * PAGE, &exclusive) == folio)
			return true;
	}
	return false;
}

static bool others_have(const struct quire_mm *me, const struct folio *folio)
{
	for (unsigned i = 0; i < NR_MMS; i++)
		if (mms[i] != NULL && mms[i] != me && has_page_of(mms[i], folio))
			return true;
	return false;
}

/* A write, and what the judge must have said of the question it raised. */
static void write_judged(struct quire_mm *me, uint64_t addr)
{
	struct quire_sharing_score before = score(), now;
	bool exclusive = false;
	const struct folio *folio = folio_at(me, addr, &exclusive);
	bool asks = folio != NULL && !exclusive;
	bool shared = asks && others_have(me, folio);

	if (quire_touch(me, addr, QUIRE_TOUCH_WRITE, NULL) != 0)
		return; /* nothing is mapped there */
	now = score();
	assert_int_equal(now.queries - before.queries, asks);
	assert_int_equal(now.unjudged, 0);
	assert_int_equal(now.true_shared + now.false_exclusive - before.true_shared -
			 before.false_exclusive, shared);
	assert_int_equal(now.true_exclusive + now.false_shared - before.true_exclusive -
			 before.false_shared, asks && !shared);
}

static void random_step(void)
{
	struct quire_mm **me = &mms[roll(NR_MMS)], **other = &mms[roll(NR_MMS)];
	unsigned first = roll(NR_PAGES), nr = 1 + roll(NR_PAGES - first);
	uint64_t addr = (roll(3) ? BASE : MOVED) + first * PAGE, got;
	unsigned what = roll(16);

	if (*me == NULL)
		return;
	if (what < 10) {
		write_judged(*me, addr);
	} else if (what == 10) {
		(void)quire_mremap(*me, BASE + first * PAGE, nr * PAGE, nr * PAGE,
				   QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
				   MOVED + first * PAGE, &got);
	} else if (what == 11) {
		unmap(*me, first, nr);
	} else if (what == 12 && me != other && *other != NULL) {
		quire_mm_put(*other);
		*other = NULL;
	} else if (what == 13) {
		map_in(*me, BASE, NR_PAGES, RW, PRIVATE_ANON, NULL, 0);
	} else if (*other == NULL) {
		*other = fork_of(*me);
	}
}

static void random_family(unsigned nr_steps)
{
	const struct quire_alternative_info *rival =
		quire_alternative_info((enum quire_alternative)
					       world_config.decisions.chosen[QUIRE_DECISION_sharing]);
	struct quire_sharing_score now;

	mms[0] = mm;
	for (unsigned i = 0; i < nr_steps; i++)
		random_step();
	quire_check(q);
	now = score();
	assert_true(now.true_shared > 0 && now.true_exclusive > 0);
	if (rival->sound)
		assert_int_equal(now.false_exclusive, 0);
	if (strncmp(rival->name, "moments", 7) == 0 || strcmp(rival->name, "one-word") == 0)
		assert_int_equal(now.false_shared, 0);
	for (unsigned i = 0; i < NR_MMS; i++) {
		if (mms[i] != NULL)
			quire_mm_put(mms[i]);
		mms[i] = NULL;
	}
	mm = NULL;
}

static void verdicts_are_what_the_tables_say(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_RIVALS; i++) {
		seed = i;
		begin_with(rivals[i]);
		map_anon(BASE, NR_PAGES);
		random_family(1500);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(nobody_scores_unasked),
		world_test(alone_again),
		world_test(shared_by_two),
		world_test(guesses_are_falsely_exclusive),
		world_test(owner_does_not_know_when_the_owner_left),
		world_test(two_slots_do_not_know_the_third),
		world_test(updates_are_counted),
		world_test(a_new_folio_has_met_nobody),
		world_test(leaves_are_judged),
		world_test(whatever_proves_the_reuse),
		world_test(collapse_is_judged),
		world_test(verdicts_are_what_the_tables_say),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
