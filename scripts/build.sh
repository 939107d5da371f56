#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# build.sh PRESET [TARGET...]: configures when needed and builds; progress is
# ninja's one line.  Without targets it builds the tests too, for which the
# packages of `make check` must be there.
set -eu
cd "$(dirname "$0")/.."
preset=$1
shift
mkdir -p build
log=build/$preset.configure.log
tests=OFF
[ $# -gt 0 ] || tests=ON
if [ ! -f "build/$preset/build.ninja" ] || { [ $tests = ON ] &&
	! grep -q '^QUIRE_TESTS:BOOL=ON' "build/$preset/CMakeCache.txt"; }; then
	if ! cmake --preset "$preset" -DQUIRE_TESTS=$tests >"$log" 2>&1; then
		cat "$log" >&2
		exit 1
	fi
fi
NINJA_STATUS="[$preset %f/%t] " exec ninja -C "build/$preset" "$@"
