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

void scenario_name(const void *mem, size_t bytes, size_t each_bytes, const char *name)
{
	explore_name(mem, bytes, each_bytes, name);
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

static void print_failure(const struct explore_result *result, uint64_t fail_nth)
{
	printf("  %s\n", result->diagnosis);
	if (fail_nth)
		printf("  (allocation %llu of the bodies failed on purpose)\n",
		       (unsigned long long)fail_nth);
	if (result->timeline)
		printf("\n%s\n", result->timeline);
	if (result->token)
		printf("  replay: --token %s\n", result->token);
}

static void print_summary(const struct scenario *scenario, const struct explore_result *r,
			  bool as_expected)
{
	double seconds = (double)r->cpu_ns / 1e9;

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

static int report(const struct scenario *scenario, const struct scenario_options *options,
		  const struct explore_result *result, uint64_t fail_nth)
{
	bool as_expected = strcmp(explore_failure_name(result->failure),
				  scenario->finds ? scenario->finds : "none") == 0;

	print_summary(scenario, result, as_expected);
	if ((options->token || result->failure != EXPLORE_NONE) &&
	    !(options->quiet && as_expected))
		print_failure(result, fail_nth);
	if (options->token)
		printf("  run hash %016llx, %llu steps\n",
		       (unsigned long long)result->run_hash,
		       (unsigned long long)result->steps);
	return as_expected ? 0 : 1;
}

/* Adds the figures of one more exploration of the same scenario. */
static void add_up(struct explore_result *sum, const struct explore_result *more)
{
	struct explore_result before = *sum;

	*sum = *more;
	sum->executions += before.executions;
	sum->steps += before.steps;
	sum->cpu_ns += before.cpu_ns;
	if (sum->failed_at_execution)
		sum->failed_at_execution += before.executions;
}

/*
 * Once with no allocation failing, then with the first, the second ..., until
 * there are fewer: the schedules are shared out among them.
 */
static int run_each(struct explore_config *config, const struct scenario *scenario,
		    struct explore_result *ret_sum)
{
	struct explore_result result;
	uint64_t schedules = config->schedules, allocations = 0;
	int ret;

	memset(ret_sum, 0, sizeof(*ret_sum));
	do {
		ret = explore_run(config, &result);
		add_up(ret_sum, &result);
		if (ret)
			return ret;
		if (!scenario->fail_each || result.failure != EXPLORE_NONE || config->token)
			return 0;
		if (result.allocations > allocations)
			allocations = result.allocations;
		config->schedules = schedules / (allocations + 1) + 1;
	} while (config->fail_nth++ < allocations);
	return 0;
}

/* What was asked for, or as much as the scenario needs. */
static unsigned depth_of(const struct scenario *scenario, const struct scenario_options *options)
{
	return scenario->depth > options->depth ? scenario->depth : options->depth;
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
		.depth = depth_of(scenario, options), .seed = options->seed,
		.schedules = options->schedules * (scenario->effort ? scenario->effort : 1),
		.token = options->token,
		.force = options->force, .minimise = options->minimise,
		.fail_nth = options->fail_nth, .timeline_rows = options->rows,
	};
	struct explore_result result;
	int ret = run_each(&config, scenario, &result);

	if (ret) {
		fprintf(stderr, "%s: cannot be run (error %d) %s\n", scenario->name, -ret,
			result.diagnosis);
		return 2;
	}
	ret = report(scenario, options, &result, config.fail_nth);
	explore_result_fini(&result);
	return ret;
}
