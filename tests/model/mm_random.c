/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random calls on one address space, equal to a plain array of pages; a part
 * of the calls runs with one of its allocations failing, and must then leave
 * each page as it was or as the whole call would have.  What a kernel can be set to
 * is drawn anew for each address space: zero pages, the way of placement.
 * variants: threads_4k threads_tiny threads_64k explore_tiny
 * presets: release debug asan count (it has one thread)
 *
 * MM_LIVES=n runs n address spaces of 2,000 calls (default 40), MM_SEED=n
 * another sequence.
 */
#include <stdlib.h>

#include "dice.h"
#include "../unit/mm_rows.h"

enum { NR_PAGES = 40, FILE_PAGES = 16, STEPS_OF_A_LIFE = 2000 };

struct page {
	bool mapped, shared, locked;
	bool unknown;   /* private: a failed call left one of two values, unreadable */
	uint8_t prot;
	uint8_t value;  /* private: what its first byte reads as */
	uint8_t offset; /* shared: page of the file */
};

struct model {
	struct page pages[NR_PAGES];
	uint8_t file[FILE_PAGES];
};

static struct model now, then; /* before the call, and if it does all it should */
static bool bottom_up;
static struct quire_file *file;
static uint64_t random_state;

static unsigned pick(unsigned n)
{
	return (unsigned)dice_roll(&random_state, n);
}

/* ---- what is there --------------------------------------------------------- */

static bool visit_page(const struct quire_map_info *map, void *arg)
{
	struct page *pages = arg;

	for (uint64_t addr = map->start; addr < map->end; addr += PAGE) {
		uint64_t page = (addr - BASE) / PAGE;

		assert_true(addr >= BASE && page < NR_PAGES);
		pages[page] = (struct page){
			.mapped = true, .shared = map->shared, .locked = map->locked,
			.prot = (uint8_t)map->prot,
			.offset = map->shared ? (uint8_t)((map->offset + addr - map->start) /
							  PAGE) : 0,
		};
	}
	return true;
}

static bool page_equal(const struct page *a, const struct page *b)
{
	if (!a->mapped || !b->mapped)
		return a->mapped == b->mapped;
	return a->shared == b->shared && a->locked == b->locked && a->prot == b->prot &&
	       (!a->shared || a->offset == b->offset);
}

static uint8_t model_byte(const struct model *model, unsigned page)
{
	const struct page *p = &model->pages[page];

	return p->shared ? model->file[p->offset] : p->value;
}

static bool may_read(const struct model *model, unsigned page, uint8_t byte)
{
	const struct page *p = &model->pages[page];

	return (p->unknown && !p->shared) || model_byte(model, page) == byte;
}

/* The maps and the bytes are those of `then`, or of a call that failed half-way:
 * each page as before, as after, or gone.  `now` becomes what was found. */
static void compare(bool failed)
{
	struct page found[NR_PAGES] = { 0 };

	quire_mm_maps(mm, visit_page, found);
	for (unsigned i = 0; i < NR_PAGES; i++) {
		bool as_then = page_equal(&found[i], &then.pages[i]);
		bool as_now = page_equal(&found[i], &now.pages[i]);

		assert_true(as_then || (failed && (as_now || !found[i].mapped)));
		if (found[i].mapped && (found[i].prot & QUIRE_PROT_READ)) {
			uint8_t byte = get(mm, at(i));

			assert_true((as_then && may_read(&then, i, byte)) ||
				    (as_now && failed && may_read(&now, i, byte)));
			found[i].value = byte;
		} else {
			const struct page *is = as_then ? &then.pages[i] : &now.pages[i];

			found[i].value = is->value;
			found[i].unknown = is->unknown || (as_then && as_now && failed);
		}
		now.pages[i] = found[i];
	}
	if (!failed)
		memcpy(now.file, then.file, sizeof(now.file));
}

/* ---- the calls: each says in `then` what it should do ------------------------- */

static bool range_is(unsigned first, unsigned nr, bool (*test)(const struct page *page))
{
	for (unsigned i = first; i < first + nr; i++)
		if (!test(&now.pages[i]))
			return false;
	return true;
}

static bool is_mapped(const struct page *page)
{
	return page->mapped;
}

