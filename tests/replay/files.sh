#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Files that commands write: nothing that stood there is damaged, and what is
# good of a recording that cannot be completed is left where the message says.
set -u
quire=$(readlink -f "$1")
recordings=$2
. "$(dirname "$0")/../expect.sh"
cd "$work" || exit 1
good=$recordings/pipeline.quire
cat >log.strace <<'LOG'
100 execve("/bin/true", ["true"], 0x7ffc /* 20 vars */) = 0
100 exit_group(0) = ?
100 +++ exited with 0 +++
LOG
wrong() { echo "$*"; bad=1; }
kind() { stat -c %F "$1"; }
# None of these lines may leave a part behind.
no_parts() { for part in *.part* */*.part*; do [ ! -e "$part" ] || wrong "$1 left $part"; done; }
# every CHECK FILE: each command that writes a file, told to write FILE
record() { "$quire" record -q -o "$1" -- true; }
import() { "$quire" import strace log.strace -o "$1"; }
replay_report() { "$quire" replay --report "$1" "$good"; }
compare_report() { "$quire" compare --rows cow-reuse --report "$1" "$good"; }
writers="record import replay_report compare_report"

# A folder, a name in a folder that is not there, a block device: refused.
mkdir folder
for writer in $writers; do
	status=1
	[ $writer = record ] && status=125
	expect $status 'is a folder' -- $writer folder
	expect $status none/file -- $writer none/file
	expect $status 'cannot' -- $writer ''
done
no_parts "a refused name"
[ -z "$(ls folder)" ] || wrong "something was written into a folder"

# What is no regular file is written to and stays what it is.
mkfifo fifo
for writer in $writers; do
	timeout 30 cat fifo >got &
	expect 0 -- $writer fifo
	wait $!
	[ "$(kind fifo)" = fifo ] || wrong "$writer replaced a FIFO"
	[ -s got ] || wrong "$writer wrote nothing into a FIFO"
done
expect 125 'No space left' -- record /dev/full
expect 1 'No space left' -- replay_report /dev/full
[ "$(kind /dev/full)" = 'character special file' ] || wrong "/dev/full is gone"
if [ "$(id -u)" = 0 ] && mknod full c 1 7 2>/dev/null && ( : >full ) 2>/dev/null; then
	expect 125 'No space left' -- record full
	expect 1 'No space left' -- import full
	[ "$(kind full)" = 'character special file' ] || wrong "a device was replaced by a file"
	rm full
fi
if [ "$(id -u)" = 0 ] && mknod block b 7 250 2>/dev/null; then
	expect 125 'block device' -- record block
	[ "$(kind block)" = 'block special file' ] || wrong "a block device was replaced"
	rm block
fi
record /dev/stdout >piped
"$quire" show piped >/dev/null || wrong "a recording to /dev/stdout cannot be read"
[ -L /dev/stdout ] || wrong "/dev/stdout is gone"
no_parts "a special file"

# A link stays a link; what it leads to is written, beside itself.
mkdir there
for writer in $writers; do
	ln -sf there/real link
	ln -sf link longer
	rm -f there/real
	expect 0 -- $writer longer
	[ -L link ] && [ -L longer ] || wrong "$writer replaced a link"
	[ -s there/real ] || wrong "$writer did not write what a link leads to"
	echo old >there/real
	expect 0 -- $writer longer
	[ -L link ] && [ -L longer ] || wrong "$writer replaced a link"
	[ "$(stat -c %s there/real)" -gt 100 ] || wrong "$writer did not replace what a link leads to"
done
ln -s loop loop
expect 125 loop -- record loop
no_parts "a link"

# Permissions: of the old file; of a new one, what the umask leaves.
for writer in $writers; do
	echo old >kept
	chmod 640 kept
	expect 0 -- $writer kept
	[ "$(stat -c %a kept)" = 640 ] || wrong "$writer changed permissions to $(stat -c %a kept)"
	for mask in 022 077 002; do
		rm -f new
		( umask $mask; $writer new >/dev/null )
		[ "$(stat -c %a new)" = $(printf '%o' $((0666 & ~0$mask))) ] ||
			wrong "$writer with umask $mask: $(stat -c %a new)"
	done
done
echo old >read-only
chmod 444 read-only
if [ "$(id -u)" != 0 ]; then
	expect 125 'Permission denied' -- record read-only
	[ "$(cat read-only)" = old ] || wrong "a read-only file was replaced"
fi

# What cannot be completed leaves the old file, and no part where there is no use of it.
echo precious >old
expect 127 no-such -- "$quire" record -o old -- /no-such-program
[ "$(cat old)" = precious ] || wrong "the old file is gone"
echo 'mmap(NULL, 8192, PROT_READ' >bad.strace
expect 1 bad.strace -- "$quire" import strace bad.strace -o old
[ "$(cat old)" = precious ] || wrong "the old file is gone"
no_parts "a failure"

# Two recorders of one name: the last one wins whole.
"$quire" record -q -o both -- sh -c 'sleep 1; ls / >/dev/null' &
first=$!
"$quire" record -q -o both -- sh -c 'exit 4'
[ $? = 4 ] || wrong "the second recorder failed"
expect 0 "sh -c exit 4" -- "$quire" show both
wait $first || wrong "the first recorder failed"
expect 0 "sleep 1" -- "$quire" show both
no_parts "two recorders"

# Killed: all but the last second is in FILE.part, for every command that reads.
"$quire" record -q -o killed -- sh -c 'while :; do ls / >/dev/null; sleep 0.1; done' 2>/dev/null &
victim=$!
sleep 3
kill -9 $victim
wait $victim 2>/dev/null
[ ! -e killed ] || wrong "half a recording stands under its name"
expect 1 'cut short' /ls -- "$quire" show killed.part
expect 1 'cut short' faults -- "$quire" replay killed.part
[ "$("$quire" show killed.part 2>/dev/null | grep -c ls)" -ge 5 ] || wrong "too little is left"
# A recorder of the same name leaves it alone.
cp killed.part copy
expect 0 -- record killed
cmp -s copy killed.part || wrong "another recorder's part was written to"
rm killed.part

# No room for more: it is said, the program goes on, and what is good is left.
full='sleep 2; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ls -lR /usr/share/doc >/dev/null; done'
disk() { # disk FOLDER: there is room for some KiB only
	expect 125 'is not recorded any more' "$1/out.part" 'came to its end' -- \
		"$quire" record -o "$1/out" -- sh -c "$full; echo came to its end"
	[ ! -e "$1/out" ] || wrong "half a recording stands under its name"
	expect 1 'cut short' /sleep -- "$quire" show "$1/out.part"
	rm -f "$1/out.part"
}
mkdir small
( ulimit -f 16; disk small; exit $bad ) || bad=1
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=8k none small 2>/dev/null; then
	disk small
	expect 1 'No space left' -- replay_report small/report.html
	[ ! -e small/report.html ] || wrong "half a report was left"
	umount small
fi
[ $bad = 0 ] && echo "files: all as expected"
exit $bad
