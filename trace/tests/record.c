/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recorder, on real programs: programs/subject.c in its several parts, and
 * the shell.  What a recording says is held against what /proc said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "programs/subject.h"
#include "small_replay.h"
#include "trace/reader.h"
#include "trace/record.h"

/* The recorder forks before it has threads; the sanitizer's own do not count. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

/* ---- recording and looking ---- */

/* A page that is mapped anew, as "fixed" does. */
struct beaten {
	uint64_t addr;
	uint32_t mappings, touches; /* since the last mapping */
	uint32_t twice; /* mappings after which it was touched twice */
};

struct seen {
	struct beaten beaten;
	int code;
	struct record_result result;
	struct trace_error error;
	uint32_t starts, thread_starts, thread_exits, execs, exits, mm_ends, complete_mm_ends;
	uint32_t shared_starts, calls[TRACE_NR_CALLS], failed_calls;
	uint64_t touches, writes, faults;
	uint64_t by_process[64], writes_of[64], faults_of[64];
	int status_of[64];
	uint64_t setup;
	uint64_t child_touches, child_faults; /* of all processes but the first */
	uint64_t peak_rss, peak_tables, last_tables;
	uint64_t apart, signals, alone, unseen; /* see the tests of the parts so named */
	bool sealed;
	char files[16][64];
	uint32_t nr_files;
};

static char folder[32];

/* How calls are seen, at best: the whole group is run with each. */
static enum trace_calls calls_by;
static bool no_cgroup;

static void look_at_fixed(struct beaten *b, const struct trace_event *e)
{
	if (e->kind == TRACE_CALL && e->call.nr == TRACE_MMAP && e->call.flags & MAP_FIXED &&
	    e->call.flags & MAP_ANONYMOUS) {
		b->mappings = b->addr == e->call.addr ? b->mappings + 1 : 1;
		b->addr = e->call.addr;
		b->touches = 0;
	} else if (e->kind == TRACE_TOUCH && e->touch.addr == b->addr && ++b->touches == 2) {
		b->twice++;
	}
}

static void look_at(struct seen *s, const struct trace_event *e)
{
	uint32_t p = e->process % 64;

	look_at_fixed(&s->beaten, e);
	switch (e->kind) {
	case TRACE_PROCESS_START:
		s->starts++;
		s->shared_starts += e->process_start.shares_mm;
		break;
	case TRACE_THREAD_START:
		s->thread_starts++;
		break;
	case TRACE_THREAD_EXIT:
		s->thread_exits++;
		break;
	case TRACE_EXEC:
		/* A sanitizer may have threads even in the recorder's child. */
		if (!s->execs)
			s->thread_starts = s->thread_exits = 0;
		s->execs++;
		s->by_process[p] = s->writes_of[p] = 0;
		s->faults_of[p] = 0 - e->exec.minor_faults - e->exec.major_faults;
		break;
	case TRACE_CALL:
		s->calls[e->call.nr]++;
		s->apart += e->call.nr == TRACE_MMAP && e->call.mode & TRACE_MODE_APART;
		s->sealed |= e->call.nr == TRACE_MMAP && e->call.mode == TRACE_MODE_READ &&
			e->call.prot == PROT_READ && e->call.flags & MAP_SHARED;
		s->failed_calls += e->call.result < 0;
		break;
	case TRACE_TOUCH:
		if (e->touch.flags & TRACE_TOUCH_SETUP) {
			s->setup++;
			break;
		}
		s->touches++;
		s->by_process[p]++;
		s->child_touches += e->process != 0;
		s->writes_of[p] += e->touch.flags & TRACE_TOUCH_WRITE;
		break;
	case TRACE_MM_END:
		s->mm_ends++;
		s->complete_mm_ends += e->mm_end.complete;
		if (e->mm_end.complete && e->mm_end.said.peak_rss_bytes > s->peak_rss)
			s->peak_rss = e->mm_end.said.peak_rss_bytes;
		if (e->mm_end.complete && e->mm_end.said.peak_page_table_bytes > s->peak_tables)
			s->peak_tables = e->mm_end.said.peak_page_table_bytes;
		s->last_tables = e->mm_end.said.page_table_bytes;
		break;
	case TRACE_PROCESS_EXIT:
		s->exits++;
		s->status_of[p] = e->process_exit.status;
		if (e->process)
			s->child_faults += e->process_exit.minor_faults +
				e->process_exit.major_faults;
		s->faults_of[p] += e->process_exit.minor_faults + e->process_exit.major_faults;
		break;
	case TRACE_SIGNAL:
		s->signals++;
		break;
	case TRACE_CAME:
		if (e->came.how == TRACE_CAME_ALONE)
			s->alone += e->came.nr_pages;
		if (e->came.how == TRACE_CAME_FAULTS && e->came.nr_pages > s->unseen)
			s->unseen = e->came.nr_pages;
		break;
	case TRACE_FILE:
		if (s->nr_files < 16)
			snprintf(s->files[s->nr_files++], 64, "%s %s",
				trace_file_kind_name(e->file.kind), e->file.path);
		break;
	default:
		break;
	}
}

