/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MADV_COLLAPSE: which ranges become one folio, with what in it, and what a
 * refusal leaves behind.  The numbers are those of Linux 6.18.
 *
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "mm/mm.h"

#include "mm_world.h"

enum { NR = QUIRE_TABLE_ENTRIES };

#define PMD QUIRE_PMD_SIZE
#define SECOND (BASE + PMD)
#define THIRD (BASE + 2 * PMD)

static int collapse_in(struct quire_mm *where, uint64_t addr, uint64_t len_bytes)
{
	int ret = quire_madvise(where, addr, len_bytes, QUIRE_MADV_COLLAPSE);

	quire_check(q);
	return ret;
}

static int collapse(uint64_t addr, uint64_t nr_pmds)
{
	return collapse_in(mm, addr, nr_pmds * PMD);
}

static bool is_leaf(struct quire_mm *where, uint64_t addr)
{
	return info(where, addr).leaf;
}

static uint8_t pattern(uint64_t page)
{
	return (uint8_t)(page * 7 + 1);
}

static void fill(uint64_t addr, uint64_t nr_pages)
{
	for (uint64_t i = 0; i < nr_pages; i++)
		put(mm, addr + i * PAGE + i % PAGE, pattern(i));
}

static void assert_filled(struct quire_mm *where, uint64_t addr, uint64_t nr_pages)
{
	for (uint64_t i = 0; i < nr_pages; i++) {
		assert_int_equal(get(where, addr + i * PAGE + i % PAGE), pattern(i));
		assert_int_equal(get(where, addr + i * PAGE + (i + 1) % PAGE), 0);
	}
}

/* `nr_pmds` ranges at BASE with a page everywhere. */
static void map_filled(uint64_t nr_pmds)
{
	map_anon(BASE, nr_pmds * NR);
	fill(BASE, nr_pmds * NR);
}

/* ---- what is done ------------------------------------------------------------------ */

static void pages_become_one_folio(void **state)
{
	uint64_t bytes;

	(void)state;
	map_filled(1);
	bytes = stats(mm).page_table_bytes;
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(is_leaf(mm, BASE));
	assert_int_equal(stats(mm).rss_anon_pages, NR);
	assert_int_equal(stats(mm).page_table_bytes, bytes);
	for (uint64_t i = 0; i < NR; i++) {
		struct quire_page_info page = info(mm, BASE + i * PAGE);

		assert_true(page.exclusive && page.writable && page.anon);
		assert_int_equal(page.pfn, info(mm, BASE).pfn + i);
		assert_int_equal(page.mapcount, NR);
		assert_int_equal(page.refcount, NR);
	}
	assert_int_equal(info(mm, BASE).pfn % NR, 0);
	assert_filled(mm, BASE, NR);
	put(mm, BASE, 9);
	assert_int_equal(get(mm, BASE), 9);
	assert_int_equal(stats(mm).cow_copies, 0);
}

static void a_second_time_changes_nothing(void **state)
{
	uint64_t pfn;

	(void)state;
	map_filled(1);
	assert_int_equal(collapse(BASE, 1), 0);
	pfn = info(mm, BASE).pfn;
	assert_int_equal(collapse(BASE, 1), 0);
	assert_int_equal(info(mm, BASE).pfn, pfn);
}

static void one_page_is_enough(void **state)
{
	(void)state;
	map_anon(BASE, NR);
	put(mm, BASE + PAGE + 3, 5);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(is_leaf(mm, BASE));
	assert_int_equal(stats(mm).rss_anon_pages, NR);
	assert_int_equal(get(mm, BASE + PAGE + 3), 5);
	for (uint64_t i = 0; i < NR; i++)
		assert_int_equal(get(mm, BASE + i * PAGE), 0);
}

static void begin_with_zeros(void)
{
	world_end();
	world_has_zero_pages();
	world_begin();
}

