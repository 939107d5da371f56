#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# `quire bench sharing`: exit status and message for bad input, tables that fit a
# terminal, JSON keys, and the counts, which hardly depend on the run.
set -u
quire=$1
counting=$2
. "$(dirname "$0")/../expect.sh"

expect 2 bytes 3M -- "$quire" bench sharing --bytes 3M
expect 2 bytes 0 -- "$quire" bench sharing --bytes 0
expect 2 bytes -- "$quire" bench sharing --bytes 64X
expect 2 bytes -- "$quire" bench sharing --bytes 99999999G
expect 2 folios 8k -- "$quire" bench sharing --folios 16k,8k
expect 2 rounds -- "$quire" bench sharing --rounds 0
expect 2 rounds -- "$quire" bench sharing --rounds 102
expect 2 part -- "$quire" bench sharing --part nonsense
expect 2 --check -- "$quire" bench sharing --part letter --check
expect 2 nonsense -- "$quire" bench sharing nonsense
expect 2 map/nonsense -- "$quire" bench sharing --row map/nonsense
expect 2 remap/16k/moments -- "$quire" bench sharing --row remap/16k/moments
expect 0 map/mm-ids -- "$quire" bench sharing --row map/mm-ids
expect 0 512 -- "$quire" bench sharing --bytes 2M --row fork/2m/owner
expect 0 --folios -- "$quire" bench sharing --help
expect 0 '"contention"' '"moments_to_mm_ids"' '"cores"' -- "$quire" bench sharing --part room --rounds 1 --json
expect 0 '"atomics_per_page"' '"rmap-ids"' '"2m-pages"' -- "$quire" bench sharing --part letter --bytes 2M --rounds 1 --json

# The plain build has its counts from the one that counts.
"$quire" bench sharing --part letter --bytes 16M --rounds 1 >"$work/plain" || bad=1
"$counting" bench sharing --part letter --bytes 16M --rounds 1 >"$work/counted" || bad=1
if awk 'length > 100 { print "too wide: " $0; found = 1 } END { exit !found }' "$work/plain"; then
	bad=1
fi
if grep -E '^  (atomics|locks).* -( |$)' "$work/plain"; then
	echo "that is not counted"; bad=1
fi

# Columns: moments -locked -wide one-word mm-ids rmap-ids owner total by-page per-sub.
# An entry is one atomic; pages that count by themselves are one more, and each
# fault that reuses one page is another that the folio's does not need.
for counts in plain counted; do awk '
	function about(what, got, want) {
		if (got - want > 0.02 || want - got > 0.02) {
			print what ": " got " atomics a page, not about " want; wrong = 1
		}
	}
	/^[0-9]/ { size = $1 }
	/^[a-z]/ { op = $1 }
	/^  atomics/ && size == "2m-pages" && op == "munmap" {
		about("munmap", $2, 1); about("munmap of mm-ids", $6, $2)
		about("munmap per subpage", $11, $2 + 1); seen++
	}
	/^  atomics/ && size == "2m-pages" && op == "fork" { about("fork", $2, 1); seen++ }
	/^  atomics/ && size == "2m-pages" && op == "reuse" { about("reuse", $2, 1); seen++ }
	/^  atomics/ && size == "2m" && op == "remap" {
		about("remap", $2, 0); about("remap per subpage", $11, 1); seen++
	}
	END { exit wrong || seen != 4 }' "$work/$counts" || {
	echo "$counts: counts are not as they should be"; bad=1; }
done
exit $bad
