/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's page-fault events, drained as they come.
 *
 * Two sources.  The tracepoints exceptions:page_fault_user and _kernel carry
 * the hardware's error code, so reads, writes and fetches are known; they
 * need privilege.  The software event PERF_COUNT_SW_PAGE_FAULTS has order and
 * address alone, and is open to ordinary users for user mode where
 * perf_event_paranoid is 2 or less.  Both sample every fault (period 1).
 *
 * An event that children inherit must be bound to one CPU to have a ring, so
 * there is one event (or two tracepoints into one ring) for each CPU.  Its
 * clock is CLOCK_MONOTONIC, as the tracer's, which is what lets the two
 * streams be merged.  See perf_event_open(2).
 */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The most to ask for, on all CPUs and on one; and the least that an ordinary
 * user gets everywhere. */
#define RINGS_MAX_BYTES (128u << 20)
#define RING_MAX_BYTES (8u << 20)
#define RING_MIN_BYTES (64u << 10)

struct ring {
	int fd[2]; /* the second: the kernel's tracepoint; or -1 */
	struct perf_event_mmap_page *control;
	uint8_t *data;
	size_t data_bytes;
	uint64_t last_time_ns;
	uint64_t dropped; /* samples for which there was no memory */
	struct sample_queue queue; /* drained, not yet taken; under lock */
};

struct fault_count {
	pid_t pid; /* 0: free */
	pid_t last_tid; /* of its last exception, with the next two */
	uint32_t last_flags;
	uint64_t last_page;
	uint64_t nr;
};

struct drain {
	struct ring *ring;
	unsigned int nr_rings;
	enum trace_source source;
	int stop_fd;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	/* Exceptions by process, open addressing; under lock. */
	struct fault_count *count;
	size_t counts_used, counts_capacity; /* a power of two */
};

