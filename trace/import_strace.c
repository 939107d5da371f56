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

struct descriptor {
	int fd;
	uint32_t file;
};

struct import_file {
	char *path;
	uint64_t bytes; /* as fstat said, or as large as its mappings need */
};

struct import_process {
	uint32_t mm;
	uint32_t nr_threads;
	struct descriptor *fd;
	size_t nr_fds, fds_capacity;
};

struct import_thread {
	pid_t pid;
	uint32_t process;
	bool alive;
	char *unfinished; /* the first part of a call */
};

struct import {
	struct strace_log log;
	struct strace_births births;
	struct trace_writer *writer;
	uint64_t time_us, first_us;
	bool timed;

	struct import_thread *thread; /* its place is its index */
	size_t nr_threads, threads_capacity;
	struct import_process *process;
	size_t nr_processes, processes_capacity;
	uint32_t *mm_users;
	size_t nr_mms, mms_capacity;
	struct import_file *file;
	size_t nr_files, files_capacity;
};

static int fail(struct import *im, const char *what)
{
	return strace_fail(&im->log, what);
}

static int fail_memory(struct import *im)
{
	return strace_fail_memory(&im->log);
}

/* ---- putting events ---- */

static int put(struct import *im, struct trace_event *event)
{
	event->time_us = im->time_us;
	return trace_writer_put(im->writer, event, im->log.error);
}

static struct trace_event event_of(const struct import *im, uint32_t thread, enum trace_kind kind)
{
	return (struct trace_event){
		.kind = kind, .thread = thread, .process = im->thread[thread].process,
	};
}

static int add_mm(struct import *im, uint32_t *mm)
{
	if (!strace_room(&im->mm_users, im->nr_mms, &im->mms_capacity, sizeof(im->mm_users[0])))
		return fail_memory(im);
	*mm = (uint32_t)im->nr_mms;
	im->mm_users[im->nr_mms++] = 0;
	return 0;
}

static int put_mm_end(struct import *im, uint32_t thread, bool by_exec)
{
	struct trace_event e = event_of(im, thread, TRACE_MM_END);

	memset(&e.mm_end.said, 0xff, sizeof(e.mm_end.said)); /* all TRACE_UNKNOWN */
	e.mm_end.mm = im->process[e.process].mm;
	e.mm_end.by_exec = by_exec;
	return put(im, &e);
}

/* The process leaves its address space. */
static int leave_mm(struct import *im, uint32_t thread, bool by_exec)
{
	uint32_t mm = im->process[im->thread[thread].process].mm;

	return --im->mm_users[mm] ? 0 : put_mm_end(im, thread, by_exec);
}

/* ---- threads ---- */

/*
 * A log on the terminal has no ids as long as there is one process, and again
 * once all others have ended.
 */
static uint32_t find_unnamed(const struct import *im)
{
	uint32_t last = TRACE_NONE;

	if (im->nr_threads && im->thread[0].alive)
		return 0;
	for (size_t i = 0; i < im->nr_threads; i++)
		if (im->thread[i].alive)
			last = (uint32_t)i;
	return last;
}

static uint32_t find_thread(const struct import *im, pid_t pid)
{
	if (!pid)
		return find_unnamed(im);
	for (size_t i = im->nr_threads; i-- > 0;)
		if (im->thread[i].pid == pid && im->thread[i].alive)
			return (uint32_t)i;
	return TRACE_NONE;
}

static int add_process(struct import *im, pid_t pid, uint32_t parent_thread,
	const struct strace_birth *birth, uint32_t *index)
{
	struct trace_process_start start = {
		.how = !birth ? (im->nr_processes ? TRACE_HOW_UNKNOWN : TRACE_HOW_COMMAND) :
			birth->flags & CLONE_VFORK ? TRACE_HOW_VFORK : TRACE_HOW_FORK,
		.clone_flags = birth ? birth->flags : 0,
		.parent = TRACE_NONE,
		.pid = (uint32_t)pid,
		.shares_mm = birth && birth->flags & CLONE_VM,
	};
	struct trace_event e;
	struct import_process process = { .nr_threads = 1 };
	int err = 0;

	if (!strace_room(&im->process, im->nr_processes, &im->processes_capacity,
			sizeof(im->process[0])))
		return fail_memory(im);
	if (parent_thread != TRACE_NONE) {
		const struct import_process *parent;

		start.parent = im->thread[parent_thread].process;
		parent = &im->process[start.parent];
		process.mm = parent->mm;
		process.fd = malloc((parent->nr_fds + 1) * sizeof(process.fd[0]));
		if (!process.fd)
			return fail_memory(im);
		if (parent->nr_fds)
			memcpy(process.fd, parent->fd, parent->nr_fds * sizeof(process.fd[0]));
		process.nr_fds = parent->nr_fds;
		process.fds_capacity = parent->nr_fds + 1;
	}
	*index = (uint32_t)im->nr_processes;
	im->process[im->nr_processes++] = process;
	if (!start.shares_mm)
		err = add_mm(im, &im->process[*index].mm);
	if (err)
		return err;
	start.mm = im->process[*index].mm;
	im->mm_users[start.mm]++;
	e = (struct trace_event){
		.kind = TRACE_PROCESS_START, .process = *index, .thread = (uint32_t)im->nr_threads,
		.process_start = start,
	};
	return put(im, &e);
}

