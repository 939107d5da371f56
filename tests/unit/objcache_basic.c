/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Object caches: sizes and alignment, contents kept apart, grace periods,
 * leaks, and running out of memory.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/machine.h>
#include <quire/testing.h>

#include "base/bits.h"
#include "phys/objcache.h"

enum { NR_FRAMES = 4096 };

static struct phys phys;

static void shapes(void **state)
{
	static const struct { u32 bytes, align; } shapes[] = {
		{ 1, 1 }, { 8, 8 }, { 24, 8 }, { 40, 64 }, { 64, 64 }, { 200, 8 },
		{ 256, 256 }, { 1000, 16 }, { 4000, 8 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(shapes); i++) {
		struct objcache cache;
		u8 *objects[100];

		assert_int_equal(objcache_init(&cache, &phys, "shape", shapes[i].bytes,
					       shapes[i].align), 0);
		assert_true(cache.objects_per_slab >= 8);
		for (unsigned n = 0; n < 100; n++) {
			objects[n] = objcache_alloc(&cache);
			if (!objects[n]) {
				/* Only the tiny machine is too small for all. */
				assert_true(PAGE_SHIFT < 12 && shapes[i].bytes > 1000);
				break;
			}
			assert_true(is_aligned((uintptr_t)objects[n], shapes[i].align));
			memset(objects[n], (int)n, shapes[i].bytes);
		}
		objcache_check(&cache);
		for (unsigned n = 0; n < 100 && objects[n]; n++) {
			for (u32 b = 0; b < shapes[i].bytes; b++)
				assert_int_equal(objects[n][b], n);
			objcache_free(&cache, objects[n]);
		}
		objcache_check(&cache);
		assert_int_equal(objcache_fini(&cache), 0);
		phys_check(&phys);
		assert_int_equal(phys_nr_free(&phys), NR_FRAMES - 1);
	}
}

static void refuses_bad_shapes(void **state)
{
	struct objcache cache;

	(void)state;
	assert_int_equal(objcache_init(&cache, &phys, "x", 0, 8), -QUIRE_EINVAL);
	assert_int_equal(objcache_init(&cache, &phys, "x", 8, 0), -QUIRE_EINVAL);
	assert_int_equal(objcache_init(&cache, &phys, "x", 8, 24), -QUIRE_EINVAL);
	assert_int_equal(objcache_init(&cache, &phys, "x", 1 << 20, 8), -QUIRE_EINVAL);
}

static void says_what_leaked(void **state)
{
	struct objcache cache;

	(void)state;
	assert_int_equal(objcache_init(&cache, &phys, "leaky", 64, 8), 0);
	assert_non_null(objcache_alloc(&cache));
	assert_non_null(objcache_alloc(&cache));
	objcache_free(&cache, objcache_alloc(&cache));
	objcache_free(&cache, NULL);
	objcache_free_rcu(&cache, NULL);
	assert_int_equal(objcache_fini(&cache), 2);
	assert_int_equal(phys_nr_free(&phys), NR_FRAMES - 1);
}

static void allocates_in_bulk(void **state)
{
	struct objcache cache;
	void *objects[500];

	(void)state;
	assert_int_equal(objcache_init(&cache, &phys, "bulk", 48, 8), 0);
	for (unsigned round = 0; round < 5; round++) {
		assert_int_equal(objcache_alloc_bulk(&cache, 500, objects), 0);
		for (unsigned i = 0; i < 500; i++)
			memcpy(objects[i], &i, sizeof(i));
		for (unsigned i = 0; i < 500; i++)
			assert_memory_equal(objects[i], &i, sizeof(i));
		objcache_free_bulk(&cache, 500, objects);
		objcache_check(&cache);
	}
	quire_fail_nth(1);
	assert_int_equal(objcache_alloc_bulk(&cache, 5, objects), -QUIRE_ENOMEM);
	quire_fail_nth(0);
	assert_int_equal(objcache_fini(&cache), 0);
}

/* Each allocation a slab needs may be refused; nothing is lost by that. */
static void survives_failures(void **state)
{
	struct objcache cache;
	void *objects[300];

	(void)state;
	quire_fail_nth(1);
	assert_int_equal(objcache_init(&cache, &phys, "failing", 128, 8), -QUIRE_ENOMEM);
	quire_fail_nth(0);
	assert_int_equal(objcache_init(&cache, &phys, "failing", 128, 8), 0);
	for (u64 nth = 1; nth < 40; nth++) {
		unsigned nr = 0, nr_failed = 0;

		quire_fail_nth(nth);
		for (unsigned i = 0; i < 300; i++) {
			objects[nr] = objcache_alloc(&cache);
			if (objects[nr])
				nr++;
			else
				nr_failed++;
		}
		assert_true(nr_failed <= 1);
		quire_fail_nth(0);
		while (nr)
			objcache_free(&cache, objects[--nr]);
		objcache_check(&cache);
	}
	assert_int_equal(objcache_fini(&cache), 0);
	assert_int_equal(phys_nr_free(&phys), NR_FRAMES - 1);
}

static void runs_out_of_memory(void **state)
{
	struct objcache cache;
	struct phys small;
	void *chain = NULL, *object;
	unsigned nr = 0, again = 0;

	(void)state;
	assert_int_equal(phys_init(&small, 128, 1), 0);
	assert_int_equal(objcache_init(&cache, &small, "small", 64, 8), 0);
	for (unsigned round = 0; round < 2; round++) {
		unsigned *count = round ? &again : &nr;

		for (; (object = objcache_alloc(&cache)); ++*count) {
			memcpy(object, &chain, sizeof(chain));
			chain = object;
		}
		objcache_check(&cache);
		while (chain) {
			object = chain;
			memcpy(&chain, object, sizeof(chain));
			objcache_free(&cache, object);
		}
		objcache_check(&cache);
	}
	assert_true(nr > 50);
	assert_int_equal(nr, again);
	assert_int_equal(objcache_fini(&cache), 0);
	assert_int_equal(phys_fini(&small), 0);
}

/* An object freed by RCU is neither changed nor handed out before its time. */
static void waits_for_grace_periods(void **state)
{
	enum { NR = 1000 };
	static u64 *objects[NR], *others[NR];
	struct objcache cache;

	(void)state;
	assert_int_equal(objcache_init(&cache, &phys, "rcu", 64, 8), 0);
	for (u64 i = 0; i < NR; i++) {
		objects[i] = objcache_alloc(&cache);
		for (unsigned w = 0; w < 8; w++)
			objects[i][w] = i * 8 + w;
	}
	mach_rcu_read_lock();
	for (u64 i = 0; i < NR; i++)
		objcache_free_rcu(&cache, objects[i]);
	for (u64 i = 0; i < NR; i++) {
		others[i] = objcache_alloc(&cache);
		assert_non_null(others[i]);
		memset(others[i], 0xff, 64);
	}
	for (u64 i = 0; i < NR; i++)
		for (unsigned w = 0; w < 8; w++)
			assert_int_equal(objects[i][w], i * 8 + w);
	mach_rcu_read_unlock();
	for (u64 i = 0; i < NR; i++)
		objcache_free_rcu(&cache, others[i]);
	assert_int_equal(objcache_fini(&cache), 0);
	assert_int_equal(phys_nr_free(&phys), NR_FRAMES - 1);
}

/* Churn by RCU does not pile up memory for ever. */
static void gives_memory_back_after_grace_periods(void **state)
{
	struct objcache cache;

	(void)state;
	assert_int_equal(objcache_init(&cache, &phys, "churn", 64, 8), 0);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < 100; i++) {
			void *object = objcache_alloc(&cache);

			assert_non_null(object);
			objcache_free_rcu(&cache, object);
		}
		mach_rcu_barrier();
	}
	assert_true(cache.nr_slabs * cache.objects_per_slab < 2000);
	assert_int_equal(objcache_fini(&cache), 0);
}

