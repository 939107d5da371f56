/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which memory of files comes in PMD-sized folios, and where it is then mapped: the
 * setting of the instance, and a tmpfs's own.  As Linux 6.18 does, by trial with tmpfs
 * mounted with each huge=.
 * variants: threads_4k threads_tiny explore_tiny
 */
#include "mm_rows.h"

#include "huge_world.h"

static void begin(enum quire_shmem_folios mode)
{
	world_config_default();
	world_config.memory_bytes = 10 * HUGE + (PAGE < 4096 ? 4096 : 256) * PAGE;
	world_config.shmem_folios = mode;
	world_begin();
}

/* On a tmpfs with its own setting, or (-1) not. */
static struct quire_file *file_on(int tmpfs, uint64_t nr_pages)
{
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY, .mode = FILE_RW, .size_bytes = nr_pages * PAGE,
		.on_tmpfs = tmpfs >= 0,
		.tmpfs_folios = tmpfs >= 0 ? (enum quire_shmem_folios)tmpfs : QUIRE_SHMEM_NEVER,
	};
	struct quire_file *file;

	assert_int_equal(quire_file_create(q, &config, &file), 0);
	return file;
}

static uint64_t place_at(uint64_t hint, struct quire_file *file, uint64_t nr_pages,
			 uint64_t first_page)
{
	uint64_t addr;

	assert_int_equal(quire_mmap(mm, hint, nr_pages * PAGE, RW,
				    QUIRE_MAP_SHARED | (file ? 0 : QUIRE_MAP_ANONYMOUS), file,
				    first_page * PAGE, &addr),
			 0);
	return addr;
}

/* Something that leaves the next place below it, and askew. */
static uint64_t askew(void)
{
	uint64_t addr;

	assert_int_equal(quire_mmap(mm, 0, 2 * HUGE + 3 * PAGE, NONE,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0, &addr),
			 0);
	return addr;
}

enum { BY_LEAF, BY_PAGES, NOT_LARGE };

/* How a first write maps a new file of one PMD. */
static int mapped_how(int tmpfs, int advice)
{
	struct quire_file *file = file_on(tmpfs, HPAGES);
	struct quire_page_info page;

	map_in(mm, BASE, HPAGES, RW, SHARED_FILE, file, 0);
	if (advice >= 0)
		assert_int_equal(quire_madvise(mm, BASE, HUGE, advice), 0);
	put(mm, BASE + PAGE, 1);
	page = info(mm, BASE + PAGE);
	assert_int_equal(get(mm, BASE), 0);
	assert_int_equal(quire_munmap(mm, BASE, HUGE), 0);
	quire_file_put(file);
	quire_check(q);
	if (page.leaf)
		return BY_LEAF;
	return page.order != 0 ? BY_PAGES : NOT_LARGE;
}

static void the_instance_decides(void **state)
{
	static const struct {
		enum quire_shmem_folios mode;
		int plain, advised, on_huge_tmpfs, on_small_tmpfs;
	} rows[] = {
		{ QUIRE_SHMEM_NEVER, NOT_LARGE, NOT_LARGE, BY_LEAF, NOT_LARGE },
		{ QUIRE_SHMEM_ADVISE, NOT_LARGE, BY_LEAF, BY_LEAF, NOT_LARGE },
		{ QUIRE_SHMEM_WITHIN_SIZE, BY_LEAF, BY_LEAF, BY_LEAF, NOT_LARGE },
		{ QUIRE_SHMEM_ALWAYS, BY_LEAF, BY_LEAF, BY_LEAF, NOT_LARGE },
		{ QUIRE_SHMEM_DENY, NOT_LARGE, NOT_LARGE, NOT_LARGE, NOT_LARGE },
		{ QUIRE_SHMEM_FORCE, BY_LEAF, BY_LEAF, BY_LEAF, BY_LEAF },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].mode);
		assert_int_equal(mapped_how(-1, -1), rows[i].plain);
		assert_int_equal(mapped_how(-1, QUIRE_MADV_HUGEPAGE), rows[i].advised);
		assert_int_equal(mapped_how(-1, QUIRE_MADV_NOHUGEPAGE), NOT_LARGE);
		assert_int_equal(mapped_how(QUIRE_SHMEM_ALWAYS, -1), rows[i].on_huge_tmpfs);
		assert_int_equal(mapped_how(QUIRE_SHMEM_NEVER, QUIRE_MADV_HUGEPAGE),
				 rows[i].on_small_tmpfs);
		world_end();
	}
}

