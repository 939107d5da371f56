/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public calls on address spaces: each enters, takes the mmap lock if its
 * inner function wants it held, and faults in afterwards what has to be
 * resident when it returns.
 */
#include "mm/api.h"
#include "mm/change.h"

/* ---- life --------------------------------------------------------------------- */

static bool layout_is_valid(const struct quire_layout *layout)
{
	return is_aligned(layout->mmap_base, PAGE_SIZE) && layout->mmap_base <= TASK_SIZE &&
	       layout->mmap_min < layout->mmap_base && layout->mmap_min_placed < TASK_SIZE &&
	       is_aligned(layout->mmap_fallback, PAGE_SIZE) &&
	       layout->mmap_fallback < TASK_SIZE && layout->brk_start < TASK_SIZE &&
	       layout->stack_top <= TASK_SIZE;
}

int quire_mm_create(struct quire *q, const struct quire_layout *layout,
		    struct quire_mm **ret_mm)
{
	struct mm *mm;
	int ret = api_enter(q);

	if (ret)
		return ret;
	if (layout == NULL || ret_mm == NULL || !layout_is_valid(layout))
		return -QUIRE_EINVAL;
	ret = mm_alloc(q, layout, &mm);
	if (ret)
		return ret;
	mm_publish(mm);
	*ret_mm = mm_handle(mm);
	return 0;
}

void quire_mm_get(struct quire_mm *handle)
{
	struct mm *mm;

	if (!api_enter_mm(handle, &mm))
		refcount_get(&mm->users, 1);
}

void quire_mm_put(struct quire_mm *handle)
{
	struct mm *mm;

	if (!api_enter_mm(handle, &mm) && refcount_put(&mm->users, 1))
		mm_exit(mm);
}

int quire_mm_fork(struct quire_mm *handle, struct quire_mm **ret_child)
{
	struct mm *mm, *child;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	if (ret_child == NULL)
		return -QUIRE_EINVAL;
	ret = mm_fork(mm, &child);
	if (!ret)
		*ret_child = mm_handle(child);
	return ret;
}

void quire_mm_set_limits(struct quire_mm *handle, const struct quire_limits *limits)
{
	struct mm *mm;

	if (limits == NULL || api_enter_mm(handle, &mm))
		return;
	rwsem_write_lock(&mm->mmap_lock);
	mm->layout.limits = *limits;
	rwsem_write_unlock(&mm->mmap_lock);
}

void quire_mm_get_layout(struct quire_mm *handle, struct quire_layout *ret_layout)
{
	struct mm *mm;

	if (ret_layout == NULL || api_enter_mm(handle, &mm))
		return;
	rwsem_read_lock(&mm->mmap_lock);
	*ret_layout = mm->layout;
	rwsem_read_unlock(&mm->mmap_lock);
}

int quire_mm_set_thp_disable(struct quire_mm *handle, enum quire_thp_disable mode)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	if ((unsigned)mode > QUIRE_THP_ADVISED)
		return -QUIRE_EINVAL;
	rwsem_write_lock(&mm->mmap_lock);
	mm->thp_disable = mode;
	rwsem_write_unlock(&mm->mmap_lock);
	return 0;
}

static bool mdwe_is_valid(u32 bits)
{
	return bits == 0 || bits == QUIRE_MDWE_REFUSE_EXEC_GAIN ||
	       bits == (QUIRE_MDWE_REFUSE_EXEC_GAIN | QUIRE_MDWE_NO_INHERIT);
}

int quire_mm_set_mdwe(struct quire_mm *handle, uint32_t bits)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	if (!mdwe_is_valid(bits))
		return -QUIRE_EINVAL;
	rwsem_write_lock(&mm->mmap_lock);
	if (mm->mdwe != 0 && mm->mdwe != bits)
		ret = -QUIRE_EPERM;
	else
		mm->mdwe = bits;
	rwsem_write_unlock(&mm->mmap_lock);
	return ret;
}

/* ---- mapping ------------------------------------------------------------------- */

static int map(struct mm *mm, const struct mmap_request *req, u64 *ret_addr)
{
	u64 addr, nr_populate;
	int ret;

	rwsem_write_lock(&mm->mmap_lock);
	ret = mm_mmap(mm, req, &addr, &nr_populate);
	rwsem_write_unlock(&mm->mmap_lock);
	if (ret)
		return ret;
	if (nr_populate != 0)
		mm_populate(mm, addr, addr + nr_populate, true);
	*ret_addr = addr;
	return 0;
}

/* What the system call checks before the mapping's own arguments. */
static int check_file_argument(const struct mmap_request *req)
{
	if (!is_aligned(req->offset, PAGE_SIZE))
		return -QUIRE_EINVAL;
	if (req->file != NULL && (req->flags & QUIRE_MAP_HUGETLB))
		return -QUIRE_EINVAL;
	return (req->flags & QUIRE_MAP_ANONYMOUS) || req->file != NULL ? 0 : -QUIRE_EBADF;
}

static struct file *file_argument(struct quire_file *file, uint32_t flags)
{
	return flags & QUIRE_MAP_ANONYMOUS ? NULL : (struct file *)(void *)file;
}

