/* SPDX-License-Identifier: BSD-2-Clause */
/* For the fuzz targets of the importers. */
#ifndef QUIRE_FUZZ_IMPORT_H
#define QUIRE_FUZZ_IMPORT_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "trace/import.h"
#include "trace/reader.h"
#include "trace/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void read_back(const void *bytes, size_t len)
{
	struct trace_error error = { 0 };
	struct trace_reader *r = trace_reader_open_memory(bytes, len, "imported", &error);
	const struct trace_event *event;

	while (r && trace_reader_next(r, &event, &error) > 0)
		;
	trace_reader_close(r);
	if (error.err) {
		fprintf(stderr, "the importer wrote a bad recording: %s\n", error.message);
		abort();
	}
}

static inline int fuzz_import(import_text *import, const uint8_t *data, size_t size)
{
	struct trace_header header = { .host.trait[HOST_page_bytes] = 4096 };
	struct trace_error error = { 0 };
	struct trace_writer *w = trace_writer_open_memory(&header, &error);
	void *bytes;
	size_t len;

	if (!w)
		return 0;
	if (import("fuzz", (const char *)data, size, w, &error) != 0) {
		/* An error of the log, never one of what we made of it. */
		if (error.err == EINVAL || !error.message[0])
			abort();
		trace_writer_discard(w);
		return 0;
	}
	if (trace_writer_take(w, &bytes, &len, &error) == 0) {
		read_back(bytes, len);
		free(bytes);
	}
	return 0;
}

#endif
