#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Each public header compiles alone, as C11, C17 and C++17.  machine.h is the
# seam, for machines and the core, and needs a machine's headers beside it.
set -eu
cd "$1"
bad=0
for header in include/quire/*.h; do
	case $header in
	*/machine.h) extra=-Imachine/threads/include; langs="gnu11 gnu17" ;;
	*) extra=-pedantic; langs="c11 c17" ;;
	esac
	for std in $langs; do
		gcc -std="$std" -Wall -Wextra -Werror -fsyntax-only $extra -mcx16 -Iinclude -x c "$header" || bad=1
	done
	case $header in
	*/machine.h) ;;
	*) g++ -std=c++17 -Wall -Wextra -Werror -pedantic -fsyntax-only -Iinclude -x c++ "$header" || bad=1 ;;
	esac
done
[ $bad = 0 ] || echo "headers: see above"
exit $bad
