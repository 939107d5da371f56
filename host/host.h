/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's traits: whatever a kernel can be set to and a program can notice
 * in its memory.  They are asked for in one place, here; a recording keeps them
 * in its header, a replay and the differential programs set the core as they
 * say, `quire host` prints them.
 *
 * TRAIT(id, "name", kind, "what it says")
 * The kinds:
 *	NUMBER	a count
 *	BYTES	a size or an address
 *	FLAG	0 no, 1 yes
 *	NS	nanoseconds
 *	THP	enum host_thp: for whom memory gets large folios
 *	SHMEM	enum host_shmem: the same for shared memory
 *	DEFRAG	enum host_defrag: how hard a fault tries
 * A trait that cannot be found out is HOST_UNKNOWN.
 *
 * Where the kernel says a thing (sysfs, procfs) it is read; where it does not,
 * or not to everybody, it is tried: a page is touched and what came is looked at.
 */
#ifndef QUIRE_HOST_HOST_H
#define QUIRE_HOST_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_UNKNOWN UINT64_MAX

#define HOST_TRAITS(TRAIT)                                                                       \
	TRAIT(page_bytes, "page", BYTES, "the base page")                                        \
	TRAIT(cpus, "cpus", NUMBER, "CPUs online")                                               \
	TRAIT(memory_bytes, "memory", BYTES, "memory that the kernel has")                       \
	TRAIT(swap_bytes, "swap", BYTES, "swap space")                                           \
	TRAIT(fault_ns, "fault-cost", NS, "a first write to a page of anonymous memory")         \
	TRAIT(zero_page, "zero-page", FLAG, "reads of memory never written share a page")        \
	TRAIT(huge_zero_page, "huge-zero-page", FLAG, "... and one of PMD size")                 \
	TRAIT(fault_around_bytes, "fault-around", BYTES, "what a read of a cached file maps")    \
	TRAIT(pmd_bytes, "pmd", BYTES, "what one entry of a PMD table maps")                     \
	TRAIT(thp, "thp", THP, "who gets large folios")                                          \
	TRAIT(thp_shmem, "thp-shmem", SHMEM, "the same for shared memory")                       \
	TRAIT(thp_defrag, "thp-defrag", DEFRAG, "who waits for compaction in a fault")           \
	TRAIT(thp_advised_only, "thp-except-advised", FLAG, "prctl can spare advised memory")    \
	TRAIT(khugepaged_defrag, "khugepaged-defrag", FLAG, "khugepaged may wait for compaction") \
	TRAIT(khugepaged_pages, "khugepaged-pages", NUMBER, "pages it looks at in one go")       \
	TRAIT(khugepaged_sleep_ms, "khugepaged-sleep-ms", NUMBER, "between two goes")            \
	TRAIT(max_ptes_none, "max-ptes-none", NUMBER, "missing pages that collapse forgives")    \
	TRAIT(max_ptes_shared, "max-ptes-shared", NUMBER, "pages of several that it forgives")   \
	TRAIT(max_ptes_swap, "max-ptes-swap", NUMBER, "swapped pages that it forgives")          \
	TRAIT(hugetlb_pages, "hugetlb-pages", NUMBER, "pages in the pool of MAP_HUGETLB")        \
	TRAIT(mmap_min_addr, "mmap-min", BYTES, "the lowest address of a fixed mapping")         \
	TRAIT(lsm_min_addr, "mmap-min-hint", BYTES, "the lowest of a mapping that is placed")    \
	TRAIT(bottom_up, "bottom-up", FLAG, "vm.legacy_va_layout: mappings go upwards")          \
	TRAIT(randomize, "randomize", NUMBER, "kernel.randomize_va_space")                       \
	TRAIT(max_map_count, "max-map-count", NUMBER, "mappings of an address space")            \
	TRAIT(overcommit, "overcommit", NUMBER, "0 refuses the impossible, 1 nothing, 2 counts") \
	TRAIT(overcommit_ratio, "overcommit-ratio", NUMBER, "percent of memory, for 2")          \
	TRAIT(overcommit_kbytes, "overcommit-kbytes", NUMBER, "instead of the ratio; 0: not")    \
	TRAIT(pkeys, "pkeys", FLAG, "memory protection keys")                                    \
	TRAIT(tables_freed, "tables-freed", FLAG, "MADV_DONTNEED frees tables it emptied (6.14)") \
	TRAIT(mremap_many, "mremap-many", FLAG, "mremap moves several mappings at once (6.17)")

