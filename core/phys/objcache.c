/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Object caches.
 *
 * Guarantees.  Alloc and free touch the CPU's own stack and nothing shared,
 * except once in a batch; freeing after a grace period queues at most one RCU
 * callback a CPU at a time, however many objects are freed, needs no memory
 * and does not touch the object.  The CPU that freed such objects is the one
 * that uses them again, so that they stay in its cache.
 *
 * Design.  Slabs after Bonwick, "The Slab Allocator" (1994), stacks per CPU
 * after Bonwick and Adams, "Magazines and Vmem" (2001).  A slab is a folio:
 *
 *	| link 0 | link 1 | ... | pad | object 0 | object 1 | ...        |
 *	 <------- header_bytes ------> <- stride_bytes -> <- ...
 *
 * The link of an object lies in the header, not in the object, because an
 * object on its way through a grace period is still being read.  A link
 * chains free objects of a slab, or objects that wait for a grace period.
 * What else a slab has to remember lies over its folio's descriptor.
 *
 * Invariants, asserted by objcache_check():
 *  1. A slab on `full` has no free object; one on `partial` has.
 *  2. nr_used + free chain + nr_forgotten + never used = objects_per_slab.
 *  3. nr_slabs and nr_empty count the slabs on the lists.
 */
#include "phys/objcache.h"

#include "base/bits.h"
#include "base/cost.h"

/* Tiny geometries have tiny memories. */
#define STACK_MAX (PAGE_SHIFT < 12 ? 8u : 60u)
#define STACK_BATCH (STACK_MAX / 2)

/* Slabs without a used object that are kept for the next alloc. */
#define KEEP_EMPTY 4u

/* A slab should hold this many objects, and waste no more than an eighth. */
#define SLAB_OBJECTS 8u
/* ... unless that takes a slab so many times larger (log2). */
#define SLAB_EXTRA_ORDERS 3u

struct objcache_cpu {
	u32 nr;                      /* objects on the stack */
	u32 in_flight;               /* (A) the callback below is queued */
	struct objcache *cache;      /* (C) */
	void *waiting;               /* chain: freed, no grace period begun */
	u64 nr_waiting;
	void *batch;                 /* chain: the callback's while in_flight,
				      * then free for this CPU to use */
	u64 nr_batch;
	struct mach_rcu_head head;   /* the callback's */
	void *objects[STACK_MAX];    /* the newest last */
} __attribute__((aligned(64)));

/* Laid over the descriptor of a slab's folio, as struct folio_large is. */
struct slab {
	u32 flags;              /* as struct frame */
	u8 order;               /* as struct frame */
	u8 spare[3];
	struct list lru;        /* (L) partial or full */
	void *free;             /* (L) chain of freed objects */
	struct objcache *cache; /* (C) */
	u32 nr_used;            /* (L) allocated, on a stack or waiting */
	u32 nr_fresh;           /* (L) objects from here on were never used */
	u32 nr_forgotten;       /* (L) in the machine's quarantine */
};

_Static_assert(offsetof(struct slab, lru) == offsetof(struct frame, lru) &&
	       offsetof(struct slab, nr_forgotten) + sizeof(u32) <= offsetof(struct frame, refs),
	       "overlay keeps the list and the references");

/* ---- slabs and their objects -------------------------------------------------- */

static inline u64 slab_bytes(const struct objcache *cache)
{
	return PAGE_SIZE << cache->slab_order;
}

/* Folios are aligned to their size, counted from the range's first byte. */
static inline u64 offset_in_slab(const struct objcache *cache, const void *object)
{
	u64 offset = (u64)((const char *)object - (const char *)cache->phys->base);

	return offset & (slab_bytes(cache) - 1);
}

static inline struct slab *slab_of(const struct objcache *cache, void *object)
{
	char *start = (char *)object - offset_in_slab(cache, object);
	u64 pfn = (u64)(start - (char *)cache->phys->base) >> PAGE_SHIFT;

	return (struct slab *)(void *)&cache->phys->frames[pfn];
}

static inline char *slab_start(const struct objcache *cache, const struct slab *slab)
{
	return frame_bytes(cache->phys, (const struct frame *)(const void *)slab);
}

