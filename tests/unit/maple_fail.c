/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every allocation of store, erase, preallocation, bulk store and duplication
 * fails in turn: the call says -ENOMEM, the tree is what it was, to the node,
 * and nothing leaks.
 * variants: threads_4k threads_tiny
 */
#include "model/maple_world.h"
#include "tree/node.h"

enum { NR_MAX = 250, IMAGE_MAX = 4096 };

static struct world world;

/* The tree as it lies in memory: roots, links, boundaries, entries. */
static u64 image[2][IMAGE_MAX];
static u32 image_len[2];

static void image_take(void *link, u64 max, u32 which)
{
	const struct maple_node *node = link_node(link);
	bool inner = link_is_inner(link);
	u64 last;
	u32 i = 0;

	image[which][image_len[which]++] = (uintptr_t)link;
	do {
		void *slot = inner ? node->inner.child[i] : node->leaf.slot[i];

		last = inner ? node->inner.last[i] : node->leaf.last[i];
		assert_true(image_len[which] + 4 < IMAGE_MAX);
		image[which][image_len[which]++] = last;
		if (inner) {
			image[which][image_len[which]++] = node->inner.gap[i];
			image_take(slot, last, which);
		} else {
			image[which][image_len[which]++] = (uintptr_t)slot;
		}
		i++;
	} while (last != max);
}

static void snapshot(u32 which)
{
	image_len[which] = 0;
	if (world.tree.root != NULL)
		image_take(world.tree.root, UINT64_MAX, which);
	image[which][image_len[which]++] = world.tree.height;
}

static void expect_unchanged(void)
{
	snapshot(1);
	assert_int_equal(image_len[0], image_len[1]);
	assert_memory_equal(image[0], image[1], image_len[0] * sizeof(u64));
	maple_check(&world.tree);
}

/* `nr` ranges of three indexes with a free one behind each; way 1: adjacent. */
static void build(u64 nr, int way)
{
	maple_destroy(&world.tree);
	for (u64 i = 0; i < nr; i++) {
		u64 first = 100 + i * 7 % nr * 4;
		struct maple_cursor cur = maple_cursor(&world.tree, first, first + 2 + (u64)way);

		assert_int_equal(maple_store(&cur, world_entry(&world)), 0);
	}
}

/*
 * Calls op(arg) with the first, second, ... allocation failing until none is
 * left to fail.  Returns how many calls said -ENOMEM.
 */
static u32 fail_in_turn(int (*op)(const u64 *arg), const u64 *arg)
{
	u32 nr_failed = 0;

	snapshot(0);
	for (u64 nth = 1;; nth++) {
		bool reached;
		int err;

		quire_fail_nth(nth);
		err = op(arg);
		reached = quire_fail_seen() >= nth;
		quire_fail_nth(0);
		if (err == 0) {
			maple_check(&world.tree);
			if (!reached)
				return nr_failed;
			/* A stock could not be filled up, but there was enough. */
			assert_true(nth < 1000);
			continue;
		}
		assert_true(reached);
		assert_int_equal(err, -QUIRE_ENOMEM);
		expect_unchanged();
		nr_failed++;
	}
}

/* arg: first, last, whether a hole */
static int op_store(const u64 *arg)
{
	struct maple_cursor cur = maple_cursor(&world.tree, arg[0], arg[1]);

	return maple_store(&cur, arg[2] ? NULL : world_entry(&world));
}

static int op_erase(const u64 *arg)
{
	struct maple_cursor cur = maple_cursor(&world.tree, arg[0], arg[0]);
	void *old = &cur;
	int err = maple_erase(&cur, &old);

	if (err != 0)
		assert_ptr_equal(old, &cur);
	return err;
}

static int op_preallocate(const u64 *arg)
{
	struct maple_cursor cur = maple_cursor(&world.tree, arg[0], arg[1]);
	void *entry = arg[2] ? NULL : world_entry(&world);
	int err = maple_preallocate(&cur, entry);

	assert_true(err == 0 || cur.prealloc == NULL);
	expect_unchanged();
	maple_prealloc_free(&cur);
	return err;
}

static const u64 sizes[] = { 1, 3, 5, 16, 17, 40, NR_MAX };

static void stores(void **state)
{
	u32 nr_failed = 0;

	(void)state;
	for (u32 s = 0; s < ARRAY_LEN(sizes); s++)
		for (int way = 0; way < 2; way++)
			for (u64 at = 99; at < 100 + 4 * sizes[s]; at += 1 + sizes[s] / 6)
				for (u64 len = 1; len < 4 * sizes[s] + 8; len *= 3)
					for (u64 hole = 0; hole < 2; hole++) {
						u64 arg[] = { at, at + len - 1, hole };

						build(sizes[s], way);
						snapshot(0);
						nr_failed += fail_in_turn(op_preallocate, arg);
						nr_failed += fail_in_turn(op_store, arg);
					}
	assert_true(nr_failed > 200);
}

static void erases(void **state)
{
	u32 nr_failed = 0;

	(void)state;
	for (u32 s = 0; s < ARRAY_LEN(sizes); s++)
		for (int way = 0; way < 2; way++) {
			build(sizes[s], way);
			for (u64 i = 0; i < sizes[s]; i++) {
				u64 arg[] = { 100 + i * 11 % sizes[s] * 4 };

				nr_failed += fail_in_turn(op_erase, arg);
			}
		}
	assert_true(nr_failed > 50);
}

static struct maple_tree copy;

static int op_dup(const u64 *arg)
{
	int err;

	(void)arg;
	maple_init(&copy, &world.nodes, world.tree.flags);
	err = maple_dup(&world.tree, &copy);
	assert_true(err == 0 || maple_is_empty(&copy));
	expect_unchanged();
	maple_destroy(&copy);
	return err;
}

static int op_bulk(const u64 *arg)
{
	struct maple_bulk bulk;
	int err;

	maple_init(&copy, &world.nodes, world.tree.flags);
	err = maple_bulk_begin(&bulk, &copy, arg[0]);
	if (err != 0) {
		assert_true(maple_is_empty(&copy));
		return err;
	}
	for (u64 i = 0; i < arg[0]; i++)
		maple_bulk_store(&bulk, i * 3, i * 3 + i % 3, world_entry(&world));
	maple_bulk_end(&bulk);
	maple_check(&copy);
	maple_destroy(&copy);
	return 0;
}

static void copies(void **state)
{
	u32 nr_failed = 0;

	(void)state;
	for (u32 s = 0; s < ARRAY_LEN(sizes); s++) {
		build(sizes[s], 0);
		nr_failed += fail_in_turn(op_dup, NULL);
		nr_failed += fail_in_turn(op_bulk, &sizes[s]);
	}
	assert_true(nr_failed > 20);
}

static int set_up(void **state)
{
	(void)state;
	if (mach_attach() != 0)
		return -1;
	world_init(&world, 0, 1, MAPLE_GAPS | MAPLE_RCU);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_fini(&world);
	mach_detach();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stores, set_up, tear_down),
		cmocka_unit_test_setup_teardown(erases, set_up, tear_down),
		cmocka_unit_test_setup_teardown(copies, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
