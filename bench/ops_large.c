/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rows of `quire bench ops` about folios of a PMD's size: NR_LARGE
 * mappings of one each, with as much room behind it, so that each call meets
 * one VMA and one folio.
 *
 * "Mapped page by page" is a folio whose PMD entry was split: one of its pages
 * was made read-only and writable again, so that the VMA is one again too.
 * Of the row that drops a part it is one page: on the machine where Linux's
 * instructions were counted that comes nearest to the time given beside them.
 */
#include <sys/mman.h>

#include "bench/ops.h"

#define LARGE_PAGES (UINT64_C(1) << QUIRE_PMD_ORDER)
#define LARGE_BYTES (LARGE_PAGES * PAGE)
#define STRIDE (2 * LARGE_BYTES)
/* The page by which one is split, in its middle. */
#define MIDDLE (LARGE_PAGES / 2 * PAGE)

/* ---- the core's side ---------------------------------------------------------- */

static uint64_t core_addr(unsigned i)
{
	return CORE_BASE + i * STRIDE;
}

static void core_map_large(struct bench *b)
{
	for (unsigned i = 0; i < NR_LARGE; i++) {
		ops_core_map(b, core_addr(i), LARGE_PAGES);
		ops_must(b, quire_madvise(b->mm, core_addr(i), LARGE_BYTES,
					  QUIRE_MADV_HUGEPAGE));
	}
}

static void core_fault_large(struct bench *b)
{
	for (unsigned i = 0; i < NR_LARGE; i++)
		ops_must(b, quire_touch(b->mm, core_addr(i), QUIRE_TOUCH_WRITE, NULL));
}

static void core_unmap_large(struct bench *b)
{
	for (unsigned i = 0; i < NR_LARGE; i++)
		ops_must(b, quire_munmap(b->mm, core_addr(i), LARGE_BYTES));
}

/* A row that got small pages would say nothing. */
static void core_map_faulted(struct bench *b)
{
	core_map_large(b);
	core_fault_large(b);
	for (unsigned i = 0; i < NR_LARGE; i++) {
		struct quire_page_info info = { 0 };

		ops_must(b, quire_page_info(b->mm, core_addr(i), &info));
		ops_must(b, info.mapcount != LARGE_PAGES);
	}
}

static void core_protect_middles(struct bench *b, uint32_t prot)
{
	for (unsigned i = 0; i < NR_LARGE; i++)
		ops_must(b, quire_mprotect(b->mm, core_addr(i) + MIDDLE, PAGE, prot));
}

static void core_split_large(struct bench *b)
{
	core_protect_middles(b, QUIRE_PROT_READ);
}

