/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations of the threads machine.  What the core's fast paths use is
 * whole here; the rest calls into the machine's library (threads_*).
 *
 * No header of the C library is included, so that the core cannot come to
 * depend on one through the seam.
 */
#ifndef THREADS_MACH_OPS_H
#define THREADS_MACH_OPS_H

#include <quire/cost.h>

#if defined(__SANITIZE_ADDRESS__)
#define THREADS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define THREADS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define THREADS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREADS_TSAN 1
#endif
#endif

#define threads_likely(x) __builtin_expect(!!(x), 1)
#define threads_unlikely(x) __builtin_expect(!!(x), 0)
#define THREADS_TLS _Thread_local __attribute__((tls_model("initial-exec")))

/* ---- atomics -------------------------------------------------------------- */

#define mach_load(p, order) __atomic_load_n(p, order)
#define mach_store(p, v, order) __atomic_store_n(p, v, order)
#define mach_xchg(p, v, order) __atomic_exchange_n(p, v, order)
#define mach_fetch_add(p, v, order) __atomic_fetch_add(p, v, order)
#define mach_fetch_sub(p, v, order) __atomic_fetch_sub(p, v, order)
#define mach_fetch_or(p, v, order) __atomic_fetch_or(p, v, order)
#define mach_fetch_and(p, v, order) __atomic_fetch_and(p, v, order)
#define mach_fence(order) __atomic_thread_fence(order)
/* A failed one is an acquire, so a successful one is at least that. */
#define mach_cas(p, expected, v, order)                                   \
	__atomic_compare_exchange_n(p, expected, v, false,                \
				    (order) == MACH_RELAXED ? MACH_ACQUIRE : \
				    (order) == MACH_RELEASE ? MACH_ACQ_REL : \
				    (order),                              \
				    MACH_ACQUIRE)

/*
 * Two words as one.  The hardware orders this with operations on either word;
 * the thread sanitizer knows words by their addresses alone, so for it they are
 * two operations.
 */
#ifdef THREADS_TSAN
static inline uint64_t mach_pair_add(uint64_t *p, uint64_t v)
{
	uint32_t *half = (uint32_t *)(void *)p;
	uint64_t high = mach_fetch_add(&half[1], (uint32_t)(v >> 32), MACH_SEQ_CST);

	return high << 32 | mach_fetch_add(&half[0], (uint32_t)v, MACH_SEQ_CST);
}

static inline uint64_t mach_pair_sub(uint64_t *p, uint64_t v)
{
	uint32_t *half = (uint32_t *)(void *)p;
	uint64_t low = mach_fetch_sub(&half[0], (uint32_t)v, MACH_SEQ_CST);

	return low | (uint64_t)mach_fetch_sub(&half[1], (uint32_t)(v >> 32), MACH_SEQ_CST) << 32;
}
#else
#define mach_pair_add(p, v) mach_fetch_add(p, v, MACH_SEQ_CST)
#define mach_pair_sub(p, v) mach_fetch_sub(p, v, MACH_SEQ_CST)
#endif

/*
 * Sixteen bytes.  The generic builtins may call a library that takes a lock,
 * so each architecture is spelled out.  Where there is no such instruction
 * (riscv64), a hashed lock stands in: a 16-byte word is touched by these two
 * functions alone, never by halves.
 */
#if defined(__x86_64__)
static inline bool mach_cas16(mach_u128 *p, mach_u128 *expected, mach_u128 v)
{
	mach_u128 wanted = *expected;
	mach_u128 seen = __sync_val_compare_and_swap(p, wanted, v);

	*expected = seen;
	return seen == wanted;
}

static inline mach_u128 mach_load16(const mach_u128 *p)
{
	return __sync_val_compare_and_swap((mach_u128 *)p, (mach_u128)0, (mach_u128)0);
}
#elif defined(__aarch64__)
static inline bool mach_cas16(mach_u128 *p, mach_u128 *expected, mach_u128 v)
{
	uint64_t want_lo = (uint64_t)*expected, want_hi = (uint64_t)(*expected >> 64);
	uint64_t new_lo = (uint64_t)v, new_hi = (uint64_t)(v >> 64);
	uint64_t lo, hi, to_lo, to_hi;
	uint32_t lost;
	bool equal;

	/* A pair is read as one only if the store of a pair succeeds: on a
	 * mismatch what was read is stored back. */
	do {
		__asm__ volatile("ldaxp %0, %1, %2"
				 : "=&r"(lo), "=&r"(hi) : "Q"(*p) : "memory");
		equal = lo == want_lo && hi == want_hi;
		to_lo = equal ? new_lo : lo;
		to_hi = equal ? new_hi : hi;
		__asm__ volatile("stlxp %w0, %2, %3, %1"
				 : "=&r"(lost), "=Q"(*p)
				 : "r"(to_lo), "r"(to_hi) : "memory");
	} while (lost);
	__atomic_thread_fence(MACH_SEQ_CST);
	*expected = ((mach_u128)hi << 64) | lo;
	return equal;
}

