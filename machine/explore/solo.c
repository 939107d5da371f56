/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUs and the small things of the seam: one OS thread is all there is, and
 * outside explore_run() it is CPU 0.
 */
#include <stdlib.h>
#include <time.h>

#include "explore/world.h"

static bool attached;

int mach_attach(void)
{
	if (attached || xp.exploring)
		return -QUIRE_EAGAIN;
	attached = true;
	return 0;
}

void mach_detach(void)
{
	if (xp.current->nr_held > 0)
		xp_fail(EXPLORE_LOCK_MISUSE, "a CPU leaves while it holds a lock");
	attached = false;
}

unsigned mach_cpu(void)
{
	return xp.current->index;
}

struct quire_cost *mach_cost(void)
{
	static struct quire_cost own[XP_NR_FIBERS];
	struct xp_actor *me = xp.current;

	return me->cost ? me->cost : &own[me->index];
}

void mach_set_cost(struct quire_cost *cost)
{
	xp.current->cost = cost;
	if (!xp.scheduling)
		xp.state.cost = cost;
}

/* A step is a microsecond, so that a run does not depend on the host's clock. */
uint64_t mach_now_ns(void)
{
	struct timespec now;

	if (xp.exploring)
		return xp.steps * 1000;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t mach_random(void)
{
	xp.state.random += XP_HASH_FACTOR;
	return xp_mix(xp.state.random);
}

/* A run that is explored is silent: it may be one of a million. */
void mach_log(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (xp.exploring) {
		vsnprintf(xp.last_log, sizeof(xp.last_log), format, args);
		va_end(args);
		return;
	}
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void mach_stop(const char *file, int line, const char *what)
{
	if (xp.exploring)
		xp_fail(EXPLORE_STOP, "cpu%u stopped at %s:%d: %s%s%s", xp.current->index,
			file, line, what, xp.last_log[0] ? "; " : "", xp.last_log);
	if (xp.stop_handler)
		xp.stop_handler(file, line, what);
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

void quire_set_stop_handler(quire_stop_handler *handler)
{
	xp.stop_handler = handler;
}
