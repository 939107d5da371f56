/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The micro-benchmarks of letter 000_fa4b51931d6963d5.txt: what is done to
 * anonymous memory whose folios are mapped page by page (or, "2m", by PMD
 * entries), under each rival and with the decisions beside it.
 *
 * In each round every variant has its turn, in another order each time: an
 * instance of its own, once through all operations to warm up (the memory of
 * an instance comes from the host at first touch), then each operation timed
 * once.  So only one instance is alive at a time, and 1 GiB fits a small machine.
 */
#include "bench/sharing.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include <quire/quire.h>

#include "bench/common.h"

#define PAGE QUIRE_PAGE_SIZE
#define BASE (UINT64_C(1) << 32)
#define WRITE_BYTES 65536u

const struct folio_size folio_sizes[] = {
	{ "4k", 0, false },  { "16k", 2, false }, { "64k", 4, false },
	{ "256k", 6, false }, { "2m-pages", 9, true }, { "2m", 9, false },
};

const struct variant variants[] = {
	{ "moments", "sharing", "moments" },
	{ "-locked", "sharing", "moments-locked" },
	{ "-wide", "sharing", "moments-wide" },
	{ "one-word", "sharing", "one-word" },
	{ "mm-ids", "sharing", "mm-ids" },
	{ "rmap-ids", "sharing", "rmap-ids" },
	{ "owner", "sharing", "owner" },
	{ "total", "sharing", "total-mapcount" },
	{ "by-page", "reuse-scope", "page" },
	{ "per-sub", "nr-mapped", "per-subpage" },
};

_Static_assert(sizeof(folio_sizes) / sizeof(folio_sizes[0]) == NR_FOLIO_SIZES &&
	       sizeof(variants) / sizeof(variants[0]) == NR_VARIANTS, "as in the header");
_Static_assert(QUIRE_PMD_ORDER == 9, "2m is a PMD");

struct side {
	struct quire *q;
	struct quire_mm *mm, *child;
	const struct folio_size *size;
	uint64_t bytes;
	bool failed;
};

static void must(struct side *s, int err)
{
	if (err)
		s->failed = true;
}

/* ---- steps ----------------------------------------------------------------------- */

static uint64_t folio_bytes(const struct side *s)
{
	return PAGE << s->size->order;
}

static void write_byte_per_folio(struct side *s, struct quire_mm *mm)
{
	for (uint64_t at = 0; at < s->bytes; at += folio_bytes(s))
		must(s, quire_touch(mm, BASE + at, QUIRE_TOUCH_WRITE, NULL));
}

static void write_all(struct side *s, struct quire_mm *mm)
{
	static const char bytes[WRITE_BYTES];

	for (uint64_t at = 0; at < s->bytes; at += WRITE_BYTES)
		must(s, quire_write(mm, BASE + at, bytes, WRITE_BYTES, NULL));
}

static void protect_a_page_each(struct side *s, uint32_t prot)
{
	for (uint64_t at = 0; at < s->bytes; at += folio_bytes(s))
		must(s, quire_mprotect(s->mm, BASE + at + folio_bytes(s) / 2, PAGE, prot));
}

