/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quire-differential: random programs of memory calls on the host kernel and on
 * the core, compared operation by operation.  See docs/differential.md.
 *
 * Ends with 0 when there was no difference, 1 when there was one, 2 when it
 * could not run.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trial.h"

#define EXECUTOR "quire-differential-native"
#define MAX_SHOWN 16

static const char *const usage =
	"usage: quire-differential [--seed S] [--programs N] [--ops K] [--jobs J]\n"
	"                          [--most D] [--replay FILE] [--print] [--native]\n"
	"  --seed S      seed of the first program; the next has S + 1 (default 1)\n"
	"  --programs N  how many (default 500)\n"
	"  --ops K       operations in each, 2 to 400 (default: drawn, 30 to 79)\n"
	"  --jobs J      processes at work, 1 to 64 (default: one per CPU, 8 at most)\n"
	"  --most D      stop after D differences (default 4)\n"
	"  --replay FILE run the one program in FILE and print both sides' results\n"
	"  --print       print the program of --seed or --replay, run nothing\n"
	"  --native      compare the host with itself\n";

static bool parse_count(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	*ret = strtoull(text, &end, 0);
	return !*end && *ret >= least && *ret <= most;
}

static int bad_option(const char *option)
{
	fprintf(stderr, "quire-differential: bad option or value at '%s'\n%s", option, usage);
	return 2;
}

static int parse_options(int argc, char **argv, struct diff_options *options, bool *print)
{
	uint64_t number;

	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = argv[i + 1];

		if (!strcmp(name, "--native")) {
			options->against_native = true;
			continue;
		} else if (!strcmp(name, "--print")) {
			*print = true;
			continue;
		}
		i++;
		if (!strcmp(name, "--replay") && value)
			options->replay = value;
		else if (!strcmp(name, "--seed") && parse_count(value, 0, UINT64_MAX, &number))
			options->seed = number;
		else if (!strcmp(name, "--programs") && parse_count(value, 1, UINT64_MAX, &number))
			options->nr_programs = number;
		else if (!strcmp(name, "--ops") && parse_count(value, 2, 400, &number))
			options->nr_ops = (uint32_t)number;
		else if (!strcmp(name, "--jobs") && parse_count(value, 1, 64, &number))
			options->nr_jobs = (uint32_t)number;
		else if (!strcmp(name, "--most") && parse_count(value, 1, 64, &number))
			options->most_differences = (uint32_t)number;
		else
			return bad_option(name);
	}
	return 0;
}

/* The executor lies beside this program. */
static const char *find_executor(void)
{
	static char path[4096];
	const ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *slash;

	if (len < 0)
		return NULL;
	path[len] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash ? slash + 1 : path, EXECUTOR);
	return path;
}

static int replay(const struct diff_options *options)
{
	static struct diff_program program;
	struct diff_difference difference;

	if (text_read_program(options->replay, &program))
		return 2;
	trial_run_apart(options, &program, stdout, &difference);
	if (difference.what == DIFF_IN_FAILURE)
		printf("# failure: %s\n", difference.text);
	return difference.what == DIFF_SAME ? 0 : 1;
}

/* Was one of the same sort shown before? */
static bool shown_before(const struct diff_found *found, int nr)
{
	for (int i = 0; i < nr; i++)
		if (found[i].difference.what == found[nr].difference.what &&
		    found[i].kind == found[nr].kind &&
		    (found[nr].difference.what != DIFF_IN_FAILURE ||
		     !strncmp(found[i].difference.text, found[nr].difference.text, 30)))
			return true;
	return false;
}

static void show(const struct diff_options *options, const struct diff_found *found)
{
	static struct diff_program program;
	struct diff_difference difference;

	printf("\n# found with --seed %" PRIu64 " --programs 1%s: %s: %s\n", found->seed,
	       options->nr_ops ? " and the same --ops" : "", diff_what_name(found->difference.what),
	       found->difference.text);
	fflush(stdout);
	generate_program(found->seed, options->nr_ops, &program);
	trial_run_apart(options, &program, NULL, &difference);
	if (difference.what == DIFF_SAME) {
		printf("# run once more, it does not differ\n");
		text_print_program(stdout, &program);
		return;
	}
	shrink_program(options, &program, &difference);
	trial_run_apart(options, &program, stdout, &difference);
	if (difference.what == DIFF_IN_FAILURE) {
		printf("# failure: %s\n", difference.text);
		text_print_program(stdout, &program);
	}
	fflush(stdout);
}

static int hunt_and_show(const struct diff_options *options)
{
	static struct diff_found found[MAX_SHOWN];
	uint64_t nr_run = 0;
	const int nr = hunt(options, found, MAX_SHOWN, &nr_run);

	if (nr < 0) {
		fprintf(stderr, "quire-differential: the jobs could not run\n");
		return 2;
	}
	for (int i = 0; i < nr; i++) {
		if (shown_before(found, i))
			printf("\n# seed %" PRIu64 " differs in the same way as one above: %s\n",
			       found[i].seed, found[i].difference.text);
		else
			show(options, &found[i]);
	}
	printf("%" PRIu64 " programs from seed %" PRIu64 ", host against %s: %s\n", nr_run,
	       options->seed, trial_right_name(options), nr ? "DIFFERENCES" : "no difference");
	return nr ? 1 : 0;
}

int main(int argc, char **argv)
{
	const long nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	static struct diff_program program;
	struct diff_options options = {
		.seed = 1,
		.nr_programs = 500,
		.nr_jobs = nr_cpus < 1 ? 1 : nr_cpus > 8 ? 8 : (uint32_t)nr_cpus,
		.most_differences = 4,
		.executor = find_executor(),
	};
	bool print = false;

	if (parse_options(argc, argv, &options, &print))
		return 2;
	if (!options.executor || access(options.executor, X_OK)) {
		fprintf(stderr, "quire-differential: there is no %s beside this program\n", EXECUTOR);
		return 2;
	}
	if (print) {
		if (!options.replay)
			generate_program(options.seed, options.nr_ops, &program);
		else if (text_read_program(options.replay, &program))
			return 2;
		text_print_program(stdout, &program);
		return 0;
	}
	return options.replay ? replay(&options) : hunt_and_show(&options);
}
