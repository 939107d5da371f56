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
mkdir -p "$copy/build"
# The copy keeps its builds from one defect to the next; only sources that differ
# are laid anew, with a new time, so that they are compiled again.
lay() {
	git ls-files -z | tar --null -T - -cf - | tar -C "$copy" -xf - --skip-old-files
	git ls-files | while IFS= read -r path; do
		cmp -s "$path" "$copy/$path" || cp "$path" "$copy/$path"
	done
}
build_and_test() { # PRESET TARGETS TESTS LOG: 0 passed, 1 failed, 2 not built
	(cd "$copy" && cmake --preset "$1" -DQUIRE_TESTS=ON && eval "ninja -C build/$1 $2") >"$4" 2>&1 || return 2
	(cd "$copy" && ctest --test-dir "build/$1" -R "$3" --no-tests=error --timeout 120) >"$4" 2>&1 || return 1
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
	script=$(printf '%s\n' "$script" | sed 's/^ *//; s/ *$//')
	lay
	sed -i "$script" "$copy/$file"
	if cmp -s "$file" "$copy/$file"; then
		printf '%-28s does not apply to %s\n' "$name" "$file"
		bad="$bad $name"
		continue
	fi
	log=$copy/build/$name.log
	result=0
	build_and_test "$preset" "$targets" "$tests" "$log" || result=$?
	if [ $result = 2 ]; then
		printf '%-28s does not compile; see %s\n' "$name" "$log"
		bad="$bad $name"
	elif [ $result = 0 ]; then
		printf '%-28s LIVES: %s did not see it\n' "$name" "$tests"
		bad="$bad $name"
	elif grep -qE 'No tests were found|\(Not Run\)' "$log"; then
		printf '%-28s some of %s could not run; see %s\n' "$name" "$tests" "$log"
		bad="$bad $name"
	else
		killed=$((killed + 1))
		printf '%-28s seen by %s\n' "$name" "$(sed -n 's/^[[:space:]]*[0-9]* - \([^ ]*\) (.*/\1/p' "$log" | head -n 2 | tr '\n' ' ')"
		# The same tests without the defect must pass, or they show nothing.
		lay
		if ! build_and_test "$preset" "$targets" "$tests" "$log"; then
			printf '%-28s but its tests fail without it too; see %s\n' "$name" "$log"
			bad="$bad $name"
		fi
	fi
done <tests/mutants.txt
if [ -n "$bad" ]; then
	echo "check-mutants: $killed seen; NOT:$bad" >&2
	exit 1
fi
echo "check-mutants: all $killed planted defects were seen"
