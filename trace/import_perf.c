/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What perf script prints of a perf record as a recording: the page faults of each
 * process among its memory calls, and who started whom.  What Linux said of it all
 * does not stand in such a log.
 *
 * The order is that of the log, which is that of the kernel's clock, with two
 * exceptions.  An exec is told as a whole once it is over: the mappings that it made
 * are lines of their own, and the faults that the kernel took in making them follow
 * it.  And a call stands where it ended, but one that gives pages away (munmap, shmdt,
 * madvise DONTNEED, FREE and REMOVE) where it began: another thread may get the same
 * place before it has returned, and nobody has a right to touch it any more.
 *
 * In a log without calls the mappings are what MMAP2 records tell, which is when one
 * is made or changed, but not when it goes.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "import_perf.h"
#include "record.h"

/* An exec of which the end has not come by. */
struct exec_under_way {
	bool yes;
	size_t place; /* in survey.brk */
	char *name;
	uint32_t program; /* the first file that it mapped, or TRACE_NONE */
	bool vdso; /* it has mapped that: nearly over */
	struct perf_areas maps;
	struct trace_touch *held; /* faults of the new program */
	size_t nr_held, held_capacity;
};

struct perf_thread {
	bool in_call;
	int64_t number; /* of that call */
	struct stopped_call call;
	bool has_map; /* an MMAP2 came by inside it: */
	struct perf_area map;
	uint64_t last_page; /* of its last fault */
	uint32_t last_flags;
	struct exec_under_way exec;
};

struct perf_process {
	pid_t pid;
	bool settled; /* it has run: a mapping that comes with no call is the kernel's doing */
	int status;
};

struct import {
	struct import_log log;
	struct import_world w;
	struct perf_survey survey;
	size_t nr_births, nr_execs, nr_early, nr_touches; /* that came by */
	uint64_t page_bytes, first_ns, nr_passed;
	uint32_t last; /* thread */

	/* By the world's indexes. */
	struct perf_thread *thread;
	size_t nr_threads, threads_capacity;
	struct perf_process *process;
	size_t nr_processes, processes_capacity;
	struct perf_areas *areas; /* of an address space; kept in logs without calls */
	size_t nr_areas, areas_capacity;
};

static int fail_memory(struct import *im)
{
	return import_log_fail_memory(&im->log);
}

/* ---- threads ---- */

/* The arrays follow those of the world. */
static int follow(struct import *im, pid_t pid)
{
	const struct import_world *w = &im->w;

	while (im->nr_threads < w->nr_threads) {
		if (!import_room(&im->thread, im->nr_threads, &im->threads_capacity,
				sizeof(im->thread[0])))
			return fail_memory(im);
		im->thread[im->nr_threads++] = (struct perf_thread){ .last_flags = UINT32_MAX };
	}
	while (im->nr_processes < w->nr_processes) {
		if (!import_room(&im->process, im->nr_processes, &im->processes_capacity,
				sizeof(im->process[0])))
			return fail_memory(im);
		im->process[im->nr_processes++] = (struct perf_process){ .pid = pid };
	}
	while (im->nr_areas < w->nr_mms) {
		if (!import_room(&im->areas, im->nr_areas, &im->areas_capacity,
				sizeof(im->areas[0])))
			return fail_memory(im);
		im->areas[im->nr_areas++] = (struct perf_areas){ 0 };
	}
	return 0;
}

static uint32_t mm_of(const struct import *im, uint32_t thread)
{
	return im->w.process[im->w.thread[thread].process].mm;
}

static struct perf_process *process_of(struct import *im, uint32_t thread)
{
	return &im->process[im->w.thread[thread].process];
}

/* Some living thread of the process; that which is in exec before the others. */
static uint32_t find_process(const struct import *im, pid_t pid)
{
	uint32_t found = TRACE_NONE;

	for (uint32_t i = 0; i < im->nr_threads; i++) {
		const struct import_thread *thread = &im->w.thread[i];

		if (!thread->alive || im->process[thread->process].pid != pid)
			continue;
		if (im->thread[i].in_call && im->thread[i].call.kind == STOP_EXEC)
			return i;
		found = i;
	}
	return found;
}

