/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `quire bench ops`: what faults, copies, unmaps, protections and forks cost,
 * in the core alone and, in the same run, in the host's kernel through system
 * calls and real faults.
 *
 * Each row is a small program written twice, against the core (core_*) and
 * against the host (host_*): prepare, the operation that is timed, clean up.
 * The two sides take turns, core first and host first alternately; printed are
 * the medians and the median of the ratios of the pairs.  Machines are noisy
 * and differ: the ratio is what the table is for.
 *
 * The two sides do not do the same: the host's figures include entering the
 * kernel, and for fork a new task as well; the core's include the walk of its
 * software MMU before and after a fault.
 *
 * `--row NAME` runs the core's side alone, under ops_measured(), which is what
 * scripts/callgrind-ops counts the instructions of.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/command.h"
#include "bench/common.h"
#include "bench/ops.h"
#include "host/host.h"

#define NR_PAGES 256u   /* of the rows that say so */
/* Of bare metal a fault is well below a microsecond; with two-dimensional paging
 * one or two. */
#define DEAR_FAULT_US 5.0
#define MAX_ROUNDS 1000u

/* ---- the core's side ------------------------------------------------------------ */

void ops_must(struct bench *b, int err)
{
	if (err)
		b->failed = true;
}

void ops_core_map(struct bench *b, uint64_t addr, uint64_t nr_pages)
{
	uint64_t got;

	ops_must(b, quire_mmap(b->mm, addr, nr_pages * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0,
			   &got));
}

static void core_touch(struct bench *b, enum quire_touch kind, uint64_t nr_pages)
{
	for (uint64_t i = 0; i < nr_pages; i++)
		ops_must(b, quire_touch(b->mm, CORE_BASE + i * PAGE, kind, NULL));
}

static void core_map_pages(struct bench *b)
{
	ops_core_map(b, CORE_BASE, NR_PAGES);
}

static void core_unmap_pages(struct bench *b)
{
	ops_must(b, quire_munmap(b->mm, CORE_BASE, NR_PAGES * PAGE));
}

static void core_write_pages(struct bench *b)
{
	core_touch(b, QUIRE_TOUCH_WRITE, NR_PAGES);
}

static void core_read_pages(struct bench *b)
{
	core_touch(b, QUIRE_TOUCH_READ, NR_PAGES);
}

static void core_map_written(struct bench *b)
{
	core_map_pages(b);
	core_write_pages(b);
}

static void core_map_read(struct bench *b)
{
	core_map_pages(b);
	core_read_pages(b);
}

static void core_fork(struct bench *b)
{
	ops_must(b, quire_mm_fork(b->mm, &b->child));
}

static void core_exit_child(struct bench *b)
{
	quire_mm_put(b->child);
}

static void core_map_shared_by_child(struct bench *b)
{
	core_map_written(b);
	core_fork(b);
}

static void core_drop_child_and_pages(struct bench *b)
{
	core_exit_child(b);
	core_unmap_pages(b);
}

static void core_map_left_by_child(struct bench *b)
{
	core_map_shared_by_child(b);
	core_exit_child(b);
}

static void core_protect(struct bench *b, uint64_t first, uint64_t nr_pages, uint32_t prot)
{
	ops_must(b, quire_mprotect(b->mm, CORE_BASE + first * PAGE, nr_pages * PAGE, prot));
}

static void core_protect_pages(struct bench *b)
{
	core_protect(b, 0, NR_PAGES, QUIRE_PROT_READ);
}

static void core_map_protected(struct bench *b)
{
	core_map_written(b);
	core_protect_pages(b);
}

