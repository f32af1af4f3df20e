#!/bin/sh
# Prints a token of a libSQL server, signed with an Ed25519 key:
#
#     openssl genpkey -algorithm ed25519 -out fleet.key          # signs tokens: keep it secret
#     openssl pkey -in fleet.key -pubout -out fleet.pub          # for sqld --auth-jwt-key-file
#     sh fleet-token.sh fleet.key rw 365                         # may do everything, for 365 days
#     sh fleet-token.sh fleet.key ro 365                         # may only read
set -eu
key=$1 access=$2 days=$3
case $access in
    rw | ro) ;;
    *) echo 'fleet-token.sh KEY rw|ro DAYS' >&2; exit 1 ;;
esac
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
signed=$(mktemp)
trap 'rm -f "$signed"' EXIT
expires=$(($(date +%s) + days * 86400))
head=$(printf '{"alg":"EdDSA","typ":"JWT"}' | base64url)
claims=$(printf '{"a":"%s","exp":%s}' "$access" "$expires" | base64url)
printf '%s.%s' "$head" "$claims" > "$signed"
printf '%s.%s.%s\n' "$head" "$claims" \
    "$(openssl pkeyutl -sign -rawin -inkey "$key" -in "$signed" | base64url)"
