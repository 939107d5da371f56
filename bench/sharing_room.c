/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rivals without anything around them: updates of one folio's state, first
 * by one thread alone, then by up to four at once, each for an mm of its own.
 *
 * A folio is of PMD order, and mm 1 maps all of it once.  An update is a batch
 * mapped or unmapped.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quire/quire.h>

#include "bench/common.h"
#include "bench/sharing.h"
#include "sharing/sharing.h"

#define ORDER QUIRE_PMD_ORDER
#define NR_PAGES (1u << ORDER)
#define NR_MMS ROOM_MAX_THREADS
#define ALONE_PAIRS 20000u     /* of a sample, a batch mapped and unmapped again */
#define CONTENDED_PAIRS 64u    /* between two looks at the time */
#define CONTEST_NS 10000000
#define ROW_TIMES 1000u        /* for callgrind */

/* Each word that a rival writes is at least a cache line from our own. */
struct room {
	_Alignas(64) struct sharing_state state;
	_Alignas(64) struct sharing sharing;
	struct sharing_mm mms[NR_MMS];
};

static int room_begin(struct room *room, const struct sharing_ops *ops)
{
	memset(room, 0, sizeof(*room));
	if (sharing_init(&room->sharing, ops, NR_MMS + 1) != 0)
		return -1;
	for (unsigned i = 0; i < NR_MMS; i++)
		if (sharing_mm_init(&room->sharing, &room->mms[i]) != 0)
			return -1;
	if (sharing_folio_init(&room->sharing, &room->state, ORDER) != 0)
		return -1;
	sharing_map_new(&room->sharing, &room->state, ORDER, &room->mms[0], 0, NR_PAGES);
	return 0;
}

static void room_end(struct room *room)
{
	for (unsigned i = 0; i < NR_MMS; i++)
		(void)sharing_mm_put(&room->sharing, &room->mms[i]);
	(void)sharing_fini(&room->sharing);
}

static void map(struct room *room, unsigned mm, u32 nr)
{
	/* It counts up to millions, and here are few. */
	if (sharing_map(&room->sharing, &room->state, ORDER, &room->mms[mm], 0, nr) != 0)
		abort();
}

static void unmap(struct room *room, unsigned mm, u32 nr)
{
	sharing_unmap(&room->sharing, &room->state, ORDER, &room->mms[mm], 0, nr);
}

static void map_and_unmap(struct room *room, unsigned mm, u32 nr, unsigned pairs)
{
	for (unsigned i = 0; i < pairs; i++) {
		map(room, mm, nr);
		unmap(room, mm, nr);
	}
}

static unsigned count_rivals(struct room_figures *f)
{
	f->nr_rivals = 0;
	for (; sharing_rivals[f->nr_rivals] != NULL; f->nr_rivals++)
		f->names[f->nr_rivals] = sharing_rivals[f->nr_rivals]->name;
	return f->nr_rivals;
}

static unsigned rival_index(const struct room_figures *f, const struct sharing_ops *ops)
{
	unsigned i = 0;

	while (i < f->nr_rivals && sharing_rivals[i] != ops)
		i++;
	return i;
}

/* ---- nobody else -------------------------------------------------------------------- */

const char *const update_case_names[] = {
	"a second mm, 512 pages", /* fork and the child's exit */
	"the owner, 1 page",
};

static const struct {
	unsigned mm;
	u32 nr;
} update_cases[NR_UPDATE_CASES] = { { 1, NR_PAGES }, { 0, 1 } };

static double update_ns(struct room *room, unsigned c)
{
	double start = bench_thread_ns();

	map_and_unmap(room, update_cases[c].mm, update_cases[c].nr, ALONE_PAIRS);
	return (bench_thread_ns() - start) / (2.0 * ALONE_PAIRS);
}

/* A round's sample of each rival in turn. */
static int update_round(const struct room_figures *f, unsigned c, unsigned round, double *ns)
{
	static struct room room;

	for (unsigned i = 0; i < f->nr_rivals; i++) {
		unsigned rival = (i + round) % f->nr_rivals;

		if (room_begin(&room, sharing_rivals[rival]) != 0)
			return -1;
		map_and_unmap(&room, update_cases[c].mm, update_cases[c].nr, ALONE_PAIRS / 10);
		ns[rival] = update_ns(&room, c);
		room_end(&room);
	}
	return 0;
}

