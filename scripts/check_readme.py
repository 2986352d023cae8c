"""Runs the README's `curl` lines, in their order and as they are printed, against a driftqd of its own.

Usage: python3 scripts/check_readme.py PATH_OF_DRIFTQD
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
PRINTED = "localhost:8080"
TIMED_OUT = 28  # curl's exit status after `-m`


def commands() -> list[str]:
    """Every `curl` command of the README's shell blocks; one may go over several lines."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    found = []
    for block in blocks:
        found += [text.strip() for text in re.split(r"\n(?=curl |driftq |python3 |bash )", block)]
    return [text for text in found if text.startswith("curl ")]


def start(driftqd: str, folder: str) -> tuple[subprocess.Popen[str], str]:
    """A broker on a free port, and its address, once it says that it listens."""
    words = ["-addr", "127.0.0.1:0", "-wal", f"{folder}/wal", "-log-format", "text"]
    broker = subprocess.Popen([driftqd, *words], stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)
    assert broker.stdout is not None
    for line in broker.stdout:
        if found := re.search(r"http://(127\.0\.0\.1:\d+)", line):
            return broker, found[1]
    raise SystemExit("driftqd ended before it listened")


def main() -> None:
    """Runs them all; the first that fails ends it."""
    with tempfile.TemporaryDirectory() as folder:
        broker, address = start(sys.argv[1], folder)
        try:
            count = 0
            for text in commands():
                words = shlex.split(text.replace(PRINTED, address))
                done = subprocess.run([*words, "-sS", "--fail-with-body"], capture_output=True, text=True)
                if done.returncode not in (0, TIMED_OUT if "-m" in words else 0):
                    raise SystemExit(f"{text}\nfailed with {done.returncode}: {done.stdout}{done.stderr}")
                if "-m" in words and "run.created" not in done.stdout:
                    raise SystemExit(f"{text}\nshowed no event: {done.stdout}")
                count += 1
        finally:
            broker.terminate()
            broker.wait()
    if count < 8:
        raise SystemExit(f"only {count} curl lines were found in the README")
    print(f"{count} curl lines of the README work as printed")


if __name__ == "__main__":
    main()
