/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmarks: each reads its own arguments and returns an exit status. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

int bench_fork(int argc, char **argv);
int bench_maple(int argc, char **argv);
int bench_ops(int argc, char **argv);
int bench_sharing(int argc, char **argv);

#endif
