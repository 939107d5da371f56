/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmark of forks as a program of its own. */
#include "bench/bench.h"
#include "bench/command.h"

int main(int argc, char **argv)
{
	return command_end("bench fork", bench_fork(argc, argv));
}
