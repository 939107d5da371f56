/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small instance with one address space, for the scenarios of the core: 512
 * frames, a TLB of four entries for each CPU.
 */
#ifndef SCENARIOS_WORLD_H
#define SCENARIOS_WORLD_H

#include <quire/quire.h>

#include "mm/mm.h"
#include "scenarios/scenario.h"

#define PAGE PAGE_SIZE
#define BASE (4 * QUIRE_PMD_SIZE)
#define OTHER (8 * QUIRE_PMD_SIZE)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED)

struct world {
	struct quire *q;
	struct quire_mm *mm;
	struct quire_mm *children[2];
	int forked;         /* what fork returned */
	uint8_t seen[4];    /* by each body */
	uint32_t flag;      /* (A) */
};

static inline void world_name(struct world *w)
{
	struct mm *mm = (struct mm *)(void *)w->mm;
	struct phys *phys = &w->q->phys;

	scenario_name(phys->frames, phys->nr_frames * sizeof(struct frame),
		      sizeof(struct frame), "descriptor");
	scenario_name(&mm->mmap_lock, sizeof(mm->mmap_lock), 0, "mmap_lock");
	scenario_name(&mm->pt, sizeof(mm->pt), 0, "page tables");
	scenario_name(&mm->vmas, sizeof(mm->vmas), 0, "vma tree");
	scenario_name(mm, sizeof(*mm), 0, "mm");
	scenario_name(&phys->zone, sizeof(phys->zone), 0, "zone lock");
	scenario_name(phys, sizeof(*phys), 0, "phys");
	scenario_name(&w->q->vma_cache, sizeof(struct objcache), 0, "vma cache");
	scenario_name(&w->q->tree_nodes, sizeof(struct objcache), 0, "tree node cache");
	scenario_name(w->q, sizeof(struct quire), 0, "instance");
}

static inline void world_config(struct quire_config *config)
{
	quire_config_default(config);
	config->memory_bytes = 512 * PAGE;
	config->nr_cpus = SCENARIO_INSTANCE_CPUS(3);
	config->tlb_sets = 2;
	config->tlb_ways = 2;
	config->score_sharing = quire_scores_sharing(); /* on the explore machine */
}

static inline int world_begin_config(struct world *w, const struct quire_config *config)
{
	struct quire_layout layout;
	int ret = quire_create(config, &w->q);

	if (ret)
		return ret;
	quire_layout_default(&layout);
	ret = quire_mm_create(w->q, &layout, &w->mm);
	if (ret)
		quire_destroy(w->q, NULL);
	else
		world_name(w);
	return ret;
}

/* `row` NULL: the default decisions. */
static inline int world_begin_with(struct world *w, const char *row, const char *alternative)
{
	struct quire_config config;
	int ret;

	world_config(&config);
	ret = row ? quire_decisions_set(&config.decisions, row, alternative) : 0;
	return ret ? ret : world_begin_config(w, &config);
}

static inline int world_begin(struct world *w)
{
	return world_begin_with(w, NULL, NULL);
}

/* With room for a PMD range of pages, what it becomes, and a copy. */
static inline int world_begin_roomy(struct world *w)
{
	struct quire_config config;

	world_config(&config);
	config.memory_bytes += 3 * QUIRE_PMD_SIZE;
	return world_begin_config(w, &config);
}

/* Whoever is called sound was never wrong where that corrupts, in any schedule. */
static inline void world_expect_sound_answers(struct world *w)
{
	const struct quire_decisions *decided = &w->q->config.decisions;
	const struct quire_alternative_info *rival = quire_alternative_info(
		(enum quire_alternative)decided->chosen[QUIRE_DECISION_sharing]);
	struct quire_sharing_score score;

	if (!rival->sound || quire_sharing_score(w->q, &score) != 0)
		return;
	scenario_expect(score.false_exclusive == 0);
	if (decided->chosen[QUIRE_DECISION_sharing] == QUIRE_sharing_moments ||
	    decided->chosen[QUIRE_DECISION_sharing] == QUIRE_sharing_one_word)
		scenario_expect(score.false_shared == 0);
}

