/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations of random programs.
 *
 * Addresses come mostly from a window of the arena that is small, so that
 * mappings collide, split and merge; the rest refer to what earlier operations
 * returned, to the heap, or are wrong on purpose.  Where huge pages are the
 * matter, they come from the few PMD ranges around the arena, and begin, end or
 * lie in the middle of one.
 */
#include <quire/file.h>

#include "generator.h"

#define MAX_HUGE_PROCS 5

/* ---- operands -------------------------------------------------------------------------- */

/* A page that begins, ends or lies in a PMD range. */
static uint64_t page_of_pmd(struct generator *gen)
{
	static const uint64_t pages[] = { 0, 0, 0, 0, 0, 1, TABLE_PAGES / 2, TABLE_PAGES - 1 };

	return chance(gen, 85) ? PICK(gen, pages) : below(gen, TABLE_PAGES);
}

static uint64_t huge_len(struct generator *gen, const struct diff_addr *addr)
{
	static const uint64_t lengths[] = { 1, 4, TABLE_PAGES / 2, TABLE_PAGES - 1, TABLE_PAGES,
					    TABLE_PAGES, TABLE_PAGES, TABLE_PAGES + 1,
					    2 * TABLE_PAGES, 3 * TABLE_PAGES };
	const uint64_t pages = chance(gen, 85) ? PICK(gen, lengths) : 1 + below(gen, TABLE_PAGES);

	if (addr->base == DIFF_RESULT && pages > 2 * TABLE_PAGES)
		return TABLE_PAGES * DIFF_PAGE;
	return pages * DIFF_PAGE;
}

/* From the middle of the arena. */
static int64_t arena_page(struct generator *gen)
{
	const int64_t table = (int64_t)below(gen, DIFF_WIDE_PAGES / TABLE_PAGES) -
			      DIFF_WIDE_PAGES / TABLE_PAGES / 2;

	if (feature(gen, FEATURE_HUGE, 75))
		return table * TABLE_PAGES + (int64_t)page_of_pmd(gen);
	/* At and beside the places where a page table begins. */
	if (feature(gen, FEATURE_LONG, 60))
		return table * TABLE_PAGES + (int64_t)below(gen, 3) - 1;
	return (int64_t)below(gen, gen->window_pages) - (int64_t)gen->window_pages / 2;
}

static struct diff_addr arena_addr(struct generator *gen)
{
	return (struct diff_addr){ .base = DIFF_ARENA,
				   .offset = arena_page(gen) * (int64_t)DIFF_PAGE };
}

static struct diff_addr bad_addr(struct generator *gen)
{
	static const int64_t absolutes[] = { 0, 0x100, 0x7ffffffff000, 0x800000000000, -4096,
					     INT64_C(1) << 50 };
	struct diff_addr addr = arena_addr(gen);

	if (chance(gen, 60))
		addr.offset += 1 + (int64_t)below(gen, DIFF_PAGE - 1);
	else
		addr = (struct diff_addr){ .base = DIFF_ABSOLUTE, .offset = PICK(gen, absolutes) };
	return addr;
}

/* The same place as the operation before, right behind it, or inside it. */
static struct diff_addr near_last(struct generator *gen)
{
	struct diff_addr addr = gen->last_addr;
	const uint64_t pages = chance(gen, 40)	 ? 0
			       : chance(gen, 50) ? gen->last_pages
						 : below(gen, gen->last_pages);

	addr.offset += (int64_t)(pages * DIFF_PAGE);
	return addr;
}

/* A page of something that may be mapped, or of the window. */
static struct diff_addr likely_addr(struct generator *gen)
{
	const uint32_t nr = gen->nr_mapped < NR_MAPPED ? gen->nr_mapped : NR_MAPPED;
	struct diff_addr addr;
	uint32_t at;

	if (gen->last_pages && feature(gen, FEATURE_NEAR, 50))
		return near_last(gen);
	if (!nr || chance(gen, 40))
		return arena_addr(gen);
	at = (uint32_t)below(gen, nr);
	addr = gen->mapped[at].addr;
	if (chance(gen, 60))
		addr.offset += (int64_t)(below(gen, gen->mapped[at].nr_pages) * DIFF_PAGE);
	return addr;
}

