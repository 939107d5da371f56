/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two mappings of one file, side by side, become one only where they come from one
 * open(2).  Which opening a descriptor stands for cannot be asked once it is closed;
 * but whether the two became one can be seen, and is looked at where they might have.
 */
#include <string.h>
#include <sys/mman.h>

#include "tracer.h"

static struct file_piece piece_of(const struct trace_call *call, uint64_t page_bytes)
{
	return (struct file_piece){
		.file = call->file, .prot = call->prot, .shared = call->flags & MAP_SHARED,
		.start = (uint64_t)call->result, .offset = call->offset,
		.end = ((uint64_t)call->result + call->len + page_bytes - 1) & ~(page_bytes - 1),
	};
}

/* Does b go on where a ends, in memory and in the file? */
static bool goes_on(const struct file_piece *a, const struct file_piece *b)
{
	return a->file == b->file && a->prot == b->prot && a->shared == b->shared &&
		a->end == b->start && a->offset + (a->end - a->start) == b->offset;
}

/* The piece begins a mapping though one before it goes on there, or ends one. */
static bool stands_apart(pid_t tid, const struct file_piece *piece, bool before, bool after)
{
	struct maps_buffer maps;
	bool apart = false;

	if (procfs_read_maps(tid, &maps) < 0)
		return false;
	for (size_t i = 0; i < maps.nr; i++)
		if (maps.map[i].start <= piece->start && piece->start < maps.map[i].end)
			apart = (before && maps.map[i].start == piece->start) ||
				(after && maps.map[i].end == piece->end);
	maps_buffer_fini(&maps);
	return apart;
}

void beside_note(struct file_pieces *pieces, const struct trace_call *call, uint64_t page_bytes,
	bool *before, bool *after)
{
	struct file_piece piece = piece_of(call, page_bytes);

	*before = *after = false;
	for (uint32_t i = 0; i < NR_FILE_PIECES; i++) {
		*before |= goes_on(&pieces->piece[i], &piece);
		*after |= goes_on(&piece, &pieces->piece[i]);
	}
	pieces->piece[pieces->next++ % NR_FILE_PIECES] = piece;
}

bool beside_stands_apart(struct tracee *tracee, const struct trace_call *call, uint64_t page_bytes)
{
	struct file_piece piece = piece_of(call, page_bytes);
	bool before, after;

	beside_note(&tracee->proc->space->pieces, call, page_bytes, &before, &after);
	return (before || after) && stands_apart(tracee->tid, &piece, before, after);
}
