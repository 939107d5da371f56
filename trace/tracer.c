/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ptrace loop: moves every thread of the tree from stop to stop.
 *
 * Threads are seized (PTRACE_SEIZE), so job control works as it would without
 * us, and the kernel attaches every child by itself.  A seccomp filter stops
 * the calls of calls.c at their entry; we let each run to its exit with
 * PTRACE_SYSCALL to learn its result, and every other call runs at full
 * speed.  See ptrace(2).
 *
 * The kernel may show a child's first stop before its parent's stop for the
 * fork.  The child then waits, NEW and stopped, until the parent tells who
 * it is.
 */
#include "tracer.h"

#include <errno.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* <sys/ptrace.h> and <linux/ptrace.h> do not go together. */
extern long ptrace(int request, ...);

#define SAME_WISH_NS 500000000u

const int tracer_options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_TRACESECCOMP |
	PTRACE_O_EXITKILL;

/* ---- the tree ---- */

static struct tracee **chain_of(struct tracer *t, pid_t tid)
{
	return &t->bucket[(unsigned int)tid % TRACEE_BUCKETS];
}

struct tracee *tracer_find(struct tracer *t, pid_t tid)
{
	struct tracee *at = *chain_of(t, tid);

	while (at && at->tid != tid)
		at = at->next;
	return at;
}

static void link_tracee(struct tracer *t, struct tracee *tracee)
{
	struct tracee **chain = chain_of(t, tracee->tid);

	tracee->next = *chain;
	*chain = tracee;
	t->nr_tracees++;
}

static void unlink_tracee(struct tracer *t, struct tracee *tracee)
{
	struct tracee **at = chain_of(t, tracee->tid);

	while (*at != tracee)
		at = &(*at)->next;
	*at = tracee->next;
	t->nr_tracees--;
}

struct tracee *tracer_add(struct tracer *t, pid_t tid)
{
	struct tracee *tracee = calloc(1, sizeof(*tracee));

	if (!tracee) {
		t->failed = true;
		return NULL;
	}
	tracee->tid = tid;
	link_tracee(t, tracee);
	return tracee;
}

struct space *tracer_add_space(struct tracer *t)
{
	struct space *space = calloc(1, sizeof(*space));

	if (space)
		space->index = t->nr_spaces++;
	else
		t->failed = true;
	return space;
}

void tracer_put_space(struct space *space)
{
	if (--space->nr_users == 0)
		free(space);
}

void tracer_forget(struct tracer *t, struct tracee *tracee)
{
	unlink_tracee(t, tracee);
	capture_fini(&tracee->before_exec);
	free(tracee);
}

/* Makes tracee the first thread of a process of its own. */
bool tracer_add_proc(struct tracer *t, struct tracee *tracee, struct space *space)
{
	struct proc *proc = space ? calloc(1, sizeof(*proc)) : NULL;

	if (!proc) {
		t->failed = true;
		return false;
	}
	*proc = (struct proc){
		.index = t->nr_processes++, .pid = tracee->tid, .nr_threads = 1, .space = space,
	};
	space->nr_users++;
	tracee->proc = proc;
	tracee->thread = t->nr_threads++;
	tracee->state = TRACEE_LIVE;
	return true;
}

/* ---- stops ---- */

void tracer_resume(const struct tracer *t, const struct tracee *tracee, int sig)
{
	/* Any other stop has swallowed the one that was asked for: again, before it goes. */
	if (t->stopping)
		ptrace(PTRACE_INTERRUPT, tracee->tid, 0, 0);
	/* ESRCH: killed meanwhile; waitpid will tell. */
	ptrace(tracee->in_call || t->every_call ? PTRACE_SYSCALL : PTRACE_CONT, tracee->tid, 0, (long)sig);
}

/* Lets the call at whose entry the tracee stands run. */
static void begin_call(struct tracer *t, struct tracee *tracee)
{
	struct space *space = tracee->proc->space;

	space->busy = tracee;
	tracee->in_call = true;
	if (tracee->call.kind == STOP_CALL) {
		if (tracee->call.frees)
			observe_peak(tracee);
		observe_pages_of_call(t, tracee);
	} else if (tracee->call.kind == STOP_EXEC) {
		observe_end(t, tracee);
	} else {
		observe_pages(t, tracee, 0, UINT64_MAX);
	}
	if (tracee->call.kind == STOP_EXEC) {
		capture_take(t, tracee, &tracee->before_exec);
		tell_exec_enter(t, tracee);
	}
	tracer_resume(t, tracee, 0);
}

