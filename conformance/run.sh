#!/bin/sh
# Runs a localscore binary in each of its formats, stores what it printed, and compares what
# localstore exports with the document in between.
#
#   sh conformance/run.sh LOCALSCORE MODEL.gguf [ARGUMENT…]
#
# LOCALSTORE names the program to test (default: localstore). A run takes as long as three
# benchmarks do. Exit code: 0 if every document came back byte for byte.
set -u
if [ $# -lt 2 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 1
fi
localscore=$1
model=$2
shift 2
localstore=${LOCALSTORE:-localstore}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failed=0

# The document in a capture: everything between the warm-up line and the score display.
document() {
    case $1 in
        json) awk '/^\{/ { on = 1 } on { if (n++) printf "\n"; printf "%s", $0 } /^\}/ { exit }' ;;
        csv) awk '/^build_commit,/ { on = 1 } on && /^$/ { exit } on' ;;
        # The last state of each row that is redrawn while it is measured.
        console) awk '
            { again = sub(/^\033\[A\033\[2K/, "") }
            /^\+-/ { borders++ }
            borders { if (!again) rows++; row[rows] = $0 }
            borders == 3 && /^\+-/ { exit }
            END { for (i = 1; i <= rows; i++) print row[i] }' ;;
    esac
}

for format in json csv console; do
    "$localscore" -m "$model" -o "$format" -n "$@" >"$folder/capture" 2>"$folder/log" || {
        echo "$format: localscore failed:" >&2
        cat "$folder/log" >&2
        exit 1
    }
    document "$format" <"$folder/capture" >"$folder/expected"
    rm -f "$folder/store"*
    if "$localstore" --db "$folder/store" add "$folder/capture" >/dev/null &&
        "$localstore" --db "$folder/store" export -o "$format" >"$folder/actual" &&
        cmp -s "$folder/expected" "$folder/actual"; then
        echo "$format: the same"
    else
        echo "$format: NOT the same" >&2
        diff "$folder/expected" "$folder/actual" >&2
        failed=1
    fi
done
exit $failed
