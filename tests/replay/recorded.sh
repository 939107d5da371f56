#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Programs with a known life, recorded here and replayed: each figure is within one
# percent of Linux's, or the gap has a cause; no fault is left unexplained; nothing is
# refused that Linux granted.  As root and as an ordinary user.
set -u
quire=$1
subject=$2
. "$(dirname "$0")/../expect.sh"

# says PART WORD...: the replay's words, without blanks
says() {
	part=$1
	shift
	for word; do
		grep -qF -- "$word" "$work/flat" || { echo "$part: no $word"; bad=1; }
	done
}

# play PART STATUS OPTION...: what the program returns is what quire record returns
play() {
	part=$1
	status=$2
	shift 2
	expect "$status" -- "$quire" record -q "$@" -o "$work/r" -- "$subject" "$part"
	expect 0 -- "$quire" replay --json "$work/r"
	tr -d ' \n' <"$work/out" >"$work/flat"
	says "$part" '"touches_refused":0' '"signals_missed":0' '"results_different":0'
	if grep -qE '"unexplained":-?[1-9]' "$work/flat"; then
		echo "$part: something is left unexplained"; bad=1
	fi
}

# exact PART STATUS OPTION...: as play; an exact source gives the same faults, on the
# same pages
exact() {
	play "$@"
	if grep -qF '"source":"tracepoint-exact"' "$work/flat"; then
		says "$1" '"gaps":{"faults":{"explained":0,'
		if grep -qF kernel-unplaced "$work/flat"; then
			echo "$1: the kernel's faults are on unknown pages"; bad=1
		fi
	fi
}

for part in read-first reach beside seal barrier segment shm vfork; do
	exact $part 0
done
# What came before a fork is looked at before the fork only if that is a stop.
exact direct 0 -c ptrace
play direct 0
exact touch 7
exact fork 3
play kill 137
play cut 0
# By the source that is open to every ordinary user.
play barrier 0 -s perf-user
play fork 3 -s perf-user

# Who gets folios of 64 KiB is changed, before and in the middle, where that is permitted:
# what is recorded follows it, and it is put back.
sizes=/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled
if [ -w "$sizes" ]; then
	was=$(sed 's/.*\[\(.*\)\].*/\1/' "$sizes")
	put_back() { echo "$was" >"$sizes"; }
	trap 'put_back; exit 1' HUP INT TERM
	echo always >"$sizes"
	# What exec itself fills is large folios, too.  Linux moves them before the program
	# runs, so that they may lie elsewhere than here.
	filler=$(printf %0100000d 0)
	export filler
	play touch 7
	play fork 3
	unset filler
	expect 0 -- "$quire" record -q -o "$work/r" -- sh -c 'echo never >'"$sizes"'; sleep 0.1; echo always >'"$sizes"'; sleep 0.1'
	put_back
	trap - HUP INT TERM
	expect 0 thp-order-4=never thp-order-4=always -- "$quire" show -e "$work/r"
fi
[ $bad = 0 ] && echo "recorded here: all as Linux said, or with a cause"
exit $bad
