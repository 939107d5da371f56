/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores that change the number of leaves, or write over several.
 *
 * Level by level from the leaves up, what remains of the nodes on the two
 * paths, with the news between them, is laid out in one run of slots, and the
 * run is cut into new nodes.  Those are the news of the level above.  It ends
 * at the first level where one new node stands for one old child: there the
 * link is swung; or with a new root.  Whole subtrees between the paths are
 * never looked into, only freed.
 *
 * A run that is too short takes in a sibling first.  A run that is too long is
 * cut evenly, unless the news are at one of its ends: then the node on the
 * other side is filled to the brim, so that rising (or falling) addresses
 * leave full nodes behind.
 *
 * Source: Bayer and McCreight, "Organization and Maintenance of Large Ordered
 * Indexes", with the uneven split of bulk loaders.
 */
#include "tree/edit.h"
#include "tree/maple.h"
#include "tree/node.h"

/* Two cut leaves with the news between, or a short run and a sibling. */
#define RUN_SLOTS (2 * LEAF_SLOTS + 1)
/* A run becomes three nodes at most, so an inner run has as many slots at most
 * as 2 * (INNER_SLOTS - 1) + 3. */
#define RUN_PARTS_MAX 3
_Static_assert(INNER_SLOTS <= LEAF_SLOTS && INNER_SLOTS >= RUN_PARTS_MAX,
	       "inner runs fit, and a root takes all parts");

struct run {
	u64 first; /* where slot 0 begins */
	u32 nr;
	u32 news;  /* the slot of the new entry, or of the first new child */
	u64 last[RUN_SLOTS];
	void *slot[RUN_SLOTS]; /* entries, or links */
	u64 gap[RUN_SLOTS];    /* of links */
};

static inline u32 level_slots(u32 level)
{
	return level == 0 ? LEAF_SLOTS : INNER_SLOTS;
}

static inline u32 level_min(u32 level)
{
	return level == 0 ? LEAF_MIN : INNER_MIN;
}

static inline u32 level_nr(u32 level, const struct maple_node *node, u64 max)
{
	return level == 0 ? leaf_nr(node, max) : inner_nr(node, max);
}

static inline void run_add(struct run *run, u64 last, void *slot, u64 gap)
{
	run->last[run->nr] = last;
	run->slot[run->nr] = slot;
	run->gap[run->nr] = gap;
	run->nr++;
}

/* Writes the slots [from, to) of a node at place `at` of the run. */
static void run_put(struct run *run, u32 at, u32 level, const struct maple_node *node,
		    u32 from, u32 to)
{
	const u64 *last = level == 0 ? node->leaf.last : node->inner.last;
	void *const *slot = level == 0 ? node->leaf.slot : node->inner.child;
	u32 nr = to - from;

	mem_copy(&run->last[at], &last[from], nr * sizeof(*last));
	mem_copy(&run->slot[at], &slot[from], nr * sizeof(*slot));
	if (level != 0)
		mem_copy(&run->gap[at], &node->inner.gap[from], nr * sizeof(u64));
}

static void run_take(struct run *run, u32 level, const struct maple_node *node, u32 from,
		     u32 to)
{
	if (from >= to)
		return;
	run_put(run, run->nr, level, node, from, to);
	run->nr += to - from;
}

/* The leaves' level: left part, new entry, right part. */
static void run_leaves(const struct edit *edit, struct run *run)
{
	const struct step *left = &edit->left->at[0], *right = &edit->right->at[0];

	run->first = left->first;
	run->nr = 0;
	run_take(run, 0, left->node, 0, edit->from);
	if (edit->first > edit->from_first)
		run_add(run, edit->first - 1, left->node->leaf.slot[edit->from], 0);
	run->news = run->nr;
	run_add(run, edit->last, edit->entry, 0);
	if (edit->last < edit->to_last)
		run_add(run, edit->to_last, right->node->leaf.slot[edit->to], 0);
	run_take(run, 0, right->node, edit->to + 1, leaf_nr(right->node, right->last));
}

/* The level above: children a .. b give way to the parts. */
static void run_parents(const struct edit *edit, u32 level, u32 a, u32 b,
			const struct run *parts, struct run *run)
{
	const struct step *left = &edit->left->at[level], *right = &edit->right->at[level];

	run->first = left->first;
	run->nr = 0;
	run_take(run, level, left->node, 0, a);
	run->news = run->nr;
	for (u32 i = 0; i < parts->nr; i++)
		run_add(run, parts->last[i], parts->slot[i], parts->gap[i]);
	run_take(run, level, right->node, b + 1, inner_nr(right->node, right->last));
}

