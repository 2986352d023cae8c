"""A driftqd of our own: on a free port, in a folder of its own.

Promise: what is started is stopped, by its own process id; its data folder outlives a restart, nothing else.
"""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

_START_S = 30
_STOP_S = 15
_SAID_MAX = 200
_LISTENS = re.compile(r"https?://(127\.0\.0\.1:\d+)")


class Server:
    """A driftqd that runs."""

    def __init__(self, binary: str, flags: tuple[str, ...] = (), files: dict[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="driftq-scenarios-"))
        for name, text in (files or {}).items():
            (self.folder / name).write_text(text, encoding="utf-8")
        own = [flag.replace("${files}", str(self.folder)) for flag in flags]
        self._command = [binary, "--wal", str(self.folder / "data"), "--log-format", "text", *own]
        self._process: subprocess.Popen[str] | None = None
        self.address = ""
        self._said: list[str] = []
        try:
            self.start("127.0.0.1:0")
        except BaseException:
            self.close()
            raise

    def start(self, address: str) -> None:
        """Starts it, and returns once it listens."""
        process = subprocess.Popen(
            [*self._command, "--addr", address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._process = process
        found: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._listen, args=(process, found), daemon=True)
        self._reader.start()
        try:
            listens = found.get(timeout=_START_S)
        except queue.Empty:
            listens = None
        if listens is None:
            raise RuntimeError("driftqd did not start:\n" + "\n".join(self._said[-20:]))
        self.address = listens

    def _listen(self, process: subprocess.Popen[str], found: queue.Queue[str | None]) -> None:
        """Reads its log to the end, so that it never waits for us."""
        assert process.stdout is not None
        with process.stdout as log:
            for line in log:
                self._said.append(line.rstrip())
                del self._said[:-_SAID_MAX]
                if match := _LISTENS.search(line):
                    found.put(match[1])
        found.put(None)

    def restart(self, how: str) -> None:
        """Ends it (`stop` in order, `kill` at once) and starts it on the same data and address."""
        assert self._process is not None
        if how == "kill":
            self._process.kill()
        else:
            self._process.terminate()
        status = self._process.wait(timeout=_STOP_S)
        if how == "stop" and status != 0:
            raise RuntimeError(f"driftqd ended with {status} after SIGTERM")
        self.start(self.address)

    @property
    def said(self) -> str:
        """The end of its log."""
        return "\n".join(self._said[-20:])

    def close(self) -> None:
        """Stops it and removes its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None:
            self._process.wait()
            self._reader.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
