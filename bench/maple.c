/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `quire bench maple`: what each operation of the maple tree costs.
 *
 * The rows and sizes are those in which Linux 6.16's tree was measured: ranges
 * of one page each, adjacent (in the gap rows two free pages behind each), RCU
 * mode with gaps, no locks, one thread.  Nodes come from our object cache.
 *
 * Each row prepares its tree, then runs under maple_measured(), which is what
 * is timed and what scripts/callgrind-maple counts the instructions of.  The
 * freeing of nodes after a grace period is another thread's and not counted.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quire/machine.h>

#include "bench/bench.h"
#include "bench/command.h"
#include "phys/objcache.h"
#include "tree/maple.h"

#define PAGE 4096u
#define HOLE_NEAR (2 * PAGE)
#define HOLE_FAR (64 * PAGE)
#define RUN_START (UINT64_C(1024) * PAGE)
#define PHYS_BYTES (UINT64_C(256) << 20)
#define NODES_AT_HAND 24u

struct bench {
	struct phys phys;
	struct objcache nodes;
	struct maple_tree tree, copy;
	u64 nr;        /* ranges */
	u64 stride;    /* from one range to the next, bytes */
	u32 *order;    /* a random permutation of the ranges */
	u64 sum;       /* keeps results alive */
	bool failed;
};

static void *entry_of(u64 i)
{
	return (void *)(uintptr_t)((i + 1) << 3);
}

static u64 range_first(const struct bench *b, u64 i)
{
	return RUN_START + i * b->stride;
}

static void store(struct bench *b, u64 i, void *entry)
{
	u64 first = range_first(b, i);
	struct maple_cursor cur = maple_cursor(&b->tree, first, first + PAGE - 1);

	if (maple_store(&cur, entry) != 0)
		b->failed = true;
}

/* ---- what is measured ---------------------------------------------------------- */

static void op_store_sequential(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++)
		store(b, i, entry_of(i));
}

static void op_store_random(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++)
		store(b, b->order[i], entry_of(b->order[i]));
}

static void op_overwrite(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++)
		store(b, b->order[i], entry_of(b->order[i] + b->nr));
}

static void op_load(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++)
		b->sum += (uintptr_t)maple_load(&b->tree,
						range_first(b, b->order[i]) + PAGE / 2);
}

static void op_find(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++) {
		u64 at = range_first(b, b->order[i]) + PAGE / 2;
		struct maple_cursor cur = maple_cursor(&b->tree, at, at);

		b->sum += (uintptr_t)maple_find(&cur, UINT64_MAX);
	}
}

static void op_iterate(struct bench *b)
{
	struct maple_cursor cur = maple_cursor(&b->tree, 0, 0);
	void *entry;

	maple_for_each(&cur, entry, UINT64_MAX)
		b->sum += (uintptr_t)entry;
}

static void op_erase(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++) {
		u64 first = range_first(b, b->order[i]);
		struct maple_cursor cur = maple_cursor(&b->tree, first, first);

		if (maple_erase(&cur, NULL) != 0)
			b->failed = true;
	}
}

static void op_gap_below_near(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++) {
		struct maple_cursor cur = maple_cursor(&b->tree, 0, 0);

		if (maple_empty_area(&cur, range_first(b, b->order[i]), UINT64_MAX,
				     HOLE_NEAR) != 0)
			b->failed = true;
		b->sum += cur.first;
	}
}

static void op_gap_above_near(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++) {
		struct maple_cursor cur = maple_cursor(&b->tree, 0, 0);

		if (maple_empty_area_rev(&cur, 0, range_first(b, b->order[i]) + PAGE - 1,
					 HOLE_NEAR) != 0)
			b->failed = true;
		b->sum += cur.first;
	}
}

static void op_gap_below_far(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++) {
		struct maple_cursor cur = maple_cursor(&b->tree, 0, 0);

		if (maple_empty_area(&cur, range_first(b, b->order[i]), UINT64_MAX,
				     HOLE_FAR) != 0)
			b->failed = true;
		b->sum += cur.first;
	}
}

static void op_gap_above_far(struct bench *b)
{
	for (u64 i = 0; i < b->nr; i++) {
		struct maple_cursor cur = maple_cursor(&b->tree, 0, 0);

		if (maple_empty_area_rev(&cur, 0, range_first(b, b->order[i]) + PAGE - 1,
					 HOLE_FAR) != 0)
			b->failed = true;
		b->sum += cur.first;
	}
}

