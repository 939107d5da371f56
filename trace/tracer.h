/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tracer knows of the tree it watches.  tracer.c moves threads from
 * stop to stop; observe.c turns what is seen at a stop into items.
 *
 *	tracee  a thread        its life: NEW -> LIVE -> EXITING -> gone
 *	proc    a process       has tracees, lives in a space
 *	space   address space   has procs (several after vfork)
 */
#ifndef QUIRE_TRACE_TRACER_H
#define QUIRE_TRACE_TRACER_H

#include "recorder.h"

struct space {
	uint32_t index;
	uint32_t nr_users; /* processes */
	bool ours; /* the copy of the recorder that exec replaces */
	/*
	 * Memory calls of one address space run one at a time: busy is in
	 * one, the others wait at its entry, oldest first.  So their order in
	 * the recording is the order in which they took effect.
	 */
	struct tracee *busy;
	struct tracee *held_first, *held_last;
	uint64_t peak_page_table_bytes, peak_vmas;
	/* Of one that the recorder was attached to: the peak that it had then (0: other
	 * spaces), and the most that was seen since. */
	uint64_t peak_rss_before, peak_rss_seen;
	struct tracee *speaker; /* at the end of an attachment: whom it is read through */
	bool maps_large_files; /* what it unmaps may have come beside touches */
	struct file_pieces pieces;
	uint32_t mm_rights; /* TRACE_RIGHT_* that prctl set and fork and exec keep */
};

/* What Linux says of an address space at this moment. */
struct capture {
	bool complete;
	struct trace_said said;
	struct maps_buffer maps;
};

struct proc {
	uint32_t index;
	pid_t pid;
	uint32_t nr_threads; /* that have not reached their exit stop */
	struct space *space;
	struct trace_rights rights; /* as they were told last */
	uint64_t nr_signals; /* for accesses: exceptions that are no faults */
	/* Faults that Linux counted less exceptions seen, when that was looked at
	 * last.  Once it grows, pages came without an exception. */
	int64_t unseen_faults;
	int64_t unseen_before; /* of them, until its exec or fork */
	struct capture at_main_exit; /* should the others end unseen */
};

struct tracee {
	struct tracee *next; /* in its hash chain */
	pid_t tid;
	enum { TRACEE_NEW, TRACEE_LIVE, TRACEE_EXITING } state;
	bool stopped; /* NEW: its first stop came before its introduction */
	bool in_call; /* between the entry and the exit of a stopped call */
	bool held; /* in its space's list */
	bool in_vfork; /* it waits for its child, and cannot be stopped */
	bool at_rest; /* stopped for the recorder to leave */
	struct tracee *next_held;
	struct proc *proc; /* NULL: NEW */
	uint32_t thread;
	struct stopped_call call;
	struct capture before_exec;
};

#define TRACEE_BUCKETS 1024

struct tracer {
	struct merge *merge;
	struct files *files;
	struct drain *drain; /* NULL: none */
	struct call_rings *calls; /* NULL: calls are told of here */
	const struct cgroup *cgroup; /* NULL: events follow the tasks themselves */
	bool left_cgroup; /* somebody has, and it was told */
	enum trace_source source;
	struct tracee *bucket[TRACEE_BUCKETS];
	uint32_t nr_tracees;
	uint32_t nr_processes, nr_threads, nr_spaces;
	pid_t command; /* its pid */
	int command_status;
	const struct record_options *options;
	uint64_t told_to_end_ns; /* when a signal to end was passed on; 0: none was */
	bool told_of_ptrace, told_of_exec; /* once is enough */
	bool kill, killed; /* the tree is to be killed, and was told so */
	/* Attached: the program was there before and lives on when the recorder goes. */
	bool attached;
	bool every_call; /* no filter picks calls: each of them stops */
	bool told_to_go; /* or the process that it was attached to has ended */
	bool stopping; /* all are being stopped, to be let go */
	bool leaving; /* all are stopped: what is told now is the last */
	bool failed; /* out of memory: likewise */
};

/* ---- tracer.c, for attach.c ---- */

struct tracee *tracer_find(struct tracer *, pid_t tid);
/* The next three set failed when out of memory. */
struct tracee *tracer_add(struct tracer *, pid_t tid);
struct space *tracer_add_space(struct tracer *);
/* Makes tracee the first thread of a process of its own. */
bool tracer_add_proc(struct tracer *, struct tracee *, struct space *);
/* Takes it off the list and frees it. */
void tracer_forget(struct tracer *, struct tracee *);
void tracer_put_space(struct space *);
void tracer_resume(const struct tracer *, const struct tracee *, int sig);
/* What waitpid said of a thread. */
void tracer_handle(struct tracer *, pid_t tid, int wait_status);

/* ---- attach.c ---- */

/* Stops all, tells what there is to tell, and lets all go for good. */
void tracer_detach(struct tracer *);
bool is_stop_signal(int sig);

/* ---- restraint.c: what a program cannot do while it is recorded ---- */

/* At the entry of its ptrace(2), and after its exec. */
void restraint_of_ptrace(struct tracer *, const struct tracee *);
void restraint_of_exec(struct tracer *, const struct tracee *);
/* ---- beside.c: see also recorder.h ---- */

/* The mapping of a file that the call has made did not become one with that beside it,
 * as another opening of the file is behind it. */
bool beside_stands_apart(struct tracee *, const struct trace_call *, uint64_t page_bytes);

/* ---- observe.c ---- */

void capture_take(struct tracer *, struct tracee *, struct capture *);
void capture_fini(struct capture *);
/* Remembers how large the page tables are, before they may shrink. */
void observe_peak(struct tracee *);
/* Tells which pages of [start, end) are there, where the source of touches
 * misses some. */
void observe_pages(struct tracer *, struct tracee *, uint64_t start, uint64_t end);
/* The same of all pages, of an address space that is about to go. */
void observe_end(struct tracer *, struct tracee *);
/* The pages that the call in tracee->call may take away or change. */
void observe_pages_of_call(struct tracer *, struct tracee *);

/* maker: the thread whose call it was, or 0. */
void tell_process_start(struct tracer *, struct tracee *, const struct trace_process_start *,
	pid_t maker);
void tell_thread_start(struct tracer *, struct tracee *, pid_t maker);
void tell_thread_exit(struct tracer *, struct tracee *);
/* Ends the process's space too, if it was the last in it.  Takes over c. */
void tell_process_exit(struct tracer *, struct tracee *, int status, struct capture *c);
void tell_mm_end(struct tracer *, struct tracee *, bool by_exec, struct capture *c);
/* attached: not an exec, but what there is now. */
void tell_exec(struct tracer *, struct tracee *, bool attached);
/* Tells which pages are there, before the recorder sees any touch. */
void tell_there(struct tracer *, struct tracee *);
void tell_exec_enter(struct tracer *, struct tracee *);
void tell_exec_failed(struct tracer *, struct tracee *);
void tell_call(struct tracer *, struct tracee *, int64_t result);
void tell_signal(struct tracer *, struct tracee *, const struct trace_signal *);
/* What the recorder and so its child have of the rights that prctl sets. */
uint32_t observe_own_mm_rights(void);

#endif
