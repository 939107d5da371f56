/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where things go: the default layout, and room for a new mapping.
 *
 * Mappings are placed top-down from mmap_base; when there is no room below it,
 * bottom-up from a third of the address space, as Linux on x86-64 does.  In the
 * old layout they are placed bottom-up at once.  The page range below a VMA that
 * grows down (its guard gap) is no room.  MAP_32BIT is placed bottom-up from 1 to
 * 2 GiB, whatever lies elsewhere.
 *
 * Some start where a PMD-sized folio could map them, in one of two ways:
 *   huge   private anonymous mappings of whole PMDs that come without a hint, and
 *          mappings of host files: room for one PMD more is looked for at once
 *   shmem  memory that may have such folios: only if the place found without
 *          regard to that is not right
 *
 * Two lowest addresses, as on Linux: what a program insists on may lie below what
 * it would be given.
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

u64 mm_placed_min(const struct mm *mm)
{
	u64 min = u64_max(mm->layout.mmap_min, mm->layout.mmap_min_placed);

	return page_align_up(u64_max(min, PAGE_SIZE));
}

u64 mm_raise_hint(const struct mm *mm, u64 addr)
{
	/* One inside page 0 is none. */
	return addr < PAGE_SIZE ? 0 : u64_max(align_down(addr, PAGE_SIZE), mm_placed_min(mm));
}

enum area_align area_alignment(const struct mm *mm, const struct file *file, bool shared,
			       u64 hint, u64 len_bytes)
{
	const struct quire_config *config = &mm->q->config;
	bool memory = file == NULL ? shared : file->mapping->kind == QUIRE_FILE_MEMORY;
	bool huge;

	if (memory) {
		enum quire_shmem_folios mode = files_shmem_folios(
			&mm->q->files, file != NULL ? file->mapping : NULL);

		return mode == QUIRE_SHMEM_NEVER || mode == QUIRE_SHMEM_DENY ? ALIGN_PAGE :
									       ALIGN_SHMEM;
	}
	huge = file == NULL ? hint < PAGE_SIZE && is_aligned(len_bytes, PMD_SIZE) :
			      (file->mode & QUIRE_FILE_UNALIGNED) == 0;
	return huge && config->huge_placement ? ALIGN_HUGE : ALIGN_PAGE;
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
	return area_above(mm, u64_max(LOW_START, mm_placed_min(mm)), LOW_END, len, area);
}

static int find_room(struct mm *mm, u64 hint, u64 len, bool low_only, struct area *area)
{
	const struct quire_layout *layout = &mm->layout;
	u64 low = mm_placed_min(mm), base = layout->mmap_base;

	if (unlikely(low_only))
		return find_low_room(mm, hint, len, area);
	if (hint_is_free(mm, hint, len, area))
		return 0;
	if (!layout->bottom_up) {
		if (area_below(mm, low, base, len, area) == 0)
			return 0;
		base = layout->mmap_fallback;
		if (base == 0)
			base = align_down(TASK_SIZE / 3, PAGE_SIZE);
	}
	return area_above(mm, u64_max(low, base), TASK_SIZE, len, area);
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
		area->addr += slack != 0 || mm->layout.bottom_up ? slack : PMD_SIZE;
	}
	return true;
}

/* Moves `area`, which was found for the request, to where its offset asks for, if
 * there is room for it. */
static void align_shmem(struct mm *mm, u64 hint, const struct area_request *req,
			struct area *area)
{
	u64 mask = PMD_SIZE - 1, offset = req->offset & mask, len = req->len_bytes, addr;
	struct area wide = *area;

	if ((hint != 0 && area->addr == hint) || (area->addr & mask) == offset)
		return;
	if (len < PMD_SIZE || (offset != 0 && offset + len < 2 * PMD_SIZE))
		return;
	if (find_room(mm, hint, len + PMD_SIZE - PAGE_SIZE, req->low, &wide))
		return;
	addr = wide.addr + ((offset - wide.addr) & mask);
	if (addr > TASK_SIZE - len)
		return;
	*area = wide;
	area->addr = addr;
}

static int find_hole(struct mm *mm, const struct area_request *req, struct area *area)
{
	u64 hint = align_down(req->addr, PAGE_SIZE);
	int ret;

	area->is_hole = true;
	if (req->align == ALIGN_HUGE && find_huge_room(mm, hint, req, area))
		return 0;
	ret = find_room(mm, hint, req->len_bytes, req->low, area);
	if (!ret && req->align == ALIGN_SHMEM)
		align_shmem(mm, hint, req, area);
	return ret;
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