static void pages_of_zeros_are_cleared(void **state)
{
	(void)state;
	begin_with_zeros();
	map_anon(BASE, 2 * NR);
	put(mm, SECOND, 1);
	for (uint64_t i = 0; i < NR; i++)
		assert_int_equal(get(mm, BASE + i * PAGE), 0);
	assert_int_equal(stats(mm).rss_anon_pages, 1);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_int_equal(stats(mm).rss_anon_pages, NR + 1);
	for (uint64_t i = 0; i < NR; i++)
		assert_int_equal(get(mm, BASE + i * PAGE), 0);
	put(mm, BASE + PAGE, 1);
	assert_int_equal(get(mm, BASE + 2 * PAGE), 0);
}

/* The right to write, or none, is the VMA's. */
static void protection_is_kept(void **state)
{
	(void)state;
	map_filled(1);
	assert_int_equal(quire_mprotect(mm, BASE, PMD, QUIRE_PROT_READ), 0);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_false(info(mm, BASE).writable);
	assert_filled(mm, BASE, NR);
	assert_signal(mm, BASE, QUIRE_TOUCH_WRITE, QUIRE_SIGSEGV_ACCERR);
	assert_int_equal(quire_mprotect(mm, BASE, PMD, QUIRE_PROT_NONE), 0);
	assert_signal(mm, BASE, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_ACCERR);

	map_anon(SECOND, NR);
	fill(SECOND, NR);
	assert_int_equal(quire_mprotect(mm, SECOND, PMD, QUIRE_PROT_NONE), 0);
	assert_int_equal(collapse(SECOND, 1), 0);
	assert_signal(mm, SECOND, QUIRE_TOUCH_READ, QUIRE_SIGSEGV_ACCERR);
	assert_int_equal(quire_mprotect(mm, SECOND, PMD, RW), 0);
	assert_true(is_leaf(mm, SECOND));
	assert_filled(mm, SECOND, NR);
}

/* What a leaf can suffer, with contents. */
static void parts_can_be_changed_afterwards(void **state)
{
	(void)state;
	map_filled(3);
	assert_int_equal(collapse(BASE, 3), 0);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_madvise(mm, SECOND + PAGE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(quire_munmap(mm, THIRD, PMD - PAGE), 0);
	quire_check(q);
	assert_false(is_leaf(mm, BASE) || is_leaf(mm, SECOND) || is_leaf(mm, THIRD));
	assert_int_equal(get(mm, BASE), pattern(0));
	assert_int_equal(get(mm, SECOND + NR % PAGE), pattern(NR));
	assert_int_equal(get(mm, SECOND + PAGE + (NR + 1) % PAGE), 0);
	assert_int_equal(get(mm, THIRD + PMD - PAGE + (3 * NR - 1) % PAGE), pattern(3 * NR - 1));
	/* And back. */
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, RW), 0);
	assert_int_equal(collapse(BASE, 2), 0);
	assert_true(is_leaf(mm, BASE) && is_leaf(mm, SECOND));
	assert_int_equal(get(mm, BASE), pattern(0));
	assert_int_equal(get(mm, SECOND + PAGE + (NR + 1) % PAGE), 0);
}

static void locked_memory_is_collapsed(void **state)
{
	(void)state;
	map_filled(1);
	assert_int_equal(quire_mlock(mm, BASE, PMD, 0), 0);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(is_leaf(mm, BASE));
	assert_int_equal(stats(mm).locked_pages, NR);
}

/* ---- large folios that were there before ---------------------------------------------- */

static void entries_of_a_whole_folio_are_joined(void **state)
{
	struct quire_pin *pin;
	uint8_t byte = 3;
	uint64_t pfn;

	(void)state;
	map_filled(1);
	assert_int_equal(collapse(BASE, 1), 0);
	pfn = info(mm, BASE).pfn;
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, RW), 0);
	assert_false(is_leaf(mm, BASE));
	/* Nothing is moved: what is pinned may stay pinned. */
	pin = pin_pages(mm, BASE + PAGE, 1, QUIRE_PIN_WRITE);
	quire_fail_nth(1);
	assert_int_equal(collapse(BASE, 1), 0);
	quire_fail_nth(0);
	assert_true(is_leaf(mm, BASE));
	assert_int_equal(info(mm, BASE).pfn, pfn);
	assert_true(info(mm, BASE).writable);
	assert_int_equal(quire_pin_write(pin, 0, &byte, 1), 0);
	assert_int_equal(get(mm, BASE + PAGE), 3);
	quire_unpin(pin);
	assert_int_equal(stats(mm).rss_anon_pages, NR);
}

