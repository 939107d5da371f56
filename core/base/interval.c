/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interval tree: a height-balanced search tree (Adelson-Velsky and Landis,
 * 1962) augmented with the largest last point of each subtree (Cormen,
 * Leiserson, Rivest and Stein, "Introduction to Algorithms", interval trees).
 *
 * Why AVL: its height is at most 1.45 log2 n, below the 2 log2 n of a
 * red-black tree, and these trees are walked (every rmap walk) more often
 * than they change.
 *
 * Invariants, asserted by interval_check:
 *   1. left descendants begin no later than a node, right ones no earlier;
 *      equal ones stand in the order they were inserted;
 *   2. height is 1 + the larger height of the children, which differ by at
 *      most 1;
 *   3. subtree_last is the largest `last` of the node and its descendants.
 */
#include "base/interval.h"

#include "base/assert.h"

static u32 height_of(const struct interval_node *node)
{
	return node ? node->height : 0;
}

/* Makes height and subtree_last true again; the children's are. */
static void node_refresh(struct interval_node *node)
{
	const struct interval_node *left = node->left, *right = node->right;
	u32 height = 0;
	u64 last = node->last;

	if (left) {
		height = left->height;
		last = u64_max(last, left->subtree_last);
	}
	if (right) {
		if (right->height > height)
			height = right->height;
		last = u64_max(last, right->subtree_last);
	}
	node->height = height + 1;
	node->subtree_last = last;
}

