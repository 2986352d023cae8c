"""What runs, so that a second start knows it and a stop hits nobody else.

A pid alone proves nothing: it may have been given to another process since. So its start time is kept too,
and no signal is sent to a process that began at another time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devstack.mode import Mode
from devstack.places import Places

STOP_S_MAX = 10.0


@dataclass(frozen=True)
class Running:
    """One process of ours."""

    name: str
    pid: int
    began: str
    command: list[str]

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return began(self.pid) == self.began


@dataclass
class Stack:
    """What `dev_up.py` started, in its order."""

    mode: Mode
    processes: list[Running] = field(default_factory=list)
    broker_port: int = 8080
    api_port: int = 8000
    web_port: int = 3000
    dev: bool = False

    def save(self, places: Places) -> None:
        """Writes it down, whole or not at all."""
        places.home.mkdir(parents=True, exist_ok=True)
        draft = places.state.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n")
        draft.replace(places.state)


def load(places: Places) -> Stack | None:
    """What an earlier start wrote; None if there is nothing that can be read."""
    try:
        told = json.loads(places.state.read_text())
        processes = [Running(**process) for process in told["processes"]]
        ports = (told["broker_port"], told["api_port"], told["web_port"])
        return Stack(told["mode"], processes, *ports, dev=told["dev"])
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None


def began(pid: int) -> str | None:
    """When a process was started, in whatever words the system has for it; None if it is gone."""
    try:
        if sys.platform == "linux":
            # The name in parentheses may hold spaces; what follows it may not. A zombie is gone.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] == "Z" else fields[19]
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
        return shown.stdout.strip() or None
    except OSError:
        return None


def stop(process: Running) -> bool:
    """SIGTERM, patience, SIGKILL; False if it was gone already."""
    if not process.alive():
        return False
    _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_S_MAX
    while process.alive():
        _reap(process.pid)
        if time.monotonic() > deadline:
            _signal(process, signal.SIGKILL)
        time.sleep(0.02)
    return True


def _signal(process: Running, number: signal.Signals) -> None:
    try:
        # Each has a group of its own, so that what it started ends with it.
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
