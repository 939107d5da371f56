/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of `quire bench ops`: see ops.c; those of large folios are in ops_large.c. */
#ifndef BENCH_OPS_H
#define BENCH_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <quire/quire.h>

#define PAGE QUIRE_PAGE_SIZE
#define CORE_BASE (UINT64_C(1) << 32)
#define NR_LARGE 8u /* PMD-sized mappings, each with as much room behind it */

struct bench {
	struct quire *q;
	struct quire_mm *mm, *child;
	char *host;          /* where the host's side has its pages */
	uint64_t host_bytes;
	pid_t host_child;
	int host_pipe[2];
	pid_t host_server;
	int to_host, from_host;
	uint64_t fork_pages; /* of the rows about large forks */
	uint64_t fork_vmas;
	bool failed;
};

typedef void ops_step_fn(struct bench *b);

enum ops_per { PER_CALL, PER_PAGE, PER_LARGE_PAGE, PER_VMA, PER_FOLIO, PER_FOLIO_PAGE };

enum ops_needs { NEEDS_NOTHING, NEEDS_ZERO_PAGE, NEEDS_HUGE_PAGES };

struct ops_row {
	const char *name, *what;
	enum ops_per per;
	ops_step_fn *core_prepare, *core, *core_clean;
	ops_step_fn *host_prepare, *host, *host_clean;
	enum ops_needs needs; /* of the host, to be the same thing on both sides */
};

extern const struct ops_row ops_large_rows[];
extern const size_t nr_ops_large_rows;

/* Steps and their parts that rows of both files have. */
void ops_must(struct bench *b, int err);
void ops_core_map(struct bench *b, uint64_t addr, uint64_t nr_pages);
ops_step_fn ops_core_fork_exit;
ops_step_fn ops_nothing;
void ops_host_map_bytes(struct bench *b, uint64_t bytes);
ops_step_fn ops_host_fork_exit;
ops_step_fn ops_host_unmap;

#endif