/* The thread that a line belongs to, introduced now if need be. */
static int thread_of(struct import *im, pid_t tid, pid_t pid, uint32_t *thread)
{
	uint32_t other;
	int err;

	/* Mostly that of the line before. */
	*thread = im->last;
	if (*thread >= im->w.nr_threads || im->w.thread[*thread].pid != tid ||
	    !im->w.thread[*thread].alive)
		*thread = world_find_thread(&im->w, tid);
	im->last = *thread;
	if (*thread != TRACE_NONE)
		return 0;
	other = pid && pid != tid ? find_process(im, pid) : TRACE_NONE;
	err = world_add_thread(&im->w, tid, other, CLONE_VM | CLONE_THREAD, thread);
	return err ? err : follow(im, pid ? pid : tid);
}

/* ---- faults ---- */

static int put_lost(struct import *im, uint64_t nr)
{
	struct trace_event e = {
		.kind = TRACE_LOST, .process = TRACE_NONE, .thread = TRACE_NONE,
		.lost = { .nr = nr },
	};

	return nr ? world_put(&im->w, &e) : 0;
}

/* The tracepoint fires again where the kernel first tried with faults forbidden. */
static bool is_repetition(struct import *im, uint32_t thread, const struct trace_touch *touch)
{
	struct perf_thread *t = &im->thread[thread];
	uint64_t page = touch->addr / im->page_bytes;
	bool same = touch->flags & TRACE_TOUCH_KERNEL && t->last_page == page &&
		t->last_flags == touch->flags && im->survey.faults == PERF_FAULTS_TRACEPOINT;

	t->last_page = page;
	t->last_flags = touch->flags;
	return same;
}

static int put_touch(struct import *im, uint32_t thread, const struct trace_touch *touch)
{
	struct trace_event e = world_event(&im->w, thread, TRACE_TOUCH);

	if (is_repetition(im, thread, touch))
		return 0;
	e.touch = *touch;
	e.touch.addr -= e.touch.addr % im->page_bytes;
	if (im->w.model)
		e.touch.flags = model_touch(im->w.model, mm_of(im, thread), touch->addr, touch->flags);
	return world_put(&im->w, &e);
}

/* ---- exec ---- */

static void forget_exec(struct exec_under_way *exec)
{
	free(exec->name);
	free(exec->maps.area);
	free(exec->held);
	*exec = (struct exec_under_way){ 0 };
}

static int begin_exec(struct import *im, uint32_t thread, const char *name)
{
	struct exec_under_way *exec = &im->thread[thread].exec;

	forget_exec(exec);
	*exec = (struct exec_under_way){
		.yes = true, .place = im->nr_execs, .name = strdup(name), .program = TRACE_NONE,
	};
	return exec->name ? 0 : fail_memory(im);
}

static int map_in_exec(struct import *im, struct exec_under_way *exec, const struct perf_area *map)
{
	if (exec->program == TRACE_NONE)
		exec->program = map->file;
	exec->vdso |= strcmp(map->name, "[vdso]") == 0;
	return perf_areas_set(&exec->maps, map) ? 0 : fail_memory(im);
}

static int hold(struct import *im, struct exec_under_way *exec, const struct trace_touch *touch)
{
	if (!import_room(&exec->held, exec->nr_held, &exec->held_capacity, sizeof(exec->held[0])))
		return fail_memory(im);
	exec->held[exec->nr_held++] = *touch;
	return 0;
}

/* The maps as an event has them, malloced, and what can be said of the layout. */
static struct trace_map *maps_of(const struct import *im, const struct perf_areas *areas,
	struct trace_exec *out)
{
	struct trace_map *map = calloc(areas->nr + 1, sizeof(*map));

