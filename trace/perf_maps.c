/* SPDX-License-Identifier: BSD-2-Clause */
/* The mappings of one address space: an array, ascending and disjoint; and what an
 * MMAP2 line says of one. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "import_perf.h"

size_t perf_areas_after(const struct perf_areas *areas, uint64_t addr)
{
	size_t low = 0, high = areas->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (areas->area[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Makes addr a boundary, if it lies inside an area. */
static bool split(struct perf_areas *areas, uint64_t addr)
{
	size_t i = perf_areas_after(areas, addr);
	struct perf_area *left;

	if (i == areas->nr || areas->area[i].start >= addr)
		return true;
	if (!import_room(&areas->area, areas->nr, &areas->capacity, sizeof(areas->area[0])))
		return false;
	left = &areas->area[i];
	memmove(left + 1, left, (areas->nr - i) * sizeof(*left));
	areas->nr++;
	left[1].offset += addr - left->start;
	left[1].start = left->end = addr;
	return true;
}

bool perf_areas_set(struct perf_areas *areas, const struct perf_area *area)
{
	size_t from, to;

	if (!split(areas, area->start) || !split(areas, area->end) ||
	    !import_room(&areas->area, areas->nr, &areas->capacity, sizeof(areas->area[0])))
		return false;
	from = perf_areas_after(areas, area->start);
	for (to = from; to < areas->nr && areas->area[to].end <= area->end; to++)
		;
	memmove(areas->area + from + 1, areas->area + to,
		(areas->nr - to) * sizeof(areas->area[0]));
	areas->nr -= to - from;
	areas->area[from] = *area;
	areas->nr++;
	return true;
}

bool perf_areas_copy(struct perf_areas *to, const struct perf_areas *from)
{
	for (size_t i = 0; i < from->nr; i++) {
		if (!import_room(&to->area, i, &to->capacity, sizeof(to->area[0])))
			return false;
		to->area[i] = from->area[i];
	}
	to->nr = from->nr;
	return true;
}

/* ---- MMAP2 lines ---- */

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

static enum trace_file_kind kind_of_file(const char *name)
{
	static const struct {
		const char *begin;
		enum trace_file_kind kind;
	} kinds[] = {
		{ "/memfd:", TRACE_FILE_MEMFD }, { "/SYSV", TRACE_FILE_SHM },
		{ "/dev/zero", TRACE_FILE_ZERO }, { "/dev/shm/", TRACE_FILE_TMPFS },
		{ "/dev/", TRACE_FILE_DEVICE }, { "/", TRACE_FILE_DISK },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (begins(name, kinds[i].begin))
			return kinds[i].kind;
	return TRACE_FILE_OTHER;
}

/* Names of memory that the kernel gives a meaning; the others are dropped. */
static const char *special_name(const char *name)
{
	static const char *const names[] = {
		"[stack]", "[heap]", "[vdso]", "[vvar]", "[vvar_vclock]", "[vectors]", "[sigpage]",
		"[uprobes]",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return names[i];
	return "";
}

/* The kernel puts that behind a name that is there no more. */
static bool cut_deleted(char *name)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(name);

	if (len < strlen(deleted) || strcmp(name + len - strlen(deleted), deleted) != 0)
		return false;
	name[len - strlen(deleted)] = 0;
	return true;
}

int perf_area_of(struct import_world *w, const struct perf_line *line, struct perf_area *area)
{
	struct import_file wanted = {
		.path = line->name, .kind = kind_of_file(line->name), .dev = line->dev,
		.ino = line->ino, .deleted = cut_deleted(line->name), .bytes = line->offset + line->len,
	};
	int err;

	*area = (struct perf_area){
		.start = line->addr, .end = line->addr + line->len, .flags = line->map_flags,
		.file = TRACE_NONE, .name = special_name(line->name),
	};
	/* Shared anonymous memory is a file that the kernel made for it. */
	if (begins(line->name, "//anon") || line->name[0] == '[' || !line->name[0])
		return 0;
	area->offset = line->offset;
	err = world_find_inode(w, &wanted, &area->file);
	if (!err)
		err = world_grow_file(w, area->file, line->offset + line->len);
	return err;
}

/* Is the new mapping the one that was there, perhaps with other rights? */
static bool continues(const struct perf_area *old, const struct perf_area *new)
{
	return old->file == new->file &&
		!((old->flags ^ new->flags) & TRACE_MAP_SHARED) &&
		(new->file == TRACE_NONE ||
		 old->offset - old->start == new->offset - new->start);
}

static uint32_t prot_of(uint32_t flags)
{
	return (flags & TRACE_MAP_READ ? PROT_READ : 0u) |
		(flags & TRACE_MAP_WRITE ? PROT_WRITE : 0u) |
		(flags & TRACE_MAP_EXEC ? PROT_EXEC : 0u);
}

/* The call that makes [start, end) what the mapping says. */
static int put_change(struct import_world *w, uint32_t thread, const struct perf_area *map,
	uint64_t start, uint64_t end, enum trace_call_nr nr)
{
	struct trace_event e = world_event(w, thread, TRACE_CALL);

	e.call = (struct trace_call){
		.nr = nr, .addr = start, .len = end - start, .prot = prot_of(map->flags),
		.file = TRACE_NONE, .target = TRACE_NONE,
	};
	if (nr == TRACE_MMAP) {
		e.call.result = (int64_t)start;
		e.call.flags = MAP_FIXED |
			(map->flags & TRACE_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE) |
			(map->file == TRACE_NONE ? MAP_ANONYMOUS : 0u);
	}
	if (nr == TRACE_MMAP && map->file != TRACE_NONE) {
		e.call.offset = map->offset + (start - map->start);
		e.call.file = map->file;
		e.call.file_bytes = w->file[map->file].bytes;
	}
	return world_put(w, &e);
}

int perf_areas_change(struct import_world *w, uint32_t thread, struct perf_areas *areas,
	const struct perf_area *map)
{
	bool special = map->name[0] == '[' && strcmp(map->name, "[heap]") != 0;
	size_t i = perf_areas_after(areas, map->start);
	int err = 0;

	/* A stack grows by itself. */
	for (uint64_t at = map->start, end; at < map->end && !special && !err; at = end) {
		const struct perf_area *old = i < areas->nr && areas->area[i].start < map->end ?
			&areas->area[i] : NULL;

		if (!old || old->start > at) {
			end = old ? old->start : map->end;
			err = put_change(w, thread, map, at, end, TRACE_MMAP);
			continue;
		}
		end = old->end < map->end ? old->end : map->end;
		if (!continues(old, map))
			err = put_change(w, thread, map, at, end, TRACE_MMAP);
		else if (prot_of(old->flags) != prot_of(map->flags))
			err = put_change(w, thread, map, at, end, TRACE_MPROTECT);
		i++;
	}
	if (!err && !perf_areas_set(areas, map))
		err = import_log_fail_memory(w->log);
	return err;
}
