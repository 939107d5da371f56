/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instance and one address space for tests of faults, fork and pins.
 * world_end() asserts the invariants and that nothing leaked.
 */
#ifndef TESTS_MM_WORLD_H
#define TESTS_MM_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quire/machine.h>
#include <quire/quire.h>
#include <quire/testing.h>

#define PAGE QUIRE_PAGE_SIZE
/* An address of which the pages up to the next one share a table. */
#define BASE (4 * QUIRE_PMD_SIZE)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define PRIVATE_ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED)
#define SHARED_ANON (QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED)

static struct quire *q;
static struct quire_mm *mm;
static struct quire_config world_config;

/* Tests that want another decision change world_config between the two. */
static inline void world_config_default(void)
{
	quire_config_default(&world_config);
	world_config.memory_bytes = 2048 * PAGE;
	world_config.nr_cpus = 4;
}

static inline void world_decide(const char *row, const char *alternative)
{
	assert_int_equal(quire_decisions_set(&world_config.decisions, row, alternative), 0);
}

static inline void world_begin(void)
{
	struct quire_layout layout;

	quire_fail_nth(0);
	assert_int_equal(quire_create(&world_config, &q), 0);
	quire_layout_default(&layout);
	assert_int_equal(quire_mm_create(q, &layout, &mm), 0);
}

static inline struct quire_leaks world_end_leaks(void)
{
	struct quire_leaks leaks;

	quire_fail_nth(0);
	if (mm != NULL)
		quire_mm_put(mm);
	mm = NULL;
	quire_check(q);
	quire_destroy(q, &leaks);
	return leaks;
}

static inline void world_end(void)
{
	struct quire_leaks leaks = world_end_leaks();

	assert_int_equal(leaks.nr_frames, 0);
	assert_int_equal(leaks.nr_objects, 0);
	assert_int_equal(leaks.nr_address_spaces, 0);
	assert_int_equal(leaks.nr_committed_pages, 0);
}

static inline int world_setup(void **state)
{
	(void)state;
	world_config_default();
	world_begin();
	return 0;
}

static inline int world_teardown(void **state)
{
	(void)state;
	world_end();
	return 0;
}

#define world_test(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

/* For tests that say what reading of memory never written does, on a kernel that has
 * pages of zeros. */
static inline void world_has_zero_pages(void)
{
	world_config.zero_page = true;
	world_config.huge_zero_page = true;
}

static inline int zeros_setup(void **state)
{
	(void)state;
	world_config_default();
	world_has_zero_pages();
	world_begin();
	return 0;
}

#define zeros_test(name) cmocka_unit_test_setup_teardown(name, zeros_setup, world_teardown)

static inline int world_main(const struct CMUnitTest *tests, size_t nr)
{
	assert_int_equal(quire_attach(), 0);
	return _cmocka_run_group_tests("tests", tests, nr, NULL, NULL);
}

static inline void map_in(struct quire_mm *where, uint64_t addr, uint64_t nr_pages,
			  uint32_t prot, uint32_t flags, struct quire_file *file,
			  uint64_t first_page)
{
	uint64_t got;

	assert_int_equal(quire_mmap(where, addr, nr_pages * PAGE, prot, flags, file,
				    first_page * PAGE, &got),
			 0);
	assert_int_equal(got, addr);
}

static inline void map_anon(uint64_t addr, uint64_t nr_pages)
{
	map_in(mm, addr, nr_pages, RW, PRIVATE_ANON, NULL, 0);
}

static inline uint8_t get(struct quire_mm *where, uint64_t addr)
{
	uint8_t byte;

	assert_int_equal(quire_read(where, addr, &byte, 1, NULL), 0);
	return byte;
}

static inline void put(struct quire_mm *where, uint64_t addr, uint8_t byte)
{
	assert_int_equal(quire_write(where, addr, &byte, 1, NULL), 0);
}

static inline struct quire_mm *fork_of(struct quire_mm *parent)
{
	struct quire_mm *child;

	assert_int_equal(quire_mm_fork(parent, &child), 0);
	quire_check(q);
	return child;
}

static inline struct quire_pin *pin_pages(struct quire_mm *where, uint64_t addr,
					  uint64_t nr_pages, uint32_t flags)
{
	struct quire_pin *pinned;

	assert_int_equal(quire_pin_pages(where, addr, nr_pages, flags, &pinned), 0);
	return pinned;
}

static inline uint8_t pin_get(struct quire_pin *pinned, uint64_t offset)
{
	uint8_t byte;

	assert_int_equal(quire_pin_read(pinned, offset, &byte, 1), 0);
	return byte;
}

static inline void pin_put(struct quire_pin *pinned, uint64_t offset, uint8_t byte)
{
	assert_int_equal(quire_pin_write(pinned, offset, &byte, 1), 0);
}

static inline struct quire_page_info info(struct quire_mm *where, uint64_t addr)
{
	struct quire_page_info page;

	assert_int_equal(quire_page_info(where, addr, &page), 0);
	return page;
}

static inline struct quire_mm_stats stats(struct quire_mm *where)
{
	struct quire_mm_stats now;

	quire_mm_stats(where, &now);
	return now;
}

static inline void assert_signal(struct quire_mm *where, uint64_t addr, enum quire_touch kind,
				 enum quire_signal signal)
{
	struct quire_fault fault = { QUIRE_NO_SIGNAL, 0 };

	assert_int_equal(quire_touch(where, addr, kind, &fault), -QUIRE_EFAULT);
	assert_int_equal(fault.signal, signal);
	assert_int_equal(fault.addr, addr);
}

#endif
