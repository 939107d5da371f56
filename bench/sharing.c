/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `quire bench sharing`: what it costs to know who maps a large folio, for each
 * rival (core/sharing/).
 *
 *   letter  the micro-benchmarks of letter 000_fa4b51931d6963d5.txt on memory of
 *           each folio size: time, and atomics and locks, per page
 *   room    one folio's state alone: an update without and with contention
 *
 * Times are of this program.  Atomics are counted by another build of the same
 * core, so that the plain one pays nothing: `quire-counting`, which is inside
 * `quire`, runs the same once and hands its figures over as JSON.
 */
#include "bench/sharing.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quire/quire.h>

#include "bench/bench.h"
#include "bench/command.h"
#include "bench/common.h"
#include "bench/counting.h"

#define MIB (UINT64_C(1) << 20)
#define CHECK_RATIO 1.30
#define COUNTING_BYTES "16M"

struct arguments {
	struct letter_figures letter;
	struct room_figures room;
	bool with_letter, with_room, json, check;
	const char *row; /* or NULL */
	char *folios;    /* as given, or NULL: all */
};

static const char help_text[] =
	"quire bench sharing [options]\n\n"
	"What it costs to know whether one address space maps a large folio or several,\n"
	"for each rival: operations on memory, and one folio's state alone.\n\n"
	"  --bytes N      memory of the operations: 64M, 1G, ... (default 64M; whole 2 MiB)\n"
	"  -f, --folios LIST\n"
	"                 sizes: 4k,16k,64k,256k,2m-pages,2m or all (default all)\n"
	"  --rounds N     samples of each (default 7, at most 101)\n"
	"  --part PART    letter (operations on memory) or room (the state alone)\n"
	"  --check        exit 1 if an update of moments costs more than 1.30 of mm-ids'\n"
	"  -j, --json     print JSON instead of tables\n"
	"  --row NAME     for callgrind: {new,map,unmap,exclusive,shared}/RIVAL, or an\n"
	"                 operation on memory: OPERATION/FOLIOS/ALTERNATIVE\n"
	"  -h, --help      this text\n"
	"  -V, --version   which quire this is\n\n"
	"Examples:\n"
	"  quire bench sharing --part room --rounds 1\n"
	"  quire bench sharing --bytes 2M --row fork/2m/owner\n";

/* ---- arguments ------------------------------------------------------------------------- */

static int bad_argument(const char *option, const char *value)
{
	fprintf(stderr, "quire bench sharing: --%s: '%s' cannot be; try: quire bench sharing --help\n", option, value);
	return 2;
}

/* "64M", "1G", ... of whole PMDs; 0: it cannot be. */
static uint64_t parse_bytes(const char *text)
{
	static const char units[] = "KMG";
	char *end;
	unsigned long long value = strtoull(text, &end, 10);
	const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
	unsigned shift = unit != NULL ? 10u * (unsigned)(unit - units + 1) : 0;

	if (text[0] == '-' || (*end != '\0' && (unit == NULL || end[1] != '\0')) ||
	    value > (UINT64_C(1) << 42) >> shift || value << shift < 2 * MIB ||
	    (value << shift) % (2 * MIB) != 0)
		return 0;
	return (uint64_t)value << shift;
}

static int parse_folios(const char *list, bool wanted[NR_FOLIO_SIZES])
{
	bool all = strcmp(list, "all") == 0;

	for (unsigned i = 0; i < NR_FOLIO_SIZES; i++)
		wanted[i] = all;
	while (!all && *list != '\0') {
		size_t len = strcspn(list, ",");
		unsigned i = 0;

		while (i < NR_FOLIO_SIZES && (strlen(folio_sizes[i].name) != len ||
					      strncmp(folio_sizes[i].name, list, len) != 0))
			i++;
		if (i == NR_FOLIO_SIZES)
			return -1;
		wanted[i] = true;
		list += len + (list[len] == ',');
	}
	return 0;
}

