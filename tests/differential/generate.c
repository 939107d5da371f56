/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs.
 *
 * Swarm style (Groce and others, "Swarm Testing", 2012): each program leaves
 * out a random half of the kinds of operations and features, for some
 * behaviour shows only where others do not get in its way.
 *
 * What a program must not do is hurt the native executor: no operation covers
 * its text, its control block or its stack.  So absolute addresses have short
 * lengths, and a guard mapping keeps what is placed freely apart from what the
 * kernel placed above it.
 */
#include <stdlib.h>
#include <string.h>

#include "generator.h"

#define GUARD_PAGES 1024
#define HUGE_GUARD_PAGES 16384
#define LOOK_EVERY 8
#define MAX_HUGE_LOOKS 6 /* at what was placed freely, at the end */

/* How likely a kind is when it is not left out; kinds of weight 0 are made
 * otherwise.  `always`: it is never left out. */
static const struct {
	enum diff_kind kind;
	uint32_t weight;
	bool always;
} kind_weights[] = {
	{ DIFF_mmap, 22, true },     { DIFF_munmap, 10, false },    { DIFF_mprotect, 10, false },
	{ DIFF_mremap, 9, false },   { DIFF_brk, 4, false },	    { DIFF_madvise, 10, false },
	{ DIFF_mlock, 4, false },    { DIFF_munlock, 3, false },    { DIFF_mlockall, 1, false },
	{ DIFF_munlockall, 1, false }, { DIFF_msync, 2, false },    { DIFF_mincore, 4, false },
	{ DIFF_read, 12, true },     { DIFF_write, 18, true },	    { DIFF_exec, 3, false },
	{ DIFF_truncate, 3, false },
	{ DIFF_pread, 2, false },    { DIFF_pwrite, 2, false },	    { DIFF_punch, 2, false },
	{ DIFF_limit, 1, false },    { DIFF_rights, 1, false },	    { DIFF_mseal, 2, false },
	{ DIFF_pkey_mprotect, 2, false },
	{ DIFF_fork, 3, false },	    { DIFF_exit, 2, false },
};

/* ---- programs -------------------------------------------------------------------------------- */

static struct diff_op *append(struct generator *gen, enum diff_kind kind)
{
	struct diff_op *op = &gen->program->ops[gen->program->nr_ops++];

	*op = (struct diff_op){ .kind = (uint8_t)kind, .who = (uint8_t)gen->who, .file = -1 };
	return op;
}

static void draw_huge(struct generator *gen)
{
	gen->plain_bytes = MAX_PLAIN_LEN;
	if (!gen->features[FEATURE_HUGE])
		return;
	gen->plain_bytes = DIFF_WIDE_PAGES * DIFF_PAGE;
	gen->weights[DIFF_madvise] = 16;
	gen->weights[DIFF_fill] = 10;
	gen->weights[DIFF_scan] = 4;
	gen->features[FEATURE_LONG] = false;
	/* See deliberate.md, "collapse of files". */
	if (gen->features[FEATURE_FILES])
		gen->features[FEATURE_COLLAPSE] = false;
}

static void draw_swarm(struct generator *gen, uint32_t nr_ops)
{
	static const uint64_t windows[] = { 8, 16, 16, 32, 64 };

	for (size_t i = 0; i < sizeof(kind_weights) / sizeof(kind_weights[0]); i++)
		if (kind_weights[i].always || chance(gen, 55))
			gen->weights[kind_weights[i].kind] = kind_weights[i].weight;
	for (unsigned i = 0; i < NR_FEATURES; i++)
		gen->features[i] = chance(gen, i == FEATURE_LONG     ? 10
					       : i == FEATURE_FAMILY ? 15
					       : i == FEATURE_DISK   ? 25
					       : i == FEATURE_HUGE   ? 30
					       : i == FEATURE_LOSSES ? 20
					       : i == FEATURE_FLAGS  ? 35
								     : 50);
	/* Many generations: who shares an anon_vma with whom. */
	if (gen->features[FEATURE_FAMILY]) {
		gen->weights[DIFF_fork] = 8;
		gen->weights[DIFF_exit] = 6;
	}
	/* See deliberate.md, "what is cached of a disk". */
	if (gen->features[FEATURE_DISK])
		gen->weights[DIFF_mincore] = 0;
	/* The count of locked pages would reach its limit on one side only: see
	 * deliberate.md, "locked after DONTUNMAP". */
	if (gen->features[FEATURE_DONTUNMAP])
		gen->weights[DIFF_mlockall] = 0;
	if (gen->features[FEATURE_DONTUNMAP] &&
	    (gen->features[FEATURE_LONG] || gen->features[FEATURE_HUGE] || nr_ops > 100)) {
		gen->weights[DIFF_mlock] = 0;
		gen->features[FEATURE_LOCKED] = false;
	}
	draw_huge(gen);
	gen->window_pages = PICK(gen, windows);
	gen->max_len_pages = 2 + below(gen, gen->window_pages / 2);
}

