#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Nothing is left open in the code, and documents name only files that exist.
set -eu
cd "$1"
bad=0
if grep -rnE '\b(TODO|FIXME|XXX|HACK)\b' --include='*.[chS]' --include='*.sh' --include='*.cmake' \
	include core machine trace replay scenarios cli bench fuzz examples scripts tests/unit tests/model 2>/dev/null |
	grep -v 'tests/lint/words.sh'; then
	echo "words: left open"
	bad=1
fi
for doc in README.md CONTRIBUTING.md docs/*.md; do
	[ -e "$doc" ] || continue
	for path in $(grep -oE '`(core|docs|machine|trace|replay|cli|tests|bench|scripts|scenarios|include|examples|fuzz|recordings|cmake)/[A-Za-z0-9_./-]+`' "$doc" | tr -d '`'); do
		if [ ! -e "$path" ]; then
			echo "$doc names $path, which is not there"
			bad=1
		fi
	done
done
exit $bad
