/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random calls on a file, its mappings and pins, for every order of its folios,
 * equal to a plain array of bytes: shared mappings of two address spaces, a
 * private one, plain reads and writes, truncation, holes, writeback.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 * presets: release debug asan count (it has one thread)
 *
 * FILE_LIVES=n runs each order n times (default 3), FILE_SEED=n another sequence.
 */
#include <stdlib.h>

#include "dice.h"
#include "../unit/mm_world.h"

/* Of the largest order tried, at least two folios and some pages. */
#define MAX_ORDER (QUIRE_PAGE_SIZE > 4096 ? 4u : (unsigned)QUIRE_PMD_ORDER)
#define MAX_PAGES ((UINT64_C(2) << MAX_ORDER) + 8)
#define STEPS_OF_A_LIFE 400
#define PINS 3

/* The file, page by page, and where the private mapping has copies. */
struct model {
	uint64_t nr_pages, size_bytes;
	uint8_t bytes[MAX_PAGES * QUIRE_PAGE_SIZE]; /* zeros beyond the size */
	uint8_t own[MAX_PAGES * QUIRE_PAGE_SIZE];
	bool copied[MAX_PAGES];
};

static struct model model;
static uint8_t disk[MAX_PAGES * QUIRE_PAGE_SIZE];
static uint8_t buffer[MAX_PAGES * QUIRE_PAGE_SIZE], expected[MAX_PAGES * QUIRE_PAGE_SIZE];
static struct quire_file *file;
static struct quire_mm *other; /* maps the file shared, too */
static struct quire_pin *pins[PINS];
static uint64_t private_base, random_state;
static bool is_host;

