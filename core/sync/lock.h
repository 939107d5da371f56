/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's locks: the machine's, with a rank, counted, annotated.
 *
 * spinlock: short sections, the holder does not park.
 * mutex:    the holder may park.
 * rwsem:    many readers or one writer; may park.
 *
 * In a release build a lock is the machine's lock and nothing else.
 */
#ifndef SYNC_LOCK_H
#define SYNC_LOCK_H

#include <quire/machine.h>

#include "base/assert.h"
#include "base/cost.h"
#include "sync/annotations.h"
#include "sync/rank.h"

#ifdef QUIRE_DEBUG
#define LOCK_RANK_FIELD u8 rank;
#define LOCK_SET_RANK(l, r) ((l)->rank = (u8)(r))
#define LOCK_RANK(l) ((enum lock_rank)(l)->rank)
#define lock_assert_held(l) check(rank_held(l))
#else
#define LOCK_RANK_FIELD
#define LOCK_SET_RANK(l, r) ((void)(r))
#define LOCK_RANK(l) LOCK_RANK_leaf
#define lock_assert_held(l) ((void)(l))
#endif

struct LOCK_TYPE("spinlock") spinlock {
	struct mach_spin mach;
	LOCK_RANK_FIELD
};

static inline void spin_init(struct spinlock *lock, enum lock_rank rank)
{
	*lock = (struct spinlock){ 0 };
	LOCK_SET_RANK(lock, rank);
}

static inline void spin_lock(struct spinlock *lock) ACQUIRES(lock) NO_LOCK_ANALYSIS
{
	COST_ADD(lock_acquisitions, 1);
	rank_acquired(LOCK_RANK(lock), lock);
	mach_spin_lock(&lock->mach);
}

static inline bool spin_trylock(struct spinlock *lock) TRY_ACQUIRES(true, lock) NO_LOCK_ANALYSIS
{
	if (!mach_spin_trylock(&lock->mach))
		return false;
	COST_ADD(lock_acquisitions, 1);
	rank_try_acquired(LOCK_RANK(lock), lock);
	return true;
}

static inline void spin_unlock(struct spinlock *lock) RELEASES(lock) NO_LOCK_ANALYSIS
{
	rank_released(LOCK_RANK(lock), lock);
	mach_spin_unlock(&lock->mach);
}

struct LOCK_TYPE("mutex") mutex {
	struct mach_mutex mach;
	LOCK_RANK_FIELD
};

static inline void mutex_init(struct mutex *lock, enum lock_rank rank)
{
	*lock = (struct mutex){ 0 };
	LOCK_SET_RANK(lock, rank);
}

static inline void mutex_lock(struct mutex *lock) ACQUIRES(lock) NO_LOCK_ANALYSIS
{
	COST_ADD(lock_acquisitions, 1);
	rank_acquired(LOCK_RANK(lock), lock);
	mach_mutex_lock(&lock->mach);
}

static inline bool mutex_trylock(struct mutex *lock) TRY_ACQUIRES(true, lock) NO_LOCK_ANALYSIS
{
	if (!mach_mutex_trylock(&lock->mach))
		return false;
	COST_ADD(lock_acquisitions, 1);
	rank_try_acquired(LOCK_RANK(lock), lock);
	return true;
}

static inline void mutex_unlock(struct mutex *lock) RELEASES(lock) NO_LOCK_ANALYSIS
{
	rank_released(LOCK_RANK(lock), lock);
	mach_mutex_unlock(&lock->mach);
}

struct LOCK_TYPE("rwsem") rwsem {
	struct mach_rw mach;
	LOCK_RANK_FIELD
};

static inline void rwsem_init(struct rwsem *lock, enum lock_rank rank)
{
	*lock = (struct rwsem){ 0 };
	LOCK_SET_RANK(lock, rank);
}

static inline void rwsem_read_lock(struct rwsem *lock) ACQUIRES_SHARED(lock) NO_LOCK_ANALYSIS
{
	COST_ADD(lock_acquisitions, 1);
	rank_acquired(LOCK_RANK(lock), lock);
	mach_rw_read_lock(&lock->mach);
}

static inline bool rwsem_read_trylock(struct rwsem *lock) TRY_ACQUIRES_SHARED(true, lock) NO_LOCK_ANALYSIS
{
	if (!mach_rw_read_trylock(&lock->mach))
		return false;
	COST_ADD(lock_acquisitions, 1);
	rank_try_acquired(LOCK_RANK(lock), lock);
	return true;
}

static inline void rwsem_read_unlock(struct rwsem *lock) RELEASES_SHARED(lock) NO_LOCK_ANALYSIS
{
	rank_released(LOCK_RANK(lock), lock);
	mach_rw_read_unlock(&lock->mach);
}

static inline void rwsem_write_lock(struct rwsem *lock) ACQUIRES(lock) NO_LOCK_ANALYSIS
{
	COST_ADD(lock_acquisitions, 1);
	rank_acquired(LOCK_RANK(lock), lock);
	mach_rw_write_lock(&lock->mach);
}

static inline bool rwsem_write_trylock(struct rwsem *lock) TRY_ACQUIRES(true, lock) NO_LOCK_ANALYSIS
{
	if (!mach_rw_write_trylock(&lock->mach))
		return false;
	COST_ADD(lock_acquisitions, 1);
	rank_try_acquired(LOCK_RANK(lock), lock);
	return true;
}

static inline void rwsem_write_unlock(struct rwsem *lock) RELEASES(lock) NO_LOCK_ANALYSIS
{
	rank_released(LOCK_RANK(lock), lock);
	mach_rw_write_unlock(&lock->mach);
}

/* The writer goes on as a reader; no other writer gets in between. */
static inline void rwsem_downgrade(struct rwsem *lock) NO_LOCK_ANALYSIS
{
	mach_rw_downgrade(&lock->mach);
}

#endif
