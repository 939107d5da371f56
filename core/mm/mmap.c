/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmap: arguments are checked in Linux's order, so that a call with several
 * faults gives the same errno; then room is found, what was there is unmapped,
 * and the range goes to a neighbour that says the same or to a VMA of its own.
 *
 * A failure before anything was unmapped leaves the address space unchanged.
 * A MAP_FIXED call that runs out of memory after that leaves the range
 * unmapped, as mmap(2) documents: the overlapped part is discarded.
 *
 * MAP_HUGETLB, and MAP_SYNC of a file on a disk, are carried through all of that, as
 * Linux does, where the pool or the file says no only when the range has been unmapped:
 * the errors before it are the same ones in the same order, and a MAP_FIXED that is
 * refused leaves a hole.
 */
#include "base/bits.h"
#include "mm/change.h"

#define PROT_ACCESS (QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC)
#define MAP_TYPE 0x0fu
/* The flags that MAP_SHARED_VALIDATE knows: those older than itself. */
#define MAP_VALIDATED                                                              \
	((u32)(QUIRE_MAP_SHARED | QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED |            \
	       QUIRE_MAP_ANONYMOUS | QUIRE_MAP_GROWSDOWN | QUIRE_MAP_DENYWRITE |   \
	       QUIRE_MAP_LOCKED | QUIRE_MAP_NORESERVE | QUIRE_MAP_POPULATE |       \
	       QUIRE_MAP_NONBLOCK | QUIRE_MAP_STACK | MAP_EXECUTABLE |             \
	       MAP_UNINITIALIZED | QUIRE_MAP_HUGETLB | QUIRE_MAP_32BIT |           \
	       MAP_ABOVE4G | MAP_OLD_HUGE_SIZES))
/* Known to Linux, without meaning here. */
#define MAP_ABOVE4G 0x80u
#define MAP_EXECUTABLE 0x1000u
#define MAP_UNINITIALIZED 0x4000000u
#define MAP_HUGE_SHIFT 26
#define MAP_HUGE_SIZES (UINT32_C(0x3f) << MAP_HUGE_SHIFT)
/* 2 MiB or 1 GiB: the bits of either. */
#define MAP_OLD_HUGE_SIZES (UINT32_C(0x1f) << MAP_HUGE_SHIFT)

/* Code (vdso) may be written by a debugger; data (vvar) by nobody, and no dump has it. */
static u32 special_flags(u32 flags)
{
	flags = (flags & ~(u32)VMA_LOCK_FLAGS) | VMA_SPECIAL;
	if (flags & VMA_EXEC)
		return flags;
	return (flags & ~(u32)(VMA_MAYWRITE | VMA_MAYEXEC)) | VMA_DONTDUMP;
}

static u32 flags_of_request(const struct mm *mm, const struct mmap_request *req)
{
	u32 flags = (req->prot & PROT_ACCESS) | VMA_MAYREAD | VMA_MAYWRITE |
		    VMA_MAYEXEC | mm->default_lock_flags |
		    vma_pkey_for(mm, req->prot & PROT_ACCESS);

	_Static_assert(VMA_ACCESS == PROT_ACCESS, "the same bits");
	if (req->flags &
	    (QUIRE_MAP_GROWSDOWN | QUIRE_MAP_LOCKED | QUIRE_MAP_STACK | QUIRE_MAP_SYNC)) {
		if (req->flags & QUIRE_MAP_GROWSDOWN)
			flags |= VMA_GROWSDOWN;
		if (req->flags & QUIRE_MAP_LOCKED)
			flags |= VMA_LOCKED;
		if (req->flags & QUIRE_MAP_STACK)
			flags |= VMA_NOHUGEPAGE;
		if (req->flags & QUIRE_MAP_SYNC)
			flags |= VMA_SYNC;
	}
	if (unlikely(req->kernel_flags != 0)) {
		if (req->kernel_flags & QUIRE_MAPK_SPECIAL)
			flags = special_flags(flags);
		if (req->kernel_flags & QUIRE_MAPK_STACK)
			flags |= VMA_GROWSDOWN;
	}
	return flags;
}

/* What mapping this file this way permits; adds to *flags.  `file` is NULL for the
 * pool of huge pages, which is readable and writable. */
