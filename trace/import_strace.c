/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * strace -f logs as recordings.  There are no touches in such a log, no maps
 * at exec and nothing that Linux said; what remains are the memory calls of
 * each process with their results, and who started whom.
 *
 * The log is read twice.  A child's first line may stand before the line in
 * which its parent's clone returns, so the first pass notes only which ids
 * were returned by whom; the second makes the events.
 */
#include "import.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

#define DAY_US (UINT64_C(86400) * 1000000)

struct import {
	struct import_log log;
	struct import_world w; /* a thread's text: the first part of a call */
	struct strace_births births;
	uint64_t first_us;
	bool timed;
};

static int fail(struct import *im, const char *what)
{
	return import_log_fail(&im->log, what);
}

/* ---- threads ---- */

/*
 * A log on the terminal has no ids as long as there is one process, and again
 * once all others have ended.
 */
static uint32_t find_unnamed(const struct import_world *w)
{
	uint32_t last = TRACE_NONE;

	if (w->nr_threads && w->thread[0].alive)
		return 0;
	for (size_t i = 0; i < w->nr_threads; i++)
		if (w->thread[i].alive)
			last = (uint32_t)i;
	return last;
}

static uint32_t find_thread(const struct import *im, pid_t pid)
{
	return pid ? world_find_thread(&im->w, pid) : find_unnamed(&im->w);
}

/* The thread that a line belongs to, introduced now if need be. */
static int thread_of(struct import *im, pid_t pid, uint32_t *index)
{
	struct import_world *w = &im->w;
	struct strace_birth *birth;

	*index = find_thread(im, pid);
	if (*index != TRACE_NONE)
		return 0;
	birth = strace_births_take(&im->births, pid);
	/* Nobody's child: the first process, which had no id until now. */
	if (!birth && w->nr_threads && w->thread[0].alive && !w->thread[0].pid) {
		w->thread[0].pid = pid;
		*index = 0;
		return 0;
	}
	/* A parent that had no line so far is not known: the child stands alone. */
	return world_add_thread(w, pid, birth ? find_thread(im, birth->parent) : TRACE_NONE,
		birth ? birth->flags : 0, index);
}

/* ---- files ---- */

/* "path", or </path> behind a descriptor; in place.  NULL: neither. */
static char *path_in(char *argument)
{
	char *open = strchr(argument, '"'), *close;
	char end = '"';

	if (!open) {
		open = strchr(argument, '<');
		end = '>';
	}
	close = open ? strchr(open + 1, end) : NULL;
	if (!close)
		return NULL;
	*close = 0;
	return open + 1;
}

/* The file of a descriptor argument: 3 or 3</path>. */
static int file_of_argument(struct import *im, uint32_t process_index, char *argument,
	uint32_t *file)
{
	char *end, *path;
	long fd = strtol(argument, &end, 10);

	if (end == argument || fd < -1 || fd > INT32_MAX)
		return fail(im, "a descriptor that is not a number");
	path = *end == '<' ? path_in(argument) : NULL;
	if (path)
		return world_find_file(&im->w, path, file);
	return world_file_of_fd(&im->w, process_index, (int)fd, file);
}

/* ---- calls ---- */

static int do_file(struct import *im, uint32_t thread, char *argument, struct trace_call *call)
{
	int err;

	/* Anonymous memory has no file, whatever stands there; nor has a call that
	 * was refused. */
	if (call->result < 0 || (call->nr == TRACE_MMAP && call->flags & MAP_ANONYMOUS))
		return 0;
	err = file_of_argument(im, im->w.thread[thread].process, argument, &call->file);
	return err ? err : world_call_file(&im->w, call->file, call);
}

/* strace leaves out the last argument where the call does not look at it. */
static bool may_be_missing(enum trace_call_nr nr, enum trace_argument what)
{
	return nr == TRACE_MREMAP && what == TRACE_ARG_NEW_ADDR;
}

static int fill_call(struct import *im, uint32_t thread, struct strace_call *in,
	struct trace_call *call)
{
	const struct trace_call_info *info = trace_call_info(call->nr);
	char *descriptor = NULL;

