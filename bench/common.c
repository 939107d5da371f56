/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

double bench_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

double bench_thread_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned nr)
{
	qsort(values, nr, sizeof(*values), compare_doubles);
	return nr % 2 ? values[nr / 2] : (values[nr / 2 - 1] + values[nr / 2]) / 2;
}

int bench_decide(const char *command, const char *argument, struct quire_decisions *decisions)
{
	const char *equals = strchr(argument, '=');
	char row[64];

	if (equals != NULL && (size_t)(equals - argument) < sizeof(row)) {
		memcpy(row, argument, (size_t)(equals - argument));
		row[equals - argument] = '\0';
		if (quire_decisions_set(decisions, row, equals + 1) == 0)
			return 0;
	}
	fprintf(stderr, "%s: there is no decision '%s' (quire decisions lists them)\n", command,
		argument);
	return -1;
}
