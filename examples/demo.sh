#!/bin/sh
# Does the main job of localstore on the captures in fixtures/, in a throwaway store.
# LOCALSTORE names an installed program; without it this builds one.
set -eu
if [ -n "${LOCALSTORE:-}" ]; then
    program=$(cd "$(dirname "$LOCALSTORE")" && pwd)/$(basename "$LOCALSTORE")
    cd "$(dirname "$0")/.."
else
    cd "$(dirname "$0")/.."
    cargo build --locked --quiet
    program=$(cd "${CARGO_TARGET_DIR:-target}/debug" && pwd)/localstore
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
LOCALSTORE_DB=$folder/demo.sqlite3
export LOCALSTORE_DB

localstore() {
    "$program" "$@"
}

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
