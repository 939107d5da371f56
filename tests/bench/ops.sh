#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# `quire bench ops`: every row runs, on both sides and alone; bad input is told.
set -u
quire=$1
. "$(dirname "$0")/../expect.sh"
small="--rounds 3 --pages 512 --vmas 50"

# shellcheck disable=SC2086
if ! "$quire" bench ops $small >"$work/table"; then
	echo "bench ops failed"; cat "$work/table"; bad=1
fi
rows=$(awk '/^$/ { exit } NR > 1 { print $1 }' "$work/table")
grep -q '^host: Linux .* takes .* us$' "$work/table" || { echo "the host is not named"; bad=1; }
# What this host does otherwise is not compared with it.
if "$quire" host | grep -q '^  zero-page  *no'; then
	echo "$rows" | grep -qx zero-write && { echo "zero-write without a zero page"; bad=1; }
else
	echo "$rows" | grep -qx zero-write || { echo "no row zero-write"; bad=1; }
fi
for wanted in write-fault fork-vma; do
	echo "$rows" | grep -qx "$wanted" || { echo "no row $wanted"; bad=1; }
done
# A host that gives nobody large folios has no such rows, and says so.
for wanted in large-fault large-split large-reuse large-drop-part; do
	if "$quire" host | grep -q '^  thp  *never'; then
		echo "$rows" | grep -qx "$wanted" && { echo "$wanted without large folios"; bad=1; }
		grep -q "^left out.* $wanted\b" "$work/table" || { echo "$wanted is not named"; bad=1; }
	else
		echo "$rows" | grep -qx "$wanted" || { echo "no row $wanted"; bad=1; }
	fi
done
for row in $rows; do
	# shellcheck disable=SC2086
	"$quire" bench ops $small --row "$row" >/dev/null || { echo "row $row failed alone"; bad=1; }
done

expect 2 nonsense -- "$quire" bench ops --row nonsense
expect 2 nonsense -- "$quire" bench ops --decide nonsense
expect 2 reuse-scope=none -- "$quire" bench ops --decide reuse-scope=none
expect 2 --rounds -- "$quire" bench ops --rounds 0
exit $bad
