/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapped files under calls that race: truncation, holes, writeback, private
 * copies.  The file's backing is a few bytes of the state, so that what was
 * written back can be looked at.
 */
#include "base/memory.h"
#include "scenarios/world.h"

#define FILE_PAGES 2u

struct file_world {
	struct world world;
	struct quire_file *file;
	int ret;
	uint8_t seen[2];
	char disk[FILE_PAGES * PAGE];
};

static int disk_read(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct file_world *f = context;

	mem_zero(buf, len_bytes);
	if (offset < sizeof(f->disk))
		mem_copy(buf, f->disk + offset, u64_min(len_bytes, sizeof(f->disk) - offset));
	return 0;
}

static int disk_write(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct file_world *f = context;

	if (offset < sizeof(f->disk))
		mem_copy(f->disk + offset, buf, u64_min(len_bytes, sizeof(f->disk) - offset));
	return 0;
}

static int file_begin(struct file_world *f, uint32_t map_flags)
{
	struct quire_file_config config = { .kind = QUIRE_FILE_HOST,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE, .size_bytes = sizeof(f->disk),
		.backing = { .context = f, .read = disk_read, .write = disk_write } };
	int ret = world_begin(&f->world);
	uint64_t got;

	for (unsigned page = 0; page < FILE_PAGES; page++)
		f->disk[page * PAGE] = (char)(page + 1);
	if (!ret)
		ret = quire_file_create(f->world.q, &config, &f->file);
	if (!ret)
		ret = quire_mmap(f->world.mm, BASE, sizeof(f->disk), RW,
				 map_flags | QUIRE_MAP_FIXED, f->file, 0, &got);
	return ret;
}

static int shared_setup(void *state)
{
	return file_begin(state, QUIRE_MAP_SHARED);
}

static int private_setup(void *state)
{
	return file_begin(state, QUIRE_MAP_PRIVATE);
}

static void file_end(struct file_world *f)
{
	quire_file_put(f->file);
	world_end(&f->world);
}

static uint8_t file_byte(struct file_world *f, uint64_t offset)
{
	uint8_t byte = 0;

	scenario_expect(quire_file_read(f->file, offset, &byte, 1) == 0);
	return byte;
}

#define FILE_SCENARIO(id, text, what, bodies, racy, setup_fn)                     \
	SCENARIO(id, text, what, bodies, struct file_world, setup_fn, id##_body, id##_finish, \
		 .racy_bytes = racy)

/* ---- truncation against an access --------------------------------------------------- */

static void truncate_fault_body(void *state, unsigned body)
{
	struct file_world *f = state;
	uint8_t byte;

	if (body == 0) {
		scenario_expect(quire_file_truncate(f->file, PAGE) == 0);
		return;
	}
	if (get(f->world.mm, BASE + PAGE, &byte))
		scenario_expect(byte == 2);
	put(f->world.mm, BASE + PAGE, 5);
	scenario_expect(must_get(f->world.mm, BASE) == 1);
}

static void truncate_fault_finish(void *state)
{
	struct file_world *f = state;
	uint8_t byte;

	scenario_expect(!get(f->world.mm, BASE + PAGE, &byte));
	scenario_expect(quire_file_nr_cached_pages(f->file) <= 1);
	/* What was cut off is zeros when the file grows again. */
	scenario_expect(quire_file_truncate(f->file, 2 * PAGE) == 0);
	scenario_expect(must_get(f->world.mm, BASE + 2 * PAGE - 1) == 0);
	file_end(f);
}

FILE_SCENARIO(truncate_fault, "truncate-fault",
	      "a file is cut off while the page beyond is read and written", 2, false, shared_setup);

static void truncate_private_body(void *state, unsigned body)
{
	struct file_world *f = state;

	if (body == 0)
		scenario_expect(quire_file_truncate(f->file, PAGE) == 0);
	else
		put(f->world.mm, BASE + PAGE, 5);
}

static void truncate_private_finish(void *state)
{
	struct file_world *f = state;
	uint8_t byte;

	/* Private copies go too. */
	scenario_expect(!get(f->world.mm, BASE + PAGE, &byte));
	file_end(f);
}

