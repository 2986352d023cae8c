"""An adapter that is another program: one JSON object a line to its input, one a line from its output.

Promise: nothing of an SDK is known here; README.md says what a line holds.
"""

from __future__ import annotations

import json
import queue
import shlex
import subprocess
import threading
from typing import Any

from .adapter import UNSEEN, Call, Outcome, Refusal, Stream

_ANSWER_S = 65
_GONE: dict[str, Any] = {"gone": True}


class Program:
    """A running adapter program."""

    def __init__(self, command: str, address: str) -> None:
        self._process = subprocess.Popen(
            [*shlex.split(command), f"http://{address}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._inboxes: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._next = 0
        self._has_ended = False
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self._operations = set(self._answer({"op": "operations"})["operations"])

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                answer = json.loads(line)
                self._inboxes[answer["id"]].put(answer)
        with self._lock:
            self._has_ended = True
            for inbox in self._inboxes.values():
                inbox.put(_GONE)

    def _send(self, request: dict[str, Any]) -> tuple[int, queue.Queue[dict[str, Any]]]:
        assert self._process.stdin is not None
        with self._lock:
            self._next += 1
            inbox = self._inboxes[self._next] = queue.Queue()
            if self._has_ended:
                inbox.put(_GONE)
            else:
                self._process.stdin.write(json.dumps({"id": self._next, **request}) + "\n")
                self._process.stdin.flush()
            return self._next, inbox

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        return _taken(self._send(request)[1], _ANSWER_S)

    def knows(self, call: Call) -> bool:
        """Whether the program listed the operation."""
        return call.operation in self._operations

    def call(self, call: Call) -> Outcome:
        """One call and its answer."""
        return _outcome(self._answer({"op": "call", "operation": call.operation, "with": dict(call.args)}))

    def open(self, call: Call) -> Stream | Outcome:
        """A call whose answer goes on."""
        number, inbox = self._send({"op": "open", "operation": call.operation, "with": dict(call.args)})
        first = _taken(inbox, _ANSWER_S)
        return ProgramStream(self, number, inbox) if first.get("open") else _outcome(first)

    def leave(self, number: int) -> None:
        """Tells the program to leave a stream."""
        self._answer({"op": "close", "stream": number})

    def close(self) -> None:
        """Ends the program."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()


class ProgramStream:
    """A stream that the program reads for us."""

    def __init__(self, program: Program, number: int, inbox: queue.Queue[dict[str, Any]]) -> None:
        self._program, self._number, self._inbox = program, number, inbox

    def next(self, within_s: float) -> Any:
        """The next item."""
        answer = _taken(self._inbox, within_s)
        if answer.get("end"):
            raise EOFError("the stream has ended")
        return answer["item"]

    def close(self) -> None:
        """Leaves the stream."""
        self._program.leave(self._number)


def _taken(inbox: queue.Queue[dict[str, Any]], within_s: float) -> dict[str, Any]:
    try:
        answer = inbox.get(timeout=max(within_s, 0.001))
    except queue.Empty:
        raise TimeoutError("the adapter program did not answer in time") from None
    if answer is _GONE:
        raise OSError("the adapter program has ended")
    return answer


def _outcome(answer: dict[str, Any]) -> Outcome:
    error = answer.get("error")
    if error is None:
        return Outcome(answer.get("body", UNSEEN), answer.get("status"))
    refusal = Refusal(error["error"], error["message"], error.get("reason"), error.get("retry_after_ms"))
    return Outcome(error, answer.get("status"), refusal=refusal)