static u64 take_all_frames(struct list *taken)
{
	struct folio *folio;
	u64 nr = 0;

	while ((folio = folio_alloc(&phys, 0, 0)) != NULL) {
		list_push(taken, &folio->lru);
		nr++;
	}
	return nr;
}

/* What waits in a cache that nobody uses comes back when memory runs out. */
static void gives_memory_back_when_it_runs_out(void **state)
{
	void *object, *chain = NULL;
	struct objcache cache;
	struct list taken;
	u64 nr_taken = 0;

	(void)state;
	list_init(&taken);
	assert_int_equal(objcache_init(&cache, &phys, "stuck", 64, 8), 0);
	while ((object = objcache_alloc(&cache)) != NULL) {
		*(void **)object = chain;
		chain = object;
	}
	mach_rcu_read_lock();
	while ((object = chain) != NULL) {
		chain = *(void **)object;
		objcache_free_rcu(&cache, object);
	}
	assert_true(take_all_frames(&taken) < NR_FRAMES / 8);
	mach_rcu_read_unlock();
	for (int round = 0; round < 2; round++) {
		mach_rcu_barrier();
		nr_taken += take_all_frames(&taken);
	}
	assert_true(nr_taken > NR_FRAMES * 7 / 8);
	objcache_check(&cache);
	while (!list_empty(&taken)) {
		struct folio *folio = list_first(&taken, struct folio, lru);

		list_remove(&folio->lru);
		folio_put(&phys, folio);
	}
	assert_int_equal(objcache_fini(&cache), 0);
	assert_int_equal(phys_nr_free(&phys), NR_FRAMES - 1);
}

static int set_up(void **state)
{
	(void)state;
	if (mach_attach())
		return -1;
	return phys_init(&phys, NR_FRAMES, 2);
}

static int tear_down(void **state)
{
	int failed;

	(void)state;
	phys_check(&phys);
	failed = phys_fini(&phys) != 0;
	mach_detach();
	return failed;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes),
		cmocka_unit_test(refuses_bad_shapes),
		cmocka_unit_test(says_what_leaked),
		cmocka_unit_test(allocates_in_bulk),
		cmocka_unit_test(survives_failures),
		cmocka_unit_test(runs_out_of_memory),
		cmocka_unit_test(waits_for_grace_periods),
		cmocka_unit_test(gives_memory_back_after_grace_periods),
		cmocka_unit_test(gives_memory_back_when_it_runs_out),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