static bool is_lockable(const struct page *page)
{
	return page->mapped && page->prot != 0;
}

static bool is_droppable(const struct page *page)
{
	return page->mapped && !page->locked;
}

static uint32_t random_prot(void)
{
	static const uint32_t prots[] = { NONE, R, RW, RW, RW };

	return prots[pick(5)];
}

static int call_map(unsigned first, unsigned nr)
{
	bool shared = pick(4) == 0 && nr <= FILE_PAGES;
	unsigned offset = shared ? pick(FILE_PAGES - nr + 1) : 0;
	uint32_t prot = random_prot();
	uint64_t got;

	for (unsigned i = 0; i < nr; i++)
		then.pages[first + i] = (struct page){
			.mapped = true, .shared = shared, .prot = (uint8_t)prot,
			.offset = (uint8_t)(offset + i),
		};
	return quire_mmap(mm, at(first), nr * PAGE, prot, shared ? SHARED_FILE : PRIVATE_ANON,
			  shared ? file : NULL, offset * PAGE, &got);
}

/* Where a mapping goes that does not say: the lowest or the highest hole.  Behind the
 * pages of the model all is free. */
static unsigned place_of(unsigned nr)
{
	unsigned run = 0;

	for (unsigned i = 0; i < NR_PAGES; i++) {
		run = now.pages[bottom_up ? i : NR_PAGES - 1 - i].mapped ? 0 : run + 1;
		if (run == nr)
			return bottom_up ? i + 1 - nr : NR_PAGES - 1 - i;
	}
	return bottom_up ? NR_PAGES - run : NR_PAGES;
}

static int call_place(unsigned first, unsigned nr)
{
	uint32_t prot = random_prot();
	unsigned want = place_of(nr);
	uint64_t got;
	int ret;

	(void)first;
	if (world_config.huge_placement && nr % QUIRE_TABLE_ENTRIES == 0)
		return 0;
	ret = quire_mmap(mm, 0, nr * PAGE, prot, PRIVATE_ANON & ~(uint32_t)QUIRE_MAP_FIXED, NULL,
			 0, &got);
	if (ret)
		return ret;
	assert_int_equal(got, at(want));
	if (want + nr <= NR_PAGES) {
		for (unsigned i = want; i < want + nr; i++)
			then.pages[i] = (struct page){ .mapped = true, .prot = (uint8_t)prot };
		return 0;
	}
	quire_fail_nth(0);
	return quire_munmap(mm, got, nr * PAGE);
}

static int call_unmap(unsigned first, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		then.pages[first + i] = (struct page){ 0 };
	return quire_munmap(mm, at(first), nr * PAGE);
}

static int call_protect(unsigned first, unsigned nr)
{
	uint32_t prot = random_prot();

	if (!range_is(first, nr, is_mapped))
		return 0;
	for (unsigned i = 0; i < nr; i++)
		then.pages[first + i].prot = (uint8_t)prot;
	return quire_mprotect(mm, at(first), nr * PAGE, prot);
}

static int call_lock(unsigned first, unsigned nr)
{
	bool lock = pick(2) == 0;
	int ret;

	if (!range_is(first, nr, is_lockable))
		return 0;
	for (unsigned i = 0; i < nr; i++)
		then.pages[first + i].locked = lock;
	ret = lock ? quire_mlock(mm, at(first), nr * PAGE, 0) :
		     quire_munlock(mm, at(first), nr * PAGE);
	/* Locked, but not all could be faulted in. */
	return ret == -QUIRE_EAGAIN ? -QUIRE_ENOMEM : ret;
}

static int call_drop(unsigned first, unsigned nr)
{
	if (!range_is(first, nr, is_droppable))
		return 0;
	for (unsigned i = 0; i < nr; i++) {
		then.pages[first + i].value = 0;
		then.pages[first + i].unknown = false;
	}
	return quire_madvise(mm, at(first), nr * PAGE, QUIRE_MADV_DONTNEED);
}

