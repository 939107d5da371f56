/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `quire bench fork`: the table of letter 004_b20df14de9f2b197.txt, forks by
 * number of VMAs, for each alternative of the fork-tree decision.
 *
 * Three instances live side by side, one per alternative, each with the same
 * VMAs: one page each, no two adjacent, none touched as in the letter (or, with
 * --touched, every second one: then it has an anon_vma and an entry to copy,
 * which is work that no way to duplicate a tree spares).  They take turns, in another order
 * each round, and a time is the median over the rounds of fork and exit of the
 * child.
 *
 * time = t0 + t1 * VMAs is fitted by least squares of relative errors, as the
 * letter's figures fit; `dup` is meant to have a t1 of at most 0.65 of
 * `insert-each`.
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quire/quire.h>

#include "bench/bench.h"
#include "bench/command.h"
#include "bench/common.h"

#define PAGE QUIRE_PAGE_SIZE
#define BASE (UINT64_C(1) << 32)
#define MAX_ROUNDS 1001u

static const char *const trees[] = { "dup", "bulk-store", "insert-each" };
static const unsigned sizes[] = { 21, 121, 221, 421, 821, 1621, 3221, 6421 };

#define NR_TREES (sizeof(trees) / sizeof(trees[0]))
#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

struct side {
	struct quire *q;
	struct quire_mm *mm;
	unsigned nr_vmas;
};

struct fit {
	double t0_ns, t1_ns, worst; /* largest relative error */
};

static int side_begin(struct side *side, const char *tree)
{
	struct quire_config config;
	struct quire_layout layout;

	quire_config_default(&config);
	config.map_count_max = 1u << 20;
	config.memory_bytes = UINT64_C(256) << 20;
	if (quire_decisions_set(&config.decisions, "fork-tree", tree) != 0 ||
	    quire_create(&config, &side->q) != 0)
		return -1;
	quire_layout_default(&layout);
	side->nr_vmas = 0;
	return quire_mm_create(side->q, &layout, &side->mm);
}

static void side_end(struct side *side)
{
	quire_mm_put(side->mm);
	quire_destroy(side->q, NULL);
}

/* As many VMAs as asked for; every second one touched. */
static int side_grow(struct side *side, unsigned nr_vmas, bool touch)
{
	for (; side->nr_vmas < nr_vmas; side->nr_vmas++) {
		uint64_t addr = BASE + 2 * side->nr_vmas * PAGE, got;
		int err = quire_mmap(side->mm, addr, PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				     QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				     NULL, 0, &got);

		if (!err && touch && side->nr_vmas % 2)
			err = quire_touch(side->mm, addr, QUIRE_TOUCH_WRITE, NULL);
		if (err)
			return err;
	}
	return 0;
}

/* One sample: enough forks in a row that the clock is no part of it. */
static double fork_ns(struct side *side)
{
	unsigned nr = 20000 / (side->nr_vmas + 100) + 1;
	double start = bench_now_ns();

	for (unsigned i = 0; i < nr; i++) {
		struct quire_mm *child;

		if (quire_mm_fork(side->mm, &child) != 0)
			return -1;
		quire_mm_put(child);
	}
	return (bench_now_ns() - start) / nr;
}

/* Fills ns[tree] with the median time of a fork at the sides' present size. */
static int measure(struct side *sides, unsigned rounds, double *ns)
{
	static double samples[NR_TREES][MAX_ROUNDS];

	for (unsigned t = 0; t < NR_TREES; t++)
		if (fork_ns(&sides[t]) < 0)
			return -1;
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned t = 0; t < NR_TREES; t++) {
			unsigned turn = (unsigned)((t + r) % NR_TREES);

			samples[turn][r] = fork_ns(&sides[turn]);
			if (samples[turn][r] < 0)
				return -1;
		}
	for (unsigned t = 0; t < NR_TREES; t++)
		ns[t] = bench_median(samples[t], rounds);
	return 0;
}

/* Least squares of (t0 + t1 * n - time) / time. */
static struct fit fit_line(const double *ns, size_t stride)
{
	double s = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
	struct fit fit = { 0, 0, 0 };

	for (size_t i = 0; i < NR_SIZES; i++) {
		double y = ns[i * stride], x = sizes[i], w = 1 / (y * y);

		s += w;
		sx += w * x;
		sy += w * y;
		sxx += w * x * x;
		sxy += w * x * y;
	}
	fit.t1_ns = (s * sxy - sx * sy) / (s * sxx - sx * sx);
	fit.t0_ns = (sy - fit.t1_ns * sx) / s;
	for (size_t i = 0; i < NR_SIZES; i++) {
		double error = fabs(fit.t0_ns + fit.t1_ns * sizes[i] - ns[i * stride]) /
			       ns[i * stride];

		fit.worst = error > fit.worst ? error : fit.worst;
	}
	return fit;
}

