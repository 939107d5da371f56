/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * To come to a process that runs already, and to go again.
 *
 * Coming: all threads are seized and asked to stop, until the list of threads has
 * no new one and all stand still.  Events are opened and what is there is read; only
 * then do they go on.  So the recording begins at one moment for all threads.  Events
 * of births are asked for last: what a thread starts before it stands still was there
 * before the recorder.
 *
 * Going: all are asked to stop and handled as ever until they do, so that no call is
 * cut in two.  Then what Linux says of each address space is told, and all are let go.
 *
 * A thread that waits in vfork cannot stop until its child execs or ends.  Then the
 * recorder does not come; or it goes, and that one is let go as soon as it can be.
 *
 * Without PTRACE_O_EXITKILL: a recorder that is killed takes nobody with it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call_source.h"
#include "tracer.h"

extern long ptrace(int request, ...);

#define STOP_NS UINT64_C(5000000000) /* so long a thread may take to stand still */
#define LET_GO_NS UINT64_C(500000000)
#define LOOK_US 200

static const int options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT;

/* ---- may it be? ---- */

static int refuse(struct trace_error *error, int err, pid_t pid, const char *why)
{
	return trace_fail(error, err, 0, "cannot attach to process %d: %s", (int)pid, why);
}

static bool is_kernel_thread(pid_t pid)
{
	enum { FLAGS_FIELD = 7, KERNEL_THREAD = 0x00200000 };
	char path[64], line[1024], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (!host_read_line(path, line, sizeof(line)) || !(at = strrchr(line, ')')))
		return false;
	/* Past the name stand the state and then numbers. */
	for (int i = 0; i < FLAGS_FIELD && at; i++)
		at = strchr(at + 1, ' ');
	return at && strtoul(at, NULL, 10) & KERNEL_THREAD;
}

static bool has_ended(pid_t tid)
{
	char path[64], line[1024], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	if (!host_read_line(path, line, sizeof(line)) || !(at = strrchr(line, ')')))
		return true;
	return at[1] && (at[2] == 'Z' || at[2] == 'X');
}

/* 0: nothing speaks against it that can be known before. */
static int check(pid_t pid, struct trace_error *error)
{
	long tgid = procfs_status_number(pid, "Tgid", 0);
	long tracer = procfs_status_number(pid, "TracerPid", 0);
	char text[160];

	if (pid == getpid())
		return refuse(error, EINVAL, pid, "it is the recorder itself");
	if (pid <= 0 || tgid < 0)
		return refuse(error, ESRCH, pid, "there is none with that number");
	if (tgid != pid) {
		snprintf(text, sizeof(text), "it is a thread of process %ld", tgid);
		return refuse(error, EINVAL, pid, text);
	}
	if (pid == getppid())
		return refuse(error, EINVAL, pid, "it is the one that started the recorder");
	if (is_kernel_thread(pid))
		return refuse(error, EPERM, pid, "it is a thread of the kernel");
	if (tracer > 0) {
		snprintf(text, sizeof(text), "process %ld traces it (a debugger, strace or a recorder)",
			tracer);
		return refuse(error, EPERM, pid, text);
	}
	return 0;
}

static int refuse_seize(pid_t pid, int err, struct trace_error *error)
{
	char line[16], text[200];

	if (err == ESRCH || has_ended(pid))
		return refuse(error, ESRCH, pid, "it has ended");
	if (err != EPERM)
		return refuse(error, err, pid, strerror(err));
	if (geteuid() != 0 &&
	    host_read_line("/proc/sys/kernel/yama/ptrace_scope", line, sizeof(line)) &&
	    line[0] != '0') {
		snprintf(text, sizeof(text), "not permitted: it is another user's, or "
			"kernel.yama.ptrace_scope, which is %s, forbids it", line);
		return refuse(error, EPERM, pid, text);
	}
	return refuse(error, EPERM, pid, "not permitted: it is another user's, or has rights that the "
		"recorder has not");
}

/* ---- coming ---- */

static bool knows(const struct thread_list *list, pid_t tid)
{
	for (size_t i = 0; i < list->nr; i++)
		if (list->tid[i] == tid)
			return true;
	return false;
}

static bool add(struct thread_list *list, pid_t tid)
{
	if (list->nr == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 64;
		pid_t *tids = realloc(list->tid, capacity * sizeof(*tids));
		int *how;

		if (tids)
			list->tid = tids;
		how = tids ? realloc(list->how, capacity * sizeof(*how)) : NULL;
		if (!how)
			return false;
		list->how = how;
		list->capacity = capacity;
	}
	list->tid[list->nr] = tid;
	list->how[list->nr++] = 0;
	return true;
}

static void drop(struct thread_list *list, size_t i)
{
	list->nr--;
	memmove(&list->tid[i], &list->tid[i + 1], (list->nr - i) * sizeof(list->tid[0]));
	memmove(&list->how[i], &list->how[i + 1], (list->nr - i) * sizeof(list->how[0]));
}

