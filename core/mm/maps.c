/* SPDX-License-Identifier: BSD-2-Clause */
/* What /proc would show of an address space: its maps and its sums. */
#include "mm/api.h"
#include "mm/pages.h"

/* The public flags are the core's own; the key lies above them. */
_Static_assert((u32)QUIRE_MAPF_SEALED == (u32)VMA_SEALED &&
		       (u32)QUIRE_MAPF_DONTDUMP == (u32)VMA_DONTDUMP &&
		       (u32)QUIRE_MAPF_MAYSHARE == (u32)VMA_MAYSHARE &&
		       (u32)QUIRE_MAPF_ACCOUNT == (u32)VMA_ACCOUNT,
	       "the same bits");

static int map_pkey(const struct vma *vma)
{
	u32 key = vma->flags & VMA_PKEY_MASK;

	return key == VMA_PKEY_EXEC_ONLY ? 0 : (int)(key >> VMA_PKEY_SHIFT);
}

static struct quire_map_info map_info(const struct vma *vma)
{
	return (struct quire_map_info){
		.start = vma->start,
		.end = vma->end,
		.prot = vma->flags & VMA_ACCESS,
		.flags = vma->flags & ~VMA_PKEY_MASK,
		.pkey = map_pkey(vma),
		.shared = (vma->flags & VMA_MAYSHARE) != 0,
		.grows_down = (vma->flags & VMA_GROWSDOWN) != 0,
		.locked = (vma->flags & VMA_LOCKED) != 0,
		.special = (vma->flags & VMA_SPECIAL) != 0,
		.offset = vma_is_anonymous(vma) ? 0 : vma->pgoff << PAGE_SHIFT,
		.file_id = vma_is_anonymous(vma) ? 0 : vma->mapping->id,
		.name = vma->name,
	};
}

void quire_mm_maps(struct quire_mm *handle,
		   bool (*visit)(const struct quire_map_info *map, void *arg), void *arg)
{
	struct maple_cursor cur;
	struct vma *vma;
	struct mm *mm;

	if (visit == NULL || api_enter_mm(handle, &mm))
		return;
	rwsem_read_lock(&mm->mmap_lock);
	cur = maple_cursor(&mm->vmas, 0, 0);
	maple_for_each(&cur, vma, TASK_SIZE) {
		struct quire_map_info info = map_info(vma);

		if (!visit(&info, arg))
			break;
	}
	rwsem_read_unlock(&mm->mmap_lock);
}

/* Anonymous leaves of one level 1 table, those of zeros aside. */
static u64 count_leaves(const struct mm *mm, struct table *table)
{
	const entry_t *slots = table_slots(&mm->pt, table);
	u64 nr = 0;

	table_lock(table);
	for (u32 i = 0; i < QUIRE_TABLE_ENTRIES; i++) {
		entry_t e = entry_load(&slots[i]);

		nr += entry_is_leaf(e) && !entry_is_special(e) &&
		      folio_is_anon(frame_folio(entry_frame(mm, e)));
	}
	table_unlock(table);
	return nr;
}

/* Nobody has to keep the number while faults run: it is seldom asked for. */
static u64 count_leaf_pages(const struct mm *mm)
{
	u64 addr = 0, nr = 0;
	struct table *table;

	if (!atomic_load(&mm->has_leaves))
		return 0;
	while ((table = pgtable_next_pmd_table(&mm->pt, &addr)) != NULL)
		nr += count_leaves(mm, table);
	return nr * PMD_PAGES;
}

void quire_mm_stats(struct quire_mm *handle, struct quire_mm_stats *ret_stats)
{
	struct mm *mm;
	u64 rss = 0;

	if (ret_stats == NULL || api_enter_mm(handle, &mm))
		return;
	rwsem_read_lock(&mm->mmap_lock);
	for (unsigned kind = 0; kind < NR_RSS; kind++)
		rss += atomic_load(&mm->rss[kind]);
	*ret_stats = (struct quire_mm_stats){
		.faults = atomic_load(&mm->faults),
		.major_faults = atomic_load(&mm->major_faults),
		.cow_copies = atomic_load(&mm->cow_copies),
		.cow_reuses = atomic_load(&mm->cow_reuses),
		.rss_anon_pages = atomic_load(&mm->rss[RSS_ANON]),
		.rss_file_pages = atomic_load(&mm->rss[RSS_FILE]),
		.rss_shmem_pages = atomic_load(&mm->rss[RSS_SHMEM]),
		.anon_leaf_pages = count_leaf_pages(mm),
		.peak_rss_pages = u64_max(rss, atomic_load(&mm->peak_rss)),
		.page_table_bytes = atomic_load(&mm->pt.table_bytes),
		.peak_page_table_bytes = atomic_load(&mm->pt.table_bytes_peak),
		.nr_vmas = mm->nr_vmas,
		.total_pages = mm->total_pages,
		.locked_pages = mm->locked_pages,
		.data_pages = mm->data_pages,
		.stack_pages = mm->stack_pages,
		.exec_pages = mm->exec_pages,
		.thp_disable = (enum quire_thp_disable)mm->thp_disable,
		.mdwe = mm->mdwe,
	};
	rwsem_read_unlock(&mm->mmap_lock);
}