static enum diff_kind draw_kind(struct generator *gen)
{
	uint32_t sum = 0, at;

	for (unsigned i = 0; i < DIFF_NR_KINDS; i++)
		sum += gen->weights[i];
	at = (uint32_t)below(gen, sum);
	for (unsigned i = 0; i < DIFF_NR_KINDS; i++) {
		if (at < gen->weights[i])
			return i;
		at -= gen->weights[i];
	}
	return DIFF_mmap;
}

static void draw_process(struct generator *gen)
{
	if (gen->alive[gen->who] && chance(gen, 75))
		return;
	do
		gen->who = (uint32_t)below(gen, gen->nr_procs);
	while (!gen->alive[gen->who]);
}

static void remember_mapped(struct generator *gen, const struct diff_op *op)
{
	const struct diff_addr *addr = op->kind == DIFF_mmap ? &op->addr : &op->addr2;
	const uint64_t len = op->kind == DIFF_mmap ? op->len : op->newlen;
	const uint32_t at = gen->nr_mapped % NR_MAPPED;

	if (op->kind != DIFF_mmap && op->kind != DIFF_mremap)
		return;
	if (addr->base != DIFF_ARENA || addr->offset % (int64_t)DIFF_PAGE || len < DIFF_PAGE ||
	    len > gen->plain_bytes)
		return;
	gen->mapped[at].addr = *addr;
	gen->mapped[at].nr_pages = len / DIFF_PAGE;
	gen->nr_mapped++;
}

static void remember_last(struct generator *gen, const struct diff_op *op)
{
	const int64_t page = (int64_t)DIFF_PAGE;

	gen->last_pages = 0;
	if (op->addr.base != DIFF_ARENA || op->kind == DIFF_nop || op->len > gen->plain_bytes)
		return;
	gen->last_addr = op->addr;
	gen->last_addr.offset -= ((op->addr.offset % page) + page) % page;
	gen->last_pages = op->len < DIFF_PAGE ? 1 : op->len / DIFF_PAGE;
}

static void remember_placed(struct generator *gen, const struct diff_op *op)
{
	const bool chooses = (op->kind == DIFF_mmap && !(op->flags & QUIRE_MAP_FIXED)) ||
			     (op->kind == DIFF_mremap && (op->flags & QUIRE_MREMAP_MAYMOVE));

	/* What lies before the heap is the executor's, and the kernel's pages are its own:
	 * nothing is told from there. */
	if (op->addr.base == DIFF_SPECIAL || op->addr.base == DIFF_BRK ||
	    (op->kind == DIFF_mremap && op->addr2.base == DIFF_BRK))
		return;
	if (chooses && gen->nr_placed < MAX_PLACED)
		gen->placed[gen->nr_placed++] = (uint16_t)(op - gen->program->ops);
}

static void append_sweep(struct generator *gen, struct diff_addr addr, uint64_t nr_pages)
{
	struct diff_op *op = append(gen, DIFF_sweep);

	op->addr = addr;
	op->len = nr_pages * DIFF_PAGE;
}

static void append_look(struct generator *gen, uint32_t flags)
{
	struct diff_op *op = append(gen, DIFF_look);

	op->flags = flags;
	if (!gen->features[FEATURE_HUGE])
		return;
	op->addr = (struct diff_addr){ .base = DIFF_ARENA,
				       .offset = -(int64_t)(DIFF_WIDE_PAGES / 2 * DIFF_PAGE) };
	op->len = DIFF_WIDE_PAGES * DIFF_PAGE;
}

