/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every scenario, once: in this order they are listed.  X(name) stands for
 * `const struct scenario scenario_<name>`.
 */
#ifndef SCENARIOS_LIST_H
#define SCENARIOS_LIST_H

/* litmus.c */
#define SCENARIO_LITMUS(X)   \
	X(spin_message)      \
	X(store_buffering)   \
	X(treiber_stack)     \
	X(seqlock)           \
	X(michael_scott)

/* planted.c: each bug beside the same program without it */
#define SCENARIO_PLANTED(X)  \
	X(rcu_free)          \
	X(rcu_free_early)    \
	X(abba_ordered)      \
	X(abba_deadlock)     \
	X(wakeup)            \
	X(lost_wakeup)       \
	X(install_once)      \
	X(install_leak)

/* translation.c */
#define SCENARIO_TRANSLATION(X)    \
	X(flush_before_free)       \
	X(free_before_flush)       \
	X(table_freed_after_flush) \
	X(table_freed_early)

/* mm.c */
#define SCENARIO_MM(X)       \
	X(first_touch)       \
	X(fault_fails)       \
	X(munmap_munmap)     \
	X(munmap_mmap)       \
	X(mprotect_store)    \
	X(mremap_zap)        \
	X(fork_fault)        \
	X(fork_fails)        \
	X(cow_children)      \
	X(cow_threads)       \
	X(exit_fault)        \
	X(exit_last)         \
	X(cow_visible)

/* mm_more.c */
#define SCENARIO_MM_MORE(X)  \
	X(pin_fork)          \
	X(pin_munmap)        \
	X(stack_growth)      \
	X(split_merge)       \
	X(populate_munmap)   \
	X(dontneed_fork)     \
	X(fork_fork)         \
	X(mmap_fails)

/* file.c */
#define SCENARIO_FILE(X)     \
	X(truncate_fault)    \
	X(truncate_private)  \
	X(munmap_truncate)   \
	X(sync_store)        \
	X(sync_unmap)        \
	X(private_write)

/* file_large.c */
#define SCENARIO_FILE_LARGE(X)    \
	X(large_truncate_leaf)    \
	X(large_truncate_pages)   \
	X(large_truncate_read)    \
	X(large_truncate_fork)    \
	X(large_punch_store)      \
	X(large_punch_pin)        \
	X(large_sync_store)       \
	X(large_sync_drop)        \
	X(large_leaf_table)       \
	X(large_read_twice)

/* maple_readers.c */
#define SCENARIO_MAPLE(X)    \
	X(maple_append)      \
	X(maple_append_next) \
	X(maple_readers)     \
	X(maple_wide)        \
	X(maple_without_rcu)

/* museum.c */
#define SCENARIO_MUSEUM(X)    \
	X(fork_undo_limit)    \
	X(fork_undo_marker)   \
	X(fork_undo_next)     \
	X(vmsplice_exclusive) \
	X(vmsplice_mapcount)

/* sharing.c */
#define SCENARIO_SHARING(X)           \
	X(sharing_moments)            \
	X(sharing_moments_writers)    \
	X(sharing_moments_whole)      \
	X(sharing_mm_ids)             \
	X(sharing_mm_ids_writers)     \
	X(sharing_rmap_ids)           \
	X(sharing_rmap_ids_writers)   \
	X(sharing_count_kept)         \
	X(sharing_count_lost)         \
	X(sharing_overflow_repaired)  \
	X(sharing_overflow)

/* cow.c */
#define SCENARIO_COW(X)           \
	X(reuse_count_entries)    \
	X(reuse_double_read)      \
	X(reuse_rival_mm_ids)     \
	X(reuse_double_mm_ids)    \
	X(reuse_rival_rmap_ids)   \
	X(reuse_rival_locked)     \
	X(reuse_rival_wide)

/* cow_folio.c */
#define SCENARIO_COW_FOLIO(X)          \
	X(folio_children)              \
	X(folio_children_mm_ids)       \
	X(folio_children_rmap_ids)     \
	X(folio_children_one_word)     \
	X(folio_tables)                \
	X(folio_tables_mm_ids)         \
	X(folio_tables_locked)         \
	X(folio_tables_one_word)       \
	X(folio_splice_kept)           \
	X(folio_splice_seen)           \
	X(folio_pin_kept)              \
	X(folio_pin_lost)

/* huge.c */
#define SCENARIO_HUGE(X)      \
	X(huge_split_store)   \
	X(huge_split_dirty)   \
	X(huge_faults)        \
	X(huge_faults_fail)   \
	X(huge_zeros)         \
	X(huge_fork)          \
	X(huge_cow)           \
	X(huge_reuse)         \
	X(huge_move)          \
	X(huge_drop)          \
	X(huge_drop_drop)     \
	X(huge_pin_split)

/* collapse.c */
#define SCENARIO_COLLAPSE(X)          \
	X(collapse_store)             \
	X(collapse_fault)             \
	X(collapse_dontneed)          \
	X(collapse_munmap)            \
	X(collapse_advice)            \
	X(collapse_pin)               \
	X(collapse_cow)               \
	X(collapse_fork)              \
	X(collapse_both)              \
	X(collapse_twice)             \
	X(collapse_split)             \
	X(collapse_deferred)          \
	X(khugepaged_exit)            \
	X(khugepaged_fork)            \
	X(khugepaged_munmap)          \
	X(khugepaged_remap)

/* arena.c */
#define SCENARIO_ARENA(X)     \
	X(arena_moments)      \
	X(arena_one_word)     \
	X(arena_mm_ids)       \
	X(arena_rmap_ids)     \
	X(arena_owner)

/* thp.c */
#define SCENARIO_THP(X)        \
	X(thp_split_store)     \
	X(thp_split_store_pages) \
	X(thp_split_fork_again) \
	X(thp_split_munmap)    \
	X(thp_split_refill)    \
	X(thp_split_pin)       \
	X(thp_split_split)     \
	X(thp_split_cow)       \
	X(thp_split_exit)      \
	X(thp_split_move)      \
	X(thp_free_part)       \
	X(thp_queue_fork)      \
	X(thp_queue_protect)   \
	X(thp_queue_munmap)    \
	X(thp_queue_free)      \
	X(thp_queue_scan)      \
	X(thp_queue_look)      \
	X(thp_queue_counts)    \
	X(thp_split_in_vain)

/* collapse_file.c */
#define SCENARIO_COLLAPSE_FILE(X)     \
	X(cache_collapse_store)       \
	X(cache_collapse_fault)       \
	X(cache_collapse_truncate)    \
	X(cache_collapse_write)       \
	X(cache_collapse_pin)         \
	X(cache_collapse_private)     \
	X(cache_collapse_munmap)      \
	X(cache_collapse_punch)

#define SCENARIO_LIST(X)     \
	SCENARIO_LITMUS(X)   \
	SCENARIO_PLANTED(X)  \
	SCENARIO_TRANSLATION(X) \
	SCENARIO_MM(X) \
	SCENARIO_MM_MORE(X) \
	SCENARIO_FILE(X) \
	SCENARIO_FILE_LARGE(X) \
	SCENARIO_MAPLE(X) \
	SCENARIO_MUSEUM(X) \
	SCENARIO_SHARING(X) \
	SCENARIO_COW(X) \
	SCENARIO_COW_FOLIO(X) \
	SCENARIO_HUGE(X) \
	SCENARIO_COLLAPSE(X) \
	SCENARIO_COLLAPSE_FILE(X) \
	SCENARIO_ARENA(X) \
	SCENARIO_THP(X)

#endif