/* Fresh memory in folios of the size, mapped as the size says. */
static void fill(struct side *s)
{
	struct quire_mm_stats stats;
	uint64_t got;

	must(s, quire_mmap(s->mm, BASE, s->bytes, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0,
			   &got));
	write_byte_per_folio(s, s->mm);
	if (s->size->by_pages) {
		protect_a_page_each(s, QUIRE_PROT_READ);
		protect_a_page_each(s, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
	}
	/* Each byte written brought in a whole folio. */
	quire_mm_stats(s->mm, &stats);
	if (stats.rss_anon_pages != s->bytes / PAGE)
		s->failed = true;
}

static void drop(struct side *s)
{
	must(s, quire_munmap(s->mm, BASE, s->bytes));
}

static void fork_child(struct side *s)
{
	must(s, quire_mm_fork(s->mm, &s->child));
}

static void exit_child(struct side *s)
{
	if (s->child != NULL)
		quire_mm_put(s->child);
	s->child = NULL;
}

static void fill_and_fork(struct side *s)
{
	fill(s);
	fork_child(s);
}

static void fill_fork_exit(struct side *s)
{
	fill_and_fork(s);
	exit_child(s);
}

static void exit_and_drop(struct side *s)
{
	exit_child(s);
	drop(s);
}

static void nothing(struct side *s)
{
	(void)s;
}

/* ---- operations --------------------------------------------------------------------- */

static void remap(struct side *s)
{
	protect_a_page_each(s, QUIRE_PROT_READ);
}

static void cow(struct side *s)
{
	write_all(s, s->child);
}

static void cow_byte(struct side *s)
{
	write_byte_per_folio(s, s->child);
}

static void reuse(struct side *s)
{
	write_all(s, s->mm);
}

static void reuse_byte(struct side *s)
{
	write_byte_per_folio(s, s->mm);
}

static void dontneed(struct side *s)
{
	must(s, quire_madvise(s->mm, BASE, s->bytes, QUIRE_MADV_DONTNEED));
}

const struct operation operations[] = {
	{ "remap", "PMD entries become page entries: mprotect of a page in each", true },
	{ "munmap", "all of it", false },
	{ "fork", "without the child's exit", false },
	{ "cow", "the child writes all bytes", false },
	{ "cow-byte", "the child writes a byte in each folio", false },
	{ "reuse", "the parent writes all bytes after the child's exit", false },
	{ "reuse-byte", "the parent writes a byte in each folio after that", false },
	{ "dontneed", "all of it", false },
};

static const struct steps {
	void (*prepare)(struct side *s), (*run)(struct side *s), (*clean)(struct side *s);
} steps[] = {
	{ fill, remap, drop },
	{ fill, drop, nothing },
	{ fill, fork_child, exit_and_drop },
	{ fill_and_fork, cow, exit_and_drop },
	{ fill_and_fork, cow_byte, exit_and_drop },
	{ fill_fork_exit, reuse, drop },
	{ fill_fork_exit, reuse_byte, drop },
	{ fill, dontneed, drop },
};

_Static_assert(sizeof(operations) / sizeof(operations[0]) == NR_OPERATIONS &&
	       sizeof(steps) / sizeof(steps[0]) == NR_OPERATIONS, "as in the header");

bool letter_has(unsigned size, unsigned operation, unsigned variant)
{
	const struct folio_size *s = &folio_sizes[size];

	/* Small folios are counted the same way by all. */
	return (!operations[operation].of_leaves || (s->order == QUIRE_PMD_ORDER && !s->by_pages)) &&
	       (s->order != 0 || variant == 0);
}

/* ---- measuring ------------------------------------------------------------------------ */

struct sample {
	double ns;
	double atomics, locks;
};

static int side_begin(struct side *s, const struct variant *variant)
{
	struct quire_config config;
	struct quire_layout layout;
	int err;

	quire_config_default(&config);
	/* The parent's pages, the child's, tables, VMAs; and room for whole folios. */
	config.memory_bytes = 2 * s->bytes + s->bytes / 16 + (UINT64_C(64) << 20);
	config.map_count_max = 1u << 20;
	config.overcommit = QUIRE_OVERCOMMIT_ALWAYS;
	if (s->size->order != 0)
		config.anon_folios[s->size->order] = QUIRE_FOLIOS_ALWAYS;
	err = quire_decisions_set(&config.decisions, variant->row, variant->alternative);
	if (!err)
		err = quire_create(&config, &s->q);
	if (err)
		return err;
	quire_layout_default(&layout);
	err = quire_mm_create(s->q, &layout, &s->mm);
	if (err)
		quire_destroy(s->q, NULL);
	return err;
}

static void side_end(struct side *s)
{
	quire_mm_put(s->mm);
	quire_destroy(s->q, NULL);
}

static struct sample run_once(struct side *s, const struct steps *op)
{
	struct quire_cost before, after;
	double start, end;

	op->prepare(s);
	quire_cost(s->q, &before);
	start = bench_thread_ns();
	op->run(s);
	end = bench_thread_ns();
	quire_cost(s->q, &after);
	op->clean(s);
	return (struct sample){
		.ns = end - start,
		.atomics = (double)(after.atomic_rmw - before.atomic_rmw +
				    after.atomic_rmw16 - before.atomic_rmw16),
		.locks = (double)(after.lock_acquisitions - before.lock_acquisitions),
	};
}

typedef struct sample round_samples[NR_OPERATIONS][NR_VARIANTS];

/* One variant's turn: all operations, twice, of which the second counts. */
static int run_turn(struct letter_figures *f, unsigned size, unsigned variant,
		    round_samples samples)
{
	struct side s = { .size = &folio_sizes[size], .bytes = f->bytes };
	int err = side_begin(&s, &variants[variant]);

	if (err)
		return err;
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned op = 0; op < NR_OPERATIONS && !s.failed; op++)
			if (letter_has(size, op, variant))
				samples[op][variant] = run_once(&s, &steps[op]);
	exit_child(&s);
	side_end(&s);
	return s.failed ? -QUIRE_ENOMEM : 0;
}

