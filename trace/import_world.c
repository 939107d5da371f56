/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the importers have in common: the threads, processes, address spaces and
 * files that a log tells of, by the indexes they get in the recording, and the
 * events that begin and end them.
 *
 * What Linux said of an address space stands in no log: every MM_END is
 * incomplete.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

static int fail_memory(struct import_world *w)
{
	return import_log_fail_memory(w->log);
}

/* ---- putting events ---- */

int world_put(struct import_world *w, struct trace_event *event)
{
	event->time_us = w->time_us;
	if (w->model)
		model_event(w->model, event);
	return trace_writer_put(w->writer, event, w->log->error);
}

struct trace_event world_event(const struct import_world *w, uint32_t thread, enum trace_kind kind)
{
	return (struct trace_event){
		.kind = kind, .thread = thread, .process = w->thread[thread].process,
	};
}

static int add_mm(struct import_world *w, uint32_t *mm)
{
	if (!import_room(&w->mm_users, w->nr_mms, &w->mms_capacity, sizeof(w->mm_users[0])))
		return fail_memory(w);
	*mm = (uint32_t)w->nr_mms;
	w->mm_users[w->nr_mms++] = 0;
	return 0;
}

static int put_mm_end(struct import_world *w, uint32_t thread, bool by_exec)
{
	struct trace_event e = world_event(w, thread, TRACE_MM_END);

	memset(&e.mm_end.said, 0xff, sizeof(e.mm_end.said)); /* all TRACE_UNKNOWN */
	e.mm_end.mm = w->process[e.process].mm;
	e.mm_end.by_exec = by_exec;
	return world_put(w, &e);
}

/* The process leaves its address space. */
static int leave_mm(struct import_world *w, uint32_t thread, bool by_exec)
{
	uint32_t mm = w->process[w->thread[thread].process].mm;

	return --w->mm_users[mm] ? 0 : put_mm_end(w, thread, by_exec);
}

/* ---- threads ---- */

uint32_t world_find_thread(const struct import_world *w, pid_t pid)
{
	for (size_t i = w->nr_threads; i-- > 0;)
		if (w->thread[i].pid == pid && w->thread[i].alive)
			return (uint32_t)i;
	return TRACE_NONE;
}

/* A child has its parent's address space, until told otherwise, and descriptors. */
static int inherit(struct import_world *w, const struct import_process *parent,
	struct import_process *child)
{
	child->mm = parent->mm;
	child->fd = malloc((parent->nr_fds + 1) * sizeof(child->fd[0]));
	if (!child->fd)
		return fail_memory(w);
	if (parent->nr_fds)
		memcpy(child->fd, parent->fd, parent->nr_fds * sizeof(child->fd[0]));
	child->nr_fds = parent->nr_fds;
	child->fds_capacity = parent->nr_fds + 1;
	return 0;
}

static int add_process(struct import_world *w, pid_t pid, uint32_t parent_thread, uint64_t flags,
	uint32_t *index)
{
	bool born = parent_thread != TRACE_NONE;
	struct trace_process_start start = {
		.how = !born ? (w->nr_processes ? TRACE_HOW_UNKNOWN : TRACE_HOW_COMMAND) :
			flags & CLONE_VFORK ? TRACE_HOW_VFORK : TRACE_HOW_FORK,
		.clone_flags = born ? flags : 0,
		.parent = born ? w->thread[parent_thread].process : TRACE_NONE,
		.pid = (uint32_t)pid,
		.shares_mm = born && flags & CLONE_VM,
	};
	struct trace_event e;
	struct import_process process = { .nr_threads = 1 };
	int err = 0;

	if (!import_room(&w->process, w->nr_processes, &w->processes_capacity,
			sizeof(w->process[0])))
		return fail_memory(w);
	if (born)
		err = inherit(w, &w->process[start.parent], &process);
	if (err)
		return err;
	*index = (uint32_t)w->nr_processes;
	w->process[w->nr_processes++] = process;
	if (!start.shares_mm)
		err = add_mm(w, &w->process[*index].mm);
	if (err)
		return err;
	start.mm = w->process[*index].mm;
	w->mm_users[start.mm]++;
	e = (struct trace_event){
		.kind = TRACE_PROCESS_START, .process = *index, .thread = (uint32_t)w->nr_threads,
		.process_start = start,
	};
	return world_put(w, &e);
}

