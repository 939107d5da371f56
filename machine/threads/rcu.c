/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RCU of the threads machine: liburcu (membarrier flavour) finds the grace
 * periods; callbacks are queued and run here.
 *
 * Guarantees.  Callbacks run in the order they were queued, on one thread
 * that is attached (CPU THREADS_RCU_CPU), after a grace period that began
 * after they were queued.  Queueing is a push on a stack: no lock, no memory,
 * and no system call unless the thread has been idle for long.
 *
 * liburcu's own call_rcu is not used: its thread is no CPU of ours, and it
 * looks at its queue every 10 ms, which an instance that is destroyed and
 * made anew thousands of times a second would wait for.  Our thread naps for
 * a millisecond to let a batch gather, is woken at once by somebody who waits
 * (mach_rcu_barrier), and sleeps until called after IDLE_NAPS empty naps.
 *
 * The thread ends before the host's fork() and begins again when there is
 * work, on both sides: liburcu's list of readers would otherwise keep, in the
 * child, a thread that is not there.  For the same reason a program that is
 * to fork and go on using Quire in the child does so while no other thread is
 * attached.
 */
#define _GNU_SOURCE
#include <urcu/urcu-memb.h>
#include <urcu/static/urcu-memb.h>

#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "threads/threads.h"

/* mach_ops.h mirrors liburcu's reader: this is where they are compared. */
_Static_assert(offsetof(struct urcu_gp, ctr) == offsetof(struct threads_rcu_gp, ctr) &&
	       offsetof(struct urcu_gp, futex) == offsetof(struct threads_rcu_gp, futex),
	       "grace period word");
_Static_assert(offsetof(struct urcu_reader, ctr) ==
	       offsetof(struct threads_rcu_reader, ctr), "reader word");
_Static_assert(URCU_GP_CTR_NEST_MASK == THREADS_RCU_NEST_MASK && URCU_GP_COUNT == 1,
	       "how sections are counted");

#define NAP_NS 1000000
#define IDLE_NAPS 20

enum worker_state { WORKER_AWAKE, WORKER_NAPS, WORKER_SLEEPS };

static struct {
	struct mach_rcu_head *queue; /* a stack: the newest first */
	uint32_t state;              /* enum worker_state; the worker parks on it */
	uint32_t nr_waiting;         /* in threads_rcu_barrier: no naps */
	uint32_t has_worker;
	uint32_t stop;               /* the worker is to end */
	pthread_t worker;
	pthread_mutex_t start_lock;  /* starting and ending the worker */
} rcu = { .start_lock = PTHREAD_MUTEX_INITIALIZER };

#ifdef THREADS_TSAN
char threads_rcu_tsan;
#endif

void threads_rcu_register(void)
{
	urcu_memb_register_thread();
}

void threads_rcu_unregister(void)
{
	urcu_memb_unregister_thread();
}

