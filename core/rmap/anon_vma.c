/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anon_vmas: which VMAs may map the pages of an anonymous folio.
 *
 * Guarantees.  Every function that can fail allocates all it needs before it
 * takes a lock or changes anything, so a failure leaves nothing to undo.  An
 * anon_vma goes when its last link goes; its memory outlives the readers that
 * found it through a folio without a lock, by a grace period and its
 * reference count.
 *
 * Design.  Rik van Riel's chains ("mm: change anon_vma linking to fix
 * multi-process server scalability issue", 2010): each process has an anon_vma
 * of its own for what it writes after the fork, so that a walk for one of its
 * pages does not visit all its relatives.  One lock per family, in the root,
 * because fork and exit change the whole chain.
 *
 * Chains would grow with each generation of a process that forks and exits.
 * Fork therefore reuses an anon_vma that no VMA calls its own and that has
 * fewer than two children: then at most half of the nodes of the family tree
 * are without a VMA, and a chain is no longer than twice the VMAs below it.
 */
#include "rmap/rmap.h"

#include "sync/rcu.h"

int rmap_init(struct rmap *rmap, struct phys *phys, const struct rmap_config *config)
{
	int err;

	if (config->deferred == DEFERRED_SUBPAGE_COUNTS && !config->per_subpage)
		return -QUIRE_EINVAL;
	rmap->phys = phys;
	rmap->per_subpage = config->per_subpage;
	rmap->score = NULL;
	err = sharing_init(&rmap->sharing, config->ops, config->nr_ids);
	if (err)
		return err;
	err = objcache_init(&rmap->anon_vmas, phys, "anon_vma", sizeof(struct anon_vma),
			    _Alignof(struct anon_vma));
	if (err)
		goto no_anon_vmas;
	err = objcache_init(&rmap->links, phys, "anon_vma_link",
			    sizeof(struct anon_vma_link), _Alignof(struct anon_vma_link));
	if (err)
		goto no_links;
	err = config->score ? score_init(rmap) : 0;
	if (err)
		goto no_score;
	for (unsigned i = 0; i < NR_MIGRATION_LOCKS; i++)
		mutex_init(&rmap->migrations[i], LOCK_RANK_migration);
	deferred_init(rmap, config->deferred);
	return 0;
no_score:
	(void)objcache_fini(&rmap->links);
no_links:
	(void)objcache_fini(&rmap->anon_vmas);
no_anon_vmas:
	(void)sharing_fini(&rmap->sharing);
	return err;
}

u64 rmap_fini(struct rmap *rmap)
{
	score_fini(rmap);
	return objcache_fini(&rmap->links) + objcache_fini(&rmap->anon_vmas) +
	       sharing_fini(&rmap->sharing);
}

int rmap_owner_init(struct rmap *rmap, struct rmap_owner *owner)
{
	owner->rmap = rmap;
	return sharing_mm_init(&rmap->sharing, &owner->sharing);
}

void rmap_owner_fini(struct rmap_owner *owner)
{
	bool last = sharing_mm_put(&owner->rmap->sharing, &owner->sharing);

	check(last);
	(void)last;
}

/* ---- anon_vmas ------------------------------------------------------------- */

/* With one reference, for the links it will get.  parent NULL: a new root. */
static struct anon_vma *anon_vma_create(struct rmap *rmap, struct anon_vma *parent)
{
	struct anon_vma *anon_vma = objcache_alloc(&rmap->anon_vmas);

	if (!anon_vma)
		return NULL;
	*anon_vma = (struct anon_vma){ .parent = parent ? parent : anon_vma };
	anon_vma->root = parent ? parent->root : anon_vma;
	rwsem_init(&anon_vma->lock, LOCK_RANK_anon_vma);
	refcount_init(&anon_vma->refs, 1);
	if (parent)
		refcount_get(&parent->root->refs, 1);
	return anon_vma;
}

void anon_vma_put(struct rmap *rmap, struct anon_vma *anon_vma)
{
	struct anon_vma *root = anon_vma->root;

	if (!refcount_put(&anon_vma->refs, 1))
		return;
	check(anon_vma->links.nr == 0 && anon_vma->nr_vmas == 0);
	objcache_free_rcu(&rmap->anon_vmas, anon_vma);
	if (root != anon_vma && refcount_put(&root->refs, 1))
		objcache_free_rcu(&rmap->anon_vmas, root);
}