static void read_back(const char *path, struct seen *s)
{
	struct trace_reader *r = trace_reader_open(path, &s->error);
	struct replay replay = { 0 };
	const struct trace_event *e;
	int got;

	assert_non_null(r);
	assert_int_equal(trace_reader_header(r)->source, s->result.source);
	assert_int_equal(trace_reader_header(r)->calls, s->result.calls);
	/* What serves for touches serves for calls. */
	if (s->result.source == TRACE_SOURCE_TRACEPOINT)
		assert_int_equal(s->result.calls, calls_by);
	while ((got = trace_reader_next(r, &e, &s->error)) > 0) {
		look_at(s, e);
		replay_event(&replay, e);
	}
	if (got < 0)
		fail_msg("%s", s->error.message);
	trace_reader_close(r);
	/* Everything that began has ended. */
	assert_int_equal(s->starts, s->exits);
	assert_int_equal(s->starts + s->execs - s->shared_starts, s->mm_ends);
}

static struct seen record(enum trace_source source, char **argv)
{
	struct record_options options = { .best_source = source, .best_calls = calls_by, .no_cgroup = no_cgroup };
	char path[64];
	struct seen s = { 0 };

	snprintf(path, sizeof(path), "%s/out.quire", folder);
	options.output = path;
	s.code = record_command(&options, argv, &s.result, &s.error);
	if (s.error.err) {
		assert_int_not_equal(access(path, F_OK), 0);
		return s;
	}
	assert_int_equal(s.result.lost, 0);
	assert_int_equal(s.result.lost_calls, 0);
	read_back(path, &s);
	assert_int_equal(unlink(path), 0);
	return s;
}

static struct seen record_part(enum trace_source source, const char *part)
{
	char subject[] = TRACE_SUBJECT, word[32];
	char *argv[] = { subject, word, NULL };

	snprintf(word, sizeof(word), "%s", part);
	return record(source, argv);
}

/* Every source that this machine permits sees every page written. */
static void test_touches_by_each_source(void **state)
{
	(void)state;
	for (int i = TRACE_SOURCE_TRACEPOINT; i <= TRACE_SOURCE_PAGEMAP; i++) {
		struct seen s = record_part((enum trace_source)i, "touch");

		assert_int_equal(s.code, 7);
		assert_int_equal(s.starts, 1);
		assert_int_equal(s.execs, 1);
		assert_int_equal(s.status_of[0], 7 << 8);
		assert_in_range(s.writes_of[0], TOUCHED, UINT32_MAX);
		assert_in_range(s.peak_rss, TOUCHED * PAGE, UINT32_MAX);
		assert_in_range(s.peak_tables, 4 * PAGE, UINT32_MAX);
		assert_in_range(s.setup, 1, 64);
		/* As many touches as Linux counted faults, but for those that
		 * the kernel takes without an exception. */
		if (s.result.source == TRACE_SOURCE_TRACEPOINT ||
		    s.result.source == TRACE_SOURCE_PERF) {
			assert_in_range(s.by_process[0], s.faults_of[0] * 97 / 100,
				s.faults_of[0]);
		}
	}
}

/* Each page faults twice, and where the source does not say so it is inferred
 * that the first was a read. */
