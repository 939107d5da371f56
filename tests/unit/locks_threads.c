/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The locks of the threads machine under contention: exclusion, the order of
 * memory (the thread sanitizer looks), trylocks, downgrade, and that nobody
 * sleeps for ever.
 *
 * variants: threads_4k
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <quire/machine.h>

#include "threads_run.h"
#include "attached.h"

enum { CPUS = 4, ROUNDS = 10240 };

_Static_assert(sizeof(struct mach_spin) <= 4 && sizeof(struct mach_mutex) <= 4,
	       "they lie in frame descriptors");

struct shared {
	struct mach_spin spin;
	struct mach_mutex mutex;
	struct mach_rw rw;
	uint64_t a, b; /* equal whenever nobody is inside */
	uint64_t failed;
	uint64_t reads, tries, downgrades;
};

/* Now and then the holder lets others run, so that they meet a taken lock
 * however few cores there are. */
static void change(struct shared *s)
{
	s->a++;
	if (s->a % 512 == 0)
		sched_yield();
	s->b++;
}

static void spin_body(void *arg, unsigned nth)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		if ((i + nth) % 3 == 0) {
			while (!mach_spin_trylock(&s->spin))
				mach_relax();
		} else {
			mach_spin_lock(&s->spin);
		}
		s->failed += s->a != s->b;
		change(s);
		mach_spin_unlock(&s->spin);
	}
}

static void spin_excludes(void **state)
{
	struct shared s = { .failed = 0 };

	(void)state;
	threads_run(CPUS, spin_body, &s);
	assert_int_equal(s.a, CPUS * ROUNDS);
	assert_int_equal(s.failed, 0);
	mach_spin_lock(&s.spin);
	assert_false(mach_spin_trylock(&s.spin));
	mach_spin_unlock(&s.spin);
	assert_true(mach_spin_trylock(&s.spin));
}

static void mutex_body(void *arg, unsigned nth)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		bool got = (i + nth) % 3 == 0 && mach_mutex_trylock(&s->mutex);

		if (!got)
			mach_mutex_lock(&s->mutex);
		s->failed += s->a != s->b;
		change(s);
		mach_mutex_unlock(&s->mutex);
	}
}

static void mutex_excludes(void **state)
{
	struct shared s = { .failed = 0 };

	(void)state;
	threads_run(CPUS, mutex_body, &s);
	assert_int_equal(s.a, CPUS * ROUNDS);
	assert_int_equal(s.failed, 0);
	assert_int_equal(s.mutex.state, 0);
	mach_mutex_lock(&s.mutex);
	assert_false(mach_mutex_trylock(&s.mutex));
	mach_mutex_unlock(&s.mutex);
	assert_true(mach_mutex_trylock(&s.mutex));
}

static void rw_write(struct shared *s, bool downgrade)
{
	uint64_t a;

	mach_rw_write_lock(&s->rw);
	s->failed += s->a != s->b;
	change(s);
	if (!downgrade) {
		mach_rw_write_unlock(&s->rw);
		return;
	}
	a = s->a;
	mach_rw_downgrade(&s->rw);
	for (unsigned i = 0; i < 10; i++)
		mach_relax();
	/* No writer came in between. */
	mach_fetch_add(&s->failed, s->a != a, MACH_RELAXED);
	mach_fetch_add(&s->downgrades, 1, MACH_RELAXED);
	mach_rw_read_unlock(&s->rw);
}

static void rw_body(void *arg, unsigned nth)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned turn = i + nth;

		if (turn % 8 == 0) {
			rw_write(s, turn % 16 == 0);
			continue;
		}
		if (turn % 8 != 1)
			mach_rw_read_lock(&s->rw);
		else if (!mach_rw_read_trylock(&s->rw))
			continue;
		mach_fetch_add(&s->failed, s->a != s->b, MACH_RELAXED);
		mach_fetch_add(&s->reads, 1, MACH_RELAXED);
		mach_rw_read_unlock(&s->rw);
	}
}

static void rw_excludes(void **state)
{
	struct shared s = { .failed = 0 };

	(void)state;
	threads_run(CPUS, rw_body, &s);
	assert_int_equal(s.a, CPUS * ROUNDS / 8);
	assert_int_equal(s.downgrades, CPUS * ROUNDS / 16);
	assert_int_equal(s.failed, 0);
	assert_true(s.reads > CPUS * ROUNDS / 2);
	assert_int_equal(s.rw.writers, 0);
	assert_int_equal(s.rw.state & ~THREADS_RW_PARKED, 0);
}

