/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs of memory calls, and what a run of one yields.
 *
 * A program is a list of operations in one total order, each made by one of a
 * few processes.  The same program runs on the host kernel (executor.c) and on
 * the core (core.c); afterwards both sides have one result per operation and a
 * list of snapshots, and compare.c looks for the first difference.
 *
 * Shared with the native executor, which has no libc: stdint and the public
 * enums only.  The core's flag values are those of Linux, so one operation
 * means the same on both sides without translation.
 */
#ifndef DIFFERENTIAL_PROGRAM_H
#define DIFFERENTIAL_PROGRAM_H

#include <stdint.h>

#include <quire/file.h>
#include <quire/mm.h>

#define DIFF_PAGE UINT64_C(4096)
#define DIFF_MAX_OPS 1024
#define DIFF_MAX_PROCS 10

/*
 * Operations meet in the arena, 64 pages whose middle is a boundary of every
 * level of the page table.  No part of the native executor lies near it.
 */
#define DIFF_ARENA_MID (UINT64_C(1) << 39)
#define DIFF_ARENA_PAGES 64
#define DIFF_ARENA_START (DIFF_ARENA_MID - DIFF_ARENA_PAGES / 2 * DIFF_PAGE)

/* Programs with huge pages are at work in the few PMD ranges around it. */
#define DIFF_PMD_PAGES 512
#define DIFF_PMD_BYTES (DIFF_PMD_PAGES * DIFF_PAGE)
#define DIFF_WIDE_PAGES (6 * DIFF_PMD_PAGES)
#define DIFF_WIDE_START (DIFF_ARENA_MID - DIFF_WIDE_PAGES / 2 * DIFF_PAGE)

/*        name        fields, in the order they are written and read */
#define DIFF_OP_LIST(X)                                   \
	X(nop, "")                                        \
	X(mmap, "addr len prot flags file off")           \
	X(munmap, "addr len")                             \
	X(mprotect, "addr len prot")                      \
	X(pkey_mprotect, "addr len prot value")           \
	X(mseal, "addr len flags")                        \
	X(mremap, "addr len newlen flags addr2")          \
	X(brk, "addr")                                    \
	X(madvise, "addr len flags")                      \
	X(mlock, "addr len flags")                        \
	X(munlock, "addr len")                            \
	X(mlockall, "flags")                              \
	X(munlockall, "")                                 \
	X(msync, "addr len flags")                        \
	X(mincore, "addr len")                            \
	X(read, "addr len")                               \
	X(write, "addr len value")                        \
	X(exec, "addr")                                   \
	X(truncate, "file len")                           \
	X(pread, "file off")                              \
	X(pwrite, "file off value")                       \
	X(punch, "file off len")                          \
	X(limit, "flags len")                             \
	X(rights, "flags")                                \
	X(fork, "value")                                  \
	X(exit, "")                                       \
	X(look, "addr len flags")                         \
	X(sweep, "addr len")                              \
	X(fill, "addr len value")                         \
	X(scan, "addr len")

enum diff_kind {
#define DIFF_OP_ENUM(name, fields) DIFF_##name,
	DIFF_OP_LIST(DIFF_OP_ENUM)
#undef DIFF_OP_ENUM
	DIFF_NR_KINDS
};

enum diff_base {
	DIFF_ABSOLUTE,
	DIFF_ARENA,  /* from the middle of the arena */
	DIFF_RESULT, /* from what operation `op` returned */
	DIFF_BRK,    /* from where the heap starts */
	DIFF_SPECIAL, /* from the first of the kernel's own pages (vvar, vdso) */
	DIFF_NR_BASES
};

struct diff_addr {
	int64_t offset;
	uint16_t base, op;
};

/* Which limit an operation sets (flags); len: pages, for the first two beyond
 * what is in use at the start, unless they count from 0; DIFF_NO_LIMIT: as it was at
 * the start. */
enum diff_limit { DIFF_LIMIT_AS, DIFF_LIMIT_DATA, DIFF_LIMIT_MEMLOCK, DIFF_LIMIT_STACK,
		  DIFF_NR_LIMITS };
#define DIFF_NO_LIMIT UINT64_C(0xffffffff)
#define DIFF_LIMIT_FROM_0 0x100u
/* What a process may do from now on (flags); at the start nothing of it. */
#define DIFF_RIGHT_LOCK_ANY 1u /* CAP_IPC_LOCK */
#define DIFF_MEMLOCK_PAGES UINT64_C(2048)
#define DIFF_STACK_PAGES UINT64_C(2048)

