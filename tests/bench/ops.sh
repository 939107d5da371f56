#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# `quire bench ops`: every row runs, on both sides and alone; bad input is told.
set -u
quire=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
small="--rounds 3 --pages 512 --vmas 50"

# shellcheck disable=SC2086
if ! "$quire" bench ops $small >"$work/table"; then
	echo "bench ops failed"; cat "$work/table"; bad=1
fi
rows=$(awk 'NR > 1 { print $1 }' "$work/table")
for wanted in write-fault fork-vma large-fault large-split large-reuse large-drop-part; do
	echo "$rows" | grep -qx "$wanted" || { echo "no row $wanted"; bad=1; }
done
for row in $rows; do
	# shellcheck disable=SC2086
	"$quire" bench ops $small --row "$row" >/dev/null || { echo "row $row failed alone"; bad=1; }
done

# refuse WORD ARGUMENT...: status 2, and the word in the message
refuse() {
	word=$1
	shift
	"$quire" bench ops "$@" >"$work/out" 2>&1
	got=$?
	if [ $got -ne 2 ] || ! grep -qF -- "$word" "$work/out"; then
		echo "expected status 2 and '$word', got $got: $*"; head -n 3 "$work/out"; bad=1
	fi
}
refuse nonsense --row nonsense
refuse nonsense --decide nonsense
refuse reuse-scope=none --decide reuse-scope=none
refuse --rounds --rounds 0
exit $bad
