#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Programs with a known life, recorded here and replayed: each figure is within one
# percent of Linux's, or the gap has a cause; no fault is left unexplained; nothing is
# refused that Linux granted.  As root and as an ordinary user.
set -u
quire=$1
subject=$2
. "$(dirname "$0")/../expect.sh"

# check PART STATUS: what the program returns is what quire record returns
check() {
	expect "$2" -- "$quire" record -q -o "$work/r" -- "$subject" "$1"
	expect 0 '"unexplained": 0' '"touches_refused": 0' '"signals_missed": 0' \
		'"results_different": 0' -- "$quire" replay --json "$work/r"
	if grep -E '"unexplained": -?[1-9]' "$work/out"; then
		echo "$1: something is left unexplained"; bad=1
	fi
}

for part in read-first direct reach beside seal barrier cut segment shm vfork exec-thread; do
	check $part 0
done
check touch 7
check fork 3
check kill 137
# By the source that is open to every ordinary user.
expect 0 -- "$quire" record -q -s perf-user -o "$work/r" -- "$subject" barrier
expect 0 '"touches_refused": 0' '"signals_missed": 0' -- "$quire" replay --json "$work/r"
[ $bad = 0 ] && echo "recorded here: all as Linux said, or with a cause"
exit $bad
