#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Makes the seven recordings in recordings/ anew.  All but the build of quire
# itself happens in a fresh folder.  As root, which gives the exact source of
# touches; as an ordinary user the recordings say what they lack.
#
#	scripts/record-examples.sh [NAME...]	(default: all seven)
#
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh recordings
root=$PWD
quire=${QUIRE:-$root/build/release/cli/quire}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
chmod 755 "$work"
mkdir -p recordings

record() {
	name=$1
	shift
	echo "recording $name"
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS LC_ALL=C.UTF-8 \
		"$quire" record -o "recordings/$name.quire" -- "$@"
}

one() {
	case $1 in
	build)
		cp -R examples/build-project "$work/project"
		rm -rf "$work/project/out"
		record build make -s -j2 -C "$work/project"
		;;
	pipeline)
		record pipeline examples/workloads/pipeline.sh >/dev/null
		;;
	python)
		record python /usr/bin/python3 examples/workloads/workers.py
		;;
	daemon)
		record daemon /usr/bin/python3 examples/workloads/daemon.py
		;;
	huge)
		# As its name says: where huge pages are to be had by MADV_HUGEPAGE.
		record huge /usr/bin/python3 examples/workloads/huge.py
		;;
	redis)
		mkdir "$work/redis"
		record redis examples/workloads/redis.sh "$work/redis"
		;;
	postgres)
		mkdir "$work/postgres"
		# Copies, for the user postgres may not enter where we are.
		cp examples/workloads/postgres.sh "$work/postgres.sh"
		"$work/postgres.sh" prepare "$work/postgres"
		record postgres "$work/postgres.sh" run "$work/postgres"
		;;
	*)
		echo "$0: no recording '$1'; there are: build pipeline python daemon huge redis postgres" >&2
		exit 2
		;;
	esac
}

for name in "${@:-build pipeline python daemon huge redis postgres}"; do
	for each in $name; do
		one "$each"
	done
done
ls -l recordings