static void hold(struct tracee *tracee)
{
	struct space *space = tracee->proc->space;

	tracee->held = true;
	tracee->next_held = NULL;
	if (space->held_last)
		space->held_last->next_held = tracee;
	else
		space->held_first = tracee;
	space->held_last = tracee;
}

static void unhold(struct tracee *tracee)
{
	struct space *space = tracee->proc->space;
	struct tracee **at = &space->held_first, *last = NULL;

	while (*at != tracee) {
		last = *at;
		at = &last->next_held;
	}
	*at = tracee->next_held;
	if (space->held_last == tracee)
		space->held_last = last;
	tracee->held = false;
}

/* The tracee's call is over, or never was: the next one may begin. */
static void end_call(struct tracer *t, struct tracee *tracee)
{
	struct space *space = tracee->proc->space;
	struct tracee *next;

	capture_fini(&tracee->before_exec);
	tracee->in_call = false;
	if (tracee->held)
		unhold(tracee);
	if (space->busy != tracee)
		return;
	space->busy = NULL;
	next = space->held_first;
	if (next) {
		unhold(next);
		begin_call(t, next);
	}
}

/* It stopped only for a look at what goes, page tables and pages: the call itself
 * is seen without. */
static bool seen_without(struct tracer *t, struct tracee *tracee)
{
	if (tracee->call.kind != STOP_CALL || tracee->call.call.nr != TRACE_MUNMAP)
		return false;
	observe_peak(tracee);
	observe_pages_of_call(t, tracee);
	return true;
}

/* Is it a call to look at?  Where there is no filter, each comes here. */
static bool read_entry(const struct tracee *tracee, uint64_t *nr, uint64_t arg[6])
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof(info), &info) < 0)
		return false;
	if (info.op == PTRACE_SYSCALL_INFO_SECCOMP) {
		*nr = info.seccomp.nr;
		memcpy(arg, info.seccomp.args, 6 * sizeof(arg[0]));
		return true;
	}
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !calls_native(info.arch))
		return false;
	*nr = info.entry.nr;
	memcpy(arg, info.entry.args, 6 * sizeof(arg[0]));
	return calls_picked(*nr, arg);
}

static void on_entry(struct tracer *t, struct tracee *tracee)
{
	uint64_t nr, arg[6];

	if (!read_entry(tracee, &nr, arg)) {
		tracer_resume(t, tracee, 0);
		return;
	}
	calls_decode(tracee->tid, nr, arg, &tracee->call);
	if (tracee->call.kind == STOP_PTRACE)
		restraint_of_ptrace(t, tracee);
	if (tracee->call.kind == STOP_NONE || tracee->call.kind == STOP_PTRACE ||
	    (t->calls && seen_without(t, tracee)))
		tracer_resume(t, tracee, 0);
	else if (tracee->proc->space->busy)
		hold(tracee);
	else
		begin_call(t, tracee);
}

static void on_exit_of_call(struct tracer *t, struct tracee *tracee)
{
	struct ptrace_syscall_info info;

	if (tracee->in_call &&
	    ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof(info), &info) > 0 &&
	    info.op == PTRACE_SYSCALL_INFO_EXIT) {
		if (tracee->call.kind == STOP_EXEC)
			tell_exec_failed(t, tracee);
		else if (tracee->call.kind == STOP_CALL && !tracee->proc->space->ours)
			tell_call(t, tracee, info.exit.rval);
	}
	if (tracee->in_call)
		end_call(t, tracee);
	tracer_resume(t, tracee, 0);
}

/* The flags with which tracee made child. */
static uint64_t clone_flags_of(const struct tracee *tracee, pid_t child, int event)
{
	enum { SAME_MEMORY = 1 }; /* KCMP_VM */
	char path[64];
	uint64_t flags;
	long same;

	if (tracee->in_call && tracee->call.kind == STOP_CLONE)
		return tracee->call.clone_flags;
	/* A call that the filter did not stop. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)tracee->proc->pid, (int)child);
	if (access(path, F_OK) == 0)
		return CLONE_VM | CLONE_THREAD;
	flags = event == PTRACE_EVENT_VFORK ? CLONE_VFORK : 0;
	same = syscall(SYS_kcmp, tracee->tid, child, SAME_MEMORY, 0, 0);
	/* A kernel that cannot tell: as it mostly is. */
	return same == 0 || (same < 0 && flags) ? flags | CLONE_VM : flags;
}

