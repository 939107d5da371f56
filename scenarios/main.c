/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quire-scenarios: lists and runs scenarios on the machine it was built for.
 * Exit status: 0 as expected, 1 not as expected, 2 could not be run.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/runner.h"

static const char usage_text[] =
	"usage: %s list\n"
	"       %s run NAME|all [options]\n"
	"  --schedules N   runs of each scenario (with `all`, at most the default is\n"
	"                  spent on finding each planted bug, whatever N is)\n"
	"  --seed S        of the first schedule (default 1)\n"
	"  --strategy X    random (default) or pct\n"
	"  --depth D       of pct, 2 to 5 (default 3)\n"
	"  --token T       replay one run\n"
	"  --force         replay a token of another build as far as it goes\n"
	"  --minimise      shorten a failing run before it is shown\n"
	"  --fail-nth N    the Nth allocation of the bodies fails\n"
	"  --rows N        of the timeline (default 40)\n"
	"  --quiet         one line for each scenario\n";

static int usage(const char *program)
{
	fprintf(stderr, usage_text, program, program);
	return 2;
}

static int list(void)
{
	for (const struct scenario *const *at = scenario_list; *at; at++)
		printf("%-24s %u cpus  %-18s %s\n", (*at)->name, (*at)->nr_bodies,
		       (*at)->finds ? (*at)->finds : "-", (*at)->shows);
	return 0;
}

/* True and *ret_value, or false with a message. */
static bool take_number(const char *option, const char *text, uint64_t most,
			uint64_t *ret_value)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 0);

	if (*text == '\0' || *text == '-' || *end != '\0' || value > most) {
		fprintf(stderr, "--%s: '%s' is not a number from 0 to %llu\n", option, text,
			(unsigned long long)most);
		return false;
	}
	*ret_value = value;
	return true;
}

enum option_id {
	OPT_SCHEDULES = 1, OPT_SEED, OPT_STRATEGY, OPT_DEPTH, OPT_TOKEN, OPT_FORCE,
	OPT_MINIMISE, OPT_FAIL_NTH, OPT_ROWS, OPT_QUIET,
};

static const struct option option_table[] = {
	{ "schedules", required_argument, NULL, OPT_SCHEDULES },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "strategy", required_argument, NULL, OPT_STRATEGY },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "token", required_argument, NULL, OPT_TOKEN },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "minimise", no_argument, NULL, OPT_MINIMISE },
	{ "fail-nth", required_argument, NULL, OPT_FAIL_NTH },
	{ "rows", required_argument, NULL, OPT_ROWS },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ NULL, 0, NULL, 0 },
};

static bool take_strategy(const char *text, struct scenario_options *options)
{
	options->pct = strcmp(text, "pct") == 0;
	if (options->pct || strcmp(text, "random") == 0)
		return true;
	fprintf(stderr, "--strategy: '%s' is neither random nor pct\n", text);
	return false;
}

static bool take_option(int id, struct scenario_options *options)
{
	uint64_t value = 0;

	switch (id) {
	case OPT_SCHEDULES:
		return take_number("schedules", optarg, UINT64_MAX, &options->schedules);
	case OPT_SEED:
		return take_number("seed", optarg, UINT64_MAX, &options->seed);
	case OPT_STRATEGY:
		return take_strategy(optarg, options);
	case OPT_DEPTH:
		if (!take_number("depth", optarg, 16, &value))
			return false;
		options->depth = (unsigned)value;
		return true;
	case OPT_TOKEN:
		options->token = optarg;
		return true;
	case OPT_FORCE:
		options->force = true;
		return true;
	case OPT_MINIMISE:
		options->minimise = true;
		return true;
	case OPT_FAIL_NTH:
		return take_number("fail-nth", optarg, UINT64_MAX, &options->fail_nth);
	case OPT_ROWS:
		if (!take_number("rows", optarg, 1000000, &value))
			return false;
		options->rows = (unsigned)value;
		return true;
	case OPT_QUIET:
		options->quiet = true;
		return true;
	default:
		return false;
	}
}

static int run_all(const struct scenario_options *options)
{
	struct scenario_options generous = *options;
	int worst = 0;

	/* The search for a planted bug ends where it is found: it may be long. */
	if (generous.schedules < scenario_default_schedules)
		generous.schedules = scenario_default_schedules;
	for (const struct scenario *const *at = scenario_list; *at; at++) {
		int ret;

		if ((*at)->finds && !scenario_runs_planted)
			continue;
		ret = scenario_run(*at, (*at)->finds ? &generous : options);
		worst = ret > worst ? ret : worst;
	}
	return worst;
}

static int run(const char *name, const struct scenario_options *options)
{
	const struct scenario *scenario;

	if (strcmp(name, "all") == 0)
		return run_all(options);
	scenario = scenario_find(name);
	if (!scenario) {
		fprintf(stderr, "there is no scenario '%s'; `list` names them\n", name);
		return 2;
	}
	if (scenario->finds && !scenario_runs_planted) {
		fprintf(stderr, "%s has a planted bug and runs on the explore machine only\n",
			name);
		return 2;
	}
	return scenario_run(scenario, options);
}

int main(int argc, char **argv)
{
	struct scenario_options options = { .schedules = scenario_default_schedules,
		.seed = 1, .depth = 3 };
	int id;

	while ((id = getopt_long(argc, argv, "", option_table, NULL)) != -1)
		if (!take_option(id, &options))
			return usage(argv[0]);
	if (argc - optind == 1 && strcmp(argv[optind], "list") == 0)
		return list();
	if (argc - optind != 2 || strcmp(argv[optind], "run") != 0)
		return usage(argv[0]);
	return run(argv[optind + 1], &options);
}
