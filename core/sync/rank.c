/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run-time check of the lock order (debug builds).  Each CPU remembers
 * what it holds; a CPU's list is touched by that CPU alone.
 */
#include "sync/rank.h"

#ifdef QUIRE_DEBUG

#include <quire/machine.h>

#include "base/assert.h"

#define MAX_HELD 64

struct held_lock {
	const void *lock;
	enum lock_rank rank;
};

struct held_list {
	unsigned nr;
	struct held_lock locks[MAX_HELD];
};

/* Per CPU of the machine, not of an instance: a CPU may hold locks of two. */
static struct held_list held_by_cpu[MACH_MAX_CPUS];

enum rank_together { together_one, together_many };

static const struct {
	const char *name;
	enum rank_together together;
} rank_table[NR_LOCK_RANKS] = {
#define LOCK_RANK_ROW(name, together, what) { #name, together_##together },
	LOCK_RANK_LIST(LOCK_RANK_ROW)
#undef LOCK_RANK_ROW
};

static void rank_record(enum lock_rank rank, const void *lock)
{
	struct held_list *held = &held_by_cpu[mach_cpu()];

	ensure(held->nr < MAX_HELD);
	held->locks[held->nr++] = (struct held_lock){ lock, rank };
}

void rank_acquired(enum lock_rank rank, const void *lock)
{
	struct held_list *held = &held_by_cpu[mach_cpu()];

	for (unsigned i = 0; i < held->nr; i++) {
		const struct held_lock *h = &held->locks[i];
		bool equal_ok = h->rank == rank && h->lock != lock &&
				rank_table[rank].together == together_many;

		if (h->rank < rank || equal_ok)
			continue;
		mach_log("lock order: takes %s %p while holding %s %p",
			 rank_table[rank].name, lock, rank_table[h->rank].name,
			 h->lock);
		mach_stop(__FILE__, __LINE__, "lock order broken");
	}
	rank_record(rank, lock);
}

void rank_try_acquired(enum lock_rank rank, const void *lock)
{
	rank_record(rank, lock);
}

void rank_released(enum lock_rank rank, const void *lock)
{
	struct held_list *held = &held_by_cpu[mach_cpu()];

	(void)rank;
	for (unsigned i = held->nr; i-- > 0;) {
		if (held->locks[i].lock != lock)
			continue;
		for (held->nr--; i < held->nr; i++)
			held->locks[i] = held->locks[i + 1];
		return;
	}
	mach_stop(__FILE__, __LINE__, "releases a lock it does not hold");
}

bool rank_held(const void *lock)
{
	const struct held_list *held = &held_by_cpu[mach_cpu()];

	for (unsigned i = 0; i < held->nr; i++)
		if (held->locks[i].lock == lock)
			return true;
	return false;
}

void rank_assert_none_held(void)
{
	ensure(held_by_cpu[mach_cpu()].nr == 0);
}

void rank_forget_held(void)
{
	for (unsigned i = 0; i < MACH_MAX_CPUS; i++)
		held_by_cpu[i].nr = 0;
}

#endif