static struct diff_addr any_addr(struct generator *gen)
{
	struct diff_addr addr = likely_addr(gen);

	if (feature(gen, FEATURE_BAD, 4))
		return bad_addr(gen);
	if (feature(gen, FEATURE_BRK, 8)) {
		addr = (struct diff_addr){ .base = DIFF_BRK };
		addr.offset = (int64_t)(below(gen, 8) * DIFF_PAGE);
	} else if (feature(gen, FEATURE_GROWSDOWN, 6)) {
		addr.offset -= (int64_t)((32 + below(gen, 600)) * DIFF_PAGE);
	} else if (gen->nr_placed && chance(gen, 25)) {
		addr = (struct diff_addr){ .base = DIFF_RESULT };
		addr.op = gen->placed[below(gen, gen->nr_placed)];
		addr.offset = (int64_t)(below(gen, 5) * DIFF_PAGE);
		if (feature(gen, FEATURE_HUGE, 60))
			addr.offset = (int64_t)(page_of_pmd(gen) * DIFF_PAGE);
		if (chance(gen, 20))
			addr.offset = -addr.offset;
	}
	return addr;
}

/* `addr`: where the length will start.  Long ones only where nothing of the
 * executor lies above. */
static uint64_t any_len(struct generator *gen, const struct diff_addr *addr)
{
	static const uint64_t lengths[] = { UINT64_C(1) << 40, UINT64_C(1) << 47,
					    UINT64_C(1) << 62, (uint64_t)-4096, (uint64_t)-1 };
	uint64_t pages = 1 + below(gen, chance(gen, 50) ? 3 : gen->max_len_pages);

	if (feature(gen, FEATURE_BAD, 8)) {
		if (chance(gen, 30))
			return 0;
		if (chance(gen, 50) || addr->base == DIFF_ABSOLUTE || addr->base == DIFF_RESULT)
			return pages * DIFF_PAGE - below(gen, DIFF_PAGE);
		return PICK(gen, lengths);
	}
	if ((addr->base == DIFF_ARENA || addr->base == DIFF_RESULT) &&
	    feature(gen, FEATURE_HUGE, 70))
		return huge_len(gen, addr);
	if (chance(gen, 3))
		pages = gen->window_pages;
	if (addr->base == DIFF_ARENA && feature(gen, FEATURE_LONG, 40))
		pages = (1 + below(gen, 3)) * TABLE_PAGES + (chance(gen, 70) ? 0 : below(gen, 3) - 1);
	return pages * DIFF_PAGE;
}

static uint32_t any_prot(struct generator *gen)
{
	static const uint32_t prots[] = {
		QUIRE_PROT_READ, QUIRE_PROT_READ, QUIRE_PROT_NONE, QUIRE_PROT_WRITE,
		QUIRE_PROT_READ | QUIRE_PROT_EXEC,
		QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC,
	};

	if (feature(gen, FEATURE_PROTS, 40))
		return PICK(gen, prots);
	return QUIRE_PROT_READ | QUIRE_PROT_WRITE;
}

static uint64_t in_page(struct generator *gen)
{
	static const uint64_t offsets[] = { 0, 0, 1, 2047, 4095 };

	return PICK(gen, offsets);
}

static void pick_file(struct generator *gen, struct diff_op *op)
{
	static const int16_t files[] = { 0, 0, 0, 1, 3, 3, 2, DIFF_GUARD_FILE };

	op->file = feature(gen, FEATURE_DISK, 60) ? (int16_t)(5 + below(gen, 2)) : PICK(gen, files);
	if (op->file == 2 && chance(gen, 70))
		op->file = 0;
	op->off = feature(gen, FEATURE_OFFSETS, 70) ? below(gen, 14) * DIFF_PAGE : 0;
	if (feature(gen, FEATURE_BAD, 3))
		op->off += chance(gen, 50) ? 512 : (uint64_t)-4096;
}

/* ---- operations --------------------------------------------------------------------------- */

