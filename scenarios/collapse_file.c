/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages of a file in memory become one folio while they are used: through
 * another mapping, through the file, by a device; and while the file is cut.
 */
#include "scenarios/world.h"

enum { NR = QUIRE_TABLE_ENTRIES };

struct file_world {
	struct world w;
	struct quire_file *file;
};

static uint64_t page(uint64_t base, unsigned i)
{
	return base + i * PAGE;
}

static int map_file(struct file_world *f, uint64_t addr, uint32_t flags)
{
	uint64_t got;

	return quire_mmap(f->w.mm, addr, QUIRE_PMD_SIZE, RW, flags | QUIRE_MAP_FIXED, f->file, 0,
			  &got);
}

/* Page i of those that are there holds i + 1. */
static int file_setup(struct file_world *f, unsigned step, uint32_t other_flags)
{
	const struct quire_file_config config = {
		.kind = QUIRE_FILE_MEMORY, .mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = QUIRE_PMD_SIZE,
	};
	int ret = world_begin_roomy(&f->w);

	if (!ret)
		ret = quire_file_create(f->w.q, &config, &f->file);
	if (!ret)
		ret = map_file(f, BASE, QUIRE_MAP_SHARED);
	if (!ret)
		ret = map_file(f, OTHER, other_flags);
	return ret ? ret : put_pages(f->w.mm, NR, step, 1);
}

static int shared_setup(void *state)
{
	return file_setup(state, 1, QUIRE_MAP_SHARED);
}

static int holes_setup(void *state)
{
	return file_setup(state, 2, QUIRE_MAP_SHARED);
}

static int private_setup(void *state)
{
	return file_setup(state, 1, QUIRE_MAP_PRIVATE);
}

static int collapse(struct file_world *f, uint64_t addr)
{
	return quire_madvise(f->w.mm, addr, QUIRE_PMD_SIZE, QUIRE_MADV_COLLAPSE);
}

/* Somebody may be at a page. */
static void collapse_or_try_again(struct file_world *f, uint64_t addr)
{
	int ret = collapse(f, addr);

	scenario_expect(ret == 0 || ret == -QUIRE_EAGAIN);
}

static void end(struct file_world *f)
{
	quire_file_put(f->file);
	world_end(&f->w);
}

#define FILE_SCENARIO(id, text, what, bodies, setup_fn, fails)                        \
	SCENARIO(id, text, what, bodies, struct file_world, setup_fn, id##_body, id##_finish, \
		 .fail_each = fails, .racy_bytes = true)

/* ---- stores ------------------------------------------------------------------------ */

static void cache_collapse_store_body(void *state, unsigned body)
{
	struct file_world *f = state;
	uint64_t base = body == 1 ? OTHER : BASE;

	if (body == 0) {
		collapse_or_try_again(f, BASE);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		scenario_expect(put(f->w.mm, page(base, body) + i, (uint8_t)(10 * body + i)));
		scenario_expect(must_get(f->w.mm, page(base, body) + i) == 10 * body + i);
	}
}

static void cache_collapse_store_finish(void *state)
{
	struct file_world *f = state;

	for (unsigned body = 1; body < 3; body++) {
		for (unsigned i = 0; i < 2; i++) {
			scenario_expect(must_get(f->w.mm, page(BASE, body) + i) == 10 * body + i);
			scenario_expect(must_get(f->w.mm, page(OTHER, body) + i) == 10 * body + i);
		}
	}
	scenario_expect(must_get(f->w.mm, page(OTHER, 3)) == 4);
	end(f);
}

FILE_SCENARIO(cache_collapse_store, "cache-collapse-store",
	      "a file's pages are stored to through two mappings while they become one folio", 3,
	      shared_setup, false);

/* ---- holes ------------------------------------------------------------------------- */

static void cache_collapse_fault_body(void *state, unsigned body)
{
	struct file_world *f = state;
	int ret;

	switch (body) {
	case 0:
		ret = collapse(f, BASE);
		scenario_expect(ret == 0 || ret == -QUIRE_EAGAIN || ret == -QUIRE_ENOMEM);
		break;
	case 1:
		f->w.flag = put(f->w.mm, page(OTHER, 1), 9);
		break;
	default:
		if (get(f->w.mm, page(BASE, 3), &f->w.seen[0]))
			scenario_expect(f->w.seen[0] == 0);
		break;
	}
}

