/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cost counters: what the letters argue about, counted to the last digit.
 *
 * Counted per CPU, without atomics, in a build with QUIRE_COUNT_COSTS;
 * elsewhere COST_ADD() is nothing and all counters read 0.
 * The list is the only place where a counter is named.
 */
#ifndef QUIRE_COST_H
#define QUIRE_COST_H

#include <stdint.h>

struct quire;

/*        field              what is counted */
#define QUIRE_COST_LIST(X)                                                    \
	X(atomic_rmw, "atomic read-modify-writes, 8-byte or smaller")         \
	X(atomic_rmw16, "atomic read-modify-writes of 16 bytes")              \
	X(lock_acquisitions, "locks taken (spin, mutex, reader, writer)")     \
	X(entries_written, "page-table entries written")                      \
	X(tables_allocated, "page-table pages allocated")                     \
	X(tables_freed, "page-table pages freed")                             \
	X(tlb_flushes, "TLB flush requests")                                  \
	X(tlb_interrupts, "remote interrupts sent for TLB flushes")           \
	X(tlb_misses, "translations that walked the tables")                  \
	X(frames_allocated, "page frames allocated")                          \
	X(frames_freed, "page frames freed")                                  \
	X(bytes_cleared, "bytes of page contents cleared")                    \
	X(bytes_copied, "bytes of page contents copied")                      \
	X(objects_allocated, "objects allocated from object caches")          \
	X(object_bytes, "bytes of metadata in those objects")                 \
	X(tree_nodes, "maple tree nodes allocated")                           \
	X(rmap_updates, "mapcount updates, one per batch")                    \
	X(faults, "page faults taken")                                        \
	X(cow_copies, "copy-on-write faults that copied")                     \
	X(cow_reuses, "copy-on-write faults that reused the page")

struct quire_cost {
#define QUIRE_COST_FIELD(field, what) uint64_t field;
	QUIRE_COST_LIST(QUIRE_COST_FIELD)
#undef QUIRE_COST_FIELD
};

#endif
