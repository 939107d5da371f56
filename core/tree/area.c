/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Empty-area search: the lowest or highest hole of a given size.
 *
 * An inner node knows the largest hole below each child, so a subtree without
 * a hole large enough is never entered, and one that lies wholly inside the
 * limits is entered only to succeed.  Only the subtrees cut by a limit can
 * disappoint, one on each level: the search costs the height, wherever the hole
 * is.  Beside a writer gaps are hints; the answer is a hole seen in a leaf.
 *
 * The recursion is as deep as the tree is high (MAPLE_MAX_HEIGHT at most).
 */
#include "tree/maple.h"
#include "tree/node.h"

struct area {
	u64 min, max; /* limits, inclusive */
	u64 size;
	u64 first;    /* the answer */
};

/* Whether the part of the hole [first, last] inside the limits is enough. */
static inline bool area_low_end(struct area *area, u64 first, u64 last)
{
	if (last - first < area->size - 1)
		return false;
	first = u64_max(first, area->min);
	last = u64_min(last, area->max);
	if (first > last || last - first < area->size - 1)
		return false;
	area->first = first;
	return true;
}

static inline bool area_high_end(struct area *area, u64 first, u64 last)
{
	if (!area_low_end(area, first, last))
		return false;
	area->first = u64_min(last, area->max) - (area->size - 1);
	return true;
}

static bool leaf_area_up(const struct maple_node *leaf, u64 first, u64 leaf_last,
			 struct area *area)
{
	u32 i = 0;
	u64 last;

	if (area->min > first) {
		i = leaf_search(leaf, area->min);
		if (i != 0)
			first = atomic_load(&leaf->leaf.last[i - 1]) + 1;
	}
	for (;; i++) {
		void *entry = leaf_read(leaf, i, &last);

		if (entry == NULL && area_low_end(area, first, last))
			return true;
		if (last >= leaf_last || last >= area->max)
			return false;
		first = last + 1;
	}
}

static bool leaf_area_down(const struct maple_node *leaf, u64 leaf_first, u64 leaf_last,
			   struct area *area)
{
	u64 first, last;
	u32 i;
	void *entry = leaf_lookup(leaf, u64_min(leaf_last, area->max), &i, &last);

	for (;;) {
		if (last < area->min)
			return false;
		if (entry == NULL) {
			first = i == 0 ? leaf_first :
					 atomic_load(&leaf->leaf.last[i - 1]) + 1;
			if (area_high_end(area, first, last))
				return true;
		}
		if (i == 0)
			return false;
		entry = leaf_read(leaf, --i, &last);
	}
}

/* `link` leads to the node of [first, node_last]. */
static bool area_up(void *link, u64 first, u64 node_last, struct area *area)
{
	struct maple_node *node;
	u32 i = 0;

	if (!link_is_inner(link))
		return leaf_area_up(link_leaf(link), first, node_last, area);
	node = link_inner(link);
	if (area->min > first) {
		i = inner_search(node, area->min);
		if (i != 0)
			first = node->inner.last[i - 1] + 1;
	}
	for (;; i++) {
		u64 last = node->inner.last[i];

		if (atomic_load(&node->inner.gap[i]) >= area->size &&
		    area_up(rcu_load(&node->inner.child[i]), first, last, area))
			return true;
		if (last >= node_last || last >= area->max)
			return false;
		first = last + 1;
	}
}

static bool area_down(void *link, u64 node_first, u64 node_last, struct area *area)
{
	struct maple_node *node;

	if (!link_is_inner(link))
		return leaf_area_down(link_leaf(link), node_first, node_last, area);
	node = link_inner(link);
	for (u32 i = inner_search(node, u64_min(node_last, area->max));; i--) {
		if (atomic_load(&node->inner.gap[i]) >= area->size &&
		    area_down(rcu_load(&node->inner.child[i]),
			      i == 0 ? node_first : node->inner.last[i - 1] + 1,
			      node->inner.last[i], area))
			return true;
		if (i == 0 || node->inner.last[i - 1] < area->min)
			return false;
	}
}

static int area_answer(struct maple_cursor *cur, const struct area *area)
{
	cur->first = area->first;
	cur->last = area->first + (area->size - 1);
	cur->node = NULL;
	return 0;
}

int maple_empty_area(struct maple_cursor *cur, u64 min, u64 max, u64 size)
{
	struct area area = { .min = min, .max = max, .size = size };
	void *link = rcu_load(&cur->tree->root);

	check(cur->tree->flags & MAPLE_GAPS);
	if (size == 0 || min > max || max - min < size - 1)
		return -QUIRE_EINVAL;
	if (link == NULL ? !area_low_end(&area, 0, UINT64_MAX) :
			   !area_up(link, 0, UINT64_MAX, &area))
		return -QUIRE_EBUSY;
	return area_answer(cur, &area);
}

int maple_empty_area_rev(struct maple_cursor *cur, u64 min, u64 max, u64 size)
{
	struct area area = { .min = min, .max = max, .size = size };
	void *link = rcu_load(&cur->tree->root);

	check(cur->tree->flags & MAPLE_GAPS);
	if (size == 0 || min > max || max - min < size - 1)
		return -QUIRE_EINVAL;
	if (link == NULL ? !area_high_end(&area, 0, UINT64_MAX) :
			   !area_down(link, 0, UINT64_MAX, &area))
		return -QUIRE_EBUSY;
	return area_answer(cur, &area);
}
