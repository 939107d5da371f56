/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMAs: making, finding, carving.
 *
 * The tree holds each VMA at exactly [start, end - 1].  Carving a VMA into two
 * or three takes one store: the left part stays the old VMA, the store of the
 * next part cuts it short, and a third part replaces in place what the tree
 * still calls the old VMA (Liam R. Howlett and Matthew Wilcox, "The Maple
 * Tree", on ranges that overwrite).
 */
#include "mm/change.h"

struct vma *vma_alloc(struct mm *mm)
{
	struct vma *vma = objcache_alloc(&mm->q->vma_cache);

	if (unlikely(vma == NULL))
		return NULL;
	*vma = (struct vma){ .mm = mm, .pt = &mm->pt, .owner = &mm->owner };
	list_init(&vma->anon_chain);
	return vma;
}

struct vma *vma_copy(struct mm *mm, const struct vma *from)
{
	struct vma *vma = objcache_alloc(&mm->q->vma_cache);

	if (unlikely(vma == NULL))
		return NULL;
	vma->start = from->start;
	vma->end = from->end;
	vma->mm = mm;
	vma->pt = &mm->pt;
	vma->owner = &mm->owner;
	vma->flags = from->flags;
	vma->pgoff = from->pgoff;
	vma->entry_bits = from->entry_bits;
	vma->file = from->file;
	vma->mapping = from->mapping;
	vma->anon_vma = NULL;
	list_init(&vma->anon_chain);
	vma->name = from->name;
	vma->guarded = from->guarded;
	vma->next_detached = NULL;
	if (vma->file != NULL)
		file_get(vma->file);
	return vma;
}

void vma_free(struct vma *vma)
{
	struct quire *q = vma->mm->q;

	if (!list_empty(&vma->anon_chain))
		anon_vma_unlink(&q->rmap, vma);
	if (vma->file != NULL)
		file_put(vma->file);
	objcache_free(&q->vma_cache, vma);
}

struct vma *vma_find(struct mm *mm, u64 addr)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, addr, addr);

	return maple_find(&cur, TASK_SIZE);
}

struct vma *vma_at(struct mm *mm, u64 addr)
{
	return maple_load(&mm->vmas, addr);
}

/*
 * A private page is mapped writable only once it is the mapper's own, so the
 * bit is not here; nor is it for a shared file whose pages are written back:
 * the first write has to be noticed.
 */
u64 vma_entry_bits(const struct vma *vma)
{
	u64 bits = QUIRE_ENTRY_USER;

	if ((vma->flags & VMA_ACCESS) == 0)
		bits |= QUIRE_ENTRY_PROTNONE;
	else
		bits |= QUIRE_ENTRY_PRESENT;
	if ((vma->flags & VMA_EXEC) == 0)
		bits |= QUIRE_ENTRY_NX;
	if ((vma->flags & (VMA_WRITE | VMA_SHARED)) == (VMA_WRITE | VMA_SHARED) &&
	    vma->mapping != NULL && vma->mapping->kind == QUIRE_FILE_MEMORY)
		bits |= QUIRE_ENTRY_WRITE;
	return bits;
}

void mm_account_vma(struct mm *mm, u32 flags, s64 nr_pages)
{
	u64 n = (u64)nr_pages;

	mm->total_pages += n;
	if ((flags & (VMA_EXEC | VMA_WRITE | VMA_GROWSDOWN)) == VMA_EXEC)
		mm->exec_pages += n;
	else if (flags & VMA_GROWSDOWN)
		mm->stack_pages += n;
	else if ((flags & (VMA_WRITE | VMA_SHARED)) == VMA_WRITE)
		mm->data_pages += n;
}

static bool vma_is_linked(const struct vma *vma)
{
	return vma->mapping != NULL || !list_empty(&vma->anon_chain);
}

void vma_set_range(struct vma *vma, u64 start, u64 end)
{
	bool linked = vma_is_linked(vma);

	huge_cut(vma, start);
	if (linked)
		rmap_vma_change_begin(vma);
	if (start < vma->start)
		vma->pgoff -= (vma->start - start) >> PAGE_SHIFT;
	else
		vma->pgoff += (start - vma->start) >> PAGE_SHIFT;
	vma->start = start;
	vma->end = end;
	if (linked)
		rmap_vma_change_end(vma);
}

