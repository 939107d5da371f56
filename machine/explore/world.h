/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the explore machine: the one world that its files share.
 *
 * An *actor* is what the scheduler chooses among: a CPU with a body (a fiber),
 * the CPU that runs RCU callbacks (a fiber), or the delivery of an interrupt
 * to a CPU (no fiber: its step is done by whoever looked for the next one).
 * An actor that is not running has published the operation it will do next;
 * it is *enabled* when that operation could be done now.  A blocked actor is
 * not enabled, so nothing ever spins.
 *
 * *Solo* is the machine outside explore_run(), and during setup and check: one
 * CPU, no scheduler; what would block for ever stops the machine.
 *
 * The idea that a point precedes and publishes its operation is Shuttle's; a
 * controlled scheduler over one OS thread is CHESS's (Musuvathi and others).
 */
#ifndef EXPLORE_WORLD_H
#define EXPLORE_WORLD_H

#include <stdarg.h>
#include <stdio.h>

#include <quire/cost.h>
#include <quire/errno.h>
#include <quire/geometry.h>
#include <quire/machine.h>
#include <quire/testing.h>

#include "explore/include/explore.h"

#define XP_NR_FIBERS (EXPLORE_MAX_CPUS + 1) /* the last for RCU callbacks */
#define XP_INTERRUPTS 32u                   /* actor of CPU i's interrupts: 32 + i */
#define XP_MAX_HELD 48u
#define XP_MAX_RANGES 16u
#define XP_MAX_NAMES 32u
#define XP_POISON 0xdb
#define XP_NR_CHECKPOINTS 24u

#define xp_likely(x) __builtin_expect(!!(x), 1)
#define xp_unlikely(x) __builtin_expect(!!(x), 0)
#define XP_BIT(n) (UINT64_C(1) << (n))
/* Where the core called the machine, in a function that the core calls. */
#define XP_SITE __builtin_return_address(0)

/*      kind          how a timeline shows it */
#define XP_KIND_LIST(X)                       \
	X(START, "starts")                    \
	X(END, "returns")                     \
	X(LOAD, "load")                       \
	X(STORE, "store")                     \
	X(RMW, "rmw")                         \
	X(CAS, "cas")                         \
	X(FENCE, "fence")                     \
	X(SPIN_LOCK, "spin lock")             \
	X(SPIN_TRYLOCK, "spin trylock")       \
	X(SPIN_UNLOCK, "spin unlock")         \
	X(MUTEX_LOCK, "mutex lock")           \
	X(MUTEX_TRYLOCK, "mutex trylock")     \
	X(MUTEX_UNLOCK, "mutex unlock")       \
	X(READ_LOCK, "read lock")             \
	X(READ_TRYLOCK, "read trylock")       \
	X(READ_UNLOCK, "read unlock")         \
	X(WRITE_LOCK, "write lock")           \
	X(WRITE_QUEUE, "queues to write")     \
	X(WRITE_TRYLOCK, "write trylock")     \
	X(WRITE_UNLOCK, "write unlock")       \
	X(DOWNGRADE, "downgrade")             \
	X(WAIT, "wait")                       \
	X(PARKED, "goes on after wait")       \
	X(WAKE, "wake")                       \
	X(RELAX, "relax")                     \
	X(RCU_LOCK, "rcu lock")               \
	X(RCU_UNLOCK, "rcu unlock")           \
	X(RCU_CALL, "call rcu")               \
	X(RCU_SYNC, "synchronize rcu")        \
	X(RCU_BARRIER, "rcu barrier")         \
	X(RCU_CALLBACK, "rcu callback")       \
	X(ALLOC, "alloc")                     \
	X(FREE, "free")                       \
	X(TLB_LOOKUP, "tlb lookup")           \
	X(WALK, "walk reads")                 \
	X(WALK_MARK, "walk marks")            \
	X(TLB_FILL, "tlb fill")               \
	X(ACCESS_END, "access ends")          \
	X(FLUSH, "tlb flush")                 \
	X(FLUSH_DELIVER, "flush delivered")   \
	X(FLUSH_DONE, "flush done")           \
	X(FAILS, "fails here")