	for (unsigned int i = 0; i < TRACE_MAX_ARGUMENTS; i++) {
		enum trace_argument what = info->argument[i];
		uint64_t value;

		if (what == TRACE_ARG_NOTHING)
			break;
		if (i >= in->nr_arguments && may_be_missing(call->nr, what))
			break;
		if (i >= in->nr_arguments)
			return fail(im, "a call with arguments missing");
		if (what == TRACE_ARG_FD) {
			descriptor = in->argument[i];
			continue;
		}
		if (!strace_parse_flags(in->argument[i], &value))
			return fail(im, "an argument that is not known");
		if (what == TRACE_ARG_SEGMENT) {
			int err = world_segment(&im->w, value, call);

			if (err)
				return err;
		}
		trace_call_set(call, what, value);
	}
	return descriptor ? do_file(im, thread, descriptor, call) : 0;
}

static int memory_call(struct import *im, uint32_t thread, struct strace_call *in,
	enum trace_call_nr nr)
{
	struct trace_event e = world_event(&im->w, thread, TRACE_CALL);
	int err;

	if (in->result[0] == '?')
		return 0; /* it never returned: the thread was killed in it */
	e.call = (struct trace_call){ .nr = nr, .file = TRACE_NONE, .target = TRACE_NONE };
	if (!strace_parse_result(in->result, &e.call.result))
		return fail(im, "a result that is not a number");
	err = fill_call(im, thread, in, &e.call);
	return err ? err : world_put(&im->w, &e);
}

static int exec_call(struct import *im, uint32_t thread, struct strace_call *in)
{
	unsigned int path_at = strcmp(in->name, "execveat") == 0 ? 1 : 0;
	struct trace_exec exec = { 0 };
	char *path;

	if (in->result[0] != '0')
		return 0;
	if (in->nr_arguments <= path_at + 1)
		return fail(im, "arguments of execve that are not known");
	path = path_in(in->argument[path_at]);
	exec.path = path ? path : "";
	exec.arguments = in->argument[path_at + 1];
	return world_exec(&im->w, thread, &exec);
}

static int clone_call(struct import *im, const struct strace_call *in)
{
	int64_t child;
	uint32_t index;

	if (in->result[0] == '?')
		return 0;
	if (!strace_parse_result(in->result, &child))
		return fail(im, "a result that is not a number");
	return child > 0 && child <= INT32_MAX ? thread_of(im, (pid_t)child, &index) : 0;
}

/* Calls that tell which file a descriptor is, or how large it is. */
static int file_call(struct import *im, uint32_t thread, struct strace_call *in)
{
	uint32_t process = im->w.thread[thread].process, file;
	int64_t result;
	char *path, *size;
	int err;

	if (!strace_parse_result(in->result, &result) || result < 0 || result > INT32_MAX)
		return 0;
	if (strcmp(in->name, "fstat") == 0 || strcmp(in->name, "newfstatat") == 0) {
		size = in->nr_arguments > 1 ? strstr(in->argument[in->nr_arguments > 2 ? 2 : 1],
			"st_size=") : NULL;
		/* Not a name relative to a directory. */
		if (!size || in->argument[0][0] < '0' || in->argument[0][0] > '9' ||
		    !world_find_fd(&im->w.process[process], atoi(in->argument[0])))
			return 0;
		err = file_of_argument(im, process, in->argument[0], &file);
		return err ? err : world_grow_file(&im->w, file, strtoull(size + 8, NULL, 10));
	}
	path = path_in(in->argument[strcmp(in->name, "openat") == 0 ? 1 : 0]);
	err = path ? world_find_file(&im->w, path, &file) : 0;
	return path && !err ? world_set_fd(&im->w, process, (int)result, file) : err;
}

enum call_kind { CALL_OTHER, CALL_MEMORY, CALL_CLONE, CALL_EXEC, CALL_FILE };

static enum call_kind kind_of(const char *name, enum trace_call_nr *nr)
{
	static const struct {
		const char *name;
		enum call_kind kind;
	} others[] = {
		{ "execve", CALL_EXEC }, { "execveat", CALL_EXEC },
		{ "open", CALL_FILE }, { "openat", CALL_FILE }, { "creat", CALL_FILE },
		{ "memfd_create", CALL_FILE }, { "fstat", CALL_FILE },
		{ "newfstatat", CALL_FILE },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i].name, name) == 0)
			return others[i].kind;
	if (strace_is_clone(name))
		return CALL_CLONE;
	*nr = trace_call_of_name(name);
	/* The ranges of process_madvise are of another process: not followed. */
	if (*nr != TRACE_OTHER && *nr != TRACE_PROCESS_MADVISE &&
	    trace_call_info(*nr)->role <= TRACE_IMPORTED)
		return CALL_MEMORY;
	return CALL_OTHER;
}

