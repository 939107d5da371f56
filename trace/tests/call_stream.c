/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls out of what the kernel tells: their order, what holds the stream back,
 * where a fork stands, what a loss does.  The rings are played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "trace/call_source.h"

/* ---- the rings ---- */

enum { CPUS = 2, MOST = 32 };

static struct call_record waiting[CPUS][MOST];
static size_t nr_waiting[CPUS];

unsigned int call_rings_nr(const struct call_rings *c)
{
	(void)c;
	return CPUS;
}

void call_rings_take(struct call_rings *c, struct call_records *queues)
{
	(void)c;
	for (int cpu = 0; cpu < CPUS; cpu++) {
		struct call_records *q = &queues[cpu];

		q->record = realloc(q->record, (q->nr + MOST) * sizeof(q->record[0]));
		assert_non_null(q->record);
		memcpy(q->record + q->nr, waiting[cpu], nr_waiting[cpu] * sizeof(q->record[0]));
		q->nr += nr_waiting[cpu];
		q->capacity = q->nr;
		nr_waiting[cpu] = 0;
	}
}

static struct call_record *say(int cpu, uint64_t time_ns, pid_t tid, enum call_record_kind kind,
	uint32_t nr)
{
	struct call_record *record = &waiting[cpu][nr_waiting[cpu]++];

	assert_in_range(nr_waiting[cpu], 1, MOST);
	*record = (struct call_record){
		.time_ns = time_ns, .tid = tid, .kind = kind, .nr = nr, .file = TRACE_NONE };
	return record;
}

/* A whole munmap at addr; locked 0: never. */
static void say_munmap(int cpu, pid_t tid, uint64_t addr, uint64_t enter, uint64_t locked,
	uint64_t end)
{
	struct call_record *record = say(cpu, enter, tid, RECORD_ENTER, SYS_munmap);

	record->arg[0] = addr;
	record->arg[1] = 4096;
	if (locked)
		say(cpu, locked, tid, RECORD_LOCKED, 0);
	say(cpu, end, tid, RECORD_EXIT, SYS_munmap);
}

static void expect(struct call_stream *s, pid_t tid, uint64_t time_ns, uint64_t addr)
{
	const struct seen_call *call = call_stream_first(s);

	assert_non_null(call);
	assert_int_equal(call->tid, tid);
	assert_int_equal(call->time_ns, time_ns);
	assert_int_equal(call->call.addr, addr);
	call_stream_pop(s);
}

static int make_stream(void **state)
{
	*state = call_stream_create(NULL);
	return *state ? 0 : -1;
}

static int end_stream(void **state)
{
	call_stream_destroy(*state);
	return 0;
}

/* ---- the tests ---- */

/* Not who entered or left first, but who had the lock. */
static void test_order_is_that_of_the_lock(void **state)
{
	struct call_stream *s = *state;
	struct item *items = NULL;

	say_munmap(0, 1, 0x1000, 10, 40, 90);
	say_munmap(1, 2, 0x2000, 20, 30, 95);
	say_munmap(0, 1, 0x3000, 96, 0, 98);
	assert_int_equal(call_stream_run(s, &items, 100), 100);
	expect(s, 2, 30, 0x2000);
	expect(s, 1, 40, 0x1000);
	expect(s, 1, 98, 0x3000); /* without a lock: its end */
	assert_null(call_stream_first(s));
}

/* What has taken effect and not ended holds back all that comes after it. */
static void test_a_long_call_holds_the_stream(void **state)
{
	struct call_stream *s = *state;
	struct item *items = NULL;

	say(0, 10, 1, RECORD_ENTER, SYS_munmap)->arg[0] = 0x1000;
	assert_int_equal(call_stream_run(s, &items, 15), 15);
	say(0, 20, 1, RECORD_LOCKED, 0);
	say_munmap(1, 2, 0x2000, 21, 22, 23);
	assert_int_equal(call_stream_run(s, &items, 50), 19);
	assert_int_equal(call_stream_run(s, &items, 60), 19);
	say(0, 70, 1, RECORD_EXIT, SYS_munmap);
	assert_int_equal(call_stream_run(s, &items, 80), 80);
	expect(s, 1, 20, 0x1000);
	expect(s, 2, 22, 0x2000);
}

/* Nobody comes back from a call in which he was killed. */
static void test_the_end_of_a_thread_lets_go(void **state)
{
	struct call_stream *s = *state;
	struct item end = { .kind = ITEM_EVENT, .time_ns = 55, .tid = 1,
		.event.kind = TRACE_THREAD_EXIT };
	struct item *items = &end;

	say(0, 10, 1, RECORD_ENTER, SYS_munmap);
	say(0, 20, 1, RECORD_LOCKED, 0);
	assert_int_equal(call_stream_run(s, &items, 50), 19);
	assert_int_equal(call_stream_run(s, &items, 60), 60);
	assert_null(call_stream_first(s));
}

/* The tracer hears of a child late; it begins where its parent was copied, and
 * before what another thread of the parent did after that. */
