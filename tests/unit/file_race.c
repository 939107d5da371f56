/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Races of the page cache on real threads: lookups, faults, plain reads and
 * writes and writeback against truncation and holes.  A page's first word says
 * which file and index wrote it, so a folio found at the wrong place shows.
 * All with folios of one page, and with large ones.
 *
 * variants: threads_4k threads_tiny
 */
#include "unit/file_world.h"
#include "unit/threads_run.h"

#define NR_PAGES 48
#define ROUNDS 400
#define NR_FILES 2
/* Room for the index's nodes, should they all wait for one grace period.
 * Frames soon serve another index or file all the same: a CPU takes first what
 * it freed last. */
#define NR_FRAMES ((UINT64_C(32) << 20) >> PAGE_SHIFT)

struct unmap_note unmapped;

struct race {
	struct file_world f;
	struct file *files[NR_FILES];
	struct backing_store *store;
	u32 done; /* (A) */
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

static u64 *words(struct race *race, struct folio *folio, u64 index)
{
	return (u64 *)(void *)folio_page(&race->f, folio, index);
}

/* What a fault asks under the folio lock. */
static bool is_page_of(struct folio *folio, struct mapping *mapping, u64 index)
{
	return folio_is_at(folio, mapping, index) && index < mapping_size_pages(mapping);
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
	if (is_page_of(folio, file->mapping, index)) {
		check_tag(file, index, words(race, folio, index)[0]);
		mapping_dirty_folio(file->mapping, folio);
		words(race, folio, index)[0] = tag_of(file, index);
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
			check_tag(around->file, index, words(around->race, folio, index)[0]);
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

static void races_with_everything(unsigned file_order)
{
	struct race *race = calloc(1, sizeof(*race));

	files_open(&race->f, NR_FRAMES);
	race->f.files.file_order = file_order;
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

static void truncation_races_with_everything(void **state)
{
	(void)state;
	races_with_everything(0);
}

static void cutting_large_folios_races_with_everything(void **state)
{
	(void)state;
	races_with_everything(2);
	races_with_everything(QUIRE_PMD_ORDER < 4 ? QUIRE_PMD_ORDER : 4);
}

/*
 * One frame lives at index 0, is dropped, and lives on at index 1 or in the
 * other file, again and again; a lookup of index 0 that was on its way to the
 * frame must not take it for what it was.
 */
#define LIVES 10000

static void live(struct race *race, struct file *file, u64 index)
{
	struct folio *folio;

	ensure(!mapping_get_folio(file->mapping, index, &folio));
	folio_put(&race->f.phys, folio);
	ensure(!mapping_punch(file->mapping, index, index, nothing_to_unmap));
}

static void live_or_look(void *arg, unsigned nth)
{
	struct race *race = arg;
	struct mapping *mapping = race->files[1]->mapping;

	if (nth == 0) {
		for (unsigned i = 0; i < LIVES; i++) {
			live(race, race->files[1], 0);
			live(race, race->files[i % NR_FILES], 1);
		}
		atomic_store_release(&race->done, 1u);
		return;
	}
	while (!atomic_load_acquire(&race->done)) {
		struct folio *folio = mapping_find_folio(mapping, 0);

		if (!folio)
			continue;
		/* Referenced, it can leave the file but not live on elsewhere. */
		folio_lock(folio);
		ensure(folio->mapping == NULL || folio_is_at(folio, mapping, 0));
		folio_unlock(folio);
		folio_put(&race->f.phys, folio);
	}
}

static void a_lookup_races_with_a_frames_next_life(void **state)
{
	struct race *race = calloc(1, sizeof(*race));

	(void)state;
	files_open(&race->f, NR_FRAMES);
	for (unsigned i = 0; i < NR_FILES; i++)
		race->files[i] = memory_file(&race->f, 2 << PAGE_SHIFT);
	threads_run(3, live_or_look, race);
	for (unsigned i = 0; i < NR_FILES; i++) {
		mapping_check(race->files[i]->mapping);
		file_put(race->files[i]);
	}
	files_close(&race->f);
	free(race);
}

/* After a truncation, nothing beyond the size comes back: not even by a fault
 * that had asked the size before. */
static void fault_or_empty(void *arg, unsigned nth)
{
	struct race *race = arg;
	struct mapping *mapping = race->files[1]->mapping;

	while (nth > 0 && !atomic_load_acquire(&race->done)) {
		struct folio *folio;

		if (!mapping_get_folio(mapping, mach_random() % 4, &folio))
			folio_put(&race->f.phys, folio);
	}
	for (unsigned i = 0; nth == 0 && i < LIVES; i++) {
		ensure(!mapping_truncate(mapping, 4 << PAGE_SHIFT, nothing_to_unmap));
		for (unsigned spin = 0; spin < i % 32; spin++)
			mach_relax();
		ensure(!mapping_truncate(mapping, 0, nothing_to_unmap));
		for (u64 index = 0; index < 4; index++)
			ensure(!mapping_find_folio(mapping, index));
	}
	if (nth == 0)
		atomic_store_release(&race->done, 1u);
}

static void nothing_comes_back_beyond_the_size(void **state)
{
	struct race *race = calloc(1, sizeof(*race));

	(void)state;
	files_open(&race->f, NR_FRAMES);
	race->files[1] = memory_file(&race->f, 0);
	threads_run(3, fault_or_empty, race);
	mapping_check(race->files[1]->mapping);
	file_put(race->files[1]);
	files_close(&race->f);
	free(race);
}

/*
 * Truncation cuts folios in the middle while others write to them and look them
 * up.  A word says in which round it was written: once a truncation is done,
 * what it cut off is gone for good, whether its folio was split or zeroed.
 */
#define CUT_ROUNDS 3000
#define CUT_PAGES 8

struct cut_race {
	struct file_world f;
	struct file *file;
	u64 round;             /* (A) from 1 */
	u64 oldest[CUT_PAGES]; /* the cutter's: round that may show there */
	u32 done;              /* (A) */
};

static void write_round(struct cut_race *race)
{
	struct mapping *mapping = race->file->mapping;
	u64 index = mach_random() % CUT_PAGES;
	struct folio *folio;

	if (mapping_get_folio(mapping, index, &folio))
		return;
	folio_lock(folio);
	if (is_page_of(folio, mapping, index)) {
		u64 *word = (u64 *)(void *)folio_page(&race->f, folio, index);

		*word = atomic_load(&race->round);
		/* Somebody else than truncation splits it. */
		if (mach_random() % 8 == 0 && folio_is_large(folio))
			(void)!mapping_split_folio(mapping, folio, 0);
	}
	folio_unlock(folio);
	folio_put(&race->f.phys, folio);
}

static void look_at_rounds(struct cut_race *race)
{
	for (u64 index = 0; index < CUT_PAGES; index++) {
		u64 word;

		ensure(!mapping_read(race->file->mapping, index << PAGE_SHIFT, &word,
				     sizeof(word)));
		ensure(word == 0 || word >= race->oldest[index]);
	}
}

static void cut_once(struct cut_race *race)
{
	struct mapping *mapping = race->file->mapping;
	u64 cut = 1 + mach_random() % (CUT_PAGES - 1);

	/* A hole makes folios of different lengths; what is written after it may
	 * well be of an old round. */
	if (mach_random() % 4 == 0)
		ensure(!mapping_punch(mapping, cut, cut + 1, nothing_to_unmap));
	ensure(!mapping_truncate(mapping, cut << PAGE_SHIFT, nothing_to_unmap));
	atomic_fetch_add(&race->round, 1);
	for (u64 index = cut; index < CUT_PAGES; index++)
		race->oldest[index] = atomic_load(&race->round);
	ensure(!mapping_truncate(mapping, CUT_PAGES << PAGE_SHIFT, nothing_to_unmap));
	look_at_rounds(race);
	/* Now and then everything goes, so that there are large folios again. */
	if (mach_random() % 4 == 0)
		ensure(!mapping_punch(mapping, 0, CUT_PAGES - 1, nothing_to_unmap));
}

static void cut_or_write(void *arg, unsigned nth)
{
	struct cut_race *race = arg;

	if (nth > 0) {
		while (!atomic_load_acquire(&race->done))
			write_round(race);
		return;
	}
	for (unsigned i = 0; i < CUT_ROUNDS; i++)
		cut_once(race);
	atomic_store_release(&race->done, 1u);
}

static void what_was_cut_off_is_gone(void **state)
{
	struct cut_race *race = calloc(1, sizeof(*race));

	(void)state;
	files_open(&race->f, NR_FRAMES);
	race->f.files.file_order = 2;
	race->file = memory_file(&race->f, CUT_PAGES << PAGE_SHIFT);
	race->round = 1;
	threads_run(3, cut_or_write, race);
	mapping_check(race->file->mapping);
	file_put(race->file);
	files_close(&race->f);
	free(race);
}

/*
 * A page that is in the file is found, and its contents are read, while its
 * folio is split.  Every round has a new file.
 */
#define SPLIT_FILES 2000

struct split_race {
	struct file_world f;
	struct file *files[SPLIT_FILES]; /* each published by `nr` */
	u32 nr;                          /* (A) */
	u32 done;                        /* (A) */
	u32 nr_split;                    /* the splitter's */
};

static void look_at_newest(struct split_race *race)
{
	u32 nr = atomic_load_acquire(&race->nr);
	struct mapping *mapping = race->files[nr - 1]->mapping;
	u64 index = mach_random() % 4, word;
	struct folio *folio = mapping_find_folio(mapping, index);

	ensure(folio && folio_is_at(folio, mapping, index));
	folio_put(&race->f.phys, folio);
	ensure(!mapping_read(mapping, index << PAGE_SHIFT, &word, sizeof(word)));
	ensure(word == tag_of(race->files[nr - 1], index));
}

static void publish_file(struct split_race *race)
{
	struct file *file = memory_file(&race->f, 4 << PAGE_SHIFT);

	for (u64 index = 0; index < 4; index++) {
		u64 tag = tag_of(file, index);

		ensure(!mapping_write(file->mapping, index << PAGE_SHIFT, &tag, sizeof(tag)));
	}
	race->files[race->nr] = file;
	/* RELEASE pairs with look_at_newest. */
	atomic_store_release(&race->nr, race->nr + 1);
}

static void split_newest(struct split_race *race)
{
	struct mapping *mapping = race->files[race->nr - 1]->mapping;
	struct folio *folio = mapping_find_folio(mapping, 0);

	folio_lock(folio);
	ensure(folio_order(folio) == 2);
	race->nr_split += mapping_split_folio(mapping, folio, 0) == 0;
	folio_unlock(folio);
	folio_put(&race->f.phys, folio);
}

static void split_or_look(void *arg, unsigned nth)
{
	struct split_race *race = arg;

	while (nth > 0 && !atomic_load_acquire(&race->done))
		look_at_newest(race);
	for (unsigned i = 1; nth == 0 && i < SPLIT_FILES; i++) {
		for (unsigned spin = 0; spin < i % 64; spin++)
			mach_relax();
		split_newest(race);
		publish_file(race);
	}
	if (nth == 0)
		atomic_store_release(&race->done, 1u);
}

static void a_page_is_found_while_its_folio_is_split(void **state)
{
	struct split_race *race = calloc(1, sizeof(*race));

	(void)state;
	files_open(&race->f, 2 * NR_FRAMES);
	race->f.files.file_order = 2;
	publish_file(race);
	threads_run(3, split_or_look, race);
	assert_true(race->nr_split > 0);
	for (u32 i = 0; i < race->nr; i++) {
		mapping_check(race->files[i]->mapping);
		file_put(race->files[i]);
	}
	files_close(&race->f);
	free(race);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lookup_races_with_a_frames_next_life),
		cmocka_unit_test(nothing_comes_back_beyond_the_size),
		cmocka_unit_test(truncation_races_with_everything),
		cmocka_unit_test(cutting_large_folios_races_with_everything),
		cmocka_unit_test(what_was_cut_off_is_gone),
		cmocka_unit_test(a_page_is_found_while_its_folio_is_split),
	};

	return cmocka_run_group_tests(tests, attach_thread, detach_thread);
}
