/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * first-subpage: a folio is shared if its first page is mapped more than once.
 * The estimate that Linux used before it counted anything else
 * (002_c2ad3a3754927e32.txt).  Neither sound nor exact: it does not look at the other
 * pages, and cannot tell two mms from one that maps the page twice.
 *
 *     tail 1 last:  low half  n, mappings of all pages
 *                   high half mappings of the first page
 *
 * Both change in one atomic.
 */
#include "sharing/count.h"
#include "sharing/sharing.h"

enum { ALL, FIRST };

static u64 *word_of(const struct sharing_state *state)
{
	return (u64 *)&state->tails[0].last;
}

static u32 read_half(const struct sharing_state *state, unsigned half)
{
	const u32 *halves = (const u32 *)(const void *)word_of(state);

	return atomic_load_acquire(&halves[half]);
}

static u64 counts(u32 first, u32 nr)
{
	return FRAME_COUNTS(nr, first == 0 ? 1 : 0);
}

static void first_subpage_init(struct sharing_state *state)
{
	atomic_store(word_of(state), UINT64_C(0));
}

static void first_subpage_map_new(struct sharing_state *state, unsigned order,
				  const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)mm;
	atomic_store(word_of(state), counts(first, nr));
}

static int first_subpage_map(struct sharing_state *state, unsigned order,
			     const struct sharing_mm *mm, u32 first, u32 nr)
{
	u64 old = atomic_pair_add(word_of(state), counts(first, nr));

	(void)order;
	(void)mm;
	if (likely((old & UINT32_MAX) + nr <= SHARING_COUNT_MAX))
		return 0;
	atomic_pair_sub(word_of(state), counts(first, nr));
	return -QUIRE_EOVERFLOW;
}

static void first_subpage_unmap(struct sharing_state *state, unsigned order,
				const struct sharing_mm *mm, u32 first, u32 nr)
{
	u64 old = atomic_pair_sub(word_of(state), counts(first, nr));

	(void)order;
	(void)mm;
	check((old & UINT32_MAX) >= nr && old >> 32 >= (first == 0));
	(void)old;
}

static bool first_subpage_shared(const struct sharing_state *state, unsigned order)
{
	(void)order;
	return read_half(state, FIRST) > 1;
}

static bool first_subpage_exclusive(const struct sharing_state *state, unsigned order,
				    const struct sharing_mm *mm)
{
	(void)mm;
	return !first_subpage_shared(state, order);
}

static u32 first_subpage_mapcount(const struct sharing_state *state)
{
	return read_half(state, ALL);
}

const struct sharing_ops sharing_first_subpage = {
	.name = "first-subpage",
	.source = "letter 002_c2ad3a3754927e32.txt",
	.min_order = 1,
	.max_order = SHARING_COUNT_MAX_ORDER,
	.state_bytes = 8,
	.max_ids = BIT(32),
	.max_mappings = SHARING_COUNT_MAX,
	.init = first_subpage_init,
	.fini = first_subpage_init,
	.map_new = first_subpage_map_new,
	.map = first_subpage_map,
	.unmap = first_subpage_unmap,
	.exclusive = first_subpage_exclusive,
	.shared = first_subpage_shared,
	.mapcount = first_subpage_mapcount,
};
