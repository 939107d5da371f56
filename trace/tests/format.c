/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The format: what is written is what is read; and of a recording that was
 * cut at any byte, or has any bit turned over, the good part is read and the
 * rest is an error with its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sample.h"
#include "trace/codec.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/show.h"
#include "trace/writer.h"

static void write_sample(void **bytes, size_t *len)
{
	struct trace_header header = sample_header();
	struct trace_event events[SAMPLE_MAX];
	size_t nr = sample_events(events);
	struct trace_error error = { 0 };
	struct trace_writer *w = trace_writer_open_memory(&header, &error);

	assert_non_null(w);
	for (size_t i = 0; i < nr; i++) {
		if (trace_writer_put(w, &events[i], &error) != 0)
			fail_msg("event %zu: %s", i, error.message);
	}
	assert_int_equal(trace_writer_events(w), nr);
	assert_int_equal(trace_writer_take(w, bytes, len, &error), 0);
}

/* One line says all that an event holds. */
static char *text_of(const struct trace_event *event)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	show_event(out, event);
	fclose(out);
	return text;
}

static void assert_same_maps(const struct trace_maps *a, const struct trace_maps *b)
{
	assert_int_equal(a->nr, b->nr);
	for (size_t i = 0; i < a->nr; i++) {
		assert_int_equal(a->map[i].start, b->map[i].start);
		assert_int_equal(a->map[i].end, b->map[i].end);
		assert_int_equal(a->map[i].offset_bytes, b->map[i].offset_bytes);
		assert_int_equal(a->map[i].flags, b->map[i].flags);
		assert_int_equal(a->map[i].file, b->map[i].file);
		assert_string_equal(a->map[i].name, b->map[i].name);
	}
}

#define VERSION_1_EVENTS 39

static void assert_same(const struct trace_event *a, const struct trace_event *b)
{
	char *x = text_of(a), *y = text_of(b);

	assert_string_equal(x, y);
	free(x);
	free(y);
	assert_int_equal(a->kind, b->kind);
	if (a->kind == TRACE_CALL)
		assert_memory_equal(&a->call, &b->call, sizeof(a->call));
	if (a->kind == TRACE_EXEC) {
		assert_same_maps(&a->exec.maps, &b->exec.maps);
		assert_memory_equal(&a->exec.layout, &b->exec.layout, sizeof(a->exec.layout));
		assert_memory_equal(&a->exec.rights, &b->exec.rights, sizeof(a->exec.rights));
	}
	if (a->kind == TRACE_MM_END) {
		assert_same_maps(&a->mm_end.maps, &b->mm_end.maps);
		assert_memory_equal(&a->mm_end.said, &b->mm_end.said, sizeof(a->mm_end.said));
	}
}

/* Reads all there is; the events must be the sample's first ones. */
static size_t read_prefix(const void *bytes, size_t len, struct trace_error *error)
{
	static struct trace_event events[SAMPLE_MAX];
	static size_t nr;
	struct trace_reader *r;
	const struct trace_event *event;
	size_t got = 0;
	int more = 0;

	if (!nr)
		nr = sample_events(events);
	r = trace_reader_open_memory(bytes, len, "sample", error);
	if (!r)
		return 0;
	while ((more = trace_reader_next(r, &event, error)) > 0) {
		assert_in_range(got, 0, nr - 1);
		assert_same(event, &events[got++]);
	}
	assert_int_equal(more < 0, error->err != 0);
	if (more < 0) /* and it stays so */
		assert_int_equal(trace_reader_next(r, &event, NULL), more);
	trace_reader_close(r);
	return got;
}

