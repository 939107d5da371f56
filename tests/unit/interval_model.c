/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interval tree against an array that is searched from end to end.
 * variants: threads_4k threads_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/interval.h"

#define NR 48

/* Nodes in the order of the tree: by first, equal ones as inserted. */
struct model {
	struct interval_node *sorted[NR];
	unsigned nr;
};

static void model_insert(struct model *m, struct interval_node *node)
{
	unsigned i = m->nr++;

	for (; i > 0 && m->sorted[i - 1]->first > node->first; i--)
		m->sorted[i] = m->sorted[i - 1];
	m->sorted[i] = node;
}

static void model_remove(struct model *m, const struct interval_node *node)
{
	unsigned i = 0;

	while (m->sorted[i] != node)
		i++;
	for (m->nr--; i < m->nr; i++)
		m->sorted[i] = m->sorted[i + 1];
}

static void compare(const struct model *m, const struct interval_tree *tree, u64 first,
		    u64 last)
{
	struct interval_node *node = interval_first(tree, first, last);

	for (unsigned i = 0; i < m->nr; i++) {
		struct interval_node *want = m->sorted[i];

		if (want->first > last || want->last < first)
			continue;
		assert_ptr_equal(node, want);
		node = interval_next(node, first, last);
	}
	assert_null(node);
}

static u64 random_point(unsigned *seed, u64 universe)
{
	return (u64)rand_r(seed) % universe;
}

/* Random inserts and removals; every query over the universe now and then. */
static void run_random(unsigned seed, u64 universe, unsigned nr_ops)
{
	struct interval_node nodes[NR];
	bool in[NR] = { false };
	struct interval_tree tree = { 0 };
	struct model m = { .nr = 0 };

	for (unsigned op = 0; op < nr_ops; op++) {
		unsigned i = (unsigned)rand_r(&seed) % NR;
		u64 a = random_point(&seed, universe), b = random_point(&seed, universe);

		if (in[i]) {
			interval_remove(&tree, &nodes[i]);
			model_remove(&m, &nodes[i]);
		} else {
			nodes[i].first = u64_min(a, b);
			nodes[i].last = u64_max(a, b);
			interval_insert(&tree, &nodes[i]);
			model_insert(&m, &nodes[i]);
		}
		in[i] = !in[i];
		interval_check(&tree);
		assert_int_equal(tree.nr, m.nr);
		a = random_point(&seed, universe);
		b = random_point(&seed, universe);
		compare(&m, &tree, u64_min(a, b), u64_max(a, b));
		compare(&m, &tree, 0, UINT64_MAX);
	}
}

static void random_operations(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		run_random(seed, 8, 800);
		run_random(seed, 100, 800);
		run_random(seed, 1000000, 800);
	}
}

/* Every order of inserting and of removing five nodes of every shape. */
static void every_permutation_of_five(void **state)
{
	static const struct { u64 first, last; } shapes[][5] = {
		{ { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 } },
		{ { 0, 9 }, { 1, 1 }, { 2, 8 }, { 3, 3 }, { 4, 7 } },
		{ { 5, 5 }, { 5, 9 }, { 5, 6 }, { 0, UINT64_MAX }, { 5, 5 } },
	};

	(void)state;
	for (unsigned s = 0; s < ARRAY_LEN(shapes); s++)
		for (unsigned code = 0; code < 120 * 120; code++) {
			struct interval_node nodes[5];
			struct interval_tree tree = { 0 };
			struct model m = { .nr = 0 };
			unsigned orders[2] = { code / 120, code % 120 };

			for (unsigned phase = 0; phase < 2; phase++) {
				unsigned left[5] = { 0, 1, 2, 3, 4 };

				for (unsigned n = 5; n > 0; n--) {
					unsigned pick = orders[phase] % n, i = left[pick];

					orders[phase] /= n;
					left[pick] = left[n - 1];
					if (phase == 0) {
						nodes[i].first = shapes[s][i].first;
						nodes[i].last = shapes[s][i].last;
						interval_insert(&tree, &nodes[i]);
						model_insert(&m, &nodes[i]);
					} else {
						interval_remove(&tree, &nodes[i]);
						model_remove(&m, &nodes[i]);
					}
					interval_check(&tree);
					compare(&m, &tree, 3, 5);
				}
			}
		}
}

static void stays_flat(void **state)
{
	enum { MANY = 10000 };
	struct interval_node *nodes = calloc(MANY, sizeof(*nodes));
	struct interval_tree tree = { 0 };

	(void)state;
	for (u64 i = 0; i < MANY; i++) {
		nodes[i].first = i;
		nodes[i].last = i + 3;
		interval_insert(&tree, &nodes[i]);
	}
	interval_check(&tree);
	/* 1.45 * log2(10000) is 19.3; ascending inserts reach the best, 14. */
	assert_int_equal(tree.root->height, 14);
	for (u64 i = 0; i < MANY; i += 2)
		interval_remove(&tree, &nodes[i]);
	interval_check(&tree);
	assert_in_range(tree.root->height, 13, 19);
	free(nodes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
		cmocka_unit_test(every_permutation_of_five),
		cmocka_unit_test(stays_flat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
