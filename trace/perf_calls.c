/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls as the kernel's tracepoints tell them.
 *
 * raw_syscalls:sys_enter and sys_exit carry all arguments and the result; a
 * filter in the kernel lets the calls of the table through and no other.
 * mmap_lock:mmap_lock_acquire_returned, for writing, gives the moment from
 * which nobody else changes the address space: calls are ordered by it.  Where a
 * kernel lacks it the stream falls back on the exit.  Side records (MMAP2) name
 * the file of each mapping that was made, by device and inode.
 *
 * What arguments point at is looked at when a ring is emptied, about a
 * millisecond after the call: the file behind a descriptor that is resized, the
 * ranges of process_madvise, the flags of clone3.  It may be gone by then, and
 * the record says so.
 *
 * See perf_event_open(2); needs root, or CAP_PERFMON and a readable tracefs.
 */
#include "call_source.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ring.h"

/* 300,000 calls a second make 45 MB: room for a third of a second. */
#define RING_MAX_BYTES (16u << 20)
/* Looked at each millisecond while there is something: a wake in between costs the
 * program more than it helps. */
#define PERIOD_MS 1
#define WAKE_BYTES (RING_MAX_BYTES / 8)
#define FILTER_BYTES 1024
#define LOOKS 256
#define LOOK_PERIOD_NS 1000000

struct call_rings {
	struct ring_set rings;
	struct merge *merge;
	struct files *files; /* NULL: not started */
	uint64_t id_enter, id_exit, id_locked; /* of tracepoints; locked: 0 if there is none */
	/* Under the lock of the rings: */
	struct call_records *queue; /* drained, not yet taken; one per ring */
	uint64_t dropped; /* records that no memory was found for */
	struct look {
		pid_t tid;
		uint64_t time_ns;
	} looked[LOOKS]; /* at page tables, by thread */
};

/* ---- opening ---- */

static bool find_tracepoints(struct call_rings *c)
{
	static const char *const enter[] = {
		"id;\toffset:8;\tsize:8;", "args[6];\toffset:16;\tsize:48;", NULL };
	static const char *const exits[] = {
		"id;\toffset:8;\tsize:8;", "ret;\toffset:16;\tsize:8;", NULL };
	static const char *const locked[] = { "bool write;", "bool success;", NULL };
	int dir = tracefs_open();

	if (dir < 0)
		return false;
	c->id_enter = tracefs_event_id(dir, "raw_syscalls/sys_enter", enter);
	c->id_exit = tracefs_event_id(dir, "raw_syscalls/sys_exit", exits);
	c->id_locked = tracefs_event_id(dir, "mmap_lock/mmap_lock_acquire_returned", locked);
	close(dir);
	return c->id_enter && c->id_exit;
}

static bool open_rings(struct call_rings *c, const struct record_target *target)
{
	struct ring_plan plan = { .ring_bytes = RING_MAX_BYTES };
	struct perf_event_attr attr = ring_attr();
	char filter[FILTER_BYTES];

	if (!find_tracepoints(c) || !calls_perf_filter(filter, sizeof(filter), target->tid != NULL))
		return false;
	attr.type = PERF_TYPE_TRACEPOINT;
	attr.sample_type |= PERF_SAMPLE_RAW;
	attr.sample_id_all = 1;
	attr.wakeup_watermark = WAKE_BYTES;
	for (size_t i = 0; i < 3; i++)
		plan.attr[i] = attr;
	plan.attr[0].config = c->id_enter;
	plan.attr[0].mmap = plan.attr[0].mmap_data = plan.attr[0].mmap2 = 1;
	plan.attr[1].config = c->id_exit;
	plan.attr[2].config = c->id_locked;
	plan.filter[0] = plan.filter[1] = filter;
	plan.filter[2] = "write==1&&success==1";
	plan.nr_events = c->id_locked ? 3 : 2;
	return ring_set_open(&c->rings, target, &plan) == 0;
}

/* ---- what arguments point at ---- */

/* Of which process is the descriptor? */
static pid_t pid_of_fd(pid_t tid, int fd)
{
	char path[64], line[128];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)tid, fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	if (file)
		fclose(file);
	return pid > 0 ? (pid_t)pid : 0;
}

static void read_ranges(struct call_record *record)
{
	enum { MOST = 1024 }; /* IOV_MAX */
	size_t nr = record->arg[2] < MOST ? record->arg[2] : MOST;
	struct call_ranges *ranges = malloc(sizeof(*ranges) + nr * sizeof(ranges->range[0]));

	record->unread = true;
	if (!ranges)
		return;
	ranges->nr = (uint32_t)nr;
	if (nr && !calls_read_memory(record->tid, record->arg[1], ranges->range,
			nr * sizeof(ranges->range[0]))) {
		free(ranges);
		return;
	}
	record->ranges = ranges;
	record->target = pid_of_fd(record->tid, (int)record->arg[0]);
	record->unread = false;
}