	for (size_t i = 0; map && i < areas->nr; i++) {
		const struct perf_area *area = &areas->area[i];
		bool in_file = area->file != TRACE_NONE;

		map[i] = (struct trace_map){
			.start = area->start, .end = area->end, .offset_bytes = area->offset,
			.flags = area->flags, .file = area->file,
			.name = in_file ? im->w.file[area->file].path : area->name,
		};
		if (strcmp(area->name, "[stack]") == 0) {
			out->maps_known = true;
			out->layout.start_stack = area->end;
		} else if (area->name[0] != '[' && !out->maps_known) {
			out->layout.mmap_base = area->end;
		}
	}
	out->maps = (struct trace_maps){ .nr = areas->nr, .map = map };
	return map;
}

/* The old program's descriptors may have been closed. */
static int put_exec(struct import *im, uint32_t thread, struct exec_under_way *exec)
{
	struct trace_exec event = {
		.path = exec->name, .arguments = exec->name,
		.layout.start_brk = im->survey.brk[exec->place],
	};
	struct trace_map *map = maps_of(im, &exec->maps, &event);
	int err;

	if (!map)
		return fail_memory(im);
	if (exec->program != TRACE_NONE)
		event.path = im->w.file[exec->program].path;
	/* perf record without -d tells of executable mappings alone. */
	if (!event.maps_known) {
		event.maps.nr = 0;
		event.layout.mmap_base = 0;
	}
	im->w.process[im->w.thread[thread].process].nr_fds = 0;
	err = world_exec(&im->w, thread, &event);
	free(map);
	if (!err)
		err = follow(im, 0);
	if (!err && event.maps_known &&
	    !perf_areas_copy(&im->areas[mm_of(im, thread)], &exec->maps))
		err = fail_memory(im);
	return err;
}

/* The new program runs. */
static int finish_exec(struct import *im, uint32_t thread)
{
	struct exec_under_way exec = im->thread[thread].exec;
	int err;

	if (!exec.yes)
		return 0;
	im->thread[thread].exec = (struct exec_under_way){ 0 };
	im->thread[thread].in_call = false;
	im->thread[thread].last_flags = UINT32_MAX;
	process_of(im, thread)->settled = true;
	err = put_exec(im, thread, &exec);
	for (size_t i = 0; i < exec.nr_held && !err; i++)
		err = put_touch(im, thread, &exec.held[i]);
	forget_exec(&exec);
	return err;
}

/* ---- calls ---- */

static int call_file(struct import *im, uint32_t thread, const struct perf_thread *t,
	struct trace_call *call)
{
	uint32_t process = im->w.thread[thread].process, file;
	bool known = t->has_map && t->map.file != TRACE_NONE;
	int err;

	if (call->nr == TRACE_SHMAT && !known)
		return world_segment(&im->w, t->call.arg[0], call);
	if (call->nr == TRACE_SHMAT)
		call->len = t->map.end - t->map.start;
	if (call->nr != TRACE_SHMAT && t->call.fd < 0)
		return 0;
	if (!known) {
		err = world_file_of_fd(&im->w, process, t->call.fd, &file);
		return err ? err : world_call_file(&im->w, file, call);
	}
	err = call->nr == TRACE_MMAP ?
		world_set_fd(&im->w, process, t->call.fd, t->map.file) : 0;
	return err ? err : world_call_file(&im->w, t->map.file, call);
}

static int put_call(struct import *im, uint32_t thread, int64_t result)
{
	const struct perf_thread *t = &im->thread[thread];
	struct trace_event e = world_event(&im->w, thread, TRACE_CALL);
	int err = 0;

	/* The ranges of process_madvise are of another process: not followed. */
	if (t->call.kind != STOP_CALL || t->call.call.nr == TRACE_PROCESS_MADVISE ||
	    trace_call_info(t->call.call.nr)->role > TRACE_NOTED)
		return 0;
	e.call = t->call.call;
	e.call.result = result;
	/* A call that was refused has no file. */
	if (result >= 0)
		err = call_file(im, thread, t, &e.call);
	im->thread[thread].last_flags = UINT32_MAX;
	return err ? err : world_put(&im->w, &e);
}

