/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The copy-on-write matrix: each case of cow_cases.h on each layout, one line a
 * cell.  Then all of it again, without the lines, with every sharing alternative
 * and every proof of reuse that is sound.
 *
 * variants: threads_4k threads_tiny explore_tiny
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

static void every_cell(void **state)
{
	struct tally tally = { 0 };

	(void)state;
	run_matrix(&tally, 1);
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