static int whole_call(struct import *im, uint32_t thread, char *text)
{
	struct strace_call call;
	const char *wrong = strace_parse_call(text, &call);
	enum trace_call_nr nr = TRACE_MMAP;

	if (wrong)
		return fail(im, wrong);
	switch (kind_of(call.name, &nr)) {
	case CALL_MEMORY:
		return memory_call(im, thread, &call, nr);
	case CALL_CLONE:
		return clone_call(im, &call);
	case CALL_EXEC:
		return exec_call(im, thread, &call);
	case CALL_FILE:
		return call.nr_arguments > 1 ? file_call(im, thread, &call) : 0;
	case CALL_OTHER:
		break;
	}
	return 0;
}

/* ---- lines ---- */

static void set_time(struct import *im, const struct strace_line *line)
{
	uint64_t us = im->log.line; /* without a clock: a microsecond per line */

	if (line->has_time && line->is_delta) {
		us = im->w.time_us + line->time_us;
	} else if (line->has_time) {
		if (!im->timed)
			im->first_us = line->time_us;
		im->timed = true;
		us = line->time_us - im->first_us;
		/* A clock of the day that passed midnight. */
		if (line->time_us < im->first_us)
			us += DAY_US;
		if (us > INT64_MAX)
			us = 0;
	}
	/* Lines of different threads are not quite in order. */
	if (us > im->w.time_us)
		im->w.time_us = us;
}

static int supersede(struct import *im, uint32_t leader, pid_t by)
{
	uint32_t thread = find_thread(im, by);
	pid_t pid = im->w.thread[leader].pid;
	int err;

	if (thread == TRACE_NONE || thread == leader)
		return fail(im, "a thread that was not seen before");
	err = world_end_thread(&im->w, leader, 0);
	im->w.thread[thread].pid = pid;
	return err;
}

static int do_line(struct import *im, const struct strace_line *line)
{
	uint32_t thread;
	char *whole;
	int err;

	if (line->kind == STRACE_NOISE)
		return 0;
	set_time(im, line);
	err = thread_of(im, line->pid, &thread);
	if (err)
		return err;
	switch (line->kind) {
	case STRACE_EXITED:
		return world_end_thread(&im->w, thread, (int)line->number << 8);
	case STRACE_KILLED:
		return world_end_thread(&im->w, thread, (int)line->number);
	case STRACE_SUPERSEDED:
		return supersede(im, thread, (pid_t)line->number);
	case STRACE_UNFINISHED:
		return strace_keep(&im->log, &im->w.thread[thread].text, line->text);
	case STRACE_RESUMED:
		whole = strace_resume(&im->log, &im->w.thread[thread].text, line, &err);
		if (!whole)
			return err;
		err = whole_call(im, thread, whole);
		free(whole);
		return err;
	case STRACE_CALL:
		return whole_call(im, thread, line->text);
	case STRACE_NOISE:
		break;
	}
	return 0;
}

/* ---- all of it ---- */

static int second_pass(struct import *im)
{
	struct strace_line line;
	char *text;
	int got;

	while ((got = strace_next(&im->log, &text, &line)) > 0) {
		int err = do_line(im, &line);

		free(text);
		if (err)
			return err;
	}
	return got;
}

int import_strace_text(const char *name, const char *text, size_t len_bytes,
	struct trace_writer *writer, struct trace_error *error)
{
	struct import im = { .w = { .writer = writer, .log = &im.log } };
	int err;

	import_log_open(&im.log, name, text, len_bytes, error);
	err = strace_births_read(&im.births, &im.log);
	if (!err) {
		import_log_open(&im.log, name, text, len_bytes, error);
		err = second_pass(&im);
	}
	if (!err && !im.w.nr_processes)
		err = trace_fail(error, EBADMSG, 1, "%s: line 1: no call in the whole log", name);
	strace_births_fini(&im.births);
	world_fini(&im.w);
	return err;
}

int import_strace(const char *log_path, const char *output, struct trace_error *error)
{
	struct trace_header header = {
		.source = TRACE_SOURCE_NONE, .recorder = "quire import, from strace",
	};
	size_t len;
	char *text = import_read(log_path, &len, error);
	int err;

	if (!text)
		return -error->err;
	/* The log may be of another machine: nothing but the page is known. */
	host_init(&header.host);
	header.host.trait[HOST_page_bytes] = (uint64_t)sysconf(_SC_PAGESIZE);
	header.command = log_path;
	err = import_write(log_path, text, len, &header, import_strace_text, output, error);
	free(text);
	return err;
}
