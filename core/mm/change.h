/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMA side of this room: how the tree of VMAs is changed.
 *
 * Everything here runs under the mmap write lock.  One pattern holds it
 * together, so that a call that fails leaves the address space as it was:
 *
 *   1. allocate VMAs, link them into anon_vmas (may fail, undone by freeing);
 *   2. ONE store into the tree (may fail, leaves the tree unchanged);
 *   3. replace entries in place, move boundaries, unlink and free what was
 *      swallowed (cannot fail).
 *
 * In step 3 what grows grows before what shrinks shrinks: at every moment the
 * reverse map finds a VMA for every mapped page.
 */
#ifndef MM_CHANGE_H
#define MM_CHANGE_H

#include "mm/mm.h"

#define VMA_LOCK_FLAGS (VMA_LOCKED | VMA_LOCKONFAULT)

/* What a range is or is to become: what neighbours must agree on to be one. */
struct vma_spec {
	u64 start, end;
	u64 pgoff;
	u32 flags;
	struct file *file;
	struct anon_vma *anon_vma;
	struct vma *source; /* whose anon_vma it is, if its chain is to be asked */
};

/* ---- vma.c --------------------------------------------------------------- */

/* Moves the boundaries; pgoff follows `start`. */
void vma_set_range(struct vma *vma, u64 start, u64 end);
/* Sets the flags and what is derived from them. */
void vma_set_flags(struct vma *vma, u32 flags);
/* A copy that covers [start, end) and is linked where `vma` is, in file and
 * anon_vma alike; NULL: no memory.  Not in the tree. */
struct vma *vma_clone_part(struct vma *vma, u64 start, u64 end);
/* Undoes vma_clone_part, or disposes of a VMA that left the tree. */
void vma_dispose(struct vma *vma);
/* Cuts `vma` at `addr`, which is inside; what lies above becomes a VMA of its own.
 * How many there may be is not asked.  0; -ENOMEM; -EINVAL: a special mapping. */
int vma_cut(struct maple_cursor *cur, struct vma *vma, u64 addr) MUST_CHECK;
/* Makes [start, end), a part of `vma`, a VMA of its own.  0; -EINVAL: a special
 * mapping; -ENOMEM: with one more VMA allowed where two are needed, `vma` has been cut
 * at `start`, as by Linux. */
int vma_carve(struct maple_cursor *cur, struct vma *vma, u64 start, u64 end,
	      struct vma **ret_vma) MUST_CHECK;
/* Puts a new VMA that overlaps nothing into the tree and its file. */
int vma_insert(struct maple_cursor *cur, struct vma *vma) MUST_CHECK;

/* ---- merge.c ------------------------------------------------------------------ */

/*
 * Lets a neighbour take over the new range.  0 with *ret_vma the VMA that now
 * contains it, or NULL when none may; -ENOMEM.  `prev` and `next` are the
 * neighbours that touch the range, or NULL.  With `next` given the new range
 * may join the two.
 */
int vma_merge_new(struct maple_cursor *cur, const struct vma_spec *spec,
		  struct vma *prev, struct vma *next, struct vma **ret_vma) MUST_CHECK;
/*
 * Gives [start, end) of `vma` other flags: merged with neighbours that have
 * them already, or carved out.  *ret_vma contains the range (and, merged,
 * possibly more); its flags are the caller's to set.  0, or what vma_carve returns.
 */
int vma_modify(struct maple_cursor *cur, struct vma *vma, u64 start, u64 end,
	       u32 flags, struct vma **ret_vma) MUST_CHECK;

/* ---- munmap.c ------------------------------------------------------------------ */

/* What left the tree and is still mapped. */
struct detached {
	struct vma *first; /* ascending, linked by next_detached */
	u64 floor, ceiling; /* the hole around them; ceiling 0: no end */
	u64 nr_accounted;  /* pages to uncharge */
};

/*
 * May the VMAs from `first` on, the first above `start`, lose [start, end)?  0;
 * -EPERM: one is sealed; -EINVAL: a special mapping would be cut; -ENOMEM: one VMA
 * too many.  As on Linux, what forbids it behind the first VMA leaves that one cut at
 * `start`.  To be asked where mm_detach_is_free() does not hold.
 */
int mm_check_detach(struct maple_cursor *cur, struct vma *first, u64 start,
		    u64 end) MUST_CHECK;
/* `flags`: what all VMAs of the range have, together. */
static inline bool mm_detach_is_free(u32 flags)
{
	return likely((flags & (VMA_SEALED | VMA_SPECIAL)) == 0);
}
/* Takes all VMAs of [start, end), split at both ends, out of the tree.  0 also
 * when there are none; -ENOMEM with nothing changed; as mm_check_detach(). */
int mm_detach(struct maple_cursor *cur, u64 start, u64 end,
	      struct detached *ret_detached) MUST_CHECK;
/*
 * The same in two steps, with something that may fail in between: after a
 * prepare that returned 0, either commit, which cannot fail, or cancel.  The
 * tree must not be changed meanwhile.
 */
struct detach_plan {
	struct maple_cursor *cur;
	struct vma *first, *last; /* first NULL: nothing there */
	u64 start, end;
	/* ---- parts of VMAs that stick out */
	struct vma *head;  /* new: what goes of `first` */
	struct vma *tail;  /* new: what goes of `last` */
	struct vma *right; /* new: what stays of `first` beyond the range */
};
int mm_detach_prepare(struct detach_plan *plan, struct maple_cursor *cur, u64 start,
		      u64 end) MUST_CHECK;
void mm_detach_commit(struct detach_plan *plan, struct detached *ret_detached);
void mm_detach_cancel(struct detach_plan *plan);
/* Unmaps and frees them. */
void mm_dispose_detached(struct mm *mm, struct detached *detached);
/* mm_detach and mm_dispose_detached, arguments checked. */
int mm_munmap(struct mm *mm, u64 start, u64 len_bytes) MUST_CHECK;

