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

#endif