static void core_map_by_pages(struct bench *b)
{
	core_map_faulted(b);
	core_split_large(b);
	core_protect_middles(b, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
}

static void core_map_left_by_child(struct bench *b)
{
	core_map_by_pages(b);
	ops_core_fork_exit(b);
}

static void core_write_all(struct bench *b)
{
	for (unsigned i = 0; i < NR_LARGE; i++)
		for (uint64_t page = 0; page < LARGE_PAGES; page++)
			ops_must(b, quire_touch(b->mm, core_addr(i) + page * PAGE,
						QUIRE_TOUCH_WRITE, NULL));
}

static void core_drop_part(struct bench *b)
{
	for (unsigned i = 0; i < NR_LARGE; i++)
		ops_must(b, quire_madvise(b->mm, core_addr(i) + MIDDLE, PAGE,
					  QUIRE_MADV_DONTNEED));
}

/* ---- the host's side ---------------------------------------------------------- */

/* The first place in the host's memory that is aligned to a PMD. */
static char *host_addr(const struct bench *b, unsigned i)
{
	uintptr_t first = ((uintptr_t)b->host + LARGE_BYTES - 1) & ~(LARGE_BYTES - 1);

	return (char *)first + i * STRIDE;
}

static void host_map_large(struct bench *b)
{
	ops_host_map_bytes(b, (NR_LARGE + 1) * STRIDE);
	for (unsigned i = 0; b->host != NULL && i < NR_LARGE; i++) {
		ops_must(b, munmap(host_addr(b, i) + LARGE_BYTES, LARGE_BYTES));
		ops_must(b, madvise(host_addr(b, i), LARGE_BYTES, MADV_HUGEPAGE));
	}
}

static void host_write(struct bench *b, unsigned i, uint64_t page)
{
	*(volatile char *)(host_addr(b, i) + page * PAGE) = 1;
}

static void host_fault_large(struct bench *b)
{
	for (unsigned i = 0; b->host != NULL && i < NR_LARGE; i++)
		host_write(b, i, 0);
}

static void host_map_faulted(struct bench *b)
{
	host_map_large(b);
	host_fault_large(b);
}

static void host_protect_middles(struct bench *b, int prot)
{
	for (unsigned i = 0; b->host != NULL && i < NR_LARGE; i++)
		ops_must(b, mprotect(host_addr(b, i) + MIDDLE, PAGE, prot));
}

static void host_split_large(struct bench *b)
{
	host_protect_middles(b, PROT_READ);
}

static void host_map_by_pages(struct bench *b)
{
	host_map_faulted(b);
	host_split_large(b);
	host_protect_middles(b, PROT_READ | PROT_WRITE);
}

static void host_map_left_by_child(struct bench *b)
{
	host_map_by_pages(b);
	ops_host_fork_exit(b);
}

static void host_write_all(struct bench *b)
{
	for (unsigned i = 0; b->host != NULL && i < NR_LARGE; i++)
		for (uint64_t page = 0; page < LARGE_PAGES; page++)
			host_write(b, i, page);
}

static void host_drop_part(struct bench *b)
{
	for (unsigned i = 0; b->host != NULL && i < NR_LARGE; i++)
		ops_must(b, madvise(host_addr(b, i) + MIDDLE, PAGE, MADV_DONTNEED));
}

static void host_unmap_large(struct bench *b)
{
	for (unsigned i = 0; b->host != NULL && i < NR_LARGE; i++)
		ops_must(b, munmap(host_addr(b, i), LARGE_BYTES));
}

/* ---- the rows ------------------------------------------------------------------- */

const struct ops_row ops_large_rows[] = {
	{ "large-fault", "2 MiB written first, one folio", PER_FOLIO, core_map_large,
	  core_fault_large, core_unmap_large, host_map_large, host_fault_large, ops_host_unmap,
	  NEEDS_HUGE_PAGES },
	{ "large-munmap", "2 MiB unmapped, mapped by a PMD entry", PER_FOLIO, core_map_faulted,
	  core_unmap_large, ops_nothing, host_map_faulted, host_unmap_large, ops_host_unmap,
	  NEEDS_HUGE_PAGES },
	{ "large-split", "mprotect of a page in a PMD-mapped 2 MiB", PER_FOLIO, core_map_faulted,
	  core_split_large, core_unmap_large, host_map_faulted, host_split_large,
	  ops_host_unmap, NEEDS_HUGE_PAGES },
	{ "large-reuse", "page of 2 MiB, mapped by pages, after the child's exit", PER_FOLIO_PAGE,
	  core_map_left_by_child, core_write_all, core_unmap_large, host_map_left_by_child,
	  host_write_all, ops_host_unmap,
	  NEEDS_HUGE_PAGES },
	{ "large-fork-pages", "fork and exit, page of 2 MiB, mapped by pages", PER_FOLIO_PAGE,
	  core_map_by_pages, ops_core_fork_exit, core_unmap_large, host_map_by_pages,
	  ops_host_fork_exit, ops_host_unmap,
	  NEEDS_HUGE_PAGES },
	{ "large-munmap-pages", "2 MiB unmapped, mapped by pages", PER_FOLIO, core_map_by_pages,
	  core_unmap_large, ops_nothing, host_map_by_pages, host_unmap_large, ops_host_unmap,
	  NEEDS_HUGE_PAGES },
	{ "large-drop-part", "a page dropped of a PMD-mapped 2 MiB", PER_FOLIO, core_map_faulted,
	  core_drop_part, core_unmap_large, host_map_faulted, host_drop_part, ops_host_unmap,
	  NEEDS_HUGE_PAGES },
};

const size_t nr_ops_large_rows = sizeof(ops_large_rows) / sizeof(ops_large_rows[0]);
