#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What all commands do alike: their options and help texts, what they say of
# wrong ones, standard output that cannot be written, signals, a copy of quire
# that stands alone.
set -u
quire=$(readlink -f "$1")
recordings=$2
. "$(dirname "$0")/../expect.sh"
docs=$(readlink -f "$(dirname "$0")/../../docs")
cd "$work" || exit 1
good=$recordings/pipeline.quire
wrong() { echo "$*"; bad=1; }
commands="record replay compare show import decisions bench"
benches="fork maple ops sharing"

# ---- help and version ----
each() { # each DO: for the arguments that name each command
	for command in $commands; do $1 "$command" || return; done
	for bench in $benches; do $1 bench "$bench" || return; done
}
asked() {
	expect 0 Examples: -- "$quire" "$@" --help
	cp out "help.$(echo "$*" | tr ' ' -)"
	expect 0 Examples: -- "$quire" "$@" -h
	for option in --version -V; do
		expect 0 'quire 0' -- "$quire" "$@" $option
		cmp -s out version || wrong "quire $* $option says another version"
	done
	expect 2 "quire $*: there is no option '--nonsense'" "try: quire $* --help" -- "$quire" "$@" --nonsense
	expect 2 "quire $*: there is no option '-~'" "try: quire $* --help" -- "$quire" "$@" -~
	[ "$(wc -l <out)" = 1 ] || wrong "quire $* -~ says too much"
}
"$quire" --version >version
each asked
expect 0 Examples: -- "$quire" --help
cp out help.quire
expect 0 'quire replay' -- "$quire" help replay
cmp -s out help.replay || wrong "quire help replay is not quire replay --help"
expect 2 nonsense -- "$quire" help nonsense
expect 2 "no option '--nonsense'" -- "$quire" --nonsense
expect 2 "option '-o' needs a value" -- "$quire" record -o
expect 2 "option '--decide' needs a value" -- "$quire" replay --decide
expect 2 "option '--json' takes no value" -- "$quire" replay --json=yes "$good"
expect 0 'quire 0' -- "$quire" record -q -o version.quire -- "$quire" --version

# ---- one letter for one option, over all commands; docs/commands.md has them all ----
sed -n 's/^  -\([A-Za-z]\), --\([a-z-]*\).*/\1 \2/p' help.* | sort -u >pairs
sed -n 's/^  --\([a-z-]*\).*/- \1/p' help.* | sort -u >>pairs
[ "$(wc -l <pairs)" -gt 20 ] || wrong "the help texts have no options"
twice=$(cut -d' ' -f2 pairs | sort | uniq -d)
[ -z "$twice" ] || wrong "one option, several letters (or none): $twice"
twice=$(cut -d' ' -f1 pairs | grep -v '^-' | sort | uniq -d)
[ -z "$twice" ] || wrong "one letter, several options: $twice"
while read -r letter option; do
	[ "$letter" = - ] && row="| \`--$option\` |" || row="| \`-$letter\`, \`--$option\` |"
	grep -qF -- "$row" "$docs/commands.md" || wrong "docs/commands.md has no row: $row"
done <pairs
# What the help says is what is understood: an option there is none of is said so.
for help in help.*; do
	command=$(echo "${help#help.}" | sed 's/^bench-/bench /')
	[ "$command" = quire ] && continue
	for option in $(sed -n 's/^  \(-[A-Za-z]\), --.*/\1/p; s/^  -[A-Za-z], \(--[a-z-]*\).*/\1/p; s/^  \(--[a-z-]*\).*/\1/p' "$help"); do
		# shellcheck disable=SC2086
		"$quire" $command "$option" --nonsense >out 2>&1 </dev/null
		if grep -qF -- "no option '$option'" out; then wrong "quire $command does not know $option"; fi
	done
done </dev/null

# ---- the examples work ----
mkdir examples bin
ln -s "$quire" bin/quire
cp /dev/null examples/ls.strace
cat >examples/ls.strace <<'LOG'
100 execve("/bin/ls", ["ls"], 0x7ffc /* 20 vars */) = 0
100 exit_group(0) = ?
100 +++ exited with 0 +++
LOG
cat >examples/ls.perf <<'LOG'
  ls 100/100  1.000001: PERF_RECORD_COMM exec: ls:100/100
  ls 100/100  1.000002: PERF_RECORD_MMAP2 100/100: [0x7ffc00000000(0x21000) @ 0x7ffffffde000 00:00 0 0]: rw-p [stack]
  ls 100/100  1.000003:            page-faults:u:     7ffc00020000     55d87088f000
  ls 100/100  1.000004: PERF_RECORD_EXIT(100:100):(1:1)
