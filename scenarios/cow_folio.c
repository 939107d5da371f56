/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copy on write of a large folio, the whole core at work: a parent, its children,
 * its threads and who holds its pages without mapping them, under each kind of
 * proof that the folio is the writer's.  Then, with pages reused because they are
 * mapped once, what comes of it.
 *
 * The folio has four pages, which hold 1, 2, 3 and 4.  In the tiny geometry a PMD
 * entry maps it, to begin with.
 */
#include "scenarios/world.h"

enum { ORDER = 2, NR = 1 << ORDER };

struct decided {
	const char *row, *alternative;
};

static int folio_begin(struct world *w, const struct decided *decided, unsigned nr_decided)
{
	struct quire_config config;
	int ret = 0;

	world_config(&config);
	config.anon_folios[ORDER] = QUIRE_FOLIOS_ALWAYS;
	for (unsigned i = 0; i < nr_decided && !ret; i++)
		ret = quire_decisions_set(&config.decisions, decided[i].row,
					  decided[i].alternative);
	if (!ret)
		ret = world_begin_config(w, &config);
	return ret ? ret : map_filled(w, NR);
}

static void expect_pages(struct quire_mm *mm, const uint8_t want[NR])
{
	for (unsigned i = 0; i < NR; i++)
		scenario_expect(must_get(mm, BASE + i * PAGE) == want[i]);
}

/* ---- parent and children write, one goes, one unmaps --------------------------------- */

static int children_setup(struct world *w, const struct decided decided[2])
{
	int ret = folio_begin(w, decided, 2);

	for (unsigned i = 0; i < 2 && !ret; i++)
		ret = quire_mm_fork(w->mm, &w->children[i]);
	return ret;
}

static void children_body(void *state, unsigned body)
{
	struct world *w = state;

	if (body == 0) {
		scenario_expect(put(w->mm, BASE + PAGE, 10));
		scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 3);
	} else if (body == 1) {
		scenario_expect(put(w->children[0], BASE + 2 * PAGE, 20));
		scenario_expect(must_get(w->children[0], BASE + PAGE) == 2);
		exit_child(w, 0);
	} else {
		scenario_expect(must_get(w->children[1], BASE + 2 * PAGE) == 3);
		scenario_expect(put(w->children[1], BASE + PAGE, 30));
		scenario_expect(must_get(w->children[1], BASE) == 1);
		scenario_expect(quire_munmap(w->children[1], BASE, NR * PAGE) == 0);
	}
}

static void children_finish(void *state)
{
	struct world *w = state;

	expect_pages(w->mm, (const uint8_t[NR]){ 1, 10, 3, 4 });
	world_end(w);
}

/* ---- two threads write from two tables, a child goes and keeps a page ------------------ */

/* Page 0 was moved to a table of its own; a child has all, and a pipe of page 1. */
struct tables {
	struct world world;
	struct quire_pin *pipe;
};

static int tables_setup(struct tables *s, const struct decided decided[2])
{
	struct world *w = &s->world;
	uint64_t got;
	int ret = folio_begin(w, decided, 2);

	if (!ret)
		ret = quire_mremap(w->mm, BASE, PAGE, PAGE,
				   QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, OTHER, &got);
	if (!ret)
		ret = quire_mm_fork(w->mm, &w->children[0]);
	if (!ret)
		ret = quire_pin_pages(w->children[0], BASE + PAGE, 1, QUIRE_PIN_GET_ONLY,
				      &s->pipe);
	return ret;
}

static void tables_body(void *state, unsigned body)
{
	struct tables *s = state;
	struct world *w = &s->world;
	uint8_t byte = 0;

	if (body == 0) {
		scenario_expect(put(w->mm, OTHER, 10));
	} else if (body == 1) {
		scenario_expect(put(w->mm, BASE + 2 * PAGE, 30));
		scenario_expect(put(w->mm, BASE + PAGE, 20));
	} else {
		exit_child(w, 0);
		scenario_expect(quire_pin_read(s->pipe, 0, &byte, 1) == 0);
		if (byte != 2)
			scenario_fail("the pipe holds %u, stored after the fork", byte);
		quire_unpin(s->pipe);
	}
}

static void tables_finish(void *state)
{
	struct tables *s = state;
	struct world *w = &s->world;

	scenario_expect(must_get(w->mm, OTHER) == 10);
	scenario_expect(must_get(w->mm, BASE + PAGE) == 20);
	scenario_expect(must_get(w->mm, BASE + 2 * PAGE) == 30);
	scenario_expect(must_get(w->mm, BASE + 3 * PAGE) == 4);
	world_end(w);
}

/* How many pages the parent copied, and how often it reused. */
static uint64_t folio_outcome(void *state)
{
	struct world *w = state; /* each state begins with it */
	struct quire_mm_stats stats;

	quire_mm_stats(w->mm, &stats);
	return stats.cow_copies * 16 + stats.cow_reuses;
}

