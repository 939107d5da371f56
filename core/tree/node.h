/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nodes of the maple tree: private to tree/.
 *
 * A node spans a range of indexes that its parent gives it (the root: all) and
 * cuts it into slots.  last[i] is the last index of slot i and slot i begins
 * behind slot i-1.  The last slot in use ends where the node ends; words
 * behind it hold UINT64_MAX.  There is no count and no header: the slot
 * that holds an index, and so also the number of slots, comes from a search of
 * a few comparisons that do not branch.
 *
 *     leaf    last[16]  slot[16]                256 bytes
 *     inner   last[10]  child[10]  gap[10]      240 bytes
 *
 * A child is a link: the address of a node with the lowest bit set when that
 * node is an inner one.  There are no parent pointers: a writer remembers its
 * path, a reader that leaves a leaf starts again at the root.  So a node can be
 * replaced by writing one link, and copied without touching its children.
 *
 * What readers rely on:
 *   R1  A node, once published, keeps its boundaries, with one exception: the
 *       last slot of a leaf, a hole, may be cut into up to three slots (R3).
 *       Every other change of structure builds new nodes and swings one link.
 *   R2  An inner node's last[] never changes; its links and gaps do, and so do
 *       a leaf's entries, each in one atomic word.  Gaps are hints to readers.
 *   R3  A hole is cut by writing the boundary of the new slot behind it, then
 *       lowering its own: boundaries rise from slot to slot at every moment,
 *       each only ever falls, and lower ones fall first.  Both pieces are
 *       holes; the new entry is stored last, and that store commits.
 *   R4  An entry is written after the boundary of its slot, and read between
 *       two readings of that boundary (leaf_read): as boundaries only fall, two
 *       equal readings mean that it stood still and the entry belonged to it.
 *   R5  A replaced node stays readable until a grace period has passed, and
 *       keeps the contents it had when it was replaced.
 * So each index is seen either before or after a store, and a hole that is just
 * being cut may be seen already cut.
 *
 * Source: the layout follows "The Maple Tree" by Liam R. Howlett and Matthew
 * Wilcox; leaving out parent pointers and headers is ours, for the sake of
 * duplication (letter 004_b20df14de9f2b197.txt) and of replacing a node by one
 * store.
 */
#ifndef TREE_NODE_H
#define TREE_NODE_H

#include "base/assert.h"
#include "base/bits.h"
#include "base/memory.h"
#include "sync/atomic.h"
#include "tree/maple.h"

#define LEAF_SLOTS ((u32)QUIRE_MAPLE_SLOTS)
/* An inner slot is three words where a leaf's is two. */
#define INNER_SLOTS (2 * LEAF_SLOTS / 3 > 3 ? 2 * LEAF_SLOTS / 3 : 3)
/* A node that shrinks below this is joined with a sibling. */
#define LEAF_MIN (LEAF_SLOTS / 3 > 2 ? LEAF_SLOTS / 3 : 2)
#define INNER_MIN (INNER_SLOTS / 3 > 2 ? INNER_SLOTS / 3 : 2)

struct maple_node {
	union {
		struct {
			u64 last[LEAF_SLOTS];   /* (A) last index of slot i */
			void *slot[LEAF_SLOTS]; /* (A) entry; NULL: a hole */
		} leaf;
		struct {
			u64 last[INNER_SLOTS];    /* (C) */
			void *child[INNER_SLOTS]; /* (A) link */
			u64 gap[INNER_SLOTS];     /* (A) largest hole below */
		} inner;
		struct maple_node *next; /* of a node set aside */
	};
};

#define NODE_ALIGN_BYTES (sizeof(struct maple_node) % 256 == 0 ? 256u : 8u)
_Static_assert(QUIRE_MAPLE_SLOTS != 16 || sizeof(struct maple_node) == 256,
	       "four cache lines a node");

/* ---- links ----------------------------------------------------------------- */

#define LINK_INNER ((uintptr_t)1)

