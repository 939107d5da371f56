/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The maple tree against an array.
 *
 * `random_operations`: a million operations by default; the environment
 * variable MAPLE_OPS or the first argument says how many instead (ten million:
 * `model_maple_model_threads_4k 10000000`).  Every kind of operation, at the
 * bottom, the middle and the top of the index space, the tree filling up and
 * thinning out in turns.
 *
 * `all_sequences`: every sequence of up to six stores over eight indexes, where
 * a store is any of the 36 ranges with an entry or a hole: 72 operations.  What
 * a store does depends on the tree's shape and on which slots are holes, not on
 * addresses or entries; so a shape is looked at once, however many
 * sequences lead to it, and the 72^6 sequences become a search by breadth.
 * At every step the result is compared with the array, range by range, and all
 * empty areas of all sizes with those found by looking.
 *
 * variants: threads_4k threads_tiny
 * presets: release debug asan
 */
#include "model/maple_world.h"
#include "tree/node.h"

static struct world world;
static u64 nr_ops = 1000000;

/* xorshift64*: the same on every machine. */
static u64 seed;

static u32 random_below(u32 n)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (u32)(((seed * UINT64_C(2685821657736338717)) >> 32) % n);
}

/* ---- what the array says about empty areas ----------------------------------- */

static bool model_area_up(const struct world *w, u32 min, u32 max, u32 size, u32 *ret)
{
	u32 run = 0;

	for (u32 i = min; i <= max; i++) {
		run = w->at[i] == NULL ? run + 1 : 0;
		if (run == size) {
			*ret = i - size + 1;
			return true;
		}
	}
	return false;
}

