#!/usr/bin/env bash
# Every check of the TypeScript SDK: format, lints, types, build, package, tests. The tests run against a real
# driftqd (DRIFTQD_BIN, or the one that `cargo build -p driftq-server` leaves behind), and the hooks also on the
# starter's API if there is a Python with it (DRIFTQ_PYTHON, or the one that scripts/check_python.sh makes).
set -euo pipefail
cd "$(dirname "$0")/.."

driftqd="${DRIFTQD_BIN:-target/debug/driftqd}"
if [[ ! -x "$driftqd" && ! -x target/release/driftqd ]]; then
    echo "check_typescript: there is no driftqd at $driftqd: run \`cargo build -p driftq-server\`, or set DRIFTQD_BIN" >&2
    exit 1
fi
if ! command -v npm >/dev/null; then
    echo "check_typescript: there is no npm: install Node 20.3 or newer" >&2
    exit 1
fi
if [[ -n "${DRIFTQD_BIN:-}" ]]; then
    DRIFTQD_BIN="$(realpath "$DRIFTQD_BIN")"
    export DRIFTQD_BIN
fi

cd sdks/typescript

# The packages are installed anew only when the lock file has changed.
wanted=$( (node --version; cat package-lock.json) | sha256sum)
if [[ "$(cat node_modules/.check_typescript.stamp 2>/dev/null)" != "$wanted" ]]; then
    npm ci --no-audit --no-fund --ignore-scripts
    echo "$wanted" >node_modules/.check_typescript.stamp
fi
npm run check
