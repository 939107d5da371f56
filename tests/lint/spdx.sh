#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every source file says its licence in its first three lines.
set -eu
cd "$1"
bad=0
for file in $(find include core machine trace replay scenarios cli tests fuzz bench examples scripts cmake proof \
	-type f \( -name '*.c' -o -name '*.h' -o -name '*.S' -o -name '*.sh' -o -name '*.cmake' \
	-o -name 'CMakeLists.txt' -o -name '*.v' -o -name '*.js' -o -name '*.css' \) 2>/dev/null); do
	if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: BSD-2-Clause'; then
		echo "$file: no SPDX line"
		bad=1
	fi
done
exit $bad
