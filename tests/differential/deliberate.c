/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The differences that are meant: deliberate.md lists them with their reasons,
 * and this file and the marked places of generate.c are all that acts on them.
 */
#include "core.h"

#define MAX_EMPTY_TABLES 8
#define MAX_CORE_TABLES 3 /* that the core has and the host has not */

static bool is_anonymous(uint8_t page)
{
	return (page & DIFF_PAGE_PRESENT) && !(page & DIFF_PAGE_FILE);
}

/* Does the program map a file on a disk? */
static bool maps_disk(const struct diff_program *program)
{
	for (uint32_t i = 0; i < program->nr_ops; i++)
		if (program->ops[i].kind == DIFF_mmap && program->ops[i].file >= 0 &&
		    program->ops[i].file < DIFF_NR_FILES &&
		    diff_files[program->ops[i].file].kind == QUIRE_FILE_HOST)
			return true;
	return false;
}

static bool is_huge_advice(uint32_t advice)
{
	return advice == QUIRE_MADV_HUGEPAGE || advice == QUIRE_MADV_COLLAPSE;
}

/* Does Linux take a table or pages of zeros away that the core keeps? */
static bool takes_away(const struct diff_op *op)
{
	return op->kind == DIFF_madvise &&
	       (op->flags == QUIRE_MADV_FREE ||
		((op->flags == QUIRE_MADV_DONTNEED || op->flags == QUIRE_MADV_DONTNEED_LOCKED) &&
		 op->len >= DIFF_PMD_BYTES));
}

static uint32_t count_ops(const struct diff_program *program,
			  bool (*is_one)(const struct diff_op *op))
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < program->nr_ops; i++)
		nr += is_one(&program->ops[i]);
	return nr;
}

static bool maps_large(const struct diff_op *op)
{
	return op->kind == DIFF_mmap && op->file != DIFF_GUARD_FILE && op->len >= DIFF_PMD_BYTES;
}

static bool shares_large(const struct diff_op *op)
{
	return maps_large(op) && (op->file >= 0 || (op->flags & QUIRE_MAP_SHARED));
}

static bool is_collapse(const struct diff_op *op)
{
	return op->kind == DIFF_madvise && op->flags == QUIRE_MADV_COLLAPSE;
}

static bool asks_for_huge(const struct diff_op *op)
{
	return op->kind == DIFF_madvise && is_huge_advice(op->flags);
}

static bool may_map_again(const struct diff_op *op)
{
	return op->kind == DIFF_fork || op->kind == DIFF_mremap;
}

/* Is something of that where huge pages may be?  Or is memory collapsed that is
 * mapped elsewhere too, in another process or at another place? */
static bool loses_pages(const struct diff_program *program)
{
	const uint32_t nr_shared = count_ops(program, shares_large);

	if (count_ops(program, asks_for_huge) == 0 || count_ops(program, maps_large) == 0)
		return false;
	if (count_ops(program, takes_away))
		return true;
	return nr_shared && count_ops(program, is_collapse) &&
	       (nr_shared > 1 || count_ops(program, may_map_again));
}

/* Where both have a page, it is both a file's or neither. */
static bool is_same_sort(uint8_t left, uint8_t right)
{
	return !(left & right & DIFF_PAGE_PRESENT) || !((left ^ right) & DIFF_PAGE_FILE);
}

bool deliberate_page(const struct diff_program *program, uint8_t left, uint8_t right)
{
	if (core_has_more_folios(program))
		return true;
	if (loses_pages(program) && is_same_sort(left, right))
		return true;
	return !is_anonymous(left) && !is_anonymous(right) && maps_disk(program);
}

bool deliberate_faults(const struct diff_program *program, uint64_t left, uint64_t right)
{
	if (right < left && core_reuses_folios(program))
		return true;
	if (core_has_more_folios(program))
		return true;
	return maps_disk(program) || loses_pages(program);
}

bool deliberate_data(const struct diff_program *program, const struct diff_op *op)
{
	return op->kind == DIFF_mincore && core_has_more_folios(program);
}

/* Has the program an operation of this kind with any of these flags? */
static bool has_op(const struct diff_program *program, enum diff_kind kind, uint32_t flags)
{
	for (uint32_t i = 0; i < program->nr_ops; i++)
		if (program->ops[i].kind == kind && (program->ops[i].flags & flags))
			return true;
	return false;
}

bool deliberate_count(const struct diff_program *program, enum diff_count count, uint64_t left,
		      uint64_t right)
{
	switch (count) {
	case DIFF_COUNT_locked:
		return has_op(program, DIFF_mremap, QUIRE_MREMAP_DONTUNMAP);
	case DIFF_COUNT_resident:
		return maps_disk(program) || loses_pages(program) || core_has_more_folios(program);
	case DIFF_COUNT_anonymous:
		return loses_pages(program) || core_has_more_folios(program);
	case DIFF_COUNT_table:
		return left > right ? left - right <= MAX_EMPTY_TABLES :
				      right - left <= (loses_pages(program) ? MAX_EMPTY_TABLES :
									      MAX_CORE_TABLES);
	default:
		return false;
	}
}
