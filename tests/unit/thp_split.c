/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Splitting large folios of a range: to every order, mapped by pages or by a
 * leaf, by one address space or two, in part, and what must refuse it.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include "mm/mm.h"

#include "mm_world.h"

/* An order mapped page by page; the tiny geometry has one large order, which a
 * leaf maps, and which its tests therefore take apart first. */
enum { ORDER = QUIRE_PMD_ORDER > 4 ? 4 : 2, NR = 1 << ORDER };
#define LARGEST (QUIRE_PMD_ORDER > 9 ? 9u : (unsigned)QUIRE_PMD_ORDER)
#define ALL (NR * PAGE)

/* The folio that page `i` at BASE lies in. */
static struct folio *folio_at(struct quire_mm *where, uint64_t i)
{
	struct phys *phys = &((struct mm *)(void *)where)->q->phys;

	return frame_folio(pfn_frame(phys, pfn_make(info(where, BASE + i * PAGE).pfn)));
}

static uint8_t byte_of(uint64_t page)
{
	return (uint8_t)(page * 7 + 1);
}

static uint64_t split(uint64_t first, uint64_t nr_pages, unsigned order)
{
	uint64_t nr;

	assert_int_equal(quire_split_folios(mm, BASE + first * PAGE, nr_pages * PAGE, order, &nr),
			 0);
	return nr;
}

static uint64_t nr_free(void)
{
	struct quire_memory_stats now;

	quire_memory_stats(q, &now);
	return now.nr_free_frames;
}

/* 2^order pages at BASE in one folio, each with its byte. */
static void map_folio(unsigned order)
{
	for (unsigned other = 2; other <= QUIRE_PMD_ORDER; other++)
		assert_int_equal(quire_set_anon_folios(q, other, other == order ?
							       QUIRE_FOLIOS_ALWAYS :
							       QUIRE_FOLIOS_NEVER), 0);
	map_anon(BASE, UINT64_C(1) << order);
	for (uint64_t i = 0; i < UINT64_C(1) << order; i++)
		put(mm, BASE + i * PAGE, byte_of(i));
	assert_int_equal(folio_order(folio_at(mm, 0)), order);
}

/* Every page is where it was, says what it said, and may be written without a fault. */
static void assert_pages(uint64_t first_pfn, uint64_t nr, unsigned order)
{
	uint64_t faults = stats(mm).faults;

	for (uint64_t i = 0; i < nr; i++) {
		struct quire_page_info page = info(mm, BASE + i * PAGE);

		assert_int_equal(page.pfn, first_pfn + i);
		assert_true(page.exclusive && page.writable && page.dirty && page.anon);
		assert_int_equal(page.mapcount, 1 << order);
		assert_int_equal(page.refcount, 1 << order);
		assert_int_equal(folio_order(folio_at(mm, i)), order);
		assert_int_equal(folio_at(mm, i)->index, (BASE >> PAGE_SHIFT) +
							 (i & ~((UINT64_C(1) << order) - 1)));
		assert_int_equal(get(mm, BASE + i * PAGE), byte_of(i));
		put(mm, BASE + i * PAGE, byte_of(i));
	}
	assert_int_equal(stats(mm).faults, faults);
	assert_int_equal(stats(mm).rss_anon_pages, nr);
	quire_check(q);
}

static void to_every_order(void **state)
{
	(void)state;
	for (unsigned from = 2; from <= LARGEST; from++) {
		for (unsigned order = 0; order < from; order += order == 0 ? 2 : 1) {
			uint64_t pfn;

			map_folio(from);
			pfn = info(mm, BASE).pfn;
			assert_int_equal(split(0, UINT64_C(1) << from, order), 1);
			assert_pages(pfn, UINT64_C(1) << from, order);
			assert_int_equal(quire_munmap(mm, BASE, PAGE << from), 0);
			quire_check(q);
		}
	}
}