/* liburcu parks on a futex that is not private to the process. */
void threads_rcu_wake_gp(void)
{
	mach_store(&threads_rcu_gp.futex, 0, MACH_RELAXED);
	syscall(SYS_futex, &threads_rcu_gp.futex, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void threads_synchronize_rcu(void)
{
	urcu_memb_synchronize_rcu();
	threads_rcu_period_ends();
}

/* Takes everything queued, oldest first.  ACQUIRE pairs with threads_call_rcu. */
static struct mach_rcu_head *take_queue(void)
{
	struct mach_rcu_head *newest = mach_xchg(&rcu.queue, NULL, MACH_ACQUIRE);
	struct mach_rcu_head *oldest = NULL;

	while (newest) {
		struct mach_rcu_head *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

static void run_callbacks(struct mach_rcu_head *head)
{
	while (head) {
		struct mach_rcu_head *next = head->next;

		head->fn(head); /* may free or queue the head again */
		head = next;
	}
}

/*
 * Parks in `state` for at most `wait_ns` (0: for as long as it takes) unless
 * there is something to do.  The state is told before that is looked at;
 * whoever queues or waits does it the other way round, so one of them sees
 * the other (both sequentially consistent).
 */
static void worker_park(enum worker_state state, long wait_ns)
{
	struct timespec wait = { .tv_nsec = wait_ns };
	bool busy;

	mach_store(&rcu.state, state, MACH_SEQ_CST);
	busy = mach_load(&rcu.queue, MACH_SEQ_CST) &&
	       (state == WORKER_SLEEPS || mach_load(&rcu.nr_waiting, MACH_SEQ_CST));
	busy |= mach_load(&rcu.stop, MACH_SEQ_CST);
	if (!busy)
		syscall(SYS_futex, &rcu.state, FUTEX_WAIT_PRIVATE, state,
			wait_ns ? &wait : NULL, NULL, 0);
	mach_store(&rcu.state, WORKER_AWAKE, MACH_SEQ_CST);
}

static void *worker(void *unused)
{
	unsigned idle = 0;

	(void)unused;
	threads_attach_rcu();
	while (!mach_load(&rcu.stop, MACH_SEQ_CST)) {
		struct mach_rcu_head *batch = take_queue();

		if (batch) {
			idle = 0;
			threads_synchronize_rcu();
			run_callbacks(batch);
		} else {
			idle++;
		}
		if (idle < IDLE_NAPS)
			worker_park(WORKER_NAPS, NAP_NS);
		else
			worker_park(WORKER_SLEEPS, 0);
	}
	threads_rcu_unregister();
	return NULL;
}

/* Ends the worker's park if it is in one as deep as `state`. */
static void wake_worker(enum worker_state least)
{
	uint32_t state = mach_load(&rcu.state, MACH_SEQ_CST);

	if (state >= least && mach_cas(&rcu.state, &state, WORKER_AWAKE, MACH_SEQ_CST))
		threads_wake(&rcu.state, 1);
}

static void before_fork(void)
{
	pthread_mutex_lock(&rcu.start_lock);
	if (!rcu.has_worker)
		return;
	mach_store(&rcu.stop, 1, MACH_SEQ_CST);
	wake_worker(WORKER_NAPS);
	pthread_join(rcu.worker, NULL);
	mach_store(&rcu.stop, 0, MACH_SEQ_CST);
	mach_store(&rcu.has_worker, 0, MACH_RELEASE);
}

static void start_worker(void);

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&rcu.start_lock);
	if (mach_load(&rcu.queue, MACH_RELAXED))
		start_worker();
}

static void after_fork_child(void)
{
	rcu.nr_waiting = 0;
	pthread_mutex_unlock(&rcu.start_lock);
}

static void start_worker(void)
{
	static bool has_fork_handlers;
	int err = 0;

	pthread_mutex_lock(&rcu.start_lock);
	if (!has_fork_handlers)
		err = pthread_atfork(before_fork, after_fork_parent, after_fork_child);
	has_fork_handlers = true;
	if (!err && !rcu.has_worker)
		err = pthread_create(&rcu.worker, NULL, worker, NULL);
	if (err) {
		fprintf(stderr, "quire: no thread for RCU callbacks: %s\n", strerror(err));
		exit(EXIT_FAILURE);
	}
	mach_store(&rcu.has_worker, 1, MACH_RELEASE);
	pthread_mutex_unlock(&rcu.start_lock);
}

void threads_call_rcu(struct mach_rcu_head *head, void (*fn)(struct mach_rcu_head *head))
{
	struct mach_rcu_head *newest = mach_load(&rcu.queue, MACH_RELAXED);

	head->fn = fn;
	do {
		head->next = newest;
	} while (!mach_cas(&rcu.queue, &newest, head, MACH_SEQ_CST));
	if (threads_unlikely(!mach_load(&rcu.has_worker, MACH_ACQUIRE)))
		start_worker();
	wake_worker(WORKER_SLEEPS);
}

struct barrier {
	struct mach_rcu_head head;
	uint32_t done;
};

static void barrier_reached(struct mach_rcu_head *head)
{
	struct barrier *barrier = (struct barrier *)(void *)head;

	/* The waiter's stack may be gone after this store: the wake below uses
	 * the address only as a name. */
	mach_store(&barrier->done, 1, MACH_RELEASE);
	threads_wake(&barrier->done, 1);
}

/* Callbacks run in order, so ours is the last of those queued before. */
void threads_rcu_barrier(void)
{
	struct barrier barrier = { .done = 0 };

	if (!mach_load(&rcu.has_worker, MACH_ACQUIRE) && !mach_load(&rcu.queue, MACH_ACQUIRE))
		return; /* nothing was queued since the start */
	mach_fetch_add(&rcu.nr_waiting, 1, MACH_SEQ_CST);
	threads_call_rcu(&barrier.head, barrier_reached);
	while (!mach_load(&barrier.done, MACH_ACQUIRE)) {
		wake_worker(WORKER_NAPS);
		threads_wait(&barrier.done, 0);
	}
	mach_fetch_sub(&rcu.nr_waiting, 1, MACH_SEQ_CST);
}
