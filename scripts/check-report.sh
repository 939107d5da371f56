#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# make check-report: the HTML report of a kept recording, opened in headless
# Chromium: its script ran to the end, every plot has been drawn, and nothing
# was asked of the network.  Leaves build/report-check/report.png to look at.
set -eu
cd "$(dirname "$0")/.."
work=build/report-check
mkdir -p "$work"
build/release/cli/quire replay --report "$work/report.html" recordings/build.quire >"$work/replay.txt"
if grep -qE '(src|href)="(https?:)?//' "$work/report.html"; then
	echo "check-report: the report asks for something outside itself" >&2
	exit 1
fi
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
chrome="chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
	--disable-background-networking --disable-component-update --disable-sync
	--user-data-dir=$profile --virtual-time-budget=5000 --window-size=1120,1560"
page="file://$(pwd | sed 's/ /%20/g')/$work/report.html"
# shellcheck disable=SC2086
$chrome --dump-dom "$page" >"$work/dom.html" 2>"$work/chromium.log"
# shellcheck disable=SC2086
$chrome --screenshot="$work/report.png" "$page" >>"$work/chromium.log" 2>&1
grep -q 'data-ready="yes"' "$work/dom.html" || {
	echo "check-report: the page's script did not finish" >&2
	exit 1
}
drawn=$(grep -oE '<canvas[^>]*style="[^"]*(width|display)[^"]*"' "$work/dom.html" | wc -l)
if [ "$drawn" -ne 4 ]; then
	echo "check-report: $drawn of 4 plots drawn" >&2
	exit 1
fi
echo "check-report: 4 plots drawn; see $work/report.png"
