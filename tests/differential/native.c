/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts the native executor, hands it programs, and reads back what happened.
 *
 * One template process per job is executed once, without address randomisation;
 * each program runs in a fresh fork of it, so that a program costs a fork and
 * not an exec.  Nothing here touches the executor's address space.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/host.h"
#include "native.h"

#define WAIT_SECONDS 10

const struct diff_file_info diff_files[DIFF_NR_FILES] = {
#define DIFF_FILE_ROW(content, kind, mode, nr_pages) { content, mode, kind, nr_pages },
	DIFF_FILE_LIST(DIFF_FILE_ROW)
#undef DIFF_FILE_ROW
};

struct native {
	pid_t pid;
	int control_fd, log_fd;
	int collapsed_fd, fallback_fd; /* see count_disturbances() */
	int files[DIFF_NR_FILES];
	struct diff_control *control;
	uint8_t *log;
	struct diff_layout layout;
};

static int complain(const char *what)
{
	fprintf(stderr, "quire-differential: %s: %s\n", what, strerror(errno));
	return -1;
}

/* 0, or -1 when *word is still `value` after WAIT_SECONDS. */
static int futex_wait_while(uint32_t *word, uint32_t value)
{
	const struct timespec slice = { .tv_nsec = 100 * 1000 * 1000 };

	for (int i = 0; i < WAIT_SECONDS * 10; i++) {
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
			return 0;
		syscall(SYS_futex, word, FUTEX_WAIT, value, &slice, NULL, 0);
	}
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) != value ? 0 : -1;
}

/* ---- files ------------------------------------------------------------------------ */

/* A second handle on the same contents. */
static int reopen(int fd, uint32_t mode)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_CLOEXEC | (mode == QUIRE_FILE_READ ? O_RDONLY : O_WRONLY));
}

/* A file without a name on a disk where holes can be punched: beside the
 * executor, or where files of some life go. */
static int open_on_disk(const char *executor)
{
	char beside[4096];
	const char *const folders[] = { beside, "/var/tmp", "/tmp" };

	snprintf(beside, sizeof(beside), "%.*s", (int)(strrchr(executor, '/') - executor), executor);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		const int fd = open(folders[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

		if (fd < 0)
			continue;
		if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096))
			return fd;
		close(fd);
	}
	return -1;
}

static int open_files(struct native *native, const char *executor)
{
	int first[DIFF_NR_CONTENTS] = { -1, -1, -1, -1 };

	for (uint32_t i = 0; i < DIFF_NR_FILES; i++) {
		const uint32_t content = diff_files[i].content;

		if (first[content] < 0) {
			first[content] = diff_files[i].kind == QUIRE_FILE_HOST
						 ? open_on_disk(executor)
						 : memfd_create("differential", MFD_CLOEXEC);
			native->files[i] = first[content];
		} else {
			native->files[i] = reopen(first[content], diff_files[i].mode);
		}
		if (native->files[i] < 0)
			return complain("a file to be mapped");
	}
	return 0;
}

/* Contents as every program finds them. */
static int reset_files(struct native *native)
{
	static uint8_t bytes[16 * 4096];

	for (uint32_t i = 0; i < DIFF_NR_FILES; i++) {
		const uint64_t len_bytes = diff_files[i].nr_pages * DIFF_PAGE;

		if (diff_files[i].mode != (QUIRE_FILE_READ | QUIRE_FILE_WRITE))
			continue;
		for (uint64_t j = 0; j < len_bytes; j++)
			bytes[j] = diff_file_byte(diff_files[i].content, j);
		if (ftruncate(native->files[i], 0) ||
		    pwrite(native->files[i], bytes, len_bytes, 0) != (ssize_t)len_bytes)
			return -1;
	}
	return 0;
}

/* ---- the address space it starts with ------------------------------------------------ */

