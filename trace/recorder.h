/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of the recorder and how data flows between them:
 *
 *	tracer (ptrace stops)  --items-->  merge  --events-->  writer
 *	drain (perf rings)  ----samples-->   "
 *	call rings (the same)  --calls-->    "	(or by the tracer's stops)
 *
 * Three threads, or four.  The tracer is the one that forked the command, as ptrace
 * demands, and does nothing that could keep a stopped thread waiting.  The
 * drain empties the kernel's rings before they overflow.  The merge puts both
 * streams, each in the order of its own time, into one; infers what the
 * source did not say; and writes.
 */
#ifndef QUIRE_TRACE_RECORDER_H
#define QUIRE_TRACE_RECORDER_H

#include <pthread.h>
#include <signal.h>
#include <sys/types.h>

#include "event.h"
#include "record.h"
#include "writer.h"

/* ---- beside.c: mappings of one file side by side ---- */

/* A mapping of a file, as it was made. */
struct file_piece {
	uint32_t file, prot;
	bool shared;
	uint64_t start, end, offset;
};

/* The latest of an address space. */
#define NR_FILE_PIECES 32
struct file_pieces {
	struct file_piece piece[NR_FILE_PIECES];
	uint32_t next;
};

/* Remembers the piece that a mmap made.  *before, *after: one that was made lately
 * goes on there, in memory and in the file. */
void beside_note(struct file_pieces *, const struct trace_call *, uint64_t page_bytes,
	bool *before, bool *after);

/* ---- procfs.c: what /proc tells ---- */

/* Maps and the text that their names point into. */
struct maps_buffer {
	char *text;
	struct trace_map *map;
	uint64_t *dev, *ino; /* one for each map */
	size_t nr;
};

struct proc_numbers {
	uint64_t minor_faults, major_faults;
	struct trace_layout layout; /* mmap_base is left 0 */
};

int procfs_read_maps(pid_t tid, struct maps_buffer *out);
void maps_buffer_fini(struct maps_buffer *);
/* The fields of said that /proc/TID/status has; the others are left alone. */
int procfs_read_status(pid_t tid, struct trace_said *said);
int procfs_read_numbers(pid_t tid, struct proc_numbers *out);
/* The four limits of *out. */
void procfs_read_rlimits(pid_t tid, struct trace_rights *out);
/* Has the thread CAP_IPC_LOCK?  Are its mappings placed upwards (personality)? */
bool procfs_may_lock_any(pid_t tid);
uint32_t procfs_read_personality(pid_t tid);
/* Has prctl switched huge pages off for it? */
bool procfs_has_no_thp(pid_t tid);
/* A number of /proc/TID/status, after "NAME:", the field-th; or -1. */
long procfs_status_number(pid_t tid, const char *name, int field);
/* The access of an open descriptor: TRACE_MODE_*; 0: not known. */
uint32_t procfs_read_mode(pid_t tid, int fd, bool may_be_sealed, uint64_t *ino);
/* argv joined by spaces; malloced; NULL when out of memory. */
char *procfs_read_arguments(pid_t tid);
/* Where the symbolic link /proc/TID/NAME leads; malloced or NULL. */
char *procfs_read_link(pid_t tid, const char *name);

/* Pages that are mapped, as pagemap shows them. */
enum {
	SEEN_ANON = 1, /* the process's own page, not the file's */
	SEEN_WRITABLE = 2, /* the rest tells of the mapping it lies in */
	SEEN_EXEC = 4,
	SEEN_SHARED = 8,
	SEEN_FILE = 16,
	SEEN_EXCLUSIVE = 32, /* no other process maps it; not always known */
	SEEN_ZERO = 64, /* the page of zeros; not always known */
};

struct seen_pages {
	uint64_t *page; /* address | SEEN_* */
	size_t nr, capacity;
};

/* Adds the pages present in [start, end).  want_exclusive: tell that too,
 * where it does not take too long. */
int procfs_read_pages(pid_t tid, const struct maps_buffer *maps, uint64_t start, uint64_t end,
	bool want_exclusive, struct seen_pages *out);

/* Finds out SEEN_EXCLUSIVE of the process's own pages, in ascending order. */
void procfs_mark_exclusive(pid_t tid, struct seen_pages *pages);

/* ---- merge.c: one stream out of two ---- */

enum item_kind {
	ITEM_EVENT,
	ITEM_EXEC_ENTER, /* touches of tid are held back from here on */
	ITEM_EXEC_FAILED, /* they were the old program's after all */
	ITEM_PAGES, /* what a look into pagemap showed */
	ITEM_PEAK, /* tid's page tables take event.mm_end.said.page_table_bytes */
};