static int check_file(const struct mmap_request *req, u64 len, u32 *flags)
{
	u32 mode = req->file != NULL ? req->file->mode : QUIRE_FILE_READ | QUIRE_FILE_WRITE;
	bool on_disk = req->file != NULL && req->file->mapping->kind == QUIRE_FILE_HOST;
	u64 max = (u64)INT64_MAX;

	if (len > max || req->offset >> PAGE_SHIFT > (max - len) >> PAGE_SHIFT)
		return -QUIRE_EOVERFLOW;
	switch (req->flags & MAP_TYPE) {
	case QUIRE_MAP_SHARED_VALIDATE:
		if (req->flags & ~(MAP_VALIDATED | (on_disk ? QUIRE_MAP_SYNC : 0u)))
			return -QUIRE_EOPNOTSUPP;
		/* fall through */
	case QUIRE_MAP_SHARED:
		if ((req->prot & QUIRE_PROT_WRITE) && !(mode & QUIRE_FILE_WRITE))
			return -QUIRE_EACCES;
		*flags |= VMA_SHARED | VMA_MAYSHARE;
		if (!(mode & QUIRE_FILE_WRITE))
			*flags &= ~(u32)(VMA_MAYWRITE | VMA_SHARED);
		/* fall through */
	case QUIRE_MAP_PRIVATE:
		break;
	default:
		return -QUIRE_EINVAL;
	}
	if (!(mode & QUIRE_FILE_READ))
		return -QUIRE_EACCES;
	if (mode & QUIRE_FILE_NOEXEC) {
		if (*flags & VMA_EXEC)
			return -QUIRE_EPERM;
		*flags &= ~(u32)VMA_MAYEXEC;
	}
	return *flags & VMA_GROWSDOWN ? -QUIRE_EINVAL : 0;
}

static int check_anonymous(const struct mmap_request *req, u32 *flags)
{
	switch (req->flags & MAP_TYPE) {
	case QUIRE_MAP_SHARED:
		if (*flags & VMA_GROWSDOWN)
			return -QUIRE_EINVAL;
		*flags |= VMA_SHARED | VMA_MAYSHARE;
		return 0;
	case QUIRE_MAP_DROPPABLE:
		if ((*flags & VMA_GROWSDOWN) || (req->flags & QUIRE_MAP_LOCKED))
			return -QUIRE_EINVAL;
		*flags |= VMA_DROPPABLE | VMA_NORESERVE | VMA_WIPEONFORK | VMA_DONTDUMP;
		return 0;
	case QUIRE_MAP_PRIVATE:
		return 0;
	default:
		return -QUIRE_EINVAL;
	}
}

/*
 * Memory from the pool of huge pages, of the size that the flags name (0: a
 * PMD's).  0: not asked for; or the size.  -EINVAL: no such size.
 */
static int huge_size(const struct mmap_request *req, u64 *ret_size)
{
	u64 shift = (req->flags & MAP_HUGE_SIZES) >> MAP_HUGE_SHIFT;

	*ret_size = 0;
	if ((req->flags & QUIRE_MAP_HUGETLB) == 0)
		return 0;
	if (shift == 0)
		shift = QUIRE_LEVEL_SHIFT(1);
	if (shift != QUIRE_LEVEL_SHIFT(1) && shift != QUIRE_LEVEL_SHIFT(2))
		return -QUIRE_EINVAL;
	*ret_size = BIT(shift);
	return 0;
}

/* What a file says when all else is done: that there are no pages in the pool, or that
 * its disk is not memory. */
static int ask_file(const struct mmap_request *req, u64 huge)
{
	if (unlikely(huge != 0))
		return is_aligned(req->offset, huge) ? -QUIRE_ENOMEM : -QUIRE_EINVAL;
	if (unlikely((req->flags & QUIRE_MAP_SYNC) && req->file != NULL &&
		     req->file->mapping->kind == QUIRE_FILE_HOST))
		return -QUIRE_EOPNOTSUPP;
	return 0;
}