static void note_progress(const struct letter_figures *f, unsigned size, unsigned round)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r  folios of %s, round %u of %u   ", folio_sizes[size].name,
			round + 1, f->rounds);
}

static struct figure figure_of(const struct letter_figures *f, round_samples *rounds,
			       unsigned op, unsigned variant)
{
	double ns[SHARING_MAX_ROUNDS], ratio[SHARING_MAX_ROUNDS];
	double pages = (double)(f->bytes / PAGE);
	const struct sample *last = &rounds[f->rounds - 1][op][variant];

	for (unsigned i = 0; i < f->rounds; i++) {
		ns[i] = rounds[i][op][variant].ns / pages;
		ratio[i] = rounds[i][op][variant].ns / rounds[i][op][0].ns;
	}
	return (struct figure){
		.there = true,
		.ns = bench_median(ns, f->rounds),
		.ratio = bench_median(ratio, f->rounds),
		.atomics = f->counted ? last->atomics / pages : NAN,
		.locks = f->counted ? last->locks / pages : NAN,
	};
}

static int measure_size(struct letter_figures *f, unsigned size)
{
	static round_samples rounds[SHARING_MAX_ROUNDS];
	unsigned nr = folio_sizes[size].order == 0 ? 1 : NR_VARIANTS;

	for (unsigned round = 0; round < f->rounds; round++) {
		note_progress(f, size, round);
		for (unsigned i = 0; i < nr; i++) {
			unsigned variant = (i + round) % nr;

			if (run_turn(f, size, variant, rounds[round]) == 0)
				continue;
			fprintf(stderr, "quire bench sharing: folios of %s with %s=%s: no memory\n",
				folio_sizes[size].name, variants[variant].row,
				variants[variant].alternative);
			return -1;
		}
	}
	for (unsigned op = 0; op < NR_OPERATIONS; op++)
		for (unsigned variant = 0; variant < nr; variant++)
			if (letter_has(size, op, variant))
				f->at[size][op][variant] = figure_of(f, rounds, op, variant);
	return 0;
}

int letter_measure(struct letter_figures *figures)
{
	int err = 0;

	figures->counted = quire_counts_costs();
	for (unsigned size = 0; size < NR_FOLIO_SIZES && !err; size++)
		if (figures->wanted[size])
			err = measure_size(figures, size);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
	return err;
}

/* ---- instructions ------------------------------------------------------------------------ */

struct measured_step {
	const struct steps *op;
	struct side *side;
};

static void run_step(void *arg)
{
	struct measured_step *m = arg;

	m->op->run(m->side);
}

/* Which of `nr` names, with `stride` bytes from one to the next, the text begins with;
 * then moves it behind the name and a slash.  -1: none. */
static int take_name(const char **text, const void *names, size_t stride, int nr)
{
	size_t len = strcspn(*text, "/");

	for (int i = 0; i < nr; i++) {
		const char *name = *(const char *const *)(const void *)
					   ((const char *)names + (size_t)i * stride);

		if (strlen(name) != len || strncmp(name, *text, len) != 0)
			continue;
		*text += len + ((*text)[len] == '/');
		return i;
	}
	return -1;
}

int letter_run_row(const char *row, uint64_t bytes)
{
	const char *rest = row;
	int op = take_name(&rest, &operations[0].name, sizeof(operations[0]), NR_OPERATIONS);
	int size = op < 0 ? -1 : take_name(&rest, &folio_sizes[0].name, sizeof(folio_sizes[0]),
					   NR_FOLIO_SIZES);
	int variant = size < 0 ? -1 : take_name(&rest, &variants[0].alternative,
						sizeof(variants[0]), NR_VARIANTS);
	struct side s = { .bytes = bytes };
	struct measured_step measured = { .side = &s };

	if (variant < 0 || *rest != '\0' ||
	    !letter_has((unsigned)size, (unsigned)op, (unsigned)variant))
		return -1;
	s.size = &folio_sizes[size];
	measured.op = &steps[op];
	if (side_begin(&s, &variants[variant]) != 0)
		return -1;
	measured.op->prepare(&s);
	sharing_measured(run_step, &measured);
	measured.op->clean(&s);
	side_end(&s);
	printf("%s %llu\n", row, (unsigned long long)(bytes / PAGE));
	return s.failed ? -1 : 0;
}