/* What a new address space has of these. */
static uint32_t inherited_rights(uint32_t rights)
{
	return rights & TRACE_RIGHT_MDWE_NO_INHERIT ?
		rights & ~(uint32_t)(TRACE_RIGHT_MDWE | TRACE_RIGHT_MDWE_NO_INHERIT) : rights;
}

/* tracee made child, by the call in tracee->call. */
static void introduce(struct tracer *t, struct tracee *tracee, struct tracee *child, int event)
{
	uint64_t flags = clone_flags_of(tracee, child->tid, event);
	struct trace_process_start start = {
		.how = event == PTRACE_EVENT_VFORK ? TRACE_HOW_VFORK :
			event == PTRACE_EVENT_CLONE ? TRACE_HOW_CLONE : TRACE_HOW_FORK,
		.clone_flags = flags,
		.parent = tracee->proc->index,
		.shares_mm = flags & CLONE_VM,
		.pid = (uint32_t)child->tid,
	};

	if (flags & CLONE_THREAD) {
		child->proc = tracee->proc;
		child->proc->nr_threads++;
		child->thread = t->nr_threads++;
		child->state = TRACEE_LIVE;
		tell_thread_start(t, child, tracee->tid);
		return;
	}
	if (!tracer_add_proc(t, child, start.shares_mm ? tracee->proc->space : tracer_add_space(t)))
		return;
	drain_forked(t->drain, tracee->proc->pid);
	child->proc->rights = tracee->proc->rights;
	if (!start.shares_mm) {
		child->proc->space->mm_rights =
			inherited_rights(tracee->proc->space->mm_rights);
		child->proc->space->maps_large_files = tracee->proc->space->maps_large_files;
		child->proc->space->pieces = tracee->proc->space->pieces;
	}
	start.mm = child->proc->space->index;
	tell_process_start(t, child, &start, tracee->tid);
}

static void on_clone(struct tracer *t, struct tracee *tracee, int event)
{
	unsigned long tid = 0;
	struct tracee *child;

	ptrace(PTRACE_GETEVENTMSG, tracee->tid, 0, &tid);
	child = tracer_find(t, (pid_t)tid);
	if (!child)
		child = tracer_add(t, (pid_t)tid);
	if (child && child->state == TRACEE_NEW) {
		introduce(t, tracee, child, event);
		if (child->proc && child->stopped && t->stopping)
			child->at_rest = true;
		else if (child->proc && child->stopped)
			tracer_resume(t, child, 0);
	}
	end_call(t, tracee);
	tracee->in_vfork = event == PTRACE_EVENT_VFORK;
	tracer_resume(t, tracee, 0);
}

/* The process's other threads are gone; the kernel did not show each go. */
static void forget_siblings(struct tracer *t, struct tracee *survivor)
{
	for (size_t i = 0; i < TRACEE_BUCKETS; i++) {
		struct tracee **at = &t->bucket[i];

		while (*at) {
			struct tracee *old = *at;

			if (old == survivor || old->proc != survivor->proc) {
				at = &old->next;
				continue;
			}
			if (old->state == TRACEE_LIVE) {
				end_call(t, old);
				survivor->proc->nr_threads--;
				tell_thread_exit(t, old);
			}
			*at = old->next;
			t->nr_tracees--;
			free(old);
		}
	}
}

/* After exec the thread that called it has the process's id as its own. */
static struct tracee *survivor_of_exec(struct tracer *t, pid_t tid)
{
	unsigned long former = 0;
	struct tracee *survivor, *leader;

	ptrace(PTRACE_GETEVENTMSG, tid, 0, &former);
	survivor = tracer_find(t, (pid_t)former);
	if (!survivor || !survivor->proc)
		return NULL;
	forget_siblings(t, survivor);
	unlink_tracee(t, survivor);
	/* The main thread may have had its exit stop; its end is not shown. */
	leader = tracer_find(t, tid);
	if (leader) {
		unlink_tracee(t, leader);
		free(leader);
	}
	survivor->tid = tid;
	link_tracee(t, survivor);
	return survivor;
}

static void on_exec(struct tracer *t, pid_t tid)
{
	struct tracee *tracee = survivor_of_exec(t, tid);
	struct capture before;
	struct space *old, *space;

	if (!tracee)
		return;
	old = tracee->proc->space;
	before = tracee->before_exec;
	tracee->before_exec = (struct capture){ 0 };
	if (old->nr_users == 1)
		tell_mm_end(t, tracee, true, &before);
	capture_fini(&before);
	end_call(t, tracee);
	space = tracer_add_space(t);
	if (!space)
		return;
	space->nr_users = 1;
	space->mm_rights = inherited_rights(old->mm_rights);
	tracee->proc->space = space;
	tracer_put_space(old);
	tell_exec(t, tracee, false);
	restraint_of_exec(t, tracee);
	tracer_resume(t, tracee, 0);
}

