/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From what the kernel told of calls to calls, at the moment of their effect.
 *
 * A call that changes an address space takes its lock for writing; the first
 * time it has it is the call's time.  From then until it lets go nobody else
 * changes anything, and a fault of another thread that comes in between waits:
 * so touches, too, fall on the right side.  A call that takes no such lock
 * (MADV_DONTNEED, msync) counts from its end.
 *
 * A call is known only at its end, but its time is earlier.  So what others did
 * after a call took effect has to wait for its end: the calls that hold the
 * stream back are in the list of holders, oldest first, and nothing beyond the
 * first of them may be handed on.
 *
 * Fork is such a call: the parent's memory is copied under its lock, and the
 * tracer hears of the child only later.  It holds the stream until the child's
 * start comes by, which is then moved to the moment of the copy.
 */
#include <errno.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>
#include <sys/syscall.h>

#include "call_source.h"

#define BUCKETS 1024

#define LINUX_FALLOC_KEEP_SIZE 1u

/* A thread and the call it is in. */
struct caller {
	struct caller *next; /* in its hash chain */
	pid_t tid;
	bool in_call;
	uint64_t locked_ns; /* 0: not yet */
	struct caller *older, *newer; /* holders; valid if holds */
	bool holds;
	struct call_record enter;
	bool mapped; /* the next two are of a mapping it made */
	struct call_record mapping;
	struct file_pieces pieces;
};

struct call_stream {
	struct call_rings *rings;
	struct call_records *queue; /* one for each ring */
	unsigned int nr_queues;
	struct caller *bucket[BUCKETS];
	struct caller *oldest, *newest; /* holders */
	uint64_t done_ns; /* all up to here has been paired */
	struct seen_call *ready; /* by time */
	size_t first, nr, capacity;
	uint64_t dropped; /* calls that no memory was found for */
	uint64_t files_unknown, sizes_unknown, ranges_unknown;
};

/* ---- callers ---- */

static struct caller **chain_of(struct call_stream *s, pid_t tid)
{
	return &s->bucket[(unsigned int)tid % BUCKETS];
}

static struct caller *find_caller(struct call_stream *s, pid_t tid)
{
	struct caller *at = *chain_of(s, tid);

	while (at && at->tid != tid)
		at = at->next;
	return at;
}

static struct caller *add_caller(struct call_stream *s, pid_t tid)
{
	struct caller *caller = calloc(1, sizeof(*caller));

	if (!caller)
		return NULL;
	caller->tid = tid;
	caller->next = *chain_of(s, tid);
	*chain_of(s, tid) = caller;
	return caller;
}

static void hold(struct call_stream *s, struct caller *caller)
{
	caller->holds = true;
	caller->newer = NULL;
	caller->older = s->newest;
	if (s->newest)
		s->newest->newer = caller;
	else
		s->oldest = caller;
	s->newest = caller;
}

static void let_go(struct call_stream *s, struct caller *caller)
{
	if (!caller->holds)
		return;
	if (caller->older)
		caller->older->newer = caller->newer;
	else
		s->oldest = caller->newer;
	if (caller->newer)
		caller->newer->older = caller->older;
	else
		s->newest = caller->older;
	caller->holds = false;
}

/* It is in no call any more. */
static void leave(struct call_stream *s, struct caller *caller)
{
	let_go(s, caller);
	free(caller->enter.ranges);
	caller->enter.ranges = NULL;
	caller->in_call = false;
}

static void forget(struct call_stream *s, pid_t tid)
{
	struct caller **at = chain_of(s, tid);
	struct caller *caller;

	while (*at && (*at)->tid != tid)
		at = &(*at)->next;
	caller = *at;
	if (!caller)
		return;
	leave(s, caller);
	*at = caller->next;
	free(caller);
}

/* ---- calls that have ended ---- */

