/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces: the calls a program makes on its memory, with the meaning
 * and error numbers of Linux 6.x, and the accesses it makes to it.
 *
 * Addresses and lengths are in bytes.  Every function may be called from any
 * attached CPU, by several at once on one address space, with no lock held.
 * A result pointer is written only on success.
 */
#ifndef QUIRE_MM_H
#define QUIRE_MM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire;
struct quire_file;
struct quire_mm; /* an address space; opaque */

enum quire_prot {
	QUIRE_PROT_NONE = 0,
	QUIRE_PROT_READ = 1,
	QUIRE_PROT_WRITE = 2,
	QUIRE_PROT_EXEC = 4,
	QUIRE_PROT_GROWSDOWN = 0x01000000,
	QUIRE_PROT_GROWSUP = 0x02000000,
};

/* Values of x86-64 Linux. */
enum quire_map {
	QUIRE_MAP_SHARED = 0x01,
	QUIRE_MAP_PRIVATE = 0x02,
	QUIRE_MAP_SHARED_VALIDATE = 0x03,
	QUIRE_MAP_DROPPABLE = 0x08, /* private, anonymous; a child gets none of it */
	QUIRE_MAP_FIXED = 0x10,
	QUIRE_MAP_ANONYMOUS = 0x20,
	QUIRE_MAP_32BIT = 0x40, /* if not fixed: from 1 to 2 GiB */
	QUIRE_MAP_GROWSDOWN = 0x0100,
	QUIRE_MAP_DENYWRITE = 0x0800, /* ignored */
	QUIRE_MAP_LOCKED = 0x2000,
	QUIRE_MAP_NORESERVE = 0x4000,
	QUIRE_MAP_POPULATE = 0x8000,
	QUIRE_MAP_NONBLOCK = 0x10000,
	QUIRE_MAP_STACK = 0x20000, /* hint only: no huge pages */
	QUIRE_MAP_HUGETLB = 0x40000,   /* from a pool that is empty: -ENOMEM */
	QUIRE_MAP_SYNC = 0x80000,      /* no file on a disk has it: -EOPNOTSUPP */
	QUIRE_MAP_FIXED_NOREPLACE = 0x100000,
};

enum quire_mremap {
	QUIRE_MREMAP_MAYMOVE = 1,
	QUIRE_MREMAP_FIXED = 2,
	QUIRE_MREMAP_DONTUNMAP = 4,
};

enum quire_madvise {
	QUIRE_MADV_NORMAL = 0,
	QUIRE_MADV_RANDOM = 1,
	QUIRE_MADV_SEQUENTIAL = 2,
	QUIRE_MADV_WILLNEED = 3,
	QUIRE_MADV_DONTNEED = 4,
	QUIRE_MADV_FREE = 8,
	QUIRE_MADV_REMOVE = 9,
	QUIRE_MADV_DONTFORK = 10,
	QUIRE_MADV_DOFORK = 11,
	QUIRE_MADV_MERGEABLE = 12, /* no pages are merged */
	QUIRE_MADV_UNMERGEABLE = 13,
	QUIRE_MADV_HUGEPAGE = 14,
	QUIRE_MADV_NOHUGEPAGE = 15,
	QUIRE_MADV_DONTDUMP = 16,
	QUIRE_MADV_DODUMP = 17,
	QUIRE_MADV_WIPEONFORK = 18,
	QUIRE_MADV_KEEPONFORK = 19,
	QUIRE_MADV_COLD = 20,    /* nothing is reclaimed yet */
	QUIRE_MADV_PAGEOUT = 21,
	QUIRE_MADV_POPULATE_READ = 22,
	QUIRE_MADV_POPULATE_WRITE = 23,
	QUIRE_MADV_DONTNEED_LOCKED = 24,
	QUIRE_MADV_COLLAPSE = 25,
	QUIRE_MADV_GUARD_INSTALL = 102, /* contents go, and an access is SIGSEGV */
	QUIRE_MADV_GUARD_REMOVE = 103,
};

enum quire_msync { QUIRE_MS_ASYNC = 1, QUIRE_MS_INVALIDATE = 2, QUIRE_MS_SYNC = 4 };
enum quire_mlock { QUIRE_MLOCK_ONFAULT = 1 };
enum quire_mlockall { QUIRE_MCL_CURRENT = 1, QUIRE_MCL_FUTURE = 2, QUIRE_MCL_ONFAULT = 4 };

#define QUIRE_UNLIMITED UINT64_MAX

