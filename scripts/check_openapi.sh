#!/usr/bin/env bash
# Asks a fresh driftqd thousands of things that its OpenAPI document allows and does not allow: no undeclared 5xx, every
# answer as the document says, what is not valid refused. Bounded in time.
# Usage: bash scripts/check_openapi.sh [PATH_OF_DRIFTQD]; SECONDS_MAX and SEED may be set.
set -euo pipefail
cd "$(dirname "$0")/.."

driftqd="${1:-${DRIFTQD_BIN:-target/debug/driftqd}}"
seconds="${SECONDS_MAX:-45}"
seed="${SEED:-$RANDOM}"
versions="schemathesis==4.32.5 hypothesis==6.170.15"
venv=target/schemathesis-venv

if [[ "$(cat "$venv/versions" 2>/dev/null)" != "$versions" ]]; then
    python3 -m venv --clear "$venv"
    # shellcheck disable=SC2086 # two words on purpose
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check $versions
    echo "$versions" >"$venv/versions"
fi

folder=$(mktemp -d)
# One token that may do everything; the check `ignored_auth` leaves it out, and asks with another.
secret="dq_$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')"
cat >"$folder/tokens.toml" <<TOML
[[token]]
name = "check"
hash = "sha256:$(printf '%s' "$secret" | sha256sum | cut -d' ' -f1)"
verbs = ["produce", "consume", "runs:read", "runs:write", "dlq", "admin"]
TOML
: >"$folder/log"
"$driftqd" --memory --addr 127.0.0.1:0 --log-format json --token-file "$folder/tokens.toml" >"$folder/log" 2>&1 &
pid=$!
trap 'kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT

url=""
until [[ -n "$url" ]]; do
    kill -0 "$pid" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    url=$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$folder/log" | head -1 || true)
done

checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
checks+=,response_headers_conformance,unsupported_method,allow_header_conformance,refuses_what_is_invalid,ignored_auth
curl -sSf -H "Authorization: Bearer $secret" "$url/v1/openapi.json" >"$folder/openapi.json"
status=0
SCHEMATHESIS_HOOKS=openapi_hooks PYTHONPATH=scripts "$venv/bin/schemathesis" run "$folder/openapi.json" --url "$url" \
    --header "Authorization: Bearer $secret" --max-time "$seconds" --request-timeout 10 --workers 1 --checks "$checks" --continue-on-failure \
    --suppress-health-check all --warnings off --seed "$seed" >"$folder/out" 2>&1 || status=$?

if [[ "$status" -ne 0 ]]; then
    cat "$folder/out"
    echo "again: SEED=$seed bash scripts/check_openapi.sh $driftqd"
fi
if ! kill -0 "$pid" 2>/dev/null; then
    echo "driftqd ended under the requests:" >&2
    tail -20 "$folder/log" >&2
    exit 1
fi
grep -A1 '^Test cases:' "$folder/out" || { cat "$folder/out"; exit 1; }
exit "$status"
