/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stream out of two.
 *
 * The tracer's items come in the order of their time, and so do the samples
 * of each CPU; the merge always takes the earliest of all.  It does so only up
 * to a moment that lies a little in the past (SETTLE_NS), because a CPU may
 * have taken the time of a sample and not yet shown it.
 *
 * A sample names a thread by its id.  Ids are resolved here, in stream order,
 * so that an id used again means its new owner.  Three things need care:
 *
 *  - A new process touches memory before the tracer hears of it (the kernel
 *    writes its thread id for it).  Samples of an unknown id wait in a list
 *    until its start comes by.
 *  - During exec the kernel touches both the old program and the new one.
 *    Samples of the thread wait until the call's end is known: they are kept
 *    if it failed, and dropped if not, because the new program's pages were
 *    then read from pagemap.
 *  - After its end a thread still touches its memory (the kernel clears its
 *    id for joiners).  Its process's main thread is said to have done it, while
 *    that lives; after it Linux's numbers were read before: dropped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "recorder.h"

#define SETTLE_NS 20000000u
#define PERIOD_NS 50000000

/* A thread id, open addressing by id. */
struct id_slot {
	pid_t tid; /* 0: free */
	enum { ID_UNKNOWN, ID_ALIVE, ID_IN_EXEC, ID_LEAVING, ID_DEAD } state;
	uint32_t process, thread;
	uint64_t last_page; /* of the thread's last sample since its last call */
	uint32_t last_flags;
	uint64_t last_fork;
	struct sample *waiting; /* UNKNOWN, IN_EXEC */
	uint32_t nr_waiting;
};

/* How often a thread faults on a page among the samples that are ahead. */
struct repeat {
	uint64_t page;
	pid_t tid; /* 0: free */
	uint32_t nr;
};

struct merge {
	struct trace_writer *writer;
	struct drain *drain;
	enum trace_source source;
	uint64_t start_ns;
	uint64_t page_bytes;
	pthread_t thread;

	pthread_mutex_t lock; /* for the next four */
	pthread_cond_t wake;
	struct item *first, **last;
	bool finishing;

	/* The rest belongs to the merge's thread. */
	struct sample_queue *queue;
	unsigned int nr_queues;
	struct id_slot *id;
	size_t ids_used, ids_capacity; /* a power of two */
	uint32_t *process_mm; /* by process index */
	pid_t *process_pid;
	uint64_t nr_forks; /* after one, what was touched may be touched again */
	uint64_t nr_unclaimed; /* samples that wait for an unknown thread */
	uint32_t processes_capacity;
	struct model *model; /* NULL: the source is exact */
	struct repeat *repeat; /* for the model: of the samples ahead */
	size_t repeats_capacity; /* a power of two */
	uint64_t last_us;
	uint64_t touches, lost;
	struct trace_error error;
};

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct item *item_create(enum item_kind kind)
{
	struct item *item = calloc(1, sizeof(*item));

	if (item) {
		item->kind = kind;
		item->mm = TRACE_NONE;
	}
	return item;
}

void item_destroy(struct item *item)
{
	if (!item)
		return;
	maps_buffer_fini(&item->maps);
	free(item->pages.page);
	free(item->text[0]);
	free(item->text[1]);
	free(item);
}

void merge_push(struct merge *m, struct item *item)
{
	pthread_mutex_lock(&m->lock);
	item->time_ns = now_ns();
	item->next = NULL;
	*m->last = item;
	m->last = &item->next;
	pthread_mutex_unlock(&m->lock);
}

static void put(struct merge *m, struct trace_event *event, uint64_t time_ns)
{
	uint64_t us = time_ns > m->start_ns ? (time_ns - m->start_ns) / 1000 : 0;

	/* A sample that a CPU showed too late. */
	if (us < m->last_us)
		us = m->last_us;
	m->last_us = event->time_us = us;
	if (m->model)
		model_event(m->model, event);
	trace_writer_put(m->writer, event, &m->error);
}

/* ---- ids ---- */

static struct id_slot *slot_of(struct id_slot *table, size_t capacity, pid_t tid)
{
	size_t at = (size_t)tid * 0x9e3779b1u & (capacity - 1);