/* Seizes a thread and asks it to stop; one that has ended is passed over. */
static int seize(pid_t pid, pid_t tid, struct thread_list *list, struct trace_error *error)
{
	int err;

	if (ptrace(PTRACE_SEIZE, tid, 0, (long)PTRACE_O_TRACESYSGOOD) != 0) {
		err = errno;
		if (err == ESRCH || has_ended(tid))
			return 0;
		return refuse_seize(pid, err, error);
	}
	if (!add(list, tid))
		return refuse(error, ENOMEM, pid, "no memory for the recorder");
	ptrace(PTRACE_INTERRUPT, tid, 0, 0);
	return 0;
}

/* Seizes the threads that are not in the list yet; *ret_new: there were some. */
static int seize_new(pid_t pid, struct thread_list *list, bool *ret_new, struct trace_error *error)
{
	size_t before = list->nr;
	const struct dirent *entry;
	char path[64];
	int err = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (!dir)
		return refuse(error, ESRCH, pid, "it has ended");
	while (!err && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid > 0 && !knows(list, tid))
			err = seize(pid, tid, list, error);
	}
	closedir(dir);
	*ret_new = list->nr > before;
	return err;
}

/* One look at a thread.  Signals on their way are delivered: the stop is still to come. */
static void look_for_stop(struct thread_list *list, size_t i)
{
	pid_t tid = list->tid[i];
	int status;

	if (waitpid(tid, &status, __WALL | WNOHANG) != tid)
		return;
	if (!WIFSTOPPED(status))
		drop(list, i);
	else if (status >> 16 == PTRACE_EVENT_STOP)
		list->how[i] = status;
	else if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) == 0) /* the stop has swallowed it */
		ptrace(PTRACE_CONT, tid, 0, (long)(status >> 16 ? 0 : WSTOPSIG(status)));
}

static int await_stops(pid_t pid, struct thread_list *list, struct trace_error *error)
{
	uint64_t until = now_ns() + STOP_NS;
	char text[120];

	for (;;) {
		size_t at = 0;

		/* The last one first: look_for_stop may drop it. */
		for (size_t i = list->nr; i-- > 0;)
			if (!list->how[i])
				look_for_stop(list, i);
		while (at < list->nr && list->how[at])
			at++;
		if (at == list->nr)
			return 0;
		if (now_ns() > until) {
			snprintf(text, sizeof(text), "its thread %d waits in the kernel (for a child of "
				"vfork, or a device) and does not stop", (int)list->tid[at]);
			return refuse(error, EAGAIN, pid, text);
		}
		usleep(LOOK_US);
	}
}

int attach_stop(pid_t pid, struct thread_list *list, struct trace_error *error)
{
	bool new = true;
	int err = check(pid, error);

	*list = (struct thread_list){ 0 };
	while (!err && new) {
		err = seize_new(pid, list, &new, error);
		if (!err)
			err = await_stops(pid, list, error);
	}
	if (!err && !list->nr)
		err = refuse(error, ESRCH, pid, "it has ended");
	for (size_t i = 0; i < list->nr && !err; i++)
		ptrace(PTRACE_SETOPTIONS, list->tid[i], 0, (long)options);
	if (err)
		attach_undo(list);
	return err;
}

void attach_undo(struct thread_list *list)
{
	/* One that does not stand still goes with the end of the recorder. */
	for (size_t i = 0; i < list->nr; i++)
		ptrace(PTRACE_DETACH, list->tid[i], 0, 0);
	free(list->tid);
	free(list->how);
	*list = (struct thread_list){ 0 };
}

/* The thread through which the rest is read becomes the process's first. */
static struct tracee *adopt_first(struct tracer *t, pid_t pid, pid_t tid)
{
	struct trace_process_start start = {
		.how = TRACE_HOW_ATTACH, .parent = TRACE_NONE, .pid = (uint32_t)pid,
	};
	struct tracee *first = tracer_add(t, tid);
	struct space *before;
	struct capture nothing;

	if (!first || !tracer_add_proc(t, first, tracer_add_space(t)))
		return NULL;
	first->proc->pid = pid;
	tell_process_start(t, first, &start, 0);
	/* The format begins a process with an address space, and this one with another. */
	before = first->proc->space;
	before->ours = true;
	capture_take(t, first, &nothing);
	tell_mm_end(t, first, true, &nothing);
	capture_fini(&nothing);
	first->proc->space = tracer_add_space(t);
	tracer_put_space(before);
	if (!first->proc->space)
		return NULL;
	first->proc->space->nr_users = 1;
	first->proc->space->maps_large_files = true;
	if (procfs_has_no_thp(tid))
		first->proc->space->mm_rights = TRACE_RIGHT_NO_THP;
	tell_exec(t, first, true);
	return first;
}

