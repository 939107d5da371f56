/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * moments: exact, in one 16-byte word, without a lock or a sequence counter.
 * The arithmetic and its proof are in moments.h.
 *
 *     tail 2 words:  the word
 *
 * An update is one 16-byte compare-and-swap.  What it expects is read in two
 * halves, which may be torn: then, and when another CPU was faster, the
 * swap fails, tells what is there, and is tried again.  A query needs the word at one
 * instant; but the low half alone, which holds n and S, refutes most of
 * the wrong guesses with a plain load.
 */
#include "sharing/moments.h"

#include "sharing/word.h"

static void moments_init(struct sharing_state *state)
{
	word_write_alone(state, 0);
}

static void moments_map_new(struct sharing_state *state, unsigned order,
			    const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)first;
	word_write_alone(state, moments_of(nr, mm->id));
}

static int moments_map(struct sharing_state *state, unsigned order,
		       const struct sharing_mm *mm, u32 first, u32 nr)
{
	mach_u128 added = moments_of(nr, mm->id);
	mach_u128 old = word_guess(state);

	(void)order;
	(void)first;
	do {
		/* n of a torn guess is n of some instant: the refusal is right. */
		if (unlikely(moments_n((u64)old) + nr > MOMENTS_N_MAX))
			return -QUIRE_EOVERFLOW;
	} while (unlikely(!atomic_cas16(word_of(state), &old, old + added)));
	return 0;
}

static void moments_unmap(struct sharing_state *state, unsigned order,
			  const struct sharing_mm *mm, u32 first, u32 nr)
{
	mach_u128 taken = moments_of(nr, mm->id);
	mach_u128 old = word_guess(state);

	(void)order;
	(void)first;
	do
		check(moments_n((u64)old) >= nr);
	while (unlikely(!atomic_cas16(word_of(state), &old, old - taken)));
}

static bool moments_exclusive(const struct sharing_state *state, unsigned order,
			      const struct sharing_mm *mm)
{
	u64 low = atomic_load(word_half(state, 0));

	(void)order;
	if (low != (u64)moments_of(moments_n(low), mm->id))
		return false;
	return moments_all_of(atomic_load16(word_of(state)), mm->id);
}

static bool moments_shared(const struct sharing_state *state, unsigned order)
{
	(void)order;
	return moments_of_several(atomic_load16(word_of(state)));
}

static u32 moments_mapcount(const struct sharing_state *state)
{
	return (u32)moments_n(atomic_load(word_half(state, 0)));
}

const struct sharing_ops sharing_moments = {
	.name = "moments",
	.source = "this project",
	.sound = true,
	.exact = true,
	.min_order = 2,
	.max_order = MOMENTS_MAX_ORDER,
	.state_bytes = 16,
	.max_ids = BIT(MOMENTS_ID_BITS),
	.max_mappings = MOMENTS_N_MAX,
	.init = moments_init,
	.fini = moments_init,
	.map_new = moments_map_new,
	.map = moments_map,
	.unmap = moments_unmap,
	.exclusive = moments_exclusive,
	.shared = moments_shared,
	.mapcount = moments_mapcount,
};