/*
 * The call frees page tables, or has: how many are there still?  Calls that free
 * come in bursts; the first look is less than a millisecond behind the first.
 */
static void look_at_tables(struct call_rings *c, const struct call_record *record)
{
	struct look *last = &c->looked[(unsigned int)record->tid % LOOKS];

	if (last->tid == record->tid && record->time_ns < last->time_ns + LOOK_PERIOD_NS)
		return;
	*last = (struct look){ .tid = record->tid, .time_ns = record->time_ns };
	merge_look_at_tables(c->merge, record->tid);
}

static void look_behind(struct call_rings *c, struct call_record *record)
{
	struct stopped_call call;

	if (record->nr == SYS_clone3) {
		record->unread = !calls_read_memory(record->tid, record->arg[0],
			&record->arg[0], sizeof(record->arg[0]));
		return;
	}
	calls_decode(record->tid, record->nr, record->arg, &call);
	if (call.frees)
		look_at_tables(c, record);
	/* It may be closed by now, or another's: the mapping will tell. */
	if (call.call.nr == TRACE_MMAP && call.fd >= 0)
		record->mode = procfs_read_mode(record->tid, call.fd,
			call.call.flags & MAP_SHARED && !(call.call.prot & PROT_WRITE),
			&record->ino);
	else if (call.call.nr == TRACE_FTRUNCATE)
		record->unread = !files_resized(c->files, record->tid, (int)record->arg[0],
			record->arg[1], &record->file, &record->file_bytes);
	else if (call.call.nr == TRACE_FALLOCATE)
		record->unread = !files_resized(c->files, record->tid, (int)record->arg[0],
			0, &record->file, &record->file_bytes);
	else if (call.call.nr == TRACE_PROCESS_MADVISE)
		read_ranges(record);
}

/* ---- parsing ---- */

static void push_record(struct call_rings *c, const struct ring *r, const struct call_record *record)
{
	struct call_records *q = &c->queue[r->cpu];

	if (q->nr == q->capacity) {
		size_t capacity = q->capacity ? q->capacity * 2 : 1024;
		struct call_record *grown = realloc(q->record, capacity * sizeof(*grown));

		if (!grown) {
			c->dropped += record->kind == RECORD_LOST ? record->arg[0] : 1;
			free(record->ranges);
			return;
		}
		q->record = grown;
		q->capacity = capacity;
	}
	q->record[q->nr++] = *record;
}

/* pid, tid, time, size, then the tracepoint's own record. */
static bool parse_sample(struct call_rings *c, const uint8_t *p, size_t len,
	struct call_record *out)
{
	enum { RAW = 20, ENTER_BYTES = 64, EXIT_BYTES = 24 };
	uint16_t type;
	uint64_t nr;

	if (len < RAW + 16)
		return false;
	memcpy(&out->tid, p + 4, 4);
	memcpy(&out->time_ns, p + 8, 8);
	memcpy(&type, p + RAW, 2);
	memcpy(&nr, p + RAW + 8, 8);
	out->nr = (uint32_t)nr;
	if (type == c->id_enter && len >= RAW + ENTER_BYTES) {
		out->kind = RECORD_ENTER;
		memcpy(out->arg, p + RAW + 16, sizeof(out->arg));
		look_behind(c, out);
	} else if (type == c->id_exit && len >= RAW + EXIT_BYTES) {
		out->kind = RECORD_EXIT;
		memcpy(&out->arg[0], p + RAW + 16, 8);
	} else if (type == c->id_locked) {
		out->kind = RECORD_LOCKED;
	} else {
		return false;
	}
	return true;
}

/* pid, tid, start, length, offset, device, inode, generation, protection,
 * flags, name; at its end, as at that of every side record: pid, tid, time. */
static bool parse_mapping(struct call_rings *c, const uint8_t *p, size_t len,
	struct call_record *out)
{
	enum { NAME = 64, TRAILER = 16 };
	struct { uint32_t major, minor; uint64_t ino; } file;
	struct trace_map map = { .file = TRACE_NONE };
	uint64_t bytes;

