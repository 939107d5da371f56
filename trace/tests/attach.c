/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recorder, attached to a program that runs already: programs/subject.c, which
 * obeys letters while three threads of it map and unmap.  The recorder is a process
 * of its own, beside it.
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
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
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

static char folder[] = "/tmp/quire-attach-XXXXXX";
static char output[64];
static enum trace_calls calls_by;

/* ---- the two programs ---- */

struct subject {
	pid_t pid;
	int to, from;
};

static char answer_of(const struct subject *s)
{
	struct pollfd wait = { .fd = s->from, .events = POLLIN };
	char answer = 0;

	if (poll(&wait, 1, 20000) != 1 || read(s->from, &answer, 1) != 1)
		fail_msg("the subject does not answer");
	return answer;
}

static void order(const struct subject *s, char letter)
{
	assert_int_equal(write(s->to, &letter, 1), 1);
	assert_int_equal(answer_of(s), letter);
}

static struct subject start_subject(void)
{
	int to[2], from[2];
	struct subject s;

	assert_int_equal(pipe(to) | pipe(from), 0);
	s = (struct subject){ .pid = fork(), .to = to[1], .from = from[0] };
	if (s.pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		for (int fd = 3; fd < 64; fd++)
			close(fd);
		execl(TRACE_SUBJECT, "subject", "obedient", NULL);
		_exit(9);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(answer_of(&s), 'r');
	return s;
}

/* Lives and obeys, and ends as it would have. */
static void end_subject(const struct subject *s)
{
	int status;

	order(s, 't');
	assert_int_equal(write(s->to, "q", 1), 1);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_int_equal(status, 4 << 8);
	close(s->to);
	close(s->from);
}

static pid_t start_recorder(pid_t subject)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct record_options options = { .output = output, .best_calls = calls_by };
		struct trace_error error = { 0 };
		int code = record_process(&options, subject, NULL, &error);

		if (code)
			fprintf(stderr, "%s\n", error.message);
		_exit(code);
	}
	return pid;
}

