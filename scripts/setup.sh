#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# setup.sh build|check|...: makes sure that the packages of scripts/packages.txt
# for these purposes are there.  As root (or with sudo that asks nothing) it
# installs what is missing; otherwise it prints the one line to run and fails.
set -eu
here=$(dirname "$0")
wanted=""
for purpose in "$@"; do
	wanted="$wanted $(awk -v p="$purpose" '$1 !~ /^#/ && $2 == p { print $1 }' "$here/packages.txt")"
done
missing=""
for package in $wanted; do
	status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
	[ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "setup: missing packages:$missing"
line="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
	as_root=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
	as_root="sudo"
else
	echo "setup: not allowed to install packages here; run this once, then try again:" >&2
	echo "    sudo $line" >&2
	exit 1
fi
echo "setup: installing them"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root $line >/dev/null