/* Puts the call in its place by time: mostly the last. */
static void add_ready(struct call_stream *s, const struct seen_call *call)
{
	size_t at;

	if (s->nr == s->capacity && s->first > s->nr / 2) {
		memmove(s->ready, s->ready + s->first, (s->nr - s->first) * sizeof(*s->ready));
		s->nr -= s->first;
		s->first = 0;
	}
	if (s->nr == s->capacity) {
		size_t capacity = s->capacity ? s->capacity * 2 : 1024;
		struct seen_call *grown = realloc(s->ready, capacity * sizeof(*grown));

		if (!grown) {
			free(call->ranges);
			s->dropped++;
			return;
		}
		s->ready = grown;
		s->capacity = capacity;
	}
	for (at = s->nr; at > s->first && s->ready[at - 1].time_ns > call->time_ns; at--)
		s->ready[at] = s->ready[at - 1];
	s->ready[at] = *call;
	s->nr++;
}

/* The file of a call that made a mapping or resized a file. */
static void fill_mode(struct caller *caller, struct trace_call *call)
{
	const struct call_record *mapping = &caller->mapping;
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), start = (uint64_t)call->result;
	uint64_t end = (start + call->len + page_bytes - 1) & ~(page_bytes - 1);
	bool before, after;

	if (caller->enter.ino && caller->enter.ino == mapping->ino)
		call->mode = caller->enter.mode;
	beside_note(&caller->pieces, call, page_bytes, &before, &after);
	/* The kernel tells the whole mapping, with what it became one with. */
	if ((before && mapping->arg[0] == start) || (after && mapping->arg[1] == end))
		call->mode |= TRACE_MODE_APART;
}

static void fill_file(struct call_stream *s, struct caller *caller, int fd,
	struct trace_call *call)
{
	uint64_t at = (uint64_t)call->result, end = call->offset + call->len;

	switch (call->nr) {
	case TRACE_MMAP:
	case TRACE_SHMAT:
		if (call->nr == TRACE_MMAP && fd < 0)
			break;
		if (!caller->mapped || caller->mapping.arg[0] > at || caller->mapping.arg[1] <= at) {
			s->files_unknown++;
			break;
		}
		call->file = caller->mapping.file;
		call->file_bytes = caller->mapping.file_bytes;
		if (call->nr == TRACE_SHMAT)
			call->len = caller->mapping.file_bytes;
		else if (call->file != TRACE_NONE)
			fill_mode(caller, call);
		break;
	case TRACE_FTRUNCATE:
		s->sizes_unknown += caller->enter.unread;
		call->file = caller->enter.file;
		call->file_bytes = call->len;
		break;
	case TRACE_FALLOCATE:
		s->sizes_unknown += caller->enter.unread;
		call->file = caller->enter.file;
		call->file_bytes = caller->enter.file_bytes;
		if (!(call->flags & LINUX_FALLOC_KEEP_SIZE) && end > call->file_bytes)
			call->file_bytes = end;
		break;
	default:
		break;
	}
}

static bool resizes(const struct trace_call *call)
{
	return call->nr == TRACE_FTRUNCATE || call->nr == TRACE_FALLOCATE;
}

/* What the kernel says to itself when a call has to be made again. */
static int64_t result_of(uint64_t raw)
{
	enum { FIRST_RESTART = -516, LAST_RESTART = -512 };
	int64_t result = (int64_t)raw;

	return result >= FIRST_RESTART && result <= LAST_RESTART ? -EINTR : result;
}

static void end_call(struct call_stream *s, struct caller *caller, const struct call_record *end)
{
	struct seen_call seen = {
		.time_ns = caller->locked_ns ? caller->locked_ns : end->time_ns,
		.tid = caller->tid,
		.target = caller->enter.target,
	};
	struct stopped_call decoded;

	calls_decode(caller->tid, caller->enter.nr, caller->enter.arg, &decoded);
	seen.call = decoded.call;
	seen.call.result = result_of(end->arg[0]);
	if (seen.call.result >= 0)
		fill_file(s, caller, decoded.fd, &seen.call);
	/* Files that nobody has mapped are of no interest. */
	if (resizes(&seen.call) && seen.call.file == TRACE_NONE)
		return;
	if (seen.call.nr == TRACE_PROCESS_MADVISE) {
		seen.call.advice = (uint32_t)caller->enter.arg[3];
		seen.call.addr = seen.call.len = 0;
		seen.ranges = caller->enter.ranges;
		caller->enter.ranges = NULL;
		if (!seen.ranges) {
			s->ranges_unknown++;
			return;
		}
	}
	add_ready(s, &seen);
}

/* ---- records ---- */