FILE_SCENARIO(truncate_private, "truncate-private",
	      "a file is cut off while a private copy of the page beyond is made", 2, false,
	      private_setup);

static void munmap_truncate_body(void *state, unsigned body)
{
	struct file_world *f = state;

	switch (body) {
	case 0:
		scenario_expect(quire_file_truncate(f->file, 0) == 0);
		break;
	case 1:
		scenario_expect(quire_munmap(f->world.mm, BASE + PAGE, PAGE) == 0);
		break;
	default:
		put(f->world.mm, BASE + PAGE, 5);
		break;
	}
}

static void munmap_truncate_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(quire_file_nr_cached_pages(f->file) == 0);
	file_end(f);
}

FILE_SCENARIO(munmap_truncate, "munmap-truncate",
	      "a file is emptied while one of its pages is unmapped and used", 3, false, shared_setup);

/* ---- writeback against a store --------------------------------------------------------- */

/* What is written back may be a store half-way: the entry is dirty again then,
 * and the next writeback brings the rest. */

static void sync_store_body(void *state, unsigned body)
{
	struct file_world *f = state;

	if (body == 0) {
		scenario_expect(quire_file_sync(f->file) == 0);
		return;
	}
	scenario_expect(put(f->world.mm, BASE, 7));
	scenario_expect(put(f->world.mm, BASE, 8));
}

/* Whenever the store came, the next writeback brings it to the disk. */
static void sync_store_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(f->disk[0] == 1 || f->disk[0] == 7 || f->disk[0] == 8);
	scenario_expect(must_get(f->world.mm, BASE) == 8);
	scenario_expect(quire_file_sync(f->file) == 0);
	scenario_expect(f->disk[0] == 8);
	file_end(f);
}

FILE_SCENARIO(sync_store, "sync-store",
	      "a page is written back while it is stored to: no store is forgotten", 2, true,
	      shared_setup);

static void sync_unmap_body(void *state, unsigned body)
{
	struct file_world *f = state;

	switch (body) {
	case 0:
		scenario_expect(quire_file_sync(f->file) == 0);
		break;
	case 1:
		scenario_expect(put(f->world.mm, BASE, 7));
		f->seen[0] = 7;
		scenario_expect(quire_munmap(f->world.mm, BASE, PAGE) == 0);
		break;
	default:
		if (put(f->world.mm, BASE + 1, 9))
			f->seen[1] = 9;
		break;
	}
}

/* The dirty bits of an entry outlive it. */
static void sync_unmap_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(quire_file_sync(f->file) == 0);
	scenario_expect(f->disk[0] == 7);
	scenario_expect(f->disk[1] == f->seen[1]);
	file_end(f);
}

FILE_SCENARIO(sync_unmap, "sync-unmap",
	      "a page is written back while it is stored to and unmapped", 3, true, shared_setup);

/* ---- private copies against the file ------------------------------------------------------ */

static void private_write_body(void *state, unsigned body)
{
	struct file_world *f = state;
	const uint8_t byte = 6;

	if (body == 0) {
		scenario_expect(quire_file_write(f->file, 0, &byte, 1) == 0);
		return;
	}
	f->seen[0] = must_get(f->world.mm, BASE);
	scenario_expect(put(f->world.mm, BASE + 1, 4));
	f->seen[1] = must_get(f->world.mm, BASE);
}

static void private_write_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(f->seen[0] == 1 || f->seen[0] == 6);
	scenario_expect(f->seen[1] == 1 || f->seen[1] == 6);
	/* What was seen does not go back, and the copy does not change any more. */
	scenario_expect(f->seen[0] != 6 || f->seen[1] == 6);
	scenario_expect(must_get(f->world.mm, BASE) == f->seen[1]);
	scenario_expect(must_get(f->world.mm, BASE + 1) == 4);
	scenario_expect(file_byte(f, 0) == 6 && file_byte(f, 1) == 0);
	file_end(f);
}

FILE_SCENARIO(private_write, "private-write",
	      "a private copy of a page is made while the file is written", 2, true,
	      private_setup);
