# Made from `_async` by scripts/make_sync.py: change it there.

"""Calls about the broker itself."""

from __future__ import annotations

from datetime import timedelta

from .._requests import broker as requests
from .._types import DevClock, Health, Readiness, Stats, Version
from ._sender import Sender


class BrokerCalls(Sender):
    """Whether the broker is well, how much it holds, and its clock."""

    def health(self) -> Health:
        """Asks whether the broker answers."""
        return self._send(requests.health())

    def ready(self) -> Readiness:
        """Asks whether requests are welcome; `Unavailable` (its `body` says why) when they are not."""
        return self._send(requests.ready())

    def version(self) -> Version:
        """Asks which broker answers."""
        return self._send(requests.version())

    def stats(self) -> Stats:
        """Asks how much the broker holds and does."""
        return self._send(requests.stats())

    def clock(self) -> DevClock:
        """Asks what time it is for a broker that was started with `--dev-clock`; `NotFound` for others."""
        return self._send(requests.clock())

    def advance_clock(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, ms: float = 0
    ) -> DevClock:
        """Moves the clock of a broker with `--dev-clock`; all that became due has been done on return."""
        passed = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=ms)
        if passed < timedelta(0):
            raise ValueError(f"a clock does not go back: {passed}")
        return self._send(requests.advance_clock(passed // timedelta(milliseconds=1)))