static void test_round_trip(void **state)
{
	struct trace_header want = sample_header();
	struct trace_event events[SAMPLE_MAX];
	size_t nr = sample_events(events), len;
	struct trace_error error = { 0 };
	const struct trace_header *h;
	struct trace_reader *r;
	void *bytes;

	(void)state;
	write_sample(&bytes, &len);
	assert_int_equal(read_prefix(bytes, len, &error), nr);
	assert_int_equal(error.err, 0);

	r = trace_reader_open_memory(bytes, len, "sample", &error);
	h = trace_reader_header(r);
	assert_int_equal(h->version, TRACE_VERSION);
	assert_int_equal(h->source, want.source);
	assert_int_equal(h->calls, want.calls);
	assert_memory_equal(&h->host, &want.host, sizeof(want.host));
	assert_int_equal(h->nr_unknown, 0);
	assert_int_equal(h->start_unix_us, want.start_unix_us);
	assert_string_equal(h->command, want.command);
	trace_reader_close(r);
	free(bytes);
}

/* One note, as bytes of the newest version; *len_bytes of them. */
static void encode_note(struct codec *c, struct trace_state *state)
{
	struct trace_event note = {
		.kind = TRACE_NOTE, .process = TRACE_NONE, .thread = TRACE_NONE, .time_us = 3,
		.note = { "text" },
	};

	codec_init_encoder(c);
	trace_state_init(state, 4096);
	assert_true(codec_event(c, state, &note));
	trace_state_fini(state);
}

/* What a newer recorder adds is passed over: kinds of events, fields of known ones. */
static void test_what_is_newer(void **state)
{
	struct codec in, out;
	struct trace_state s;
	struct trace_event e;
	uint8_t bytes[64];

	(void)state;
	encode_note(&in, &s);
	/* op, length, then the body */
	memcpy(bytes, in.buffer, in.at);
	bytes[0] = (uint8_t)((bytes[0] & ~0x1fu) | 30);
	trace_state_init(&s, 4096);
	codec_init_decoder(&out, TRACE_VERSION, bytes, in.at);
	assert_true(codec_event(&out, &s, &e));
	assert_true(out.unknown);
	assert_int_equal(out.at, in.at);
	assert_int_equal(s.time_us, 3);
	/* In version 1 that was an error. */
	codec_init_decoder(&out, 1, bytes, in.at);
	assert_false(codec_event(&out, &s, &e));
	trace_state_fini(&s);

	memcpy(bytes, in.buffer, in.at);
	bytes[1]++;
	bytes[in.at] = 77; /* a field more */
	trace_state_init(&s, 4096);
	codec_init_decoder(&out, TRACE_VERSION, bytes, in.at + 1);
	assert_true(codec_event(&out, &s, &e));
	assert_false(out.unknown);
	assert_string_equal(e.note.text, "text");
	assert_int_equal(out.at, in.at + 1);
	/* A length that is too short for the fields is damage. */
	bytes[1] = (uint8_t)(bytes[1] - 2);
	codec_init_decoder(&out, TRACE_VERSION, bytes, in.at + 1);
	assert_false(codec_event(&out, &s, &e));
	trace_state_fini(&s);
	codec_fini(&in);
}

/* A loss that was told before calls could be lost says none were. */
static void test_a_loss_of_an_older_recorder(void **state)
{
	struct trace_event e, lost = {
		.kind = TRACE_LOST, .process = TRACE_NONE, .thread = TRACE_NONE, .lost = { 5, 6 },
	};
	struct codec in, out;
	struct trace_state s;

	(void)state;
	codec_init_encoder(&in);
	trace_state_init(&s, 4096);
	assert_true(codec_event(&in, &s, &lost));
	trace_state_fini(&s);
	for (uint64_t cut = 0; cut < 2; cut++) {
		in.buffer[1] = (uint8_t)(in.buffer[1] - cut);
		trace_state_init(&s, 4096);
		codec_init_decoder(&out, TRACE_VERSION, in.buffer, in.at - cut);
		assert_true(codec_event(&out, &s, &e));
		assert_int_equal(e.lost.nr, 5);
		assert_int_equal(e.lost.nr_calls, cut ? 0 : 6);
		trace_state_fini(&s);
	}
	codec_fini(&in);
}

