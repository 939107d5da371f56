# SPDX-License-Identifier: BSD-2-Clause
# Sourced by tests of commands.  They end with: exit $bad
# shellcheck shell=sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
# What the last command said, its first lines.
said() {
	sed 's/^/    /' "$work/out" | head -n 12
}
# expect STATUS WORD... -- COMMAND...: status, and each word in the output
expect() {
	status=$1
	shift
	words=""
	while [ "$1" != -- ]; do words="$words $1"; shift; done
	shift
	"$@" >"$work/out" 2>&1
	got=$?
	if [ $got -ne "$status" ]; then
		echo "expected $status, got $got: $*"; said; bad=1
	fi
	for word in $words; do
		grep -qF -- "$word" "$work/out" || { echo "no '$word' in the output of: $*"; said; bad=1; }
	done
}
