/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals from a terminal, on a pseudo-terminal with a shell of our own: it
 * starts the recorder in a process group of the foreground, waits for it to end
 * or stop, and continues it.
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
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "trace/reader.h"
#include "trace/record.h"

/* The recorder forks before it has threads; the sanitizer's own do not count. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

static char folder[] = "/tmp/quire-signals-XXXXXX";
static char output[64];

/* Records the part "patient" of subject.c; the exit status is the command's. */
static _Noreturn void be_recorder(void)
{
	struct record_options options = { .output = output };
	char subject[] = TRACE_SUBJECT, part[] = "patient";
	char *argv[] = { subject, part, NULL };
	struct trace_error error = { 0 };
	int code = record_command(&options, argv, NULL, &error);

	if (error.err)
		fprintf(stderr, "%s\n", error.message);
	_exit(code);
}

/* Exits with the recorder's status; says when it stopped, and continues it
 * when a line comes in. */
static _Noreturn void be_shell(void)
{
	pid_t recorder;
	int status;

	signal(SIGTTOU, SIG_IGN);
	recorder = fork();
	if (recorder == 0) {
		setpgid(0, 0);
		tcsetpgrp(STDIN_FILENO, getpid());
		signal(SIGTTOU, SIG_DFL);
		be_recorder();
	}
	setpgid(recorder, recorder);
	while (waitpid(recorder, &status, WUNTRACED) == recorder && WIFSTOPPED(status)) {
		char byte;

		if (WSTOPSIG(status) == SIGSTOP) /* the test itself continues it */
			continue;
		tcsetpgrp(STDIN_FILENO, getpgrp());
		dprintf(STDOUT_FILENO, "stopped by %d\n", WSTOPSIG(status));
		if (read(STDIN_FILENO, &byte, 1) != 1)
			_exit(99);
		tcsetpgrp(STDIN_FILENO, recorder);
		kill(-recorder, SIGCONT);
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 98);
}

struct session {
	pid_t shell;
	int terminal;
	char text[4096];
	size_t len;
};

static struct session begin(void)
{
	struct session s = { .shell = forkpty(&s.terminal, NULL, NULL, NULL) };

	if (s.shell == 0)
		be_shell();
	assert_true(s.shell > 0);
	return s;
}

/* Waits until the terminal has shown this, which then counts no more. */
static void await(struct session *s, const char *words)
{
	struct pollfd wait = { .fd = s->terminal, .events = POLLIN };
	char *at;

	while (!(at = strstr(s->text, words))) {
		ssize_t len;

		if (poll(&wait, 1, 20000) != 1)
			fail_msg("no '%s' in: %s", words, s->text);
		len = read(s->terminal, s->text + s->len, sizeof(s->text) - 1 - s->len);
		if (len <= 0)
			fail_msg("no '%s' in: %s", words, s->text);
		s->len += (size_t)len;
	}
	*at = '#';
}

static void type(struct session *s, char key)
{
	assert_int_equal(write(s->terminal, &key, 1), 1);
}

static int end(struct session *s)
{
	struct trace_error error = { 0 };
	struct trace_reader *r;
	const struct trace_event *e;
	int status, got;

	assert_int_equal(waitpid(s->shell, &status, 0), s->shell);
	close(s->terminal);
	assert_true(WIFEXITED(status));
	r = trace_reader_open(output, &error);
	assert_non_null(r);
	while ((got = trace_reader_next(r, &e, &error)) > 0)
		;
	assert_int_equal(got, 0); /* it is complete */
	trace_reader_close(r);
	unlink(output);
	return WEXITSTATUS(status);
}

/* The program gets the terminal's signal once, from the terminal alone, and
 * exits with 7 then. */
static void test_interrupt(void **state)
{
	struct session s = begin();

	(void)state;
	await(&s, "ready");
	type(&s, 3);
	assert_int_equal(end(&s), 7);
	s = begin();
	await(&s, "ready");
	type(&s, 28);
	assert_int_equal(end(&s), 7);
}

/* One process of the group that the terminal has in front: the recorder. */
static pid_t recorder_of(const struct session *s)
{
	return tcgetpgrp(s->terminal);
}

/*
 * The same, and the program has taken the signal before the recorder runs again:
 * one that the recorder sent on as well would be a second one.
 */
static void test_interrupt_of_a_slow_recorder(void **state)
{
	struct session s = begin();
	pid_t recorder;

	(void)state;
	await(&s, "ready");
	recorder = recorder_of(&s);
	kill(recorder, SIGSTOP);
	usleep(100000);
	type(&s, 3);
	usleep(100000);
	kill(recorder, SIGCONT);
	assert_int_equal(end(&s), 7);
}

/* To the recorder alone: the program gets it once, from us. */
static void test_sent_to_the_recorder(void **state)
{
	static const int each[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP };

	(void)state;
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		struct session s = begin();

		await(&s, "ready");
		assert_int_equal(kill(recorder_of(&s), each[i]), 0);
		assert_int_equal(end(&s), 7);
	}
}

static void test_twice(void **state)
{
	struct session s = begin();
	pid_t recorder;

	(void)state;
	await(&s, "ready");
	recorder = recorder_of(&s);
	/* At once: the same wish, and the program counts one signal. */
	kill(recorder, SIGTERM);
	usleep(50000);
	kill(recorder, SIGTERM);
	assert_int_equal(end(&s), 7);
}

/* The program's own state, as /proc has it: 'T' or 't' when it is stopped. */
static char state_of(pid_t pid)
{
	char path[64], text[512], *at;
	FILE *file;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = 0;
	at = strrchr(text, ')');
	assert_non_null(at);
	return at[2];
}

static void test_stop_and_continue(void **state)
{
	struct session s = begin();
	pid_t program = 0;
	char now = 0;

	(void)state;
	await(&s, "ready");
	program = (pid_t)atoi(strstr(s.text, "#eady") + 6);
	for (int again = 0; again < 3; again++) {
		type(&s, 26);
		await(&s, "stopped by 20");
		for (int i = 0; i < 100 && now != 'T' && now != 't'; i++) {
			usleep(10000);
			now = state_of(program);
		}
		assert_true(now == 'T' || now == 't');
		type(&s, '\n');
		for (int i = 0; i < 200 && (now == 'T' || now == 't'); i++) {
			usleep(10000);
			now = state_of(program);
		}
		assert_true(now == 'S' || now == 'R');
	}
	type(&s, 3);
	assert_int_equal(end(&s), 7);
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
	return rmdir(folder); /* nothing is left in it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_interrupt_of_a_slow_recorder),
		cmocka_unit_test(test_sent_to_the_recorder),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_stop_and_continue),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
