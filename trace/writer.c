/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer: gathers events into blocks, compresses each and writes it at once,
 * and gives the file its name only at the end, so that no half recording ever
 * stands under it.  What goes wrong on the way leaves the blocks before it.
 */
#include "writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "codec.h"
#include "format.h"
#include "output.h"

/*
 * Recordings are kept and sent around: size counts more than the time.  But the
 * tables of this level for a stream of unknown length take tens of megabytes
 * that must be cleared first; these do as well on events.
 */
#define COMPRESSION_LEVEL 12
#define WINDOW_LOG 19
#define TABLE_LOG 16

struct trace_writer {
	struct output output; /* path NULL: into memory */
	FILE *file; /* output's; or of open_memstream */
	char *memory;
	size_t memory_bytes;
	ZSTD_CCtx *zstd;
	uint8_t *packed;
	size_t packed_capacity;
	struct codec codec; /* the block being filled */
	struct trace_state state;
	uint32_t block_events;
	uint64_t block_since_ns; /* when its first event came */
	uint64_t total_events;
	uint64_t bytes;
	uint64_t whole_bytes; /* of header and whole blocks */
	void (*tell)(void *context, const struct trace_error *); /* may be NULL */
	void *tell_context;
	struct trace_error failed; /* err set: nothing more is written */
};

static const char *name_of(const struct trace_writer *w)
{
	return w->output.path ? w->output.path : "memory";
}

static int fail(struct trace_writer *w, int err, const char *what)
{
	return trace_fail(&w->failed, err, w->bytes, "%s: %s", name_of(w), what);
}

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int put_bytes(struct trace_writer *w, const void *bytes, size_t len)
{
	errno = 0;
	if (fwrite(bytes, 1, len, w->file) == len) {
		w->bytes += len;
		return 0;
	}
	trace_fail(&w->failed, errno ? errno : EIO, w->bytes, "%s: cannot write: %s", name_of(w),
		strerror(errno ? errno : EIO));
	if (w->tell)
		w->tell(w->tell_context, &w->failed);
	return -w->failed.err;
}

static int put_header(struct trace_writer *w, const struct trace_header *header)
{
	struct trace_header copy = *header;
	struct codec codec;
	uint8_t head[TRACE_MAGIC_BYTES + 12];
	int err;

	codec_init_encoder(&codec);
	codec_header(&codec, TRACE_VERSION, &copy, NULL);
	if (codec.wrong) {
		err = fail(w, codec.err == EBADMSG ? EINVAL : codec.err, codec.wrong);
		goto out;
	}
	memcpy(head, TRACE_MAGIC, TRACE_MAGIC_BYTES);
	format_put_u32(head + 8, TRACE_VERSION);
	format_put_u32(head + 12, (uint32_t)codec.at);
	format_put_u32(head + 16, format_crc(0, codec.buffer, codec.at));
	err = put_bytes(w, head, sizeof(head));
	if (!err)
		err = put_bytes(w, codec.buffer, codec.at);
	w->whole_bytes = w->bytes;
out:
	codec_fini(&codec);
	return err;
}

static int put_block(struct trace_writer *w)
{
	size_t bound = ZSTD_compressBound(w->codec.at) + TRACE_FLUSH_BYTES;
	ZSTD_inBuffer in = { .src = w->codec.buffer, .size = w->codec.at };
	ZSTD_outBuffer out;
	uint8_t head[TRACE_BLOCK_HEAD_BYTES];
	size_t left;
	uint32_t crc;
	int err;

	if (!w->block_events)
		return 0;
	if (bound > w->packed_capacity) {
		uint8_t *grown = realloc(w->packed, bound);

		if (!grown)
			return fail(w, ENOMEM, "no memory for a block");
		w->packed = grown;
		w->packed_capacity = bound;
	}
	out = (ZSTD_outBuffer){ .dst = w->packed, .size = bound };
	left = ZSTD_compressStream2(w->zstd, &out, &in, ZSTD_e_flush);
	if (left)
		return fail(w, EIO, ZSTD_isError(left) ? ZSTD_getErrorName(left) :
			"a block grew when it was compressed");
	format_put_u32(head, TRACE_BLOCK_MAGIC);
	format_put_u32(head + 4, (uint32_t)out.pos);
	format_put_u32(head + 8, (uint32_t)w->codec.at);
	format_put_u32(head + 12, w->block_events);
	crc = format_crc(0, head + 4, 12);
	format_put_u32(head + 16, format_crc(crc, w->packed, out.pos));
	err = put_bytes(w, head, sizeof(head));
	if (!err)
		err = put_bytes(w, w->packed, out.pos);
	if (!err)
		w->whole_bytes = w->bytes;
	w->codec.at = 0;
	w->block_events = 0;
	return err;
}

static int put_end(struct trace_writer *w)
{
	uint8_t end[TRACE_END_BYTES] = { 0 };
	uint32_t crc;

	format_put_u32(end, TRACE_END_MAGIC);
	format_put_u64(end + 20, w->total_events);
	crc = format_crc(0, end + 4, 12);
	format_put_u32(end + 16, format_crc(crc, end + 20, 8));
	return put_bytes(w, end, sizeof(end));
}