static void test_read_before_write(void **state)
{
	(void)state;
	for (int i = TRACE_SOURCE_TRACEPOINT; i <= TRACE_SOURCE_PERF_USER; i++) {
		struct seen s = record_part((enum trace_source)i, "read-first");

		assert_int_equal(s.code, 0);
		if (s.result.source == TRACE_SOURCE_PAGEMAP)
			continue;
		assert_in_range(s.by_process[0], 2 * TOUCHED, UINT32_MAX);
		assert_in_range(s.writes_of[0], TOUCHED, TOUCHED + TOUCHED / 2);
	}
}

static void test_fork(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "fork");

	(void)state;
	assert_int_equal(s.code, 3);
	assert_int_equal(s.starts, 2);
	assert_int_equal(s.execs, 1);
	assert_int_equal(s.status_of[1], 3 << 8);
	if (s.result.source < TRACE_SOURCE_PAGEMAP)
		assert_in_range(s.writes_of[1], FORK_TOUCHED, TOUCHED);
}

/* A child's first fault may come before anybody knows of it: in about one of
 * twenty it does, and it must not be missing. */
static void test_many_forks(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "forks");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.starts, 1 + FORKS);
	if (s.result.source == TRACE_SOURCE_TRACEPOINT)
		assert_int_equal(s.child_touches, s.child_faults);
}

/* What munmap freed long before the end is in the peak. */
static void test_peak_of_tables(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "peak");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_in_range(s.peak_tables, TABLES * PAGE, UINT32_MAX);
	assert_in_range(s.last_tables, 1, TABLES * PAGE - 1);
}

/* A fault that the kernel takes in two attempts is one. */
static void test_kernel_reads(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "kernel");

	(void)state;
	assert_int_equal(s.code, 0);
	if (s.result.source == TRACE_SOURCE_TRACEPOINT)
		assert_in_range(s.by_process[0], s.faults_of[0] * 97 / 100,
			s.faults_of[0] + s.faults_of[0] / 30);
}

/* The order of calls is that in which they took effect: replayed, they give
 * the maps that Linux shows at the end.  read_back asserts it. */
static void test_threads(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct seen s = record_part(TRACE_SOURCE_NONE, "threads");

		assert_int_equal(s.code, 0);
		assert_int_equal(s.thread_starts, 4);
		assert_int_equal(s.thread_exits, 4);
		assert_int_equal(s.complete_mm_ends, 1);
		assert_in_range(s.calls[TRACE_MMAP], 600, UINT32_MAX);
		assert_in_range(s.calls[TRACE_MREMAP], 20, UINT32_MAX);
	}
}

static void test_family(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "family");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.starts, 13);
	assert_int_equal(s.thread_starts, 48);
	assert_int_equal(s.complete_mm_ends, 13);
}

/* A child begins with the parent's memory at the moment of the copy. */
static void test_forks_among_threads(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct seen s = record_part(TRACE_SOURCE_NONE, "fork-storm");

		assert_int_equal(s.code, 0);
		assert_int_equal(s.starts, 1 + STORM_FORKS);
		assert_int_equal(s.complete_mm_ends, 1 + STORM_FORKS);
	}
}

/* A touch by another thread stands on its side of the call: between two
 * mappings of the page there is one at most.  Where a call is timed by its
 * end, one of twenty is on the wrong side. */
static void test_touches_beside_calls(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "fixed");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.beaten.mappings, FIXED);
	if (s.result.calls == TRACE_CALLS_TRACEPOINT)
		assert_in_range(s.beaten.twice, 0, FIXED / 100);
}

static void test_process_madvise(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "advise");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.calls[TRACE_PROCESS_MADVISE], ADVISED);
}

static void test_exec_by_a_thread(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "exec-thread");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.starts, 1);
	assert_int_equal(s.execs, 2);
	assert_int_equal(s.thread_starts, 1);
	assert_int_equal(s.thread_exits, 1);
	assert_int_equal(s.complete_mm_ends, 2);
}

static void test_vfork(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "vfork");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.starts, 2);
	assert_int_equal(s.shared_starts, 1);
	assert_int_equal(s.execs, 2);
	assert_int_equal(s.complete_mm_ends, 2);
}

