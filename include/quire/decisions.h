/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decisions: the contested choices of memory management, each a named row with
 * its alternatives.  An instance is created with one alternative per row.
 *
 * The list is the only place where a row or an alternative is named.
 * ROW(id, "name", letter, "question")
 * ALT(row, id, "name", sound, "what it does; what it costs")
 * The first alternative of a row is its default.
 */
#ifndef QUIRE_DECISIONS_H
#define QUIRE_DECISIONS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUIRE_DECISION_LIST(ROW, ALT)                                                  \
	ROW(fork_tree, "fork-tree", "004_b20df14de9f2b197.txt",                        \
	    "how fork duplicates the tree of VMAs")                                    \
	ALT(fork_tree, dup, "dup", true,                                               \
	    "copy the tree node by node, then replace each entry in place")            \
	ALT(fork_tree, bulk_store, "bulk-store", true,                                 \
	    "allocate all nodes ahead, then append entry after entry")                 \
	ALT(fork_tree, insert_each, "insert-each", true,                               \
	    "store each VMA by itself, splitting nodes on the way")                    \
	ROW(fork_undo, "fork-undo", "004_b20df14de9f2b197.txt",                        \
	    "how a fork that fails half-way is undone")                                \
	ALT(fork_undo, own_limit, "own-limit-and-ceiling", true,                       \
	    "unmap what was done up to its own limit, with a separate ceiling for tables") \
	ALT(fork_undo, marker, "marker", true,                                         \
	    "put a marker over the first VMA not done; exit stops there")              \
	ALT(fork_undo, next_as_ceiling, "next-as-ceiling", false,                      \
	    "use the first VMA not done as the ceiling: leaks page tables")            \
	ROW(cow_reuse, "cow-reuse", "002_c2ad3a3754927e32.txt",                        \
	    "when a write fault may reuse an anonymous page instead of copying it")    \
	ALT(cow_reuse, refcount_exclusive, "refcount+exclusive", true,                 \
	    "when marked exclusive, or when the faulting entry holds the only reference") \
	ALT(cow_reuse, mapcount, "mapcount", false,                                    \
	    "when mapped once: leaks to whoever holds a reference (CVE-2020-29374), and loses pins") \
	ROW(sharing, "sharing", "000_fa4b51931d6963d5.txt",                            \
	    "how a large folio knows whether one address space maps it or several")    \
	ALT(sharing, moments, "moments", true,                                         \
	    "sums of ids and their squares in one 16-byte word: exact, one atomic")    \
	ALT(sharing, moments_locked, "moments-locked", true,                           \
	    "the same word under a lock of the folio: no 16-byte atomic needed")       \
	ALT(sharing, moments_wide, "moments-wide", true,                               \
	    "the same under a lock, with ids of 32 bits and no limit to what is exact") \
	ALT(sharing, one_word, "one-word", true,                                       \
	    "moments, with the folio's other references in the same 16 bytes")          \
	ALT(sharing, mm_ids, "mm-ids", true,                                           \
	    "two slots and a flag under a bit lock: vague once three have met")        \
	ALT(sharing, rmap_ids, "rmap-ids", true,                                       \
	    "sums of powers and a sequence counter, repaired: exact, many atomics")    \
	ALT(sharing, rmap_ids_posted, "rmap-ids-posted", false,                        \
	    "the same as first posted: its sums overflow, shared looks exclusive")     \
	ALT(sharing, owner, "owner", true,                                             \
	    "the first mapper and a count of all others': vague once he left")         \
	ALT(sharing, total_mapcount, "total-mapcount", false,                          \
	    "more mappings than pages, or the first page mapped twice: shared; a guess") \
	ALT(sharing, first_subpage, "first-subpage", false,                            \
	    "the first page mapped more than once: shared; a guess")                   \
	ROW(reuse_proof, "reuse-proof", "002_c2ad3a3754927e32.txt",                    \
	    "what proves that all references to a large folio are mappings of the writer's") \
	ALT(reuse_proof, count_entries, "count-entries", true,                         \
	    "as many references as entries in the table whose lock is held")           \
	ALT(reuse_proof, entries_alone, "entries-alone", true,                         \
	    "the same, without asking the sharing alternative: never vague")           \
	ALT(reuse_proof, rival, "rival", true,                                         \
	    "the sharing alternative, if it can stop its updates: else copy")          \
	ALT(reuse_proof, double_read, "double-read", false,                            \
	    "its word, the references, its word again: misses a page that changed place") \
	ROW(reuse_scope, "reuse-scope", "002_c2ad3a3754927e32.txt",                    \
	    "what a write fault makes writable when the whole folio is the writer's")  \
	ALT(reuse_scope, folio, "folio", true,                                         \
	    "each of its pages: one fault for all of them")                            \
	ALT(reuse_scope, page, "page", true,                                           \
	    "the page written: one fault for each")                                    \
	ROW(nr_mapped, "nr-mapped", "002_c2ad3a3754927e32.txt",                        \
	    "what a large folio knows of its single pages")                            \
	ALT(nr_mapped, whole_folio, "whole-folio", true,                               \
	    "nothing: one update for any number of pages")                             \
	ALT(nr_mapped, per_subpage, "per-subpage", true,                               \
	    "a count each and how many are mapped: an atomic a page")                  \
	ROW(deferred_split, "deferred-split", "002_c2ad3a3754927e32.txt",              \
	    "when a large folio that lost mappings is queued, to be split one day")    \
	ALT(deferred_split, total_count, "total-count", true,                          \
	    "fewer mappings than pages: never wrong, misses folios of several")        \
	ALT(deferred_split, total_count_scan, "total-count+scan", true,                \
	    "always: misses none; whoever empties the queue looks for the pages")      \
	ALT(deferred_split, subpage_counts, "subpage-counts", true,                    \
	    "a page's own count fell to 0: never wrong, misses none; an atomic a page")