static void test_fork_stands_where_the_copy_was(void **state)
{
	struct call_stream *s = *state;
	struct item start = { .kind = ITEM_EVENT, .time_ns = 60, .tid = 9, .maker = 1,
		.event.kind = TRACE_PROCESS_START };
	struct item earlier = { .next = &start, .kind = ITEM_EVENT, .time_ns = 25, .tid = 5,
		.event.kind = TRACE_NOTE };
	struct item *items = &earlier;

	say(0, 10, 1, RECORD_ENTER, SYS_clone)->arg[0] = SIGCHLD | CLONE_CHILD_SETTID;
	say(0, 20, 1, RECORD_LOCKED, 0);
	say_munmap(1, 2, 0x2000, 21, 30, 35);
	items = NULL;
	assert_int_equal(call_stream_run(s, &items, 24), 19);
	items = &earlier;
	assert_int_equal(call_stream_run(s, &items, 50), 19);
	assert_int_equal(call_stream_run(s, &items, 80), 80);
	assert_ptr_equal(items, &start);
	assert_ptr_equal(start.next, &earlier);
	assert_int_equal(start.time_ns, 20);
	assert_int_equal(start.event.process_start.clone_flags, SIGCHLD | CLONE_CHILD_SETTID);
	expect(s, 2, 30, 0x2000);
	/* The call itself is no call of the recording. */
	say(0, 90, 1, RECORD_EXIT, SYS_clone)->arg[0] = 9;
	call_stream_run(s, &items, 100);
	assert_null(call_stream_first(s));
}

static void test_a_failed_fork_lets_go(void **state)
{
	struct call_stream *s = *state;
	struct item *items = NULL;

	say(0, 10, 1, RECORD_ENTER, SYS_clone);
	say(0, 20, 1, RECORD_LOCKED, 0);
	say(0, 30, 1, RECORD_EXIT, SYS_clone)->arg[0] = (uint64_t)-ENOMEM;
	assert_int_equal(call_stream_run(s, &items, 40), 40);
}

/* A loss is told in its place, and calls that were begun are not made up. */
static void test_a_loss(void **state)
{
	struct call_stream *s = *state;
	struct item *items = NULL;

	say(0, 10, 1, RECORD_ENTER, SYS_munmap);
	say(0, 20, 1, RECORD_LOCKED, 0);
	say(0, 30, 0, RECORD_LOST, 0)->arg[0] = 7;
	say(0, 40, 1, RECORD_EXIT, SYS_munmap);
	say_munmap(0, 1, 0x5000, 50, 51, 52);
	assert_int_equal(call_stream_run(s, &items, 60), 60);
	assert_int_equal(call_stream_first(s)->lost, 7);
	assert_int_equal(call_stream_first(s)->time_ns, 30);
	call_stream_pop(s);
	expect(s, 1, 51, 0x5000);
	assert_null(call_stream_first(s));
}

/* The kernel's record of a mapping names the file, if it is of this call. */
static void test_the_file_of_a_mapping(void **state)
{
	struct call_stream *s = *state;
	struct call_record *record;
	struct item *items = NULL;
	char text[160];

	for (uint64_t i = 0; i < 2; i++) {
		record = say(0, 10 + 10 * i, 1, RECORD_ENTER, SYS_mmap);
		record->arg[1] = 8192;
		record->arg[3] = MAP_PRIVATE;
		record->arg[4] = 3;
		record = say(0, 12 + 10 * i, 1, RECORD_MAPPING, 0);
		record->arg[0] = 0x10000;
		record->arg[1] = 0x12000;
		record->file = 4;
		record->file_bytes = 5000;
		say(0, 13 + 10 * i, 1, RECORD_EXIT, SYS_mmap)->arg[0] = 0x10000 + i * 0x2000;
	}
	call_stream_run(s, &items, 100);
	assert_int_equal(call_stream_first(s)->call.file, 4);
	assert_int_equal(call_stream_first(s)->call.file_bytes, 5000);
	call_stream_pop(s);
	assert_int_equal(call_stream_first(s)->call.file, TRACE_NONE);
	call_stream_pop(s);
	assert_non_null(call_stream_regret(s, 0, text, sizeof(text)));
	assert_null(call_stream_regret(s, 1, text, sizeof(text)));
}

/* A call that a signal interrupts is begun again: the first has failed. */
static void test_a_call_that_is_made_again(void **state)
{
	struct call_stream *s = *state;
	struct item *items = NULL;

	say(0, 10, 1, RECORD_ENTER, SYS_mlock);
	say(0, 20, 1, RECORD_EXIT, SYS_mlock)->arg[0] = (uint64_t)-512;
	call_stream_run(s, &items, 100);
	assert_int_equal(call_stream_first(s)->call.result, -EINTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_is_that_of_the_lock, make_stream,
			end_stream),
		cmocka_unit_test_setup_teardown(test_a_long_call_holds_the_stream, make_stream,
			end_stream),
		cmocka_unit_test_setup_teardown(test_the_end_of_a_thread_lets_go, make_stream,
			end_stream),
		cmocka_unit_test_setup_teardown(test_fork_stands_where_the_copy_was, make_stream,
			end_stream),
		cmocka_unit_test_setup_teardown(test_a_failed_fork_lets_go, make_stream, end_stream),
		cmocka_unit_test_setup_teardown(test_a_loss, make_stream, end_stream),
		cmocka_unit_test_setup_teardown(test_the_file_of_a_mapping, make_stream, end_stream),
		cmocka_unit_test_setup_teardown(test_a_call_that_is_made_again, make_stream,
			end_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
