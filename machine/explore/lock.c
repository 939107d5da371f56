/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks, and waiting on a word.  An actor whose lock is taken is not enabled;
 * it never spins.  A lock's word names its holder, so every unlock is checked.
 *
 * A writer of a mach_rw that finds it taken first queues (a step of its own),
 * which keeps new readers out, and then waits for those inside: so a reader
 * that comes again while a writer queues is seen to deadlock.
 */
#include "explore/world.h"

static void held_insert(const volatile void *lock, enum xp_kind kind)
{
	struct xp_actor *me = xp.current;

	if (xp_unlikely(me->nr_held == XP_MAX_HELD))
		xp_fail(EXPLORE_LOCK_MISUSE, "cpu%u holds more than %u locks", me->index,
			XP_MAX_HELD);
	me->held[me->nr_held++] = (struct xp_held){ lock, (uint8_t)kind };
	me->nr_spins_held += kind == XP_SPIN_LOCK;
}

static void held_remove(const volatile void *lock, enum xp_kind kind)
{
	struct xp_actor *me = xp.current;

	for (unsigned i = me->nr_held; i-- > 0;) {
		if (me->held[i].lock != lock)
			continue;
		me->held[i] = me->held[--me->nr_held];
		me->nr_spins_held -= kind == XP_SPIN_LOCK;
		return;
	}
}

static _Noreturn void misuse(const volatile void *lock, const char *what, uint32_t holder)
{
	char name[96];

	xp_name_address(name, sizeof(name), lock);
	if (holder)
		xp_fail(EXPLORE_LOCK_MISUSE, "cpu%u %s %s, which cpu%u holds",
			xp.current->index, what, name, holder - 1);
	xp_fail(EXPLORE_LOCK_MISUSE, "cpu%u %s %s, which is not locked",
		xp.current->index, what, name);
}

static void must_be_able_to_park(const volatile void *what)
{
	char name[96];

	if (xp_likely(xp.current->nr_spins_held == 0 && xp.current->rcu_nesting == 0))
		return;
	xp_name_address(name, sizeof(name), what);
	if (xp.current->nr_spins_held)
		xp_fail(EXPLORE_LOCK_MISUSE, "cpu%u may park on %s while it holds a spin lock",
			xp.current->index, name);
	xp_fail(EXPLORE_RCU_MISUSE, "cpu%u may park on %s inside an RCU section",
		xp.current->index, name);
}

/* ---- spin and mutex: a word that names the holder -------------------------------- */

static inline void word_lock(uint32_t *holder, enum xp_kind kind, const void *site)
{
	uint32_t me = xp.current->index + 1;

	if (xp_unlikely(*(volatile uint32_t *)holder == me))
		misuse(holder, "locks once more", me);
	xp_block(kind, holder, 0, site);
	xp_check_access(holder, 4, "locks");
	*holder = me;
	held_insert(holder, kind);
	xp_did(kind, holder, 4, 0, me, false, site);
	xp_recheck(holder);
}

static inline bool word_trylock(uint32_t *holder, enum xp_kind kind, enum xp_kind held,
				const void *site)
{
	uint32_t me = xp.current->index + 1;
	bool taken;

	xp_point(kind, holder, 4, true, site);
	xp_check_access(holder, 4, "locks");
	taken = *holder == 0;
	if (taken) {
		*holder = me;
		held_insert(holder, held);
		xp_recheck(holder);
	}
	xp_did(kind, holder, 4, 0, *holder, !taken, site);
	return taken;
}

static inline void word_unlock(uint32_t *holder, enum xp_kind kind, enum xp_kind held,
			       const void *site)
{
	xp_point(kind, holder, 4, true, site);
	xp_check_access(holder, 4, "unlocks");
	if (xp_unlikely(*holder != xp.current->index + 1))
		misuse(holder, "unlocks", *holder);
	*holder = 0;
	held_remove(holder, held);
	xp_did(kind, holder, 4, 0, 0, false, site);
	xp_recheck(holder);
}

void mach_spin_lock(struct mach_spin *lock)
{
	word_lock(&lock->holder, XP_SPIN_LOCK, XP_SITE);
}

