/* SPDX-License-Identifier: BSD-2-Clause */
/* What several benchmarks need. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <quire/decisions.h>

double bench_now_ns(void);
/* Of this thread alone: what others do to its core is no part of it. */
double bench_thread_ns(void);
/* Of nr >= 1 values, which are sorted on the way. */
double bench_median(double *values, unsigned nr);

/* --decide ROW=ALTERNATIVE: 0, or -1 with a message of the command's. */
int bench_decide(const char *command, const char *argument, struct quire_decisions *decisions);

#endif
