/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two forms of moments (moments.h) under a lock in the folio.
 *
 * moments-locked: the same word, for a machine without a 16-byte
 * compare-and-swap.
 *
 *     tail 2 words:  the word          tail 2 last:  the lock
 *
 * moments-wide: ids of 32 bits.  n has 32 bits as well, so S < 2^64 and
 * Q < 2^96 are exact for every count: there is no "above 2^19" here.
 *
 *     tail 2 words:  Q                 tail 2 last:  the lock
 *     tail 2 half:   n                 tail 3 words[0]:  S
 *
 * What is under the lock is read and written plainly; only n is read without
 * it too.
 */
#include "sharing/count.h"
#include "sharing/moments.h"
#include "sharing/sharing.h"

_Static_assert(sizeof(struct spinlock) <= sizeof(u64), "the lock's place");

static struct spinlock *lock_of(const struct sharing_state *state)
{
	return (struct spinlock *)(void *)&state->tails[1].last;
}

static void lock_init(struct sharing_state *state)
{
	state->tails[1].last = 0;
	spin_init(lock_of(state), LOCK_RANK_leaf);
}

/* The sums are 0 by themselves; the lock's rank, in a debug build, is not. */
static void lock_fini(struct sharing_state *state)
{
	state->tails[1].last = 0;
}

/* ---- moments-locked ------------------------------------------------------------ */

static u64 word_n(const struct sharing_state *state)
{
	return moments_n(atomic_load(&state->tails[1].words[0]));
}

/* Under the lock, or alone. */
static void word_write(struct sharing_state *state, mach_u128 word)
{
	atomic_store(&state->tails[1].words[0], (u64)word);
	state->tails[1].words[1] = (u64)(word >> 64);
}

static mach_u128 word_read_locked(const struct sharing_state *state)
{
	return state->tails[1].words[0] | (mach_u128)state->tails[1].words[1] << 64;
}

static mach_u128 word_read(const struct sharing_state *state)
{
	mach_u128 word;

	spin_lock(lock_of(state));
	word = word_read_locked(state);
	spin_unlock(lock_of(state));
	return word;
}

static void locked_init(struct sharing_state *state)
{
	lock_init(state);
	word_write(state, 0);
}

static void locked_map_new(struct sharing_state *state, unsigned order,
			   const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)first;
	word_write(state, moments_of(nr, mm->id));
}

static int locked_map(struct sharing_state *state, unsigned order,
		      const struct sharing_mm *mm, u32 first, u32 nr)
{
	int ret = -QUIRE_EOVERFLOW;

	(void)order;
	(void)first;
	spin_lock(lock_of(state));
	if (likely(word_n(state) + nr <= MOMENTS_N_MAX)) {
		word_write(state, word_read_locked(state) + moments_of(nr, mm->id));
		ret = 0;
	}
	spin_unlock(lock_of(state));
	return ret;
}

static void locked_unmap(struct sharing_state *state, unsigned order,
			 const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)first;
	spin_lock(lock_of(state));
	check(word_n(state) >= nr);
	word_write(state, word_read_locked(state) - moments_of(nr, mm->id));
	spin_unlock(lock_of(state));
}

static bool locked_exclusive(const struct sharing_state *state, unsigned order,
			     const struct sharing_mm *mm)
{
	(void)order;
	return moments_all_of(word_read(state), mm->id);
}

static bool locked_all_mine(struct sharing_state *state, unsigned order,
			    const struct sharing_mm *mm, const struct refcount *refs)
{
	mach_u128 word;
	u32 nr_refs;

	(void)order;
	spin_lock(lock_of(state));
	word = word_read_locked(state);
	nr_refs = atomic_load_acquire(&refs->value);
	spin_unlock(lock_of(state));
	return moments_all_of(word, mm->id) && nr_refs == moments_n((u64)word);
}

static bool locked_shared(const struct sharing_state *state, unsigned order)
{
	(void)order;
	return moments_of_several(word_read(state));
}

static u32 locked_mapcount(const struct sharing_state *state)
{
	return (u32)word_n(state);
}

const struct sharing_ops sharing_moments_locked = {
	.name = "moments-locked",
	.source = "this project",
	.sound = true,
	.exact = true,
	.min_order = 2,
	.max_order = MOMENTS_MAX_ORDER,
	.state_bytes = 16 + sizeof(u64),
	.max_ids = BIT(MOMENTS_ID_BITS),
	.max_mappings = MOMENTS_N_MAX,
	.init = locked_init,
	.fini = lock_fini,
	.map_new = locked_map_new,
	.map = locked_map,
	.unmap = locked_unmap,
	.exclusive = locked_exclusive,
	.all_mine = locked_all_mine,
	.shared = locked_shared,
	.mapcount = locked_mapcount,
};

