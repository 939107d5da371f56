/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each alternative of reuse-proof can and cannot see, where nothing else
 * happens meanwhile: folios in two tables, references of others, and what may
 * be concluded from it for the reverse map.
 *
 * variants: threads_4k threads_64k
 */
#include "mm/mm.h"
#include "mm_world.h"

enum { ORDER = 4, NR = 1 << ORDER };

#define ELSEWHERE (2 * BASE)

static const struct proof {
	const char *sharing, *name;
	bool two_tables; /* proves a folio that lies in two */
} proofs[] = {
	{ "moments", "count-entries", false },
	{ "moments", "rival", false }, /* never proves anything */
	{ "moments", "double-read", true },
	{ "moments-locked", "rival", true },
	{ "moments-wide", "rival", true },
	{ "mm-ids", "rival", true },
	{ "rmap-ids", "rival", true },
	{ "rmap-ids", "count-entries", false },
	{ "mm-ids", "entries-alone", false },
	{ "one-word", "count-entries", false },
	{ "one-word", "rival", true },
};

#define for_each_proof(p) \
	for (const struct proof *p = proofs; p < proofs + sizeof(proofs) / sizeof(*p); p++)

static bool proves(const struct proof *p)
{
	return strcmp(p->sharing, "moments") != 0 || strcmp(p->name, "rival") != 0;
}

static void begin_with(const struct proof *p)
{
	world_config_default();
	world_decide("sharing", p->sharing);
	world_decide("reuse-proof", p->name);
	world_begin();
	assert_int_equal(quire_set_anon_folios(q, ORDER, QUIRE_FOLIOS_ALWAYS), 0);
	map_anon(BASE, NR);
	put(mm, BASE + 5 * PAGE, 1);
	assert_int_equal(info(mm, BASE).mapcount, NR);
}

/* Page 0 goes to another table; where it was, the VMA is whole again. */
static void move_page_0(void)
{
	uint64_t got;

	assert_int_equal(quire_mremap(mm, BASE, PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, ELSEWHERE,
				      &got), 0);
	map_anon(BASE, 1);
	assert_int_equal(stats(mm).nr_vmas, 2);
}

static void what_lies_in_two_tables(void **state)
{
	(void)state;
	for_each_proof(p) {
		begin_with(p);
		move_page_0();
		quire_mm_put(fork_of(mm));
		put(mm, BASE + PAGE, 4);
		assert_int_equal(stats(mm).cow_reuses, p->two_tables);
		assert_int_equal(stats(mm).cow_copies, !p->two_tables);
		/* What the lock does not guard is left alone. */
		assert_int_equal(info(mm, BASE + 2 * PAGE).writable, p->two_tables);
		assert_false(info(mm, ELSEWHERE).exclusive);
		put(mm, ELSEWHERE, 5);
		assert_int_equal(stats(mm).cow_reuses, 2 * p->two_tables);
		assert_int_equal(get(mm, BASE + 5 * PAGE), 1);
		world_end();
	}
}

/* A write or a read pin gets a copy of what somebody else may read. */
static void one_foreign_reference(void **state)
{
	(void)state;
	for_each_proof(p) {
		struct quire_pin *pipe, *device;
		struct quire_mm *child;

		begin_with(p);
		child = fork_of(mm);
		pipe = pin_pages(child, BASE + 5 * PAGE, 1, QUIRE_PIN_GET_ONLY);
		quire_mm_put(child);
		put(mm, BASE, 2);
		device = pin_pages(mm, BASE + 5 * PAGE, 1, 0);
		put(mm, BASE + 5 * PAGE, 2);
		assert_int_equal(stats(mm).cow_copies, 2);
		assert_int_equal(pin_get(pipe, 0), 1);
		quire_unpin(device);
		quire_unpin(pipe);
		put(mm, BASE + PAGE, 2);
		/* And page 5, which is a copy, by its exclusive mark. */
		assert_int_equal(stats(mm).cow_reuses, 1 + proves(p));
		world_end();
	}
}

static bool count_vma(struct folio *folio, struct vma *vma, u64 addr, void *arg)
{
	unsigned *nr = arg;

	(void)folio;
	(void)addr;
	*nr += vma->mm == (struct mm *)(void *)mm;
	return true;
}

/* VMAs of mm in which a walk of the reverse map looks for the folio. */
static unsigned nr_found(uint64_t pfn)
{
	struct folio *folio = frame_folio(pfn_frame(&q->phys, pfn_make(pfn)));
	unsigned nr = 0;
	const struct rmap_walk walk = { .visit = count_vma, .arg = &nr };

	rmap_walk(&q->rmap, folio, NULL, &walk);
	return nr;
}

/*
 * The child has the folio alone, in two VMAs with an anon_vma each.  Proven or
 * not, neither VMA may take the folio to its own: the other would be lost.
 */
static void both_vmas_go_on_being_found(void **state)
{
	(void)state;
	for_each_proof(p) {
		struct quire_mm *child;
		uint64_t pfn;

		begin_with(p);
		move_page_0();
		child = fork_of(mm);
		quire_mm_put(mm);
		mm = child;
		pfn = info(mm, ELSEWHERE).pfn;
		put(mm, BASE + PAGE, 4);
		assert_int_equal(stats(mm).cow_reuses, p->two_tables);
		assert_int_equal(nr_found(pfn), 2);
		world_end();
	}
}

/*
 * Three address spaces met on the folio; the one that is left, and was in no slot of
 * mm-ids, writes.  Who asks mm-ids first copies what nobody else has.
 */
static void a_vague_rival_costs_only_who_asks(void **state)
{
	static const struct {
		struct proof proof;
		bool reuses;
	} rows[] = {
		{ { "mm-ids", "count-entries", false }, false },
		{ { "mm-ids", "rival", true }, false },
		{ { "mm-ids", "entries-alone", false }, true },
		{ { "moments", "count-entries", false }, true },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct quire_mm *children[2];

		begin_with(&rows[i].proof);
		children[0] = fork_of(mm);
		children[1] = fork_of(mm);
		quire_mm_put(mm);
		quire_mm_put(children[0]);
		mm = children[1];
		put(mm, BASE, 1);
		assert_int_equal(stats(mm).cow_reuses, rows[i].reuses);
		assert_int_equal(stats(mm).cow_copies, !rows[i].reuses);
		world_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lies_in_two_tables),
		cmocka_unit_test(one_foreign_reference),
		cmocka_unit_test(both_vmas_go_on_being_found),
		cmocka_unit_test(a_vague_rival_costs_only_who_asks),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
