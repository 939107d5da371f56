#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# make check-mutants [ONLY=name]: plants each defect of tests/mutants.txt in a
# copy of the tree, one at a time, and runs the tests that the list names: they
# must fail.  A defect that lives, or that no longer applies, fails this check.
#
# A line of the list:
#   name ; preset ; targets to build ; tests (a ctest regex) ; file ; sed script
set -eu
cd "$(dirname "$0")/.."
top=$(pwd)
copy=$top/build/mutants
only=${ONLY:-}
mkdir -p "$copy"
# The copy keeps its builds from one defect to the next; only sources are laid anew.
lay() {
	git ls-files -z | tar --null -T - -cf - | tar -C "$copy" -xf - --skip-old-files
	git ls-files | while IFS= read -r path; do
		cmp -s "$path" "$copy/$path" || cp -p "$path" "$copy/$path"
	done
}
killed=0
bad=""
while IFS=';' read -r name preset targets tests file script; do
	name=$(echo "$name" | tr -d ' ')
	case $name in '' | '#'*) continue ;; esac
	[ -z "$only" ] || [ "$only" = "$name" ] || continue
	preset=$(echo "$preset" | tr -d ' ')
	tests=$(echo "$tests" | sed 's/^ *//; s/ *$//')
	file=$(echo "$file" | tr -d ' ')
	script=$(echo "$script" | sed 's/^ *//; s/ *$//')
	lay
	sed -i "$script" "$copy/$file"
	if cmp -s "$file" "$copy/$file"; then
		printf '%-28s does not apply to %s\n' "$name" "$file"
		bad="$bad $name"
		continue
	fi
	log=$copy/build/$name.log
	mkdir -p "$copy/build"
	if ! (cd "$copy" && cmake --preset "$preset" -DQUIRE_TESTS=ON && eval "ninja -C build/$preset $targets") >"$log" 2>&1; then
		printf '%-28s does not compile; see %s\n' "$name" "$log"
		bad="$bad $name"
	elif (cd "$copy" && ctest --test-dir "build/$preset" -R "$tests" --no-tests=error --timeout 120) >"$log" 2>&1; then
		printf '%-28s LIVES: %s did not see it\n' "$name" "$tests"
		bad="$bad $name"
	elif grep -qE 'No tests were found|\(Not Run\)' "$log"; then
		printf '%-28s some of %s could not run; see %s\n' "$name" "$tests" "$log"
		bad="$bad $name"
	else
		killed=$((killed + 1))
		printf '%-28s seen by %s\n' "$name" "$(sed -n 's/^ *[0-9]* - \([^ ]*\) (.*/\1/p' "$log" | head -n 1)"
	fi
done <tests/mutants.txt
if [ -n "$bad" ]; then
	echo "check-mutants: $killed seen; NOT:$bad" >&2
	exit 1
fi
echo "check-mutants: all $killed planted defects were seen"
