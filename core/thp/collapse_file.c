/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collapse of memory that belongs to a file: shared anonymous memory, memfd.
 *
 * Two steps.  The pages become one folio in the cache (file/collapse.c), which
 * unmaps them everywhere; whoever touches them next gets the large folio.  Then
 * the range of the one who asked is mapped by a leaf.  The second step fails alone
 * where somebody was faster (-EAGAIN): the file's contents are right either way.
 *
 * The table that was there goes: it is taken out as in collapse.c, here with the
 * lock of the file's i_mmap too, by which truncation and the like would find it.
 * What faults put there since the first step are pages of the folio, mostly, and
 * are dropped.  A private copy of a page stays, and the table with it.
 */
#include "thp/collapse.h"

/* The locks of the reverse maps that lead to the VMA. */
static void lock_rmap(struct vma *vma) NO_LOCK_ANALYSIS
{
	rwsem_write_lock(&vma->mapping->i_mmap.lock);
	if (vma->anon_vma != NULL)
		rwsem_write_lock(&vma->anon_vma->root->lock);
}

static void unlock_rmap(struct vma *vma) NO_LOCK_ANALYSIS
{
	if (vma->anon_vma != NULL)
		rwsem_write_unlock(&vma->anon_vma->root->lock);
	rwsem_write_unlock(&vma->mapping->i_mmap.lock);
}

/* ---- looking ---------------------------------------------------------------------- */

/* None, or a page of the file.  What is not present stands for a private copy. */
static bool is_file_entry(const struct mm *mm, entry_t e)
{
	return entry_is_none(e) ||
	       (entry_is_present(e) && !entry_is_special(e) &&
		!folio_is_anon(frame_folio(entry_frame(mm, e))));
}

static bool are_file_entries(const struct mm *mm, const entry_t *entries)
{
	for (u32 i = 0; i < QUIRE_TABLE_ENTRIES; i++)
		if (!is_file_entry(mm, entry_load(&entries[i])))
			return false;
	return true;
}

/* A hint, as collapse_look(). */
static enum collapse look_at_range(const struct vma *vma, u64 addr)
{
	struct table *pmd_table, *table;
	const entry_t *slot = pgtable_find(vma->pt, addr, 1, &pmd_table);
	bool allowed;
	entry_t e;

	e = slot != NULL ? entry_load(slot) : entry_none();
	if (entry_is_leaf(e))
		return COLLAPSE_ALREADY;
	if (entry_is_none(e))
		return COLLAPSE_OK;
	table = entry_table(vma->pt, e);
	table_lock(table);
	allowed = are_file_entries(vma->mm, table_slots(vma->pt, table));
	table_unlock(table);
	return allowed ? COLLAPSE_OK : COLLAPSE_NOTHING;
}

/* ---- in the cache -------------------------------------------------------------------- */

static enum collapse answer_of(int err)
{
	switch (err) {
	case 0:
	case -QUIRE_EEXIST:
		return COLLAPSE_OK;
	case -QUIRE_EAGAIN:
		return COLLAPSE_BUSY;
	case -QUIRE_ENOMEM:
		return COLLAPSE_NO_MEMORY;
	default:
		return COLLAPSE_NOTHING;
	}
}

/* Seen without its lock: a hint. */
static bool is_one_folio(struct quire *q, struct mapping *mapping, u64 index)
{
	struct folio *folio = mapping_find_folio(mapping, index);
	bool is_one = folio != NULL && folio_order(folio) == QUIRE_PMD_ORDER;

	if (folio != NULL)
		folio_put(&q->phys, folio);
	return is_one;
}

/* NULL: no memory, or an order that the chosen `sharing` cannot count. */
static struct folio *alloc_for_file(struct quire *q)
{
	struct folio *folio = folio_alloc(&q->phys, QUIRE_PMD_ORDER, 0);

	if (folio == NULL)
		return NULL;
	atomic_store(&folio->flags, (u32)FRAME_SWAPBACKED);
	if (rmap_folio_init(&q->rmap, folio) == 0)
		return folio;
	folio_put(&q->phys, folio);
	return NULL;
}

static enum collapse collapse_cached(struct quire *q, struct mapping *mapping, u64 index)
{
	struct folio *folio;
	int err;

	if (is_one_folio(q, mapping, index))
		return COLLAPSE_OK;
	folio = alloc_for_file(q);
	if (folio == NULL)
		return COLLAPSE_NO_MEMORY;
	err = mapping_collapse(mapping, index, folio, mm_unmap_mapping);
	folio_put(&q->phys, folio);
	return answer_of(err);
}

/* ---- in the tables --------------------------------------------------------------------- */

static bool any_is_dirty(const entry_t *entries, u32 nr)
{
	bool dirty = false;

	for (u32 i = 0; i < nr; i++)
		dirty |= entry_is_dirty(entry_load(&entries[i]));
	return dirty;
}