	if (len <= NAME + TRAILER)
		return false;
	memcpy(&out->tid, p + 4, 4);
	memcpy(&map.start, p + 8, 8);
	memcpy(&bytes, p + 16, 8);
	memcpy(&map.offset_bytes, p + 24, 8);
	memcpy(&file, p + 32, sizeof(file));
	map.end = map.start + bytes;
	map.name = (const char *)p + NAME;
	memcpy(&out->time_ns, p + len - 8, 8);
	out->kind = RECORD_MAPPING;
	out->arg[0] = map.start;
	out->arg[1] = map.end;
	out->ino = file.ino;
	out->file = files_of_mapping(c->files, out->tid, &map, makedev(file.major, file.minor),
		file.ino, &out->file_bytes);
	return true;
}

static void parse_record(void *context, struct ring *r, const uint8_t *bytes)
{
	struct call_rings *c = context;
	struct call_record record = { .file = TRACE_NONE };
	struct perf_event_header header;
	const uint8_t *body = bytes + sizeof(header);
	size_t len;
	bool good = false;

	memcpy(&header, bytes, sizeof(header));
	len = header.size - sizeof(header);
	if (header.type == PERF_RECORD_SAMPLE) {
		good = parse_sample(c, body, len, &record);
	} else if (header.type == PERF_RECORD_MMAP2) {
		good = parse_mapping(c, body, len, &record);
	} else if (header.type == PERF_RECORD_LOST && len >= 16) {
		record.kind = RECORD_LOST;
		memcpy(&record.arg[0], body + 8, 8);
		record.time_ns = r->last_time_ns;
		good = true;
	}
	if (!good)
		return;
	r->last_time_ns = record.time_ns;
	push_record(c, r, &record);
}

/* ---- for the others ---- */

struct call_rings *call_rings_create(const struct record_target *target)
{
	struct call_rings *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (ring_set_init(&c->rings, parse_record, c) == 0) {
		c->queue = calloc(c->rings.nr, sizeof(c->queue[0]));
		if (c->queue && open_rings(c, target))
			return c;
	}
	call_rings_destroy(c);
	return NULL;
}

int call_rings_start(struct call_rings *c, struct merge *merge, struct files *files)
{
	c->merge = merge;
	c->files = files;
	return ring_set_start(&c->rings, PERIOD_MS);
}

void call_rings_enable(struct call_rings *c)
{
	ring_set_enable(&c->rings);
}

void call_rings_disable(struct call_rings *c)
{
	if (c)
		ring_set_disable(&c->rings);
}

void call_rings_stop(struct call_rings *c)
{
	ring_set_stop(&c->rings);
}

void call_rings_look(struct call_rings *c)
{
	pthread_mutex_lock(&c->rings.lock);
	ring_set_drain_locked(&c->rings);
	pthread_mutex_unlock(&c->rings.lock);
}

unsigned int call_rings_nr(const struct call_rings *c)
{
	return c->rings.nr;
}

/* Without memory all stays where it is, for the next time. */
static void append(struct call_records *to, struct call_records *from)
{
	if (to->first == to->nr) {
		struct call_records empty = *to;

		empty.first = empty.nr = 0;
		*to = *from;
		*from = empty;
		return;
	}
	if (to->nr + from->nr > to->capacity) {
		size_t capacity = (to->nr + from->nr) * 2;
		struct call_record *grown = realloc(to->record, capacity * sizeof(*grown));

		if (!grown)
			return;
		to->record = grown;
		to->capacity = capacity;
	}
	memcpy(to->record + to->nr, from->record, from->nr * sizeof(from->record[0]));
	to->nr += from->nr;
	from->nr = 0;
}

void call_rings_take(struct call_rings *c, struct call_records *queues)
{
	pthread_mutex_lock(&c->rings.lock);
	if (c->files)
		ring_set_drain_locked(&c->rings);
	if (c->dropped) {
		struct call_record lost = {
			.kind = RECORD_LOST, .file = TRACE_NONE, .arg = { c->dropped },
			.time_ns = c->rings.ring[0].last_time_ns,
		};

		c->dropped = 0;
		push_record(c, &c->rings.ring[0], &lost);
	}
	for (unsigned int i = 0; i < c->rings.nr; i++)
		if (c->queue[i].nr)
			append(&queues[i], &c->queue[i]);
	pthread_mutex_unlock(&c->rings.lock);
}

void call_rings_destroy(struct call_rings *c)
{
	if (!c)
		return;
	ring_set_fini(&c->rings);
	for (unsigned int i = 0; c->queue && i < c->rings.nr; i++) {
		for (size_t j = 0; j < c->queue[i].nr; j++)
			free(c->queue[i].record[j].ranges);
		free(c->queue[i].record);
	}
	free(c->queue);
	free(c);
}