static int measure_updates(struct room_figures *f, unsigned c)
{
	static double ns[SHARING_MAX_ROUNDS][ROOM_MAX_RIVALS];
	unsigned against = rival_index(f, &sharing_mm_ids);

	for (unsigned round = 0; round < f->rounds; round++)
		if (update_round(f, c, round, ns[round]) != 0)
			return -1;
	for (unsigned rival = 0; rival < f->nr_rivals; rival++) {
		double times[SHARING_MAX_ROUNDS], ratios[SHARING_MAX_ROUNDS];

		for (unsigned round = 0; round < f->rounds; round++) {
			times[round] = ns[round][rival];
			ratios[round] = ns[round][rival] / ns[round][against];
		}
		f->updates[c][rival].ns = bench_median(times, f->rounds);
		f->updates[c][rival].ratio = bench_median(ratios, f->rounds);
	}
	return 0;
}

double room_moments_ratio(const struct room_figures *figures)
{
	unsigned rival = rival_index(figures, &sharing_moments);
	double worst = 0;

	for (unsigned c = 0; c < NR_UPDATE_CASES; c++)
		if (figures->updates[c][rival].ratio > worst)
			worst = figures->updates[c][rival].ratio;
	return worst;
}

/* ---- several at once ------------------------------------------------------------------ */

const unsigned room_batches[NR_BATCHES] = { 1, NR_PAGES };

/* Threads go on until the time is up: then a lock's holder that lost its core is
 * part of the figure, and how soon a thread began is not. */
struct contest {
	struct room *room;
	u32 nr;
	_Alignas(64) unsigned state; /* (A) CONTEST_ */
	unsigned nr_ready;           /* (A) threads that wait */
	unsigned nr_moved;           /* (A) threads that made updates */
};

enum { CONTEST_WAIT, CONTEST_RUN, CONTEST_STOP };

struct contender {
	struct contest *contest;
	unsigned mm;
	uint64_t nr_updates;
	bool failed;
};

static unsigned contest_state(struct contest *contest)
{
	return mach_load(&contest->state, MACH_ACQUIRE);
}

/* The nth of the cores that this process may use, round and round: left to itself
 * the scheduler may well put two threads that wait for each other on one. */