/* Exact for offsets below 2^24 and strides below 2^16: objcache_init checks. */
#define INVERSE_SHIFT 40

static inline void **link_of(const struct objcache *cache, void *object)
{
	u64 offset = offset_in_slab(cache, object);
	u64 n = ((offset - cache->header_bytes) * cache->stride_inverse) >> INVERSE_SHIFT;

	return (void **)(void *)((char *)object - offset) + n;
}

#ifdef QUIRE_DEBUG
/* In debug builds the link of an object that is not chained says where it is. */
static const char link_marks[2];
#define LINK_ON_STACK ((void *)(uintptr_t)&link_marks[0])
#define LINK_ALLOCATED ((void *)(uintptr_t)&link_marks[1])

static void link_expect(const struct objcache *cache, void *object, void *old, void *new)
{
	check(slab_of(cache, object)->cache == cache);
	check(*link_of(cache, object) == old);
	*link_of(cache, object) = new;
}
#define link_note_alloc(cache, object) \
	link_expect(cache, object, LINK_ON_STACK, LINK_ALLOCATED)
#define link_note_free(cache, object) \
	link_expect(cache, object, LINK_ALLOCATED, LINK_ON_STACK)
#define link_set_on_stack(cache, object) (*link_of(cache, object) = LINK_ON_STACK)
#else
#define link_note_alloc(cache, object) ((void)0)
#define link_note_free(cache, object) ((void)0)
#define link_set_on_stack(cache, object) ((void)0)
#endif

static bool slab_is_full(const struct objcache *cache, const struct slab *slab)
{
	return !slab->free && slab->nr_fresh == cache->objects_per_slab;
}

static struct slab *slab_create(struct objcache *cache) REQUIRES(cache->lock)
{
	struct folio *folio = folio_alloc(cache->phys, cache->slab_order, 0);
	struct slab *slab = (struct slab *)(void *)folio;

	if (!folio)
		return NULL;
	folio_set(folio, FRAME_SLAB);
	slab->free = NULL;
	slab->cache = cache;
	slab->nr_used = 0;
	slab->nr_fresh = 0;
	slab->nr_forgotten = 0;
	list_push(&cache->partial, &slab->lru);
	cache->nr_slabs++;
	cache->nr_empty++;
	return slab;
}

/* A slab with objects in quarantine is not ours to give back. */
static void slab_destroy(struct objcache *cache, struct slab *slab)
{
	struct folio *folio = (struct folio *)(void *)slab;
	u32 nr_forgotten = slab->nr_forgotten;

	list_remove(&slab->lru);
	cache->nr_slabs--;
	if (nr_forgotten) {
		atomic_fetch_add(&cache->phys->nr_quarantined, folio_nr_pages(folio));
		return;
	}
	folio_clear(folio, FRAME_SLAB);
	folio_put(cache->phys, folio);
}

/* Up to `nr` objects of one slab that has some; returns how many. */
static u32 slab_take(struct objcache *cache, struct slab *slab, u32 nr, void **ret_objects)
	REQUIRES(cache->lock)
{
	char *fresh = slab_start(cache, slab) + cache->header_bytes;
	void *object = slab->free;
	u32 got = 0;

	for (; object && got < nr; got++) {
		void *next = *link_of(cache, object);

		link_set_on_stack(cache, object);
		ret_objects[got] = object;
		object = next;
	}
	slab->free = object;
	for (; got < nr && slab->nr_fresh < cache->objects_per_slab; got++) {
		object = fresh + slab->nr_fresh++ * (u64)cache->stride_bytes;
		link_set_on_stack(cache, object);
		ret_objects[got] = object;
	}
	if (slab->nr_used == 0)
		cache->nr_empty--;
	slab->nr_used += got;
	if (slab_is_full(cache, slab)) {
		list_remove(&slab->lru);
		list_push(&cache->full, &slab->lru);
	}
	return got;
}

static void slab_unused(struct objcache *cache, struct slab *slab) REQUIRES(cache->lock)
{
	cache->nr_empty++;
	if (cache->nr_empty <= KEEP_EMPTY || slab->nr_forgotten)
		return;
	cache->nr_empty--;
	slab_destroy(cache, slab);
}

