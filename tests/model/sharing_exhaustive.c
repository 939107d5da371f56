/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every state that N mms can bring a folio of P pages into, each reached from
 * an unmapped folio by mapping or unmapping runs of pages, breadth first; in each, every
 * answer beside the truth.  The paths to the first false answers are printed:
 * being first, they are shortest.
 *
 * variants: threads_4k threads_tiny
 */
#include "../unit/sharing_world.h"

enum { MAX_MMS = 4, MAX_STATES = 20000, MAX_DEPTH = 64, TABLE = 1 << 16 };

struct node {
	u8 pages[MAX_MMS]; /* that each mm maps: see first_of */
	struct sharing_state folio;
	u32 parent, next;
	u8 depth, mm;      /* mm: of the operation that led here */
	s32 change;
};

struct search {
	const struct sharing_ops *ops;
	unsigned nr_mms, nr_pages, order;
	struct sharing_mm mms[MAX_MMS];
	struct node *nodes;
	u32 *table;        /* index of a node plus 1, by hash */
	u32 nr_nodes;
	u32 false_shared, false_exclusive; /* states */
	u32 first_shared, first_exclusive; /* the first of each */
	u32 slots_over;    /* of mm-ids: a slot that counts more than its mm has */
	bool stop_at_exclusive;
};

/* The sequence counter tells how many updates there were; that is no state. */
static void forget_sequence(const struct search *s, struct sharing_state *folio)
{
	if (s->ops == &sharing_rmap_ids || s->ops == &sharing_rmap_ids_posted)
		folio->tails[0].last = 0;
}

