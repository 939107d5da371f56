/* SPDX-License-Identifier: BSD-2-Clause */
/* Read or write, inferred: the small model of infer.c, case by case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "trace/recorder.h"

#define PAGE 4096u
#define TEXT 0x400000u /* r-x, of a file */
#define DATA 0x600000u /* rw-, of a file, private */
#define HEAP 0x700000u
#define SHARED 0x800000u /* rw-, of a file, shared */
#define STACK 0x7ffffff00000u

enum { READ = 0, WRITE = TRACE_TOUCH_WRITE,
	AGAIN = TRACE_TOUCH_WRITE | TRACE_TOUCH_PRESENT, FETCH = TRACE_TOUCH_EXEC };

static void start(struct model *m, uint32_t process, uint32_t parent, uint32_t mm, bool shares)
{
	const struct trace_event e = { .kind = TRACE_PROCESS_START, .process = process,
		.process_start = { .parent = parent, .mm = mm, .shares_mm = shares } };

	model_event(m, &e);
}

/* A model in which process 0 runs a program in address space 1. */
static struct model *new_model(void)
{
	static const struct trace_map maps[] = {
		{ TEXT, TEXT + 64 * PAGE, 0, TRACE_MAP_READ | TRACE_MAP_EXEC, 0, "a" },
		{ DATA, DATA + 8 * PAGE, 0, TRACE_MAP_READ | TRACE_MAP_WRITE, 0, "a" },
		{ SHARED, SHARED + 8 * PAGE, 0,
			TRACE_MAP_READ | TRACE_MAP_WRITE | TRACE_MAP_SHARED, 1, "b" },
		{ STACK, STACK + 8 * PAGE, 0, TRACE_MAP_READ | TRACE_MAP_WRITE, TRACE_NONE, "" },
	};
	const struct trace_event e = { .kind = TRACE_EXEC,
		.exec = { .mm = 1, .maps_known = true, .maps = { 4, maps },
			.layout = { .start_brk = HEAP } } };
	struct model *m = model_create(PAGE);

	assert_non_null(m);
	start(m, 0, TRACE_NONE, 0, false);
	model_event(m, &e);
	return m;
}

static void call(struct model *m, uint32_t process, struct trace_call c)
{
	struct trace_event e = { .kind = TRACE_CALL, .process = process, .call = c };

	model_event(m, &e);
}

static void test_rules(void **state)
{
	struct model *m = new_model();

	(void)state;
	assert_int_equal(model_touch(m, 1, TEXT + 5, 0), READ);
	assert_int_equal(model_touch(m, 1, TEXT + PAGE, FETCH), FETCH);
	assert_int_equal(model_touch(m, 1, DATA, 0), WRITE);
	assert_int_equal(model_touch(m, 1, DATA + 4095, 0), AGAIN);
	/* Read, then written. */
	assert_int_equal(model_touch(m, 1, DATA + PAGE, SAMPLE_AGAIN), READ);
	assert_int_equal(model_touch(m, 1, DATA + PAGE, 0), AGAIN);
	assert_int_equal(model_touch(m, 1, SHARED, SAMPLE_AGAIN), WRITE);
	assert_int_equal(model_touch(m, 1, SHARED, 0), AGAIN);
	assert_int_equal(model_touch(m, 1, STACK, 0), WRITE);
	/* Below the stack: it grows. */
	assert_int_equal(model_touch(m, 1, STACK - PAGE, TRACE_TOUCH_KERNEL),
		WRITE | TRACE_TOUCH_KERNEL);
	model_destroy(m);
}

static void test_calls(void **state)
{
	struct model *m = new_model();
	const uint64_t at = 0x7f0000000000;

	(void)state;
	call(m, 0, (struct trace_call){ .nr = TRACE_BRK, .result = HEAP + 3 * PAGE });
	assert_int_equal(model_touch(m, 1, HEAP + 2 * PAGE, 0), WRITE);
	call(m, 0, (struct trace_call){ .nr = TRACE_BRK, .result = HEAP + 1 });
	call(m, 0, (struct trace_call){ .nr = TRACE_BRK, .result = HEAP + 3 * PAGE });
	assert_int_equal(model_touch(m, 1, HEAP + 2 * PAGE, 0), WRITE);

	call(m, 0, (struct trace_call){ .nr = TRACE_MMAP, .result = (int64_t)at,
		.len = 10 * PAGE, .prot = PROT_READ, .flags = MAP_PRIVATE | MAP_ANONYMOUS,
		.file = TRACE_NONE });
	assert_int_equal(model_touch(m, 1, at, 0), READ);
	call(m, 0, (struct trace_call){ .nr = TRACE_MPROTECT, .addr = at + PAGE, .len = PAGE,
		.prot = PROT_READ | PROT_WRITE });
	assert_int_equal(model_touch(m, 1, at + PAGE, 0), WRITE);
	assert_int_equal(model_touch(m, 1, at + 2 * PAGE, 0), READ);
	/* A call that failed changes nothing. */
	call(m, 0, (struct trace_call){ .nr = TRACE_MUNMAP, .addr = at, .len = 10 * PAGE,
		.result = -22 });
	assert_int_equal(model_touch(m, 1, at + PAGE, 0), AGAIN);
	call(m, 0, (struct trace_call){ .nr = TRACE_MADVISE, .addr = at, .len = 3 * PAGE,
		.advice = MADV_DONTNEED });
	assert_int_equal(model_touch(m, 1, at + PAGE, 0), WRITE);
	assert_int_equal(model_touch(m, 1, at, 0), READ);
	call(m, 0, (struct trace_call){ .nr = TRACE_MREMAP, .addr = at + PAGE, .len = PAGE,
		.new_len = 4 * PAGE, .flags = MREMAP_MAYMOVE, .result = (int64_t)(at + 100 * PAGE) });
	assert_int_equal(model_touch(m, 1, at + 100 * PAGE, 0), AGAIN);
	assert_int_equal(model_touch(m, 1, at + 103 * PAGE, 0), WRITE);
	call(m, 0, (struct trace_call){ .nr = TRACE_MUNMAP, .addr = at, .len = 200 * PAGE });
	call(m, 0, (struct trace_call){ .nr = TRACE_MMAP, .result = (int64_t)at, .len = PAGE,
		.prot = PROT_READ, .flags = MAP_PRIVATE, .file = 0 });
	assert_int_equal(model_touch(m, 1, at, 0), READ);
	model_destroy(m);
}

