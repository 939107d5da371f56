/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The maple tree: a B-tree over [0, UINT64_MAX] that maps ranges to pointers.
 *
 * Every index belongs to exactly one range; a range's entry is a pointer or
 * NULL (a hole).  Ranges here are INCLUSIVE, [first, last], because the last
 * index is UINT64_MAX; it is the one place of the core where they are.
 * Neighbouring holes are one hole.  Entries have their two low bits clear.
 *
 * Writers exclude one another by a lock of the tree's owner.  With MAPLE_RCU,
 * readers inside an RCU section run beside a writer and see each range either
 * before or after the write; without it, readers need the owner's lock too.
 * With MAPLE_GAPS inner nodes know the largest hole below each child, and the
 * empty-area searches work.
 *
 * A reader never waits for a writer: nodes that readers can reach are replaced,
 * not rewritten, but for the few one-word changes that node.h proves harmless.
 *
 * Sources: Liam R. Howlett and Matthew Wilcox, "The Maple Tree" (LPC 2019 and
 * the kernel's public documentation); Bayer and McCreight's B-tree; the
 * duplication argued in letter 004_b20df14de9f2b197.txt.
 */
#ifndef TREE_MAPLE_H
#define TREE_MAPLE_H

#include "base/types.h"
#include "phys/objcache.h"

struct maple_node;

/* More levels than memory can hold nodes for. */
#define MAPLE_MAX_HEIGHT 24

enum maple_flag {
	MAPLE_GAPS = 1u << 0,
	MAPLE_RCU = 1u << 1,
};

struct maple_tree {
	struct objcache *nodes; /* (C) where nodes come from */
	void *root;             /* (A) published; encoding private to tree/ */
	u32 flags;              /* (W) enum maple_flag; owner's write lock */
	u32 height;             /* (W) levels of nodes; 0: no entry anywhere */
	u64 changes;            /* (A) stores so far that replaced a node */
};

/*
 * A place in a tree, and what was found there.  Valid while the lock (or RCU
 * section) under which it was positioned is held; a store through this or
 * another cursor does not invalidate it: it then finds its way from the root
 * again.  Fields below the line are private.
 */
struct maple_cursor {
	struct maple_tree *tree;
	u64 first, last; /* the range sought or found, inclusive */
	/* ---- */
	struct maple_node *node;     /* the leaf last read; NULL: none */
	u64 leaf_first, leaf_last;   /* what that leaf spans */
	u64 changes;                 /* tree->changes before it was looked up */
	u32 slot;                    /* of the range in `node` */
	u32 nr_prealloc;
	struct maple_node *prealloc; /* nodes set aside */
};

/* Size and alignment of a node, for objcache_init() of `nodes`. */
u32 maple_node_bytes(void);
u32 maple_node_align_bytes(void);

void maple_init(struct maple_tree *tree, struct objcache *nodes, u32 flags);
/* Frees all nodes; entries are the owner's.  Pre: write lock, or unshared. */
void maple_destroy(struct maple_tree *tree);
bool maple_is_empty(const struct maple_tree *tree);
/* Turns MAPLE_RCU on or off.  Pre: write lock; off: no concurrent reader. */
void maple_set_rcu(struct maple_tree *tree, bool on);

static inline struct maple_cursor maple_cursor(struct maple_tree *tree, u64 first,
					       u64 last)
{
	return (struct maple_cursor){ .tree = tree, .first = first, .last = last };
}

/* Moves the cursor without looking anything up yet. */
static inline void maple_set_range(struct maple_cursor *cur, u64 first, u64 last)
{
	cur->first = first;
	cur->last = last;
	cur->node = NULL;
}

/* ---- reading: RCU section (MAPLE_RCU) or owner's lock -------------------- */

/* The entry at `index`, or NULL. */
void *maple_load(struct maple_tree *tree, u64 index);
/*
 * The entry at cur->first; first/last become its whole range (holes too).
 */
void *maple_walk(struct maple_cursor *cur);
/*
 * The first entry that ends at or after cur->first and begins at or before
 * `max`, or NULL.  first/last become its range, or stay when there is none.
 */
void *maple_find(struct maple_cursor *cur, u64 max);
/*
 * The entry after / before the cursor's range that begins at or before `max` /
 * ends at or after `min`.  first/last become its range; when there is none
 * (NULL) they stay, so that the search can go on with a farther limit.
 */
void *maple_next(struct maple_cursor *cur, u64 max);
void *maple_prev(struct maple_cursor *cur, u64 min);
/*
 * The lowest / highest hole of `size` indexes inside [min, max].  0 and the
 * cursor's first/last are the area [first, first + size - 1], placed at the
 * low / high end of the hole; -EBUSY when there is none, cursor unspecified;
 * -EINVAL when size is 0 or does not fit.  Beside a writer the answer was a
 * hole when it was read, and -EBUSY may miss one that was just made.
 * Pre: MAPLE_GAPS.
 */
int maple_empty_area(struct maple_cursor *cur, u64 min, u64 max, u64 size);
int maple_empty_area_rev(struct maple_cursor *cur, u64 min, u64 max, u64 size);

#define maple_for_each(cur, entry, max)                             \
	for ((entry) = maple_find(cur, max); (entry) != NULL;       \
	     (entry) = maple_next(cur, max))

/* ---- writing: owner's write lock ------------------------------------------ */

/*
 * Writes `entry` (NULL: a hole) over [cur->first, cur->last], whatever was
 * there.  0 or -ENOMEM with the tree unchanged.
 */
int maple_store(struct maple_cursor *cur, void *entry) MUST_CHECK;
/*
 * maple_store of NULL over the range of the entry at cur->first; the old entry
 * in *ret_entry (which may be NULL), its range in first/last.
 */
int maple_erase(struct maple_cursor *cur, void **ret_entry) MUST_CHECK;
/*
 * Sets nodes aside so that the next maple_store_prealloc() of this cursor,
 * over its range as set now, cannot fail.  0 or -ENOMEM.
 * maple_prealloc_free() gives unused ones back (harmless when there are none).
 */
int maple_preallocate(struct maple_cursor *cur, void *entry) MUST_CHECK;
void maple_store_prealloc(struct maple_cursor *cur, void *entry);
void maple_prealloc_free(struct maple_cursor *cur);
/*
 * Overwrites the entry of exactly the cursor's range, found by walk, find or
 * next, by another non-NULL one.  In place, cannot fail.
 */
void maple_replace(struct maple_cursor *cur, void *entry);

/*
 * Bulk store: `nr_entries` ascending, non-overlapping ranges into an empty
 * tree, nodes allocated ahead.  begin: 0 or -ENOMEM.  store cannot fail for
 * the promised number of entries; end gives back what was not used and
 * publishes.  Until end the tree is not readable.
 */
struct maple_bulk {
	struct maple_tree *tree;
	struct maple_node *stock; /* nodes allocated ahead */
	u64 nr_left;              /* entries still promised */
	u64 next_index;           /* first index not written yet */
	bool full;                /* UINT64_MAX is written */
	u32 height;
	struct {
		struct maple_node *node; /* rightmost of its level, still filling */
		u32 nr;                  /* slots filled */
		u64 gap;                 /* largest hole so far */
	} spine[MAPLE_MAX_HEIGHT];
};
int maple_bulk_begin(struct maple_bulk *bulk, struct maple_tree *tree,
		     u64 nr_entries) MUST_CHECK;
void maple_bulk_store(struct maple_bulk *bulk, u64 first, u64 last, void *entry);
void maple_bulk_end(struct maple_bulk *bulk);

/*
 * Makes `to` (empty, same flags and node cache) an identical tree: every node
 * copied in depth-first pre-order, entries verbatim.  0; -ENOMEM with `to`
 * empty; -EINVAL when `to` is not empty or differs in flags.
 * Pre: write lock of both.
 */
int maple_dup(struct maple_tree *from, struct maple_tree *to) MUST_CHECK;

/* ---- looking at it --------------------------------------------------------- */

struct maple_stats {
	u64 nr_nodes, nr_leaves, nr_entries; /* entries: non-NULL ranges */
	u32 height;
};
void maple_stats(struct maple_tree *tree, struct maple_stats *ret_stats);
/* Asserts every invariant; stops the machine on a breach. */
void maple_check(struct maple_tree *tree);

#endif