static inline mach_u128 mach_load16(const mach_u128 *p)
{
	mach_u128 seen = 0;

	mach_cas16((mach_u128 *)p, &seen, 0);
	return seen;
}
#else
bool threads_cas16(mach_u128 *p, mach_u128 *expected, mach_u128 v);
#define mach_cas16(p, expected, v) threads_cas16(p, expected, v)

static inline mach_u128 mach_load16(const mach_u128 *p)
{
	mach_u128 seen = 0;

	threads_cas16((mach_u128 *)p, &seen, 0);
	return seen;
}
#endif

/* ---- CPUs ------------------------------------------------------------------ */

/* What a thread knows about itself. */
struct threads_self {
	unsigned cpu;            /* MACH_MAX_CPUS: not attached */
	uint64_t fail_countdown; /* the allocation that brings it to 0 fails */
	uint64_t fail_start;
	uint64_t random;
	struct quire_cost *cost; /* NULL: the thread's own block */
};

extern THREADS_TLS struct threads_self threads_self;
extern THREADS_TLS struct quire_cost threads_own_cost;

int threads_attach(void);
void threads_detach(void);
_Noreturn void threads_stop(const char *file, int line, const char *what);

MACH_FN int mach_attach(void)
{
	return threads_attach();
}

MACH_FN void mach_detach(void)
{
	threads_detach();
}

MACH_FN unsigned mach_cpu(void)
{
#ifdef QUIRE_DEBUG
	if (threads_unlikely(threads_self.cpu >= MACH_MAX_CPUS))
		threads_stop(__FILE__, __LINE__, "this thread is not attached");
#endif
	return threads_self.cpu;
}

MACH_FN struct quire_cost *mach_cost(void)
{
	struct quire_cost *cost = threads_self.cost;

	return cost ? cost : &threads_own_cost;
}

MACH_FN void mach_set_cost(struct quire_cost *cost)
{
	threads_self.cost = cost;
}

/* ---- waiting ----------------------------------------------------------------- */

void threads_wait(const uint32_t *word, uint32_t value);
void threads_wake(uint32_t *word, unsigned nr);

MACH_FN void mach_relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

MACH_FN void mach_wait(const uint32_t *word, uint32_t value)
{
	threads_wait(word, value);
}

MACH_FN void mach_wake(uint32_t *word, unsigned nr)
{
	threads_wake(word, nr);
}

/* ---- locks --------------------------------------------------------------------- */

#define THREADS_RW_WRITER (UINT32_C(1) << 31) /* a writer is inside */
#define THREADS_RW_PARKED (UINT32_C(1) << 30) /* somebody may be parked */

void threads_spin_lock_slow(struct mach_spin *lock);
void threads_mutex_lock_slow(struct mach_mutex *lock);
void threads_mutex_unlock_slow(struct mach_mutex *lock);
void threads_rw_read_lock_slow(struct mach_rw *lock);
bool threads_rw_read_trylock_slow(struct mach_rw *lock);
void threads_rw_read_unlock_slow(struct mach_rw *lock);
void threads_rw_write_lock_slow(struct mach_rw *lock);
void threads_rw_wake(struct mach_rw *lock);

MACH_FN bool mach_spin_trylock(struct mach_spin *lock)
{
	return !mach_load(&lock->locked, MACH_RELAXED) &&
	       !mach_xchg(&lock->locked, 1, MACH_ACQUIRE);
}

MACH_FN void mach_spin_lock(struct mach_spin *lock)
{
	if (threads_unlikely(mach_xchg(&lock->locked, 1, MACH_ACQUIRE)))
		threads_spin_lock_slow(lock);
}

MACH_FN void mach_spin_unlock(struct mach_spin *lock)
{
	mach_store(&lock->locked, 0, MACH_RELEASE);
}

MACH_FN bool mach_mutex_trylock(struct mach_mutex *lock)
{
	uint32_t free = 0;

	return mach_cas(&lock->state, &free, 1, MACH_ACQUIRE);
}

MACH_FN void mach_mutex_lock(struct mach_mutex *lock)
{
	if (threads_unlikely(!mach_mutex_trylock(lock)))
		threads_mutex_lock_slow(lock);
}

MACH_FN void mach_mutex_unlock(struct mach_mutex *lock)
{
	if (threads_unlikely(mach_xchg(&lock->state, 0, MACH_RELEASE) != 1))
		threads_mutex_unlock_slow(lock);
}

