/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing the maple tree: store, erase, replace, preallocation.
 *
 * Invariants that a store keeps (maple_check() asserts them):
 *   T1  Boundaries of a node rise strictly; its last slot ends where it ends;
 *       words behind are UINT64_MAX, slots behind NULL, gaps behind 0.
 *   T2  All leaves are on one level.
 *   T3  Two neighbouring slots, of one leaf or of two, are never both holes.
 *       So a hole is one slot of one leaf, whatever its size.
 *   T4  With MAPLE_GAPS, gap[i] is exactly the largest hole below child[i].
 *   T5  A tree without entries has no node; an inner root has two children.
 *
 * Most stores touch one leaf and are one of three: a word in place, a cut of
 * the last hole in place, or one new leaf linked in place of the old.  The
 * rest goes to rebuild.c.  The largest hole of a leaf is computed anew only
 * when the largest one was written over; parents hear of it only if it changed.
 */
#include "tree/edit.h"
#include "tree/maple.h"
#include "tree/node.h"

/* Returns the slot of `index` in the leaf. */
ALWAYS_INLINE u32 path_walk(struct maple_tree *tree, u64 index, struct path *path)
{
	void *link = tree->root;
	u64 first = 0, last = UINT64_MAX;
	struct step *step = &path->at[tree->height - 1];

	for (; step != path->at; step--) {
		struct maple_node *node = link_inner(link);
		u32 i = inner_search(node, index);

		step->node = node;
		step->first = first;
		step->last = last;
		step->slot = i;
		if (i != 0)
			first = node->inner.last[i - 1] + 1;
		last = node->inner.last[i];
		link = node->inner.child[i];
	}
	step->node = link_leaf(link);
	step->first = first;
	step->last = last;
	return leaf_search_locked(step->node, index);
}

/*
 * A node's own largest hole stands in its parent; it changes with the child's
 * only if the child's was the largest or becomes it.
 */
void path_set_gap(struct maple_tree *tree, struct path *path, u32 level, u64 gap)
{
	if (!(tree->flags & MAPLE_GAPS))
		return;
	for (level++; level < tree->height; level++) {
		struct step *step = &path->at[level];
		u64 *word = &step->node->inner.gap[step->slot];
		u64 old = *word;
		u64 old_node_gap;

		if (old == gap)
			return;
		atomic_store(word, gap);
		if (level + 1 == tree->height)
			return;
		old_node_gap = path->at[level + 1].node->inner.gap[path->at[level + 1].slot];
		if (gap <= old_node_gap) {
			if (old < old_node_gap)
				return;
			gap = inner_gap(step->node);
		}
	}
}

/* ---- where the edit goes ------------------------------------------------------ */

static void edit_locate_left(struct edit *edit, u64 index)
{
	edit->from = path_walk(edit->tree, index, edit->left);
	edit->from_first = step_leaf_first(&edit->left->at[0], edit->from);
}

static void edit_locate_right(struct edit *edit, u64 index)
{
	edit->right = &edit->paths[1];
	edit->to = path_walk(edit->tree, index, edit->right);
	edit->to_last = edit->right->at[0].node->leaf.last[edit->to];
}

ALWAYS_INLINE void edit_locate(struct edit *edit)
{
	struct step *leaf = &edit->paths[0].at[0];

	edit->left = &edit->paths[0];
	edit->right = &edit->paths[0];
	edit_locate_left(edit, edit->first);
	edit->to = edit->from;
	edit->to_last = leaf->node->leaf.last[edit->from];
	if (likely(edit->last <= edit->to_last))
		return;
	if (edit->last <= leaf->last) {
		edit->to = leaf_search_locked(leaf->node, edit->last);
		edit->to_last = leaf->node->leaf.last[edit->to];
	} else {
		edit_locate_right(edit, edit->last);
	}
}

