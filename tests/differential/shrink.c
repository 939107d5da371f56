/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes a program that differs small: first whole runs of operations are taken
 * out, ever shorter ones, then what remains is made plainer, as long as the
 * difference stays of the same sort (Zeller and Hildebrandt, "Simplifying and
 * Isolating Failure-Inducing Input", 2002).
 */
#include <string.h>

#include "trial.h"

static bool same_sort(const struct diff_program *a, const struct diff_difference *da,
		      const struct diff_program *b, const struct diff_difference *db)
{
	if (da->what != db->what)
		return false;
	if (da->what == DIFF_IN_FAILURE)
		return !strncmp(da->text, db->text, 30);
	return a->ops[da->op].kind == b->ops[db->op].kind;
}

/* Takes `candidate` over when it differs like the program; true when it did. */
static bool try_candidate(const struct diff_options *options, struct diff_program *program,
			  struct diff_difference *difference, const struct diff_program *candidate)
{
	struct diff_difference now;

	trial_run_apart(options, candidate, NULL, &now);
	if (!same_sort(program, difference, candidate, &now))
		return false;
	*program = *candidate;
	*difference = now;
	return true;
}

/* The guard stays: it keeps the rest from what the kernel placed, whose contents
 * the sides do not have in common. */
static bool is_guard(const struct diff_op *op)
{
	return op->kind == DIFF_mmap && op->file == DIFF_GUARD_FILE && op->prot == QUIRE_PROT_NONE;
}

static bool remove_run(const struct diff_options *options, struct diff_program *program,
		       struct diff_difference *difference, uint32_t first, uint32_t nr)
{
	struct diff_program candidate = *program;
	bool some = false;

	for (uint32_t i = first; i < first + nr && i < program->nr_ops; i++) {
		if (is_guard(&candidate.ops[i]))
			continue;
		some |= candidate.ops[i].kind != DIFF_nop;
		candidate.ops[i].kind = DIFF_nop;
	}
	return some && try_candidate(options, program, difference, &candidate);
}

static uint32_t nr_left(const struct diff_program *program)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < program->nr_ops; i++)
		nr += program->ops[i].kind != DIFF_nop;
	return nr;
}

/* Variant `nr` of an operation, plainer than it is; false when there is none. */
static bool make_plainer(struct diff_op *op, unsigned nr)
{
	const struct diff_op before = *op;

	if (nr == 0) {
		op->who = 0;
	} else if (nr == 1) {
		op->prot = QUIRE_PROT_READ | QUIRE_PROT_WRITE;
	} else if (nr == 2) {
		op->len = op->kind == DIFF_sweep || op->len < DIFF_PAGE ? op->len : DIFF_PAGE;
	} else if (nr == 3) {
		op->off = 0;
	} else if (nr == 4) {
		op->len = op->len / 2 / DIFF_PAGE * DIFF_PAGE;
	} else if (nr == 5) {
		op->newlen = op->len;
	} else if (op->kind == DIFF_mmap || op->kind == DIFF_mremap) {
		op->flags &= ~(UINT32_C(1) << (nr - 6));
	}
	return memcmp(&before, op, sizeof(before)) != 0;
}
#define NR_PLAINER (6 + 21)

static void make_all_plainer(const struct diff_options *options, struct diff_program *program,
			     struct diff_difference *difference)
{
	for (uint32_t i = 0; i < program->nr_ops; i++) {
		for (unsigned nr = 0; nr < NR_PLAINER; nr++) {
			struct diff_program candidate = *program;

			if (candidate.ops[i].kind != DIFF_nop && !is_guard(&candidate.ops[i]) &&
			    make_plainer(&candidate.ops[i], nr))
				try_candidate(options, program, difference, &candidate);
		}
	}
}

void shrink_program(const struct diff_options *options, struct diff_program *program,
		    struct diff_difference *difference)
{
	uint32_t before;

	if (difference->what != DIFF_IN_FAILURE)
		remove_run(options, program, difference, difference->op + 1,
			   program->nr_ops - difference->op - 1);
	do {
		before = nr_left(program);
		for (uint32_t nr = program->nr_ops / 2; nr > 0; nr /= 2)
			for (uint32_t first = 0; first < program->nr_ops; first += nr)
				remove_run(options, program, difference, first, nr);
	} while (nr_left(program) < before);
	make_all_plainer(options, program, difference);
}
