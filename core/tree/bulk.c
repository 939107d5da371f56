/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bulk store: a tree built from ascending ranges, leaves first.
 *
 * One node of each level, the rightmost, is being filled; a full one is closed,
 * which makes it a child of the rightmost node of the level above.  Nothing is
 * searched, moved or split, and every node but the last of each level is full.
 * The nodes come from a stock allocated at the beginning, for the worst case
 * that a hole precedes every range, so that a store cannot fail.
 *
 * This is the `bulk-store` alternative of the fork-tree decision
 * (letter 004_b20df14de9f2b197.txt), to be compared with dup.c.
 */
#include "tree/maple.h"
#include "tree/node.h"

#define STOCK_BATCH 32u

/* Nodes for `nr` ranges with a hole before each and one behind the last. */
static u64 bulk_nodes(u64 nr)
{
	u64 level = (2 * nr + 1 + LEAF_SLOTS - 1) / LEAF_SLOTS;
	u64 sum = level;

	while (level > 1) {
		level = (level + INNER_SLOTS - 1) / INNER_SLOTS;
		sum += level;
	}
	return sum;
}

static void stock_free(struct maple_bulk *bulk)
{
	void *batch[STOCK_BATCH];
	u32 nr = 0;

	while (bulk->stock != NULL) {
		batch[nr++] = bulk->stock;
		bulk->stock = bulk->stock->next;
		if (nr == STOCK_BATCH || bulk->stock == NULL) {
			objcache_free_bulk(bulk->tree->nodes, nr, batch);
			nr = 0;
		}
	}
}

int maple_bulk_begin(struct maple_bulk *bulk, struct maple_tree *tree, u64 nr_entries)
{
	void *batch[STOCK_BATCH];
	u64 nr_nodes = bulk_nodes(nr_entries);

	check(tree->root == NULL);
	*bulk = (struct maple_bulk){ .tree = tree, .nr_left = nr_entries };
	while (nr_nodes != 0) {
		u32 nr = (u32)u64_min(nr_nodes, STOCK_BATCH);

		if (objcache_alloc_bulk(tree->nodes, nr, batch) != 0) {
			stock_free(bulk);
			return -QUIRE_ENOMEM;
		}
		for (u32 i = 0; i < nr; i++) {
			struct maple_node *node = batch[i];

			node->next = bulk->stock;
			bulk->stock = node;
		}
		nr_nodes -= nr;
	}
	return 0;
}

static struct maple_node *bulk_node(struct maple_bulk *bulk)
{
	struct maple_node *node = bulk->stock;

	ensure(node != NULL);
	COST_ADD(tree_nodes, 1);
	bulk->stock = node->next;
	return node;
}

static void bulk_pad(struct maple_node *node, u32 level, u32 nr)
{
	if (level == 0)
		leaf_pad(node, nr, LEAF_SLOTS);
	else
		inner_pad(node, nr, INNER_SLOTS);
}

/*
 * The node being filled at `level` is complete and ends at `last`: it becomes a
 * child of the level above, where that may complete another.
 */
static void bulk_close(struct maple_bulk *bulk, u32 level, u64 last)
{
	for (;; level++) {
		struct maple_node *child = bulk->spine[level].node, *node;
		u64 gap = bulk->spine[level].gap;
		u32 nr = bulk->spine[level + 1].nr;

		bulk_pad(child, level, bulk->spine[level].nr);
		bulk->spine[level].nr = 0;
		bulk->spine[level].gap = 0;
		if (nr == 0)
			bulk->spine[level + 1].node = bulk_node(bulk);
		if (level + 2 > bulk->height)
			bulk->height = level + 2;
		node = bulk->spine[level + 1].node;
		node->inner.last[nr] = last;
		node->inner.child[nr] = link_make(child, level != 0);
		node->inner.gap[nr] = bulk->tree->flags & MAPLE_GAPS ? gap : 0;
		bulk->spine[level + 1].nr = nr + 1;
		bulk->spine[level + 1].gap = u64_max(bulk->spine[level + 1].gap, gap);
		if (nr + 1 < INNER_SLOTS || last == UINT64_MAX)
			return;
	}
}

ALWAYS_INLINE void bulk_add(struct maple_bulk *bulk, u64 last, void *entry)
{
	struct maple_node *leaf = bulk->spine[0].node;
	u32 nr = bulk->spine[0].nr;

	if (nr == 0)
		leaf = bulk->spine[0].node = bulk_node(bulk);
	leaf->leaf.last[nr] = last;
	leaf->leaf.slot[nr] = entry;
	bulk->spine[0].nr = ++nr;
	if (nr == LEAF_SLOTS && last != UINT64_MAX)
		bulk_close(bulk, 0, last);
}

/* A hole from next_index to `last`. */
static void bulk_add_hole(struct maple_bulk *bulk, u64 last)
{
	bulk->spine[0].gap = u64_max(bulk->spine[0].gap, last - bulk->next_index + 1);
	bulk_add(bulk, last, NULL);
}

void maple_bulk_store(struct maple_bulk *bulk, u64 first, u64 last, void *entry)
{
	check(first >= bulk->next_index && first <= last && entry != NULL);
	check(bulk->nr_left != 0 && !bulk->full);
	bulk->nr_left--;
	if (first != bulk->next_index)
		bulk_add_hole(bulk, first - 1);
	bulk_add(bulk, last, entry);
	bulk->next_index = last + 1;
	bulk->full = last == UINT64_MAX;
}

void maple_bulk_end(struct maple_bulk *bulk)
{
	struct maple_tree *tree = bulk->tree;
	u32 level = 0;

	if (bulk->next_index != 0 || bulk->full) {
		if (!bulk->full)
			bulk_add_hole(bulk, UINT64_MAX);
		/* Each level's last node ends where the tree ends. */
		while (level + 1 < bulk->height)
			bulk_close(bulk, level++, UINT64_MAX);
		bulk_pad(bulk->spine[level].node, level, bulk->spine[level].nr);
		tree->height = level + 1;
		rcu_publish(&tree->root, link_make(bulk->spine[level].node, level != 0));
		tree_changed(tree);
	}
	stock_free(bulk);
}