MACH_FN void mach_rw_read_lock(struct mach_rw *lock)
{
	uint32_t state = mach_load(&lock->state, MACH_RELAXED);

	if (threads_unlikely(state & (THREADS_RW_WRITER | THREADS_RW_PARKED)) ||
	    threads_unlikely(!mach_cas(&lock->state, &state, state + 1, MACH_ACQUIRE)))
		threads_rw_read_lock_slow(lock);
}

MACH_FN bool mach_rw_read_trylock(struct mach_rw *lock)
{
	return threads_rw_read_trylock_slow(lock);
}

MACH_FN void mach_rw_read_unlock(struct mach_rw *lock)
{
	if (threads_unlikely(mach_fetch_sub(&lock->state, 1, MACH_RELEASE) ==
			     (THREADS_RW_PARKED | 1)))
		threads_rw_read_unlock_slow(lock);
}

MACH_FN bool mach_rw_write_trylock(struct mach_rw *lock)
{
	uint32_t free = 0;

	return mach_cas(&lock->state, &free, THREADS_RW_WRITER, MACH_ACQUIRE);
}

MACH_FN void mach_rw_write_lock(struct mach_rw *lock)
{
	if (threads_unlikely(!mach_rw_write_trylock(lock)))
		threads_rw_write_lock_slow(lock);
}

MACH_FN void mach_rw_write_unlock(struct mach_rw *lock)
{
	if (threads_unlikely(mach_xchg(&lock->state, 0, MACH_RELEASE) & THREADS_RW_PARKED))
		threads_rw_wake(lock);
}

MACH_FN void mach_rw_downgrade(struct mach_rw *lock)
{
	if (threads_unlikely(mach_xchg(&lock->state, 1, MACH_RELEASE) & THREADS_RW_PARKED))
		threads_rw_wake(lock);
}

/* ---- RCU ------------------------------------------------------------------------- */
/*
 * liburcu's membarrier flavour.  Its reader is two words of known layout; they
 * are mirrored here, instead of including its headers, which bring the C
 * library's with them.  rcu.c includes both and checks that they agree.
 */
struct threads_rcu_gp {
	unsigned long ctr;
	int32_t futex;
};

struct threads_rcu_reader {
	unsigned long ctr;
};

extern struct threads_rcu_gp threads_rcu_gp __asm__("urcu_memb_gp");
extern THREADS_TLS struct threads_rcu_reader threads_rcu_reader
	__asm__("urcu_memb_reader");
extern int threads_has_membarrier __asm__("urcu_memb_has_sys_membarrier");

#define THREADS_RCU_NEST_MASK ((1ul << (sizeof(unsigned long) * 4)) - 1)

void threads_rcu_wake_gp(void);
void threads_call_rcu(struct mach_rcu_head *head,
		      void (*fn)(struct mach_rcu_head *head));
void threads_synchronize_rcu(void);
void threads_rcu_barrier(void);

/* The thread sanitizer cannot see liburcu's ordering: it is told of it here. */
#ifdef THREADS_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
extern char threads_rcu_tsan;
#define threads_rcu_section_ends() __tsan_release(&threads_rcu_tsan)
#define threads_rcu_period_ends() __tsan_acquire(&threads_rcu_tsan)
#else
#define threads_rcu_section_ends() ((void)0)
#define threads_rcu_period_ends() ((void)0)
#endif

/* Orders this reader against a grace period, which sends a barrier to all
 * threads (pairs with the membarrier in liburcu's synchronize_rcu). */
static inline void threads_rcu_reader_fence(void)
{
	if (threads_likely(threads_has_membarrier))
		__atomic_signal_fence(MACH_SEQ_CST);
	else
		mach_fence(MACH_SEQ_CST);
}

MACH_FN void mach_rcu_read_lock(void)
{
	unsigned long *ctr = &threads_rcu_reader.ctr;
	unsigned long old = mach_load(ctr, MACH_RELAXED);

	if (threads_unlikely(old & THREADS_RCU_NEST_MASK)) {
		mach_store(ctr, old + 1, MACH_RELAXED);
		return;
	}
	mach_store(ctr, mach_load(&threads_rcu_gp.ctr, MACH_RELAXED), MACH_RELAXED);
	threads_rcu_reader_fence();
}

MACH_FN void mach_rcu_read_unlock(void)
{
	unsigned long *ctr = &threads_rcu_reader.ctr;
	unsigned long old = mach_load(ctr, MACH_RELAXED);

	if (threads_unlikely((old & THREADS_RCU_NEST_MASK) != 1)) {
		mach_store(ctr, old - 1, MACH_RELAXED);
		return;
	}
	threads_rcu_section_ends();
	threads_rcu_reader_fence();
	mach_store(ctr, old - 1, MACH_RELEASE);
	threads_rcu_reader_fence();
	if (threads_unlikely(mach_load(&threads_rcu_gp.futex, MACH_RELAXED) == -1))
		threads_rcu_wake_gp();
}