	while (table[at].tid && table[at].tid != tid)
		at = (at + 1) & (capacity - 1);
	return &table[at];
}

/* The slot of tid, new (and UNKNOWN) if need be; NULL without memory. */
static struct id_slot *find_id(struct merge *m, pid_t tid)
{
	struct id_slot *slot;

	if (m->ids_used * 2 >= m->ids_capacity) {
		size_t capacity = m->ids_capacity ? m->ids_capacity * 2 : 1024;
		struct id_slot *grown = calloc(capacity, sizeof(*grown));

		if (!grown)
			return NULL;
		for (size_t i = 0; i < m->ids_capacity; i++)
			if (m->id[i].tid)
				*slot_of(grown, capacity, m->id[i].tid) = m->id[i];
		free(m->id);
		m->id = grown;
		m->ids_capacity = capacity;
	}
	slot = slot_of(m->id, m->ids_capacity, tid);
	if (!slot->tid) {
		slot->tid = tid;
		m->ids_used++;
	}
	return slot;
}

static void put_lost(struct merge *m, uint64_t nr, uint64_t time_ns)
{
	struct trace_event event = {
		.kind = TRACE_LOST, .process = TRACE_NONE, .thread = TRACE_NONE,
		.lost = { .nr = nr },
	};

	m->lost += nr;
	put(m, &event, time_ns);
}

static void hold_back(struct merge *m, struct id_slot *slot, const struct sample *s)
{
	if ((slot->nr_waiting & (slot->nr_waiting - 1)) == 0) {
		uint32_t capacity = slot->nr_waiting ? slot->nr_waiting * 2 : 1;
		struct sample *grown = realloc(slot->waiting, capacity * sizeof(*grown));

		if (!grown) {
			put_lost(m, 1, s->time_ns);
			return;
		}
		slot->waiting = grown;
	}
	slot->waiting[slot->nr_waiting++] = *s;
	m->nr_unclaimed += slot->state == ID_UNKNOWN;
}

static void drop_waiting(struct merge *m, struct id_slot *slot)
{
	if (slot->state == ID_UNKNOWN)
		m->nr_unclaimed -= slot->nr_waiting;
	free(slot->waiting);
	slot->waiting = NULL;
	slot->nr_waiting = 0;
}

/* ---- looking ahead ---- */

