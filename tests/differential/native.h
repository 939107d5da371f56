/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver's side of the native executor.
 */
#ifndef DIFFERENTIAL_NATIVE_H
#define DIFFERENTIAL_NATIVE_H

#include "outcome.h"

enum layout_kind { LAYOUT_FILE, LAYOUT_ANON, LAYOUT_STACK, LAYOUT_SPECIAL };

#define LAYOUT_MAX_MAPS 32

/* Huge pages as the host is set up. */
struct diff_huge {
	bool known;      /* memory that asks for them gets them, and no other does */
	uint32_t orders; /* bit n: memory that asks for it gets folios of order n */
	bool zero_page;
	uint32_t max_ptes_none, max_ptes_shared, max_ptes_swap;
};

/* The address space a program starts with, as the host's maps tell it. */
struct diff_layout {
	struct {
		struct diff_map map;
		enum layout_kind kind;
		char name[32];
	} maps[LAYOUT_MAX_MAPS];
	uint32_t nr_maps;
	uint64_t brk_start, special_start, mmap_base, mmap_min, mmap_min_placed, stack_top;
	uint64_t data_segment_bytes;
	bool bottom_up;  /* mappings are placed upwards from mmap_base */
	uint64_t limits[DIFF_NR_LIMITS]; /* bytes; UINT64_MAX: none */
	uint64_t data_max_bytes; /* the hard limit */
	struct diff_huge huge;
	bool zero_page; /* reads of memory never written share one */
	bool pkeys;     /* the host's CPUs have protection keys */
	bool may_lock_any; /* programs may take CAP_IPC_LOCK up */
	bool knows_sync; /* the disk's file system knows MAP_SYNC, and refuses it */
	bool pool_is_empty; /* of huge pages */
};

/* Above this the host maps its own pages into every process. */
#define DIFF_TASK_SIZE (UINT64_C(1) << 47)

/* Is [start, end) part of what a program starts with? */
bool layout_has(const struct diff_layout *layout, uint64_t start, uint64_t end);

struct native;

/* `executor`: path of the program made from executor.c.  0, or -1 with a
 * message on stderr. */
int native_create(const char *executor, struct native **ret_native);
void native_destroy(struct native *native);
const struct diff_layout *native_layout(const struct native *native);
/* Runs the program in fresh processes; outcome->failure tells what went wrong
 * outside the operations, after which the native side is of no more use. */
void native_run(struct native *native, const struct diff_program *program,
		struct diff_outcome *outcome);

/* The bytes that content `content` holds at `index` when a program starts. */
static inline uint8_t diff_file_byte(uint32_t content, uint64_t index)
{
	return (uint8_t)(content * 61 + index / DIFF_PAGE * 7 + index % 251 + 1);
}

/* Page counts and sharing of the contents, from DIFF_FILE_LIST. */
struct diff_file_info {
	uint32_t content, mode;
	enum quire_file_kind kind;
	uint64_t nr_pages; /* of the first handle of a content; 0 for others */
};
extern const struct diff_file_info diff_files[DIFF_NR_FILES];

#endif