/*
 * Drops what a table that nobody finds maps; how many.  Mostly pages of the folio
 * that a leaf will map, but where a hole was punched those of its predecessors,
 * which are in the file no more, may not have been unmapped yet.
 */
static u32 drop_entries(const struct collapse_work *work)
{
	struct vma *vma = work->vma;
	u32 nr_dropped = 0;

	for (u32 i = 0, run; i < QUIRE_TABLE_ENTRIES; i += run) {
		entry_t *entries = &work->entries[i], e = entry_load(entries);
		struct frame *frame;

		run = 1;
		if (entry_is_none(e))
			continue;
		frame = entry_frame(vma->mm, e);
		run = entry_run(entries, QUIRE_TABLE_ENTRIES - i, e, frame);
		if (vma_is_shared(vma) && any_is_dirty(entries, run))
			mapping_dirty_folio(vma->mapping, frame_folio(frame));
		collapse_drop_run(vma, frame, run);
		nr_dropped += run;
	}
	return nr_dropped;
}

static void store_leaf(struct collapse_work *work, const struct folio *folio)
{
	struct mm *mm = work->vma->mm;

	mm_note_leaf(mm);
	table_lock(work->pmd_table);
	entry_store(work->slot,
		    entry_make(folio_pfn(&mm->q->phys, folio),
			       work->vma->entry_bits | QUIRE_ENTRY_LEAF | QUIRE_ENTRY_ACCESSED));
	table_unlock(work->pmd_table);
}

/* False: there are private copies.  The leaf's references and mappings are there.
 * Locks of the reverse maps held. */
static bool replace_table(struct collapse_work *work, struct folio *folio)
{
	struct mm *mm = work->vma->mm;
	u32 nr_dropped = 0;

	if (!entry_is_none(entry_load(work->slot))) {
		collapse_detach_table(work);
		if (!are_file_entries(mm, work->entries)) {
			collapse_put_table_back(work);
			return false;
		}
		nr_dropped = drop_entries(work);
	}
	store_leaf(work, folio);
	mm_rss_add(mm, RSS_SHMEM, (s64)PMD_PAGES - nr_dropped);
	return true;
}

/* Folio lock held, so that it stays in the file. */
static enum collapse map_leaf(struct vma *vma, u64 addr, struct folio *folio)
{
	struct collapse_work work = { .vma = vma, .addr = addr };
	struct phys *phys = &vma->mm->q->phys;
	bool mapped;

	if (pgtable_ensure(vma->pt, addr, 1, &work.slot, &work.pmd_table))
		return COLLAPSE_NO_MEMORY;
	if (entry_is_leaf(entry_load(work.slot)))
		return COLLAPSE_ALREADY;
	if (rmap_add_leaf_get(folio, vma))
		return COLLAPSE_NO_MEMORY; /* it is mapped too often */
	lock_rmap(vma);
	mapped = replace_table(&work, folio);
	unlock_rmap(vma);
	if (!mapped) {
		folio_put_n(phys, folio, rmap_remove_leaf(folio, vma));
		return COLLAPSE_NOTHING;
	}
	if (work.table != NULL)
		table_free(vma->pt, work.table);
	return COLLAPSE_OK;
}

/* Everything is looked at again.  mmap write lock. */
static enum collapse map_range(struct mm *mm, u64 addr, struct mapping *mapping, u64 index)
{
	struct vma *vma = vma_at(mm, addr);
	enum collapse answer = COLLAPSE_BUSY;
	struct folio *folio;

	if (vma == NULL || vma->mapping != mapping || !vma_may_collapse(vma, addr) ||
	    vma_index(vma, addr) != index)
		return COLLAPSE_NOTHING;
	folio = mapping_find_folio(mapping, index);
	if (folio == NULL)
		return COLLAPSE_BUSY;
	folio_lock(folio);
	if (folio_is_at(folio, mapping, index) && folio_order(folio) == QUIRE_PMD_ORDER &&
	    index + PMD_PAGES <= mapping_size_pages(mapping))
		answer = map_leaf(vma, addr, folio);
	folio_unlock(folio);
	folio_put(&mm->q->phys, folio);
	return answer;
}

/* The cache is changed without the mmap lock: that waits for folios. */
enum collapse collapse_file_one(struct vma *vma, u64 addr)
	NO_LOCK_ANALYSIS /* drops the caller's read lock and takes it again */
{
	enum collapse answer = look_at_range(vma, addr);
	u64 index = vma_index(vma, addr);
	struct file *file = vma->file;
	struct mm *mm = vma->mm;

	if (answer != COLLAPSE_OK)
		return answer;
	file_get(file);
	rwsem_read_unlock(&mm->mmap_lock);
	answer = collapse_cached(mm->q, file->mapping, index);
	if (answer == COLLAPSE_OK) {
		rwsem_write_lock(&mm->mmap_lock);
		answer = map_range(mm, addr, file->mapping, index);
		rwsem_write_unlock(&mm->mmap_lock);
	}
	file_put(file);
	rwsem_read_lock(&mm->mmap_lock);
	return answer;
}