static void op_bulk_store(struct bench *b)
{
	struct maple_bulk bulk;

	if (maple_bulk_begin(&bulk, &b->tree, b->nr) != 0) {
		b->failed = true;
		return;
	}
	for (u64 i = 0; i < b->nr; i++)
		maple_bulk_store(&bulk, range_first(b, i), range_first(b, i) + PAGE - 1,
				 entry_of(i));
	maple_bulk_end(&bulk);
}

static void op_dup(struct bench *b)
{
	if (maple_dup(&b->tree, &b->copy) != 0)
		b->failed = true;
}

static void op_dup_replace(struct bench *b)
{
	struct maple_cursor cur = maple_cursor(&b->copy, 0, 0);
	void *entry;

	op_dup(b);
	maple_for_each(&cur, entry, UINT64_MAX)
		maple_replace(&cur, (char *)entry + 8);
}

NOINLINE static void maple_measured(void (*op)(struct bench *), struct bench *b)
{
	op(b);
	__asm__ volatile("" ::: "memory"); /* no tail call: the name must be seen */
}

/* ---- rows ----------------------------------------------------------------------- */

enum before { EMPTY, FULL };

static const struct row {
	const char *name;
	void (*op)(struct bench *);
	enum before before;
	u32 hole; /* behind each range */
} rows[] = {
	{ "store-sequential", op_store_sequential, EMPTY, 0 },
	{ "store-random", op_store_random, EMPTY, 0 },
	{ "overwrite", op_overwrite, FULL, 0 },
	{ "load", op_load, FULL, 0 },
	{ "find", op_find, FULL, 0 },
	{ "iterate", op_iterate, FULL, 0 },
	{ "erase", op_erase, FULL, 0 },
	{ "gap-below-near", op_gap_below_near, FULL, HOLE_NEAR },
	{ "gap-above-near", op_gap_above_near, FULL, HOLE_NEAR },
	{ "gap-below-far", op_gap_below_far, FULL, HOLE_NEAR },
	{ "gap-above-far", op_gap_above_far, FULL, HOLE_NEAR },
	{ "bulk-store", op_bulk_store, EMPTY, 0 },
	{ "dup", op_dup, FULL, 0 },
	{ "dup-replace", op_dup_replace, FULL, 0 },
};

static const u64 sizes[] = { 21, 121, 221, 421, 821, 1621, 3221, 6421, 100000 };

/* NULL: there is none. */
static const struct row *find_row(const char *name)
{
	for (unsigned r = 0; name != NULL && r < ARRAY_LEN(rows); r++)
		if (strcmp(name, rows[r].name) == 0)
			return &rows[r];
	return NULL;
}

static void shuffle(struct bench *b)
{
	u64 seed = UINT64_C(88172645463325252);

	for (u64 i = 0; i < b->nr; i++)
		b->order[i] = (u32)i;
	for (u64 i = b->nr; i-- > 1;) {
		u64 k;
		u32 kept = b->order[i];

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		k = seed % (i + 1);
		b->order[i] = b->order[k];
		b->order[k] = kept;
	}
}

/*
 * No node waits for a grace period any more, and this CPU has some free ones
 * at hand, as it has in a program that has been running for a while.
 */
static void settle(struct bench *b)
{
	void *nodes[NODES_AT_HAND];

	mach_rcu_barrier();
	if (objcache_alloc_bulk(&b->nodes, NODES_AT_HAND, nodes) != 0)
		b->failed = true;
	else
		objcache_free_bulk(&b->nodes, NODES_AT_HAND, nodes);
}

static void prepare(struct bench *b, const struct row *row)
{
	b->stride = PAGE + row->hole;
	maple_init(&b->tree, &b->nodes, MAPLE_GAPS | MAPLE_RCU);
	maple_init(&b->copy, &b->nodes, MAPLE_GAPS | MAPLE_RCU);
	if (row->before == FULL)
		op_store_sequential(b);
	settle(b);
}

/* No reader is left, so the nodes need not wait for a grace period. */
static void clear(struct bench *b)
{
	maple_set_rcu(&b->tree, false);
	maple_set_rcu(&b->copy, false);
	maple_destroy(&b->tree);
	maple_destroy(&b->copy);
	mach_rcu_barrier();
}