static int add_thread(struct import *im, pid_t pid, const struct strace_birth *birth, uint32_t *index)
{
	/* A parent that had no line so far is not known: the child stands alone. */
	uint32_t parent = birth ? find_thread(im, birth->parent) : TRACE_NONE;
	uint32_t process = TRACE_NONE;
	bool new_process;
	int err;

	if (parent == TRACE_NONE)
		birth = NULL;
	new_process = !birth || !(birth->flags & CLONE_THREAD);
	if (new_process) {
		err = add_process(im, pid, parent, birth, &process);
		if (err)
			return err;
	} else {
		process = im->thread[parent].process;
		im->process[process].nr_threads++;
	}
	if (!strace_room(&im->thread, im->nr_threads, &im->threads_capacity, sizeof(im->thread[0])))
		return fail_memory(im);
	*index = (uint32_t)im->nr_threads++;
	im->thread[*index] = (struct import_thread){
		.pid = pid, .process = process, .alive = true,
	};
	if (!new_process) {
		struct trace_event e = event_of(im, *index, TRACE_THREAD_START);

		e.thread_start.tid = (uint32_t)pid;
		return put(im, &e);
	}
	return 0;
}

/* The thread that a line belongs to, introduced now if need be. */
static int thread_of(struct import *im, pid_t pid, uint32_t *index)
{
	struct strace_birth *birth;

	*index = find_thread(im, pid);
	if (*index != TRACE_NONE)
		return 0;
	birth = strace_births_take(&im->births, pid);
	/* Nobody's child: the first process, which had no id until now. */
	if (!birth && im->nr_threads && im->thread[0].alive && !im->thread[0].pid) {
		im->thread[0].pid = pid;
		*index = 0;
		return 0;
	}
	return add_thread(im, pid, birth, index);
}

static void forget_thread(struct import *im, uint32_t thread)
{
	im->thread[thread].alive = false;
	free(im->thread[thread].unfinished);
	im->thread[thread].unfinished = NULL;
}

static int end_thread(struct import *im, uint32_t thread, int status)
{
	struct import_process *process = &im->process[im->thread[thread].process];
	struct trace_event e = event_of(im, thread, TRACE_THREAD_EXIT);
	int err;

	if (--process->nr_threads == 0) {
		err = leave_mm(im, thread, false);
		if (err)
			return err;
		e.kind = TRACE_PROCESS_EXIT;
		e.process_exit = (struct trace_process_exit){
			.status = status, .minor_faults = TRACE_UNKNOWN,
			.major_faults = TRACE_UNKNOWN,
		};
	}
	forget_thread(im, thread);
	return put(im, &e);
}

/* ---- files ---- */

static int put_file(struct import *im, uint32_t index)
{
	const struct import_file *file = &im->file[index];
	struct trace_event e = {
		.kind = TRACE_FILE, .process = TRACE_NONE, .thread = TRACE_NONE,
		.file = {
			.file = index, .kind = TRACE_FILE_DISK, .ino = index + 1,
			.bytes = file->bytes, .path = file->path,
		},
	};

	return put(im, &e);
}

static int find_file(struct import *im, const char *path, uint32_t *index)
{
	struct import_file file = { 0 };

	for (*index = 0; *index < im->nr_files; ++*index)
		if (strcmp(im->file[*index].path, path) == 0)
			return 0;
	if (!strace_room(&im->file, im->nr_files, &im->files_capacity, sizeof(im->file[0])))
		return fail_memory(im);
	file.path = strdup(path);
	if (!file.path)
		return fail_memory(im);
	im->file[im->nr_files++] = file;
	return put_file(im, *index);
}

