"""`python3 spec/scenarios/runner [STORY…]`: plays the scenarios over raw HTTP, or through an adapter program.

Exit status: 0 all passed, 1 some failed, 3 some were skipped because the server lacks what they need.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runner.adapter import Adapter, Call
from runner.play import Failed, play
from runner.program import Program
from runner.servers import Server
from runner.story import Story, load_all
from runner.wire import Operation, Wire

SKIPPED = 3


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


def can_play(story: Story, adapter: Adapter) -> bool:
    """Whether the adapter can say everything that the story says."""
    if story.is_wire and not isinstance(adapter, Wire):
        return False
    steps = [step for step in story.walk() if "do" in step]
    if not isinstance(adapter, Wire) and any(
        {"query", "body", "raw", "headers"} & step.keys() for step in steps
    ):
        return False
    return all(adapter.knows(Call(step["do"], step.get("with", {}))) for step in steps)


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
                if not can_play(story, adapter):
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


def main() -> int:
    """Plays what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stories", nargs="*", help="names of stories; all without one")
    parser.add_argument("--driftqd", default=os.environ.get("DRIFTQD_BIN", "target/debug/driftqd"))
    parser.add_argument("--adapter", help="a program that carries the calls; see README.md")
    parser.add_argument("--jobs", type=int, default=4, help="stories at the same time")
    parser.add_argument("--allow-skips", action="store_true", help="a skipped story is no failure")
    given = parser.parse_args()
    known = load_all()
    stories = [story for story in known if not given.stories or story.name in given.stories]
    if len(stories) < len(given.stories):
        parser.error("there is no such story")
    began = time.monotonic()

    def connect(address: str) -> Adapter:
        return Program(given.adapter, address) if given.adapter else Wire(address)

    suite = Suite(given.driftqd, connect)
    counts = {"passed": 0, "failed": 0, "skipped": 0, "beyond": 0}
    try:
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            for story, (verdict, why) in zip(stories, pool.map(suite.run, stories), strict=True):
                counts[verdict] += 1
                if verdict != "passed":
                    print(f"{verdict:8} {story.name}: {why}")
        unused = [] if given.stories or given.adapter else suite.unused(known)
    finally:
        suite.close()
    for operation in unused:
        print(f"unused   no story calls {operation}")
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    print(f"{len(stories)} stories in {time.monotonic() - began:.1f} s: {said}")
    if counts["failed"] or unused or not counts["passed"]:
        return 1
    return SKIPPED if counts["skipped"] and not given.allow_skips else 0


if __name__ == "__main__":
    sys.exit(main())
