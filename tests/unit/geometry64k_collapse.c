/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collapse where a page table has 8,192 entries and the folio 512 MiB.
 *
 * variants: threads_64k
 * presets: release
 */
#include "mm_world.h"

enum { NR = QUIRE_TABLE_ENTRIES };

static int roomy_setup(void **state)
{
	(void)state;
	world_config_default();
	/* Untouched memory costs nothing. */
	world_config.memory_bytes = 3 * QUIRE_PMD_SIZE;
	world_begin();
	return 0;
}

static void pages_far_apart_become_one_folio(void **state)
{
	(void)state;
	map_anon(BASE, NR);
	for (uint64_t i = 0; i < NR; i += NR / 4)
		put(mm, BASE + i * PAGE + i, (uint8_t)(1 + i / (NR / 4)));
	assert_int_equal(quire_madvise(mm, BASE, QUIRE_PMD_SIZE, QUIRE_MADV_COLLAPSE), 0);
	quire_check(q);
	assert_true(info(mm, BASE).leaf);
	assert_int_equal(info(mm, BASE).mapcount, NR);
	assert_int_equal(stats(mm).rss_anon_pages, NR);
	for (uint64_t i = 0; i < NR; i += NR / 4) {
		assert_int_equal(get(mm, BASE + i * PAGE + i), 1 + i / (NR / 4));
		assert_int_equal(get(mm, BASE + (i + 1) * PAGE + i), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_far_apart_become_one_folio, roomy_setup,
						world_teardown),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
