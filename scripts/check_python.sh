#!/usr/bin/env bash
# Every check of the Python code: format, lints, types, tests. The tests run against a real driftqd
# (DRIFTQD_BIN, or the one that `cargo build -p driftq-server` leaves behind).
set -euo pipefail
cd "$(dirname "$0")/.."

projects=(sdks/python starter/api)
venv=target/python-venv
bin="$PWD/$venv/bin"

driftqd="${DRIFTQD_BIN:-target/debug/driftqd}"
if [[ ! -x "$driftqd" && ! -x target/release/driftqd ]]; then
    echo "check_python: there is no driftqd at $driftqd: run \`cargo build -p driftq-server\`, or set DRIFTQD_BIN" >&2
    exit 1
fi

# The environment is made anew only when what it holds has changed.
wanted=$( (python3 --version; pwd; cat "${projects[@]/%//pyproject.toml}") | sha256sum)
if [[ ! -x "$bin/python" || "$(cat "$venv/check_python.stamp" 2>/dev/null)" != "$wanted" ]]; then
    python3 -m venv --clear "$venv"
    "$bin/python" -m pip install --quiet --disable-pip-version-check \
        -e "sdks/python[fastapi,dev]" -e "starter/api[dev]"
    echo "$wanted" >"$venv/check_python.stamp"
fi

for project in "${projects[@]}"; do
    echo "== $project"
    (
        cd "$project"
        "$bin/ruff" format --check .
        "$bin/ruff" check .
        "$bin/mypy"
        "$bin/pytest"
    )
done
