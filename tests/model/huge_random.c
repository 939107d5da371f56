/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces that share PMD leaves, under random calls, against a model that
 * knows one byte of each page: what a program reads is what it wrote, whatever
 * splits, collapses, copies, moves or fails in between.  Every few steps all
 * invariants.
 *
 * HUGE_OPS in the environment: how many steps a seed takes; HUGE_SEED: which.
 *
 * variants: threads_4k threads_tiny explore_tiny
 * presets: release debug asan count (it has one thread)
 */
#include <stdio.h>
#include <stdlib.h>

#include "dice.h"
#include "../unit/huge_world.h"

enum { NR_RANGES = 4, NR_PAGES = NR_RANGES * QUIRE_TABLE_ENTRIES, MAX_MMS = 3 };

/* What one address space should look like. */
struct model {
	struct quire_mm *mm; /* NULL: there is none */
	bool mapped[NR_PAGES], writable[NR_PAGES];
	uint8_t byte[NR_PAGES];
};

static struct model models[MAX_MMS];
static uint64_t seed;

static uint64_t pick(uint64_t below)
{
	return dice_roll(&seed, below);
}

/* Often where ranges begin and end. */
static unsigned pick_page(void)
{
	unsigned near = (unsigned)(pick(NR_RANGES) * HPAGES);

	switch (pick(4)) {
	case 0:
		return near;
	case 1:
		return near + (unsigned)HPAGES - 1;
	case 2:
		return near + 1;
	default:
		return (unsigned)pick(NR_PAGES);
	}
}

struct range {
	unsigned first, nr;
	uint64_t addr, len;
};

/* A page, a part, or whole PMD ranges. */
static struct range pick_range(void)
{
	struct range r = { .first = pick_page(), .nr = 1 };

	switch (pick(3)) {
	case 0:
		r.nr = 1 + (unsigned)pick(HPAGES);
		break;
	case 1:
		r.first -= r.first % (unsigned)HPAGES;
		r.nr = (unsigned)(HPAGES * (1 + pick(2)));
		break;
	default:
		break;
	}
	if (r.first + r.nr > NR_PAGES)
		r.nr = NR_PAGES - r.first;
	r.addr = BASE + r.first * PAGE;
	r.len = r.nr * PAGE;
	return r;
}

static bool all_mapped(const struct model *m, const struct range *r)
{
	for (unsigned i = r->first; i < r->first + r->nr; i++)
		if (!m->mapped[i])
			return false;
	return true;
}

/* ---- steps ---------------------------------------------------------------- */

/* Now and then an allocation fails. */
static void maybe_fail(void)
{
	quire_fail_nth(pick(8) == 0 ? 1 + pick(6) : 0);
}

static void step_write(struct model *m)
{
	unsigned page = pick_page();
	uint8_t byte = (uint8_t)(1 + pick(255));
	int err;

	maybe_fail();
	err = quire_write(m->mm, BASE + page * PAGE, &byte, 1, NULL);
	quire_fail_nth(0);
	if (!m->mapped[page] || !m->writable[page])
		assert_int_equal(err, -QUIRE_EFAULT);
	else if (err)
		assert_int_equal(err, -QUIRE_ENOMEM);
	else
		m->byte[page] = byte;
}

static void step_read(struct model *m)
{
	unsigned page = pick_page();
	uint8_t byte = 0;
	int err;

	maybe_fail();
	err = quire_read(m->mm, BASE + page * PAGE, &byte, 1, NULL);
	quire_fail_nth(0);
	if (!m->mapped[page])
		assert_int_equal(err, -QUIRE_EFAULT);
	else if (err)
		assert_int_equal(err, -QUIRE_ENOMEM);
	else
		assert_int_equal(byte, m->byte[page]);
}

static void step_drop(struct model *m)
{
	struct range r = pick_range();

	if (!all_mapped(m, &r))
		return;
	quire_fail_nth(1); /* it needs nothing */
	assert_int_equal(quire_madvise(m->mm, r.addr, r.len, QUIRE_MADV_DONTNEED), 0);
	quire_fail_nth(0);
	memset(&m->byte[r.first], 0, r.nr);
}