static struct repeat *repeat_of(const struct merge *m, const struct sample *s)
{
	uint64_t page = s->addr / m->page_bytes;
	size_t at = (size_t)((page ^ (uint64_t)s->tid << 40) * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	for (;; at++) {
		struct repeat *r = &m->repeat[at & (m->repeats_capacity - 1)];

		if (!r->tid || (r->tid == s->tid && r->page == page))
			return r;
	}
}

static size_t samples_until(const struct merge *m, uint64_t until)
{
	size_t nr = 0;

	for (unsigned int i = 0; i < m->nr_queues; i++) {
		const struct sample_queue *q = &m->queue[i];

		for (size_t j = q->first; j < q->nr && q->sample[j].time_ns <= until; j++)
			nr++;
	}
	return nr;
}

/* Counts the samples up to the moment until.  Without memory there is no
 * looking ahead. */
static void look_ahead(struct merge *m, uint64_t until)
{
	size_t nr = samples_until(m, until), capacity = 64;

	while (capacity < nr * 2)
		capacity *= 2;
	free(m->repeat);
	m->repeat = calloc(capacity, sizeof(m->repeat[0]));
	m->repeats_capacity = capacity;
	for (unsigned int i = 0; m->repeat && i < m->nr_queues; i++) {
		const struct sample_queue *q = &m->queue[i];

		for (size_t j = q->first; j < q->nr && q->sample[j].time_ns <= until; j++) {
			struct repeat *r;

			if (q->sample[j].flags & SAMPLE_LOST)
				continue;
			r = repeat_of(m, &q->sample[j]);
			r->tid = q->sample[j].tid;
			r->page = q->sample[j].addr / m->page_bytes;
			r->nr++;
		}
	}
}

/* ---- touches ---- */

static uint32_t mm_of(const struct merge *m, uint32_t process)
{
	return m->process_mm[process];
}

static void put_touch(struct merge *m, const struct id_slot *slot, uint64_t addr,
	uint32_t flags, uint64_t time_ns)
{
	struct trace_event event = {
		.kind = TRACE_TOUCH, .process = slot->process, .thread = slot->thread,
		.touch = { .addr = addr, .flags = flags },
	};

	m->touches++;
	put(m, &event, time_ns);
}

/*
 * The kernel copies from and to a process with faults forbidden, and only if
 * that fails lets the page come in: then the tracepoint fires twice or more in
 * a row for one fault.  After a fork it may be another: the page is shared again.
 */
static bool is_repetition(const struct merge *m, struct id_slot *slot, const struct sample *s)
{
	uint64_t page = s->addr / m->page_bytes;
	bool same = s->flags & TRACE_TOUCH_KERNEL && slot->last_page == page &&
		slot->last_flags == s->flags && slot->last_fork == m->nr_forks;

	slot->last_page = page;
	slot->last_flags = s->flags;
	slot->last_fork = m->nr_forks;
	return same;
}

static void put_sample(struct merge *m, struct id_slot *slot, const struct sample *s,
	uint64_t time_ns)
{
	uint32_t flags = s->flags;

	if (is_repetition(m, slot, s))
		return;
	if (m->model)
		flags = model_touch(m->model, mm_of(m, slot->process), s->addr, flags);
	put_touch(m, slot, s->addr, flags, time_ns);
}

static void release_waiting(struct merge *m, struct id_slot *slot, uint64_t time_ns)
{
	for (uint32_t i = 0; i < slot->nr_waiting; i++)
		put_sample(m, slot, &slot->waiting[i], time_ns);
	drop_waiting(m, slot);
}

/*
 * The workers of an io_uring are threads of the process that nobody reports: what
 * they touch, they touch for its main thread.
 */
static bool is_io_worker(const struct sample *s)
{
	char path[64], name[32];

	if (s->pid == s->tid)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)s->pid, (int)s->tid);
	return procfs_read_line(path, name, sizeof(name)) && strncmp(name, "iou-", 4) == 0;
}

/* A thread id is seen for the first time. */
static void adopt_io_worker(struct merge *m, pid_t tid, pid_t pid)
{
	const struct id_slot *process = find_id(m, pid);
	struct id_slot owner;

	if (!process || process->state != ID_ALIVE)
		return;
	owner = *process;
	/* find_id may have moved the table. */
	*find_id(m, tid) = (struct id_slot){
		.tid = tid, .state = ID_ALIVE, .process = owner.process, .thread = owner.thread,
	};
}

/* A thread that was said to have ended touched something. */
static void put_for_main(struct merge *m, const struct id_slot *slot, const struct sample *s)
{
	struct id_slot *main = find_id(m, m->process_pid[slot->process]);

	if (main && main->state == ID_ALIVE && main->process == slot->process)
		put_sample(m, main, s, s->time_ns);
}

static void handle_sample(struct merge *m, struct sample *s)
{
	struct id_slot *slot;

	if (s->flags & SAMPLE_LOST) {
		put_lost(m, s->addr, s->time_ns);
		return;
	}
	if (m->repeat && --repeat_of(m, s)->nr)
		s->flags |= SAMPLE_AGAIN;
	slot = find_id(m, s->tid);
	if (slot && slot->state == ID_UNKNOWN && !slot->nr_waiting && is_io_worker(s)) {
		adopt_io_worker(m, s->tid, s->pid);
		slot = find_id(m, s->tid);
	}
	if (!slot)
		put_lost(m, 1, s->time_ns);
	else if (slot->state == ID_ALIVE)
		put_sample(m, slot, s, s->time_ns);
	else if (slot->state == ID_LEAVING)
		put_for_main(m, slot, s);
	else if (slot->state != ID_DEAD)
		hold_back(m, slot, s);
}

/* ---- items ---- */