LOG
for help in help.record $(ls help.* | grep -vx help.record); do
	sed '1,/^Examples/d' "$help" >lines
	[ "$(grep -c '^  quire ' lines)" -ge 2 ] || wrong "$help: fewer than two examples"
	while read -r line; do
		( cd examples && PATH="$work/bin:$PATH" timeout 120 sh -c "$line" ) >out 2>&1 </dev/null ||
			{ wrong "$help: this does not work: $line"; said; }
	done <lines
done

# ---- standard output ----
unwritable() {
	"$quire" "$@" >/dev/full 2>out
	status=$?
	[ $status -eq 1 ] || wrong "quire $* > /dev/full ends with $status"
	grep -q '^quire.*: cannot write to standard output: No space left on device$' out ||
		{ wrong "quire $* > /dev/full says:"; said; }
}
help_unwritable() { unwritable "$@" --help; unwritable "$@" --version; }
each help_unwritable
# By a name that is one word, wherever this tree lies.
cp "$good" kept.quire
for arguments in --help --version decisions "show kept.quire" "show -e -t -M kept.quire" "replay kept.quire" \
	"replay --json kept.quire" "compare --rows cow-reuse kept.quire" "compare --json --rows cow-reuse kept.quire" \
	"bench fork --letter" "bench sharing --part room --rounds 1 --json" \
	"bench ops --row fork-vma --rounds 1 --vmas 50"; do
	# shellcheck disable=SC2086
	unwritable $arguments
done
# A reader that has gone is no news, but a failure.
( trap '' PIPE; "$quire" show -e -t "$good" 2>said; echo $? >status ) | :
[ "$(cat status)" = 1 ] || wrong "a closed pipe gives status $(cat status)"
[ ! -s said ] || wrong "a closed pipe is complained of: $(cat said)"

# ---- a copy of the one file, under another name, elsewhere ----
mkdir alone
cp "$quire" alone/q
ln -s alone/q link
for program in alone/q ./link; do
	expect 0 fork-tree -- $program compare --rows fork-tree "$good"
	expect 0 atomics -- $program bench sharing --part letter --bytes 16M --rounds 1 --folios 16k
	if grep 'not counted' out; then wrong "atomics are not counted"; fi
done

# ---- signals: the command gets them, and keeps its own status ----
cat >patient.sh <<'SH'
trap 'exit 7' TERM HUP INT QUIT
: >ready
while :; do sleep 0.1; done
SH
send() { # send SIGNAL STATUS: to a recorder whose command exits 7 on it
	rm -f ready signal.quire
	"$quire" record -q -o signal.quire -- sh patient.sh &
	pid=$!
	while [ ! -e ready ]; do sleep 0.05; done
	kill -s "$1" $pid
	wait $pid
	got=$?
	[ $got = 7 ] || wrong "SIG$1 to the recorder: status $got"
	expect 0 patient.sh -- "$quire" show signal.quire
}
# A shell starts what it runs in the background with SIGINT ignored: not these.
send TERM
send HUP
rm -f ready
"$quire" record -q -o stubborn.quire -- sh -c 'trap "" TERM; : >ready; sleep 20' &
pid=$!
while [ ! -e ready ]; do sleep 0.05; done
kill $pid
sleep 1
kill $pid
wait $pid
[ $? = 137 ] || wrong "a second SIGTERM does not kill"
expect 0 'sig 9' -- "$quire" show stubborn.quire
rm -f ready
"$quire" record -q -o left.quire -- sh -c ': >ready; sleep 20 & exit 5' &
pid=$!
while [ ! -e ready ]; do sleep 0.05; done
sleep 0.3
kill $pid
wait $pid
[ $? = 5 ] || wrong "what a command leaves behind is not ended"
expect 0 'sig 15' -- "$quire" show left.quire

# ---- what is different under the recorder is said and noted ----
if command -v strace >/dev/null && strace -o log true 2>/dev/null; then
	expect 1 "quire record: strace" 'one tracer' -- "$quire" record -q -o traced.quire -- strace -o log true
	expect 0 'note strace' -- "$quire" show -e traced.quire
	sleep 30 &
	outside=$!
	expect 124 attached -- "$quire" record -q -o traced.quire -- timeout 1 strace -o log -p $outside
	kill $outside
fi
expect 0 -- "$quire" record -q -o plain.quire -- true
[ ! -s out ] || { wrong "an ordinary program is warned of"; said; }
su=$(command -v su)
if [ "$(id -u)" = 0 ]; then
	chmod 777 .
	as() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
else
	as() { "$@"; }
fi
if [ -u "$su" ]; then
	as "$quire" record -q -o su.quire -- "$su" --help >out 2>&1 || { wrong "su does not run"; said; }
	grep -q 'quire record: su .*is set-user-ID, but keeps' out || { wrong "nothing is said of su"; said; }
	expect 0 'note su' -- "$quire" show -e su.quire
fi
[ $bad = 0 ] && echo "manners: all as expected"
exit $bad
