/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader: takes the file apart block by block, checks each checksum
 * before a byte of it is believed, and hands out events.  reader.h says what
 * it promises; format.h is the grammar.
 */
#include "reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "codec.h"
#include "format.h"

struct trace_reader {
	char *name;
	FILE *file; /* NULL: from memory */
	const uint8_t *memory;
	size_t memory_bytes;
	uint64_t offset; /* of the next byte to read */
	uint64_t block_offset; /* where the block being decoded began */

	uint8_t *header_bytes; /* the header's strings point in here */
	struct trace_header header;

	ZSTD_DCtx *zstd; /* the stream that runs through all blocks */
	uint8_t *packed;
	size_t packed_capacity;
	uint8_t *raw;
	size_t raw_capacity;
	struct codec codec; /* over raw */
	uint32_t block_events; /* the block says it has */
	uint32_t block_seen;
	uint64_t total_seen;
	uint64_t nr_skipped; /* of a kind that is not known here */

	struct trace_state state;
	struct trace_event event;
	bool ended;
	struct trace_error failed; /* err set: every next() gives this */
};

/* The number of bytes got: less than len only at the end of the file. */
static size_t take(struct trace_reader *r, void *into, size_t len)
{
	size_t got;

	if (r->file) {
		got = fread(into, 1, len, r->file);
	} else {
		got = r->memory_bytes - (size_t)r->offset;
		if (got > len)
			got = len;
		memcpy(into, r->memory + r->offset, got);
	}
	r->offset += got;
	return got;
}

static int fail(struct trace_reader *r, int err, uint64_t offset, const char *what)
{
	return trace_fail(&r->failed, err, offset, "%s: byte %llu: %s", r->name,
		(unsigned long long)offset, what);
}

static int fail_short(struct trace_reader *r, const char *what)
{
	if (r->file && ferror(r->file))
		return fail(r, EIO, r->offset, "cannot read on: input/output error");
	return trace_fail(&r->failed, EBADMSG, r->offset,
		"%s: byte %llu: the file ends %s: it was cut short", r->name,
		(unsigned long long)r->offset, what);
}

static bool room(uint8_t **bytes, size_t *capacity, size_t need)
{
	uint8_t *grown;

	if (need <= *capacity)
		return true;
	grown = realloc(*bytes, need);
	if (!grown)
		return false;
	*bytes = grown;
	*capacity = need;
	return true;
}

static int read_header(struct trace_reader *r)
{
	uint8_t head[TRACE_MAGIC_BYTES + 12];
	struct codec codec;
	uint32_t version, len;
	size_t got = take(r, head, sizeof(head));
	const char *wrong;
	int err;

	if (got < TRACE_MAGIC_BYTES || memcmp(head, TRACE_MAGIC, TRACE_MAGIC_BYTES) != 0)
		return fail(r, EBADMSG, 0, "not a recording of quire");
	if (got < sizeof(head))
		return fail_short(r, "inside its header");
	version = format_get_u32(head + 8);
	len = format_get_u32(head + 12);
	if (version < 1 || version > TRACE_VERSION)
		return trace_fail(&r->failed, EBADMSG, 8,
			"%s: byte 8: a recording of version %u; this program reads versions 1 to %u",
			r->name, version, TRACE_VERSION);
	if (len > TRACE_HEADER_MAX_BYTES)
		return fail(r, EBADMSG, 12, "the header's length is impossible");
	r->header_bytes = malloc(len ? len : 1);
	if (!r->header_bytes)
		return fail(r, ENOMEM, 12, "no memory for the header");
	if (take(r, r->header_bytes, len) < len)
		return fail_short(r, "inside its header");
	if (format_crc(0, r->header_bytes, len) != format_get_u32(head + 16))
		return fail(r, EBADMSG, 16, "the header's checksum is wrong: it is damaged");

	codec_init_decoder(&codec, version, r->header_bytes, len);
	codec_header(&codec, version, &r->header, &r->state.calls);
	wrong = codec.wrong;
	err = codec.err;
	if (!wrong && codec.at != len) {
		wrong = "the header has more bytes than fields";
		err = EBADMSG;
	}
	codec_fini(&codec);
	return wrong ? fail(r, err, 20, wrong) : 0;
}

