/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Perf rings; see ring.h and perf_event_open(2).
 *
 * An event that children inherit, or of a control group, must be bound to one CPU
 * to have a ring, so there is one ring for each CPU, and the further events of that CPU write into
 * it.  The clock is CLOCK_MONOTONIC, as the tracer's, which is what lets all
 * streams be merged.
 *
 * Threads that ran before have each their own events on each CPU.  Any of them may
 * end first, so the ring belongs to none: it is that of an event of ours which never
 * counts anything.
 */
#include "ring.h"
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The most to ask for on all CPUs; and the least that an ordinary user gets
 * everywhere. */
#define RINGS_MAX_BYTES (128u << 20)
#define RING_MIN_BYTES (64u << 10)

struct perf_event_attr ring_attr(void)
{
	return (struct perf_event_attr){
		.size = sizeof(struct perf_event_attr),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.disabled = 1,
		.exclude_hv = 1,
		.watermark = 1,
		.wakeup_watermark = RING_MIN_BYTES / 2,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
}

/* ---- rings ---- */

static void ring_close(struct ring *r)
{
	if (r->control)
		munmap(r->control, r->data_bytes + (size_t)sysconf(_SC_PAGESIZE));
	r->control = NULL;
	for (int i = 0; i < RING_EVENTS; i++) {
		if (r->fd[i] >= 0)
			close(r->fd[i]);
		r->fd[i] = -1;
	}
}

/* As large as we may. */
static bool ring_map(struct ring *r, size_t most)
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

static int ring_open_event(struct ring *r, size_t i, const struct record_target *target,
	const struct ring_plan *plan)
{
	struct perf_event_attr attr = plan->attr[i];
	bool group = target->cgroup_fd >= 0;
	unsigned long flags = PERF_FLAG_FD_CLOEXEC | (group ? PERF_FLAG_PID_CGROUP : 0u);

	attr.inherit = attr.enable_on_exec = !group;
	r->fd[i] = (int)syscall(SYS_perf_event_open, &attr,
		group ? target->cgroup_fd : target->pid, (int)r->cpu, -1, flags);
	if (r->fd[i] < 0)
		return -errno;
	if (plan->filter[i] && ioctl(r->fd[i], PERF_EVENT_IOC_SET_FILTER, plan->filter[i]) != 0)
		return -errno;
	if (i && ioctl(r->fd[i], PERF_EVENT_IOC_SET_OUTPUT, r->fd[0]) != 0)
		return -errno;
	return 0;
}

/* An event of the recorder's own thread that never happens; for its ring. */
static int ring_open_owner(struct ring *r, const struct ring_plan *plan)
{
	struct perf_event_attr attr = plan->attr[0];

	attr.type = PERF_TYPE_SOFTWARE;
	attr.config = PERF_COUNT_SW_DUMMY;
	attr.exclude_kernel = 1;
	attr.mmap = attr.mmap_data = attr.mmap2 = 0;
	r->fd[0] = (int)syscall(SYS_perf_event_open, &attr, 0, (int)r->cpu, -1,
		PERF_FLAG_FD_CLOEXEC);
	return r->fd[0] < 0 ? -errno : 0;
}

static int keep_event(struct ring_events *e, int fd)
{
	if (e->nr == e->capacity) {
		size_t capacity = e->capacity ? e->capacity * 2 : 64;
		int *grown = realloc(e->fd, capacity * sizeof(*grown));

		if (!grown) {
			close(fd);
			return -ENOMEM;
		}
		e->fd = grown;
		e->capacity = capacity;
	}
	e->fd[e->nr++] = fd;
	return 0;
}

static int open_event_of(struct ring_set *set, const struct ring *r, pid_t tid, size_t i,
	const struct ring_plan *plan)
{
	struct perf_event_attr attr = plan->attr[i];
	int err, fd;

	attr.inherit = 1;
	fd = (int)syscall(SYS_perf_event_open, &attr, tid, (int)r->cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = keep_event(&set->more, fd);
	if (err)
		return err;
	if (plan->filter[i] && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, plan->filter[i]) != 0)
		return -errno;
	return ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, r->fd[0]) != 0 ? -errno : 0;
}