static void give_object(struct objcache *cache, void *object) REQUIRES(cache->lock)
{
	struct slab *slab = slab_of(cache, object);

	if (slab_is_full(cache, slab)) {
		list_remove(&slab->lru);
		list_push(&cache->partial, &slab->lru);
	}
	*link_of(cache, object) = slab->free;
	slab->free = object;
	if (--slab->nr_used == 0)
		slab_unused(cache, slab);
}

/* The machine keeps the object: it is neither used nor free again. */
static void forget_object(struct objcache *cache, void *object) REQUIRES(cache->lock)
{
	struct slab *slab = slab_of(cache, object);

	slab->nr_forgotten++;
	if (--slab->nr_used == 0)
		slab_unused(cache, slab);
}

/* ---- grace periods --------------------------------------------------------------- */

/*
 * In a batch whose grace period is over, the link of an object that the
 * machine keeps in quarantine has this bit set.
 */
#define LINK_FORGOTTEN ((uintptr_t)1)

/* Takes the first of a batch; NULL if that one is in quarantine. */
static void *batch_pop(struct objcache_cpu *own, void **ret_object)
{
	void *object = own->batch;
	uintptr_t link = (uintptr_t)*link_of(own->cache, object);

	own->batch = (void *)(link & ~LINK_FORGOTTEN);
	own->nr_batch--;
	*ret_object = object;
	return link & LINK_FORGOTTEN ? NULL : object;
}

/*
 * The readers have left: the objects are free.  What the machine does not keep
 * stays in the chain, untouched; where it never keeps anything this is no code.
 */
static void grace_period_over(struct mach_rcu_head *head)
{
	struct objcache_cpu *own = container_of(head, struct objcache_cpu, head);
	struct objcache *cache = own->cache;
	void *object = own->batch;

	for (u64 i = 0; i < own->nr_batch; i++) {
		void **link = link_of(cache, object);
		void *next = *link;

		if (mach_note_free(object, cache->object_bytes))
			*link = (void *)((uintptr_t)next | LINK_FORGOTTEN);
		object = next;
	}
	/* RELEASE pairs with the loads of in_flight: `batch` is the CPU's again. */
	atomic_store_release(&own->in_flight, 0u);
}

/* What is left of the last batch goes back to the slabs.  Pre: !in_flight. */
static void settle_batch_locked(struct objcache *cache, struct objcache_cpu *own)
	REQUIRES(cache->lock)
{
	while (own->batch) {
		void *object;

		if (batch_pop(own, &object))
			give_object(cache, object);
		else
			forget_object(cache, object);
	}
}

/* What waits begins its grace period.  Pre: !in_flight, no batch. */
static void begin_grace_period(struct objcache_cpu *own)
{
	own->batch = own->waiting;
	own->nr_batch = own->nr_waiting;
	own->waiting = NULL;
	own->nr_waiting = 0;
	atomic_store(&own->in_flight, 1u);
	mach_call_rcu(&own->head, grace_period_over);
}

static inline void wait_on(struct objcache *cache, struct objcache_cpu *own, void *object)
{
	*link_of(cache, object) = own->waiting;
	own->waiting = object;
	own->nr_waiting++;
}

/* ---- alloc and free ----------------------------------------------------------------- */

/* This CPU's stack; NULL on a CPU that has none. */
static inline struct objcache_cpu *own_stack(struct objcache *cache)
{
	unsigned cpu = mach_cpu();

	return likely(cpu < cache->phys->nr_cpus) ? &cache->cpus[cpu] : NULL;
}

/* Up to `nr` objects; returns how many. */
static u32 take_objects(struct objcache *cache, u32 nr, void **ret_objects)
{
	u32 got = 0;

	spin_lock(&cache->lock);
	while (got < nr) {
		struct slab *slab;

		if (list_empty(&cache->partial))
			slab = slab_create(cache);
		else
			slab = list_first(&cache->partial, struct slab, lru);
		if (!slab)
			break;
		got += slab_take(cache, slab, nr - got, &ret_objects[got]);
	}
	spin_unlock(&cache->lock);
	return got;
}

static void give_objects(struct objcache *cache, u32 nr, void **objects)
{
	spin_lock(&cache->lock);
	for (u32 i = 0; i < nr; i++)
		give_object(cache, objects[i]);
	spin_unlock(&cache->lock);
}

