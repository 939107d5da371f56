/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One store in progress: private to tree/.
 *
 * An edit writes one entry over [first, last].  It is located by two paths, to
 * the leaf of `first` and to the leaf of `last` (one path when that is the same
 * leaf).  New nodes are built where no reader sees them; then one store of a
 * link publishes all of them, and only then are the replaced nodes given back.
 * Until that store everything can be undone by freeing the new nodes.
 *
 * Lives on the stack of the store, under the owner's write lock.
 */
#ifndef TREE_EDIT_H
#define TREE_EDIT_H

#include "tree/node.h"

/* A node on the way from the root, what it spans, and the child taken. */
struct step {
	struct maple_node *node;
	u64 first, last;
	u32 slot; /* of an inner node */
};

/* at[0] is the leaf, at[tree->height - 1] the root. */
struct path {
	struct step at[MAPLE_MAX_HEIGHT];
};

/* What a store inside one leaf comes to. */
enum edit_kind {
	EDIT_REPLACE, /* a slot's entry, one word in place */
	EDIT_APPEND,  /* cuts the leaf's last hole, in place */
	EDIT_COPY,    /* one new leaf */
	EDIT_REBUILD, /* leaves split or join, or there are several */
};

struct edit {
	struct maple_tree *tree;
	struct maple_cursor *cur; /* whose set-aside nodes are used first */
	void *entry;
	u64 first, last;
	struct path *left, *right; /* into paths[]; equal: one leaf */
	u32 from, to;              /* leaf slots that hold first, last ... */
	u64 from_first, to_last;   /* ... where the one begins, the other ends */

	/* Of one leaf, by edit_classify(): */
	u32 nr, nr_new;            /* its slots before and after */
	bool before, after;        /* a piece of the old slot remains */
	u64 removed, added;        /* largest holes: edit_weigh_holes() */

	u32 nr_fresh, nr_dead;
	struct path paths[2];
	struct maple_node *fresh[3 * MAPLE_MAX_HEIGHT]; /* built, unpublished */
	struct maple_node *dead[3 * MAPLE_MAX_HEIGHT];  /* replaced by them */
};

/* Where slot i of the node of this step begins. */
static inline u64 step_leaf_first(const struct step *step, u32 i)
{
	return i == 0 ? step->first : step->node->leaf.last[i - 1] + 1;
}

/* A node of the cursor's, or of the cache; NULL: no memory. */
static inline struct maple_node *edit_alloc(struct edit *edit)
{
	struct maple_node *node = edit->cur->prealloc;

	if (node != NULL) {
		edit->cur->prealloc = node->next;
		edit->cur->nr_prealloc--;
		return node;
	}
	return node_alloc(edit->tree);
}

/*
 * Swings the link to the node at `level` of the path.  RELEASE: pairs with the
 * rcu_load() of readers, who then see the whole new node.
 */
static inline void path_publish(struct maple_tree *tree, struct path *path, u32 level,
				void *link)
{
	struct step *parent = &path->at[level + 1];

	if (level + 1 == tree->height)
		rcu_publish(&tree->root, link);
	else
		rcu_publish(&parent->node->inner.child[parent->slot], link);
}

/* Records in the parents that the node at `level` has `gap` as largest hole. */
void path_set_gap(struct maple_tree *tree, struct path *path, u32 level, u64 gap);

/* rebuild.c: the store as a rewriting of whole nodes.  0 or -ENOMEM, undone. */
int edit_rebuild(struct edit *edit);
/* rebuild.c: the first entry of an empty tree.  0 or -ENOMEM. */
int edit_plant(struct edit *edit);
/* rebuild.c: an upper bound of the nodes edit_rebuild() takes. */
u32 edit_rebuild_nodes(const struct edit *edit);

#endif