/* The left edge of a new hole takes in the hole it lies in or touches (T3). */
static void edit_widen_left(struct edit *edit)
{
	struct step *leaf = &edit->left->at[0];

	if (leaf->node->leaf.slot[edit->from] == NULL) {
		/* It lies in one. */
	} else if (edit->first != edit->from_first || edit->first == 0) {
		return;
	} else if (edit->from != 0) {
		if (leaf->node->leaf.slot[edit->from - 1] != NULL)
			return;
		edit->from--;
		edit->from_first = step_leaf_first(leaf, edit->from);
	} else {
		if (maple_load(edit->tree, edit->first - 1) != NULL)
			return;
		if (edit->right == edit->left) {
			edit->right = &edit->paths[1];
			mem_copy(edit->right, edit->left,
				 edit->tree->height * sizeof(struct step));
		}
		edit_locate_left(edit, edit->first - 1);
	}
	edit->first = edit->from_first;
}

static void edit_widen_right(struct edit *edit)
{
	struct step *leaf = &edit->right->at[0];

	if (leaf->node->leaf.slot[edit->to] == NULL) {
		/* It lies in one. */
	} else if (edit->last != edit->to_last || edit->last == UINT64_MAX) {
		return;
	} else if (edit->last != leaf->last) {
		if (leaf->node->leaf.slot[edit->to + 1] != NULL)
			return;
		edit->to++;
		edit->to_last = leaf->node->leaf.last[edit->to];
	} else {
		if (maple_load(edit->tree, edit->last + 1) != NULL)
			return;
		edit_locate_right(edit, edit->last + 1);
	}
	edit->last = edit->to_last;
}

ALWAYS_INLINE enum edit_kind edit_classify(struct edit *edit)
{
	struct step *leaf = &edit->left->at[0];
	u32 from = edit->from, to = edit->to;

	if (edit->left != edit->right)
		return EDIT_REBUILD;
	edit->before = edit->first > edit->from_first;
	edit->after = edit->last < edit->to_last;
	if (from == to && !edit->before && !edit->after)
		return EDIT_REPLACE;
	edit->nr = edit->to_last == leaf->last ? to + 1 : leaf_nr(leaf->node, leaf->last);
	edit->nr_new = edit->nr + edit->before + edit->after - (to - from);
	if (edit->nr_new > LEAF_SLOTS)
		return EDIT_REBUILD;
	if (from == edit->nr - 1 && leaf->node->leaf.slot[from] == NULL)
		return EDIT_APPEND;
	if (edit->nr_new < LEAF_MIN && edit->nr_new < edit->nr && edit->tree->height > 1)
		return EDIT_REBUILD;
	return EDIT_COPY;
}

/* ---- the three common stores ---------------------------------------------------- */

/* Somebody above the leaf records its largest hole. */
static inline bool edit_needs_gap(const struct edit *edit)
{
	return edit->tree->height > 1 && (edit->tree->flags & MAPLE_GAPS);
}

/*
 * The largest hole among the slots that are written over, and the largest among
 * what stands in their place.  Before the store, if it is in place.
 */
ALWAYS_INLINE void edit_weigh_holes(struct edit *edit)
{
	const struct maple_node *leaf = edit->left->at[0].node;
	u64 first = edit->from_first, gap = 0;

	if (!edit_needs_gap(edit))
		return;
	for (u32 i = edit->from; i <= edit->to; i++) {
		u64 end = leaf->leaf.last[i] + 1;

		if (leaf->leaf.slot[i] == NULL)
			gap = u64_max(gap, end - first);
		first = end;
	}
	edit->removed = gap;
	gap = 0;
	if (edit->entry == NULL) {
		gap = edit->last - edit->first + 1;
	} else {
		if (leaf->leaf.slot[edit->from] == NULL)
			gap = edit->first - edit->from_first;
		if (leaf->leaf.slot[edit->to] == NULL)
			gap = u64_max(gap, edit->to_last - edit->last);
	}
	edit->added = gap;
}

/* `node` is what the leaf has become. */
static void edit_leaf_gap(struct edit *edit, const struct maple_node *node)
{
	struct step *parent = &edit->left->at[1];
	u64 gap;

	if (!edit_needs_gap(edit))
		return;
	gap = parent->node->inner.gap[parent->slot];
	if (edit->removed < gap)
		gap = u64_max(gap, edit->added);
	else if (edit->added >= edit->removed)
		gap = edit->added;
	else
		gap = leaf_gap(node, edit->left->at[0].first,
			       leaf_nr(node, edit->left->at[0].last));
	path_set_gap(edit->tree, edit->left, 0, gap);
}