struct item {
	struct item *next;
	enum item_kind kind;
	uint64_t time_ns; /* set by merge_push */
	pid_t tid; /* EVENT of a start or exec: the thread's id from here on */
	struct trace_event event; /* others: process and thread alone */
	pid_t maker; /* of a start: the thread that called; 0: none */
	bool foreign; /* EXEC: of another architecture, whose calls have other numbers */
	uint32_t mm; /* PAGES: of this address space */
	/* PAGES: the kernel brought some without an exception; what files have there
	 * is to be told. */
	bool came, beside;
	bool there; /* PAGES: were there before the recorder came */
	bool counted; /* PAGES: unseen is known */
	int64_t unseen; /* faults that Linux counted, less exceptions */
	struct seen_pages pages; /* EXEC: filled by the kernel; PAGES */
	struct maps_buffer maps; /* the storage of the event's maps */
	char *text[2]; /* the storage of its strings */
};

/* One page fault, as the kernel's ring had it. */
struct sample {
	uint64_t time_ns;
	uint64_t addr;
	pid_t tid, pid;
	uint32_t flags; /* TRACE_TOUCH_*; SAMPLE_LOST: addr is a number of them */
};
#define SAMPLE_LOST (1u << 31)
#define SAMPLE_AGAIN (1u << 30) /* its thread soon faults on the page again */

struct merge;
struct drain;
struct call_rings; /* call_source.h */
struct cgroup; /* cgroup.h */

struct item *item_create(enum item_kind);
void item_destroy(struct item *);

/* drain may be NULL: no samples; and so may calls: the tracer sends them. */
struct merge *merge_create(struct trace_writer *, struct drain *, struct call_rings *calls,
	enum trace_source, uint64_t start_ns);
/* Takes over an item that introduces a file: it is written before all that is
 * seen from now on, whatever its time. */
void merge_introduce(struct merge *, struct item *);
/* Tells how large the page tables of tid's address space are now. */
void merge_look_at_tables(struct merge *, pid_t tid);
/* Stamps the item with the time and takes it over. */
void merge_push(struct merge *, struct item *);
/* Waits until all is written; totals into result.  Does not close the writer. */
int merge_finish(struct merge *, struct record_result *, struct trace_error *);
uint64_t now_ns(void);

/* ---- perf.c: the kernel's page-fault events ---- */

/* The command, which must not have exec'ed yet, and all it will start. */
struct record_target {
	pid_t pid;
	int cgroup_fd; /* of a group that it is alone in; or -1 */
	/* Instead: threads that run already, and stand still now.  NULL: none. */
	const pid_t *tid;
	size_t nr_tids;
};

/*
 * *source: in, the best to try; out, what was permitted.  Returns NULL, with
 * *source PAGEMAP, where none was.
 */
struct drain *drain_create(const struct record_target *, enum trace_source *source);
/* Before the command may go; and when a recorder that goes has stopped it. */
void drain_enable(struct drain *);
void drain_disable(struct drain *);
/* Moves what has come in to the end of the caller's arrays, one per CPU. */
struct sample_queue {
	struct sample *sample;
	size_t first, nr, capacity;
};
unsigned int drain_nr_queues(const struct drain *);
void drain_take(struct drain *, struct sample_queue *queues);
/* Exceptions of a process so far, as the rings show them now; drain may be NULL. */
uint64_t drain_faults_of(struct drain *, pid_t pid);
/* The process has forked: what it touches again is no repetition. */
void drain_forked(struct drain *, pid_t pid);
void drain_destroy(struct drain *);

/* ---- tracer.c ---- */

struct tracer;
struct files;

/* drain: NULL where the source has none.  calls: NULL where the tracer itself tells
 * of calls.  cgroup: that nobody may leave unnoticed; or NULL. */
struct tracer_sources {
	struct drain *drain;
	struct call_rings *calls;
	const struct cgroup *cgroup;
	enum trace_source source;
	bool attached; /* to what ran before: no filter picks calls */
};
struct tracer *tracer_create(struct merge *, struct files *, const struct tracer_sources *,
	const struct record_options *);
/* The command, stopped before its exec and already seized. */
int tracer_adopt(struct tracer *, pid_t pid);
/* The threads of a process that ran already: all stopped, and set going by this, which
 * empties the list then. */
struct thread_list;
int tracer_attach(struct tracer *, pid_t pid, struct thread_list *);
/* Runs until the last process has ended; gives the status of the command. */
int tracer_run(struct tracer *, int *wait_status, struct trace_error *);
uint32_t tracer_nr_processes(const struct tracer *);
void tracer_destroy(struct tracer *);
extern const int tracer_options; /* for PTRACE_SEIZE */

/* ---- attach.c: a process that runs already ---- */

struct thread_list {
	pid_t *tid; /* the main thread, if it lives, is the first */
	int *how; /* each stopped: as waitpid said; 0: it has not yet */
	size_t nr, capacity;
};

/*
 * Seizes and stops all threads of the process.  0, or why not: nothing is left
 * stopped or traced then.
 */
