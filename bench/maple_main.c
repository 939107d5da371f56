/* SPDX-License-Identifier: BSD-2-Clause */
/* The maple benchmark as a program of its own: what callgrind runs. */
#include "bench/bench.h"
#include "bench/command.h"

int main(int argc, char **argv)
{
	return command_end("bench maple", bench_maple(argc, argv));
}