/* Moves objects whose grace period is over to the empty stack. */
static void refill_from_batch(struct objcache *cache, struct objcache_cpu *own)
{
	while (own->batch && own->nr < STACK_BATCH) {
		void *object;

		if (batch_pop(own, &object)) {
			link_set_on_stack(cache, object);
			own->objects[own->nr++] = object;
			continue;
		}
		spin_lock(&cache->lock);
		forget_object(cache, object);
		spin_unlock(&cache->lock);
	}
}

static NOINLINE void *alloc_slow(struct objcache *cache, struct objcache_cpu *own)
{
	void *object;

	if (!own)
		return take_objects(cache, 1, &object) ? object : NULL;
	if (!atomic_load_acquire(&own->in_flight)) {
		refill_from_batch(cache, own);
		if (!own->batch && own->waiting)
			begin_grace_period(own);
	}
	if (own->nr == 0)
		own->nr = take_objects(cache, STACK_BATCH, own->objects);
	return own->nr ? own->objects[--own->nr] : NULL;
}

/* An object leaves for its user. */
static inline void *note_alloc(struct objcache *cache, void *object)
{
	link_note_alloc(cache, object);
	mach_note_alloc(object, cache->object_bytes);
	COST_ADD(objects_allocated, 1);
	COST_ADD(object_bytes, cache->object_bytes);
	return object;
}

static inline void *alloc_on(struct objcache *cache, struct objcache_cpu *own)
{
	void *object;

	if (unlikely(!own) || unlikely(own->nr == 0))
		object = alloc_slow(cache, own);
	else
		object = own->objects[--own->nr];
	return likely(object) ? note_alloc(cache, object) : NULL;
}

void *objcache_alloc(struct objcache *cache)
{
	if (mach_should_fail())
		return NULL;
	return alloc_on(cache, own_stack(cache));
}

int objcache_alloc_bulk(struct objcache *cache, u32 nr, void **ret_objects)
{
	struct objcache_cpu *own = own_stack(cache);
	u32 got = 0;

	if (mach_should_fail())
		return -QUIRE_ENOMEM;
	while (got < nr) {
		u32 take = own ? (u32)u64_min(own->nr, nr - got) : 0;

		if (take == 0) {
			ret_objects[got] = alloc_on(cache, own);
			if (unlikely(!ret_objects[got])) {
				objcache_free_bulk(cache, got, ret_objects);
				return -QUIRE_ENOMEM;
			}
			got++;
			continue;
		}
		own->nr -= take;
		for (u32 i = 0; i < take; i++)
			ret_objects[got++] = note_alloc(cache, own->objects[own->nr + i]);
	}
	return 0;
}

/* The stack is full, there is none, or the machine keeps the object. */
static NOINLINE void free_slow(struct objcache *cache, struct objcache_cpu *own,
			       void *object, bool forget)
{
	if (forget) {
		spin_lock(&cache->lock);
		forget_object(cache, object);
		spin_unlock(&cache->lock);
	} else if (!own) {
		give_objects(cache, 1, &object);
	} else {
		/* The oldest leave, the younger move down. */
		give_objects(cache, STACK_BATCH, own->objects);
		for (u32 i = 0; i < STACK_MAX - STACK_BATCH; i++)
			own->objects[i] = own->objects[i + STACK_BATCH];
		own->nr -= STACK_BATCH;
		own->objects[own->nr++] = object;
	}
}

static inline void free_on(struct objcache *cache, struct objcache_cpu *own, void *object)
{
	bool forget;

	link_note_free(cache, object);
	forget = mach_note_free(object, cache->object_bytes);
	if (unlikely(forget) || unlikely(!own) || unlikely(own->nr == STACK_MAX))
		free_slow(cache, own, object, forget);
	else
		own->objects[own->nr++] = object;
}

void objcache_free(struct objcache *cache, void *object)
{
	if (object)
		free_on(cache, own_stack(cache), object);
}

void objcache_free_bulk(struct objcache *cache, u32 nr, void **objects)
{
	struct objcache_cpu *own = own_stack(cache);

	for (u32 i = 0; i < nr; i++)
		free_on(cache, own, objects[i]);
}

