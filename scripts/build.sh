#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# build.sh PRESET [TARGET...]: configures when needed and builds, quietly unless
# something is wrong; progress is ninja's one line.
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
mkdir -p build
log=build/$preset.configure.log
if [ ! -f "build/$preset/build.ninja" ]; then
	if ! cmake --preset "$preset" >"$log" 2>&1; then
		cat "$log" >&2
		exit 1
	fi
fi
NINJA_STATUS="[$preset %f/%t] " exec ninja -C "build/$preset" "$@"
