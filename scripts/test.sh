#!/usr/bin/env bash
# Passes when the tree may land: formatting, lints, every test, the documents, the scenarios, torture, the
# SDKs, the page in a real browser.
# One profile builds everything. Usage: bash scripts/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
    printf '\n== %s\n' "$1"
    shift
    local began=$SECONDS
    "$@"
    printf -- '-- %ss\n' "$((SECONDS - began))"
}

run_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --workspace --no-fail-fast
    else
        cargo test --workspace
    fi
}

step "format" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets --locked -- -D warnings
step "binaries" cargo build --workspace --bins --locked
step "tests" run_tests
step "documentation's examples" cargo test --workspace --doc --quiet
step "README" python3 scripts/check_readme.py target/debug/driftqd
step "dialect A by curl" python3 scripts/check_dialect_a.py target/debug/driftqd
step "documents" python3 scripts/check_docs.py target/debug/driftqd
step "scenarios' runner" python3 -m unittest spec/scenarios/runner/test_runner.py
step "scenarios" python3 spec/scenarios/runner --driftqd target/debug/driftqd
step "torture" target/debug/driftq-torture --cycles 50
step "disk faults" python3 scripts/check_disk.py target/debug/driftqd --cuts 20
step "python" bash scripts/check_python.sh
step "typescript" bash scripts/check_typescript.sh
step "page" bash scripts/check_web.sh
step "wheel" bash scripts/check_wheel.sh
# The same requests every time, so that a run says something about the change; without SEED they are new ones.
step "requests made from the document" env SEED=1 bash scripts/check_openapi.sh target/debug/driftqd
printf '\nall passed in %ss\n' "$SECONDS"
