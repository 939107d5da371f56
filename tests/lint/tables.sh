#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Tables in the documents that repeat a list in the code repeat it exactly:
# the lock order (core/sync/rank.h) and the decisions (include/quire/decisions.h).
set -eu
cd "$1"
bad=0
code=$(sed -n 's/^[[:space:]]*X(\([a-z_]*\), \(one\|many\), .*/\1 \2/p' core/sync/rank.h)
doc=$(sed -n '/<!-- lock order -->/,/<!-- end -->/s/^| `\([a-z_]*\)` | \(one\|many\) |.*/\1 \2/p' docs/architecture.md)
if [ -z "$code" ] || [ "$code" != "$doc" ]; then
	echo "docs/architecture.md: the lock order differs from core/sync/rank.h"
	printf '%s\n--- doc:\n%s\n' "$code" "$doc"
	bad=1
fi
code=$(sed -n 's/^[[:space:]]*\(ROW\|ALT\)([a-z_]*, \([a-z_]*, \)\{0,1\}"\([^"]*\)".*/\3/p' include/quire/decisions.h)
for name in $code; do
	if ! grep -qF "\`$name\`" docs/decisions.md; then
		echo "docs/decisions.md does not tell of $name"
		bad=1
	fi
done
[ -n "$code" ] || { echo "no decisions found in include/quire/decisions.h"; bad=1; }
exit $bad
