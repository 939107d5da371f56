/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same program on the core that counts its costs.  `quire` carries it in
 * itself, whole, so that a copy of quire alone, under any name, can compare.
 */
#ifndef BENCH_COUNTING_H
#define BENCH_COUNTING_H

/* Becomes that program with these arguments; returns a negative errno only. */
int counting_become(char *const argv[]);

#endif