static bool note_process(struct merge *m, const struct trace_event *e, uint32_t mm)
{
	if (e->process >= m->processes_capacity) {
		uint32_t capacity = (e->process + 64) * 2;
		uint32_t *grown = realloc(m->process_mm, capacity * sizeof(*grown));
		pid_t *pids;

		if (!grown)
			return false;
		m->process_mm = grown;
		pids = realloc(m->process_pid, capacity * sizeof(*pids));
		if (!pids)
			return false;
		m->process_pid = pids;
		m->processes_capacity = capacity;
	}
	m->process_mm[e->process] = mm;
	if (e->kind == TRACE_PROCESS_START)
		m->process_pid[e->process] = (pid_t)e->process_start.pid;
	return true;
}

/*
 * The process is about to end, and every thread of it that the tracer knows was
 * told: what still waits was touched by one that nobody reports.  Its place among
 * the calls is lost, but not that it was.
 */
static void claim_waiting(struct merge *m, const struct item *item)
{
	pid_t pid = m->process_pid[item->event.process];
	struct id_slot owner = { .process = item->event.process, .thread = item->event.thread };

	for (size_t i = 0; m->nr_unclaimed && i < m->ids_capacity; i++) {
		struct id_slot *slot = &m->id[i];

		if (!slot->tid || slot->state != ID_UNKNOWN || !slot->nr_waiting ||
		    slot->waiting[0].pid != pid || slot->waiting[0].tid == pid)
			continue;
		for (uint32_t s = 0; s < slot->nr_waiting; s++)
			put_sample(m, &owner, &slot->waiting[s], item->time_ns);
		drop_waiting(m, slot);
	}
}

/* The thread lives under item->tid from here on. */
static struct id_slot *bind(struct merge *m, const struct item *item)
{
	struct id_slot *slot = find_id(m, item->tid);

	if (slot) {
		slot->process = item->event.process;
		slot->thread = item->event.thread;
		m->nr_unclaimed -= slot->state == ID_UNKNOWN ? slot->nr_waiting : 0;
		slot->state = ID_ALIVE;
	}
	return slot;
}

static void handle_exec(struct merge *m, struct item *item)
{
	struct id_slot *slot = bind(m, item);

	if (!slot)
		return;
	drop_waiting(m, slot);
	for (size_t i = 0; i < item->pages.nr; i++) {
		uint64_t addr = item->pages.page[i] & ~(uint64_t)511;
		uint32_t flags = TRACE_TOUCH_SETUP | TRACE_TOUCH_KERNEL | TRACE_TOUCH_WRITE;

		if (m->model)
			model_touch(m->model, item->event.exec.mm, addr, flags);
		put_touch(m, slot, addr, flags, item->time_ns);
	}
}

static void handle_event(struct merge *m, struct item *item)
{
	struct trace_event *e = &item->event;
	struct id_slot *slot;

	switch (e->kind) {
	case TRACE_PROCESS_START:
		if (!note_process(m, e, e->process_start.mm))
			return;
		m->nr_forks += !e->process_start.shares_mm;
		/* fall through */
	case TRACE_THREAD_START:
		put(m, e, item->time_ns);
		slot = bind(m, item);
		if (slot)
			release_waiting(m, slot, item->time_ns);
		break;
	case TRACE_MM_END:
		claim_waiting(m, item);
		put(m, e, item->time_ns);
		break;
	case TRACE_EXEC:
		note_process(m, e, e->exec.mm);
		put(m, e, item->time_ns);
		handle_exec(m, item);
		break;
	case TRACE_THREAD_EXIT:
	case TRACE_PROCESS_EXIT:
		slot = find_id(m, item->tid);
		/* An exec may have given the id to another thread. */
		if (slot && slot->thread == e->thread) {
			drop_waiting(m, slot);
			slot->state = e->kind == TRACE_THREAD_EXIT ? ID_LEAVING : ID_DEAD;
		}
		put(m, e, item->time_ns);
		break;
	case TRACE_CALL:
		slot = find_id(m, item->tid);
		if (slot)
			slot->last_flags = UINT32_MAX;
		put(m, e, item->time_ns);
		break;
	default:
		put(m, e, item->time_ns);
		break;
	}
}

/* What a page that was found there has to tell; false: nothing.  Pages of the
 * process's own and of shared memory are of interest where the kernel brought some. */
