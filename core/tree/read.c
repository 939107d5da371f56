/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the maple tree.  Every function here is safe in an RCU section
 * beside a writer, never waits for one, and touches nothing of the tree but by
 * loads.  Why a reader that races with a store is right: node.h, R1 to R5.
 *
 * A cursor remembers the leaf it read last.  Inside that leaf it steps; at the
 * leaf's edge, or when the tree's count of changes says that a node was replaced,
 * it looks the next index up from the root, which is a few dozen instructions
 * every ten or so entries.
 */
#include "tree/maple.h"
#include "tree/node.h"

u32 maple_node_bytes(void)
{
	return sizeof(struct maple_node);
}

u32 maple_node_align_bytes(void)
{
	return NODE_ALIGN_BYTES;
}

void maple_init(struct maple_tree *tree, struct objcache *nodes, u32 flags)
{
	*tree = (struct maple_tree){ .nodes = nodes, .flags = flags };
}

bool maple_is_empty(const struct maple_tree *tree)
{
	return atomic_load(&tree->root) == NULL;
}

void maple_set_rcu(struct maple_tree *tree, bool on)
{
	if (on)
		tree->flags |= MAPLE_RCU;
	else
		tree->flags &= ~(u32)MAPLE_RCU;
}

/* The leaf below `link` that holds `index`; *first and *last: what it spans. */
ALWAYS_INLINE struct maple_node *descend(void *link, u64 index, u64 *first, u64 *last)
{
	while (link_is_inner(link)) {
		struct maple_node *node = link_inner(link);
		u32 i = inner_search(node, index);

		if (i != 0)
			*first = node->inner.last[i - 1] + 1;
		*last = node->inner.last[i];
		/* Pairs with the rcu_publish() of store.c. */
		link = rcu_load(&node->inner.child[i]);
	}
	return link_leaf(link);
}

void *maple_load(struct maple_tree *tree, u64 index)
{
	void *link = rcu_load(&tree->root);
	u64 first = 0, last = UINT64_MAX;
	u32 slot;

	if (link == NULL)
		return NULL;
	return leaf_lookup(descend(link, index, &first, &last), index, &slot, &last);
}

/* What a cursor knows about a range it found. */
struct place {
	struct maple_node *leaf;
	u64 first, last;
	u64 leaf_first, leaf_last;
	u64 changes;
	u32 slot;
};

/* `i` is a slot of `leaf`: where it begins. */
ALWAYS_INLINE u64 slot_first(const struct maple_node *leaf, u32 i, u64 leaf_first)
{
	/* Not the last slot's boundary, so it does not move any more (R1). */
	return i == 0 ? leaf_first : atomic_load(&leaf->leaf.last[i - 1]) + 1;
}

ALWAYS_INLINE void *place_find(struct maple_tree *tree, u64 index, struct place *place)
{
	void *link, *entry;

	/* Before the walk, so that no later change goes unnoticed; pairs with
	 * tree_changed(). */
	place->changes = atomic_load_acquire(&tree->changes);
	place->leaf_first = 0;
	place->leaf_last = UINT64_MAX;
	link = rcu_load(&tree->root);
	if (link == NULL) {
		place->leaf = NULL;
		place->slot = 0;
		place->first = 0;
		place->last = UINT64_MAX;
		return NULL;
	}
	place->leaf = descend(link, index, &place->leaf_first, &place->leaf_last);
	entry = leaf_lookup(place->leaf, index, &place->slot, &place->last);
	place->first = slot_first(place->leaf, place->slot, place->leaf_first);
	return entry;
}

ALWAYS_INLINE void cursor_set(struct maple_cursor *cur, const struct place *place)
{
	cur->node = place->leaf;
	cur->first = place->first;
	cur->last = place->last;
	cur->leaf_first = place->leaf_first;
	cur->leaf_last = place->leaf_last;
	cur->changes = place->changes;
	cur->slot = place->slot;
}

void *maple_walk(struct maple_cursor *cur)
{
	struct place place;
	void *entry = place_find(cur->tree, cur->first, &place);

	cursor_set(cur, &place);
	return entry;
}

/* The first entry at or after `index` that begins at or before `max`. */
static void *seek_up(struct maple_cursor *cur, u64 index, u64 max)
{
	struct place place;

	for (;;) {
		void *entry = place_find(cur->tree, index, &place);

		/* Two holes never touch: this is at most one step. */
		while (entry == NULL && place.last < place.leaf_last) {
			place.first = place.last + 1;
			entry = leaf_read(place.leaf, ++place.slot, &place.last);
		}
		if (entry != NULL) {
			if (place.first > max)
				return NULL;
			cursor_set(cur, &place);
			return entry;
		}
		if (place.last >= max)
			return NULL;
		index = place.last + 1;
	}
}

/* The last entry at or before `index` that ends at or after `min`. */
static void *seek_down(struct maple_cursor *cur, u64 index, u64 min)
{
	struct place place;

	for (;;) {
		void *entry = place_find(cur->tree, index, &place);

		while (entry == NULL && place.slot != 0) {
			entry = leaf_read(place.leaf, --place.slot, &place.last);
			place.first = slot_first(place.leaf, place.slot,
						 place.leaf_first);
		}
		if (entry != NULL) {
			if (place.last < min)
				return NULL;
			cursor_set(cur, &place);
			return entry;
		}
		if (place.first <= min)
			return NULL;
		index = place.first - 1;
	}
}

void *maple_find(struct maple_cursor *cur, u64 max)
{
	return cur->first > max ? NULL : seek_up(cur, cur->first, max);
}

void *maple_next(struct maple_cursor *cur, u64 max)
{
	u64 last = cur->last;

	if (last >= max)
		return NULL;
	if (cur->node != NULL && last < cur->leaf_last && cursor_is_fresh(cur)) {
		u32 i = cur->slot;
		u64 first;
		void *entry;

		do {
			first = last + 1;
			entry = leaf_read(cur->node, ++i, &last);
		} while (entry == NULL && last < cur->leaf_last);
		if (entry != NULL) {
			if (first > max)
				return NULL;
			cur->first = first;
			cur->last = last;
			cur->slot = i;
			return entry;
		}
		if (last >= max)
			return NULL;
	}
	return seek_up(cur, last + 1, max);
}

void *maple_prev(struct maple_cursor *cur, u64 min)
{
	u64 first = cur->first;

	if (first <= min)
		return NULL;
	if (cur->node != NULL && cur->slot != 0 && cursor_is_fresh(cur)) {
		u32 i = cur->slot;
		u64 last;
		void *entry;

		do {
			entry = leaf_read(cur->node, --i, &last);
			first = slot_first(cur->node, i, cur->leaf_first);
		} while (entry == NULL && i != 0);
		if (entry != NULL) {
			if (last < min)
				return NULL;
			cur->first = first;
			cur->last = last;
			cur->slot = i;
			return entry;
		}
		if (first <= min)
			return NULL;
	}
	return seek_down(cur, first - 1, min);
}