/* 0, or 2 after a message. */
static int take_option(int option, char *value, struct arguments *args)
{
	unsigned long rounds;

	switch (option) {
	case 'b':
		args->letter.bytes = parse_bytes(value);
		return args->letter.bytes ? 0 : bad_argument("bytes", value);
	case 'f':
		args->folios = value;
		return parse_folios(value, args->letter.wanted) ? bad_argument("folios", value) : 0;
	case 'r':
		rounds = strtoul(value, NULL, 10);
		args->letter.rounds = args->room.rounds = (unsigned)rounds;
		return rounds > 0 && rounds <= SHARING_MAX_ROUNDS ? 0 : bad_argument("rounds", value);
	case 'p':
		args->with_letter = strcmp(value, "letter") == 0;
		args->with_room = strcmp(value, "room") == 0;
		return args->with_letter || args->with_room ? 0 : bad_argument("part", value);
	case 'o':
		args->row = value;
		return 0;
	case 'c':
		args->check = true;
		return 0;
	default:
		args->json = true;
		return 0;
	}
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct arguments *args)
{
	static const struct option options[] = {
		{ "bytes", required_argument, NULL, 'b' },
		{ "folios", required_argument, NULL, 'f' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "part", required_argument, NULL, 'p' },
		{ "row", required_argument, NULL, 'o' },
		{ "check", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	args->with_letter = args->with_room = true;
	args->letter.bytes = 64 * MIB;
	args->letter.rounds = args->room.rounds = 7;
	parse_folios("all", args->letter.wanted);
	optind = 1;
	while ((option = getopt_long(argc, argv, ":f:jhV", options, NULL)) != -1) {
		int status;

		if (option == '?' || option == ':')
			return command_bad_option("bench sharing", argv, option);
		if (option == 'V')
			return command_version();
		if (option == 'h') {
			fputs(help_text, stdout);
			return 0;
		}
		status = take_option(option, optarg, args);
		if (status)
			return status;
	}
	if (optind < argc) {
		fprintf(stderr, "quire bench sharing: '%s' is too much; try: quire bench sharing --help\n", argv[optind]);
		return 2;
	}
	if (args->check && !args->with_room) {
		fprintf(stderr, "quire bench sharing: --check looks at the room, which --part leaves out\n");
		return 2;
	}
	return -1;
}

/* ---- counts, from the build that counts ------------------------------------------------- */

/* Becomes the counting build's `bench sharing` with its output in `fd`. */
static void run_counting(const struct arguments *args, int fd)
{
	char *argv[] = { "quire", "bench", "sharing", "--json", "--part", "letter", "--rounds", "1",
			 "--bytes", COUNTING_BYTES, "--folios",
			 args->folios ? args->folios : "all", NULL };
	int err;

	if (dup2(fd, STDOUT_FILENO) < 0)
		_exit(1);
	err = counting_become(argv);
	fprintf(stderr, "quire bench sharing: atomics are not counted: cannot run the core that "
		"counts: %s\n", strerror(-err));
	_exit(1);
}

/* Counts do not depend on the bytes nor on the time.  Without them, figures stay. */
static void take_counts(struct arguments *args)
{
	json_t *json = NULL;
	FILE *from = NULL;
	int ends[2];
	pid_t child;

	if (pipe(ends) != 0)
		return;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		run_counting(args, ends[1]);
	}
	close(ends[1]);
	if (child > 0)
		from = fdopen(ends[0], "r");
	if (from != NULL) {
		json = json_loadf(from, 0, NULL);
		fclose(from);
	} else {
		close(ends[0]);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
	letter_take_counts(&args->letter, json);
	json_decref(json);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static int measure(struct arguments *args)
{
	int err = 0;

	if (args->with_letter) {
		err = letter_measure(&args->letter);
		if (!err && !args->letter.counted)
			take_counts(args);
	}
	if (!err && args->with_room)
		err = room_measure(&args->room);
	return err;
}

static int print_json(const struct arguments *args)
{
	json_t *json = json_pack("{s:I, s:i, s:b}", "bytes", (json_int_t)args->letter.bytes,
				 "rounds", (int)args->letter.rounds, "counting",
				 args->letter.counted);

	if (json == NULL)
		return 1;
	if (args->with_letter)
		json_object_set_new(json, "results", letter_json(&args->letter));
	if (args->with_room)
		json_object_set_new(json, "room", room_json(&args->room));
	json_dumpf(json, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(json);
	return 0;
}

static int report(const struct arguments *args)
{
	int status = 0;

	if (args->json) {
		status = print_json(args);
	} else {
		if (args->with_letter)
			letter_print(stdout, &args->letter);
		if (args->with_room)
			room_print(stdout, &args->room);
	}
	if (!status && args->check && room_moments_ratio(&args->room) > CHECK_RATIO) {
		fprintf(stderr, "quire bench sharing: an update of moments costs %.2f of mm-ids'\n",
			room_moments_ratio(&args->room));
		status = 1;
	}
	return status;
}

/* The operation and nothing else: what callgrind counts. */
__attribute__((noinline)) void sharing_measured(void (*run)(void *arg), void *arg)
{
	run(arg);
	__asm__ volatile("" ::: "memory");
}

static int run_row(const struct arguments *args)
{
	if (room_run_row(args->row) == 0 || letter_run_row(args->row, args->letter.bytes) == 0)
		return 0;
	fprintf(stderr, "quire bench sharing: there is no row '%s', or it failed\n", args->row);
	return 2;
}

int bench_sharing(int argc, char **argv)
{
	static struct arguments args;
	int status = parse(argc, argv, &args);

	if (status >= 0)
		return status;
	if (quire_attach() != 0) {
		fprintf(stderr, "quire bench sharing: no CPU\n");
		return 1;
	}
	if (args.row != NULL)
		status = run_row(&args);
	else
		status = measure(&args) != 0 ? 1 : report(&args);
	quire_detach();
	return status;
}
