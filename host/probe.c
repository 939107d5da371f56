/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks the kernel below.  What stands in sysfs and procfs is read; the rest is
 * tried on memory of our own, which is given back.
 *
 * A trial counts faults with getrusage(RUSAGE_THREAD): the kernel counts them
 * exactly, and nobody else's are among them.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THP_FOLDER "/sys/kernel/mm/transparent_hugepage/"
#define TRIAL_PAGES 64

/* ---- what the kernel says -------------------------------------------------------------- */

bool host_read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool got;

	if (!file)
		return false;
	got = fgets(line, (int)size, file) != NULL;
	fclose(file);
	if (got)
		line[strcspn(line, "\n")] = 0;
	return got;
}

static void read_number(struct host *host, enum host_trait trait, const char *path)
{
	char line[64];

	if (host_read_line(path, line, sizeof(line)) && *line >= '0' && *line <= '9')
		host->trait[trait] = strtoull(line, NULL, 10);
}

/* The word in brackets of "always [madvise] never". */
static bool read_choice(const char *path, char *word, size_t size)
{
	char line[128];
	char *open, *close;

	if (!host_read_line(path, line, sizeof(line)))
		return false;
	open = strchr(line, '[');
	close = open ? strchr(open, ']') : NULL;
	if (!close)
		return false;
	*close = 0;
	snprintf(word, size, "%s", open + 1);
	return true;
}

static void read_word(struct host *host, const char *name, const char *path)
{
	char word[64];

	if (read_choice(path, word, sizeof(word)))
		host_set(host, name, word);
}

static void read_orders(struct host *host, size_t page_bytes)
{
	char name[32], path[128];

	for (unsigned order = 0; order < HOST_NR_ORDERS; order++) {
		unsigned kib = (unsigned)((page_bytes << order) >> 10);

		snprintf(name, sizeof(name), "thp-order-%u", order);
		snprintf(path, sizeof(path), THP_FOLDER "hugepages-%ukB/enabled", kib);
		read_word(host, name, path);
		snprintf(name, sizeof(name), "shmem-order-%u", order);
		snprintf(path, sizeof(path), THP_FOLDER "hugepages-%ukB/shmem_enabled", kib);
		read_word(host, name, path);
	}
}

static void read_settings(struct host *host)
{
	static const struct {
		enum host_trait trait;
		const char *path;
	} numbers[] = {
		{ HOST_pmd_bytes, THP_FOLDER "hpage_pmd_size" },
		{ HOST_huge_zero_page, THP_FOLDER "use_zero_page" },
		{ HOST_khugepaged_defrag, THP_FOLDER "khugepaged/defrag" },
		{ HOST_khugepaged_pages, THP_FOLDER "khugepaged/pages_to_scan" },
		{ HOST_khugepaged_sleep_ms, THP_FOLDER "khugepaged/scan_sleep_millisecs" },
		{ HOST_max_ptes_none, THP_FOLDER "khugepaged/max_ptes_none" },
		{ HOST_max_ptes_shared, THP_FOLDER "khugepaged/max_ptes_shared" },
		{ HOST_max_ptes_swap, THP_FOLDER "khugepaged/max_ptes_swap" },
		{ HOST_hugetlb_pages, "/proc/sys/vm/nr_hugepages" },
		{ HOST_mmap_min_addr, "/proc/sys/vm/mmap_min_addr" },
		{ HOST_bottom_up, "/proc/sys/vm/legacy_va_layout" },
		{ HOST_randomize, "/proc/sys/kernel/randomize_va_space" },
		{ HOST_max_map_count, "/proc/sys/vm/max_map_count" },
		{ HOST_overcommit, "/proc/sys/vm/overcommit_memory" },
		{ HOST_overcommit_ratio, "/proc/sys/vm/overcommit_ratio" },
		{ HOST_overcommit_kbytes, "/proc/sys/vm/overcommit_kbytes" },
	};
	struct utsname names;
	struct sysinfo info;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		read_number(host, numbers[i].trait, numbers[i].path);
	read_word(host, "thp", THP_FOLDER "enabled");
	read_word(host, "thp-shmem", THP_FOLDER "shmem_enabled");
	read_word(host, "thp-defrag", THP_FOLDER "defrag");
	read_orders(host, (size_t)host->trait[HOST_page_bytes]);
	if (uname(&names) == 0) {
		snprintf(host->kernel, sizeof(host->kernel), "%s", names.release);
		snprintf(host->machine, sizeof(host->machine), "%s", names.machine);
	}
	if (sysinfo(&info) == 0) {
		host->trait[HOST_memory_bytes] = (uint64_t)info.totalram * info.mem_unit;
		host->trait[HOST_swap_bytes] = (uint64_t)info.totalswap * info.mem_unit;
	}
}