/* A call that only a newer table has: it keeps its name, its result, its fields. */
static void test_a_call_of_a_newer_table(void **state)
{
	struct trace_event e, start = {
		.kind = TRACE_PROCESS_START,
		.process_start = { .how = TRACE_HOW_COMMAND, .parent = TRACE_NONE },
	};
	struct trace_event call = {
		.kind = TRACE_CALL, .time_us = 1,
		.call = { .nr = TRACE_MSEAL, .addr = 4096, .len = 8192, .result = -1,
			.file = TRACE_NONE, .target = TRACE_NONE },
	};
	struct codec in, out;
	struct trace_state s;

	(void)state;
	codec_init_encoder(&in);
	trace_state_init(&s, 4096);
	assert_true(codec_event(&in, &s, &start));
	assert_true(codec_event(&in, &s, &call));
	trace_state_fini(&s);

	trace_state_init(&s, 4096);
	s.calls.call[TRACE_MSEAL].nr = TRACE_OTHER;
	s.calls.call[TRACE_MSEAL].name = "mnew";
	codec_init_decoder(&out, TRACE_VERSION, in.buffer, in.at);
	assert_true(codec_event(&out, &s, &e));
	assert_true(codec_event(&out, &s, &e));
	assert_int_equal(e.call.nr, TRACE_OTHER);
	assert_string_equal(e.call.name, "mnew");
	assert_int_equal(e.call.addr, 4096);
	assert_int_equal(e.call.len, 8192);
	assert_int_equal(e.call.result, -1);
	trace_state_fini(&s);
	codec_fini(&in);
}

/* A recording of version 1, kept from then. */
static void test_version_1(void **state)
{
	struct trace_error error = { 0 };
	struct trace_reader *r = trace_reader_open("trace/tests/version-1.quire", &error);
	const struct trace_event *event;
	size_t nr = 0, calls = 0, touches = 0;
	int more;

	(void)state;
	assert_non_null(r);
	assert_int_equal(trace_reader_header(r)->version, 1);
	assert_int_equal(trace_reader_header(r)->host.trait[HOST_thp], HOST_THP_MADVISE);
	assert_int_equal(trace_page_bytes(trace_reader_header(r)), 4096);
	while ((more = trace_reader_next(r, &event, &error)) > 0) {
		nr++;
		calls += event->kind == TRACE_CALL;
		touches += event->kind == TRACE_TOUCH;
	}
	assert_int_equal(more, 0);
	assert_int_equal(nr, VERSION_1_EVENTS);
	assert_int_equal(calls, 20);
	assert_int_equal(touches, 5);
	trace_reader_close(r);
}

/* Every length but the whole one is an error that says where. */
static void test_every_truncation(void **state)
{
	void *bytes;
	size_t len;

	(void)state;
	write_sample(&bytes, &len);
	for (size_t cut = 0; cut < len; cut++) {
		struct trace_error error = { 0 };
		/* A copy of its own, so that the sanitizer sees its end. */
		void *copy = malloc(cut ? cut : 1);

		memcpy(copy, bytes, cut);
		read_prefix(copy, cut, &error);
		assert_int_equal(error.err, EBADMSG);
		assert_in_range(error.offset, 0, cut);
		assert_non_null(strstr(error.message, "sample"));
		free(copy);
	}
	free(bytes);
}

