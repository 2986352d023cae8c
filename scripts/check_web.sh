#!/usr/bin/env bash
# Every check of the page: format, lints, types, unit tests, build, weight; then a real browser against a real
# driftqd, API and worker. Needs Node 20.9 or newer and a driftqd (DRIFTQD_BIN, or the one that
# `cargo build -p driftq-server` leaves behind). The pictures stay in starter/web/screenshots.
set -euo pipefail
cd "$(dirname "$0")/.."
root="$PWD"

export NEXT_TELEMETRY_DISABLED=1
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1

if [[ -z "${DRIFTQD_BIN:-}" ]]; then
    for found in target/debug/driftqd target/release/driftqd; do
        [[ -x "$found" ]] && DRIFTQD_BIN="$root/$found" && break
    done
fi
if [[ ! -x "${DRIFTQD_BIN:-}" ]]; then
    echo "check_web: there is no driftqd: run \`cargo build -p driftq-server\`, or set DRIFTQD_BIN" >&2
    exit 1
fi
DRIFTQD_BIN="$(realpath "$DRIFTQD_BIN")"
export DRIFTQD_BIN

# A Python that has the API: the one of check_python.sh, or one of our own.
API_PYTHON="${API_PYTHON:-$root/target/python-venv/bin/python}"
if ! "$API_PYTHON" -c 'import app.main, driftq' >/dev/null 2>&1; then
    API_PYTHON="$root/target/web-venv/bin/python"
    if ! "$API_PYTHON" -c 'import app.main, driftq' >/dev/null 2>&1; then
        python3 -m venv --clear target/web-venv
        "$API_PYTHON" -m pip install --quiet --disable-pip-version-check \
            -e "sdks/python[fastapi]" -e starter/api
    fi
fi
export API_PYTHON

# Chromium: named, found, or (for root and CI, on Debian) installed. Otherwise Playwright's own is used.
CHROMIUM_PATH="${CHROMIUM_PATH:-$(command -v chromium || true)}"
if [[ -z "$CHROMIUM_PATH" ]] && command -v apt-get >/dev/null && [[ "$(id -u)" == 0 || -n "${CI:-}" ]]; then
    sudo=$([[ "$(id -u)" == 0 ]] || echo sudo)
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends chromium fonts-liberation fonts-noto-color-emoji >/dev/null
    CHROMIUM_PATH="$(command -v chromium)"
fi
[[ -n "$CHROMIUM_PATH" ]] && export CHROMIUM_PATH

# Runs the rest only when what is named before `--` has changed: `when_changed STAMP FILES… -- COMMAND…`.
when_changed() {
    local stamp="$1" files=()
    shift
    while [[ "$1" != -- ]]; do
        files+=("$1")
        shift
    done
    shift
    local wanted
    wanted=$( (node --version; find "${files[@]}" -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum)
    [[ "$(cat "$stamp" 2>/dev/null)" == "$wanted" ]] && return
    "$@"
    echo "$wanted" >"$stamp"
}

install_sdk() { (cd sdks/typescript && npm ci --no-fund --no-audit --loglevel=error --ignore-scripts); }
build_sdk() { (cd sdks/typescript && npm run --silent build); }
install_web() { (cd starter/web && npm ci --loglevel=error); }

mkdir -p sdks/typescript/node_modules starter/web/node_modules
when_changed sdks/typescript/node_modules/.install.stamp sdks/typescript/package-lock.json -- install_sdk
when_changed sdks/typescript/node_modules/.build.stamp \
    sdks/typescript/package.json sdks/typescript/src sdks/typescript/tsdown.config.ts -- build_sdk
# The page holds a copy of the SDK, so it is installed again when that was built anew.
when_changed starter/web/node_modules/.install.stamp \
    starter/web/package-lock.json sdks/typescript/package.json sdks/typescript/dist -- install_web

cd starter/web
npm run --silent check
npm run --silent e2e
