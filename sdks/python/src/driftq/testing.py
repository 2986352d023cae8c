"""A real broker for tests: `def test_it(driftqd): driftqd.client()…`.

The fixture `driftqd` comes with this package. Each test gets a broker of its own, in memory, within
milliseconds; its clock stands still until `driftqd.clock.advance(days=3)` moves it, so a retry after three
days costs nothing. `Driftqd` is the same by hand, also over a folder, killed and started again. Nothing is
ever faked; without a `driftqd` it says where it looked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from ._async._client import AsyncClient
from ._sync._client import Client
from ._worker import Worker

__all__ = ["Clock", "Driftqd", "find_driftqd", "free_port", "working"]

START_S_MAX = 20.0
STOP_S_MAX = 15.0

_LISTENS = re.compile(r"(https?)://127\.0\.0\.1:(\d+)")


def find_driftqd(candidates: Iterable[Path] = ()) -> Path:
    """Where driftqd is: `DRIFTQD_BIN`, one of the candidates, beside this Python, or on the PATH."""
    named = os.environ.get("DRIFTQD_BIN")
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"DRIFTQD_BIN names {named}, which is no file")
        return Path(named).resolve()
    ours = Path(sysconfig.get_path("scripts")) / ("driftqd.exe" if os.name == "nt" else "driftqd")
    looked = [str(candidate) for candidate in [*candidates, ours]]
    for place in looked:
        if Path(place).is_file():
            return Path(place).resolve()
    on_path = shutil.which("driftqd")
    if on_path is None:
        where = ", ".join([*looked, "the PATH"])
        raise FileNotFoundError(
            f"no driftqd in {where}: install a wheel that has it, build it with "
            "`cargo build -p driftq-server`, or set DRIFTQD_BIN"
        )
    return Path(on_path)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Clock:
    """The clock of a broker with `dev_clock`: it stands still until it is moved."""

    def __init__(self, broker: Driftqd) -> None:
        self._broker = broker

    @property
    def now_ms(self) -> int:
        """What time it is, epoch milliseconds."""
        with self._broker.client() as client:
            return client.clock().now_ms

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, ms: float = 0
    ) -> int:
        """Moves it, and returns the new time; all that became due has been done."""
        with self._broker.client() as client:
            moved = client.advance_clock(days=days, hours=hours, minutes=minutes, seconds=seconds, ms=ms)
        return moved.now_ms

    async def aadvance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, ms: float = 0
    ) -> int:
        """The same without holding up an event loop."""
        async with self._broker.async_client() as client:
            moved = await client.advance_clock(
                days=days, hours=hours, minutes=minutes, seconds=seconds, ms=ms
            )
        return moved.now_ms


class Driftqd:
    """One broker process after another, over one data folder (or none: `memory`) and on one port."""

    def __init__(
        self,
        *,
        binary: Path | None = None,
        folder: Path | None = None,
        memory: bool = False,
        dev_clock: bool = False,
        arguments: Iterable[str] = (),
    ) -> None:
        self._binary = binary or find_driftqd()
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="driftqd-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.port = 0
        self._scheme = "http"
        self._arguments = [
            *(["--memory"] if memory else ["-wal", str(self.folder / "data")]),
            *(["--dev-clock"] if dev_clock else []),
            *arguments,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.clock = Clock(self)

    @property
    def url(self) -> str:
        """Where it answers; once started it keeps its port."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said so far."""
        with contextlib.suppress(FileNotFoundError):
            return self._log_file.read_text(errors="replace")
        return ""

    @property
    def _log_file(self) -> Path:
        return self.folder / "driftqd.log"

    def client(self, *, token: str | None = None, actor: str | None = None) -> Client:
        """A blocking client to it; use it as `with broker.client() as client:`."""
        return Client(self.url, token=token, actor=actor)

    def async_client(self, *, token: str | None = None, actor: str | None = None) -> AsyncClient:
        """An asynchronous client to it; use it as `async with broker.async_client() as client:`."""
        return AsyncClient(self.url, token=token, actor=actor)

    def start(self) -> None:
        """Starts it and waits until it is ready: its log is read."""
        self.folder.mkdir(parents=True, exist_ok=True)
        said_before = len(self.log)
        command = [str(self._binary), "-addr", f"127.0.0.1:{self.port}", "-log-format", "text"]
        with self._log_file.open("ab") as log:
            # Not the caller's environment: a DRIFTQ_* in it would change what is tested.
            environment = {
                name: value for name, value in os.environ.items() if not name.startswith("DRIFTQ_")
            }
            self._process = subprocess.Popen(
                [*command, *self._arguments], stdout=log, stderr=log, env=environment
            )
        deadline = time.monotonic() + START_S_MAX
        while not self._answers(said_before):
            if self._process.poll() is not None:
                raise RuntimeError(f"driftqd ended with {self._process.returncode} at its start:\n{self.log}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"driftqd did not answer within {START_S_MAX:g} s:\n{self.log}")
            time.sleep(0.002)

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

    def _answers(self, said_before: int) -> bool:
        if self.port == 0:
            # It chose a free port, and says which.
            listens = _LISTENS.search(self.log, said_before)
            if listens is None:
                return False
            self._scheme, self.port = listens[1], int(listens[2])
        try:
            # Only whether it answers is asked here; whom to trust is the clients' business.
            answer = httpx2.get(f"{self.url}/v1/readyz", timeout=1, trust_env=False, verify=False)
            return answer.is_success
        except httpx2.TransportError:
            return False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean_up()

    def _clean_up(self) -> None:
        self.kill()
        if self._temporary is not None:
            self._temporary.cleanup()


@contextlib.asynccontextmanager
async def working(worker: Worker, client: AsyncClient | None = None) -> AsyncIterator[None]:
    """A worker that works for as long as the block lasts: `async with working(worker, client): …`.

    It is ready when the block begins. At the end it may finish what it works on; what made it fail is
    raised.
    """
    ready = asyncio.Event()
    task = asyncio.create_task(worker.run(client=client, on_ready=ready.set, handle_signals=False))
    waiting = asyncio.create_task(ready.wait())
    try:
        async with asyncio.timeout(START_S_MAX):
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield
    finally:
        waiting.cancel()
        worker.stop()
        await task