static void spoil_mmap(struct generator *gen, struct diff_op *op)
{
	switch (below(gen, 5)) {
	case 0:
		op->flags &= ~(uint32_t)QUIRE_MAP_SHARED_VALIDATE;
		break;
	case 1:
		op->flags |= QUIRE_MAP_SHARED_VALIDATE;
		break;
	case 2:
		op->flags &= ~(uint32_t)QUIRE_MAP_ANONYMOUS;
		break;
	case 3:
		op->flags |= QUIRE_MAP_GROWSDOWN;
		break;
	default:
		op->prot |= 0x10;
		break;
	}
}

/* Memory of the pool of huge pages: there is none, and the way to that answer is long.
 * See deliberate.md, "the pool". */
static void ask_for_pool(struct generator *gen, struct diff_op *op)
{
	static const uint32_t sizes[] = { 0, 0, 0, 21, 21, 30, 16, 63 };

	op->flags |= QUIRE_MAP_HUGETLB | PICK(gen, sizes) << 26;
	op->flags &= ~(uint32_t)QUIRE_MAP_NORESERVE;
	if (op->addr.base == DIFF_ARENA && chance(gen, 70))
		op->addr.offset = ((int64_t)below(gen, 6) - 3) * (int64_t)DIFF_PMD_BYTES;
}

static void seldom_flags(struct generator *gen, struct diff_op *op)
{
	const uint32_t type = op->flags & 0xf;

	if (chance(gen, 20))
		op->flags |= QUIRE_MAP_32BIT;
	if (chance(gen, 12))
		op->flags |= QUIRE_MAP_SYNC;
	if (type == QUIRE_MAP_PRIVATE && !gen->features[FEATURE_RECLAIM] &&
	    chance(gen, op->file < 0 ? 20 : 3))
		op->flags ^= QUIRE_MAP_PRIVATE | QUIRE_MAP_DROPPABLE;
	if (type == QUIRE_MAP_SHARED && chance(gen, 30))
		op->flags |= QUIRE_MAP_SHARED_VALIDATE;
	if (chance(gen, 10))
		op->flags |= UINT32_C(1) << (9 + below(gen, 23));
	if (!gen->features[FEATURE_LOCKED])
		op->flags &= ~(uint32_t)QUIRE_MAP_LOCKED;
	if (chance(gen, 8))
		ask_for_pool(gen, op);
	/* From the pool, or by a bit drawn above. */
	if (op->flags & QUIRE_MAP_HUGETLB)
		op->flags &= ~(uint32_t)QUIRE_MAP_NORESERVE;
}

static void mmap_options(struct generator *gen, struct diff_op *op)
{
	const bool private_anon = (op->flags & QUIRE_MAP_PRIVATE) && op->file < 0;

	if (private_anon && feature(gen, FEATURE_GROWSDOWN, 25))
		op->flags |= QUIRE_MAP_GROWSDOWN;
	if (feature(gen, FEATURE_NORESERVE, 15))
		op->flags |= QUIRE_MAP_NORESERVE;
	if (feature(gen, FEATURE_POPULATE, 20))
		op->flags |= QUIRE_MAP_POPULATE;
	if (feature(gen, FEATURE_POPULATE, 3))
		op->flags |= QUIRE_MAP_NONBLOCK;
	if (feature(gen, FEATURE_LOCKED, 10))
		op->flags |= QUIRE_MAP_LOCKED;
	if (feature(gen, FEATURE_NORESERVE, 4))
		op->flags |= QUIRE_MAP_DENYWRITE;
	if (feature(gen, FEATURE_GROWSDOWN, 4))
		op->flags |= QUIRE_MAP_STACK;
	if (feature(gen, FEATURE_FLAGS, 60))
		seldom_flags(gen, op);
	if (feature(gen, FEATURE_BAD, 6))
		spoil_mmap(gen, op);
}