/*
 * Takes in the sibling behind or before children a .. b of the parents.
 * Without one (the parents have no other children) the run stays short.
 */
static void run_take_sibling(struct edit *edit, u32 level, struct run *run, u32 *a, u32 *b)
{
	struct step *left = &edit->left->at[level + 1], *right = &edit->right->at[level + 1];
	struct maple_node *node;
	u32 nr;

	if (right->node->inner.last[*b] != right->last) {
		++*b;
		node = link_node(right->node->inner.child[*b]);
		nr = level_nr(level, node, right->node->inner.last[*b]);
		run_take(run, level, node, 0, nr);
	} else if (*a != 0) {
		--*a;
		node = link_node(left->node->inner.child[*a]);
		nr = level_nr(level, node, left->node->inner.last[*a]);
		mem_move(&run->last[nr], run->last, run->nr * sizeof(run->last[0]));
		mem_move(&run->slot[nr], run->slot, run->nr * sizeof(run->slot[0]));
		mem_move(&run->gap[nr], run->gap, run->nr * sizeof(run->gap[0]));
		run_put(run, 0, level, node, 0, nr);
		run->nr += nr;
		run->first = *a == 0 ? left->first : left->node->inner.last[*a - 1] + 1;
	} else {
		return;
	}
	run->news = run->nr / 2;
	edit->dead[edit->nr_dead++] = node;
}

/* A node that grows may be short: rising addresses begin new nodes so. */
static bool edit_shrinks(const struct edit *edit, u32 level, u32 nr)
{
	const struct step *left = &edit->left->at[level];

	return left->node != edit->right->at[level].node ||
	       nr < level_nr(level, left->node, left->last);
}

/* How many slots each new node gets; returns how many nodes. */
static u32 run_cut(const struct run *run, u32 capacity, u32 sizes[RUN_PARTS_MAX])
{
	u32 nr = run->nr;

	if (nr <= capacity) {
		sizes[0] = nr;
		return 1;
	}
	if (nr <= 2 * capacity) {
		sizes[0] = nr / 2;
		if (run->news + 2 >= nr)
			sizes[0] = capacity;
		else if (run->news <= 1)
			sizes[0] = nr - capacity;
		sizes[1] = nr - sizes[0];
		return 2;
	}
	sizes[0] = nr / 3;
	sizes[1] = (nr - sizes[0]) / 2;
	sizes[2] = nr - sizes[0] - sizes[1];
	return 3;
}

static void leaf_fill(struct maple_node *node, const struct run *run, u32 from, u32 nr)
{
	mem_copy(node->leaf.last, &run->last[from], nr * sizeof(u64));
	mem_copy(node->leaf.slot, &run->slot[from], nr * sizeof(void *));
	leaf_pad(node, nr, LEAF_SLOTS);
}

static void inner_fill(struct maple_node *node, const struct run *run, u32 from, u32 nr)
{
	mem_copy(node->inner.last, &run->last[from], nr * sizeof(u64));
	mem_copy(node->inner.child, &run->slot[from], nr * sizeof(void *));
	mem_copy(node->inner.gap, &run->gap[from], nr * sizeof(u64));
	inner_pad(node, nr, INNER_SLOTS);
}

/* Cuts the run into new nodes and lists them in `parts`.  0 or -ENOMEM. */
static int edit_emit(struct edit *edit, u32 level, const struct run *run,
		     struct run *parts)
{
	bool gaps = (edit->tree->flags & MAPLE_GAPS) != 0;
	u32 sizes[RUN_PARTS_MAX], nr_parts = run_cut(run, level_slots(level), sizes);
	u64 first = run->first;

	parts->first = first;
	parts->nr = 0;
	parts->news = 0;
	for (u32 p = 0, from = 0; p < nr_parts; from += sizes[p++]) {
		struct maple_node *node = edit_alloc(edit);
		u64 last = run->last[from + sizes[p] - 1], gap = 0;

		if (node == NULL)
			return -QUIRE_ENOMEM;
		edit->fresh[edit->nr_fresh++] = node;
		if (level == 0) {
			leaf_fill(node, run, from, sizes[p]);
			if (gaps)
				gap = leaf_gap(node, first, sizes[p]);
		} else {
			inner_fill(node, run, from, sizes[p]);
			if (gaps)
				gap = inner_gap(node);
		}
		run_add(parts, last, link_make(node, level != 0), gap);
		first = last + 1;
	}
	return 0;
}

/* The nodes of the two paths at this level are replaced. */
static void edit_bury(struct edit *edit, u32 level)
{
	struct maple_node *left = edit->left->at[level].node;
	struct maple_node *right = edit->right->at[level].node;

	edit->dead[edit->nr_dead++] = left;
	if (right != left)
		edit->dead[edit->nr_dead++] = right;
}

