/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first of two looks at a perf log.  It finds what is known only later in the
 * log than it is needed:
 *
 *  - which events there are, for the header of the recording;
 *  - the result of a call that takes its place at its entry;
 *  - whether clone3, whose flags are in memory, made a child that borrows its
 *    parent's memory: such a parent does not return before its child's exec or end;
 *  - where brk begins: the result of the first brk(0) after exec;
 *  - whether a thread faults on a page again within 50 ms and before anybody forks,
 *    which makes the first fault a read (infer.c).
 *
 * The second look comes by the same lines in the same order, and takes what was
 * noted by counting.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "import_perf.h"

#define AGAIN_NS 50000000
#define NONE SIZE_MAX

/* A thread, by its id; or a thread and the page it touched last. */
struct slot {
	bool used;
	pid_t tid;
	uint64_t page; /* 0 for the thread itself */
	/* a thread */
	int64_t nr; /* of the call it is in; -1: none */
	uint64_t arg0;
	size_t early; /* that call's place in early, or NONE */
	size_t made; /* the birth that its clone3 made, while that is open, or NONE */
	size_t born; /* its own birth, while it is open, or NONE */
	pid_t parent; /* of that birth */
	size_t exec; /* its last exec, while where brk begins is not known, or NONE */
	/* a page */
	size_t touch;
	uint64_t time_ns;
	uint64_t forks;
};

struct reading {
	struct perf_survey *survey;
	struct import_log *log;
	struct slot *slot; /* open addressing */
	size_t nr, capacity;
	uint64_t forks; /* so far */
};

static struct slot *place_of(struct slot *table, size_t capacity, pid_t tid, uint64_t page)
{
	uint64_t key = (uint64_t)tid * UINT64_C(0x9e3779b97f4a7c15) ^
		page * UINT64_C(0xc2b2ae3d27d4eb4f);
	size_t at = (size_t)(key ^ key >> 29) & (capacity - 1);

	while (table[at].used && (table[at].tid != tid || table[at].page != page))
		at = (at + 1) & (capacity - 1);
	return &table[at];
}

static bool grow(struct reading *r)
{
	size_t capacity = r->capacity ? r->capacity * 2 : 256;
	struct slot *table = calloc(capacity, sizeof(*table));

	if (!table)
		return false;
	for (size_t i = 0; i < r->capacity; i++)
		if (r->slot[i].used)
			*place_of(table, capacity, r->slot[i].tid, r->slot[i].page) = r->slot[i];
	free(r->slot);
	r->slot = table;
	r->capacity = capacity;
	return true;
}

/* NULL: no memory.  Good until the next one is asked for. */
static struct slot *slot_of(struct reading *r, pid_t tid, uint64_t page)
{
	struct slot *slot;

	if (r->nr * 2 >= r->capacity && !grow(r))
		return NULL;
	slot = place_of(r->slot, r->capacity, tid, page);
	if (!slot->used) {
		*slot = (struct slot){ .used = true, .tid = tid, .page = page, .nr = -1,
			.early = NONE, .made = NONE, .born = NONE, .exec = NONE, .touch = NONE };
		r->nr++;
	}
	return slot;
}

bool perf_same_machine(const struct perf_survey *survey)
{
	struct utsname here;

	return !survey->arch[0] || uname(&here) != 0 || strcmp(survey->arch, here.machine) == 0;
}

uint64_t perf_page_bytes(const struct perf_survey *survey)
{
	return strcmp(survey->arch, "x86_64") == 0 ? 4096 : (uint64_t)sysconf(_SC_PAGESIZE);
}

bool perf_is_early(const struct stopped_call *call)
{
	const struct trace_call *c = &call->call;

	return call->kind == STOP_CALL &&
		(c->nr == TRACE_MUNMAP || c->nr == TRACE_SHMDT ||
		 (c->nr == TRACE_MADVISE && (c->advice == MADV_DONTNEED || c->advice == MADV_FREE ||
			c->advice == MADV_REMOVE)));
}

/* ---- the events ---- */

static int note_enter(struct reading *r, const struct perf_line *line)
{
	struct perf_survey *s = r->survey;
	struct slot *thread = slot_of(r, line->tid, 0);
	struct stopped_call call;

	s->has_calls = true;
	if (!thread)
		return import_log_fail_memory(r->log);
	thread->nr = line->number;
	thread->arg0 = line->arg[0];
	thread->early = NONE;
	calls_decode_arguments((uint64_t)line->number, line->arg, &call);
	if (!perf_is_early(&call))
		return 0;
	if (!import_room(&s->early, s->nr_early, &s->early_capacity, sizeof(s->early[0])))
		return import_log_fail_memory(r->log);
	s->early[s->nr_early] = PERF_NO_RESULT;
	thread->early = s->nr_early++;
	return 0;
}

static int note_leave(struct reading *r, const struct perf_line *line)
{
	struct perf_survey *s = r->survey;
	struct slot *thread = slot_of(r, line->tid, 0);

	s->has_calls = true;
	if (!thread)
		return import_log_fail_memory(r->log);
	if (thread->nr == line->number && thread->early != NONE)
		s->early[thread->early] = line->result;
	if (thread->nr == line->number && line->number == SYS_brk && thread->exec != NONE) {
		if (thread->arg0 == 0 && line->result > 0)
			s->brk[thread->exec] = (uint64_t)line->result;
		thread->exec = NONE;
	}
	/* Back before the child was done: it had memory of its own. */
	thread->made = NONE;
	thread->early = NONE;
	thread->nr = -1;
	return 0;
}

