#!/bin/sh
# Starts PostgreSQL on PGDATA. An empty folder becomes a database first, with the role postgres and POSTGRES_PASSWORD;
# from inside the container it logs in without. Nothing is synced to the disk: a crash loses nothing, a power cut may.
set -eu
if [ ! -f "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ]; then
        printf '%s\n' "PostgreSQL is not told a password for its role postgres" "environment: POSTGRES_PASSWORD" \
            "Fix: set it, as monitoring/compose.yaml does" >&2
        exit 1
    fi
    printf '%s\n' "$POSTGRES_PASSWORD" | initdb --pwfile=/dev/stdin --username=postgres --encoding=UTF8 --locale=C \
        --auth-local=trust --auth-host=scram-sha-256 --no-sync >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
unset POSTGRES_PASSWORD
exec postgres -c listen_addresses='*' -c fsync=off