static void test_shared_memory(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "shm");
	bool shm = false, memfd = false;

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.calls[TRACE_SHMAT], 1);
	assert_int_equal(s.calls[TRACE_SHMDT], 1);
	assert_int_equal(s.calls[TRACE_MSYNC], 1);
	/* The first was of a file that nobody had mapped; who does not stop the program
	 * may hear of it only when somebody has. */
	assert_in_range(s.calls[TRACE_FTRUNCATE], 1, 2);
	for (uint32_t i = 0; i < s.nr_files; i++) {
		shm |= strncmp(s.files[i], "shm /SYSV", 9) == 0;
		memfd |= strcmp(s.files[i], "memfd /memfd:a memfd") == 0;
	}
	assert_true(shm);
	assert_true(memfd);
}

/* Pages that are there before and after: only their number tells. */
static void test_direct(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "direct");

	(void)state;
	assert_int_equal(s.code, 0);
	if (s.result.source == TRACE_SOURCE_TRACEPOINT) {
		assert_in_range(s.unseen, REACHED, 2 * REACHED);
		assert_in_range(s.alone, REACHED / 2, UINT32_MAX);
	}
}

static void test_beside(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "beside");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.apart, PIECES - 1);
}

static void test_sealed(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "seal");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_true(s.sealed);
}

static void test_barrier(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "barrier");

	(void)state;
	assert_int_equal(s.code, 0);
	assert_int_equal(s.signals, BARRIERS);
}

static void test_killed(void **state)
{
	struct seen s = record_part(TRACE_SOURCE_NONE, "kill");

	(void)state;
	assert_int_equal(s.code, 128 + SIGKILL);
	assert_int_equal(s.status_of[0], SIGKILL);
	assert_in_range(s.writes_of[0], TOUCHED, UINT32_MAX);
}

static void test_shell(void **state)
{
	char sh[] = "sh", c[] = "-c";
	char script[] = "ls / | sort | wc >/dev/null; (exit 5) & wait $!; exit $?";
	char *argv[] = { sh, c, script, NULL };
	struct seen s = record(TRACE_SOURCE_NONE, argv);

	(void)state;
	assert_int_equal(s.code, 5);
	assert_int_equal(s.starts, 5);
	assert_int_equal(s.execs, 4);
}

static void test_not_there(void **state)
{
	char name[] = "/nonexistent/program";
	char *argv[] = { name, NULL };
	struct seen s = record(TRACE_SOURCE_NONE, argv);

	(void)state;
	assert_int_equal(s.code, 127);
	assert_int_equal(s.error.err, ENOENT);
	assert_non_null(strstr(s.error.message, name));
}

static void test_not_a_program(void **state)
{
	char name[] = "/etc/passwd";
	char *argv[] = { name, NULL };
	struct seen s = record(TRACE_SOURCE_NONE, argv);

	(void)state;
	assert_int_equal(s.code, 126);
	assert_int_equal(s.error.err, EACCES);
}

static void test_bad_output(void **state)
{
	struct record_options options = { .output = "/nonexistent/out" };
	struct trace_error error = { 0 };
	char name[] = "/bin/true";
	char *argv[] = { name, NULL };

	(void)state;
	assert_int_equal(record_command(&options, argv, NULL, &error), 125);
	assert_int_equal(error.err, ENOENT);
	assert_non_null(strstr(error.message, "/nonexistent/out"));
}

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/quire-record-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder); /* nothing is left in it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_touches_by_each_source),
		cmocka_unit_test(test_read_before_write),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_many_forks),
		cmocka_unit_test(test_peak_of_tables),
		cmocka_unit_test(test_kernel_reads),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_forks_among_threads),
		cmocka_unit_test(test_touches_beside_calls),
		cmocka_unit_test(test_process_madvise),
		cmocka_unit_test(test_exec_by_a_thread),
		cmocka_unit_test(test_vfork),
		cmocka_unit_test(test_shared_memory),
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_beside),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_shell),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_not_a_program),
		cmocka_unit_test(test_bad_output),
	};

	int failed;

	calls_by = TRACE_CALLS_TRACEPOINT;
	failed = cmocka_run_group_tests_name("calls by tracepoints, where permitted", tests,
		make_folder, remove_folder);
	no_cgroup = true;
	failed += cmocka_run_group_tests_name("the same, following each task", tests, make_folder,
		remove_folder);
	calls_by = TRACE_CALLS_PTRACE;
	return failed + cmocka_run_group_tests_name("calls by stops", tests, make_folder,
		remove_folder);
}
