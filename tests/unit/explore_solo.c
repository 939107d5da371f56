/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The explore machine outside explore_run(): one CPU, no scheduler, so that
 * any single-threaded test of a room runs on it.
 * variants: explore_tiny explore_4k
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quire/errno.h>
#include <quire/geometry.h>
#include <quire/machine.h>
#include <quire/testing.h>

static jmp_buf stopped;
static char stopped_with[200];

static void on_stop(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	strncpy(stopped_with, what, sizeof(stopped_with) - 1);
	longjmp(stopped, 1);
}

/* Runs `statement`, which must stop the machine with a text that has `part`. */
#define assert_stops(statement, part)                                  \
	do {                                                           \
		quire_set_stop_handler(on_stop);                       \
		if (setjmp(stopped) == 0) {                            \
			statement;                                     \
			fail_msg("%s did not stop", #statement);       \
		}                                                      \
		quire_set_stop_handler(NULL);                          \
		assert_non_null(strstr(stopped_with, part));           \
	} while (0)

static void test_attach(void **state)
{
	(void)state;
	assert_int_equal(mach_attach(), 0);
	assert_int_equal(mach_attach(), -QUIRE_EAGAIN);
	assert_int_equal(mach_cpu(), 0);
	mach_detach();
	assert_int_equal(mach_attach(), 0);
	mach_detach();
}

static void test_atomics_of_every_size(void **state)
{
	uint8_t a = 250;
	uint16_t b = 1;
	uint32_t c = 7;
	uint64_t d = UINT64_C(1) << 40;
	const uint64_t *constant = &d;
	uint64_t expected = 5;

	(void)state;
	assert_int_equal(mach_fetch_add(&a, 10, MACH_SEQ_CST), 250);
	assert_int_equal(a, 4);
	mach_store(&b, 0xffff, MACH_RELEASE);
	assert_int_equal(mach_fetch_add(&b, 1, MACH_RELAXED), 0xffff);
	assert_int_equal(b, 0);
	assert_int_equal(mach_fetch_or(&c, 8u, MACH_SEQ_CST), 7);
	assert_int_equal(mach_fetch_and(&c, 12u, MACH_SEQ_CST), 15);
	assert_int_equal(mach_fetch_sub(&c, 2u, MACH_SEQ_CST), 12);
	assert_int_equal(mach_xchg(&c, 99u, MACH_SEQ_CST), 10);
	assert_int_equal(mach_load(&c, MACH_ACQUIRE), 99);
	assert_true(mach_load(constant, MACH_RELAXED) == UINT64_C(1) << 40);
	assert_false(mach_cas(&d, &expected, UINT64_C(1), MACH_SEQ_CST));
	assert_true(expected == UINT64_C(1) << 40);
	assert_true(mach_cas(&d, &expected, UINT64_C(3), MACH_SEQ_CST));
	assert_int_equal(d, 3);
}

static void test_atomics_of_pointers_and_16_bytes(void **state)
{
	int x, y;
	int *p = &x, *expected = &y;
	mach_u128 w = 0, want = 1, big = ((mach_u128)7 << 64) | 9;

	(void)state;
	assert_false(mach_cas(&p, &expected, &y, MACH_SEQ_CST));
	assert_ptr_equal(expected, &x);
	assert_true(mach_cas(&p, &expected, &y, MACH_SEQ_CST));
	assert_ptr_equal(mach_load(&p, MACH_ACQUIRE), &y);
	mach_store(&p, NULL, MACH_RELEASE);
	assert_null(p);
	assert_false(mach_cas16(&w, &want, big));
	assert_true(want == 0);
	assert_true(mach_cas16(&w, &want, big));
	assert_true(mach_load16(&w) == big);
}

static void test_locks(void **state)
{
	struct mach_spin spin = { 0 };
	struct mach_mutex mutex = { 0 };
	struct mach_rw rw = { 0 };

	(void)state;
	mach_spin_lock(&spin);
	assert_false(mach_spin_trylock(&spin));
	assert_stops(mach_spin_lock(&spin), "locks once more");
	mach_spin_unlock(&spin);
	assert_stops(mach_spin_unlock(&spin), "not locked");
	mach_mutex_lock(&mutex);
	assert_false(mach_mutex_trylock(&mutex));
	mach_mutex_unlock(&mutex);
	assert_true(mach_mutex_trylock(&mutex));
	mach_mutex_unlock(&mutex);
	mach_rw_write_lock(&rw);
	mach_rw_downgrade(&rw);
	assert_false(mach_rw_write_trylock(&rw));
	mach_rw_read_unlock(&rw);
	assert_true(mach_rw_write_trylock(&rw));
	mach_rw_write_unlock(&rw);
	assert_stops(mach_rw_read_unlock(&rw), "read-unlocks");
}

static void test_waiting_for_nobody_stops(void **state)
{
	uint32_t word = 3;

	(void)state;
	mach_wait(&word, 4);
	assert_stops(mach_wait(&word, 3), "for ever");
	mach_wake(&word, 1);
}

static unsigned called;

static void count_call(struct mach_rcu_head *head)
{
	(void)head;
	called++;
}

static void test_rcu_callbacks_run_at_a_barrier(void **state)
{
	struct mach_rcu_head a, b;

	(void)state;
	called = 0;
	mach_rcu_read_lock();
	mach_rcu_read_lock();
	mach_call_rcu(&a, count_call);
	mach_call_rcu(&b, count_call);
	mach_rcu_read_unlock();
	mach_rcu_read_unlock();
	assert_int_equal(called, 0);
	mach_rcu_barrier();
	assert_int_equal(called, 2);
	mach_rcu_read_lock();
	assert_stops(mach_synchronize_rcu(), "inside an RCU section");
	mach_rcu_read_unlock();
	assert_stops(mach_rcu_read_unlock(), "not in");
}

static void test_memory_is_zeroed_and_aligned(void **state)
{
	static const size_t sizes[] = { 1, 100, 4096, 65536, 1 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t align = 8; align <= (1 << 21); align *= 8) {
			unsigned char *mem = mach_mem_alloc(sizes[i], align);

			assert_non_null(mem);
			assert_int_equal((uintptr_t)mem % align, 0);
			assert_int_equal(mem[0] | mem[sizes[i] - 1], 0);
			memset(mem, 1, sizes[i]);
			mach_mem_free(mem, sizes[i]);
		}
	}
}

static void test_the_nth_allocation_fails(void **state)
{
	(void)state;
	quire_fail_nth(3);
	assert_false(mach_should_fail());
	assert_false(mach_should_fail());
	assert_true(mach_should_fail());
	assert_false(mach_should_fail());
	assert_int_equal(quire_fail_seen(), 4);
	quire_fail_nth(0);
	assert_false(mach_should_fail());
	assert_int_equal(quire_fail_seen(), 1);
}

static void test_stop_handler_is_told(void **state)
{
	(void)state;
	assert_stops(mach_stop("f.c", 1, "as planned"), "as planned");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_atomics_of_every_size),
		cmocka_unit_test(test_atomics_of_pointers_and_16_bytes),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_waiting_for_nobody_stops),
		cmocka_unit_test(test_rcu_callbacks_run_at_a_barrier),
		cmocka_unit_test(test_memory_is_zeroed_and_aligned),
		cmocka_unit_test(test_the_nth_allocation_fails),
		cmocka_unit_test(test_stop_handler_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
