/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The events of a recording: what a process tree did to its memory and what
 * Linux said about it, in one global order.
 *
 * A recording is a list of these.  Its promises to whoever replays it:
 *
 *  1. Events stand in the order in which they happened.  The calls of one
 *     address space never overlapped while they were recorded, so their order
 *     is exact; touches are placed among them by the kernel's own clock.
 *  2. Indexes (process, thread, address space, file) are dense, start at 0 and
 *     are never used again.  Each is introduced before it is used: a process
 *     by PROCESS_START, which also starts its first thread and, unless
 *     shares_mm is set, its address space; a file by FILE; a further address
 *     space by EXEC.
 *  3. An address space ends with MM_END (its last user called exec or exit),
 *     which carries the numbers Linux gave for it.  A process ends with
 *     PROCESS_EXIT, its last event.
 *  4. In a recording that was cut short (a recorder killed, a file truncated)
 *     any suffix may be missing; nothing else.
 *
 * Times are microseconds since the start of the recording.  Addresses of
 * touches are those of the first byte of the page; all others are exact.
 */
#ifndef QUIRE_TRACE_EVENT_H
#define QUIRE_TRACE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_NONE UINT32_MAX /* no process, no file, no address space */
#define TRACE_UNKNOWN UINT64_MAX /* a number that Linux did not give us */

enum trace_kind {
	TRACE_FILE, /* introduces a file, or tells its new size */
	TRACE_PROCESS_START,
	TRACE_THREAD_START, /* a further thread of a process */
	TRACE_THREAD_EXIT, /* not sent for the last thread of a process */
	TRACE_EXEC,
	TRACE_CALL, /* a memory system call, with its result */
	TRACE_TOUCH, /* a page fault */
	TRACE_MM_END,
	TRACE_PROCESS_EXIT,
	TRACE_LOST, /* the kernel's buffer overflowed: touches are missing here */
	TRACE_NOTE, /* a sentence for the reader of a report */
	TRACE_NR_KINDS
};

/* Where touches came from.  Stands in the header: one source per recording. */
enum trace_source {
	TRACE_SOURCE_NONE, /* no touches: an imported log */
	TRACE_SOURCE_TRACEPOINT, /* order, address, read or write: all exact */
	TRACE_SOURCE_PERF, /* order and address exact; read or write inferred */
	TRACE_SOURCE_PERF_USER, /* as PERF, user mode alone; the kernel's own
				 * touches were found later in pagemap */
	TRACE_SOURCE_PAGEMAP, /* pages seen present at a stop; order inferred */
	TRACE_NR_SOURCES
};

struct trace_header {
	uint32_t version;
	enum trace_source source;
	uint64_t page_bytes;
	uint64_t fault_around_bytes; /* TRACE_UNKNOWN: not readable */
	uint64_t thp_bytes; /* of a PMD-mapped page; TRACE_UNKNOWN: none */
	uint64_t start_unix_us; /* wall clock at time 0 */
	uint32_t nr_cpus;
	uint32_t randomize_va_space; /* the sysctl: 0, 1, 2 */
	uint32_t legacy_va_layout; /* 1: mmap grows upwards */
	uint32_t overcommit_memory; /* the sysctl: 0, 1, 2 */
	uint64_t max_map_count;
	uint64_t mmap_min_addr;
	const char *kernel; /* release, as uname -r */
	const char *machine; /* x86_64, aarch64 */
	const char *thp; /* always, madvise, never, or "" */
	const char *command; /* the words, joined by spaces, for people */
	const char *recorder; /* which program made this: "quire record 0.1" */
};

enum trace_file_kind {
	TRACE_FILE_DISK,
	TRACE_FILE_TMPFS, /* on a tmpfs mount */
	TRACE_FILE_MEMFD,
	TRACE_FILE_SHM, /* System V shared memory */
	TRACE_FILE_DEVICE,
	TRACE_FILE_OTHER, /* proc, anon_inode and the like */
	TRACE_NR_FILE_KINDS
};

struct trace_file {
	uint32_t file; /* its index; known already: only bytes may differ */
	enum trace_file_kind kind;
	uint64_t dev;
	uint64_t ino;
	uint64_t bytes; /* its size at this moment */
	bool deleted; /* had no name when it was mapped */
	const char *path;
};