/* ---- layout.c: where new mappings go --------------------------------------------- */

/* Whether to start on a PMD boundary of the file if there is room; the ways: layout.c. */
enum area_align { ALIGN_PAGE, ALIGN_HUGE, ALIGN_SHMEM };
struct area_request {
	u64 addr;        /* hint, or the place if `fixed` */
	u64 len_bytes;   /* page aligned, not 0 */
	bool fixed;
	enum area_align align;
	bool low;        /* MAP_32BIT: from 1 to 2 GiB, unless fixed */
	u64 offset;      /* of the mapping in its file, for `align` */
};
struct area {
	u64 addr;
	bool is_hole;     /* found, not told: nothing is mapped there */
	struct vma *next; /* then: the VMA above it, or NULL */
};
/* 0; -ENOMEM no room; -EINVAL a fixed address that is none; -EPERM too low. */
int mm_find_area(struct mm *mm, const struct area_request *req,
		 struct area *ret_area) MUST_CHECK;
/* The lowest address that must stay free below a VMA for it to grow. */
u64 vma_guard_start(const struct vma *vma);
/* How a mapping of this file (NULL: anonymous) wants to be placed. */
enum area_align area_alignment(const struct mm *mm, const struct file *file, bool shared,
			       u64 hint, u64 len_bytes);
/* The lowest address that anything is placed at, or that a stack grows to. */
u64 mm_placed_min(const struct mm *mm);
/* A hint of mmap's (0: none), not below that. */
u64 mm_raise_hint(const struct mm *mm, u64 addr);

/* ---- limits: commit.c --------------------------------------------------------------- */

bool mm_may_expand(const struct mm *mm, u32 flags, u64 nr_pages);
bool mm_may_lock(const struct mm *mm, u32 flags, u64 len_bytes);
/* False: no locking at all. */
bool mm_may_lock_some(const struct mm *mm);
static inline bool vma_flags_account(u32 flags)
{
	return (flags & (VMA_NORESERVE | VMA_SHARED | VMA_WRITE)) == VMA_WRITE;
}
/* PR_SET_MDWE: may a VMA not change from `old` to `flags`?  A new one: from its own. */
static inline bool mm_denies_exec(const struct mm *mm, u32 old, u32 flags)
{
	return unlikely(mm->mdwe != 0) && (flags & VMA_EXEC) &&
	       ((flags & VMA_WRITE) || !(old & VMA_EXEC));
}
/* -ENOMEM when `more` VMAs would be too many. */
int mm_check_map_count(const struct mm *mm, u32 more) MUST_CHECK;

/* ---- the calls: mmap write lock, unless said otherwise ----------------------------- */

struct mmap_request {
	u64 addr, len_bytes;
	u32 prot, flags;   /* enum quire_prot, quire_map */
	struct file *file;
	u64 offset;
	u32 kernel_flags;  /* enum quire_map_kernel */
	const char *name;
};
/* *ret_populate: bytes from *ret_addr on to be faulted in after unlocking. */
int mm_mmap(struct mm *mm, const struct mmap_request *req, u64 *ret_addr,
	    u64 *ret_populate) MUST_CHECK;
/* `pkey`: 0 to 15, or -1: as it was. */
int mm_mprotect(struct mm *mm, u64 start, u64 len_bytes, u32 prot, int pkey) MUST_CHECK;
int mm_mseal(struct mm *mm, u64 start, u64 len_bytes, u32 flags) MUST_CHECK;
/* The key of a VMA that gets `access`: what may only be executed has one of its own,
 * where CPUs have keys. */
static inline u32 vma_pkey_for(const struct mm *mm, u32 access)
{
	return access == VMA_EXEC && mm->q->config.pkeys ? VMA_PKEY_EXEC_ONLY : 0;
}
/* Can it be locked?  What cannot passes for locked all the same. */
static inline bool vma_flags_lockable(u32 flags)
{
	return (flags & (VMA_SPECIAL | VMA_DROPPABLE)) == 0;
}
struct mremap_request {
	u64 addr, old_len, new_len;
	u32 flags;
	u64 new_addr;
};
int mm_mremap(struct mm *mm, const struct mremap_request *req, u64 *ret_addr,
	      u64 *ret_populate_start, u64 *ret_populate_end) MUST_CHECK;
/* *ret_populate: bytes to be faulted in from the old break on. */
int mm_brk(struct mm *mm, u64 brk, u64 *ret_old_end, u64 *ret_populate) MUST_CHECK;
/* These take the mmap lock themselves. */
int mm_madvise(struct mm *mm, u64 start, u64 len_bytes, int advice) MUST_CHECK;
int mm_mlock(struct mm *mm, u64 start, u64 len_bytes, u32 lock_flags) MUST_CHECK;
int mm_munlock(struct mm *mm, u64 start, u64 len_bytes) MUST_CHECK;
int mm_mlockall(struct mm *mm, u32 flags) MUST_CHECK;
int mm_munlockall(struct mm *mm) MUST_CHECK;
int mm_msync(struct mm *mm, u64 start, u64 len_bytes, u32 flags) MUST_CHECK;
/* guard.c.  An access to the range is a fault from now on, or no longer; mmap lock in
 * any mode.  0, -ENOMEM. */
int guard_install(struct vma *vma, u64 start, u64 end) MUST_CHECK;
void guard_remove(struct vma *vma, u64 start, u64 end);
/* Faults [start, end) in as its VMAs ask; `best_effort` goes on after errors. */
int mm_populate(struct mm *mm, u64 start, u64 end, bool best_effort);

#endif
