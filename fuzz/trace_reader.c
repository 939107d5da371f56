/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes may be fed to the reader of recordings.  Twice: as a whole file,
 * where the checksums stop nearly everything, and as the events of one block
 * around which a good file is put, which reaches the decoder behind them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "trace/format.h"
#include "trace/reader.h"
#include "trace/show.h"
#include "trace/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every field of every event is looked at, by listing it. */
static void read_all(const void *bytes, size_t len, FILE *out)
{
	struct trace_error error = { 0 };
	struct trace_reader *r = trace_reader_open_memory(bytes, len, "fuzz", &error);
	const struct trace_event *event;

	while (r && trace_reader_next(r, &event, &error) > 0) {
		const struct trace_maps *maps = event->kind == TRACE_EXEC ? &event->exec.maps :
			event->kind == TRACE_MM_END ? &event->mm_end.maps : NULL;

		show_event(out, event);
		for (size_t i = 0; maps && i < maps->nr; i++)
			fprintf(out, "%llu %s\n", (unsigned long long)maps->map[i].end,
				maps->map[i].name);
	}
	trace_reader_close(r);
}

static uint8_t *put_block(uint8_t *at, const uint8_t *data, size_t size)
{
	size_t packed = ZSTD_compress(at + TRACE_BLOCK_HEAD_BYTES, ZSTD_compressBound(size), data,
		size, 1);

	format_put_u32(at, TRACE_BLOCK_MAGIC);
	format_put_u32(at + 4, (uint32_t)packed);
	format_put_u32(at + 8, (uint32_t)size);
	format_put_u32(at + 12, UINT32_MAX); /* more than there can be */
	format_put_u32(at + 16, format_crc(format_crc(0, at + 4, 12),
		at + TRACE_BLOCK_HEAD_BYTES, packed));
	return at + TRACE_BLOCK_HEAD_BYTES + packed;
}

static void read_events(const uint8_t *data, size_t size, FILE *out)
{
	struct trace_header header = { .page_bytes = 4096 };
	struct trace_writer *w = trace_writer_open_memory(&header, NULL);
	void *bytes;
	uint8_t *file, *end;
	size_t len;

	if (!w || trace_writer_take(w, &bytes, &len, NULL) != 0)
		return;
	len -= TRACE_END_BYTES;
	file = malloc(len + TRACE_BLOCK_HEAD_BYTES + ZSTD_compressBound(size));
	if (file) {
		memcpy(file, bytes, len);
		end = put_block(file + len, data, size);
		read_all(file, (size_t)(end - file), out);
	}
	free(file);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *out;

	if (!out)
		out = fopen("/dev/null", "w");
	if (!out)
		return 0;
	read_all(data, size, out);
	read_events(data, size, out);
	return 0;
}
