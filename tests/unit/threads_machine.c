/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rest of the threads machine: CPU numbers, RCU, memory, failing on
 * request, costs, random numbers, stopping.
 *
 * variants: threads_4k
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/errno.h>
#include <quire/machine.h>
#include <quire/testing.h>

#include "base/types.h"
#include "threads_run.h"
#include "attached.h"

/* ---- CPUs ----------------------------------------------------------------------- */

static void note_cpu(void *arg, unsigned nth)
{
	uint64_t *seen = arg;

	(void)nth;
	mach_fetch_or(seen, UINT64_C(1) << mach_cpu(), MACH_RELAXED);
	while (mach_load(seen, MACH_RELAXED) != 0xf)
		mach_relax();
}

static void numbers_cpus_from_the_lowest(void **state)
{
	uint64_t seen = 1;

	(void)state;
	assert_int_equal(mach_cpu(), 0);
	for (unsigned i = 0; i < 3; i++) {
		seen = 1;
		threads_run(3, note_cpu, &seen);
	}
	mach_detach();
	assert_int_equal(mach_attach(), 0);
	assert_int_equal(mach_cpu(), 0);
}

static void *attach_main(void *start)
{
	int err = mach_attach();

	pthread_barrier_wait(start);
	if (!err)
		mach_detach();
	return (void *)(intptr_t)err;
}

static void refuses_too_many_cpus(void **state)
{
	enum { NR = MACH_MAX_CPUS };
	pthread_t threads[NR];
	pthread_barrier_t start;
	unsigned refused = 0;

	(void)state;
	pthread_barrier_init(&start, NULL, NR);
	for (unsigned i = 0; i < NR; i++)
		pthread_create(&threads[i], NULL, attach_main, &start);
	for (unsigned i = 0; i < NR; i++) {
		void *err;

		pthread_join(threads[i], &err);
		assert_true((intptr_t)err == 0 || (intptr_t)err == -QUIRE_EAGAIN);
		refused += err != NULL;
	}
	/* One is ours, one is the callbacks'. */
	assert_int_equal(refused, 2);
	pthread_barrier_destroy(&start);
}

/* ---- RCU -------------------------------------------------------------------------- */

struct node {
	struct mach_rcu_head head;
	uint64_t alive; /* ALIVE until freed */
	uint64_t *nr_freed;
	uint64_t order;
};

#define ALIVE UINT64_C(0x1234567812345678)

static struct node *published;
static uint64_t last_order;

static void node_free(struct mach_rcu_head *head)
{
	struct node *node = container_of(head, struct node, head);

	assert_int_equal(mach_cpu(), MACH_MAX_CPUS - 1);
	node->alive = 0;
	(*node->nr_freed)++;
	free(node);
}

static struct node *node_new(uint64_t *nr_freed)
{
	struct node *node = malloc(sizeof(*node));

	assert_non_null(node);
	node->alive = ALIVE;
	node->nr_freed = nr_freed;
	return node;
}

/* One CPU replaces the node over and over, the others read it. */
static void rcu_body(void *arg, unsigned nth)
{
	uint64_t *nr_freed = arg;

	for (unsigned i = 0; i < 20000; i++) {
		struct node *node;

		if (nth == 0) {
			node = mach_xchg(&published, node_new(nr_freed), MACH_ACQ_REL);
			if (node)
				mach_call_rcu(&node->head, node_free);
			continue;
		}
		mach_rcu_read_lock();
		mach_rcu_read_lock();
		node = mach_load(&published, MACH_ACQUIRE);
		if (node)
			assert_int_equal(node->alive, ALIVE);
		mach_rcu_read_unlock();
		if (node)
			assert_int_equal(node->alive, ALIVE);
		mach_rcu_read_unlock();
	}
}

static void callbacks_wait_for_readers(void **state)
{
	uint64_t nr_freed = 0;

	(void)state;
	threads_run(3, rcu_body, &nr_freed);
	mach_rcu_barrier();
	assert_int_equal(nr_freed, 20000 - 1);
	mach_synchronize_rcu();
	free(published);
	published = NULL;
}

static void note_order(struct mach_rcu_head *head)
{
	struct node *node = container_of(head, struct node, head);

	assert_true(node->order == last_order + 1);
	last_order = node->order;
}

static void callbacks_keep_their_order(void **state)
{
	enum { NR = 500 };
	static struct node nodes[NR];

	(void)state;
	last_order = 0;
	for (unsigned i = 0; i < NR; i++) {
		nodes[i].order = i + 1;
		mach_call_rcu(&nodes[i].head, note_order);
	}
	mach_rcu_barrier();
	assert_int_equal(last_order, NR);
}

static void requeue(struct mach_rcu_head *head)
{
	struct node *node = container_of(head, struct node, head);

	if (node->order-- > 0)
		mach_call_rcu(head, requeue);
}

static void callbacks_may_queue_again(void **state)
{
	static struct node node;

	(void)state;
	node.order = 5;
	mach_call_rcu(&node.head, requeue);
	for (unsigned i = 0; i < 7; i++)
		mach_rcu_barrier();
	assert_true(node.order == UINT64_MAX);
}