/* exit_group kills the other threads, and the last of them may be gone before it is
 * looked at: then this is what is known of the process. */
static void look_at_main_exit(struct tracer *t, struct tracee *tracee)
{
	observe_end(t, tracee);
	capture_fini(&tracee->proc->at_main_exit);
	capture_take(t, tracee, &tracee->proc->at_main_exit);
}

/* The thread runs no more code of its own.  c: NULL where it is gone already. */
static void finish(struct tracer *t, struct tracee *tracee, int status, bool can_look)
{
	struct proc *proc = tracee->proc;
	struct capture c;

	end_call(t, tracee);
	tracee->state = TRACEE_EXITING;
	if (--proc->nr_threads) {
		if (can_look && tracee->tid == proc->pid)
			look_at_main_exit(t, tracee);
		tell_thread_exit(t, tracee);
		tracee->proc = NULL;
		return;
	}
	if (can_look)
		observe_end(t, tracee);
	capture_take(t, tracee, &c);
	tell_process_exit(t, tracee, status,
		c.complete || !proc->at_main_exit.complete ? &c : &proc->at_main_exit);
	capture_fini(&c);
	capture_fini(&proc->at_main_exit);
	tracer_put_space(proc->space);
	tracee->proc = NULL;
	free(proc);
}

static void on_exit_stop(struct tracer *t, struct tracee *tracee)
{
	unsigned long status = 0;

	ptrace(PTRACE_GETEVENTMSG, tracee->tid, 0, &status);
	if (tracee->state == TRACEE_LIVE)
		finish(t, tracee, (int)status, true);
	tracer_resume(t, tracee, 0);
}

static void on_gone(struct tracer *t, struct tracee *tracee, int wait_status)
{
	if (tracee->tid == t->command) {
		t->command_status = wait_status;
		t->told_to_go = t->attached;
	}
	/* Killed so hard that it had no exit stop. */
	if (tracee->state == TRACEE_LIVE)
		finish(t, tracee, wait_status, false);
	tracer_forget(t, tracee);
}

bool is_stop_signal(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* A signal that the kernel sends for an access, and nobody else has sent. */
static void on_access_signal(struct tracer *t, struct tracee *tracee, int sig)
{
	siginfo_t info;
	struct trace_signal signal;

	if (ptrace(PTRACE_GETSIGINFO, tracee->tid, 0, &info) != 0 || info.si_code <= 0 ||
	    info.si_code == SI_KERNEL)
		return;
	signal = (struct trace_signal){
		.number = (uint32_t)sig, .code = info.si_code,
		.addr = (uint64_t)(uintptr_t)info.si_addr,
	};
	/* An exception for an address in the kernel's half is not counted either. */
	tracee->proc->nr_signals += signal.addr >> 63 == 0;
	tell_signal(t, tracee, &signal);
}

/* A stop that is no event: a signal on its way, or job control. */
static void on_signal(struct tracer *t, struct tracee *tracee, int event, int sig)
{
	if (event == 0 && (sig == SIGSEGV || sig == SIGBUS))
		on_access_signal(t, tracee, sig);
	if (event == PTRACE_EVENT_STOP && t->stopping)
		tracee->at_rest = true;
	else if (event != PTRACE_EVENT_STOP)
		tracer_resume(t, tracee, sig);
	else if (is_stop_signal(sig))
		ptrace(PTRACE_LISTEN, tracee->tid, 0, 0);
	else
		tracer_resume(t, tracee, 0);
}

static void on_stop(struct tracer *t, struct tracee *tracee, int wait_status)
{
	int event = wait_status >> 16, sig = WSTOPSIG(wait_status);

	tracee->in_vfork = false;
	if (tracee->state == TRACEE_NEW) {
		tracee->stopped = true;
		return;
	}
	if (tracee->state == TRACEE_EXITING) {
		tracer_resume(t, tracee, 0);
		return;
	}
	/* It was held at the entry of a call and something woke it. */
	if (tracee->held)
		end_call(t, tracee);
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		on_entry(t, tracee);
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_clone(t, tracee, event);
		break;
	case PTRACE_EVENT_EXIT:
		on_exit_stop(t, tracee);
		break;
	default:
		if (!event && sig == (SIGTRAP | 0x80) && t->every_call && !tracee->in_call)
			on_entry(t, tracee);
		else if (!event && sig == (SIGTRAP | 0x80))
			on_exit_of_call(t, tracee);
		else
			on_signal(t, tracee, event, sig);
		break;
	}
}