/* Resource limits, in bytes; inherited by fork. */
struct quire_limits {
	uint64_t address_space_bytes; /* RLIMIT_AS */
	uint64_t data_bytes;          /* RLIMIT_DATA */
	uint64_t data_max_bytes;      /* its hard limit, which counts for mmap where it is 0 */
	uint64_t stack_bytes;         /* RLIMIT_STACK */
	uint64_t locked_bytes;        /* RLIMIT_MEMLOCK */
	bool may_lock_any;            /* CAP_IPC_LOCK: locked_bytes is not asked */
	bool may_use_reserve;         /* CAP_SYS_ADMIN: config.admin_reserve_bytes is not asked */
};

/* Where things go in a new address space. */
struct quire_layout {
	/* Mappings are placed downwards from here; where there is no room, upwards from
	 * mmap_fallback (0: a third of the address space, where it is without address
	 * randomisation). */
	uint64_t mmap_base, mmap_fallback;
	/* They are placed upwards from mmap_base, and nowhere else: vm.legacy_va_layout,
	 * ADDR_COMPAT_LAYOUT; an unlimited stack too, but not on x86. */
	bool bottom_up;
	/* The lowest address that a mapping may be given by MAP_FIXED, or by a hint of
	 * mremap: vm.mmap_min_addr; 0 with CAP_SYS_RAWIO. */
	uint64_t mmap_min;
	/* The lowest that it is placed at, to which a hint of mmap is raised, and to which a
	 * stack grows: what the security module demands (CONFIG_LSM_MMAP_MIN_ADDR), or
	 * mmap_min if that is larger. */
	uint64_t mmap_min_placed;
	uint64_t brk_start;   /* the heap begins here */
	uint64_t stack_top;
	/* Data segment size, counted with the heap against data_bytes. */
	uint64_t data_segment_bytes;
	struct quire_limits limits;
};
/* As a Linux program without address randomisation would have it. */
void quire_layout_default(struct quire_layout *layout);

/* ---- life ------------------------------------------------------------------ */

/* 0; -ENOMEM; -EINVAL: a layout that cannot be; -EAGAIN: config.max_mms are there. */
int quire_mm_create(struct quire *q, const struct quire_layout *layout,
		    struct quire_mm **ret_mm);
/* Another thread shares it. */
void quire_mm_get(struct quire_mm *mm);
/* The last put is exit: everything is unmapped and freed. */
void quire_mm_put(struct quire_mm *mm);
/* A child as fork makes one.  0; with everything undone -ENOMEM, -EAGAIN (as
 * quire_mm_create), or -EOVERFLOW: a large folio is mapped as often as the
 * `sharing` alternative can count. */
int quire_mm_fork(struct quire_mm *mm, struct quire_mm **ret_child);
void quire_mm_set_limits(struct quire_mm *mm, const struct quire_limits *limits);
void quire_mm_get_layout(struct quire_mm *mm, struct quire_layout *ret_layout);

/* What a process may ask of its own memory by prctl; inherited by fork, and to be set
 * anew in the address space that stands for what exec made. */
enum quire_thp_disable { /* PR_SET_THP_DISABLE */
	QUIRE_THP_ENABLED,
	QUIRE_THP_DISABLED,  /* no large folios; MADV_COLLAPSE is -EINVAL */
	QUIRE_THP_ADVISED,   /* only with MADV_HUGEPAGE or MADV_COLLAPSE (Linux 6.18) */
};
/* What is mapped stays.  0, or -EINVAL: no such mode. */
int quire_mm_set_thp_disable(struct quire_mm *mm, enum quire_thp_disable mode);
enum quire_mdwe { /* PR_SET_MDWE: memory-deny-write-execute */
	/* Memory is never both writable and executable, nor becomes executable: -EACCES. */
	QUIRE_MDWE_REFUSE_EXEC_GAIN = 1,
	QUIRE_MDWE_NO_INHERIT = 2, /* a fork's child begins without; only with the other */
};
/* 0; -EINVAL: bits that cannot be; -EPERM: others were set before. */
int quire_mm_set_mdwe(struct quire_mm *mm, uint32_t bits);

/* ---- the calls ---------------------------------------------------------------- */

int quire_mmap(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, uint32_t prot,
	       uint32_t flags, struct quire_file *file, uint64_t offset, uint64_t *ret_addr);