/* Where the range goes. */
static int find_place(struct mm *mm, const struct mmap_request *req, u64 len, u64 huge,
		      struct area *place)
{
	bool fixed = (req->flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE)) != 0;
	struct area_request area = {
		.addr = fixed ? req->addr : mm_raise_hint(mm, req->addr),
		.len_bytes = len, .fixed = fixed,
		.low = (req->flags & QUIRE_MAP_32BIT) != 0,
		.offset = req->file != NULL ? req->offset : 0,
	};
	struct vma *there;
	int ret;

	if (fixed && huge != 0 && len <= TASK_SIZE && !is_aligned(req->addr, huge))
		return -QUIRE_EINVAL;
	/* Room for huge pages is looked for with what aligning it may cost. */
	if (!fixed && huge != 0 && len <= TASK_SIZE)
		area.len_bytes += huge - PAGE_SIZE;
	area.align = area_alignment(mm, req->file, (req->flags & QUIRE_MAP_SHARED) != 0,
				    area.addr, len);
	ret = mm_find_area(mm, &area, place);
	if (ret || !(req->flags & QUIRE_MAP_FIXED_NOREPLACE))
		return ret;
	there = vma_find(mm, place->addr);
	return there != NULL && there->start < place->addr + len ? -QUIRE_EEXIST : 0;
}

/* Everything that is refused before the address space is touched; what is to be
 * mapped, and where. */
static int check_request(struct mm *mm, const struct mmap_request *req, u64 huge,
			 struct vma_spec *spec, struct area *place)
{
	u64 len_bytes = huge != 0 ? align_up(req->len_bytes, huge) : req->len_bytes;
	u64 len = page_align_up(len_bytes);
	u32 flags;
	int ret;

	if (len_bytes == 0)
		return -QUIRE_EINVAL;
	if (len == 0)
		return -QUIRE_ENOMEM;
	if (mm_check_map_count(mm, 0))
		return -QUIRE_ENOMEM;
	flags = flags_of_request(mm, req);
	ret = find_place(mm, req, len, huge, place);
	if (ret)
		return ret;
	spec->start = place->addr;
	spec->end = spec->start + len;
	if ((req->flags & QUIRE_MAP_LOCKED) && !mm_may_lock_some(mm))
		return -QUIRE_EPERM;
	if (!mm_may_lock(mm, flags, len))
		return -QUIRE_EAGAIN;
	if (req->file != NULL || huge != 0) {
		ret = check_file(req, len, &flags);
		spec->pgoff = req->offset >> PAGE_SHIFT;
	} else {
		ret = check_anonymous(req, &flags);
		spec->pgoff = flags & VMA_SHARED ? 0 : spec->start >> PAGE_SHIFT;
	}
	if (!ret && mm_denies_exec(mm, flags, flags))
		ret = -QUIRE_EACCES;
	if ((req->flags & QUIRE_MAP_NORESERVE) &&
	    mm->q->config.overcommit != QUIRE_OVERCOMMIT_NEVER)
		flags |= VMA_NORESERVE;
	spec->flags = flags;
	/* Shared, /dev/zero is no more than the wish for such memory. */
	spec->file = file_is_zeros(req->file) && (flags & VMA_SHARED) ? NULL : req->file;
	return ret;
}

/* What is mapped in a range that is to be replaced. */
struct mapped {
	struct vma *first;
	u64 nr_pages, nr_accounted;
	u32 flags; /* of all of them, together */
};

static void count_mapped(struct mm *mm, u64 start, u64 end, struct mapped *ret_mapped)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, start, start);
	struct mapped mapped = { 0 };
	struct vma *vma;

	maple_for_each(&cur, vma, end - 1) {
		u64 nr = (u64_min(vma->end, end) - u64_max(vma->start, start)) >> PAGE_SHIFT;

		if (mapped.first == NULL)
			mapped.first = vma;
		mapped.nr_pages += nr;
		if (vma->flags & VMA_ACCOUNT)
			mapped.nr_accounted += nr;
		mapped.flags |= vma->flags;
	}
	*ret_mapped = mapped;
}

/* The file that holds shared anonymous memory.  All of it is charged at once,
 * until the last mapping of it is gone. */
