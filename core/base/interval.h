/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interval tree, intrusive: a balanced search tree ordered by the first point
 * of each interval, each node knowing the largest last point below it.
 * Finding the intervals that meet a range costs O(log n + found).
 * Intervals are INCLUSIVE [first, last], may overlap and may be equal.
 * No locking of its own.
 */
#ifndef BASE_INTERVAL_H
#define BASE_INTERVAL_H

#include "base/types.h"

struct interval_node {
	u64 first, last;
	u64 subtree_last; /* private from here */
	struct interval_node *parent, *left, *right;
	u32 height;
};

struct interval_tree {
	struct interval_node *root;
	u64 nr; /* nodes */
};

/* Pre: node->first <= node->last; not in a tree. */
void interval_insert(struct interval_tree *tree, struct interval_node *node);
void interval_remove(struct interval_tree *tree, struct interval_node *node);
/* The first interval (lowest first) that meets [first, last], or NULL. */
struct interval_node *interval_first(const struct interval_tree *tree, u64 first, u64 last);
/* The next one after `node` that meets [first, last], or NULL. */
struct interval_node *interval_next(const struct interval_node *node, u64 first, u64 last);
/* Asserts order, balance and subtree_last. */
void interval_check(const struct interval_tree *tree);

#define interval_for_each(node, tree, first, last)                        \
	for ((node) = interval_first(tree, first, last); (node) != NULL; \
	     (node) = interval_next(node, first, last))

#endif