/* The ring of one CPU, filled by all threads of the target. */
static int ring_open_threads(struct ring_set *set, struct ring *r,
	const struct record_target *target, const struct ring_plan *plan, size_t most)
{
	int err = ring_open_owner(r, plan);

	if (!err && !ring_map(r, most))
		err = -errno;
	for (size_t t = 0; t < target->nr_tids && !err; t++)
		for (size_t i = 0; i < plan->nr_events && !err; i++)
			err = open_event_of(set, r, target->tid[t], i, plan);
	return err;
}

static int ring_open(struct ring *r, const struct record_target *target,
	const struct ring_plan *plan, size_t most)
{
	int err = ring_open_event(r, 0, target, plan);

	if (!err && !ring_map(r, most))
		err = -errno;
	for (size_t i = 1; i < plan->nr_events && !err; i++)
		err = ring_open_event(r, i, target, plan);
	if (err)
		ring_close(r);
	return err;
}

static void close_more(struct ring_set *set)
{
	for (size_t i = 0; i < set->more.nr; i++)
		close(set->more.fd[i]);
	set->more.nr = 0;
}

int ring_set_open(struct ring_set *set, const struct record_target *target,
	const struct ring_plan *plan)
{
	size_t most = plan->ring_bytes;
	int err = 0;

	while (most > RING_MIN_BYTES && most * set->nr > RINGS_MAX_BYTES)
		most /= 2;
	for (unsigned int i = 0; i < set->nr && !err; i++) {
		err = target->tid ? ring_open_threads(set, &set->ring[i], target, plan, most) :
			ring_open(&set->ring[i], target, plan, most);
		/* A CPU that is switched off has no events and needs none. */
		if (err == -ENODEV)
			err = 0;
	}
	for (unsigned int i = 0; i < set->nr && err; i++)
		ring_close(&set->ring[i]);
	if (err)
		close_more(set);
	return err;
}

/* The request to all events of the set. */
static void ask_all(struct ring_set *set, unsigned long request)
{
	for (unsigned int i = 0; i < set->nr; i++)
		for (size_t j = 0; j < RING_EVENTS; j++)
			if (set->ring[i].fd[j] >= 0)
				ioctl(set->ring[i].fd[j], request, 0);
	for (size_t i = 0; i < set->more.nr; i++)
		ioctl(set->more.fd[i], request, 0);
}

void ring_set_enable(struct ring_set *set)
{
	ask_all(set, PERF_EVENT_IOC_ENABLE);
}

void ring_set_disable(struct ring_set *set)
{
	ask_all(set, PERF_EVENT_IOC_DISABLE);
}

int ring_set_init(struct ring_set *set, ring_record_fn *record, void *context)
{
	long nr = sysconf(_SC_NPROCESSORS_CONF);

	*set = (struct ring_set){
		.nr = (unsigned int)(nr > 0 ? nr : 1), .record = record, .context = context,
	};
	pthread_mutex_init(&set->lock, NULL);
	set->ring = calloc(set->nr, sizeof(set->ring[0]));
	set->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (!set->ring || set->stop_fd < 0)
		return -ENOMEM;
	for (unsigned int i = 0; i < set->nr; i++)
		set->ring[i] = (struct ring){ .cpu = i, .fd = { -1, -1, -1 } };
	return 0;
}

