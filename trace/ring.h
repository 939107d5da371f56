/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's perf rings: one for each CPU, and a thread that empties them
 * before they overflow.  What the records mean is the user's affair: perf.c
 * reads page faults from its set of rings, perf_calls.c system calls.
 *
 * Locks: a set's lock covers its rings and whatever its record function fills.
 */
#ifndef QUIRE_TRACE_RING_H
#define QUIRE_TRACE_RING_H

#include <linux/perf_event.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RING_EVENTS 3 /* the most that one ring is filled by */

struct ring {
	unsigned int cpu;
	int fd[RING_EVENTS]; /* the first has the ring; -1: none */
	struct perf_event_mmap_page *control; /* NULL: this CPU is switched off */
	uint8_t *data;
	size_t data_bytes;
	uint64_t last_time_ns; /* of the record function's last sample */
};

/* Events beside those of rings: of threads that ran before. */
struct ring_events {
	int *fd;
	size_t nr, capacity;
};

/* Called with the set's lock held, for each record in a ring's order. */
typedef void ring_record_fn(void *context, struct ring *, const uint8_t *record);

struct ring_set {
	struct ring *ring;
	unsigned int nr;
	struct ring_events more;
	int stop_fd;
	int period_ms; /* look at least so often; -1: when the kernel says so */
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	ring_record_fn *record;
	void *context;
};

/* What the rings of one set are filled by. */
struct ring_plan {
	size_t nr_events;
	struct perf_event_attr attr[RING_EVENTS];
	const char *filter[RING_EVENTS]; /* in the kernel's words; NULL: none */
	size_t ring_bytes; /* the most to ask for on one CPU, a power of two */
};

struct record_target;

/* An attr with all that our events have in common. */
struct perf_event_attr ring_attr(void);

/* No rings yet.  Also a set whose init failed may be given to fini. */
int ring_set_init(struct ring_set *, ring_record_fn *, void *context);
void ring_set_fini(struct ring_set *);
/*
 * Opens the plan's events for the command, which has not exec'ed yet, and all it
 * will start; -errno: none is open.  They begin by themselves at its exec, or,
 * where a control group stands for it or the threads ran before, with
 * ring_set_enable.
 */
int ring_set_open(struct ring_set *, const struct record_target *, const struct ring_plan *);
void ring_set_enable(struct ring_set *);
void ring_set_disable(struct ring_set *);
/* Starts the thread. */
int ring_set_start(struct ring_set *, int period_ms);
/* Ends it; the rings stay, and can still be drained. */
void ring_set_stop(struct ring_set *);
void ring_set_drain_locked(struct ring_set *);

/* ---- tracefs ---- */

/* A descriptor of tracefs, mounted for us alone if it is not there; or -1. */
int tracefs_open(void);
/* The number of a tracepoint ("group/name"), if its format contains each of the
 * lines, NULL-terminated; 0: it is not there, or not of that shape. */
uint64_t tracefs_event_id(int dir, const char *event, const char *const *lines);

#endif
