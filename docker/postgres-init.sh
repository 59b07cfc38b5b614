#!/bin/sh
# Run once by the Postgres image when it makes its data folder: a role and a database of its own for the coordinator
# and for the service signer. Neither can enter the other's.
set -eu
secrets=${SECRETS:-/run/secrets}
for name in coordinator service_signer; do
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
        --set role="quorate_$name" --set password="$(cat "$secrets/${name}_password")" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
done