int quire_mmap(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes, uint32_t prot,
	       uint32_t flags, struct quire_file *file, uint64_t offset, uint64_t *ret_addr)
{
	struct mmap_request req = {
		.addr = addr, .len_bytes = len_bytes, .prot = prot, .flags = flags,
		.file = file_argument(file, flags), .offset = offset,
	};
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (!ret)
		ret = ret_addr == NULL ? -QUIRE_EINVAL : check_file_argument(&req);
	return ret ? ret : map(mm, &req, ret_addr);
}

int quire_map_kernel(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes,
		     uint32_t prot, uint32_t flags, struct quire_file *file,
		     uint64_t offset, uint32_t kernel_flags, const char *name)
{
	struct mmap_request req = {
		.addr = addr, .len_bytes = len_bytes, .prot = prot, .flags = flags,
		.file = file_argument(file, flags), .offset = offset,
		.kernel_flags = kernel_flags, .name = name,
	};
	struct mm *mm;
	u64 where;
	int ret = api_enter_mm(handle, &mm);

	if (!ret)
		ret = check_file_argument(&req);
	return ret ? ret : map(mm, &req, &where);
}

int quire_munmap(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	rwsem_write_lock(&mm->mmap_lock);
	ret = mm_munmap(mm, addr, len_bytes);
	rwsem_write_unlock(&mm->mmap_lock);
	return ret;
}

int quire_mprotect(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes, uint32_t prot)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	rwsem_write_lock(&mm->mmap_lock);
	ret = mm_mprotect(mm, addr, len_bytes, prot, -1);
	rwsem_write_unlock(&mm->mmap_lock);
	return ret;
}

int quire_pkey_mprotect(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes, uint32_t prot,
			int pkey)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	rwsem_write_lock(&mm->mmap_lock);
	ret = mm_mprotect(mm, addr, len_bytes, prot, pkey);
	rwsem_write_unlock(&mm->mmap_lock);
	return ret;
}

int quire_mseal(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes, uint32_t flags)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	rwsem_write_lock(&mm->mmap_lock);
	ret = mm_mseal(mm, addr, len_bytes, flags);
	rwsem_write_unlock(&mm->mmap_lock);
	return ret;
}

int quire_mremap(struct quire_mm *handle, uint64_t addr, uint64_t old_len_bytes,
		 uint64_t new_len_bytes, uint32_t flags, uint64_t new_addr,
		 uint64_t *ret_addr)
{
	struct mremap_request req = {
		.addr = addr, .old_len = old_len_bytes, .new_len = new_len_bytes,
		.flags = flags, .new_addr = new_addr,
	};
	u64 where, populate_start, populate_end;
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	if (ret_addr == NULL)
		return -QUIRE_EINVAL;
	rwsem_write_lock(&mm->mmap_lock);
	ret = mm_mremap(mm, &req, &where, &populate_start, &populate_end);
	rwsem_write_unlock(&mm->mmap_lock);
	if (ret)
		return ret;
	if (populate_start < populate_end)
		mm_populate(mm, populate_start, populate_end, true);
	*ret_addr = where;
	return 0;
}

int quire_brk(struct quire_mm *handle, uint64_t brk, uint64_t *ret_brk)
{
	u64 old_end, nr_populate;
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	if (ret_brk == NULL)
		return -QUIRE_EINVAL;
	rwsem_write_lock(&mm->mmap_lock);
	ret = mm_brk(mm, brk, &old_end, &nr_populate);
	*ret_brk = mm->brk;
	rwsem_write_unlock(&mm->mmap_lock);
	if (!ret && nr_populate != 0)
		mm_populate(mm, old_end, old_end + nr_populate, true);
	return 0;
}

/* ---- the rest take the lock themselves ---------------------------------------------- */

int quire_madvise(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes, int advice)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	return ret ? ret : mm_madvise(mm, addr, len_bytes, advice);
}

int quire_msync(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes, uint32_t flags)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	return ret ? ret : mm_msync(mm, addr, len_bytes, flags);
}

int quire_mlock(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes, uint32_t flags)
{
	u32 lock_flags = VMA_LOCKED;
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	if (ret)
		return ret;
	if (flags & ~(uint32_t)QUIRE_MLOCK_ONFAULT)
		return -QUIRE_EINVAL;
	if (flags & QUIRE_MLOCK_ONFAULT)
		lock_flags |= VMA_LOCKONFAULT;
	return mm_mlock(mm, addr, len_bytes, lock_flags);
}

int quire_munlock(struct quire_mm *handle, uint64_t addr, uint64_t len_bytes)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	return ret ? ret : mm_munlock(mm, addr, len_bytes);
}

int quire_mlockall(struct quire_mm *handle, uint32_t flags)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	return ret ? ret : mm_mlockall(mm, flags);
}

int quire_munlockall(struct quire_mm *handle)
{
	struct mm *mm;
	int ret = api_enter_mm(handle, &mm);

	return ret ? ret : mm_munlockall(mm);
}