static int call_move(unsigned first, unsigned nr)
{
	unsigned to = pick(NR_PAGES - nr + 1);
	uint64_t got;

	if ((to < first + nr && first < to + nr) || !now.pages[first].mapped)
		return 0;
	for (unsigned i = 0; i < nr; i++) {
		if (!now.pages[first + i].mapped)
			continue; /* a gap moves along */
		then.pages[to + i] = now.pages[first + i];
		then.pages[first + i] = (struct page){ 0 };
	}
	return quire_mremap(mm, at(first), nr * PAGE, nr * PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, at(to), &got);
}

static int call_write(unsigned first, unsigned nr)
{
	uint8_t byte = (uint8_t)pick(256);
	struct page *page = &then.pages[first];

	(void)nr;
	if (!page->mapped || !(page->prot & QUIRE_PROT_WRITE))
		return 0;
	if (page->shared)
		then.file[page->offset] = byte;
	else
		*page = (struct page){
			.mapped = true, .locked = page->locked, .prot = page->prot,
			.value = byte,
		};
	return quire_write(mm, at(first), &byte, 1, NULL);
}

/* The child has the same maps, but for the locks, and the same bytes. */
static int call_fork(unsigned first, unsigned nr)
{
	struct quire_mm *child;
	int ret = quire_mm_fork(mm, &child);

	if (ret)
		return ret;
	quire_fail_nth(0);
	for (unsigned i = first; i < first + nr; i++)
		if (now.pages[i].mapped && (now.pages[i].prot & QUIRE_PROT_READ))
			assert_true(may_read(&now, i, get(child, at(i))));
	assert_int_equal(quire_munmap(child, at(first), nr * PAGE), 0);
	quire_mm_put(child);
	return 0;
}

static int random_call(void)
{
	static int (*const calls[])(unsigned first, unsigned nr) = {
		call_map, call_map, call_map, call_place, call_unmap, call_protect, call_protect,
		call_lock, call_drop, call_move, call_move, call_write, call_write,
		call_write, call_write, call_fork,
	};
	unsigned first = pick(NR_PAGES), nr = 1 + pick(pick(4) == 0 ? 16 : 5);

	if (nr > NR_PAGES - first)
		nr = NR_PAGES - first;
	return calls[pick(sizeof(calls) / sizeof(calls[0]))](first, nr);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* What is placed goes to the pages of the model, as long as there is room. */
static void begin_drawn(void)
{
	struct quire_layout layout;

	world_config_default();
	world_config.memory_bytes = 16384 * PAGE;
	world_config.zero_page = pick(2) == 0;
	world_config.huge_placement = pick(2) == 0;
	world_begin();
	quire_mm_put(mm);
	quire_layout_default(&layout);
	bottom_up = pick(2) == 0;
	layout.bottom_up = bottom_up;
	layout.mmap_base = bottom_up ? at(0) : at(NR_PAGES);
	layout.mmap_fallback = at(NR_PAGES);
	layout.mmap_min_placed = at(0);
	assert_int_equal(quire_mm_create(q, &layout, &mm), 0);
}

/* One life of one address space; how many calls failed. */
static uint64_t live(uint64_t nr_steps)
{
	uint64_t nr_failed = 0;

	begin_drawn();
	file = file_of_pages(FILE_PAGES, FILE_RW);
	memset(&now, 0, sizeof(now));
	for (uint64_t step = 0; step < nr_steps; step++) {
		int ret;

		then = now;
		quire_fail_nth(pick(3) == 0 ? 1 + pick(12) : 0);
		ret = random_call();
		quire_fail_nth(0);
		assert_true(ret == 0 || ret == -QUIRE_ENOMEM);
		nr_failed += ret != 0;
		compare(ret != 0);
		if (step % 8 == 0)
			quire_check(q);
	}
	quire_file_put(file);
	world_end();
	return nr_failed;
}

static void equal_to_an_array(void **state)
{
	uint64_t nr_lives = setting("MM_LIVES", 40), nr_failed = 0;

	(void)state;
	random_state = setting("MM_SEED", 1);
	for (uint64_t i = 0; i < nr_lives; i++)
		nr_failed += live(STEPS_OF_A_LIFE);
	print_message("%llu steps, %llu failed\n",
		      (unsigned long long)(nr_lives * STEPS_OF_A_LIFE),
		      (unsigned long long)nr_failed);
	assert_true(nr_failed > nr_lives * STEPS_OF_A_LIFE / 50);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(equal_to_an_array) };

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