/* mmap with a name for people and properties only a kernel sets. */
enum quire_map_kernel {
	/* Never merged, cut or grown; moved only as a whole.  Without
	 * QUIRE_PROT_EXEC it is data (vvar), which nobody may ever write. */
	QUIRE_MAPK_SPECIAL = 1,
	QUIRE_MAPK_STACK = 2,   /* the initial stack: grows down, accounted as stack */
};
int quire_map_kernel(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, uint32_t prot,
		     uint32_t flags, struct quire_file *file, uint64_t offset,
		     uint32_t kernel_flags, const char *name);
int quire_munmap(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes);
int quire_mprotect(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, uint32_t prot);
/* The same, and the range gets protection key `pkey`, 0 to 15, or -1: keeps what it
 * has.  Which keys a program was given, and what they allow it, is not asked: every
 * access is allowed.  -EINVAL for a key where config.pkeys is not set. */
int quire_pkey_mprotect(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, uint32_t prot,
			int pkey);
/* Seals what is mapped: from now on it cannot be unmapped, moved, replaced or
 * protected anew (-EPERM), nor may contents be dropped that could not be written.
 * `flags`: 0. */
int quire_mseal(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, uint32_t flags);
int quire_mremap(struct quire_mm *mm, uint64_t addr, uint64_t old_len_bytes,
		 uint64_t new_len_bytes, uint32_t flags, uint64_t new_addr,
		 uint64_t *ret_addr);
/* *ret_brk is the break afterwards, which is the old one when it could not be
 * moved; the call itself returns 0 then too, as the system call does. */
int quire_brk(struct quire_mm *mm, uint64_t brk, uint64_t *ret_brk);
int quire_madvise(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, int advice);
/* One byte per page: bit 0 tells whether it is resident. */
int quire_mincore(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, uint8_t *vec);
int quire_msync(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, uint32_t flags);
int quire_mlock(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, uint32_t flags);
int quire_munlock(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes);
int quire_mlockall(struct quire_mm *mm, uint32_t flags);
int quire_munlockall(struct quire_mm *mm);

/* ---- accesses ------------------------------------------------------------------ */

enum quire_signal { QUIRE_NO_SIGNAL, QUIRE_SIGSEGV_MAPERR, QUIRE_SIGSEGV_ACCERR,
		    QUIRE_SIGBUS, QUIRE_OOM };

struct quire_fault {
	enum quire_signal signal;
	uint64_t addr; /* the byte that could not be accessed */
};

/*
 * The program reads, writes or executes its memory on this CPU: through the
 * TLB, the page walker and, where needed, the fault handler.
 * 0; -EFAULT with *ret_fault (may be NULL) when a signal would be sent, the
 * bytes before it done; -ENOMEM when the fault found no memory.
 */
int quire_read(struct quire_mm *mm, uint64_t addr, void *buf, uint64_t len_bytes,
	       struct quire_fault *ret_fault);
int quire_write(struct quire_mm *mm, uint64_t addr, const void *buf, uint64_t len_bytes,
		struct quire_fault *ret_fault);
enum quire_touch { QUIRE_TOUCH_READ, QUIRE_TOUCH_WRITE, QUIRE_TOUCH_EXEC };
/* One access to one byte, its value unchanged. */
int quire_touch(struct quire_mm *mm, uint64_t addr, enum quire_touch kind,
		struct quire_fault *ret_fault);

/*
 * Pins pages so that a device could use them: they stay at their frames and
 * keep being this address space's, over fork too.
 */
enum quire_pin_flag { QUIRE_PIN_WRITE = 1, QUIRE_PIN_LONGTERM = 2,
		      /* only a reference, as vmsplice took: no pin is recorded */
		      QUIRE_PIN_GET_ONLY = 4 };
struct quire_pin;
int quire_pin_pages(struct quire_mm *mm, uint64_t addr, uint64_t nr_pages, uint32_t flags,
		    struct quire_pin **ret_pin);
int quire_pin_read(struct quire_pin *pin, uint64_t offset, void *buf, uint64_t len_bytes);
int quire_pin_write(struct quire_pin *pin, uint64_t offset, const void *buf,
		    uint64_t len_bytes);
void quire_unpin(struct quire_pin *pin);

/* ---- large folios ------------------------------------------------------------------ */

/*
 * Splits the large folios that the range maps into folios of 2^order pages,
 * 0 or 2 .. QUIRE_PMD_ORDER - 1; smaller ones are left alone, and so is what
 * somebody pinned or otherwise holds.  *ret_nr: how many were split.
 * 0; -EINVAL: an address that is no page's, beyond the address space, or no such
 * order.
 */