/*
 * Why the anon_vma is there to be asked: the mapping is read before the count
 * of mappings.  A folio that is still mapped then has a VMA linked to the
 * anon_vma (invariant 3), so its memory was not given to a grace period before
 * this section began, and is the same object until the section ends.  If it
 * loses its links now, the reference fails or keeps an empty anon_vma, whose
 * walk finds nothing.  The second look spares that walk, and makes the
 * reference a proof of life where memory is only kept for its type.
 */
struct anon_vma *folio_hold_anon_vma(const struct rmap *rmap, struct folio *folio)
{
	struct anon_vma *anon_vma = NULL;
	void *mapping;

	rcu_read_lock();
	/* ACQUIRE pairs with rmap_add_new_anon and rmap_move_anon, and keeps
	 * the mapcount from being read first. */
	mapping = atomic_load_acquire(&folio->mapping);
	if (((uintptr_t)mapping & 1) == 0 || !folio_is_mapped(rmap, folio))
		goto out;
	/* What follows is not done before the mapcount was read. */
	mach_fence(MACH_ACQUIRE);
	anon_vma = mapping_anon_vma(mapping);
	if (!refcount_get_unless_zero(&anon_vma->refs))
		anon_vma = NULL;
out:
	rcu_read_unlock();
	return anon_vma;
}

/* ---- links ------------------------------------------------------------------- */

static struct anon_vma_link *first_link(const struct vma *vma)
{
	return list_first(&vma->anon_chain, struct anon_vma_link, same_vma);
}

/* Root's lock held.  At the end of the chain: parents come before children. */
static void link_insert(struct anon_vma_link *link, struct vma *vma,
			struct anon_vma *anon_vma)
{
	link->vma = vma;
	link->anon_vma = anon_vma;
	list_append(&vma->anon_chain, &link->same_vma);
	link->node.first = vma->pgoff;
	link->node.last = vma->pgoff + vma_nr_pages(vma) - 1;
	interval_insert(&anon_vma->links, &link->node);
}

static void free_links(struct rmap *rmap, struct list *links)
{
	list_for_each_safe(pos, links)
		objcache_free(&rmap->links, list_entry(pos, struct anon_vma_link, same_vma));
}

/* As many links as `src` has, and `more`, on the list.  0 or -ENOMEM, all
 * freed. */
static int alloc_links(struct rmap *rmap, const struct vma *src, u32 more,
		       struct list *links)
{
	const struct list *pos = &src->anon_chain;

	list_init(links);
	for (;;) {
		struct anon_vma_link *link;

		if (pos->next != &src->anon_chain)
			pos = pos->next;
		else if (more-- == 0)
			return 0;
		link = objcache_alloc(&rmap->links);
		if (!link)
			break;
		list_append(links, &link->same_vma);
	}
	free_links(rmap, links);
	return -QUIRE_ENOMEM;
}

static struct anon_vma_link *take_link(struct list *links)
{
	struct anon_vma_link *link = list_first(links, struct anon_vma_link, same_vma);

	list_remove(&link->same_vma);
	return link;
}

/* ---- prepare, clone, fork ------------------------------------------------------ */

int anon_vma_prepare_slow(struct rmap *rmap, struct vma *vma, struct anon_vma *share)
{
	struct anon_vma *anon_vma = share ? share : anon_vma_create(rmap, NULL);
	struct anon_vma_link *link;

	if (!anon_vma)
		return -QUIRE_ENOMEM;
	link = objcache_alloc(&rmap->links);
	if (!link) {
		if (!share)
			anon_vma_put(rmap, anon_vma);
		return -QUIRE_ENOMEM;
	}
	rwsem_write_lock(&anon_vma->root->lock);
	/* Other CPUs may be here with the mmap lock held for reading. */
	spin_lock(&vma->pt->lock);
	if (likely(!vma->anon_vma)) {
		link_insert(link, vma, anon_vma);
		anon_vma->nr_vmas++;
		if (!share)
			anon_vma->nr_children++;
		/* RELEASE pairs with anon_vma_prepare: who sees it needs no lock. */
		atomic_store_release(&vma->anon_vma, anon_vma);
		link = NULL;
	}
	spin_unlock(&vma->pt->lock);
	rwsem_write_unlock(&anon_vma->root->lock);
	if (unlikely(link)) {
		objcache_free(&rmap->links, link);
		if (!share)
			anon_vma_put(rmap, anon_vma);
	}
	return 0;
}