static void test_fork(void **state)
{
	struct model *m = new_model();

	(void)state;
	model_touch(m, 1, TEXT, 0);
	model_touch(m, 1, DATA, 0);
	model_touch(m, 1, SHARED, 0);
	start(m, 1, 0, 2, false);
	start(m, 2, 0, 1, true);
	/* What the child had copied faults again as a write; what fork left out
	 * as the first time. */
	assert_int_equal(model_touch(m, 2, DATA, 0), AGAIN);
	assert_int_equal(model_touch(m, 2, DATA + PAGE, 0), WRITE);
	assert_int_equal(model_touch(m, 2, TEXT, 0), READ);
	assert_int_equal(model_touch(m, 2, SHARED, 0), WRITE);
	/* The parent still has its own. */
	assert_int_equal(model_touch(m, 1, TEXT, 0), AGAIN);
	/* Unmapped by one that shares: gone for both. */
	call(m, 2, (struct trace_call){ .nr = TRACE_MADVISE, .addr = DATA, .len = PAGE,
		.advice = MADV_DONTNEED });
	assert_int_equal(model_touch(m, 1, DATA, 0), WRITE);
	model_destroy(m);
}

static void test_seen(void **state)
{
	const uint64_t anon = SEEN_ANON | SEEN_WRITABLE, file = SEEN_FILE | SEEN_EXEC;
	const uint32_t sweep = TRACE_TOUCH_SWEEP;
	struct model *m = new_model();

	(void)state;
	assert_int_equal(model_seen(m, 1, STACK | anon, false), sweep | WRITE);
	assert_int_equal(model_seen(m, 1, STACK | anon, false), 0); /* told already */
	model_touch(m, 1, STACK + PAGE, 0);
	assert_int_equal(model_seen(m, 1, (STACK + PAGE) | anon, false), 0);
	/* A file's pages may have come in beside one that was touched. */
	assert_int_equal(model_seen(m, 1, TEXT | file, false), 0);
	assert_int_equal(model_seen(m, 1, TEXT | file, true), sweep | FETCH);
	assert_int_equal(model_seen(m, 1, (TEXT + 15 * PAGE) | file, true), 0);
	assert_int_equal(model_seen(m, 1, (TEXT + 16 * PAGE) | file, true), sweep | FETCH);
	assert_int_equal(model_seen(m, 1, SHARED | SEEN_FILE | SEEN_SHARED | SEEN_WRITABLE, true),
		sweep | WRITE);
	/* A child's page of its own was written by it; once. */
	start(m, 1, 0, 2, false);
	assert_int_equal(model_seen(m, 2, STACK | anon, true), 0);
	assert_int_equal(model_seen(m, 2, STACK | anon | SEEN_EXCLUSIVE, true), sweep | AGAIN);
	assert_int_equal(model_seen(m, 2, STACK | anon | SEEN_EXCLUSIVE, true), 0);
	model_destroy(m);
}

/* Against an array: many pages in and out of the set. */
static void test_many(void **state)
{
	enum { PAGES = 20000 };
	const uint64_t at = 0x7f0000000000;
	struct model *m = new_model();
	static bool touched[PAGES];
	uint64_t seed = 1;

	(void)state;
	call(m, 0, (struct trace_call){ .nr = TRACE_MMAP, .result = (int64_t)at,
		.len = PAGES * (uint64_t)PAGE, .prot = PROT_READ,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS, .file = TRACE_NONE });
	for (int i = 0; i < 100000; i++) {
		uint64_t page, len;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		page = (seed >> 33) % PAGES;
		len = (seed >> 20) % (i % 1000 ? 8 : PAGES);
		if (i % 10) {
			assert_int_equal(model_touch(m, 1, at + page * PAGE, 0),
				touched[page] ? AGAIN : READ);
			touched[page] = true;
			continue;
		}
		if (len > PAGES - page)
			len = PAGES - page;
		call(m, 0, (struct trace_call){ .nr = TRACE_MADVISE, .addr = at + page * PAGE,
			.len = len * PAGE, .advice = MADV_DONTNEED });
		memset(touched + page, 0, len);
	}
	model_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_seen),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
