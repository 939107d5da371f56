/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Object caches: many objects of one size, from folios of the instance.
 *
 * Each CPU keeps a short stack of free objects, so that alloc and free usually
 * touch no lock; behind it lie slabs (folios cut into objects) under one lock.
 * Freed memory can be handed to readers' grace periods in batches
 * (objcache_free_rcu): one RCU callback serves many objects.
 */
#ifndef PHYS_OBJCACHE_H
#define PHYS_OBJCACHE_H

#include "phys/phys.h"

struct objcache_cpu; /* private to objcache.c */

struct objcache {
	struct phys *phys;          /* (C) */
	const char *name;           /* (C) for diagnoses */
	u32 object_bytes;           /* (C) */
	u32 align_bytes;            /* (C) power of two */
	u32 slab_order;             /* (C) */
	u32 objects_per_slab;       /* (C) */
	struct objcache_cpu *cpus;  /* (C) array; each used by its CPU alone */
	struct spinlock lock;       /* guards the slabs */
	struct list partial;        /* (lock) slabs with a free object */
	struct list full;           /* (lock) */
	u64 nr_slabs;               /* (lock) */
};

/* 0 or -ENOMEM.  `phys` outlives the cache. */
int objcache_init(struct objcache *cache, struct phys *phys, const char *name,
		  u32 object_bytes, u32 align_bytes) MUST_CHECK;
/*
 * Frees all slabs.  Returns how many objects were still allocated: a leak.
 * Pre: objects given to objcache_free_rcu have been waited for
 * (mach_rcu_barrier).
 */
u64 objcache_fini(struct objcache *cache);

/* Not cleared.  NULL: no memory. */
void *objcache_alloc(struct objcache *cache) MUST_CHECK;
/* All `nr` or none: 0 or -ENOMEM. */
int objcache_alloc_bulk(struct objcache *cache, u32 nr, void **ret_objects) MUST_CHECK;
/* `object` may be NULL. */
void objcache_free(struct objcache *cache, void *object);
void objcache_free_bulk(struct objcache *cache, u32 nr, void **objects);
/* Frees after a grace period.  May not fail; needs no memory it may not get. */
void objcache_free_rcu(struct objcache *cache, void *object);

#endif