static void core_unprotect_pages(struct bench *b)
{
	core_protect(b, 0, NR_PAGES, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
}

static void core_dontneed(struct bench *b)
{
	ops_must(b, quire_madvise(b->mm, CORE_BASE, NR_PAGES * PAGE, QUIRE_MADV_DONTNEED));
}

void ops_nothing(struct bench *b)
{
	(void)b;
}

/* Every second place, so that no two of the mappings become one. */
static void core_map_singles(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		ops_core_map(b, CORE_BASE + 2 * i * PAGE, 1);
}

static void core_unmap_singles(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		ops_must(b, quire_munmap(b->mm, CORE_BASE + 2 * i * PAGE, PAGE));
}

static void core_map_triples(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		ops_core_map(b, CORE_BASE + 4 * i * PAGE, 3);
}

static void core_split(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		core_protect(b, 4 * i + 1, 1, QUIRE_PROT_READ);
}

static void core_map_split(struct bench *b)
{
	core_map_triples(b);
	core_split(b);
}

static void core_merge(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		core_protect(b, 4 * i + 1, 1, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
}

static void core_unmap_triples(struct bench *b)
{
	ops_must(b, quire_munmap(b->mm, CORE_BASE, 4 * NR_PAGES * PAGE));
}

static void core_map_large(struct bench *b)
{
	ops_core_map(b, CORE_BASE, b->fork_pages);
	core_touch(b, QUIRE_TOUCH_WRITE, b->fork_pages);
}

static void core_unmap_large(struct bench *b)
{
	ops_must(b, quire_munmap(b->mm, CORE_BASE, b->fork_pages * PAGE));
}

void ops_core_fork_exit(struct bench *b)
{
	core_fork(b);
	core_exit_child(b);
}

static void core_map_many(struct bench *b)
{
	for (uint64_t i = 0; i < b->fork_vmas; i++)
		ops_core_map(b, CORE_BASE + 2 * i * PAGE, 1);
}

static void core_map_many_touched(struct bench *b)
{
	core_map_many(b);
	for (uint64_t i = 0; i < b->fork_vmas; i += 2)
		ops_must(b, quire_touch(b->mm, CORE_BASE + 2 * i * PAGE, QUIRE_TOUCH_WRITE, NULL));
}

static void core_unmap_many(struct bench *b)
{
	ops_must(b, quire_munmap(b->mm, CORE_BASE, 2 * b->fork_vmas * PAGE));
}

/* ---- the host's side -------------------------------------------------------------- */

void ops_host_map_bytes(struct bench *b, uint64_t bytes)
{
	b->host_bytes = bytes;
	b->host = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->host == MAP_FAILED) {
		b->host = NULL;
		b->failed = true;
	}
}

void ops_host_unmap(struct bench *b)
{
	if (b->host != NULL)
		ops_must(b, munmap(b->host, b->host_bytes));
	b->host = NULL;
}

static void host_touch(struct bench *b, bool write, uint64_t nr_pages)
{
	for (uint64_t i = 0; b->host != NULL && i < nr_pages; i++) {
		volatile char *byte = b->host + i * PAGE;

		if (write)
			*byte = 1;
		else
			(void)*byte;
	}
}

static void host_map_pages(struct bench *b)
{
	ops_host_map_bytes(b, NR_PAGES * PAGE);
}

static void host_write_pages(struct bench *b)
{
	host_touch(b, true, NR_PAGES);
}

static void host_read_pages(struct bench *b)
{
	host_touch(b, false, NR_PAGES);
}

static void host_map_written(struct bench *b)
{
	host_map_pages(b);
	host_write_pages(b);
}

static void host_map_read(struct bench *b)
{
	host_map_pages(b);
	host_read_pages(b);
}

/* A child that waits until the pipe is closed. */
static void host_fork_waiting(struct bench *b)
{
	char byte;

	if (pipe(b->host_pipe) != 0) {
		b->failed = true;
		return;
	}
	b->host_child = fork();
	if (b->host_child == 0) {
		close(b->host_pipe[1]);
		_exit(read(b->host_pipe[0], &byte, 1) < 0);
	}
	close(b->host_pipe[0]);
	if (b->host_child < 0)
		b->failed = true;
}

static void host_end_child(struct bench *b)
{
	close(b->host_pipe[1]);
	if (b->host_child > 0 && waitpid(b->host_child, NULL, 0) < 0)
		b->failed = true;
}

void ops_host_fork_exit(struct bench *b)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	if (child < 0 || waitpid(child, NULL, 0) < 0)
		b->failed = true;
}

static void host_map_shared_by_child(struct bench *b)
{
	host_map_written(b);
	host_fork_waiting(b);
}

static void host_drop_child_and_pages(struct bench *b)
{
	host_end_child(b);
	ops_host_unmap(b);
}

static void host_map_left_by_child(struct bench *b)
{
	host_map_written(b);
	ops_host_fork_exit(b);
}

static void host_protect(struct bench *b, uint64_t first, uint64_t nr_pages, int prot)
{
	ops_must(b, mprotect(b->host + first * PAGE, nr_pages * PAGE, prot));
}

