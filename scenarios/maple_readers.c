/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers of the maple tree beside a writer: what node.h of core/tree promises
 * under R1 to R5, on leaves of four slots.
 *
 * Two entries are always there, at 10 to 19 and at 90 to 99; index 80 is never
 * used.  What the writer stores in between says by its value where it belongs,
 * so a reader can tell a torn tree from one that is merely changing.
 */
#include "scenarios/scenario.h"
#include "sync/rcu.h"
#include "tree/maple.h"

struct maple_world {
	struct phys phys;
	struct objcache nodes;
	struct maple_tree tree;
	u64 first; /* of the range that is appended */
};

/* An entry stored over [first, last], both below 128. */
static void *entry_of(u64 first, u64 last)
{
	return (void *)(uintptr_t)((1u << 20) | first << 10 | last << 2);
}

static void expect_entry(const void *entry, u64 first, u64 last)
{
	u64 value = (uintptr_t)entry;

	scenario_expect(value >> 20 == 1);
	scenario_expect(((value >> 10) & 127) <= first);
	scenario_expect(((value >> 2) & 127) >= last);
}

static void store(struct maple_world *w, u64 first, u64 last)
{
	struct maple_cursor cur = maple_cursor(&w->tree, first, last);

	scenario_expect(maple_store(&cur, entry_of(first, last)) == 0);
}

static void erase(struct maple_world *w, u64 index)
{
	struct maple_cursor cur = maple_cursor(&w->tree, index, index);

	scenario_expect(maple_erase(&cur, NULL) == 0);
}

static int maple_world_begin(struct maple_world *w, u32 flags)
{
	int ret = phys_init(&w->phys, 256, SCENARIO_INSTANCE_CPUS(3));

	if (ret)
		return ret;
	ret = objcache_init(&w->nodes, &w->phys, "maple", maple_node_bytes(),
			    maple_node_align_bytes());
	if (ret) {
		phys_fini(&w->phys);
		return ret;
	}
	maple_init(&w->tree, &w->nodes, flags);
	scenario_name(&w->tree, sizeof(w->tree), 0, "tree");
	scenario_name(&w->nodes, sizeof(w->nodes), 0, "node cache");
	return 0;
}

static void maple_finish(void *state)
{
	struct maple_world *w = state;

	maple_check(&w->tree);
	maple_destroy(&w->tree);
	mach_rcu_barrier();
	scenario_expect_no_leak(objcache_fini(&w->nodes), "nodes");
	scenario_expect_no_leak(phys_fini(&w->phys), "frames");
}

/* ---- readers ---------------------------------------------------------------------- */

static void look_at(struct maple_world *w, u64 index)
{
	struct maple_cursor cur = maple_cursor(&w->tree, index, index);
	void *entry = maple_walk(&cur);

	scenario_expect(cur.first <= index && index <= cur.last);
	if (entry)
		expect_entry(entry, cur.first, cur.last);
	entry = maple_load(&w->tree, index);
	if (entry)
		expect_entry(entry, index, index);
}

static void read_up(struct maple_world *w)
{
	struct maple_cursor cur = maple_cursor(&w->tree, 0, 0);
	void *entry = maple_find(&cur, 127);
	u64 last;

	scenario_expect(entry == entry_of(10, 19));
	for (;;) {
		last = cur.last;
		entry = maple_next(&cur, 127);
		scenario_expect(entry != NULL);
		expect_entry(entry, cur.first, cur.last);
		scenario_expect(cur.last > last);
		if (entry == entry_of(90, 99))
			return;
	}
}

static void read_down(struct maple_world *w)
{
	struct maple_cursor cur = maple_cursor(&w->tree, 110, 110);
	void *entry;

	scenario_expect(maple_walk(&cur) == NULL);
	do {
		u64 first = cur.first;

		entry = maple_prev(&cur, 0);
		scenario_expect(entry != NULL);
		expect_entry(entry, cur.first, cur.last);
		scenario_expect(cur.first < first);
	} while (entry != entry_of(10, 19));
}

static void read_holes(struct maple_world *w)
{
	struct maple_cursor cur = maple_cursor(&w->tree, 0, 0);

	scenario_expect(maple_empty_area(&cur, 80, 127, 1) == 0);
	scenario_expect(cur.first == 80);
	scenario_expect(maple_empty_area_rev(&cur, 0, 80, 1) == 0);
	scenario_expect(cur.first == 80);
}

static void read_all(struct maple_world *w, unsigned body)
{
	rcu_read_lock();
	if (body == 1) {
		read_up(w);
		look_at(w, 45);
	} else {
		read_down(w);
		read_holes(w);
		look_at(w, 20);
	}
	rcu_read_unlock();
}

/* ---- the last hole is cut in place -------------------------------------------------- */