static int code_of(pid_t recorder)
{
	int status;

	assert_int_equal(waitpid(recorder, &status, 0), recorder);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Of /proc/PID/status. */
static pid_t tracer_of(pid_t pid)
{
	char path[64], line[256];
	int tracer = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	if (file)
		fclose(file);
	return (pid_t)tracer;
}

/* From when it is traced its threads stand still until all is recorded. */
static pid_t attach(const struct subject *s)
{
	pid_t recorder = start_recorder(s->pid);

	for (int i = 0; i < 10000 && tracer_of(s->pid) != recorder; i++)
		usleep(1000);
	assert_int_equal(tracer_of(s->pid), recorder);
	return recorder;
}

static void detach(const struct subject *s, pid_t recorder, int sig)
{
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	kill(recorder, sig);
	assert_int_equal(code_of(recorder), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	/* It need not be waited for until a limit of time. */
	assert_in_range(to.tv_sec - from.tv_sec, 0, 3);
	assert_int_equal(tracer_of(s->pid), 0);
}

/* ---- what was recorded ---- */

struct seen {
	uint32_t starts, attached, thread_starts, execs, exits, mm_ends, detached, complete;
	uint32_t calls[TRACE_NR_CALLS];
	uint64_t touches, child_touches, there_pages;
	uint64_t faults_before, faults_after; /* of the first process */
	int status;
	enum trace_source source;
};

static void look_at(struct seen *s, const struct trace_event *e)
{
	switch (e->kind) {
	case TRACE_PROCESS_START:
		s->starts++;
		s->attached += e->process_start.how == TRACE_HOW_ATTACH;
		break;
	case TRACE_THREAD_START:
		s->thread_starts++;
		break;
	case TRACE_EXEC:
		if (!s->execs++)
			s->faults_before = e->exec.minor_faults + e->exec.major_faults;
		break;
	case TRACE_CALL:
		s->calls[e->call.nr]++;
		break;
	case TRACE_TOUCH:
		s->touches += e->process == 0;
		s->child_touches += e->process != 0;
		break;
	case TRACE_CAME:
		s->there_pages += e->came.how == TRACE_CAME_THERE_WRITE ? e->came.nr_pages : 0;
		break;
	case TRACE_MM_END:
		s->mm_ends++;
		s->detached += e->mm_end.detached;
		s->complete += e->mm_end.complete;
		if (e->process == 0 && e->mm_end.complete)
			s->faults_after = e->mm_end.said.minor_faults +
				e->mm_end.said.major_faults;
		break;
	case TRACE_PROCESS_EXIT:
		s->exits++;
		if (e->process == 0)
			s->status = e->process_exit.status;
		break;
	default:
		break;
	}
}

/* That calls, replayed, give the maps at the end is asserted on the way. */
static struct seen read_back(void)
{
	struct trace_error error = { 0 };
	struct trace_reader *r = trace_reader_open(output, &error);
	struct replay replay = { 0 };
	const struct trace_event *e;
	struct seen s = { 0 };
	int got;

	assert_non_null(r);
	s.source = trace_reader_header(r)->source;
	while ((got = trace_reader_next(r, &e, &error)) > 0) {
		look_at(&s, e);
		replay_event(&replay, e);
	}
	if (got < 0)
		fail_msg("%s", error.message);
	trace_reader_close(r);
	assert_int_equal(unlink(output), 0);
	assert_int_equal(s.attached, 1);
	return s;
}

static void assert_faults(const struct seen *s)
{
	if (s->source == TRACE_SOURCE_TRACEPOINT)
		assert_in_range(s->touches, (s->faults_after - s->faults_before) * 97 / 100,
			(s->faults_after - s->faults_before) * 103 / 100);
}

/* ---- tests ---- */

static void test_detach(void **state)
{
	static const int asking[] = { SIGINT, SIGTERM, SIGHUP };

	(void)state;
	for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++) {
		struct subject subject = start_subject();
		pid_t recorder = attach(&subject);
		struct seen s;

		order(&subject, 't');
		usleep(200000);
		detach(&subject, recorder, asking[i]);
		end_subject(&subject);
		s = read_back();
		assert_int_equal(s.starts, 1);
		assert_int_equal(s.thread_starts, 3);
		assert_int_equal(s.exits, 0);
		assert_int_equal(s.detached, 1);
		assert_int_equal(s.complete, 1);
		assert_in_range(s.touches, TOUCHED - 1, UINT32_MAX);
		assert_in_range(s.there_pages, 4, UINT32_MAX);
		assert_in_range(s.calls[TRACE_MREMAP], 20, UINT32_MAX);
		assert_in_range(s.calls[TRACE_MUNMAP], s.calls[TRACE_MREMAP], UINT32_MAX);
		assert_faults(&s);
	}
}

static void test_until_its_end(void **state)
{
	struct subject subject = start_subject();
	pid_t recorder = attach(&subject);
	struct seen s;

	(void)state;
	end_subject(&subject);
	assert_int_equal(code_of(recorder), 0);
	s = read_back();
	assert_int_equal(s.starts, 1);
	assert_int_equal(s.exits, 1);
	assert_int_equal(s.status, 4 << 8);
	assert_int_equal(s.detached, 0);
	assert_int_equal(s.complete, 1);
	assert_in_range(s.touches, TOUCHED - 1, UINT32_MAX);
	assert_faults(&s);
}

static void test_children(void **state)
{
	struct subject subject = start_subject();
	pid_t recorder = attach(&subject);
	struct seen s;

	(void)state;
	order(&subject, 'f');
	order(&subject, 'v');
	order(&subject, 'f');
	detach(&subject, recorder, SIGTERM);
	end_subject(&subject);
	s = read_back();
	assert_int_equal(s.starts, 4);
	assert_int_equal(s.exits, 3);
	/* What it is now, and the program that vfork's child became. */
	assert_int_equal(s.execs, 2);
	assert_int_equal(s.detached, 1);
	assert_int_equal(s.complete, 4);
	assert_in_range(s.child_touches, 2 * FORK_TOUCHED, UINT32_MAX);
	assert_faults(&s);
}

static void test_stopped_stays_stopped(void **state)
{
	struct subject subject = start_subject();
	pid_t recorder;
	int status;

	(void)state;
	kill(subject.pid, SIGSTOP);
	assert_int_equal(waitpid(subject.pid, &status, WUNTRACED), subject.pid);
	recorder = attach(&subject);
	usleep(100000);
	assert_int_equal(write(subject.to, "t", 1), 1);
	assert_int_equal(poll(&(struct pollfd){ .fd = subject.from, .events = POLLIN }, 1, 200), 0);
	detach(&subject, recorder, SIGTERM);
	assert_int_equal(poll(&(struct pollfd){ .fd = subject.from, .events = POLLIN }, 1, 200), 0);
	kill(subject.pid, SIGCONT);
	assert_int_equal(answer_of(&subject), 't');
	end_subject(&subject);
	read_back();
}

/* ... and goes on when it is told to, with the recorder there. */
static void test_stopped_goes_on(void **state)
{
	struct subject subject = start_subject();
	pid_t recorder;
	int status;

	(void)state;
	kill(subject.pid, SIGSTOP);
	assert_int_equal(waitpid(subject.pid, &status, WUNTRACED), subject.pid);
	recorder = attach(&subject);
	assert_int_equal(write(subject.to, "t", 1), 1);
	assert_int_equal(poll(&(struct pollfd){ .fd = subject.from, .events = POLLIN }, 1, 200), 0);
	kill(subject.pid, SIGCONT);
	assert_int_equal(poll(&(struct pollfd){ .fd = subject.from, .events = POLLIN }, 1, 5000), 1);
	assert_int_equal(answer_of(&subject), 't');
	detach(&subject, recorder, SIGTERM);
	end_subject(&subject);
	read_back();
}

/* A recorder that is killed takes nobody with it. */
static void test_killed_recorder(void **state)
{
	struct subject subject = start_subject();
	pid_t recorder = attach(&subject);
	char part[80];
	int status;

	(void)state;
	order(&subject, 't');
	kill(recorder, SIGKILL);
	waitpid(recorder, &status, 0);
	end_subject(&subject);
	snprintf(part, sizeof(part), "%s.part", output);
	assert_int_equal(unlink(part), 0);
}

static void assert_refused(pid_t pid, const char *why)
{
	struct record_options options = { .output = output, .best_calls = calls_by };
	struct trace_error error = { 0 };

	assert_int_equal(record_process(&options, pid, NULL, &error), 125);
	if (!strstr(error.message, why))
		fail_msg("no '%s' in: %s", why, error.message);
	assert_int_not_equal(access(output, F_OK), 0);
}

/* In a container it is somebody's program. */
static bool is_kernels(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (file && !fgets(name, sizeof(name), file))
		name[0] = 0;
	if (file)
		fclose(file);
	return strcmp(name, "kthreadd\n") == 0;
}

static void test_refused(void **state)
{
	struct subject subject = start_subject();
	pid_t recorder, gone = fork();
	char *good = strdup(output);

	(void)state;
	if (gone == 0)
		_exit(0);
	waitpid(gone, NULL, 0);
	assert_refused(gone, "there is none");
	assert_refused(getpid(), "the recorder itself");
	assert_refused(getppid(), "started the recorder");
	if (is_kernels(2))
		assert_refused(2, "the kernel");
	snprintf(output, sizeof(output), "/nonexistent/out");
	assert_refused(subject.pid, "/nonexistent/out");
	snprintf(output, sizeof(output), "%s", good);
	free(good);
	assert_int_equal(tracer_of(subject.pid), 0);
	recorder = attach(&subject);
	assert_refused(subject.pid, "traces it");
	detach(&subject, recorder, SIGTERM);
	end_subject(&subject);
	read_back();
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(output, sizeof(output), "%s/out.quire", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	if (rmdir(folder) != 0) /* nothing is left in it */
		return -1;
	snprintf(folder, sizeof(folder), "/tmp/quire-attach-XXXXXX");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_until_its_end),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_stopped_stays_stopped),
		cmocka_unit_test(test_stopped_goes_on),
		cmocka_unit_test(test_killed_recorder),
		cmocka_unit_test(test_refused),
	};
	int failed;

	calls_by = TRACE_CALLS_TRACEPOINT;
	failed = cmocka_run_group_tests_name("calls by tracepoints, where permitted", tests,
		make_folder, remove_folder);
	calls_by = TRACE_CALLS_PTRACE;
	return failed + cmocka_run_group_tests_name("calls by stops", tests, make_folder,
		remove_folder);
}
