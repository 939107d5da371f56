/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * one-word: moments, and the folio's other references in the same 16 bytes.  The
 * arithmetic is in one_word.h, the references in phys/frame.h.
 *
 *     tail 2 words:  the word
 *
 * A mapping is its own reference: to map is one compare-and-swap where every other
 * rival takes two atomics, to share at fork likewise, and the folio is free when
 * the word is 0.  An unmapping leaves one reference behind for the whole batch,
 * taken in the same step, which goes after the TLB flush.
 *
 * And "all mappings are mine, and nobody has another reference" is one load: no
 * entry has to be counted, and it does not matter in how many tables they lie
 * (all_mine).  What it costs: ids below 2^20, 2^19 - 1 mappings, 2^16 - 1 references.
 *
 * A file's folio is found by who has no reference yet, so its references stay
 * outside (frame.h); here it has none.
 */
#include "sharing/one_word.h"

#include "sharing/word.h"

static void one_word_init(struct sharing_state *state)
{
	word_write_alone(state, 0);
}

static void one_word_map_new(struct sharing_state *state, unsigned order,
			     const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)first;
	word_write_alone(state, one_word_of(nr, mm->id));
}

static int one_word_map(struct sharing_state *state, unsigned order,
			const struct sharing_mm *mm, u32 first, u32 nr)
{
	mach_u128 added = one_word_of(nr, mm->id);
	mach_u128 old = word_guess(state);

	(void)order;
	(void)first;
	do {
		/* n of a torn guess is n of some instant: the refusal is right. */
		if (unlikely(one_word_n((u64)old) + nr > ONE_WORD_N_MAX))
			return -QUIRE_EOVERFLOW;
	} while (unlikely(!atomic_cas16(word_of(state), &old, old + added)));
	return 0;
}

/* Takes nr mappings and leaves `nr_refs` references; what was there before. */
static mach_u128 take(struct sharing_state *state, const struct sharing_mm *mm, u32 nr,
		      u32 nr_refs)
{
	mach_u128 taken = one_word_of(nr, mm->id);
	mach_u128 old = word_guess(state);

	do {
		check(one_word_n((u64)old) >= nr);
		ensure(one_word_refs((u64)old) + nr_refs <= FOLIO_WORD_REFS_MAX);
	} while (unlikely(!atomic_cas16(word_of(state), &old, old - taken + nr_refs)));
	return old;
}

static void one_word_unmap(struct sharing_state *state, unsigned order,
			   const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)first;
	take(state, mm, nr, 0);
}

static void one_word_unmap_hold(struct sharing_state *state, const struct sharing_mm *mm,
				u32 nr)
{
	take(state, mm, nr, 1);
}

static bool one_word_exclusive(const struct sharing_state *state, unsigned order,
			       const struct sharing_mm *mm)
{
	u64 low = atomic_load(word_half(state, 0));

	(void)order;
	if ((low & ~(u64)FOLIO_WORD_REFS_MAX) != (u64)one_word_of(one_word_n(low), mm->id))
		return false;
	return one_word_all_of(atomic_load16(word_of(state)), mm->id);
}

/* The word without a reference is the whole truth of one instant. */
static bool one_word_all_mine(struct sharing_state *state, unsigned order,
			      const struct sharing_mm *mm, const struct refcount *refs)
{
	u64 low = atomic_load(word_half(state, 0));
	mach_u128 word;

	(void)order;
	(void)refs;
	if (low != (u64)one_word_of(one_word_n(low), mm->id))
		return false;
	word = atomic_load16(word_of(state));
	return one_word_refs((u64)word) == 0 && one_word_all_of(word, mm->id);
}

static bool one_word_shared(const struct sharing_state *state, unsigned order)
{
	(void)order;
	return one_word_of_several(atomic_load16(word_of(state)));
}

static u32 one_word_mapcount(const struct sharing_state *state)
{
	return (u32)one_word_n(atomic_load(word_half(state, 0)));
}

const struct sharing_ops sharing_one_word = {
	.name = "one-word",
	.source = "this project",
	.sound = true,
	.exact = true,
	.min_order = 2,
	.max_order = ONE_WORD_MAX_ORDER,
	.state_bytes = 16,
	.max_ids = BIT(ONE_WORD_ID_BITS),
	.max_mappings = ONE_WORD_N_MAX,
	.init = one_word_init,
	.fini = one_word_init,
	.map_new = one_word_map_new,
	.map = one_word_map,
	.unmap = one_word_unmap,
	.unmap_hold = one_word_unmap_hold,
	.exclusive = one_word_exclusive,
	.all_mine = one_word_all_mine,
	.shared = one_word_shared,
	.mapcount = one_word_mapcount,
};
