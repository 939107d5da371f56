#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# postgres.sh prepare|run FOLDER: a PostgreSQL server under pgbench with 24
# clients, so 24 backends that map the same shared memory.  PostgreSQL does
# not run as root; as root, this becomes the user postgres first.
set -e
verb=$1
folder=$2
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)

if [ "$(id -u)" = 0 ]; then
	chown postgres "$folder"
	exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
cd "$folder"
PATH=$bin:$PATH
server() {
	postgres -D "$folder/data" -k "$folder" -c listen_addresses= \
		-c shared_buffers=64MB -c max_connections=40 -c fsync=off \
		-c autovacuum=off -c jit=off >>"$folder/log" 2>&1 &
	server=$!
	until psql -h "$folder" -d postgres -c 'select 1' >/dev/null 2>&1; do
		sleep 0.1
	done
}

case $verb in
prepare)
	initdb -D data --no-sync --auth=trust >/dev/null
	server
	pgbench -h "$folder" -i -s 5 -q postgres >/dev/null 2>&1
	;;
run)
	server
	pgbench -h "$folder" -n -c 24 -j 2 -t 50 postgres | grep -E 'processed|clients'
	;;
esac
kill -INT "$server"
wait "$server" || true
