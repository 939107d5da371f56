/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copy on write, case by case, on anonymous memory laid out in every way: what
 * David Hildenbrand's self-tests ask of a kernel
 * (002_c2ad3a3754927e32.txt), asked of ours.
 *
 * A case is told a region, does what parent, child and device do, and says
 * what went wrong, or NULL.  A layout maps a region of 2^order pages in the one way it
 * names, and makes sure that it did.
 */
#ifndef TESTS_COW_CASES_H
#define TESTS_COW_CASES_H

#include <stdio.h>

#include "mm_world.h"

/* Where half of a folio is moved to. */
#define MOVED (BASE + 8 * QUIRE_PMD_SIZE)

struct region {
	uint64_t addr, nr;
};

/* What a case leaves behind: given back by case_end(). */
static struct quire_mm *child;
static struct quire_pin *pipe_or_device;

/* ---- contents ------------------------------------------------------------------- */

/* What a page holds: told apart from its neighbours', and from what was before. */
enum contents { OLD = 10, NEW = 90, THIRD = 170 };

static inline uint8_t byte_of(enum contents contents, uint64_t page)
{
	return (uint8_t)(contents + page % 71);
}

static inline void fill(struct quire_mm *where, struct region r, enum contents contents)
{
	for (uint64_t i = 0; i < r.nr; i++)
		put(where, r.addr + i * PAGE, byte_of(contents, i));
}

static inline bool holds(struct quire_mm *where, struct region r, enum contents contents)
{
	for (uint64_t i = 0; i < r.nr; i++)
		if (get(where, r.addr + i * PAGE) != byte_of(contents, i))
			return false;
	return true;
}

static inline bool pinned_holds(struct region r, enum contents contents)
{
	for (uint64_t i = 0; i < r.nr; i++)
		if (pin_get(pipe_or_device, i * PAGE) != byte_of(contents, i))
			return false;
	return true;
}

static inline void pin_region(struct quire_mm *where, struct region r, uint32_t flags)
{
	pipe_or_device = pin_pages(where, r.addr, r.nr, flags);
}

static inline void protect_region(struct region r, uint32_t prot)
{
	assert_int_equal(quire_mprotect(mm, r.addr, r.nr * PAGE, prot), 0);
}

/* Write rights taken and given back: entries are read-only, the VMA is not. */
static inline void make_entries_read_only(struct region r)
{
	protect_region(r, QUIRE_PROT_READ);
	protect_region(r, RW);
}

/* What a layout mapped, not the region alone: a folio that is still mapped beside it
 * would not look like the other's. */
static inline void unmap_everything(struct quire_mm *where)
{
	assert_int_equal(quire_munmap(where, BASE, QUIRE_PMD_SIZE), 0);
	assert_int_equal(quire_munmap(where, MOVED, QUIRE_PMD_SIZE), 0);
}

static inline void fork_child(void)
{
	child = fork_of(mm);
}

static inline void end_child(void)
{
	if (child != NULL)
		quire_mm_put(child);
	child = NULL;
}

static inline void case_end(void)
{
	end_child();
	quire_unpin(pipe_or_device);
	pipe_or_device = NULL;
}

/* ---- cases ----------------------------------------------------------------------- */

static inline const char *cow_after_fork(struct region r, bool protect)
{
	fork_child();
	if (protect)
		make_entries_read_only(r);
	fill(mm, r, NEW);
	if (!holds(child, r, OLD))
		return "the child sees the parent's store";
	fill(child, r, THIRD);
	return holds(mm, r, NEW) ? NULL : "the parent sees the child's store";
}

static inline const char *case_basic(struct region r)
{
	return cow_after_fork(r, false);
}

static inline const char *case_basic_protect(struct region r)
{
	return cow_after_fork(r, true);
}

/* CVE-2020-29374. */
static inline const char *splice_in_child(struct region r, bool protect)
{
	fork_child();
	pin_region(child, r, QUIRE_PIN_GET_ONLY);
	unmap_everything(child);
	if (protect)
		make_entries_read_only(r);
	fill(mm, r, NEW);
	return pinned_holds(r, OLD) ? NULL : "the child's pipe holds the parent's store";
}

static inline const char *case_splice_in_child(struct region r)
{
	return splice_in_child(r, false);
}

static inline const char *case_splice_in_child_protect(struct region r)
{
	return splice_in_child(r, true);
}