static bool model_area_down(const struct world *w, u32 min, u32 max, u32 size, u32 *ret)
{
	u32 run = 0;

	for (u32 i = max + 1; i-- > min;) {
		run = w->at[i] == NULL ? run + 1 : 0;
		if (run == size) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static void compare_area(struct world *w, u32 min, u32 max, u32 size)
{
	struct maple_cursor cur = maple_cursor(&w->tree, 0, 0);
	u64 from = w->base + min, to = w->base + max;
	u32 want;
	int err;

	err = maple_empty_area(&cur, from, to, size);
	if (size == 0 || size > max - min + 1) {
		assert_int_equal(err, -QUIRE_EINVAL);
		assert_int_equal(maple_empty_area_rev(&cur, from, to, size),
				 -QUIRE_EINVAL);
		return;
	}
	if (model_area_up(w, min, max, size, &want)) {
		assert_int_equal(err, 0);
		assert_int_equal(cur.first, w->base + want);
		assert_int_equal(cur.last, w->base + want + size - 1);
	} else {
		assert_int_equal(err, -QUIRE_EBUSY);
	}
	err = maple_empty_area_rev(&cur, from, to, size);
	if (model_area_down(w, min, max, size, &want)) {
		assert_int_equal(err, 0);
		assert_int_equal(cur.first, w->base + want);
		assert_int_equal(cur.last, w->base + want + size - 1);
	} else {
		assert_int_equal(err, -QUIRE_EBUSY);
	}
}

/* ---- single operations, on tree and array ------------------------------------- */

static void do_store(struct world *w, u32 from, u32 to, void *entry, bool prealloc)
{
	struct maple_cursor cur = maple_cursor(&w->tree, w->base + from, w->base + to);

	if (prealloc) {
		assert_int_equal(maple_preallocate(&cur, entry), 0);
		maple_store_prealloc(&cur, entry);
	} else {
		assert_int_equal(maple_store(&cur, entry), 0);
	}
	world_fill(w, from, to, entry);
}

static void do_erase(struct world *w, u32 i)
{
	struct maple_cursor cur = maple_cursor(&w->tree, w->base + i, w->base + i);
	struct range range = world_range(w, i);
	void *old = &cur;

	assert_int_equal(maple_erase(&cur, &old), 0);
	assert_ptr_equal(old, range.entry);
	if (range.entry == NULL)
		return;
	assert_int_equal(cur.first, range.first);
	assert_int_equal(cur.last, range.last);
	world_fill(w, (u32)(range.first - w->base), (u32)(range.last - w->base), NULL);
}

static void do_walk(struct world *w, u32 i)
{
	struct maple_cursor cur = maple_cursor(&w->tree, w->base + i, w->base + i);
	struct range range = world_range(w, i);

	assert_ptr_equal(maple_load(&w->tree, w->base + i), range.entry);
	assert_ptr_equal(maple_walk(&cur), range.entry);
	assert_int_equal(cur.first, range.first);
	assert_int_equal(cur.last, range.last);
}

static void expect_found(const struct maple_cursor *cur, void *entry, bool found,
			 const struct range *range)
{
	assert_ptr_equal(entry, found ? range->entry : NULL);
	if (!found)
		return;
	assert_int_equal(cur->first, range->first);
	assert_int_equal(cur->last, range->last);
}

/* Find from i, then a few steps to and fro; now and then replace. */
static void do_steps(struct world *w, u32 i, u32 nr_steps)
{
	struct maple_cursor cur = maple_cursor(&w->tree, w->base + i, w->base + i);
	u64 limit = w->base + i + random_below(w->nr - i);
	struct range range;
	bool found = world_up(w, i, &range) && range.first <= limit;
	void *entry = maple_find(&cur, limit);

	expect_found(&cur, entry, found, &range);
	while (found && nr_steps-- != 0) {
		u32 at = (u32)(cur.first - w->base), end = (u32)(cur.last - w->base);

		if (random_below(3) != 0) {
			limit = cur.last + random_below(w->nr - end);
			found = world_up(w, end + 1, &range) && range.first <= limit;
			entry = maple_next(&cur, limit);
		} else {
			limit = cur.first - random_below(at + 1);
			found = at != 0 && world_down(w, at - 1, &range) &&
				range.last >= limit;
			entry = maple_prev(&cur, limit);
		}
		expect_found(&cur, entry, found, &range);
		if (found && random_below(4) == 0) {
			entry = world_entry(w);
			maple_replace(&cur, entry);
			world_fill(w, (u32)(cur.first - w->base),
				   (u32)(cur.last - w->base), entry);
		}
		if (found && random_below(4) == 0) {
			/* Beside the cursor, which has to notice. */
			u32 beside = random_below(w->nr);

			do_store(w, beside, beside, random_below(2) ? world_entry(w) : NULL,
				 false);
			if (w->base + beside >= cur.first && w->base + beside <= cur.last)
				return;
		}
	}
}

/* Goes on with a copy, made by duplication or by bulk store. */
static void do_renew(struct world *w, bool by_dup)
{
	struct maple_cursor cur = maple_cursor(&w->tree, 0, 0);
	struct maple_bulk bulk;
	struct maple_stats stats;
	struct maple_tree copy;
	void *entry;

	maple_init(&copy, &w->nodes, w->tree.flags);
	if (by_dup) {
		assert_int_equal(maple_dup(&w->tree, &copy), 0);
	} else {
		maple_stats(&w->tree, &stats);
		assert_int_equal(maple_bulk_begin(&bulk, &copy, stats.nr_entries), 0);
		maple_for_each(&cur, entry, UINT64_MAX)
			maple_bulk_store(&bulk, cur.first, cur.last, entry);
		maple_bulk_end(&bulk);
	}
	maple_destroy(&w->tree);
	w->tree = copy;
}

static void one_operation(struct world *w, u32 share_of_holes)
{
	u32 i = random_below(w->nr), what = random_below(1000);
	u32 longest = random_below(50) == 0 ? w->nr / 4 : 6;
	u32 to = i + random_below((u32)u64_min(longest, w->nr - i));

	if (what < 500)
		do_store(w, i, to, random_below(100) < share_of_holes ? NULL : world_entry(w),
			 what % 4 == 0);
	else if (what < 650)
		do_erase(w, i);
	else if (what < 800)
		do_walk(w, i);
	else if (what < 950)
		do_steps(w, i, random_below(8));
	else if (what < 990)
		compare_area(w, i, to + random_below(w->nr - to), random_below(12));
	else if (what < 998 || random_below(20) != 0)
		compare_area(w, 0, w->nr - 1, 1 + random_below(w->nr / 4));
	else
		do_renew(w, random_below(2));
}

static void random_operations(void **state)
{
	const u32 nr = maple_node_bytes() == 256 ? 2500 : 300;
	const u64 bases[] = { 0, 1000, UINT64_MAX - nr + 1 };
	const u32 flags[] = { MAPLE_GAPS | MAPLE_RCU, MAPLE_GAPS, MAPLE_GAPS | MAPLE_RCU };

	(void)state;
	for (u32 part = 0; part < ARRAY_LEN(bases); part++) {
		seed = 88172645463325252 + part;
		world_init(&world, bases[part], nr, flags[part]);
		for (u64 n = 0; n < nr_ops / ARRAY_LEN(bases); n++) {
			/* Filling up and thinning out in turns. */
			one_operation(&world, (n >> 14) % 2 ? 65 : 10);
			if (n % 4096 == 0)
				world_compare(&world);
			if (n % 200000 == 199999)
				do_store(&world, 0, nr - 1, NULL, false);
		}
		world_compare(&world);
		world_fini(&world);
	}
}

/* ---- all sequences ---------------------------------------------------------------- */

enum { UNIVERSE = 8, DEPTH = 6, SHAPE_BYTES = 96 };

/* A tree seen by the search: its shape, and a copy to go on from. */
struct shape {
	u8 bytes[SHAPE_BYTES]; /* first the length */
	struct maple_tree tree;
	void *at[UNIVERSE];
};

static struct shape *shapes;
static u32 nr_shapes, nr_shapes_max;
static u32 *shape_index; /* hash table: number of the shape + 1; 0: free */
#define SHAPE_INDEX_SIZE (1u << 20)

/*
 * The nodes in order, each slot by where it ends and whether it is a hole: all
 * that a later store can depend on.  `max` is where the node ends.
 */
static void shape_of(void *link, u64 max, u8 *bytes)
{
	const struct maple_node *node = link_node(link);
	bool inner = link_is_inner(link);
	u64 last;
	u32 i = 0;

	do {
		void *slot = inner ? node->inner.child[i] : node->leaf.slot[i];

		last = inner ? node->inner.last[i] : node->leaf.last[i];
		assert_true(bytes[0] < SHAPE_BYTES - 1);
		bytes[++bytes[0]] = (u8)(u64_min(last, UNIVERSE + 1) << 2 |
					 (u64)inner << 1 | (slot != NULL));
		if (inner)
			shape_of(slot, last, bytes);
		i++;
	} while (last != max);
}

static bool shape_insert(struct maple_tree *tree, void *const *at)
{
	struct shape *shape = &shapes[nr_shapes];
	u64 hash = 14695981039346656037u;
	u32 slot;

	memset(shape->bytes, 0, SHAPE_BYTES);
	if (tree->root != NULL)
		shape_of(tree->root, UINT64_MAX, shape->bytes);
	for (u32 i = 0; i <= shape->bytes[0]; i++)
		hash = (hash ^ shape->bytes[i]) * 1099511628211u;
	slot = (u32)(hash >> 40) % SHAPE_INDEX_SIZE;
	for (; shape_index[slot] != 0; slot = (slot + 1) % SHAPE_INDEX_SIZE)
		if (memcmp(shapes[shape_index[slot] - 1].bytes, shape->bytes,
			   SHAPE_BYTES) == 0)
			return false;
	shape_index[slot] = ++nr_shapes;
	assert_true(nr_shapes < nr_shapes_max);
	shape->tree = *tree;
	memcpy(shape->at, at, sizeof(shape->at));
	return true;
}

/* All the tree says is what the array says. */
static void compare_everything(struct world *w)
{
	world_compare(w);
	for (u32 i = 0; i < UNIVERSE; i++) {
		do_walk(w, i);
		for (u32 max = i; max < UNIVERSE; max++)
			for (u32 size = 0; size <= max - i + 1; size++)
				compare_area(w, i, max, size);
	}
}

/* One step from shape `s`; a shape not seen before joins the list. */
static void all_sequences_step(struct world *w, u32 s, u32 from, u32 to, bool hole,
			       bool last_step)
{
	memcpy(w->at, shapes[s].at, sizeof(shapes[s].at));
	maple_init(&w->tree, &w->nodes, shapes[s].tree.flags);
	assert_int_equal(maple_dup(&shapes[s].tree, &w->tree), 0);
	do_store(w, from, to, hole ? NULL : world_entry(w), from % 2);
	if (!last_step && shape_insert(&w->tree, w->at)) {
		compare_everything(w);
	} else {
		world_compare(w);
		maple_destroy(&w->tree);
	}
}

static void all_sequences(void **state)
{
	u32 begin = 0, end = 1;

	(void)state;
	nr_shapes_max = 100000;
	nr_shapes = 0;
	shapes = calloc(nr_shapes_max, sizeof(*shapes));
	shape_index = calloc(SHAPE_INDEX_SIZE, sizeof(*shape_index));
	assert_true(shapes != NULL && shape_index != NULL);
	world_init(&world, 1, UNIVERSE, MAPLE_GAPS);
	shape_insert(&world.tree, world.at);
	for (u32 depth = 1; depth <= DEPTH; depth++) {
		for (u32 s = begin; s < end; s++)
			for (u32 from = 0; from < UNIVERSE; from++)
				for (u32 to = from; to < UNIVERSE; to++)
					for (u32 hole = 0; hole < 2; hole++)
						all_sequences_step(&world, s, from, to,
								   hole, depth == DEPTH);
		print_message("%u stores: from %u shapes\n", depth, end - begin);
		begin = end;
		end = nr_shapes;
	}
	for (u32 s = 0; s < nr_shapes; s++)
		maple_destroy(&shapes[s].tree);
	maple_init(&world.tree, &world.nodes, MAPLE_GAPS);
	free(shapes);
	free(shape_index);
	world_fini(&world);
}

int main(int argc, char **argv)
{
	const char *ops = argc > 1 ? argv[1] : getenv("MAPLE_OPS");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
		cmocka_unit_test(all_sequences),
	};
	int failed;

	if (ops != NULL)
		nr_ops = strtoull(ops, NULL, 0);
	if (mach_attach() != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	mach_detach();
	return failed;
}
