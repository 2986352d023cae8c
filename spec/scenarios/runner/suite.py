"""All stories against one binary, each once.

Promise: a story is played, or it is said why not: the server lacks what it needs, or the adapter cannot say
it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from .adapter import Adapter, Call
from .play import Failed, play
from .servers import Server
from .story import Story
from .wire import Operation, Wire

_WIRE_ONLY = {"query", "body", "raw", "headers", "abandon"}


def missing(story: Story, operations: dict[str, Operation], flags: str) -> str | None:
    """The first thing that a story needs and the server lacks."""
    for need in story.needs:
        if need.startswith("--"):
            if need not in flags:
                return need
            continue
        name, _, takes = need.partition(":")
        if name not in operations or (takes and takes not in operations[name].takes):
            return need
    return None


def can_play(story: Story, knows: Callable[[Call], bool], *, is_wire: bool = False) -> bool:
    """Whether an adapter can say everything that the story says."""
    steps = [step for step in story.walk() if "do" in step]
    if not is_wire and (story.is_wire or any(_WIRE_ONLY & step.keys() for step in steps)):
        return False
    return all(knows(Call(step["do"], _plain(step.get("with", {})))) for step in steps)


def _plain(args: dict[str, Any]) -> dict[str, Any]:
    """Arguments without those that only the play itself makes."""
    return {name: value for name, value in args.items() if not name.startswith("$")}


class Suite:
    """All stories against one binary."""

    def __init__(self, binary: str, connect: Callable[[str], Adapter]) -> None:
        self._binary, self._connect = binary, connect
        helped = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True)
        self._flags = helped.stdout
        self._shared = Server(binary)
        self._operations = Wire(self._shared.address).operations

    def run(self, story: Story) -> tuple[str, str]:
        """`passed`, `failed`, `skipped` or `beyond` (not for this adapter), and why."""
        lacks = missing(story, self._operations, self._flags)
        if lacks is not None:
            return "skipped", f"the server lacks {lacks}"
        server = self._shared
        try:
            if story.wants_own_server:
                wants = story.server
                server = Server(self._binary, wants.flags, wants.files) if wants else Server(self._binary)
            adapter = self._connect(server.address)
            try:
                if isinstance(adapter, Wire):
                    adapter.learn(self._operations)
                if not can_play(story, adapter.knows, is_wire=isinstance(adapter, Wire)):
                    return "beyond", "the adapter has no way to say it"
                play(story, adapter, server if server is not self._shared else None)
            finally:
                adapter.close()
        except (Failed, RuntimeError, OSError, ValueError) as error:
            return (
                "failed",
                f"{error}\n  its log ends with:\n{server.said}" if server is not self._shared else str(error),
            )
        finally:
            if server is not self._shared:
                server.close()
        return "passed", ""

    def unused(self, stories: list[Story]) -> list[str]:
        """Operations that no story calls."""
        used = {operation for story in stories for operation in story.operations}
        return sorted(self._operations.keys() - used)

    def close(self) -> None:
        """Stops the server that they share."""
        self._shared.close()
