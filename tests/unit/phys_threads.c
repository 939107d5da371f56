/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames and objects on several CPUs at once: nothing is handed out twice,
 * nothing is lost, and readers under RCU see an object until they leave.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quire/machine.h>

#include "base/bits.h"
#include "phys/objcache.h"
#include "phys/phys.h"
#include "threads_run.h"
#include "attached.h"

enum { CPUS = 4, ROUNDS = 20000, NR_FRAMES = 1024 };

struct shared {
	struct phys phys;
	struct objcache cache;
	struct folio *folio_slots[16]; /* (A) handed from CPU to CPU */
	u64 *object_slots[16];         /* (A) */
	u64 failed;
};

/* ---- frames ------------------------------------------------------------------ */

/* Writes its own name over a folio; what it finds there later must be that. */
static void stamp(struct shared *s, struct folio *folio, u64 name)
{
	for (u64 i = 0; i < folio_nr_pages(folio); i++)
		memcpy(frame_bytes(&s->phys, folio_frame(folio, i)), &name, sizeof(name));
}

static void check_stamp(struct shared *s, struct folio *folio)
{
	u64 first, name;

	memcpy(&first, folio_bytes(&s->phys, folio), sizeof(first));
	for (u64 i = 0; i < folio_nr_pages(folio); i++) {
		memcpy(&name, frame_bytes(&s->phys, folio_frame(folio, i)), sizeof(name));
		if (name != first)
			mach_fetch_add(&s->failed, 1, MACH_RELAXED);
	}
}

/* Puts a folio of its own into a slot and frees the one it finds there: half
 * of all frees are of what another CPU allocated. */
static void frames_body(void *arg, unsigned nth)
{
	struct shared *s = arg;

	for (u64 i = 0; i < ROUNDS; i++) {
		unsigned order = mach_random() % 8 == 0 ? (unsigned)(mach_random() % 4) : 0;
		struct folio *folio = folio_alloc(&s->phys, order, 0);

		if (folio)
			stamp(s, folio, i << 8 | nth);
		folio = mach_xchg(&s->folio_slots[mach_random() % 16], folio, MACH_ACQ_REL);
		if (folio) {
			check_stamp(s, folio);
			folio_put(&s->phys, folio);
		}
		if (i % 1024 == 0)
			phys_drain_cpu(&s->phys);
	}
}

static void frames_have_one_owner(void **state)
{
	static struct shared s;

	(void)state;
	assert_int_equal(phys_init(&s.phys, NR_FRAMES, CPUS), 0);
	threads_run(CPUS, frames_body, &s);
	assert_int_equal(s.failed, 0);
	phys_check(&s.phys);
	for (unsigned i = 0; i < 16; i++)
		if (s.folio_slots[i])
			folio_put(&s.phys, s.folio_slots[i]);
	phys_check(&s.phys);
	assert_int_equal(phys_nr_free(&s.phys), NR_FRAMES - 1);
	assert_int_equal(phys_fini(&s.phys), 0);
}

/* A folio found without a reference is either refused or whole. */
static void lookup_body(void *arg, unsigned nth)
{
	struct shared *s = arg;

	for (u64 i = 0; i < ROUNDS; i++) {
		struct folio *folio;

		if (nth == 0) {
			folio = folio_alloc(&s->phys, 0, 0);
			folio->index = 42;
			folio = mach_xchg(&s->folio_slots[0], folio, MACH_ACQ_REL);
			if (folio) {
				folio->index = 0;
				folio_put(&s->phys, folio);
			}
			continue;
		}
		mach_rcu_read_lock();
		folio = mach_load(&s->folio_slots[0], MACH_ACQUIRE);
		if (folio && refcount_get_unless_zero(&folio->refs)) {
			if (refcount_read(&folio->refs) == 0)
				mach_fetch_add(&s->failed, 1, MACH_RELAXED);
			folio_put(&s->phys, folio);
		}
		mach_rcu_read_unlock();
	}
}