/* 512 MiB: 8192 pages, of which a few are looked at. */
static void a_folio_of_a_pmd(void **state)
{
	uint64_t nr = UINT64_C(1) << QUIRE_PMD_ORDER, pfn;

	(void)state;
	world_end();
	world_config.memory_bytes = 4 * QUIRE_PMD_SIZE + 2048 * PAGE;
	world_begin();
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, nr);
	put(mm, BASE + 3 * PAGE, 3);
	pfn = info(mm, BASE).pfn;
	if (QUIRE_PMD_ORDER > 2) {
		assert_int_equal(split(1, 1, 2), 1);
		quire_check(q);
		assert_int_equal(info(mm, BASE).refcount, 4);
	}
	assert_int_equal(split(0, nr, 0), QUIRE_PMD_ORDER > 2 ? nr / 4 : 1);
	assert_int_equal(info(mm, BASE + (nr - 1) * PAGE).pfn, pfn + nr - 1);
	assert_int_equal(info(mm, BASE + (nr - 1) * PAGE).mapcount, 1);
	assert_int_equal(get(mm, BASE + 3 * PAGE), 3);
	assert_int_equal(split(0, nr, 0), 0);
}

static void only_the_range_asked_for(void **state)
{
	(void)state;
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, 4 * NR);
	for (unsigned i = 0; i < 4; i++)
		put(mm, BASE + i * ALL, 1);
	/* From the last page of the second to the first of the third. */
	assert_int_equal(split(2 * NR - 1, 2, 0), 2);
	assert_int_equal(folio_order(folio_at(mm, 0)), ORDER);
	assert_int_equal(folio_order(folio_at(mm, NR)), 0);
	assert_int_equal(folio_order(folio_at(mm, 3 * NR - 1)), 0);
	assert_int_equal(folio_order(folio_at(mm, 3 * NR)), ORDER);
	/* Holes are passed over. */
	assert_int_equal(quire_munmap(mm, BASE + ALL, 2 * ALL), 0);
	assert_int_equal(split(0, 4 * NR, 0), 2);
}

