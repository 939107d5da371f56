/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tree of tables against a list of the ranges that have one.
 *
 * variants: threads_4k threads_64k threads_tiny explore_tiny
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <quire/testing.h>

#include "dice.h"
#include "pgtable/pgtable.h"

enum { NR_FRAMES = 400, NR_ADDRS = 24 };

static struct phys phys;
static struct pgtable pt;
static u64 nr_free_before;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(phys_init(&phys, NR_FRAMES, 4), 0);
	nr_free_before = phys_nr_free(&phys);
	assert_int_equal(pgtable_init(&pt, &phys, NULL, 1), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(pgtable_fini(&pt), 0);
	assert_int_equal(phys_nr_free(&phys), nr_free_before);
	assert_int_equal(phys_fini(&phys), 0);
	return 0;
}

static void free_tables(u64 addr, u64 end, u64 floor, u64 ceiling)
{
	struct list tables;

	list_init(&tables);
	pgtable_unlink_range(&pt, addr, end, floor, ceiling, &tables);
	while (!list_empty(&tables)) {
		struct table *table = list_first(&tables, struct table, link);

		list_remove(&table->link);
		table_free(&pt, table);
	}
}

/* Tables whose parents are of `level`: each is counted with the first address
 * it serves. */
static u64 tables_below(const u64 *addrs, unsigned nr, unsigned level)
{
	u64 count = 0;

	for (unsigned i = 0; i < nr; i++) {
		bool first = true;

		for (unsigned j = 0; j < i; j++)
			first &= addrs[i] >> QUIRE_LEVEL_SHIFT(level) !=
				 addrs[j] >> QUIRE_LEVEL_SHIFT(level);
		count += first;
	}
	return count;
}

static u64 tables_for(const u64 *addrs, unsigned nr)
{
	u64 count = 0;

	for (unsigned level = 1; level < QUIRE_LEVELS; level++)
		count += tables_below(addrs, nr, level);
	return count;
}

static u64 random_addr(u64 *seed)
{
	dice_next(seed);
	/* Of every size, so that tables are shared at every level. */
	return ((*seed >> 20) % TASK_SIZE >> (*seed >> 9) % QUIRE_VA_BITS) & PAGE_MASK;
}

static void ensures_and_finds(void **state)
{
	u64 addrs[NR_ADDRS], seed = 1;
	struct table *table, *found;
	entry_t *slot;

	(void)state;
	for (unsigned i = 0; i < NR_ADDRS; i++) {
		addrs[i] = random_addr(&seed);
		assert_int_equal(pgtable_ensure(&pt, addrs[i], 0, &slot, &table), 0);
		assert_int_equal(table->level, 0);
		assert_int_equal(table->va, align_down(addrs[i], PMD_SIZE));
		assert_ptr_equal(pgtable_find(&pt, addrs[i], 0, &found), slot);
		assert_ptr_equal(found, table);
		assert_int_equal(pt.table_bytes, tables_for(addrs, i + 1) * PAGE_SIZE);
	}
	assert_int_equal(pt.table_bytes_peak, pt.table_bytes);
	free_tables(0, TASK_SIZE, 0, 0);
	assert_int_equal(pt.table_bytes, 0);
	assert_true(pt.table_bytes_peak > 0);
	assert_null(pgtable_find(&pt, addrs[0], 0, &found));
}

/* Spans visit exactly the slots below existing tables, in order. */
static void spans_cover_what_exists(void **state)
{
	u64 seed = 7, addr, nr_spans = 0, last_end = 0;
	u64 addrs[NR_ADDRS];
	struct table *table;
	struct span span = { 0 };
	entry_t *slot;

	(void)state;
	for (unsigned i = 0; i < NR_ADDRS; i++) {
		addrs[i] = random_addr(&seed);
		assert_int_equal(pgtable_ensure(&pt, addrs[i], 0, &slot, &table), 0);
	}
	for (u64 at = 0; pgtable_next_span(&pt, at, TASK_SIZE, &span); at = span.end) {
		assert_true(span.addr >= last_end && span.addr < span.end);
		assert_int_equal(span.level, 0);
		assert_ptr_equal(pgtable_find(&pt, span.addr, 0, &table), span.slots);
		assert_ptr_equal(table, span.table);
		last_end = span.end;
		nr_spans++;
	}
	for (unsigned i = 0; i < NR_ADDRS; i++) {
		/* A span that begins in the middle, and one cut short. */
		addr = addrs[i];
		assert_true(pgtable_next_span(&pt, addr, addr + PAGE_SIZE, &span));
		assert_int_equal(span.addr, addr);
		assert_int_equal(span.end, addr + PAGE_SIZE);
	}
	assert_int_equal(nr_spans, tables_below(addrs, NR_ADDRS, 1));
	free_tables(0, TASK_SIZE, 0, 0);
	span = (struct span){ 0 };
	assert_false(pgtable_next_span(&pt, 0, TASK_SIZE, &span));
}

