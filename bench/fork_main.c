/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmark of forks as a program of its own. */
#include "bench/bench.h"

int main(int argc, char **argv)
{
	return bench_fork(argc, argv);
}
