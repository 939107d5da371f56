/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The slow halves of the threads machine's locks: what happens when somebody
 * else holds them.
 *
 * Guarantees.  A lock whose holder goes on is acquired in bounded time by
 * somebody; a parked CPU is woken by the release that makes its lock free; a
 * waiting writer of an rw lock keeps later readers out, and a reader that has
 * already waited for one writer does not wait for the next.
 *
 * The mutex is the three-state futex mutex of Ulrich Drepper, "Futexes Are
 * Tricky".  The rw lock keeps readers, the writer and one "somebody is parked"
 * bit in one word, so that every decision to park is checked against the same
 * word the release changes; all wake together, which is rare and simple.
 */
#include <quire/machine.h>

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Tries before a spinner gives its core away: the holder may need it. */
#define SPIN_TRIES 100

void threads_wait(const uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void threads_wake(uint32_t *word, unsigned nr)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, nr > INT_MAX ? INT_MAX : (int)nr,
		NULL, NULL, 0);
}

void threads_spin_lock_slow(struct mach_spin *lock)
{
	unsigned tries = 0;

	do {
		while (mach_load(&lock->locked, MACH_RELAXED)) {
			if (++tries % SPIN_TRIES == 0)
				sched_yield();
			else
				mach_relax();
		}
	} while (mach_xchg(&lock->locked, 1, MACH_ACQUIRE));
}

void threads_mutex_lock_slow(struct mach_mutex *lock)
{
	/* From here on the state says 2: the release cannot know that no third
	 * CPU is parked, so it wakes one. */
	for (unsigned tries = 0; tries < SPIN_TRIES; tries++) {
		if (mach_load(&lock->state, MACH_RELAXED) == 0 &&
		    mach_mutex_trylock(lock))
			return;
		mach_relax();
	}
	while (mach_xchg(&lock->state, 2, MACH_ACQUIRE) != 0)
		threads_wait(&lock->state, 2);
}

void threads_mutex_unlock_slow(struct mach_mutex *lock)
{
	threads_wake(&lock->state, 1);
}

/* Parks while the lock is in `state`, having told so in its word. */
static void rw_park(struct mach_rw *lock, uint32_t state)
{
	uint32_t parked = state | THREADS_RW_PARKED;

	if (state == parked || mach_cas(&lock->state, &state, parked, MACH_RELAXED))
		threads_wait(&lock->state, parked);
}

void threads_rw_wake(struct mach_rw *lock)
{
	threads_wake(&lock->state, INT_MAX);
}

void threads_rw_read_lock_slow(struct mach_rw *lock)
{
	bool has_waited = false;

	for (;;) {
		uint32_t state = mach_load(&lock->state, MACH_RELAXED);
		bool give_way = !has_waited && mach_load(&lock->writers, MACH_RELAXED);

		if (!(state & THREADS_RW_WRITER) && !give_way) {
			if (mach_cas(&lock->state, &state, state + 1, MACH_ACQUIRE))
				return;
			continue;
		}
		if ((state & ~THREADS_RW_PARKED) == 0) {
			/* Free, and a writer is on its way in. */
			sched_yield();
			has_waited = true;
			continue;
		}
		rw_park(lock, state);
		has_waited = true;
	}
}

bool threads_rw_read_trylock_slow(struct mach_rw *lock)
{
	uint32_t state = mach_load(&lock->state, MACH_RELAXED);

	while (!(state & THREADS_RW_WRITER) && !mach_load(&lock->writers, MACH_RELAXED))
		if (mach_cas(&lock->state, &state, state + 1, MACH_ACQUIRE))
			return true;
	return false;
}

/* The last reader left and somebody may be parked. */
void threads_rw_read_unlock_slow(struct mach_rw *lock)
{
	uint32_t state = THREADS_RW_PARKED;

	/* If somebody got in meanwhile the bit stays and the waking is theirs. */
	if (mach_cas(&lock->state, &state, 0, MACH_RELAXED))
		threads_rw_wake(lock);
}

void threads_rw_write_lock_slow(struct mach_rw *lock)
{
	mach_fetch_add(&lock->writers, 1, MACH_RELAXED);
	for (;;) {
		uint32_t state = mach_load(&lock->state, MACH_RELAXED);

		if ((state & ~THREADS_RW_PARKED) != 0) {
			rw_park(lock, state);
		} else if (mach_cas(&lock->state, &state, state | THREADS_RW_WRITER,
				    MACH_ACQUIRE)) {
			break;
		}
	}
	mach_fetch_sub(&lock->writers, 1, MACH_RELAXED);
}