enum xp_kind {
#define XP_KIND_ENUM(name, text) XP_##name,
	XP_KIND_LIST(XP_KIND_ENUM)
#undef XP_KIND_ENUM
	XP_NR_KINDS
};

/* What an actor is about to do. */
struct xp_op {
	const volatile void *addr;
	const void *site;
	uint64_t arg;
	uint8_t kind; /* enum xp_kind */
	uint8_t size;
	bool write;
};

/* What an actor did: kept only while recording. */
struct xp_event {
	uint64_t before, after; /* value there; of a flush: the range */
	const volatile void *addr;
	const void *site;
	uint64_t step;
	uint8_t actor, kind, size;
	bool failed; /* a compare-and-swap or a trylock */
};

struct xp_held {
	const volatile void *lock;
	uint8_t kind;
};

enum xp_life { XP_UNUSED, XP_READY, XP_BLOCKED, XP_DONE };

struct xp_actor {
	struct xp_op pending;
	void *sp;              /* of the fiber while it does not run */
	uint64_t rcu_start;    /* stamp of the outermost section */
	unsigned rcu_nesting;
	unsigned index;        /* the CPU number */
	unsigned nr_held, nr_spins_held;
	enum xp_life life;
	uint64_t fail_countdown, fail_start;
	uint64_t parked_order;
	struct quire_cost *cost;
	struct xp_held held[XP_MAX_HELD];
	char *stack;
	size_t stack_bytes;
	void *sanitizer_stack;
};

/* A physical range.  The generation of a frame is the moment of the clock of
 * frees when it was last freed; 0: never. */
struct xp_range {
	char *base;
	size_t bytes;
	uint32_t *generations;
	struct xp_freed {
		uint32_t step;
		uint8_t actor;
		const void *site;
	} *freed;
};

struct xp_name {
	const char *mem;
	size_t bytes;
	size_t each_bytes; /* of an element, or 0: it is one thing */
	const char *name;
};

/* What is restored before every run, beside the arena itself. */
struct xp_state {
	size_t used; /* bytes of the arena handed out */
	unsigned nr_ranges, nr_names;
	uint32_t free_clock;
	struct mach_mmu *mmus; /* all of them */
	uint64_t random;
	struct quire_cost *cost; /* where setup redirected CPU 0's counts */
	struct xp_range ranges[XP_MAX_RANGES];
	struct xp_name names[XP_MAX_NAMES];
};

struct xp_failure {
	enum explore_failure kind;
	char text[512];
};

struct xp_strategy {
	const char *name;
	void (*begin)(uint64_t seed);
	/* One actor of `may`, which is not empty. */
	unsigned (*choose)(uint64_t may);
	/* `actor` says that it cannot go on until others have. */
	void (*relaxed)(unsigned actor);
};

struct xp_world {
	/* The hot part: every step touches it. */
	struct xp_actor *current;
	uint64_t enabled;      /* actors */
	uint64_t relaxed;      /* actors that let somebody else go first */
	uint64_t blocked;      /* actors whose pending operation may be refused */
	uint64_t steps, max_steps;
	uint64_t hash;
	const struct xp_strategy *strategy;
	bool scheduling;       /* bodies run */
	bool exploring;        /* within explore_run() */
	bool recording;
	unsigned nr_cpus;      /* with bodies */
	char *arena;
	size_t arena_bytes;    /* for the program; stacks follow */
	size_t mapped_bytes;
	uint8_t *shadow;       /* a byte for 8 of the arena */
	const char *image;
	size_t image_bytes;

	/* RCU */
	uint64_t rcu_clock;
	uint64_t in_section;   /* actors */
	struct mach_rcu_head *rcu_first, **rcu_last;
	uint64_t nr_rcu_queued, nr_rcu_called;

	/* Memory */
	uint64_t allocations, fail_nth;
	size_t quarantined, quarantine_bytes;
	uint64_t parked_clock;