static bool makes_process(const struct call_record *enter)
{
	enum trace_call_nr call;

	return calls_kind(enter->nr, &call) == STOP_CLONE;
}

static void handle_enter(struct call_stream *s, struct call_record *record)
{
	struct caller *caller = find_caller(s, record->tid);

	if (!caller)
		caller = add_caller(s, record->tid);
	if (!caller) {
		free(record->ranges);
		s->dropped++;
		return;
	}
	/* Its end was lost, or the thread died in it and its id came back. */
	leave(s, caller);
	caller->enter = *record;
	caller->in_call = true;
	caller->mapped = false;
	caller->locked_ns = 0;
}

static void handle_exit(struct call_stream *s, struct caller *caller,
	const struct call_record *record)
{
	/* A child begins with the end of its parent's call. */
	if (!caller->in_call || caller->enter.nr != record->nr)
		return;
	if (!makes_process(&caller->enter))
		end_call(s, caller, record);
	leave(s, caller);
}

/* Calls that were begun may have ended in what is missing. */
static void handle_lost(struct call_stream *s, const struct call_record *record)
{
	struct seen_call lost = { .time_ns = record->time_ns, .lost = record->arg[0] };

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct caller *at = s->bucket[i]; at; at = at->next)
			leave(s, at);
	add_ready(s, &lost);
}

static void handle_record(struct call_stream *s, struct call_record *record)
{
	struct caller *caller;

	if (record->kind == RECORD_ENTER) {
		handle_enter(s, record);
		return;
	}
	if (record->kind == RECORD_LOST) {
		handle_lost(s, record);
		return;
	}
	caller = find_caller(s, record->tid);
	if (!caller || !caller->in_call)
		return;
	switch (record->kind) {
	case RECORD_LOCKED:
		if (caller->locked_ns)
			break;
		caller->locked_ns = record->time_ns;
		hold(s, caller);
		break;
	case RECORD_MAPPING:
		caller->mapped = true;
		caller->mapping = *record;
		break;
	default:
		handle_exit(s, caller, record);
		break;
	}
}

/* The tracer did not stop it before: touches of the thread wait from here on. */
static struct item **add_exec(struct call_stream *s, struct item **link,
	const struct call_record *record)
{
	bool failed = record->kind == RECORD_EXIT && (int64_t)record->arg[0] < 0;
	struct item *item;

	if (record->kind != RECORD_ENTER && !failed)
		return link;
	item = item_create(failed ? ITEM_EXEC_FAILED : ITEM_EXEC_ENTER);
	if (!item) {
		s->dropped++;
		return link;
	}
	item->tid = record->tid;
	item->time_ns = record->time_ns;
	item->next = *link;
	*link = item;
	return &item->next;
}

static bool is_exec(const struct call_record *record)
{
	enum trace_call_nr call;

	return (record->kind == RECORD_ENTER || record->kind == RECORD_EXIT) &&
		calls_kind(record->nr, &call) == STOP_EXEC;
}

static struct call_records *earliest(struct call_stream *s)
{
	struct call_records *best = NULL;

	for (unsigned int i = 0; i < s->nr_queues; i++) {
		struct call_records *q = &s->queue[i];

		if (q->first < q->nr &&
		    (!best || q->record[q->first].time_ns < best->record[best->first].time_ns))
			best = q;
	}
	return best;
}

/* ---- the tracer's items ---- */

/* Puts the item at *link in its place by its new, earlier time. */
static void move_item(struct item **list, struct item **link, uint64_t time_ns)
{
	struct item *item = *link;

	*link = item->next;
	item->time_ns = time_ns;
	while (*list && (*list)->time_ns <= time_ns)
		list = &(*list)->next;
	item->next = *list;
	*list = item;
}

/* The flags that the call had, where they agree with what the tracer saw. */
static void correct_flags(const struct caller *maker, struct trace_process_start *start)
{
	uint64_t flags = maker->enter.arg[0];

	if ((maker->enter.nr == SYS_clone || maker->enter.nr == SYS_clone3) &&
	    !maker->enter.unread && !(flags & CLONE_VM) == !start->shares_mm)
		start->clone_flags = flags;
}

