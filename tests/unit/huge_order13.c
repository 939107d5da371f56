/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaves of the 64 KiB geometry: 8,192 pages, 512 MiB, more than one table of 4 KiB
 * pages could map.  One life of one folio, as clearing it takes its time; all
 * else is tested where a leaf is smaller (huge_fault.c, huge_split.c, huge_fork.c).
 *
 * variants: threads_64k
 */
#include "huge_world.h"

/* Fault, pin, protect, move, fork, copy on write, parts dropped, unmapped, reuse. */
static void one_life(void **state)
{
	struct quire_mm *child;
	struct quire_pin *pin;
	uint64_t got;

	(void)state;
	assert_int_equal(HPAGES, 8192);
	make_leaf(BASE);
	assert_int_equal(info(mm, BASE).order, 13);
	assert_int_equal(info(mm, BASE).mapcount, HPAGES);
	pin = pin_pages(mm, BASE + HUGE - PAGE, 1, QUIRE_PIN_WRITE);
	quire_unpin(pin);
	assert_int_equal(quire_mprotect(mm, BASE, HUGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_mprotect(mm, BASE, HUGE, RW), 0);
	assert_int_equal(quire_mremap(mm, BASE, HUGE, HUGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, BASE + HUGE,
				      &got),
			 0);
	assert_true(info(mm, BASE + HUGE).leaf);
	assert_tags(mm, BASE + HUGE);

	child = fork_of(mm);
	assert_int_equal(info(mm, BASE + HUGE).mapcount, 2 * HPAGES);
	put(mm, BASE + HUGE, 99);
	assert_int_equal(stats(mm).cow_copies, 1);
	assert_int_equal(quire_madvise(mm, BASE + HUGE + PAGE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_tags(child, BASE + HUGE);
	assert_int_equal(quire_munmap(mm, BASE + HUGE, HUGE / 2), 0);
	quire_check(q);
	assert_int_equal(info(child, BASE + HUGE).mapcount, HPAGES + HPAGES / 2);
	assert_int_equal(quire_munmap(mm, BASE + HUGE, HUGE), 0);
	assert_int_equal(stats(mm).page_table_bytes, 0);

	put(child, BASE + HUGE, 98);
	assert_true(info(child, BASE + HUGE).leaf && info(child, BASE + HUGE).exclusive);
	assert_int_equal(stats(child).cow_copies, 0);
	quire_check(q);
	quire_mm_put(child);
}

/* The folio of zeros is as large; a write to it that finds no memory splits it. */
static void zeros(void **state)
{
	(void)state;
	map_huge(BASE, 1);
	assert_int_equal(get(mm, BASE + HUGE - PAGE), 0);
	assert_true(info(mm, BASE).leaf && info(mm, BASE).zero_page);
	quire_fail_nth(1);
	put(mm, BASE, 1);
	quire_fail_nth(0);
	assert_false(info(mm, BASE).leaf);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	assert_int_equal(get(mm, BASE), 1);
	assert_int_equal(get(mm, BASE + HUGE - PAGE), 0);
	quire_check(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		huge_test(one_life),
		huge_zeros_test(zeros),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