/* One span over many ranges answers as a new one for each would. */
static void spans_remember(void **state)
{
	u64 seed = 99, addr = 0;
	struct span kept = { 0 };
	struct table *table;
	entry_t *slot;

	(void)state;
	for (unsigned i = 0; i < NR_ADDRS / 2; i++)
		assert_int_equal(pgtable_ensure(&pt, random_addr(&seed), 0, &slot, &table), 0);
	while (addr < TASK_SIZE) {
		u64 end = u64_min(addr + PAGE_SIZE + random_addr(&seed), TASK_SIZE);
		struct span fresh = { 0 };
		bool found = pgtable_next_span(&pt, addr, end, &fresh);

		assert_int_equal(pgtable_next_span(&pt, addr, end, &kept), found);
		if (found) {
			assert_int_equal(kept.addr, fresh.addr);
			assert_int_equal(kept.end, fresh.end);
			assert_ptr_equal(kept.slots, fresh.slots);
			assert_ptr_equal(kept.table, fresh.table);
		}
		addr = u64_min(end, addr + PAGE_SIZE + random_addr(&seed) / 64 * PAGE_SIZE);
	}
	free_tables(0, TASK_SIZE, 0, 0);
}

/*
 * Two mappings, A and B, whose pages share a table:
 *
 *     |<------- one level 0 table ------->|<----- another ----->|
 *        A                B
 */
static void floor_and_ceiling(void **state)
{
	u64 a = 4 * PMD_SIZE, b = a + PMD_SIZE - PAGE_SIZE;
	u64 all = (u64)(QUIRE_LEVELS - 1) * PAGE_SIZE;
	struct table *table;
	entry_t *slot;

	(void)state;
	assert_int_equal(pgtable_ensure(&pt, a, 0, &slot, &table), 0);
	assert_int_equal(pgtable_ensure(&pt, b, 0, &slot, &table), 0);
	assert_int_equal(pt.table_bytes, all);

	/* B is still mapped above: its start is the ceiling, the table stays. */
	free_tables(a, a + PAGE_SIZE, 0, b);
	assert_int_equal(pt.table_bytes, all);
	/* A is still mapped below. */
	free_tables(b, b + PAGE_SIZE, a + PAGE_SIZE, 0);
	assert_int_equal(pt.table_bytes, all);
	/* Only the table's own span is free: the ones above stay. */
	free_tables(b, b + PAGE_SIZE, a, a + PMD_SIZE);
	assert_int_equal(pt.table_bytes, all - PAGE_SIZE);
	free_tables(b, b + PAGE_SIZE, 0, 0);
	/* The walk that would free them finds them without the one below. */
	assert_int_equal(pt.table_bytes, 0);
}

/* What a failed ensure leaves is empty and goes with the range. */
static void every_allocation_fails(void **state)
{
	u64 addr = 3 * PMD_SIZE;
	struct table *table = NULL;
	entry_t *slot = NULL;

	(void)state;
	for (unsigned n = 1; n < QUIRE_LEVELS; n++) {
		quire_fail_nth(n);
		assert_int_equal(pgtable_ensure(&pt, addr, 0, &slot, &table),
				 -QUIRE_ENOMEM);
		assert_null(slot);
		assert_null(table);
		assert_int_equal(pt.table_bytes, (n - 1) * PAGE_SIZE);
		free_tables(addr, addr + PAGE_SIZE, 0, 0);
		assert_int_equal(pt.table_bytes, 0);
	}
	quire_fail_nth(0);
	assert_int_equal(pgtable_ensure(&pt, addr, 0, &slot, &table), 0);
	free_tables(addr, addr + PAGE_SIZE, 0, 0);
}

/* ---- leaves ---------------------------------------------------------------- */

enum { LEAF_PFN = 1 << 14 }; /* never looked at: no walker runs here */

/* A leaf at `addr`, with its deposit. */
static struct table *make_leaf(u64 addr, u64 bits, entry_t **ret_slot)
{
	struct table *table, *deposit = pgtable_alloc_deposit(&pt);

	assert_non_null(deposit);
	assert_int_equal(pgtable_ensure(&pt, addr, 1, ret_slot, &table), 0);
	assert_int_equal(table->level, 1);
	table_lock(table);
	pgtable_deposit(table, deposit);
	entry_store(*ret_slot, entry_make(pfn_make(LEAF_PFN), bits | QUIRE_ENTRY_LEAF));
	table_unlock(table);
	return table;
}

static void drop_leaf(struct table *table, entry_t *slot)
{
	struct table *deposit;

	table_lock(table);
	entry_take(slot);
	deposit = pgtable_withdraw(table);
	table_unlock(table);
	table_free(&pt, deposit);
}

