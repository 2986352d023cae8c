"""The page without Docker: its packages, its build, its server.

What has not changed is neither installed nor built again; what changed is, whoever changed it. Node itself is
started, never a wrapper around it, so that a stop reaches what listens.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from devstack.places import TYPESCRIPT_SDK, WEB, Places
from devstack.say import Failed, line, step

NODE_MIN = (20, 9)
#: What belongs to nobody's sources.
MADE = {"node_modules", "dist", ".next", "screenshots", "test-results", "playwright-report", "next-env.d.ts"}
LOG_LINES_SHOWN = 20


def what_node_lacks() -> str | None:
    """None if the page can be built and served here."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "there is no Node.js with npm"
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=10).stdout
        version = tuple(int(part) for part in told.strip().removeprefix("v").split(".")[:2])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return f"{node} does not say its version"
    if version < NODE_MIN:
        return f"Node.js is {told.strip()}, too old"
    return None


def prepare(places: Places, *, dev: bool) -> None:
    """Installs and builds what is missing or has changed."""
    places.logs.mkdir(parents=True, exist_ok=True)
    log = places.logs / "page-build.log"
    log.write_bytes(b"")
    sdk = _told([TYPESCRIPT_SDK])
    if TYPESCRIPT_SDK.is_dir() and _stamp(TYPESCRIPT_SDK, "build") != sdk:
        lock = _told([TYPESCRIPT_SDK / "package-lock.json"])
        if _stamp(TYPESCRIPT_SDK, "packages") != lock:
            # The installation ends with the build.
            _npm(["ci"], TYPESCRIPT_SDK, log, "packages", "of the TypeScript SDK")
            _stamp(TYPESCRIPT_SDK, "packages", lock)
        else:
            _npm(["run", "build"], TYPESCRIPT_SDK, log, "build", "the TypeScript SDK")
        _stamp(TYPESCRIPT_SDK, "build", sdk)
    packages = _told([WEB / "package-lock.json", WEB / "package.json"]) + sdk
    if _stamp(WEB, "packages") != packages:
        _npm(["ci"], WEB, log, "packages", "of the page")
        _stamp(WEB, "packages", packages)
    page = _told([WEB]) + packages
    server = WEB / ".next" / "standalone" / "server.js"
    if not dev and (_stamp(WEB, "build") != page or not server.is_file()):
        _npm(["run", "build"], WEB, log, "build", "the page")
        _stamp(WEB, "build", page)


def command(places: Places, *, dev: bool) -> list[str]:
    """The page's server."""
    node = shutil.which("node") or "node"
    if dev:
        following = ["node_modules/next/dist/bin/next", "dev"]
        return [node, *following, "--port", str(places.web_port), "--hostname", "127.0.0.1"]
    return [node, ".next/standalone/server.js"]


def environment(places: Places) -> dict[str, str]:
    """What the page's server is told."""
    return {
        "API_URL": f"http://127.0.0.1:{places.api_port}",
        "HOSTNAME": "127.0.0.1",
        "PORT": str(places.web_port),
        "NEXT_TELEMETRY_DISABLED": "1",
    }


def _npm(words: list[str], folder: Path, log: Path, name: str, what: str) -> None:
    told = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1", "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}
    if words == ["ci"]:
        line(f"  npm ci in {folder}")
    with step(name, what), log.open("ab") as out:
        done = subprocess.run(
            ["npm", *words], cwd=folder, env=told, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    if done.returncode != 0:
        raise Failed(f"`npm {' '.join(words)}` in {folder} failed; the end of {log}:\n{_end_of(log)}")


def _stamp(folder: Path, what: str, told: str | None = None) -> str | None:
    """Reads what a folder's packages or build were made from, or writes it where no build cleans up."""
    file = folder / "node_modules" / f".{what}-made-from"
    if told is not None:
        file.write_text(told)
        return told
    return file.read_text() if file.is_file() else None


def _told(roots: Iterable[Path]) -> str:
    """Changes when one of these files does, or one below these folders."""
    told = hashlib.sha256()
    for root in roots:
        files = [root] if root.is_file() else sorted(_sources(root)) if root.is_dir() else []
        for file in files:
            told.update(str(file.relative_to(root.parent)).encode() + b"\0")
            told.update(hashlib.sha256(file.read_bytes()).digest())
    return told.hexdigest()


def _sources(folder: Path) -> Iterable[Path]:
    for entry in folder.iterdir():
        if entry.name in MADE or entry.name.endswith((".tsbuildinfo", ".tgz")):
            continue
        if entry.is_dir():
            yield from _sources(entry)
        elif entry.is_file():
            yield entry


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n".join(f"  | {text}" for text in lines) or "  | (it said nothing)"
