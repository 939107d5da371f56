/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmark of operations as a program of its own: what callgrind runs. */
#include "bench/bench.h"

int main(int argc, char **argv)
{
	return bench_ops(argc, argv);
}
