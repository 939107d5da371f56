/* SPDX-License-Identifier: BSD-2-Clause */
/* Indexes by the order of the recording; see renumber.h. */
#include "renumber.h"

#include <stdlib.h>

static bool make_room(struct renumber_map *map, uint32_t index)
{
	uint32_t capacity = map->capacity ? map->capacity : 256;
	uint32_t *grown;

	if (index == TRACE_NONE || index < map->capacity)
		return true;
	while (capacity <= index)
		capacity *= 2;
	grown = realloc(map->to, capacity * sizeof(*grown));
	if (!grown)
		return false;
	while (map->capacity < capacity)
		grown[map->capacity++] = TRACE_NONE;
	map->to = grown;
	return true;
}

/* There is room. */
static void change(struct renumber_map *map, uint32_t *index)
{
	if (*index == TRACE_NONE)
		return;
	if (map->to[*index] == TRACE_NONE)
		map->to[*index] = map->next++;
	*index = map->to[*index];
}

/* The event's index of an address space, if it has one. */
static uint32_t *mm_of(struct trace_event *e)
{
	return e->kind == TRACE_PROCESS_START ? &e->process_start.mm :
		e->kind == TRACE_EXEC ? &e->exec.mm :
		e->kind == TRACE_MM_END ? &e->mm_end.mm : NULL;
}

/* Its second index of a process, if it has one. */
static uint32_t *other_process_of(struct trace_event *e)
{
	return e->kind == TRACE_PROCESS_START ? &e->process_start.parent :
		e->kind == TRACE_CALL ? &e->call.target : NULL;
}

bool renumber_event(struct renumber *r, struct trace_event *e)
{
	uint32_t *mm = mm_of(e), *other = other_process_of(e);

	if (!make_room(&r->process, e->process) || !make_room(&r->thread, e->thread) ||
	    (mm && !make_room(&r->mm, *mm)) || (other && !make_room(&r->process, *other)))
		return false;
	if (other)
		change(&r->process, other);
	change(&r->process, &e->process);
	change(&r->thread, &e->thread);
	if (mm)
		change(&r->mm, mm);
	return true;
}

void renumber_fini(struct renumber *r)
{
	free(r->process.to);
	free(r->thread.to);
	free(r->mm.to);
}