/* One line of /proc/PID/maps. */
enum {
	TRACE_MAP_READ = 1,
	TRACE_MAP_WRITE = 2,
	TRACE_MAP_EXEC = 4,
	TRACE_MAP_SHARED = 8,
};

struct trace_map {
	uint64_t start;
	uint64_t end;
	uint64_t offset_bytes;
	uint32_t flags; /* TRACE_MAP_* */
	uint32_t file; /* TRACE_NONE: anonymous or special */
	const char *name; /* "" where there is none; else path or [stack] */
};

/* An array of maps, in ascending order, owned by the event. */
struct trace_maps {
	size_t nr;
	const struct trace_map *map;
};

enum trace_how {
	TRACE_HOW_COMMAND, /* the recorded command itself, or an import's root */
	TRACE_HOW_FORK,
	TRACE_HOW_VFORK, /* the parent waits until this one execs or exits */
	TRACE_HOW_CLONE,
	TRACE_HOW_UNKNOWN, /* an import saw it only once it ran */
	TRACE_NR_HOWS
};

/* thread in the event is the process's first thread. */
struct trace_process_start {
	enum trace_how how;
	uint64_t clone_flags;
	uint32_t parent; /* process index, or TRACE_NONE */
	uint32_t mm; /* a new index, or the parent's where shares_mm */
	bool shares_mm; /* CLONE_VM: as after vfork and posix_spawn */
	uint32_t pid;
};

struct trace_thread_start {
	uint32_t tid;
};

struct trace_layout {
	uint64_t start_code, end_code;
	uint64_t start_data, end_data;
	uint64_t start_brk;
	uint64_t start_stack;
	uint64_t arg_start, env_end;
	/* The top of the highest mapping below the stack that is not vdso or
	 * vvar: where the kernel began to place mappings.  A guess. */
	uint64_t mmap_base;
};

struct trace_rlimits { /* soft limits; TRACE_UNKNOWN: unlimited or not known */
	uint64_t stack_bytes;
	uint64_t as_bytes;
	uint64_t data_bytes;
	uint64_t memlock_bytes;
};

/*
 * The process runs a new program in a new address space.  thread is the one
 * that lives on.  The pages that the kernel itself filled (arguments, the
 * tail of the data segment) follow as touches with TRACE_TOUCH_SETUP.
 */
struct trace_exec {
	uint32_t mm; /* new */
	bool maps_known; /* false in an import: maps.nr is 0 */
	struct trace_maps maps; /* as the kernel laid them out */
	struct trace_layout layout;
	struct trace_rlimits rlimits;
	/* Of the process, until now: so those of mm are what MM_END says minus
	 * this, and the pages that exec filled are not among them. */
	uint64_t minor_faults, major_faults;
	const char *path;
	const char *arguments; /* for people: joined by spaces, cut to 4 KiB */
};

enum trace_call_nr {
	TRACE_MMAP,
	TRACE_MUNMAP,
	TRACE_MPROTECT,
	TRACE_MREMAP,
	TRACE_BRK,
	TRACE_MADVISE,
	TRACE_MLOCK,
	TRACE_MLOCK2,
	TRACE_MUNLOCK,
	TRACE_MLOCKALL,
	TRACE_MUNLOCKALL,
	TRACE_MSYNC,
	TRACE_MINCORE,
	TRACE_SHMAT,
	TRACE_SHMDT,
	TRACE_FTRUNCATE,
	TRACE_FALLOCATE,
	TRACE_PROCESS_MADVISE, /* one event per range; target says whose */
	TRACE_NR_CALLS
};

/*
 * One shape for all calls.  What each call fills, beside nr and result; the
 * rest is 0 (files: TRACE_NONE):
 *
 *	mmap		addr len prot flags offset file file_bytes
 *	munmap		addr len
 *	mprotect	addr len prot
 *	mremap		addr len new_len flags new_addr
 *	brk		addr
 *	madvise		addr len advice
 *	mlock, munlock	addr len
 *	mlock2		addr len flags
 *	mlockall	flags
 *	munlockall
 *	msync		addr len flags
 *	mincore		addr len
 *	shmat		addr len flags file file_bytes	(len: the segment's size)
 *	shmdt		addr
 *	ftruncate	len file file_bytes		(file_bytes: afterwards)
 *	fallocate	offset len flags file file_bytes (flags: the mode)
 *	process_madvise	addr len advice target
 *
 * result is what the call returned: 0, an address, a count, or a negative
 * errno.  prot, flags and advice are Linux's numbers for the host machine.
 */