static u32 hash_of(const struct node *node)
{
	u64 words[sizeof(node->folio) / 8], hash = 0;

	memcpy(words, &node->folio, sizeof(words));
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
	for (unsigned i = 0; i < MAX_MMS; i++)
		hash = (hash ^ node->pages[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return (u32)(hash >> 40) % TABLE;
}

static void insert(struct search *s, const struct node *node)
{
	u32 *at = &s->table[hash_of(node)];

	for (u32 i = *at; i != 0; i = s->nodes[i - 1].next)
		if (!memcmp(s->nodes[i - 1].pages, node->pages, sizeof(node->pages)) &&
		    !memcmp(&s->nodes[i - 1].folio, &node->folio, sizeof(node->folio)))
			return;
	if (s->nr_nodes == MAX_STATES)
		fail_msg("%s: more than %d states", s->ops->name, MAX_STATES);
	s->nodes[s->nr_nodes] = *node;
	s->nodes[s->nr_nodes].next = *at;
	*at = ++s->nr_nodes;
}

/* Mms map from the first page up and from the last one down, in turn. */
static u32 first_of(const struct search *s, unsigned mm, s32 has, s32 change)
{
	s32 from = change > 0 ? has : has + change, nr = abs(change);

	return (u32)(mm % 2 == 0 ? from : (s32)s->nr_pages - from - nr);
}

static void expand(struct search *s, u32 from)
{
	for (unsigned mm = 0; mm < s->nr_mms; mm++) {
		s32 has = s->nodes[from].pages[mm];

		for (s32 change = -has; change <= (s32)s->nr_pages - has; change++) {
			struct node node = s->nodes[from];

			if (change == 0)
				continue;
			if (change > 0)
				assert_int_equal(s->ops->map(&node.folio, s->order, &s->mms[mm],
							     first_of(s, mm, has, change),
							     (u32)change), 0);
			else
				s->ops->unmap(&node.folio, s->order, &s->mms[mm],
					      first_of(s, mm, has, change), (u32)-change);
			forget_sequence(s, &node.folio);
			node.pages[mm] = (u8)(has + change);
			node.parent = from;
			node.depth++;
			node.mm = (u8)mm;
			node.change = change;
			insert(s, &node);
		}
	}
}

static void check_slots(struct search *s, const struct node *node)
{
	u64 ids = node->folio.tails[1].words[0], counts = node->folio.tails[1].words[1];

	for (unsigned slot = 0; slot < 2; slot++)
		for (unsigned mm = 0; mm < s->nr_mms; mm++)
			if ((u32)(ids >> (32 * slot) & INT32_MAX) == s->mms[mm].id)
				s->slots_over += (u32)(counts >> (32 * slot)) > node->pages[mm];
}

static void score(struct search *s, u32 at)
{
	const struct node *node = &s->nodes[at];
	unsigned sharers = 0, n = 0;
	bool shared = s->ops->shared(&node->folio, s->order), exclusive = false, missed = false;

	for (unsigned mm = 0; mm < s->nr_mms; mm++) {
		sharers += node->pages[mm] != 0;
		n += node->pages[mm];
	}
	assert_int_equal(s->ops->mapcount(&node->folio), n);
	for (unsigned mm = 0; mm < s->nr_mms; mm++) {
		bool says = node->pages[mm] != 0 &&
			    s->ops->exclusive(&node->folio, s->order, &s->mms[mm]);

		exclusive |= says && sharers > 1;
		missed |= node->pages[mm] != 0 && !says && sharers == 1;
	}
	if (exclusive || (!shared && sharers > 1))
		if (s->false_exclusive++ == 0)
			s->first_exclusive = at;
	if (missed || (shared && sharers <= 1))
		if (s->false_shared++ == 0)
			s->first_shared = at;
	if (s->ops == &sharing_mm_ids)
		check_slots(s, node);
}

/* `ids` NULL: 1, 2, 3, ... */
static void search(struct search *s, const struct sharing_ops *ops, unsigned nr_mms,
		   unsigned nr_pages, const u32 *ids, bool stop_at_exclusive)
{
	struct node *start;

	*s = (struct search){ .ops = ops, .nr_mms = nr_mms, .nr_pages = nr_pages,
			      .order = 2, .nr_nodes = 1,
			      .stop_at_exclusive = stop_at_exclusive };
	s->nodes = calloc(MAX_STATES, sizeof(*s->nodes));
	s->table = calloc(TABLE, sizeof(*s->table));
	assert_true(s->nodes && s->table);
	for (unsigned i = 0; i < nr_mms; i++) {
		s->mms[i].id = ids ? ids[i] : i + 1;
		if (ops->mm_init)
			ops->mm_init(&s->mms[i]);
	}
	start = &s->nodes[0];
	ops->init(&start->folio);
	s->table[hash_of(start)] = 1;
	for (u32 at = 0; at < s->nr_nodes; at++) {
		score(s, at);
		if (s->false_exclusive && s->stop_at_exclusive)
			break;
		expand(s, at);
	}
	free(s->table);
}

static void search_end(struct search *s)
{
	free(s->nodes);
}

static void print_path(const struct search *s, u32 at, const char *what)
{
	u32 path[MAX_DEPTH];
	unsigned depth = s->nodes[at].depth;

	for (unsigned i = depth; i > 0; i--) {
		path[i - 1] = at;
		at = s->nodes[at].parent;
	}
	print_message("%s, %u mms, %u pages: %s after %u operations\n", s->ops->name,
		      s->nr_mms, s->nr_pages, what, depth);
	for (unsigned i = 0; i < depth; i++) {
		const struct node *node = &s->nodes[path[i]];

		print_message("    mm %u %s %d\n", s->mms[node->mm].id,
			      node->change > 0 ? "maps  " : "unmaps", abs(node->change));
	}
}

static const struct { unsigned mms, pages, mm_ids_states; } sizes[] = {
	{ 2, 4, 49 }, { 3, 2, 326 }, { 3, 4, 4552 }, { 4, 3, 10179 },
};

static u32 power(u32 base, unsigned exponent)
{
	return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

static void mm_ids_all_states(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct search s;

		search(&s, &sharing_mm_ids, sizes[i].mms, sizes[i].pages, NULL, false);
		print_message("mm-ids (%u, %u): %u states, %u falsely shared\n", sizes[i].mms,
			      sizes[i].pages, s.nr_nodes, s.false_shared);
		assert_int_equal(s.nr_nodes, sizes[i].mm_ids_states);
		assert_int_equal(s.false_exclusive, 0);
		assert_int_equal(s.slots_over, 0);
		if (sizes[i].mms == 2)
			assert_int_equal(s.false_shared, 0);
		else
			assert_true(s.false_shared > 0);
		if (sizes[i].mms == 3) {
			assert_int_equal(s.nodes[s.first_shared].depth, 5);
			print_path(&s, s.first_shared, "falsely shared");
		}
		search_end(&s);
	}
}

static void expect_exact(const struct sharing_ops *ops, const u32 *ids)
{
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct search s;

		search(&s, ops, sizes[i].mms, sizes[i].pages, ids, false);
		assert_int_equal(s.nr_nodes, power(sizes[i].pages + 1, sizes[i].mms));
		assert_int_equal(s.false_exclusive, 0);
		assert_int_equal(s.false_shared, 0);
		search_end(&s);
	}
}

/* Small ids, neighbours whose sums are equal, and the largest there are. */
static void exact_rivals_never_err(void **state)
{
	static const u32 ids[][MAX_MMS] = {
		{ 1, 2, 3, 4 }, { 2, 1, 3, 5 }, { 1, 4, 6, 9 }, { 1, 0x155555, 0x2aaaaa, 0x3fffff },
		{ 0x3fffff, 0x3ffffe, 0x3ffffd, 1 }, { 0x1fffff, 0x200000, 0x200001, 0x100000 },
	};
	static const u32 wide_ids[MAX_MMS] = { UINT32_MAX, UINT32_MAX - 1, 1u << 31, 1 };

	(void)state;
	for_each_rival(ops, 2)
		for (unsigned i = 0; ops->exact && i < ARRAY_LEN(ids); i++)
			expect_exact(ops, ids[i]);
	expect_exact(&sharing_moments_wide, wide_ids);
}

/* Sound: others that went leave it shared, but never exclusive where it is not. */
static void owner_errs_on_the_safe_side(void **state)
{
	struct search s;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		search(&s, &sharing_owner, sizes[i].mms, sizes[i].pages, NULL, false);
		print_message("owner (%u, %u): %u states, %u falsely shared\n", sizes[i].mms,
			      sizes[i].pages, s.nr_nodes, s.false_shared);
		assert_int_equal(s.false_exclusive, 0);
		assert_int_equal(s.nodes[s.first_shared].depth, 3);
		search_end(&s);
	}
}

