/* SPDX-License-Identifier: BSD-2-Clause */
/* What a running replay knows; shared by replay.c, calls.c and spaces.c. */
#ifndef REPLAY_STATE_H
#define REPLAY_STATE_H

#include "trace/reader.h"
#include "replay.h"

/* Handles of a file, one for each way to open it (TRACE_MODE_*): two mappings of
 * one file that were opened in different ways do not merge. */
#define NR_MODES 4

struct file_slot {
	struct quire_file *file;        /* for reading and writing */
	struct quire_file *handle[NR_MODES]; /* by mode; NULL: not used so far */
	enum trace_file_kind kind;
	uint64_t bytes;
	uint64_t filled_bytes; /* the cache holds [0, filled) */
};

/* Sizes that the recording will tell of files: what a file that grew unseen had
 * grown to.  By the number of the event. */
struct later_size {
	uint64_t event;
	uint32_t file;
	uint64_t bytes;
};

/*
 * Where the faults of an address space come from.  Linux counts
 *
 *	touches - refused ones + setup + came + those of calls + the rest
 *
 * and the rest is what nobody saw; notes say what may lie behind it.
 */
struct space_account {
	uint64_t nr_touches;        /* exceptions that were recorded */
	uint64_t nr_setup;          /* pages that exec itself filled */
	uint64_t nr_came;           /* pages that the kernel brought, and the core had not */
	uint64_t nr_beside;         /* faults of the core that Linux did not need, or counted
	                               elsewhere: pages of files that came beside a touch
	                               there, pages that another process reached for */
	uint64_t nr_there;          /* faults of the core for what was there when the
	                               recorder came: Linux counted them before */
	uint64_t nr_call_faults;    /* faults that the core took in calls: populate, mlock */
	uint64_t nr_forgivable;     /* of those two, what Linux may not have needed: pages of
	                               files or shared memory, where one fault may bring a
	                               whole large folio; guesses while threads ran */
	uint64_t nr_lent;           /* faults that were taken here in other address spaces,
	                               for it: Linux counted them for the caller */
	uint64_t nr_unplaced;       /* faults without an exception that Linux counted, and
	                               nothing tells on which page */
	uint64_t nr_signals;        /* touches refused on both sides */
	uint64_t nr_kernel_refused; /* the kernel's own touches that were refused */
	uint64_t nr_refused;        /* touches that the core alone refused */
	uint64_t nr_idle;           /* touches that took no fault: the page was there */
	uint64_t nr_leaf_windows;   /* windows of a PMD that a file fills: Linux may have
	                               mapped each by one entry, with no table */
	uint64_t nr_forced;         /* pages that the kernel wrote though the mapping forbids */
	uint64_t nr_cuts;           /* a file was found to have been cut, unseen */
	bool has_threads;           /* more than one at a time */
	struct replay_note *notes;  /* calls that the core does not model */
	size_t nr_notes;
};

/* Indexed by the recording's thread index. */
struct thread_slot {
	bool waits; /* its last touch was refused: is a signal what comes next? */
	uint64_t addr;
	uint32_t flags;
	uint32_t mm;
	enum quire_signal signal;
	uint64_t granted_addr;   /* of its last touch that was granted */
	uint64_t granted_faults; /* that took these faults */
};

/* Indexed by the recording's mm index. */
struct space_slot {
	struct quire_mm *mm;  /* NULL: not there (unknown contents, or ended) */
	bool read_is_exec;    /* READ_IMPLIES_EXEC */
	bool unknown;         /* what is mapped was not recorded */
	bool attached;        /* it, or whose copy it is, ran before it was recorded */
	uint64_t start_us;
	uint32_t process, pid;
	char *name;
	/* Faults that Linux counted for processes that lived here for a while without
	 * being its owner: vfork's children. */
	uint64_t borrowed_faults;
	uint64_t peak_table_bytes; /* the most at the moments when the recorder looked */
	struct space_account account;
};

struct process_slot {
	uint32_t mm;
	uint32_t pid;
	uint64_t counted_faults; /* of Linux's count, already given to a space */
	uint64_t counted_major;  /* those of them that read from a disk */
	/* counted_faults holds what exec itself filled, which belongs to the new
	 * space: each of its touches takes one away again; from the lender too. */
	bool counted_exec;
	bool shares_mm;      /* it lives in its parent's space */
	bool attached;       /* it ran already; until its first exec event */
	uint32_t lender;     /* whose that was, once it has one of its own */
};