void ring_set_stop(struct ring_set *set)
{
	uint64_t one = 1;

	if (!set->running)
		return;
	while (write(set->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(set->thread, NULL);
	set->running = false;
}

void ring_set_fini(struct ring_set *set)
{
	ring_set_stop(set);
	for (unsigned int i = 0; set->ring && i < set->nr; i++)
		ring_close(&set->ring[i]);
	close_more(set);
	free(set->more.fd);
	if (set->stop_fd >= 0)
		close(set->stop_fd);
	pthread_mutex_destroy(&set->lock);
	free(set->ring);
}

/* ---- draining ---- */

/* True: there was something. */
static bool ring_drain(struct ring_set *set, struct ring *r)
{
	uint8_t copy[UINT16_MAX + 1];
	uint64_t head, tail;
	bool found;

	if (!r->control)
		return false;
	/* Pairs with the kernel's store of data_head after the record. */
	head = __atomic_load_n(&r->control->data_head, __ATOMIC_ACQUIRE);
	tail = r->control->data_tail;
	found = tail < head;
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
			set->record(set->context, r, r->data + at);
		} else {
			memcpy(copy, r->data + at, first);
			memcpy(copy + first, r->data, header.size - first);
			set->record(set->context, r, copy);
		}
		tail += header.size;
	}
	/* Pairs with the kernel's load of data_tail before it overwrites. */
	__atomic_store_n(&r->control->data_tail, tail, __ATOMIC_RELEASE);
	return found;
}

void ring_set_drain_locked(struct ring_set *set)
{
	for (unsigned int i = 0; i < set->nr; i++)
		ring_drain(set, &set->ring[i]);
}

static bool drain_all(struct ring_set *set)
{
	bool found = false;

	pthread_mutex_lock(&set->lock);
	for (unsigned int i = 0; i < set->nr; i++)
		found |= ring_drain(set, &set->ring[i]);
	pthread_mutex_unlock(&set->lock);
	return found;
}

static void *drain_thread(void *argument)
{
	enum { IDLE_TIMES = 20 };
	struct ring_set *set = argument;
	struct pollfd *fds = calloc(set->nr + 1, sizeof(*fds));
	int wait_ms = set->period_ms;

	if (!fds)
		return NULL;
	/* The program must not starve the one who makes room for what it does.
	 * Not permitted: as it is, then. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -10);
	for (unsigned int i = 0; i < set->nr; i++)
		fds[i] = (struct pollfd){ .fd = set->ring[i].fd[0], .events = POLLIN };
	fds[set->nr] = (struct pollfd){ .fd = set->stop_fd, .events = POLLIN };
	while (poll(fds, set->nr + 1, wait_ms) >= 0 || errno == EINTR) {
		if (fds[set->nr].revents)
			break;
		wait_ms = drain_all(set) || set->period_ms < 0 ? set->period_ms :
			set->period_ms * IDLE_TIMES;
		/* The last task has gone: nothing more comes, and poll would
		 * return at once for ever. */
		for (unsigned int i = 0; i < set->nr; i++)
			if (fds[i].revents & (POLLHUP | POLLERR))
				fds[i].fd = -1;
	}
	free(fds);
	return NULL;
}

int ring_set_start(struct ring_set *set, int period_ms)
{
	int err;

	set->period_ms = period_ms;
	err = pthread_create(&set->thread, NULL, drain_thread, set);
	set->running = err == 0;
	return -err;
}

/* ---- tracefs ---- */

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

int tracefs_open(void)
{
	int dir = open("/sys/kernel/tracing", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0 && faccessat(dir, "events", F_OK, 0) == 0)
		return dir;
	if (dir >= 0)
		close(dir);
	return mount_tracefs();
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

uint64_t tracefs_event_id(int dir, const char *event, const char *const *lines)
{
	char path[128], text[4096];

	snprintf(path, sizeof(path), "events/%s/format", event);
	if (!read_at(dir, path, text, sizeof(text)))
		return 0;
	for (; *lines; lines++)
		if (!strstr(text, *lines))
			return 0;
	snprintf(path, sizeof(path), "events/%s/id", event);
	if (!read_at(dir, path, text, sizeof(text)))
		return 0;
	return strtoull(text, NULL, 10);
}