bool mach_spin_trylock(struct mach_spin *lock)
{
	return word_trylock(&lock->holder, XP_SPIN_TRYLOCK, XP_SPIN_LOCK, XP_SITE);
}

void mach_spin_unlock(struct mach_spin *lock)
{
	word_unlock(&lock->holder, XP_SPIN_UNLOCK, XP_SPIN_LOCK, XP_SITE);
}

void mach_mutex_lock(struct mach_mutex *lock)
{
	must_be_able_to_park(lock);
	word_lock(&lock->holder, XP_MUTEX_LOCK, XP_SITE);
}

bool mach_mutex_trylock(struct mach_mutex *lock)
{
	return word_trylock(&lock->holder, XP_MUTEX_TRYLOCK, XP_MUTEX_LOCK, XP_SITE);
}

void mach_mutex_unlock(struct mach_mutex *lock)
{
	word_unlock(&lock->holder, XP_MUTEX_UNLOCK, XP_MUTEX_LOCK, XP_SITE);
}

/* ---- many readers or one writer ------------------------------------------------------ */

static inline uint64_t my_bit(void)
{
	return XP_BIT(xp.current->index);
}

static void rw_must_be_free_of_me(struct mach_rw *lock)
{
	if (xp_unlikely(lock->writer == xp.current->index + 1))
		misuse(lock, "locks once more", lock->writer);
	if (xp_unlikely(lock->readers & my_bit()))
		misuse(lock, "locks once more", xp.current->index + 1);
}

static void rw_changed(struct mach_rw *lock, enum xp_kind kind, bool failed,
		       const void *site)
{
	xp_did(kind, lock, sizeof(*lock), lock->writer, lock->readers, failed, site);
	xp_recheck(lock);
}

void mach_rw_read_lock(struct mach_rw *lock)
{
	must_be_able_to_park(lock);
	rw_must_be_free_of_me(lock);
	xp_block(XP_READ_LOCK, lock, 0, XP_SITE);
	xp_check_access(lock, sizeof(*lock), "locks");
	lock->readers |= my_bit();
	held_insert(lock, XP_READ_LOCK);
	rw_changed(lock, XP_READ_LOCK, false, XP_SITE);
}

bool mach_rw_read_trylock(struct mach_rw *lock)
{
	bool taken;

	xp_point(XP_READ_TRYLOCK, lock, sizeof(*lock), true, XP_SITE);
	xp_check_access(lock, sizeof(*lock), "locks");
	rw_must_be_free_of_me(lock);
	taken = lock->writer == 0 && lock->writers_queued == 0;
	if (taken) {
		lock->readers |= my_bit();
		held_insert(lock, XP_READ_LOCK);
	}
	rw_changed(lock, XP_READ_TRYLOCK, !taken, XP_SITE);
	return taken;
}

void mach_rw_read_unlock(struct mach_rw *lock)
{
	xp_point(XP_READ_UNLOCK, lock, sizeof(*lock), true, XP_SITE);
	xp_check_access(lock, sizeof(*lock), "unlocks");
	if (xp_unlikely(!(lock->readers & my_bit())))
		misuse(lock, "read-unlocks", lock->writer);
	lock->readers &= ~my_bit();
	held_remove(lock, XP_READ_LOCK);
	rw_changed(lock, XP_READ_UNLOCK, false, XP_SITE);
}

void mach_rw_write_lock(struct mach_rw *lock)
{
	must_be_able_to_park(lock);
	rw_must_be_free_of_me(lock);
	xp_point(XP_WRITE_LOCK, lock, sizeof(*lock), true, XP_SITE);
	xp_check_access(lock, sizeof(*lock), "locks");
	if (lock->writer || lock->readers) {
		lock->writers_queued++;
		rw_changed(lock, XP_WRITE_LOCK, true, XP_SITE);
		xp_block(XP_WRITE_QUEUE, lock, 0, XP_SITE);
		xp_check_access(lock, sizeof(*lock), "locks");
		lock->writers_queued--;
	}
	lock->writer = xp.current->index + 1;
	held_insert(lock, XP_WRITE_LOCK);
	rw_changed(lock, XP_WRITE_LOCK, false, XP_SITE);
}

