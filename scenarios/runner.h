/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running a scenario: what each machine's runner does (run_explore.c,
 * run_threads.c) behind one command line (main.c).
 */
#ifndef SCENARIOS_RUNNER_H
#define SCENARIOS_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#include "scenarios/scenario.h"

struct scenario_options {
	uint64_t schedules;    /* explore: runs; threads: repetitions */
	uint64_t seed;
	bool pct;              /* else random */
	unsigned depth;
	const char *token;
	bool force;
	bool minimise;
	uint64_t fail_nth;
	unsigned rows;         /* of a timeline */
	bool quiet;            /* one line for each scenario */
};

/* How many runs make a fair test on this machine. */
extern const uint64_t scenario_default_schedules;
/* False: this machine cannot run a planted bug and live. */
extern const bool scenario_runs_planted;

/*
 * Prints what was found.  0: as expected (no failure; or the planted bug).
 * 1: not as expected.  2: could not be run.
 */
int scenario_run(const struct scenario *scenario, const struct scenario_options *options);

#endif