static void free_writer(struct trace_writer *w)
{
	codec_fini(&w->codec);
	trace_state_fini(&w->state);
	ZSTD_freeCCtx(w->zstd);
	free(w->packed);
	if (w->output.path)
		output_fini(&w->output);
	else if (w->file)
		fclose(w->file);
	free(w->memory);
	free(w);
}

static bool set_compression(ZSTD_CCtx *zstd)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel,
			COMPRESSION_LEVEL)) &&
		!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, WINDOW_LOG)) &&
		!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, TABLE_LOG)) &&
		!ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, TABLE_LOG));
}

static struct trace_writer *open_common(struct trace_writer *w,
	const struct trace_header *header, struct trace_error *error)
{
	codec_init_encoder(&w->codec);
	trace_state_init(&w->state, trace_page_bytes(header));
	w->zstd = ZSTD_createCCtx();
	if (!w->zstd || !set_compression(w->zstd))
		fail(w, ENOMEM, "no memory for a writer");
	else
		put_header(w, header);
	if (!w->failed.err)
		return w;
	trace_fail(error, w->failed.err, w->failed.offset, "%s", w->failed.message);
	trace_writer_discard(w);
	return NULL;
}

struct trace_writer *trace_writer_open(const char *path, const struct trace_header *header,
	struct trace_error *error)
{
	struct trace_writer *w = calloc(1, sizeof(*w));

	if (!w) {
		trace_fail(error, ENOMEM, 0, "%s: no memory for a writer", path);
		return NULL;
	}
	if (output_open(&w->output, path, error) != 0) {
		free(w);
		return NULL;
	}
	w->file = w->output.file;
	/* Blocks are large, and what was written must be in the file: a killed
	 * recorder leaves all of them. */
	setvbuf(w->file, NULL, _IONBF, 0);
	return open_common(w, header, error);
}

struct trace_writer *trace_writer_open_memory(const struct trace_header *header,
	struct trace_error *error)
{
	struct trace_writer *w = calloc(1, sizeof(*w));

	if (w)
		w->file = open_memstream(&w->memory, &w->memory_bytes);
	if (!w || !w->file) {
		trace_fail(error, ENOMEM, 0, "no memory for a writer");
		free(w);
		return NULL;
	}
	return open_common(w, header, error);
}

static int report(struct trace_writer *w, struct trace_error *error)
{
	if (!w->failed.err)
		return 0;
	return trace_fail(error, w->failed.err, w->failed.offset, "%s", w->failed.message);
}

int trace_writer_put(struct trace_writer *w, const struct trace_event *event,
	struct trace_error *error)
{
	struct trace_event copy = *event;

	if (w->failed.err)
		return report(w, error);
	if (!codec_event(&w->codec, &w->state, &copy)) {
		fail(w, w->codec.err == EBADMSG ? EINVAL : w->codec.err, w->codec.wrong);
		return report(w, error);
	}
	if (!w->block_events++ && w->output.path)
		w->block_since_ns = clock_ns();
	w->total_events++;
	if (w->codec.at >= TRACE_BLOCK_RAW_BYTES)
		put_block(w);
	return report(w, error);
}

int trace_writer_flush(struct trace_writer *w, uint64_t older_than_ns)
{
	if (!w->failed.err && w->block_events && clock_ns() - w->block_since_ns >= older_than_ns)
		put_block(w);
	return w->failed.err ? -w->failed.err : 0;
}

void trace_writer_on_failure(struct trace_writer *w,
	void (*tell)(void *context, const struct trace_error *), void *context)
{
	w->tell = tell;
	w->tell_context = context;
}

static void put_rest(struct trace_writer *w)
{
	if (!w->failed.err)
		put_block(w);
	if (!w->failed.err)
		put_end(w);
}

/* The blocks that are whole stay under the name that they were written to. */
static void keep(struct trace_writer *w, struct trace_error *error)
{
	struct trace_error before = *error;

	output_keep(&w->output, w->whole_bytes);
	if (!w->output.part)
		return;
	error->err = 0;
	trace_fail(error, before.err, before.offset, "%.300s; what was recorded until then is %s",
		before.message, w->output.part);
}

int trace_writer_close(struct trace_writer *w, struct trace_error *error)
{
	struct trace_error failure = { 0 };
	int err;

	put_rest(w);
	err = report(w, &failure);
	if (err)
		keep(w, &failure);
	else
		err = output_commit(&w->output, &failure);
	if (err)
		trace_fail(error, failure.err, failure.offset, "%s", failure.message);
	free_writer(w);
	return err;
}

void trace_writer_abandon(struct trace_writer *w, struct trace_error *error)
{
	if (!w->failed.err)
		put_block(w);
	keep(w, error);
	free_writer(w);
}

int trace_writer_take(struct trace_writer *w, void **bytes, size_t *len_bytes,
	struct trace_error *error)
{
	int err;

	put_rest(w);
	if (fclose(w->file) != 0)
		fail(w, errno, "no memory for the end");
	w->file = NULL;
	err = report(w, error);
	if (!err) {
		*bytes = w->memory;
		*len_bytes = w->memory_bytes;
		w->memory = NULL;
	}
	free_writer(w);
	return err;
}

void trace_writer_discard(struct trace_writer *w)
{
	if (w)
		free_writer(w);
}

uint64_t trace_writer_bytes(const struct trace_writer *w)
{
	return w->bytes;
}

uint64_t trace_writer_events(const struct trace_writer *w)
{
	return w->total_events;
}
