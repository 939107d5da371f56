/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A folio that is mapped as often as can be counted: one more fork is refused,
 * and so is a split, which could not be taken back.
 *
 * variants: threads_4k
 */
#include "mm/mm.h"

#include "mm_world.h"

enum { MAX_CHILDREN = 1100 };

static struct quire_mm *children[MAX_CHILDREN];

static uint64_t split(void)
{
	uint64_t nr;

	assert_int_equal(quire_split_folios(mm, BASE, QUIRE_PMD_SIZE, 0, &nr), 0);
	return nr;
}

static void a_folio_mapped_too_often(void **state)
{
	unsigned nr = 0, spare = 0;

	(void)state;
	world_end();
	world_decide("sharing", "one-word"); /* the smallest limit */
	world_config.memory_bytes = UINT64_C(64) << 20;
	world_config.overcommit = QUIRE_OVERCOMMIT_ALWAYS;
	world_begin();
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, QUIRE_TABLE_ENTRIES);
	put(mm, BASE + PAGE, 7);
	while (quire_mm_fork(mm, &children[nr]) == 0)
		assert_true(++nr < MAX_CHILDREN);
	assert_int_equal(nr, ((1u << 19) - 1) / QUIRE_TABLE_ENTRIES - 1);
	assert_int_equal(split(), 0);
	assert_true(info(mm, BASE).leaf);
	/* Room for each CPU to map it once more. */
	for (; split() == 0; spare++)
		quire_mm_put(children[--nr]);
	assert_int_equal(spare, world_config.nr_cpus);
	assert_int_equal(info(mm, BASE + PAGE).mapcount, nr + 1);
	assert_int_equal(get(children[0], BASE + PAGE), 7);
	quire_check(q);
	while (nr > 0)
		quire_mm_put(children[--nr]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_folio_mapped_too_often),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
