#!/bin/sh
# The long forms of the tests of what a store survives; prints the table of docs/reliability.md.
#
#   sh torture/run.sh [INPUTS]
#
# INPUTS is how many damaged captures the readers get (default 10000000). All of it takes about an
# hour of two cores. LOCALSTORE_SEED chooses other moments and damages (default 1). As root, it
# mounts a file system of 4 MB in a temporary folder, to fill it; else that line is left out. The lines
# of push and pull need sqld (docs/fleet.md); without it they are left out too.
# Exit code: 0 if everything held.
set -eu
cd "$(dirname "$0")/.."
inputs=${1:-10000000}
folder=$(mktemp -d)
disk=$folder/disk
mkdir "$disk"
finish() {
    if mountpoint -q "$disk" 2>/dev/null; then umount "$disk"; fi
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

cargo build --release --locked
cargo test --release --locked --lib --test it --no-run

failed=0
# part TEST ROUNDS [VARIABLE=VALUE]: runs one test, and keeps the line that it reports.
part() {
    name=$1 rounds=$2
    shift 2
    printf '%s ...\n' "$name" >&2
    case $name in
        torture::* | fleet::* | prompt::* | gateway::*) binary='--test it' ;;
        *) binary=--lib ;;
    esac
    # shellcheck disable=SC2086
    if env LOCALSTORE_ROUNDS="$rounds" "$@" cargo test --release --locked --quiet $binary -- \
        --nocapture --exact "$name" >"$folder/log" 2>&1; then
        grep '^|' "$folder/log" >>"$folder/table" || true
    else
        cat "$folder/log" >&2
        printf '| %s | | FAILED |\n' "$name" >>"$folder/table"
        failed=1
    fi
}

# properties WHICH INPUTS ARGUMENTS...: what holds for any input, with inputs that no run had before.
properties() {
    which=$1 inputs_each=$2
    shift 2
    printf 'properties of %s ...\n' "$which" >&2
    if env -u PROPTEST_RNG_SEED PROPTEST_CASES="$inputs_each" \
        cargo test --release --locked --quiet --lib "$@" >"$folder/log" 2>&1; then
        printf '| properties of %s | %s random inputs each | held |\n' "$which" "$inputs_each" >>"$folder/table"
    else
        cat "$folder/log" >&2
        printf '| properties of %s | | FAILED |\n' "$which" >>"$folder/table"
        failed=1
    fi
}

part torture::writers::many_writers_lose_nothing_and_store_nothing_twice 10
part torture::kills::a_killed_add_keeps_what_it_reported 100
part torture::kills::a_killed_rm_removes_all_or_nothing 100
part torture::kills::a_killed_merge_takes_over_all_or_nothing 100
part torture::kills::a_killed_migration_leaves_the_old_store_or_the_new_one 100
part torture::kills::a_killed_backup_leaves_the_old_copy_or_the_new_one 100
part torture::kills::an_interrupted_backup_leaves_nothing 100
part fleet::failures::a_kill_on_either_side_leaves_nothing_in_part 500
part fleet::travels::programs_that_race_lose_nothing_and_write_nothing_twice 16
part prompt::torture::a_killed_write_leaves_the_old_file_or_the_new_one 300
part prompt::torture::sixteen_writers_of_sixteen_sections_lose_none 50
part prompt::torture::what_an_editor_writes_meanwhile_stays 20
part prompt::torture::what_the_library_writes_meanwhile_stays 20
# What comes in an hour at 500 requests a second.
part gateway::torture::mixed_faults_lose_nothing 3600
part torture::disk::a_file_that_cannot_grow_leaves_everything_as_it_was 150
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=4m tmpfs "$disk" 2>/dev/null; then
    part torture::disk::a_full_disk_leaves_everything_as_it_was 250 LOCALSTORE_SMALL_DISK="$disk"
fi
part torture::disk::a_missing_log_leaves_the_store_of_before 300
part torture::damage::a_damaged_store_is_never_taken_for_a_right_one 2000
properties 'checkpoints, with git' 1000 --package localstore-traces repo::tests::
properties 'all else' 20000 --workspace -- --skip repo::tests::
# What grows above this much memory is killed.
ulimit -v 4194304 2>/dev/null || true
part capture::tests::fuzz::no_input_stops_a_reader 1 LOCALSTORE_FUZZ="$inputs"

printf '\n| test | how often | result |\n| --- | --- | --- |\n'
cat "$folder/table"
exit $failed