static void cache_collapse_fault_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(must_get(f->w.mm, page(BASE, 0)) == 1);
	scenario_expect(must_get(f->w.mm, page(BASE, 1)) == (f->w.flag ? 9 : 0));
	scenario_expect(must_get(f->w.mm, page(OTHER, 2)) == 3);
	scenario_expect(must_get(f->w.mm, page(OTHER, 3)) == 0);
	end(f);
}

FILE_SCENARIO(cache_collapse_fault, "cache-collapse-fault",
	      "holes of a file are touched while they are made part of one folio", 3, holes_setup,
	      true);

/* ---- the file itself -------------------------------------------------------------------- */

static void cache_collapse_truncate_body(void *state, unsigned body)
{
	struct file_world *f = state;
	uint8_t byte;
	int ret;

	switch (body) {
	case 0:
		ret = collapse(f, BASE);
		scenario_expect(ret == 0 || ret == -QUIRE_EAGAIN || ret == -QUIRE_EINVAL);
		break;
	case 1:
		scenario_expect(quire_file_truncate(f->file, 2 * PAGE) == 0);
		scenario_expect(!get(f->w.mm, page(BASE, 2), &byte));
		break;
	default:
		scenario_expect(must_get(f->w.mm, page(OTHER, 1)) == 2);
		break;
	}
}

static void cache_collapse_truncate_finish(void *state)
{
	struct file_world *f = state;
	uint8_t byte;

	scenario_expect(must_get(f->w.mm, page(BASE, 0)) == 1);
	scenario_expect(must_get(f->w.mm, page(BASE, 1)) == 2);
	scenario_expect(!get(f->w.mm, page(OTHER, 2), &byte));
	end(f);
}

FILE_SCENARIO(cache_collapse_truncate, "cache-collapse-truncate",
	      "a file is cut while its pages become one folio", 3, shared_setup, false);

static void cache_collapse_write_body(void *state, unsigned body)
{
	struct file_world *f = state;
	uint8_t byte = 50;

	switch (body) {
	case 0:
		collapse_or_try_again(f, BASE);
		break;
	case 1:
		scenario_expect(quire_file_write(f->file, PAGE, &byte, 1) == 0);
		break;
	default:
		scenario_expect(quire_file_read(f->file, 3 * PAGE, &byte, 1) == 0);
		scenario_expect(byte == 4);
		break;
	}
}

static void cache_collapse_write_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(must_get(f->w.mm, page(BASE, 1)) == 50);
	scenario_expect(must_get(f->w.mm, page(OTHER, 0)) == 1);
	end(f);
}

FILE_SCENARIO(cache_collapse_write, "cache-collapse-write",
	      "a file is written and read while its pages become one folio", 3, shared_setup,
	      false);

/* ---- pins and copies ---------------------------------------------------------------------- */

static void cache_collapse_pin_body(void *state, unsigned body)
{
	struct file_world *f = state;
	struct quire_pin *pin;
	uint8_t byte = 60;

	if (body == 0) {
		collapse_or_try_again(f, BASE);
		return;
	}
	scenario_expect(quire_pin_pages(f->w.mm, page(OTHER, 1), 1, QUIRE_PIN_WRITE, &pin) == 0);
	scenario_expect(quire_pin_write(pin, 0, &byte, 1) == 0);
	scenario_expect(must_get(f->w.mm, page(BASE, 1)) == 60);
	quire_unpin(pin);
}

static void cache_collapse_pin_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(must_get(f->w.mm, page(OTHER, 1)) == 60);
	end(f);
}

FILE_SCENARIO(cache_collapse_pin, "cache-collapse-pin",
	      "a device writes to a file's page while it becomes part of one folio", 2,
	      shared_setup, false);

static void cache_collapse_private_body(void *state, unsigned body)
{
	struct file_world *f = state;
	int ret;

	switch (body) {
	case 0:
		ret = collapse(f, OTHER);
		scenario_expect(ret == 0 || ret == -QUIRE_EAGAIN || ret == -QUIRE_EINVAL);
		break;
	case 1:
		scenario_expect(put(f->w.mm, page(OTHER, 1), 70));
		scenario_expect(must_get(f->w.mm, page(OTHER, 1)) == 70);
		break;
	default:
		scenario_expect(must_get(f->w.mm, page(OTHER, 2)) == 3);
		break;
	}
}

