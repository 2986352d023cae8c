"""Docker or native? Docker if its engine and its Compose plugin answer, otherwise native, and why."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Literal

from devstack.say import Failed

Mode = Literal["docker", "native"]

#: A Docker CLI without an engine may hang; so much patience in all.
PROBE_S_MAX = 4.0


@dataclass(frozen=True)
class Choice:
    """How to start, and why so."""

    mode: Mode
    why: str


def choose(asked: Literal["auto", "docker", "native"]) -> Choice:
    """Decides; raises `Failed` if what was asked for cannot be."""
    if asked == "native":
        if sys.platform == "win32":
            raise Failed("native starts on Linux and macOS only: start Docker Desktop and use --mode docker")
        return Choice("native", "asked for")
    missing = what_docker_lacks()
    if missing is None:
        return Choice("docker", "the engine and Compose answer")
    if asked == "docker":
        raise Failed(f"--mode docker, but {missing}: start it, or use --mode native")
    if sys.platform == "win32":
        raise Failed(f"{missing}, and native starts on Linux and macOS only: start Docker Desktop")
    return Choice("native", missing)


def what_docker_lacks() -> str | None:
    """None if Docker can be used: a CLI alone is no engine, and an engine alone has no Compose."""
    docker = shutil.which("docker")
    if docker is None:
        return "docker is not installed"
    deadline = time.monotonic() + PROBE_S_MAX
    if not _answers([docker, "info"], deadline):
        return "the Docker engine does not answer"
    if not _answers([docker, "compose", "version"], deadline):
        return "Docker has no Compose plugin"
    return None


def _answers(command: list[str], deadline: float) -> bool:
    try:
        probe = subprocess.run(command, capture_output=True, timeout=max(0.1, deadline - time.monotonic()))
    except (subprocess.TimeoutExpired, OSError):
        return False
    return probe.returncode == 0