static struct descriptor *find_fd(struct import_process *process, int fd)
{
	for (size_t i = 0; i < process->nr_fds; i++)
		if (process->fd[i].fd == fd)
			return &process->fd[i];
	return NULL;
}

static int set_fd(struct import *im, uint32_t process_index, int fd, const char *path)
{
	struct import_process *process = &im->process[process_index];
	struct descriptor *known;
	uint32_t file;
	int err = find_file(im, path, &file);

	if (err)
		return err;
	known = find_fd(process, fd);
	if (!known) {
		if (!strace_room(&process->fd, process->nr_fds, &process->fds_capacity,
				sizeof(process->fd[0])))
			return fail_memory(im);
		known = &process->fd[process->nr_fds++];
	}
	*known = (struct descriptor){ .fd = fd, .file = file };
	return 0;
}

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
	struct descriptor *known;
	char unnamed[48];

	if (end == argument || fd < -1 || fd > INT32_MAX)
		return fail(im, "a descriptor that is not a number");
	path = *end == '<' ? path_in(argument) : NULL;
	if (path)
		return find_file(im, path, file);
	known = find_fd(&im->process[process_index], (int)fd);
	if (known) {
		*file = known->file;
		return 0;
	}
	snprintf(unnamed, sizeof(unnamed), "descriptor %ld of process %u", fd, process_index);
	return find_file(im, unnamed, file);
}

/* The file has at least bytes. */
static int grow_file(struct import *im, uint32_t file, uint64_t bytes)
{
	if (im->file[file].bytes >= bytes)
		return 0;
	im->file[file].bytes = bytes;
	return put_file(im, file);
}

/* ---- calls ---- */

static int do_file(struct import *im, uint32_t thread, char *argument, struct trace_call *call)
{
	int err;

	/* Anonymous memory has no file, whatever stands there; nor has a call that
	 * was refused. */
	if (call->result < 0 || (call->nr == TRACE_MMAP && call->flags & MAP_ANONYMOUS))
		return 0;
	err = file_of_argument(im, im->thread[thread].process, argument, &call->file);
	if (!err && call->nr == TRACE_MMAP)
		err = grow_file(im, call->file, call->offset + call->len);
	if (!err && call->nr == TRACE_FTRUNCATE)
		im->file[call->file].bytes = call->len;
	if (!err)
		call->file_bytes = im->file[call->file].bytes;
	return err;
}

static int do_segment(struct import *im, uint64_t id, struct trace_call *call)
{
	char name[48];
	int err;

	if (call->result < 0)
		return 0;
	snprintf(name, sizeof(name), "/SYSV segment %u", (unsigned int)id);
	err = find_file(im, name, &call->file);
	if (!err)
		call->len = call->file_bytes = im->file[call->file].bytes;
	return err;
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
			int err = do_segment(im, value, call);

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
	struct trace_event e = event_of(im, thread, TRACE_CALL);
	int err;

	if (in->result[0] == '?')
		return 0; /* it never returned: the thread was killed in it */
	e.call = (struct trace_call){ .nr = nr, .file = TRACE_NONE, .target = TRACE_NONE };
	if (!strace_parse_result(in->result, &e.call.result))
		return fail(im, "a result that is not a number");
	err = fill_call(im, thread, in, &e.call);
	return err ? err : put(im, &e);
}

static int exec_call(struct import *im, uint32_t thread, struct strace_call *in)
{
	unsigned int path_at = strcmp(in->name, "execveat") == 0 ? 1 : 0;
	struct import_process *process = &im->process[im->thread[thread].process];
	struct trace_event e;
	char *path;
	int err = 0;

	if (in->result[0] != '0')
		return 0;
	if (in->nr_arguments <= path_at + 1)
		return fail(im, "arguments of execve that are not known");
	for (uint32_t i = 0; i < im->nr_threads && !err; i++)
		if (i != thread && im->thread[i].alive &&
		    im->thread[i].process == im->thread[thread].process)
			err = end_thread(im, i, 0);
	if (!err)
		err = leave_mm(im, thread, true);
	if (!err)
		err = add_mm(im, &process->mm);
	if (err)
		return err;
	im->mm_users[process->mm] = 1;
	e = event_of(im, thread, TRACE_EXEC);
	e.exec.mm = process->mm;
	e.exec.rights = (struct trace_rights){ TRACE_UNKNOWN, TRACE_UNKNOWN, TRACE_UNKNOWN,
		TRACE_UNKNOWN, 0 };
	e.exec.minor_faults = e.exec.major_faults = TRACE_UNKNOWN;
	path = path_in(in->argument[path_at]);
	e.exec.path = path ? path : "";
	e.exec.arguments = in->argument[path_at + 1];
	return put(im, &e);
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
	uint32_t process = im->thread[thread].process, file;
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
		    !find_fd(&im->process[process], atoi(in->argument[0])))
			return 0;
		err = file_of_argument(im, process, in->argument[0], &file);
		return err ? err : grow_file(im, file, strtoull(size + 8, NULL, 10));
	}
	path = path_in(in->argument[strcmp(in->name, "openat") == 0 ? 1 : 0]);
	return path ? set_fd(im, process, (int)result, path) : 0;
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
		us = im->time_us + line->time_us;
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
	if (us > im->time_us)
		im->time_us = us;
}

