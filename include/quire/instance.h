/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An instance: one physical memory and all that lives in it.  Several can be
 * used side by side in one process, with different decisions.
 *
 * The caller's thread must be attached to the machine: quire_attach() once per
 * thread, quire_detach() before it ends.
 */
#ifndef QUIRE_INSTANCE_H
#define QUIRE_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/cost.h>
#include <quire/decisions.h>
#include <quire/file.h>
#include <quire/geometry.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire;

enum quire_overcommit {
	QUIRE_OVERCOMMIT_HEURISTIC, /* refuse only the obviously impossible */
	QUIRE_OVERCOMMIT_ALWAYS,
	QUIRE_OVERCOMMIT_NEVER, /* beyond the commit limit */
};

/* For which VMAs anonymous memory may get folios of an order. */
enum quire_folios {
	QUIRE_FOLIOS_NEVER,
	QUIRE_FOLIOS_MADVISE, /* those with QUIRE_MADV_HUGEPAGE */
	QUIRE_FOLIOS_ALWAYS,  /* all but those with QUIRE_MADV_NOHUGEPAGE */
};

struct quire_config {
	uint64_t memory_bytes; /* rounded down to whole pages */
	unsigned nr_cpus;      /* 1 .. 64: CPUs that may use the instance */
	unsigned tlb_sets, tlb_ways; /* per CPU; sets a power of two */
	unsigned fault_around_bytes; /* power of two; one page: off */
	uint32_t map_count_max;      /* VMAs in one address space */
	enum quire_overcommit overcommit;
	/* What HEURISTIC never grants in one piece: memory and swap of a machine that is to
	 * be played, whatever memory_bytes is.  0: memory_bytes. */
	uint64_t memory_and_swap_bytes;
	/* What NEVER lets all together commit: CommitLimit in /proc/meminfo, which is
	 * vm.overcommit_kbytes if that is set, else a part of memory, and swap.  0: that
	 * part of memory_bytes: vm.overcommit_ratio, in percent, which may be above 100. */
	uint64_t commit_limit_bytes;
	unsigned overcommit_ratio;
	/* Of it these are kept back: from whoever may not use the reserve, and from a large
	 * process, but no more than a 32nd of its size (vm.admin_reserve_kbytes,
	 * vm.user_reserve_kbytes). */
	uint64_t admin_reserve_bytes, user_reserve_bytes;
	uint64_t guard_gap_bytes;    /* below a VMA that grows down */
	/* By order; pages of order 0 are always to be had, so 0 and 1 are NEVER. */
	enum quire_folios anon_folios[QUIRE_PMD_ORDER + 1];
	unsigned file_order;         /* largest folios of a file's pages: 0, 2 .. QUIRE_PMD_ORDER */
	/* Beyond that, PMD-sized ones for memory of QUIRE_FILE_MEMORY (quire/file.h). */
	enum quire_shmem_folios shmem_folios;
	/* For shared anonymous memory instead: hugepages-<PMD size>/shmem_enabled.  NEVER ..
	 * ALWAYS, or INHERIT (the default): the same.  DENY and FORCE go before it. */
	enum quire_shmem_folios shared_folios;
	/* Long private anonymous mappings without a hint, and files, are placed where
	 * PMD-sized folios can map them.  Older kernels do not (before Linux 6.7; files are
	 * since 5.18), nor one built without transparent huge pages. */
	bool huge_placement;
	/* Reads of memory never written share one page of zeros.  Some kernels have
	 * none: there such a read costs a page of its own, writable at once where the
	 * VMA is (mm_forbids_zeropage() in Linux, and some guests). */
	bool zero_page;
	bool huge_zero_page;         /* the same, PMD-sized; only together with zero_page */
	bool pkeys;                  /* the CPUs have protection keys */
	/* What collapse forgives in a PMD range: pages not there, mapped by
	 * several address spaces, swapped out. */
	unsigned max_ptes_none, max_ptes_shared, max_ptes_swap;
	uint32_t max_mms;            /* address spaces at a time: -EAGAIN beyond; less
	                                if the `sharing` alternative has fewer ids */
	/* Judges the `sharing` alternative (quire/sharing.h); only where
	 * quire_scores_sharing().  One CPU at a time may then use the instance,
	 * but on the explore machine. */
	bool score_sharing;
	struct quire_decisions decisions;
};

