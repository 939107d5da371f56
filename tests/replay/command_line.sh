#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The quire command with good and bad input: exit status, message, JSON keys.
set -u
quire=$1
recordings=$2
. "$(dirname "$0")/../expect.sh"
good=$recordings/pipeline.quire
head -c 3000 "$good" >"$work/truncated"
cp "$good" "$work/corrupt"
printf 'XXXX' | dd of="$work/corrupt" bs=1 seek=2000 conv=notrunc 2>/dev/null
echo "this is no recording" >"$work/foreign"
: >"$work/empty"
echo 'mmap(NULL, 8192, PROT_READ' >"$work/bad.strace"
cat >"$work/good.strace" <<'LOG'
100 execve("/bin/true", ["true"], 0x7ffc /* 20 vars */) = 0
100 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000
100 munmap(0x7f0000000000, 8192) = 0
100 exit_group(0) = ?
100 +++ exited with 0 +++
LOG

expect 0 faults 'exact' -- "$quire" replay "$good"
expect 0 '"linux"' '"quire"' '"faults"' '"cow_copies"' '"peak_rss_bytes"' '"peak_page_table_bytes"' '"vmas"' '"lost_calls"' '"duration_us"' -- "$quire" replay --json "$good"
expect 0 report -- "$quire" replay --report "$work/report.html" "$good"
[ -s "$work/report.html" ] || { echo "no report written"; bad=1; }
expect 1 'report.html' -- "$quire" replay --report "$work/none/report.html" "$good"
expect 0 '"results"' '"decisions"' '"cost"' '"fork-tree"' -- "$quire" compare --json "$good"
expect 0 fork-tree -- "$quire" compare --rows fork-tree "$good"
expect 2 nonsense -- "$quire" compare --rows nonsense "$good"
expect 0 faults 'folios there are was chosen' -- "$quire" replay --folios 16k,2m "$good"
expect 0 faults -- "$quire" replay --folios 4k "$good"
expect 2 "'8k'" 16k 2m all -- "$quire" replay --folios 8k "$good"
expect 2 "'4m'" 16k 2m all -- "$quire" replay --folios 64k,4m "$good"
expect 2 "'64'" -- "$quire" replay --folios 64 "$good"
expect 2 "'-64k'" -- "$quire" compare --folios -64k "$good"
expect 2 "'18014398509481988k'" -- "$quire" replay --folios 18014398509481988k "$good"
expect 2 "sizes" -- "$quire" compare --folios , "$good"
expect 0 '"queries"' '"false_shared"' '"false_exclusive"' '"copies_avoided"' '"atomics_per_map"' '"bytes_per_folio"' -- "$quire" compare --rows sharing --folios all --json "$good"
expect 0 moments mm-ids 'by three or more' 'false' -- "$quire" compare --rows sharing --folios 64k "$good"
expect 0 'asked for none' -- "$quire" compare --rows sharing "$good"
expect 0 'replay 1 of 12: cow-reuse' 'replay 12 of 12' -- "$quire" compare --progress --rows cow-reuse "$good"
expect 1 "$work/truncated" -- "$quire" compare --rows sharing "$work/truncated"
expect 0 report -- "$quire" compare --rows sharing,cow-reuse --folios 64k --report "$work/arena.html" "$good"
[ -s "$work/arena.html" ] || { echo "no report of a comparison written"; bad=1; }
if grep -qE '@(DATA|STYLE|CHART|COMMON)@' "$work/arena.html" "$work/report.html"; then echo "a part of a report is missing"; bad=1; fi
expect 1 'arena.html' -- "$quire" compare --rows cow-reuse --report "$work/none/arena.html" "$good"
expect 0 '"row"' '"alternative"' '"mm-ids"' '"question"' -- "$quire" compare --rows sharing --json "$good"
"$quire" compare --folios all "$good" >"$work/tables"
if grep -nE '.{101}' "$work/tables"; then echo "lines of compare longer than 100 columns"; bad=1; fi
expect 0 next-as-ceiling -- "$quire" decisions
expect 2 'nonsense' -- "$quire" nonsense
expect 2 'ROW=ALTERNATIVE' -- "$quire" replay --decide nonsense "$good"
expect 2 'nonsense' -- "$quire" replay --decide fork-tree=nonsense "$good"
expect 0 faults -- "$quire" replay --decide fork-tree=insert-each "$good"
expect 2 missing -- "$quire" replay
expect 1 "$work/none" -- "$quire" replay "$work/none"
expect 1 "$work/truncated" faults -- "$quire" replay "$work/truncated"
expect 1 "$work/corrupt" -- "$quire" replay "$work/corrupt"
expect 1 "$work/foreign" -- "$quire" replay "$work/foreign"
expect 1 "$work/empty" -- "$quire" replay "$work/empty"
expect 1 "$work/truncated" -- "$quire" show -e "$work/truncated"
expect 127 'no-such-program' -- "$quire" record -o "$work/r" -- /no-such-program
[ ! -e "$work/r" ] || { echo "a recording of nothing was left"; bad=1; }
expect 2 nonsense -- "$quire" record -s nonsense -o "$work/r" -- true
expect 0 pagemap -- "$quire" record -s pagemap -o "$work/r" -- true
expect 3 -- "$quire" record -q -o "$work/r" -- sh -c 'exit 3'
expect 0 faults -- "$quire" replay "$work/r"
expect 137 -- "$quire" record -q -o "$work/r" -- sh -c 'kill -9 $$'
expect 0 faults -- "$quire" replay "$work/r"
expect 0 faults -- "$quire" replay -- true
expect 1 'bad.strace' 1 -- "$quire" import strace "$work/bad.strace" -o "$work/r2"
expect 0 -- "$quire" import strace "$work/good.strace" -o "$work/r2"
expect 0 -- "$quire" replay "$work/r2"
expect 0 mmap -- "$quire" show -e "$work/r2"
[ $bad = 0 ] && echo "command line: all as expected"
exit $bad
