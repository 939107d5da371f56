/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the recording tells later of the sizes of files.  A recorder that stops
 * the program sees no write(2); it notices that a file has grown when it next
 * looks at it.  When a touch proves that it had grown before, the recording is
 * read once more, for sizes alone.
 */
#include <stdlib.h>

#include "state.h"

/* The size that an event tells; false: none. */
static bool size_of_event(const struct trace_event *event, struct later_size *out)
{
	if (event->kind == TRACE_FILE) {
		out->file = event->file.file;
		out->bytes = event->file.bytes;
		return true;
	}
	if (event->kind == TRACE_CALL && event->call.file != TRACE_NONE) {
		out->file = event->call.file;
		out->bytes = event->call.file_bytes;
		return true;
	}
	return false;
}

static bool add(struct replay *replay, const struct later_size *size, size_t *capacity)
{
	if (replay->nr_later == *capacity) {
		size_t want = *capacity ? *capacity * 2 : 256;
		struct later_size *grown = realloc(replay->later, want * sizeof(*grown));

		if (!grown)
			return false;
		replay->later = grown;
		*capacity = want;
	}
	replay->later[replay->nr_later++] = *size;
	return true;
}

static void read_sizes(struct replay *replay)
{
	struct trace_error error = { 0 };
	struct trace_reader *reader = trace_reader_open(replay->path, &error);
	const struct trace_event *event;
	struct later_size size = { 0 };
	size_t capacity = 0;

	replay->later_known = true;
	/* Standard input cannot be read twice: then nothing is known. */
	while (reader && trace_reader_next(reader, &event, &error) > 0) {
		if (size_of_event(event, &size) && !add(replay, &size, &capacity))
			break;
		size.event++;
	}
	trace_reader_close(reader);
}

uint64_t replay_later_size(struct replay *replay, uint32_t file)
{
	if (!replay->later_known)
		read_sizes(replay);
	for (size_t i = 0; i < replay->nr_later; i++)
		if (replay->later[i].file == file &&
		    replay->later[i].event > replay->result->nr_events)
			return replay->later[i].bytes;
	return 0;
}
