"""Builds the wheel `driftq`: the Python package, and beside it the binaries `driftqd` and `driftq`.

Usage: python3 scripts/build_wheel.py [--profile release] [--out target/wheels]

The package's own pyproject.toml stays free of Rust, so that `pip install -e sdks/python` needs none. What is
built here is the same project with another back end: maturin compiles driftqd and says for which systems the
wheel is good; the command line, a crate of its own, is built before and packed as the wheel's data.
Needs cargo, and maturin (`pip install maturin`). Installing the wheel fetches nothing but PyPI packages.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SDK = REPOSITORY / "sdks/python"
SERVER = REPOSITORY / "crates/driftq-server/Cargo.toml"
MATURIN = "maturin>=1.16,<2"


def main() -> None:
    """Builds it, and prints where it lies."""
    parser = argparse.ArgumentParser(description="Builds the wheel with the binaries.")
    parser.add_argument("--profile", default="release", help="cargo's profile; default: release")
    parser.add_argument("--out", type=Path, default=target_folder() / "wheels", help="default: target/wheels")
    asked = parser.parse_args()
    if shutil.which("cargo") is None:
        raise SystemExit("build_wheel: there is no cargo on the PATH: install Rust (https://rustup.rs)")
    out = asked.out.resolve()
    stage = target_folder() / "wheel"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(SDK / "src", stage / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SDK / "README.md", stage)
    shutil.copy(REPOSITORY / "LICENSE", stage)
    (stage / "pyproject.toml").write_text(project())
    scripts = stage / "data" / "scripts"
    scripts.mkdir(parents=True)
    shutil.copy(command_line(asked.profile), scripts)
    before = set(out.glob("*.whl"))
    words = [*maturin(), "build", "--profile", asked.profile, "--locked", "--strip", "--out", str(out)]
    if subprocess.run(words, cwd=stage).returncode != 0:
        raise SystemExit("build_wheel: maturin failed; its words are above")
    made = max(set(out.glob("*.whl")) - before or out.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    print(made)


def project() -> str:
    """The package's pyproject.toml with maturin in hatchling's place; all that is said of it stays."""
    text = (SDK / "pyproject.toml").read_text()
    version = re.search(r'__version__ = "([^"]+)"', (SDK / "src/driftq/_version.py").read_text())
    if version is None:
        raise SystemExit("build_wheel: sdks/python/src/driftq/_version.py names no version")
    released = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    if released != version[1]:
        raise SystemExit(f"build_wheel: the package is {version[1]}, the binaries {released}: make them one")
    described = text[text.index("[project]") : text.index("[tool.")]
    stated = f'version = "{version[1]}"\nlicense-files = ["LICENSE"]'
    described = described.replace('dynamic = ["version"]', stated)
    back_end = f"""\
[build-system]
requires = [{json.dumps(MATURIN)}]
build-backend = "maturin"

[tool.maturin]
bindings = "bin"
manifest-path = {json.dumps(str(SERVER))}
module-name = "driftq"
python-source = "src"
data = "data"
"""
    return back_end + "\n" + described


def command_line(profile: str) -> Path:
    """Builds `driftq`, and says where it lies."""
    words = ["cargo", "build", "--profile", profile, "--locked", "-p", "driftq-cli", "--bin", "driftq"]
    done = subprocess.run(
        [*words, "--message-format", "json-render-diagnostics"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit("build_wheel: the build of driftq failed; its words are above")
    told = map(json.loads, done.stdout.splitlines())
    return next(Path(line["executable"]) for line in told if line.get("executable"))


def target_folder() -> Path:
    """Where cargo builds; a relative one is taken from the repository."""
    return REPOSITORY / (os.environ.get("CARGO_TARGET_DIR") or "target")


def maturin() -> list[str]:
    """The maturin of this Python, or the one on the PATH."""
    probe = subprocess.run([sys.executable, "-m", "maturin", "--version"], capture_output=True)
    if probe.returncode == 0:
        return [sys.executable, "-m", "maturin"]
    if shutil.which("maturin"):
        return ["maturin"]
    raise SystemExit(f"build_wheel: there is no maturin: pip install '{MATURIN}'")


if __name__ == "__main__":
    main()
