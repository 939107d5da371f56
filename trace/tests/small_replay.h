/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small replay: which bytes are mapped.  The recorded calls, made on a list of
 * ranges, must give the maps that Linux shows at the end.  For tests, after cmocka.h.
 */
#ifndef QUIRE_TRACE_TESTS_SMALL_REPLAY_H
#define QUIRE_TRACE_TESTS_SMALL_REPLAY_H

#include <stdlib.h>
#include <string.h>

#include "programs/subject.h"
#include "trace/event.h"

struct range {
	uint64_t start, end;
};

struct ranges {
	struct range r[4096];
	size_t nr;
};

static inline uint64_t page_up(uint64_t addr)
{
	return (addr + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

static inline void cut(struct ranges *s, uint64_t start, uint64_t end)
{
	struct ranges out = { .nr = 0 };

	for (size_t i = 0; i < s->nr; i++) {
		struct range r = s->r[i];

		if (r.start < start && r.start < r.end)
			out.r[out.nr++] = (struct range){ r.start, r.end < start ? r.end : start };
		if (r.end > end)
			out.r[out.nr++] = (struct range){ r.start > end ? r.start : end, r.end };
	}
	*s = out;
}

static inline void add(struct ranges *s, uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	cut(s, start, end);
	assert_in_range(s->nr, 0, 4000);
	s->r[s->nr++] = (struct range){ start, end };
}

static inline int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static inline void normalise(struct ranges *s)
{
	size_t nr = 0;

	qsort(s->r, s->nr, sizeof(s->r[0]), by_start);
	for (size_t i = 0; i < s->nr; i++) {
		if (nr && s->r[nr - 1].end == s->r[i].start)
			s->r[nr - 1].end = s->r[i].end;
		else
			s->r[nr++] = s->r[i];
	}
	s->nr = nr;
}

/* The stack grows by itself. */
static inline void add_maps(struct ranges *s, const struct trace_maps *maps)
{
	for (size_t i = 0; i < maps->nr; i++)
		if (strcmp(maps->map[i].name, "[stack]") != 0)
			add(s, maps->map[i].start, maps->map[i].end);
}

struct replay {
	struct ranges *mm[256];
	uint64_t brk[256];
	uint32_t mm_of[256]; /* by process */
};

static inline void replay_call(struct ranges *s, uint64_t *brk, const struct trace_call *c)
{
	uint64_t at = (uint64_t)c->result;

	if (c->result < 0)
		return;
	switch (c->nr) {
	case TRACE_MMAP:
		add(s, at, page_up(at + c->len));
		break;
	case TRACE_MUNMAP:
		cut(s, c->addr, page_up(c->addr + c->len));
		break;
	case TRACE_MREMAP:
		cut(s, c->addr, page_up(c->addr + c->len));
		add(s, at, page_up(at + c->new_len));
		break;
	case TRACE_BRK:
		if (page_up(at) < page_up(*brk))
			cut(s, page_up(at), page_up(*brk));
		else
			add(s, page_up(*brk), page_up(at));
		*brk = at;
		break;
	case TRACE_SHMAT:
		add(s, at, page_up(at + c->len));
		break;
	case TRACE_SHMDT:
		/* All of our segments have this size. */
		cut(s, c->addr, c->addr + 5 * PAGE);
		break;
	default:
		break;
	}
}

static inline struct ranges *copy_ranges(const struct ranges *from)
{
	struct ranges *copy = malloc(sizeof(*copy));

	if (from)
		*copy = *from;
	else
		copy->nr = 0;
	return copy;
}

static inline void assert_maps(struct ranges *have, const struct trace_maps *maps)
{
	struct ranges *want = copy_ranges(NULL);

	add_maps(want, maps);
	normalise(want);
	normalise(have);
	for (size_t i = 0; i < want->nr && i < have->nr; i++)
		if (memcmp(&want->r[i], &have->r[i], sizeof(want->r[i])) != 0)
			fail_msg("replayed %lx-%lx, Linux said %lx-%lx", have->r[i].start,
				have->r[i].end, want->r[i].start, want->r[i].end);
	assert_int_equal(have->nr, want->nr);
	free(want);
}

/* A program that ran before may have moved it. */
static inline uint64_t brk_of(const struct trace_exec *exec)
{
	uint64_t brk = exec->layout.start_brk;

	for (size_t i = 0; i < exec->maps.nr; i++)
		if (strcmp(exec->maps.map[i].name, "[heap]") == 0 && exec->maps.map[i].end > brk)
			brk = exec->maps.map[i].end;
	return brk;
}

static inline void replay_event(struct replay *r, const struct trace_event *e)
{
	uint32_t mm = e->process == TRACE_NONE ? 0 : r->mm_of[e->process];
	const struct trace_process_start *start = &e->process_start;

	switch (e->kind) {
	case TRACE_PROCESS_START:
		r->mm_of[e->process] = start->mm;
		if (start->shares_mm)
			break;
		mm = start->parent == TRACE_NONE ? 0 : r->mm_of[start->parent];
		r->mm[start->mm] = copy_ranges(start->parent == TRACE_NONE ? NULL : r->mm[mm]);
		r->brk[start->mm] = r->brk[mm];
		break;
	case TRACE_EXEC:
		r->mm_of[e->process] = e->exec.mm;
		r->mm[e->exec.mm] = copy_ranges(NULL);
		r->brk[e->exec.mm] = brk_of(&e->exec);
		add_maps(r->mm[e->exec.mm], &e->exec.maps);
		break;
	case TRACE_CALL:
		replay_call(r->mm[mm], &r->brk[mm], &e->call);
		break;
	case TRACE_MM_END:
		if (e->mm_end.complete) {
			assert_maps(r->mm[e->mm_end.mm], &e->mm_end.maps);
			assert_int_equal(e->mm_end.said.vmas, e->mm_end.maps.nr);
		}
		free(r->mm[e->mm_end.mm]);
		r->mm[e->mm_end.mm] = NULL;
		break;
	default:
		break;
	}
}

#endif