static int make_shared_file(struct mm *mm, const struct vma_spec *spec,
			    struct file **ret_file)
{
	enum quire_shmem_folios own = mm->q->config.shared_folios;
	struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = spec->end - spec->start,
		/* As if it lay on a tmpfs of its own, where it has a setting of its own. */
		.on_tmpfs = own != QUIRE_SHMEM_INHERIT,
		.tmpfs_folios = own != QUIRE_SHMEM_INHERIT ? own : QUIRE_SHMEM_NEVER,
	};
	u64 nr_charged = spec->flags & VMA_NORESERVE ? 0 : config.size_bytes >> PAGE_SHIFT;
	int ret;

	if (nr_charged != 0 && commit_charge(mm, nr_charged))
		return -QUIRE_ENOMEM;
	ret = file_create(&mm->q->files, &config, ret_file);
	if (!ret)
		(*ret_file)->mapping->nr_charged = nr_charged;
	else if (nr_charged != 0)
		commit_uncharge(mm, nr_charged);
	return ret;
}

/* A VMA as `spec` says, not in the tree. */
static int make_vma(struct mm *mm, const struct vma_spec *spec, const char *name,
		    struct vma **ret_vma)
{
	struct vma *vma = vma_alloc(mm);

	if (vma == NULL)
		return -QUIRE_ENOMEM;
	vma->start = spec->start;
	vma->end = spec->end;
	vma->pgoff = spec->pgoff;
	vma->name = name;
	if (spec->file != NULL) {
		file_get(spec->file);
		vma->file = spec->file;
	} else if (spec->flags & VMA_SHARED) {
		int ret = make_shared_file(mm, spec, &vma->file);

		if (ret) {
			vma_free(vma);
			return ret;
		}
	}
	if (vma->file != NULL && !file_is_zeros(vma->file))
		vma->mapping = vma->file->mapping;
	vma_set_flags(vma, spec->flags);
	*ret_vma = vma;
	return 0;
}

/* Puts the range, which is a hole, into the tree.  `prev` and `next`: the VMAs
 * that touch it, or NULL. */
static int insert_range(struct mm *mm, struct maple_cursor *cur,
			const struct vma_spec *spec, const char *name, struct vma *prev,
			struct vma *next)
{
	bool shared_anon = spec->file == NULL && (spec->flags & VMA_SHARED);
	struct vma_spec unlocked;
	struct vma *vma;
	int ret;

	if ((prev != NULL || next != NULL) && !shared_anon) {
		ret = vma_merge_new(cur, spec, prev, next, &vma);
		if (ret || vma != NULL)
			return ret;
	}
	/* What cannot be locked merged as if it could, and then is not. */
	if (unlikely(!vma_flags_lockable(spec->flags))) {
		unlocked = *spec;
		unlocked.flags &= ~(u32)VMA_LOCK_FLAGS;
		spec = &unlocked;
	}
	ret = make_vma(mm, spec, name, &vma);
	if (ret)
		return ret;
	ret = vma_insert(cur, vma);
	if (ret)
		vma_free(vma);
	return ret;
}

/*
 * Linux cuts the VMAs at both ends of the range before it asks the limits, and
 * leaves them cut if those refuse; who compares maps sees it.
 */
static void cut_range(struct mm *mm, struct maple_cursor *cur, u64 start, u64 end)
{
	struct vma *first = vma_find(mm, start), *last, *part;
	int ret = 0;

	if (first->start < start && first->end > end && mm_check_map_count(mm, 1))
		return;
	if (first->start < start)
		ret = vma_carve(cur, first, start, first->end, &part);
	last = vma_at(mm, end - 1);
	if (!ret && last != NULL && last->end > end)
		ret = vma_carve(cur, last, last->start, end, &part);
	(void)ret; /* the call has failed already */
}

/* Unmaps what overlaps.  The new range inherits its charge: what the call must
 * give back if it fails. */
static int replace_range(struct mm *mm, struct maple_cursor *cur,
			 const struct vma_spec *spec, u64 *charged)
{
	struct detached detached;
	int ret = mm_detach(cur, spec->start, spec->end, &detached);

	if (ret)
		return ret;
	if (spec->flags & VMA_ACCOUNT) {
		*charged += detached.nr_accounted;
		detached.nr_accounted = 0;
	}
	mm_dispose_detached(mm, &detached);
	return 0;
}

/* Limits and commit charge for a range of which `nr_mapped` pages are replaced;
 * *ret_charged is what is to be uncharged if the call fails. */