/* Puts `new` (may be NULL) where `old` hangs below `parent`. */
static void replace_child(struct interval_tree *tree, struct interval_node *parent,
			  const struct interval_node *old, struct interval_node *new)
{
	if (!parent)
		tree->root = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

/* The right child comes up in place of `node`; returns it. */
static struct interval_node *rotate_left(struct interval_tree *tree,
					 struct interval_node *node)
{
	struct interval_node *up = node->right;

	replace_child(tree, node->parent, node, up);
	node->right = up->left;
	if (node->right)
		node->right->parent = node;
	up->left = node;
	node->parent = up;
	node_refresh(node);
	node_refresh(up);
	return up;
}

static struct interval_node *rotate_right(struct interval_tree *tree,
					  struct interval_node *node)
{
	struct interval_node *up = node->left;

	replace_child(tree, node->parent, node, up);
	node->left = up->right;
	if (node->left)
		node->left->parent = node;
	up->right = node;
	node->parent = up;
	node_refresh(node);
	node_refresh(up);
	return up;
}

/* Restores the balance at `node`, whose children are balanced and differ by at
 * most 2; returns what stands there now. */
static struct interval_node *node_balance(struct interval_tree *tree,
					  struct interval_node *node)
{
	u32 left = height_of(node->left), right = height_of(node->right);

	if (left > right + 1) {
		if (height_of(node->left->left) < height_of(node->left->right))
			rotate_left(tree, node->left);
		return rotate_right(tree, node);
	}
	if (right > left + 1) {
		if (height_of(node->right->right) < height_of(node->right->left))
			rotate_right(tree, node->right);
		return rotate_left(tree, node);
	}
	node_refresh(node);
	return node;
}

/* From `node` upwards, until nothing changes any more. */
static void rebalance_up(struct interval_tree *tree, struct interval_node *node)
{
	while (node) {
		u32 height = node->height;
		u64 last = node->subtree_last;

		node = node_balance(tree, node);
		if (node->height == height && node->subtree_last == last)
			return;
		node = node->parent;
	}
}

void interval_insert(struct interval_tree *tree, struct interval_node *node)
{
	struct interval_node *parent = NULL;
	struct interval_node **slot = &tree->root;

	check(node->first <= node->last);
	while (*slot) {
		parent = *slot;
		slot = node->first < parent->first ? &parent->left : &parent->right;
	}
	node->parent = parent;
	node->left = NULL;
	node->right = NULL;
	node->height = 1;
	node->subtree_last = node->last;
	*slot = node;
	tree->nr++;
	rebalance_up(tree, parent);
}

/*
 * Puts `next`, the leftmost node right of `node`, in the place of `node`, which
 * has two children.  Returns the lowest node whose subtree changed.
 */
static struct interval_node *put_next_in_place(struct interval_tree *tree,
					       struct interval_node *node,
					       struct interval_node *next)
{
	struct interval_node *changed = next->parent;

	if (changed == node) {
		changed = next;
	} else {
		replace_child(tree, changed, next, next->right);
		next->right = node->right;
		next->right->parent = next;
	}
	next->left = node->left;
	next->left->parent = next;
	/* What stood here before, for rebalance_up to compare with. */
	next->height = node->height;
	next->subtree_last = node->subtree_last;
	replace_child(tree, node->parent, node, next);
	return changed;
}

void interval_remove(struct interval_tree *tree, struct interval_node *node)
{
	struct interval_node *next;

	check(tree->nr > 0);
	tree->nr--;
	if (!node->left || !node->right) {
		replace_child(tree, node->parent, node,
			      node->left ? node->left : node->right);
		rebalance_up(tree, node->parent);
		return;
	}
	for (next = node->right; next->left;)
		next = next->left;
	rebalance_up(tree, put_next_in_place(tree, node, next));
	/* The way up may have ended below `next`, which no longer has the
	 * points of `node` in its subtree. */
	rebalance_up(tree, next);
}

/*
 * The first of the subtree that meets [first, last].
 * Pre: subtree_last >= first, so something in it ends late enough.  The
 * leftmost of those is the answer, or begins beyond `last` and then so does
 * everything after it: a turn to the left never has to be taken back.
 */
static struct interval_node *subtree_first(struct interval_node *node, u64 first, u64 last)
{
	for (;;) {
		if (node->left && node->left->subtree_last >= first) {
			node = node->left;
			continue;
		}
		if (node->first > last)
			return NULL;
		if (node->last >= first)
			return node;
		/* It is not this one and not to the left, so it is to the right. */
		node = node->right;
	}
}

struct interval_node *interval_first(const struct interval_tree *tree, u64 first, u64 last)
{
	if (!tree->root || tree->root->subtree_last < first)
		return NULL;
	return subtree_first(tree->root, first, last);
}

struct interval_node *interval_next(const struct interval_node *node, u64 first, u64 last)
{
	if (node->right && node->right->subtree_last >= first)
		return subtree_first(node->right, first, last);
	for (;;) {
		struct interval_node *parent = node->parent;

		while (parent && parent->right == node) {
			node = parent;
			parent = node->parent;
		}
		if (!parent || parent->first > last)
			return NULL;
		if (parent->last >= first)
			return parent;
		if (parent->right && parent->right->subtree_last >= first)
			return subtree_first(parent->right, first, last);
		node = parent;
	}
}

/* Asserts the invariants of a subtree; returns its number of nodes.  The depth
 * of the recursion is the height of the tree. */
static u64 subtree_check(const struct interval_node *node,
			 const struct interval_node *parent)
{
	u32 left, right;
	u64 last, nr;

	if (!node)
		return 0;
	ensure(node->parent == parent);
	ensure(node->first <= node->last);
	nr = 1 + subtree_check(node->left, node) + subtree_check(node->right, node);
	left = height_of(node->left);
	right = height_of(node->right);
	ensure(left <= right + 1 && right <= left + 1);
	ensure(node->height == 1 + (left > right ? left : right));
	last = node->last;
	if (node->left)
		last = u64_max(last, node->left->subtree_last);
	if (node->right)
		last = u64_max(last, node->right->subtree_last);
	ensure(node->subtree_last == last);
	return nr;
}

void interval_check(const struct interval_tree *tree)
{
	const struct interval_node *node;
	u64 previous = 0, nr = 0;

	ensure(subtree_check(tree->root, NULL) == tree->nr);
	interval_for_each(node, tree, 0, UINT64_MAX) {
		ensure(node->first >= previous);
		previous = node->first;
		nr++;
	}
	ensure(nr == tree->nr);
}
