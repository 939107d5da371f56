/* SPDX-License-Identifier: BSD-2-Clause */
/* What the entry of one page says: for tests and pictures. */
#include "mm/api.h"
#include "mm/pages.h"
#include "rmap/split.h"

static void fill(struct mm *mm, entry_t e, bool leaf, struct quire_page_info *info)
{
	struct frame *frame;
	struct folio *folio;

	info->present = true;
	info->leaf = leaf;
	info->writable = entry_is_writable(e);
	info->accessed = entry_is_young(e);
	info->dirty = entry_is_dirty(e);
	info->pfn = entry_pfn(e).v;
	frame = pfn_frame(&mm->q->phys, entry_pfn(e));
	if (entry_is_special(e)) {
		info->zero_page = true;
		return;
	}
	folio = frame_folio(frame);
	info->order = folio_order(folio);
	info->anon = folio_is_anon(folio);
	info->exclusive = entry_is_exclusive(e);
	info->mapcount = folio_mapcount(&mm->q->rmap, folio);
	info->refcount = folio_refs(folio);
}

static void look_at(struct mm *mm, u64 addr, struct quire_page_info *info)
{
	struct table *table;
	entry_t e;

	while (lock_page_entry(mm, addr, &e, &table)) {
		if (entry_is_present(e))
			fill(mm, e, table->level == 1, info);
		table_unlock(table);
		if (!entry_is_migration(e))
			break;
		rmap_wait_migration(&mm->q->rmap, e);
	}
}

int quire_page_info(struct quire_mm *handle, uint64_t addr, struct quire_page_info *ret_info)
{
	struct quire_page_info info = { 0 };
	struct mm *mm;
	int err = api_enter_mm(handle, &mm);

	if (err)
		return err;
	if (ret_info == NULL)
		return -QUIRE_EINVAL;
	if (addr >= TASK_SIZE)
		return -QUIRE_EFAULT;
	rwsem_read_lock(&mm->mmap_lock);
	look_at(mm, addr, &info);
	rwsem_read_unlock(&mm->mmap_lock);
	*ret_info = info;
	return 0;
}