static void leaf_replace(struct edit *edit)
{
	struct maple_node *leaf = edit->left->at[0].node;
	void **slot = &leaf->leaf.slot[edit->from];
	bool same_holes = (*slot == NULL) == (edit->entry == NULL);

	if (!same_holes)
		edit_weigh_holes(edit);
	/* RELEASE pairs with leaf_read(): what the entry points to. */
	atomic_store_release(slot, edit->entry);
	if (!same_holes)
		edit_leaf_gap(edit, leaf);
}

/*
 * Cuts the leaf's last hole in two before index `at`.  To readers nothing
 * changes: they find a hole on both sides (R3 of node.h).  RELEASE: who finds
 * the boundary lowered also finds the one behind it.
 */
ALWAYS_INLINE void leaf_cut_hole(struct step *leaf, u32 slot, u64 at)
{
	atomic_store(&leaf->node->leaf.last[slot + 1], leaf->last);
	atomic_store_release(&leaf->node->leaf.last[slot], at - 1);
}

/*
 * The edit's range becomes a slot of its own; then one store fills it.  Cursors
 * in this leaf stay good: the slots before are what they were.
 */
static void leaf_append(struct edit *edit)
{
	struct step *leaf = &edit->left->at[0];
	u32 slot = edit->from;

	edit_weigh_holes(edit);
	if (edit->before)
		leaf_cut_hole(leaf, slot++, edit->first);
	if (edit->after)
		leaf_cut_hole(leaf, slot, edit->last + 1);
	atomic_store_release(&leaf->node->leaf.slot[slot], edit->entry);
	edit_leaf_gap(edit, leaf->node);
}

/* `to` becomes `from` with the edit's slots written over. */
static void leaf_copy(const struct edit *edit, const struct maple_node *from,
		      struct maple_node *to)
{
	u32 k = edit->from, tail = edit->to + 1;
	u32 at = k + 1 + edit->before + edit->after;

	node_copy(to, from);
	if (at != tail) {
		mem_copy(&to->leaf.last[at], &from->leaf.last[tail],
			 (edit->nr - tail) * sizeof(to->leaf.last[0]));
		mem_copy(&to->leaf.slot[at], &from->leaf.slot[tail],
			 (edit->nr - tail) * sizeof(to->leaf.slot[0]));
		leaf_pad(to, edit->nr_new, edit->nr);
	}
	if (edit->before)
		to->leaf.last[k++] = edit->first - 1;
	to->leaf.last[k] = edit->last;
	to->leaf.slot[k] = edit->entry;
	if (edit->after) {
		to->leaf.last[k + 1] = edit->to_last;
		to->leaf.slot[k + 1] = from->leaf.slot[edit->to];
	}
}

static int leaf_renew(struct edit *edit)
{
	struct maple_node *old = edit->left->at[0].node;
	struct maple_node *node = edit_alloc(edit);

	if (node == NULL)
		return -QUIRE_ENOMEM;
	leaf_copy(edit, old, node);
	path_publish(edit->tree, edit->left, 0, link_make(node, false));
	tree_changed(edit->tree);
	edit_weigh_holes(edit);
	edit_leaf_gap(edit, node);
	node_retire(edit->tree, old);
	return 0;
}

/* ---- the interface --------------------------------------------------------------- */

static int edit_store(struct edit *edit)
{
	switch (edit_classify(edit)) {
	case EDIT_REPLACE:
		leaf_replace(edit);
		return 0;
	case EDIT_APPEND:
		leaf_append(edit);
		return 0;
	case EDIT_COPY:
		return leaf_renew(edit);
	case EDIT_REBUILD:
		break;
	}
	return edit_rebuild(edit);
}

static void edit_init(struct edit *edit, struct maple_cursor *cur, void *entry)
{
	edit->tree = cur->tree;
	edit->cur = cur;
	edit->entry = entry;
	edit->first = cur->first;
	edit->last = cur->last;
	edit->nr_fresh = 0;
	edit->nr_dead = 0;
}

/* Widens a new hole.  True: nothing would remain in the tree. */
static bool edit_widen(struct edit *edit)
{
	edit_widen_left(edit);
	edit_widen_right(edit);
	return edit->first == 0 && edit->last == UINT64_MAX;
}