MACH_FN void mach_call_rcu(struct mach_rcu_head *head,
			   void (*fn)(struct mach_rcu_head *head))
{
	threads_call_rcu(head, fn);
}

MACH_FN void mach_synchronize_rcu(void)
{
	threads_synchronize_rcu();
}

MACH_FN void mach_rcu_barrier(void)
{
	threads_rcu_barrier();
}

/* ---- memory ---------------------------------------------------------------------- */

void *threads_memory_create(size_t bytes, size_t align_bytes);
void threads_memory_destroy(void *base, size_t bytes);

MACH_FN void *mach_phys_create(size_t bytes, size_t align_bytes)
{
	return threads_memory_create(bytes, align_bytes);
}

MACH_FN void mach_phys_destroy(void *base, size_t bytes)
{
	threads_memory_destroy(base, bytes);
}

MACH_FN void *mach_mem_alloc(size_t bytes, size_t align_bytes)
{
	return threads_memory_create(bytes, align_bytes);
}

MACH_FN void mach_mem_free(void *mem, size_t bytes)
{
	threads_memory_destroy(mem, bytes);
}

/* The address sanitizer watches what is free; nobody does otherwise. */
#ifdef THREADS_ASAN
void __asan_poison_memory_region(void const volatile *mem, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *mem, size_t bytes);
#define threads_poison(mem, bytes) __asan_poison_memory_region(mem, bytes)
#define threads_unpoison(mem, bytes) __asan_unpoison_memory_region(mem, bytes)
#else
#define threads_poison(mem, bytes) ((void)(mem), (void)(bytes))
#define threads_unpoison(mem, bytes) ((void)(mem), (void)(bytes))
#endif

MACH_FN void mach_note_alloc(void *mem, size_t bytes)
{
	threads_unpoison(mem, bytes);
}

/* Never in quarantine here: the allocator keeps the memory. */
MACH_FN bool mach_note_free(void *mem, size_t bytes)
{
	threads_poison(mem, bytes);
	return false;
}

/* Starts at 0 and so wraps: it comes to 0 again only where a test set it. */
MACH_FN bool mach_should_fail(void)
{
	return threads_unlikely(--threads_self.fail_countdown == 0);
}

/* ---- memory management unit -------------------------------------------------------- */

int threads_mmu_create(const struct mach_mmu_config *config, struct mach_mmu **ret_mmu);
void threads_mmu_destroy(struct mach_mmu *mmu);
void threads_mmu_load(struct mach_mmu *mmu, uint64_t root_pfn, uint32_t asid);
int threads_mmu_access_begin(struct mach_mmu *mmu, uint64_t va,
			     enum mach_access_kind kind, struct mach_access *access);
void threads_mmu_access_end(struct mach_mmu *mmu);
void threads_mmu_flush(struct mach_mmu *mmu, struct mach_cpuset cpus, uint32_t asid,
		       uint64_t start, uint64_t end);

MACH_FN int mach_mmu_create(const struct mach_mmu_config *config,
			    struct mach_mmu **ret_mmu)
{
	return threads_mmu_create(config, ret_mmu);
}

MACH_FN void mach_mmu_destroy(struct mach_mmu *mmu)
{
	threads_mmu_destroy(mmu);
}

MACH_FN void mach_mmu_load(struct mach_mmu *mmu, uint64_t root_pfn, uint32_t asid)
{
	threads_mmu_load(mmu, root_pfn, asid);
}

MACH_FN int mach_mmu_access_begin(struct mach_mmu *mmu, uint64_t va,
				  enum mach_access_kind kind,
				  struct mach_access *access)
{
	return threads_mmu_access_begin(mmu, va, kind, access);
}

MACH_FN void mach_mmu_access_end(struct mach_mmu *mmu)
{
	threads_mmu_access_end(mmu);
}

MACH_FN void mach_mmu_flush(struct mach_mmu *mmu, struct mach_cpuset cpus,
			    uint32_t asid, uint64_t start, uint64_t end)
{
	threads_mmu_flush(mmu, cpus, asid, start, end);
}

/* ---- the rest ------------------------------------------------------------------------ */

uint64_t threads_now_ns(void);
void threads_log(const char *format, __builtin_va_list args);

MACH_FN uint64_t mach_now_ns(void)
{
	return threads_now_ns();
}

MACH_FN void mach_log(const char *format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, format);
	threads_log(format, args);
	__builtin_va_end(args);
}

/* xorshift64* (Vigna): each CPU has its own stream, the same in every run. */
MACH_FN uint64_t mach_random(void)
{
	uint64_t x = threads_self.random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	threads_self.random = x;
	return x * UINT64_C(2685821657736338717);
}

MACH_FN _Noreturn void mach_stop(const char *file, int line, const char *what)
{
	threads_stop(file, line, what);
}

#endif
