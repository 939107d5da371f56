/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What /proc tells about a stopped thread.  Every function reads through the
 * id of the thread that is stopped, not of its process: the main thread may
 * be gone while others run on, and then /proc/PID shows an empty address space.
 *
 * Formats: proc(5) and the kernel's Documentation/admin-guide/mm/pagemap.rst.
 */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PATH_BYTES 128

static int open_proc(pid_t tid, const char *name)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The whole file as a string; malloced. */
static char *read_all(int fd, size_t *len_bytes)
{
	size_t capacity = 16384, len = 0;
	char *text = malloc(capacity);

	while (text) {
		ssize_t got = read(fd, text + len, capacity - len - 1);

		if (got <= 0)
			break;
		len += (size_t)got;
		if (capacity - len < 4097) {
			char *grown = realloc(text, capacity * 2);

			if (!grown) {
				free(text);
				text = NULL;
				break;
			}
			text = grown;
			capacity *= 2;
		}
	}
	if (text) {
		text[len] = 0;
		*len_bytes = len;
	}
	return text;
}

static char *read_proc(pid_t tid, const char *name, size_t *len_bytes)
{
	int fd = open_proc(tid, name);
	char *text;

	if (fd < 0)
		return NULL;
	text = read_all(fd, len_bytes);
	close(fd);
	return text;
}

void maps_buffer_fini(struct maps_buffer *m)
{
	free(m->text);
	free(m->map);
	free(m->dev);
	free(m->ino);
	*m = (struct maps_buffer){ 0 };
}

/* One line of maps; false for [vsyscall], which is no mapping of the process. */
static bool parse_map(char *line, struct maps_buffer *m)
{
	struct trace_map map = { .file = TRACE_NONE };
	unsigned int major, minor;
	uint64_t ino;
	char prot[5];
	int name_at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
			&map.start, &map.end, prot, &map.offset_bytes, &major, &minor, &ino,
			&name_at) < 7)
		return false;
	map.name = line + name_at;
	if (strcmp(map.name, "[vsyscall]") == 0)
		return false;
	map.flags = (prot[0] == 'r' ? TRACE_MAP_READ : 0u) |
		(prot[1] == 'w' ? TRACE_MAP_WRITE : 0u) |
		(prot[2] == 'x' ? TRACE_MAP_EXEC : 0u) |
		(prot[3] == 's' ? TRACE_MAP_SHARED : 0u);
	m->dev[m->nr] = makedev(major, minor);
	m->ino[m->nr] = ino;
	m->map[m->nr++] = map;
	return true;
}

int procfs_read_maps(pid_t tid, struct maps_buffer *out)
{
	struct maps_buffer m = { 0 };
	size_t len, lines = 0;
	char *line, *rest;

	m.text = read_proc(tid, "maps", &len);
	if (!m.text)
		return -ESRCH;
	for (size_t i = 0; i < len; i++)
		lines += m.text[i] == '\n';
	m.map = calloc(lines + 1, sizeof(m.map[0]));
	m.dev = calloc(lines + 1, sizeof(m.dev[0]));
	m.ino = calloc(lines + 1, sizeof(m.ino[0]));
	if (!m.map || !m.dev || !m.ino) {
		maps_buffer_fini(&m);
		return -ENOMEM;
	}
	rest = m.text;
	while (lines-- && (line = strsep(&rest, "\n")))
		parse_map(line, &m);
	*out = m;
	return 0;
}

/* "Name:   123 kB" as bytes. */
static void status_field(const char *text, const char *name, uint64_t *out)
{
	const char *at = strstr(text, name);

	if (at)
		*out = strtoull(at + strlen(name), NULL, 10) * 1024;
}