/* The further thread of a process is told of; the first one's process was. */
static int put_thread(struct import_world *w, pid_t pid, uint32_t process, bool first,
	uint32_t *index)
{
	struct trace_event e;

	if (!import_room(&w->thread, w->nr_threads, &w->threads_capacity, sizeof(w->thread[0])))
		return fail_memory(w);
	*index = (uint32_t)w->nr_threads++;
	w->thread[*index] = (struct import_thread){
		.pid = pid, .process = process, .alive = true,
	};
	if (first)
		return 0;
	w->process[process].nr_threads++;
	e = world_event(w, *index, TRACE_THREAD_START);
	e.thread_start.tid = (uint32_t)pid;
	return world_put(w, &e);
}

int world_add_thread(struct import_world *w, pid_t pid, uint32_t parent, uint64_t flags,
	uint32_t *index)
{
	bool first = parent == TRACE_NONE || !(flags & CLONE_THREAD);
	uint32_t process = first ? TRACE_NONE : w->thread[parent].process;
	int err = first ? add_process(w, pid, parent, flags, &process) : 0;

	return err ? err : put_thread(w, pid, process, first, index);
}

static void forget_thread(struct import_world *w, uint32_t thread)
{
	w->thread[thread].alive = false;
	free(w->thread[thread].text);
	w->thread[thread].text = NULL;
}

int world_end_thread(struct import_world *w, uint32_t thread, int status)
{
	struct import_process *process = &w->process[w->thread[thread].process];
	struct trace_event e = world_event(w, thread, TRACE_THREAD_EXIT);
	int err;

	if (--process->nr_threads == 0) {
		err = leave_mm(w, thread, false);
		if (err)
			return err;
		e.kind = TRACE_PROCESS_EXIT;
		e.process_exit = (struct trace_process_exit){
			.status = status, .minor_faults = TRACE_UNKNOWN,
			.major_faults = TRACE_UNKNOWN,
		};
	}
	forget_thread(w, thread);
	return world_put(w, &e);
}

int world_exec(struct import_world *w, uint32_t thread, struct trace_exec *exec)
{
	struct import_process *process = &w->process[w->thread[thread].process];
	struct trace_event e;
	int err = 0;

	for (uint32_t i = 0; i < w->nr_threads && !err; i++)
		if (i != thread && w->thread[i].alive &&
		    w->thread[i].process == w->thread[thread].process)
			err = world_end_thread(w, i, 0);
	if (!err)
		err = leave_mm(w, thread, true);
	if (!err)
		err = add_mm(w, &process->mm);
	if (err)
		return err;
	w->mm_users[process->mm] = 1;
	exec->mm = process->mm;
	exec->rights = (struct trace_rights){ TRACE_UNKNOWN, TRACE_UNKNOWN, TRACE_UNKNOWN,
		TRACE_UNKNOWN, 0 };
	exec->minor_faults = exec->major_faults = TRACE_UNKNOWN;
	e = world_event(w, thread, TRACE_EXEC);
	e.exec = *exec;
	return world_put(w, &e);
}

/* ---- files ---- */

static int put_file(struct import_world *w, uint32_t index)
{
	const struct import_file *file = &w->file[index];
	struct trace_event e = {
		.kind = TRACE_FILE, .process = TRACE_NONE, .thread = TRACE_NONE,
		.file = {
			.file = index, .kind = file->kind, .dev = file->dev,
			.ino = file->ino ? file->ino : index + 1,
			.bytes = file->bytes, .path = file->path, .deleted = file->deleted,
		},
	};

	return world_put(w, &e);
}

