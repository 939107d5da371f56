/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quire record: starts the command under the tracer and puts the parts of the
 * recorder together.  recorder.h shows how they fit.
 */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ptrace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "format.h"
#include "call_source.h"
#include "cgroup.h"
#include "recorder.h"

extern long ptrace(int request, ...);

#define EXIT_RECORDER_FAILED 125

static char *join(char **argv)
{
	size_t len = 1;
	char *text, *at;

	for (char **word = argv; *word; word++)
		len += strlen(*word) + 1;
	text = malloc(len);
	if (!text)
		return NULL;
	at = text;
	*at = 0;
	for (char **word = argv; *word; word++)
		at += sprintf(at, "%s%s", word == argv ? "" : " ", *word);
	return text;
}

static struct trace_writer *open_writer(const char *output, const struct record_result *result,
	const char *command, struct trace_error *error)
{
	struct trace_header header = {
		.source = result->source, .calls = result->calls, .recorder = "quire record",
	};
	struct trace_writer *writer;
	struct timespec now;

	host_probe(&header.host);
	clock_gettime(CLOCK_REALTIME, &now);
	header.start_unix_us = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000;
	header.command = command ? command : "";
	writer = trace_writer_open(output, &header, error);
	return writer;
}

/* ---- the command ---- */

struct command {
	pid_t pid;
	int go; /* write one of enum trace_calls as a byte: it may start */
	int failure; /* read: the errno of a failed exec, or nothing */
};

/* In the child, until exec: nothing here may need a lock or memory. */
static _Noreturn void become(int go, int failure, char **argv)
{
	uint8_t byte;
	int err;

	if (read(go, &byte, 1) != 1)
		_exit(EXIT_RECORDER_FAILED);
	err = -calls_install_filter((enum trace_calls)byte);
	if (!err) {
		execvp(argv[0], argv);
		err = errno;
	}
	if (write(failure, &err, sizeof(err)) < 0)
		_exit(EXIT_RECORDER_FAILED);
	_exit(127);
}

static int start_command(struct command *c, char **argv, struct trace_error *error)
{
	int go[2], failure[2];

	if (pipe2(go, O_CLOEXEC) != 0)
		return trace_fail(error, errno, 0, "cannot make a pipe: %s", strerror(errno));
	if (pipe2(failure, O_CLOEXEC) != 0) {
		trace_fail(error, errno, 0, "cannot make a pipe: %s", strerror(errno));
		goto close_go;
	}
	c->pid = fork();
	if (c->pid == 0) {
		close(go[1]);
		close(failure[0]);
		become(go[0], failure[1], argv);
	}
	if (c->pid < 0) {
		trace_fail(error, errno, 0, "cannot fork: %s", strerror(errno));
		goto close_all;
	}
	close(go[0]);
	close(failure[1]);
	c->go = go[1];
	c->failure = failure[0];
	return 0;
close_all:
	close(failure[0]);
	close(failure[1]);
close_go:
	close(go[0]);
	close(go[1]);
	return -EIO;
}

/* The errno with which exec failed; 0: it did not. */
static int end_command(struct command *c)
{
	int err = 0;

	if (read(c->failure, &err, sizeof(err)) != sizeof(err))
		err = 0;
	close(c->failure);
	return err;
}

/* ---- all of it ---- */

static int exit_code(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) :
		WEXITSTATUS(wait_status);
}

struct recording {
	struct command command;
	struct thread_list threads; /* instead: of a process that ran already */
	struct trace_writer *writer;
	struct drain *drain;
	struct cgroup *cgroup; /* that the command is in; NULL: none of its own */
	bool grouped; /* and its events are the group's */
	struct call_rings *calls; /* NULL: the tracer sees them */
	struct merge *merge;
	struct files *files;
	struct settings *settings;
	struct tracer *tracer;
	const struct record_options *options;
};

/* The writer's failure, said by the merge's thread while the command runs. */
static void tell_failure(void *context, const struct trace_error *failure)
{
	const struct record_options *options = context;
	char sentence[sizeof(failure->message) + 80];

	if (!options->tell)
		return;
	snprintf(sentence, sizeof(sentence), "%s; the command goes on, but is not recorded any more",
		failure->message);
	options->tell(options->context, sentence);
}

static struct merge *start_merge(struct recording *r, enum trace_source source)
{
	struct merge *merge;
	sigset_t before;

	signals_block(&before);
	merge = merge_create(r->writer, r->drain, r->calls, source, now_ns());
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return merge;
}

