/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sharing detectors on the kept recordings, with large folios of each order
 * and of all: every answer held against the page tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "replay/replay.h"

static const char *const recordings[] = { "build", "daemon", "huge", "pipeline",
					  "postgres", "python", "redis" };
#define NR_RECORDINGS (sizeof(recordings) / sizeof(recordings[0]))

#define ALL_ORDERS 0u

/* One replay with folios of one order or of all. */
static struct replay_result scored(const char *recording, const char *rival, unsigned order)
{
	struct replay_options options;
	struct replay_result result;
	struct trace_error error = { 0 };
	char path[4096];

	replay_options_default(&options);
	options.config.score_sharing = true;
	options.folios_chosen = true;
	for (unsigned each = 2; each <= QUIRE_PMD_ORDER; each++)
		if (order == each || order == ALL_ORDERS) {
			options.config.anon_folios[each] = QUIRE_FOLIOS_ALWAYS;
			options.config.file_order = each;
		}
	assert_int_equal(quire_decisions_set(&options.config.decisions, "sharing", rival), 0);
	snprintf(path, sizeof(path), "%s/%s.quire", RECORDINGS, recording);
	if (replay_file(path, &options, &result, &error) != 0)
		fail_msg("%s", error.message);
	assert_true(result.complete);
	return result;
}

/* What must be, whoever answers. */
static struct quire_sharing_score verdicts(const char *recording, const char *rival,
					   unsigned order)
{
	struct replay_result result = scored(recording, rival, order);
	struct quire_sharing_score s = result.sharing;

	assert_int_equal(s.unjudged, 0); /* one CPU */
	assert_int_equal(s.queries, s.true_exclusive + s.true_shared + s.false_shared +
					    s.false_exclusive);
	/* A leaf is reused by its references, whatever the rival says. */
	assert_true(s.copies_avoided <= s.true_exclusive + s.false_shared);
	assert_true(s.anon.by_three <= s.anon.by_two && s.anon.by_two <= s.anon.folios);
	replay_result_fini(&result);
	return s;
}

static void test_moments_is_never_wrong(void **state)
{
	static const char *const forms[] = { "moments", "moments-locked", "moments-wide",
					     "one-word" };
	uint64_t nr_queries = 0;

	(void)state;
	for (unsigned i = 0; i < NR_RECORDINGS; i++)
		for (unsigned order = 0; order <= QUIRE_PMD_ORDER; order++) {
			struct quire_sharing_score s;

			if (order == 1)
				continue;
			s = verdicts(recordings[i], forms[order % 4], order);
			assert_int_equal(s.false_exclusive, 0);
			assert_int_equal(s.false_shared, 0);
			nr_queries += s.queries;
		}
	printf("%llu queries, none answered wrongly\n", (unsigned long long)nr_queries);
	assert_true(nr_queries > 50000);
}

static void test_sound_rivals_never_say_exclusive_wrongly(void **state)
{
	static const char *const sound[] = { "mm-ids", "rmap-ids", "owner" };

	(void)state;
	for (unsigned i = 0; i < NR_RECORDINGS; i++)
		for (unsigned r = 0; r < 3; r++) {
			assert_int_equal(verdicts(recordings[i], sound[r], 4).false_exclusive, 0);
			assert_int_equal(verdicts(recordings[i], sound[r], ALL_ORDERS)
						 .false_exclusive, 0);
		}
}

static void test_guesses_are_caught(void **state)
{
	(void)state;
	assert_true(verdicts("python", "first-subpage", 4).false_exclusive > 0);
	assert_true(verdicts("python", "total-mapcount", 2).false_exclusive > 0);
	assert_true(verdicts("python", "rmap-ids-posted", 2).false_shared > 0);
}

/* Three met and one is left: who has two slots, or one, cannot tell. */
static void test_daemon(void **state)
{
	uint64_t exact = verdicts("daemon", "moments", 4).copies_avoided;

	(void)state;
	assert_true(exact > 0);
	assert_true(verdicts("daemon", "mm-ids", 4).false_shared > 1000);
	assert_true(verdicts("daemon", "owner", 4).false_shared > 1000);
	assert_true(verdicts("daemon", "mm-ids", 4).copies_avoided < exact);
	assert_int_equal(verdicts("daemon", "rmap-ids", 4).copies_avoided, exact);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moments_is_never_wrong),
		cmocka_unit_test(test_sound_rivals_never_say_exclusive_wrongly),
		cmocka_unit_test(test_guesses_are_caught),
		cmocka_unit_test(test_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