/* ---- moments-wide ----------------------------------------------------------------- */

struct wide {
	mach_u128 q;
	u64 s;
	u32 n;
};

/* Under the lock, or alone. */
static struct wide wide_read_locked(const struct sharing_state *state)
{
	return (struct wide){
		.q = state->tails[1].wide,
		.s = state->tails[2].words[0],
		.n = state->tails[1].half,
	};
}

static void wide_write(struct sharing_state *state, const struct wide *w)
{
	state->tails[1].wide = w->q;
	state->tails[2].words[0] = w->s;
	atomic_store(&state->tails[1].half, w->n);
}

static struct wide wide_read(const struct sharing_state *state)
{
	struct wide w;

	spin_lock(lock_of(state));
	w = wide_read_locked(state);
	spin_unlock(lock_of(state));
	return w;
}

static struct wide wide_of(u64 k, u64 x)
{
	return (struct wide){
		.q = (mach_u128)(x * x) * k,
		.s = x * k,
		.n = (u32)k,
	};
}

static void wide_init(struct sharing_state *state)
{
	const struct wide none = { .n = 0 };

	lock_init(state);
	wide_write(state, &none);
}

static void wide_map_new(struct sharing_state *state, unsigned order,
			 const struct sharing_mm *mm, u32 first, u32 nr)
{
	struct wide w = wide_of(nr, mm->id);

	(void)order;
	(void)first;
	wide_write(state, &w);
}

static int wide_map(struct sharing_state *state, unsigned order,
		    const struct sharing_mm *mm, u32 first, u32 nr)
{
	struct wide added = wide_of(nr, mm->id), w;
	int ret = -QUIRE_EOVERFLOW;

	(void)order;
	(void)first;
	spin_lock(lock_of(state));
	w = wide_read_locked(state);
	if (likely((u64)w.n + nr <= SHARING_COUNT_MAX)) {
		w.q += added.q;
		w.s += added.s;
		w.n += added.n;
		wide_write(state, &w);
		ret = 0;
	}
	spin_unlock(lock_of(state));
	return ret;
}

static void wide_unmap(struct sharing_state *state, unsigned order,
		       const struct sharing_mm *mm, u32 first, u32 nr)
{
	struct wide taken = wide_of(nr, mm->id), w;

	(void)order;
	(void)first;
	spin_lock(lock_of(state));
	w = wide_read_locked(state);
	check(w.n >= nr);
	w.q -= taken.q;
	w.s -= taken.s;
	w.n -= taken.n;
	wide_write(state, &w);
	spin_unlock(lock_of(state));
}

static bool wide_all_of(const struct wide *w, u64 x)
{
	struct wide mine = wide_of(w->n, x);

	return w->n != 0 && w->s == mine.s && w->q == mine.q;
}

static bool wide_exclusive(const struct sharing_state *state, unsigned order,
			   const struct sharing_mm *mm)
{
	struct wide w = wide_read(state);

	(void)order;
	return wide_all_of(&w, mm->id);
}

static bool wide_all_mine(struct sharing_state *state, unsigned order,
			  const struct sharing_mm *mm, const struct refcount *refs)
{
	struct wide w;
	u32 nr_refs;

	(void)order;
	spin_lock(lock_of(state));
	w = wide_read_locked(state);
	nr_refs = atomic_load_acquire(&refs->value);
	spin_unlock(lock_of(state));
	return wide_all_of(&w, mm->id) && nr_refs == w.n;
}

/* n Q has up to 127 bits, S S up to 128. */
static bool wide_shared(const struct sharing_state *state, unsigned order)
{
	struct wide w = wide_read(state);

	(void)order;
	return w.n * w.q != (mach_u128)w.s * w.s;
}

static u32 wide_mapcount(const struct sharing_state *state)
{
	return atomic_load(&state->tails[1].half);
}

const struct sharing_ops sharing_moments_wide = {
	.name = "moments-wide",
	.source = "this project",
	.sound = true,
	.exact = true,
	.min_order = 2,
	.max_order = SHARING_COUNT_MAX_ORDER,
	.state_bytes = 28 + sizeof(u64),
	.max_ids = BIT(32),
	.max_mappings = SHARING_COUNT_MAX,
	.init = wide_init,
	.fini = lock_fini,
	.map_new = wide_map_new,
	.map = wide_map,
	.unmap = wide_unmap,
	.exclusive = wide_exclusive,
	.all_mine = wide_all_mine,
	.shared = wide_shared,
	.mapcount = wide_mapcount,
};