/* Shared anonymous memory may have another than memfd. */
static void shared_anonymous_memory(void **state)
{
	static const struct {
		enum quire_shmem_folios all, shared;
		bool leaf, aligned;
	} rows[] = {
		{ QUIRE_SHMEM_ALWAYS, QUIRE_SHMEM_INHERIT, true, true },
		{ QUIRE_SHMEM_ALWAYS, QUIRE_SHMEM_NEVER, false, false },
		{ QUIRE_SHMEM_NEVER, QUIRE_SHMEM_INHERIT, false, false },
		{ QUIRE_SHMEM_NEVER, QUIRE_SHMEM_WITHIN_SIZE, true, true },
		{ QUIRE_SHMEM_NEVER, QUIRE_SHMEM_ADVISE, false, true },
		{ QUIRE_SHMEM_DENY, QUIRE_SHMEM_ALWAYS, false, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(rows[i].all);
		world_end();
		world_config.shared_folios = rows[i].shared;
		world_begin();
		map_in(mm, BASE, HPAGES, RW, SHARED_ANON, NULL, 0);
		put(mm, BASE, 1);
		assert_int_equal(info(mm, BASE).leaf, rows[i].leaf);
		askew();
		assert_int_equal(place_at(0, NULL, HPAGES, 0) % HUGE == 0, rows[i].aligned);
		assert_int_equal(mapped_how(-1, -1),
				 rows[i].all == QUIRE_SHMEM_ALWAYS ? BY_LEAF : NOT_LARGE);
		world_end();
	}
}

static void an_address_space_may_want_none(void **state)
{
	(void)state;
	begin(QUIRE_SHMEM_ADVISE);
	assert_int_equal(quire_mm_set_thp_disable(mm, QUIRE_THP_DISABLED), 0);
	assert_int_equal(mapped_how(-1, QUIRE_MADV_HUGEPAGE), NOT_LARGE);
	assert_int_equal(quire_mm_set_thp_disable(mm, QUIRE_THP_ADVISED), 0);
	assert_int_equal(mapped_how(-1, QUIRE_MADV_HUGEPAGE), BY_LEAF);
	assert_int_equal(mapped_how(QUIRE_SHMEM_ALWAYS, -1), NOT_LARGE);
	world_end();
	if (QUIRE_PMD_ORDER < 3)
		return;
	/* Nor any of the orders that files may have. */
	begin(QUIRE_SHMEM_NEVER);
	world_end();
	world_config.file_order = QUIRE_PMD_ORDER - 1;
	world_begin();
	assert_int_equal(mapped_how(-1, -1), BY_PAGES);
	assert_int_equal(mapped_how(-1, QUIRE_MADV_NOHUGEPAGE), NOT_LARGE);
	assert_int_equal(quire_mm_set_thp_disable(mm, QUIRE_THP_DISABLED), 0);
	assert_int_equal(mapped_how(-1, -1), NOT_LARGE);
	world_end();
}

/* Pages that are there already, a mapping or a file that has not all of the range. */
static void where_none_fits(void **state)
{
	struct quire_file *file;

	(void)state;
	begin(QUIRE_SHMEM_ALWAYS);
	file = file_on(-1, 2 * HPAGES - 1);
	map_in(mm, BASE, HPAGES - 1, RW, SHARED_FILE, file, 0);
	put(mm, BASE, 1);
	assert_int_equal(info(mm, BASE).order, 0);
	map_in(mm, BASE + 2 * HUGE, 2 * HPAGES, RW, SHARED_FILE, file, 0);
	put(mm, BASE + 2 * HUGE + PAGE, 1);
	assert_int_equal(info(mm, BASE + 2 * HUGE + PAGE).order, 0);
	put(mm, BASE + 3 * HUGE, 1);
	assert_int_equal(info(mm, BASE + 3 * HUGE).order, 0);
	/* Not congruent. */
	assert_int_equal(quire_file_truncate(file, 0), 0);
	assert_int_equal(quire_file_truncate(file, 2 * HUGE), 0);
	map_in(mm, BASE + 4 * HUGE, HPAGES, RW, SHARED_FILE, file, 1);
	put(mm, BASE + 4 * HUGE, 1);
	assert_int_equal(info(mm, BASE + 4 * HUGE).order, 0);
	/* Others map by a leaf what one who may not maps by pages. */
	map_in(mm, BASE + 5 * HUGE + HUGE, HPAGES, RW, SHARED_FILE, file, HPAGES);
	put(mm, BASE + 6 * HUGE, 7);
	assert_true(info(mm, BASE + 6 * HUGE).leaf);
	map_in(mm, BASE + 8 * HUGE, HPAGES, RW, SHARED_FILE, file, HPAGES);
	assert_int_equal(quire_madvise(mm, BASE + 8 * HUGE, HUGE, QUIRE_MADV_NOHUGEPAGE), 0);
	assert_int_equal(get(mm, BASE + 8 * HUGE), 7);
	assert_false(info(mm, BASE + 8 * HUGE).leaf);
	assert_int_equal(info(mm, BASE + 8 * HUGE).order, QUIRE_PMD_ORDER);
	quire_file_put(file);
	world_end();
}

/* Nobody advises a plain write. */
static void written_without_a_mapping(void **state)
{
	static const struct {
		enum quire_shmem_folios mode;
		uint64_t nr_pages;
	} rows[] = {
		{ QUIRE_SHMEM_NEVER, 1 }, { QUIRE_SHMEM_ADVISE, 1 },
		{ QUIRE_SHMEM_WITHIN_SIZE, HPAGES }, { QUIRE_SHMEM_ALWAYS, HPAGES },
		{ QUIRE_SHMEM_DENY, 1 }, { QUIRE_SHMEM_FORCE, HPAGES },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct quire_file *file;
		uint8_t byte = 5;

		begin(rows[i].mode);
		file = file_on(-1, 2 * HPAGES);
		assert_int_equal(quire_file_write(file, HUGE + PAGE, &byte, 1), 0);
		assert_int_equal(quire_file_nr_cached_pages(file), rows[i].nr_pages);
		/* A hole that is read stays one. */
		assert_int_equal(quire_file_read(file, 0, &byte, 1), 0);
		assert_int_equal(quire_file_nr_cached_pages(file), rows[i].nr_pages);
		quire_file_put(file);
		world_end();
	}
}

/* ---- where it is mapped ---------------------------------------------------------- */

static void placed_for_huge_pages(void **state)
{
	struct quire_file *file;
	uint64_t addr;

	(void)state;
	begin(QUIRE_SHMEM_ADVISE);
	file = file_on(-1, 4 * HPAGES);
	addr = askew();
	/* Too short; exact; with an offset that leaves no whole PMD, and one that does. */
	assert_int_equal(place_at(0, file, HPAGES - 1, 0), addr - (HPAGES - 1) * PAGE);
	assert_int_equal(place_at(0, file, HPAGES, 0) % HUGE, 0);
	assert_int_equal(place_at(0, NULL, HPAGES, 0) % HUGE, 0);
	addr = place_at(0, file, 2 * HPAGES - 2, 1);
	assert_int_not_equal(addr % HUGE, PAGE);
	assert_int_equal(place_at(0, file, 2 * HPAGES - 1, 1) % HUGE, PAGE);
	/* A hint that can be had is taken as it is, one that cannot is none. */
	assert_int_equal(place_at(at(1), file, HPAGES, 0), at(1));
	assert_int_equal(place_at(at(1), file, HPAGES, 0) % HUGE, 0);
	/* A move as well. */
	addr = place_at(0, file, 1, 0);
	assert_int_equal(quire_mremap(mm, addr, PAGE, HUGE, QUIRE_MREMAP_MAYMOVE, 0, &addr), 0);
	assert_int_equal(addr % HUGE, 0);
	quire_file_put(file);
	quire_check(q);
	world_end();
}

/* The place that is found at once is kept if it is right: no PMD higher. */
static void placed_no_higher_than_needed(void **state)
{
	struct quire_layout layout;
	uint64_t top;

	(void)state;
	begin(QUIRE_SHMEM_ALWAYS);
	quire_mm_get_layout(mm, &layout);
	top = place_at(0, NULL, HPAGES, 0);
	assert_true(top + HUGE <= layout.mmap_base && top + 2 * HUGE > layout.mmap_base);
	assert_int_equal(place_at(0, NULL, HPAGES, 0), top - HUGE);
	quire_mm_put(mm);
	layout.bottom_up = true;
	layout.mmap_base = BASE + PAGE;
	assert_int_equal(quire_mm_create(q, &layout, &mm), 0);
	assert_int_equal(place_at(0, NULL, HPAGES, 0), BASE + HUGE);
	assert_int_equal(place_at(0, NULL, HPAGES, 0), BASE + 2 * HUGE);
	/* A hole that is as long as it must be, and one that is right as it is. */
	assert_int_equal(quire_munmap(mm, BASE + HUGE, HUGE), 0);
	assert_int_equal(place_at(0, NULL, HPAGES, 0), BASE + HUGE);
	assert_int_equal(place_at(0, NULL, HPAGES - 1, 0), BASE + PAGE);
	assert_int_equal(quire_munmap(mm, BASE + HUGE, HUGE), 0);
	assert_int_equal(place_at(0, NULL, HPAGES, 0), BASE + HUGE);
	world_end();
}

static void placed_anywhere(void **state)
{
	static const struct {
		enum quire_shmem_folios mode;
		bool on_huge, on_small, anonymous;
	} rows[] = {
		{ QUIRE_SHMEM_NEVER, true, false, false },
		{ QUIRE_SHMEM_DENY, false, false, false },
		{ QUIRE_SHMEM_FORCE, true, true, true },
		{ QUIRE_SHMEM_WITHIN_SIZE, true, false, true },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct quire_file *huge, *small;

		begin(rows[i].mode);
		huge = file_on(QUIRE_SHMEM_ADVISE, HPAGES);
		small = file_on(QUIRE_SHMEM_NEVER, HPAGES);
		askew();
		assert_int_equal(place_at(0, huge, HPAGES, 0) % HUGE == 0, rows[i].on_huge);
		askew();
		assert_int_equal(place_at(0, small, HPAGES, 0) % HUGE == 0, rows[i].on_small);
		askew();
		assert_int_equal(place_at(0, NULL, HPAGES, 0) % HUGE == 0, rows[i].anonymous);
		quire_file_put(huge);
		quire_file_put(small);
		world_end();
	}
}

static int read_nothing(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
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

/* Overlayfs does not care where; other disks do. */
static void disks_that_do_not_care(void **state)
{
	struct quire_file_config config = {
		.kind = QUIRE_FILE_HOST, .mode = FILE_RW, .size_bytes = 4 * HUGE,
		.backing = { .read = read_nothing, .write = write_nothing },
	};
	struct quire_file *file, *unaligned;
	uint64_t addr;

	(void)state;
	begin(QUIRE_SHMEM_NEVER);
	assert_int_equal(quire_file_create(q, &config, &file), 0);
	assert_int_equal(quire_file_reopen(file, FILE_RW | QUIRE_FILE_UNALIGNED, &unaligned), 0);
	askew();
	assert_int_equal(place_at(0, file, HPAGES + 1, 0) % HUGE, 0);
	addr = askew();
	assert_int_equal(place_at(0, unaligned, 2 * HPAGES, 0), addr - 2 * HUGE);
	quire_file_put(file);
	quire_file_put(unaligned);
	world_end();
}

static void settings_that_cannot_be(void **state)
{
	struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY, .mode = FILE_RW, .size_bytes = PAGE,
		.on_tmpfs = true, .tmpfs_folios = QUIRE_SHMEM_DENY,
	};
	struct quire_file *file;

	(void)state;
	begin(QUIRE_SHMEM_NEVER);
	assert_int_equal(quire_file_create(q, &config, &file), -QUIRE_EINVAL);
	world_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_instance_decides),
		cmocka_unit_test(shared_anonymous_memory),
		cmocka_unit_test(an_address_space_may_want_none),
		cmocka_unit_test(where_none_fits),
		cmocka_unit_test(written_without_a_mapping),
		cmocka_unit_test(placed_for_huge_pages),
		cmocka_unit_test(placed_no_higher_than_needed),
		cmocka_unit_test(placed_anywhere),
		cmocka_unit_test(disks_that_do_not_care),
		cmocka_unit_test(settings_that_cannot_be),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
