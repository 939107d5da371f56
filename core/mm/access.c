/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program does to its memory: reads, writes, executes.
 *
 * An access goes through this CPU's TLB and page walker, as hardware would go,
 * and only when they refuse does the fault handler see it.  Then it is tried
 * again from the start.  A CPU uses the tables of one address space at a time;
 * which, it remembers in the instance (struct mm_cpu).
 */
#include "base/bits.h"
#include "base/memory.h"
#include "mm/api.h"

/* Somebody may undo what a fault did before the access is tried again, but
 * not for ever: past this the core itself is at fault. */
#define MAX_TRIES 100000u

static void load_tables(struct mm *mm)
{
	unsigned cpu = mach_cpu();
	struct mm_cpu *self = &mm->q->cpus[cpu];

	if (likely(atomic_load(&self->asid) == mm->pt.asid))
		return;
	/* Into the set before the first walk: pairs with the fence between an
	 * entry's change and the look at the set in tlb_flush_range. */
	atomic_fetch_or(&mm->pt.cpus.bits, BIT(cpu));
	atomic_store(&self->asid, mm->pt.asid);
	mach_mmu_load(mm->q->mmu,
		      frame_pfn(&mm->q->phys, (struct frame *)(void *)mm->pt.root).v,
		      mm->pt.asid);
}

/* No VMA holds `addr`: may the stack above grow down to it? */
static int grow_stack(struct mm *mm, u64 addr, enum quire_signal *ret_signal)
{
	int err;

	rwsem_write_lock(&mm->mmap_lock);
	err = mm_expand_stack(mm, addr);
	rwsem_write_unlock(&mm->mmap_lock);
	if (!err)
		return 0;
	*ret_signal = QUIRE_SIGSEGV_MAPERR;
	return -QUIRE_EFAULT;
}

static int take_fault(struct mm *mm, u64 addr, enum mach_access_kind kind,
		      struct quire_fault *ret_fault)
{
	enum quire_signal signal = QUIRE_NO_SIGNAL;
	struct vma *vma;
	int err;

	rwsem_read_lock(&mm->mmap_lock);
	vma = vma_at(mm, addr);
	if (likely(vma != NULL))
		err = mm_handle_fault(mm, vma, addr, kind, &signal);
	rwsem_read_unlock(&mm->mmap_lock);
	if (unlikely(vma == NULL))
		err = grow_stack(mm, addr, &signal);
	if (unlikely(err) && ret_fault != NULL)
		*ret_fault = (struct quire_fault){ .signal = signal, .addr = addr };
	return err;
}

/* 0 with an access begun, or what the program gets instead. */
static int begin_access(struct mm *mm, u64 addr, enum mach_access_kind kind,
			struct mach_access *access, struct quire_fault *ret_fault)
{
	if (unlikely(addr >= TASK_SIZE)) {
		if (ret_fault != NULL)
			*ret_fault = (struct quire_fault){
				.signal = QUIRE_SIGSEGV_MAPERR, .addr = addr,
			};
		return -QUIRE_EFAULT;
	}
	load_tables(mm);
	for (u32 tries = 0; mach_mmu_access_begin(mm->q->mmu, addr, kind, access) != 0; tries++) {
		int err = take_fault(mm, addr, kind, ret_fault);

		if (unlikely(err))
			return err;
		ensure(tries < MAX_TRIES);
		/* The page is there for the fault and not for the access: somebody is
		 * in the middle of taking it away. */
		if (unlikely(tries > 0))
			mach_relax();
	}
	return 0;
}

static u64 bytes_in_page(u64 addr, u64 len_bytes)
{
	return u64_min(len_bytes, PAGE_SIZE - (addr & ~PAGE_MASK));
}

/* Moves bytes between the program's memory and ours, page by page. */
static int copy_bytes(struct quire_mm *handle, u64 addr, char *ours, u64 len_bytes,
		      enum mach_access_kind kind, struct quire_fault *ret_fault)
{
	struct mach_access access;
	struct mm *mm;
	int err = api_enter_mm(handle, &mm);

	if (!err && ours == NULL && len_bytes > 0)
		err = -QUIRE_EINVAL;
	while (!err && len_bytes > 0) {
		u64 nr = bytes_in_page(addr, len_bytes);

		err = begin_access(mm, addr, kind, &access, ret_fault);
		if (err)
			break;
		if (kind == MACH_WRITE)
			mem_copy(access.mem, ours, nr);
		else
			mem_copy(ours, access.mem, nr);
		mach_mmu_access_end(mm->q->mmu);
		ours += nr;
		addr += nr;
		len_bytes -= nr;
	}
	return err;
}

int quire_read(struct quire_mm *handle, uint64_t addr, void *buf, uint64_t len_bytes,
	       struct quire_fault *ret_fault)
{
	return copy_bytes(handle, addr, buf, len_bytes, MACH_READ, ret_fault);
}

int quire_write(struct quire_mm *handle, uint64_t addr, const void *buf, uint64_t len_bytes,
		struct quire_fault *ret_fault)
{
	/* A write only reads what is ours. */
	return copy_bytes(handle, addr, (char *)(uintptr_t)buf, len_bytes, MACH_WRITE, ret_fault);
}

int quire_touch(struct quire_mm *handle, uint64_t addr, enum quire_touch kind,
		struct quire_fault *ret_fault)
{
	enum mach_access_kind access_kind = kind == QUIRE_TOUCH_WRITE  ? MACH_WRITE
					    : kind == QUIRE_TOUCH_EXEC ? MACH_EXEC
								       : MACH_READ;
	struct mach_access access;
	struct mm *mm;
	int err = api_enter_mm(handle, &mm);

	if (err)
		return err;
	if ((unsigned)kind > QUIRE_TOUCH_EXEC)
		return -QUIRE_EINVAL;
	err = begin_access(mm, addr, access_kind, &access, ret_fault);
	if (!err)
		mach_mmu_access_end(mm->q->mmu);
	return err;
}