/* A number, where the log gives one, says more than a name. */
static bool is_file(const struct import_file *file, const struct import_file *wanted)
{
	if (file->ino || wanted->ino)
		return file->ino == wanted->ino && file->dev == wanted->dev;
	return strcmp(file->path, wanted->path) == 0;
}

int world_find_inode(struct import_world *w, const struct import_file *wanted, uint32_t *index)
{
	struct import_file file = *wanted;

	for (*index = 0; *index < w->nr_files; ++*index)
		if (is_file(&w->file[*index], wanted))
			return 0;
	if (!import_room(&w->file, w->nr_files, &w->files_capacity, sizeof(w->file[0])))
		return fail_memory(w);
	file.path = strdup(wanted->path);
	if (!file.path)
		return fail_memory(w);
	w->file[w->nr_files++] = file;
	return put_file(w, *index);
}

int world_find_file(struct import_world *w, char *path, uint32_t *index)
{
	const struct import_file wanted = { .path = path, .kind = TRACE_FILE_DISK };

	return world_find_inode(w, &wanted, index);
}

int world_grow_file(struct import_world *w, uint32_t file, uint64_t bytes)
{
	if (w->file[file].bytes >= bytes)
		return 0;
	w->file[file].bytes = bytes;
	return put_file(w, file);
}

struct import_fd *world_find_fd(struct import_process *process, int fd)
{
	for (size_t i = 0; i < process->nr_fds; i++)
		if (process->fd[i].fd == fd)
			return &process->fd[i];
	return NULL;
}

int world_set_fd(struct import_world *w, uint32_t process_index, int fd, uint32_t file)
{
	struct import_process *process = &w->process[process_index];
	struct import_fd *known = world_find_fd(process, fd);

	if (!known) {
		if (!import_room(&process->fd, process->nr_fds, &process->fds_capacity,
				sizeof(process->fd[0])))
			return fail_memory(w);
		known = &process->fd[process->nr_fds++];
	}
	*known = (struct import_fd){ .fd = fd, .file = file };
	return 0;
}

int world_file_of_fd(struct import_world *w, uint32_t process, int fd, uint32_t *file)
{
	struct import_fd *known = world_find_fd(&w->process[process], fd);
	char unnamed[48];

	if (known) {
		*file = known->file;
		return 0;
	}
	snprintf(unnamed, sizeof(unnamed), "descriptor %d of process %u", fd, process);
	return world_find_file(w, unnamed, file);
}

int world_call_file(struct import_world *w, uint32_t file, struct trace_call *call)
{
	int err = 0;

	call->file = file;
	if (call->nr == TRACE_MMAP)
		err = world_grow_file(w, file, call->offset + call->len);
	if (call->nr == TRACE_FTRUNCATE)
		w->file[file].bytes = call->len;
	if (!err)
		call->file_bytes = w->file[file].bytes;
	return err;
}

int world_segment(struct import_world *w, uint64_t id, struct trace_call *call)
{
	char name[48];
	int err;

	if (call->result < 0)
		return 0;
	snprintf(name, sizeof(name), "/SYSV segment %u", (unsigned int)id);
	err = world_find_file(w, name, &call->file);
	if (!err)
		call->len = call->file_bytes = w->file[call->file].bytes;
	return err;
}

void world_fini(struct import_world *w)
{
	for (size_t i = 0; i < w->nr_threads; i++)
		free(w->thread[i].text);
	for (size_t i = 0; i < w->nr_processes; i++)
		free(w->process[i].fd);
	for (size_t i = 0; i < w->nr_files; i++)
		free(w->file[i].path);
	free(w->thread);
	free(w->process);
	free(w->mm_users);
	free(w->file);
	model_destroy(w->model);
}