void vma_set_flags(struct vma *vma, u32 flags)
{
	vma->flags = flags;
	vma->entry_bits = vma_entry_bits(vma);
}

struct vma *vma_clone_part(struct vma *vma, u64 start, u64 end)
{
	struct vma *part = vma_copy(vma->mm, vma);

	if (unlikely(part == NULL))
		return NULL;
	huge_cut(vma, start);
	part->pgoff = vma_index(vma, start);
	part->start = start;
	part->end = end;
	if (!list_empty(&vma->anon_chain) &&
	    unlikely(anon_vma_clone(&vma->mm->q->rmap, part, vma))) {
		vma_free(part);
		return NULL;
	}
	if (part->mapping != NULL)
		i_mmap_insert(&part->mapping->i_mmap, part);
	return part;
}

void vma_dispose(struct vma *vma)
{
	if (vma->mapping != NULL)
		i_mmap_remove(&vma->mapping->i_mmap, vma);
	vma_free(vma);
}

int vma_cut(struct maple_cursor *cur, struct vma *vma, u64 addr)
{
	struct vma *upper;
	int ret;

	if (vma->flags & VMA_SPECIAL)
		return -QUIRE_EINVAL;
	upper = vma_clone_part(vma, addr, vma->end);
	if (upper == NULL)
		return -QUIRE_ENOMEM;
	maple_set_range(cur, addr, vma->end - 1);
	ret = maple_store(cur, upper);
	if (ret) {
		vma_dispose(upper);
		return ret;
	}
	vma_set_range(vma, vma->start, addr);
	vma->mm->nr_vmas++;
	return 0;
}

/* Linux cuts at the start, then at the end, and leaves the first cut where there
 * is no room for the second. */
static int check_carve(struct maple_cursor *cur, struct vma *vma, u64 start, u32 nr_new)
{
	int ret;

	if (mm_check_map_count(vma->mm, 1))
		return -QUIRE_ENOMEM;
	if (vma->flags & VMA_SPECIAL)
		return -QUIRE_EINVAL;
	if (!mm_check_map_count(vma->mm, nr_new))
		return 0;
	ret = vma_cut(cur, vma, start);
	(void)ret; /* either way there is no room */
	return -QUIRE_ENOMEM;
}

int vma_carve(struct maple_cursor *cur, struct vma *vma, u64 start, u64 end,
	      struct vma **ret_vma)
{
	struct mm *mm = vma->mm;
	u64 old_end = vma->end;
	struct vma *middle = NULL, *right = NULL;
	u32 nr_new = (u32)(start > vma->start) + (u32)(end < old_end);
	int ret;

	check(vma->start <= start && start < end && end <= old_end);
	*ret_vma = vma;
	if (nr_new == 0)
		return 0;
	ret = check_carve(cur, vma, start, nr_new);
	if (ret)
		return ret;
	ret = -QUIRE_ENOMEM;
	if (start > vma->start) {
		middle = vma_clone_part(vma, start, end);
		if (middle == NULL)
			return ret;
	}
	if (end < old_end) {
		right = vma_clone_part(vma, end, old_end);
		if (right == NULL)
			goto fail;
	}
	if (middle != NULL)
		maple_set_range(cur, start, end - 1);
	else
		maple_set_range(cur, end, old_end - 1);
	ret = maple_store(cur, middle != NULL ? middle : right);
	if (ret)
		goto fail;
	if (middle != NULL && right != NULL) {
		maple_set_range(cur, end, end);
		maple_walk(cur);
		maple_replace(cur, right);
	}
	vma_set_range(vma, vma->start, middle != NULL ? start : end);
	mm->nr_vmas += nr_new;
	*ret_vma = middle != NULL ? middle : vma;
	return 0;
fail:
	if (right != NULL)
		vma_dispose(right);
	if (middle != NULL)
		vma_dispose(middle);
	return ret;
}

int vma_insert(struct maple_cursor *cur, struct vma *vma)
{
	int ret;

	maple_set_range(cur, vma->start, vma->end - 1);
	ret = maple_store(cur, vma);
	if (unlikely(ret))
		return ret;
	if (vma->mapping != NULL)
		i_mmap_insert(&vma->mapping->i_mmap, vma);
	vma->mm->nr_vmas++;
	return 0;
}