static void make_mmap(struct generator *gen, struct diff_op *op)
{
	op->addr = any_addr(gen);
	op->prot = any_prot(gen);
	if (gen->features[FEATURE_FILES] && chance(gen, 45))
		pick_file(gen, op);
	op->flags = feature(gen, FEATURE_SHARED, 45) ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE;
	if (op->file < 0)
		op->flags |= QUIRE_MAP_ANONYMOUS;
	if (feature(gen, FEATURE_FREE, 30)) {
		op->addr = (struct diff_addr){ .base = DIFF_ABSOLUTE };
	} else if (feature(gen, FEATURE_NOREPLACE, 15)) {
		op->flags |= QUIRE_MAP_FIXED_NOREPLACE;
	} else if (!feature(gen, FEATURE_HINT, 25)) {
		op->flags |= QUIRE_MAP_FIXED;
	}
	op->len = any_len(gen, &op->addr);
	/* Placed freely, at address 0: of whole page tables, too. */
	if (!(op->flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE)) &&
	    feature(gen, FEATURE_LONG, 30))
		op->len = (1 + below(gen, 3)) * TABLE_PAGES * DIFF_PAGE;
	mmap_options(gen, op);
	/* Filling a terabyte would take both sides hours. */
	if (op->len > gen->plain_bytes)
		op->flags &= ~(uint32_t)QUIRE_MAP_POPULATE;
}

static void make_mremap(struct generator *gen, struct diff_op *op)
{
	static const uint32_t flags[] = {
		0, 0, QUIRE_MREMAP_MAYMOVE, QUIRE_MREMAP_MAYMOVE, QUIRE_MREMAP_MAYMOVE,
		QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
		QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
		QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
		QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP,
		QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP | QUIRE_MREMAP_FIXED,
	};

	op->addr = any_addr(gen);
	op->addr2 = any_addr(gen);
	op->len = chance(gen, 5) ? 0 : any_len(gen, &op->addr);
	op->newlen = chance(gen, 40) ? op->len : any_len(gen, &op->addr2);
	op->flags = PICK(gen, flags);
	if (feature(gen, FEATURE_BAD, 5))
		op->flags = (uint32_t)below(gen, 16);
	if (!gen->features[FEATURE_DONTUNMAP])
		op->flags &= ~(uint32_t)QUIRE_MREMAP_DONTUNMAP;
	if ((op->flags & QUIRE_MREMAP_DONTUNMAP) && chance(gen, 90))
		op->newlen = op->len;
	if ((op->addr2.base == DIFF_ABSOLUTE || op->addr2.base == DIFF_RESULT) &&
	    op->newlen > MAX_PLAIN_LEN)
		op->newlen = DIFF_PAGE;
}

static uint32_t huge_advice(struct generator *gen)
{
	static const uint32_t advice[] = {
		QUIRE_MADV_HUGEPAGE, QUIRE_MADV_HUGEPAGE, QUIRE_MADV_HUGEPAGE,
		QUIRE_MADV_NOHUGEPAGE, QUIRE_MADV_DONTNEED, QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE,
		QUIRE_MADV_POPULATE_WRITE, QUIRE_MADV_POPULATE_READ,
	};

	return feature(gen, FEATURE_COLLAPSE, 30) ? QUIRE_MADV_COLLAPSE : PICK(gen, advice);
}

static bool is_drop(uint32_t advice)
{
	return advice == QUIRE_MADV_DONTNEED || advice == QUIRE_MADV_DONTNEED_LOCKED;
}

static bool is_reclaim(uint32_t advice)
{
	return advice == QUIRE_MADV_COLD || advice == QUIRE_MADV_PAGEOUT;
}

