/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deferred split queue: what each alternative of deferred-split queues,
 * queues in vain and misses, step by step and under random forks; and what
 * emptying the queue gives back.  docs/folios.md shows the table that
 * random_families prints.
 *
 * variants: threads_4k threads_64k threads_tiny
 */
#include "mm/mm.h"

#include "mm_world.h"

enum { ORDER = QUIRE_PMD_ORDER > 4 ? 4 : 2, NR = 1 << ORDER };

enum rule { TOTAL, SCAN, COUNTS, NR_RULES };
static const char *const rule_names[] = { "total-count", "total-count+scan", "subpage-counts" };

static struct rmap *rmap(void)
{
	return &((struct mm *)(void *)mm)->q->rmap;
}

static struct quire_deferred_stats queue(void)
{
	struct quire_deferred_stats now;

	quire_deferred_stats(q, &now);
	return now;
}

static uint64_t empty_queue(void)
{
	uint64_t nr;

	assert_int_equal(quire_split_deferred(q, UINT64_MAX, &nr), 0);
	return nr;
}

static uint64_t nr_free(void)
{
	struct quire_memory_stats now;

	quire_memory_stats(q, &now);
	return now.nr_free_frames;
}

static uint64_t page(unsigned folio, unsigned i)
{
	return BASE + ((uint64_t)folio * NR + i) * PAGE;
}

static void drop(struct quire_mm *where, unsigned folio, unsigned first, unsigned nr)
{
	assert_int_equal(quire_madvise(where, page(folio, first), nr * PAGE,
				       QUIRE_MADV_DONTNEED), 0);
}

static void begin_with(enum rule rule)
{
	if (q != NULL)
		world_end();
	world_decide("deferred-split", rule_names[rule]);
	world_begin();
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_ALWAYS), 0);
}

static void map_folios(unsigned nr)
{
	map_anon(BASE, (uint64_t)nr * NR);
	for (unsigned f = 0; f < nr; f++)
		for (unsigned i = 0; i < NR; i++)
			put(mm, page(f, i), (uint8_t)(f * NR + i + 1));
}

/* Folios with a page that nobody maps, which are on no queue. */
static uint64_t nr_missed(void)
{
	struct phys *phys = rmap()->phys;
	uint64_t nr = 0;

	for (uint64_t pfn = 1; pfn < phys->nr_frames; pfn++) {
		struct frame *frame = &phys->frames[pfn];
		struct folio *folio = (struct folio *)(void *)frame;
		uint32_t mapped;

		if (frame_test(frame, FRAME_TAIL) || frame_test(frame, FRAME_FREE) ||
		    frame_test(frame, FRAME_TABLE) || frame_test(frame, FRAME_SLAB) ||
		    frame->order < 2 || folio_refs(folio) == 0 || !folio_is_anon(folio) ||
		    frame_test(frame, FRAME_PARTLY_MAPPED))
			continue;
		mapped = folio_nr_mapped_pages(rmap(), folio);
		nr += mapped != 0 && mapped < folio_nr_pages(folio);
	}
	return nr;
}

/* ---- step by step ------------------------------------------------------------------ */

/* One address space: all see it. */
static void a_page_goes(void **state)
{
	(void)state;
	for (enum rule rule = 0; rule < NR_RULES; rule++) {
		uint64_t before;

		begin_with(rule);
		map_folios(2);
		drop(mm, 0, 1, 1);
		assert_int_equal(queue().nr_folios, 1);
		drop(mm, 0, 3, 1); /* it is there already */
		assert_int_equal(queue().nr_queued, 1);
		before = nr_free();
		assert_int_equal(empty_queue(), 2);
		assert_int_equal(nr_free(), before + 2);
		assert_int_equal(queue().nr_folios, 0);
		assert_int_equal(queue().nr_split, 1);
		assert_int_equal(get(mm, page(0, 2)), 3);
		assert_int_equal(empty_queue(), 0);
	}
}

/* A folio that goes is no longer there to be found. */
static void a_queued_folio_goes(void **state)
{
	(void)state;
	for (enum rule rule = 0; rule < NR_RULES; rule++) {
		begin_with(rule);
		map_folios(3);
		for (unsigned f = 0; f < 3; f++)
			drop(mm, f, 0, 1);
		assert_int_equal(queue().nr_folios, 3);
		drop(mm, 1, 0, NR);
		assert_int_equal(queue().nr_folios, 2);
		assert_int_equal(empty_queue(), 2);
	}
}

/* Each maps another half, or no page 0: how many mappings there are hides that. */
static void the_others_mappings_hide_it(void **state)
{
	static const uint64_t queued[] = { [TOTAL] = 0, [SCAN] = 1, [COUNTS] = 1 };

	(void)state;
	for (enum rule rule = 0; rule < NR_RULES; rule++) {
		struct quire_mm *child;

		begin_with(rule);
		map_folios(1);
		child = fork_of(mm);
		drop(mm, 0, 0, 1);
		drop(child, 0, 0, 1);
		assert_int_equal(queue().nr_folios, queued[rule]);
		assert_int_equal(nr_missed(), 1 - queued[rule]);
		assert_int_equal(empty_queue(), queued[rule]);
		quire_mm_put(child);
		/* The child's end tells it, if nothing did before. */
		assert_int_equal(queue().nr_folios, 1 - queued[rule]);
		assert_int_equal(nr_missed(), 0);
	}
}

/* A child comes and goes: nothing is lost, and one alternative looks all the same. */
static void a_child_that_exits(void **state)
{
	static const uint64_t queued[] = { [TOTAL] = 0, [SCAN] = 4, [COUNTS] = 0 };

	(void)state;
	for (enum rule rule = 0; rule < NR_RULES; rule++) {
		begin_with(rule);
		map_folios(4);
		quire_mm_put(fork_of(mm));
		assert_int_equal(queue().nr_queued, queued[rule]);
		assert_int_equal(empty_queue(), 0);
		assert_int_equal(queue().nr_whole, queued[rule]);
		assert_int_equal(queue().nr_split, 0);
		assert_int_equal(nr_missed(), 0);
	}
}