	uint64_t interrupts[EXPLORE_MAX_CPUS + 1]; /* flushers that wait, per CPU */
	uint64_t in_access;                        /* CPUs: no interrupt now */

	struct xp_failure failure;
	char last_log[200];    /* of this run; a diagnosis quotes it */
	uint16_t checkpoints[XP_NR_CHECKPOINTS];
	void *main_sp;
	struct xp_state state;
	struct xp_actor actors[XP_NR_FIBERS];
	quire_stop_handler *stop_handler;
};

extern struct xp_world xp;

/* ---- sched.c ----------------------------------------------------------------- */

/* Runs others until the pending operation of this actor is chosen. */
void xp_schedule(void);
/* Blocks until `kind` on `addr` can be granted (xp_grantable), then returns. */
void xp_block(enum xp_kind kind, const volatile void *addr, uint64_t arg,
	      const void *site);
/* Something at `addr` changed: who is blocked on it may be enabled now, or no
 * longer.  NULL: whatever they are blocked on. */
void xp_recheck(const volatile void *addr);
bool xp_grantable(const struct xp_actor *actor);
void xp_sched_begin(void);
/* Runs the bodies to their end, or to a failure.  From explore_run() alone. */
void xp_sched_run(void (*body)(void *, unsigned), void *context);
/* Calls fn(context) on CPU 0 without a scheduler; a failure ends it. */
void xp_sched_alone(void (*fn)(void *), void *context);

