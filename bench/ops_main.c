/* SPDX-License-Identifier: BSD-2-Clause */
/* The benchmark of operations as a program of its own: what callgrind runs. */
#include "bench/bench.h"
#include "bench/command.h"

int main(int argc, char **argv)
{
	return command_end("bench ops", bench_ops(argc, argv));
}
