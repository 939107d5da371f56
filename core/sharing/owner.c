/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * owner: who mapped the folio first, and how many mappings are not his.
 * Linus Torvalds' counter-proposal ("just have a pointer to owner and a simple
 * counter of non-owners", 000_fa4b51931d6963d5.txt) for the case that
 * matters most: fork, the child exits or executes, the parent writes.
 *
 * Sound: no mapping of others is forgotten.  Not exact: when the owner unmaps
 * and others stay, nothing says whether they are one; so the folio counts as
 * shared until the last of them is gone (the child whose parent unmapped never
 * reuses).  The owner cannot be replaced before: objection (c) of that letter.
 *
 *     tail 1 last:  | owner's id : 22 | owner's mappings : 21 | others' : 21 |
 *
 * All in one word, so one compare-and-swap updates it and one load decides.
 * An owner without mappings stays the owner while others map: its id may pass to a
 * new mm meanwhile, whose mappings are then counted as the owner's, rightly.
 */
#include "sharing/count.h"
#include "sharing/sharing.h"

#define COUNT_BITS 21
#define COUNT_MASK (BIT(COUNT_BITS) - 1)
#define ID_SHIFT (2 * COUNT_BITS)
#define ID_BITS (64 - ID_SHIFT)

struct owner {
	u64 id, own, others;
};

static u64 *word_of(const struct sharing_state *state)
{
	return (u64 *)&state->tails[0].last;
}

static struct owner owner_unpack(u64 word)
{
	return (struct owner){
		.id = word >> ID_SHIFT,
		.own = (word >> COUNT_BITS) & COUNT_MASK,
		.others = word & COUNT_MASK,
	};
}

static u64 owner_pack(struct owner o)
{
	return o.id << ID_SHIFT | o.own << COUNT_BITS | o.others;
}

static void owner_init(struct sharing_state *state)
{
	atomic_store(word_of(state), UINT64_C(0));
}

static void owner_map_new(struct sharing_state *state, unsigned order,
			  const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)first;
	atomic_store(word_of(state), owner_pack((struct owner){ .id = mm->id, .own = nr }));
}

static int owner_map(struct sharing_state *state, unsigned order,
		     const struct sharing_mm *mm, u32 first, u32 nr)
{
	u64 old = atomic_load(word_of(state));
	struct owner o;

	(void)order;
	(void)first;
	do {
		u64 *count;

		o = owner_unpack(old);
		if (old == 0)
			o.id = mm->id;
		count = o.id == mm->id ? &o.own : &o.others;
		if (unlikely(*count + nr > COUNT_MASK))
			return -QUIRE_EOVERFLOW;
		*count += nr;
	} while (!atomic_cas(word_of(state), &old, owner_pack(o)));
	return 0;
}

static void owner_unmap(struct sharing_state *state, unsigned order,
			const struct sharing_mm *mm, u32 first, u32 nr)
{
	u64 old = atomic_load(word_of(state));
	struct owner o;

	(void)order;
	(void)first;
	do {
		u64 *count;

		o = owner_unpack(old);
		count = o.id == mm->id ? &o.own : &o.others;
		check(*count >= nr);
		*count -= nr;
		if (o.own + o.others == 0)
			o.id = 0;
	} while (!atomic_cas(word_of(state), &old, owner_pack(o)));
}

static bool owner_exclusive(const struct sharing_state *state, unsigned order,
			    const struct sharing_mm *mm)
{
	struct owner o = owner_unpack(atomic_load_acquire(word_of(state)));

	(void)order;
	return o.id == mm->id && o.own > 0 && o.others == 0;
}

static bool owner_shared(const struct sharing_state *state, unsigned order)
{
	(void)order;
	return owner_unpack(atomic_load(word_of(state))).others > 0;
}

static u32 owner_mapcount(const struct sharing_state *state)
{
	struct owner o = owner_unpack(atomic_load(word_of(state)));

	return (u32)(o.own + o.others);
}

const struct sharing_ops sharing_owner = {
	.name = "owner",
	.source = "letter 000_fa4b51931d6963d5.txt",
	.sound = true,
	.min_order = 1,
	.max_order = COUNT_BITS - 1,
	.state_bytes = 8,
	.max_ids = BIT(ID_BITS),
	.max_mappings = COUNT_MASK,
	.init = owner_init,
	.fini = owner_init,
	.map_new = owner_map_new,
	.map = owner_map,
	.unmap = owner_unmap,
	.exclusive = owner_exclusive,
	.shared = owner_shared,
	.mapcount = owner_mapcount,
};