int maple_store(struct maple_cursor *cur, void *entry)
{
	struct maple_tree *tree = cur->tree;
	struct edit edit;

	check(cur->first <= cur->last && ((uintptr_t)entry & 3) == 0);
	cur->node = NULL;
	edit_init(&edit, cur, entry);
	if (unlikely(tree->root == NULL))
		return entry == NULL ? 0 : edit_plant(&edit);
	edit_locate(&edit);
	if (entry == NULL && edit_widen(&edit)) {
		maple_destroy(tree);
		return 0;
	}
	return edit_store(&edit);
}

int maple_erase(struct maple_cursor *cur, void **ret_entry)
{
	struct maple_tree *tree = cur->tree;
	struct edit edit;
	void *entry = NULL;
	u64 first, last;
	int err = 0;

	cur->node = NULL;
	if (tree->root == NULL)
		goto out;
	edit_init(&edit, cur, NULL);
	edit.last = edit.first;
	edit_locate(&edit);
	entry = edit.left->at[0].node->leaf.slot[edit.from];
	if (entry == NULL)
		goto out;
	edit.first = first = edit.from_first;
	edit.last = last = edit.to_last;
	if (edit_widen(&edit))
		maple_destroy(tree);
	else
		err = edit_store(&edit);
	if (err != 0)
		return err;
	cur->first = first;
	cur->last = last;
out:
	if (ret_entry != NULL)
		*ret_entry = entry;
	return 0;
}

void maple_replace(struct maple_cursor *cur, void *entry)
{
	u64 first = cur->first, last = cur->last;

	check(entry != NULL && ((uintptr_t)entry & 3) == 0);
	if (cur->node == NULL || !cursor_is_fresh(cur))
		maple_walk(cur);
	ensure(cur->node != NULL && cur->first == first && cur->last == last);
	check(cur->node->leaf.slot[cur->slot] != NULL);
	/* RELEASE pairs with leaf_read(): what the entry points to. */
	atomic_store_release(&cur->node->leaf.slot[cur->slot], entry);
}

void maple_destroy(struct maple_tree *tree)
{
	void *link = tree->root;

	if (link == NULL)
		return;
	rcu_publish(&tree->root, NULL);
	tree->height = 0;
	tree_changed(tree);
	subtree_free(tree, link, UINT64_MAX, node_retire);
}

void subtree_free(struct maple_tree *tree, void *link, u64 max,
		  void (*give_back)(struct maple_tree *tree, struct maple_node *node))
{
	struct maple_node *node = link_node(link);
	u64 last;

	if (link_is_inner(link)) {
		u32 i = 0;

		do {
			last = node->inner.last[i];
			subtree_free(tree, node->inner.child[i], last, give_back);
			i++;
		} while (last != max);
	}
	give_back(tree, node);
}

/* ---- nodes set aside ---------------------------------------------------------------- */

static u32 edit_nodes(struct edit *edit)
{
	if (edit->tree->root == NULL)
		return edit->entry != NULL;
	edit_locate(edit);
	if (edit->entry == NULL && edit_widen(edit))
		return 0;
	switch (edit_classify(edit)) {
	case EDIT_REPLACE:
	case EDIT_APPEND:
		return 0;
	case EDIT_COPY:
		return 1;
	case EDIT_REBUILD:
		break;
	}
	return edit_rebuild_nodes(edit);
}

int maple_preallocate(struct maple_cursor *cur, void *entry)
{
	struct edit edit;
	u32 nr;

	check(cur->first <= cur->last);
	edit_init(&edit, cur, entry);
	nr = edit_nodes(&edit);
	while (cur->nr_prealloc < nr) {
		struct maple_node *node = node_alloc(cur->tree);

		if (node == NULL) {
			maple_prealloc_free(cur);
			return -QUIRE_ENOMEM;
		}
		node->next = cur->prealloc;
		cur->prealloc = node;
		cur->nr_prealloc++;
	}
	return 0;
}

void maple_store_prealloc(struct maple_cursor *cur, void *entry)
{
	int err = maple_store(cur, entry);

	ensure(err == 0);
	maple_prealloc_free(cur);
}

void maple_prealloc_free(struct maple_cursor *cur)
{
	while (cur->prealloc != NULL) {
		struct maple_node *node = cur->prealloc;

		cur->prealloc = node->next;
		node_free(cur->tree, node);
	}
	cur->nr_prealloc = 0;
}