struct trace_call {
	enum trace_call_nr nr;
	int64_t result;
	uint64_t addr;
	uint64_t len;
	uint64_t new_addr;
	uint64_t new_len;
	uint64_t offset;
	uint32_t prot;
	uint32_t flags;
	uint32_t advice;
	uint32_t file;
	uint64_t file_bytes; /* the file's size when the call had returned */
	uint32_t target; /* process index, or TRACE_NONE: not of this tree */
};

enum {
	TRACE_TOUCH_WRITE = 1,
	TRACE_TOUCH_EXEC = 2, /* an instruction fetch */
	TRACE_TOUCH_EXACT = 4, /* WRITE, EXEC and PRESENT are the hardware's word */
	TRACE_TOUCH_PRESENT = 8, /* the page was mapped: a protection fault */
	TRACE_TOUCH_KERNEL = 16, /* by the kernel on the process's behalf */
	TRACE_TOUCH_SWEEP = 32, /* found in pagemap: happened some time before */
	TRACE_TOUCH_SETUP = 64, /* filled by exec itself: counted by Linux as a fault */
};

struct trace_touch {
	uint64_t addr;
	uint32_t flags; /* TRACE_TOUCH_* */
};

/* What Linux said; TRACE_UNKNOWN where it did not. */
struct trace_said {
	uint64_t minor_faults; /* of the process, since it started */
	uint64_t major_faults;
	uint64_t peak_rss_bytes; /* VmHWM */
	uint64_t rss_bytes; /* the sum of the next three */
	uint64_t rss_anon_bytes;
	uint64_t rss_file_bytes;
	uint64_t rss_shmem_bytes;
	uint64_t page_table_bytes; /* VmPTE at the end */
	uint64_t peak_page_table_bytes; /* the largest VmPTE seen at any stop
					 * before a call that could free some */
	uint64_t peak_as_bytes; /* VmPeak */
	uint64_t locked_bytes; /* VmLck */
	uint64_t vmas; /* lines of /proc/PID/maps without [vsyscall] */
	uint64_t peak_vmas; /* the most seen at any stop; >= vmas */
};

/*
 * process is the one whose exec or exit ended the address space.  A process
 * that leaves an address space which others still use (a vfork child) sends
 * none for it.
 */
struct trace_mm_end {
	uint32_t mm;
	bool by_exec;
	bool complete; /* false: killed too fast; said and maps are partial */
	struct trace_said said;
	struct trace_maps maps; /* as they were at the end */
};

struct trace_process_exit {
	int status; /* as wait() gives it: code << 8, or the signal */
	uint64_t minor_faults; /* of its whole life, all threads */
	uint64_t major_faults;
};

struct trace_lost {
	uint64_t nr;
};

struct trace_note {
	const char *text;
};

struct trace_event {
	enum trace_kind kind;
	uint32_t process; /* TRACE_NONE for FILE, LOST and some NOTEs */
	uint32_t thread; /* TRACE_NONE where process is */
	uint64_t time_us;
	union {
		struct trace_file file;
		struct trace_process_start process_start;
		struct trace_thread_start thread_start;
		struct trace_exec exec;
		struct trace_call call;
		struct trace_touch touch;
		struct trace_mm_end mm_end;
		struct trace_process_exit process_exit;
		struct trace_lost lost;
		struct trace_note note;
	};
};

/* Words for people and for JSON: "mmap", "tracepoint-exact", "vfork". */
const char *trace_kind_name(enum trace_kind);
const char *trace_call_name(enum trace_call_nr);
const char *trace_source_name(enum trace_source);
const char *trace_how_name(enum trace_how);
const char *trace_file_kind_name(enum trace_file_kind);

#endif