int anon_vma_clone(struct rmap *rmap, struct vma *dst, const struct vma *src)
{
	struct anon_vma *root;
	struct list links;
	int err;

	dst->anon_vma = NULL;
	list_init(&dst->anon_chain);
	if (!src->anon_vma)
		return 0;
	err = alloc_links(rmap, src, 0, &links);
	if (err)
		return err;
	root = src->anon_vma->root;
	rwsem_write_lock(&root->lock);
	list_for_each(pos, &src->anon_chain)
		link_insert(take_link(&links), dst,
			    list_entry(pos, struct anon_vma_link, same_vma)->anon_vma);
	src->anon_vma->nr_vmas++;
	dst->anon_vma = src->anon_vma;
	rwsem_write_unlock(&root->lock);
	return 0;
}

/*
 * May a child's VMA call it its own?  A second VMA must not: its pages would
 * be in an anon_vma to which the first one's other links do not lead, and the
 * two would look mergeable (invariant 5, CVE-2022-42703).
 * A root never may, it counts itself as a child beside the one it has.
 */
static bool is_reusable(const struct anon_vma *anon_vma)
{
	return anon_vma->nr_vmas == 0 && anon_vma->nr_children < 2;
}

/* Links dst where src is; returns an anon_vma that it can have, or NULL. */
static struct anon_vma *link_child(struct vma *dst, const struct vma *src,
				   struct list *links)
{
	struct anon_vma *reusable = NULL;

	list_for_each(pos, &src->anon_chain) {
		struct anon_vma *anon_vma =
			list_entry(pos, struct anon_vma_link, same_vma)->anon_vma;

		link_insert(take_link(links), dst, anon_vma);
		if (!reusable && is_reusable(anon_vma))
			reusable = anon_vma;
	}
	return reusable;
}

int anon_vma_fork(struct rmap *rmap, struct vma *dst, const struct vma *src)
{
	struct anon_vma *own, *reused, *root;
	struct list links;

	dst->anon_vma = NULL;
	list_init(&dst->anon_chain);
	if (!src->anon_vma)
		return 0;
	own = anon_vma_create(rmap, src->anon_vma);
	if (!own)
		return -QUIRE_ENOMEM;
	if (alloc_links(rmap, src, 1, &links)) {
		anon_vma_put(rmap, own);
		return -QUIRE_ENOMEM;
	}
	root = src->anon_vma->root;
	rwsem_write_lock(&root->lock);
	reused = link_child(dst, src, &links);
	dst->anon_vma = reused ? reused : own;
	dst->anon_vma->nr_vmas++;
	if (!reused) {
		src->anon_vma->nr_children++;
		link_insert(take_link(&links), dst, own);
	}
	rwsem_write_unlock(&root->lock);
	if (reused) {
		free_links(rmap, &links);
		anon_vma_put(rmap, own);
	}
	return 0;
}

/* ---- unlink ---------------------------------------------------------------------- */

/* Root's lock held.  True when that was the last link. */
static bool link_remove(struct anon_vma_link *link)
{
	struct anon_vma *anon_vma = link->anon_vma;

	interval_remove(&anon_vma->links, &link->node);
	if (anon_vma->links.nr != 0)
		return false;
	anon_vma->parent->nr_children--;
	return true;
}

void anon_vma_unlink(struct rmap *rmap, struct vma *vma)
{
	struct anon_vma *root;

	if (!vma->anon_vma)
		return;
	root = vma->anon_vma->root;
	rwsem_write_lock(&root->lock);
	vma->anon_vma->nr_vmas--;
	vma->anon_vma = NULL;
	list_for_each_safe(pos, &vma->anon_chain) {
		struct anon_vma_link *link = list_entry(pos, struct anon_vma_link, same_vma);

		if (link_remove(link))
			continue; /* its anon_vma goes: below, without the lock */
		list_remove(pos);
		objcache_free(&rmap->links, link);
	}
	rwsem_write_unlock(&root->lock);
	list_for_each_safe(pos, &vma->anon_chain) {
		struct anon_vma_link *link = list_entry(pos, struct anon_vma_link, same_vma);

		anon_vma_put(rmap, link->anon_vma);
		objcache_free(&rmap->links, link);
	}
	list_init(&vma->anon_chain);
}

/* ---- changes of a VMA ---------------------------------------------------------------- */