/* The threads that feed the merge.  0 or a negative errno. */
static int start_feeds(struct recording *r)
{
	sigset_t before;
	int err = 0;

	signals_block(&before);
	r->settings = settings_watch(r->merge);
	if (!r->settings)
		err = -EAGAIN;
	else if (r->calls)
		err = call_rings_start(r->calls, r->merge, r->files);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

/* Threads of the recorder must get no signals. */
static struct drain *start_drain(const struct record_target *target, enum trace_source *source)
{
	struct drain *drain;
	sigset_t before;

	signals_block(&before);
	drain = drain_create(target, source);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return drain;
}

/* Calls are seen without a stop where that is permitted, and where touches
 * need no look at the program before calls that take pages away. */
static void open_sources(struct recording *r, const struct record_options *options,
	struct record_result *result)
{
	struct record_target target = {
		.pid = r->command.pid, .cgroup_fd = r->grouped ? cgroup_fd(r->cgroup) : -1,
		.tid = r->threads.tid, .nr_tids = r->threads.nr,
	};

	result->source = options->best_source == TRACE_SOURCE_NONE ? TRACE_SOURCE_TRACEPOINT :
		options->best_source;
	r->drain = start_drain(&target, &result->source);
	if (options->best_calls != TRACE_CALLS_PTRACE && result->source < TRACE_SOURCE_PERF_USER)
		r->calls = call_rings_create(&target);
	result->calls = r->calls ? TRACE_CALLS_TRACEPOINT : TRACE_CALLS_PTRACE;
}

/* A group gives events as good as without, or is given up. */
static void choose_sources(struct recording *r, const struct record_options *options,
	struct record_result *result)
{
	if (!options->no_cgroup && geteuid() == 0 &&
	    options->best_source < TRACE_SOURCE_PERF_USER)
		r->cgroup = cgroup_create(r->command.pid);
	r->grouped = r->cgroup != NULL;
	open_sources(r, options, result);
	if (r->grouped && result->source >= TRACE_SOURCE_PERF_USER) {
		drain_destroy(r->drain);
		r->grouped = false;
		open_sources(r, options, result);
	}
	if (r->grouped) {
		drain_enable(r->drain);
		if (r->calls)
			call_rings_enable(r->calls);
	}
}

/* The file, and all parts of the recorder, once the sources are there. */
static int prepare_parts(struct recording *r, const struct record_options *options,
	char *command, struct record_result *result, struct trace_error *error)
{
	r->writer = open_writer(options->output, result, command, error);
	free(command);
	if (!r->writer)
		return -error->err;
	trace_writer_on_failure(r->writer, tell_failure, (void *)(uintptr_t)options);
	r->merge = start_merge(r, result->source);
	if (r->merge)
		r->files = files_create(r->merge);
	if (r->files) {
		const struct tracer_sources sources = {
			.drain = r->drain, .calls = r->calls,
			.cgroup = r->grouped ? r->cgroup : NULL, .source = result->source,
			.attached = r->threads.tid != NULL,
		};

		r->tracer = tracer_create(r->merge, r->files, &sources, options);
	}
	if (r->tracer && start_feeds(r) < 0)
		return trace_fail(error, EAGAIN, 0, "no thread for the recorder");
	return r->tracer ? 0 : trace_fail(error, ENOMEM, 0, "no memory for the recorder");
}

/* Everything up to the moment at which the command may go. */
static int prepare(struct recording *r, const struct record_options *options, char **argv,
	struct record_result *result, struct trace_error *error)
{
	int err;

	if (ptrace(PTRACE_SEIZE, r->command.pid, 0, (long)tracer_options) != 0)
		return trace_fail(error, errno, 0, "cannot trace the command: %s",
			strerror(errno));
	choose_sources(r, options, result);
	err = prepare_parts(r, options, join(argv), result, error);
	if (!err && tracer_adopt(r->tracer, r->command.pid) < 0)
		err = trace_fail(error, ENOMEM, 0, "no memory for the recorder");
	return err;
}

static void run(struct recording *r, struct record_result *result, struct trace_error *error)
{
	uint8_t calls = (uint8_t)result->calls;

	if (write(r->command.go, &calls, 1) != 1)
		trace_fail(error, errno, 0, "cannot start the command: %s", strerror(errno));
	close(r->command.go);
	r->command.go = -1;
	tracer_run(r->tracer, &result->wait_status, error);
	result->processes = tracer_nr_processes(r->tracer);
}

/* The child may still wait for its start: it is killed and reaped. */
static void give_up_command(struct command *c)
{
	int status;
	pid_t tid;

	if (c->go < 0)
		return;
	close(c->go);
	c->go = -1;
	kill(c->pid, SIGKILL);
	/* It may stop once more, at its exit; and so may a thread of it, that a
	 * sanitizer started. */
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, tid, 0, 0);
		else if (tid == c->pid)
			break;
	}
}