static inline void *link_make(struct maple_node *node, bool inner)
{
	return (char *)node + (inner ? LINK_INNER : 0);
}

static inline bool link_is_inner(const void *link)
{
	return ((uintptr_t)link & LINK_INNER) != 0;
}

/* Pre: link_is_inner(). */
static inline struct maple_node *link_inner(void *link)
{
	return (struct maple_node *)(void *)((char *)link - LINK_INNER);
}

/* Pre: not link_is_inner(), not NULL. */
static inline struct maple_node *link_leaf(void *link)
{
	return (struct maple_node *)link;
}

static inline struct maple_node *link_node(void *link)
{
	return (struct maple_node *)((uintptr_t)link & ~LINK_INNER);
}

/* ---- where an index lies in a node ------------------------------------------ */
/*
 * The first slot that ends at or after `index`; the node spans it.  Three
 * boundaries tell the quarter of the node, three more the slot in it.  The
 * three of a round do not wait for one another, and nothing branches: against
 * halving, half the time.
 *
 * Boundaries may fall while they are read.  A comparison that found one below
 * `index` stays true, and so does it for all boundaries left of it; so slot
 * i - 1 does end below `index`, and whether slot i still reaches it is what
 * leaf_lookup() looks at.
 */
_Static_assert(LEAF_SLOTS == 16 || LEAF_SLOTS == 4, "leaf_search: quarters of quarters");
_Static_assert(INNER_SLOTS == 10 || INNER_SLOTS == 3, "inner_search: three and three and four");

/*
 * ACQUIRE: a boundary that was just lowered brings those before it and the one
 * behind it (R3); pairs with leaf_cut_hole() in store.c.
 */
#define LEAF_BELOW(i) \
	(u32)((locked ? node->leaf.last[i] : atomic_load_acquire(&node->leaf.last[i])) < index)

ALWAYS_INLINE u32 leaf_search_as(const struct maple_node *node, u64 index, bool locked)
{
	u32 i = 0;

	if (LEAF_SLOTS > 4)
		i = 4 * (LEAF_BELOW(3) + LEAF_BELOW(7) + LEAF_BELOW(11));
	return i + LEAF_BELOW(i) + LEAF_BELOW(i + 1) + LEAF_BELOW(i + 2);
}

ALWAYS_INLINE u32 leaf_search(const struct maple_node *node, u64 index)
{
	return leaf_search_as(node, index, false);
}

/* Under the write lock nobody else stores. */
ALWAYS_INLINE u32 leaf_search_locked(const struct maple_node *node, u64 index)
{
	return leaf_search_as(node, index, true);
}

#define INNER_BELOW(i) (u32)(node->inner.last[i] < index)

ALWAYS_INLINE u32 inner_search(const struct maple_node *node, u64 index)
{
	u32 i = 0;

	if (INNER_SLOTS > 3)
		i = 3 * (INNER_BELOW(2) + INNER_BELOW(5));
	return i + INNER_BELOW(i) + INNER_BELOW(i + 1) + INNER_BELOW(i + 2);
}

/*
 * The entry of slot i and, in *ret_last, the last index it stood for when it
 * was read (R4).  The release stores of store.c pair with both ACQUIREs.
 */
ALWAYS_INLINE void *leaf_read(const struct maple_node *node, u32 i, u64 *ret_last)
{
	u64 last = atomic_load_acquire(&node->leaf.last[i]);

	for (;;) {
		void *entry = atomic_load_acquire(&node->leaf.slot[i]);
		u64 again = atomic_load(&node->leaf.last[i]);

		if (likely(again == last)) {
			*ret_last = last;
			return entry;
		}
		last = again;
	}
}

/*
 * The slot of `index` and its entry.  A boundary may fall below `index`
 * between the search and the reading; then the search is repeated, at most
 * once for each slot that is cut off the end of the leaf.
 */