_Noreturn void xp_fail(enum explore_failure kind, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- memory.c ------------------------------------------------------------------ */

enum xp_shadow { XP_UNTRACKED, XP_LIVE, XP_FREED, XP_FREED_FIRST };

int xp_memory_create(size_t bytes);
void xp_memory_destroy(void);
/* Keeps the image of the program's memory as it is now / brings it back. */
int xp_memory_save(void);
void xp_memory_restore(void);
void xp_memory_forget(void);
/* Freed memory in quarantine has not been written to; else fails. */
void xp_memory_check_poison(void);
_Noreturn void xp_bad_access(const volatile void *addr, size_t size, const char *what);
struct xp_range *xp_range_of(const volatile void *mem);

static inline void xp_check_access(const volatile void *addr, size_t size,
				   const char *what)
{
	uint64_t offset = (uint64_t)((const volatile char *)addr - xp.arena);

	if (offset < xp.state.used && xp_unlikely(xp.shadow[offset / 8] >= XP_FREED))
		xp_bad_access(addr, size, what);
}

/* ---- mmu.c ----------------------------------------------------------------------- */

/* Does the next interrupt of `cpu`. */
void xp_mmu_deliver(unsigned cpu);
bool xp_mmu_flush_done(const struct xp_actor *actor);
/* [mem, mem + bytes), whole frames, is being freed. */
void xp_mmu_note_free(const char *mem, size_t bytes);

/* ---- rcu.c ------------------------------------------------------------------------ */

bool xp_rcu_period_over(uint64_t stamp);
bool xp_rcu_idle(void);
/* The body of the CPU that runs callbacks. */
void xp_rcu_worker(void);
/* Whether a queued head lies in [mem, mem + bytes). */
bool xp_rcu_queued_in(const void *mem, size_t bytes);

/* ---- strategy.c --------------------------------------------------------------------- */

extern const struct xp_strategy xp_random_walk, xp_pct, xp_replay;

struct xp_deviation {
	uint64_t step;
	unsigned actor;
};

/* What the current one goes on doing, else the lowest: the default policy. */
unsigned xp_default_choice(uint64_t may);
void xp_pct_configure(unsigned depth, uint64_t expected_steps);
void xp_replay_configure(const struct xp_deviation *list, size_t nr, bool exact);

/* ---- record.c ------------------------------------------------------------------------- */

void xp_record_begin(void);
void xp_record_event(struct xp_event event);
void xp_record_choice(uint64_t may, unsigned chosen);
const struct xp_event *xp_recorded(size_t *ret_nr);
/* The last free of memory that holds `addr`; NULL: none, or not recording. */
const struct xp_event *xp_recorded_free(const volatile void *addr);
const struct xp_deviation *xp_recorded_deviations(size_t *ret_nr);
void xp_record_fini(void);

/* ---- report.c -------------------------------------------------------------------------- */

/* A new string: the last `rows` steps of the recorded run.  NULL: no memory. */
char *xp_timeline(unsigned rows);
/* Names an address: what the program called it, or where it lies. */
void xp_name_address(char *text, size_t bytes, const volatile void *addr);
const char *xp_kind_name(enum xp_kind kind);
void xp_name_actor(char *text, size_t bytes, unsigned actor);

/* ---- token.c ------------------------------------------------------------------------------ */

struct xp_token {
	char name[64];
	uint64_t build;
	uint64_t fail_nth;
	bool is_list;          /* else strategy and seed */
	enum explore_strategy_kind strategy;
	unsigned depth;
	uint64_t expected_steps;
	uint64_t seed;
	struct xp_deviation *list;
	size_t nr;
	uint64_t hash;
	uint64_t steps;
	uint16_t checkpoints[XP_NR_CHECKPOINTS];
};

/* Finds where the program was loaded (xp.image) and hashes its code. */
uint64_t xp_build_id(void);
/* A new string, or NULL. */
char *xp_token_write(const struct xp_token *token);
/* 0, -EINVAL with a reason in `why`, or -ENOMEM.  The list is the caller's to free. */
int xp_token_read(const char *text, struct xp_token *ret_token, char *why, size_t why_bytes);

/* ---- inline parts --------------------------------------------------------------------------- */

#define XP_HASH_FACTOR UINT64_C(0x9e3779b97f4a7c15)

/* The same in every process: not where the arena or the program was loaded. */
static inline uint64_t xp_portable(uint64_t value)
{
	if (value - (uint64_t)(uintptr_t)xp.arena < xp.mapped_bytes)
		return value - (uint64_t)(uintptr_t)xp.arena + UINT64_C(0xa0000000000);
	if (value - (uint64_t)(uintptr_t)xp.image < xp.image_bytes)
		return value - (uint64_t)(uintptr_t)xp.image + UINT64_C(0xb0000000000);
	return value;
}

/*
 * An operation was done: into the hash of the run, and the record.  Not a
 * scheduling point.
 */
static inline void xp_did_as(unsigned actor, enum xp_kind kind,
			     const volatile void *addr, size_t size,
			     uint64_t before, uint64_t after, bool failed,
			     const void *site)
{
	uint64_t h = xp.hash;
	uint64_t who = ((uint64_t)actor << 56) | ((uint64_t)kind << 48);

	h = (h ^ (xp_portable((uint64_t)(uintptr_t)addr) + who)) * XP_HASH_FACTOR;
	h = ((h ^ (h >> 29)) ^ xp_portable(after)) * XP_HASH_FACTOR;
	xp.hash = h ^ (h >> 32);
	if (xp_unlikely(xp.recording))
		xp_record_event((struct xp_event){ .before = before, .after = after,
			.addr = addr, .site = site, .step = xp.steps,
			.actor = (uint8_t)actor, .kind = (uint8_t)kind,
			.size = (uint8_t)size, .failed = failed });
}

static inline void xp_did(enum xp_kind kind, const volatile void *addr, size_t size,
			  uint64_t before, uint64_t after, bool failed,
			  const void *site)
{
	if (xp.scheduling)
		xp_did_as(xp.current->index, kind, addr, size, before, after, failed, site);
}

/* A scheduling point before an operation that is always possible. */
static inline void xp_point(enum xp_kind kind, const volatile void *addr, size_t size,
			    bool write, const void *site)
{
	if (!xp.scheduling)
		return;
	xp.current->pending = (struct xp_op){ .addr = addr, .site = site,
		.kind = (uint8_t)kind, .size = (uint8_t)size, .write = write };
	xp_schedule();
}

/* splitmix64 (Steele, Lea, Flood). */
static inline uint64_t xp_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

#endif
