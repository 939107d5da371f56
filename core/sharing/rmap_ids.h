/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rmap-ids as posted and rmap-ids repaired share: all but their tables
 * and one multiplication.
 *
 * An mm's id is cut into groups of `id_bits` bits, one group for each of
 * `nr_values` values that a folio has.  In a group, bit i becomes B^i, where
 * B = P + 1 and P is the most pages of the folios of the class: the mm's
 * *sub-id*.  Each mapping adds the mm's sub-ids to the values.  Written in base
 * B, digit i of a value counts the mappings whose id has bit i: at most P,
 * so no digit carries, and
 *
 *     value = n * subid(x)  in all groups   <=>   every mapping is of mm x
 *
 * as long as n <= P and B^id_bits <= 2^64 (the *repair rule*: else the top
 * digits wrap, and a sum of others can look like n * subid(x)).
 * With n > P some mm must share, or maps a page twice: the answer is "shared".
 */
#ifndef SHARING_RMAP_IDS_H
#define SHARING_RMAP_IDS_H

#include "base/bits.h"
#include "sharing/count.h"
#include "sharing/sharing.h"

#define RMAP_IDS_BITS 24
#define RMAP_IDS_MAX_ORDER 15
#define RMAP_IDS_MAX_VALUES 6

/* Folios of one range of orders. */
struct rmap_ids_class {
	u8 max_order;    /* B = 2^max_order + 1 */
	u8 nr_values;
	u8 id_bits;
	u8 first_subid;  /* where they are in struct sharing_mm */
};

struct rmap_ids_scheme {
	const struct rmap_ids_class *classes; /* by rising max_order */
	unsigned nr_classes;
	/* A folio with one value: an exclusive writer adds the sub-id once, however many
	 * pages are mapped, and adds it when they are unmapped, too. */
	bool unscaled;
};

void rmap_ids_mm_init(const struct rmap_ids_scheme *scheme, struct sharing_mm *mm);
void rmap_ids_init(struct sharing_state *state);
void rmap_ids_set(const struct rmap_ids_scheme *scheme, struct sharing_state *state,
		  unsigned order, const struct sharing_mm *mm, u32 nr);
int rmap_ids_add(const struct rmap_ids_scheme *scheme, struct sharing_state *state,
		 unsigned order, const struct sharing_mm *mm, u32 nr);
void rmap_ids_sub(const struct rmap_ids_scheme *scheme, struct sharing_state *state,
		  unsigned order, const struct sharing_mm *mm, u32 nr);
/* sharing_ops.exclusive, and all_mine if `refs` is not NULL. */
bool rmap_ids_all_of(const struct rmap_ids_scheme *scheme,
		     const struct sharing_state *state, unsigned order,
		     const struct sharing_mm *mm, const struct refcount *refs);
bool rmap_ids_of_several(const struct rmap_ids_scheme *scheme,
			 const struct sharing_state *state, unsigned order);
u32 rmap_ids_mapcount(const struct sharing_state *state);

/*
 * The calls of struct sharing_ops for a `static const struct rmap_ids_scheme`,
 * and where they go in it: an operation is not told of its scheme.
 */
#define RMAP_IDS_CALLS(scheme)                                                          \
	static void scheme##_mm_init(struct sharing_mm *mm)                             \
	{                                                                               \
		rmap_ids_mm_init(&scheme, mm);                                          \
	}                                                                               \
	static void scheme##_map_new(struct sharing_state *state, unsigned order,       \
				     const struct sharing_mm *mm, u32 first, u32 nr)    \
	{                                                                               \
		(void)first;                                                            \
		rmap_ids_set(&scheme, state, order, mm, nr);                            \
	}                                                                               \
	static int scheme##_map(struct sharing_state *state, unsigned order,            \
				const struct sharing_mm *mm, u32 first, u32 nr)         \
	{                                                                               \
		(void)first;                                                            \
		return rmap_ids_add(&scheme, state, order, mm, nr);                     \
	}                                                                               \
	static void scheme##_unmap(struct sharing_state *state, unsigned order,         \
				   const struct sharing_mm *mm, u32 first, u32 nr)      \
	{                                                                               \
		(void)first;                                                            \
		rmap_ids_sub(&scheme, state, order, mm, nr);                            \
	}                                                                               \
	static bool scheme##_exclusive(const struct sharing_state *state, unsigned order, \
				       const struct sharing_mm *mm)                     \
	{                                                                               \
		return rmap_ids_all_of(&scheme, state, order, mm, NULL);                \
	}                                                                               \
	static bool scheme##_all_mine(struct sharing_state *state, unsigned order,      \
				      const struct sharing_mm *mm,                      \
				      const struct refcount *refs)                      \
	{                                                                               \
		return rmap_ids_all_of(&scheme, state, order, mm, refs);                \
	}                                                                               \
	static bool scheme##_shared(const struct sharing_state *state, unsigned order)  \
	{                                                                               \
		return rmap_ids_of_several(&scheme, state, order);                      \
	}

#define RMAP_IDS_OPS(scheme)                                                       \
	.min_order = 2, .max_order = RMAP_IDS_MAX_ORDER,                           \
	.state_bytes = 12 + 8 * RMAP_IDS_MAX_VALUES, .max_ids = BIT(RMAP_IDS_BITS), \
	.max_mappings = SHARING_COUNT_MAX, .mm_init = scheme##_mm_init,            \
	.init = rmap_ids_init, .fini = rmap_ids_init, .map_new = scheme##_map_new, \
	.map = scheme##_map, .unmap = scheme##_unmap,                              \
	.exclusive = scheme##_exclusive, .all_mine = scheme##_all_mine,            \
	.shared = scheme##_shared, .mapcount = rmap_ids_mapcount

#endif
