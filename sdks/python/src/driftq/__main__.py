"""`python -m driftq worker module:worker` runs a worker until SIGTERM.

The module is imported from the current folder, as with any `python -m`.
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

from ._errors import DriftqError
from ._worker import Worker


def main(arguments: list[str] | None = None) -> int:
    """Parses the arguments, runs the worker, returns the exit code."""
    asked = _parser().parse_args(arguments)
    logging.basicConfig(
        level=asked.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s  %(message)s",
        stream=sys.stderr,
    )
    # One line for every request is the broker's business, not the worker's.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        worker = _load(asked.worker)
        _run(worker, asked.ready_file)
    except (DriftqError, ImportError, ValueError, TypeError, AttributeError) as error:
        logging.getLogger("driftq.worker").debug("the worker ended", exc_info=True)
        sys.stderr.write(f"driftq worker: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m driftq", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker", help="run a worker until SIGTERM")
    worker.add_argument("worker", help="where it is, as module:name")
    worker.add_argument(
        "--log-level", default=os.environ.get("DRIFTQ_LOG_LEVEL", "info"), help="default: info"
    )
    worker.add_argument(
        "--ready-file", type=Path, help="a file that is there while the worker reads its topics"
    )
    return parser


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
