/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Object caches: many objects of one size, from folios of the instance.
 *
 * Each CPU keeps a short stack of free objects, so that alloc and free usually
 * touch no lock; behind it lie slabs (folios cut into objects) under one lock.
 * Freed memory can be handed to readers' grace periods in batches
 * (objcache_free_rcu): one RCU callback serves many objects.
 *
 * The memory of an object belongs to its user from alloc to the end of its
 * grace period, and to nobody while it is free: the cache keeps its links
 * elsewhere.
 *
 * Lock key: (C) constant after objcache_init  (L) `lock`
 */
#ifndef PHYS_OBJCACHE_H
#define PHYS_OBJCACHE_H

#include "phys/phys.h"

struct objcache_cpu; /* private to objcache.c */

struct objcache {
	struct phys *phys;          /* (C) */
	struct list link;           /* phys->caches */
	const char *name;           /* (C) for diagnoses */
	u32 object_bytes;           /* (C) */
	u32 align_bytes;            /* (C) power of two */
	u32 stride_bytes;           /* (C) from one object to the next */
	u32 slab_order;             /* (C) */
	u32 objects_per_slab;       /* (C) */
	u32 header_bytes;           /* (C) links at the start of a slab */
	u64 stride_inverse;         /* (C) divides by stride_bytes */
	struct objcache_cpu *cpus;  /* (C) one a CPU, used by it alone; (L) the
				     * last, for all CPUs beyond */
	struct spinlock lock;       /* guards (L) and the slabs */
	struct list partial;        /* (L) slabs with a free object */
	struct list full;           /* (L) */
	u64 nr_slabs;               /* (L) */
	u64 nr_empty;               /* (L) slabs with free objects alone */
};

/* 0, -ENOMEM or -EINVAL (no slab can hold such objects).  `phys` and `name`
 * outlive the cache. */
int objcache_init(struct objcache *cache, struct phys *phys, const char *name,
		  u32 object_bytes, u32 align_bytes) MUST_CHECK;
/*
 * Frees all slabs.  Returns how many objects were still allocated: a leak.
 * Waits for the grace periods of what was given to objcache_free_rcu.
 * Pre: every other CPU has left the cache, in an order that this one has seen;
 * no spin lock held, in no RCU section.
 */
u64 objcache_fini(struct objcache *cache);

/* Not cleared.  NULL: no memory. */
void *objcache_alloc(struct objcache *cache) MUST_CHECK;
/* All `nr` or none: 0 or -ENOMEM. */
int objcache_alloc_bulk(struct objcache *cache, u32 nr, void **ret_objects) MUST_CHECK;
/* `object` may be NULL. */
void objcache_free(struct objcache *cache, void *object);
void objcache_free_bulk(struct objcache *cache, u32 nr, void **objects);
/* Frees after a grace period.  Cannot fail: it needs no memory. */
void objcache_free_rcu(struct objcache *cache, void *object);
/*
 * Memory ran out: objects of this CPU whose grace period is over go back to
 * their slabs, and slabs without a used object are freed, in every cache whose
 * lock is free.  True when frames came back.
 */
bool objcaches_shrink(struct phys *phys);
/* Asserts what objcache.c says of slabs; stops the machine on a breach.
 * Pre: no other CPU uses the cache. */
void objcache_check(struct objcache *cache);

#endif
