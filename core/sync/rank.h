/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lock order, once: this list makes the enum, the run-time check of debug
 * builds (rank.c) and the table in docs/architecture.md (checked by a test).
 *
 * A CPU may take a lock only if its rank is above every rank it holds.  Two
 * locks of one rank may be held together only where the list says `many`, in
 * the order the last column gives.
 */
#ifndef SYNC_RANK_H
#define SYNC_RANK_H

#include "base/types.h"

/*        name           together  guards; order among equals */
#define LOCK_RANK_LIST(X)                                                              \
	X(mmap, many, "an address space: its VMAs and layout; parent before child")    \
	X(file, one, "a file's size and its truncation")                               \
	X(folio, many, "a folio's contents and membership in a file; by rising index") \
	X(migration, one, "pages on the move: who meets one waits here")               \
	X(i_mmap, one, "the mappings of a file")                                       \
	X(anon_vma, one, "the mappings of an anon_vma root")                           \
	X(page_table, one, "the upper tables of an address space")                     \
	X(pmd, many, "the entries of a level 1 table; destination before source")      \
	X(pte, many, "the entries of a level 0 table; destination before source")      \
	X(page_cache, one, "the index of a file's folios")                             \
	X(commit, one, "commit accounting")                                            \
	X(instance, one, "the list of address spaces of an instance")                  \
	X(tree_alloc, one, "an object cache's shared slabs")                           \
	X(zone, one, "the buddy allocator")                                            \
	X(leaf, one, "locks under which nothing is taken")

enum lock_rank {
#define LOCK_RANK_ENUM(name, together, what) LOCK_RANK_##name,
	LOCK_RANK_LIST(LOCK_RANK_ENUM)
#undef LOCK_RANK_ENUM
	NR_LOCK_RANKS
};

#ifdef QUIRE_DEBUG
/* Stops the machine when the order is broken. */
void rank_acquired(enum lock_rank rank, const void *lock);
/* A trylock cannot deadlock, so it is only recorded. */
void rank_try_acquired(enum lock_rank rank, const void *lock);
void rank_released(enum lock_rank rank, const void *lock);
bool rank_held(const void *lock);
/* Nothing held on this CPU: before parking, at the end of a public call. */
void rank_assert_none_held(void);
/* Every CPU's list is emptied: for a test that gave a run up in its middle. */
void rank_forget_held(void);
#else
static inline void rank_acquired(enum lock_rank rank, const void *lock)
{
	(void)rank;
	(void)lock;
}
static inline void rank_try_acquired(enum lock_rank rank, const void *lock)
{
	(void)rank;
	(void)lock;
}
static inline void rank_released(enum lock_rank rank, const void *lock)
{
	(void)rank;
	(void)lock;
}
static inline void rank_assert_none_held(void)
{
}
static inline void rank_forget_held(void)
{
}
#endif

#endif