static bool how_came(const struct item *item, uint64_t seen, enum trace_came_how *how)
{
	bool writable = seen & SEEN_SHARED && seen & SEEN_WRITABLE;

	/* One fault may have mapped all of a file's large folio, for writing too. */
	if (!(seen & SEEN_ANON) && (!writable || !item->came)) {
		*how = TRACE_CAME_BESIDE;
		return item->beside;
	}
	*how = seen & SEEN_ZERO ? TRACE_CAME_READ :
		seen & SEEN_EXCLUSIVE && seen & SEEN_ANON ? TRACE_CAME_ALONE : TRACE_CAME_WRITE;
	return item->came;
}

/* As runs of alike ones. */
static void put_came(struct merge *m, const struct item *item)
{
	size_t nr = item->pages.nr;

	for (size_t i = 0, next; i < nr; i = next) {
		uint64_t seen = item->pages.page[i], addr = seen & ~(uint64_t)511;
		struct trace_event event = {
			.kind = TRACE_CAME, .process = item->event.process,
			.thread = item->event.thread, .came = { .addr = addr },
		};

		for (next = i + 1; next < nr &&
			(item->pages.page[next] & ~(uint64_t)511) ==
				addr + (next - i) * m->page_bytes &&
			((item->pages.page[next] ^ seen) & 511) == 0;)
			next++;
		event.came.nr_pages = next - i;
		if (how_came(item, seen, &event.came.how))
			put(m, &event, item->time_ns);
	}
	if (item->counted) {
		struct trace_event event = {
			.kind = TRACE_CAME, .process = item->event.process,
			.thread = item->event.thread,
			.came = {
				.nr_pages = (uint64_t)(item->unseen < 0 ? -item->unseen :
					item->unseen),
				.how = item->unseen < 0 ? TRACE_CAME_FEWER : TRACE_CAME_FAULTS,
			},
		};

		put(m, &event, item->time_ns);
	}
}

static void handle_pages(struct merge *m, struct item *item)
{
	struct id_slot slot = { .process = item->event.process, .thread = item->event.thread };

	if (item->came || item->beside) {
		put_came(m, item);
		return;
	}
	for (size_t i = 0; m->model && i < item->pages.nr; i++) {
		uint64_t seen = item->pages.page[i];
		uint32_t flags = model_seen(m->model, item->mm, seen,
			m->source == TRACE_SOURCE_PAGEMAP);

		if (flags)
			put_touch(m, &slot, seen & ~(uint64_t)511, flags, item->time_ns);
	}
}

static void handle_item(struct merge *m, struct item *item)
{
	struct id_slot *slot;

	switch (item->kind) {
	case ITEM_EVENT:
		handle_event(m, item);
		break;
	case ITEM_EXEC_ENTER:
		slot = find_id(m, item->tid);
		if (slot && slot->state == ID_ALIVE)
			slot->state = ID_IN_EXEC;
		break;
	case ITEM_EXEC_FAILED:
		slot = find_id(m, item->tid);
		if (slot && slot->state == ID_IN_EXEC) {
			slot->state = ID_ALIVE;
			release_waiting(m, slot, item->time_ns);
		}
		break;
	case ITEM_PAGES:
		handle_pages(m, item);
		break;
	}
}

/* ---- the merge itself ---- */

static struct sample_queue *earliest(struct merge *m)
{
	struct sample_queue *best = NULL;

	for (unsigned int i = 0; i < m->nr_queues; i++) {
		struct sample_queue *q = &m->queue[i];

		if (q->first < q->nr &&
		    (!best || q->sample[q->first].time_ns < best->sample[best->first].time_ns))
			best = q;
	}
	return best;
}

/* Takes the items that are no later than the moment until. */
static struct item *take_items(struct merge *m, uint64_t until)
{
	struct item *list, *last = NULL;

	pthread_mutex_lock(&m->lock);
	list = m->first;
	while (m->first && m->first->time_ns <= until) {
		last = m->first;
		m->first = last->next;
	}
	if (last)
		last->next = NULL;
	else
		list = NULL;
	if (!m->first)
		m->last = &m->first;
	pthread_mutex_unlock(&m->lock);
	return list;
}

