"""`--reload`: a worker that is started anew whenever a Python file changes; for development.

The worker runs in a process of its own and is asked to stop as by SIGTERM, so what it works on may end. A
worker that cannot be imported is waited for: the next change starts it again.
"""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger("driftq.worker")

# A worker drains for some seconds; after that it is killed, and its leases end.
STOP_S_MAX = 15


def run_reloading(arguments: Sequence[str], folders: Sequence[Path]) -> int:
    """Runs `python -m driftq` with these arguments, but `--reload`, until it is interrupted."""
    try:
        from watchfiles import PythonFilter, run_process
    except ImportError as error:
        raise ImportError("--reload needs watchfiles: pip install 'driftq[reload]'") from error
    missing = [str(folder) for folder in folders if not folder.exists()]
    if missing:
        raise ValueError(f"--reload-dir {', '.join(missing)} does not exist")
    logger.info("watching %s", ", ".join(str(folder) for folder in folders))
    run_process(
        *folders,
        target=shlex.join([sys.executable, "-m", "driftq", *without_reload(arguments)]),
        target_type="command",
        watch_filter=PythonFilter(),
        sigint_timeout=STOP_S_MAX,
        callback=lambda changes: logger.info(
            "%s changed, starting anew", ", ".join(sorted(Path(path).name for _, path in changes))
        ),
    )
    return 0


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