static void step_protect(struct model *m)
{
	struct range r = pick_range();
	bool writable = pick(2) == 0;

	if (!all_mapped(m, &r))
		return;
	assert_int_equal(quire_mprotect(m->mm, r.addr, r.len, writable ? RW : QUIRE_PROT_READ),
			 0);
	memset(&m->writable[r.first], writable, r.nr);
}

static void step_map(struct model *m)
{
	struct range r = pick_range();

	map_in(m->mm, r.addr, r.nr, RW, PRIVATE_ANON, NULL, 0);
	if (pick(4) != 0)
		assert_int_equal(quire_madvise(m->mm, r.addr, r.len, QUIRE_MADV_HUGEPAGE), 0);
	memset(&m->mapped[r.first], true, r.nr);
	memset(&m->writable[r.first], true, r.nr);
	memset(&m->byte[r.first], 0, r.nr);
}

static void step_unmap(struct model *m)
{
	struct range r = pick_range();
	int err;

	maybe_fail();
	err = quire_munmap(m->mm, r.addr, r.len);
	quire_fail_nth(0);
	if (err)
		assert_int_equal(err, -QUIRE_ENOMEM);
	else
		memset(&m->mapped[r.first], false, r.nr);
}

static void step_advise(struct model *m)
{
	static const int advices[] = {
		QUIRE_MADV_NOHUGEPAGE, QUIRE_MADV_HUGEPAGE, QUIRE_MADV_HUGEPAGE,
		QUIRE_MADV_SEQUENTIAL, QUIRE_MADV_NORMAL, QUIRE_MADV_FREE,
	};
	struct range r = pick_range();

	if (all_mapped(m, &r))
		assert_int_equal(quire_madvise(m->mm, r.addr, r.len,
					       advices[pick(sizeof(advices) /
							    sizeof(advices[0]))]),
				 0);
}

struct one_vma {
	struct range r;
	bool found;
};

static bool is_in_map(const struct quire_map_info *map, void *arg)
{
	struct one_vma *one = arg;

	one->found |= map->start <= one->r.addr && map->end >= one->r.addr + one->r.len;
	return true;
}

/* Within one VMA, to a place that does not overlap. */
static void step_move(struct model *m)
{
	struct one_vma one = { .r = pick_range() };
	const struct range *r = &one.r;
	unsigned to = pick_page();
	struct model old;
	uint64_t got;
	int err;

	quire_mm_maps(m->mm, is_in_map, &one);
	if (!one.found || to + r->nr > NR_PAGES ||
	    (to < r->first + r->nr && r->first < to + r->nr))
		return;
	err = quire_mremap(m->mm, r->addr, r->len, r->len,
			   QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, BASE + to * PAGE, &got);
	assert_int_equal(err, 0);
	old = *m;
	memset(&m->mapped[r->first], false, r->nr);
	memcpy(&m->mapped[to], &old.mapped[r->first], r->nr);
	memcpy(&m->writable[to], &old.writable[r->first], r->nr);
	memcpy(&m->byte[to], &old.byte[r->first], r->nr);
}

static void step_fork(struct model *m)
{
	struct model *child = NULL;
	struct quire_mm *made = NULL;
	int err;

	for (unsigned i = 0; i < MAX_MMS; i++)
		if (models[i].mm == NULL)
			child = &models[i];
	if (child == NULL)
		return;
	maybe_fail();
	err = quire_mm_fork(m->mm, &made);
	quire_fail_nth(0);
	if (err) {
		assert_int_equal(err, -QUIRE_ENOMEM);
		return;
	}
	*child = *m;
	child->mm = made;
}

static void step_exit(struct model *m)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < MAX_MMS; i++)
		nr += models[i].mm != NULL;
	if (nr < 2)
		return;
	quire_mm_put(m->mm);
	m->mm = NULL;
}

