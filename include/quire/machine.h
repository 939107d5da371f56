/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The seam: everything the core asks of the machine it stands on.
 *
 * A machine is a folder with two headers, mach_types.h and mach_ops.h, found
 * through the include path, and a library.  mach_types.h defines MACH_FN
 * (`static inline` where calls must cost nothing, `extern` where each call is
 * a step that a scheduler owns), the lock types and the RCU head;
 * mach_ops.h defines the atomics and, for a `static inline` machine, the
 * bodies of the functions declared here.
 *
 * Terms.  A *CPU* is an execution context of the machine: a thread of the
 * threads machine, a fiber of the explore machine.  At most one piece of code
 * runs on a CPU at a time and it is never moved to another one between
 * mach_attach() and mach_detach(), so per-CPU data needs no lock against
 * itself.  A *scheduling point* is where the explore machine may switch CPUs:
 * it precedes the operation.
 *
 * Atomics (macros of mach_ops.h; p points to an object of 1, 2, 4 or 8 bytes;
 * each is one scheduling point):
 *
 *     v   = mach_load(p, order)             RELAXED, ACQUIRE, SEQ_CST
 *           mach_store(p, v, order)         RELAXED, RELEASE, SEQ_CST
 *     old = mach_xchg(p, v, order)
 *     ok  = mach_cas(p, &expected, v, order)   strong; on failure `expected`
 *                                           holds what was read (acquire)
 *     old = mach_fetch_add / _sub / _or / _and (p, v, order)
 *           mach_fence(order)
 *
 *     old = mach_pair_add / mach_pair_sub (p, v)   two neighbouring 32-bit words
 *                                           at p, aligned to 8, as one 64-bit
 *                                           word; sequentially consistent; no
 *                                           half carries into the other.  The
 *                                           words are else used apart.
 *
 * and on 16 aligned bytes: mach_load16(p), mach_cas16(p, &expected, v), both
 * sequentially consistent.  mach_load on a pointer that readers follow under
 * RCU uses MACH_ACQUIRE (it pairs with the publisher's MACH_RELEASE store).
 */
#ifndef QUIRE_MACHINE_H
#define QUIRE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most CPUs a machine may have; a set of CPUs is a mach_cpuset. */
#define MACH_MAX_CPUS 64u

struct mach_cpuset {
	uint64_t bits;
};

#define MACH_RELAXED __ATOMIC_RELAXED
#define MACH_ACQUIRE __ATOMIC_ACQUIRE
#define MACH_RELEASE __ATOMIC_RELEASE
#define MACH_ACQ_REL __ATOMIC_ACQ_REL
#define MACH_SEQ_CST __ATOMIC_SEQ_CST

__extension__ typedef unsigned __int128 mach_u128;

struct quire_cost; /* cost.h: the counters of one CPU */
struct mach_mmu;   /* the page walkers and TLBs of one instance */

#include <mach_types.h> /* MACH_FN, struct mach_spin, mach_mutex, mach_rw, mach_rcu_head */

/* ---- CPUs ------------------------------------------------------------- */

/*
 * Gives the caller a CPU of its own.  Pre: not attached.
 * 0, or -EAGAIN when MACH_MAX_CPUS are taken.
 */
MACH_FN int mach_attach(void);
/* Pre: attached; holds no lock, is in no RCU section. */
MACH_FN void mach_detach(void);
/* The CPU this code runs on, below MACH_MAX_CPUS.  Pre: attached. */
MACH_FN unsigned mach_cpu(void);
/* Where this CPU counts costs (never NULL), and the way to redirect it. */
MACH_FN struct quire_cost *mach_cost(void);
MACH_FN void mach_set_cost(struct quire_cost *cost);

/* ---- waiting ---------------------------------------------------------- */

/* A polite pause in a spin loop; the explore machine runs somebody else. */
MACH_FN void mach_relax(void);
/*
 * Parks the CPU while *word == value; returns after a wake, or at once if it
 * differs; may return for no reason, so callers loop.
 * Pre: no spin lock held, no RCU section.
 */
MACH_FN void mach_wait(const uint32_t *word, uint32_t value);
/* Wakes at most `nr` CPUs parked on `word`. */
MACH_FN void mach_wake(uint32_t *word, unsigned nr);

/* ---- locks -------------------------------------------------------------- */
/*
 * All start unlocked when zeroed.  Not recursive.  Acquisition is ACQUIRE,
 * release RELEASE.  The core never calls these directly but through
 * core/sync/lock.h, which adds ranks, annotations and counting.
 *
 * spin:  short sections; the holder does not park.
 * mutex: the holder may park.
 * rw:    many readers or one writer; may park; a waiting writer is not starved.
 */
MACH_FN void mach_spin_lock(struct mach_spin *lock);
MACH_FN bool mach_spin_trylock(struct mach_spin *lock);
MACH_FN void mach_spin_unlock(struct mach_spin *lock);
MACH_FN void mach_mutex_lock(struct mach_mutex *lock);
MACH_FN bool mach_mutex_trylock(struct mach_mutex *lock);
MACH_FN void mach_mutex_unlock(struct mach_mutex *lock);
MACH_FN void mach_rw_read_lock(struct mach_rw *lock);
MACH_FN bool mach_rw_read_trylock(struct mach_rw *lock);
MACH_FN void mach_rw_read_unlock(struct mach_rw *lock);
MACH_FN void mach_rw_write_lock(struct mach_rw *lock);
MACH_FN bool mach_rw_write_trylock(struct mach_rw *lock);
MACH_FN void mach_rw_write_unlock(struct mach_rw *lock);
/* Writer becomes reader without letting another writer in. */
MACH_FN void mach_rw_downgrade(struct mach_rw *lock);

/* ---- RCU ---------------------------------------------------------------- */

/* Sections nest.  A section may not park. */
MACH_FN void mach_rcu_read_lock(void);
MACH_FN void mach_rcu_read_unlock(void);
/*
 * Calls fn(head) after every section open now has ended, on some CPU of the
 * machine's choosing, which is attached.  Pre: head is not already queued.
 */
MACH_FN void mach_call_rcu(struct mach_rcu_head *head,
			   void (*fn)(struct mach_rcu_head *head));
/* Waits for the sections open now.  Pre: in no section, no spin lock held. */
MACH_FN void mach_synchronize_rcu(void);
/* Waits until every callback queued before the call has run. */
MACH_FN void mach_rcu_barrier(void);

/* ---- memory ------------------------------------------------------------- */

/*
 * The physical range of an instance: zeroed, aligned to `align_bytes` (a power
 * of two).  NULL when there is none.  Given back whole.
 */
MACH_FN void *mach_phys_create(size_t bytes, size_t align_bytes);
MACH_FN void mach_phys_destroy(void *base, size_t bytes);
/* Zeroed memory for the instance itself and its frame descriptors. */
MACH_FN void *mach_mem_alloc(size_t bytes, size_t align_bytes);
MACH_FN void mach_mem_free(void *mem, size_t bytes);
/*
 * The core's allocators tell the machine what they hand out and take back, so
 * that it can watch for use after free.  mach_note_free returns true when the
 * machine keeps the memory in quarantine: the allocator must then forget it
 * (the machine gives it back whole with the range it came from).
 */
MACH_FN void mach_note_alloc(void *mem, size_t bytes);
MACH_FN bool mach_note_free(void *mem, size_t bytes);
/* True when this allocation has to fail: the way tests fail the Nth one. */
MACH_FN bool mach_should_fail(void);

/* ---- memory management unit --------------------------------------------- */

struct mach_mmu_config {
	void *phys_base;     /* byte 0 of frame 0 */
	uint64_t nr_frames;
	unsigned nr_cpus;    /* CPUs 0 .. nr_cpus-1 have a TLB */
	unsigned tlb_sets;   /* power of two */
	unsigned tlb_ways;   /* 1 or more */
};

/* What an access was allowed to: a run of bytes inside one page. */
struct mach_access {
	void *mem;           /* the byte addressed */
	uint64_t pfn;        /* frame that holds it */
	bool writable;       /* the translation used allows writing */
};

enum mach_access_kind { MACH_READ, MACH_WRITE, MACH_EXEC };

/* 0 or -ENOMEM. */
MACH_FN int mach_mmu_create(const struct mach_mmu_config *config,
			    struct mach_mmu **ret_mmu);
MACH_FN void mach_mmu_destroy(struct mach_mmu *mmu);
/*
 * Makes this CPU translate through the table tree whose top table is frame
 * `root_pfn`, with TLB entries tagged `asid`.  Loads no entry, flushes none.
 */
MACH_FN void mach_mmu_load(struct mach_mmu *mmu, uint64_t root_pfn, uint32_t asid);
/*
 * Translates `va` as the hardware would: TLB first, then a walk that sets the
 * accessed bit, and the dirty bit for MACH_WRITE, atomically.
 * 0: *access is valid until mach_mmu_access_end(), and no flush that covers
 * `va` completes on this CPU before that call.
 * -EFAULT: not allowed by the entries; nothing to end.
 * Pre: in no access.
 */
MACH_FN int mach_mmu_access_begin(struct mach_mmu *mmu, uint64_t va,
				  enum mach_access_kind kind,
				  struct mach_access *access);
MACH_FN void mach_mmu_access_end(struct mach_mmu *mmu);
/*
 * Removes what the TLBs of `cpus` hold for `asid` in [start, end), page-walk
 * caches included, and returns when no access through a removed translation is
 * in flight.  CPUs other than the caller's are reached by a remote interrupt.
 * end == UINT64_MAX with start == 0: the whole asid.
 * Pre: in no access.  May be called with spin locks held.
 */
MACH_FN void mach_mmu_flush(struct mach_mmu *mmu, struct mach_cpuset cpus,
			    uint32_t asid, uint64_t start, uint64_t end);

/* ---- the rest ------------------------------------------------------------ */

MACH_FN uint64_t mach_now_ns(void);
MACH_FN uint64_t mach_random(void);
/* Prints one line for a person: a diagnosis, not a trace. */
MACH_FN void mach_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A broken invariant: prints where, dumps, and never returns. */
MACH_FN _Noreturn void mach_stop(const char *file, int line, const char *what);

#include <mach_ops.h>

#endif