/* One header line of maps or smaps; false when it is none. */
static bool parse_map(const char *line, struct diff_map *ret_map, char *ret_name, size_t name_room)
{
	unsigned major, minor;
	uint64_t inode;
	char perms[5];
	int used = 0;

	memset(ret_map, 0, sizeof(*ret_map));
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &ret_map->start, &ret_map->end, perms, &ret_map->offset, &major, &minor, &inode,
		   &used) < 7)
		return false;
	ret_map->prot = (perms[0] == 'r' ? QUIRE_PROT_READ : 0) |
			(perms[1] == 'w' ? QUIRE_PROT_WRITE : 0) |
			(perms[2] == 'x' ? QUIRE_PROT_EXEC : 0);
	ret_map->shared = perms[3] == 's';
	ret_map->object = inode ? inode << 16 ^ major << 8 ^ minor : 0;
	snprintf(ret_name, name_room, "%.*s", (int)strcspn(line + used, "\n"), line + used);
	return true;
}

/* Whoever runs this may say so (setarch --addr-compat-layout). */
static bool is_bottom_up(void)
{
	return (personality(0xffffffff) & ADDR_COMPAT_LAYOUT) != 0;
}

/* The kernel placed its own pages first, from the top (or the bottom). */
static void find_base(struct diff_layout *layout, uint64_t first_free)
{
	uint64_t base = layout->bottom_up ? first_free : first_free + DIFF_PAGE;
	bool found;

	do {
		found = false;
		for (uint32_t i = 0; i < layout->nr_maps && !found; i++) {
			const struct diff_map *map = &layout->maps[i].map;

			found = base == (layout->bottom_up ? map->end : map->start);
			if (found)
				base = layout->bottom_up ? map->start : map->end;
		}
	} while (found);
	layout->mmap_base = base;
}

static int read_layout(struct native *native)
{
	struct diff_layout *layout = &native->layout;
	char line[512], path[64], name[256];
	struct diff_map map;
	struct rlimit data;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", native->pid);
	maps = fopen(path, "re");
	if (!maps)
		return complain(path);
	while (fgets(line, sizeof(line), maps)) {
		if (!parse_map(line, &map, name, sizeof(name)) || map.start >= DIFF_TASK_SIZE)
			continue;
		if (layout->nr_maps == LAYOUT_MAX_MAPS)
			break;
		layout->maps[layout->nr_maps].map = map;
		layout->maps[layout->nr_maps].kind = map.object ? LAYOUT_FILE
						     : !strcmp(name, "[stack]") ? LAYOUT_STACK
						     : name[0] == '['		? LAYOUT_SPECIAL
										: LAYOUT_ANON;
		if (!strcmp(name, "[stack]"))
			layout->stack_top = map.end;
		if (layout->maps[layout->nr_maps].kind == LAYOUT_SPECIAL && !layout->special_start)
			layout->special_start = map.start;
		snprintf(layout->maps[layout->nr_maps++].name, sizeof(layout->maps[0].name),
			 "%.31s", name);
	}
	fclose(maps);
	if (getrlimit(RLIMIT_DATA, &data))
		return complain("getrlimit");
	layout->data_max_bytes = data.rlim_max;
	memcpy(layout->limits, native->control->initial_limits, sizeof(layout->limits));
	layout->brk_start = native->control->brk_start;
	native->control->special_start = layout->special_start;
	layout->bottom_up = is_bottom_up();
	find_base(layout, native->control->first_free);
	return 0;
}