static int note_fork(struct reading *r, const struct perf_line *line)
{
	struct perf_survey *s = r->survey;
	struct slot *parent = slot_of(r, line->parent, 0), *child;
	uint64_t arg[6] = { 0 };
	struct stopped_call call;
	bool is_clone3;

	if (!parent || !import_room(&s->birth, s->nr_births, &s->births_capacity,
				sizeof(s->birth[0])))
		return import_log_fail_memory(r->log);
	arg[0] = parent->arg0;
	calls_decode_arguments((uint64_t)parent->nr, arg, &call);
	is_clone3 = parent->nr == SYS_clone3 && line->pid == line->tid;
	parent->made = is_clone3 ? s->nr_births : NONE;
	child = slot_of(r, line->tid, 0);
	if (!child)
		return import_log_fail_memory(r->log);
	child->nr = -1;
	child->early = child->made = child->exec = NONE;
	child->born = is_clone3 ? s->nr_births : NONE;
	child->parent = line->parent;
	s->birth[s->nr_births++].flags = call.kind == STOP_CLONE ? call.clone_flags : 0;
	r->forks++;
	return 0;
}

/* A child's exec or end: did its parent wait for it? */
static int note_parting(struct reading *r, const struct perf_line *line)
{
	struct perf_survey *s = r->survey;
	struct slot *child = slot_of(r, line->tid, 0);

	if (!child)
		return import_log_fail_memory(r->log);
	if (child->born != NONE) {
		if (place_of(r->slot, r->capacity, child->parent, 0)->made == child->born)
			s->birth[child->born].flags = CLONE_VM | CLONE_VFORK;
		child->born = NONE;
	}
	if (line->kind == PERF_EXIT)
		child->nr = -1;
	if (line->kind != PERF_EXEC)
		return 0;
	if (!import_room(&s->brk, s->nr_execs, &s->execs_capacity, sizeof(s->brk[0])))
		return import_log_fail_memory(r->log);
	s->brk[s->nr_execs] = 0;
	child->exec = s->nr_execs++;
	return 0;
}

static int note_touch(struct reading *r, const struct perf_line *line)
{
	struct perf_survey *s = r->survey;
	/* Whatever the page is called: this keeps it apart from the thread itself. */
	struct slot *page = slot_of(r, line->tid, line->addr / perf_page_bytes(s) + 1);

	if (!page || !import_room(&s->again, s->nr_touches, &s->touches_capacity,
				sizeof(s->again[0])))
		return import_log_fail_memory(r->log);
	if (line->faults > s->faults) {
		s->faults = line->faults;
		s->kernel_too = false;
	}
	if (line->faults == s->faults)
		s->kernel_too |= !line->user_only;
	s->again[s->nr_touches] = false;
	if (page->touch != NONE && page->forks == r->forks && line->has_time &&
	    line->time_ns - page->time_ns <= AGAIN_NS)
		s->again[page->touch] = true;
	page->touch = s->nr_touches++;
	page->time_ns = line->time_ns;
	page->forks = r->forks;
	return 0;
}

/* "# arch : x86_64": the value, or NULL. */
static const char *header_value(const char *line, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(line, "# ", 2) != 0 || strncmp(line + 2, name, len) != 0)
		return NULL;
	line += 2 + len;
	line += strspn(line, " ");
	if (strncmp(line, ": ", 2) != 0)
		return NULL;
	return line + 2;
}

static void note_header(struct perf_survey *s, const char *line)
{
	const struct {
		const char *name;
		char *into;
		size_t size;
	} fields[] = {
		{ "arch", s->arch, sizeof(s->arch) },
		{ "os release", s->release, sizeof(s->release) },
		{ "cmdline", s->command, sizeof(s->command) },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *value = header_value(line, fields[i].name);
		size_t len = value ? strcspn(value, "\r") : 0;

		if (!value)
			continue;
		if (len >= fields[i].size)
			len = fields[i].size - 1;
		memcpy(fields[i].into, value, len);
		fields[i].into[len] = 0;
	}
}

static int note_line(struct reading *r, char *text)
{
	struct perf_line line;
	const char *wrong;

	if (text[0] == '#')
		note_header(r->survey, text);
	wrong = perf_parse_line(text, &line);
	if (wrong)
		return import_log_fail(r->log, wrong);
	switch (line.kind) {
	case PERF_ENTER:
		return note_enter(r, &line);
	case PERF_LEAVE:
		return note_leave(r, &line);
	case PERF_FORK:
		return note_fork(r, &line);
	case PERF_EXIT:
	case PERF_EXEC:
		return note_parting(r, &line);
	case PERF_TOUCH:
		return note_touch(r, &line);
	default:
		return 0;
	}
}

int perf_survey_read(struct perf_survey *survey, struct import_log *log)
{
	struct reading r = { .survey = survey, .log = log };
	int err = 0;

	*survey = (struct perf_survey){ 0 };
	while (!err && log->at != log->end) {
		bool whole;
		char *text = import_log_take(log, &whole);

		if (!text)
			err = import_log_fail_memory(log);
		else if (!whole)
			err = import_log_fail(log, "a byte that no text has");
		else
			err = note_line(&r, text);
		free(text);
	}
	if (!err && survey->has_calls && !perf_same_machine(survey))
		err = import_log_fail(log, "the log's system calls have the numbers of another "
			"machine than this");
	free(r.slot);
	return err;
}

void perf_survey_fini(struct perf_survey *survey)
{
	free(survey->birth);
	free(survey->brk);
	free(survey->early);
	free(survey->again);
}