struct wait_case {
	uint32_t reader_in, reader_may_leave, writer_done, failed;
};

/* synchronize returns after the section that was open has ended. */
static void synchronize_body(void *arg, unsigned nth)
{
	struct wait_case *c = arg;

	if (nth == 0) {
		mach_rcu_read_lock();
		mach_store(&c->reader_in, 1, MACH_RELEASE);
		for (unsigned i = 0; i < 200000; i++)
			mach_relax();
		if (mach_load(&c->writer_done, MACH_ACQUIRE))
			mach_store(&c->failed, 1, MACH_RELAXED);
		mach_rcu_read_unlock();
	} else {
		while (!mach_load(&c->reader_in, MACH_ACQUIRE))
			mach_relax();
		mach_synchronize_rcu();
		mach_store(&c->writer_done, 1, MACH_RELEASE);
	}
}

static void synchronize_waits_for_readers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct wait_case c = { 0 };

		threads_run(2, synchronize_body, &c);
		assert_int_equal(c.failed, 0);
		assert_int_equal(c.writer_done, 1);
	}
}

/* ---- memory ------------------------------------------------------------------------- */

static void memory_is_zeroed_and_aligned(void **state)
{
	static const size_t sizes[] = { 1, 64, 4096, 5000, 262143, 262144, 3000001 };
	static const size_t aligns[] = { 1, 64, 4096, 65536, (size_t)1 << 24 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		for (unsigned j = 0; j < ARRAY_LEN(aligns); j++) {
			unsigned char *mem = mach_phys_create(sizes[i], aligns[j]);

			assert_non_null(mem);
			assert_true(((uintptr_t)mem & (aligns[j] - 1)) == 0);
			for (size_t b = 0; b < sizes[i]; b += 997)
				assert_int_equal(mem[b], 0);
			memset(mem, 1, sizes[i]);
			assert_false(mach_note_free(mem, sizes[i] / 2));
			mach_phys_destroy(mem, sizes[i]);
		}
	}
	assert_null(mach_mem_alloc(SIZE_MAX, 64));
	assert_null(mach_mem_alloc(SIZE_MAX - 8192, 64));
	assert_null(mach_mem_alloc(0, 64));
	mach_mem_free(NULL, 64);
}

static void fails_the_nth(void **state)
{
	(void)state;
	for (uint64_t nth = 0; nth < 5; nth++) {
		quire_fail_nth(nth);
		for (uint64_t i = 1; i < 8; i++) {
			assert_int_equal(quire_fail_seen(), i - 1);
			assert_int_equal(mach_should_fail(), i == nth);
		}
	}
	quire_fail_nth(0);
}

/* ---- the rest -------------------------------------------------------------------------- */

static void draw(void *arg, unsigned nth)
{
	uint64_t *draws = arg;

	(void)nth;
	mach_fetch_add(&draws[3], 1, MACH_RELAXED);
	while (mach_load(&draws[3], MACH_RELAXED) != 2)
		mach_relax();
	draws[mach_cpu()] = mach_random();
}

/* Streams depend on the CPU's number alone. */
static void random_repeats(void **state)
{
	uint64_t first[4] = { 0 }, second[4] = { 0 };

	(void)state;
	threads_run(2, draw, first);
	threads_run(2, draw, second);
	assert_memory_equal(first, second, sizeof(first));
	assert_true(first[1] != first[2]);
}

static void costs_go_where_told(void **state)
{
	struct quire_cost cost = { 0 }, *own = mach_cost();

	(void)state;
	mach_set_cost(&cost);
	mach_cost()->faults++;
	assert_int_equal(cost.faults, 1);
	mach_set_cost(NULL);
	assert_ptr_equal(mach_cost(), own);
}

static jmp_buf stopped;
static int stopped_line;

static void on_stop(const char *file, int line, const char *what)
{
	assert_string_equal(file, "here");
	assert_string_equal(what, "why");
	stopped_line = line;
	longjmp(stopped, 1);
}

static void stop_can_be_caught(void **state)
{
	(void)state;
	quire_set_stop_handler(on_stop);
	if (!setjmp(stopped))
		mach_stop("here", 42, "why");
	quire_set_stop_handler(NULL);
	assert_int_equal(stopped_line, 42);
}

static void clock_goes_forward(void **state)
{
	uint64_t last = mach_now_ns();

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now = mach_now_ns();

		assert_true(now >= last);
		last = now;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_cpus_from_the_lowest),
		cmocka_unit_test(refuses_too_many_cpus),
		cmocka_unit_test(callbacks_wait_for_readers),
		cmocka_unit_test(callbacks_keep_their_order),
		cmocka_unit_test(callbacks_may_queue_again),
		cmocka_unit_test(synchronize_waits_for_readers),
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(fails_the_nth),
		cmocka_unit_test(random_repeats),
		cmocka_unit_test(costs_go_where_told),
		cmocka_unit_test(stop_can_be_caught),
		cmocka_unit_test(clock_goes_forward),
	};

	return cmocka_run_group_tests(tests, attach, detach);
}