/* Ends the file: whole, or what there is of it, or not at all. */
static int finish_file(struct recording *r, bool ran, struct record_result *result,
	struct trace_error *error)
{
	result->events = trace_writer_events(r->writer);
	if (!ran) {
		trace_writer_discard(r->writer);
		return -EIO;
	}
	if (error->err) {
		trace_writer_abandon(r->writer, error);
		return -error->err;
	}
	if (trace_writer_flush(r->writer, 0) == 0)
		result->bytes = trace_writer_bytes(r->writer) + TRACE_END_BYTES;
	return trace_writer_close(r->writer, error);
}

static void finish_parts(struct recording *r, struct record_result *result,
	struct trace_error *error)
{
	settings_end(r->settings);
	if (r->calls)
		call_rings_stop(r->calls);
	if (r->merge)
		merge_finish(r->merge, result, error);
	drain_destroy(r->drain);
	call_rings_destroy(r->calls);
	cgroup_destroy(r->cgroup);
	tracer_destroy(r->tracer);
	files_destroy(r->files);
}

static int finish(struct recording *r, char **argv, struct record_result *result,
	struct trace_error *error)
{
	bool ran = r->command.go < 0;
	int exec_errno;

	give_up_command(&r->command);
	exec_errno = end_command(&r->command);
	finish_parts(r, result, error);
	if (exec_errno && !error->err)
		trace_fail(error, exec_errno, 0, "cannot run '%s': %s", argv[0],
			strerror(exec_errno));
	if (!r->writer)
		return EXIT_RECORDER_FAILED;
	if (finish_file(r, ran && !exec_errno, result, error) == 0)
		return exit_code(result->wait_status);
	if (exec_errno && error->err == exec_errno)
		return exec_errno == ENOENT ? 127 : 126;
	return EXIT_RECORDER_FAILED;
}

int record_command(const struct record_options *options, char **argv,
	struct record_result *result, struct trace_error *error)
{
	struct recording r = { .command = { .pid = -1, .go = -1, .failure = -1 } };
	struct record_result ignored_result;
	struct saved_signals saved;
	int code;

	if (!result)
		result = &ignored_result;
	*result = (struct record_result){ 0 };
	if (start_command(&r.command, argv, error) < 0)
		return EXIT_RECORDER_FAILED;
	signals_take(&saved, false);
	if (prepare(&r, options, argv, result, error) == 0)
		run(&r, result, error);
	code = finish(&r, argv, result, error);
	signals_give_back(&saved);
	return code;
}

/* ---- a process that runs already ---- */

/* An event for each thread, CPU and kind takes many descriptors. */
static void allow_many_files(struct rlimit *ret_before)
{
	struct rlimit most;

	getrlimit(RLIMIT_NOFILE, ret_before);
	most = *ret_before;
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
}

/* Everything up to the moment at which the process goes on, and that. */
static int attach(struct recording *r, const struct record_options *options, pid_t pid,
	struct record_result *result, struct trace_error *error)
{
	int err = attach_stop(pid, &r->threads, error);

	if (err)
		return err;
	open_sources(r, options, result);
	err = prepare_parts(r, options, procfs_read_arguments(pid), result, error);
	if (err)
		return err;
	drain_enable(r->drain);
	if (r->calls)
		call_rings_enable(r->calls);
	err = tracer_attach(r->tracer, pid, &r->threads);
	return err ? trace_fail(error, -err, 0, "no memory for the recorder") : 0;
}

int record_process(const struct record_options *options, pid_t pid,
	struct record_result *result, struct trace_error *error)
{
	struct recording r = { .command = { .pid = -1, .go = -1, .failure = -1 } };
	struct record_result ignored_result;
	struct saved_signals saved;
	struct rlimit files;
	bool ran;

	if (!result)
		result = &ignored_result;
	*result = (struct record_result){ 0 };
	signals_take(&saved, true);
	allow_many_files(&files);
	ran = attach(&r, options, pid, result, error) == 0;
	if (ran) {
		tracer_run(r.tracer, &result->wait_status, error);
		result->processes = tracer_nr_processes(r.tracer);
	}
	attach_undo(&r.threads);
	finish_parts(&r, result, error);
	if (r.writer && finish_file(&r, ran, result, error) < 0)
		ran = false;
	setrlimit(RLIMIT_NOFILE, &files);
	signals_give_back(&saved);
	return ran ? 0 : EXIT_RECORDER_FAILED;
}