static void node_set_range(struct interval_node *node, const struct vma *vma)
{
	node->first = vma->pgoff;
	node->last = vma->pgoff + vma_nr_pages(vma) - 1;
}

void i_mmap_init(struct i_mmap *i_mmap)
{
	*i_mmap = (struct i_mmap){ 0 };
	rwsem_init(&i_mmap->lock, LOCK_RANK_i_mmap);
}

void i_mmap_insert(struct i_mmap *i_mmap, struct vma *vma)
{
	node_set_range(&vma->i_mmap, vma);
	vma->i_mmap_tree = i_mmap;
	rwsem_write_lock(&i_mmap->lock);
	interval_insert(&i_mmap->vmas, &vma->i_mmap);
	rwsem_write_unlock(&i_mmap->lock);
}

void i_mmap_remove(struct i_mmap *i_mmap, struct vma *vma)
{
	check(vma->i_mmap_tree == i_mmap);
	rwsem_write_lock(&i_mmap->lock);
	interval_remove(&i_mmap->vmas, &vma->i_mmap);
	rwsem_write_unlock(&i_mmap->lock);
}

void rmap_vma_change_begin(struct vma *vma) NO_LOCK_ANALYSIS /* ends in _end */
{
	if (vma->mapping) {
		rwsem_write_lock(&vma->i_mmap_tree->lock);
		interval_remove(&vma->i_mmap_tree->vmas, &vma->i_mmap);
	}
	if (!vma->anon_vma)
		return;
	rwsem_write_lock(&vma->anon_vma->root->lock);
	list_for_each(pos, &vma->anon_chain) {
		struct anon_vma_link *link = list_entry(pos, struct anon_vma_link, same_vma);

		interval_remove(&link->anon_vma->links, &link->node);
	}
}

void rmap_vma_change_end(struct vma *vma) NO_LOCK_ANALYSIS /* began in _begin */
{
	if (vma->anon_vma) {
		list_for_each(pos, &vma->anon_chain) {
			struct anon_vma_link *link =
				list_entry(pos, struct anon_vma_link, same_vma);

			node_set_range(&link->node, vma);
			interval_insert(&link->anon_vma->links, &link->node);
		}
		rwsem_write_unlock(&vma->anon_vma->root->lock);
	}
	if (vma->mapping) {
		node_set_range(&vma->i_mmap, vma);
		interval_insert(&vma->i_mmap_tree->vmas, &vma->i_mmap);
		rwsem_write_unlock(&vma->i_mmap_tree->lock);
	}
}

/* ---- check ------------------------------------------------------------------------------ */

static bool is_linked(const struct vma *vma, const struct anon_vma *anon_vma)
{
	list_for_each(pos, &vma->anon_chain)
		if (list_entry(pos, struct anon_vma_link, same_vma)->anon_vma == anon_vma)
			return true;
	return false;
}

static void check_link(const struct vma *vma, const struct anon_vma_link *link)
{
	const struct anon_vma *anon_vma = link->anon_vma;

	ensure(link->vma == vma);
	ensure(anon_vma->root == vma->anon_vma->root);
	ensure(refcount_read(&anon_vma->refs) > 0);
	ensure(anon_vma->links.nr > 0);
	ensure(is_linked(vma, anon_vma->parent));
	ensure(link->node.first == vma->pgoff);
	ensure(link->node.last == vma->pgoff + vma_nr_pages(vma) - 1);
	ensure(anon_vma->root != anon_vma || anon_vma->nr_children > 0);
	interval_check(&anon_vma->links);
}

void vma_rmap_check(struct vma *vma)
{
	struct anon_vma *root;

	if (vma->mapping) {
		rwsem_read_lock(&vma->i_mmap_tree->lock);
		ensure(vma->i_mmap.first == vma->pgoff);
		ensure(vma->i_mmap.last == vma->pgoff + vma_nr_pages(vma) - 1);
		rwsem_read_unlock(&vma->i_mmap_tree->lock);
	}
	if (!vma->anon_vma) {
		ensure(list_empty(&vma->anon_chain));
		return;
	}
	root = first_link(vma)->anon_vma->root;
	rwsem_read_lock(&root->lock);
	ensure(is_linked(vma, vma->anon_vma));
	ensure(vma->anon_vma->nr_vmas > 0);
	list_for_each(pos, &vma->anon_chain)
		check_link(vma, list_entry(pos, struct anon_vma_link, same_vma));
	rwsem_read_unlock(&root->lock);
}
