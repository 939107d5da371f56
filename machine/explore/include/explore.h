/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exploring a program: run it under many schedules, report the first bug.
 *
 * A program is a setup, one body for each CPU, and a check.  Setup runs once;
 * the memory it leaves behind is restored before every run, so bodies keep
 * all they change in memory of the machine (mach_mem_alloc, mach_phys_create)
 * and none in static variables.  The bodies run under the scheduler; the check
 * runs alone on CPU 0 when all bodies have returned and every RCU callback has
 * run.
 *
 * CPUs 0 .. nr_cpus-1 are the bodies'; CPU nr_cpus runs RCU callbacks.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most CPUs with a body. */
#define EXPLORE_MAX_CPUS 16u
/* The most different outcomes a result holds. */
#define EXPLORE_MAX_OUTCOMES 64u

/*      name                 what it is called in reports and expectations */
#define EXPLORE_FAILURE_LIST(X)                                               \
	X(NONE, "none")                                                       \
	X(CHECK, "check")                     /* the program says so */       \
	X(STOP, "stop")                       /* mach_stop() */               \
	X(LEAK, "leak")                       /* explore_leaked() */          \
	X(USE_AFTER_FREE, "use-after-free")                                   \
	X(DOUBLE_FREE, "double-free")                                         \
	X(WILD_ACCESS, "wild-access")         /* a fault of the host */       \
	X(STALE_TRANSLATION, "stale-translation")                             \
	X(DEADLOCK, "deadlock")                                               \
	X(LOST_WAKEUP, "lost-wakeup")         /* only parked CPUs are left */ \
	X(LOCK_MISUSE, "lock-misuse")                                         \
	X(RCU_MISUSE, "rcu-misuse")                                           \
	X(LIVELOCK, "livelock")               /* the step limit was met */    \
	X(DIVERGED, "diverged")               /* a token did not replay */

enum explore_failure {
#define EXPLORE_FAILURE_ENUM(name, text) EXPLORE_##name,
	EXPLORE_FAILURE_LIST(EXPLORE_FAILURE_ENUM)
#undef EXPLORE_FAILURE_ENUM
	EXPLORE_NR_FAILURES
};

const char *explore_failure_name(enum explore_failure failure);

enum explore_strategy_kind { EXPLORE_RANDOM, EXPLORE_PCT };

struct explore_program {
	const char *name; /* letters, digits, '-' and '_' */
	unsigned nr_cpus; /* 1 .. EXPLORE_MAX_CPUS */
	void *context;    /* passed to all below */
	/* 0 or a negative errno, which ends explore_run(). */
	int (*setup)(void *context);
	void (*body)(void *context, unsigned cpu);
	/* What kind of end it was, for result.outcomes; may be NULL. */
	uint64_t (*outcome)(void *context);
	/* After outcome; may take everything apart.  May be NULL. */
	void (*check)(void *context);
	/* Forgets what lies outside the machine's memory; may be NULL. */
	void (*reset)(void *context);
};

struct explore_config {
	struct explore_program program;
	enum explore_strategy_kind strategy;
	unsigned depth;        /* of PCT: 2 .. 5 orderings */
	uint64_t seed;
	uint64_t schedules;    /* how many runs; a token means one */
	const char *token;     /* replay this run; NULL: explore */
	bool force;            /* replay a token of another build as far as it goes */
	bool minimise;         /* look for a short token of the failure */
	uint64_t fail_nth;     /* this allocation of the bodies fails; 0: none */
	uint64_t max_steps;    /* 0: 100,000 */
	size_t quarantine_bytes; /* freed memory kept from reuse; 0: 64 KiB */
	size_t memory_bytes;   /* for the program; 0: 64 MiB */
	unsigned timeline_rows; /* of the report; 0: 40 */
};

struct explore_result {
	uint64_t executions;
	uint64_t steps;           /* of all executions */
	uint64_t max_steps_seen;  /* of one execution */
	uint64_t allocations;     /* mach_should_fail() calls of the last run */
	uint64_t cpu_ns;          /* of the runs, without setup */
	uint64_t run_hash;        /* of the last run */
	unsigned nr_outcomes;     /* more than EXPLORE_MAX_OUTCOMES: the rest is lost */
	uint64_t outcomes[EXPLORE_MAX_OUTCOMES];
	enum explore_failure failure;
	uint64_t failed_at_execution; /* counted from 1 */
	char diagnosis[512];      /* one sentence */
	char *token;              /* of the failing or replayed run; freed by explore_result_fini */
	char *timeline;           /* the last steps, a lane for each CPU; likewise */
};

/*
 * 0: the runs took place, ret_result says what was found.  -EINVAL: a bad
 * config or token, ret_result->diagnosis says what is wrong with it.  Other
 * errors are those of the program's setup, or -ENOMEM.
 * Pre: not called from within a program.
 */
int explore_run(const struct explore_config *config,
		struct explore_result *ret_result);
void explore_result_fini(struct explore_result *result);

/* ---- for the program ----------------------------------------------------- */

/* The run is wrong; does not return.  Works in bodies and in the check. */
_Noreturn void explore_fail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
/* `nr` of `what` are left over; does not return. */
_Noreturn void explore_leaked(uint64_t nr, const char *what);
/*
 * What reports call [mem, mem + bytes); elements of `each_bytes` are numbered,
 * 0 is for one thing.  In setup; the first name given wins; `name` is kept, not
 * copied.
 */
void explore_name(const void *mem, size_t bytes, size_t each_bytes, const char *name);

#endif
