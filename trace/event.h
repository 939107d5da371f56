/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The events of a recording: what a process tree did to its memory and what
 * Linux said about it, in one global order.
 *
 * A recording is a list of these.  Its promises to whoever replays it:
 *
 *  1. Events stand in the order in which they happened.  The calls of one
 *     address space never overlapped while they were recorded, or are ordered by
 *     its lock (the header's calls say which), so their order is exact; touches
 *     are placed among them by the kernel's own clock.
 *  2. Indexes (process, thread, address space, file) are dense, start at 0 and
 *     are never used again.  Each is introduced before it is used: a process
 *     by PROCESS_START, which also starts its first thread and, unless
 *     shares_mm is set, its address space; a file by FILE; a further address
 *     space by EXEC.
 *  3. An address space ends with MM_END (its last user called exec or exit, or
 *     the recorder went), which carries the numbers Linux gave for it.  A process
 *     ends with PROCESS_EXIT, its last event; one that lived on when the recorder
 *     went has none.
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

#include "call_table.h"
#include "host/host.h"

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
	TRACE_LOST, /* the kernel's buffer overflowed: touches or calls are missing here */
	TRACE_NOTE, /* a sentence for the reader of a report */
	TRACE_SIGNAL, /* delivered to the thread for an access to memory */
	TRACE_LIMITS, /* limits and rights changed: what they are now */
	TRACE_CAME, /* pages that were found there though nobody touched them */
	TRACE_HOST, /* a setting of the host changed */
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

/* How calls were seen: one means per recording. */
enum trace_calls {
	TRACE_CALLS_UNKNOWN, /* an import, or an old recording */
	TRACE_CALLS_TRACEPOINT, /* the program ran on; ordered by the kernel's lock */
	TRACE_CALLS_PTRACE, /* it was stopped; one at a time in an address space */
	TRACE_NR_CALLS_MEANS
};

/*
 * In a file the header is a list of names and texts, the host's traits among
 * them, and the calls that may occur; what a reader does not know it counts.
 */
struct trace_header {
	uint32_t version;
	enum trace_source source;
	enum trace_calls calls;
	uint64_t start_unix_us; /* wall clock at time 0 */
	const char *command; /* the words, joined by spaces, for people */
	const char *recorder; /* which program made this: "quire record 0.1" */
	struct host host; /* trait "page" is always known */
	uint32_t nr_unknown; /* names that this reader does not know */
};

static inline uint64_t trace_page_bytes(const struct trace_header *header)
{
	return header->host.trait[HOST_page_bytes];
}

enum trace_file_kind {
	TRACE_FILE_DISK,
	TRACE_FILE_TMPFS, /* on a tmpfs mount */
	TRACE_FILE_MEMFD,
	TRACE_FILE_SHM, /* System V shared memory */
	TRACE_FILE_DEVICE,
	TRACE_FILE_OTHER, /* proc, anon_inode and the like */
	TRACE_FILE_ZERO, /* /dev/zero: private mappings of it are anonymous memory */
	TRACE_FILE_HUGETLB, /* of the pool of huge pages: hugetlbfs, memfd_create(MFD_HUGETLB) */
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
	TRACE_HOW_ATTACH, /* it ran already when the recorder came */
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

enum {
	TRACE_RIGHT_KNOWN = 1, /* the rest says something; an old recording does not */
	TRACE_RIGHT_LOCK_ANY = 2, /* CAP_IPC_LOCK: memlock_bytes is not asked */
	TRACE_RIGHT_NO_THP = 4, /* PR_SET_THP_DISABLE */
	TRACE_RIGHT_THP_ADVISED = 8, /* ... except for advised memory */
	TRACE_RIGHT_MDWE = 16, /* PR_SET_MDWE: REFUSE_EXEC_GAIN */
	TRACE_RIGHT_MDWE_NO_INHERIT = 32,
	TRACE_RIGHT_BOTTOM_UP = 64, /* at exec: mappings are placed upwards */
	/* personality(2): what may be read may be executed, whatever is asked for */
	TRACE_RIGHT_READ_IS_EXEC = 128,
};

/* What a process may, and how much.  Limits are soft ones; TRACE_UNKNOWN:
 * unlimited, or not known. */
struct trace_rights {
	uint64_t stack_bytes;
	uint64_t as_bytes;
	uint64_t data_bytes;
	uint64_t memlock_bytes;
	uint32_t flags; /* TRACE_RIGHT_* */
};

/*
 * The process runs a new program in a new address space.  thread is the one
 * that lives on.  The pages that the kernel itself filled (arguments, the
 * tail of the data segment) follow as touches with TRACE_TOUCH_SETUP.
 *
 * Of a process that ran already (TRACE_HOW_ATTACH) the first EXEC tells what its
 * address space is when the recorder comes: maps and rights of that moment, in
 * which the heap has grown.  Its further threads and the pages that are there
 * (TRACE_CAME_THERE_*) follow.
 */
struct trace_exec {
	uint32_t mm; /* new */
	bool maps_known; /* false in an import: maps.nr is 0 */
	struct trace_maps maps; /* as the kernel laid them out */
	struct trace_layout layout;
	struct trace_rights rights;
	/* Of the process, until now: so those of mm are what MM_END says minus
	 * this, and the pages that exec filled are not among them. */
	uint64_t minor_faults, major_faults;
	const char *path;
	const char *arguments; /* for people: joined by spaces, cut to 4 KiB */
};

enum trace_call_nr {
#define TRACE_CALL_ENUM(id, name, role, ...) TRACE_##id,
	TRACE_CALL_TABLE(TRACE_CALL_ENUM)
#undef TRACE_CALL_ENUM
	TRACE_NR_CALLS,
	/* A call of a newer recorder: read, shown, and passed over in a replay. */
	TRACE_OTHER = TRACE_NR_CALLS
};

enum {
	TRACE_MODE_READ = 1,
	TRACE_MODE_WRITE = 2,
	/* mmap: it did not become one with the mapping of the same file beside it, as it
	 * comes from another open(2) */
	TRACE_MODE_APART = 4,
};

enum trace_role { TRACE_REPEATED, TRACE_IMPORTED, TRACE_NOTED, TRACE_RIGHTS, TRACE_REACHES,
	TRACE_SIZES };

/* What the arguments of a call are: places in the order of TRACE_ARGUMENTS. */
enum trace_argument {
#define TRACE_ARGUMENT_ENUM(id) TRACE_ARG_##id,
	TRACE_ARGUMENTS(TRACE_ARGUMENT_ENUM)
#undef TRACE_ARGUMENT_ENUM
};

#define TRACE_MAX_ARGUMENTS 6

struct trace_call_info {
	const char *name;
	enum trace_role role;
	uint32_t fields; /* bit n: enum trace_argument n is among the arguments */
	uint8_t argument[TRACE_MAX_ARGUMENTS]; /* TRACE_ARG_NOTHING beyond the last */
};

/*
 * One shape for all calls: what the table says a call has is filled in, the rest
 * is 0 (file, target: TRACE_NONE).  Besides, when the call had returned:
 *
 *	file_bytes	of a call with a file: its size
 *	mode		of a call with a descriptor: how that was opened
 *	shmat		len: the segment's size
 *	process_madvise	one event per range; len and addr are that range's
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
	uint32_t key;
	uint64_t count;
	uint32_t mode; /* of the descriptor: TRACE_MODE_*; 0: not known */
	const char *name; /* of TRACE_OTHER; else NULL */
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
	bool detached; /* neither exec nor exit: the recorder went, the process lives on */
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
	uint64_t nr; /* touches */
	uint64_t nr_calls; /* records of calls: up to three for each call */
};

struct trace_note {
	const char *text;
};

/* SIGSEGV or SIGBUS, as the thread was told of it (siginfo). */
struct trace_signal {
	uint32_t number;
	int32_t code; /* SEGV_MAPERR and the like */
	uint64_t addr;
};

/* Of the event's process, from here on; its address space follows them. */
struct trace_limits {
	struct trace_rights rights;
};

/*
 * Pages that were found in the process's address space when the recorder looked.
 * Some came without an exception: the kernel brought them on behalf of O_DIRECT,
 * io_uring, process_vm_writev, vmsplice and their like.  Others came beside a
 * touch: a fault in a file maps what of it is in memory around it, and how much
 * that is depends on the folios that the host's page cache has.
 */
enum trace_came_how {
	TRACE_CAME_READ,   /* brought by the kernel, to be read */
	TRACE_CAME_WRITE,  /* ... or written: the process's own pages */
	TRACE_CAME_BESIDE, /* pages of a file that came beside a touch, or had one */
	TRACE_CAME_ALONE,  /* as WRITE, and no other process maps them */
	/* No pages: nr_pages is how many faults Linux has counted for the process, since
	 * its exec or fork, that fired no exception.  It follows what the look found. */
	TRACE_CAME_FAULTS,
	TRACE_CAME_FEWER, /* as FAULTS, but the exceptions are so many more than the faults */
	/* Was there before the recorder came: as READ and WRITE, but no fault that the
	 * recording counts. */
	TRACE_CAME_THERE_READ,
	TRACE_CAME_THERE_WRITE,
	TRACE_NR_CAMES
};

struct trace_came {
	uint64_t addr;
	uint64_t nr_pages;
	enum trace_came_how how;
};

/* A trait of the host, from here on. */
struct trace_host {
	const char *name, *text;
};

struct trace_event {
	enum trace_kind kind;
	uint32_t process; /* TRACE_NONE for FILE, LOST, HOST and some NOTEs */
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
		struct trace_signal signal;
		struct trace_limits limits;
		struct trace_came came;
		struct trace_host host;
	};
};

/* Words for people and for JSON: "mmap", "tracepoint-exact", "vfork". */
const char *trace_kind_name(enum trace_kind);
const char *trace_call_name(enum trace_call_nr);
const struct trace_call_info *trace_call_info(enum trace_call_nr);
/* The call of that name, or TRACE_OTHER. */
enum trace_call_nr trace_call_of_name(const char *name);
/* Puts the value of an argument into its field.  False: the argument has none,
 * but leads to one (a descriptor, a process, a segment). */
bool trace_call_set(struct trace_call *, enum trace_argument, uint64_t value);
/* False: not one of the names of sources. */
bool trace_source_of_name(const char *name, enum trace_source *source);
const char *trace_source_name(enum trace_source);
/* "tracepoint", "ptrace"; TRACE_CALLS_UNKNOWN for other words. */
enum trace_calls trace_calls_of_name(const char *name);
const char *trace_calls_name(enum trace_calls);
const char *trace_how_name(enum trace_how);
const char *trace_came_name(enum trace_came_how);
const char *trace_file_kind_name(enum trace_file_kind);

#endif
