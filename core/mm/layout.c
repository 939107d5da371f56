/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things go: the default layout, and room for a new mapping.
 *
 * Mappings are placed top-down from mmap_base; when there is no room below it,
 * bottom-up from a third of the address space, as Linux on x86-64 does.  The
 * page range below a VMA that grows down (its guard gap) is no room.  Private
 * anonymous mappings of whole PMDs that come without a hint, and mappings of
 * host files, start where a PMD-sized folio could map them (since Linux 6.7).
 */
#include "mm/change.h"

/* 8 MiB, and never more than an eighth of a tiny address space. */
#define DEFAULT_STACK_BYTES u64_min(UINT64_C(8) << 20, align_down(TASK_SIZE / 8, PAGE_SIZE))
/* Between mmap_base and the top, for the stack: 128 MiB at least. */
#define DEFAULT_STACK_ROOM u64_min(UINT64_C(128) << 20, align_down(TASK_SIZE / 8, PAGE_SIZE))
#define DEFAULT_MMAP_MIN \
	u64_min(UINT64_C(65536), u64_max(align_down(TASK_SIZE / 64, PAGE_SIZE), PAGE_SIZE))

void quire_layout_default(struct quire_layout *layout)
{
	*layout = (struct quire_layout){
		.mmap_base = TASK_SIZE - DEFAULT_STACK_ROOM,
		.mmap_min = DEFAULT_MMAP_MIN,
		.brk_start = align_down(TASK_SIZE / 3 * 2, PAGE_SIZE),
		.stack_top = TASK_SIZE,
		.limits = {
			.address_space_bytes = QUIRE_UNLIMITED,
			.data_bytes = QUIRE_UNLIMITED,
			.stack_bytes = DEFAULT_STACK_BYTES,
			.locked_bytes = UINT64_C(8) << 20,
		},
	};
}

u64 vma_guard_start(const struct vma *vma)
{
	u64 gap = vma->mm->q->config.guard_gap_bytes;

	if ((vma->flags & VMA_GROWSDOWN) == 0)
		return vma->start;
	return vma->start > gap ? vma->start - gap : 0;
}

bool area_prefers_huge(const struct file *file, u64 addr, u64 len_bytes)
{
	if (file == NULL)
		return addr == 0 && is_aligned(len_bytes, PMD_SIZE);
	return file->mapping->kind == QUIRE_FILE_HOST;
}

/* The highest room of `len` bytes in [low, high). */
static int area_below(struct mm *mm, u64 low, u64 high, u64 len, u64 *ret_addr)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);

	while (high > low && high - low >= len) {
		struct vma *next;
		u64 start;

		if (maple_empty_area_rev(&cur, low, high - 1, len))
			break;
		start = cur.first;
		next = maple_next(&cur, TASK_SIZE);
		if (next == NULL || vma_guard_start(next) >= start + len) {
			*ret_addr = start;
			return 0;
		}
		high = vma_guard_start(next);
	}
	return -QUIRE_ENOMEM;
}

/* The lowest one. */
static int area_above(struct mm *mm, u64 low, u64 high, u64 len, u64 *ret_addr)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);

	while (high > low && high - low >= len) {
		struct vma *next;
		u64 start;

		if (maple_empty_area(&cur, low, high - 1, len))
			break;
		start = cur.first;
		next = maple_next(&cur, TASK_SIZE);
		if (next == NULL || vma_guard_start(next) >= start + len) {
			*ret_addr = start;
			return 0;
		}
		low = next->end;
	}
	return -QUIRE_ENOMEM;
}

/* A hint is taken when nothing is there, the guard gap above included. */
static bool hint_is_free(struct mm *mm, u64 hint, u64 len)
{
	struct vma *next;

	if (hint == 0 || len > TASK_SIZE || hint > TASK_SIZE - len)
		return false;
	next = vma_find(mm, hint);
	return next == NULL || hint + len <= vma_guard_start(next);
}

static int find_room(struct mm *mm, u64 hint, u64 len, u64 *ret_addr)
{
	u64 low = u64_max(mm->layout.mmap_min, PAGE_SIZE);

	if (hint_is_free(mm, hint, len)) {
		*ret_addr = hint;
		return 0;
	}
	if (area_below(mm, low, mm->layout.mmap_base, len, ret_addr) == 0)
		return 0;
	low = u64_max(low, align_down(TASK_SIZE / 3, PAGE_SIZE));
	return area_above(mm, low, TASK_SIZE, len, ret_addr);
}

/*
 * Room at an address that is congruent to the file's offset: one PMD more is
 * looked for and its slack left at the right end.  False: go without.
 */
static bool find_huge_room(struct mm *mm, u64 hint, const struct area_request *req,
			   u64 *ret_addr)
{
	u64 end = req->offset + req->len_bytes;
	u64 first_huge = align_up(req->offset, PMD_SIZE);
	u64 addr, slack;

	if (end <= first_huge || end - first_huge < PMD_SIZE ||
	    req->offset + req->len_bytes + PMD_SIZE < req->offset)
		return false;
	if (find_room(mm, hint, req->len_bytes + PMD_SIZE, &addr))
		return false;
	if (hint == 0 || addr != hint) {
		slack = (req->offset - addr) & (PMD_SIZE - 1);
		addr += slack != 0 ? slack : PMD_SIZE;
	}
	*ret_addr = addr;
	return true;
}

int mm_find_area(struct mm *mm, const struct area_request *req, u64 *ret_addr)
{
	u64 addr = req->addr, hint;

	if (req->len_bytes > TASK_SIZE)
		return -QUIRE_ENOMEM;
	if (!req->fixed) {
		hint = align_down(addr, PAGE_SIZE);
		if (hint != 0 && hint < mm->layout.mmap_min)
			hint = page_align_up(mm->layout.mmap_min);
		if (!req->huge_align || !find_huge_room(mm, hint, req, &addr)) {
			int ret = find_room(mm, hint, req->len_bytes, &addr);

			if (ret)
				return ret;
		}
	}
	if (addr > TASK_SIZE - req->len_bytes)
		return -QUIRE_ENOMEM;
	if (!is_aligned(addr, PAGE_SIZE))
		return -QUIRE_EINVAL;
	if (addr < mm->layout.mmap_min)
		return -QUIRE_EPERM;
	*ret_addr = addr;
	return 0;
}
