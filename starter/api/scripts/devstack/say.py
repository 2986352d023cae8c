"""Words for a terminal: a tick a step, plain where there is no terminal, ASCII where there is no UTF-8."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator


class Failed(Exception):
    """The start cannot go on; its text says why and what to do."""


def _fancy() -> bool:
    return sys.stdout.isatty() and not os.environ.get("CI") and not os.environ.get("NO_COLOR")


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def plain(text: str) -> str:
    """The text as this terminal can show it."""
    if _utf8():
        return text
    for fancy, ascii_ in (("✓", "+"), ("✗", "x"), ("→", "->"), ("…", "..."), ("·", "-")):
        text = text.replace(fancy, ascii_)
    return text.encode("ascii", "replace").decode()


def line(text: str = "") -> None:
    """One line."""
    print(plain(text), flush=True)


def fault(text: str) -> None:
    """One line on the error stream."""
    print(plain(text), file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(name: str, detail: str = "") -> Iterator[None]:
    """`✓ broker  http://localhost:8080  0.4s` at its end; while it lasts, a dot on a terminal."""
    began = time.monotonic()
    if _fancy():
        print(plain(f"· {name:<8} {detail}"), end="\r", flush=True)
    try:
        yield
    except BaseException:
        line(f"✗ {name:<8} {detail}  {time.monotonic() - began:.1f}s")
        raise
    line(f"✓ {name:<8} {detail}  {time.monotonic() - began:.1f}s")