static struct trace_reader *open_common(struct trace_reader *r, const char *name,
	struct trace_error *error)
{
	if (r) {
		r->name = strdup(name);
		r->zstd = ZSTD_createDCtx();
	}
	if (!r || !r->name || !r->zstd) {
		trace_fail(error, ENOMEM, 0, "%s: no memory for a reader", name);
		trace_reader_close(r);
		return NULL;
	}
	trace_state_init(&r->state, 0);
	if (read_header(r) < 0) {
		trace_fail(error, r->failed.err, r->failed.offset, "%s", r->failed.message);
		trace_reader_close(r);
		return NULL;
	}
	r->state.page_bytes = trace_page_bytes(&r->header);
	codec_init_decoder(&r->codec, r->header.version, NULL, 0);
	return r;
}

struct trace_reader *trace_reader_open(const char *path, struct trace_error *error)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "rbe");
	struct trace_reader *r;

	if (!file) {
		trace_fail(error, errno, 0, "%s: cannot open: %s", path, strerror(errno));
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (r)
		r->file = file;
	else if (!standard)
		fclose(file);
	return open_common(r, standard ? "standard input" : path, error);
}

struct trace_reader *trace_reader_open_memory(const void *bytes, size_t len_bytes,
	const char *name, struct trace_error *error)
{
	struct trace_reader *r = calloc(1, sizeof(*r));

	if (r) {
		r->memory = bytes;
		r->memory_bytes = len_bytes;
	}
	return open_common(r, name, error);
}

const struct trace_header *trace_reader_header(const struct trace_reader *r)
{
	return &r->header;
}

/* The stream gives raw bytes for this block, no fewer and no more. */
static bool unpack(struct trace_reader *r, uint32_t packed, uint32_t raw)
{
	ZSTD_inBuffer in = { .src = r->packed, .size = packed };
	/* One byte more, to see that it stays empty. */
	ZSTD_outBuffer out = { .dst = r->raw, .size = (size_t)raw + 1 };
	size_t in_before, out_before;

	do {
		in_before = in.pos;
		out_before = out.pos;
		if (ZSTD_isError(ZSTD_decompressStream(r->zstd, &out, &in)))
			return false;
	} while (in.pos != in_before || out.pos != out_before);
	return in.pos == packed && out.pos == raw;
}

/* head holds TRACE_BLOCK_HEAD_BYTES. */
static int read_end(struct trace_reader *r, const uint8_t *head)
{
	uint8_t total[8];
	uint8_t extra;
	uint32_t crc;

	if (take(r, total, sizeof(total)) < sizeof(total))
		return fail_short(r, "inside its end mark");
	crc = format_crc(0, head + 4, 12);
	crc = format_crc(crc, total, sizeof(total));
	if (crc != format_get_u32(head + 16))
		return fail(r, EBADMSG, r->block_offset, "the end mark's checksum is wrong");
	if (format_get_u64(total) != r->total_seen)
		return fail(r, EBADMSG, r->block_offset, "a block is missing");
	if (take(r, &extra, 1))
		return fail(r, EBADMSG, r->offset - 1, "bytes follow the end mark");
	r->ended = true;
	return 0;
}

