/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Outcomes: growing lists whose memory is kept from run to run.
 */
#include <stdlib.h>
#include <string.h>

#include "outcome.h"

void *diff_grow(void *items, uint32_t nr, uint32_t *room, size_t item_bytes)
{
	const uint32_t more = *room ? *room * 2 : 16;

	if (nr < *room)
		return items;
	items = realloc(items, more * item_bytes);
	if (!items) {
		fprintf(stderr, "quire-differential: out of memory\n");
		exit(2);
	}
	memset((char *)items + *room * item_bytes, 0, (more - *room) * item_bytes);
	*room = more;
	return items;
}

void outcome_reset(struct diff_outcome *outcome)
{
	memset(outcome->results, 0, sizeof(outcome->results));
	outcome->nr_snapshots = 0;
	outcome->failure[0] = '\0';
	outcome->disturbed = false;
}

void outcome_fini(struct diff_outcome *outcome)
{
	for (uint32_t i = 0; i < outcome->room_snapshots; i++)
		free(outcome->snapshots[i].maps);
	free(outcome->snapshots);
	memset(outcome, 0, sizeof(*outcome));
}

struct diff_snapshot *outcome_snapshot(struct diff_outcome *outcome, uint32_t op)
{
	struct diff_snapshot *snapshot;
	struct diff_map *maps;
	uint32_t room_maps;

	if (outcome->nr_snapshots && outcome->snapshots[outcome->nr_snapshots - 1].op == op)
		return &outcome->snapshots[outcome->nr_snapshots - 1];
	outcome->snapshots = diff_grow(outcome->snapshots, outcome->nr_snapshots,
				       &outcome->room_snapshots, sizeof(*outcome->snapshots));
	snapshot = &outcome->snapshots[outcome->nr_snapshots++];
	maps = snapshot->maps;
	room_maps = snapshot->room_maps;
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->op = op;
	snapshot->maps = maps;
	snapshot->room_maps = room_maps;
	return snapshot;
}

const struct diff_snapshot *outcome_find(const struct diff_outcome *outcome, uint32_t op)
{
	for (uint32_t i = 0; i < outcome->nr_snapshots; i++)
		if (outcome->snapshots[i].op == op)
			return &outcome->snapshots[i];
	return NULL;
}

void snapshot_add_map(struct diff_snapshot *snapshot, const struct diff_map *map)
{
	snapshot->maps = diff_grow(snapshot->maps, snapshot->nr_maps, &snapshot->room_maps,
				   sizeof(*snapshot->maps));
	snapshot->maps[snapshot->nr_maps++] = *map;
}