#define FOLIO_SCENARIO(id, text, kind, state_type, rival, proof, what)             \
	static int id##_setup(void *state)                                         \
	{                                                                          \
		static const struct decided decided[2] = { { "sharing", rival },   \
							   { "reuse-proof", proof } }; \
                                                                                   \
		return kind##_setup(state, decided);                               \
	}                                                                          \
	SCENARIO(id, text, what, 3, state_type, id##_setup, kind##_body, kind##_finish, \
		 .outcome = folio_outcome)

FOLIO_SCENARIO(folio_children, "folio-children", children, struct world, "moments",
	       "count-entries", "a parent and two children write to their folio, the children give it up");
FOLIO_SCENARIO(folio_children_mm_ids, "folio-children-mm-ids", children, struct world, "mm-ids",
	       "rival", "the same, mm-ids tells whose it is");
FOLIO_SCENARIO(folio_children_rmap_ids, "folio-children-rmap-ids", children, struct world,
	       "rmap-ids", "rival", "the same, rmap-ids tells whose it is");
FOLIO_SCENARIO(folio_children_one_word, "folio-children-one-word", children, struct world,
	       "one-word", "rival", "the same, one word has mappings and references");
FOLIO_SCENARIO(folio_tables, "folio-tables", tables, struct tables, "moments", "count-entries",
	       "threads write to a folio in two tables, a child goes and keeps a page of it");
FOLIO_SCENARIO(folio_tables_mm_ids, "folio-tables-mm-ids", tables, struct tables, "mm-ids",
	       "rival", "the same, mm-ids tells whose it is");
FOLIO_SCENARIO(folio_tables_locked, "folio-tables-locked", tables, struct tables,
	       "moments-locked", "rival", "the same, moments under a lock tell whose it is");
FOLIO_SCENARIO(folio_tables_one_word, "folio-tables-one-word", tables, struct tables, "one-word",
	       "rival", "the same, one word has mappings and references");

/* ---- what reuse by mapcount loses ---------------------------------------------------- */

/* The child keeps a reference to page 2 and unmaps the folio; the parent writes. */
static int splice_setup(struct world *w, const char *alternative)
{
	const struct decided decided[1] = { { "cow-reuse", alternative } };
	int ret = folio_begin(w, decided, 1);

	return ret ? ret : quire_mm_fork(w->mm, &w->children[0]);
}

static int splice_kept_setup(void *state)
{
	return splice_setup(state, "refcount+exclusive");
}

static int splice_seen_setup(void *state)
{
	return splice_setup(state, "mapcount");
}

static void splice_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_pin *pipe;
	uint8_t byte = 0;

	if (body == 0) {
		scenario_expect(put(w->mm, BASE + 2 * PAGE, 9));
		return;
	}
	scenario_expect(quire_pin_pages(w->children[0], BASE + 2 * PAGE, 1, QUIRE_PIN_GET_ONLY,
					&pipe) == 0);
	scenario_expect(quire_munmap(w->children[0], BASE, NR * PAGE) == 0);
	for (unsigned i = 0; i < 2; i++) {
		scenario_expect(quire_pin_read(pipe, 0, &byte, 1) == 0);
		if (byte != 3)
			scenario_fail("the child's pipe holds %u, stored after the fork", byte);
	}
	quire_unpin(pipe);
}

static void splice_finish(void *state)
{
	struct world *w = state;

	expect_pages(w->mm, (const uint8_t[NR]){ 1, 2, 9, 4 });
	world_end(w);
}

/* A device has page 2; the program forks, and goes on writing to it. */
static void pin_body(void *state, unsigned body)
{
	struct world *w = state;
	struct quire_pin *device;
	uint8_t byte = 0;

	if (body == 1) {
		scenario_expect(quire_mm_fork(w->mm, &w->children[1]) == 0);
		return;
	}
	scenario_expect(quire_pin_pages(w->mm, BASE + 2 * PAGE, 1,
					QUIRE_PIN_WRITE | QUIRE_PIN_LONGTERM, &device) == 0);
	scenario_expect(put(w->mm, BASE + 2 * PAGE, 9));
	scenario_expect(quire_pin_read(device, 0, &byte, 1) == 0);
	if (byte != 9)
		scenario_fail("the device sees %u, not what was stored after it was pinned",
			      byte);
	quire_unpin(device);
}

/* A pinned page stays writable while fork copies it: the program races with itself. */
#define LOSES_SCENARIO(id, text, kind, alternative, racy, what, bug)                         \
	SCENARIO(id, text, what, 2, struct world, splice_##alternative##_setup, kind##_body, \
		 splice_finish, .finds = bug, .racy_bytes = racy)

LOSES_SCENARIO(folio_splice_kept, "folio-splice-kept", splice, kept, false,
	       "a parent stores while its child holds a page of their folio", NULL);
LOSES_SCENARIO(folio_splice_seen, "folio-splice-seen", splice, seen, false,
	       "the same, folios mapped by one mm being reused: the child sees it", "check");
LOSES_SCENARIO(folio_pin_kept, "folio-pin-kept", pin, kept, true,
	       "a program writes to a folio that a device pinned, and forks", NULL);
LOSES_SCENARIO(folio_pin_lost, "folio-pin-lost", pin, seen, true,
	       "the same, without exclusive marks: the device does not see it", "check");