static int read_packed(struct trace_reader *r, const uint8_t *head)
{
	uint32_t packed = format_get_u32(head + 4);
	uint32_t raw = format_get_u32(head + 8);
	uint32_t crc;

	if (raw > TRACE_BLOCK_MAX_BYTES || packed > ZSTD_compressBound(raw) + TRACE_FLUSH_BYTES)
		return fail(r, EBADMSG, r->block_offset, "the block's length is impossible");
	if (!room(&r->packed, &r->packed_capacity, packed))
		return fail(r, ENOMEM, r->block_offset, "no memory for a block");
	if (take(r, r->packed, packed) < packed)
		return fail_short(r, "inside a block");
	crc = format_crc(0, head + 4, 12);
	crc = format_crc(crc, r->packed, packed);
	if (crc != format_get_u32(head + 16))
		return fail(r, EBADMSG, r->block_offset,
			"the block's checksum is wrong: it is damaged");
	/* Only now is the length worth an allocation. */
	if (!room(&r->raw, &r->raw_capacity, (size_t)raw + 1))
		return fail(r, ENOMEM, r->block_offset, "no memory for a block");
	if (!unpack(r, packed, raw))
		return fail(r, EBADMSG, r->block_offset, "the block does not decompress");
	r->codec.buffer = r->raw;
	r->codec.len_bytes = raw;
	r->codec.at = 0;
	r->block_events = format_get_u32(head + 12);
	r->block_seen = 0;
	return 0;
}

/* 0: a block is ready or the recording ended. */
static int next_block(struct trace_reader *r)
{
	uint8_t head[TRACE_BLOCK_HEAD_BYTES];
	uint32_t magic;

	r->block_offset = r->offset;
	if (take(r, head, sizeof(head)) < sizeof(head))
		return fail_short(r, "without its end mark");
	magic = format_get_u32(head);
	if (magic == TRACE_END_MAGIC)
		return read_end(r, head);
	if (magic != TRACE_BLOCK_MAGIC)
		return fail(r, EBADMSG, r->block_offset, "neither a block nor the end mark");
	return read_packed(r, head);
}

/* The next event that is of a kind we know, or of one we do not. */
static int next_of_any_kind(struct trace_reader *r)
{
	while (!r->ended && r->block_seen == r->block_events) {
		if (r->codec.at != r->codec.len_bytes)
			return fail(r, EBADMSG, r->block_offset,
				"the block has more bytes than events");
		if (next_block(r) < 0)
			return -r->failed.err;
	}
	if (r->ended)
		return 0;
	if (!codec_event(&r->codec, &r->state, &r->event))
		return trace_fail(&r->failed, r->codec.err, r->block_offset,
			"%s: byte %llu: event %u of this block: %s", r->name,
			(unsigned long long)r->block_offset, r->block_seen + 1, r->codec.wrong);
	r->block_seen++;
	r->total_seen++;
	return 1;
}

static int next_event(struct trace_reader *r)
{
	int got;

	while ((got = next_of_any_kind(r)) > 0 && r->codec.unknown)
		r->nr_skipped++;
	return got;
}

int trace_reader_next(struct trace_reader *r, const struct trace_event **event,
	struct trace_error *error)
{
	int got = r->failed.err ? -r->failed.err : next_event(r);

	if (got < 0)
		trace_fail(error, r->failed.err, r->failed.offset, "%s", r->failed.message);
	else if (got > 0)
		*event = &r->event;
	return got;
}

uint32_t trace_reader_nr_processes(const struct trace_reader *r)
{
	return r->state.nr_processes;
}

uint32_t trace_reader_nr_threads(const struct trace_reader *r)
{
	return r->state.nr_threads;
}

uint32_t trace_reader_nr_mms(const struct trace_reader *r)
{
	return r->state.nr_mms;
}

uint32_t trace_reader_nr_files(const struct trace_reader *r)
{
	return r->state.nr_files;
}

uint64_t trace_reader_nr_skipped(const struct trace_reader *r)
{
	return r->nr_skipped;
}

void trace_reader_close(struct trace_reader *r)
{
	if (!r)
		return;
	if (r->file && r->file != stdin)
		fclose(r->file);
	codec_fini(&r->codec);
	trace_state_fini(&r->state);
	ZSTD_freeDCtx(r->zstd);
	free(r->header_bytes);
	free(r->packed);
	free(r->raw);
	free(r->name);
	free(r);
}
