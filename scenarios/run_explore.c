/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios on the explore machine. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <explore.h>

#include "scenarios/runner.h"
#include "sync/rank.h"

const uint64_t scenario_default_schedules = 20000;
const bool scenario_runs_planted = true;

struct adapter {
	const struct scenario *scenario;
	void *state;
};

void scenario_fail(const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	explore_fail("%s", text);
}

void scenario_expect_no_leak(uint64_t nr, const char *what)
{
	if (nr > 0)
		explore_leaked(nr, what);
}

void scenario_name(const void *mem, size_t bytes, const char *name)
{
	explore_name(mem, bytes, name);
}

static int adapter_setup(void *context)
{
	struct adapter *a = context;

	a->state = mach_mem_alloc(a->scenario->state_bytes, 64);
	return a->state ? a->scenario->setup(a->state) : -QUIRE_ENOMEM;
}

static void adapter_body(void *context, unsigned cpu)
{
	struct adapter *a = context;

	a->scenario->body(a->state, cpu);
}

static uint64_t adapter_outcome(void *context)
{
	struct adapter *a = context;

	return a->scenario->outcome(a->state);
}

static void adapter_finish(void *context)
{
	struct adapter *a = context;

	if (a->scenario->finish)
		a->scenario->finish(a->state);
}

/* An abandoned run held locks. */
static void adapter_reset(void *context)
{
	(void)context;
	rank_forget_held();
}

static void print_failure(const struct explore_result *result)
{
	printf("  %s\n", result->diagnosis);
	if (result->timeline)
		printf("\n%s\n", result->timeline);
	if (result->token)
		printf("  replay: --token %s\n", result->token);
}

static void print_summary(const struct scenario *scenario, const struct explore_result *r,
			  bool as_expected)
{
	double seconds = (double)r->wall_ns / 1e9;

	printf("%-24s %-4s %s", scenario->name, as_expected ? "ok" : "NOT",
	       explore_failure_name(r->failure));
	if (r->failed_at_execution)
		printf(" in run %llu", (unsigned long long)r->failed_at_execution);
	printf("; %llu runs, %.1f steps each, %.0f runs/s",
	       (unsigned long long)r->executions,
	       r->executions ? (double)r->steps / (double)r->executions : 0.0,
	       seconds > 0 ? (double)r->executions / seconds : 0.0);
	if (r->nr_outcomes)
		printf(", %u outcomes", r->nr_outcomes);
	printf("\n");
}

int scenario_run(const struct scenario *scenario, const struct scenario_options *options)
{
	struct adapter adapter = { .scenario = scenario };
	struct explore_config config = {
		.program = { .name = scenario->name, .nr_cpus = scenario->nr_bodies,
			     .context = &adapter, .setup = adapter_setup,
			     .body = adapter_body, .check = adapter_finish,
			     .outcome = scenario->outcome ? adapter_outcome : NULL,
			     .reset = adapter_reset },
		.strategy = options->pct ? EXPLORE_PCT : EXPLORE_RANDOM,
		.depth = options->depth, .seed = options->seed,
		.schedules = options->schedules, .token = options->token,
		.force = options->force, .minimise = options->minimise,
		.fail_nth = options->fail_nth, .timeline_rows = options->rows,
	};
	struct explore_result result;
	bool as_expected;
	int ret = explore_run(&config, &result);

	if (ret) {
		fprintf(stderr, "%s: cannot be run (%d) %s\n", scenario->name, -ret,
			result.diagnosis);
		return 2;
	}
	as_expected = strcmp(explore_failure_name(result.failure),
			     scenario->finds ? scenario->finds : "none") == 0;
	print_summary(scenario, &result, as_expected);
	if ((options->token || result.failure != EXPLORE_NONE) &&
	    !(options->quiet && as_expected))
		print_failure(&result);
	if (options->token)
		printf("  run hash %016llx, %llu steps\n",
		       (unsigned long long)result.run_hash, (unsigned long long)result.steps);
	explore_result_fini(&result);
	return as_expected ? 0 : 1;
}