static void a_folio_with_a_hole_is_copied(void **state)
{
	uint64_t pfn;

	(void)state;
	map_filled(1);
	assert_int_equal(collapse(BASE, 1), 0);
	pfn = info(mm, BASE).pfn;
	assert_int_equal(quire_madvise(mm, BASE + PAGE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(is_leaf(mm, BASE));
	assert_int_not_equal(info(mm, BASE).pfn, pfn);
	assert_int_equal(get(mm, BASE), pattern(0));
	assert_int_equal(get(mm, BASE + PAGE + 1), 0);
	assert_int_equal(get(mm, BASE + 2 * PAGE + 2), pattern(2));
}

/* Smaller folios, whole and in part, and a page by itself. */
static void parts_of_folios_are_gathered(void **state)
{
	struct quire_memory_stats before, after;

	(void)state;
	assert_int_equal(quire_set_anon_folios(q, QUIRE_PMD_ORDER > 4 ? 4 : 2, QUIRE_FOLIOS_ALWAYS),
			 0);
	map_filled(2);
	assert_int_equal(quire_madvise(mm, BASE + PAGE, 2 * PAGE, QUIRE_MADV_DONTNEED), 0);
	put(mm, BASE + PAGE, 99);
	quire_memory_stats(q, &before);
	assert_int_equal(collapse(BASE, 2), 0);
	quire_memory_stats(q, &after);
	/* The folio with the hole was whole, and a page was there besides. */
	assert_int_equal(after.nr_free_frames, before.nr_free_frames + 1);
	assert_true(is_leaf(mm, BASE) && is_leaf(mm, SECOND));
	assert_int_equal(get(mm, BASE), pattern(0));
	assert_int_equal(get(mm, BASE + PAGE), 99);
	assert_int_equal(get(mm, BASE + PAGE + 1), 0);
	for (uint64_t i = 3; i < 2 * NR; i++)
		assert_int_equal(get(mm, BASE + i * PAGE + i % PAGE), pattern(i));
	assert_int_equal(stats(mm).rss_anon_pages, 2 * NR);
}

/* ---- others who map the pages ------------------------------------------------------------ */

static void the_child_keeps_its_pages(void **state)
{
	struct quire_mm *child;
	uint64_t pfn;

	(void)state;
	map_filled(1);
	child = fork_of(mm);
	pfn = info(child, BASE).pfn;
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(is_leaf(mm, BASE) && !is_leaf(child, BASE));
	assert_int_equal(info(child, BASE).pfn, pfn);
	put(mm, BASE, 9);
	assert_filled(child, BASE, NR);
	/* Its pages are its own now. */
	put(child, BASE, 7);
	assert_int_equal(info(child, BASE).pfn, pfn);
	assert_int_equal(stats(child).cow_copies, 0);
	assert_int_equal(get(mm, BASE), 9);
	quire_mm_put(child);
}

static void the_child_collapses_too(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_filled(1);
	child = fork_of(mm);
	assert_int_equal(collapse_in(child, BASE, PMD), 0);
	assert_filled(child, BASE, NR);
	put(mm, BASE, 9);
	assert_int_equal(stats(mm).cow_copies, 0);
	assert_int_equal(get(child, BASE), pattern(0));
	/* Both have one folio, and then share it. */
	assert_int_equal(collapse(BASE, 1), 0);
	quire_mm_put(child);
	child = fork_of(mm);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(is_leaf(mm, BASE) && is_leaf(child, BASE));
	assert_int_equal(info(mm, BASE).pfn, info(child, BASE).pfn);
	put(child, BASE, 3);
	assert_int_equal(get(mm, BASE), 9);
	quire_check(q);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_int_equal(collapse_in(child, BASE, PMD), 0);
	assert_int_equal(get(child, BASE), 3);
	assert_int_equal(get(mm, BASE), 9);
	quire_mm_put(child);
}

/* ---- what is refused ------------------------------------------------------------------------ */

struct before {
	struct quire_page_info pages[2 * NR];
	struct quire_mm_stats stats;
	struct quire_memory_stats memory;
};

static void remember(struct before *before)
{
	for (uint64_t i = 0; i < 2 * NR; i++)
		before->pages[i] = info(mm, BASE + i * PAGE);
	before->stats = stats(mm);
	quire_memory_stats(q, &before->memory);
}

static void assert_unchanged(const struct before *before)
{
	struct before now;

	remember(&now);
	for (uint64_t i = 0; i < 2 * NR; i++) {
		assert_int_equal(now.pages[i].pfn, before->pages[i].pfn);
		assert_int_equal(now.pages[i].present, before->pages[i].present);
		assert_int_equal(now.pages[i].writable, before->pages[i].writable);
		assert_int_equal(now.pages[i].exclusive, before->pages[i].exclusive);
		assert_int_equal(now.pages[i].mapcount, before->pages[i].mapcount);
		assert_int_equal(now.pages[i].refcount, before->pages[i].refcount);
	}
	assert_memory_equal(&now.stats, &before->stats, sizeof(now.stats));
	assert_memory_equal(&now.memory, &before->memory, sizeof(now.memory));
}

#define assert_refused(err, addr, nr_pmds)                        \
	do {                                                      \
		struct before before_;                            \
		remember(&before_);                               \
		assert_int_equal(collapse(addr, nr_pmds), (err)); \
		assert_unchanged(&before_);                       \
	} while (0)

static void nothing_there(void **state)
{
	(void)state;
	begin_with_zeros();
	map_anon(BASE, 2 * NR);
	assert_refused(-QUIRE_EINVAL, BASE, 1);
	/* Only read so far: nothing was ever written in this VMA. */
	assert_int_equal(get(mm, BASE), 0);
	assert_refused(-QUIRE_EINVAL, BASE, 1);
	/* Where a table is, pages are thought of as being there. */
	put(mm, BASE, 1);
	assert_int_equal(quire_madvise(mm, BASE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_true(is_leaf(mm, BASE));
	assert_int_equal(get(mm, BASE), 0);
	/* Without one, it ends the walk. */
	put(mm, SECOND, 1);
	assert_int_equal(quire_munmap(mm, BASE, PMD), 0);
	map_anon(BASE, NR);
	assert_refused(-QUIRE_EINVAL, BASE, 2);
}

static void memory_that_is_not_for_it(void **state)
{
	(void)state;
	map_filled(2);
	assert_int_equal(quire_madvise(mm, BASE, PMD, QUIRE_MADV_NOHUGEPAGE), 0);
	assert_refused(-QUIRE_EINVAL, BASE, 1);
	assert_int_equal(collapse_in(mm, BASE, PAGE), -QUIRE_EINVAL);
	assert_int_equal(collapse(BASE, 2), -QUIRE_EINVAL);
	assert_false(is_leaf(mm, SECOND));
	assert_int_equal(quire_madvise(mm, BASE, PMD, QUIRE_MADV_HUGEPAGE), 0);
	assert_int_equal(collapse(BASE, 1), 0);
	/* A range in two VMAs. */
	assert_int_equal(quire_mprotect(mm, SECOND + PAGE, PMD - PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(collapse(SECOND, 1), -QUIRE_EINVAL);
	assert_false(is_leaf(mm, SECOND));
	/* What a stack may not have. */
	assert_int_equal(quire_munmap(mm, BASE, 2 * PMD), 0);
	map_in(mm, BASE, NR, RW, PRIVATE_ANON | QUIRE_MAP_STACK, NULL, 0);
	fill(BASE, NR);
	assert_refused(-QUIRE_EINVAL, BASE, 1);
}

static void ends_are_moved_inward(void **state)
{
	(void)state;
	map_filled(2);
	assert_int_equal(collapse_in(mm, BASE, 0), 0);
	assert_int_equal(collapse_in(mm, BASE, PMD - PAGE), 0);
	assert_int_equal(collapse_in(mm, BASE + PAGE, PMD), 0);
	/* But not past each other. */
	assert_int_equal(collapse_in(mm, BASE + PAGE, PAGE), -QUIRE_EINVAL);
	assert_int_equal(collapse_in(mm, BASE + 1, PMD), -QUIRE_EINVAL);
	assert_int_equal(collapse_in(mm, BASE, (uint64_t)-PAGE), -QUIRE_EINVAL);
	assert_false(is_leaf(mm, BASE) || is_leaf(mm, SECOND));
	assert_int_equal(collapse_in(mm, BASE + PAGE, 2 * PMD - PAGE), 0);
	assert_true(!is_leaf(mm, BASE) && is_leaf(mm, SECOND));
	/* A VMA in which no range lies whole is none for it. */
	assert_int_equal(quire_munmap(mm, BASE + PAGE, PMD), 0);
	assert_int_equal(collapse_in(mm, BASE, PAGE), -QUIRE_EINVAL);
}

static void holes_are_told_in_the_end(void **state)
{
	(void)state;
	map_filled(3);
	assert_int_equal(quire_munmap(mm, SECOND, PMD), 0);
	assert_int_equal(collapse(BASE, 3), -QUIRE_ENOMEM);
	assert_true(is_leaf(mm, BASE) && is_leaf(mm, THIRD));
	assert_int_equal(collapse(SECOND, 1), -QUIRE_ENOMEM);
}

static int read_zeros(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	(void)context;
	(void)offset;
	memset(buf, 0, len_bytes);
	return 0;
}

static int write_nothing(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	(void)context;
	(void)offset;
	(void)buf;
	(void)len_bytes;
	return 0;
}

/* What a file in memory allows is thp_collapse_file.c's. */
static void files_on_disk_are_not_collapsed(void **state)
{
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_HOST, .mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = PMD,
		.backing = { .read = read_zeros, .write = write_nothing },
	};
	struct quire_file *file;

	(void)state;
	assert_int_equal(quire_file_create(q, &config, &file), 0);
	map_in(mm, BASE, NR, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	fill(BASE, NR);
	assert_refused(-QUIRE_EINVAL, BASE, 1);
	map_in(mm, SECOND, NR, RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, file, 0);
	fill(SECOND, NR);
	assert_refused(-QUIRE_EINVAL, SECOND, 1);
	quire_file_put(file);
}

static void pins_keep_pages_where_they_are(void **state)
{
	const uint32_t flags[] = {
		QUIRE_PIN_WRITE, QUIRE_PIN_WRITE | QUIRE_PIN_LONGTERM, QUIRE_PIN_LONGTERM,
		QUIRE_PIN_GET_ONLY,
	};

	(void)state;
	map_filled(2);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct quire_pin *pin;
		uint8_t byte = (uint8_t)(50 + i);

		pin = pin_pages(mm, BASE + PAGE, 1, flags[i]);
		assert_refused(-QUIRE_EAGAIN, BASE, 1);
		put(mm, BASE + PAGE, byte);
		assert_int_equal(pin_get(pin, 0), 50 + i);
		quire_unpin(pin);
	}
	assert_int_equal(collapse(BASE, 1), 0);
	assert_int_equal(get(mm, BASE + PAGE), 53);
}

/* What is busy is told, and the rest is done. */
static void busy_ranges_do_not_stop_it(void **state)
{
	struct quire_pin *pin;

	(void)state;
	map_filled(3);
	pin = pin_pages(mm, SECOND, 1, QUIRE_PIN_WRITE);
	assert_int_equal(collapse(BASE, 3), -QUIRE_EAGAIN);
	assert_true(is_leaf(mm, BASE) && !is_leaf(mm, SECOND) && is_leaf(mm, THIRD));
	quire_unpin(pin);
	assert_int_equal(collapse(BASE, 3), 0);
	assert_true(is_leaf(mm, SECOND));
	assert_filled(mm, BASE, 3 * NR);
}

/* ---- memory that cannot be had ---------------------------------------------------------------- */

static void each_allocation_may_fail(void **state)
{
	int err = -QUIRE_ENOMEM;

	(void)state;
	map_filled(2);
	for (uint64_t nth = 1; err; nth++) {
		struct before before;

		remember(&before);
		quire_fail_nth(nth);
		err = quire_madvise(mm, BASE, PMD, QUIRE_MADV_COLLAPSE);
		assert_true(err == 0 || err == -QUIRE_ENOMEM);
		assert_true(err == 0 || nth == 1);
		quire_fail_nth(0);
		quire_check(q);
		if (err)
			assert_unchanged(&before);
	}
	assert_true(is_leaf(mm, BASE));
	assert_filled(mm, BASE, 2 * NR);
}

/* Memory enough, but not in one piece. */
static void no_room_for_a_folio(void **state)
{
	static struct folio *taken[8 * NR + 512];
	struct phys *phys = &((struct quire *)q)->phys;
	struct before before;
	size_t nr = 0;

	(void)state;
	map_filled(1);
	while ((taken[nr] = folio_alloc(phys, 0, 0)) != NULL)
		nr++;
	for (size_t i = 0; i < nr; i++) {
		if (folio_pfn(phys, taken[i]).v % 2 == 0)
			continue;
		folio_put(phys, taken[i]);
		taken[i] = NULL;
	}
	remember(&before);
	assert_true(before.memory.nr_free_frames > NR);
	assert_int_equal(collapse(BASE, 1), -QUIRE_ENOMEM);
	assert_unchanged(&before);
	for (size_t i = 0; i < nr; i++)
		if (taken[i] != NULL)
			folio_put(phys, taken[i]);
	assert_int_equal(collapse(BASE, 1), 0);
}

/* ---- whoever counts ------------------------------------------------------------------------------ */

static void begin_with(const char *row, const char *alternative)
{
	world_end();
	world_config_default();
	world_decide(row, alternative);
	world_config.memory_bytes = 8 * NR * PAGE + 512 * PAGE;
	world_begin();
}

static void share_and_collapse(void)
{
	struct quire_mm *child;

	map_filled(1);
	child = fork_of(mm);
	assert_int_equal(collapse(BASE, 1), 0);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, RW), 0);
	assert_int_equal(collapse(BASE, 1), 0);
	quire_mm_put(child);
	child = fork_of(mm);
	assert_int_equal(quire_munmap(child, BASE, PAGE), 0);
	put(child, BASE + PAGE, 9);
	assert_int_equal(collapse_in(child, BASE, PMD), -QUIRE_EINVAL);
	map_in(child, BASE, 1, RW, PRIVATE_ANON, NULL, 0);
	quire_check(q);
	assert_filled(mm, BASE, NR);
	assert_int_equal(get(child, BASE + PAGE), 9);
	quire_mm_put(child);
}

static void with_every_rival(void **state)
{
	const struct quire_decision_info *row = quire_decision_info(QUIRE_DECISION_sharing);

	(void)state;
	for (enum quire_alternative alt = row->first; alt <= row->last; alt++) {
		begin_with("sharing", quire_alternative_info(alt)->name);
		share_and_collapse();
	}
}

static void with_pages_that_count(void **state)
{
	(void)state;
	begin_with("nr-mapped", "per-subpage");
	share_and_collapse();
}

static int roomy_setup(void **state)
{
	(void)state;
	world_config_default();
	world_config.memory_bytes = 8 * NR * PAGE + 512 * PAGE;
	world_begin();
	return 0;
}

#define roomy_test(name) cmocka_unit_test_setup_teardown(name, roomy_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		roomy_test(pages_become_one_folio),
		roomy_test(a_second_time_changes_nothing),
		roomy_test(one_page_is_enough),
		roomy_test(pages_of_zeros_are_cleared),
		roomy_test(protection_is_kept),
		roomy_test(parts_can_be_changed_afterwards),
		roomy_test(locked_memory_is_collapsed),
		roomy_test(entries_of_a_whole_folio_are_joined),
		roomy_test(a_folio_with_a_hole_is_copied),
		roomy_test(parts_of_folios_are_gathered),
		roomy_test(the_child_keeps_its_pages),
		roomy_test(the_child_collapses_too),
		roomy_test(nothing_there),
		roomy_test(memory_that_is_not_for_it),
		roomy_test(ends_are_moved_inward),
		roomy_test(holes_are_told_in_the_end),
		roomy_test(files_on_disk_are_not_collapsed),
		roomy_test(pins_keep_pages_where_they_are),
		roomy_test(busy_ranges_do_not_stop_it),
		roomy_test(each_allocation_may_fail),
		roomy_test(no_room_for_a_folio),
		roomy_test(with_every_rival),
		roomy_test(with_pages_that_count),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
