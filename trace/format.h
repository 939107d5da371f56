/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file around the events.  docs/recording.md is the full description.
 *
 *	file   := magic version header block* end
 *	header := len:u32 crc:u32 bytes[len]
 *	block  := 'B' 'L' 'O' 'K' packed:u32 raw:u32 events:u32 crc:u32 bytes[packed]
 *	end    := 'E' 'N' 'D' '.' 0:u32 0:u32 0:u32 crc:u32 total:u64
 *
 * All u32 and u64 are little endian.  The crc is CRC-32C: of the header's
 * bytes; of a block's packed, raw, events words and its bytes; of the end's
 * words and total.  The bytes of all blocks together are one zstd stream; it is
 * flushed at the end of each, so that a block gives its raw bytes as soon as it
 * is there, and small blocks do not cost compression.  A block holds whole
 * events; deltas run on from one block to the next.
 */
#ifndef QUIRE_TRACE_FORMAT_H
#define QUIRE_TRACE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define TRACE_MAGIC "QUIREREC" /* 8 bytes, no NUL */
#define TRACE_MAGIC_BYTES 8
#define TRACE_VERSION 2 /* written; 1 is read too */

#define TRACE_BLOCK_MAGIC 0x4b4f4c42u /* "BLOK" */
#define TRACE_END_MAGIC 0x2e444e45u /* "END." */
#define TRACE_BLOCK_HEAD_BYTES 20
#define TRACE_END_BYTES 28

/* A writer closes a block once it is this long. */
#define TRACE_BLOCK_RAW_BYTES (32u << 10)
/* A reader refuses more: an event alone may be long, but not endless. */
#define TRACE_BLOCK_MAX_BYTES (64u << 20)
/* What flushing may add to ZSTD_compressBound. */
#define TRACE_FLUSH_BYTES 64
#define TRACE_HEADER_MAX_BYTES (1u << 20)
#define TRACE_MAX_MAPS (1u << 20)
#define TRACE_MAX_INDEX (1u << 24) /* of processes, threads, files, mms */

static inline uint32_t format_get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		(uint32_t)p[3] << 24;
}

static inline void format_put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t format_get_u64(const uint8_t *p)
{
	return (uint64_t)format_get_u32(p) | (uint64_t)format_get_u32(p + 4) << 32;
}

static inline void format_put_u64(uint8_t *p, uint64_t v)
{
	format_put_u32(p, (uint32_t)v);
	format_put_u32(p + 4, (uint32_t)(v >> 32));
}

/* CRC-32C (Castagnoli); start with crc = 0, feed the result back in. */
uint32_t format_crc(uint32_t crc, const void *bytes, size_t len_bytes);

#endif