/* What a device writes is what the program reads. */
static void step_pin(struct model *m)
{
	unsigned page = pick_page();
	uint8_t byte = (uint8_t)(1 + pick(255)), seen = 0;
	struct quire_pin *pin;

	if (!m->mapped[page] || !m->writable[page])
		return;
	assert_int_equal(quire_pin_pages(m->mm, BASE + page * PAGE, 1, QUIRE_PIN_WRITE, &pin), 0);
	assert_int_equal(quire_pin_read(pin, 0, &seen, 1), 0);
	assert_int_equal(seen, m->byte[page]);
	assert_int_equal(quire_pin_write(pin, 0, &byte, 1), 0);
	m->byte[page] = byte;
	/* Fork while it is pinned: the page stays ours. */
	if (pick(2) == 0)
		step_fork(m);
	byte = (uint8_t)(1 + pick(255));
	assert_int_equal(quire_write(m->mm, BASE + page * PAGE, &byte, 1, NULL), 0);
	m->byte[page] = byte;
	assert_int_equal(quire_pin_read(pin, 0, &seen, 1), 0);
	assert_int_equal(seen, byte);
	quire_unpin(pin);
}

/* Whether it can be done or not, nothing is to be seen of it. */
static void step_collapse(struct model *m)
{
	struct range r = pick_range();
	int err;

	if (!all_mapped(m, &r))
		return;
	maybe_fail();
	err = quire_madvise(m->mm, r.addr, r.len, QUIRE_MADV_COLLAPSE);
	quire_fail_nth(0);
	assert_true(err == 0 || err == -QUIRE_EINVAL || err == -QUIRE_ENOMEM);
}

static void step_khugepaged(struct model *m)
{
	(void)m;
	maybe_fail();
	assert_int_equal(quire_khugepaged_scan(q, 1 + pick(2 * HPAGES), NULL), 0);
	quire_fail_nth(0);
}

/* Folios of other orders, which the fault did not make. */
static void step_split(struct model *m)
{
	struct range r = pick_range();
	unsigned order = pick(2) == 0 || QUIRE_PMD_ORDER < 3 ?
				 0 : 2 + (unsigned)pick(QUIRE_PMD_ORDER - 2);
	uint64_t nr;

	maybe_fail();
	assert_int_equal(quire_split_folios(m->mm, r.addr, r.len, order, &nr), 0);
	quire_fail_nth(0);
}

static void step_split_deferred(struct model *m)
{
	uint64_t nr;

	(void)m;
	assert_int_equal(quire_split_deferred(q, 1 + pick(8), &nr), 0);
}

/* Large folios are nothing that a program sees, nor that it wants none. */
static void step_thp_disable(struct model *m)
{
	static const enum quire_thp_disable modes[] = {
		QUIRE_THP_ENABLED, QUIRE_THP_ENABLED, QUIRE_THP_ENABLED, QUIRE_THP_ADVISED,
		QUIRE_THP_DISABLED,
	};

	assert_int_equal(quire_mm_set_thp_disable(m->mm, modes[pick(sizeof(modes) /
								    sizeof(modes[0]))]),
			 0);
}

typedef void step_fn(struct model *m);

/* How often each is taken. */
static const struct {
	step_fn *step;
	unsigned weight;
} steps[] = {
	{ step_write, 12 }, { step_read, 8 }, { step_drop, 3 },  { step_protect, 4 },
	{ step_map, 3 },    { step_unmap, 1 }, { step_advise, 2 }, { step_move, 3 },
	{ step_fork, 2 },   { step_exit, 2 },  { step_pin, 1 },    { step_split, 1 },
	{ step_collapse, 2 }, { step_khugepaged, 1 }, { step_split_deferred, 1 },
	{ step_thp_disable, 1 },
};

static void step(void)
{
	struct model *m;
	unsigned total = 0, at;

	do
		m = &models[pick(MAX_MMS)];
	while (m->mm == NULL);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		total += steps[i].weight;
	at = (unsigned)pick(total);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (at < steps[i].weight) {
			steps[i].step(m);
			return;
		}
		at -= steps[i].weight;
	}
}

