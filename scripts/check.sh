#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# make check: every test, in the builds that can see what it looks for.
#
#   release  gcc, optimised: units, models, scenarios, differential, lint, replay
#   debug    clang, assertions and lock ranks, thread-safety analysis
#   asan     gcc, address and undefined sanitizers, with assertions
#   tsan     clang, thread sanitizer
#   count    gcc, optimised, cost counters
#
# Which test runs where is said in the test ("presets:").  QUIRE_PRESETS narrows
# the list for a quick look.
set -eu
cd "$(dirname "$0")/.."
presets=${QUIRE_PRESETS:-release debug asan tsan count}
jobs=$(nproc)
failed=""
total=0
start=$(date +%s)
for preset in $presets; do
	echo "== $preset: build"
	scripts/build.sh "$preset"
	echo "== $preset: tests"
	log=build/$preset/tests.log
	if ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error >"$log" 2>&1; then
		grep -E 'tests passed|Total Test time' "$log" || true
	else
		failed="$failed $preset"
		grep -vE '^ *[0-9]+/[0-9]+ Test +#[0-9]+: .* Passed ' "$log" || true
	fi
	ran=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#' "$log" || true)
	total=$((total + ran))
done
seconds=$(($(date +%s) - start))
if [ -n "$failed" ]; then
	echo "check: FAILED in:$failed (after $seconds s)"
	exit 1
fi
echo "check: all builds done in $seconds s"
echo "$total passed, 0 failed"
