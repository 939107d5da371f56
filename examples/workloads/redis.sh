#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# redis.sh FOLDER: a redis server that saves in the background while it is
# written to.  The save is a fork: every page written meanwhile is copied.
set -e
folder=$1
socket=$folder/socket
cli() {
	redis-cli -s "$socket" "$@"
}

redis-server --port 0 --unixsocket "$socket" --dir "$folder" --save '' \
	--rdb-key-save-delay -10 --loglevel warning >"$folder/log" 2>&1 &
server=$!
until [ -S "$socket" ] && cli ping >/dev/null 2>&1; do
	sleep 0.05
done
# 200,000 keys of about 100 bytes.
cli eval 'for i = 1, 200000 do
	redis.call("set", "key:" .. i, string.rep("x", 60) .. i) end' 0 >/dev/null
cli bgsave >/dev/null
cli eval 'for i = 1, 200000, 7 do
	redis.call("set", "key:" .. i, string.rep("y", 64) .. i) end' 0 >/dev/null
while cli info persistence | grep -q '^rdb_bgsave_in_progress:1'; do
	sleep 0.1
done
cli info persistence | grep '^rdb_last_bgsave_status'
cli shutdown nosave || true
wait "$server"
