#!/bin/sh
# Builds localstore and does its main job on the captures in fixtures/, in a throwaway store.
set -eu
cd "$(dirname "$0")/.."
cargo build --locked --quiet
PATH=$PWD/target/debug:$PATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
LOCALSTORE_DB=$folder/demo.sqlite3
export LOCALSTORE_DB

say() {
    printf '\n$ %s\n' "$*"
    "$@"
}

say localstore add fixtures/captures/capture-json-submitted.stdout.txt \
    fixtures/captures/capture-csv.stdout.txt fixtures/golden/cpu-i7-14b.json
say localstore list
say localstore export 3
localstore export 3 -o json >"$folder/out.json"
cmp "$folder/out.json" fixtures/golden/cpu-i7-14b.json
printf '\nrun 3 came back byte for byte\n'
