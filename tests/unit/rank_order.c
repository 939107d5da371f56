/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock order is checked while debug builds run: each way to break it
 * stops the machine, and what is allowed does not.
 *
 * variants: threads_4k
 * presets: debug asan
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quire/machine.h>
#include <quire/testing.h>

#include "base/types.h"
#include "sync/lock.h"

#ifndef QUIRE_DEBUG
#error "ranks are checked in debug builds alone"
#endif

static jmp_buf stopped;
static const char *why;

static void on_stop(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	why = what;
	longjmp(stopped, 1);
}

/* True when `broken` was stopped, for that reason. */
static bool stops(void (*broken)(void), const char *reason)
{
	why = NULL;
	quire_set_stop_handler(on_stop);
	if (!setjmp(stopped))
		broken();
	quire_set_stop_handler(NULL);
	return why && strstr(why, reason);
}

static struct spinlock zone, zone2, leaf, pte1, pte2;
static struct mutex folio;
static struct rwsem mmap;

static void init_locks(void)
{
	spin_init(&zone, LOCK_RANK_zone);
	spin_init(&zone2, LOCK_RANK_zone);
	spin_init(&leaf, LOCK_RANK_leaf);
	spin_init(&pte1, LOCK_RANK_pte);
	spin_init(&pte2, LOCK_RANK_pte);
	mutex_init(&folio, LOCK_RANK_folio);
	rwsem_init(&mmap, LOCK_RANK_mmap);
}

static void the_right_order(void) NO_LOCK_ANALYSIS
{
	rwsem_read_lock(&mmap);
	mutex_lock(&folio);
	spin_lock(&pte1);
	spin_lock(&pte2); /* the list says `many` */
	spin_lock(&zone);
	spin_lock(&leaf);
	lock_assert_held(&zone);
	lock_assert_held(&mmap);
	/* Released in another order than taken. */
	mutex_unlock(&folio);
	spin_unlock(&pte1);
	spin_unlock(&leaf);
	spin_unlock(&zone);
	rwsem_read_unlock(&mmap);
	spin_unlock(&pte2);
	rank_assert_none_held();
}

static void the_wrong_order(void) NO_LOCK_ANALYSIS
{
	spin_lock(&zone);
	mutex_lock(&folio);
}

static void reader_after_leaf(void) NO_LOCK_ANALYSIS
{
	spin_lock(&leaf);
	rwsem_read_lock(&mmap);
}

static void two_of_one_rank(void) NO_LOCK_ANALYSIS
{
	spin_lock(&zone);
	spin_lock(&zone2);
}

static void the_same_twice(void) NO_LOCK_ANALYSIS
{
	spin_lock(&pte1);
	spin_lock(&pte1);
}

static void release_of_a_free_lock(void) NO_LOCK_ANALYSIS
{
	spin_unlock(&zone);
}

static void assert_of_a_free_lock(void) NO_LOCK_ANALYSIS
{
	lock_assert_held(&zone);
}

static void leaves_holding(void) NO_LOCK_ANALYSIS
{
	spin_lock(&leaf);
	rank_assert_none_held();
}

/* Lets go of what a stopped case held, so that the next starts clean. */
static void release_held(void) NO_LOCK_ANALYSIS
{
	struct spinlock *spins[] = { &zone, &zone2, &leaf, &pte1, &pte2 };

	for (unsigned i = 0; i < ARRAY_LEN(spins); i++)
		if (rank_held(spins[i]))
			spin_unlock(spins[i]);
	rank_assert_none_held();
}

static void allows_the_right_order(void **state)
{
	(void)state;
	assert_false(stops(the_right_order, ""));
}

static void stops_broken_orders(void **state)
{
	(void)state;
	assert_true(stops(the_wrong_order, "lock order"));
	release_held();
	assert_true(stops(reader_after_leaf, "lock order"));
	release_held();
	assert_true(stops(two_of_one_rank, "lock order"));
	release_held();
	assert_true(stops(the_same_twice, "lock order"));
	release_held();
}

static void stops_other_misuse(void **state)
{
	(void)state;
	assert_true(stops(release_of_a_free_lock, "does not hold"));
	assert_true(stops(assert_of_a_free_lock, "rank_held"));
	assert_true(stops(leaves_holding, "nr == 0"));
	release_held();
}

/* A trylock cannot deadlock: only what comes after it is checked. */
static void a_trylock_may_come_late(void **state) NO_LOCK_ANALYSIS
{
	(void)state;
	spin_lock(&leaf);
	assert_true(spin_trylock(&zone));
	assert_true(rank_held(&zone));
	spin_unlock(&zone);
	spin_unlock(&leaf);
	rank_assert_none_held();
}

/* A writer that became a reader still holds the lock. */
static void a_downgrade_keeps_the_rank(void **state) NO_LOCK_ANALYSIS
{
	(void)state;
	rwsem_write_lock(&mmap);
	rwsem_downgrade(&mmap);
	assert_true(rank_held(&mmap));
	rwsem_read_unlock(&mmap);
	rank_assert_none_held();
}

static int set_up(void **state)
{
	(void)state;
	init_locks();
	return mach_attach();
}

static int tear_down(void **state)
{
	(void)state;
	mach_detach();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allows_the_right_order),
		cmocka_unit_test(stops_broken_orders),
		cmocka_unit_test(stops_other_misuse),
		cmocka_unit_test(a_trylock_may_come_late),
		cmocka_unit_test(a_downgrade_keeps_the_rank),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
