"""`--reload`: a worker that is started anew whenever a Python file changes; for development.

The worker runs in a process of its own and is asked to stop by SIGTERM, so what it works on may end. A worker
that cannot be imported is waited for: the next change starts it again. SIGTERM or Ctrl-C ends both; a second
one does not wait for what still runs.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

logger = logging.getLogger("driftq.worker")

# A worker drains for some seconds; after that it is killed, and its leases end.
STOP_S_MAX = 15


def run_reloading(arguments: Sequence[str], folders: Sequence[Path]) -> int:
    """Runs `python -m driftq` with these arguments, but `--reload`, until it is asked to stop."""
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as error:
        raise ImportError("--reload needs watchfiles: pip install 'driftq[reload]'") from error
    missing = [str(folder) for folder in folders if not folder.exists()]
    if missing:
        raise ValueError(f"--reload-dir {', '.join(missing)} does not exist")
    logger.info("watching %s", ", ".join(str(folder) for folder in folders))
    child = _Child([sys.executable, "-m", "driftq", *without_reload(arguments)])
    with _told_by_signals(child) as stopping:
        child.start()
        for changes in watch(
            *folders, watch_filter=PythonFilter(), stop_event=stopping, raise_interrupt=False
        ):
            names = sorted(Path(path).name for _, path in changes)
            logger.info("%s changed, starting anew", ", ".join(names))
            child.stop()
            if stopping.is_set():
                break
            child.start()
        return 0 if child.stop() else 1


class _Child:
    """The worker's process, one after the other."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it anew."""
        self._process = subprocess.Popen(self._command)

    def ask(self) -> None:
        """Asks it to stop; the second time it gives back what it works on and ends."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> bool:
        """Asks it to stop and waits; false when it had to be killed."""
        self.ask()
        if self._process is None:
            return True
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            logger.error("the worker has not stopped within %d s, so it is killed", STOP_S_MAX)
            self._process.kill()
            self._process.wait()
            return False
        return True


@contextlib.contextmanager
def _told_by_signals(child: _Child) -> Iterator[threading.Event]:
    """An event that the first SIGTERM or SIGINT sets; each one after that goes to the worker as well."""
    stopping = threading.Event()

    def told(*_: object) -> None:
        if stopping.is_set():
            child.ask()
        stopping.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def without_reload(arguments: Sequence[str]) -> list[str]:
    """The arguments of the worker itself."""
    kept: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--reload-dir":
            next(given, None)
        elif argument != "--reload" and not argument.startswith("--reload-dir="):
            kept.append(argument)
    return kept