/* No grace period is under way: the next one begins. */
static NOINLINE void free_rcu_slow(struct objcache *cache, struct objcache_cpu *own)
{
	if (own->batch) {
		spin_lock(&cache->lock);
		settle_batch_locked(cache, own);
		spin_unlock(&cache->lock);
	}
	begin_grace_period(own);
}

/* CPUs without a slot of their own share the last. */
static NOINLINE void free_rcu_shared(struct objcache *cache, void *object)
{
	struct objcache_cpu *shared = &cache->cpus[cache->phys->nr_cpus];

	spin_lock(&cache->lock);
	wait_on(cache, shared, object);
	if (!atomic_load_acquire(&shared->in_flight)) {
		settle_batch_locked(cache, shared);
		begin_grace_period(shared);
	}
	spin_unlock(&cache->lock);
}

void objcache_free_rcu(struct objcache *cache, void *object)
{
	struct objcache_cpu *own = own_stack(cache);

	if (!object)
		return;
	link_note_free(cache, object);
	if (unlikely(!own)) {
		free_rcu_shared(cache, object);
		return;
	}
	wait_on(cache, own, object);
	if (unlikely(!atomic_load_acquire(&own->in_flight)))
		free_rcu_slow(cache, own);
}

/* ---- the cache itself ------------------------------------------------------------------- */

static u32 objects_fitting(const struct objcache *cache, u64 bytes)
{
	u64 n = bytes / (cache->stride_bytes + sizeof(void *));

	while (n && align_up(n * sizeof(void *), cache->align_bytes) +
				n * cache->stride_bytes > bytes)
		n--;
	return (u32)n;
}

/* The smallest order that holds enough objects without much waste. */
static bool choose_slab_order(struct objcache *cache)
{
	unsigned first = QUIRE_MAX_ORDER + 1, chosen = first;

	for (unsigned order = 0; order <= QUIRE_MAX_ORDER; order++) {
		u64 bytes = PAGE_SIZE << order;
		u32 n = objects_fitting(cache, bytes);

		if (n < SLAB_OBJECTS)
			continue;
		if (first > order)
			chosen = first = order;
		if (order > first + SLAB_EXTRA_ORDERS)
			break;
		if ((bytes - n * (u64)cache->stride_bytes) * 8 <= bytes) {
			chosen = order;
			break;
		}
	}
	if (chosen > QUIRE_MAX_ORDER || PAGE_SIZE << chosen > BIT(24))
		return false;
	cache->slab_order = chosen;
	cache->objects_per_slab = objects_fitting(cache, PAGE_SIZE << chosen);
	cache->header_bytes = (u32)align_up(cache->objects_per_slab * sizeof(void *),
					    cache->align_bytes);
	return true;
}

static size_t cpus_bytes(const struct objcache *cache)
{
	return (cache->phys->nr_cpus + 1) * sizeof(struct objcache_cpu);
}

int objcache_init(struct objcache *cache, struct phys *phys, const char *name,
		  u32 object_bytes, u32 align_bytes)
{
	struct objcache new = {
		.phys = phys, .name = name, .object_bytes = object_bytes,
		.align_bytes = align_bytes,
	};
	u64 stride = align_up(object_bytes, align_bytes);

	if (object_bytes == 0 || bit_count(align_bytes) != 1 ||
	    stride >= BIT(16))
		return -QUIRE_EINVAL;
	new.stride_bytes = (u32)stride;
	new.stride_inverse = (BIT(INVERSE_SHIFT) + stride - 1) / stride;
	if (!choose_slab_order(&new))
		return -QUIRE_EINVAL;
	new.cpus = mach_should_fail() ? NULL : mach_mem_alloc(cpus_bytes(&new), 64);
	if (!new.cpus)
		return -QUIRE_ENOMEM;
	*cache = new;
	for (unsigned cpu = 0; cpu <= phys->nr_cpus; cpu++)
		cache->cpus[cpu].cache = cache;
	spin_init(&cache->lock, LOCK_RANK_tree_alloc);
	list_init(&cache->partial);
	list_init(&cache->full);
	list_append(&phys->caches, &cache->link);
	return 0;
}