/* Nanoseconds of one run of the row. */
static u64 run_once(struct bench *b, const struct row *row)
{
	u64 start, end;

	prepare(b, row);
	start = mach_now_ns();
	maple_measured(row->op, b);
	end = mach_now_ns();
	clear(b);
	return end - start;
}

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Median nanoseconds per range; the first run only warms up. */
static double run_row(struct bench *b, const struct row *row, u64 repeat)
{
	u64 *times = calloc(repeat, sizeof(*times));
	double median;

	if (times == NULL) {
		b->failed = true;
		return 0;
	}
	prepare(b, row);
	row->op(b);
	clear(b);
	for (u64 i = 0; i < repeat; i++)
		times[i] = run_once(b, row);
	qsort(times, repeat, sizeof(*times), compare_u64);
	median = (double)times[repeat / 2] / (double)b->nr;
	free(times);
	return median;
}

/* Entries per node after sequential stores. */
static double density(struct bench *b, u64 *ret_nodes)
{
	struct maple_stats stats;

	prepare(b, &rows[0]);
	op_store_sequential(b);
	maple_stats(&b->tree, &stats);
	clear(b);
	*ret_nodes = stats.nr_nodes;
	return (double)stats.nr_entries / (double)stats.nr_nodes;
}

/*
 * Median nanoseconds of duplicating one tree again and again: like
 * plain_copy(), with both sides in the caches as far as they fit.
 */
static double dup_again(struct bench *b, u64 repeat)
{
	u64 *times = calloc(repeat, sizeof(*times));
	double median = 0;

	prepare(b, find_row("dup"));
	for (u64 i = 0; times != NULL && i < repeat; i++) {
		u64 start = mach_now_ns();

		op_dup(b);
		times[i] = mach_now_ns() - start;
		maple_set_rcu(&b->copy, false);
		maple_destroy(&b->copy);
		maple_set_rcu(&b->copy, true);
	}
	clear(b);
	if (times == NULL) {
		b->failed = true;
		return 0;
	}
	qsort(times, repeat, sizeof(*times), compare_u64);
	median = (double)times[repeat / 2];
	free(times);
	return median;
}

/* Median nanoseconds of copying as many bytes as the nodes have. */
static double plain_copy(u64 bytes, u64 repeat)
{
	char *from = malloc(bytes), *to = malloc(bytes);
	u64 *times = calloc(repeat, sizeof(*times));
	double median = 0;

	if (from != NULL && to != NULL && times != NULL) {
		memset(from, 1, bytes);
		memset(to, 2, bytes);
		for (u64 i = 0; i < repeat; i++) {
			u64 start = mach_now_ns();

			memcpy(to, from, bytes);
			__asm__ volatile("" ::"r"(to) : "memory");
			times[i] = mach_now_ns() - start;
		}
		qsort(times, repeat, sizeof(*times), compare_u64);
		median = (double)times[repeat / 2];
	}
	free(from);
	free(to);
	free(times);
	return median;
}

static u64 repeats_for(u64 nr)
{
	return nr >= 20000 ? 9 : 200000 / nr + 1;
}

static int bench_create(struct bench *b, u64 nr)
{
	*b = (struct bench){ .nr = nr, .stride = PAGE };
	b->order = calloc(nr, sizeof(*b->order));
	if (b->order == NULL)
		return -QUIRE_ENOMEM;
	shuffle(b);
	if (phys_init(&b->phys, PHYS_BYTES >> PAGE_SHIFT, 1) != 0)
		goto free_order;
	if (objcache_init(&b->nodes, &b->phys, "maple", maple_node_bytes(),
			  maple_node_align_bytes()) == 0)
		return 0;
	phys_fini(&b->phys);
free_order:
	free(b->order);
	return -QUIRE_ENOMEM;
}

static void bench_destroy(struct bench *b)
{
	objcache_fini(&b->nodes);
	phys_fini(&b->phys);
	free(b->order);
}

/* ---- tables ---------------------------------------------------------------------- */

static bool print_row(const struct row *row)
{
	printf("%-17s", row->name);
	for (unsigned s = 0; s < ARRAY_LEN(sizes); s++) {
		struct bench b;

		if (bench_create(&b, sizes[s]) != 0)
			return false;
		printf(" %8.1f", run_row(&b, row, repeats_for(sizes[s])));
		fflush(stdout);
		bench_destroy(&b);
		if (b.failed)
			return false;
	}
	printf("\n");
	return true;
}