static void test_every_bit(void **state)
{
	void *bytes;
	size_t len;

	(void)state;
	write_sample(&bytes, &len);
	for (size_t bit = 0; bit < len * 8; bit++) {
		struct trace_error error = { 0 };

		((uint8_t *)bytes)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		read_prefix(bytes, len, &error);
		if (!error.err)
			fail_msg("bit %zu of byte %zu may be anything", bit % 8, bit / 8);
		((uint8_t *)bytes)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(bytes);
}

/* Many blocks: the ones before the damage are delivered, exactly. */
static void test_good_part(void **state)
{
	enum { NR = 600000 };
	struct trace_header header = sample_header();
	struct trace_event e = { .kind = TRACE_PROCESS_START,
		.process_start = { .parent = TRACE_NONE } };
	struct trace_error error = { 0 };
	struct trace_writer *w = trace_writer_open_memory(&header, &error);
	const struct trace_event *event;
	struct trace_reader *r;
	uint64_t got = 0;
	void *bytes;
	size_t len;

	(void)state;
	assert_int_equal(trace_writer_put(w, &e, &error), 0);
	for (uint64_t i = 1; i < NR; i++) {
		e = (struct trace_event){ .kind = TRACE_TOUCH, .time_us = i,
			.touch = { .addr = (i * 7919 % 100000) << 12, .flags = i & 1 } };
		assert_int_equal(trace_writer_put(w, &e, &error), 0);
	}
	assert_int_equal(trace_writer_take(w, &bytes, &len, &error), 0);
	((uint8_t *)bytes)[len * 3 / 4] ^= 1;
	r = trace_reader_open_memory(bytes, len, "long", &error);
	while (trace_reader_next(r, &event, &error) > 0) {
		if (got)
			assert_int_equal(event->touch.addr, (got * 7919 % 100000) << 12);
		got++;
	}
	assert_int_equal(error.err, EBADMSG);
	/* Little more than the damaged block is lost. */
	assert_in_range(got, NR / 100 * 70, NR / 100 * 76);
	assert_in_range(error.offset, len / 100 * 72, len / 100 * 76);
	trace_reader_close(r);
	free(bytes);
}

/* Whole blocks may be gone and every checksum right: the total tells. */
static void test_missing_block(void **state)
{
	struct trace_header header = sample_header();
	struct trace_event e = { .kind = TRACE_NOTE, .process = TRACE_NONE,
		.thread = TRACE_NONE };
	struct trace_error error = { 0 };
	struct trace_writer *w = trace_writer_open_memory(&header, &error);
	const struct trace_event *event;
	struct trace_reader *r;
	size_t len, block;
	uint8_t *bytes;
	void *taken;

	(void)state;
	e.note.text = "a note, and nothing but a note";
	assert_int_equal(trace_writer_put(w, &e, &error), 0);
	assert_int_equal(trace_writer_take(w, &taken, &len, &error), 0);
	bytes = taken;
	block = 20 + format_get_u32(bytes + 12);
	memmove(bytes + block, bytes + len - TRACE_END_BYTES, TRACE_END_BYTES);
	r = trace_reader_open_memory(bytes, block + TRACE_END_BYTES, "short", &error);
	assert_non_null(r);
	assert_int_equal(trace_reader_next(r, &event, &error), -EBADMSG);
	assert_non_null(strstr(error.message, "a block is missing"));
	trace_reader_close(r);
	free(bytes);
}

static void test_foreign(void **state)
{
	static const char *const texts[] = { "", "Q", "\177ELF\2\1\1", "hello, world\n",
		"QUIREREC", "QUIREREC\2\0\0\0\0\0\0\0\0\0\0\0",
		"QUIREREC\1\0\0\0\377\377\377\377aaaa" };
	static const size_t lens[] = { 0, 1, 7, 13, 8, 20, 20 };

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		struct trace_error error = { 0 };

		assert_null(trace_reader_open_memory(texts[i], lens[i], "foreign", &error));
		assert_int_equal(error.err, EBADMSG);
		assert_non_null(strstr(error.message, "foreign: byte"));
	}
}

static void test_no_file(void **state)
{
	struct trace_error error = { 0 };

	(void)state;
	assert_null(trace_reader_open("/nonexistent/file", &error));
	assert_int_equal(error.err, ENOENT);
	assert_non_null(strstr(error.message, "/nonexistent/file"));
}