/* What is held is looked at once a time, goes back, and is not forgotten. */
static void what_is_held_goes_back(void **state)
{
	(void)state;
	for (enum rule rule = 0; rule < NR_RULES; rule++) {
		struct quire_pin *pin;

		begin_with(rule);
		map_folios(1);
		drop(mm, 0, 0, 1);
		pin = pin_pages(mm, page(0, 1), 1, QUIRE_PIN_WRITE);
		assert_int_equal(empty_queue(), 0);
		assert_int_equal(queue().nr_busy, 1);
		assert_int_equal(queue().nr_folios, 1);
		quire_unpin(pin);
		assert_int_equal(empty_queue(), 1);
	}
}

/* More than are held back at a time. */
static void many_folios(void **state)
{
	enum { MANY = 21 };
	uint64_t nr;

	(void)state;
	begin_with(TOTAL);
	map_folios(MANY);
	for (unsigned f = 0; f < MANY; f++)
		drop(mm, f, f % NR, 1);
	assert_int_equal(queue().nr_folios, MANY);
	assert_int_equal(quire_split_deferred(q, 5, &nr), 0);
	assert_int_equal(nr, 5);
	assert_int_equal(queue().nr_folios, MANY - 5);
	assert_int_equal(queue().nr_scanned, 5);
	assert_int_equal(empty_queue(), MANY - 5);
	assert_int_equal(quire_split_deferred(q, 0, &nr), 0);
	assert_int_equal(nr, 0);
	assert_int_equal(quire_split_deferred(NULL, 1, &nr), -QUIRE_EINVAL);
	assert_int_equal(quire_split_deferred(q, 1, NULL), -QUIRE_EINVAL);
}

/* A fault that finds no memory gets that of pages that nobody maps. */
static void memory_is_short(void **state)
{
	static struct folio *taken[4096];
	struct phys *phys;
	uint8_t byte = 1;
	unsigned nr = 0;

	(void)state;
	begin_with(TOTAL);
	map_folios(4);
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_NEVER), 0);
	for (unsigned f = 0; f < 4; f++)
		drop(mm, f, 1, NR - 1);
	phys = rmap()->phys;
	while ((taken[nr] = folio_alloc(phys, 0, 0)) != NULL)
		nr++;
	put(mm, page(0, 1), 7);
	assert_int_equal(queue().nr_split, 4);
	assert_int_equal(nr_free(), 4 * (NR - 1) - 1);
	for (unsigned f = 0; f < 4; f++)
		assert_int_equal(get(mm, page(f, 0)), f * NR + 1);
	/* And when that is used up too, there is none. */
	while ((taken[nr] = folio_alloc(phys, 0, 0)) != NULL)
		nr++;
	assert_int_equal(quire_write(mm, page(0, 2), &byte, 1, NULL), -QUIRE_ENOMEM);
	while (nr > 0)
		folio_put(phys, taken[--nr]);
}

/* ---- at random ------------------------------------------------------------------------ */

enum { FOLIOS = 6, FAMILY = 4, STEPS = 3000 };

static uint32_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 12) % n;
}

/* Forks, exits, writes and drops of a family; the queue is emptied now and then.
 * Returns the folios that were missed at those moments. */
static uint64_t live(struct quire_mm **family)
{
	uint64_t missed = 0;

	for (unsigned step = 0; step < STEPS; step++) {
		unsigned who = pick(FAMILY), f = pick(FOLIOS), i = pick(NR);

		if (family[who] == NULL) {
			family[who] = fork_of(mm);
			continue;
		}
		switch (pick(8)) {
		case 0:
			if (who != 0) {
				quire_mm_put(family[who]);
				family[who] = NULL;
			}
			break;
		case 1:
			drop(family[who], f, i, 1 + pick((unsigned)NR - i));
			break;
		case 2:
			drop(family[who], f, 0, NR);
			break;
		default:
			put(family[who], page(f, i), (uint8_t)step);
		}
		if (step % 64 == 63) {
			missed += nr_missed();
			empty_queue();
			quire_check(q);
		}
	}
	return missed;
}

static void random_families(void **state)
{
	(void)state;
	for (enum rule rule = 0; rule < NR_RULES; rule++) {
		struct quire_mm *family[FAMILY];
		struct quire_deferred_stats end;
		uint64_t missed;

		begin_with(rule);
		map_folios(FOLIOS);
		family[0] = mm;
		for (unsigned i = 1; i < FAMILY; i++)
			family[i] = NULL;
		seed = 1;
		missed = live(family);
		end = queue();
		print_message("%-17s queued %4u  scanned %4u  split %4u  in vain %4u  missed %4u\n",
			      rule_names[rule], (unsigned)end.nr_queued,
			      (unsigned)end.nr_scanned, (unsigned)end.nr_split,
			      (unsigned)end.nr_whole, (unsigned)missed);
		assert_true(end.nr_split > 0);
		assert_true(rule == SCAN || end.nr_whole == 0);
		assert_true(rule == TOTAL || missed == 0);
		for (unsigned i = 1; i < FAMILY; i++)
			if (family[i] != NULL)
				quire_mm_put(family[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(a_page_goes),
		world_test(a_queued_folio_goes),
		world_test(the_others_mappings_hide_it),
		world_test(a_child_that_exits),
		world_test(what_is_held_goes_back),
		world_test(many_folios),
		world_test(memory_is_short),
		world_test(random_families),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