/* Keeps what deliberate.md lists out of programs where it would be seen. */
static void restrain_advice(struct generator *gen, struct diff_op *op)
{
	const bool huge = gen->features[FEATURE_HUGE];

	/* "Advice to reclaim." */
	if ((is_reclaim(op->flags) && (huge || !gen->features[FEATURE_RECLAIM])) ||
	    (op->flags == QUIRE_MADV_PAGEOUT &&
	     (gen->features[FEATURE_SHARED] || gen->features[FEATURE_FILES])))
		op->flags = QUIRE_MADV_MERGEABLE;
	if (op->flags == QUIRE_MADV_FREE && gen->features[FEATURE_RECLAIM])
		op->flags = QUIRE_MADV_UNMERGEABLE;
	/* "Collapse of files", of which the guard is one. */
	if (op->flags == QUIRE_MADV_COLLAPSE && op->addr.base != DIFF_ARENA)
		op->addr = arena_addr(gen);
	/* "Emptied tables." */
	if (op->flags == QUIRE_MADV_HUGEPAGE && gen->features[FEATURE_LONG])
		op->flags = QUIRE_MADV_NOHUGEPAGE;
	if (!huge || gen->features[FEATURE_LOSSES])
		return;
	if (is_drop(op->flags) && op->len >= DIFF_PMD_BYTES)
		op->len = DIFF_PMD_BYTES - DIFF_PAGE;
	/* "Zeros after a split." */
	if (op->flags == QUIRE_MADV_FREE)
		op->flags = QUIRE_MADV_NORMAL;
}

static void make_madvise(struct generator *gen, struct diff_op *op)
{
	static const uint32_t advice[] = {
		QUIRE_MADV_NORMAL, QUIRE_MADV_RANDOM, QUIRE_MADV_SEQUENTIAL, QUIRE_MADV_WILLNEED,
		QUIRE_MADV_DONTNEED, QUIRE_MADV_DONTNEED, QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE,
		QUIRE_MADV_FREE, QUIRE_MADV_REMOVE, QUIRE_MADV_REMOVE, QUIRE_MADV_DONTFORK,
		QUIRE_MADV_DOFORK, QUIRE_MADV_HUGEPAGE, QUIRE_MADV_NOHUGEPAGE, QUIRE_MADV_DONTDUMP,
		QUIRE_MADV_DODUMP, QUIRE_MADV_WIPEONFORK, QUIRE_MADV_WIPEONFORK,
		QUIRE_MADV_KEEPONFORK, QUIRE_MADV_POPULATE_READ, QUIRE_MADV_POPULATE_WRITE,
		QUIRE_MADV_DONTNEED_LOCKED, QUIRE_MADV_MERGEABLE, QUIRE_MADV_MERGEABLE,
		QUIRE_MADV_UNMERGEABLE, QUIRE_MADV_COLD, QUIRE_MADV_PAGEOUT,
		QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_REMOVE,
	};
	static const uint32_t unknown[] = { 5, 6, 7, 26, 99, 250, (uint32_t)-1 };

	op->addr = any_addr(gen);
	op->len = any_len(gen, &op->addr);
	op->flags = feature(gen, FEATURE_HUGE, 70) ? huge_advice(gen) : PICK(gen, advice);
	if (feature(gen, FEATURE_BAD, 4))
		op->flags = PICK(gen, unknown);
	restrain_advice(gen, op);
	/* madvise goes over holes, up to the executor's control block. */
	if (op->len > UINT64_C(1) << 40 && op->len < UINT64_C(1) << 63)
		op->len = UINT64_C(1) << 40;
	if (op->len > gen->plain_bytes && (op->flags == QUIRE_MADV_POPULATE_READ ||
					   op->flags == QUIRE_MADV_GUARD_INSTALL ||
					   op->flags == QUIRE_MADV_POPULATE_WRITE))
		op->len = DIFF_PAGE;
}

static void make_mprotect(struct generator *gen, struct diff_op *op)
{
	op->addr = any_addr(gen);
	op->len = any_len(gen, &op->addr);
	op->prot = any_prot(gen);
	if (op->prot == (QUIRE_PROT_READ | QUIRE_PROT_WRITE) && chance(gen, 50))
		op->prot = QUIRE_PROT_READ;
	if (feature(gen, FEATURE_GROWSDOWN, 10))
		op->prot |= QUIRE_PROT_GROWSDOWN;
	if (feature(gen, FEATURE_BAD, 5))
		op->prot |= chance(gen, 50) ? 0x10 : QUIRE_PROT_GROWSUP;
}

