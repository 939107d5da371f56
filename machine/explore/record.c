/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The record of one run: what was done, and where the choice was not the
 * default one.  Runs are recorded only when they are shown or turned into a
 * token: a failing run is found without a record and then run once more.
 */
#include <stdlib.h>
#include <string.h>

#include "explore/world.h"

static struct {
	struct xp_event *events;
	size_t nr_events, room_events;
	struct xp_deviation *deviations;
	size_t nr_deviations, room_deviations;
	bool full; /* no memory: the record ends early */
} record;

static bool make_room(void **list, size_t nr, size_t *room, size_t each)
{
	size_t wanted = *room ? *room * 2 : 256;
	void *more;

	if (nr < *room)
		return true;
	more = realloc(*list, wanted * each);
	if (!more) {
		record.full = true;
		return false;
	}
	*list = more;
	*room = wanted;
	return true;
}

void xp_record_begin(void)
{
	record.nr_events = 0;
	record.nr_deviations = 0;
	record.full = false;
	xp.recording = true;
}

void xp_record_event(struct xp_event event)
{
	void *list = record.events;

	if (!make_room(&list, record.nr_events, &record.room_events, sizeof(event)))
		return;
	record.events = list;
	record.events[record.nr_events++] = event;
}

void xp_record_choice(uint64_t may, unsigned chosen)
{
	void *list = record.deviations;

	if (xp_default_choice(may) == chosen)
		return;
	if (!make_room(&list, record.nr_deviations, &record.room_deviations,
		       sizeof(*record.deviations)))
		return;
	record.deviations = list;
	record.deviations[record.nr_deviations++] =
		(struct xp_deviation){ xp.steps, chosen };
}

const struct xp_event *xp_recorded(size_t *ret_nr)
{
	*ret_nr = record.nr_events;
	return record.events;
}

const struct xp_event *xp_recorded_free(const volatile void *addr)
{
	for (size_t i = xp.recording ? record.nr_events : 0; i-- > 0;) {
		const struct xp_event *e = &record.events[i];
		uint64_t offset = (uint64_t)((const volatile char *)addr -
					     (const volatile char *)e->addr);

		if (e->kind == XP_FREE && offset < e->after)
			return e;
	}
	return NULL;
}

const struct xp_deviation *xp_recorded_deviations(size_t *ret_nr)
{
	*ret_nr = record.nr_deviations;
	return record.deviations;
}

void xp_record_fini(void)
{
	free(record.events);
	free(record.deviations);
	memset(&record, 0, sizeof(record));
	xp.recording = false;
}