/* A look is at the pages of a range, or, of length 0, of the arena; with this
 * flag it also reads what is slow to read. */
#define DIFF_LOOK_DEEP 1

/* A read or write is of at most so many bytes. */
#define DIFF_ACCESS_BYTES UINT64_C(16384)
/* exec calls what is at its address if it is this byte, a return; else it is
 * a read. */
#define DIFF_CODE 0xc3

struct diff_op {
	uint8_t kind, who;
	int16_t file; /* a file below, or anything else for none */
	uint32_t prot, flags, value;
	struct diff_addr addr, addr2;
	uint64_t len, newlen, off;
};

/* Handles that programs can map; several may be of one file.  The first of a
 * file says how many pages it has. */
#define DIFF_FILE_LIST(X)                                                              \
	/* file  kind               mode                              pages */         \
	X(0, QUIRE_FILE_MEMORY, QUIRE_FILE_READ | QUIRE_FILE_WRITE, 12)                \
	X(0, QUIRE_FILE_MEMORY, QUIRE_FILE_READ, 0)                                    \
	X(0, QUIRE_FILE_MEMORY, QUIRE_FILE_WRITE, 0)                                   \
	X(1, QUIRE_FILE_MEMORY, QUIRE_FILE_READ | QUIRE_FILE_WRITE, 3)                 \
	X(2, QUIRE_FILE_MEMORY, QUIRE_FILE_READ | QUIRE_FILE_WRITE, 0) /* the guard's */ \
	X(3, QUIRE_FILE_HOST, QUIRE_FILE_READ | QUIRE_FILE_WRITE, 8)                   \
	X(3, QUIRE_FILE_HOST, QUIRE_FILE_READ, 0)
#define DIFF_NR_FILES 7
#define DIFF_NR_CONTENTS 4
#define DIFF_GUARD_FILE 4

/* What one operation did. */
struct diff_result {
	int64_t ret;       /* value, or negative errno */
	uint32_t signal;   /* enum quire_signal */
	uint32_t skipped;  /* its process did not exist */
	uint64_t fault_addr;
	uint64_t data;     /* bytes read, summed; bits or hash of a vector */
	uint64_t faults;   /* that an access took, if it raised no signal */
};

/*
 * A fill writes a word into each page of a range, a scan reads them.  Pages that
 * raise a signal are told apart in `data`; the first gives `signal`.  Behind one
 * the rest of so many (aligned) pages is passed over: signals are slow.
 */
#define DIFF_SIGNAL_STEP_PAGES 16

/* ---- the native executor's share -------------------------------------------- */

#define DIFF_CONTROL_ADDR (UINT64_C(1) << 44)
enum { DIFF_FD_CONTROL = 10, DIFF_FD_LOG = 11, DIFF_FD_FILE0 = 12 };

/*
 * One per job, mapped by the driver and by every native process.  `next` says
 * whose turn it is: the process of that operation alone may write here.
 */
struct diff_control {
	uint32_t go;     /* futex: a new value starts a program; 0: not yet */
	uint32_t ready;  /* futex: the template waits for `go` */
	uint32_t next;   /* futex: operation to be done */
	uint32_t done;   /* futex: every process of the program has ended */
	uint32_t live;   /* processes that still look at this; atomic */
	uint32_t broken; /* the executor itself faulted or failed: line */
	uint32_t nr_ops;
	int32_t exiting; /* pid of a process that ends; to be waited for */
	uint32_t has_pkeys, may_lock_any; /* see native.h */
	uint32_t huge_by_advice; /* memory that asked for huge pages may get them, no other */
	uint8_t alive[DIFF_MAX_PROCS];
	uint64_t brk_start, special_start;
	uint64_t first_free; /* where a one-page mapping lands */
	uint64_t initial_pages, initial_data_pages;
	uint64_t initial_limits[DIFF_NR_LIMITS]; /* bytes; UINT64_MAX: none */
	uint64_t log_bytes;
	struct diff_op ops[DIFF_MAX_OPS];
	struct diff_result results[DIFF_MAX_OPS];
};