static int open_event(struct perf_event_attr *attr, pid_t pid, int cpu)
{
	return (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static struct perf_event_attr base_attr(void)
{
	return (struct perf_event_attr){
		.size = sizeof(struct perf_event_attr),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.disabled = 1,
		.enable_on_exec = 1,
		.inherit = 1,
		.exclude_hv = 1,
		.watermark = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
}

/* tracefs without a place in the tree, for where nobody has mounted it. */
static int mount_tracefs(void)
{
	int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	int mount = -1;

	if (fs < 0)
		return -1;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return mount;
}

static bool read_at(int dir, const char *name, char *text, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return false;
	got = read(fd, text, size - 1);
	close(fd);
	if (got < 0)
		return false;
	text[got] = 0;
	return true;
}

/* The number of one of our tracepoints; 0 where it is not there, or not of
 * the shape that parse_raw reads. */
static uint64_t tracepoint_id(int dir, const char *name)
{
	char path[128], text[4096];

	snprintf(path, sizeof(path), "events/exceptions/%s/format", name);
	if (!read_at(dir, path, text, sizeof(text)) ||
	    !strstr(text, "address;\toffset:8;\tsize:8;") ||
	    !strstr(text, "error_code;\toffset:24;\tsize:8;"))
		return 0;
	snprintf(path, sizeof(path), "events/exceptions/%s/id", name);
	if (!read_at(dir, path, text, sizeof(text)))
		return 0;
	return strtoull(text, NULL, 10);
}

static bool find_tracepoints(uint64_t id[2])
{
	int dir = open("/sys/kernel/tracing", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	id[0] = dir >= 0 ? tracepoint_id(dir, "page_fault_user") : 0;
	if (!id[0]) {
		if (dir >= 0)
			close(dir);
		dir = mount_tracefs();
		if (dir < 0)
			return false;
		id[0] = tracepoint_id(dir, "page_fault_user");
	}
	id[1] = tracepoint_id(dir, "page_fault_kernel");
	close(dir);
	return id[0] && id[1];
}

static void close_ring(struct ring *r)
{
	if (r->control)
		munmap(r->control, r->data_bytes + (size_t)sysconf(_SC_PAGESIZE));
	for (int i = 0; i < 2; i++)
		if (r->fd[i] >= 0)
			close(r->fd[i]);
	free(r->queue.sample);
	*r = (struct ring){ .fd = { -1, -1 } };
}

/* As large as we may. */
static bool map_ring(struct ring *r, size_t most)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t size = most; size >= RING_MIN_BYTES; size /= 2) {
		void *at = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd[0], 0);

		if (at == MAP_FAILED)
			continue;
		r->control = at;
		r->data = (uint8_t *)at + page;
		r->data_bytes = size;
		return true;
	}
	return false;
}

static bool open_ring(struct ring *r, pid_t pid, int cpu, unsigned int nr_cpus,
	enum trace_source source, const uint64_t id[2])
{
	struct perf_event_attr attr = base_attr();
	size_t most = RING_MAX_BYTES;
	int err;

	*r = (struct ring){ .fd = { -1, -1 } };
	attr.wakeup_watermark = RING_MIN_BYTES / 2;
	if (source == TRACE_SOURCE_TRACEPOINT) {
		attr.type = PERF_TYPE_TRACEPOINT;
		attr.sample_type |= PERF_SAMPLE_RAW;
		attr.config = id[0];
	} else {
		attr.type = PERF_TYPE_SOFTWARE;
		attr.sample_type |= PERF_SAMPLE_ADDR | PERF_SAMPLE_IP;
		attr.config = PERF_COUNT_SW_PAGE_FAULTS;
		attr.exclude_kernel = source == TRACE_SOURCE_PERF_USER;
	}
	r->fd[0] = open_event(&attr, pid, cpu);
	while (most > RING_MIN_BYTES && most * nr_cpus > RINGS_MAX_BYTES)
		most /= 2;
	if (r->fd[0] < 0 || !map_ring(r, most))
		goto fail;
	if (source == TRACE_SOURCE_TRACEPOINT) {
		attr.config = id[1];
		r->fd[1] = open_event(&attr, pid, cpu);
		if (r->fd[1] < 0 || ioctl(r->fd[1], PERF_EVENT_IOC_SET_OUTPUT, r->fd[0]) != 0)
			goto fail;
	}
	return true;
fail:
	err = errno;
	close_ring(r);
	errno = err;
	return false;
}

static bool open_rings(struct drain *d, pid_t pid, enum trace_source source)
{
	uint64_t id[2] = { 0, 0 };
	unsigned int i;

	if (source == TRACE_SOURCE_TRACEPOINT && !find_tracepoints(id))
		return false;
	/* A CPU that is switched off has no events (ENODEV) and needs none. */
	for (i = 0; i < d->nr_rings; i++)
		if (!open_ring(&d->ring[i], pid, (int)i, d->nr_rings, source, id) &&
		    errno != ENODEV)
			break;
	if (i == d->nr_rings) {
		d->source = source;
		return true;
	}
	while (i-- > 0)
		close_ring(&d->ring[i]);
	return false;
}

static void push_sample(struct ring *r, struct sample sample)
{
	struct sample_queue *q = &r->queue;

	if (q->nr == q->capacity) {
		size_t capacity = q->capacity ? q->capacity * 2 : 4096;
		struct sample *grown = realloc(q->sample, capacity * sizeof(*grown));

		if (!grown) {
			r->dropped++;
			return;
		}
		q->sample = grown;
		q->capacity = capacity;
	}
	q->sample[q->nr++] = sample;
	if (r->dropped && q->nr < q->capacity) {
		q->sample[q->nr++] = (struct sample){
			.time_ns = sample.time_ns, .addr = r->dropped, .flags = SAMPLE_LOST };
		r->dropped = 0;
	}
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
		push_sample(r, s);
	}
}

static void parse_record(struct drain *d, struct ring *r, const uint8_t *record)
{
	struct perf_event_header header;
	uint64_t lost;

	memcpy(&header, record, sizeof(header));
	if (header.type == PERF_RECORD_SAMPLE) {
		parse_sample(d, r, header.misc, record + sizeof(header),
			header.size - sizeof(header));
	} else if (header.type == PERF_RECORD_LOST && header.size >= sizeof(header) + 16) {
		memcpy(&lost, record + sizeof(header) + 8, 8);
		push_sample(r, (struct sample){
			.time_ns = r->last_time_ns, .addr = lost, .flags = SAMPLE_LOST });
	}
}

/* Under lock. */
static void drain_ring_locked(struct drain *d, struct ring *r)
{
	uint8_t copy[UINT16_MAX + 1];
	uint64_t head, tail;

	if (!r->control)
		return;
	/* Pairs with the kernel's store of data_head after the record. */
	head = __atomic_load_n(&r->control->data_head, __ATOMIC_ACQUIRE);
	tail = r->control->data_tail;
	while (tail < head) {
		size_t at = tail & (r->data_bytes - 1);
		struct perf_event_header header;
		size_t first;

		/* Records are multiples of 8: a header never wraps. */
		memcpy(&header, r->data + at, sizeof(header));
		if (header.size < sizeof(header))
			break;
		first = r->data_bytes - at;
		if (first >= header.size) {
			parse_record(d, r, r->data + at);
		} else {
			memcpy(copy, r->data + at, first);
			memcpy(copy + first, r->data, header.size - first);
			parse_record(d, r, copy);
		}
		tail += header.size;
	}
	/* Pairs with the kernel's load of data_tail before it overwrites. */
	__atomic_store_n(&r->control->data_tail, tail, __ATOMIC_RELEASE);
}