static void speculative_references_are_safe(void **state)
{
	static struct shared s;

	(void)state;
	assert_int_equal(phys_init(&s.phys, NR_FRAMES, CPUS), 0);
	threads_run(CPUS, lookup_body, &s);
	assert_int_equal(s.failed, 0);
	folio_put(&s.phys, s.folio_slots[0]);
	phys_check(&s.phys);
	assert_int_equal(phys_fini(&s.phys), 0);
}

/* ---- objects ------------------------------------------------------------------- */

enum { OBJECT_WORDS = 6 };

static void objects_body(void *arg, unsigned nth)
{
	struct shared *s = arg;

	for (u64 i = 0; i < ROUNDS; i++) {
		u64 *object = objcache_alloc(&s->cache);
		u64 name = i << 8 | nth;

		for (unsigned w = 0; object && w < OBJECT_WORDS; w++)
			object[w] = name;
		object = mach_xchg(&s->object_slots[mach_random() % 16], object, MACH_ACQ_REL);
		for (unsigned w = 1; object && w < OBJECT_WORDS; w++)
			if (object[w] != object[0])
				mach_fetch_add(&s->failed, 1, MACH_RELAXED);
		objcache_free(&s->cache, object);
	}
}

static void start(struct shared *s, u32 nr_cpus)
{
	assert_int_equal(phys_init(&s->phys, NR_FRAMES * 4, nr_cpus), 0);
	assert_int_equal(objcache_init(&s->cache, &s->phys, "shared",
				       OBJECT_WORDS * sizeof(u64), 8), 0);
}

static void finish(struct shared *s)
{
	assert_int_equal(s->failed, 0);
	for (unsigned i = 0; i < 16; i++)
		objcache_free(&s->cache, s->object_slots[i]);
	mach_rcu_barrier();
	objcache_check(&s->cache);
	assert_int_equal(objcache_fini(&s->cache), 0);
	phys_check(&s->phys);
	assert_int_equal(phys_nr_free(&s->phys), NR_FRAMES * 4 - 1);
	assert_int_equal(phys_fini(&s->phys), 0);
}

static void objects_have_one_owner(void **state)
{
	static struct shared s, fewer;

	(void)state;
	start(&s, CPUS + 1);
	threads_run(CPUS, objects_body, &s);
	finish(&s);
	/* CPUs beyond those the instance knows may use it as well. */
	start(&fewer, 2);
	threads_run(CPUS, objects_body, &fewer);
	finish(&fewer);
}

/* Writers replace objects, readers under RCU check that what they hold stays. */
static void rcu_body(void *arg, unsigned nth)
{
	struct shared *s = arg;

	for (u64 i = 0; i < ROUNDS; i++) {
		u64 **slot = &s->object_slots[mach_random() % 16];
		u64 *object;

		if (nth % 2 == 0) {
			object = objcache_alloc(&s->cache);
			for (unsigned w = 0; object && w < OBJECT_WORDS; w++)
				object[w] = i << 8 | nth;
			object = mach_xchg(slot, object, MACH_ACQ_REL);
			objcache_free_rcu(&s->cache, object);
			continue;
		}
		mach_rcu_read_lock();
		object = mach_load(slot, MACH_ACQUIRE);
		for (unsigned again = 0; object && again < 3; again++)
			for (unsigned w = 1; w < OBJECT_WORDS; w++)
				if (object[w] != object[0])
					mach_fetch_add(&s->failed, 1, MACH_RELAXED);
		mach_rcu_read_unlock();
	}
}

static void readers_keep_what_they_see(void **state)
{
	static struct shared s, fewer;

	(void)state;
	start(&s, CPUS + 1);
	threads_run(CPUS, rcu_body, &s);
	finish(&s);
	start(&fewer, 2);
	threads_run(CPUS, rcu_body, &fewer);
	finish(&fewer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_have_one_owner),
		cmocka_unit_test(speculative_references_are_safe),
		cmocka_unit_test(objects_have_one_owner),
		cmocka_unit_test(readers_keep_what_they_see),
	};

	return cmocka_run_group_tests(tests, attach, detach);
}