/* Linux's defaults where it has one; 1 GiB, 8 CPUs. */
void quire_config_default(struct quire_config *config);

/* 0, or -EAGAIN when all CPUs of the machine are taken. */
int quire_attach(void);
void quire_detach(void);

/* 0; -EINVAL for a config that cannot be; -ENOMEM. */
int quire_create(const struct quire_config *config, struct quire **ret_q);

/*
 * Changes config.anon_folios of an instance that runs; what is mapped stays.
 * 0, or -EINVAL: an order that is not to be had (0, 1, above QUIRE_PMD_ORDER),
 * or no such mode.
 */
int quire_set_anon_folios(struct quire *q, unsigned order, enum quire_folios mode);

/*
 * One turn of khugepaged, which a thread of the caller's may call again and again:
 * goes on where the last one ended and looks at about `nr_pages` pages, less when
 * it has been everywhere.  PMD ranges of anonymous memory for which the PMD order is allowed
 * are collapsed within the limits of the config.  An address space that is busy
 * is passed over.
 * 0 with *ret_nr_collapsed, ranges that are one folio now (may be NULL); -EBUSY:
 * another CPU is in it.
 */
int quire_khugepaged_scan(struct quire *q, uint64_t nr_pages, uint64_t *ret_nr_collapsed);

/* What quire_destroy found still allocated; all zero is a clean end. */
struct quire_leaks {
	uint64_t nr_frames, nr_objects, nr_address_spaces;
	uint64_t nr_committed_pages; /* charged and never given back */
};
/* Gives everything back.  Nobody may use the instance any more.  `ret_leaks`
 * may be NULL. */
void quire_destroy(struct quire *q, struct quire_leaks *ret_leaks);

/* True when the caller was compiled with the geometry of this library:
 * quire_geometry_matches(QUIRE_PAGE_SHIFT, QUIRE_LEVEL_BITS, QUIRE_LEVELS). */
bool quire_geometry_matches(unsigned page_shift, unsigned level_bits, unsigned levels);

struct quire_memory_stats {
	uint64_t nr_frames, nr_free_frames;
	uint64_t nr_cached_pages;
	uint64_t committed_pages;
	uint64_t nr_address_spaces;
};
void quire_memory_stats(struct quire *q, struct quire_memory_stats *ret_stats);

/*
 * Large folios of which pages may be mapped by nobody are queued (decision
 * deferred-split).  Looks at up to `nr_to_scan` of them, splits those where it is
 * so, and frees such pages: *ret_nr_freed.  0 or -EINVAL.
 */
int quire_split_deferred(struct quire *q, uint64_t nr_to_scan, uint64_t *ret_nr_freed);
struct quire_deferred_stats {
	uint64_t nr_folios;   /* queued now */
	uint64_t nr_queued;   /* ever */
	uint64_t nr_scanned;  /* of those: looked at */
	uint64_t nr_whole;    /* in vain: every page was mapped, or none */
	uint64_t nr_split;
	uint64_t nr_busy;     /* held by somebody, and queued again */
};
void quire_deferred_stats(struct quire *q, struct quire_deferred_stats *ret_stats);

/* Sum over CPUs of the cost counters since creation; zeros unless the library
 * was built to count. */
void quire_cost(struct quire *q, struct quire_cost *ret_cost);
/* True when the library counts costs. */
bool quire_counts_costs(void);
/* Asserts every invariant of the instance; stops the machine on a breach.
 * Pre: nobody else is inside. */
void quire_check(struct quire *q);

#ifdef __cplusplus
}
#endif
#endif
