#!/usr/bin/env bash
# Builds the wheel with the binaries in the profile that the tests use, installs it into a fresh environment, and
# runs a broker and a message from there. Usage: bash scripts/check_wheel.sh, after scripts/check_python.sh
set -euo pipefail
cd "$(dirname "$0")/.."

venv=target/python-venv
bin="$PWD/$venv/bin"
wheels="$PWD/target/wheels-checked"

if [[ ! -x "$bin/pytest" ]]; then
    echo "check_wheel: there is no $venv: run scripts/check_python.sh first" >&2
    exit 1
fi
"$bin/python" -m maturin --version >/dev/null 2>&1 ||
    "$bin/python" -m pip install --quiet --disable-pip-version-check "maturin>=1.16,<2"

rm -rf "$wheels"
"$bin/python" scripts/build_wheel.py --profile dev --out "$wheels"
wheel=("$wheels"/*.whl)
cd sdks/python
DRIFTQ_WHEEL="${wheel[0]}" "$bin/pytest" tests/test_wheel.py