static bool adopt_other(struct tracer *t, struct proc *proc, pid_t tid)
{
	struct tracee *other = tracer_add(t, tid);

	if (!other)
		return false;
	other->proc = proc;
	other->thread = t->nr_threads++;
	other->state = TRACEE_LIVE;
	proc->nr_threads++;
	tell_thread_start(t, other, 0);
	return true;
}

int tracer_attach(struct tracer *t, pid_t pid, struct thread_list *list)
{
	struct tracee *first = adopt_first(t, pid, list->tid[0]);

	if (!first)
		return -ENOMEM;
	for (size_t i = 1; i < list->nr; i++)
		if (!adopt_other(t, first->proc, list->tid[i]))
			return -ENOMEM;
	tell_there(t, first);
	if (t->failed)
		return -ENOMEM;
	t->command = pid;
	for (size_t i = 0; i < list->nr; i++) {
		/* What job control has stopped stays stopped. */
		if (is_stop_signal(WSTOPSIG(list->how[i])))
			ptrace(PTRACE_LISTEN, list->tid[i], 0, 0);
		else
			tracer_resume(t, tracer_find(t, list->tid[i]), 0);
	}
	list->nr = 0;
	return 0;
}

/* ---- going ---- */

typedef void for_each_fn(struct tracer *, struct tracee *);

static void for_each(struct tracer *t, for_each_fn *fn)
{
	for (size_t i = 0; i < TRACEE_BUCKETS; i++)
		for (struct tracee *at = t->bucket[i], *next; at; at = next) {
			next = at->next;
			fn(t, at);
		}
}

static void interrupt(struct tracer *t, struct tracee *tracee)
{
	(void)t;
	ptrace(PTRACE_INTERRUPT, tracee->tid, 0, 0);
}

static bool all_rest(const struct tracer *t)
{
	for (size_t i = 0; i < TRACEE_BUCKETS; i++)
		for (const struct tracee *at = t->bucket[i]; at; at = at->next)
			if (at->state == TRACEE_LIVE && !at->at_rest && !at->in_vfork)
				return false;
	return true;
}

/* Goes on as ever until all stand still. */
static void bring_to_rest(struct tracer *t)
{
	uint64_t until = now_ns() + STOP_NS;

	t->stopping = true;
	for_each(t, interrupt);
	while (!all_rest(t) && now_ns() < until) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);

		if (tid > 0)
			tracer_handle(t, tid, status);
		else if (tid == 0)
			usleep(LOOK_US);
		else if (errno != EINTR)
			break;
	}
}

/* An address space is read through a thread of the process that it belongs to: a
 * child of vfork only borrows it, and is younger. */
static void choose_speaker(struct tracer *t, struct tracee *tracee)
{
	struct space *space = tracee->proc && tracee->state == TRACEE_LIVE ? tracee->proc->space :
		NULL;

	(void)t;
	if (space && (!space->speaker || tracee->proc->index < space->speaker->proc->index))
		space->speaker = tracee;
}

static void tell_last(struct tracer *t, struct tracee *tracee)
{
	struct capture last;

	if (!tracee->proc || tracee->proc->space->speaker != tracee)
		return;
	observe_end(t, tracee);
	capture_take(t, tracee, &last);
	tell_mm_end(t, tracee, false, &last);
	capture_fini(&last);
}

static void forget(struct tracer *t, struct tracee *tracee)
{
	struct proc *proc = tracee->state == TRACEE_LIVE ? tracee->proc : NULL;

	if (proc && --proc->nr_threads == 0) {
		capture_fini(&proc->at_main_exit);
		tracer_put_space(proc->space);
		free(proc);
	}
	tracer_forget(t, tracee);
}

/* One that does not stand still stays on the list. */
static void let_go(struct tracer *t, struct tracee *tracee)
{
	if (ptrace(PTRACE_DETACH, tracee->tid, 0, 0) == 0)
		forget(t, tracee);
}

/* Those that were not at rest: at their next stop, or their end. */
static void let_go_late(struct tracer *t)
{
	uint64_t until = now_ns() + LET_GO_NS;

	while (t->nr_tracees && now_ns() < until) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);
		struct tracee *tracee = tid > 0 ? tracer_find(t, tid) : NULL;

		if (tid == 0)
			usleep(LOOK_US);
		else if (tid < 0 && errno != EINTR)
			break;
		if (tid > 0 && WIFSTOPPED(status))
			ptrace(PTRACE_DETACH, tid, 0, (long)(status >> 16 ||
				WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status)));
		if (tracee)
			forget(t, tracee);
	}
}

void tracer_detach(struct tracer *t)
{
	bring_to_rest(t);
	drain_disable(t->drain);
	call_rings_disable(t->calls);
	t->leaving = true;
	for_each(t, choose_speaker);
	for_each(t, tell_last);
	for_each(t, let_go);
	let_go_late(t);
	/* What is left cannot stop; the kernel lets it go when we end. */
	for_each(t, forget);
}
