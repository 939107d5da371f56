/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's page-fault events, drained as they come.
 *
 * Two sources.  The tracepoints exceptions:page_fault_user and _kernel carry
 * the hardware's error code, so reads, writes and fetches are known; they
 * need privilege.  The software event PERF_COUNT_SW_PAGE_FAULTS has order and
 * address alone, and is open to ordinary users for user mode where
 * perf_event_paranoid is 2 or less.  Both sample every fault (period 1).
 */
#include "recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"

#define RING_MAX_BYTES (8u << 20)

struct fault_count {
	pid_t pid; /* 0: free */
	pid_t last_tid; /* of its last exception, with the next two */
	uint32_t last_flags;
	uint64_t last_page;
	uint64_t nr;
};

struct drain {
	struct ring_set rings;
	enum trace_source source;
	struct sample_queue *queue; /* drained, not yet taken; one per ring; under
				     * the lock of the rings */
	uint64_t dropped; /* samples that no memory was found for; the same lock */
	/* Exceptions by process, open addressing; the same lock. */
	struct fault_count *count;
	size_t counts_used, counts_capacity; /* a power of two */
};

static bool find_tracepoints(uint64_t id[2])
{
	/* The shape that parse_raw reads. */
	static const char *const lines[] = {
		"address;\toffset:8;\tsize:8;", "error_code;\toffset:24;\tsize:8;", NULL };
	int dir = tracefs_open();

	if (dir < 0)
		return false;
	id[0] = tracefs_event_id(dir, "exceptions/page_fault_user", lines);
	id[1] = tracefs_event_id(dir, "exceptions/page_fault_kernel", lines);
	close(dir);
	return id[0] && id[1];
}

static bool open_rings(struct drain *d, const struct record_target *target,
	enum trace_source source)
{
	struct ring_plan plan = { .nr_events = 1, .ring_bytes = RING_MAX_BYTES };
	struct perf_event_attr attr = ring_attr();
	uint64_t id[2] = { 0, 0 };

	if (source == TRACE_SOURCE_TRACEPOINT) {
		if (!find_tracepoints(id))
			return false;
		plan.nr_events = 2;
		attr.type = PERF_TYPE_TRACEPOINT;
		attr.sample_type |= PERF_SAMPLE_RAW;
		attr.config = id[0];
		plan.attr[1] = attr;
		plan.attr[1].config = id[1];
	} else {
		attr.type = PERF_TYPE_SOFTWARE;
		attr.sample_type |= PERF_SAMPLE_ADDR | PERF_SAMPLE_IP;
		attr.config = PERF_COUNT_SW_PAGE_FAULTS;
		attr.exclude_kernel = source == TRACE_SOURCE_PERF_USER;
	}
	plan.attr[0] = attr;
	if (ring_set_open(&d->rings, target, &plan) < 0)
		return false;
	d->source = source;
	return true;
}

static void push_sample(struct drain *d, const struct ring *r, struct sample sample)
{
	struct sample_queue *q = &d->queue[r->cpu];

	if (q->nr == q->capacity) {
		size_t capacity = q->capacity ? q->capacity * 2 : 4096;
		struct sample *grown = realloc(q->sample, capacity * sizeof(*grown));

		if (!grown) {
			d->dropped += sample.flags & SAMPLE_LOST ? sample.addr : 1;
			return;
		}
		q->sample = grown;
		q->capacity = capacity;
	}
	q->sample[q->nr++] = sample;
}

static struct fault_count *count_of(struct fault_count *table, size_t capacity, pid_t pid)
{
	size_t at = (size_t)pid * 0x9e3779b1u & (capacity - 1);

	while (table[at].pid && table[at].pid != pid)
		at = (at + 1) & (capacity - 1);
	return &table[at];
}

static bool counts_reserve(struct drain *d)
{
	size_t capacity = d->counts_capacity ? d->counts_capacity * 2 : 256;
	struct fault_count *grown;

	if (d->counts_used * 2 < d->counts_capacity)
		return true;
	grown = calloc(capacity, sizeof(*grown));
	if (!grown)
		return false;
	for (size_t i = 0; i < d->counts_capacity; i++)
		if (d->count[i].pid)
			*count_of(grown, capacity, d->count[i].pid) = d->count[i];
	free(d->count);
	d->count = grown;
	d->counts_capacity = capacity;
	return true;
}

/* Counts the exception for its process; a repetition (merge.c) is none. */
static void count_fault(struct drain *d, const struct sample *s)
{
	struct fault_count *count;
	uint64_t page = s->addr >> 12;

	if (!counts_reserve(d))
		return;
	count = count_of(d->count, d->counts_capacity, s->pid);
	if (!count->pid) {
		count->pid = s->pid;
		d->counts_used++;
	}
	if (!(s->flags & TRACE_TOUCH_KERNEL) || count->last_tid != s->tid ||
	    count->last_page != page || count->last_flags != s->flags)
		count->nr++;
	count->last_tid = s->tid;
	count->last_page = page;
	count->last_flags = s->flags;
}

/* A sample of a tracepoint: pid, tid, time, size, then its record. */
static bool parse_raw(const uint8_t *p, size_t len, struct sample *s)
{
	enum { PROTECTION = 1, WRITE = 2, USER = 4, FETCH = 16 };
	uint64_t error;

	if (len < 16 + 4 + 32)
		return false;
	memcpy(&s->addr, p + 20 + 8, 8);
	memcpy(&error, p + 20 + 24, 8);
	s->flags = TRACE_TOUCH_EXACT | (error & WRITE ? TRACE_TOUCH_WRITE : 0u) |
		(error & FETCH ? TRACE_TOUCH_EXEC : 0u) |
		(error & PROTECTION ? TRACE_TOUCH_PRESENT : 0u) |
		(error & USER ? 0u : TRACE_TOUCH_KERNEL);
	return true;
}