/* The writer refuses what the reader would refuse. */
static void test_writer_refuses(void **state)
{
	static const struct trace_map backwards[] = {
		{ 0x2000, 0x3000, 0, 0, TRACE_NONE, "" }, { 0x1000, 0x2000, 0, 0, TRACE_NONE, "" },
	};
	const struct trace_event start = { .kind = TRACE_PROCESS_START, .time_us = 5,
		.process_start = { .parent = TRACE_NONE } };
	const struct trace_event bad[] = {
		{ .kind = TRACE_TOUCH, .time_us = 5, .thread = 1 },
		{ .kind = TRACE_TOUCH, .time_us = 5, .process = 1 },
		{ .kind = TRACE_TOUCH, .time_us = 5, .process = TRACE_NONE },
		{ .kind = TRACE_TOUCH, .time_us = 4 },
		{ .kind = TRACE_NR_KINDS, .time_us = 5 },
		{ .kind = TRACE_THREAD_START, .time_us = 5, .thread = 2 },
		{ .kind = TRACE_PROCESS_START, .time_us = 5, .process = 2, .thread = 1 },
		{ .kind = TRACE_PROCESS_START, .time_us = 5, .process = 1, .thread = 1,
			.process_start = { .parent = 1 } },
		{ .kind = TRACE_FILE, .time_us = 5, .process = TRACE_NONE, .thread = TRACE_NONE,
			.file = { .file = 1, .path = "x" } },
		{ .kind = TRACE_CALL, .time_us = 5, .call = { .nr = TRACE_NR_CALLS } },
		{ .kind = TRACE_CALL, .time_us = 5, .call = { .nr = TRACE_MMAP, .file = 0 } },
		{ .kind = TRACE_MM_END, .time_us = 5, .mm_end = { .mm = 1 } },
		{ .kind = TRACE_MM_END, .time_us = 5, .mm_end = { .maps = { 2, backwards } } },
		{ .kind = TRACE_PROCESS_EXIT, .time_us = 5, .process_exit = { .status = -1 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct trace_header header = sample_header();
		struct trace_error error = { 0 };
		struct trace_writer *w = trace_writer_open_memory(&header, &error);

		assert_int_equal(trace_writer_put(w, &start, &error), 0);
		if (trace_writer_put(w, &bad[i], &error) != -EINVAL)
			fail_msg("bad event %zu was taken", i);
		/* The failure sticks. */
		assert_int_equal(trace_writer_put(w, &start, NULL), -EINVAL);
		trace_writer_discard(w);
	}
}

static void test_dead_threads(void **state)
{
	const struct trace_event events[] = {
		{ .kind = TRACE_PROCESS_START, .process_start = { .parent = TRACE_NONE } },
		{ .kind = TRACE_THREAD_START, .thread = 1 },
		{ .kind = TRACE_PROCESS_EXIT },
		{ .kind = TRACE_TOUCH, .thread = 1 },
	};
	struct trace_header header = sample_header();
	struct trace_error error = { 0 };
	struct trace_writer *w = trace_writer_open_memory(&header, &error);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(trace_writer_put(w, &events[i], &error), 0);
	assert_int_equal(trace_writer_put(w, &events[3], &error), -EINVAL);
	trace_writer_discard(w);
}

/* The name appears with the last byte, and a failure leaves nothing. */
static void test_file_appears_whole(void **state)
{
	struct trace_header header = sample_header();
	struct trace_error error = { 0 };
	char path[] = "/tmp/quire-trace-XXXXXX";
	char name[64], part[80];
	struct trace_writer *w;

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/a b.quire", path);
	snprintf(part, sizeof(part), "%s.part", name);
	w = trace_writer_open(name, &header, &error);
	assert_non_null(w);
	assert_int_not_equal(access(name, F_OK), 0);
	assert_int_equal(access(part, F_OK), 0);
	assert_int_equal(trace_writer_close(w, &error), 0);
	assert_int_equal(access(name, F_OK), 0);
	assert_int_not_equal(access(part, F_OK), 0);
	w = trace_writer_open(name, &header, &error);
	trace_writer_discard(w);
	assert_int_not_equal(access(part, F_OK), 0);
	unlink(name);
	rmdir(path);
	assert_null(trace_writer_open(name, &header, &error));
	assert_int_equal(error.err, ENOENT);
}

/* Events of a file that ends without its end mark. */
static int read_part(const char *name)
{
	struct trace_error error = { 0 };
	struct trace_reader *r = trace_reader_open(name, &error);
	const struct trace_event *e;
	int nr = 0, got;

	assert_non_null(r);
	while ((got = trace_reader_next(r, &e, &error)) > 0)
		nr++;
	assert_int_equal(got, -EBADMSG);
	trace_reader_close(r);
	return nr;
}

static void count_call(void *context, const struct trace_error *failure)
{
	assert_int_equal(failure->err, EFBIG);
	++*(int *)context;
}

/* The file can grow no more: what was written until then stays, and is said. */
static void test_full_disk(void **state)
{
	struct trace_header header = sample_header();
	struct trace_event e = { .kind = TRACE_NOTE, .process = TRACE_NONE, .thread = TRACE_NONE,
		.note = { .text = "a sentence" } };
	struct trace_error error = { 0 };
	struct rlimit before, small;
	char path[] = "/tmp/quire-trace-XXXXXX";
	char name[64], part[80];
	struct trace_writer *w;
	int said = 0;

	(void)state;
	assert_null(trace_writer_open("/dev/full", &header, &error));
	assert_int_equal(error.err, ENOSPC);
	error.err = 0;
	assert_non_null(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/full", path);
	snprintf(part, sizeof(part), "%s.part", name);
	w = trace_writer_open(name, &header, &error);
	assert_non_null(w);
	trace_writer_on_failure(w, count_call, &said);
	for (int i = 0; i < 10; i++)
		assert_int_equal(trace_writer_put(w, &e, &error), 0);
	assert_int_equal(trace_writer_flush(w, 0), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = trace_writer_bytes(w) + 30; /* a part of the next block */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(trace_writer_put(w, &e, &error), 0);
	assert_int_equal(trace_writer_flush(w, 0), -EFBIG);
	assert_int_equal(trace_writer_put(w, &e, &error), -EFBIG);
	error.err = 0;
	assert_int_equal(trace_writer_close(w, &error), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(said, 1);
	assert_non_null(strstr(error.message, part));
	assert_int_not_equal(access(name, F_OK), 0);
	assert_int_equal(read_part(part), 10);
	unlink(part);
	assert_int_equal(rmdir(path), 0);
}

/* What has waited is written before its block is full; what is young waits. */
static void test_flush(void **state)
{
	struct trace_header header = sample_header();
	struct trace_event e = { .kind = TRACE_NOTE, .process = TRACE_NONE, .thread = TRACE_NONE,
		.note = { .text = "a sentence" } };
	struct trace_error error = { 0 };
	char path[] = "/tmp/quire-trace-XXXXXX";
	char name[64], part[80];
	struct trace_writer *w;

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/flushed", path);
	snprintf(part, sizeof(part), "%s.part", name);
	w = trace_writer_open(name, &header, &error);
	assert_non_null(w);
	trace_writer_put(w, &e, &error);
	assert_int_equal(trace_writer_flush(w, 3600000000000u), 0);
	assert_int_equal(read_part(part), 0);
	usleep(2000);
	assert_int_equal(trace_writer_flush(w, 1000000), 0);
	assert_int_equal(read_part(part), 1);
	trace_writer_discard(w);
	assert_int_equal(rmdir(path), 0);
}

/* Two writers of one name: neither takes the other's file, the last one wins. */
static void test_two_writers(void **state)
{
	struct trace_header header = sample_header();
	struct trace_error error = { 0 };
	char path[] = "/tmp/quire-trace-XXXXXX";
	char name[64], part[80];
	struct trace_writer *first, *second;
	struct trace_reader *r;

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/both", path);
	snprintf(part, sizeof(part), "%s.part.2", name);
	header.command = "first";
	first = trace_writer_open(name, &header, &error);
	header.command = "second";
	second = trace_writer_open(name, &header, &error);
	assert_non_null(first);
	assert_non_null(second);
	assert_int_equal(access(part, F_OK), 0);
	assert_int_equal(trace_writer_close(second, &error), 0);
	assert_int_equal(trace_writer_close(first, &error), 0);
	r = trace_reader_open(name, &error);
	assert_non_null(r);
	assert_string_equal(trace_reader_header(r)->command, "first");
	trace_reader_close(r);
	unlink(name);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_what_is_newer),
		cmocka_unit_test(test_a_loss_of_an_older_recorder),
		cmocka_unit_test(test_a_call_of_a_newer_table),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_good_part),
		cmocka_unit_test(test_missing_block),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_dead_threads),
		cmocka_unit_test(test_file_appears_whole),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_two_writers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
