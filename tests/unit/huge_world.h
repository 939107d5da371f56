/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of PMD leaves share: a world with room for a few, and steps. */
#ifndef TESTS_HUGE_WORLD_H
#define TESTS_HUGE_WORLD_H

#include "mm_world.h"

#define HUGE QUIRE_PMD_SIZE
#define HPAGES ((uint64_t)QUIRE_TABLE_ENTRIES)
/* The first address that another table of level 1 serves than BASE. */
#define FAR (BASE - BASE % (HUGE * HPAGES) + HUGE * HPAGES)

/* The explore machine keeps what is freed, so a tiny world has pages to spare. */
static inline void huge_config(void)
{
	world_config_default();
	world_config.memory_bytes = 12 * HUGE + (PAGE < 4096 ? 4096 : 256) * PAGE;
	world_config.overcommit = QUIRE_OVERCOMMIT_ALWAYS;
}

static inline void huge_begin(void)
{
	struct quire_layout layout;

	world_begin();
	quire_mm_get_layout(mm, &layout);
	layout.limits.may_lock_any = true;
	quire_mm_set_limits(mm, &layout.limits);
}

static inline int huge_setup(void **state)
{
	(void)state;
	huge_config();
	huge_begin();
	return 0;
}

/* As zeros_setup. */
static inline int huge_zeros_setup(void **state)
{
	(void)state;
	huge_config();
	world_has_zero_pages();
	huge_begin();
	return 0;
}

#define huge_test(name) cmocka_unit_test_setup_teardown(name, huge_setup, world_teardown)
#define huge_zeros_test(name) \
	cmocka_unit_test_setup_teardown(name, huge_zeros_setup, world_teardown)

/* `nr` PMD ranges that may have leaves. */
static inline void map_huge(uint64_t addr, uint64_t nr)
{
	map_anon(addr, nr * HPAGES);
	assert_int_equal(quire_madvise(mm, addr, nr * HUGE, QUIRE_MADV_HUGEPAGE), 0);
}

/* Pages that tell one from another: few enough to be looked at in any geometry. */
static const uint64_t tagged[] = { 0, 1, HPAGES / 2, HPAGES - 1 };
enum { NR_TAGGED = 4 };

static inline uint64_t tagged_page(uint64_t addr, unsigned i)
{
	return addr + tagged[i] * PAGE;
}

/* A leaf at `addr` whose pages are tagged. */
static inline void make_leaf(uint64_t addr)
{
	map_huge(addr, 1);
	for (unsigned i = 0; i < NR_TAGGED; i++)
		put(mm, tagged_page(addr, i), (uint8_t)(i + 1));
	assert_true(info(mm, addr).leaf);
}

static inline void assert_tags(struct quire_mm *where, uint64_t addr)
{
	for (unsigned i = 0; i < NR_TAGGED; i++)
		assert_int_equal(get(where, tagged_page(addr, i)), i + 1);
}

#endif
