/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file of one large folio, of four pages, under calls that race: it is cut by
 * truncation and holes while it is mapped, read, written, pinned and written
 * back.  In the tiny geometry a PMD entry maps it, unless that is forbidden.
 */
#include "base/memory.h"
#include "scenarios/world.h"

#define FILE_PAGES 4u

struct large_world {
	struct world world;
	struct quire_file *file;
	struct quire_pin *pin;
	uint8_t seen[2];
	char disk[FILE_PAGES * PAGE]; /* page i begins with i + 1 */
};

static int disk_read(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct large_world *l = context;

	mem_copy(buf, l->disk + offset, len_bytes);
	return 0;
}

static int disk_write(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct large_world *l = context;

	mem_copy(l->disk + offset, buf, len_bytes);
	return 0;
}

static int begin(struct large_world *l, uint32_t map_flags)
{
	struct quire_file_config file = { .kind = QUIRE_FILE_HOST,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE, .size_bytes = sizeof(l->disk),
		.backing = { .context = l, .read = disk_read, .write = disk_write } };
	struct quire_config config;
	uint64_t got;
	int ret;

	for (unsigned page = 0; page < FILE_PAGES; page++)
		l->disk[page * PAGE] = (char)(page + 1);
	world_config(&config);
	config.file_order = 2;
	ret = world_begin_config(&l->world, &config);
	if (!ret)
		ret = quire_file_create(l->world.q, &file, &l->file);
	if (!ret)
		ret = quire_mmap(l->world.mm, BASE, sizeof(l->disk), RW,
				 map_flags | QUIRE_MAP_FIXED, l->file, 0, &got);
	return ret;
}

/* Nothing is in the cache yet. */
static int empty_setup(void *state)
{
	return begin(state, QUIRE_MAP_SHARED);
}

/* The folio is cached and mapped, by one entry if the geometry has it so. */
static int mapped_setup(void *state)
{
	struct large_world *l = state;
	int ret = begin(l, QUIRE_MAP_SHARED);

	if (!ret)
		scenario_expect(must_get(l->world.mm, BASE) == 1);
	return ret;
}

/* The same, mapped page by page. */
static int pages_setup(void *state)
{
	struct large_world *l = state;
	int ret = begin(l, QUIRE_MAP_SHARED);

	if (!ret)
		ret = quire_madvise(l->world.mm, BASE, sizeof(l->disk), QUIRE_MADV_NOHUGEPAGE);
	if (!ret)
		scenario_expect(must_get(l->world.mm, BASE) == 1 &&
				must_get(l->world.mm, BASE + 3 * PAGE) == 4);
	return ret;
}

/* A private mapping with a copy of page 0: fork copies its entries. */
static int private_setup(void *state)
{
	struct large_world *l = state;
	int ret = begin(l, QUIRE_MAP_PRIVATE);

	if (!ret)
		scenario_expect(put(l->world.mm, BASE, 50) &&
				must_get(l->world.mm, BASE + 3 * PAGE) == 4);
	return ret;
}

static void end(struct large_world *l)
{
	quire_file_put(l->file);
	world_end(&l->world);
}

#define LARGE_SCENARIO(id, text, what, bodies, racy, setup_fn, body_fn, finish_fn)    \
	SCENARIO(id, text, what, bodies, struct large_world, setup_fn, body_fn, finish_fn, \
		 .racy_bytes = racy)

/* ---- truncation in the middle ------------------------------------------------------- */

/* The other half is used meanwhile: the part that stays keeps what is stored. */
static void truncate_body(void *state, unsigned body)
{
	struct large_world *l = state;
	struct quire_mm *mm = l->world.mm;
	uint8_t byte;

	if (body == 0) {
		scenario_expect(quire_file_truncate(l->file, 2 * PAGE) == 0);
		return;
	}
	if (get(mm, BASE + 3 * PAGE, &byte))
		scenario_expect(byte == 4);
	scenario_expect(put(mm, BASE + PAGE, 22));
	put(mm, BASE + 2 * PAGE, 33);
	scenario_expect(must_get(mm, BASE + PAGE) == 22);
}

static void truncate_finish(void *state)
{
	struct large_world *l = state;
	struct quire_mm *mm = l->world.mm;
	uint8_t byte;

	scenario_expect(!get(mm, BASE + 2 * PAGE, &byte) && !get(mm, BASE + 3 * PAGE, &byte));
	scenario_expect(must_get(mm, BASE) == 1 && must_get(mm, BASE + PAGE) == 22);
	scenario_expect(quire_file_sync(l->file) == 0);
	scenario_expect(l->disk[PAGE] == 22);
	/* What was cut off is zeros when the file grows again. */
	scenario_expect(quire_file_truncate(l->file, sizeof(l->disk)) == 0);
	scenario_expect(must_get(mm, BASE + 2 * PAGE) == 0);
	scenario_expect(must_get(mm, BASE + 3 * PAGE) == 0);
	end(l);
}