static void parse_sample(struct drain *d, struct ring *r, uint16_t misc, const uint8_t *p,
	size_t len)
{
	struct sample s = { 0 };
	uint32_t pid, tid;
	size_t at = 0;
	uint64_t ip = 0;

	if (d->source != TRACE_SOURCE_TRACEPOINT) {
		if (len < 32)
			return;
		memcpy(&ip, p, 8);
		memcpy(&s.addr, p + 24, 8);
		at = 8;
		if (ip == s.addr)
			s.flags |= TRACE_TOUCH_EXEC;
		if ((misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL)
			s.flags |= TRACE_TOUCH_KERNEL;
	} else if (!parse_raw(p, len, &s)) {
		return;
	}
	memcpy(&pid, p + at, 4);
	memcpy(&tid, p + at + 4, 4);
	memcpy(&s.time_ns, p + at + 8, 8);
	s.pid = (pid_t)pid;
	s.tid = (pid_t)tid;
	r->last_time_ns = s.time_ns;
	/* Upper half: the kernel's own memory. */
	if (!(s.addr >> 63)) {
		count_fault(d, &s);
		push_sample(d, r, s);
	}
}

static void parse_record(void *context, struct ring *r, const uint8_t *record)
{
	struct drain *d = context;
	struct perf_event_header header;
	uint64_t lost;

	memcpy(&header, record, sizeof(header));
	if (header.type == PERF_RECORD_SAMPLE) {
		parse_sample(d, r, header.misc, record + sizeof(header),
			header.size - sizeof(header));
	} else if (header.type == PERF_RECORD_LOST && header.size >= sizeof(header) + 16) {
		memcpy(&lost, record + sizeof(header) + 8, 8);
		push_sample(d, r, (struct sample){
			.time_ns = r->last_time_ns, .addr = lost, .flags = SAMPLE_LOST });
	}
}

struct drain *drain_create(const struct record_target *target, enum trace_source *source)
{
	struct drain *d = calloc(1, sizeof(*d));
	enum trace_source try = *source;

	*source = TRACE_SOURCE_PAGEMAP;
	if (!d)
		return NULL;
	if (ring_set_init(&d->rings, parse_record, d) < 0)
		goto fail;
	d->queue = calloc(d->rings.nr, sizeof(d->queue[0]));
	if (!d->queue)
		goto fail;
	while (try < TRACE_SOURCE_PAGEMAP && !open_rings(d, target, try))
		try++;
	if (try >= TRACE_SOURCE_PAGEMAP || ring_set_start(&d->rings, -1) < 0)
		goto fail;
	*source = try;
	return d;
fail:
	drain_destroy(d);
	return NULL;
}

void drain_enable(struct drain *d)
{
	if (d)
		ring_set_enable(&d->rings);
}

void drain_disable(struct drain *d)
{
	if (d)
		ring_set_disable(&d->rings);
}

unsigned int drain_nr_queues(const struct drain *d)
{
	return d->rings.nr;
}

/* False: no memory, and from is as it was. */
static bool append(struct sample_queue *to, struct sample_queue *from)
{
	if (to->first == to->nr) {
		struct sample_queue empty = *to;

		empty.first = empty.nr = 0;
		*to = *from;
		*from = empty;
		return true;
	}
	if (to->nr + from->nr > to->capacity) {
		size_t capacity = (to->nr + from->nr) * 2;
		struct sample *grown = realloc(to->sample, capacity * sizeof(*grown));

		if (!grown)
			return false;
		to->sample = grown;
		to->capacity = capacity;
	}
	memcpy(to->sample + to->nr, from->sample, from->nr * sizeof(from->sample[0]));
	to->nr += from->nr;
	from->nr = 0;
	return true;
}

void drain_take(struct drain *d, struct sample_queue *queues)
{
	uint64_t dropped;

	pthread_mutex_lock(&d->rings.lock);
	ring_set_drain_locked(&d->rings);
	dropped = d->dropped;
	d->dropped = 0;
	if (dropped)
		push_sample(d, &d->rings.ring[0], (struct sample){
			.time_ns = d->rings.ring[0].last_time_ns, .addr = dropped,
			.flags = SAMPLE_LOST });
	for (unsigned int i = 0; i < d->rings.nr; i++)
		if (d->queue[i].nr)
			append(&queues[i], &d->queue[i]);
	pthread_mutex_unlock(&d->rings.lock);
}

uint64_t drain_faults_of(struct drain *d, pid_t pid)
{
	uint64_t nr = 0;

	if (!d)
		return 0;
	pthread_mutex_lock(&d->rings.lock);
	ring_set_drain_locked(&d->rings);
	if (d->counts_capacity)
		nr = count_of(d->count, d->counts_capacity, pid)->nr;
	pthread_mutex_unlock(&d->rings.lock);
	return nr;
}

void drain_forked(struct drain *d, pid_t pid)
{
	if (!d)
		return;
	pthread_mutex_lock(&d->rings.lock);
	ring_set_drain_locked(&d->rings);
	if (d->counts_capacity)
		count_of(d->count, d->counts_capacity, pid)->last_tid = 0;
	pthread_mutex_unlock(&d->rings.lock);
}

void drain_destroy(struct drain *d)
{
	if (!d)
		return;
	ring_set_fini(&d->rings);
	for (unsigned int i = 0; d->queue && i < d->rings.nr; i++)
		free(d->queue[i].sample);
	free(d->queue);
	free(d->count);
	free(d);
}
