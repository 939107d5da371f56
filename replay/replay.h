/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replays a recording on the core: one address space per recorded one, every
 * event in the recorded order, and at the end of each address space what Linux
 * said of it beside what the core says.
 *
 * Faithfulness.  A call is made as it was recorded.  Where the core places a
 * mapping elsewhere than Linux did, that is counted, and the mapping is moved
 * to where Linux had it, so that what follows means the same.
 */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include <quire/quire.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace/error.h"
#include "trace/event.h"

/* Totals and per-address-space figures; UINT64_MAX: not known. */
struct replay_figures {
	uint64_t faults;                 /* minor and major */
	uint64_t cow_copies;
	uint64_t peak_rss_bytes;         /* totals: the sum of the peaks */
	uint64_t peak_page_table_bytes;  /* totals: the sum of the peaks */
	uint64_t vmas;                   /* at the end of each address space */
};

/* A named cause of faults that no recorded touch accounts for. */
struct replay_cause {
	char *kind;    /* see docs/recording.md, "The account" */
	int64_t count; /* negative: touches for which Linux counted no fault */
};

/* linux_faults = touches + all explained + unexplained; in a sum over address
 * spaces unexplained is the sum of its sizes, whatever the sign. */
struct replay_account {
	uint64_t linux_faults, touches;
	struct replay_cause *explained;
	size_t nr_explained;
	int64_t unexplained;
};

/* A call that the core does not model, and how often it was made. */
struct replay_note {
	char *call;
	uint64_t count;
};

/* What is compared with Linux. */
enum replay_figure { REPLAY_FAULTS, REPLAY_RSS, REPLAY_TABLES, REPLAY_VMAS, REPLAY_NR_FIGURES };

/* Over address spaces where a figure is more than 1 % off: by how much in all. */
struct replay_gap {
	uint64_t explained, unexplained; /* in the figure's unit */
	char *causes;                    /* of what is explained: "userfaultfd, mbind" */
};

/* One address space, from its exec or fork to its end. */
struct replay_space {
	uint32_t process, pid;
	char *name;         /* the program, for people */
	bool compared;      /* Linux's figures are complete */
	uint64_t start_us, end_us;
	struct replay_figures linux_said, quire_says;
	struct replay_account account;
	uint64_t nr_major;  /* of the faults that Linux counted: read from a disk */
	uint64_t nr_idle;   /* touches that took no fault here: the page was there */
	uint64_t nr_map_differences; /* lines of the final maps that differ */
	char *map_differences;       /* the first of them as text, or NULL */
};

/* The whole machine at one moment. */
struct replay_sample {
	uint64_t time_us;
	uint64_t rss_anon_bytes, rss_file_bytes, rss_shmem_bytes;
	uint64_t page_table_bytes;
	uint64_t vmas, address_spaces;
	uint64_t faults, cow_copies; /* so far */
};

#define REPLAY_MAX_SAMPLES 1024
#define REPLAY_MAX_MISMATCHES 32

struct replay_result {
	char *command, *source, *kernel; /* of the recording */
	uint64_t nr_events, nr_calls, nr_touches, nr_lost, nr_lost_calls;
	uint64_t duration_us;            /* recorded */
	uint64_t replay_ns;              /* to apply the events: reading included */
	uint64_t peak_process_bytes;     /* of this process: the replay's own memory */
	struct replay_figures linux_said, quire_says; /* sums over compared spaces */
	uint64_t nr_spaces, nr_spaces_compared, nr_spaces_maps_equal;
	uint64_t nr_placed, nr_placed_alike;  /* mappings whose place was chosen */
	uint64_t nr_results_alike, nr_results_different; /* of calls */
	struct replay_account account;   /* sums over compared spaces */
	struct replay_gap gaps[REPLAY_NR_FIGURES];
	uint64_t nr_idle;
	uint64_t nr_beside;              /* faults taken here, and not counted, for pages of
	                                    files that came beside a touch on Linux */
	struct replay_note *notes;       /* by call */
	size_t nr_notes;
	uint64_t nr_touches_refused;     /* where Linux granted them, or, in a recording
	                                    of version 1, it is not known whether it did */
	uint64_t nr_signals_alike, nr_signals_missed; /* sent by Linux; and not by the core */
	struct host host;                /* the recorded one, when the recording began */
	uint32_t nr_cpus;                /* its, or 0: not known */
	bool signals_known;              /* the recording has them */
	uint64_t nr_sizes_inferred;      /* files that grew unseen */
	uint64_t nr_refused_unasked;     /* calls that Linux refused, and that were left undone */
	uint64_t nr_skipped_events, nr_unknown; /* of a newer recorder */
	struct replay_space *spaces;
	struct replay_sample *samples;
	size_t nr_samples;
	char *mismatches[REPLAY_MAX_MISMATCHES]; /* sentences */
	size_t nr_mismatches;
	bool folios_chosen;              /* not those of the recorded kernel */
	struct quire_cost cost;
	struct quire_sharing_score sharing; /* with config.score_sharing */
	struct quire_leaks leaks;
	bool complete;                   /* the recording was read to its end */
};

struct replay_options {
	struct quire_config config;
	/* config says which folios there are; else the recorded kernel's setting of
	 * huge pages does, where it is known. */
	bool folios_chosen;
	uint64_t check_events; /* quire_check after so many events, and at the end; 0: never */
	/* Called now and then; may be NULL. */
	void (*progress)(void *context, uint64_t nr_events, uint64_t time_us);
	void *context;
};

void replay_options_default(struct replay_options *options);

/*
 * 0 and *result, to be given to replay_result_fini(); or a negative errno with
 * `error` set.  A damaged recording gives its error AND the result of the good
 * part (result->complete false).
 */
int replay_file(const char *path, const struct replay_options *options,
		struct replay_result *result, struct trace_error *error);
/* 0 or -ENOMEM. */
int replay_account_add(struct replay_account *sum, const struct replay_account *one);
/* How far Linux's batched counters of an address space's resident pages may be off. */
uint64_t replay_rss_slack_bytes(uint32_t nr_cpus);
void replay_account_fini(struct replay_account *account);
void replay_result_fini(struct replay_result *result);

#endif
