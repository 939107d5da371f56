#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# make check-report: the HTML reports of a replay and of a comparison, opened in
# headless Chromium: the script of each ran to its end, every plot has been
# drawn, and nothing was asked of the network.  Leaves build/report-check/*.png
# to look at.
set -eu
cd "$(dirname "$0")/.."
quire=${QUIRE:-build/release/cli/quire}
work=build/report-check
mkdir -p "$work"
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

# check NAME PLOTS HEIGHT: the report $work/NAME.html
check() {
	if grep -qE '(src|href)="(https?:)?//' "$work/$1.html"; then
		echo "check-report: the report of $1 asks for something outside itself" >&2
		exit 1
	fi
	chrome="chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
		--disable-background-networking --disable-component-update --disable-sync
		--user-data-dir=$profile --virtual-time-budget=5000 --window-size=1120,$3"
	page="file://$(pwd | sed 's/ /%20/g')/$work/$1.html"
	# shellcheck disable=SC2086
	$chrome --dump-dom "$page" >"$work/$1.dom" 2>"$work/chromium.log"
	# shellcheck disable=SC2086
	$chrome --screenshot="$work/$1.png" "$page" >>"$work/chromium.log" 2>&1
	grep -q 'data-ready="yes"' "$work/$1.dom" || {
		echo "check-report: the script of $1's page did not finish" >&2
		exit 1
	}
	drawn=$(grep -oE '<canvas[^>]*style="[^"]*(width|display)[^"]*"' "$work/$1.dom" | wc -l)
	if [ "$drawn" -ne "$2" ]; then
		echo "check-report: $1: $drawn of $2 plots drawn" >&2
		exit 1
	fi
	echo "check-report: $1: $2 plots drawn; see $work/$1.png"
}

"$quire" replay --report "$work/replay.html" recordings/build.quire >"$work/replay.txt"
check replay 4 1560
"$quire" compare --folios 64k --report "$work/compare.html" recordings/daemon.quire >"$work/compare.txt"
check compare 2 3400
