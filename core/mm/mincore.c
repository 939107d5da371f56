/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mincore: which pages an access would find in memory.  A page is there when an
 * entry maps it or, for a file, when the cache holds it.
 */
#include "base/memory.h"
#include "mm/api.h"

static bool is_cached(const struct vma *vma, u64 addr)
{
	struct folio *folio;
	bool uptodate;

	if (vma_is_anonymous(vma))
		return false;
	folio = mapping_find_folio(vma->mapping, vma_index(vma, addr));
	if (folio == NULL)
		return false;
	uptodate = folio_test(folio, FRAME_UPTODATE);
	folio_put(&vma->mm->q->phys, folio);
	return uptodate;
}

static bool is_resident(entry_t e)
{
	return entry_is_present(e) || entry_is_migration(e);
}

/* The pages of [start, end), inside one VMA. */
static void look_at_range(const struct vma *vma, u64 start, u64 end, uint8_t *vec)
{
	struct span span = { .end = start };

	for (u64 at = start; at < end; at += PAGE_SIZE, vec++) {
		bool there = false;

		if (at >= span.end && !pgtable_next_span(&vma->mm->pt, at, end, &span))
			span = (struct span){ .addr = end, .end = end };
		if (at >= span.addr)
			there = is_resident(entry_load(span_slot(&span, at)));
		*vec = there || is_cached(vma, at);
	}
}

int quire_mincore(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes, uint8_t *vec)
{
	struct mm *mm;
	u64 end;
	int err = api_enter_mm(handle, &mm);

	if (err)
		return err;
	if (!is_aligned(addr, PAGE_SIZE))
		return -QUIRE_EINVAL;
	if (len_bytes > TASK_SIZE || addr > TASK_SIZE - len_bytes)
		return -QUIRE_ENOMEM;
	if (vec == NULL && len_bytes > 0)
		return -QUIRE_EFAULT;
	end = addr + page_align_up(len_bytes);
	rwsem_read_lock(&mm->mmap_lock);
	while (addr < end) {
		struct vma *vma = vma_at(mm, addr);
		u64 last;

		/* What came before the hole has been told. */
		if (vma == NULL) {
			err = -QUIRE_ENOMEM;
			break;
		}
		last = u64_min(end, vma->end);
		look_at_range(vma, addr, last, vec);
		vec += (last - addr) >> PAGE_SHIFT;
		addr = last;
	}
	rwsem_read_unlock(&mm->mmap_lock);
	return err;
}
