#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# make run: records a real parallel build (the small project of
# examples/build-project, compiler and all), replays it on Quire, prints what
# Linux said beside what Quire says, and writes report.html.
set -eu
cd "$(dirname "$0")/.."
quire=build/release/cli/quire
work=build/run
rm -rf "$work"
mkdir -p "$work"
cp -R examples/build-project "$work/project"
echo "run: recording 'make -j2' of examples/build-project"
# A make above us must not share its jobs with the one we record.
env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS \
	"$quire" record -o "$work/build.quire" -- make -s -j2 -C "$work/project"
echo "run: replaying it"
"$quire" replay --report report.html "$work/build.quire"
echo "run: open report.html in a browser; the recording is $work/build.quire"
