/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenarios on the threads machine: real threads, over and over. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <quire/testing.h>

#include "scenarios/runner.h"

const uint64_t scenario_default_schedules = 2000;
const bool scenario_runs_planted = false;

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN true
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN false
#endif

static const char *running;

void scenario_fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", running);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

void scenario_expect_no_leak(uint64_t nr, const char *what)
{
	if (nr > 0)
		scenario_fail("%llu %s leaked", (unsigned long long)nr, what);
}

void scenario_name(const void *mem, size_t bytes, size_t each_bytes, const char *name)
{
	(void)mem;
	(void)bytes;
	(void)each_bytes;
	(void)name;
}

/* With fail_each, repetition i fails this allocation of each body; 0: none. */
#define FAIL_CYCLE 24u

/* One thread for each body, kept for all repetitions. */
struct crew {
	const struct scenario *scenario;
	void *state;
	uint64_t repetitions;
	pthread_barrier_t begin, end;
};

struct member {
	struct crew *crew;
	unsigned body;
	pthread_t thread;
};

static void *member_main(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;

	if (mach_attach())
		scenario_fail("a thread finds no CPU");
	for (uint64_t i = 0; i < crew->repetitions; i++) {
		pthread_barrier_wait(&crew->begin);
		if (crew->scenario->fail_each)
			quire_fail_nth(i % FAIL_CYCLE);
		crew->scenario->body(crew->state, member->body);
		quire_fail_nth(0);
		pthread_barrier_wait(&crew->end);
	}
	mach_detach();
	return NULL;
}

static void repeat(struct crew *crew)
{
	const struct scenario *scenario = crew->scenario;

	for (uint64_t i = 0; i < crew->repetitions; i++) {
		crew->state = mach_mem_alloc(scenario->state_bytes, 64);
		if (!crew->state || scenario->setup(crew->state))
			scenario_fail("setup failed");
		pthread_barrier_wait(&crew->begin);
		pthread_barrier_wait(&crew->end);
		if (scenario->finish)
			scenario->finish(crew->state);
		mach_mem_free(crew->state, scenario->state_bytes);
	}
}

int scenario_run(const struct scenario *scenario, const struct scenario_options *options)
{
	struct crew crew = { .scenario = scenario, .repetitions = options->schedules };
	struct member *members = calloc(scenario->nr_bodies, sizeof(*members));

	if (UNDER_TSAN && scenario->racy_bytes) {
		free(members);
		return 0;
	}
	running = scenario->name;
	if (!members || mach_attach())
		scenario_fail("cannot be run: no memory or no CPU");
	pthread_barrier_init(&crew.begin, NULL, scenario->nr_bodies + 1);
	pthread_barrier_init(&crew.end, NULL, scenario->nr_bodies + 1);
	for (unsigned i = 0; i < scenario->nr_bodies; i++) {
		members[i] = (struct member){ .crew = &crew, .body = i };
		if (pthread_create(&members[i].thread, NULL, member_main, &members[i]))
			scenario_fail("cannot start a thread");
	}
	repeat(&crew);
	for (unsigned i = 0; i < scenario->nr_bodies; i++)
		pthread_join(members[i].thread, NULL);
	pthread_barrier_destroy(&crew.begin);
	pthread_barrier_destroy(&crew.end);
	mach_detach();
	free(members);
	printf("%-24s ok   none; %llu repetitions\n", scenario->name,
	       (unsigned long long)options->schedules);
	return 0;
}
