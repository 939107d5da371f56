/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mm-ids: two slots, each an mm and its mappings, and a flag "maybe shared"
 * for what they cannot hold (David Hildenbrand, series of 2024 and 2025; the
 * rules restated from their description).
 *
 * Sound: the flag goes only when a slot's count equals the number of all
 * mappings, and a slot never counts more than its mm has.  Exact while no more than
 * two mms have met.  Not exact once a third came: its mappings are in no slot, so
 * when it is left alone nothing proves it, and the flag stays.
 *
 *     tail 2 words[0]:  | flag | id of slot 1 : 31 | lock | id of slot 0 : 31 |
 *     tail 2 words[1]:  | mappings of slot 1 : 32  | mappings of slot 0 : 32  |
 *     tail 1 half:      n
 *
 * Taking the lock is the only atomic read-modify-write of an update; the
 * store of the first word both changes the slots' ids and flag and unlocks.
 */
#include "sharing/count.h"
#include "sharing/sharing.h"

#define LOCKED BIT(31)
#define MAYBE_SHARED BIT(63)
#define ID_MASK (BIT(31) - 1)

/* The state while it is locked, in the hands of who locked it. */
struct slots {
	u64 id[2];   /* 0: free, and then its count is 0 */
	u32 count[2];
	u32 n;
	bool maybe_shared;
};

static u64 *ids_of(const struct sharing_state *state)
{
	return (u64 *)&state->tails[1].words[0];
}

static u64 *counts_of(const struct sharing_state *state)
{
	return (u64 *)&state->tails[1].words[1];
}

static u32 *n_of(const struct sharing_state *state)
{
	return (u32 *)&state->tails[0].half;
}

static struct slots slots_lock(struct sharing_state *state)
{
	u64 ids, counts;

	COST_ADD(lock_acquisitions, 1);
	/* Pairs with the RELEASE of slots_unlock. */
	while (unlikely((ids = atomic_fetch_or(ids_of(state), LOCKED)) & LOCKED))
		while (atomic_load(ids_of(state)) & LOCKED)
			mach_relax();
	counts = atomic_load(counts_of(state));
	return (struct slots){
		.id = { ids & ID_MASK, ids >> 32 & ID_MASK },
		.count = { (u32)counts, (u32)(counts >> 32) },
		.n = atomic_load(n_of(state)),
		.maybe_shared = (ids & MAYBE_SHARED) != 0,
	};
}

static u64 ids_pack(const struct slots *s)
{
	return s->id[0] | s->id[1] << 32 | (s->maybe_shared ? MAYBE_SHARED : 0);
}

static void counts_write(struct sharing_state *state, const struct slots *s)
{
	atomic_store(counts_of(state), s->count[0] | (u64)s->count[1] << 32);
	atomic_store_release(n_of(state), s->n); /* pairs with mm_ids_shared */
}

/* Of slots that did not change since slots_lock. */
static void slots_unlock_unchanged(struct sharing_state *state, const struct slots *s)
{
	/* Pairs with the fetch_or of slots_lock, and with mm_ids_shared. */
	atomic_store_release(ids_of(state), ids_pack(s));
}

static void slots_unlock(struct sharing_state *state, const struct slots *s)
{
	counts_write(state, s);
	slots_unlock_unchanged(state, s);
}

/* Pre: the slot is free. */
static void slot_take(struct slots *s, unsigned slot, u32 id, u32 nr)
{
	/* Others have mappings: in a slot, or in none. */
	if (s->n != 0)
		s->maybe_shared = true;
	s->id[slot] = id;
	s->count[slot] = nr;
}

/* True: mappings are left in the slot. */
static bool slot_drop(struct slots *s, unsigned slot, u32 nr)
{
	if (s->count[slot] > nr) {
		s->count[slot] -= nr;
		return true;
	}
	/* It may have mappings from a time when no slot was free. */
	s->count[slot] = 0;
	s->id[slot] = 0;
	return false;
}

