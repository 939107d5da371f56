/* SPDX-License-Identifier: BSD-2-Clause */
/* A small recording that has every kind of event, for the tests of the format. */
#ifndef QUIRE_TRACE_TESTS_SAMPLE_H
#define QUIRE_TRACE_TESTS_SAMPLE_H

#include <string.h>

#include "trace/event.h"

#define SAMPLE_MAX 80

static inline struct trace_header sample_header(void)
{
	struct trace_header header = {
		.source = TRACE_SOURCE_TRACEPOINT, .calls = TRACE_CALLS_PTRACE, .start_unix_us = 1234567890123456,
		.command = "sh -c 'ls | wc'", .recorder = "a test",
	};

	host_init(&header.host);
	header.host.trait[HOST_page_bytes] = 4096;
	header.host.trait[HOST_fault_around_bytes] = 65536;
	header.host.trait[HOST_zero_page] = 0;
	header.host.trait[HOST_thp] = HOST_THP_MADVISE;
	header.host.thp_order[9] = HOST_THP_INHERIT;
	strcpy(header.host.kernel, "6.1.0-test");
	strcpy(header.host.machine, "x86_64");
	return header;
}

/* Fills events; returns how many there are. */
static inline size_t sample_events(struct trace_event events[SAMPLE_MAX])
{
	static const struct trace_map maps[] = {
		{ 0x400000, 0x452000, 0, TRACE_MAP_READ | TRACE_MAP_EXEC, 0, "/bin/sh" },
		{ 0x651000, 0x652000, 0x51000, TRACE_MAP_READ | TRACE_MAP_WRITE, 0, "/bin/sh" },
		{ 0x7ffffffde000, 0x7ffffffff000, 0, TRACE_MAP_READ | TRACE_MAP_WRITE,
			TRACE_NONE, "[stack]" },
		{ 0xffffffffff600000, 0xffffffffff601000, 0, 0, TRACE_NONE, "" },
	};
	struct trace_event *e = events;
	struct trace_said said;

	memset(events, 0, SAMPLE_MAX * sizeof(*events));
	memset(&said, 0xff, sizeof(said));
	said.minor_faults = 77;
	said.peak_rss_bytes = 123 << 12;
#define EVENT(k, p, t, us, ...) \
	*e++ = (struct trace_event){ .kind = (k), .process = (p), .thread = (t), \
		.time_us = (us), __VA_ARGS__ }
#define CALL_ON(file_, target_, nr_, us, ...) \
	EVENT(TRACE_CALL, 0, 0, us, .call = { .nr = (nr_), .file = (file_), \
		.target = (target_), __VA_ARGS__ })
#define CALL(...) CALL_ON(TRACE_NONE, TRACE_NONE, __VA_ARGS__)
	EVENT(TRACE_NOTE, TRACE_NONE, TRACE_NONE, 0, .note = { "begins" });
	EVENT(TRACE_PROCESS_START, 0, 0, 1, .process_start = { .how = TRACE_HOW_COMMAND,
		.parent = TRACE_NONE, .mm = 0, .pid = 4711 });
	EVENT(TRACE_FILE, TRACE_NONE, TRACE_NONE, 2, .file = { .file = 0,
		.kind = TRACE_FILE_DISK, .dev = 0xfe00, .ino = 99, .bytes = 125640,
		.path = "/bin/sh" });
	EVENT(TRACE_MM_END, 0, 0, 3, .mm_end = { .mm = 0, .by_exec = true, .said = said });
	EVENT(TRACE_EXEC, 0, 0, 3, .exec = { .mm = 1, .maps_known = true,
		.maps = { 4, maps }, .layout = { .start_brk = 0x653000,
		.mmap_base = UINT64_MAX, .start_stack = 1 },
		.rights = { 8 << 20, TRACE_UNKNOWN, 0, 1, TRACE_RIGHT_KNOWN | TRACE_RIGHT_NO_THP }, .minor_faults = 25,
		.path = "/bin/sh", .arguments = "sh -c ls" });
	EVENT(TRACE_TOUCH, 0, 0, 5, .touch = { 0x7fffffffe000, 0x7f });
	EVENT(TRACE_TOUCH, 0, 0, 5, .touch = { 0x400000, 0 });
	EVENT(TRACE_TOUCH, 0, 0, 6, .touch = { 0x401000, TRACE_TOUCH_EXEC });
	EVENT(TRACE_TOUCH, 0, 0, 6, .touch = { 0xfffffffffffff000, TRACE_TOUCH_WRITE });
	CALL(TRACE_MMAP, 7, .result = 0x7f0000000000, .len = 4097, .prot = 3, .flags = 0x22);
	CALL(TRACE_MMAP, 8, .result = -12, .addr = 1, .len = UINT64_MAX, .prot = 7,
		.flags = UINT32_MAX, .offset = 4096);
	CALL_ON(0, TRACE_NONE, TRACE_MMAP, 9, .result = 0x7f0000100000, .len = 4096, .prot = 1, .flags = 2,
		.file_bytes = 125640);
	CALL(TRACE_MUNMAP, 10, .addr = 0x7f0000000000, .len = 4096);
	CALL(TRACE_MPROTECT, 11, .addr = 0x7f0000000000, .len = 4096, .prot = 5);
	CALL(TRACE_MREMAP, 12, .addr = 1 << 12, .len = 4096, .new_len = 8192, .flags = 3,
		.new_addr = 2 << 12, .result = 2 << 12);
	CALL(TRACE_BRK, 13, .addr = 0x660000, .result = 0x660000);
	CALL(TRACE_MADVISE, 14, .addr = 4096, .len = 4096, .advice = 4, .result = -22);
	CALL(TRACE_MLOCK, 15, .addr = 4096, .len = 1);
	CALL(TRACE_MLOCK2, 15, .addr = 4096, .len = 1, .flags = 1);
	CALL(TRACE_MUNLOCK, 15, .addr = 4096, .len = 1);
	CALL(TRACE_MLOCKALL, 15, .flags = 3);
	CALL(TRACE_MUNLOCKALL, 15, .result = 0);
	CALL(TRACE_MSYNC, 15, .addr = 4096, .len = 4096, .flags = 4);
	CALL(TRACE_MINCORE, 15, .addr = 4096, .len = 4096);
	CALL_ON(0, TRACE_NONE, TRACE_SHMAT, 16, .result = 0x7f0000200000, .len = 56, .flags = 4096, .file_bytes = 56);
	CALL(TRACE_SHMDT, 17, .addr = 0x7f0000200000);
	CALL_ON(0, TRACE_NONE, TRACE_FTRUNCATE, 18, .len = 100, .file_bytes = 100);
	CALL_ON(0, TRACE_NONE, TRACE_FALLOCATE, 19, .offset = 4096, .len = 100, .flags = 3, .file_bytes = 100);
	CALL_ON(TRACE_NONE, 0, TRACE_PROCESS_MADVISE, 20, .addr = 4096, .len = 100, .advice = 21,
		.result = 100);
	CALL(TRACE_PKEY_MPROTECT, 20, .addr = 4096, .len = 100, .prot = 3, .key = UINT32_MAX);
	CALL(TRACE_MSEAL, 20, .addr = 4096, .len = 4096, .result = -22);
	CALL(TRACE_IO_URING_SETUP, 20, .count = 64, .result = 5);
	EVENT(TRACE_SIGNAL, 0, 0, 20, .signal = { 11, -6, 0x401008 });
	EVENT(TRACE_LIMITS, 0, 0, 20, .limits = { { TRACE_UNKNOWN, 1, 2, 3, TRACE_RIGHT_KNOWN } });
	EVENT(TRACE_CAME, 0, 0, 20, .came = { 0x7f0000000000, 300, TRACE_CAME_BESIDE });
	EVENT(TRACE_CAME, 0, 0, 20, .came = { 0x7f0000200000, 1, TRACE_CAME_THERE_WRITE });
	EVENT(TRACE_HOST, TRACE_NONE, TRACE_NONE, 21, .host = { "thp", "always" });
	EVENT(TRACE_THREAD_START, 0, 1, 21, .thread_start = { 4712 });
	EVENT(TRACE_PROCESS_START, 1, 2, 22, .process_start = { .how = TRACE_HOW_VFORK,
		.clone_flags = 0x4100, .parent = 0, .mm = 1, .shares_mm = true, .pid = 4713 });
	EVENT(TRACE_PROCESS_START, 2, 3, 1000000, .process_start = { .how = TRACE_HOW_FORK,
		.clone_flags = UINT64_MAX, .parent = 0, .mm = 2, .pid = 4714 });
	EVENT(TRACE_LOST, TRACE_NONE, TRACE_NONE, 1000000, .lost = { 12345, 678 });
	EVENT(TRACE_TOUCH, 0, 1, 1000001, .touch = { 0x401000, 0 });
	EVENT(TRACE_THREAD_EXIT, 0, 1, 1000001, .call = { 0 });
	EVENT(TRACE_NOTE, 2, 3, 1000001, .note = { "" });
	EVENT(TRACE_PROCESS_EXIT, 1, 2, UINT64_MAX / 4, .process_exit = { .status = 9,
		.minor_faults = 3, .major_faults = TRACE_UNKNOWN });
	EVENT(TRACE_MM_END, 2, 3, UINT64_MAX / 4, .mm_end = { .mm = 2, .complete = true,
		.said = said, .maps = { 4, maps } });
	EVENT(TRACE_PROCESS_EXIT, 2, 3, UINT64_MAX / 4, .process_exit = { .status = 0xff00,
		.minor_faults = 3, .major_faults = 0 });
	EVENT(TRACE_PROCESS_START, 3, 4, UINT64_MAX / 4, .process_start = {
		.how = TRACE_HOW_ATTACH, .parent = TRACE_NONE, .mm = 3, .pid = 4715 });
	EVENT(TRACE_MM_END, 3, 4, UINT64_MAX / 4, .mm_end = { .mm = 3, .detached = true,
		.complete = true, .said = said, .maps = { 4, maps } });
#undef CALL
#undef CALL_ON
#undef EVENT
	return (size_t)(e - events);
}

#endif
