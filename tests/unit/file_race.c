/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Races of the page cache on real threads: lookups, faults, plain reads and
 * writes and writeback against truncation and holes.  A page's first word says
 * which file and index wrote it, so a folio found at the wrong place shows.
 *
 * variants: threads_4k threads_tiny
 */
#include "unit/file_world.h"
#include "unit/threads_run.h"

#define NR_PAGES 48
#define ROUNDS 400
#define NR_FILES 2

struct unmap_note unmapped;

struct race {
	struct file_world f;
	struct file *files[NR_FILES];
	struct backing_store *store;
};

static void nothing_to_unmap(struct mapping *mapping, u64 first, u64 last,
			     bool even_private_copies)
{
	(void)mapping;
	(void)first;
	(void)last;
	(void)even_private_copies;
}

static u64 tag_of(const struct file *file, u64 index)
{
	return file->mapping->id << 32 | (index + 1);
}

static u64 *words(struct race *race, struct folio *folio)
{
	return folio_bytes(&race->f.phys, folio);
}

static void check_tag(const struct file *file, u64 index, u64 word)
{
	ensure(word == 0 || word == tag_of(file, index));
}

static struct file *some_file(struct race *race)
{
	return race->files[mach_random() % NR_FILES];
}

/* What a write fault does, the page table left out. */
static void fault(struct race *race)
{
	struct file *file = some_file(race);
	u64 index = mach_random() % NR_PAGES;
	struct folio *folio;
	int err = mapping_get_folio(file->mapping, index, &folio);

	if (err) {
		ensure(err == -QUIRE_ERANGE);
		return;
	}
	folio_lock(folio);
	if (folio_is_at(folio, file->mapping, index)) {
		check_tag(file, index, words(race, folio)[0]);
		mapping_dirty_folio(file->mapping, folio);
		words(race, folio)[0] = tag_of(file, index);
	}
	folio_unlock(folio);
	folio_put(&race->f.phys, folio);
}

struct around {
	struct race *race;
	struct file *file;
};

static bool visit_around(struct folio *folio, u64 index, void *arg)
{
	struct around *around = arg;

	if (!refcount_get_unless_zero(&folio->refs))
		return true;
	if (folio_trylock(folio)) {
		if (folio_is_at(folio, around->file->mapping, index))
			check_tag(around->file, index, words(around->race, folio)[0]);
		folio_unlock(folio);
	}
	folio_put(&around->race->f.phys, folio);
	return true;
}

static void read_or_write(struct race *race)
{
	struct file *file = some_file(race);
	u64 index = mach_random() % NR_PAGES, word = tag_of(file, index);
	int err;

	if (mach_random() % 4 == 0) {
		err = mapping_write(file->mapping, index << PAGE_SHIFT, &word, sizeof(word));
		ensure(!err);
	} else {
		err = mapping_read(file->mapping, index << PAGE_SHIFT, &word, sizeof(word));
		ensure(!err || err == -QUIRE_ERANGE);
		if (!err)
			check_tag(file, index, word);
	}
}

static void resize(struct race *race)
{
	struct file *file = some_file(race);
	u64 index = mach_random() % NR_PAGES;

	if (mach_random() % 4 == 0)
		ensure(!mapping_truncate(file->mapping, index << PAGE_SHIFT, nothing_to_unmap));
	else if (mach_random() % 2)
		ensure(!mapping_punch(file->mapping, index, index + mach_random() % 16,
				      nothing_to_unmap));
	else
		ensure(!mapping_truncate(file->mapping, NR_PAGES << PAGE_SHIFT,
					 nothing_to_unmap));
}

static void use_files(void *arg, unsigned nth)
{
	struct race *race = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct around around = { race, some_file(race) };

		if (nth == 0) {
			resize(race);
			if (i % 8 == 0)
				ensure(!mapping_writeback(race->files[0]->mapping, 0, UINT64_MAX));
			continue;
		}
		for (unsigned j = 0; j < 8; j++)
			fault(race);
		read_or_write(race);
		mapping_for_each_cached(around.file->mapping, 0, NR_PAGES, visit_around, &around);
	}
}

static void truncation_races_with_everything(void **state)
{
	struct race *race = calloc(1, sizeof(*race));

	(void)state;
	/* Little memory, so that frames soon serve another index or file. */
	files_open(&race->f, 1024);
	race->store = store_create();
	memset(race->store->bytes, 0, sizeof(race->store->bytes));
	race->files[0] = host_file(&race->f, race->store, NR_PAGES << PAGE_SHIFT);
	race->files[1] = memory_file(&race->f, NR_PAGES << PAGE_SHIFT);
	threads_run(3, use_files, race);
	for (unsigned i = 0; i < NR_FILES; i++) {
		mapping_check(race->files[i]->mapping);
		file_put(race->files[i]);
	}
	files_close(&race->f);
	free(race->store);
	free(race);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncation_races_with_everything),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
