/* SPDX-License-Identifier: BSD-2-Clause */
/* The threads machine's clock, its voice, and its end. */
#define _GNU_SOURCE
#include <quire/machine.h>
#include <quire/testing.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static quire_stop_handler *stop_handler;

uint64_t threads_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* One write, so that lines of several CPUs do not mix. */
void threads_log(const char *format, va_list args)
{
	char line[512];

	vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "quire: %s\n", line);
}

void quire_set_stop_handler(quire_stop_handler *handler)
{
	mach_store(&stop_handler, handler, MACH_RELEASE);
}

_Noreturn void threads_stop(const char *file, int line, const char *what)
{
	quire_stop_handler *handler = mach_load(&stop_handler, MACH_ACQUIRE);

	if (handler)
		handler(file, line, what);
	fprintf(stderr, "quire: CPU %u stopped at %s:%d: %s\n", threads_self.cpu, file, line, what);
	abort();
}