static void print_head(const char *what)
{
	printf("%-14s", what);
	for (size_t i = 0; i < NR_SIZES; i++)
		printf(" %8u", sizes[i]);
	printf("   %8s %10s %8s\n", "t0, us", "t1, ns/VMA", "error");
}

/* One line of the table; returns its t1. */
static double print_line(const char *name, const double *ns, size_t stride)
{
	struct fit fit = fit_line(ns, stride);

	printf("%-14s", name);
	for (size_t i = 0; i < NR_SIZES; i++)
		printf(" %8.0f", 1e9 / ns[i * stride]);
	printf("   %8.2f %10.1f %7.1f%%\n", fit.t0_ns / 1000, fit.t1_ns, fit.worst * 100);
	return fit.t1_ns;
}

static void print_table(double ns[NR_SIZES][NR_TREES])
{
	double t1[NR_TREES];

	print_head("forks/s");
	for (size_t t = 0; t < NR_TREES; t++)
		t1[t] = print_line(trees[t], &ns[0][t], NR_TREES);
	printf("t1 of dup / t1 of insert-each: %.2f\n", t1[0] / t1[2]);
}

/*
 * The table of letter 004_b20df14de9f2b197.txt, forks in ten seconds, as a line:
 * the curve that puzzled its author is the fixed cost of a fork, and the dip at
 * 3221 VMAs a slip (forks/s was multiplied by 2323 there instead of 3223).
 */
static void print_letter(void)
{
	static const struct {
		const char *name;
		double forks[NR_SIZES]; /* in ten seconds */
	} rows[] = {
		{ "next-20230921", { 112326, 75469, 54529, 34619, 20750, 11355, 6115, 3183 } },
		{ "with __mt_dup", { 116505, 85971, 67121, 46080, 29722, 16665, 9050, 4805 } },
	};
	double ns[2][NR_SIZES], t1[2];

	print_head("the letter's");
	for (size_t r = 0; r < 2; r++) {
		for (size_t i = 0; i < NR_SIZES; i++)
			ns[r][i] = 10e9 / rows[r].forks[i];
		t1[r] = print_line(rows[r].name, ns[r], 1);
	}
	printf("t1 with / t1 without: %.2f\n", t1[1] / t1[0]);
	for (size_t r = 0; r < 2; r++) {
		printf("%-14s", r ? "VMAs/s, with" : "VMAs/s, next");
		for (size_t i = 0; i < NR_SIZES; i++)
			printf(" %8.0f", 1e9 / ns[r][i] * (sizes[i] + 2));
		printf("\n");
	}
}

static int run(unsigned rounds, bool touch)
{
	struct side sides[NR_TREES];
	double ns[NR_SIZES][NR_TREES];
	unsigned nr_sides = 0;
	int err = 0;

	while (!err && nr_sides < NR_TREES) {
		err = side_begin(&sides[nr_sides], trees[nr_sides]);
		nr_sides += !err;
	}
	for (size_t i = 0; !err && i < NR_SIZES; i++) {
		for (size_t t = 0; !err && t < NR_TREES; t++)
			err = side_grow(&sides[t], sizes[i], touch);
		if (!err)
			err = measure(sides, rounds, ns[i]);
	}
	if (!err)
		print_table(ns);
	while (nr_sides > 0)
		side_end(&sides[--nr_sides]);
	if (err)
		fprintf(stderr, "quire bench fork: a call failed (memory?)\n");
	return err != 0;
}

static const char help_text[] =
	"quire bench fork [--rounds N] [--touched] | --letter\n\n"
	"Forks per second (with the child's exit) by number of VMAs, for each way to\n"
	"duplicate the tree of VMAs, and the line time = t0 + t1 * VMAs through them.\n\n"
	"  --rounds N   samples of each (default 31, at most 1001)\n"
	"  --touched    every second VMA has a page; default: none has\n"
	"  --letter     instead: the same line through the letter's own figures\n"
	"  -h, --help    this text\n"
	"  -V, --version which quire this is\n\n"
	"Examples:\n"
	"  quire bench fork --letter\n"
	"  quire bench fork --rounds 1\n";

int bench_fork(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "touched", no_argument, NULL, 't' },
		{ "letter", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long rounds = 31;
	bool touch = false;
	int option, status;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":hV", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			rounds = strtoul(optarg, NULL, 10);
			break;
		case 't':
			touch = true;
			break;
		case 'l':
			print_letter();
			return 0;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		case 'V':
			return command_version();
		default:
			return command_bad_option("bench fork", argv, option);
		}
	}
	if (rounds == 0 || rounds > MAX_ROUNDS)
		return command_usage_error("bench fork", "--rounds is 1 to %u", MAX_ROUNDS);
	if (quire_attach() != 0) {
		fprintf(stderr, "quire bench fork: no CPU\n");
		return 1;
	}
	status = run((unsigned)rounds, touch);
	quire_detach();
	return status;
}