static uint64_t pick(uint64_t n)
{
	return dice_roll(&random_state, n);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- the backing ---------------------------------------------------------------- */

static int disk_read(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	(void)context;
	memcpy(buf, disk + offset, len_bytes);
	return 0;
}

static int disk_write(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	(void)context;
	memcpy(disk + offset, buf, len_bytes);
	return 0;
}

/* ---- ranges ----------------------------------------------------------------------- */

struct range {
	uint64_t offset, len_bytes;
};

/* Mostly a few bytes or pages, now and then much more; inside the size, which is
 * not 0. */
static struct range some_range(uint64_t size_bytes)
{
	uint64_t longest = pick(16) == 0 ? size_bytes : pick(2) ? 3 * PAGE : 9;
	struct range range = { .offset = pick(size_bytes) };

	range.len_bytes = 1 + pick(at_most(longest, size_bytes - range.offset));
	return range;
}

/* ---- the calls ------------------------------------------------------------------------ */

static void write_shared(void)
{
	struct range range = some_range(model.size_bytes);
	struct quire_mm *where = pick(2) ? mm : other;

	memset(model.bytes + range.offset, (int)pick(256), range.len_bytes);
	assert_int_equal(quire_write(where, BASE + range.offset, model.bytes + range.offset,
				     range.len_bytes, NULL), 0);
}

static void read_shared(void)
{
	struct range range = some_range(model.size_bytes);

	assert_int_equal(quire_read(pick(2) ? mm : other, BASE + range.offset, buffer,
				    range.len_bytes, NULL), 0);
	assert_memory_equal(buffer, model.bytes + range.offset, range.len_bytes);
}

static void copy_page(uint64_t page)
{
	if (!model.copied[page])
		memcpy(model.own + page * PAGE, model.bytes + page * PAGE, PAGE);
	model.copied[page] = true;
}

static void write_private(void)
{
	struct range range = some_range(model.size_bytes);

	for (uint64_t page = range.offset / PAGE;
	     page <= (range.offset + range.len_bytes - 1) / PAGE; page++)
		copy_page(page);
	memset(model.own + range.offset, (int)pick(256), range.len_bytes);
	assert_int_equal(quire_write(mm, private_base + range.offset, model.own + range.offset,
				     range.len_bytes, NULL), 0);
}

static void read_private(void)
{
	struct range range = some_range(model.size_bytes);

	for (uint64_t i = range.offset; i < range.offset + range.len_bytes; i++)
		expected[i] = model.copied[i / PAGE] ? model.own[i] : model.bytes[i];
	assert_int_equal(quire_read(mm, private_base + range.offset, buffer, range.len_bytes,
				    NULL), 0);
	assert_memory_equal(buffer, expected + range.offset, range.len_bytes);
}

/* May extend the file. */
static void write_plain(void)
{
	struct range range = some_range(model.nr_pages * PAGE);

	memset(model.bytes + range.offset, (int)pick(256), range.len_bytes);
	assert_int_equal(quire_file_write(file, range.offset, model.bytes + range.offset,
					  range.len_bytes), 0);
	if (range.offset + range.len_bytes > model.size_bytes)
		model.size_bytes = range.offset + range.len_bytes;
}

static void read_plain(void)
{
	struct range range = some_range(model.size_bytes);

	assert_int_equal(quire_file_read(file, range.offset, buffer, range.len_bytes), 0);
	assert_memory_equal(buffer, model.bytes + range.offset, range.len_bytes);
}

/* Never wants for memory. */
static void resize(void)
{
	uint64_t size_bytes = pick(3) ? pick(model.nr_pages + 1) * PAGE :
					pick(model.nr_pages * PAGE);

	if (pick(3) == 0)
		size_bytes = model.nr_pages * PAGE;
	quire_fail_nth(pick(8));
	assert_int_equal(quire_file_truncate(file, size_bytes), 0);
	quire_fail_nth(0);
	if (size_bytes < model.size_bytes)
		memset(model.bytes + size_bytes, 0, model.size_bytes - size_bytes);
	for (uint64_t page = (size_bytes + PAGE - 1) / PAGE; page < model.nr_pages; page++)
		model.copied[page] = false;
	model.size_bytes = size_bytes;
}

static void punch(void)
{
	uint64_t first = pick(model.nr_pages), nr = 1 + pick(model.nr_pages - first);

	if (pick(2))
		nr = at_most(nr, 3);
	quire_fail_nth(pick(8));
	assert_int_equal(quire_file_punch(file, first * PAGE, nr * PAGE), 0);
	quire_fail_nth(0);
	memset(model.bytes + first * PAGE, 0, nr * PAGE);
}

/* A backing cannot be cut: where the file has zeros because it was shorter once,
 * the disk may hold what was there before. */
static void compare_disk(void)
{
	for (uint64_t i = 0; i < model.size_bytes; i++)
		if (model.bytes[i] != 0 && disk[i] != model.bytes[i])
			fail_msg("byte %llu of the disk is %u, not %u", (unsigned long long)i,
				 disk[i], model.bytes[i]);
}

static void write_back(void)
{
	assert_int_equal(quire_file_sync(file), 0);
	if (is_host)
		compare_disk();
}

/* Changes what is mapped and how, and nothing that a program could see; but that
 * copies are given up. */
static void change_mappings(void)
{
	uint64_t first = pick(model.nr_pages), nr = 1 + pick(model.nr_pages - first);
	uint64_t addr = BASE + first * PAGE, got;

	switch (pick(6)) {
	case 0:
		assert_int_equal(quire_madvise(mm, addr, nr * PAGE, QUIRE_MADV_DONTNEED), 0);
		break;
	case 1:
		assert_int_equal(quire_madvise(mm, private_base + first * PAGE, nr * PAGE,
					       QUIRE_MADV_DONTNEED), 0);
		memset(model.copied + first, false, nr);
		break;
	case 2:
		assert_int_equal(quire_madvise(other, addr, nr * PAGE,
					       pick(2) ? QUIRE_MADV_NOHUGEPAGE :
							 QUIRE_MADV_HUGEPAGE), 0);
		break;
	case 3:
		assert_int_equal(quire_mprotect(mm, addr, nr * PAGE, QUIRE_PROT_READ), 0);
		assert_int_equal(quire_mprotect(mm, addr, nr * PAGE, RW), 0);
		break;
	default:
		assert_int_equal(quire_munmap(other, addr, nr * PAGE), 0);
		assert_int_equal(quire_mmap(other, addr, nr * PAGE, RW,
					    QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file,
					    first * PAGE, &got), 0);
		break;
	}
}

/* A child sees what its parent sees, and goes. */
static void fork_and_look(void)
{
	struct quire_mm *child;
	struct range range = some_range(model.size_bytes);

	child = fork_of(mm);
	assert_int_equal(quire_read(child, BASE + range.offset, buffer, range.len_bytes, NULL),
			 0);
	assert_memory_equal(buffer, model.bytes + range.offset, range.len_bytes);
	quire_mm_put(child);
}

static void pin_or_unpin(void)
{
	struct quire_pin **pin = &pins[pick(PINS)];

	if (*pin != NULL) {
		quire_unpin(*pin);
		*pin = NULL;
	} else {
		uint64_t page = pick((model.size_bytes + PAGE - 1) / PAGE);

		assert_int_equal(quire_pin_pages(mm, BASE + page * PAGE, 1, 0, pin), 0);
	}
}

static void look_beyond_the_end(void)
{
	uint64_t page = (model.size_bytes + PAGE - 1) / PAGE;

	if (page < model.nr_pages) {
		assert_signal(mm, BASE + page * PAGE, QUIRE_TOUCH_READ, QUIRE_SIGBUS);
		assert_signal(mm, private_base + page * PAGE, QUIRE_TOUCH_WRITE, QUIRE_SIGBUS);
	}
	assert_int_equal(quire_file_read(file, model.size_bytes, buffer, 1), -QUIRE_ERANGE);
}

static void step(void)
{
	static void (*const in_the_file[])(void) = {
		write_shared, write_shared, read_shared, read_shared, write_private,
		read_private, read_plain, fork_and_look, pin_or_unpin, pin_or_unpin,
	};
	static void (*const anywhere[])(void) = {
		write_plain, resize, punch, write_back, change_mappings, look_beyond_the_end,
	};

	if (model.size_bytes != 0 && pick(2))
		in_the_file[pick(sizeof(in_the_file) / sizeof(in_the_file[0]))]();
	else
		anywhere[pick(sizeof(anywhere) / sizeof(anywhere[0]))]();
}

/* Whoever counts the mappings, they are the same.  (An order that an alternative
 * has not is one that the cache does not use.) */
static void decide_something(void)
{
	static const char *const sharing[] = {
		"moments", "moments-locked", "moments-wide", "mm-ids", "rmap-ids",
		"rmap-ids-posted", "owner", "total-mapcount", "first-subpage",
	};

	world_decide("sharing", sharing[pick(sizeof(sharing) / sizeof(sharing[0]))]);
	world_decide("nr-mapped", pick(2) ? "per-subpage" : "whole-folio");
}

/* ---- lives ------------------------------------------------------------------------------- */

/* Memory gets its PMD-sized folios by the one setting or the other, or none. */
static void draw_memory_folios(void)
{
	world_config.shmem_folios = (enum quire_shmem_folios)pick(QUIRE_SHMEM_FORCE + 1);
	if (!is_host && pick(2) == 0)
		world_config.file_order = 0;
}

static void begin(unsigned order)
{
	struct quire_file_config config = {
		.kind = is_host ? QUIRE_FILE_HOST : QUIRE_FILE_MEMORY,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
	};
	struct quire_layout layout;

	memset(&model, 0, sizeof(model));
	memset(disk, 0, sizeof(disk));
	model.nr_pages = (UINT64_C(2) << order) + 8;
	model.size_bytes = model.nr_pages * PAGE;
	private_base = BASE + (model.size_bytes + QUIRE_PMD_SIZE - 1) / QUIRE_PMD_SIZE *
				      QUIRE_PMD_SIZE;
	world_config_default();
	/* Nodes of the file's index wait for a grace period. */
	world_config.memory_bytes = (8 * model.nr_pages + 4096) * PAGE + (UINT64_C(16) << 20);
	world_config.file_order = order;
	draw_memory_folios();
	world_config.fault_around_bytes = (unsigned)(PAGE << pick(5));
	decide_something();
	world_begin();
	quire_layout_default(&layout);
	assert_int_equal(quire_mm_create(q, &layout, &other), 0);
	config.size_bytes = model.size_bytes;
	if (is_host)
		config.backing = (struct quire_backing){ NULL, disk_read, disk_write, NULL };
	assert_int_equal(quire_file_create(q, &config, &file), 0);
	map_in(mm, BASE, model.nr_pages, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	map_in(other, BASE, model.nr_pages, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, file, 0);
	map_in(mm, private_base, model.nr_pages, RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, file,
	       0);
}

static void end(void)
{
	for (unsigned i = 0; i < PINS; i++)
		if (pins[i] != NULL)
			quire_unpin(pins[i]);
	memset(pins, 0, sizeof(pins));
	quire_mm_put(other);
	quire_file_put(file);
	world_end();
	if (is_host)
		compare_disk();
}

static void live(unsigned order)
{
	begin(order);
	for (unsigned i = 0; i < STEPS_OF_A_LIFE; i++) {
		step();
		if (i % 64 == 0)
			quire_check(q);
	}
	if (model.size_bytes != 0) {
		assert_int_equal(quire_file_read(file, 0, buffer, model.size_bytes), 0);
		assert_memory_equal(buffer, model.bytes, model.size_bytes);
	}
	end();
}

static unsigned number_from(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void files_are_arrays_of_bytes(void **state)
{
	static const unsigned orders[] = { 0, 2, 3, 4, 5, QUIRE_PMD_ORDER };
	unsigned nr_lives = number_from("FILE_LIVES", 3);

	(void)state;
	random_state = number_from("FILE_SEED", 1);
	for (unsigned i = 0; i < nr_lives; i++)
		for (unsigned o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
			if (orders[o] > MAX_ORDER)
				continue;
			for (unsigned host = 0; host < 2; host++) {
				is_host = host;
				live(orders[o]);
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(files_are_arrays_of_bytes) };

	return world_main(tests, 1);
}