int procfs_read_status(pid_t tid, struct trace_said *said)
{
	size_t len;
	char *text = read_proc(tid, "status", &len);

	if (!text)
		return -ESRCH;
	status_field(text, "\nVmPeak:", &said->peak_as_bytes);
	status_field(text, "\nVmLck:", &said->locked_bytes);
	status_field(text, "\nVmHWM:", &said->peak_rss_bytes);
	status_field(text, "\nVmRSS:", &said->rss_bytes);
	status_field(text, "\nRssAnon:", &said->rss_anon_bytes);
	status_field(text, "\nRssFile:", &said->rss_file_bytes);
	status_field(text, "\nRssShmem:", &said->rss_shmem_bytes);
	status_field(text, "\nVmPTE:", &said->page_table_bytes);
	free(text);
	return 0;
}

int procfs_read_numbers(pid_t tid, struct proc_numbers *out)
{
	/* The numbers of proc(5), less the 3 fields up to the state. */
	enum { MINFLT = 10, MAJFLT = 12, STARTCODE = 26, ENDCODE, STARTSTACK,
		START_DATA = 45, END_DATA, START_BRK, ARG_START, ENV_END = 51, NR };
	uint64_t field[NR + 1] = { 0 };
	size_t len;
	char *text = read_proc(tid, "stat", &len);
	char *at = text ? strrchr(text, ')') : NULL;

	if (!at || at[1] != ' ' || !at[2]) {
		free(text);
		return -ESRCH;
	}
	at += 3; /* past the state, field 3 */
	for (int i = 4; i <= NR; i++)
		field[i] = strtoull(at, &at, 10);
	out->minor_faults = field[MINFLT];
	out->major_faults = field[MAJFLT];
	out->layout = (struct trace_layout){
		.start_code = field[STARTCODE], .end_code = field[ENDCODE],
		.start_data = field[START_DATA], .end_data = field[END_DATA],
		.start_brk = field[START_BRK], .start_stack = field[STARTSTACK],
		.arg_start = field[ARG_START], .env_end = field[ENV_END],
	};
	free(text);
	return 0;
}

/* From /proc/PID/limits, which prlimit(2) of somebody else's process is not for. */
void procfs_read_rlimits(pid_t tid, struct trace_rights *out)
{
	static const char *const name[] = {
		"\nMax stack size ", "\nMax address space ", "\nMax data size ",
		"\nMax locked memory ",
	};
	uint64_t *const into[] = {
		&out->stack_bytes, &out->as_bytes, &out->data_bytes, &out->memlock_bytes,
	};
	size_t len;
	char *text = read_proc(tid, "limits", &len);

	for (int i = 0; i < 4; i++) {
		char *at = text ? strstr(text, name[i]) : NULL;

		*into[i] = TRACE_UNKNOWN;
		if (!at)
			continue;
		at += strlen(name[i]);
		at += strspn(at, " ");
		if (*at >= '0' && *at <= '9')
			*into[i] = strtoull(at, NULL, 10);
	}
	free(text);
}

long procfs_status_number(pid_t tid, const char *name, int field)
{
	char path[64], line[256];
	size_t len = strlen(name);
	FILE *file;
	long value = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		char *at = line + len + 1;

		if (strncmp(line, name, len) != 0 || line[len] != ':')
			continue;
		for (int i = 0; i <= field; i++)
			value = strtol(at, &at, 10);
		break;
	}
	fclose(file);
	return value;
}

bool procfs_may_lock_any(pid_t tid)
{
	enum { CAP_IPC_LOCK_BIT = 14 };
	size_t len;
	char *text = read_proc(tid, "status", &len);
	char *at = text ? strstr(text, "\nCapEff:") : NULL;
	bool may = at && strtoull(at + 8, NULL, 16) >> CAP_IPC_LOCK_BIT & 1;

	free(text);
	return may;
}

uint32_t procfs_read_personality(pid_t tid)
{
	size_t len;
	char *text = read_proc(tid, "personality", &len);
	uint32_t personality = text ? (uint32_t)strtoul(text, NULL, 16) : 0;

	free(text);
	return personality;
}

bool procfs_has_no_thp(pid_t tid)
{
	return procfs_status_number(tid, "THP_enabled", 0) == 0;
}