static void note_call(struct import *im, uint32_t thread, const struct perf_line *line)
{
	struct import_process *process = &im->w.process[im->w.thread[thread].process];
	struct import_fd *fd;

	if (line->number == SYS_exit_group || line->number == SYS_exit)
		process_of(im, thread)->status = (int)(line->arg[0] & 0xff) << 8;
	fd = line->number == SYS_close ? world_find_fd(process, (int)line->arg[0]) : NULL;
	if (fd)
		*fd = process->fd[--process->nr_fds];
}

static int enter_call(struct import *im, const struct perf_line *line)
{
	struct perf_thread *t;
	uint32_t thread;
	int64_t result;
	int err = thread_of(im, line->tid, line->pid, &thread);

	if (!err)
		err = finish_exec(im, thread);
	if (err)
		return err;
	t = &im->thread[thread];
	process_of(im, thread)->settled = true;
	note_call(im, thread, line);
	t->in_call = true;
	t->has_map = false;
	t->number = line->number;
	calls_decode_arguments((uint64_t)line->number, line->arg, &t->call);
	if (!perf_is_early(&t->call))
		return 0;
	t->in_call = false;
	result = im->survey.early[im->nr_early++];
	return result == PERF_NO_RESULT ? 0 : put_call(im, thread, result);
}

static int leave_call(struct import *im, const struct perf_line *line)
{
	struct perf_thread *t;
	uint32_t thread;
	int err = thread_of(im, line->tid, line->pid, &thread);

	if (err)
		return err;
	t = &im->thread[thread];
	process_of(im, thread)->settled = true;
	if (t->exec.yes)
		return finish_exec(im, thread);
	/* Without a beginning, or of another call: lines were lost, or the log began
	 * in the middle of it, or a signal's return put another state in its place. */
	if (t->in_call && t->number == line->number)
		err = put_call(im, thread, line->result);
	im->thread[thread].in_call = false;
	return err;
}

/* ---- lines ---- */

static void set_time(struct import *im, const struct perf_line *line)
{
	uint64_t us = im->log.line; /* without a clock: a microsecond per line */

	if (line->has_time) {
		/* What perf told of what was there before it began has time 0. */
		if (!im->first_ns)
			im->first_ns = line->time_ns;
		us = line->time_ns > im->first_ns ? (line->time_ns - im->first_ns) / 1000 : 0;
	}
	if (us > im->w.time_us)
		im->w.time_us = us;
}

static int do_fork(struct import *im, const struct perf_line *line)
{
	bool is_thread = line->pid != line->tid;
	uint64_t flags = im->survey.birth[im->nr_births++].flags;
	uint32_t child = world_find_thread(&im->w, line->tid), parent;
	int err = 0;

	/* The end of an earlier one of that id was lost. */
	if (child != TRACE_NONE)
		err = world_end_thread(&im->w, child, process_of(im, child)->status);
	parent = world_find_thread(&im->w, line->parent);
	/* Those that were there before perf began have parents that are not followed. */
	if (err || (parent == TRACE_NONE &&
		    (line->parent <= 0 || (!is_thread && !im->first_ns))))
		return err;
	if (parent == TRACE_NONE)
		err = thread_of(im, line->parent, 0, &parent);
	if (!err)
		err = finish_exec(im, parent);
	flags = is_thread ? flags | CLONE_VM | CLONE_THREAD : flags & ~(uint64_t)CLONE_THREAD;
	if (!err)
		err = world_add_thread(&im->w, line->tid, parent, flags, &child);
	if (!err)
		err = follow(im, line->pid);
	if (err || is_thread)
		return err;
	process_of(im, child)->settled = process_of(im, parent)->settled;
	if (mm_of(im, child) != mm_of(im, parent) &&
	    !perf_areas_copy(&im->areas[mm_of(im, child)], &im->areas[mm_of(im, parent)]))
		err = fail_memory(im);
	return err;
}

static int do_exit(struct import *im, const struct perf_line *line)
{
	uint32_t thread = world_find_thread(&im->w, line->tid);
	int err = thread == TRACE_NONE ? 0 : finish_exec(im, thread);

	if (err || thread == TRACE_NONE)
		return err;
	return world_end_thread(&im->w, thread, process_of(im, thread)->status);
}