static int supersede(struct import *im, uint32_t leader, pid_t by)
{
	uint32_t thread = find_thread(im, by);
	pid_t pid = im->thread[leader].pid;
	int err;

	if (thread == TRACE_NONE || thread == leader)
		return fail(im, "a thread that was not seen before");
	err = end_thread(im, leader, 0);
	im->thread[thread].pid = pid;
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
		return end_thread(im, thread, (int)line->number << 8);
	case STRACE_KILLED:
		return end_thread(im, thread, (int)line->number);
	case STRACE_SUPERSEDED:
		return supersede(im, thread, (pid_t)line->number);
	case STRACE_UNFINISHED:
		return strace_keep(&im->log, &im->thread[thread].unfinished, line->text);
	case STRACE_RESUMED:
		whole = strace_resume(&im->log, &im->thread[thread].unfinished, line, &err);
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

static void import_fini(struct import *im)
{
	for (size_t i = 0; i < im->nr_threads; i++)
		free(im->thread[i].unfinished);
	for (size_t i = 0; i < im->nr_processes; i++)
		free(im->process[i].fd);
	for (size_t i = 0; i < im->nr_files; i++)
		free(im->file[i].path);
	strace_births_fini(&im->births);
	free(im->thread);
	free(im->process);
	free(im->mm_users);
	free(im->file);
}

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
	struct import im = { .writer = writer };
	int err;

	strace_open(&im.log, name, text, len_bytes, error);
	err = strace_births_read(&im.births, &im.log);
	if (!err) {
		strace_open(&im.log, name, text, len_bytes, error);
		err = second_pass(&im);
	}
	if (!err && !im.nr_processes)
		err = trace_fail(error, EBADMSG, 1, "%s: line 1: no call in the whole log", name);
	import_fini(&im);
	return err;
}

static char *read_file(const char *path, size_t *len_bytes, struct trace_error *error)
{
	FILE *file = fopen(path, "rbe");
	char *text = NULL;
	FILE *into;
	char chunk[65536];
	size_t got;

	if (!file) {
		trace_fail(error, errno, 0, "%s: cannot open: %s", path, strerror(errno));
		return NULL;
	}
	into = open_memstream(&text, len_bytes);
	while (into && (got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		fwrite(chunk, 1, got, into);
	if (ferror(file))
		trace_fail(error, EIO, 0, "%s: cannot read: input/output error", path);
	else if (!into || fclose(into) != 0)
		trace_fail(error, ENOMEM, 0, "%s: no memory for the import", path);
	else
		into = NULL;
	fclose(file);
	if (error->err) {
		free(text);
		text = NULL;
	}
	return text;
}

int import_strace(const char *log_path, const char *output, struct trace_error *error)
{
	struct trace_header header = {
		.source = TRACE_SOURCE_NONE, .recorder = "quire import, from strace",
	};
	struct trace_writer *writer;
	size_t len;
	char *text = read_file(log_path, &len, error);
	int err;

	if (!text)
		return -error->err;
	/* The log may be of another machine: nothing but the page is known. */
	host_init(&header.host);
	header.host.trait[HOST_page_bytes] = (uint64_t)sysconf(_SC_PAGESIZE);
	header.command = log_path;
	writer = trace_writer_open(output, &header, error);
	if (!writer) {
		free(text);
		return -error->err;
	}
	err = import_strace_text(log_path, text, len, writer, error);
	free(text);
	if (err)
		trace_writer_discard(writer);
	else
		err = trace_writer_close(writer, error);
	return err;
}