/* A process reached into another's memory: what the kernel brings there is a fault
 * of the one that called.  Until that thread is heard of again. */
struct reach {
	uint32_t target, caller, thread; /* TRACE_NONE: nobody */
};

struct replay {
	const struct replay_options *options;
	struct replay_result *result;
	const struct trace_header *header;
	struct host host;          /* the recorded one, as it is now */
	struct quire_config config; /* as it mirrors that */
	struct quire *q;
	struct file_slot *files;
	struct space_slot *spaces;
	struct process_slot *processes;
	struct thread_slot *threads;
	struct reach reach;
	uint32_t nr_files, nr_spaces, nr_processes, nr_threads; /* allocated slots */
	const char *path;             /* of the recording */
	struct later_size *later;     /* read once it is asked for */
	size_t nr_later;
	bool later_known;
	uint64_t sample_interval, until_sample;
	uint64_t ended_faults, ended_copies; /* of spaces that ended */
};

/* spaces.c: address spaces and files.  0 or negative errno (out of memory). */
int replay_add_file(struct replay *replay, const struct trace_file *file);
void replay_close_file(struct file_slot *slot);
struct file_slot *replay_file_slot(struct replay *replay, uint32_t index);
/* The file's cache holds [0, end_bytes), as a warm page cache would. */
int replay_fill_file(struct file_slot *slot, uint64_t end_bytes);
/* The handle for a mode; 0, not known, is for reading and writing. */
int replay_file_handle(struct file_slot *slot, uint32_t mode, struct quire_file **ret_file);
/* The recording's file that is mapped at addr, or NULL; *ret_offset: of that byte. */
struct file_slot *replay_file_at(struct replay *replay, struct quire_mm *mm, uint64_t addr,
				 uint64_t *ret_offset);
int replay_reserve_thread(struct replay *replay, uint32_t thread);
int replay_start_process(struct replay *replay, const struct trace_event *event);
int replay_exec(struct replay *replay, const struct trace_event *event);
int replay_end_space(struct replay *replay, const struct trace_event *event);
void replay_end_process(struct replay *replay, const struct trace_event *event);
struct space_slot *replay_space_of(struct replay *replay, uint32_t process);
/* Faults of a space that is there, so far. */
static inline uint64_t replay_faults_of(const struct space_slot *space)
{
	struct quire_mm_stats stats;

	quire_mm_stats(space->mm, &stats);
	return stats.faults + stats.major_faults;
}
/* The recorder looked how large the page tables are. */
void replay_note_tables(struct space_slot *space);
/* Limits and rights of a process changed. */
void replay_limits(struct replay *replay, const struct trace_event *event);

/* host.c */
void replay_mirror_host(struct quire_config *config, const struct host *host,
			bool folios_chosen);
void replay_host_changed(struct replay *replay, const struct trace_event *event);

/* later.c: the size that the recording tells next of a file; 0: it does not. */
uint64_t replay_later_size(struct replay *replay, uint32_t file);

/* touch.c: 0 or negative errno (out of memory). */
int replay_touch(struct replay *replay, const struct trace_event *event);
int replay_came(struct replay *replay, const struct trace_event *event);
void replay_signal(struct replay *replay, const struct trace_event *event);
void replay_thread_started(struct replay *replay, const struct trace_event *event);
/* To be called for every event but a signal, before it is replayed. */
void replay_thread_heard(struct replay *replay, const struct trace_event *event);

/* gaps.c: 0 or -ENOMEM. */
int replay_judge_gaps(struct replay *replay, const struct space_slot *slot,
		      const struct replay_space *space);

/* One more of these was made.  0 or -ENOMEM. */
int replay_note(struct replay_note **notes, size_t *nr_notes, const char *call);
/* account.c: what the address space's faults come from, as parts for people. */
int replay_account(const struct space_account *account, uint64_t linux_faults, bool exact,
		   struct replay_account *out);

/* calls.c */
int replay_call(struct replay *replay, const struct trace_event *event);

/* A sentence for the report; only the first ones are kept. */
void replay_mismatch(struct replay *replay, const struct trace_event *event,
		     const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