/* A span finds a leaf, whole or the part that was asked for; nothing below it. */
static void spans_find_leaves(void **state)
{
	u64 addr = 5 * PMD_SIZE, page = addr + PAGE_SIZE;
	struct table *table, *found = NULL;
	struct span span = { 0 };
	entry_t *slot, *below = NULL;

	(void)state;
	table = make_leaf(addr, QUIRE_ENTRY_PRESENT, &slot);
	assert_true(pgtable_next_span(&pt, 0, TASK_SIZE, &span));
	assert_int_equal(span.level, 1);
	assert_int_equal(span.addr, addr);
	assert_int_equal(span.end, addr + PMD_SIZE);
	assert_ptr_equal(span.slots, slot);
	assert_ptr_equal(span.table, table);
	assert_false(pgtable_next_span(&pt, span.end, TASK_SIZE, &span));
	assert_true(pgtable_next_span(&pt, page, page + PAGE_SIZE, &span));
	assert_int_equal(span.addr, page);
	assert_int_equal(span.end, page + PAGE_SIZE);
	assert_ptr_equal(span.slots, slot);

	assert_null(pgtable_find(&pt, page, 0, &found));
	assert_int_equal(pgtable_ensure(&pt, page, 0, &below, &found), -QUIRE_EEXIST);
	assert_null(below);
	drop_leaf(table, slot);
	free_tables(addr, page, 0, 0);
	assert_int_equal(pt.table_bytes, 0);
}

/* Each page's entry says what the leaf said; no memory is needed for it. */
static void split_carries_everything(void **state)
{
	const u64 bits = QUIRE_ENTRY_PRESENT | QUIRE_ENTRY_WRITE | QUIRE_ENTRY_USER |
			 QUIRE_ENTRY_ACCESSED | QUIRE_ENTRY_DIRTY | QUIRE_ENTRY_NX |
			 (UINT64_C(1) << 10) | (UINT64_C(1) << 52);
	u64 addr = 6 * PMD_SIZE, bytes;
	struct table *table, *made, *found;
	entry_t *slot, *slots;

	(void)state;
	for (u32 step = 0; step < 2; step++) {
		table = make_leaf(addr, bits, &slot);
		bytes = pt.table_bytes;
		quire_fail_nth(1);
		table_lock(table);
		made = pgtable_split_leaf(&pt, table, slot, pfn_make(LEAF_PFN), step);
		table_unlock(table);
		quire_fail_nth(0);
		assert_int_equal(made->va, addr);
		assert_int_equal(made->level, 0);
		assert_int_equal(pt.table_bytes, bytes);
		assert_int_equal(pgtable_nr_deposited(table), 0);
		assert_ptr_equal(pgtable_find(&pt, addr, 0, &found), table_slots(&pt, made));
		assert_ptr_equal(found, made);
		slots = table_slots(&pt, made);
		for (u64 i = 0; i < QUIRE_TABLE_ENTRIES; i++) {
			entry_t e = entry_take(&slots[i]);

			assert_int_equal(entry_pfn(e).v, LEAF_PFN + i * step);
			assert_int_equal(e.v & ~QUIRE_ENTRY_PFN_MASK, bits);
		}
		free_tables(addr, addr + PMD_SIZE, 0, 0);
		assert_int_equal(pt.table_bytes, 0);
	}
}

/* As many deposits as leaves, one of them split, the others dropped. */
static void deposits_are_counted(void **state)
{
	enum { NR = 3 };
	u64 addr = 0; /* one level 1 table serves these */
	struct table *table = NULL;
	entry_t *slots[NR];

	(void)state;
	for (unsigned i = 0; i < NR; i++) {
		table = make_leaf(addr + i * PMD_SIZE, QUIRE_ENTRY_PROTNONE, &slots[i]);
		assert_int_equal(pgtable_nr_deposited(table), i + 1);
		assert_int_equal(pt.table_bytes, (QUIRE_LEVELS - 2 + i + 1) * PAGE_SIZE);
	}
	assert_int_equal(pt.table_bytes_peak, pt.table_bytes);
	table_lock(table);
	pgtable_split_leaf(&pt, table, slots[1], pfn_make(LEAF_PFN), 1);
	table_unlock(table);
	assert_int_equal(pgtable_nr_deposited(table), NR - 1);
	drop_leaf(table, slots[0]);
	drop_leaf(table, slots[2]);
	for (unsigned i = 0; i < QUIRE_TABLE_ENTRIES; i++)
		entry_take(table_slots(&pt, entry_table(&pt, entry_load(slots[1]))) + i);
	free_tables(addr, addr + NR * PMD_SIZE, 0, 0);
	assert_int_equal(pt.table_bytes, 0);

	quire_fail_nth(1);
	assert_null(pgtable_alloc_deposit(&pt));
	quire_fail_nth(0);
	assert_int_equal(pt.table_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ensures_and_finds, setup, teardown),
		cmocka_unit_test_setup_teardown(spans_cover_what_exists, setup, teardown),
		cmocka_unit_test_setup_teardown(spans_remember, setup, teardown),
		cmocka_unit_test_setup_teardown(floor_and_ceiling, setup, teardown),
		cmocka_unit_test_setup_teardown(every_allocation_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(spans_find_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(split_carries_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(deposits_are_counted, setup, teardown),
	};

	assert_int_equal(mach_attach(), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
