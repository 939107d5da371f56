/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes may be fed to the reader of recordings: as a whole file, where the
 * checksums stop nearly everything, and, of each version, as events and as a
 * header behind them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/codec.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/show.h"

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

/* The decoder alone, behind all checksums: the bytes are events of this version. */
static void read_events(uint32_t version, const uint8_t *data, size_t size, FILE *out)
{
	struct trace_state state;
	struct trace_event event;
	struct codec codec;

	trace_state_init(&state, 4096);
	codec_init_decoder(&codec, version, data, size);
	while (codec.at < codec.len_bytes && codec_event(&codec, &state, &event))
		if (!codec.unknown)
			show_event(out, &event);
	codec_fini(&codec);
	trace_state_fini(&state);
}

/* ... or a header. */
static void read_header(uint32_t version, const uint8_t *data, size_t size)
{
	static struct codec_calls calls;
	struct trace_header header;
	struct codec codec;

	codec_init_decoder(&codec, version, data, size);
	codec_header(&codec, version, &header, &calls);
	codec_fini(&codec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *out;

	if (!out)
		out = fopen("/dev/null", "w");
	if (!out)
		return 0;
	read_all(data, size, out);
	for (uint32_t version = 1; version <= TRACE_VERSION; version++) {
		read_events(version, data, size, out);
		read_header(version, data, size);
	}
	return 0;
}
