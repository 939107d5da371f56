#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What recording costs the program that is recorded: the time from its start to
# its end, alone and by each way of seeing calls.  The runs are interleaved, the
# figures are medians.  The recorder's own start and end, some 0.3 s for opening
# and closing tracepoints, come on top and are the last column.
#
#	scripts/record-cost.sh [RUNS]	(default: 5)
#
# As root, for tracepoints; an ordinary user sees ptrace twice.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
quire=${QUIRE:-$root/build/release/cli/quire}
runs=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

cat >"$work/lap.c" <<'C'
/* lap FILE CMD...: adds to FILE the milliseconds that CMD took. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct timespec a, b;
	FILE *out = fopen(argv[1], "a");
	int status = 1;

	clock_gettime(CLOCK_MONOTONIC, &a);
	if (argc > 2 && vfork() == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	wait(&status);
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (!out)
		return 1;
	fprintf(out, "%.1f\n", (double)(b.tv_sec - a.tv_sec) * 1e3 +
		(double)(b.tv_nsec - a.tv_nsec) / 1e6);
	return status != 0;
}
C
cat >"$work/storm.c" <<'C'
/* storm KIND: a program that does one thing often. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static char *map(size_t pages)
{
	return mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
/* 200,000 calls on pages, touched before each of them or not. */
static void advise(int touch)
{
	char *at = map(16);

	for (int i = 0; i < 200000; i++) {
		char *page = at + i % 16 * 4096;

		if (touch)
			*page = 1;
		if (madvise(page, 4096, MADV_DONTNEED) != 0)
			abort();
	}
}
static void *thread(void *argument)
{
	for (int i = 0; i < 20; i++) {
		char *at = map(8);

		at[0] = 1;
		munmap(at + 4096, 4096);
	}
	return argument;
}
/* 500 threads, four at a time, each of 40 calls. */
static void threads(void)
{
	pthread_t id[4];

	for (int i = 0; i < 125; i++) {
		for (int j = 0; j < 4; j++)
			if (pthread_create(&id[j], NULL, thread, NULL) != 0)
				abort();
		for (int j = 0; j < 4; j++)
			pthread_join(id[j], NULL);
	}
}
static void forks(void)
{
	for (int i = 0; i < 500; i++) {
		if (fork() == 0)
			_exit(0);
		wait(NULL);
	}
}
int main(int argc, char **argv)
{
	if (argc < 2)
		return 1;
	if (strcmp(argv[1], "madvise") == 0 || strcmp(argv[1], "touched") == 0)
		advise(argv[1][0] == 't');
	else if (strcmp(argv[1], "threads") == 0)
		threads();
	else
		forks();
	return 0;
}
C
cc -O2 -o "$work/lap" "$work/lap.c"
cc -O2 -pthread -o "$work/storm" "$work/storm.c"
cp -R examples/build-project "$work/project"
head -c 24000000 /dev/urandom | od -An -v -tx1 >"$work/big"

# The command of a row.
row() {
	case $1 in
	build)
		rm -rf "$work/project/out"
		set -- make -s -j2 -C "$work/project"
		;;
	python)
		set -- python3 -c 'd = {str(i): [i] * 9 for i in range(300000)}; print(len(d))'
		;;
	sort)
		set -- sort -S 64M -T "$work" -o "$work/sorted" "$work/big"
		;;
	*)
		set -- "$work/storm" "$1"
		;;
	esac
	case $way in
	native)
		"$work/lap" "$work/$name.native" "$@" >/dev/null
		;;
	*)
		"$work/lap" "$work/$name.$way.whole" \
			"$quire" record -q -c "$way" -o "$work/out.quire" -- \
			"$work/lap" "$work/$name.$way" "$@" >/dev/null
		;;
	esac
}

median() {
	sort -n "$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'
}

unset MAKEFLAGS MAKELEVEL MFLAGS || true
printf '%-10s %9s %18s %18s %12s\n' program native tracepoint ptrace 'start, end'
for name in madvise touched build forks python sort threads; do
	for i in $(seq "$runs"); do
		for way in native tracepoint ptrace; do
			row "$name"
		done
	done
	awk -v name="$name" -v n="$(median "$work/$name.native")" \
		-v t="$(median "$work/$name.tracepoint")" -v p="$(median "$work/$name.ptrace")" \
		-v w="$(median "$work/$name.tracepoint.whole")" 'BEGIN {
		printf "%-10s %7.0f ms %7.0f ms (%5.2f) %7.0f ms (%5.2f) %9.0f ms\n",
			name, n, t, t / n, p, p / n, w - t }'
done