static bool print_density(void)
{
	double copy[ARRAY_LEN(sizes)];

	printf("%-17s", "entries per node");
	for (unsigned s = 0; s < ARRAY_LEN(sizes); s++) {
		u64 nr_nodes, repeat = repeats_for(sizes[s]);
		struct bench b;

		if (bench_create(&b, sizes[s]) != 0)
			return false;
		printf(" %8.1f", density(&b, &nr_nodes));
		fflush(stdout);
		copy[s] = dup_again(&b, repeat) /
			  plain_copy(nr_nodes * maple_node_bytes(), repeat);
		bench_destroy(&b);
		if (b.failed)
			return false;
	}
	printf("\n%-17s", "dup / plain copy");
	for (unsigned s = 0; s < ARRAY_LEN(sizes); s++)
		printf(" %8.2f", copy[s]);
	printf("\n");
	return true;
}

static int print_all(void)
{
	bool ok = true;

	printf("nanoseconds per range (median), by number of ranges\n%-17s", "");
	for (unsigned s = 0; s < ARRAY_LEN(sizes); s++)
		printf(" %8" PRIu64, sizes[s]);
	printf("\n");
	for (unsigned r = 0; ok && r < ARRAY_LEN(rows); r++)
		ok = print_row(&rows[r]);
	ok = ok && print_density();
	if (!ok)
		fprintf(stderr, "quire bench maple: out of memory\n");
	return ok ? 0 : 1;
}

static int print_one(const struct row *row, u64 nr, u64 repeat)
{
	struct bench b;
	double ns;

	if (bench_create(&b, nr) != 0) {
		fprintf(stderr, "quire bench maple: out of memory\n");
		return 1;
	}
	ns = run_row(&b, row, repeat);
	bench_destroy(&b);
	if (b.failed) {
		fprintf(stderr, "quire bench maple: out of memory\n");
		return 1;
	}
	printf("%s, %" PRIu64 " ranges, %" PRIu64 " times: %.1f ns per range\n", row->name,
	       nr, repeat, ns);
	return 0;
}

static const char help_text[] =
	"quire bench maple [--row NAME --size N --repeat R]\n\n"
	"Without options: every row at every size, the density after sequential\n"
	"stores, and duplication beside a plain copy of the same bytes.\n"
	"With --row: that row alone, N ranges (1621), R times (1).\n"
	"Instructions per range: scripts/callgrind-maple.\n\n"
	"  --row NAME     one of the rows below\n"
	"  --size N       ranges in the tree, 1 to 1000000\n"
	"  --repeat R     how often, 1 to 1000000\n"
	"  -h, --help     this text\n"
	"  -V, --version  which quire this is\n\nRows:\n";

static const char examples[] =
	"\nExamples:\n"
	"  quire bench maple --row dup --size 100\n"
	"  quire bench maple --row dup --size 1621 --repeat 10\n";

static int print_help(void)
{
	fputs(help_text, stdout);
	for (unsigned r = 0; r < ARRAY_LEN(rows); r++)
		printf("  %s\n", rows[r].name);
	fputs(examples, stdout);
	return 0;
}

static bool parse_number(const char *text, u64 max, u64 *ret)
{
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return false;
	*ret = strtoull(text, &end, 10);
	return *end == '\0' && *ret != 0 && *ret <= max;
}

static int run_arguments(int argc, char **argv)
{
	const struct row *row = NULL;
	u64 nr = 1621, repeat = 1;

	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--row") == 0) {
			row = find_row(value);
			if (row == NULL)
				return command_usage_error("bench maple", "there is no row '%s'",
							   value ? value : "");
		} else if (strcmp(argv[i], "--size") == 0) {
			if (!parse_number(value, 1000000, &nr))
				return command_usage_error("bench maple", "--size is 1 to 1000000");
		} else if (strcmp(argv[i], "--repeat") == 0) {
			if (!parse_number(value, 1000000, &repeat))
				return command_usage_error("bench maple", "--repeat is 1 to 1000000");
		} else {
			return command_usage_error("bench maple", "there is no option '%s'",
						   argv[i]);
		}
	}
	if (row == NULL && argc > 1)
		return command_usage_error("bench maple", "--size and --repeat need --row");
	return row != NULL ? print_one(row, nr, repeat) : print_all();
}

int bench_maple(int argc, char **argv)
{
	int status;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_help();
	if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
		return command_version();
	if (mach_attach() != 0) {
		fprintf(stderr, "quire bench maple: no CPU of the machine is free\n");
		return 1;
	}
	status = run_arguments(argc, argv);
	mach_detach();
	return status;
}