/* Its mirror. */
static inline const char *splice_in_parent(struct region r, bool before_fork)
{
	if (before_fork)
		pin_region(mm, r, QUIRE_PIN_GET_ONLY);
	fork_child();
	if (!before_fork)
		pin_region(mm, r, QUIRE_PIN_GET_ONLY);
	unmap_everything(mm);
	fill(child, r, NEW);
	return pinned_holds(r, OLD) ? NULL : "the parent's pipe holds the child's store";
}

static inline const char *case_splice_before_fork(struct region r)
{
	return splice_in_parent(r, true);
}

static inline const char *case_splice_after_fork(struct region r)
{
	return splice_in_parent(r, false);
}

/* Whoever pinned goes on seeing what its address space does. */
static inline const char *store_reaches_pin(struct region r)
{
	fill(mm, r, NEW);
	if (!pinned_holds(r, NEW))
		return "the device does not see the store of who pinned";
	return child == NULL || holds(child, r, OLD) ? NULL : "the child sees the parent's store";
}

static inline const char *case_read_pin_shared(struct region r)
{
	fork_child();
	pin_region(mm, r, QUIRE_PIN_LONGTERM);
	return store_reaches_pin(r);
}

static inline const char *case_read_pin_was_shared(struct region r)
{
	fork_child();
	end_child();
	pin_region(mm, r, QUIRE_PIN_LONGTERM);
	return store_reaches_pin(r);
}

static inline const char *case_read_pin_exclusive(struct region r)
{
	protect_region(r, QUIRE_PROT_READ);
	pin_region(mm, r, QUIRE_PIN_LONGTERM);
	protect_region(r, RW);
	return store_reaches_pin(r);
}

/* What io_uring calls a fixed buffer. */
static inline const char *case_write_pin_fork(struct region r)
{
	pin_region(mm, r, QUIRE_PIN_WRITE | QUIRE_PIN_LONGTERM);
	fork_child();
	return store_reaches_pin(r);
}

static inline const char *case_write_pin_read_only(struct region r)
{
	pin_region(mm, r, QUIRE_PIN_WRITE | QUIRE_PIN_LONGTERM);
	make_entries_read_only(r);
	return store_reaches_pin(r);
}

/* What goes wrong when a page is reused because it is mapped once. */
enum loses {
	NOTHING,
	SECRECY, /* CVE-2020-29374 or its mirror: another sees the store */
	THE_PIN, /* its opposite: who should see the store does not */
};

static const struct cow_case {
	const char *name;
	const char *(*run)(struct region r);
	enum loses loses;
} cow_cases[] = {
	{ "copy on write after fork", case_basic, NOTHING },
	{ "copy on write after fork and mprotect", case_basic_protect, NOTHING },
	{ "splice in child, unmapped there", case_splice_in_child, SECRECY },
	{ "splice in child, unmapped there, mprotect", case_splice_in_child_protect, SECRECY },
	{ "splice before fork, unmapped in parent", case_splice_before_fork, SECRECY },
	{ "splice after fork, unmapped in parent", case_splice_after_fork, SECRECY },
	{ "long-term read pin on shared page", case_read_pin_shared, THE_PIN },
	{ "long-term read pin on previously shared page", case_read_pin_was_shared, NOTHING },
	{ "long-term read pin on exclusive page", case_read_pin_exclusive, NOTHING },
	{ "fixed buffer (write pin) before fork", case_write_pin_fork, THE_PIN },
	{ "fixed buffer made read-only and back", case_write_pin_read_only, NOTHING },
};
#define NR_COW_CASES (sizeof(cow_cases) / sizeof(cow_cases[0]))

/* ---- layouts ------------------------------------------------------------------------ */

enum layout {
	BASE_PAGE,
	PTE_MAPPED,
	PMD_MAPPED,
	SINGLE_PTE,    /* all other pages given back */
	HALF_STAYED,   /* the other half moved by mremap */
	HALF_MOVED,    /* ... and that half */
	PARTLY_SHARED, /* a child had the first page, and is gone */
	NR_LAYOUTS,
};

static const char *const layout_names[NR_LAYOUTS] = {
	"base page", "PTE-mapped", "PMD-mapped", "single PTE of", "half not moved of",
	"moved half of", "partly shared",
};