/* Handles what is no later than until; returns the items that are left. */
static struct item *merge_part(struct merge *m, struct item *items, uint64_t until)
{
	for (;;) {
		struct sample_queue *q = earliest(m);
		uint64_t sample_ns = q ? q->sample[q->first].time_ns : UINT64_MAX;
		struct item *item = items;

		if (item && item->time_ns <= sample_ns && item->time_ns <= until) {
			items = item->next;
			handle_item(m, item);
			item_destroy(item);
		} else if (q && sample_ns <= until) {
			handle_sample(m, &q->sample[q->first++]);
		} else {
			return items;
		}
	}
}

/* The time of the next fork, after which pages fault again for another reason. */
static uint64_t next_fork(const struct item *item, uint64_t until)
{
	for (; item; item = item->next)
		if (item->kind == ITEM_EVENT && item->event.kind == TRACE_PROCESS_START)
			return item->time_ns;
	return until;
}

static void merge_until(struct merge *m, uint64_t until)
{
	struct item *items = take_items(m, until);

	if (m->drain)
		drain_take(m->drain, m->queue);
	while (m->model && items) {
		uint64_t part = next_fork(items, until);

		look_ahead(m, part);
		items = merge_part(m, items, part);
	}
	if (m->model)
		look_ahead(m, until);
	merge_part(m, items, until);
}

/* Touches of threads that nobody ever reported: they are not in the recording. */
static void count_unclaimed(struct merge *m)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < m->ids_capacity; i++)
		if (m->id[i].tid && m->id[i].state == ID_UNKNOWN)
			nr += m->id[i].nr_waiting;
	if (nr)
		put_lost(m, nr, m->start_ns + m->last_us * 1000);
}

static void *merge_thread(void *argument)
{
	struct merge *m = argument;
	bool finishing;

	do {
		uint64_t until = now_ns() - SETTLE_NS;
		struct timespec at;

		clock_gettime(CLOCK_MONOTONIC, &at);
		at.tv_nsec += PERIOD_NS;
		if (at.tv_nsec >= 1000000000) {
			at.tv_nsec -= 1000000000;
			at.tv_sec++;
		}
		pthread_mutex_lock(&m->lock);
		if (!m->finishing)
			pthread_cond_timedwait(&m->wake, &m->lock, &at);
		finishing = m->finishing;
		pthread_mutex_unlock(&m->lock);
		merge_until(m, finishing ? UINT64_MAX : until);
	} while (!finishing);
	count_unclaimed(m);
	return NULL;
}

static void merge_destroy(struct merge *m)
{
	while (m->first) {
		struct item *item = m->first;

		m->first = item->next;
		item_destroy(item);
	}
	for (unsigned int i = 0; m->queue && i < m->nr_queues; i++)
		free(m->queue[i].sample);
	for (size_t i = 0; i < m->ids_capacity; i++)
		free(m->id[i].waiting);
	model_destroy(m->model);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->wake);
	free(m->queue);
	free(m->repeat);
	free(m->id);
	free(m->process_mm);
	free(m->process_pid);
	free(m);
}

struct merge *merge_create(struct trace_writer *writer, struct drain *drain,
	enum trace_source source, uint64_t start_ns)
{
	struct merge *m = calloc(1, sizeof(*m));
	pthread_condattr_t monotonic;

	if (!m)
		return NULL;
	m->writer = writer;
	m->drain = drain;
	m->source = source;
	m->start_ns = start_ns;
	m->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	m->last = &m->first;
	m->nr_queues = drain ? drain_nr_queues(drain) : 0;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	m->queue = calloc(m->nr_queues + 1, sizeof(m->queue[0]));
	if (source != TRACE_SOURCE_TRACEPOINT)
		m->model = model_create(m->page_bytes);
	if (!m->queue || (source != TRACE_SOURCE_TRACEPOINT && !m->model) ||
	    pthread_create(&m->thread, NULL, merge_thread, m) != 0) {
		merge_destroy(m);
		return NULL;
	}
	return m;
}

int merge_finish(struct merge *m, struct record_result *result, struct trace_error *error)
{
	int err = 0;

	pthread_mutex_lock(&m->lock);
	m->finishing = true;
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	result->touches = m->touches;
	result->lost = m->lost;
	if (m->error.err)
		err = trace_fail(error, m->error.err, m->error.offset, "%s", m->error.message);
	merge_destroy(m);
	return err;
}
