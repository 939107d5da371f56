/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * total-mapcount: a folio with more mappings than pages is shared.  The test that
 * every exact scheme begins with (000_fa4b51931d6963d5.txt), here alone.
 * Not sound: two mms with half of the pages each pass for one.  Not exact for
 * files, which one mm may map twice; exact for an anonymous folio
 * that is mapped whole wherever it is mapped.
 *
 *     tail 1 half:  n, mappings of all pages
 */
#include "sharing/count.h"
#include "sharing/sharing.h"

static u32 *count_of(const struct sharing_state *state)
{
	return (u32 *)&state->tails[0].half;
}

static void total_mapcount_init(struct sharing_state *state)
{
	atomic_store(count_of(state), 0u);
}

static void total_mapcount_map_new(struct sharing_state *state, unsigned order,
				   const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)mm;
	(void)first;
	atomic_store(count_of(state), nr);
}

static int total_mapcount_map(struct sharing_state *state, unsigned order,
			      const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)mm;
	(void)first;
	return sharing_count_add(count_of(state), nr);
}

static void total_mapcount_unmap(struct sharing_state *state, unsigned order,
				 const struct sharing_mm *mm, u32 first, u32 nr)
{
	(void)order;
	(void)mm;
	(void)first;
	sharing_count_sub(count_of(state), nr);
}

static bool total_mapcount_shared(const struct sharing_state *state, unsigned order)
{
	return atomic_load_acquire(count_of(state)) > UINT64_C(1) << order;
}

static bool total_mapcount_exclusive(const struct sharing_state *state, unsigned order,
				     const struct sharing_mm *mm)
{
	(void)mm;
	return !total_mapcount_shared(state, order);
}

static u32 total_mapcount_mapcount(const struct sharing_state *state)
{
	return atomic_load(count_of(state));
}

const struct sharing_ops sharing_total_mapcount = {
	.name = "total-mapcount",
	.source = "letter 000_fa4b51931d6963d5.txt",
	.min_order = 1,
	.max_order = SHARING_COUNT_MAX_ORDER,
	.state_bytes = 4,
	.max_ids = BIT(32),
	.max_mappings = SHARING_COUNT_MAX,
	.init = total_mapcount_init,
	.fini = total_mapcount_init,
	.map_new = total_mapcount_map_new,
	.map = total_mapcount_map,
	.unmap = total_mapcount_unmap,
	.exclusive = total_mapcount_exclusive,
	.shared = total_mapcount_shared,
	.mapcount = total_mapcount_mapcount,
};
