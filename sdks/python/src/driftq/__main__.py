"""`python -m driftq`: `worker` runs a worker until SIGTERM, `outbox` sends what a database stored.

A worker's module is imported from the current folder, as with any `python -m`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import sys
import threading
from pathlib import Path

from . import logs
from ._errors import DriftqError
from ._outbox_command import add_outbox
from ._worker import Worker

logger = logging.getLogger("driftq.worker")


def main(arguments: list[str] | None = None) -> int:
    """Parses the arguments, runs the command, returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    asked = _parser().parse_args(given)
    logs.configure(level=asked.log_level, format=asked.log_format)
    try:
        return int(asked.run(asked, given))
    except (DriftqError, ImportError, ValueError, TypeError, AttributeError) as error:
        logger.debug("the command ended", exc_info=True)
        sys.stderr.write(f"driftq {asked.command}: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m driftq", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker", help="run a worker until SIGTERM", allow_abbrev=False)
    worker.set_defaults(run=_worker)
    worker.add_argument("worker", help="where it is, as module:name")
    worker.add_argument(
        "--reload", action="store_true", help="start anew when a Python file changes (driftq[reload])"
    )
    worker.add_argument(
        "--reload-dir",
        type=Path,
        action="append",
        metavar="DIR",
        help="what --reload watches; default: here; may be repeated",
    )
    worker.add_argument(
        "--ready-file", type=Path, help="a file that is there while the worker reads its topics"
    )
    logs.add_arguments(worker)
    add_outbox(commands)
    return parser


def _worker(asked: argparse.Namespace, given: list[str]) -> int:
    if asked.reload:
        from ._reload import run_reloading

        return run_reloading(given, asked.reload_dir or [Path.cwd()])
    if asked.reload_dir:
        raise ValueError("--reload-dir says nothing without --reload")
    _run(_load(asked.worker), asked.ready_file)
    return 0


def _load(place: str) -> Worker:
    module_name, colon, name = place.partition(":")
    if not colon:
        raise ValueError(f"say where the worker is as module:name, not {place!r}")
    sys.path.insert(0, str(Path.cwd()))
    worker = getattr(importlib.import_module(module_name), name)
    if not isinstance(worker, Worker):
        raise TypeError(f"{place} is no driftq.Worker but {type(worker).__qualname__}")
    return worker


def _run(worker: Worker, ready_file: Path | None) -> None:
    def ready() -> None:
        if ready_file is not None:
            ready_file.write_text(f"{os.getpid()}\n")

    if ready_file is not None:
        # One that an earlier worker left behind would lie.
        ready_file.unlink(missing_ok=True)
    try:
        asyncio.run(worker.run(on_ready=ready))
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


def _end(code: int) -> None:
    """Exits, also past a step that is still busy in a thread: its lease ends, and the broker tries again."""
    busy = [thread for thread in threading.enumerate() if thread.name.startswith("driftq-step")]
    logging.shutdown()
    if busy:
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _end(main())