#define QUIRE_DECISION_NOTHING(...)

enum quire_decision {
#define QUIRE_DECISION_ROW_ENUM(id, name, letter, question) QUIRE_DECISION_##id,
	QUIRE_DECISION_LIST(QUIRE_DECISION_ROW_ENUM, QUIRE_DECISION_NOTHING)
#undef QUIRE_DECISION_ROW_ENUM
	QUIRE_NR_DECISIONS
};

/* QUIRE_<row>_<alternative>: unique over all rows. */
enum quire_alternative {
#define QUIRE_DECISION_ALT_ENUM(row, id, name, sound, what) QUIRE_##row##_##id,
	QUIRE_DECISION_LIST(QUIRE_DECISION_NOTHING, QUIRE_DECISION_ALT_ENUM)
#undef QUIRE_DECISION_ALT_ENUM
	QUIRE_NR_ALTERNATIVES
};

struct quire_decisions {
	uint8_t chosen[QUIRE_NR_DECISIONS]; /* enum quire_alternative */
};

/* What can be said of a row and of an alternative. */
struct quire_decision_info {
	const char *name, *letter, *question;
	enum quire_alternative first, last; /* inclusive */
};
struct quire_alternative_info {
	enum quire_decision row;
	const char *name, *what;
	bool sound;
};

/* NULL when out of range. */
const struct quire_decision_info *quire_decision_info(enum quire_decision row);
const struct quire_alternative_info *quire_alternative_info(enum quire_alternative alt);
/* Every row's default. */
void quire_decisions_default(struct quire_decisions *decisions);
/* Sets a row by names ("fork-tree", "dup"): 0, -ENOENT no such row, -EINVAL no
 * such alternative in it. */
int quire_decisions_set(struct quire_decisions *decisions, const char *row,
			const char *alternative);

#ifdef __cplusplus
}
#endif
#endif