int quire_split_folios(struct quire_mm *mm, uint64_t addr, uint64_t len_bytes, unsigned order,
		       uint64_t *ret_nr);

/* ---- looking at it ---------------------------------------------------------------- */

struct quire_mm_stats {
	uint64_t faults;          /* minor: no backing was read */
	uint64_t major_faults;
	uint64_t cow_copies, cow_reuses;
	uint64_t rss_anon_pages, rss_file_pages, rss_shmem_pages;
	uint64_t anon_leaf_pages; /* of rss_anon_pages, those that PMD entries map */
	uint64_t peak_rss_pages;
	uint64_t page_table_bytes, peak_page_table_bytes; /* without the root */
	uint64_t nr_vmas;
	uint64_t total_pages, locked_pages, data_pages, stack_pages, exec_pages;
	enum quire_thp_disable thp_disable;
	uint32_t mdwe;            /* enum quire_mdwe */
};
void quire_mm_stats(struct quire_mm *mm, struct quire_mm_stats *ret_stats);

/* What VmFlags in /proc/pid/smaps says of a mapping, in its letters. */
enum quire_map_flag {
	QUIRE_MAPF_READ = 1u << 0,        /* rd */
	QUIRE_MAPF_WRITE = 1u << 1,       /* wr */
	QUIRE_MAPF_EXEC = 1u << 2,        /* ex */
	QUIRE_MAPF_SHARED = 1u << 3,      /* sh */
	QUIRE_MAPF_MAYREAD = 1u << 4,     /* mr */
	QUIRE_MAPF_MAYWRITE = 1u << 5,    /* mw */
	QUIRE_MAPF_MAYEXEC = 1u << 6,     /* me */
	QUIRE_MAPF_MAYSHARE = 1u << 7,    /* ms */
	QUIRE_MAPF_GROWSDOWN = 1u << 8,   /* gd */
	QUIRE_MAPF_LOCKED = 1u << 9,      /* lo */
	QUIRE_MAPF_LOCKONFAULT = 1u << 10, /* lf */
	QUIRE_MAPF_DONTFORK = 1u << 11,   /* dc */
	QUIRE_MAPF_WIPEONFORK = 1u << 12, /* wf */
	QUIRE_MAPF_NORESERVE = 1u << 13,  /* nr */
	QUIRE_MAPF_ACCOUNT = 1u << 14,    /* ac */
	QUIRE_MAPF_HUGEPAGE = 1u << 15,   /* hg */
	QUIRE_MAPF_NOHUGEPAGE = 1u << 16, /* nh */
	QUIRE_MAPF_SEQ_READ = 1u << 17,   /* sr */
	QUIRE_MAPF_RAND_READ = 1u << 18,  /* rr */
	QUIRE_MAPF_DONTDUMP = 1u << 19,   /* dd */
	QUIRE_MAPF_SPECIAL = 1u << 20,    /* de */
	QUIRE_MAPF_MERGEABLE = 1u << 21,  /* mg */
	QUIRE_MAPF_DROPPABLE = 1u << 22,  /* dp */
	QUIRE_MAPF_SYNC = 1u << 23,       /* sf */
	QUIRE_MAPF_SEALED = 1u << 24,     /* sl */
};

/* One line of /proc/pid/maps. */
struct quire_map_info {
	uint64_t start, end;
	uint32_t prot;       /* enum quire_prot */
	uint32_t flags;      /* enum quire_map_flag */
	int pkey;            /* 0: none was given */
	bool shared, grows_down, locked, special;
	uint64_t offset;     /* bytes into the file; 0 for anonymous memory */
	uint64_t file_id;    /* 0: anonymous */
	const char *name;    /* or NULL */
};
/* Calls `visit` for each VMA in order until it returns false. */
void quire_mm_maps(struct quire_mm *mm,
		   bool (*visit)(const struct quire_map_info *map, void *arg), void *arg);

/* What one page's entry says; for tests and pictures. */
struct quire_page_info {
	bool present, writable, accessed, dirty, zero_page, anon, exclusive;
	bool leaf;       /* a PMD entry maps it, with its neighbours */
	unsigned order;  /* of its folio, which has 2^order pages */
	uint64_t pfn;
	uint32_t mapcount, refcount;
};
/* 0, or -EFAULT when addr is beyond the address space. */
int quire_page_info(struct quire_mm *mm, uint64_t addr, struct quire_page_info *ret_info);

#ifdef __cplusplus
}
#endif
#endif