enum host_trait {
#define HOST_TRAIT_ENUM(id, name, kind, what) HOST_##id,
	HOST_TRAITS(HOST_TRAIT_ENUM)
#undef HOST_TRAIT_ENUM
	HOST_NR_TRAITS
};

enum host_kind { HOST_NUMBER, HOST_BYTES, HOST_FLAG, HOST_NS, HOST_THP, HOST_SHMEM, HOST_DEFRAG };
enum host_thp { HOST_THP_NEVER, HOST_THP_MADVISE, HOST_THP_ALWAYS, HOST_THP_INHERIT };
enum host_shmem {
	HOST_SHMEM_NEVER, HOST_SHMEM_ADVISE, HOST_SHMEM_WITHIN_SIZE, HOST_SHMEM_ALWAYS,
	HOST_SHMEM_DENY, HOST_SHMEM_FORCE, HOST_SHMEM_INHERIT,
};
enum host_defrag {
	HOST_DEFRAG_NEVER, HOST_DEFRAG_MADVISE, HOST_DEFRAG_DEFER_MADVISE, HOST_DEFRAG_DEFER,
	HOST_DEFRAG_ALWAYS,
};

#define HOST_NR_ORDERS 16 /* of folios: 2^order base pages */
#define HOST_TEXT_BYTES 68

struct host {
	uint64_t trait[HOST_NR_TRAITS];
	/* Per size: hugepages-*kB/enabled and /shmem_enabled; HOST_UNKNOWN: no such size. */
	uint64_t thp_order[HOST_NR_ORDERS];   /* enum host_thp */
	uint64_t shmem_order[HOST_NR_ORDERS]; /* enum host_shmem */
	char kernel[HOST_TEXT_BYTES];  /* the release, as uname -r */
	char machine[HOST_TEXT_BYTES]; /* x86_64, aarch64; "" unknown */
};

/* Every trait unknown. */
void host_init(struct host *host);
/* Asks the kernel.  Takes some tens of milliseconds; changes no setting. */
void host_probe(struct host *host);
/* Only what sysfs and procfs say: a millisecond.  What has to be tried is unknown. */
void host_read_settings(struct host *host);
/* A descriptor that is readable (inotify) when somebody may have written a setting; the
 * caller reads what is there and closes it.  What the kernel changes by itself is not
 * seen.  Or a negative errno. */
int host_watch_settings(void);

static inline bool host_knows(const struct host *host, enum host_trait trait)
{
	return host->trait[trait] != HOST_UNKNOWN;
}
/* The trait, or `otherwise` where it is not known. */
static inline uint64_t host_or(const struct host *host, enum host_trait trait, uint64_t otherwise)
{
	return host_knows(host, trait) ? host->trait[trait] : otherwise;
}
/* For whom anonymous memory gets folios of an order, "inherit" resolved; HOST_UNKNOWN. */
uint64_t host_thp_of_order(const struct host *host, unsigned order);
uint64_t host_shmem_of_order(const struct host *host, unsigned order);

/* The first line of a file, without its newline. */
bool host_read_line(const char *path, char *line, size_t size);

/* ---- as text: for headers of recordings, and for people -------------------------- */

const char *host_trait_name(enum host_trait trait);
const char *host_trait_about(enum host_trait trait);
enum host_kind host_trait_kind(enum host_trait trait);
/* Numbers are decimal, flags yes and no, settings their word. */
void host_value_text(enum host_kind kind, uint64_t value, char text[HOST_TEXT_BYTES]);
/*
 * All that is known, one name and one text at a time ("thp-order-4" and
 * "shmem-order-4" are those of an order): for each, `visit`.
 */
void host_for_each(const struct host *host,
	void (*visit)(void *context, const char *name, const char *text), void *context);
/* Takes one of these back.  False: no such name, or no such text. */
bool host_set(struct host *host, const char *name, const char *text);

#endif