LARGE_SCENARIO(large_truncate_leaf, "large-truncate-leaf",
	       "half of a file's large folio is cut off while it is used", 2, true, empty_setup,
	       truncate_body, truncate_finish);
LARGE_SCENARIO(large_truncate_pages, "large-truncate-pages",
	       "half of a large folio mapped page by page is cut off while it is used", 2, true,
	       pages_setup, truncate_body, truncate_finish);

/* The same contents in memory alone, where a page that is missing is a hole. */
static int memory_setup(void *state)
{
	struct large_world *l = state;
	struct quire_file_config file = { .kind = QUIRE_FILE_MEMORY,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE, .size_bytes = sizeof(l->disk) };
	int ret = begin(l, QUIRE_MAP_SHARED);

	if (ret)
		return ret;
	quire_file_put(l->file);
	ret = quire_file_create(l->world.q, &file, &l->file);
	return ret ? ret : quire_file_write(l->file, 0, l->disk, sizeof(l->disk));
}

/* A plain read never takes a page that is being split for a hole. */
static void truncate_read_body(void *state, unsigned body)
{
	struct large_world *l = state;
	uint8_t byte = 0;

	if (body == 0) {
		scenario_expect(quire_file_truncate(l->file, 2 * PAGE) == 0);
		return;
	}
	scenario_expect(quire_file_read(l->file, PAGE, &byte, 1) == 0);
	scenario_expect(byte == 2);
}

static void truncate_read_finish(void *state)
{
	struct large_world *l = state;
	uint8_t byte = 0;

	scenario_expect(quire_file_nr_cached_pages(l->file) == 2 ||
			quire_file_nr_cached_pages(l->file) == FILE_PAGES);
	scenario_expect(quire_file_read(l->file, PAGE, &byte, 1) == 0 && byte == 2);
	end(l);
}

LARGE_SCENARIO(large_truncate_read, "large-truncate-read",
	       "a page is read while its folio is split: it is there all the time", 3, false,
	       memory_setup, truncate_read_body, truncate_read_finish);

/* The child sees the end of the file too, whichever entries it was given. */
static void truncate_fork_body(void *state, unsigned body)
{
	struct large_world *l = state;

	if (body == 0)
		scenario_expect(quire_file_truncate(l->file, 2 * PAGE) == 0);
	else
		scenario_expect(quire_mm_fork(l->world.mm, &l->world.children[0]) == 0);
}

static void truncate_fork_finish(void *state)
{
	struct large_world *l = state;
	uint8_t byte;

	for (unsigned i = 0; i < 2; i++) {
		struct quire_mm *mm = i ? l->world.children[0] : l->world.mm;

		scenario_expect(!get(mm, BASE + 3 * PAGE, &byte));
		scenario_expect(must_get(mm, BASE) == 50 && must_get(mm, BASE + PAGE) == 2);
	}
	end(l);
}

LARGE_SCENARIO(large_truncate_fork, "large-truncate-fork",
	       "a large folio is cut while fork copies the entries that map it", 2, false,
	       private_setup, truncate_fork_body, truncate_fork_finish);

/* ---- holes ---------------------------------------------------------------------------- */

static void punch_store_body(void *state, unsigned body)
{
	struct large_world *l = state;

	switch (body) {
	case 0:
		scenario_expect(quire_file_punch(l->file, PAGE, PAGE) == 0);
		break;
	case 1:
		scenario_expect(put(l->world.mm, BASE + 2 * PAGE, 33));
		break;
	default:
		l->seen[0] = must_get(l->world.mm, BASE + PAGE);
		scenario_expect(must_get(l->world.mm, BASE + 3 * PAGE) == 4);
		break;
	}
}

static void punch_store_finish(void *state)
{
	struct large_world *l = state;

	scenario_expect(l->seen[0] == 0 || l->seen[0] == 2);
	scenario_expect(must_get(l->world.mm, BASE + PAGE) == 0);
	scenario_expect(must_get(l->world.mm, BASE + 2 * PAGE) == 33);
	scenario_expect(quire_file_sync(l->file) == 0);
	scenario_expect(l->disk[0] == 1 && l->disk[PAGE] == 0);
	scenario_expect(l->disk[2 * PAGE] == 33 && l->disk[3 * PAGE] == 4);
	end(l);
}

LARGE_SCENARIO(large_punch_store, "large-punch-store",
	       "a hole is punched in a large folio while the pages beside it are stored to", 3,
	       true, mapped_setup, punch_store_body, punch_store_finish);

/* Pinned before or after: the pin and the mapping see one page for as long as the
 * page is not in the hole. */
static void punch_pin_body(void *state, unsigned body)
{
	struct large_world *l = state;
	uint8_t byte = 44;

	if (body == 0) {
		scenario_expect(quire_file_punch(l->file, PAGE, PAGE) == 0);
		return;
	}
	scenario_expect(quire_pin_pages(l->world.mm, BASE + 2 * PAGE, 1, QUIRE_PIN_WRITE,
					&l->pin) == 0);
	scenario_expect(quire_pin_write(l->pin, 0, &byte, 1) == 0);
}

