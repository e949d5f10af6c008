#!/bin/sh
# The two databases and their accounts, made once, when PostgreSQL begins on an empty volume. Each account is named in
# one URL among the secrets, and has its password from there.
set -eu
secrets=${SECRETS:-/run/secrets}

# part NAME PATTERN: what the pattern finds in postgres://account:password@host:port/database
part() { sed -n "s|^postgres://$2\$|\\1|p" "$secrets/$1"; }
account() { part "$1" '\([a-z]*\):.*'; }
password() { part "$1" '[a-z]*:\([0-9a-f]*\)@.*'; }

for url in store-url coordinator-url worker-url reader-url tenants-url; do
    account=$(account "$url") password=$(password "$url")
    [ -n "$account" ] && [ -n "$password" ] || { echo "$secrets/$url is not as make-secrets makes it" >&2; exit 1; }
    # Through the standard input, so that no list of processes shows it.
    printf "create role %s login password '%s';\n" "$account" "$password" |
        psql -v ON_ERROR_STOP=1 --quiet --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname postgres
done

psql -v ON_ERROR_STOP=1 --quiet --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
-- The store. Its owner migrates it; the migrations grant to these four roles, and the accounts are members;
-- nobody is an archivist until somebody is named.
create role tenantry_coordinator nologin;
create role tenantry_worker nologin;
create role tenantry_reader nologin;
create role tenantry_archivist nologin;
grant tenantry_coordinator to $(account coordinator-url);
grant tenantry_worker to $(account worker-url);
grant tenantry_reader to $(account reader-url);
create database tenantry owner $(account store-url);
revoke connect on database tenantry from public;
grant connect on database tenantry to tenantry_coordinator, tenantry_worker, tenantry_reader, tenantry_archivist;

-- What workers make tenants in: schemas, roles, and databases for those who get one of their own. No superuser.
alter role $(account tenants-url) createrole createdb;
create database tenants owner $(account tenants-url);
SQL