static inline bool layout_has(enum layout layout, unsigned order)
{
	switch (layout) {
	case BASE_PAGE:
		return order == 0;
	case PMD_MAPPED:
		return order == QUIRE_PMD_ORDER;
	default:
		return order >= 2 && order <= QUIRE_PMD_ORDER;
	}
}

/* One folio, its pages mapped one by one (or by one PMD entry where that is asked). */
static inline void map_folio(enum layout layout, unsigned order)
{
	struct quire_page_info page;
	struct region r = { BASE, UINT64_C(1) << order };

	for (unsigned o = 2; o <= QUIRE_PMD_ORDER; o++)
		assert_int_equal(quire_set_anon_folios(q, o, o == order ? QUIRE_FOLIOS_ALWAYS :
								 QUIRE_FOLIOS_NEVER), 0);
	map_anon(r.addr, r.nr);
	fill(mm, r, OLD);
	if (order == QUIRE_PMD_ORDER && layout != PMD_MAPPED) {
		/* One page alone is read-only: the entry has to become a table. */
		struct region first = { BASE, 1 };

		make_entries_read_only(first);
	}
	page = info(mm, BASE + (r.nr - 1) * PAGE);
	assert_int_equal(page.order, order);
	assert_int_equal(page.mapcount, r.nr);
	assert_int_equal(page.leaf, layout == PMD_MAPPED);
}

static inline struct region move_half(enum layout layout, uint64_t nr)
{
	uint64_t got;

	assert_int_equal(quire_mremap(mm, BASE + nr / 2 * PAGE, nr / 2 * PAGE, nr / 2 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, MOVED, &got), 0);
	assert_int_equal(info(mm, MOVED).pfn, info(mm, BASE).pfn + nr / 2);
	return (struct region){ layout == HALF_MOVED ? MOVED : BASE, nr / 2 };
}

static inline void share_first_page(uint64_t nr)
{
	uint64_t rest = BASE + PAGE, rest_bytes = (nr - 1) * PAGE;

	assert_int_equal(quire_madvise(mm, rest, rest_bytes, QUIRE_MADV_DONTFORK), 0);
	fork_child();
	assert_int_equal(info(mm, BASE).mapcount, nr + 1);
	end_child();
	assert_int_equal(quire_madvise(mm, rest, rest_bytes, QUIRE_MADV_DOFORK), 0);
	assert_false(info(mm, BASE).exclusive);
	assert_true(info(mm, rest).exclusive);
}

/* Pages hold OLD. */
static inline struct region layout_make(enum layout layout, unsigned order)
{
	struct region r = { BASE, UINT64_C(1) << order };

	map_folio(layout, order);
	switch (layout) {
	case SINGLE_PTE:
		assert_int_equal(quire_madvise(mm, BASE + PAGE, (r.nr - 1) * PAGE,
					       QUIRE_MADV_DONTNEED), 0);
		assert_int_equal(info(mm, BASE).mapcount, 1);
		return (struct region){ BASE, 1 };
	case HALF_STAYED:
	case HALF_MOVED:
		r = move_half(layout, r.nr);
		break;
	case PARTLY_SHARED:
		share_first_page(r.nr);
		break;
	default:
		break;
	}
	fill(mm, r, OLD);
	return r;
}

static inline void layout_print_name(enum layout layout, unsigned order, char *text, size_t size)
{
	uint64_t bytes = PAGE << order;

	if (layout == BASE_PAGE)
		snprintf(text, size, "%s", layout_names[layout]);
	else
		snprintf(text, size, "%s %llu %s", layout_names[layout],
			 (unsigned long long)(bytes < 1024 ? bytes : bytes / 1024),
			 bytes < 1024 ? "B" : "KiB");
}

/* Reuse by mapcount believes the rival: one that guesses leaves pages writable in
 * two address spaces. */
static inline bool decided_soundly(void)
{
	const uint8_t *chosen = world_config.decisions.chosen;

	return chosen[QUIRE_DECISION_cow_reuse] != QUIRE_cow_reuse_mapcount ||
	       quire_alternative_info(chosen[QUIRE_DECISION_sharing])->sound;
}

/* One cell, in an instance of its own: what went wrong, or NULL. */
static inline const char *cell_run(enum layout layout, unsigned order, const struct cow_case *c)
{
	const char *wrong;

	world_begin();
	wrong = c->run(layout_make(layout, order));
	if (decided_soundly())
		quire_check(q);
	case_end();
	world_end();
	return wrong;
}

#endif
