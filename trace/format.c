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
#include <string.h>

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
		[TRACE_SIGNAL] = "signal", [TRACE_LIMITS] = "limits",
		[TRACE_CAME] = "came", [TRACE_HOST] = "host",
	};

	return name_of(names, TRACE_NR_KINDS, kind);
}

#define ARG_BIT(id) (1u << TRACE_ARG_##id)
/* Up to six arguments: their bits, and their places. */
#define BITS_1(a) ARG_BIT(a)
#define BITS_2(a, ...) ARG_BIT(a) | BITS_1(__VA_ARGS__)
#define BITS_3(a, ...) ARG_BIT(a) | BITS_2(__VA_ARGS__)
#define BITS_4(a, ...) ARG_BIT(a) | BITS_3(__VA_ARGS__)
#define BITS_5(a, ...) ARG_BIT(a) | BITS_4(__VA_ARGS__)
#define BITS_6(a, ...) ARG_BIT(a) | BITS_5(__VA_ARGS__)
#define PLACES_1(a) TRACE_ARG_##a, NO_MORE, NO_MORE, NO_MORE, NO_MORE, NO_MORE
#define PLACES_2(a, b) TRACE_ARG_##a, TRACE_ARG_##b, NO_MORE, NO_MORE, NO_MORE, NO_MORE
#define PLACES_3(a, b, c) TRACE_ARG_##a, TRACE_ARG_##b, TRACE_ARG_##c, NO_MORE, NO_MORE, NO_MORE
#define PLACES_4(a, b, c, d) \
	TRACE_ARG_##a, TRACE_ARG_##b, TRACE_ARG_##c, TRACE_ARG_##d, NO_MORE, NO_MORE
#define PLACES_5(a, b, c, d, e) \
	TRACE_ARG_##a, TRACE_ARG_##b, TRACE_ARG_##c, TRACE_ARG_##d, TRACE_ARG_##e, NO_MORE
#define PLACES_6(a, b, c, d, e, f) \
	TRACE_ARG_##a, TRACE_ARG_##b, TRACE_ARG_##c, TRACE_ARG_##d, TRACE_ARG_##e, TRACE_ARG_##f
#define NO_MORE TRACE_ARG_NOTHING
#define NUMBER_OF(_1, _2, _3, _4, _5, _6, n, ...) n
#define JOIN(a, b) a##b
#define JOIN_NUMBER(a, b) JOIN(a, b)
#define BITS(...) JOIN_NUMBER(BITS_, NUMBER_OF(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0))(__VA_ARGS__)
#define PLACES(...) JOIN_NUMBER(PLACES_, NUMBER_OF(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0))(__VA_ARGS__)

static const struct trace_call_info calls[TRACE_NR_CALLS] = {
#define CALL_ROW(id, name, role, ...) \
	{ #name, TRACE_##role, (BITS(__VA_ARGS__)) & ~ARG_BIT(NOTHING), { PLACES(__VA_ARGS__) } },
	TRACE_CALL_TABLE(CALL_ROW)
#undef CALL_ROW
};

const struct trace_call_info *trace_call_info(enum trace_call_nr nr)
{
	static const struct trace_call_info other = { .name = "other", .role = TRACE_NOTED };

	return (uint32_t)nr < TRACE_NR_CALLS ? &calls[nr] : &other;
}

const char *trace_call_name(enum trace_call_nr nr)
{
	return trace_call_info(nr)->name;
}

enum trace_call_nr trace_call_of_name(const char *name)
{
	uint32_t nr = 0;

	while (nr < TRACE_NR_CALLS && strcmp(calls[nr].name, name) != 0)
		nr++;
	return (enum trace_call_nr)nr;
}

bool trace_call_set(struct trace_call *call, enum trace_argument what, uint64_t value)
{
	switch (what) {
	case TRACE_ARG_ADDR:
		call->addr = value;
		break;
	case TRACE_ARG_LEN:
		call->len = value;
		break;
	case TRACE_ARG_NEW_ADDR:
		call->new_addr = value;
		break;
	case TRACE_ARG_NEW_LEN:
		call->new_len = value;
		break;
	case TRACE_ARG_OFFSET:
		call->offset = value;
		break;
	case TRACE_ARG_PROT:
		call->prot = (uint32_t)value;
		break;
	case TRACE_ARG_FLAGS:
		call->flags = (uint32_t)value;
		break;
	case TRACE_ARG_ADVICE:
		call->advice = (uint32_t)value;
		break;
	case TRACE_ARG_KEY:
		call->key = (uint32_t)value;
		break;
	case TRACE_ARG_COUNT:
		call->count = value;
		break;
	default:
		return false;
	}
	return true;
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

bool trace_source_of_name(const char *name, enum trace_source *source)
{
	for (uint32_t i = 0; i < TRACE_NR_SOURCES; i++)
		if (strcmp(trace_source_name((enum trace_source)i), name) == 0) {
			*source = (enum trace_source)i;
			return true;
		}
	return false;
}

static const char *const calls_names[TRACE_NR_CALLS_MEANS] = {
	[TRACE_CALLS_UNKNOWN] = "unknown", [TRACE_CALLS_TRACEPOINT] = "tracepoint",
	[TRACE_CALLS_PTRACE] = "ptrace",
};

enum trace_calls trace_calls_of_name(const char *name)
{
	for (uint32_t i = 0; i < TRACE_NR_CALLS_MEANS; i++)
		if (strcmp(calls_names[i], name) == 0)
			return (enum trace_calls)i;
	return TRACE_CALLS_UNKNOWN;
}

const char *trace_calls_name(enum trace_calls means)
{
	return name_of(calls_names, TRACE_NR_CALLS_MEANS, means);
}

const char *trace_how_name(enum trace_how how)
{
	static const char *const names[TRACE_NR_HOWS] = {
		[TRACE_HOW_COMMAND] = "command", [TRACE_HOW_FORK] = "fork",
		[TRACE_HOW_VFORK] = "vfork", [TRACE_HOW_CLONE] = "clone",
		[TRACE_HOW_UNKNOWN] = "unknown", [TRACE_HOW_ATTACH] = "attach",
	};

	return name_of(names, TRACE_NR_HOWS, how);
}

const char *trace_came_name(enum trace_came_how how)
{
	static const char *const names[TRACE_NR_CAMES] = {
		[TRACE_CAME_READ] = "read", [TRACE_CAME_WRITE] = "write",
		[TRACE_CAME_BESIDE] = "beside", [TRACE_CAME_ALONE] = "alone",
		[TRACE_CAME_FAULTS] = "faults",
		[TRACE_CAME_FEWER] = "fewer",
		[TRACE_CAME_THERE_READ] = "there-read", [TRACE_CAME_THERE_WRITE] = "there-write",
	};

	return name_of(names, TRACE_NR_CAMES, how);
}

const char *trace_file_kind_name(enum trace_file_kind kind)
{
	static const char *const names[TRACE_NR_FILE_KINDS] = {
		[TRACE_FILE_DISK] = "disk", [TRACE_FILE_TMPFS] = "tmpfs",
		[TRACE_FILE_MEMFD] = "memfd", [TRACE_FILE_SHM] = "shm",
		[TRACE_FILE_DEVICE] = "device", [TRACE_FILE_OTHER] = "other",
		[TRACE_FILE_ZERO] = "zero",
		[TRACE_FILE_HUGETLB] = "hugetlb",
	};

	return name_of(names, TRACE_NR_FILE_KINDS, kind);
}
