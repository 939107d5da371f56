/* SPDX-License-Identifier: BSD-2-Clause */
/* For the tests of importers: what a log becomes, as text. */
#ifndef QUIRE_TRACE_TESTS_IMPORTED_H
#define QUIRE_TRACE_TESTS_IMPORTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "trace/import.h"
#include "trace/reader.h"
#include "trace/show.h"
#include "trace/writer.h"

/* The events of the imported log as text, without their times; malloced.  On
 * failure the message. */
static inline char *imported(import_text *import, const char *log)
{
	struct trace_header header = { .host.trait[HOST_page_bytes] = 4096 };
	struct trace_error error = { 0 };
	struct trace_writer *w = trace_writer_open_memory(&header, &error);
	const struct trace_event *event;
	struct trace_reader *r;
	char *text = NULL;
	size_t len, text_len;
	void *bytes;
	FILE *out;

	assert_non_null(w);
	if (import("log", log, strlen(log), w, &error) != 0) {
		assert_int_equal(error.err, EBADMSG);
		trace_writer_discard(w);
		return strdup(error.message);
	}
	assert_int_equal(trace_writer_take(w, &bytes, &len, &error), 0);
	r = trace_reader_open_memory(bytes, len, "imported", &error);
	out = open_memstream(&text, &text_len);
	while (trace_reader_next(r, &event, &error) > 0) {
		struct trace_event copy = *event;

		copy.time_us = 0;
		show_event(out, &copy);
	}
	fclose(out);
	assert_int_equal(error.err, 0);
	trace_reader_close(r);
	free(bytes);
	return text;
}

/* Must what is looked for be there, or must it not? */
static inline void expect_imported(import_text *import, const char *log, const char *looked_for,
	bool there)
{
	char *got = imported(import, log);

	if (!strstr(got, looked_for) == there) {
		/* More than cmocka prints. */
		fprintf(stderr, "from\n%s\ncame\n%s\n", log, got);
		fail_msg("%s: %s", there ? "without" : "with", looked_for);
	}
	free(got);
}

#endif