static int charge_range(struct mm *mm, struct vma_spec *spec, u64 nr_mapped,
			u64 nr_accounted, u64 *ret_charged)
{
	u64 nr_pages = (spec->end - spec->start) >> PAGE_SHIFT;

	*ret_charged = 0;
	if (!mm_may_expand(mm, spec->flags, nr_pages - nr_mapped))
		return -QUIRE_ENOMEM;
	if (!vma_flags_account(spec->flags))
		return 0;
	/* What is unmapped gives its charge back; only the rest is new. */
	if (commit_charge(mm, nr_pages - nr_accounted))
		return -QUIRE_ENOMEM;
	*ret_charged = nr_pages - nr_accounted;
	spec->flags |= VMA_ACCOUNT;
	return 0;
}

/*
 * Finds out what is there, and asks the limits.  *ret_cur is at the range;
 * area->is_hole and area->next are known afterwards; *ret_charged as by
 * charge_range().
 */
static int prepare_range(struct mm *mm, struct maple_cursor *cur, struct vma_spec *spec,
			 struct area *area, u64 *ret_charged)
{
	struct mapped mapped = { 0 };
	int ret;

	*ret_charged = 0;
	if (!area->is_hole) {
		maple_set_range(cur, spec->start, spec->start);
		area->is_hole = maple_walk(cur) == NULL && cur->last >= spec->end - 1;
		area->next = NULL;
		if (!area->is_hole)
			count_mapped(mm, spec->start, spec->end, &mapped);
		else if (cur->last == spec->end - 1)
			area->next = maple_next(cur, spec->end);
	}
	if (!mm_detach_is_free(mapped.flags)) {
		ret = mm_check_detach(cur, mapped.first, spec->start, spec->end);
		if (ret)
			return ret;
	}
	ret = charge_range(mm, spec, mapped.nr_pages, mapped.nr_accounted, ret_charged);
	if (ret && !area->is_hole)
		cut_range(mm, cur, spec->start, spec->end);
	return ret;
}

/* The range, a hole now, becomes part of the address space. */
static int fill_range(struct mm *mm, struct maple_cursor *cur, const struct mmap_request *req,
		      const struct vma_spec *spec, const struct area *area)
{
	u64 nr_pages = (spec->end - spec->start) >> PAGE_SHIFT;
	struct vma *prev, *next;
	int ret;

	prev = spec->start == 0 ? NULL : maple_load(&mm->vmas, spec->start - 1);
	next = area->next != NULL && area->next->start == spec->end ? area->next : NULL;
	ret = insert_range(mm, cur, spec, req->name, prev, next);
	if (ret)
		return ret;
	mm_account_vma(mm, spec->flags, (s64)nr_pages);
	if ((spec->flags & VMA_LOCKED) && vma_flags_lockable(spec->flags))
		mm->locked_pages += nr_pages;
	return 0;
}

int mm_mmap(struct mm *mm, const struct mmap_request *req, u64 *ret_addr,
	    u64 *ret_populate)
{
	struct maple_cursor cur = maple_cursor(&mm->vmas, 0, 0);
	struct vma_spec spec = { 0 };
	struct area area;
	u64 charged, huge;
	int ret;

	ret = huge_size(req, &huge);
	if (!ret)
		ret = check_request(mm, req, huge, &spec, &area);
	if (ret)
		return ret;
	if (huge != 0) /* the pool has its own accounting */
		spec.flags |= VMA_NORESERVE;
	ret = prepare_range(mm, &cur, &spec, &area, &charged);
	if (ret)
		return ret;
	if (!area.is_hole) {
		ret = replace_range(mm, &cur, &spec, &charged);
		if (ret)
			goto fail;
		area.next = maple_load(&mm->vmas, spec.end);
	}
	ret = ask_file(req, huge);
	if (!ret)
		ret = fill_range(mm, &cur, req, &spec, &area);
	if (ret)
		goto fail;
	*ret_addr = spec.start;
	*ret_populate = (spec.flags & VMA_LOCKED) ||
			(req->flags & (QUIRE_MAP_POPULATE | QUIRE_MAP_NONBLOCK)) ==
				QUIRE_MAP_POPULATE ?
			spec.end - spec.start : 0;
	return 0;
fail:
	if (charged != 0)
		commit_uncharge(mm, charged);
	return ret;
}
