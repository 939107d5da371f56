/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pins: a pinned page stays the one that the address space sees.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include "mm_world.h"

static void device_and_program_share(void **state)
{
	struct quire_pin *pinned;

	(void)state;
	map_anon(BASE, 20);
	put(mm, BASE, 1);
	pinned = pin_pages(mm, BASE, 20, QUIRE_PIN_WRITE);
	assert_int_equal(pin_get(pinned, 0), 1);
	pin_put(pinned, 19 * PAGE + 3, 4);
	assert_int_equal(get(mm, BASE + 19 * PAGE + 3), 4);
	put(mm, BASE + 13 * PAGE, 5);
	assert_int_equal(pin_get(pinned, 13 * PAGE), 5);
	quire_unpin(pinned);
	assert_int_equal(info(mm, BASE).refcount, 1);
}

static void arguments(void **state)
{
	struct quire_pin *pinned = NULL;
	uint8_t byte = 0;

	(void)state;
	map_in(mm, BASE, 1, QUIRE_PROT_READ, PRIVATE_ANON, NULL, 0);
	assert_int_equal(quire_pin_pages(mm, BASE, 0, 0, &pinned), -QUIRE_EINVAL);
	assert_int_equal(quire_pin_pages(mm, BASE, 1, 64, &pinned), -QUIRE_EINVAL);
	assert_int_equal(quire_pin_pages(mm, BASE, 1, QUIRE_PIN_WRITE, &pinned), -QUIRE_EFAULT);
	/* The second page is not there: the first is unpinned again. */
	assert_int_equal(quire_pin_pages(mm, BASE, 2, 0, &pinned), -QUIRE_EFAULT);
	assert_null(pinned);
	pinned = pin_pages(mm, BASE, 1, QUIRE_PIN_LONGTERM);
	assert_int_equal(quire_pin_write(pinned, 0, &byte, 1), -QUIRE_EACCES);
	assert_int_equal(quire_pin_read(pinned, PAGE, &byte, 1), -QUIRE_ERANGE);
	assert_int_equal(quire_pin_read(pinned, PAGE - 1, &byte, 1), 0);
	quire_unpin(pinned);
}

/* Fork copies for the child what the parent pinned. */
static void pin_then_fork(void **state)
{
	static const uint32_t flags[] = { 0, QUIRE_PIN_WRITE, QUIRE_PIN_LONGTERM,
					  QUIRE_PIN_WRITE | QUIRE_PIN_LONGTERM };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t addr = BASE + 2 * i * PAGE;
		struct quire_mm *child;
		struct quire_pin *pinned;

		map_anon(addr, 2);
		put(mm, addr, 1);
		put(mm, addr + PAGE, 2);
		pinned = pin_pages(mm, addr, 1, flags[i]);
		child = fork_of(mm);
		assert_true(info(mm, addr).exclusive && info(mm, addr).writable);
		assert_false(info(mm, addr + PAGE).exclusive);
		assert_true(info(child, addr).pfn != info(mm, addr).pfn);
		assert_int_equal(info(child, addr + PAGE).pfn, info(mm, addr + PAGE).pfn);
		put(mm, addr, 3);
		assert_int_equal(pin_get(pinned, 0), 3);
		assert_int_equal(get(child, addr), 1);
		assert_int_equal(get(child, addr + PAGE), 2);
		quire_mm_put(child);
		quire_unpin(pinned);
	}
}

/* A read pin of a page that parent and child share: its own copy first. */
static void fork_then_read_pin(void **state)
{
	struct quire_mm *child;
	struct quire_pin *pinned;

	(void)state;
	map_anon(BASE, 1);
	put(mm, BASE, 1);
	child = fork_of(mm);
	pinned = pin_pages(mm, BASE, 1, 0);
	assert_true(info(mm, BASE).pfn != info(child, BASE).pfn);
	assert_true(info(mm, BASE).exclusive);
	put(mm, BASE, 2);
	assert_int_equal(pin_get(pinned, 0), 2);
	assert_int_equal(get(child, BASE), 1);
	quire_unpin(pinned);
	quire_mm_put(child);
}

/* A plain reference promises nothing: the page is shared and then copied. */
static void fork_then_get_only(void **state)
{
	struct quire_mm *child;
	struct quire_pin *got;

	(void)state;
	map_anon(BASE, 1);
	put(mm, BASE, 1);
	child = fork_of(mm);
	got = pin_pages(mm, BASE, 1, QUIRE_PIN_GET_ONLY);
	put(mm, BASE, 2);
	assert_int_equal(pin_get(got, 0), 1);
	quire_unpin(got);
	quire_mm_put(child);
}

/* The zero page: a long-term reader gets a page of its own, so that a later
 * write reaches it; a short one reads zeros. */
static void zero_page(void **state)
{
	struct quire_pin *short_term, *long_term;

	(void)state;
	map_anon(BASE, 2);
	short_term = pin_pages(mm, BASE, 1, 0);
	assert_true(info(mm, BASE).zero_page);
	assert_int_equal(pin_get(short_term, 0), 0);
	long_term = pin_pages(mm, BASE + PAGE, 1, QUIRE_PIN_LONGTERM);
	assert_false(info(mm, BASE + PAGE).zero_page);
	put(mm, BASE + PAGE, 3);
	assert_int_equal(pin_get(long_term, 0), 3);
	quire_unpin(short_term);
	quire_unpin(long_term);
}

/* The frame outlives its mapping for as long as it is pinned. */
static void pin_outlives_unmap(void **state)
{
	struct quire_pin *pinned;

	(void)state;
	map_anon(BASE, 1);
	put(mm, BASE, 1);
	pinned = pin_pages(mm, BASE, 1, QUIRE_PIN_WRITE);
	assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
	map_anon(BASE, 1);
	put(mm, BASE, 2);
	assert_int_equal(pin_get(pinned, 0), 1);
	pin_put(pinned, 0, 9);
	assert_int_equal(get(mm, BASE), 2);
	quire_unpin(pinned);
}

static void every_allocation_fails(void **state)
{
	struct quire_mm *child;
	struct quire_pin *pinned = NULL;
	int err = -1;

	(void)state;
	map_anon(BASE, 14);
	put(mm, BASE, 1);
	child = fork_of(mm);
	for (uint64_t n = 1; err != 0; n++) {
		quire_fail_nth(n);
		err = quire_pin_pages(child, BASE, 14, QUIRE_PIN_LONGTERM, &pinned);
		quire_fail_nth(0);
		if (err != 0) {
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_null(pinned);
		}
	}
	quire_unpin(pinned);
	quire_mm_put(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(device_and_program_share),
		world_test(arguments),
		world_test(pin_then_fork),
		world_test(fork_then_read_pin),
		world_test(fork_then_get_only),
		zeros_test(zero_page),
		world_test(pin_outlives_unmap),
		world_test(every_allocation_fails),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