/* A thread that execs goes on under the id of the first thread, which has ended. */
static int do_exec(struct import *im, const struct perf_line *line)
{
	uint32_t thread = world_find_thread(&im->w, line->tid);
	int err = 0;

	if (thread == TRACE_NONE) {
		thread = find_process(im, line->pid);
		if (thread != TRACE_NONE)
			im->w.thread[thread].pid = line->tid;
		else
			err = thread_of(im, line->tid, line->pid, &thread);
	}
	if (!err)
		err = finish_exec(im, thread);
	if (!err)
		err = begin_exec(im, thread, line->name);
	im->nr_execs++;
	return err;
}

static int do_map(struct import *im, const struct perf_line *line)
{
	struct perf_area map;
	struct perf_thread *t;
	uint32_t thread;
	int err;

	if (line->addr >> 63)
		return 0; /* [vsyscall] */
	err = thread_of(im, line->tid, line->pid, &thread);
	if (!err)
		err = perf_area_of(&im->w, line, &map);
	if (err)
		return err;
	t = &im->thread[thread];
	if (t->exec.yes)
		return map_in_exec(im, &t->exec, &map);
	if (t->in_call) {
		/* Of any other call the arguments say all. */
		t->has_map |= t->call.call.nr == TRACE_MMAP || t->call.call.nr == TRACE_SHMAT;
		t->map = map;
		return 0;
	}
	if (im->survey.has_calls && process_of(im, thread)->settled)
		return 0;
	return perf_areas_change(&im->w, thread, &im->areas[mm_of(im, thread)], &map);
}

/* Was the fault taken by exec in making the new program's memory? */
static bool is_of_exec(const struct import *im, const struct exec_under_way *exec,
	enum perf_mode mode)
{
	if (!exec->yes)
		return false;
	if (im->survey.has_calls)
		return true; /* the end of the call will come by */
	return mode == PERF_MODE_KERNEL || (mode == PERF_MODE_UNKNOWN && !exec->vdso);
}

static int do_touch(struct import *im, const struct perf_line *line)
{
	struct trace_touch touch = { .addr = line->addr, .flags = line->flags };
	uint32_t thread;
	int err;

	if (im->survey.again[im->nr_touches++] && line->faults != PERF_FAULTS_TRACEPOINT)
		touch.flags |= SAMPLE_AGAIN;
	/* The same fault by two events counts by the better one.  Upper half: the
	 * kernel's own memory. */
	if (line->faults != im->survey.faults || line->addr >> 63)
		return 0;
	err = thread_of(im, line->tid, line->pid, &thread);
	if (err)
		return err;
	process_of(im, thread)->settled = true;
	/* A sample may stand for several. */
	if (line->period > 1 && line->faults != PERF_FAULTS_TRACEPOINT)
		err = put_lost(im, line->period - 1);
	if (!err && is_of_exec(im, &im->thread[thread].exec, line->mode))
		return hold(im, &im->thread[thread].exec, &touch);
	if (!err)
		err = finish_exec(im, thread);
	return err ? err : put_touch(im, thread, &touch);
}

static int do_line(struct import *im, const struct perf_line *line)
{
	set_time(im, line);
	switch (line->kind) {
	case PERF_ENTER:
		return enter_call(im, line);
	case PERF_LEAVE:
		return leave_call(im, line);
	case PERF_TOUCH:
		return do_touch(im, line);
	case PERF_FORK:
		return do_fork(im, line);
	case PERF_EXIT:
		return do_exit(im, line);
	case PERF_EXEC:
		return do_exec(im, line);
	case PERF_MAP:
		return do_map(im, line);
	case PERF_LOST:
		return put_lost(im, (uint64_t)line->number);
	case PERF_OTHER:
		im->nr_passed++;
		break;
	case PERF_NOISE:
		break;
	}
	return 0;
}

/* ---- all of it ---- */

