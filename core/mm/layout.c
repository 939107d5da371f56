/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things go: the default layout, and room for a new mapping.
 *
 * Mappings are placed top-down from mmap_base; when there is no room below it,
 * bottom-up from a third of the address space, as Linux on x86-64 does.  The
 * page range below a VMA that grows down (its guard gap) is no room.  Private
 * anonymous mappings of whole PMDs that come without a hint, and mappings of
 * host files, start where a PMD-sized folio could map them (since Linux 6.7).
 * MAP_32BIT is placed bottom-up from 1 to 2 GiB, whatever lies elsewhere.
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
			.data_max_bytes = QUIRE_UNLIMITED,
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
	/* A hint inside page 0 is none. */
	if (file == NULL)
		return addr < PAGE_SIZE && is_aligned(len_bytes, PMD_SIZE);
	return file->mapping->kind == QUIRE_FILE_HOST;
}

/* The highest room of `len` bytes in [low, high). */
static int area_below(struct mm *mm, u64 low, u64 high, u64 len, struct area *area)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);

	while (high > low && high - low >= len) {
		if (maple_empty_area_rev(&cur, low, high - 1, len))
			break;
		area->addr = cur.first;
		area->next = maple_next(&cur, TASK_SIZE);
		if (area->next == NULL || vma_guard_start(area->next) >= area->addr + len)
			return 0;
		high = vma_guard_start(area->next);
	}
	return -QUIRE_ENOMEM;
}

/* The lowest one. */
static int area_above(struct mm *mm, u64 low, u64 high, u64 len, struct area *area)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);

	while (high > low && high - low >= len) {
		if (maple_empty_area(&cur, low, high - 1, len))
			break;
		area->addr = cur.first;
		area->next = maple_next(&cur, TASK_SIZE);
		if (area->next == NULL || vma_guard_start(area->next) >= area->addr + len)
			return 0;
		low = area->next->end;
	}
	return -QUIRE_ENOMEM;
}

/* A hint is taken when nothing is there, the guard gap above included. */
static bool hint_is_free(struct mm *mm, u64 hint, u64 len, struct area *area)
{
	if (hint == 0 || len > TASK_SIZE || hint > TASK_SIZE - len)
		return false;
	area->addr = hint;
	area->next = vma_find(mm, hint);
	return area->next == NULL || hint + len <= vma_guard_start(area->next);
}

/* Where MAP_32BIT goes.  A smaller address space is low as a whole. */
#define LOW_START (TASK_SIZE > LOW_END ? UINT64_C(1) << 30 : 0)
#define LOW_END u64_min(UINT64_C(1) << 31, TASK_SIZE)

static int find_low_room(struct mm *mm, u64 hint, u64 len, struct area *area)
{
	if (len > LOW_END)
		return -QUIRE_ENOMEM;
	if (hint <= LOW_END - len && hint_is_free(mm, hint, len, area))
		return 0;
	return area_above(mm, u64_max(LOW_START, mm->layout.mmap_min), LOW_END, len, area);
}

static int find_room(struct mm *mm, u64 hint, u64 len, bool low_only, struct area *area)
{
	u64 low = u64_max(mm->layout.mmap_min, PAGE_SIZE);

	if (unlikely(low_only))
		return find_low_room(mm, hint, len, area);
	if (hint_is_free(mm, hint, len, area))
		return 0;
	if (area_below(mm, low, mm->layout.mmap_base, len, area) == 0)
		return 0;
	low = u64_max(low, align_down(TASK_SIZE / 3, PAGE_SIZE));
	return area_above(mm, low, TASK_SIZE, len, area);
}

/*
 * Room at an address that is congruent to the file's offset: one PMD more is
 * looked for and its slack left at the right end.  False: go without.
 */
static bool find_huge_room(struct mm *mm, u64 hint, const struct area_request *req,
			   struct area *area)
{
	u64 end = req->offset + req->len_bytes;
	u64 first_huge = align_up(req->offset, PMD_SIZE);
	u64 slack;

	/* Linux reckons with signed offsets: the last PMD below 2^63 counts as room. */
	if ((s64)end <= (s64)first_huge || end - first_huge < PMD_SIZE ||
	    req->offset + req->len_bytes + PMD_SIZE < req->offset)
		return false;
	if (find_room(mm, hint, req->len_bytes + PMD_SIZE, req->low, area))
		return false;
	if (hint == 0 || area->addr != hint) {
		slack = (req->offset - area->addr) & (PMD_SIZE - 1);
		area->addr += slack != 0 ? slack : PMD_SIZE;
	}
	return true;
}

static int find_hole(struct mm *mm, const struct area_request *req, struct area *area)
{
	u64 hint = align_down(req->addr, PAGE_SIZE);

	area->is_hole = true;
	if (hint != 0 && hint < mm->layout.mmap_min)
		hint = page_align_up(mm->layout.mmap_min);
	if (req->huge_align && find_huge_room(mm, hint, req, area))
		return 0;
	return find_room(mm, hint, req->len_bytes, req->low, area);
}

int mm_find_area(struct mm *mm, const struct area_request *req, struct area *ret_area)
{
	if (req->len_bytes > TASK_SIZE)
		return -QUIRE_ENOMEM;
	if (req->fixed) {
		*ret_area = (struct area){ .addr = req->addr };
	} else {
		int ret = find_hole(mm, req, ret_area);

		if (ret)
			return ret;
	}
	if (ret_area->addr > TASK_SIZE - req->len_bytes)
		return -QUIRE_ENOMEM;
	if (!is_aligned(ret_area->addr, PAGE_SIZE))
		return -QUIRE_EINVAL;
	return ret_area->addr < mm->layout.mmap_min ? -QUIRE_EPERM : 0;
}
