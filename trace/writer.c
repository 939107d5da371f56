/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer: gathers events into blocks, compresses each, and gives the file
 * its name only at the end, so that no half recording ever stands under it.
 */
#include "writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "codec.h"
#include "format.h"

/*
 * Recordings are kept and sent around: size counts more than the time.  But the
 * tables of this level for a stream of unknown length take tens of megabytes
 * that must be cleared first; these do as well on events.
 */
#define COMPRESSION_LEVEL 12
#define WINDOW_LOG 19
#define TABLE_LOG 16

struct trace_writer {
	char *path; /* the final name; NULL: into memory */
	char *part_path; /* what is written until then */
	FILE *file;
	char *memory; /* of open_memstream */
	size_t memory_bytes;
	ZSTD_CCtx *zstd;
	uint8_t *packed;
	size_t packed_capacity;
	struct codec codec; /* the block being filled */
	struct trace_state state;
	uint32_t block_events;
	uint64_t total_events;
	uint64_t bytes;
	struct trace_error failed; /* err set: nothing more is written */
};

static const char *name_of(const struct trace_writer *w)
{
	return w->path ? w->path : "memory";
}

static int fail(struct trace_writer *w, int err, const char *what)
{
	return trace_fail(&w->failed, err, w->bytes, "%s: %s", name_of(w), what);
}

static int put_bytes(struct trace_writer *w, const void *bytes, size_t len)
{
	if (fwrite(bytes, 1, len, w->file) != len)
		return trace_fail(&w->failed, errno ? errno : EIO, w->bytes,
			"%s: cannot write: %s", name_of(w), strerror(errno ? errno : EIO));
	w->bytes += len;
	return 0;
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
	free(w->path);
	free(w->part_path);
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

	if (w)
		w->path = strdup(path);
	if (!w || !w->path || asprintf(&w->part_path, "%s.part", path) < 0) {
		trace_fail(error, ENOMEM, 0, "%s: no memory for a writer", path);
		if (w) {
			w->part_path = NULL; /* asprintf leaves it undefined */
			free_writer(w);
		}
		return NULL;
	}
	w->file = fopen(w->part_path, "wbe");
	if (!w->file) {
		trace_fail(error, errno, 0, "%s: cannot create: %s", w->part_path,
			strerror(errno));
		free_writer(w);
		return NULL;
	}
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
	w->block_events++;
	w->total_events++;
	if (w->codec.at >= TRACE_BLOCK_RAW_BYTES)
		put_block(w);
	return report(w, error);
}

/* Ends the stream; the file then is whole, under its first name. */
static void finish(struct trace_writer *w)
{
	if (!w->failed.err)
		put_block(w);
	if (!w->failed.err)
		put_end(w);
	if (fclose(w->file) != 0)
		trace_fail(&w->failed, errno, w->bytes, "%s: cannot write: %s", name_of(w),
			strerror(errno));
	w->file = NULL;
}

int trace_writer_close(struct trace_writer *w, struct trace_error *error)
{
	int err;

	finish(w);
	if (!w->failed.err && rename(w->part_path, w->path) != 0)
		trace_fail(&w->failed, errno, 0, "%s: cannot rename to this: %s", w->path,
			strerror(errno));
	err = report(w, error);
	if (err)
		unlink(w->part_path);
	free_writer(w);
	return err;
}

int trace_writer_take(struct trace_writer *w, void **bytes, size_t *len_bytes,
	struct trace_error *error)
{
	int err;

	finish(w);
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
	if (!w)
		return;
	if (w->file)
		fclose(w->file);
	if (w->part_path)
		unlink(w->part_path);
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