static void make_file_op(struct generator *gen, struct diff_op *op)
{
	/* See deliberate.md, "beyond the end on a disk". */
	const bool on_disk = feature(gen, FEATURE_DISK, 60);

	op->file = on_disk ? 5 : chance(gen, 60) ? 0 : 3;
	op->off = below(gen, 14) * DIFF_PAGE;
	if (op->kind == DIFF_truncate) {
		op->len = below(gen, 14) * DIFF_PAGE;
		if (chance(gen, 40) && !on_disk)
			op->len += below(gen, DIFF_PAGE);
	} else if (op->kind == DIFF_punch) {
		op->len = (1 + below(gen, 4)) * DIFF_PAGE;
	} else {
		op->off += on_disk ? DIFF_PAGE - 1 : in_page(gen);
		op->value = (uint32_t)below(gen, 256);
		if (feature(gen, FEATURE_BAD, 10))
			op->file = chance(gen, 50) ? 1 : 2;
	}
}

static void make_limit(struct generator *gen, struct diff_op *op)
{
	op->flags = (uint32_t)below(gen, DIFF_NR_LIMITS);
	op->len = chance(gen, 30) ? DIFF_NO_LIMIT : chance(gen, 15) ? 0 : below(gen, 48);
	/* See deliberate.md, "locked after DONTUNMAP". */
	if (gen->features[FEATURE_DONTUNMAP] && op->flags == DIFF_LIMIT_MEMLOCK)
		op->flags = DIFF_LIMIT_AS;
	if (chance(gen, 25))
		op->flags |= DIFF_LIMIT_FROM_0;
}

static void make_process(struct generator *gen, struct diff_op *op)
{
	if (op->kind == DIFF_exit) {
		if (gen->who == 0)
			op->kind = DIFF_nop;
		gen->alive[gen->who] = gen->who == 0;
	} else if (gen->nr_procs ==
		   (gen->features[FEATURE_HUGE] ? MAX_HUGE_PROCS : DIFF_MAX_PROCS)) {
		op->kind = DIFF_nop;
	} else {
		op->value = gen->nr_procs;
		gen->alive[gen->nr_procs++] = true;
	}
}

static void make_flags(struct generator *gen, struct diff_op *op)
{
	static const uint32_t all[] = {
		QUIRE_MCL_CURRENT, QUIRE_MCL_FUTURE, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE,
		QUIRE_MCL_CURRENT | QUIRE_MCL_ONFAULT, QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT,
	};
	static const uint32_t sync[] = { QUIRE_MS_SYNC, QUIRE_MS_ASYNC, 0,
					 QUIRE_MS_SYNC | QUIRE_MS_INVALIDATE };

	op->addr = any_addr(gen);
	op->len = any_len(gen, &op->addr);
	if (op->kind == DIFF_mlock)
		op->flags = chance(gen, 25) ? QUIRE_MLOCK_ONFAULT : 0;
	else if (op->kind == DIFF_mlockall)
		op->flags = PICK(gen, all);
	else if (op->kind == DIFF_msync)
		op->flags = PICK(gen, sync);
	if (op->kind != DIFF_mincore && feature(gen, FEATURE_BAD, 5))
		op->flags = (uint32_t)below(gen, 16);
	/* mincore's vector is compared whole; so it has to fit. */
	if (op->kind == DIFF_mincore && op->len > gen->plain_bytes && op->len < UINT64_C(1) << 47)
		op->len = DIFF_ARENA_PAGES * DIFF_PAGE;
}

static void make_access(struct generator *gen, struct diff_op *op)
{
	static const uint64_t lengths[] = { 2, 8, 64, 4095, 4096, 4097, 8192, 12000 };

	op->addr = any_addr(gen);
	op->addr.offset += (int64_t)in_page(gen);
	/* Not a program's address, or one that raises another signal. */
	if (op->addr.base == DIFF_ABSOLUTE)
		op->addr = arena_addr(gen);
	op->len = feature(gen, FEATURE_SPANS, 40) ? PICK(gen, lengths) : 1;
	op->value = (uint32_t)below(gen, 256);
	if (gen->weights[DIFF_exec] && chance(gen, 40))
		op->value = DIFF_CODE;
}