static void kill_all(struct tracer *t)
{
	for (size_t i = 0; i < TRACEE_BUCKETS; i++)
		for (struct tracee *at = t->bucket[i]; at; at = at->next)
			kill(at->tid, SIGKILL);
}

/* The command gets it; when that has ended, all that are left of its tree. */
static void forward(struct tracer *t, int sig)
{
	if (tracer_find(t, t->command)) {
		kill(t->command, sig);
		return;
	}
	for (size_t i = 0; i < TRACEE_BUCKETS; i++)
		for (struct tracee *at = t->bucket[i]; at; at = at->next)
			if (at->proc && at->tid == at->proc->pid)
				kill(at->tid, sig);
}

/*
 * To be told to end once is the command's affair, and it may take its time; to
 * be told again, later, means now.  At once is the same wish: timeout(1) signals
 * its child and then the group that the child is in.
 */
static void take_signals(struct tracer *t)
{
	int sig;

	while ((sig = signals_next()) != 0) {
		if (t->attached) {
			t->told_to_go = true;
			continue;
		}
		bool end = sig == SIGTERM || sig == SIGHUP;
		uint64_t now = now_ns();

		if (end && t->told_to_end_ns && now - t->told_to_end_ns >= SAME_WISH_NS)
			t->kill = true;
		else if (!end || !t->told_to_end_ns)
			forward(t, sig);
		if (end && !t->told_to_end_ns)
			t->told_to_end_ns = now;
	}
}

struct tracer *tracer_create(struct merge *merge, struct files *files,
	const struct tracer_sources *sources, const struct record_options *options)
{
	struct tracer *t = calloc(1, sizeof(*t));

	if (t) {
		t->merge = merge;
		t->files = files;
		t->drain = sources->drain;
		t->calls = sources->calls;
		t->cgroup = sources->cgroup;
		t->source = sources->source;
		t->attached = sources->attached;
		t->every_call = sources->attached && !sources->calls;
		t->options = options;
	}
	return t;
}

int tracer_adopt(struct tracer *t, pid_t pid)
{
	struct trace_process_start start = {
		.how = TRACE_HOW_COMMAND, .parent = TRACE_NONE, .pid = (uint32_t)pid,
	};
	struct tracee *tracee = tracer_add(t, pid);

	if (!tracee || !tracer_add_proc(t, tracee, tracer_add_space(t)))
		return -ENOMEM;
	tracee->proc->space->ours = true;
	tracee->proc->space->mm_rights = observe_own_mm_rights();
	t->command = pid;
	tell_process_start(t, tracee, &start, 0);
	return 0;
}

void tracer_handle(struct tracer *t, pid_t tid, int status)
{
	struct tracee *tracee;

	if (WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_EXEC) {
		on_exec(t, tid);
		return;
	}
	tracee = tracer_find(t, tid);
	if (!tracee && WIFSTOPPED(status)) {
		tracee = tracer_add(t, tid);
		/* Its parent died before it could introduce it. */
		if (t->killed)
			kill(tid, SIGKILL);
	}
	if (!tracee)
		return;
	if (WIFSTOPPED(status))
		on_stop(t, tracee, status);
	else
		on_gone(t, tracee, status);
}

/* Nobody is killed who ran before. */
static bool end_early(struct tracer *t)
{
	if (t->attached && (t->told_to_go || t->failed)) {
		tracer_detach(t);
		return true;
	}
	if ((t->kill || t->failed) && !t->attached && !t->killed) {
		kill_all(t);
		t->killed = true;
	}
	return false;
}

int tracer_run(struct tracer *t, int *wait_status, struct trace_error *error)
{
	while (t->nr_tracees) {
		int status;
		pid_t tid;

		take_signals(t);
		if (end_early(t))
			break;
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			break;
		tracer_handle(t, tid, status);
	}
	*wait_status = t->command_status;
	return t->failed ? trace_fail(error, ENOMEM, 0, "the recorder ran out of memory") : 0;
}

uint32_t tracer_nr_processes(const struct tracer *t)
{
	return t->nr_processes;
}

void tracer_destroy(struct tracer *t)
{
	free(t);
}
