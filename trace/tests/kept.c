/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recordings that are kept: each is small, whole, lost nothing, and is of
 * the program it is named after.  Runs in the root of the source tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "trace/reader.h"

enum { MOST_BYTES = 1 << 20, MOST_PROCESSES = 4096 };

struct kept {
	uint32_t processes, exits, touches, complete_ends;
	uint32_t forked_from[MOST_PROCESSES]; /* children that did not exec */
	uint32_t parent[MOST_PROCESSES];
	bool execed[MOST_PROCESSES];
	bool saw[4]; /* programs, as the test names them */
	uint32_t first_program; /* the process that ran the first of them */
};

static void look_at(struct kept *k, const struct trace_event *e, const char *const *programs)
{
	switch (e->kind) {
	case TRACE_PROCESS_START:
		assert_in_range(k->processes, 0, MOST_PROCESSES - 1);
		k->parent[e->process] = e->process_start.parent;
		k->processes++;
		break;
	case TRACE_EXEC:
		k->execed[e->process] = true;
		for (int i = 0; i < 4 && programs[i]; i++)
			k->saw[i] |= strstr(e->exec.arguments, programs[i]) != NULL;
		if (strstr(e->exec.arguments, programs[0]))
			k->first_program = e->process;
		break;
	case TRACE_TOUCH:
		k->touches++;
		break;
	case TRACE_MM_END:
		k->complete_ends += e->mm_end.complete;
		break;
	case TRACE_PROCESS_EXIT:
		k->exits++;
		if (!k->execed[e->process] && k->parent[e->process] != TRACE_NONE)
			k->forked_from[k->parent[e->process]]++;
		break;
	case TRACE_LOST:
		fail_msg("%lu touches and %lu records of calls were lost",
			(unsigned long)e->lost.nr, (unsigned long)e->lost.nr_calls);
		break;
	default:
		break;
	}
}

static struct kept read_kept(const char *name, const char *const programs[4])
{
	struct trace_error error = { 0 };
	const struct trace_event *e;
	struct trace_reader *r;
	struct kept k = { 0 };
	struct stat about;
	char path[64];

	snprintf(path, sizeof(path), "recordings/%s.quire", name);
	assert_int_equal(stat(path, &about), 0);
	assert_in_range(about.st_size, 1, MOST_BYTES - 1);
	r = trace_reader_open(path, &error);
	assert_non_null(r);
	assert_int_equal(trace_reader_header(r)->source, TRACE_SOURCE_TRACEPOINT);
	assert_true(host_knows(&trace_reader_header(r)->host, HOST_fault_around_bytes));
	while (trace_reader_next(r, &e, &error) > 0)
		look_at(&k, e, programs);
	if (error.err)
		fail_msg("%s", error.message);
	trace_reader_close(r);
	assert_int_equal(k.processes, k.exits);
	assert_in_range(k.touches, 1000, UINT32_MAX);
	for (int i = 0; i < 4 && programs[i]; i++)
		if (!k.saw[i])
			fail_msg("%s: no %s was run", path, programs[i]);
	return k;
}

static void test_build(void **state)
{
	static const char *const programs[4] = { "make", "cc1", "as", "ld" };
	struct kept k = read_kept("build", programs);

	(void)state;
	assert_in_range(k.complete_ends, 12, k.processes * 2);
}

static void test_pipeline(void **state)
{
	static const char *const programs[4] = { "sh", "sort", "grep", "uniq" };

	(void)state;
	read_kept("pipeline", programs);
}

static void test_python(void **state)
{
	static const char *const programs[4] = { "python" };
	struct kept k = read_kept("python", programs);

	(void)state;
	assert_int_equal(k.forked_from[k.first_program], 4);
}

static void test_daemon(void **state)
{
	static const char *const programs[4] = { "daemon.py" };
	struct kept k = read_kept("daemon", programs);

	(void)state;
	assert_int_equal(k.processes, 3);
	assert_int_equal(k.parent[1], k.first_program);
	assert_int_equal(k.parent[2], 1); /* forked twice */
}

static void test_huge(void **state)
{
	static const char *const programs[4] = { "huge.py" };
	struct kept k = read_kept("huge", programs);

	(void)state;
	assert_int_equal(k.forked_from[k.first_program], 2);
	/* With small pages alone it would be 12,288 and the interpreter's. */
	assert_in_range(k.touches, 1000, 9000);
}

static void test_redis(void **state)
{
	static const char *const programs[4] = { "redis-server --port", "redis-cli" };
	struct kept k = read_kept("redis", programs);

	(void)state;
	assert_int_equal(k.forked_from[k.first_program], 1); /* the background save */
}

static void test_postgres(void **state)
{
	static const char *const programs[4] = { "postgres -D", "pgbench" };
	struct kept k = read_kept("postgres", programs);

	(void)state;
	assert_in_range(k.forked_from[k.first_program], 20, 100); /* the backends */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_huge),
		cmocka_unit_test(test_redis),
		cmocka_unit_test(test_postgres),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
