/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The copy-on-write matrix: each case of cow_cases.h on each layout, and collapse of
 * single pages and of a folio, before and after fork; one line a cell.  Then all of
 * it again, without the lines, with every sharing alternative and every proof of
 * reuse that is sound.
 *
 * variants: threads_4k threads_tiny explore_tiny
 * presets: release debug asan count (it has one thread)
 */
#include "cow_cases.h"

struct tally {
	unsigned nr, nr_wrong;
	bool quiet;
};

static void print_cell(struct tally *tally, enum layout layout, unsigned order,
		       const struct cow_case *c, const char *wrong)
{
	char name[64];

	tally->nr++;
	tally->nr_wrong += wrong != NULL;
	if (tally->quiet && wrong == NULL)
		return;
	layout_print_name(layout, order, name, sizeof(name));
	print_message("%s %u - %s: %s%s%s\n", wrong ? "not ok" : "ok", tally->nr, name, c->name,
		      wrong ? ": " : "", wrong ? wrong : "");
}

static void run_layout(struct tally *tally, enum layout layout, unsigned order)
{
	for (unsigned c = 0; c < NR_COW_CASES; c++)
		print_cell(tally, layout, order, &cow_cases[c],
			   cell_run(layout, order, &cow_cases[c]));
}

/* Orders that `step` divides, and the largest. */
static void run_matrix(struct tally *tally, unsigned step)
{
	for (unsigned layout = 0; layout < NR_LAYOUTS; layout++)
		for (unsigned order = 0; order <= QUIRE_PMD_ORDER; order++)
			if (layout_has(layout, order) &&
			    (order % step == 0 || order == QUIRE_PMD_ORDER))
				run_layout(tally, layout, order);
}

/* ---- collapse ------------------------------------------------------------------------ */

enum shared { BEFORE_FORK, ALL_SHARED, LOWER_SHARED, UPPER_SHARED, NR_SHARED };

static const char *const shared_names[NR_SHARED] = {
	"collapse before fork", "collapse, all shared",
	"collapse, lower half shared", "collapse, upper half shared",
};

static struct region half_of(struct region r, bool upper)
{
	return (struct region){ r.addr + (upper ? r.nr / 2 * PAGE : 0), r.nr / 2 };
}

static void advise(struct region r, int advice)
{
	assert_int_equal(quire_madvise(mm, r.addr, r.nr * PAGE, advice), 0);
}

/* Which part of `r` the child gets. */
static struct region fork_part(struct region r, enum shared shared)
{
	struct region rest;

	if (shared == BEFORE_FORK || shared == ALL_SHARED) {
		fork_child();
		return r;
	}
	rest = half_of(r, shared == LOWER_SHARED);
	advise(rest, QUIRE_MADV_DONTFORK);
	fork_child();
	advise(rest, QUIRE_MADV_DOFORK);
	return half_of(r, shared == UPPER_SHARED);
}

/* What a part of `r` holds begins at another number. */
static bool part_holds(struct quire_mm *where, struct region r, struct region part,
		       enum contents contents)
{
	for (uint64_t i = 0; i < part.nr; i++)
		if (get(where, part.addr + i * PAGE) !=
		    byte_of(contents, (part.addr - r.addr) / PAGE + i))
			return false;
	return true;
}

static const char *collapse_and_write(struct region r, enum shared shared)
{
	struct region part;

	if (shared == BEFORE_FORK)
		advise(r, QUIRE_MADV_COLLAPSE);
	part = fork_part(r, shared);
	if (shared != BEFORE_FORK)
		advise(r, QUIRE_MADV_COLLAPSE);
	assert_true(info(mm, r.addr).leaf);
	if (!holds(mm, r, OLD) || !part_holds(child, r, part, OLD))
		return "bytes changed";
	fill(mm, r, NEW);
	if (!part_holds(child, r, part, OLD))
		return "the child sees the parent's store";
	fill(child, part, THIRD);
	return holds(mm, r, NEW) ? NULL : "the parent sees the child's store";
}

/* A PMD range of single pages. */
static struct region single_pages(void)
{
	struct region r = { BASE, QUIRE_PMD_SIZE / PAGE };

	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_NEVER), 0);
	map_anon(r.addr, r.nr);
	fill(mm, r, OLD);
	assert_int_equal(info(mm, BASE).order, 0);
	return r;
}

static void run_collapse(struct tally *tally)
{
	for (unsigned shared = 0; shared < NR_SHARED; shared++)
		for (unsigned single = 0; single < 2; single++) {
			const struct cow_case c = { .name = shared_names[shared] };
			const char *wrong;

			world_begin();
			wrong = collapse_and_write(single ? single_pages() :
						   layout_make(PTE_MAPPED, QUIRE_PMD_ORDER),
						   (enum shared)shared);
			quire_check(q);
			case_end();
			world_end();
			print_cell(tally, single ? BASE_PAGE : PTE_MAPPED, QUIRE_PMD_ORDER, &c,
				   wrong);
		}
}

/* ---- all ----------------------------------------------------------------------------- */

static void every_cell(void **state)
{
	struct tally tally = { 0 };

	(void)state;
	run_matrix(&tally, 1);
	run_collapse(&tally);
	print_message("%u cells, %u wrong\n", tally.nr, tally.nr_wrong);
	assert_int_equal(tally.nr_wrong, 0);
}

/* The other alternatives of what decides about reuse; those that guess prove
 * nothing by themselves. */
static void run_decided(const char *sharing, const char *proof, const char *scope)
{
	struct tally tally = { .quiet = true };

	world_decide("sharing", sharing);
	world_decide("reuse-proof", proof);
	world_decide("reuse-scope", scope);
	run_matrix(&tally, 4);
	run_collapse(&tally);
	print_message("%s, %s, %s: %u cells, %u wrong\n", sharing, proof, scope, tally.nr,
		      tally.nr_wrong);
	assert_int_equal(tally.nr_wrong, 0);
}

static void with_every_rival_and_proof(void **state)
{
	const struct quire_decision_info *row = quire_decision_info(QUIRE_DECISION_sharing);

	(void)state;
	for (enum quire_alternative alt = row->first; alt <= row->last; alt++) {
		const struct quire_alternative_info *info = quire_alternative_info(alt);

		run_decided(info->name, "count-entries", "folio");
		run_decided(info->name, "count-entries", "page");
		run_decided(info->name, "entries-alone", "folio");
		if (info->sound)
			run_decided(info->name, "rival", "folio");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell),
		cmocka_unit_test(with_every_rival_and_proof),
	};

	world_config_default();
	world_config.memory_bytes = 4096 * PAGE;
	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