/* A word in each page, or a look at each. */
static void make_pages(struct generator *gen, struct diff_op *op)
{
	op->addr = likely_addr(gen);
	if (gen->nr_placed && chance(gen, 20))
		op->addr = (struct diff_addr){ .base = DIFF_RESULT,
					       .op = gen->placed[below(gen, gen->nr_placed)] };
	op->len = huge_len(gen, &op->addr);
	op->value = (uint32_t)below(gen, 1 << 16);
}

static void make_seal(struct generator *gen, struct diff_op *op)
{
	op->addr = any_addr(gen);
	op->len = any_len(gen, &op->addr);
	if (chance(gen, 60))
		op->len = DIFF_PAGE;
	if (feature(gen, FEATURE_BAD, 5))
		op->flags = 1;
}

static void make_pkey_mprotect(struct generator *gen, struct diff_op *op)
{
	static const uint32_t keys[] = { 0, 1, 1, 2, 15, (uint32_t)-1, (uint32_t)-1, 16 };

	make_mprotect(gen, op);
	op->value = PICK(gen, keys);
}

/* The same on the kernel's own pages.  None of them goes or is moved: what is in them
 * is not to be seen, nor how many there are. */
static void make_special(struct generator *gen, struct diff_op *op)
{
	op->addr = (struct diff_addr){ .base = DIFF_SPECIAL,
				       .offset = (int64_t)(below(gen, 8) * DIFF_PAGE) };
	op->len = (op->kind == DIFF_munmap || op->kind == DIFF_mmap ? 1 : 1 + below(gen, 4)) *
		  DIFF_PAGE;
	if (op->kind == DIFF_mmap)
		op->flags |= QUIRE_MAP_FIXED;
	if (op->kind == DIFF_mremap) {
		op->flags &= QUIRE_MREMAP_MAYMOVE;
		op->newlen = op->len + below(gen, 3) * DIFF_PAGE;
	}
	if (op->kind == DIFF_madvise && (op->flags == QUIRE_MADV_POPULATE_READ ||
					 op->flags == QUIRE_MADV_POPULATE_WRITE ||
					 op->flags == QUIRE_MADV_DONTFORK))
		op->flags = QUIRE_MADV_DOFORK;
}

static bool may_be_special(uint8_t kind)
{
	return kind == DIFF_mmap || kind == DIFF_munmap || kind == DIFF_mprotect ||
	       kind == DIFF_pkey_mprotect || kind == DIFF_mseal || kind == DIFF_madvise ||
	       kind == DIFF_mremap;
}

static void make_plain_op(struct generator *gen, struct diff_op *op)
{
	switch (op->kind) {
	case DIFF_mmap:
		make_mmap(gen, op);
		break;
	case DIFF_mremap:
		make_mremap(gen, op);
		break;
	case DIFF_mprotect:
		make_mprotect(gen, op);
		break;
	case DIFF_pkey_mprotect:
		make_pkey_mprotect(gen, op);
		break;
	case DIFF_mseal:
		make_seal(gen, op);
		break;
	case DIFF_rights:
		op->flags = (uint32_t)below(gen, 2);
		break;
	case DIFF_madvise:
		make_madvise(gen, op);
		break;
	case DIFF_brk:
		op->addr = (struct diff_addr){ .base = DIFF_BRK };
		op->addr.offset = (int64_t)(below(gen, 12) * DIFF_PAGE + in_page(gen));
		if (feature(gen, FEATURE_BAD, 10))
			op->addr = bad_addr(gen);
		break;
	case DIFF_read:
	case DIFF_write:
	case DIFF_exec:
		make_access(gen, op);
		break;
	case DIFF_fill:
	case DIFF_scan:
		make_pages(gen, op);
		break;
	case DIFF_truncate:
	case DIFF_pread:
	case DIFF_pwrite:
	case DIFF_punch:
		make_file_op(gen, op);
		break;
	case DIFF_limit:
		make_limit(gen, op);
		break;
	case DIFF_fork:
	case DIFF_exit:
		make_process(gen, op);
		break;
	default:
		make_flags(gen, op);
	}
}

void make_op(struct generator *gen, struct diff_op *op)
{
	make_plain_op(gen, op);
	if (may_be_special(op->kind) && feature(gen, FEATURE_SPECIAL, 5))
		make_special(gen, op);
}