ALWAYS_INLINE void *leaf_lookup(const struct maple_node *leaf, u64 index, u32 *ret_slot,
				u64 *ret_last)
{
	void *entry;

	do {
		*ret_slot = leaf_search(leaf, index);
		entry = leaf_read(leaf, *ret_slot, ret_last);
	} while (unlikely(*ret_last < index));
	return entry;
}

/*
 * No node was replaced since the cursor's leaf was looked up, so the leaf is
 * still in the tree: who holds the lock may read it, and what a reader loads from it
 * after this call was current during the call or later (R5).  ACQUIRE pairs
 * with tree_changed().
 */
ALWAYS_INLINE bool cursor_is_fresh(const struct maple_cursor *cur)
{
	return atomic_load_acquire(&cur->tree->changes) == cur->changes;
}

/* ---- for writers ------------------------------------------------------------- */

/* Slots in use of a node that ends at `max`. */
static inline u32 leaf_nr(const struct maple_node *node, u64 max)
{
	return leaf_search_locked(node, max) + 1;
}

static inline u32 inner_nr(const struct maple_node *node, u64 max)
{
	return inner_search(node, max) + 1;
}

/*
 * A whole node.  The size is hidden from the compiler, which would spell the
 * copy out in the narrow moves of the oldest processor or as a string
 * instruction; memcpy knows the widest moves of this one.
 */
static inline void node_copy(struct maple_node *to, const struct maple_node *from)
{
	size_t bytes = sizeof(*to);

	__asm__("" : "+r"(bytes));
	mem_copy(to, from, bytes);
}

/* The slots [from, to) are not in use: T1 of store.c. */
static inline void leaf_pad(struct maple_node *node, u32 from, u32 to)
{
	for (u32 i = from; i < to; i++) {
		node->leaf.last[i] = UINT64_MAX;
		node->leaf.slot[i] = NULL;
	}
}

static inline void inner_pad(struct maple_node *node, u32 from, u32 to)
{
	for (u32 i = from; i < to; i++) {
		node->inner.last[i] = UINT64_MAX;
		node->inner.child[i] = NULL;
		node->inner.gap[i] = 0;
	}
}

/* The largest hole of a leaf that begins at `min` and has `nr` slots. */
static inline u64 leaf_gap(const struct maple_node *node, u64 min, u32 nr)
{
	u64 gap = 0, first = min;

	for (u32 i = 0; i < nr; i++) {
		u64 end = node->leaf.last[i] + 1;
		u64 hole = node->leaf.slot[i] == NULL ? end - first : 0;

		gap = hole > gap ? hole : gap;
		first = end;
	}
	return gap;
}

/* Unused slots have gap 0, so all words can be looked at. */
static inline u64 inner_gap(const struct maple_node *node)
{
	u64 gap = 0;

	for (u32 i = 0; i < INNER_SLOTS; i++) {
		u64 child = node->inner.gap[i];

		gap = child > gap ? child : gap;
	}
	return gap;
}

static inline struct maple_node *node_alloc(struct maple_tree *tree)
{
	COST_ADD(tree_nodes, 1);
	return objcache_alloc(tree->nodes);
}

/* Gives back a node that no reader ever reached. */
static inline void node_free(struct maple_tree *tree, struct maple_node *node)
{
	objcache_free(tree->nodes, node);
}

/* Gives back a node that readers could reach until now (R5). */
static inline void node_retire(struct maple_tree *tree, struct maple_node *node)
{
	if (tree->flags & MAPLE_RCU)
		objcache_free_rcu(tree->nodes, node);
	else
		objcache_free(tree->nodes, node);
}

/* Gives back a node, which ends at `max`, and all below it. */
void subtree_free(struct maple_tree *tree, void *link, u64 max,
		  void (*give_back)(struct maple_tree *tree, struct maple_node *node));

/*
 * Tells cursors that the leaf they remember may be out of the tree.  After the link
 * was swung and before anything is freed; RELEASE pairs with the ACQUIRE of
 * cursor_is_fresh().
 */
static inline void tree_changed(struct maple_tree *tree)
{
	atomic_store_release(&tree->changes, tree->changes + 1);
}

#endif
