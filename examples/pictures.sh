#!/bin/sh
# Draws the pictures of the README, docs/history.svg and docs/compare.svg, from a fixture in a throwaway
# store: one captured run, and others that differ from it in speed, date, version and kernel.
#
#     sh examples/pictures.sh [FOLDER]     into this folder [default: docs]
#
# The same program draws the same bytes. LOCALSTORE names it; else it is built.
set -eu
cd "$(dirname "$0")/.."
into=${1:-docs}
if [ -z "${LOCALSTORE-}" ]; then
    cargo build --locked --quiet
    LOCALSTORE=target/debug/localstore
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
LOCALSTORE_DB=$folder/pictures.sqlite3
export LOCALSTORE_DB

# captured DAY SPEED VERSION KERNEL: the document of a run
captured() {
    LC_ALL=C awk -v day="$1" -v speed="$2" -v version="$3" -v kernel="$4" '
        function scaled(by, digits) {
            match($0, /[0-9]+(\.[0-9]+)?/)
            number = substr($0, RSTART, RLENGTH) * by
            $0 = substr($0, 1, RSTART - 1) sprintf("%." digits "f", number) substr($0, RSTART + RLENGTH)
        }
        /"(prompt|gen)_tps":/ { scaled(speed, 6) }
        /"(avg_time|ttft)_ms":/ { scaled(1 / speed, 6) }
        /"samples_ns":/ { scaled(1 / speed, 0) }
        /"test_time":/ { sub(/2025-06-15/, day) }
        /"version": "0/ { sub(/0\.9\.3/, version) }
        /"kernel_release":/ { sub(/6\.8\.0-51/, kernel) }
        { print }
    ' fixtures/golden/gpu-rtx4090-8b.json
}

while read -r day speed version kernel; do
    captured "$day" "$speed" "$version" "$kernel"
    echo
done >"$folder/runs.json" <<'RUNS'
2025-09-01 0.981 0.9.2 6.8.0-51
2025-09-03 1.004 0.9.2 6.8.0-51
2025-09-04 0.978 0.9.2 6.8.0-51
2025-09-08 0.995 0.9.2 6.8.0-51
2025-09-10 0.986 0.9.2 6.8.0-51
2025-09-11 0.991 0.9.2 6.8.0-51
2025-09-15 1.008 0.9.2 6.8.0-51
2025-09-17 0.989 0.9.2 6.8.0-51
2025-09-19 0.975 0.9.2 6.8.0-51
2025-09-22 0.997 0.9.2 6.8.0-51
2025-09-25 0.884 0.9.3 6.11.0-29
2025-09-26 0.901 0.9.3 6.11.0-29
2025-09-29 0.893 0.9.3 6.11.0-29
2025-10-01 0.879 0.9.3 6.11.0-29
2025-10-02 0.896 0.9.3 6.11.0-29
2025-10-06 0.888 0.9.3 6.11.0-29
2025-10-09 1.031 0.9.4 6.11.0-29
2025-10-10 1.044 0.9.4 6.11.0-29
2025-10-13 1.022 0.9.4 6.11.0-29
2025-10-15 1.037 0.9.4 6.11.0-29
2025-10-17 1.029 0.9.4 6.11.0-29
RUNS
"$LOCALSTORE" add <"$folder/runs.json" >/dev/null 2>&1
"$LOCALSTORE" plot history last --out "$into/history.svg"
"$LOCALSTORE" plot compare 10 11 --metric tg --out "$into/compare.svg"