static void cache_collapse_private_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(must_get(f->w.mm, page(OTHER, 1)) == 70);
	scenario_expect(must_get(f->w.mm, page(BASE, 1)) == 2);
	scenario_expect(must_get(f->w.mm, page(OTHER, 3)) == 4);
	end(f);
}

FILE_SCENARIO(cache_collapse_private, "cache-collapse-private",
	      "a private mapping gets a copy of a page while its range is collapsed", 3,
	      private_setup, false);

static void cache_collapse_munmap_body(void *state, unsigned body)
{
	struct file_world *f = state;
	uint8_t byte;
	int ret;

	switch (body) {
	case 0:
		ret = collapse(f, BASE);
		scenario_expect(ret == 0 || ret == -QUIRE_EAGAIN || ret == -QUIRE_EINVAL ||
				ret == -QUIRE_ENOMEM);
		break;
	case 1:
		scenario_expect(quire_munmap(f->w.mm, page(BASE, 2), 2 * PAGE) == 0);
		scenario_expect(!get(f->w.mm, page(BASE, 2), &byte));
		break;
	default:
		collapse_or_try_again(f, OTHER);
		break;
	}
}

static void cache_collapse_munmap_finish(void *state)
{
	struct file_world *f = state;

	scenario_expect(must_get(f->w.mm, page(BASE, 1)) == 2);
	scenario_expect(must_get(f->w.mm, page(OTHER, 2)) == 3);
	end(f);
}

FILE_SCENARIO(cache_collapse_munmap, "cache-collapse-munmap",
	      "two mappings are collapsed while one loses pages", 3, shared_setup, false);

/* ---- a hole ------------------------------------------------------------------------------- */

/* Large folios come by faults too, and the first mapping has pages of single ones. */
static int punch_setup(void *state)
{
	const struct quire_file_config file = {
		.kind = QUIRE_FILE_MEMORY, .mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.size_bytes = QUIRE_PMD_SIZE,
	};
	struct file_world *f = state;
	struct quire_config config;
	uint64_t nr;
	int ret;

	world_config(&config);
	config.memory_bytes += 2 * QUIRE_PMD_SIZE;
	config.file_order = QUIRE_PMD_ORDER;
	ret = world_begin_config(&f->w, &config);
	if (!ret)
		ret = quire_file_create(f->w.q, &file, &f->file);
	if (!ret)
		ret = map_file(f, BASE, QUIRE_MAP_SHARED);
	if (!ret)
		ret = map_file(f, OTHER, QUIRE_MAP_SHARED);
	if (!ret)
		ret = put_pages(f->w.mm, NR, 1, 1);
	if (!ret)
		ret = quire_split_folios(f->w.mm, BASE, QUIRE_PMD_SIZE, 0, &nr);
	if (!ret)
		scenario_expect(must_get(f->w.mm, page(BASE, 1)) == 2);
	return ret;
}

/* Between the folios' end in the cache and that of their entries a fault makes a new
 * one, which the collapse finds; the entries are still those of the old. */
static void cache_collapse_punch_body(void *state, unsigned body)
{
	struct file_world *f = state;
	int ret;

	switch (body) {
	case 0:
		scenario_expect(quire_file_punch(f->file, 0, QUIRE_PMD_SIZE) == 0);
		break;
	case 1:
		f->w.seen[0] = must_get(f->w.mm, page(OTHER, 1));
		scenario_expect(f->w.seen[0] == 0 || f->w.seen[0] == 2);
		break;
	default:
		ret = collapse(f, BASE);
		scenario_expect(ret == 0 || ret == -QUIRE_EAGAIN || ret == -QUIRE_EINVAL);
		break;
	}
}

static void cache_collapse_punch_finish(void *state)
{
	struct file_world *f = state;

	for (unsigned i = 0; i < 4; i++)
		scenario_expect(must_get(f->w.mm, page(BASE, i)) == 0);
	end(f);
}

FILE_SCENARIO(cache_collapse_punch, "cache-collapse-punch",
	      "a hole is punched and filled while what was there becomes one folio", 3,
	      punch_setup, false);
