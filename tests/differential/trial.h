/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running programs on both sides: one after the other in this process, or one
 * alone in a child, where it may crash or hang.
 */
#ifndef DIFFERENTIAL_TRIAL_H
#define DIFFERENTIAL_TRIAL_H

#include "core.h"

struct diff_options {
	uint64_t seed, nr_programs;
	uint32_t nr_ops; /* 0: drawn for each program */
	uint32_t nr_jobs, most_differences;
	bool against_native;   /* the host against itself: a test of this program */
	const char *replay;    /* or NULL */
	const char *executor;
};

/* Both sides, ready to run. */
struct trial {
	const struct diff_options *options;
	struct native *left, *right; /* right: only against_native */
	struct diff_outcome left_outcome, right_outcome;
	uint64_t nr_disturbed; /* programs given up: see trial_run() */
};

/* 0, or -1 with a message on stderr.  Once per process. */
int trial_init(struct trial *trial, const struct diff_options *options);
void trial_fini(struct trial *trial);
/* Runs again what the host disturbed; when it always does, there is no difference
 * to tell of, and the program is counted. */
void trial_run(struct trial *trial, const struct diff_program *program,
	       struct diff_difference *ret_difference);
const char *trial_right_name(const struct diff_options *options);

/* In a child.  A crash or a hang is a difference too.  `to` is NULL, or where
 * the child prints both sides' results. */
void trial_run_apart(const struct diff_options *options, const struct diff_program *program,
		     FILE *to, struct diff_difference *ret_difference);

/* The smallest program found that differs in the same way. */
void shrink_program(const struct diff_options *options, struct diff_program *program,
		    struct diff_difference *difference);

/* Runs all programs in jobs; differences to `found`, at most `room` of them.
 * Returns their number, or -1 when the jobs could not run. */
struct diff_found {
	uint64_t seed;
	struct diff_difference difference;
	uint32_t kind; /* of the operation */
};
int hunt(const struct diff_options *options, struct diff_found *found, int room,
	 uint64_t *ret_nr_run);

#endif