int attach_stop(pid_t pid, struct thread_list *, struct trace_error *);
/* Lets those go that attach_stop has stopped, and that no tracer has taken over. */
void attach_undo(struct thread_list *);

/* ---- signals.c: those sent to the recorder ---- */

enum { SIGNALS_FORWARDED = 4, SIGNALS_IGNORED = 2 };

struct saved_signals {
	struct sigaction forwarded[SIGNALS_FORWARDED], ignored[SIGNALS_IGNORED], alarm;
};

/* typed_too: also those of a terminal, which are not for the program then. */
void signals_take(struct saved_signals *, bool typed_too);
void signals_give_back(const struct saved_signals *);
/* Threads made while they are blocked never get them: only the tracer does. */
void signals_block(sigset_t *ret_before);
/* A signal that came and is to reach the command, once each; or 0. */
int signals_next(void);

/* ---- calls.c: system calls ---- */

/* What the filter stops on, by what the tracer has to do. */
enum stop_kind {
	STOP_NONE,
	STOP_CALL, /* a memory call: which, in stopped_call.call.nr */
	STOP_CLONE, /* fork, vfork, clone, clone3 */
	STOP_EXEC,
	STOP_PTRACE,
};

struct stopped_call {
	enum stop_kind kind;
	struct trace_call call; /* filled as far as the arguments go */
	int fd; /* of the file it works on, or -1 */
	uint64_t arg[6];
	uint64_t clone_flags;
	bool frees; /* may give pages or page tables back */
};

/* A munmap of so much stops the program even where calls are seen without. */
#define CALLS_LARGE_BYTES (4u << 20)

/* Installs the filter in the calling process; a negative errno on failure. */
int calls_install_filter(enum trace_calls by);
/* What the kernel is to tell of calls without stopping: a filter for the field
 * id of raw_syscalls.  execs: of execve too, because no filter stops there.  False: it
 * does not fit. */
bool calls_perf_filter(char *text, size_t size, bool execs);
/* Whether a call that was not picked by the filter of calls.c would have been. */
bool calls_picked(uint64_t nr, const uint64_t arg[6]);
enum stop_kind calls_kind(uint64_t nr, enum trace_call_nr *call);
/* Is the number that of an architecture (AUDIT_ARCH_*) whose calls these are? */
bool calls_native(uint32_t arch);
/* Decodes the system call at which tid stopped. */
void calls_decode(pid_t tid, uint64_t nr, const uint64_t arg[6], struct stopped_call *out);
/* The same from the arguments alone, without a look at any process. */
void calls_decode_arguments(uint64_t nr, const uint64_t arg[6], struct stopped_call *out);
/* Reads len bytes of the tracee's memory. */
bool calls_read_memory(pid_t tid, uint64_t addr, void *into, size_t len);

/* ---- settings.c: what the host is set to meanwhile ---- */

struct settings;

/* NULL: no memory, or no thread.  The thread has the caller's signal mask. */
struct settings *settings_watch(struct merge *);
void settings_end(struct settings *);

/* ---- files.c: which file is which ---- */

struct files;

struct files *files_create(struct merge *);
void files_destroy(struct files *);
/* The index of the file behind an open descriptor, introducing it if it is
 * new; *bytes its size now.  known_only: TRACE_NONE for a new one. */
uint32_t files_of_fd(struct files *, pid_t tid, int fd, bool known_only, uint64_t *bytes);
bool files_is_memfd(struct files *, uint32_t index);
uint32_t files_of_shm(struct files *, int shmid, uint64_t *bytes);
/* The file of a mapping that the kernel told of a moment ago, or TRACE_NONE;
 * *bytes its size then. */
uint32_t files_of_mapping(struct files *, pid_t tid, const struct trace_map *, uint64_t dev,
	uint64_t ino, uint64_t *bytes);
/* The descriptor's file is resized, to to_bytes if that is not 0.  False: it
 * cannot be told any more.  *file: TRACE_NONE if nobody has mapped it. */
bool files_resized(struct files *, pid_t tid, int fd, uint64_t to_bytes, uint32_t *file,
	uint64_t *bytes);
/* Fills in the file of each map. */
void files_of_maps(struct files *, pid_t tid, struct maps_buffer *maps);

/* ---- infer.c: read or write, where the source does not say ---- */

struct model;

struct model *model_create(uint64_t page_bytes);
void model_destroy(struct model *);
/* Keeps the model in step with an event that is about to be written. */
void model_event(struct model *, const struct trace_event *);
/* TRACE_TOUCH_* flags of a fault at addr by a thread of this address space,
 * from what the source says of it (SAMPLE_AGAIN may be among them); the page
 * counts as touched from here on. */
uint32_t model_touch(struct model *, uint32_t mm, uint64_t addr, uint32_t known_flags);
/* Must a page seen in pagemap be told as a touch?  Its flags, or 0. */
uint32_t model_seen(struct model *, uint32_t mm, uint64_t seen, bool files_too);

#endif