enum diff_log_kind {
	DIFF_LOG_MAPS,
	DIFF_LOG_PAGES,   /* the first address, then a word of pagemap for each page */
	DIFF_LOG_REGIONS, /* struct diff_region, behind the pages they are of */
	DIFF_LOG_STATUS,
	DIFF_LOG_SWEEP,
};
struct diff_log_header {
	uint32_t kind, op;
	uint64_t len_bytes;
};
/* What PAGEMAP_SCAN gives: pages that are alike. */
struct diff_region {
	uint64_t start, end, categories;
};
#define DIFF_SCAN_PRESENT (UINT64_C(1) << 3)
#define DIFF_SCAN_ZERO (UINT64_C(1) << 5)
#define DIFF_SCAN_HUGE (UINT64_C(1) << 6)
#define DIFF_LOG_BYTES (UINT64_C(64) << 20)

/* ---- what both sides do alike -------------------------------------------------- */

/* The address an operation means, given the results so far. */
static inline uint64_t diff_resolve(const struct diff_addr *addr, uint64_t brk_start,
				    uint64_t special_start, const struct diff_result *results)
{
	uint64_t base = 0;

	if (addr->base == DIFF_ARENA)
		base = DIFF_ARENA_MID;
	else if (addr->base == DIFF_BRK)
		base = brk_start;
	else if (addr->base == DIFF_SPECIAL)
		base = special_start;
	else if (addr->base == DIFF_RESULT)
		base = results[addr->op].ret > 0 && !results[addr->op].skipped
			       ? (uint64_t)results[addr->op].ret
			       : DIFF_ARENA_MID;
	return base + (uint64_t)addr->offset;
}

/* Byte `i` of what a write operation writes. */
static inline uint8_t diff_write_byte(uint32_t value, uint64_t i)
{
	return (uint8_t)(value + 31 * i + (i >> 8));
}

/* What a read says of its bytes; of one, the byte. */
static inline uint64_t diff_read_sum(const uint8_t *bytes, uint64_t len_bytes)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < len_bytes; i++)
		sum = sum * 1099511628211u + bytes[i];
	return sum;
}

static inline uint64_t diff_hash(uint64_t hash, const void *bytes, uint64_t len_bytes)
{
	const uint64_t *words = bytes;

	for (uint64_t i = 0; i < len_bytes / 8; i++)
		hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15) + (hash >> 29);
	return hash;
}

/* What a look looks at. */
static inline uint64_t diff_look_start(const struct diff_op *op, uint64_t addr)
{
	return op->len ? addr : DIFF_ARENA_START;
}

static inline uint32_t diff_look_pages(const struct diff_op *op)
{
	return op->len ? (uint32_t)(op->len / DIFF_PAGE) : DIFF_ARENA_PAGES;
}

/* Where a scan looks in each page: there most writes go. */
static const uint32_t diff_pieces[] = { 0, 2040, DIFF_PAGE - 16 };
#define DIFF_NR_PIECES 3
#define DIFF_PIECE_BYTES 16

/* Where a fill writes its word in each page, and what in that of index `page`. */
static inline uint64_t diff_fill_offset(const struct diff_op *op)
{
	return diff_pieces[op->value % DIFF_NR_PIECES] +
	       op->value / DIFF_NR_PIECES % (DIFF_PIECE_BYTES / 8) * 8;
}

static inline uint64_t diff_fill_word(const struct diff_op *op, uint64_t page)
{
	return (page + 1) * UINT64_C(0x9e3779b97f4a7c15) + op->value;
}

/* Of a page that a scan read. */
static inline uint64_t diff_scan_digest(uint64_t hash, const uint8_t *page)
{
	for (uint32_t i = 0; i < DIFF_NR_PIECES; i++)
		hash = diff_hash(hash, page + diff_pieces[i], DIFF_PIECE_BYTES);
	return hash + 1;
}

static inline uint64_t diff_hash_signal(uint64_t hash, uint64_t addr, uint32_t signal)
{
	const uint64_t words[] = { addr, signal };

	return diff_hash(hash, words, sizeof(words));
}

/* The page to go on with after one that raised a signal. */
static inline uint64_t diff_after_signal(uint64_t addr)
{
	const uint64_t step = DIFF_SIGNAL_STEP_PAGES * DIFF_PAGE;

	return (addr / step + 1) * step;
}

/* What a sweep says of a page that could not be read. */
static inline uint64_t diff_sweep_signal(uint32_t signal)
{
	return UINT64_C(0xffffffffffffff00) | signal;
}

#endif