static void rw_tries(void **state)
{
	struct mach_rw rw = { 0 };

	(void)state;
	mach_rw_read_lock(&rw);
	assert_true(mach_rw_read_trylock(&rw));
	assert_false(mach_rw_write_trylock(&rw));
	mach_rw_read_unlock(&rw);
	mach_rw_read_unlock(&rw);
	assert_true(mach_rw_write_trylock(&rw));
	assert_false(mach_rw_read_trylock(&rw));
	assert_false(mach_rw_write_trylock(&rw));
	mach_rw_downgrade(&rw);
	assert_true(mach_rw_read_trylock(&rw));
	assert_false(mach_rw_write_trylock(&rw));
	mach_rw_read_unlock(&rw);
	mach_rw_read_unlock(&rw);
	assert_true(mach_rw_write_trylock(&rw));
	mach_rw_write_unlock(&rw);
}

/*
 * Readers that hand the lock to one another, so that it is never free, until
 * the writer has been in.  A lock that starves writers never ends this.
 */
static void relay_body(void *arg, unsigned nth)
{
	struct shared *s = arg;

	if (nth == 0) {
		while (mach_load(&s->reads, MACH_ACQUIRE) < 100)
			mach_relax();
		mach_rw_write_lock(&s->rw);
		mach_store(&s->a, 1, MACH_RELEASE);
		mach_rw_write_unlock(&s->rw);
		return;
	}
	while (!mach_load(&s->a, MACH_ACQUIRE)) {
		uint64_t mine;

		mach_rw_read_lock(&s->rw);
		mine = mach_fetch_add(&s->reads, 1, MACH_RELAXED);
		for (unsigned i = 0; i < 1000; i++) {
			if (mach_load(&s->reads, MACH_RELAXED) > mine + 1)
				break;
			mach_relax();
		}
		mach_rw_read_unlock(&s->rw);
	}
}

static void rw_writers_are_not_starved(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct shared s = { .failed = 0 };

		threads_run(CPUS, relay_body, &s);
		assert_int_equal(s.a, 1);
	}
}

/* A ball goes round; each CPU parks until it is its turn. */
static void ring_body(void *arg, unsigned nth)
{
	uint32_t *turn = arg;

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t now;

		while ((now = mach_load(turn, MACH_ACQUIRE)) % CPUS != nth)
			mach_wait(turn, now);
		mach_store(turn, now + 1, MACH_RELEASE);
		mach_wake(turn, UINT32_MAX);
	}
}

static void parks_and_wakes(void **state)
{
	uint32_t turn = 0;

	(void)state;
	mach_wait(&turn, 1); /* differs: returns at once */
	threads_run(CPUS, ring_body, &turn);
	assert_int_equal(turn, CPUS * 1000);
}

struct wide {
	_Alignas(16) mach_u128 word; /* two equal halves, at any moment */
	uint64_t failed;
};

static void wide_body(void *arg, unsigned nth)
{
	struct wide *w = arg;

	(void)nth;
	for (unsigned i = 0; i < ROUNDS; i++) {
		mach_u128 old = mach_load16(&w->word), new;

		do {
			uint64_t next = (uint64_t)old + 1;

			if ((uint64_t)old != (uint64_t)(old >> 64))
				mach_fetch_add(&w->failed, 1, MACH_RELAXED);
			new = (mach_u128)next << 64 | next;
		} while (!mach_cas16(&w->word, &old, new));
	}
}

static void sixteen_bytes_are_one(void **state)
{
	struct wide w = { .word = 0 };
	mach_u128 expected = 1;

	(void)state;
	assert_false(mach_cas16(&w.word, &expected, 5));
	assert_true(expected == 0);
	threads_run(CPUS, wide_body, &w);
	assert_int_equal(w.failed, 0);
	assert_int_equal((uint64_t)w.word, CPUS * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spin_excludes),
		cmocka_unit_test(mutex_excludes),
		cmocka_unit_test(rw_excludes),
		cmocka_unit_test(rw_tries),
		cmocka_unit_test(rw_writers_are_not_starved),
		cmocka_unit_test(parks_and_wakes),
		cmocka_unit_test(sixteen_bytes_are_one),
	};

	return cmocka_run_group_tests(tests, attach, detach);
}