/* A memfd that is sealed against writing is mapped as if it were not open for it. */
static bool is_sealed(pid_t tid, int fd)
{
	char path[PATH_BYTES];
	int seals = -1, own;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	own = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (own >= 0) {
		seals = fcntl(own, F_GET_SEALS);
		close(own);
	}
	return seals > 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

uint32_t procfs_read_mode(pid_t tid, int fd, bool may_be_sealed, uint64_t *ino)
{
	char name[32];
	size_t len;
	char *text, *at;
	uint32_t mode = 0;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	text = read_proc(tid, name, &len);
	at = text ? strstr(text, "flags:") : NULL;
	if (at)
		switch (strtoul(at + 6, NULL, 8) & O_ACCMODE) {
		case O_RDONLY:
			mode = TRACE_MODE_READ;
			break;
		case O_WRONLY:
			mode = TRACE_MODE_WRITE;
			break;
		default:
			mode = TRACE_MODE_READ | TRACE_MODE_WRITE;
			break;
		}
	at = text ? strstr(text, "\nino:") : NULL;
	if (ino) /* since Linux 5.14 */
		*ino = at ? strtoull(at + 5, NULL, 10) : 0;
	if (may_be_sealed && is_sealed(tid, fd))
		mode &= ~(uint32_t)TRACE_MODE_WRITE;
	free(text);
	return mode;
}

char *procfs_read_arguments(pid_t tid)
{
	size_t len = 0;
	char *text = read_proc(tid, "cmdline", &len);

	if (!text)
		return strdup("");
	if (len > 4096) {
		len = 4096;
		text[len] = 0;
	}
	while (len && !text[len - 1])
		len--;
	for (size_t i = 0; i < len; i++)
		if (!text[i])
			text[i] = ' ';
	return text;
}

char *procfs_read_link(pid_t tid, const char *name)
{
	char path[PATH_BYTES];
	char target[4096];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return NULL;
	target[len] = 0;
	return strdup(target);
}

static int add_page(struct seen_pages *out, uint64_t page)
{
	if (out->nr == out->capacity) {
		size_t capacity = out->capacity ? out->capacity * 2 : 256;
		uint64_t *grown = realloc(out->page, capacity * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		out->page = grown;
		out->capacity = capacity;
	}
	out->page[out->nr++] = page;
	return 0;
}

/* Adds the pages present in a part of one mapping, entry by entry. */
static int read_entries(int fd, uint64_t about, uint64_t start, uint64_t end,
	struct seen_pages *out)
{
	enum { CHUNK = 4096 };
	const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t entry[CHUNK];
	int err = 0;

	while (start < end && !err) {
		size_t want = (end - start) / page_bytes;
		ssize_t got;

		if (want > CHUNK)
			want = CHUNK;
		got = pread(fd, entry, want * 8, (off_t)(start / page_bytes * 8));
		if (got < 8)
			break;
		for (size_t i = 0; i < (size_t)got / 8 && !err; i++) {
			/* 63 present, 62 swapped, 61 a page of a file or shared, 58 a
			 * guard (of MADV_GUARD_INSTALL), 56 mapped by this process alone */
			bool mapped = entry[i] >> 62 != 0 && !(entry[i] >> 58 & 1);
			bool anon = !(entry[i] >> 61 & 1);
			bool exclusive = entry[i] >> 56 & 1;

			if (mapped)
				err = add_page(out, (start + i * page_bytes) | about |
					(anon ? SEEN_ANON : 0u) |
					(exclusive ? SEEN_EXCLUSIVE : 0u));
		}
		start += (uint64_t)got / 8 * page_bytes;
	}
	return err;
}

/*
 * PAGEMAP_SCAN (Linux 6.7) skips what is not there: a sanitizer's shadow of
 * many terabytes costs nothing.  Declared here, because the headers of the
 * build host may be older than the kernel that runs.
 */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_argument {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_argument)
#define SCAN_FILE 4u
#define SCAN_PRESENT 8u
#define SCAN_SWAPPED 16u
#define SCAN_ZERO 32u

/* As read_entries; 1: this kernel cannot. */
static int scan_pages(int fd, uint64_t about, uint64_t start, uint64_t end,
	struct seen_pages *out)
{
	enum { REGIONS = 256 };
	const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	struct scan_region region[REGIONS];
	int err = 0;

	while (start < end && !err) {
		struct scan_argument scan = {
			.size = sizeof(scan), .start = start, .end = end,
			.vec = (uint64_t)(uintptr_t)region, .vec_len = REGIONS,
			.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
			.return_mask = SCAN_FILE | SCAN_PRESENT | SCAN_SWAPPED | SCAN_ZERO,
		};
		int nr = ioctl(fd, SCAN_IOCTL, &scan);

		if (nr < 0)
			return 1;
		for (int i = 0; i < nr && !err; i++) {
			/* Swapped out, or a guard. */
			if (region[i].categories & SCAN_SWAPPED) {
				err = read_entries(fd, about, region[i].start, region[i].end, out);
				continue;
			}
			for (uint64_t at = region[i].start; at < region[i].end && !err;
			     at += page_bytes)
				err = add_page(out, at | about |
					(region[i].categories & SCAN_ZERO ? SEEN_ZERO : 0u) |
					(region[i].categories & SCAN_FILE ? 0u : SEEN_ANON));
		}
		if (scan.walk_end <= start)
			break;
		start = scan.walk_end;
	}
	return err;
}

/* How many pages from i on follow one another and are the process's own. */
static size_t run_of_own(const struct seen_pages *pages, size_t i, uint64_t page_bytes)
{
	enum { MOST = 512 };
	uint64_t first = pages->page[i] & ~(uint64_t)511;
	size_t nr = 0;

	while (nr < MOST && i + nr < pages->nr && pages->page[i + nr] & SEEN_ANON &&
	       (pages->page[i + nr] & ~(uint64_t)511) == first + nr * page_bytes)
		nr++;
	return nr;
}

void procfs_mark_exclusive(pid_t tid, struct seen_pages *pages)
{
	const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd = open_proc(tid, "pagemap");
	uint64_t entry[512];

	for (size_t i = 0, nr; fd >= 0 && i < pages->nr; i += nr ? nr : 1) {
		ssize_t got;

		nr = run_of_own(pages, i, page_bytes);
		if (nr == 0)
			continue;
		got = pread(fd, entry, nr * 8, (off_t)((pages->page[i] & ~(uint64_t)511) / page_bytes * 8));
		for (size_t k = 0; got > 0 && k < (size_t)got / 8; k++)
			if (entry[k] >> 56 & 1)
				pages->page[i + k] |= SEEN_EXCLUSIVE;
	}
	if (fd >= 0)
		close(fd);
}

static uint64_t about_map(const struct trace_map *map)
{
	return (map->flags & TRACE_MAP_WRITE ? SEEN_WRITABLE : 0u) |
		(map->flags & TRACE_MAP_EXEC ? SEEN_EXEC : 0u) |
		(map->flags & TRACE_MAP_SHARED ? SEEN_SHARED : 0u) |
		(map->file != TRACE_NONE ? SEEN_FILE : 0u);
}

int procfs_read_pages(pid_t tid, const struct maps_buffer *maps, uint64_t start, uint64_t end,
	bool want_exclusive, struct seen_pages *out)
{
	/* Entry by entry is slow where there is much that is not mapped. */
	const uint64_t by_entry_bytes = UINT64_C(256) << 20;
	int fd = open_proc(tid, "pagemap");
	int err = 0;

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < maps->nr && !err; i++) {
		const struct trace_map *map = &maps->map[i];
		uint64_t from = map->start > start ? map->start : start;
		uint64_t to = map->end < end ? map->end : end;

		/* The kernel's own pages: vdso, vvar. */
		if (map->file == TRACE_NONE && strncmp(map->name, "[v", 2) == 0)
			continue;
		if (from >= to)
			continue;
		err = 1;
		if (!want_exclusive || to - from > by_entry_bytes)
			err = scan_pages(fd, about_map(map), from, to, out);
		if (err > 0)
			err = read_entries(fd, about_map(map), from, to, out);
	}
	close(fd);
	return err;
}