/* A new root from what remains on the root's level.  0 or -ENOMEM. */
static int edit_new_root(struct edit *edit, u32 level, struct run *run,
			 struct run *parts)
{
	struct maple_tree *tree = edit->tree;
	u32 height = level;
	void *link;

	if (level == 0 || run->nr > 1) {
		do {
			struct run *built = parts;
			int err = edit_emit(edit, height, run, built);

			if (err != 0)
				return err;
			height++;
			ensure(height < MAPLE_MAX_HEIGHT);
			parts = run;
			run = built;
		} while (run->nr > 1);
	}
	link = run->slot[0];
	/* An only child is the root itself; it was built by this edit, so no
	 * reader knows the node above. */
	while (link_is_inner(link) && link_inner(link)->inner.last[0] == UINT64_MAX) {
		struct maple_node *node = link_inner(link);

		link = node->inner.child[0];
		node_free(tree, node);
		height--;
	}
	rcu_publish(&tree->root, link);
	tree->height = height;
	return 0;
}

static void retire_children(struct maple_tree *tree, struct maple_node *node, u32 from,
			    u32 to)
{
	for (u32 i = from; i < to; i++)
		subtree_free(tree, node->inner.child[i], node->inner.last[i],
			     node_retire);
}

/* Everything the store replaced: between the paths, and on them. */
static void edit_retire(struct edit *edit)
{
	struct maple_tree *tree = edit->tree;

	for (u32 level = 1; edit->left != edit->right; level++) {
		struct step *left = &edit->left->at[level];
		struct step *right = &edit->right->at[level];

		if (left->node == right->node) {
			retire_children(tree, left->node, left->slot + 1, right->slot);
			break;
		}
		retire_children(tree, left->node, left->slot + 1,
				inner_nr(left->node, left->last));
		retire_children(tree, right->node, 0, right->slot);
	}
	for (u32 i = 0; i < edit->nr_dead; i++)
		node_retire(tree, edit->dead[i]);
}

int edit_rebuild(struct edit *edit)
{
	struct maple_tree *tree = edit->tree;
	struct run run, parts;
	u32 level = 0;
	int err;

	run_leaves(edit, &run);
	for (; level + 1 < tree->height; level++) {
		struct step *left = &edit->left->at[level + 1];
		struct step *right = &edit->right->at[level + 1];
		u32 a = left->slot, b = right->slot;

		edit_bury(edit, level);
		if (run.nr < level_min(level) && edit_shrinks(edit, level, run.nr))
			run_take_sibling(edit, level, &run, &a, &b);
		err = edit_emit(edit, level, &run, &parts);
		if (err != 0)
			goto undo;
		if (left->node == right->node && a == b && parts.nr == 1) {
			path_publish(tree, edit->left, level, parts.slot[0]);
			path_set_gap(tree, edit->left, level, parts.gap[0]);
			goto done;
		}
		run_parents(edit, level + 1, a, b, &parts, &run);
	}
	edit_bury(edit, level);
	err = edit_new_root(edit, level, &run, &parts);
	if (err != 0)
		goto undo;
done:
	tree_changed(tree);
	edit_retire(edit);
	return 0;
undo:
	while (edit->nr_fresh != 0)
		node_free(tree, edit->fresh[--edit->nr_fresh]);
	return err;
}

int edit_plant(struct edit *edit)
{
	struct run run = { .nr = 0 };
	struct maple_node *node = edit_alloc(edit);

	if (node == NULL)
		return -QUIRE_ENOMEM;
	if (edit->first != 0)
		run_add(&run, edit->first - 1, NULL, 0);
	run_add(&run, edit->last, edit->entry, 0);
	if (edit->last != UINT64_MAX)
		run_add(&run, UINT64_MAX, NULL, 0);
	leaf_fill(node, &run, 0, run.nr);
	edit->tree->height = 1;
	rcu_publish(&edit->tree->root, link_make(node, false));
	tree_changed(edit->tree);
	return 0;
}

u32 edit_rebuild_nodes(const struct edit *edit)
{
	u32 nr = 2;

	if (edit->left != edit->right)
		return RUN_PARTS_MAX * edit->tree->height + 1;
	if (edit->nr_new < edit->nr)
		return 2 * edit->tree->height + 1;
	/* A leaf splits, and every parent that is full. */
	for (u32 level = 1; level < edit->tree->height; level++) {
		const struct step *step = &edit->left->at[level];

		if (inner_nr(step->node, step->last) < INNER_SLOTS)
			return nr + 1;
		nr += 2;
	}
	return nr + 1;
}