bool mach_rw_write_trylock(struct mach_rw *lock)
{
	bool taken;

	xp_point(XP_WRITE_TRYLOCK, lock, sizeof(*lock), true, XP_SITE);
	xp_check_access(lock, sizeof(*lock), "locks");
	taken = lock->writer == 0 && lock->readers == 0;
	if (taken) {
		lock->writer = xp.current->index + 1;
		held_insert(lock, XP_WRITE_LOCK);
	}
	rw_changed(lock, XP_WRITE_TRYLOCK, !taken, XP_SITE);
	return taken;
}

void mach_rw_write_unlock(struct mach_rw *lock)
{
	xp_point(XP_WRITE_UNLOCK, lock, sizeof(*lock), true, XP_SITE);
	xp_check_access(lock, sizeof(*lock), "unlocks");
	if (xp_unlikely(lock->writer != xp.current->index + 1))
		misuse(lock, "write-unlocks", lock->writer);
	lock->writer = 0;
	held_remove(lock, XP_WRITE_LOCK);
	rw_changed(lock, XP_WRITE_UNLOCK, false, XP_SITE);
}

void mach_rw_downgrade(struct mach_rw *lock)
{
	xp_point(XP_DOWNGRADE, lock, sizeof(*lock), true, XP_SITE);
	xp_check_access(lock, sizeof(*lock), "downgrades");
	if (xp_unlikely(lock->writer != xp.current->index + 1))
		misuse(lock, "downgrades", lock->writer);
	lock->writer = 0;
	lock->readers |= my_bit();
	held_remove(lock, XP_WRITE_LOCK);
	held_insert(lock, XP_READ_LOCK);
	rw_changed(lock, XP_DOWNGRADE, false, XP_SITE);
}

/* ---- waiting ------------------------------------------------------------------------------ */

void mach_relax(void)
{
	if (!xp.scheduling)
		return;
	xp.relaxed |= my_bit();
	xp.strategy->relaxed(xp.current->index);
	xp_point(XP_RELAX, NULL, 0, false, XP_SITE);
	xp_did(XP_RELAX, NULL, 0, 0, 0, false, XP_SITE);
}

/* Comparing and parking are one step. */
void mach_wait(const uint32_t *word, uint32_t value)
{
	struct xp_actor *me = xp.current;
	uint32_t seen;

	must_be_able_to_park(word);
	xp_point(XP_WAIT, word, 4, false, XP_SITE);
	xp_check_access(word, 4, "waits on");
	seen = *(const volatile uint32_t *)word;
	xp_did(XP_WAIT, word, 4, seen, value, seen != value, XP_SITE);
	if (seen != value)
		return;
	me->parked_order = ++xp.parked_clock;
	xp_block(XP_PARKED, word, 1, XP_SITE);
	xp_did(XP_PARKED, word, 4, 0, 0, false, XP_SITE);
}

static struct xp_actor *first_parked(const volatile void *word)
{
	struct xp_actor *first = NULL;

	for (unsigned i = 0; i <= xp.nr_cpus; i++) {
		struct xp_actor *actor = &xp.actors[i];

		if (!(xp.blocked & XP_BIT(i)) || actor->pending.kind != XP_PARKED ||
		    actor->pending.addr != word || actor->pending.arg == 0)
			continue;
		if (!first || actor->parked_order < first->parked_order)
			first = actor;
	}
	return first;
}

/* Who parked first is woken first.  The word itself is not touched, so it may
 * have been freed. */
void mach_wake(uint32_t *word, unsigned nr)
{
	struct xp_actor *actor;
	unsigned woken = 0;

	xp_point(XP_WAKE, word, 4, false, XP_SITE);
	for (; woken < nr && (actor = first_parked(word)); woken++) {
		actor->pending.arg = 0;
		xp.enabled |= XP_BIT(actor->index);
	}
	xp_did(XP_WAKE, word, 4, 0, woken, woken == 0, XP_SITE);
}