/*
 * Entries of two indexes up to 12, so many that the new slot is one that a
 * search looks at first: leaves have 16 slots or 4.
 */
static int append_setup_at(void *state, u64 first)
{
	struct maple_world *w = state;
	u64 nr = QUIRE_MAPLE_SLOTS == 16 ? 6 : 1;
	int ret = maple_world_begin(w, MAPLE_GAPS | MAPLE_RCU);

	w->first = first;
	for (u64 i = 0; !ret && i < nr; i++)
		store(w, i == 0 ? 0 : 13 - (nr - i) * 2, 12 - (nr - i - 1) * 2);
	return ret;
}

/* A hole is left before the new entry and behind it. */
static int maple_append_setup(void *state)
{
	return append_setup_at(state, 20);
}

/* It takes the slot of the hole itself. */
static int maple_append_next_setup(void *state)
{
	return append_setup_at(state, 13);
}

static void maple_append_body(void *state, unsigned body)
{
	struct maple_world *w = state;
	struct maple_cursor cur = maple_cursor(&w->tree, 40, 40);
	void *entry;

	if (body == 0) {
		store(w, w->first, 29);
		return;
	}
	rcu_read_lock();
	look_at(w, body == 1 ? 24 : 13);
	/* From behind back to what is being stored, or before it. */
	scenario_expect(maple_walk(&cur) == NULL);
	scenario_expect(cur.first == 13 || cur.first == w->first || cur.first == 30);
	entry = maple_prev(&cur, 0);
	scenario_expect(entry != NULL);
	expect_entry(entry, cur.first, cur.last);
	if (cur.last == 12)
		entry = maple_next(&cur, 127);
	else
		scenario_expect(cur.first == w->first && cur.last == 29);
	if (entry)
		expect_entry(entry, cur.first, cur.last);
	rcu_read_unlock();
}

const struct scenario scenario_maple_append = {
	.name = "maple-append",
	.shows = "a hole of a leaf is cut and filled in place under two readers",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct maple_world),
	.setup = maple_append_setup,
	.body = maple_append_body,
	.finish = maple_finish,
};

const struct scenario scenario_maple_append_next = {
	.name = "maple-append-next",
	.shows = "the same, the new entry right behind another",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct maple_world),
	.setup = maple_append_next_setup,
	.body = maple_append_body,
	.finish = maple_finish,
};

/* ---- leaves are copied, split and joined --------------------------------------------- */

static int maple_readers_setup_with(void *state, u32 flags)
{
	struct maple_world *w = state;
	int ret = maple_world_begin(w, flags);

	if (ret)
		return ret;
	store(w, 10, 19);
	store(w, 90, 99);
	store(w, 30, 39);
	return 0;
}

static int maple_readers_setup(void *state)
{
	return maple_readers_setup_with(state, MAPLE_GAPS | MAPLE_RCU);
}

static int maple_without_rcu_setup(void *state)
{
	return maple_readers_setup_with(state, MAPLE_GAPS);
}

static void maple_readers_body(void *state, unsigned body)
{
	struct maple_world *w = state;

	if (body > 0) {
		read_all(w, body);
		return;
	}
	store(w, 50, 54); /* splits a leaf */
	store(w, 35, 52); /* over parts of two entries */
	erase(w, 40);
	erase(w, 30);     /* joins leaves again */
}

const struct scenario scenario_maple_readers = {
	.name = "maple-readers",
	.shows = "two readers walk the tree up and down while leaves split and join",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct maple_world),
	.setup = maple_readers_setup,
	.body = maple_readers_body,
	.finish = maple_finish,
};

/* ---- one store over many leaves -------------------------------------------------------- */

static int maple_wide_setup(void *state)
{
	struct maple_world *w = state;
	int ret = maple_readers_setup(state);

	for (u64 at = 22; !ret && at < 80; at += 4)
		store(w, at, at + 1);
	return ret;
}

static void maple_wide_body(void *state, unsigned body)
{
	struct maple_world *w = state;

	if (body > 0) {
		read_all(w, body);
		return;
	}
	store(w, 23, 70); /* whole subtrees go */
	store(w, 40, 44);
}

const struct scenario scenario_maple_wide = {
	.name = "maple-wide",
	.shows = "two readers walk the tree while one store replaces most of its leaves",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct maple_world),
	.setup = maple_wide_setup,
	.body = maple_wide_body,
	.finish = maple_finish,
};

/* CVE-2023-3269: the tree of an address space was not in RCU mode. */
const struct scenario scenario_maple_without_rcu = {
	.name = "maple-without-rcu",
	.shows = "the same with nodes freed at once: a reader may be in one",
	.finds = "use-after-free",
	.nr_bodies = 3,
	.state_bytes = sizeof(struct maple_world),
	.setup = maple_without_rcu_setup,
	.body = maple_readers_body,
	.finish = maple_finish,
};