static void what_cannot_be_is_refused(void **state)
{
	uint64_t nr = 77;

	(void)state;
	map_folio(ORDER);
	assert_int_equal(quire_split_folios(NULL, BASE, ALL, 0, &nr), -QUIRE_EINVAL);
	assert_int_equal(quire_split_folios(mm, BASE, ALL, 0, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_split_folios(mm, BASE + 1, ALL, 0, &nr), -QUIRE_EINVAL);
	assert_int_equal(quire_split_folios(mm, BASE, ALL, 1, &nr), -QUIRE_EINVAL);
	assert_int_equal(quire_split_folios(mm, BASE, ALL, QUIRE_PMD_ORDER, &nr), -QUIRE_EINVAL);
	assert_int_equal(quire_split_folios(mm, BASE, ALL, ~0u, &nr), -QUIRE_EINVAL);
	assert_int_equal(quire_split_folios(mm, BASE, UINT64_MAX, 0, &nr), -QUIRE_EINVAL);
	assert_int_equal(quire_split_folios(mm, TASK_SIZE - PAGE, 2 * PAGE, 0, &nr),
			 -QUIRE_EINVAL);
	assert_int_equal(nr, 77);
	assert_int_equal(quire_split_folios(mm, BASE, 0, 0, &nr), 0);
	assert_int_equal(nr, 0);
	assert_int_equal(folio_order(folio_at(mm, 0)), ORDER);
}

/* Pages that nobody maps are freed; the others stay. */
static void unmapped_pages_are_freed(void **state)
{
	uint64_t before;

	(void)state;
	map_folio(ORDER);
	assert_int_equal(quire_munmap(mm, BASE + PAGE, 2 * PAGE), 0);
	before = nr_free();
	assert_int_equal(split(0, 1, 0), 1);
	assert_int_equal(nr_free(), before + 2);
	assert_int_equal(get(mm, BASE), byte_of(0));
	for (uint64_t i = 3; i < NR; i++)
		assert_int_equal(get(mm, BASE + i * PAGE), byte_of(i));
	quire_check(q);
}

/* The first page is where the folio's own reference is. */
static void an_unmapped_first_page_too(void **state)
{
	uint64_t before;

	(void)state;
	map_folio(ORDER);
	assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
	before = nr_free();
	assert_int_equal(split(1, 1, 0), 1);
	assert_int_equal(nr_free(), before + 1);
	assert_int_equal(get(mm, BASE + PAGE), byte_of(1));
}

/* Larger parts that are mapped in part: what nobody maps waits in the queue. */
static void parts_may_be_partly_mapped(void **state)
{
	struct quire_deferred_stats deferred;
	uint64_t before;

	(void)state;
	if (ORDER == 2)
		return; /* no smaller large order */
	map_folio(ORDER);
	assert_int_equal(quire_munmap(mm, BASE + PAGE, 4 * PAGE), 0);
	before = nr_free();
	assert_int_equal(split(0, NR, 2), 1); /* 0 to 3: one left; 4 to 7: three */
	assert_int_equal(nr_free(), before);
	quire_deferred_stats(q, &deferred);
	assert_int_equal(deferred.nr_folios, 2);
	assert_int_equal(info(mm, BASE).mapcount, 1);
	assert_int_equal(info(mm, BASE + 5 * PAGE).mapcount, 3);
	assert_int_equal(split(0, NR, 0), NR / 4);
	assert_int_equal(nr_free(), before + 4);
	quire_deferred_stats(q, &deferred);
	assert_int_equal(deferred.nr_folios, 0);
}

/* Both map the parts afterwards, copy-on-write as before, and each reuses alone. */
static void a_folio_of_two(void **state)
{
	struct quire_mm *child;
	uint64_t pfn;

	(void)state;
	map_folio(ORDER);
	pfn = info(mm, BASE).pfn;
	child = fork_of(mm);
	assert_int_equal(split(0, NR, 0), 1);
	for (uint64_t i = 0; i < NR; i++) {
		assert_int_equal(info(mm, BASE + i * PAGE).pfn, pfn + i);
		assert_int_equal(info(child, BASE + i * PAGE).pfn, pfn + i);
		assert_int_equal(info(mm, BASE + i * PAGE).mapcount, 2);
		assert_false(info(mm, BASE + i * PAGE).writable);
		assert_false(info(child, BASE + i * PAGE).exclusive);
	}
	quire_check(q);
	put(child, BASE, 200);
	assert_int_equal(get(mm, BASE), byte_of(0));
	quire_mm_put(child);
	put(mm, BASE, 201);
	put(mm, BASE + PAGE, 202);
	assert_int_equal(stats(mm).cow_copies, 0);
	assert_int_equal(info(mm, BASE + PAGE).pfn, pfn + 1);
}

/* Each maps another part: no page is lost and none is kept. */
static void of_two_that_map_different_parts(void **state)
{
	struct quire_mm *child;
	uint64_t before;

	(void)state;
	map_folio(ORDER);
	child = fork_of(mm);
	assert_int_equal(quire_munmap(mm, BASE, 2 * PAGE), 0);
	assert_int_equal(quire_munmap(child, BASE + PAGE, ALL - PAGE), 0);
	before = nr_free();
	assert_int_equal(split(2, 1, 0), 1);
	assert_int_equal(nr_free(), before + 1); /* page 1 */
	assert_int_equal(get(child, BASE), byte_of(0));
	assert_int_equal(get(mm, BASE + 2 * PAGE), byte_of(2));
	quire_check(q);
	quire_mm_put(child);
}

/* A part of it was moved: it is found by its index, not by its address. */
static void pages_that_moved(void **state)
{
	uint64_t to, pfn;

	(void)state;
	map_folio(ORDER);
	pfn = info(mm, BASE).pfn;
	map_anon(BASE + 8 * QUIRE_PMD_SIZE, 2);
	assert_int_equal(quire_mremap(mm, BASE + 2 * PAGE, 2 * PAGE, 2 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
				      BASE + 8 * QUIRE_PMD_SIZE, &to), 0);
	assert_int_equal(split(0, 1, 0), 1);
	assert_int_equal(info(mm, to).pfn, pfn + 2);
	assert_int_equal(info(mm, to).mapcount, 1);
	assert_int_equal(get(mm, to + PAGE), byte_of(3));
	assert_int_equal(get(mm, BASE), byte_of(0));
	quire_check(q);
}

/* PROT_NONE and read-only entries are what they were, too. */
static void protected_pages(void **state)
{
	(void)state;
	map_folio(ORDER);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_NONE), 0);
	assert_int_equal(quire_mprotect(mm, BASE + PAGE, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(split(0, NR, 0), 1);
	assert_signal(mm, BASE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_ACCERR);
	assert_signal(mm, BASE + PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
	assert_true(info(mm, BASE).exclusive && info(mm, BASE + PAGE).exclusive);
	quire_check(q);
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, RW), 0);
	put(mm, BASE, 9);
	assert_int_equal(stats(mm).cow_copies, 0);
	assert_int_equal(get(mm, BASE + PAGE), byte_of(1));
}

