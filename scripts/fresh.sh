#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# make fresh: a minimal Debian 12 made with debootstrap, plus git and make and
# nothing else; inside it, as a newcomer, a clone into a path with a space and
# both commands, each twice; the second time as an ordinary user.
# Needs root (for chroot).  QUIRE_FRESH_DIR says where (default build/fresh).
set -eu
cd "$(dirname "$0")/.."
source=$(pwd)
root=${QUIRE_FRESH_DIR:-$source/build/fresh}
if [ "$(id -u)" != 0 ]; then
	echo "fresh: needs root, for debootstrap and chroot" >&2
	exit 1
fi
cleanup() {
	for at in dev/shm dev/pts dev sys proc; do
		umount "$root/$at" 2>/dev/null || umount -l "$root/$at" 2>/dev/null || true
	done
}
trap cleanup EXIT
cleanup
rm -rf "$root"
mkdir -p "$root"
echo "fresh: debootstrap"
debootstrap --variant=minbase --include=git,make,ca-certificates bookworm "$root" >build/fresh.log 2>&1 ||
	{ tail -n 20 build/fresh.log >&2; exit 1; }
# The same package sources and proxy settings as this machine uses.
for file in /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/apt.conf.d /etc/apt/auth.conf.d \
	/etc/apt/keyrings /usr/share/keyrings /usr/local/share/ca-certificates /etc/ssl/certs /etc/resolv.conf /etc/hosts; do
	[ -e "$file" ] && mkdir -p "$root$(dirname "$file")" && cp -aL "$file" "$root$(dirname "$file")/" 2>/dev/null || true
done
for at in proc sys dev dev/pts dev/shm; do mkdir -p "$root/$at" && mount --bind "/$at" "$root/$at"; done
git clone -q "$source" "$root/tmp/source.git" --bare
cat >"$root/tmp/newcomer.sh" <<'EOF'
set -eu
export HOME=/root
cd /root
rm -rf "a house" && git clone -q /tmp/source.git "a house"
cd "a house"
echo "fresh: make run";          make run
echo "fresh: make run again";    make run
echo "fresh: make check";        make check
useradd -m newcomer 2>/dev/null || true
cp -R "/root/a house" "/home/newcomer/a house" && rm -rf "/home/newcomer/a house/build"
chown -R newcomer "/home/newcomer/a house"
su newcomer -c 'cd "/home/newcomer/a house" && git config --global --add safe.directory "*" && echo "fresh: as an ordinary user: make run" && make run && echo "fresh: as an ordinary user: make check" && make check'
EOF
chroot "$root" /bin/sh /tmp/newcomer.sh
echo "fresh: both commands work on a fresh Debian, as root and as an ordinary user"