static void check_all(void)
{
	quire_check(q);
	for (unsigned i = 0; i < MAX_MMS; i++)
		for (unsigned page = 0; page < NR_PAGES && models[i].mm != NULL; page++) {
			bool present = info(models[i].mm, BASE + page * PAGE).present;

			assert_true(models[i].mapped[page] || !present);
			if (present)
				assert_int_equal(get(models[i].mm, BASE + page * PAGE),
						 models[i].byte[page]);
		}
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value != NULL ? strtoull(value, NULL, 0) : otherwise;
}

/* One run; how many leaves it ended with says that there were any. */
static unsigned run(uint64_t first_seed, uint64_t nr_steps)
{
	unsigned nr_leaves = 0;

	memset(models, 0, sizeof(models));
	models[0].mm = mm;
	seed = first_seed;
	for (uint64_t i = 1; i <= nr_steps; i++) {
		step();
		if (i % (PAGE < 4096 ? 10 : 200) == 0)
			check_all();
		if (i % 10 == 0)
			for (unsigned r = 0; r < NR_RANGES; r++)
				for (unsigned k = 0; k < MAX_MMS; k++)
					nr_leaves += models[k].mm != NULL &&
						     info(models[k].mm, BASE + r * HUGE).leaf;
	}
	check_all();
	for (unsigned i = 0; i < MAX_MMS; i++)
		if (models[i].mm != NULL)
			quire_mm_put(models[i].mm);
	mm = NULL;
	return nr_leaves;
}

/* No zero pages, small ones, both: as a kernel may have them. */
static void draw_zero_pages(uint64_t from)
{
	unsigned kind = (unsigned)dice_roll(&from, 3);

	world_config.zero_page = kind > 0;
	world_config.huge_zero_page = kind > 1;
}

enum orders { PMD_ALONE, EVERY_ORDER };

static void runs(const char *row, const char *alternative, enum orders orders)
{
	uint64_t nr_steps = from_environment("HUGE_OPS", PAGE < 4096 ? 4000 : 1000);
	uint64_t only = from_environment("HUGE_SEED", 0);
	unsigned nr_leaves = 0;

	world_end();
	for (uint64_t s = only != 0 ? only : 1; s <= (only != 0 ? only : 8); s++) {
		world_config_default();
		world_config.memory_bytes = 24 * HUGE + (PAGE < 4096 ? 16384 : 512) * PAGE;
		world_config.overcommit = QUIRE_OVERCOMMIT_ALWAYS;
		draw_zero_pages(s);
		if (row != NULL)
			world_decide(row, alternative);
		for (unsigned o = 2; o < QUIRE_PMD_ORDER && orders == EVERY_ORDER; o++)
			world_config.anon_folios[o] = QUIRE_FOLIOS_ALWAYS;
		world_begin();
		nr_leaves += run(s, nr_steps);
		if (s < (only != 0 ? only : 8))
			world_end();
	}
	assert_true(nr_leaves > 20);
}

static void by_default(void **state)
{
	(void)state;
	runs(NULL, NULL, PMD_ALONE);
}

static void with_counts_per_page(void **state)
{
	(void)state;
	runs("nr-mapped", "per-subpage", PMD_ALONE);
}

static void with_mm_ids(void **state)
{
	(void)state;
	runs("sharing", "mm-ids", PMD_ALONE);
}

static void with_one_word(void **state)
{
	(void)state;
	runs("sharing", "one-word", PMD_ALONE);
}

/* Folios mapped by pages too, and the three rules of the deferred queue. */
static void with_every_order(void **state)
{
	(void)state;
	runs(NULL, NULL, EVERY_ORDER);
}

static void with_every_order_and_scans(void **state)
{
	(void)state;
	runs("deferred-split", "total-count+scan", EVERY_ORDER);
}

static void with_every_order_and_counts(void **state)
{
	(void)state;
	runs("deferred-split", "subpage-counts", EVERY_ORDER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		huge_test(by_default),
		huge_test(with_counts_per_page),
		huge_test(with_mm_ids),
		huge_test(with_one_word),
		huge_test(with_every_order),
		huge_test(with_every_order_and_scans),
		huge_test(with_every_order_and_counts),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