int host_watch_settings(void)
{
	static const char *const folders[] = {
		THP_FOLDER, THP_FOLDER "khugepaged", "/proc/sys/vm", "/proc/sys/kernel",
	};
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	glob_t sizes;

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		inotify_add_watch(fd, folders[i], IN_MODIFY);
	if (glob(THP_FOLDER "hugepages-*", 0, NULL, &sizes) == 0) {
		for (size_t i = 0; i < sizes.gl_pathc; i++)
			inotify_add_watch(fd, sizes.gl_pathv[i], IN_MODIFY);
		globfree(&sizes);
	}
	return fd;
}

/* ---- what has to be tried ---------------------------------------------------------------- */

static uint64_t faults_now(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) == 0 ?
		(uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt : 0;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *map_fresh(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* Reads some pages, then writes them: with a page of zeros the writes fault. */
static void try_zero_page(struct host *host)
{
	size_t page = (size_t)host->trait[HOST_page_bytes];
	volatile char *at = map_fresh(TRIAL_PAGES * page);
	uint64_t before, after;

	if (!at)
		return;
	madvise((void *)(uintptr_t)at, TRIAL_PAGES * page, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < TRIAL_PAGES; i++)
		(void)at[i * page];
	before = faults_now();
	for (size_t i = 0; i < TRIAL_PAGES; i++)
		at[i * page] = 1;
	after = faults_now();
	host->trait[HOST_zero_page] = after - before >= TRIAL_PAGES / 2;
	munmap((void *)(uintptr_t)at, TRIAL_PAGES * page);
}

/*
 * The same for a page of PMD size, where the program may have one: the setting
 * alone does not tell (a kernel without a page of zeros has no large one either).
 */
static void try_huge_zero_page(struct host *host)
{
	size_t huge = (size_t)host_or(host, HOST_pmd_bytes, 0);
	volatile char *at;
	char *start;
	uint64_t before;

	if (host->trait[HOST_zero_page] == 0)
		host->trait[HOST_huge_zero_page] = 0;
	if (!huge || huge > (64u << 20) || host_or(host, HOST_huge_zero_page, 0) == 0)
		return;
	start = map_fresh(2 * huge);
	if (!start)
		return;
	at = start + (huge - (uintptr_t)start % huge) % huge;
	madvise((void *)(uintptr_t)at, huge, MADV_HUGEPAGE);
	before = faults_now();
	for (size_t i = 0; i < huge; i += huge / 16)
		(void)at[i];
	/* One fault brought all: a write now tells whose it is. */
	if (faults_now() - before == 1) {
		before = faults_now();
		at[0] = 1;
		host->trait[HOST_huge_zero_page] = faults_now() != before;
	}
	munmap(start, 2 * huge);
}

/*
 * How far a read fault maps around it.  The setting is under debugfs, which few
 * may read; so a cached file is mapped at a boundary of every possible window,
 * and read page by page: each fault brings one window in.
 */
static void try_fault_around(struct host *host)
{
	enum { PAGES = 512 };
	size_t page = (size_t)host->trait[HOST_page_bytes], bytes = PAGES * page;
	int fd = memfd_create("fault-around", MFD_CLOEXEC);
	char *fill = calloc(PAGES, page);
	char *room = map_fresh(2 * bytes);
	char *at = room ? room + (bytes - (uintptr_t)room % bytes) % bytes : NULL;

	if (fd >= 0 && fill && at && write(fd, fill, bytes) == (ssize_t)bytes &&
	    mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == at) {
		uint64_t before = faults_now();

		for (size_t i = 0; i < PAGES; i++)
			(void)*(volatile char *)(at + i * page);
		before = faults_now() - before;
		if (before)
			host->trait[HOST_fault_around_bytes] = bytes / before;
	}
	if (room)
		munmap(room, 2 * bytes);
	free(fill);
	if (fd >= 0)
		close(fd);
}

/* A hint of one page is placed no lower than this. */
static void try_lowest_hint(struct host *host)
{
	size_t page = (size_t)host->trait[HOST_page_bytes];
	void *at = mmap((void *)page, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return;
	if ((uintptr_t)at < (64u << 20))
		host->trait[HOST_lsm_min_addr] = (uintptr_t)at;
	munmap(at, page);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The median of single faults: what the machine below makes of one. */
static void try_fault_cost(struct host *host)
{
	size_t page = (size_t)host->trait[HOST_page_bytes];
	volatile char *at = map_fresh(TRIAL_PAGES * page);
	uint64_t ns[TRIAL_PAGES];

	if (!at)
		return;
	madvise((void *)(uintptr_t)at, TRIAL_PAGES * page, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < TRIAL_PAGES; i++) {
		uint64_t before = now_ns();

		at[i * page] = 1;
		ns[i] = now_ns() - before;
	}
	qsort(ns, TRIAL_PAGES, sizeof(ns[0]), by_size);
	host->trait[HOST_fault_ns] = ns[TRIAL_PAGES / 2];
	munmap((void *)(uintptr_t)at, TRIAL_PAGES * page);
}

static void try_pkeys(struct host *host)
{
#ifdef SYS_pkey_alloc
	long key = syscall(SYS_pkey_alloc, 0, 0);

	host->trait[HOST_pkeys] = key >= 0;
	if (key >= 0)
		syscall(SYS_pkey_free, key);
#else
	host->trait[HOST_pkeys] = 0;
#endif
}

/* PR_THP_DISABLE_EXCEPT_ADVISED, in a child, whose setting goes with it. */
static void try_thp_advised(struct host *host)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(prctl(PR_SET_THP_DISABLE, 1, 2, 0, 0) == 0 ? 1 : 0);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		host->trait[HOST_thp_advised_only] = (uint64_t)WEXITSTATUS(status);
}

/* VmPTE in KiB. */
static uint64_t table_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	uint64_t kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "VmPTE:", 6) == 0)
			kib = strtoull(line + 6, NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

/* Eight tables are filled and their pages dropped: do the tables go too? */
static void try_empty_tables(struct host *host)
{
	enum { TABLES = 8 };
	size_t page = (size_t)host->trait[HOST_page_bytes];
	size_t span = page / sizeof(uint64_t) * page;
	char *start;
	uint64_t full, empty;

	if (span > (64u << 20))
		return;
	start = map_fresh((TABLES + 1) * span);
	if (!start)
		return;
	char *at = start + (span - (uintptr_t)start % span) % span;

	madvise(at, TABLES * span, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < TABLES; i++)
		*(volatile char *)(at + i * span) = 1;
	full = table_kib();
	madvise(at, TABLES * span, MADV_DONTNEED);
	empty = table_kib();
	host->trait[HOST_tables_freed] = full >= empty + TABLES / 2 * (page >> 10);
	munmap(start, (TABLES + 1) * span);
}

/* Two mappings with unlike rights, moved by one call. */
static void try_mremap_many(struct host *host)
{
	size_t page = (size_t)host->trait[HOST_page_bytes];
	char *from = map_fresh(4 * page), *to;
	void *moved;

	if (!from)
		return;
	to = from + 2 * page;
	mprotect(from + page, page, PROT_READ);
	munmap(to, 2 * page);
	moved = mremap(from, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	host->trait[HOST_mremap_many] = moved != MAP_FAILED;
	munmap(from, 4 * page);
}

void host_read_settings(struct host *host)
{
	host_init(host);
	host->trait[HOST_page_bytes] = (uint64_t)sysconf(_SC_PAGESIZE);
	host->trait[HOST_cpus] = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	read_settings(host);
}

void host_probe(struct host *host)
{
	host_read_settings(host);
	try_zero_page(host);
	try_huge_zero_page(host);
	try_fault_around(host);
	try_lowest_hint(host);
	try_fault_cost(host);
	try_pkeys(host);
	try_thp_advised(host);
	try_empty_tables(host);
	try_mremap_many(host);
}