/* Puts what a CPU holds back into slabs.  Pre: its grace periods are over. */
static void empty_cpu(struct objcache *cache, struct objcache_cpu *own)
{
	spin_lock(&cache->lock);
	settle_batch_locked(cache, own);
	spin_unlock(&cache->lock);
	give_objects(cache, own->nr, own->objects);
	own->nr = 0;
}

/* Waits until every object that was freed is free, and back in its slab. */
static void empty_cpus(struct objcache *cache)
{
	u32 nr_busy;

	do {
		nr_busy = 0;
		for (unsigned cpu = 0; cpu <= cache->phys->nr_cpus; cpu++) {
			struct objcache_cpu *own = &cache->cpus[cpu];

			if (atomic_load_acquire(&own->in_flight)) {
				nr_busy++;
				continue;
			}
			empty_cpu(cache, own);
			if (own->waiting) {
				begin_grace_period(own);
				nr_busy++;
			}
		}
		if (nr_busy)
			mach_rcu_barrier();
	} while (nr_busy);
}

/* ---- when memory runs out --------------------------------------------------------- */

static void free_empty_slabs(struct objcache *cache) REQUIRES(cache->lock)
{
	list_for_each_safe(pos, &cache->partial) {
		struct slab *slab = list_entry(pos, struct slab, lru);

		if (slab->nr_used != 0 || slab->nr_forgotten != 0)
			continue;
		cache->nr_empty--;
		slab_destroy(cache, slab);
	}
}

/*
 * The caller may be in the middle of an allocation of one of the caches: that
 * one's lock is held, by itself, and it is passed over.
 */
static u64 shrink_cache(struct objcache *cache) NO_LOCK_ANALYSIS /* tries */
{
	struct objcache_cpu *own = own_stack(cache);
	u64 nr_slabs, nr_freed;

	if (!spin_trylock(&cache->lock))
		return 0;
	nr_slabs = cache->nr_slabs;
	if (own && !atomic_load_acquire(&own->in_flight)) {
		settle_batch_locked(cache, own);
		if (own->waiting)
			begin_grace_period(own);
	}
	free_empty_slabs(cache);
	nr_freed = nr_slabs - cache->nr_slabs;
	spin_unlock(&cache->lock);
	return nr_freed;
}

bool objcaches_shrink(struct phys *phys)
{
	u64 nr_freed = 0;

	list_for_each(pos, &phys->caches)
		nr_freed += shrink_cache(list_entry(pos, struct objcache, link));
	return nr_freed != 0;
}

/* ---- the end ------------------------------------------------------------------------ */

u64 objcache_fini(struct objcache *cache)
{
	struct list *lists[] = { &cache->partial, &cache->full };
	u64 nr_leaked = 0;

	list_remove(&cache->link);
	empty_cpus(cache);
	for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
		list_for_each_safe(pos, lists[i]) {
			struct slab *slab = list_entry(pos, struct slab, lru);

			nr_leaked += slab->nr_used;
			slab_destroy(cache, slab);
		}
	}
	mach_mem_free(cache->cpus, cpus_bytes(cache));
	*cache = (struct objcache){ 0 };
	return nr_leaked;
}

void objcache_check(struct objcache *cache)
{
	struct list *lists[] = { &cache->partial, &cache->full };
	u64 nr_slabs = 0, nr_empty = 0;

	spin_lock(&cache->lock);
	for (unsigned i = 0; i < ARRAY_LEN(lists); i++) {
		list_for_each(pos, lists[i]) {
			struct slab *slab = list_entry(pos, struct slab, lru);
			u32 nr = cache->objects_per_slab - slab->nr_fresh +
				 slab->nr_used + slab->nr_forgotten;

			ensure(slab->cache == cache);
			ensure(slab_is_full(cache, slab) == (lists[i] == &cache->full));
			for (void *p = slab->free; p; p = *link_of(cache, p))
				ensure(slab_of(cache, p) == slab && nr++ < cache->objects_per_slab);
			ensure(nr == cache->objects_per_slab);
			nr_empty += slab->nr_used == 0;
			nr_slabs++;
		}
	}
	ensure(nr_slabs == cache->nr_slabs && nr_empty == cache->nr_empty);
	spin_unlock(&cache->lock);
}
