"""Stories as they lie in this folder.

Promise: what is loaded is well formed: an unknown member, a step that is no step, or a step that expects
nothing it could fail on is refused with file and place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent

_STORY = {"story", "contract", "needs", "names", "let", "wire", "server", "steps"}
_EXPECT = {"status", "body", "headers", "text", "error", "message", "reason", "retry_after_ms"}
_CALL = {"do", "with", "query", "body", "raw", "headers"}
_STEPS: dict[str, set[str]] = {
    "do": _CALL | {"expect", "eventually", "later", "open", "say"},
    "await": {"await", "expect", "say"},
    "abandon": {"abandon", "say"},
    "read": {"read", "items", "types", "until", "ends", "within_ms", "say"},
    "close": {"close", "say"},
    "clock": {"clock", "say"},
    "restart": {"restart", "say"},
    "each": {"each", "as", "steps", "say"},
}


@dataclass(frozen=True, slots=True)
class ServerNeeds:
    """The server a story wants for itself: options, and files that they name by `${files}`."""

    flags: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """One file: what is asked, and what must come back."""

    name: str
    title: str
    contract: str
    steps: list[dict[str, Any]]
    needs: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    let: dict[str, Any] = field(default_factory=dict)
    is_wire: bool = False
    server: ServerNeeds | None = None

    def walk(self) -> Iterator[dict[str, Any]]:
        """Every step, those within others included."""
        yield from _walk(self.steps)

    @property
    def operations(self) -> set[str]:
        """The operations it calls."""
        moved = {"move_clock"} if any("clock" in step for step in self.walk()) else set()
        return moved | {step["do"] for step in self.walk() if "do" in step}

    @property
    def wants_own_server(self) -> bool:
        """Whether it would disturb others, or needs another start."""
        return self.server is not None or any("restart" in step for step in self.walk())


def _walk(steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        yield from _walk(step.get("steps", []))


def load_all(folder: Path = FOLDER) -> list[Story]:
    """Every story, by the name of its file."""
    return [load(path) for path in sorted(folder.glob("*.json"))]


def load(path: Path) -> Story:
    """One story."""
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from error
    _only(text, _STORY, path.name)
    for member in ("story", "contract", "steps"):
        if not text.get(member):
            raise ValueError(f"{path.name}: {member} is missing")
    _check_steps(text["steps"], f"{path.name}: steps")
    server = text.get("server")
    if server is not None:
        _only(server, {"flags", "files"}, f"{path.name}: server")
    return Story(
        name=path.stem,
        title=text["story"],
        contract=text["contract"],
        steps=text["steps"],
        needs=tuple(text.get("needs", ())),
        names=tuple(text.get("names", ())),
        let=text.get("let", {}),
        is_wire=text.get("wire", False),
        server=ServerNeeds(tuple(server.get("flags", ())), server.get("files", {}))
        if server is not None
        else None,
    )


def _check_steps(steps: list[dict[str, Any]], place: str) -> None:
    for index, step in enumerate(steps):
        here = f"{place}[{index}]"
        kind = next((kind for kind in _STEPS if kind in step), None)
        if kind is None:
            raise ValueError(f"{here} is none of {', '.join(_STEPS)}")
        _only(step, _STEPS[kind], here)
        if "expect" in step:
            _only(step["expect"], _EXPECT, f"{here}.expect")
        if kind in ("do", "await") and not {"expect", "later", "open"} & step.keys():
            raise ValueError(f"{here} expects nothing")
        if "steps" in step:
            _check_steps(step["steps"], f"{here}.steps")


def _only(given: dict[str, Any], known: set[str], place: str) -> None:
    unknown = sorted(given.keys() - known)
    if unknown:
        raise ValueError(f"{place}: unknown member {unknown[0]!r}")
