/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Races of the reverse map on real threads: walks against an anon_vma that
 * comes and goes (letter 001_ef4970009e19dfd6.txt), first faults of one VMA on
 * several CPUs, fork against pins.  The thread sanitizer, and the checks of
 * the debug build, look on.
 *
 * variants: threads_4k threads_tiny
 */
#include <sched.h>

#include "unit/rmap_world.h"
#include "unit/threads_run.h"

#define ROUNDS 3000
#define WALKERS 2

struct race {
	struct world w;
	struct vma vma;
	struct folio *folio;
	entry_t slot;      /* maps the folio */
	u32 done;          /* (A) */
	u32 nr_found;      /* (A) */
	u32 nr_pin_losses; /* (A) */
};

static bool count_visit(struct folio *folio, struct vma *vma, u64 addr, void *arg)
{
	struct race *race = arg;

	(void)folio;
	ensure(vma == &race->vma && addr == vma->start);
	atomic_fetch_add(&race->nr_found, 1u);
	return true;
}

/* As reclaim does: a folio found somewhere is referenced, then walked. */
static void walk_current(struct race *race)
{
	const struct rmap_walk walk = { .visit = count_visit, .arg = race };
	struct folio *folio = atomic_load_acquire(&race->folio);

	if (!folio || !refcount_get_unless_zero(&folio->refs))
		return;
	rmap_walk(&race->w.rmap, folio, NULL, &walk);
	folio_put(&race->w.phys, folio);
}

/*
 * CPU 0 maps a page, unmaps it and drops the anon_vma, but not what the
 * folio's mapping says: for as long as a walker has the folio, that points at
 * what was freed, and only the mapcount tells.
 */
static void map_or_walk(void *arg, unsigned nth)
{
	struct race *race = arg;

	if (nth > 0) {
		while (!atomic_load_acquire(&race->done))
			walk_current(race);
		return;
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct folio *folio = folio_alloc(&race->w.phys, 0, 0);

		ensure(folio && !anon_vma_prepare(&race->w.rmap, &race->vma, NULL));
		rmap_add_new_anon(folio, &race->vma, race->vma.start);
		atomic_store_release(&race->folio, folio);
		for (unsigned spin = 0; spin < i % 64; spin++)
			mach_relax();
		ensure(rmap_remove(&folio->frame, 1, &race->vma) == 1); /* put below */
		anon_vma_unlink(&race->w.rmap, &race->vma);
		if (i % 256 == 0)
			mach_synchronize_rcu(); /* now it is freed, and walkers go on */
		for (unsigned spin = 0; spin < i % 64; spin++)
			mach_relax();
		folio_put(&race->w.phys, folio);
	}
	atomic_store_release(&race->done, 1u);
}

static void walks_meet_an_anon_vma_that_goes(void **state)
{
	struct race race = { .done = 0 };

	(void)state;
	world_open(&race.w, WORLD_FRAMES);
	vma_setup(&race.vma, &race.w.pt, 0, 4);
	threads_run(1 + WALKERS, map_or_walk, &race);
	world_close(&race.w);
}

#define NR_PREPARED 500

struct prepared {
	struct world w;
	struct vma vmas[NR_PREPARED];
	u32 nr_arrived; /* (A) */
};

#define FAULTERS 2

static void prepare_all(void *arg, unsigned nth)
{
	struct prepared *p = arg;

	(void)nth;
	for (u32 i = 0; i < NR_PREPARED; i++) {
		/* All of them at each VMA at once. */
		atomic_fetch_add(&p->nr_arrived, 1u);
		while (atomic_load(&p->nr_arrived) < FAULTERS * (i + 1))
			sched_yield();
		ensure(!anon_vma_prepare(&p->w.rmap, &p->vmas[i], NULL));
		ensure(vma_shareable_anon_vma(&p->vmas[i]) == p->vmas[i].anon_vma);
	}
}

static void first_faults_agree_on_one_anon_vma(void **state)
{
	struct prepared *p = calloc(1, sizeof(*p));

	(void)state;
	world_open(&p->w, WORLD_FRAMES);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < NR_PREPARED; i++)
			vma_setup(&p->vmas[i], &p->w.pt, 0, 4);
		atomic_store(&p->nr_arrived, 0u);
		threads_run(FAULTERS, prepare_all, p);
		for (unsigned i = 0; i < NR_PREPARED; i++) {
			vma_rmap_check(&p->vmas[i]);
			assert_int_equal(chain_length(&p->vmas[i]), 1);
			assert_int_equal(p->vmas[i].anon_vma->nr_vmas, 1);
			assert_int_equal(p->vmas[i].anon_vma->nr_children, 1);
			anon_vma_unlink(&p->w.rmap, &p->vmas[i]);
		}
	}
	world_close(&p->w);
	free(p);
}

/*
 * A pinner without the table lock, as the explanation at folio_pin has it: a
 * pin that was taken and found its page exclusive is never shared by fork.
 */
static void fork_or_pin(void *arg, unsigned nth)
{
	struct race *race = arg;
	struct frame *frame = &race->folio->frame;

	if (nth > 0) {
		while (!atomic_load_acquire(&race->done)) {
			bool got = folio_pin(race->folio) &&
				   entry_is_exclusive(entry_load(&race->slot));

			if (got && folio_mapcount(&race->w.rmap, race->folio) != 1)
				atomic_fetch_add(&race->nr_pin_losses, 1u);
			folio_unpin(&race->w.phys, race->folio);
		}
		return;
	}
	for (unsigned i = 0; i < ROUNDS * 4; i++) {
		if (!rmap_share_entry(&race->slot, entry_load(&race->slot), race->folio, true))
			continue;
		ensure(!rmap_add_get(frame, 1, &race->vma));
		/* The child goes again, and the parent reuses its page. */
		unmap_pages(&race->w.phys, frame, 1, &race->vma);
		entry_fetch_set(&race->slot, ENTRY_EXCLUSIVE);
	}
	atomic_store_release(&race->done, 1u);
}

static void a_pin_on_an_exclusive_page_keeps_fork_away(void **state)
{
	struct race race = { .done = 0 };

	(void)state;
	world_open(&race.w, WORLD_FRAMES);
	vma_setup(&race.vma, &race.w.pt, 0, 4);
	assert_int_equal(anon_vma_prepare(&race.w.rmap, &race.vma, NULL), 0);
	race.folio = folio_alloc(&race.w.phys, 0, 0);
	rmap_add_new_anon(race.folio, &race.vma, 0);
	race.slot = entry_make(folio_pfn(&race.w.phys, race.folio), ENTRY_EXCLUSIVE);
	threads_run(2, fork_or_pin, &race);
	assert_int_equal(race.nr_pin_losses, 0);
	assert_int_equal(refcount_read(&race.folio->refs), 1);
	ensure(rmap_remove(&race.folio->frame, 1, &race.vma) == 1); /* put below */
	anon_vma_unlink(&race.w.rmap, &race.vma);
	folio_put(&race.w.phys, race.folio);
	world_close(&race.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_meet_an_anon_vma_that_goes),
		cmocka_unit_test(first_faults_agree_on_one_anon_vma),
		cmocka_unit_test(a_pin_on_an_exclusive_page_keeps_fork_away),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
