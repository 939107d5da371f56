/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking at a maple tree whole: statistics, and the assertion of T1 to T5
 * (store.c).  Under the owner's lock; as deep as the tree is high.
 */
#include "tree/maple.h"
#include "tree/node.h"

static void leaf_stats(const struct maple_node *leaf, u64 last, struct maple_stats *stats)
{
	u32 nr = leaf_nr(leaf, last);

	stats->nr_leaves++;
	for (u32 i = 0; i < nr; i++)
		stats->nr_entries += leaf->leaf.slot[i] != NULL;
}

static void subtree_stats(void *link, u64 last, struct maple_stats *stats)
{
	struct maple_node *node = link_node(link);

	stats->nr_nodes++;
	if (!link_is_inner(link)) {
		leaf_stats(node, last, stats);
		return;
	}
	for (u32 i = 0, nr = inner_nr(node, last); i < nr; i++)
		subtree_stats(node->inner.child[i], node->inner.last[i], stats);
}

void maple_stats(struct maple_tree *tree, struct maple_stats *ret_stats)
{
	*ret_stats = (struct maple_stats){ .height = tree->height };
	if (tree->root != NULL)
		subtree_stats(tree->root, UINT64_MAX, ret_stats);
}

struct checked {
	bool hole_before; /* the slot before this one is a hole */
	bool gaps;
};

/* The boundaries of a node: T1. */
static u32 boundaries_check(const u64 *boundary, u32 nr_slots, u64 first, u64 last)
{
	u32 nr = 0;

	for (;; nr++) {
		ensure(nr < nr_slots);
		ensure(boundary[nr] >= first && boundary[nr] <= last);
		if (boundary[nr] == last)
			break;
		first = boundary[nr] + 1;
	}
	nr++;
	for (u32 i = nr; i < nr_slots; i++)
		ensure(boundary[i] == UINT64_MAX);
	return nr;
}

/* T1 and T3; returns the largest hole. */
static u64 leaf_check(struct checked *checked, const struct maple_node *leaf, u64 first,
		      u64 last)
{
	u32 nr = boundaries_check(leaf->leaf.last, LEAF_SLOTS, first, last);

	ensure(nr == leaf_nr(leaf, last));
	for (u32 i = 0; i < LEAF_SLOTS; i++) {
		bool hole = leaf->leaf.slot[i] == NULL;

		ensure(((uintptr_t)leaf->leaf.slot[i] & 3) == 0);
		if (i >= nr) {
			ensure(hole);
			continue;
		}
		ensure(!(hole && checked->hole_before));
		checked->hole_before = hole;
	}
	return leaf_gap(leaf, first, nr);
}

/* T1, T2 and T4; returns the largest hole below. */
static u64 inner_check(struct checked *checked, const struct maple_node *node, u32 height,
		       u64 first, u64 last)
{
	u32 nr = boundaries_check(node->inner.last, INNER_SLOTS, first, last);

	ensure(nr == inner_nr(node, last));
	for (u32 i = 0; i < INNER_SLOTS; i++) {
		void *link = node->inner.child[i];
		u64 gap;

		if (i >= nr) {
			ensure(link == NULL && node->inner.gap[i] == 0);
			continue;
		}
		ensure(link != NULL && link_is_inner(link) == (height > 2));
		if (height > 2)
			gap = inner_check(checked, link_inner(link), height - 1, first,
					  node->inner.last[i]);
		else
			gap = leaf_check(checked, link_leaf(link), first,
					 node->inner.last[i]);
		ensure(node->inner.gap[i] == (checked->gaps ? gap : 0));
		first = node->inner.last[i] + 1;
	}
	return inner_gap(node);
}

void maple_check(struct maple_tree *tree)
{
	struct checked checked = { .gaps = (tree->flags & MAPLE_GAPS) != 0 };
	void *link = tree->root;

	if (link == NULL) {
		ensure(tree->height == 0);
		return;
	}
	ensure(tree->height >= 1 && tree->height < MAPLE_MAX_HEIGHT);
	ensure(link_is_inner(link) == (tree->height > 1));
	if (tree->height > 1) {
		ensure(link_inner(link)->inner.last[0] != UINT64_MAX);
		inner_check(&checked, link_inner(link), tree->height, 0, UINT64_MAX);
	} else {
		ensure(link_leaf(link)->leaf.slot[0] != NULL ||
		       link_leaf(link)->leaf.last[0] != UINT64_MAX);
		leaf_check(&checked, link_leaf(link), 0, UINT64_MAX);
	}
}
