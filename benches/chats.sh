#!/usr/bin/env bash
# Lists and searches a store of 100,000 messages in 1,000 chats, each time as a whole process.
#
# Usage: benches/chats.sh [PROGRAM [WORDS]]   WORDS: the mean length of a message, by default 40
set -euo pipefail

program=${1:-target/dist/localstore}
words=${2:-40}
runs=20
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
export LOCALSTORE_DB=$folder/store.sqlite3

"$program" chat add 'the first' >/dev/null
sqlite3 "$LOCALSTORE_DB" "
    WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO chats (created_at, model, title)
    SELECT datetime(1743500000 + i * 60, 'unixepoch'), 'model-Q4_K_M.gguf', 'chat ' || i FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
    INSERT INTO messages (created_at, chat_id, role, content, temperature, top_p)
    SELECT datetime(1743500000 + i * 7, 'unixepoch'), i * 7919 % 1000 + 1, 'user',
        substr(replace(hex(zeroblob($words)), '00', 'words – '), 1, 12 * $words * (i % 13) / 13)
            || ' message ' || i,
        0.8, 0.95
    FROM n;"
echo "$(stat -c %s "$LOCALSTORE_DB") bytes"

for command in 'chat list' 'chat list -o json' 'chat search absent' 'chat search MESSAGE' \
    'chat search message_99' 'chat search пример'; do
    start=$(date +%s%N)
    for ((run = 0; run < runs; run++)); do
        # shellcheck disable=SC2086 # each word is an argument
        "$program" $command >/dev/null 2>&1
    done
    echo "$(((($(date +%s%N) - start) / runs + 50000) / 100000))" |
        sed "s/\(.*\)\(.\)/\1.\2 ms  $command/"
done
