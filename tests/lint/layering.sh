#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A room includes only itself, rooms before it, public headers, and the three
# headers a freestanding compiler brings; the machine includes no room.
set -eu
cd "$1"
rooms=$(sed -n 's/^set(QUIRE_ROOMS \(.*\))$/\1/p' cmake/rooms.cmake)
[ -n "$rooms" ] || { echo "layering: no QUIRE_ROOMS in cmake/rooms.cmake"; exit 1; }
bad=0
seen=""
for room in $rooms; do
	seen="$seen $room"
	for file in core/"$room"/*.[ch]; do
		[ -e "$file" ] || continue
		found=$(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/p' "$file")
		for include in $found; do
			case $include in
			quire/* | stdbool.h | stddef.h | stdint.h | stdarg.h) continue ;;
			esac
			case " $seen " in
			*" ${include%%/*} "*) continue ;;
			esac
			echo "$file includes $include: not below core/$room"
			bad=1
		done
	done
done
for file in core/*/*.[ch]; do
	if grep -nE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef|elif).*(MACH_(THREADS|EXPLORE)|__linux__|__x86_64__)' "$file"; then
		echo "$file: decides by machine"
		bad=1
	fi
done
for file in $(find machine -name '*.[ch]'); do
	for room in $rooms; do
		if grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*\"$room/" "$file"; then
			echo "$file: the machine includes the core"
			bad=1
		fi
	done
done
exit $bad