/* A process or thread starts; when did its parent's call take effect? */
static uint64_t time_of_start(struct call_stream *s, struct item *item)
{
	struct caller *maker = item->maker ? find_caller(s, item->maker) : NULL;
	uint64_t time_ns = item->time_ns;

	if (!maker || !maker->in_call || !makes_process(&maker->enter))
		return time_ns;
	if (item->event.kind == TRACE_PROCESS_START) {
		correct_flags(maker, &item->event.process_start);
		if (maker->locked_ns && !item->event.process_start.shares_mm)
			time_ns = maker->locked_ns;
	}
	let_go(s, maker);
	return time_ns;
}

/* Returns the place from which to go on. */
static struct item **handle_item(struct call_stream *s, struct item **list, struct item **link)
{
	struct item *item = *link;
	uint64_t time_ns;

	if (item->kind != ITEM_EVENT)
		return &item->next;
	switch (item->event.kind) {
	case TRACE_PROCESS_START:
	case TRACE_THREAD_START:
		time_ns = time_of_start(s, item);
		if (time_ns < item->time_ns) {
			move_item(list, link, time_ns);
			return *link == item ? &item->next : link;
		}
		break;
	case TRACE_THREAD_EXIT:
	case TRACE_PROCESS_EXIT:
		forget(s, item->tid);
		break;
	default:
		break;
	}
	return &item->next;
}

uint64_t call_stream_run(struct call_stream *s, struct item **items, uint64_t until)
{
	struct item **link = items;

	call_rings_take(s->rings, s->queue);
	while (*link && (*link)->time_ns <= s->done_ns)
		link = &(*link)->next;
	for (;;) {
		struct call_records *q = earliest(s);
		uint64_t record_ns = q ? q->record[q->first].time_ns : UINT64_MAX;

		if (*link && (*link)->time_ns < record_ns && (*link)->time_ns <= until)
			link = handle_item(s, items, link);
		else if (q && record_ns <= until && is_exec(&q->record[q->first]))
			link = add_exec(s, link, &q->record[q->first++]);
		else if (q && record_ns <= until)
			handle_record(s, &q->record[q->first++]);
		else
			break;
	}
	if (until == UINT64_MAX)
		return until;
	s->done_ns = until;
	return s->oldest && s->oldest->locked_ns <= until ? s->oldest->locked_ns - 1 : until;
}

/* ---- for the merge ---- */

const struct seen_call *call_stream_first(const struct call_stream *s)
{
	return s->first < s->nr ? &s->ready[s->first] : NULL;
}

void call_stream_pop(struct call_stream *s)
{
	free(s->ready[s->first].ranges);
	if (++s->first == s->nr)
		s->first = s->nr = 0;
}

const char *call_stream_regret(const struct call_stream *s, unsigned int i, char *text,
	size_t text_bytes)
{
	const struct {
		uint64_t nr;
		const char *what;
	} regrets[] = {
		{ s->dropped, "calls are missing: the recorder had no memory for them" },
		{ s->files_unknown, "mappings are of a file that could not be told" },
		{ s->sizes_unknown, "calls changed the size of a file whose descriptor was closed "
				    "before it could be looked at" },
		{ s->ranges_unknown, "process_madvise calls are missing: their ranges were gone "
				     "before they could be read" },
	};

	for (size_t at = 0; at < sizeof(regrets) / sizeof(regrets[0]); at++) {
		if (!regrets[at].nr || i--)
			continue;
		snprintf(text, text_bytes, "%llu %s", (unsigned long long)regrets[at].nr,
			regrets[at].what);
		return text;
	}
	return NULL;
}

struct call_stream *call_stream_create(struct call_rings *rings)
{
	struct call_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->rings = rings;
	s->nr_queues = call_rings_nr(rings);
	s->queue = calloc(s->nr_queues, sizeof(s->queue[0]));
	if (s->queue)
		return s;
	free(s);
	return NULL;
}

void call_stream_destroy(struct call_stream *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (s->bucket[i])
			forget(s, s->bucket[i]->tid);
	for (unsigned int i = 0; i < s->nr_queues; i++) {
		struct call_records *q = &s->queue[i];

		for (; q->first < q->nr; q->first++)
			free(q->record[q->first].ranges);
		free(q->record);
	}
	while (s->first < s->nr)
		call_stream_pop(s);
	free(s->ready);
	free(s->queue);
	free(s);
}
