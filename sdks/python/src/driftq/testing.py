"""A real broker for tests: `with Driftqd() as broker: AsyncClient(broker.url)`.

It runs on a free port over a folder of its own, and can be killed and started again over the same data. It
never fakes anything; without a `driftqd` it says where it looked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

__all__ = ["Driftqd", "find_driftqd", "free_port"]

START_S_MAX = 20.0
STOP_S_MAX = 15.0


def find_driftqd(candidates: Iterable[Path] = ()) -> Path:
    """Where driftqd is: `DRIFTQD_BIN`, one of the candidates, or on the PATH."""
    named = os.environ.get("DRIFTQD_BIN")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"DRIFTQD_BIN names {named}, which is no file")
        return Path(named).resolve()
    looked = [str(candidate) for candidate in candidates]
    for place in looked:
        if Path(place).is_file():
            return Path(place).resolve()
    on_path = shutil.which("driftqd")
    if on_path is None:
        where = ", ".join([*looked, "the PATH"])
        raise FileNotFoundError(
            f"no driftqd in {where}: build it with `cargo build -p driftq-server`, or set DRIFTQD_BIN"
        )
    return Path(on_path)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Driftqd:
    """One broker process after another, over one data folder and on one port."""

    def __init__(
        self,
        *,
        binary: Path | None = None,
        folder: Path | None = None,
        arguments: Iterable[str] = (),
    ) -> None:
        self._binary = binary or find_driftqd()
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="driftqd-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.port = free_port()
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said so far."""
        with contextlib.suppress(FileNotFoundError):
            return self._log_file.read_text(errors="replace")
        return ""

    @property
    def _log_file(self) -> Path:
        return self.folder / "driftqd.log"

    def start(self) -> None:
        """Starts it and waits until it is ready: its log is read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(self._binary),
            "-addr",
            f"127.0.0.1:{self.port}",
            "-wal",
            str(self.folder / "data"),
            *self._arguments,
        ]
        with self._log_file.open("ab") as log:
            # Not the caller's environment: a DRIFTQ_* in it would change what is tested.
            environment = {
                name: value for name, value in os.environ.items() if not name.startswith("DRIFTQ_")
            }
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + START_S_MAX
        while not self._answers():
            if self._process.poll() is not None:
                raise RuntimeError(f"driftqd ended with {self._process.returncode} at its start:\n{self.log}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"driftqd did not answer within {START_S_MAX:g} s:\n{self.log}")
            time.sleep(0.02)

    def kill(self) -> None:
        """`kill -9`: no goodbye, nothing flushed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        if self._process is None:
            return 0
        self._process.terminate()
        code = self._process.wait(STOP_S_MAX)
        self._process = None
        return code

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/v1/readyz", timeout=1, trust_env=False).is_success
        except httpx2.TransportError:
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._temporary is not None:
            self._temporary.cleanup()