/* What is known to be wrong is found, in as few operations as it takes. */
static void unsound_rivals_are_caught(void **state)
{
	static const struct { const struct sharing_ops *ops; unsigned depth; } known[] = {
		{ &sharing_first_subpage, 2 }, { &sharing_total_mapcount, 2 },
		{ &sharing_rmap_ids_posted, 4 },
	};
	struct search s;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
		search(&s, known[i].ops, 3, 2, NULL, true);
		assert_true(s.false_exclusive > 0);
		print_path(&s, s.first_exclusive, "falsely exclusive");
		assert_int_equal(s.nodes[s.first_exclusive].depth, known[i].depth);
		search_end(&s);
	}
}

/* The figures of docs/sharing.md: three mms, four pages. */
static void figures(void **state)
{
	static const struct {
		const struct sharing_ops *ops;
		u32 states, false_shared, false_exclusive;
	} expected[] = {
		{ &sharing_first_subpage, 125, 0, 24 },
		{ &sharing_total_mapcount, 125, 0, 22 },
		{ &sharing_owner, 373, 24, 0 },
		{ &sharing_rmap_ids, 125, 0, 0 },
		{ &sharing_mm_ids, 4552, 45, 0 },
		{ &sharing_moments, 125, 0, 0 },
		{ &sharing_moments_locked, 125, 0, 0 },
		{ &sharing_moments_wide, 125, 0, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(expected); i++) {
		struct search s;

		search(&s, expected[i].ops, 3, 4, NULL, false);
		print_message("%-15s %5u states, %3u falsely shared, %3u falsely exclusive\n",
			      s.ops->name, s.nr_nodes, s.false_shared, s.false_exclusive);
		assert_int_equal(s.nr_nodes, expected[i].states);
		assert_int_equal(s.false_shared, expected[i].false_shared);
		assert_int_equal(s.false_exclusive, expected[i].false_exclusive);
		search_end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mm_ids_all_states),
		cmocka_unit_test(exact_rivals_never_err),
		cmocka_unit_test(owner_errs_on_the_safe_side),
		cmocka_unit_test(unsound_rivals_are_caught),
		cmocka_unit_test(figures),
	};

	return cmocka_run_group_tests(tests, world_attach, world_detach);
}
