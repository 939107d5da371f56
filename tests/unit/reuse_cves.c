/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What reuse by mapcount does wrong, and nothing else does.  CVE-2020-29374: a child
 * keeps a reference to a page (vmsplice), unmaps it, and sees what the parent
 * stores later; its mirror, with parent and child changed over.  And the opposite: a
 * page that is pinned is copied away from its pin.  All three come back under
 * cow-reuse=mapcount, on a single page and on a large folio however it is mapped,
 * whichever rival says who maps it; none of them under refcount+exclusive
 * (cow_matrix.c).
 *
 * variants: threads_4k threads_tiny explore_tiny
 * presets: release debug asan count (it has one thread)
 */
#include "cow_cases.h"

static const struct sharing_row {
	const char *name;
	bool sound, exact; /* with two mms */
} rivals[] = {
	{ "moments", true, true },
	{ "moments-locked", true, true },
	{ "moments-wide", true, true },
	{ "one-word", true, true },
	{ "mm-ids", true, true },
	{ "rmap-ids", true, true },
	/* The one that is left when the first went is not known to be alone. */
	{ "owner", true, false },
	{ "rmap-ids-posted", false, false },
	{ "total-mapcount", false, false },
	{ "first-subpage", false, false },
};

struct seen {
	unsigned secrecy, pins;
};

static void expect_cell(const struct sharing_row *rival, enum layout layout, unsigned order,
			const struct cow_case *c, struct seen *seen)
{
	const char *wrong = cell_run(layout, order, c);
	bool exact = rival->exact || layout == BASE_PAGE;
	char name[64];

	layout_print_name(layout, order, name, sizeof(name));
	if ((wrong != NULL && c->loses == NOTHING && rival->sound) ||
	    (wrong == NULL && c->loses != NOTHING && exact))
		fail_msg("%s, %s, %s: %s", rival->name, name, c->name, wrong ? wrong : "right");
	seen->secrecy += wrong != NULL && c->loses == SECRECY;
	seen->pins += wrong != NULL && c->loses == THE_PIN;
}

/* All orders of one layout. */
static struct seen run_layout(const struct sharing_row *rival, enum layout layout)
{
	struct seen seen = { 0 };

	for (unsigned order = 0; order <= QUIRE_PMD_ORDER; order++)
		for (unsigned c = 0; layout_has(layout, order) && c < NR_COW_CASES; c++)
			expect_cell(rival, layout, order, &cow_cases[c], &seen);
	return seen;
}

/* As posted, it loses count up to order 2, and takes for shared what is not. */
static bool loses_count_of_all(const struct sharing_row *rival)
{
	return strcmp(rival->name, "rmap-ids-posted") == 0 && QUIRE_PMD_ORDER <= 2;
}

static void mapcount_brings_them_back(void **state)
{
	(void)state;
	world_decide("cow-reuse", "mapcount");
	for (unsigned i = 0; i < sizeof(rivals) / sizeof(rivals[0]); i++) {
		struct seen sum = { 0 };

		world_decide("sharing", rivals[i].name);
		for (unsigned layout = 0; layout < NR_LAYOUTS; layout++) {
			struct seen seen = run_layout(&rivals[i], layout);

			assert_true(seen.secrecy > 0 || loses_count_of_all(&rivals[i]));
			assert_true(seen.pins > 0);
			sum.secrecy += seen.secrecy;
			sum.pins += seen.pins;
		}
		print_message("%s: %u leaks, %u pins lost\n", rivals[i].name, sum.secrecy,
			      sum.pins);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mapcount_brings_them_back),
	};

	world_config_default();
	world_config.memory_bytes = 4096 * PAGE;
	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
