/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checksum and the words of a recording.  CRC-32C as in RFC 3720: it
 * finds every burst of up to 32 bits, which is what a bad disk or a cut line
 * leaves.  Bit by bit over a table of 16: blocks are compressed, so few bytes
 * go through it.
 */
#include "format.h"

#include <errno.h>
#include <stdio.h>

#include "error.h"
#include "event.h"

uint32_t format_crc(uint32_t crc, const void *bytes, size_t len_bytes)
{
	/* The remainders of the 16 half bytes by 0x82f63b78. */
	static const uint32_t nibble[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	const uint8_t *p = bytes;

	crc = ~crc;
	for (size_t i = 0; i < len_bytes; i++) {
		crc ^= p[i];
		crc = crc >> 4 ^ nibble[crc & 15];
		crc = crc >> 4 ^ nibble[crc & 15];
	}
	return ~crc;
}

int trace_fail(struct trace_error *e, int err, uint64_t offset, const char *format, ...)
{
	va_list arguments;

	if (!e || e->err)
		return -err;
	e->err = err;
	e->offset = offset;
	va_start(arguments, format);
	vsnprintf(e->message, sizeof(e->message), format, arguments);
	va_end(arguments);
	return -err;
}

static const char *name_of(const char *const *names, unsigned int nr, unsigned int i)
{
	return i < nr ? names[i] : "?";
}

const char *trace_kind_name(enum trace_kind kind)
{
	static const char *const names[TRACE_NR_KINDS] = {
		[TRACE_FILE] = "file", [TRACE_PROCESS_START] = "process-start",
		[TRACE_THREAD_START] = "thread-start", [TRACE_THREAD_EXIT] = "thread-exit",
		[TRACE_EXEC] = "exec", [TRACE_CALL] = "call", [TRACE_TOUCH] = "touch",
		[TRACE_MM_END] = "mm-end", [TRACE_PROCESS_EXIT] = "process-exit",
		[TRACE_LOST] = "lost", [TRACE_NOTE] = "note",
	};

	return name_of(names, TRACE_NR_KINDS, kind);
}

const char *trace_call_name(enum trace_call_nr nr)
{
	static const char *const names[TRACE_NR_CALLS] = {
		[TRACE_MMAP] = "mmap", [TRACE_MUNMAP] = "munmap",
		[TRACE_MPROTECT] = "mprotect", [TRACE_MREMAP] = "mremap",
		[TRACE_BRK] = "brk", [TRACE_MADVISE] = "madvise",
		[TRACE_MLOCK] = "mlock", [TRACE_MLOCK2] = "mlock2",
		[TRACE_MUNLOCK] = "munlock", [TRACE_MLOCKALL] = "mlockall",
		[TRACE_MUNLOCKALL] = "munlockall", [TRACE_MSYNC] = "msync",
		[TRACE_MINCORE] = "mincore", [TRACE_SHMAT] = "shmat",
		[TRACE_SHMDT] = "shmdt", [TRACE_FTRUNCATE] = "ftruncate",
		[TRACE_FALLOCATE] = "fallocate",
		[TRACE_PROCESS_MADVISE] = "process_madvise",
	};

	return name_of(names, TRACE_NR_CALLS, nr);
}

const char *trace_source_name(enum trace_source source)
{
	static const char *const names[TRACE_NR_SOURCES] = {
		[TRACE_SOURCE_NONE] = "none",
		[TRACE_SOURCE_TRACEPOINT] = "tracepoint-exact",
		[TRACE_SOURCE_PERF] = "perf-exact-order/rw-inferred",
		[TRACE_SOURCE_PERF_USER] = "perf-user-exact-order/rw-inferred",
		[TRACE_SOURCE_PAGEMAP] = "pagemap",
	};

	return name_of(names, TRACE_NR_SOURCES, source);
}

const char *trace_how_name(enum trace_how how)
{
	static const char *const names[TRACE_NR_HOWS] = {
		[TRACE_HOW_COMMAND] = "command", [TRACE_HOW_FORK] = "fork",
		[TRACE_HOW_VFORK] = "vfork", [TRACE_HOW_CLONE] = "clone",
		[TRACE_HOW_UNKNOWN] = "unknown",
	};

	return name_of(names, TRACE_NR_HOWS, how);
}

const char *trace_file_kind_name(enum trace_file_kind kind)
{
	static const char *const names[TRACE_NR_FILE_KINDS] = {
		[TRACE_FILE_DISK] = "disk", [TRACE_FILE_TMPFS] = "tmpfs",
		[TRACE_FILE_MEMFD] = "memfd", [TRACE_FILE_SHM] = "shm",
		[TRACE_FILE_DEVICE] = "device", [TRACE_FILE_OTHER] = "other",
	};

	return name_of(names, TRACE_NR_FILE_KINDS, kind);
}