static void punch_pin_finish(void *state)
{
	struct large_world *l = state;
	uint8_t byte = 0;

	scenario_expect(must_get(l->world.mm, BASE + PAGE) == 0);
	scenario_expect(must_get(l->world.mm, BASE + 2 * PAGE) == 44);
	scenario_expect(put(l->world.mm, BASE + 2 * PAGE, 45));
	scenario_expect(quire_pin_read(l->pin, 0, &byte, 1) == 0 && byte == 45);
	quire_unpin(l->pin);
	end(l);
}

LARGE_SCENARIO(large_punch_pin, "large-punch-pin",
	       "a hole is punched in a large folio while a page beside it is pinned", 2, true,
	       mapped_setup, punch_pin_body, punch_pin_finish);

/* ---- writeback ------------------------------------------------------------------------------ */

static void sync_store_body(void *state, unsigned body)
{
	struct large_world *l = state;

	switch (body) {
	case 0:
		scenario_expect(quire_file_sync(l->file) == 0);
		break;
	case 1:
		scenario_expect(put(l->world.mm, BASE, 7));
		break;
	default:
		scenario_expect(put(l->world.mm, BASE + 3 * PAGE, 9));
		scenario_expect(quire_munmap(l->world.mm, BASE + 3 * PAGE, PAGE) == 0);
		break;
	}
}

static void sync_store_finish(void *state)
{
	struct large_world *l = state;

	scenario_expect(quire_file_sync(l->file) == 0);
	scenario_expect(l->disk[0] == 7 && l->disk[3 * PAGE] == 9 && l->disk[PAGE] == 2);
	end(l);
}

LARGE_SCENARIO(large_sync_store, "large-sync-store",
	       "a large folio is written back while it is stored to and partly unmapped", 3, true,
	       mapped_setup, sync_store_body, sync_store_finish);

/*
 * A page that one CPU drops takes the whole leaf with it, also for the CPU that stores
 * to another page through its TLB: writeback in between waits for the flush.
 */
static void sync_drop_body(void *state, unsigned body)
{
	struct large_world *l = state;

	switch (body) {
	case 0:
		scenario_expect(quire_file_sync(l->file) == 0);
		break;
	case 1:
		scenario_expect(put(l->world.mm, BASE, 7));
		scenario_expect(put(l->world.mm, BASE, 8));
		break;
	default:
		drop(l->world.mm, 3, 1);
		break;
	}
}

static void sync_drop_finish(void *state)
{
	struct large_world *l = state;

	scenario_expect(must_get(l->world.mm, BASE) == 8);
	scenario_expect(quire_file_sync(l->file) == 0);
	scenario_expect(l->disk[0] == 8 && l->disk[3 * PAGE] == 4);
	end(l);
}

LARGE_SCENARIO(large_sync_drop, "large-sync-drop",
	       "a large folio is written back while its leaf is dropped and stored through", 3,
	       true, mapped_setup, sync_drop_body, sync_drop_finish);

/* ---- a leaf that comes and goes --------------------------------------------------------------- */

static int private_empty_setup(void *state)
{
	return begin(state, QUIRE_MAP_PRIVATE);
}

/* The store needs a table where the read maps a leaf, which is dropped at once. */
static void leaf_table_body(void *state, unsigned body)
{
	struct large_world *l = state;

	if (body == 0) {
		scenario_expect(put(l->world.mm, BASE + PAGE, 22));
		return;
	}
	scenario_expect(must_get(l->world.mm, BASE) == 1);
	drop(l->world.mm, 0, FILE_PAGES);
}

static void leaf_table_finish(void *state)
{
	struct large_world *l = state;
	uint8_t byte = must_get(l->world.mm, BASE + PAGE);

	scenario_expect(byte == 22 || byte == 2);
	end(l);
}

LARGE_SCENARIO(large_leaf_table, "large-leaf-table",
	       "a table is made where a leaf comes and goes", 2, true, private_empty_setup,
	       leaf_table_body, leaf_table_finish);

/* ---- reading in ------------------------------------------------------------------------------- */

static void read_twice_body(void *state, unsigned body)
{
	struct large_world *l = state;

	/* Two pages of the folio that neither has. */
	scenario_expect(must_get(l->world.mm, BASE + body * PAGE) == body + 1);
}

static void read_twice_finish(void *state)
{
	struct large_world *l = state;

	scenario_expect(quire_file_nr_cached_pages(l->file) == FILE_PAGES);
	end(l);
}

LARGE_SCENARIO(large_read_twice, "large-read-twice",
	       "two CPUs miss pages of one large folio: one reads it in", 2, false, empty_setup,
	       read_twice_body, read_twice_finish);
