#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A shell pipeline: the most frequent words of the sources next door.
cd "$(dirname "$0")/../build-project/src" || exit 1
for i in 1 2 3 4 5 6 7 8 9 10; do
	cat ./*.c ./*.h
done | tr -cs 'A-Za-z_' '\n' | tr 'A-Z' 'a-z' | grep -v '^$' | sort | uniq -c |
	sort -rn | awk '$1 > 100 { print $2, $1 }' | head -20