/* The slots are named one by one, so that the state stays in registers. */
static void slots_add(struct slots *s, u32 id, u32 nr)
{
	if (s->id[0] == id)
		s->count[0] += nr;
	else if (s->id[1] == id)
		s->count[1] += nr;
	else if (s->id[0] == 0)
		slot_take(s, 0, id, nr);
	else if (s->id[1] == 0)
		slot_take(s, 1, id, nr);
	s->n += nr;
}

static void slots_sub(struct slots *s, u32 id, u32 nr)
{
	check(s->n >= nr);
	s->n -= nr;
	if (s->id[0] == id ? slot_drop(s, 0, nr) : s->id[1] == id && slot_drop(s, 1, nr))
		return;
	if (s->count[0] == s->n || s->count[1] == s->n)
		s->maybe_shared = false;
}

static void mm_ids_init(struct sharing_state *state)
{
	const struct slots none = { .n = 0 };

	counts_write(state, &none);
	atomic_store(ids_of(state), UINT64_C(0));
}

static void mm_ids_map_new(struct sharing_state *state, unsigned order,
			   const struct sharing_mm *mm, u32 first, u32 nr)
{
	const struct slots s = { .id = { mm->id }, .count = { nr }, .n = nr };

	(void)order;
	(void)first;
	counts_write(state, &s);
	atomic_store(ids_of(state), ids_pack(&s));
}

static int mm_ids_map(struct sharing_state *state, unsigned order,
		      const struct sharing_mm *mm, u32 first, u32 nr)
{
	struct slots s = slots_lock(state);
	int ret = -QUIRE_EOVERFLOW;

	(void)order;
	(void)first;
	if (likely((u64)s.n + nr <= SHARING_COUNT_MAX)) {
		slots_add(&s, mm->id, nr);
		ret = 0;
	}
	slots_unlock(state, &s);
	return ret;
}

static void mm_ids_unmap(struct sharing_state *state, unsigned order,
			 const struct sharing_mm *mm, u32 first, u32 nr)
{
	struct slots s = slots_lock(state);

	(void)order;
	(void)first;
	slots_sub(&s, mm->id, nr);
	slots_unlock(state, &s);
}

/*
 * One mapping is one mm's, whatever the flag says.  The two reads are not one
 * instant, but each alone is a proof: the asker has a mapping all the time.
 */
static bool mm_ids_shared(const struct sharing_state *state, unsigned order)
{
	(void)order;
	return atomic_load_acquire(n_of(state)) > 1 &&
	       (atomic_load_acquire(ids_of(state)) & MAYBE_SHARED) != 0;
}

static bool mm_ids_exclusive(const struct sharing_state *state, unsigned order,
			     const struct sharing_mm *mm)
{
	(void)mm;
	return !mm_ids_shared(state, order);
}

/*
 * Under the lock n and the flag stay, so the one load of the references is the
 * instant.  The flag is asked again there: what was read before is gone by then.
 */
static bool mm_ids_all_mine(struct sharing_state *state, unsigned order,
			    const struct sharing_mm *mm, const struct refcount *refs)
{
	struct slots s;
	bool mine;

	if (!mm_ids_exclusive(state, order, mm))
		return false;
	s = slots_lock(state);
	mine = (s.n == 1 || !s.maybe_shared) && atomic_load_acquire(&refs->value) == s.n;
	slots_unlock_unchanged(state, &s);
	return mine;
}

static u32 mm_ids_mapcount(const struct sharing_state *state)
{
	return atomic_load(n_of(state));
}

const struct sharing_ops sharing_mm_ids = {
	.name = "mm-ids",
	.source = "David Hildenbrand, 2024-2025",
	.sound = true,
	.min_order = 2,
	.max_order = SHARING_COUNT_MAX_ORDER,
	.state_bytes = 20,
	.max_ids = BIT(31),
	.max_mappings = SHARING_COUNT_MAX,
	.init = mm_ids_init,
	.fini = mm_ids_init,
	.map_new = mm_ids_map_new,
	.map = mm_ids_map,
	.unmap = mm_ids_unmap,
	.exclusive = mm_ids_exclusive,
	.all_mine = mm_ids_all_mine,
	.shared = mm_ids_shared,
	.mapcount = mm_ids_mapcount,
};