static void drain_all(struct drain *d)
{
	pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->nr_rings; i++)
		drain_ring_locked(d, &d->ring[i]);
	pthread_mutex_unlock(&d->lock);
}

static void *drain_thread(void *argument)
{
	struct drain *d = argument;
	struct pollfd *fds = calloc(d->nr_rings + 1, sizeof(*fds));

	if (!fds)
		return NULL;
	for (unsigned int i = 0; i < d->nr_rings; i++)
		fds[i] = (struct pollfd){ .fd = d->ring[i].fd[0], .events = POLLIN };
	fds[d->nr_rings] = (struct pollfd){ .fd = d->stop_fd, .events = POLLIN };
	while (poll(fds, d->nr_rings + 1, -1) >= 0 || errno == EINTR) {
		if (fds[d->nr_rings].revents)
			break;
		drain_all(d);
		/* The last task has gone: nothing more comes, and poll would
		 * return at once for ever. */
		for (unsigned int i = 0; i < d->nr_rings; i++)
			if (fds[i].revents & (POLLHUP | POLLERR))
				fds[i].fd = -1;
	}
	free(fds);
	return NULL;
}

struct drain *drain_create(pid_t pid, enum trace_source *source)
{
	long nr = sysconf(_SC_NPROCESSORS_CONF);
	struct drain *d = calloc(1, sizeof(*d));
	enum trace_source try = *source;

	*source = TRACE_SOURCE_PAGEMAP;
	if (!d)
		return NULL;
	d->nr_rings = (unsigned int)(nr > 0 ? nr : 1);
	d->ring = calloc(d->nr_rings, sizeof(d->ring[0]));
	d->stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&d->lock, NULL);
	for (unsigned int i = 0; d->ring && i < d->nr_rings; i++)
		d->ring[i] = (struct ring){ .fd = { -1, -1 } };
	if (!d->ring || d->stop_fd < 0)
		goto fail;
	while (try < TRACE_SOURCE_PAGEMAP && !open_rings(d, pid, try))
		try++;
	if (try >= TRACE_SOURCE_PAGEMAP)
		goto fail;
	if (pthread_create(&d->thread, NULL, drain_thread, d) != 0)
		goto fail;
	d->running = true;
	*source = try;
	return d;
fail:
	drain_destroy(d);
	return NULL;
}

unsigned int drain_nr_queues(const struct drain *d)
{
	return d->nr_rings;
}

static void append(struct sample_queue *to, struct sample_queue *from)
{
	if (to->first == to->nr) {
		struct sample_queue empty = *to;

		empty.first = empty.nr = 0;
		*to = *from;
		*from = empty;
		return;
	}
	if (to->nr + from->nr > to->capacity) {
		size_t capacity = (to->nr + from->nr) * 2;
		struct sample *grown = realloc(to->sample, capacity * sizeof(*grown));

		if (!grown)
			return; /* what is left stays where it is, and is taken next time */
		to->sample = grown;
		to->capacity = capacity;
	}
	memcpy(to->sample + to->nr, from->sample, from->nr * sizeof(from->sample[0]));
	to->nr += from->nr;
	from->nr = 0;
}

void drain_take(struct drain *d, struct sample_queue *queues)
{
	pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->nr_rings; i++) {
		drain_ring_locked(d, &d->ring[i]);
		if (d->ring[i].queue.nr)
			append(&queues[i], &d->ring[i].queue);
	}
	pthread_mutex_unlock(&d->lock);
}

uint64_t drain_faults_of(struct drain *d, pid_t pid)
{
	uint64_t nr = 0;

	if (!d)
		return 0;
	pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->nr_rings; i++)
		drain_ring_locked(d, &d->ring[i]);
	if (d->counts_capacity)
		nr = count_of(d->count, d->counts_capacity, pid)->nr;
	pthread_mutex_unlock(&d->lock);
	return nr;
}

void drain_forked(struct drain *d, pid_t pid)
{
	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->nr_rings; i++)
		drain_ring_locked(d, &d->ring[i]);
	if (d->counts_capacity)
		count_of(d->count, d->counts_capacity, pid)->last_tid = 0;
	pthread_mutex_unlock(&d->lock);
}

void drain_destroy(struct drain *d)
{
	if (!d)
		return;
	if (d->running) {
		uint64_t one = 1;

		while (write(d->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(d->thread, NULL);
	}
	for (unsigned int i = 0; d->ring && i < d->nr_rings; i++)
		close_ring(&d->ring[i]);
	if (d->stop_fd >= 0)
		close(d->stop_fd);
	pthread_mutex_destroy(&d->lock);
	free(d->count);
	free(d->ring);
	free(d);
}
