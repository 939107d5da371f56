#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# make portable: the core and the threads machine on other architectures.
#
#   aarch64  cross-compiled; the unit tests on the threads machine run under
#            qemu-user
#   riscv64  compiled (Debian 12 has no libraries to link it with)
#
# liburcu and cmocka for aarch64 come from Debian's archive, unpacked into
# build/portable and not installed: nothing changes outside this folder.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
work=$top/build/portable
sysroot=$work/aarch64-sysroot
packages="liburcu8 liburcu-dev libcmocka0 libcmocka-dev"
mkdir -p "$work"

# An apt of our own, for another architecture, with this machine's sources.
foreign_apt() {
	apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
		-o Dir::State="$work/apt" -o Dir::State::status="$work/apt/status" \
		-o Dir::Cache="$work/apt/cache" -o Dir::Etc::sourceparts=/etc/apt/sources.list.d \
		-o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@"
}

fetch_sysroot() {
	echo "== portable: libraries for aarch64"
	rm -rf "$sysroot" "$work/debs"
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/debs" \
		"$sysroot"
	: >"$work/apt/status"
	foreign_apt update
	(
		cd "$work/debs"
		# shellcheck disable=SC2086
		foreign_apt download $packages
	)
	for deb in "$work"/debs/*_arm64.deb; do
		dpkg-deb -x "$deb" "$sysroot"
	done
	touch "$sysroot/complete"
}

# configure ARCH SYSROOT TESTS
configure() {
	if ! cmake -G Ninja -B "build/$1" -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS_DEBUG=-O2 -g" \
		-DQUIRE_DEBUG=ON -DCMAKE_TOOLCHAIN_FILE="$top/cmake/toolchain-$1.cmake" \
		-DQUIRE_SYSROOT="$2" -DQUIRE_TESTS="$3" >"$work/$1.log" 2>&1; then
		cat "$work/$1.log" >&2
		exit 1
	fi
}

# targets ARCH PATTERN: the names of its targets that match
targets() {
	ninja -C "build/$1" -t targets all | sed -n 's/: phony$//p' | grep -E "^$2\$"
}

aarch64() {
	[ -f "$sysroot/complete" ] || fetch_sysroot
	configure aarch64 "$sysroot" ON
	echo "== portable: aarch64, build"
	# shellcheck disable=SC2046
	NINJA_STATUS="[aarch64 %f/%t] " ninja -C build/aarch64 \
		$(targets aarch64 'unit_.*_threads_(4k|64k|tiny)')
	echo "== portable: aarch64, unit tests under qemu-user"
	ctest --test-dir build/aarch64 -L unit -R '/threads_(4k|64k|tiny)$' -j "$(nproc)" \
		--output-on-failure --no-tests=error >"$work/aarch64.tests.log" 2>&1 || {
		grep -vE ' Passed ' "$work/aarch64.tests.log" >&2
		exit 1
	}
	grep -E 'tests passed' "$work/aarch64.tests.log"
}

riscv64() {
	headers=$work/riscv64-sysroot/usr/include
	mkdir -p "$headers"
	for part in urcu urcu.h; do
		[ -e "$headers/$part" ] ||
			ln -s "/usr/include/$(gcc -print-multiarch)/$part" "$headers/$part" 2>/dev/null
	done
	configure riscv64 "$work/riscv64-sysroot" OFF
	echo "== portable: riscv64, compile"
	# shellcheck disable=SC2046
	NINJA_STATUS="[riscv64 %f/%t] " ninja -C build/riscv64 \
		quire_threads_4k quire_threads_64k quire_threads_tiny
}

aarch64
riscv64
echo "portable: aarch64 runs, riscv64 compiles"
