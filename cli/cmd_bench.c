/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "commands.h"

static const char help_text[] =
	"quire bench fork|maple|ops|sharing [options]\n\n"
	"  fork     forks per second by number of VMAs, for each fork-tree alternative\n"
	"  maple    the maple tree's operations, 21 to 100,000 ranges\n"
	"  ops      faults, copies, unmaps and forks, beside the host kernel's own\n"
	"  sharing  who maps a large folio: what each way to know it costs\n\n"
	"  -h, --help     this text; each benchmark has its own\n"
	"  -V, --version  which quire this is\n\n"
	"Examples:\n"
	"  quire bench fork --letter\n"
	"  quire bench sharing --part room --rounds 1\n";

int cmd_bench(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		fputs(help_text, argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : 0;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return command_version();
	if (argv[1][0] == '-')
		return command_usage_error("bench", "there is no option '%s'", argv[1]);
	if (strcmp(argv[1], "fork") == 0)
		return bench_fork(argc - 1, argv + 1);
	if (strcmp(argv[1], "maple") == 0)
		return bench_maple(argc - 1, argv + 1);
	if (strcmp(argv[1], "ops") == 0)
		return bench_ops(argc - 1, argv + 1);
	if (strcmp(argv[1], "sharing") == 0)
		return bench_sharing(argc - 1, argv + 1);
	return command_usage_error("bench", "there is no benchmark '%s'", argv[1]);
}
