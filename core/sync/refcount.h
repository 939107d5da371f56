/* SPDX-License-Identifier: BSD-2-Clause */
/* A count of references to an object; 0 means it is being freed. */
#ifndef SYNC_REFCOUNT_H
#define SYNC_REFCOUNT_H

#include "base/assert.h"
#include "sync/atomic.h"

struct refcount {
	u32 value; /* (A) */
};

static inline void refcount_init(struct refcount *ref, u32 value)
{
	atomic_store(&ref->value, value);
}

static inline u32 refcount_read(const struct refcount *ref)
{
	return atomic_load(&ref->value);
}

/* Pre: the caller already has a reference. */
static inline void refcount_get(struct refcount *ref, u32 n)
{
	u32 old = atomic_fetch_add(&ref->value, n);

	(void)old;
	check(old > 0 && old + n > old);
}

/* For a lookup that found the object without a reference (under RCU). */
static inline bool refcount_get_unless_zero(struct refcount *ref)
{
	u32 old = atomic_load(&ref->value);

	while (old != 0)
		if (atomic_cas(&ref->value, &old, old + 1))
			return true;
	return false;
}

/* True when this was the last: the caller frees. */
static inline bool refcount_put(struct refcount *ref, u32 n)
{
	u32 old = atomic_fetch_sub(&ref->value, n);

	check(old >= n);
	return old == n;
}

/* Sets `expected` references to 0 at one instant: nobody else has one. */
static inline bool refcount_freeze(struct refcount *ref, u32 expected)
{
	return atomic_cas(&ref->value, &expected, 0u);
}

/* Ends refcount_freeze. */
static inline void refcount_unfreeze(struct refcount *ref, u32 value)
{
	check(atomic_load(&ref->value) == 0);
	atomic_store_release(&ref->value, value);
}

#endif