static void pin_to_core(unsigned nth)
{
	cpu_set_t allowed, one;
	size_t core = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return;
	nth %= (unsigned)CPU_COUNT(&allowed);
	while (!CPU_ISSET(core, &allowed) || nth-- > 0)
		core++;
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static void *contend(void *arg)
{
	struct contender *c = arg;
	struct contest *contest = c->contest;
	uint64_t nr = 0;

	pin_to_core(c->mm);
	c->failed = quire_attach() != 0;
	if (c->failed) /* nobody is to wait for this one */
		mach_fetch_add(&contest->nr_moved, 1, MACH_RELAXED);
	mach_fetch_add(&contest->nr_ready, 1, MACH_RELEASE);
	while (contest_state(contest) == CONTEST_WAIT)
		sched_yield();
	if (c->failed)
		return NULL;
	do {
		map_and_unmap(contest->room, c->mm, contest->nr, CONTENDED_PAIRS);
		if (nr == 0)
			mach_fetch_add(&contest->nr_moved, 1, MACH_RELAXED);
		nr += 2 * CONTENDED_PAIRS;
	} while (contest_state(contest) == CONTEST_RUN);
	c->nr_updates = nr;
	quire_detach();
	return NULL;
}

/* Lets them run for a while, on a busy machine until each had a turn; how long they did. */
static double hold_contest(struct contest *contest, unsigned nr_threads)
{
	const struct timespec length = { .tv_nsec = CONTEST_NS };
	double start;

	while (mach_load(&contest->nr_ready, MACH_ACQUIRE) < nr_threads)
		sched_yield();
	start = bench_now_ns();
	mach_store(&contest->state, CONTEST_RUN, MACH_RELEASE);
	do
		nanosleep(&length, NULL);
	while (mach_load(&contest->nr_moved, MACH_RELAXED) < nr_threads);
	mach_store(&contest->state, CONTEST_STOP, MACH_RELEASE);
	return bench_now_ns() - start;
}

/* Time by the updates of all threads; below 0: it failed. */
static double contended_ns(struct room *room, unsigned nr_threads, u32 nr)
{
	struct contest contest = { .room = room, .nr = nr };
	struct contender contenders[ROOM_MAX_THREADS];
	pthread_t threads[ROOM_MAX_THREADS];
	unsigned nr_begun = 0;
	uint64_t nr_updates = 0;
	double ns = 0;
	bool failed;

	for (; nr_begun < nr_threads; nr_begun++) {
		contenders[nr_begun] = (struct contender){ .contest = &contest, .mm = nr_begun };
		if (pthread_create(&threads[nr_begun], NULL, contend, &contenders[nr_begun]) != 0)
			break;
	}
	failed = nr_begun < nr_threads;
	ns = hold_contest(&contest, nr_begun);
	for (unsigned i = 0; i < nr_begun; i++) {
		pthread_join(threads[i], NULL);
		failed |= contenders[i].failed;
		nr_updates += contenders[i].nr_updates;
	}
	return failed ? -1 : ns / (double)nr_updates;
}

/* A round's sample of each rival in turn; each mm has a page mapped all the time. */
static int contended_round(const struct room_figures *f, unsigned nr_threads, unsigned batch,
			   unsigned round, double *ns)
{
	static struct room room;

	for (unsigned i = 0; i < f->nr_rivals; i++) {
		unsigned rival = (i + round) % f->nr_rivals;

		if (room_begin(&room, sharing_rivals[rival]) != 0)
			return -1;
		for (unsigned mm = 1; mm < nr_threads; mm++)
			map(&room, mm, 1);
		ns[rival] = contended_ns(&room, nr_threads, room_batches[batch]);
		for (unsigned mm = 1; mm < nr_threads; mm++)
			unmap(&room, mm, 1);
		room_end(&room);
		if (ns[rival] < 0)
			return -1;
	}
	return 0;
}

static int measure_contention(struct room_figures *f, unsigned batch, unsigned nr_threads)
{
	static double ns[SHARING_MAX_ROUNDS][ROOM_MAX_RIVALS];

	for (unsigned round = 0; round < f->rounds; round++)
		if (contended_round(f, nr_threads, batch, round, ns[round]) != 0)
			return -1;
	for (unsigned rival = 0; rival < f->nr_rivals; rival++) {
		double times[SHARING_MAX_ROUNDS];

		for (unsigned round = 0; round < f->rounds; round++)
			times[round] = ns[round][rival];
		f->contended_ns[batch][rival][nr_threads - 1] = bench_median(times, f->rounds);
	}
	return 0;
}

int room_measure(struct room_figures *figures)
{
	int err = 0;

	count_rivals(figures);
	for (unsigned c = 0; c < NR_UPDATE_CASES && !err; c++)
		err = measure_updates(figures, c);
	for (unsigned batch = 0; batch < NR_BATCHES && !err; batch++)
		for (unsigned nr = 1; nr <= ROOM_MAX_THREADS && !err; nr++)
			err = measure_contention(figures, batch, nr);
	if (err)
		fprintf(stderr, "quire bench sharing: no memory, or no CPU\n");
	return err;
}

/* ---- instructions ------------------------------------------------------------------------ */

static void row_map(void *room)
{
	for (unsigned i = 0; i < ROW_TIMES; i++)
		map(room, 1, 16);
}

static void row_unmap(void *room)
{
	for (unsigned i = 0; i < ROW_TIMES; i++)
		unmap(room, 1, 16);
}

/* The same answer again and again: who asks has all mappings, or not. */
static void row_query(void *arg)
{
	struct room *room = arg;

	for (unsigned i = 0; i < ROW_TIMES; i++) {
		bool exclusive = sharing_exclusive(&room->sharing, &room->state, ORDER,
						   &room->mms[0]);

		__asm__ volatile("" ::"r"(exclusive));
	}
}

static void row_map_new(void *arg)
{
	struct room *room = arg;

	for (unsigned i = 0; i < ROW_TIMES; i++)
		sharing_map_new(&room->sharing, &room->state, ORDER, &room->mms[0], 0, 16);
}

static void row_nothing(void *room)
{
	(void)room;
}

static const struct row {
	const char *name;
	void (*prepare)(void *room), (*run)(void *room);
} rows[] = {
	{ "new", row_nothing, row_map_new }, { "map", row_nothing, row_map },
	{ "unmap", row_map, row_unmap },     { "exclusive", row_nothing, row_query },
	{ "shared", row_map, row_query },
};

static const struct row *row_named(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strlen(rows[i].name) == len && strncmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

static const struct sharing_ops *rival_named(const char *name)
{
	const struct sharing_ops *const *at = sharing_rivals;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at++;
	return *at;
}

int room_run_row(const char *name)
{
	static struct room room;
	const char *slash = strchr(name, '/');
	const struct sharing_ops *ops = slash ? rival_named(slash + 1) : NULL;
	const struct row *row = slash ? row_named(name, (size_t)(slash - name)) : NULL;

	if (ops == NULL || row == NULL || room_begin(&room, ops) != 0)
		return -1;
	row->prepare(&room);
	sharing_measured(row->run, &room);
	room_end(&room);
	printf("%s %u\n", name, ROW_TIMES);
	return 0;
}