static void host_protect_pages(struct bench *b)
{
	host_protect(b, 0, NR_PAGES, PROT_READ);
}

static void host_map_protected(struct bench *b)
{
	host_map_written(b);
	host_protect_pages(b);
}

static void host_unprotect_pages(struct bench *b)
{
	host_protect(b, 0, NR_PAGES, PROT_READ | PROT_WRITE);
}

static void host_dontneed(struct bench *b)
{
	ops_must(b, madvise(b->host, NR_PAGES * PAGE, MADV_DONTNEED));
}

/* Places for single mappings: reserved once, emptied, filled one by one. */
static void host_reserve(struct bench *b)
{
	ops_host_map_bytes(b, 2 * NR_PAGES * PAGE);
	ops_must(b, munmap(b->host, b->host_bytes));
}

static void host_map_single(struct bench *b, uint64_t page)
{
	if (mmap(b->host + page * PAGE, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		b->failed = true;
}

static void host_map_singles(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		host_map_single(b, 2 * i);
}

static void host_reserve_singles(struct bench *b)
{
	host_reserve(b);
	host_map_singles(b);
}

static void host_unmap_singles(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		ops_must(b, munmap(b->host + 2 * i * PAGE, PAGE));
}

static void host_nothing(struct bench *b)
{
	b->host = NULL;
}

static void host_map_triples(struct bench *b)
{
	ops_host_map_bytes(b, 4 * NR_PAGES * PAGE);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		ops_must(b, munmap(b->host + (4 * i + 3) * PAGE, PAGE));
}

static void host_split(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		host_protect(b, 4 * i + 1, 1, PROT_READ);
}

static void host_map_split(struct bench *b)
{
	host_map_triples(b);
	host_split(b);
}

static void host_merge(struct bench *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++)
		host_protect(b, 4 * i + 1, 1, PROT_READ | PROT_WRITE);
}

static void host_map_large(struct bench *b)
{
	ops_host_map_bytes(b, b->fork_pages * PAGE);
	host_touch(b, true, b->fork_pages);
}

static void host_map_many(struct bench *b)
{
	ops_host_map_bytes(b, 2 * b->fork_vmas * PAGE);
	for (uint64_t i = 0; i < b->fork_vmas; i++)
		ops_must(b, munmap(b->host + (2 * i + 1) * PAGE, PAGE));
}

static void host_map_many_touched(struct bench *b)
{
	host_map_many(b);
	for (uint64_t i = 0; b->host != NULL && i < b->fork_vmas; i += 2)
		*(volatile char *)(b->host + 2 * i * PAGE) = 1;
}

/* ---- the rows ------------------------------------------------------------------------ */

static const struct ops_row rows[] = {
	{ "write-fault", "anonymous page written first", PER_PAGE, core_map_pages,
	  core_write_pages, core_unmap_pages, host_map_pages, host_write_pages, ops_host_unmap, NEEDS_NOTHING },
	{ "zero-read", "anonymous page read first", PER_PAGE, core_map_pages, core_read_pages,
	  core_unmap_pages, host_map_pages, host_read_pages, ops_host_unmap, NEEDS_NOTHING },
	{ "zero-write", "zero page written", PER_PAGE, core_map_read, core_write_pages,
	  core_unmap_pages, host_map_read, host_write_pages, ops_host_unmap, NEEDS_ZERO_PAGE },
	{ "cow-copy", "page copied on write", PER_PAGE, core_map_shared_by_child,
	  core_write_pages, core_drop_child_and_pages, host_map_shared_by_child,
	  host_write_pages, host_drop_child_and_pages, NEEDS_NOTHING },
	{ "cow-reuse", "page reused after the child's exit", PER_PAGE, core_map_left_by_child,
	  core_write_pages, core_unmap_pages, host_map_left_by_child, host_write_pages,
	  ops_host_unmap, NEEDS_NOTHING },
	{ "munmap", "touched memory unmapped, per page of 256", PER_PAGE, core_map_written,
	  core_unmap_pages, ops_nothing, host_map_written, ops_host_unmap, host_nothing, NEEDS_NOTHING },
	{ "dontneed", "touched memory dropped, per page of 256", PER_PAGE, core_map_written,
	  core_dontneed, core_unmap_pages, host_map_written, host_dontneed, ops_host_unmap, NEEDS_NOTHING },
	{ "protect", "256 touched pages made read-only", PER_CALL, core_map_written,
	  core_protect_pages, core_unmap_pages, host_map_written, host_protect_pages,
	  ops_host_unmap, NEEDS_NOTHING },
	{ "unprotect", "256 touched pages made writable again", PER_CALL, core_map_protected,
	  core_unprotect_pages, core_unmap_pages, host_map_protected, host_unprotect_pages,
	  ops_host_unmap, NEEDS_NOTHING },
	{ "mmap-one", "one page mapped", PER_PAGE, ops_nothing, core_map_singles,
	  core_unmap_singles, host_reserve, host_map_singles, ops_host_unmap, NEEDS_NOTHING },
	{ "munmap-one", "one untouched page unmapped", PER_PAGE, core_map_singles,
	  core_unmap_singles, ops_nothing, host_reserve_singles, host_unmap_singles,
	  host_nothing, NEEDS_NOTHING },
	{ "split", "mprotect that splits a VMA in three", PER_PAGE, core_map_triples,
	  core_split, core_unmap_triples, host_map_triples, host_split, ops_host_unmap, NEEDS_NOTHING },
	{ "merge", "mprotect that makes three VMAs one", PER_PAGE, core_map_split, core_merge,
	  core_unmap_triples, host_map_split, host_merge, ops_host_unmap, NEEDS_NOTHING },
	{ "fork-page", "fork and exit, per touched page of one large VMA", PER_LARGE_PAGE,
	  core_map_large, ops_core_fork_exit, core_unmap_large, host_map_large,
	  ops_host_fork_exit, ops_host_unmap, NEEDS_NOTHING },
	{ "fork-vma", "fork and exit, per untouched VMA", PER_VMA, core_map_many,
	  ops_core_fork_exit, core_unmap_many, host_map_many, ops_host_fork_exit,
	  ops_host_unmap, NEEDS_NOTHING },
	{ "fork-vma-touched", "fork and exit, per VMA, every second one touched", PER_VMA,
	  core_map_many_touched, ops_core_fork_exit, core_unmap_many, host_map_many_touched,
	  ops_host_fork_exit, ops_host_unmap, NEEDS_NOTHING },
};

#define NR_SMALL_ROWS (sizeof(rows) / sizeof(rows[0]))

static size_t nr_rows(void)
{
	return NR_SMALL_ROWS + nr_ops_large_rows;
}

static const struct ops_row *row_at(size_t nth)
{
	return nth < NR_SMALL_ROWS ? &rows[nth] : &ops_large_rows[nth - NR_SMALL_ROWS];
}

static uint64_t row_units(const struct bench *b, const struct ops_row *row)
{
	switch (row->per) {
	case PER_CALL:
		return 1;
	case PER_PAGE:
		return NR_PAGES;
	case PER_LARGE_PAGE:
		return b->fork_pages;
	case PER_FOLIO:
		return NR_LARGE;
	case PER_FOLIO_PAGE:
		return (uint64_t)NR_LARGE << QUIRE_PMD_ORDER;
	default:
		return b->fork_vmas;
	}
}

/* ---- measuring ------------------------------------------------------------------------ */

/* The operation, and nothing else: what callgrind counts. */
__attribute__((noinline)) void ops_measured(ops_step_fn *step, struct bench *b);
__attribute__((noinline)) void ops_measured(ops_step_fn *step, struct bench *b)
{
	step(b);
	__asm__ volatile("" ::: "memory");
}

static double time_side(struct bench *b, ops_step_fn *prepare, ops_step_fn *step,
			ops_step_fn *clean)
{
	double start, end;

	prepare(b);
	start = bench_now_ns();
	ops_measured(step, b);
	end = bench_now_ns();
	clean(b);
	return end - start;
}

static double time_core(struct bench *b, const struct ops_row *row)
{
	return time_side(b, row->core_prepare, row->core, row->core_clean);
}

/*
 * The host's side is measured in a process of its own, made before the
 * instance was: a fork of this one would copy the tables of the core's memory
 * too.  It takes the number of a row and answers with its time.
 */
static void serve_host(struct bench *b, int from, int to)
{
	size_t row;

	/* The host must not answer with huge pages what the core answers with
	 * small ones. */
	while (read(from, &row, sizeof(row)) == (ssize_t)sizeof(row)) {
		const struct ops_row *r = row_at(row);
		double ns;

		prctl(PR_SET_THP_DISABLE, row < NR_SMALL_ROWS, 0, 0, 0);
		ns = time_side(b, r->host_prepare, r->host, r->host_clean);
		if (b->failed)
			ns = -1;
		if (write(to, &ns, sizeof(ns)) != (ssize_t)sizeof(ns))
			break;
	}
	_exit(0);
}

static int host_begin(struct bench *b)
{
	int there[2], back[2];

	if (pipe(there) != 0 || pipe(back) != 0)
		return -1;
	b->host_server = fork();
	if (b->host_server < 0)
		return -1;
	if (b->host_server == 0) {
		close(there[1]);
		close(back[0]);
		serve_host(b, there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	b->to_host = there[1];
	b->from_host = back[0];
	return 0;
}

static void host_end(struct bench *b)
{
	close(b->to_host);
	close(b->from_host);
	waitpid(b->host_server, NULL, 0);
}

static double time_host(struct bench *b, size_t nth)
{
	double ns = -1;

	if (write(b->to_host, &nth, sizeof(nth)) != (ssize_t)sizeof(nth) ||
	    read(b->from_host, &ns, sizeof(ns)) != (ssize_t)sizeof(ns) || ns < 0)
		b->failed = true;
	return ns;
}

/* Large forks take longer: fewer rounds of them. */
static unsigned row_rounds(const struct ops_row *row, unsigned rounds)
{
	unsigned fewer = row->per == PER_LARGE_PAGE || row->per == PER_VMA ? rounds / 8 : rounds;

	return fewer < 3 ? 3 : fewer;
}

static void measure_row(struct bench *b, size_t nth, unsigned all_rounds)
{
	const struct ops_row *row = row_at(nth);
	static double core[MAX_ROUNDS], host[MAX_ROUNDS], ratio[MAX_ROUNDS];
	unsigned rounds = row_rounds(row, all_rounds);
	double units = (double)row_units(b, row);

	/* Once each before it counts: memory, caches, code. */
	time_core(b, row);
	time_host(b, nth);
	for (unsigned i = 0; i < rounds; i++) {
		if (i % 2) {
			host[i] = time_host(b, nth);
			core[i] = time_core(b, row);
		} else {
			core[i] = time_core(b, row);
			host[i] = time_host(b, nth);
		}
		ratio[i] = core[i] / host[i];
	}
	printf("%-18s %10.1f %10.1f %7.2f   %s\n", row->name, bench_median(core, rounds) / units,
	       bench_median(host, rounds) / units, bench_median(ratio, rounds), row->what);
	fflush(stdout);
}

static int begin(struct bench *b, const struct host *host,
		 const struct quire_decisions *decisions)
{
	struct quire_config config;
	struct quire_layout layout;
	int err;

	quire_config_default(&config);
	/* The parent's pages, the child's tables, and some to spare. */
	config.memory_bytes = (b->fork_pages + b->fork_pages / 64 + 16384) * PAGE;
	config.map_count_max = 1u << 20;
	config.decisions = *decisions;
	config.zero_page = host_or(host, HOST_zero_page, 1) != 0;
	err = quire_create(&config, &b->q);
	if (err)
		return err;
	quire_layout_default(&layout);
	return quire_mm_create(b->q, &layout, &b->mm);
}

/* Is the row the same thing on this host as in the core? */
static bool row_is_fair(const struct ops_row *row, const struct host *host)
{
	switch (row->needs) {
	case NEEDS_ZERO_PAGE:
		return host_or(host, HOST_zero_page, 1) != 0;
	case NEEDS_HUGE_PAGES:
		return host_or(host, HOST_thp, HOST_THP_NEVER) != HOST_THP_NEVER;
	default:
		return true;
	}
}

/* What must be known of the host to believe its column. */
static void print_host(const struct host *host)
{
	double fault_us = (double)host_or(host, HOST_fault_ns, 0) / 1000.0;
	bool left_out = false;

	printf("\nhost: Linux %s; a first write to a page takes %.1f us\n", host->kernel, fault_us);
	if (fault_us > DEAR_FAULT_US)
		printf("Its faults are dear, as in a guest under shadow page tables: ratios of rows with\n"
		       "faults flatter the core.\n");
	for (size_t i = 0; i < nr_rows(); i++) {
		if (row_is_fair(row_at(i), host))
			continue;
		printf("%s%s", left_out ? ", " : "left out, as this host does another thing there: ",
		       row_at(i)->name);
		left_out = true;
	}
	if (left_out)
		printf("\n");
}

static const struct ops_row *row_of(const char *name)
{
	for (size_t i = 0; i < nr_rows(); i++)
		if (strcmp(row_at(i)->name, name) == 0)
			return row_at(i);
	return NULL;
}

static int run(struct bench *b, const struct host *host, const char *only, unsigned rounds)
{
	const struct ops_row *row = only != NULL ? row_of(only) : NULL;

	if (only != NULL && row == NULL) {
		fprintf(stderr, "quire bench ops: there is no row '%s'\n", only);
		return 2;
	}
	if (row != NULL) {
		for (unsigned i = 0; i < rounds && !b->failed; i++)
			time_core(b, row);
		printf("%s %u rounds of %" PRIu64 "\n", row->name, rounds, row_units(b, row));
	} else {
		printf("%-18s %10s %10s %7s\n", "row", "core ns", "host ns", "ratio");
		for (size_t i = 0; i < nr_rows() && !b->failed; i++)
			if (row_is_fair(row_at(i), host))
				measure_row(b, i, rounds);
		print_host(host);
	}
	if (b->failed)
		fprintf(stderr, "quire bench ops: a call failed (memory?)\n");
	return b->failed;
}

struct arguments {
	unsigned long rounds;
	uint64_t fork_pages, fork_vmas;
	const char *only; /* a row, or NULL */
	struct quire_decisions decisions;
};

static const char help_text[] =
	"quire bench ops [--rounds N] [--pages N] [--vmas N] [--decide ROW=ALTERNATIVE] [--row NAME]\n\n"
	"What operations on memory cost in the core alone and, in the same run, in the\n"
	"host's kernel: nanoseconds per unit (medians) and the median ratio.\n\n"
	"  --rounds N    pairs of measurements for each row (default 101, at most 1000)\n"
	"  --pages N     touched pages of the large fork (default 262144: 1 GiB)\n"
	"  --vmas N      VMAs of the forks of many (default 6400)\n"
	"  -d, --decide R=A\n"
	"                the core's alternative A for the decision R\n"
	"  --row NAME    the core's side of one row only, for callgrind\n"
	"  -h, --help     this text\n"
	"  -V, --version  which quire this is\n\n"
	"Examples:\n"
	"  quire bench ops --rounds 3 --pages 512 --vmas 50\n"
	"  quire bench ops --row fork-vma --rounds 1 --vmas 50\n";

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *args)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "pages", required_argument, NULL, 'p' },
		{ "vmas", required_argument, NULL, 'v' },
		{ "decide", required_argument, NULL, 'd' },
		{ "row", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":d:hV", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			args->rounds = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			args->fork_pages = strtoul(optarg, NULL, 10);
			break;
		case 'v':
			args->fork_vmas = strtoul(optarg, NULL, 10);
			break;
		case 'd':
			if (bench_decide("quire bench ops", optarg, &args->decisions) != 0)
				return 2;
			break;
		case 'o':
			args->only = optarg;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		case 'V':
			return command_version();
		default:
			return command_bad_option("bench ops", argv, option);
		}
	}
	if (args->rounds > 0 && args->rounds <= MAX_ROUNDS && args->fork_pages > 0 &&
	    args->fork_vmas > 0)
		return -1;
	return command_usage_error("bench ops", "--rounds is 1 to %u, --pages and --vmas at least 1",
				   MAX_ROUNDS);
}

int bench_ops(int argc, char **argv)
{
	struct arguments args = { .rounds = 101, .fork_pages = UINT64_C(1) << 18,
				  .fork_vmas = 6400 };
	struct bench b = { 0 };
	struct host host;
	int status;

	quire_decisions_default(&args.decisions);
	status = parse(argc, argv, &args);
	if (status >= 0)
		return status;
	b.fork_pages = args.fork_pages;
	b.fork_vmas = args.fork_vmas;
	host_probe(&host);
	if ((args.only == NULL && host_begin(&b) != 0) || quire_attach() != 0 ||
	    begin(&b, &host, &args.decisions) != 0) {
		fprintf(stderr, "quire bench ops: no memory\n");
		return 1;
	}
	status = run(&b, &host, args.only, (unsigned)args.rounds);
	quire_mm_put(b.mm);
	quire_destroy(b.q, NULL);
	quire_detach();
	if (args.only == NULL)
		host_end(&b);
	return status;
}
