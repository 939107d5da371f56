/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every allocation of a call fails once: the call says -ENOMEM and the address
 * space is as it was, or as the call documents; and nothing leaks.
 * variants: threads_4k threads_tiny threads_64k explore_tiny
 */
#include "mm_rows.h"

struct scene {
	int (*call)(void);
	/* What may be seen after a failure besides the maps from before. */
	bool (*partial)(const struct rows *rows);
};

static void many_vmas(void)
{
	/* So many that a store splits nodes. */
	for (unsigned i = 0; i < 20; i++)
		map_prot(2 * i, 1, i % 2 == 0 ? RW : R);
	map_prot(40, 9, RW);
	for (unsigned page = 40; page < 49; page++)
		put(mm, at(page), (uint8_t)page);
}

static bool rows_same(const struct rows *a, const struct rows *b)
{
	if (a->nr != b->nr)
		return false;
	for (unsigned i = 0; i < a->nr; i++) {
		const struct quire_map_info *x = &a->maps[i], *y = &b->maps[i];

		if (x->start != y->start || x->end != y->end || x->prot != y->prot ||
		    x->shared != y->shared || x->locked != y->locked ||
		    x->offset != y->offset)
			return false;
	}
	return true;
}

/* Runs the call with its nth allocation failing (0: none); what maps result. */
static int run(const struct scene *scene, uint64_t nth, struct rows *before,
	       struct rows *after, uint64_t *ret_seen)
{
	int ret;

	world_config_default();
	world_begin();
	many_vmas();
	*before = *after = (struct rows){ 0 };
	quire_mm_maps(mm, rows_visit, before);
	quire_fail_nth(nth);
	ret = scene->call();
	*ret_seen = quire_fail_seen();
	quire_fail_nth(0);
	quire_mm_maps(mm, rows_visit, after);
	quire_check(q);
	return ret;
}

static void fail_each(const struct scene *scene)
{
	struct rows before, after, done;
	uint64_t nth = 0, seen;

	assert_int_equal(run(scene, 0, &before, &done, &seen), 0);
	world_end();
	do {
		int ret = run(scene, ++nth, &before, &after, &seen);

		if (ret) {
			assert_int_equal(ret, -QUIRE_ENOMEM);
			assert_true(seen >= nth);
			assert_true(rows_same(&before, &after) ||
				    (scene->partial != NULL && scene->partial(&after)));
			assert_int_equal(get(mm, at(48)), 48);
			/* Now there is memory. */
			assert_int_equal(scene->call(), 0);
			after = (struct rows){ 0 };
			quire_mm_maps(mm, rows_visit, &after);
		}
		/* Or the failure was got over, by the allocator. */
		assert_true(rows_same(&done, &after));
		world_end();
		assert_true(nth < 200);
	} while (seen >= nth);
	assert_true(nth > 1);
}

static int call_mmap(void)
{
	uint64_t addr;

	return quire_mmap(mm, at(1), PAGE, NONE, PRIVATE_ANON, NULL, 0, &addr);
}

static int call_mmap_shared(void)
{
	uint64_t addr;

	return quire_mmap(mm, at(1), PAGE, RW, SHARED_ANON, NULL, 0, &addr);
}

/* Between two that say the same, one of them written: borrows its anon_vma. */
static int call_mmap_join(void)
{
	uint64_t addr;

	return quire_mmap(mm, at(39), PAGE, RW, PRIVATE_ANON, NULL, 0, &addr);
}

static int call_mmap_over(void)
{
	uint64_t addr;

	return quire_mmap(mm, at(42), 2 * PAGE, R, PRIVATE_ANON, NULL, 0, &addr);
}

/* As mmap(2) says: what was there is discarded first. */
static bool overlap_is_gone(const struct rows *rows)
{
	const struct quire_map_info *left = &rows->maps[rows->nr - 2];
	const struct quire_map_info *right = &rows->maps[rows->nr - 1];

	return rows->nr == 22 && left->start == at(40) && left->end == at(42) &&
	       right->start == at(44) && right->end == at(49);
}

static int call_munmap_middle(void)
{
	return quire_munmap(mm, at(43), 2 * PAGE);
}

static int call_munmap_many(void)
{
	return quire_munmap(mm, at(3), 40 * PAGE);
}

static int call_mprotect_split(void)
{
	return quire_mprotect(mm, at(43), 2 * PAGE, R);
}

static int call_mprotect_shift(void)
{
	return quire_mprotect(mm, at(40), 2 * PAGE, NONE);
}

static int call_mlock(void)
{
	return quire_mlock(mm, at(43), 2 * PAGE, 0);
}

static int call_mremap_grow(void)
{
	uint64_t addr;

	return quire_mremap(mm, at(40), 9 * PAGE, 12 * PAGE, 0, 0, &addr);
}

static int call_mremap_move(void)
{
	uint64_t addr;

	return quire_mremap(mm, at(42), 3 * PAGE, 3 * PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, at(60), &addr);
}

static int call_brk(void)
{
	struct quire_layout layout;
	uint64_t now;

	quire_mm_get_layout(mm, &layout);
	assert_int_equal(quire_brk(mm, layout.brk_start + 3 * PAGE, &now), 0);
	return now == layout.brk_start ? -QUIRE_ENOMEM : 0;
}

static void scene_test(void **state)
{
	fail_each(*state);
}

#define SCENE(name, may_leave)                                                         \
	{                                                                              \
		#name, scene_test, NULL, NULL, &(struct scene){ call_##name, may_leave } \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(mmap, NULL),
		SCENE(mmap_shared, NULL),
		SCENE(mmap_join, NULL),
		SCENE(mmap_over, overlap_is_gone),
		SCENE(munmap_middle, NULL),
		SCENE(munmap_many, NULL),
		SCENE(mprotect_split, NULL),
		SCENE(mprotect_shift, NULL),
		SCENE(mlock, NULL),
		SCENE(mremap_grow, NULL),
		SCENE(mremap_move, NULL),
		SCENE(brk, NULL),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