static inline void world_end(struct world *w)
{
	struct quire_leaks leaks;

	for (unsigned i = 0; i < 2; i++)
		if (w->children[i])
			quire_mm_put(w->children[i]);
	quire_mm_put(w->mm);
	quire_check(w->q);
	world_expect_sound_answers(w);
	quire_destroy(w->q, &leaks);
	scenario_expect_no_leak(leaks.nr_address_spaces, "address spaces");
	scenario_expect_no_leak(leaks.nr_committed_pages, "committed pages");
	scenario_expect_no_leak(leaks.nr_objects, "objects");
	scenario_expect_no_leak(leaks.nr_frames, "frames");
}

static inline int map(struct world *w, uint64_t addr, uint64_t nr_pages)
{
	uint64_t got;

	return quire_mmap(w->mm, addr, nr_pages * PAGE, RW, ANON, NULL, 0, &got);
}

/* True when the byte was written: false, the page is not mapped (any more). */
static inline bool put(struct quire_mm *mm, uint64_t addr, uint8_t byte)
{
	return quire_write(mm, addr, &byte, 1, NULL) == 0;
}

static inline bool get(struct quire_mm *mm, uint64_t addr, uint8_t *ret_byte)
{
	return quire_read(mm, addr, ret_byte, 1, NULL) == 0;
}

static inline uint8_t must_get(struct quire_mm *mm, uint64_t addr)
{
	uint8_t byte = 0;

	scenario_expect(get(mm, addr, &byte));
	return byte;
}

/* ---- steps that many take; pages are counted from BASE -------------------------- */

/* Page i holds `first` + i, for every i that `step` divides. */
static inline int put_pages(struct quire_mm *mm, uint64_t nr_pages, unsigned step,
			    unsigned first)
{
	for (uint64_t i = 0; i < nr_pages; i += step)
		if (!put(mm, BASE + i * PAGE, (uint8_t)(first + i)))
			return -QUIRE_ENOMEM;
	return 0;
}

/* Page i holds i + 1. */
static inline int map_filled(struct world *w, uint64_t nr_pages)
{
	int ret = map(w, BASE, nr_pages);

	return ret ? ret : put_pages(w->mm, nr_pages, 1, 1);
}

static inline void expect_filled(struct quire_mm *mm, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		scenario_expect(must_get(mm, BASE + i * PAGE) == (uint8_t)(i + 1));
}

/* One folio of that order, if there is memory for it. */
static inline int map_folio(struct world *w, unsigned order)
{
	int ret = quire_set_anon_folios(w->q, order, QUIRE_FOLIOS_ALWAYS);

	return ret ? ret : map_filled(w, UINT64_C(1) << order);
}

/* What a leaf maps, page entries map afterwards. */
static inline int take_leaf_apart(struct quire_mm *mm)
{
	int ret = quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ);

	return ret ? ret : quire_mprotect(mm, BASE, PAGE, RW);
}

static inline void drop(struct quire_mm *mm, uint64_t page, uint64_t nr_pages)
{
	scenario_expect(quire_madvise(mm, BASE + page * PAGE, nr_pages * PAGE,
				      QUIRE_MADV_DONTNEED) == 0);
}

/* A device pins a page.  It sees what the page's owner stores, `byte`, and the owner
 * what it writes, one more. */
static inline void pin_store_write(struct quire_mm *mm, uint64_t addr, uint8_t byte)
{
	struct quire_pin *pin;
	uint8_t seen = 0, written = (uint8_t)(byte + 1);

	scenario_expect(quire_pin_pages(mm, addr, 1, QUIRE_PIN_WRITE | QUIRE_PIN_LONGTERM,
					&pin) == 0);
	scenario_expect(put(mm, addr, byte));
	scenario_expect(quire_pin_read(pin, 0, &seen, 1) == 0);
	if (seen != byte)
		scenario_fail("the pin does not see what its owner stored");
	scenario_expect(quire_pin_write(pin, 0, &written, 1) == 0);
	scenario_expect(must_get(mm, addr) == written);
	quire_unpin(pin);
}

static inline void exit_child(struct world *w, unsigned child)
{
	quire_mm_put(w->children[child]);
	w->children[child] = NULL;
}

/* A scenario of a world.  The first's functions are called after it. */
#define WORLD_SCENARIO(id, text, what, bodies, setup_fn, ...)                      \
	SCENARIO(id, text, what, bodies, struct world, setup_fn, id##_body, id##_finish, \
		 __VA_ARGS__)
#define WORLD_SCENARIO_OF(id, text, what, bodies, ...) \
	SCENARIO(id, text, what, bodies, struct world, __VA_ARGS__)

#endif