/* Of programs with huge pages: all that a program may have put there. */
static void append_wide_looks(struct generator *gen)
{
	struct diff_op *op;

	if (!gen->features[FEATURE_HUGE])
		return;
	for (uint32_t i = 0; i < gen->nr_placed && i < MAX_HUGE_LOOKS; i++) {
		op = append(gen, DIFF_look);
		op->addr = (struct diff_addr){ .base = DIFF_RESULT, .op = gen->placed[i] };
		op->len = TABLE_PAGES * DIFF_PAGE;
		op = append(gen, DIFF_scan);
		op[0].addr = op[-1].addr;
		op[0].len = op[-1].len;
	}
	op = append(gen, DIFF_scan);
	op->addr = (struct diff_addr){ .base = DIFF_ARENA,
				       .offset = -(int64_t)(DIFF_WIDE_PAGES / 2 * DIFF_PAGE) };
	op->len = DIFF_WIDE_PAGES * DIFF_PAGE;
}

/* What every process sees at the end. */
static void append_final_looks(struct generator *gen)
{
	for (gen->who = 0; gen->who < gen->nr_procs; gen->who++) {
		if (!gen->alive[gen->who])
			continue;
		append_look(gen, DIFF_LOOK_DEEP);
		append_wide_looks(gen);
		append_sweep(gen,
			     (struct diff_addr){ .base = DIFF_ARENA,
						 .offset = -(int64_t)(DIFF_ARENA_PAGES / 2 *
								      DIFF_PAGE) },
			     DIFF_ARENA_PAGES);
		for (uint32_t i = 0; i < gen->nr_placed; i++)
			append_sweep(gen,
				     (struct diff_addr){ .base = DIFF_RESULT,
							 .op = gen->placed[i] },
				     8);
		append_sweep(gen, (struct diff_addr){ .base = DIFF_BRK }, 12);
		append_look(gen, 0);
	}
}

/* The guard; and, where huge pages are the matter, mostly memory that asks for
 * them. */
static void append_beginning(struct generator *gen)
{
	struct diff_op *op = append(gen, DIFF_mmap);
	struct diff_addr addr = { .base = DIFF_ARENA };

	op->len = (gen->features[FEATURE_HUGE] ? HUGE_GUARD_PAGES : GUARD_PAGES) * DIFF_PAGE;
	op->flags = QUIRE_MAP_SHARED;
	op->file = DIFF_GUARD_FILE;
	if (!feature(gen, FEATURE_HUGE, 90))
		return;
	addr.offset = ((int64_t)below(gen, 4) - 3) * (int64_t)DIFF_PMD_BYTES;
	op = append(gen, DIFF_mmap);
	op->addr = addr;
	op->len = 3 * DIFF_PMD_BYTES;
	op->prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE;
	op->flags = QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED;
	remember_mapped(gen, op);
	if (chance(gen, 20))
		return;
	op = append(gen, DIFF_madvise);
	op->addr = addr;
	op->len = 3 * DIFF_PMD_BYTES;
	op->flags = QUIRE_MADV_HUGEPAGE;
}

void generate_program(uint64_t seed, uint32_t nr_ops, struct diff_program *ret_program)
{
	struct generator gen = { .state = seed, .program = ret_program, .nr_procs = 1 };
	struct diff_op *op;

	memset(ret_program, 0, sizeof(*ret_program));
	ret_program->seed = seed;
	gen.alive[0] = true;
	draw(&gen);
	draw_swarm(&gen, nr_ops);
	if (!nr_ops)
		nr_ops = 30 + (uint32_t)below(&gen, 50);
	append_beginning(&gen);
	for (uint32_t i = gen.program->nr_ops; i < nr_ops; i++) {
		draw_process(&gen);
		op = append(&gen, draw_kind(&gen));
		make_op(&gen, op);
		remember_placed(&gen, op);
		remember_mapped(&gen, op);
		remember_last(&gen, op);
		if (i % LOOK_EVERY == 0 && gen.alive[gen.who])
			append_look(&gen, 0);
	}
	append_final_looks(&gen);
}
