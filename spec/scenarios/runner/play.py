"""Plays a story, step by step.

Promise: a step that waits, waits for its condition until a deadline; nothing here waits for a time to pass.
The first step that is not as expected ends the story with its place and every difference.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Any

from .adapter import UNSEEN, Adapter, Call, Outcome, Stream
from .matching import differences, shown
from .servers import Server
from .story import Story
from .values import filled
from .wire import Wire

_WITHIN_MS = 10_000
_AGAIN_S = 0.02
_STATUS_OF = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "EXPIRED": 404,
    "METHOD_NOT_ALLOWED": 405,
    "FAILED_PRECONDITION": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "UNPROCESSABLE": 422,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}


class Failed(Exception):
    """A step that was not as expected."""


def play(story: Story, adapter: Adapter, server: Server | None = None) -> None:
    """Plays a story to its end, or raises `Failed`."""
    player = Player(adapter, server)
    for name in story.names:
        player.variables[name] = f"{name}-{secrets.token_hex(4)}"
    player.variables |= filled(story.let, player.variables)
    try:
        player.steps(story.steps, "steps")
    finally:
        player.close()


class _Later:
    """A call beside others, through an adapter that knows only calls that return."""

    def __init__(self, adapter: Adapter, call: Call) -> None:
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(adapter, call), daemon=True)
        self._thread.start()

    def _run(self, adapter: Adapter, call: Call) -> None:
        try:
            self._outcome = adapter.call(call)
        except BaseException as error:  # handed on to whoever awaits it
            self._error = error

    def wait(self) -> Outcome:
        self._thread.join(60)
        if self._error is not None:
            raise self._error
        if self._outcome is None:
            raise TimeoutError("the answer did not come")
        return self._outcome


class Player:
    """A story under way: its variables, its open streams, its calls on their way."""

    def __init__(self, adapter: Adapter, server: Server | None = None) -> None:
        self.adapter = adapter
        self.server = server
        self.variables: dict[str, Any] = {}
        self._streams: dict[str, Stream] = {}
        self._later: dict[str, Any] = {}

    def close(self) -> None:
        """Leaves what is still open."""
        for stream in self._streams.values():
            stream.close()

    def steps(self, steps: list[dict[str, Any]], place: str) -> None:
        """Plays steps in their order."""
        for index, step in enumerate(steps):
            here = f"{place}[{index}]"
            try:
                self._step(step, here)
            except (AssertionError, TimeoutError, EOFError, LookupError, OSError) as error:
                said = f" ({step['say']})" if "say" in step else ""
                raise Failed(f"{here}{said}: {type(error).__name__}: {error}") from error

    def _step(self, step: dict[str, Any], place: str) -> None:
        if "do" in step:
            self._do(step, place)
        elif "await" in step:
            self._expect(self._later.pop(step["await"]).wait(), step["expect"], place)
        elif "abandon" in step:
            self._later.pop(step["abandon"]).abandon()
        elif "read" in step:
            self._read(step, place)
        elif "close" in step:
            self._streams.pop(step["close"]).close()
        elif "clock" in step:
            self._clock(step["clock"])
        elif "restart" in step:
            assert self.server is not None, "only a server of our own can be restarted"
            self.server.restart(step["restart"])
        else:
            for index, value in enumerate(filled(step["each"], self.variables)):
                self.variables[step.get("as", "each")] = value
                self.steps(step["steps"], f"{place}.steps#{index}")

    def _do(self, step: dict[str, Any], place: str) -> None:
        call = self.call_of(step)
        if "open" in step:
            opened = self.adapter.open(call)
            if not isinstance(opened, Outcome):
                self._streams[step["open"]] = opened
                self._expect(
                    Outcome(UNSEEN, headers=getattr(opened, "headers", None)), step.get("expect", {}), place
                )
            else:
                assert "expect" in step, f"the stream was refused: {opened}"
                self._expect(opened, step["expect"], place)
        elif "later" in step:
            is_wire = isinstance(self.adapter, Wire)
            self._later[step["later"]] = (
                self.adapter.start(call) if is_wire else _Later(self.adapter, call)  # type: ignore[attr-defined]
            )
        else:
            self._expect_within(call, step, place)

    def call_of(self, step: dict[str, Any]) -> Call:
        """The call of a step, with this run's names."""
        given = {
            name: filled(step[name], self.variables) for name in ("query", "body", "raw") if name in step
        }
        return Call(
            step["do"],
            filled(step.get("with", {}), self.variables),
            given.get("query"),
            given.get("body", UNSEEN),
            given.get("raw"),
            filled(step.get("headers", {}), self.variables),
        )

    def _expect_within(self, call: Call, step: dict[str, Any], place: str) -> None:
        deadline = time.monotonic() + step.get("eventually", {}).get("within_ms", 0) / 1000
        while True:
            outcome = self.adapter.call(call)
            try:
                self._expect(outcome, step["expect"], place)
            except Failed:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_AGAIN_S)  # between two looks at a condition
            else:
                return

    def _expect(self, outcome: Outcome, expect: dict[str, Any], place: str) -> None:
        wanted = filled(expect, self.variables)
        found = self._of_refusal(outcome, wanted)
        if "status" in wanted and outcome.status is not None:
            found += differences(wanted["status"], outcome.status, self.variables, "status")
        elif "status" in wanted and outcome.body is not UNSEEN and outcome.status is None:
            is_refused = isinstance(wanted["status"], int) and wanted["status"] >= 400
            if is_refused != (outcome.refusal is not None):
                found.append(f"expected status {wanted['status']}, got {outcome.refusal}")
        if "body" in wanted and outcome.body is not UNSEEN:
            found += differences(wanted["body"], outcome.body, self.variables, "body")
        if outcome.headers is not None:
            headers = {name.lower(): value for name, value in wanted.get("headers", {}).items()}
            found += differences(headers, dict(outcome.headers), self.variables, "headers")
        if outcome.text is not None and "text" in wanted:
            found += differences(wanted["text"], outcome.text, self.variables, "text")
        if found:
            raise Failed(f"{place}:\n  " + "\n  ".join(found) + f"\n  the answer was {shown(outcome.body)}")

    def _of_refusal(self, outcome: Outcome, wanted: dict[str, Any]) -> list[str]:
        if "error" not in wanted:
            is_refusal_wanted = wanted.get("status", 0) if isinstance(wanted.get("status"), int) else 500
            if outcome.refusal is not None and is_refusal_wanted < 400:
                return [f"refused: {outcome.refusal}"]
            return []
        if outcome.refusal is None:
            return [f"expected the error {wanted['error']}, got status {outcome.status}"]
        refusal = outcome.refusal
        found = differences(wanted["error"], refusal.code, self.variables, "error")
        if outcome.status is not None and "status" not in wanted:
            found += differences(_STATUS_OF[wanted["error"]], outcome.status, self.variables, "status")
        for member in ("message", "reason", "retry_after_ms"):
            if member in wanted:
                found += differences(wanted[member], getattr(refusal, member), self.variables, member)
        return found

    def _read(self, step: dict[str, Any], place: str) -> None:
        stream = self._streams[step["read"]]
        deadline = time.monotonic() + step.get("within_ms", _WITHIN_MS) / 1000
        if step.get("ends"):
            try:
                item = stream.next(deadline - time.monotonic())
            except EOFError:
                return
            raise Failed(f"{place}: expected the end of the stream, got {shown(item)}")
        count = len(step.get("items", step.get("types", [None])))
        items: list[Any] = []
        while "until" in step or len(items) < count:
            items.append(stream.next(deadline - time.monotonic()))
            until = filled(step.get("until", {}), self.variables)
            if "until" in step and not differences(until, items[-1], self.variables):
                break
        found = []
        if "items" in step:
            found += differences(filled(step["items"], self.variables), items, self.variables, "items")
        if "types" in step:
            types = [item.get("type") for item in items]
            found += differences(step["types"], types, self.variables, "types")
        if found:
            raise Failed(f"{place}:\n  " + "\n  ".join(found) + f"\n  what came was {shown(items)}")

    def _clock(self, change: dict[str, Any]) -> None:
        assert self.server is not None, "only a server of our own has a clock to move"
        outcome = Wire(self.server.address).call(
            Call("POST /v1/dev/clock", body=filled(change, self.variables))
        )
        assert outcome.status == 200, f"the clock did not move: {outcome.body}"
