/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stream out of two.
 *
 * The tracer's items come in the order of their time, and so do the samples
 * of each CPU, and the calls if the kernel told of them (call_stream.c); the
 * merge always takes the earliest of all.  It does so only up
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
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "call_source.h"
#include "recorder.h"
#include "renumber.h"

#define SETTLE_NS 20000000u
#define PERIOD_NS 50000000
#define FLUSH_NS 1000000000u /* what has waited so long is written */

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

struct merge_process {
	uint32_t mm;
	pid_t pid;
	bool foreign; /* its calls are not ours to read */
	uint32_t touches; /* since its page tables were looked at */
};

struct merge {
	struct trace_writer *writer;
	struct drain *drain;
	enum trace_source source;
	uint64_t start_ns;
	uint64_t page_bytes;
	pthread_t thread;

	pthread_mutex_t lock; /* for the next six */
	pthread_cond_t wake;
	struct item *first, **last;
	struct item *introduced, **introduced_last; /* of files; is there one? is asked
						     * without the lock */
	bool finishing;

	/* The rest belongs to the merge's thread. */
	struct sample_queue *queue;
	unsigned int nr_queues;
	struct id_slot *id;
	size_t ids_used, ids_capacity; /* a power of two */
	uint64_t nr_forks; /* after one, what was touched may be touched again */
	struct merge_process *process; /* by process index */
	uint64_t nr_unclaimed; /* samples that wait for an unknown thread */
	uint32_t processes_capacity;
	struct item *pending; /* taken, and later than what was merged */
	struct call_stream *calls; /* NULL: they are among the items */
	bool begun; /* the command runs: before, it was our own child */
	uint64_t *mm_peak; /* bytes of page tables, by index of address space */
	uint32_t mms_capacity;
	struct renumber renumber;
	struct model *model; /* NULL: the source is exact */
	struct repeat *repeat; /* for the model: of the samples ahead */
	size_t repeats_capacity; /* a power of two */
	uint64_t last_us;
	uint64_t touches, lost, lost_calls, strange_calls;
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

static void put_one(struct merge *m, struct trace_event *event, uint64_t time_ns)
{
	struct trace_event out;
	uint64_t us = time_ns > m->start_ns ? (time_ns - m->start_ns) / 1000 : 0;

	/* A sample that a CPU showed too late. */
	if (us < m->last_us)
		us = m->last_us;
	m->last_us = event->time_us = us;
	if (m->model)
		model_event(m->model, event);
	out = *event;
	if (renumber_event(&m->renumber, &out))
		trace_writer_put(m->writer, &out, &m->error);
	else
		trace_fail(&m->error, ENOMEM, 0, "no memory for the recorder");
}

/* Files that were met: before whatever names them. */
static void put_introduced(struct merge *m, uint64_t time_ns)
{
	struct item *list, *next;

	/* Who saw the file put it there before what names it came to us. */
	if (!__atomic_load_n(&m->introduced, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&m->lock);
	list = m->introduced;
	__atomic_store_n(&m->introduced, NULL, __ATOMIC_RELAXED);
	m->introduced_last = &m->introduced;
	pthread_mutex_unlock(&m->lock);
	for (; list; list = next) {
		next = list->next;
		put_one(m, &list->event, time_ns);
		item_destroy(list);
	}
}

static void put(struct merge *m, struct trace_event *event, uint64_t time_ns)
{
	put_introduced(m, time_ns);
	put_one(m, event, time_ns);
}

void merge_introduce(struct merge *m, struct item *item)
{
	item->next = NULL;
	pthread_mutex_lock(&m->lock);
	__atomic_store_n(m->introduced_last, item, __ATOMIC_RELAXED);
	m->introduced_last = &item->next;
	pthread_mutex_unlock(&m->lock);
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
	return m->process[process].mm;
}

/* ---- the peak of page tables, where no call stops the program ---- */

/* So many faults make no more tables than that. */
#define TOUCHES_FOR_A_LOOK 64u

static void count_for_peak(struct merge *m, uint32_t process)
{
	if (m->calls)
		m->process[process].touches++;
}

void merge_look_at_tables(struct merge *m, pid_t tid)
{
	struct trace_said said = { .page_table_bytes = TRACE_UNKNOWN };
	struct item *item;

	if (procfs_read_status(tid, &said) < 0 || said.page_table_bytes == TRACE_UNKNOWN)
		return;
	item = item_create(ITEM_PEAK);
	if (!item)
		return;
	item->tid = tid;
	item->event.mm_end.said = said;
	merge_push(m, item);
}

/* Looks at the tables of the thread's process, if it touched much since the
 * last look.  What is seen is of now, and the stream is behind: an item. */
static void look_for_peak(struct merge *m, const struct id_slot *slot)
{
	if (slot->state != ID_ALIVE || m->process[slot->process].touches < TOUCHES_FOR_A_LOOK)
		return;
	m->process[slot->process].touches = 0;
	merge_look_at_tables(m, slot->tid);
}

static void look_for_peaks(struct merge *m)
{
	for (size_t i = 0; m->calls && i < m->ids_capacity; i++)
		if (m->id[i].tid)
			look_for_peak(m, &m->id[i]);
}

static void handle_peak(struct merge *m, const struct item *item)
{
	uint64_t bytes = item->event.mm_end.said.page_table_bytes;
	struct id_slot *slot = find_id(m, item->tid);
	uint32_t mm;

	if (!slot || slot->state != ID_ALIVE)
		return;
	mm = mm_of(m, slot->process);
	if (mm >= m->mms_capacity) {
		uint32_t capacity = (mm + 64) * 2;
		uint64_t *grown = realloc(m->mm_peak, capacity * sizeof(*grown));

		if (!grown)
			return;
		memset(grown + m->mms_capacity, 0,
			(capacity - m->mms_capacity) * sizeof(*grown));
		m->mm_peak = grown;
		m->mms_capacity = capacity;
	}
	if (bytes > m->mm_peak[mm])
		m->mm_peak[mm] = bytes;
}

static void raise_peak(const struct merge *m, struct trace_mm_end *end)
{
	uint64_t *peak = &end->said.peak_page_table_bytes;

	if (end->mm < m->mms_capacity && *peak != TRACE_UNKNOWN && *peak < m->mm_peak[end->mm])
		*peak = m->mm_peak[end->mm];
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
	count_for_peak(m, slot->process);
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
	return host_read_line(path, name, sizeof(name)) && strncmp(name, "iou-", 4) == 0;
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
	struct id_slot *main = find_id(m, m->process[slot->process].pid);

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
	else if (slot->state == ID_ALIVE && m->begun)
		put_sample(m, slot, s, s->time_ns);
	else if (slot->state == ID_LEAVING)
		put_for_main(m, slot, s);
	else if (slot->state != ID_DEAD && slot->state != ID_ALIVE)
		hold_back(m, slot, s);
}

/* ---- items ---- */

static bool note_process(struct merge *m, const struct trace_event *e, uint32_t mm)
{
	if (e->process >= m->processes_capacity) {
		uint32_t capacity = (e->process + 64) * 2;
		struct merge_process *grown = realloc(m->process, capacity * sizeof(*grown));

		if (!grown)
			return false;
		m->process = grown;
		m->processes_capacity = capacity;
	}
	m->process[e->process] = (struct merge_process){
		.mm = mm, .pid = e->kind == TRACE_PROCESS_START ? (pid_t)e->process_start.pid :
			m->process[e->process].pid,
	};
	return true;
}

/*
 * The process is about to end, and every thread of it that the tracer knows was
 * told: what still waits was touched by one that nobody reports.  Its place among
 * the calls is lost, but not that it was.
 */
static void claim_waiting(struct merge *m, const struct item *item)
{
	pid_t pid = m->process[item->event.process].pid;
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
	case TRACE_EXEC:
		if (note_process(m, e, e->exec.mm))
			m->process[e->process].foreign = item->foreign;
		m->begun = true;
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
	case TRACE_MM_END:
		claim_waiting(m, item);
		raise_peak(m, &e->mm_end);
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
	if (item->there)
		*how = seen & SEEN_ZERO ? TRACE_CAME_THERE_READ : TRACE_CAME_THERE_WRITE;
	else
		*how = seen & SEEN_ZERO ? TRACE_CAME_READ :
			seen & SEEN_EXCLUSIVE && seen & SEEN_ANON ? TRACE_CAME_ALONE : TRACE_CAME_WRITE;
	return item->came || item->there;
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

	/* Whoever infers knows that they are there. */
	for (size_t i = 0; item->there && m->model && i < item->pages.nr; i++)
		model_touch(m->model, item->mm, item->pages.page[i] & ~(uint64_t)511, 0);
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
	case ITEM_PEAK:
		handle_peak(m, item);
		break;
	}
}

/* ---- calls that the kernel told of ---- */

static void put_note(struct merge *m, const char *text, uint64_t time_ns)
{
	struct trace_event event = {
		.kind = TRACE_NOTE, .process = TRACE_NONE, .thread = TRACE_NONE,
		.note = { .text = text },
	};

	put(m, &event, time_ns);
}

static void put_lost_calls(struct merge *m, const struct seen_call *call)
{
	struct trace_event event = {
		.kind = TRACE_LOST, .process = TRACE_NONE, .thread = TRACE_NONE,
		.lost = { .nr_calls = call->lost },
	};

	m->lost_calls += call->lost;
	put(m, &event, call->time_ns);
	put_note(m, "calls are missing here: the kernel's buffer overflowed; from here on "
		    "mappings may differ", call->time_ns);
}

static void put_process_madvise(struct merge *m, struct trace_event *event,
	const struct seen_call *call)
{
	struct id_slot *target = call->target ? find_id(m, call->target) : NULL;

	if (target && target->state != ID_UNKNOWN && target->state != ID_DEAD)
		event->call.target = target->process;
	for (uint32_t i = 0; i < call->ranges->nr; i++) {
		event->call.addr = call->ranges->range[i][0];
		event->call.len = call->ranges->range[i][1];
		put(m, event, call->time_ns);
	}
}

static void handle_call(struct merge *m, const struct seen_call *call)
{
	struct trace_event event = { .kind = TRACE_CALL, .call = call->call };
	struct id_slot *slot;

	if (call->lost) {
		put_lost_calls(m, call);
		return;
	}
	if (!m->begun)
		return;
	slot = find_id(m, call->tid);
	if (!slot || slot->state != ID_ALIVE) {
		m->strange_calls++;
		return;
	}
	slot->last_flags = UINT32_MAX;
	if (m->process[slot->process].foreign)
		return;
	event.process = slot->process;
	event.thread = slot->thread;
	if (call->ranges)
		put_process_madvise(m, &event, call);
	else
		put(m, &event, call->time_ns);
}

/* What could not be told, in the end. */
static void put_regrets(struct merge *m)
{
	char text[160];
	const char *regret;

	for (unsigned int i = 0; m->calls; i++) {
		regret = call_stream_regret(m->calls, i, text, sizeof(text));
		if (!regret)
			break;
		put_note(m, regret, 0);
	}
	if (m->strange_calls) {
		snprintf(text, sizeof(text), "%" PRIu64 " calls are of threads that nobody heard of",
			m->strange_calls);
		put_note(m, text, 0);
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
		const struct seen_call *call = m->calls ? call_stream_first(m->calls) : NULL;
		uint64_t sample_ns = q ? q->sample[q->first].time_ns : UINT64_MAX;
		uint64_t call_ns = call ? call->time_ns : UINT64_MAX;
		uint64_t other_ns = call_ns < sample_ns ? call_ns : sample_ns;
		struct item *item = items;

		if (item && item->time_ns <= other_ns && item->time_ns <= until) {
			items = item->next;
			handle_item(m, item);
			item_destroy(item);
		} else if (call && call_ns <= sample_ns && call_ns <= until) {
			handle_call(m, call);
			call_stream_pop(m->calls);
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
	for (; item && item->time_ns <= until; item = item->next)
		if (item->kind == ITEM_EVENT && item->event.kind == TRACE_PROCESS_START)
			return item->time_ns;
	return until;
}

static void merge_until(struct merge *m, uint64_t until)
{
	struct item **last = &m->pending, *items;

	while (*last)
		last = &(*last)->next;
	*last = take_items(m, until);
	if (m->drain)
		drain_take(m->drain, m->queue);
	if (m->calls)
		until = call_stream_run(m->calls, &m->pending, until);
	items = m->pending;
	while (m->model && items && items->time_ns <= until) {
		uint64_t part = next_fork(items, until);

		look_ahead(m, part);
		items = merge_part(m, items, part);
	}
	if (m->model)
		look_ahead(m, until);
	m->pending = merge_part(m, items, until);
	look_for_peaks(m);
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
		/* A failure is the next event's. */
		trace_writer_flush(m->writer, FLUSH_NS);
	} while (!finishing);
	count_unclaimed(m);
	put_regrets(m);
	put_introduced(m, 0);
	return NULL;
}

static void destroy_items(struct item *list)
{
	while (list) {
		struct item *item = list;

		list = item->next;
		item_destroy(item);
	}
}

static void merge_destroy(struct merge *m)
{
	destroy_items(m->first);
	destroy_items(m->pending);
	destroy_items(m->introduced);
	call_stream_destroy(m->calls);
	renumber_fini(&m->renumber);
	free(m->mm_peak);
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
	free(m->process);
	free(m);
}

struct merge *merge_create(struct trace_writer *writer, struct drain *drain,
	struct call_rings *calls, enum trace_source source, uint64_t start_ns)
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
	m->introduced_last = &m->introduced;
	m->nr_queues = drain ? drain_nr_queues(drain) : 0;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	m->queue = calloc(m->nr_queues + 1, sizeof(m->queue[0]));
	if (source != TRACE_SOURCE_TRACEPOINT)
		m->model = model_create(m->page_bytes);
	if (calls)
		m->calls = call_stream_create(calls);
	if (!m->queue || (calls && !m->calls) || (source != TRACE_SOURCE_TRACEPOINT && !m->model) ||
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
	result->lost_calls = m->lost_calls;
	if (m->error.err)
		err = trace_fail(error, m->error.err, m->error.offset, "%s", m->error.message);
	merge_destroy(m);
	return err;
}