/* Whoever holds the folio keeps it whole: nothing changed. */
static void a_pinned_folio_stays_whole(void **state)
{
	static const uint32_t kinds[] = { QUIRE_PIN_WRITE, QUIRE_PIN_GET_ONLY };
	uint64_t pfn;

	(void)state;
	map_folio(ORDER);
	pfn = info(mm, BASE).pfn;
	for (unsigned i = 0; i < 2; i++) {
		struct quire_pin *pin;

		pin = pin_pages(mm, BASE + 3 * PAGE, 1, kinds[i]);
		assert_int_equal(split(0, NR, 0), 0);
		assert_int_equal(folio_order(folio_at(mm, 0)), ORDER);
		assert_int_equal(info(mm, BASE).mapcount, NR);
		assert_int_equal(info(mm, BASE).refcount, NR + 1);
		assert_true(info(mm, BASE + 3 * PAGE).exclusive);
		quire_unpin(pin);
	}
	assert_int_equal(split(0, NR, 0), 1);
	assert_pages(pfn, NR, 0);
}

/* A file's folios are split where they are, and fault in again. */
static void a_files_folio(void **state)
{
	struct quire_file *file;
	uint64_t got;

	(void)state;
	world_end();
	world_config.file_order = ORDER;
	world_begin();
	assert_int_equal(quire_file_create(q, &(struct quire_file_config){
			.kind = QUIRE_FILE_MEMORY, .size_bytes = ALL, 
			.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE }, &file), 0);
	assert_int_equal(quire_mmap(mm, BASE, ALL, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file,
				    0, &got), 0);
	for (uint64_t i = 0; i < NR; i++)
		put(mm, BASE + i * PAGE, byte_of(i));
	assert_int_equal(folio_order(folio_at(mm, 0)), ORDER);
	assert_int_equal(split(0, NR, 0), 1);
	for (uint64_t i = 0; i < NR; i++)
		assert_int_equal(get(mm, BASE + i * PAGE), byte_of(i));
	assert_int_equal(folio_order(folio_at(mm, 0)), 0);
	assert_int_equal(quire_munmap(mm, BASE, ALL), 0);
	quire_file_put(file);
}

/* Each rival counts the parts anew, and so do the pages. */
static void with_every_rival(void **state)
{
	(void)state;
	for (unsigned alt = QUIRE_sharing_moments; alt <= QUIRE_sharing_first_subpage; alt++) {
		for (unsigned pages = 0; pages < 2; pages++) {
			struct quire_mm *child;

			world_end();
			world_decide("sharing", quire_alternative_info(
							(enum quire_alternative)alt)->name);
			world_decide("nr-mapped", pages ? "per-subpage" : "whole-folio");
			world_begin();
			map_folio(LARGEST);
			child = fork_of(mm);
			assert_int_equal(quire_munmap(mm, BASE, PAGE), 0);
			if (LARGEST > 2)
				assert_int_equal(split(1, 1, LARGEST - 1 == 2 ? 2 : 3), 1);
			quire_check(q);
			assert_true(split(1, (1u << LARGEST) - 1, 0) >= 1);
			quire_check(q);
			assert_int_equal(get(child, BASE), byte_of(0));
			quire_mm_put(child);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(to_every_order),
		world_test(a_folio_of_a_pmd),
		world_test(only_the_range_asked_for),
		world_test(what_cannot_be_is_refused),
		world_test(unmapped_pages_are_freed),
		world_test(an_unmapped_first_page_too),
		world_test(parts_may_be_partly_mapped),
		world_test(a_folio_of_two),
		world_test(of_two_that_map_different_parts),
		world_test(pages_that_moved),
		world_test(protected_pages),
		world_test(a_pinned_folio_stays_whole),
		world_test(a_files_folio),
		world_test(with_every_rival),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