static void import_fini(struct import *im)
{
	for (size_t i = 0; i < im->nr_threads; i++)
		forget_exec(&im->thread[i].exec);
	for (size_t i = 0; i < im->nr_areas; i++)
		free(im->areas[i].area);
	free(im->thread);
	free(im->process);
	free(im->areas);
	perf_survey_fini(&im->survey);
	world_fini(&im->w);
}

static int second_look(struct import *im)
{
	int err = 0;

	while (!err && im->log.at != im->log.end) {
		struct perf_line line;
		bool whole;
		char *text = import_log_take(&im->log, &whole);

		if (!text)
			return fail_memory(im);
		/* The first look found nothing wrong. */
		perf_parse_line(text, &line);
		if (line.kind != PERF_NOISE)
			err = do_line(im, &line);
		free(text);
	}
	for (uint32_t i = 0; i < im->nr_threads && !err; i++)
		if (im->w.thread[i].alive)
			err = finish_exec(im, i);
	return err;
}

static int put_note(struct import *im, const char *text)
{
	struct trace_event e = {
		.kind = TRACE_NOTE, .process = TRACE_NONE, .thread = TRACE_NONE,
		.note = { .text = text },
	};

	return world_put(&im->w, &e);
}

static int put_notes(struct import *im)
{
	char text[128];
	int err = 0;

	if (im->survey.has_calls && !im->survey.arch[0])
		err = put_note(im, "the log has no header: its system calls were taken as those of "
			"the machine of the import");
	if (!err && im->nr_passed) {
		snprintf(text, sizeof(text), "%llu lines of events that say nothing of memory were "
			"passed over", (unsigned long long)im->nr_passed);
		err = put_note(im, text);
	}
	return err;
}

int import_perf_text(const char *name, const char *text, size_t len_bytes,
	struct trace_writer *writer, struct trace_error *error)
{
	struct import im = { .w = { .writer = writer, .log = &im.log } };
	int err;

	import_log_open(&im.log, name, text, len_bytes, error);
	err = perf_survey_read(&im.survey, &im.log);
	im.page_bytes = perf_page_bytes(&im.survey);
	if (!err && im.survey.faults && im.survey.faults != PERF_FAULTS_TRACEPOINT) {
		im.w.model = model_create(im.page_bytes);
		err = im.w.model ? 0 : fail_memory(&im);
	}
	import_log_open(&im.log, name, text, len_bytes, error);
	if (!err)
		err = second_look(&im);
	if (!err && !im.w.nr_processes)
		err = trace_fail(error, EBADMSG, 1, "%s: line 1: no process in the whole log", name);
	if (!err)
		err = put_notes(&im);
	import_fini(&im);
	return err;
}

static enum trace_source source_of(const struct perf_survey *survey)
{
	if (survey->faults == PERF_FAULTS_NONE)
		return TRACE_SOURCE_NONE;
	if (survey->faults == PERF_FAULTS_TRACEPOINT)
		return TRACE_SOURCE_TRACEPOINT;
	return survey->kernel_too ? TRACE_SOURCE_PERF : TRACE_SOURCE_PERF_USER;
}

int import_perf(const char *log_path, const char *output, struct trace_error *error)
{
	struct trace_header header = { .recorder = "quire import, from perf" };
	struct perf_survey survey;
	struct import_log log;
	size_t len;
	char *text = import_read(log_path, &len, error);
	int err;

	if (!text)
		return -error->err;
	import_log_open(&log, log_path, text, len, error);
	err = perf_survey_read(&survey, &log);
	if (!err) {
		/* Of the machine of the log the header says a little. */
		host_init(&header.host);
		header.host.trait[HOST_page_bytes] = perf_page_bytes(&survey);
		snprintf(header.host.kernel, sizeof(header.host.kernel), "%s", survey.release);
		snprintf(header.host.machine, sizeof(header.host.machine), "%s", survey.arch);
		header.source = source_of(&survey);
		header.command = survey.command[0] ? survey.command : log_path;
		err = import_write(log_path, text, len, &header, import_perf_text, output, error);
	}
	perf_survey_fini(&survey);
	free(text);
	return err;
}