/* A number from a file that has it after `key`; 0 when it is not there. */
static uint64_t number_after(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static int read_whole(const char *path, char *text, size_t room)
{
	FILE *file = fopen(path, "re");
	size_t got;

	if (!file)
		return complain(path);
	got = fread(text, 1, room - 1, file);
	text[got] = '\0';
	fclose(file);
	return 0;
}

/* Fields of /proc/PID/stat, counted from 1, after the name in brackets. */
static uint64_t stat_field(const char *text, unsigned field)
{
	const char *at = strrchr(text, ')');

	for (unsigned i = 2; at && i < field; i++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static int read_sizes(struct native *native)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/status", native->pid);
	if (read_whole(path, text, sizeof(text)))
		return -1;
	native->control->initial_pages = number_after(text, "VmSize:") / 4;
	native->control->initial_data_pages = number_after(text, "VmData:") / 4;
	snprintf(path, sizeof(path), "/proc/%d/stat", native->pid);
	if (read_whole(path, text, sizeof(text)))
		return -1;
	native->layout.data_segment_bytes = stat_field(text, 46) - stat_field(text, 45);
	return 0;
}

/* ---- huge pages ------------------------------------------------------------------------------ */

#define HUGE_FOLDER "/sys/kernel/mm/transparent_hugepage"
#define HUGE_ORDER 9

/* Does the setting give folios to those who ask? */
static bool gives_by_advice(uint64_t mode)
{
	return mode == HOST_THP_ALWAYS || mode == HOST_THP_MADVISE;
}

static void take_huge(struct native *native, const struct host *host)
{
	struct diff_huge *huge = &native->layout.huge;

	huge->known = native->control->huge_by_advice;
	for (unsigned order = 2; huge->known && order <= HUGE_ORDER; order++)
		if (gives_by_advice(host_thp_of_order(host, order)))
			huge->orders |= UINT32_C(1) << order;
	huge->zero_page = host_or(host, HOST_huge_zero_page, 0) != 0;
	huge->max_ptes_none = (uint32_t)host_or(host, HOST_max_ptes_none, 0);
	huge->max_ptes_shared = (uint32_t)host_or(host, HOST_max_ptes_shared, 0);
	huge->max_ptes_swap = (uint32_t)host_or(host, HOST_max_ptes_swap, 0);
	native->collapsed_fd = open(HUGE_FOLDER "/khugepaged/pages_collapsed",
				    O_RDONLY | O_CLOEXEC);
	native->fallback_fd = open(HUGE_FOLDER "/hugepages-2048kB/stats/anon_fault_fallback",
				   O_RDONLY | O_CLOEXEC);
}

/* What host/ found out. */
static void take_host(struct native *native, const struct host *host)
{
	struct diff_layout *layout = &native->layout;

	layout->mmap_min = host_or(host, HOST_mmap_min_addr, 65536);
	layout->mmap_min_placed = host_or(host, HOST_lsm_min_addr, layout->mmap_min);
	layout->zero_page = host_or(host, HOST_zero_page, 1) != 0;
	take_huge(native, host);
}

static uint64_t read_counter(int fd)
{
	char text[32] = "";

	return fd >= 0 && pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* How often the host's daemon put small pages together, or a fault that should
 * get a huge page did not: neither is the program's doing. */
static uint64_t count_disturbances(const struct native *native)
{
	return read_counter(native->collapsed_fd) + read_counter(native->fallback_fd);
}

/* ---- what else differs from host to host ----------------------------------------------- */

/* Is one page refused, with this errno? */
static bool mmap_fails(int fd, int flags, int error)
{
	void *mapped = mmap(NULL, DIFF_PAGE, PROT_READ, flags, fd, 0);

	if (mapped == MAP_FAILED)
		return errno == error;
	munmap(mapped, flags & MAP_HUGETLB ? DIFF_PMD_BYTES : DIFF_PAGE);
	return false;
}

static bool host_knows_sync(const struct native *native)
{
	for (uint32_t i = 0; i < DIFF_NR_FILES; i++)
		if (diff_files[i].kind == QUIRE_FILE_HOST)
			return mmap_fails(native->files[i], MAP_PRIVATE | QUIRE_MAP_SYNC,
					  EOPNOTSUPP);
	return false;
}

/* ---- starting and ending it -------------------------------------------------------------- */

static void set_limit(__rlimit_resource_t which, uint64_t pages)
{
	struct rlimit limit;

	if (getrlimit(which, &limit))
		_exit(4);
	limit.rlim_cur = limit.rlim_max < pages * DIFF_PAGE ? limit.rlim_max : pages * DIFF_PAGE;
	if (setrlimit(which, &limit))
		_exit(4);
}

/* In the new process: never returns. */
static _Noreturn void become_executor(const struct native *native, const char *executor)
{
	char *const argv[] = { (char *)(uintptr_t)"native", NULL };
	char *const envp[] = { NULL };
	const int wanted[] = { native->control_fd, native->log_fd };
	int high[2 + DIFF_NR_FILES];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	set_limit(RLIMIT_STACK, DIFF_STACK_PAGES);
	set_limit(RLIMIT_MEMLOCK, DIFF_MEMLOCK_PAGES);
	/* First out of the way of the numbers that the executor expects. */
	for (int i = 0; i < 2 + DIFF_NR_FILES; i++)
		high[i] = fcntl(i < 2 ? wanted[i] : native->files[i - 2], F_DUPFD, 100);
	for (int i = 0; i < 2 + DIFF_NR_FILES; i++) {
		if (high[i] < 0 || dup2(high[i], DIFF_FD_CONTROL + i) < 0)
			_exit(4);
		close(high[i]);
	}
	if (personality(ADDR_NO_RANDOMIZE | (is_bottom_up() ? ADDR_COMPAT_LAYOUT : 0)) < 0)
		_exit(4);
	execve(executor, argv, envp);
	_exit(5);
}

static int map_shared(struct native *native)
{
	native->control_fd = memfd_create("control", MFD_CLOEXEC);
	native->log_fd = memfd_create("log", MFD_CLOEXEC);
	if (native->control_fd < 0 || native->log_fd < 0 ||
	    ftruncate(native->control_fd, sizeof(*native->control)) ||
	    ftruncate(native->log_fd, (off_t)DIFF_LOG_BYTES))
		return complain("memfd");
	native->control = mmap(NULL, sizeof(*native->control), PROT_READ | PROT_WRITE, MAP_SHARED,
			       native->control_fd, 0);
	native->log = mmap(NULL, DIFF_LOG_BYTES, PROT_READ, MAP_SHARED, native->log_fd, 0);
	if (native->control == MAP_FAILED || native->log == MAP_FAILED)
		return complain("mmap");
	return 0;
}

int native_create(const char *executor, struct native **ret_native)
{
	struct native *native = calloc(1, sizeof(*native));
	struct host host;

	if (!native || map_shared(native) || open_files(native, executor))
		goto fail;
	native->pid = fork();
	if (native->pid < 0) {
		complain("fork");
		goto fail;
	}
	if (native->pid == 0)
		become_executor(native, executor);
	if (futex_wait_while(&native->control->ready, 0)) {
		fprintf(stderr, "quire-differential: %s did not start\n", executor);
		goto fail;
	}
	if (read_layout(native) || read_sizes(native))
		goto fail;
	host_probe(&host);
	take_host(native, &host);
	native->layout.pkeys = native->control->has_pkeys;
	native->layout.knows_sync = host_knows_sync(native);
	native->layout.pool_is_empty =
		mmap_fails(-1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, ENOMEM);
	native->layout.may_lock_any = native->control->may_lock_any;
	*ret_native = native;
	return 0;
fail:
	if (native)
		native_destroy(native);
	return -1;
}

void native_destroy(struct native *native)
{
	if (native->pid > 0) {
		kill(-native->pid, SIGKILL);
		kill(native->pid, SIGKILL);
		waitpid(native->pid, NULL, 0);
	}
	for (uint32_t i = 0; i < DIFF_NR_FILES; i++)
		if (native->files[i] > 0)
			close(native->files[i]);
	if (native->control && native->control != MAP_FAILED)
		munmap(native->control, sizeof(*native->control));
	if (native->log && native->log != MAP_FAILED)
		munmap(native->log, DIFF_LOG_BYTES);
	if (native->control_fd > 0)
		close(native->control_fd);
	if (native->log_fd > 0)
		close(native->log_fd);
	if (native->collapsed_fd > 0)
		close(native->collapsed_fd);
	if (native->fallback_fd > 0)
		close(native->fallback_fd);
	free(native);
}

const struct diff_layout *native_layout(const struct native *native)
{
	return &native->layout;
}

/* ---- one program ---------------------------------------------------------------------------- */

bool layout_has(const struct diff_layout *layout, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < layout->nr_maps; i++)
		if (start >= layout->maps[i].map.start && end <= layout->maps[i].map.end)
			return true;
	return false;
}

/* By bit of enum quire_map_flag.  Letters that are not here are not compared: see
 * deliberate.md. */
static const char *const flag_letters[] = {
	"rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "gd", "lo", "lf", "dc", "wf",
	"nr", "ac", "hg", "nh", "sr", "rr", "dd", "de", "mg", "dp", "sf", "sl",
};

static uint32_t flags_of_letters(const char *letters)
{
	uint32_t flags = 0;
	char word[4];
	int used;

	for (; sscanf(letters, " %3s%n", word, &used) == 1; letters += used)
		for (size_t i = 0; i < sizeof(flag_letters) / sizeof(flag_letters[0]); i++)
			if (!strcmp(word, flag_letters[i]))
				flags |= UINT32_C(1) << i;
	return flags;
}

const char *diff_flag_letters(unsigned bit)
{
	return bit < sizeof(flag_letters) / sizeof(flag_letters[0]) ? flag_letters[bit] : "?";
}

/* A line of smaps that says more of the mapping before it. */
static void take_detail(const struct diff_layout *layout, struct diff_snapshot *snapshot,
			const char *line)
{
	struct diff_map *map = &snapshot->maps[snapshot->nr_maps - 1];

	if (!strncmp(line, "VmFlags:", 8)) {
		map->flags = flags_of_letters(line + 8);
	} else if (!layout_has(layout, map->start, map->end)) {
		if (!strncmp(line, "Rss:", 4))
			snapshot->counts[DIFF_COUNT_resident] += number_after(line, "Rss:") / 4;
		else if (!strncmp(line, "Anonymous:", 10))
			snapshot->counts[DIFF_COUNT_anonymous] += number_after(line, "Anonymous:") / 4;
	}
}

static void take_maps(const struct diff_layout *layout, struct diff_snapshot *snapshot,
		      const char *text, uint64_t len_bytes)
{
	const char *at = text, *end = text + len_bytes;
	struct diff_map map;
	char line[512], name[256];
	bool ours = false;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const size_t len = (size_t)((newline ? newline : end) - at);

		snprintf(line, sizeof(line), "%.*s", (int)len, at);
		at += len + 1;
		if (line[0] <= '9' || (line[0] >= 'a' && line[0] <= 'f')) {
			ours = parse_map(line, &map, name, sizeof(name)) &&
			       map.start < DIFF_TASK_SIZE;
			if (ours)
				snapshot_add_map(snapshot, &map);
		} else if (ours) {
			take_detail(layout, snapshot, line);
		}
	}
}

static void take_status(struct diff_snapshot *snapshot, const char *text)
{
	snapshot->deep = true;
	snapshot->counts[DIFF_COUNT_total] = number_after(text, "VmSize:") / 4;
	snapshot->counts[DIFF_COUNT_locked] = number_after(text, "VmLck:") / 4;
	snapshot->counts[DIFF_COUNT_data] = number_after(text, "VmData:") / 4;
	snapshot->counts[DIFF_COUNT_stack] = number_after(text, "VmStk:") / 4;
	snapshot->counts[DIFF_COUNT_table] = number_after(text, "VmPTE:") / 4;
}

static void take_pages(struct diff_snapshot *snapshot, const uint64_t *words, uint64_t len_bytes)
{
	snapshot->start = words[0];
	snapshot->nr_pages = (uint32_t)(len_bytes / 8 - 1);
	for (uint32_t i = 0; i < snapshot->nr_pages; i++) {
		const uint64_t word = words[i + 1];
		const bool present = word >> 63, file = word >> 61 & 1, alone = word >> 56 & 1;

		if (present)
			snapshot->pages[i] = (uint8_t)(DIFF_PAGE_PRESENT | file * DIFF_PAGE_FILE |
						       alone * DIFF_PAGE_ALONE);
	}
}

/* pagemap takes the huge zero page for a file's. */
static void take_regions(struct diff_snapshot *snapshot, const struct diff_region *regions,
			 uint64_t nr_regions)
{
	for (uint64_t i = 0; i < nr_regions; i++) {
		const uint64_t first = (regions[i].start - snapshot->start) / DIFF_PAGE;
		const uint64_t end = (regions[i].end - snapshot->start) / DIFF_PAGE;
		const bool zero = regions[i].categories & DIFF_SCAN_ZERO;
		const bool huge = regions[i].categories & DIFF_SCAN_HUGE;

		for (uint64_t page = first; page < end && page < snapshot->nr_pages; page++) {
			if (zero)
				snapshot->pages[page] = DIFF_PAGE_PRESENT | DIFF_PAGE_ZERO;
			if (huge)
				snapshot->pages[page] |= DIFF_PAGE_HUGE;
		}
	}
}

static void take_record(const struct diff_layout *layout, struct diff_outcome *outcome,
			const struct diff_log_header *header, const void *payload)
{
	struct diff_snapshot *snapshot = outcome_snapshot(outcome, header->op);
	char text[8192];

	switch (header->kind) {
	case DIFF_LOG_MAPS:
		take_maps(layout, snapshot, payload, header->len_bytes);
		break;
	case DIFF_LOG_PAGES:
		take_pages(snapshot, payload, header->len_bytes);
		break;
	case DIFF_LOG_REGIONS:
		take_regions(snapshot, payload, header->len_bytes / sizeof(struct diff_region));
		break;
	case DIFF_LOG_STATUS:
		snprintf(text, sizeof(text), "%.*s", (int)header->len_bytes, (const char *)payload);
		take_status(snapshot, text);
		break;
	case DIFF_LOG_SWEEP:
		snapshot->nr_sweep = (uint32_t)(header->len_bytes / 8);
		memcpy(snapshot->sweep, payload, header->len_bytes);
		break;
	default:
		snprintf(outcome->failure, sizeof(outcome->failure), "unknown log record %u",
			 header->kind);
	}
}

void native_run(struct native *native, const struct diff_program *program,
		struct diff_outcome *outcome)
{
	struct diff_control *control = native->control;
	const uint64_t disturbances = count_disturbances(native);
	uint64_t at = 0;

	outcome_reset(outcome);
	if (reset_files(native)) {
		snprintf(outcome->failure, sizeof(outcome->failure), "cannot reset the files");
		return;
	}
	memset(control->results, 0, sizeof(control->results[0]) * program->nr_ops);
	memset(control->alive, 0, sizeof(control->alive));
	memcpy(control->ops, program->ops, sizeof(control->ops[0]) * program->nr_ops);
	control->nr_ops = program->nr_ops;
	control->alive[0] = 1;
	control->live = 1;
	control->next = control->done = 0;
	control->exiting = 0;
	control->log_bytes = 0;
	__atomic_add_fetch(&control->go, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &control->go, FUTEX_WAKE, 1, NULL, NULL, 0);
	if (futex_wait_while(&control->done, 0)) {
		snprintf(outcome->failure, sizeof(outcome->failure),
			 "the native side hangs in operation %u", control->next);
		return;
	}
	if (control->broken) {
		snprintf(outcome->failure, sizeof(outcome->failure),
			 "the native side broke in line %u at operation %u", control->broken,
			 control->next);
		return;
	}
	outcome->disturbed = count_disturbances(native) != disturbances;
	memcpy(outcome->results, control->results, sizeof(outcome->results[0]) * program->nr_ops);
	while (at < control->log_bytes) {
		const struct diff_log_header *header = (const void *)(native->log + at);

		take_record(&native->layout, outcome, header, header + 1);
		at += sizeof(*header) + ((header->len_bytes + 7) & ~UINT64_C(7));
	}
}
