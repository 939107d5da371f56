/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collapse in the copy-on-write matrix (cow_cases.h): the entries of a folio are
 * collapsed before a fork, or after one that shared all of it, its lower or its
 * upper half.  Then whoever writes is seen by nobody else.  And each case of the
 * matrix on a folio that collapse made.
 *
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "cow_cases.h"

enum shared { NONE, ALL_OF_IT, LOWER_HALF, UPPER_HALF };

static const char *const shared_names[] = {
	"before fork", "after fork, fully shared", "after fork, lower half shared",
	"after fork, upper half shared",
};

static struct region half(struct region r, bool upper)
{
	return (struct region){ r.addr + (upper ? r.nr / 2 * PAGE : 0), r.nr / 2 };
}

static void advise(struct quire_mm *where, struct region r, int advice)
{
	assert_int_equal(quire_madvise(where, r.addr, r.nr * PAGE, advice), 0);
}

/* The child gets the part that is named, which is returned. */
static struct region fork_sharing(struct region r, enum shared shared)
{
	struct region kept = half(r, shared == LOWER_HALF);

	if (shared != LOWER_HALF && shared != UPPER_HALF) {
		fork_child();
		return r;
	}
	advise(mm, kept, QUIRE_MADV_DONTFORK);
	fork_child();
	advise(mm, kept, QUIRE_MADV_DOFORK);
	return half(r, shared == UPPER_HALF);
}

/* What each sees of the other: as case_basic. */
static const char *write_both(struct region r, struct region in_child)
{
	const uint64_t first = (in_child.addr - r.addr) / PAGE;

	for (uint64_t i = 0; i < r.nr; i++)
		put(mm, r.addr + i * PAGE, byte_of(NEW, i));
	for (uint64_t i = 0; i < in_child.nr; i++)
		if (get(child, in_child.addr + i * PAGE) != byte_of(OLD, first + i))
			return "the child sees the parent's store";
	fill(child, in_child, THIRD);
	return holds(mm, r, NEW) ? NULL : "the parent sees the child's store";
}

static const char *collapse_case(enum layout layout, enum shared shared)
{
	struct region r = layout_make(layout, QUIRE_PMD_ORDER), in_child = r;

	if (shared != NONE)
		in_child = fork_sharing(r, shared);
	advise(mm, r, QUIRE_MADV_COLLAPSE);
	if (!info(mm, r.addr).leaf)
		return "it was not collapsed";
	if (shared == NONE)
		fork_child();
	if (!holds(mm, r, OLD))
		return "the collapsed pages hold something else";
	return write_both(r, in_child);
}

static void every_case(void **state)
{
	static const enum layout layouts[] = { PTE_MAPPED, PARTLY_SHARED };
	unsigned nr = 0, nr_wrong = 0;

	(void)state;
	for (unsigned l = 0; l < 2; l++) {
		for (unsigned shared = NONE; shared <= UPPER_HALF; shared++) {
			const char *wrong;

			world_begin();
			wrong = collapse_case(layouts[l], shared);
			quire_check(q);
			case_end();
			world_end();
			nr_wrong += wrong != NULL;
			print_message("%s %u - %s: collapse %s%s%s\n", wrong ? "not ok" : "ok", ++nr,
				      layout_names[layouts[l]], shared_names[shared],
				      wrong ? ": " : "", wrong ? wrong : "");
		}
	}
	assert_int_equal(nr_wrong, 0);
}

/* The rest of the matrix, on a folio that collapse made. */
static void cases_on_a_collapsed_folio(void **state)
{
	(void)state;
	for (unsigned c = 0; c < NR_COW_CASES; c++) {
		const struct region r = { BASE, QUIRE_TABLE_ENTRIES };
		const char *wrong;

		world_begin();
		map_anon(BASE, r.nr);
		put(mm, BASE, 1);
		advise(mm, r, QUIRE_MADV_COLLAPSE);
		assert_true(info(mm, BASE).leaf);
		fill(mm, r, OLD);
		wrong = cow_cases[c].run(r);
		quire_check(q);
		case_end();
		world_end();
		print_message("%s %u - collapsed folio: %s%s%s\n", wrong ? "not ok" : "ok", c + 1,
			      cow_cases[c].name, wrong ? ": " : "", wrong ? wrong : "");
		assert_null(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case),
		cmocka_unit_test(cases_on_a_collapsed_folio),
	};

	world_config_default();
	world_config.memory_bytes = 4096 * PAGE;
	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
