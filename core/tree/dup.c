/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Duplicating a maple tree: every node copied whole, depth first.
 *
 * A copy differs from its original in its links alone, and a leaf's copy not at
 * all: there is no parent pointer to correct, no search, no split.  The work is
 * one copy of 256 bytes for each node, so it grows with the number of nodes and
 * not with its logarithm: Peng Zhang's duplication and Liam Howlett's question
 * about its cost (letter 004_b20df14de9f2b197.txt) meet here as one row of
 * `quire bench maple`.
 *
 * The children of a node are allocated together.  On failure each level frees
 * the children that are whole and the nodes that are still empty.
 */
#include "tree/maple.h"
#include "tree/node.h"

/*
 * Copies the subtree of `from`, which ends at `max`, into the allocated node
 * `to`.  On -ENOMEM everything below `to` is freed, and `to` is the caller's.
 * As deep as the tree is high.
 */
static int dup_inner(struct maple_tree *tree, const struct maple_node *from,
		     struct maple_node *to, u64 max)
{
	void *children[INNER_SLOTS];
	u32 nr = inner_nr(from, max), i = 0;
	int err = objcache_alloc_bulk(tree->nodes, nr, children);

	if (err != 0)
		return err;
	COST_ADD(tree_nodes, nr);
	node_copy(to, from);
	for (; i < nr; i++) {
		void *link = from->inner.child[i];
		struct maple_node *child = children[i];

		to->inner.child[i] = link_make(child, link_is_inner(link));
		if (!link_is_inner(link)) {
			node_copy(child, link_leaf(link));
			continue;
		}
		err = dup_inner(tree, link_inner(link), child, from->inner.last[i]);
		if (err != 0)
			goto undo;
	}
	return 0;
undo:
	/* Child i is empty again; those before it are whole. */
	for (u32 k = 0; k < i; k++)
		subtree_free(tree, to->inner.child[k], from->inner.last[k],
			     node_free);
	objcache_free_bulk(tree->nodes, nr - i, &children[i]);
	return err;
}

int maple_dup(struct maple_tree *from, struct maple_tree *to)
{
	struct maple_node *root;
	void *link = from->root;
	int err = 0;

	if (to->root != NULL || to->flags != from->flags)
		return -QUIRE_EINVAL;
	if (link == NULL)
		return 0;
	root = node_alloc(to);
	if (root == NULL)
		return -QUIRE_ENOMEM;
	if (link_is_inner(link))
		err = dup_inner(to, link_inner(link), root, UINT64_MAX);
	else
		node_copy(root, link_leaf(link));
	if (err != 0) {
		objcache_free(to->nodes, root);
		return err;
	}
	to->height = from->height;
	rcu_publish(&to->root, link_make(root, link_is_inner(link)));
	tree_changed(to);
	return 0;
}
