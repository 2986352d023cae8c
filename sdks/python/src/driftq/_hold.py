"""Holding a message: its lease is renewed from a thread of its own, and its loss ends the work on it.

The thread has its own event loop, so a handler that blocks the worker's loop loses no lease. It never
settles a message; that is the worker's business.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ._async._client import AsyncClient
from ._errors import DriftqError, FailedPrecondition, InvalidArgument, LeaseLost, NotFound
from ._retry import Backoff, RetryConfig
from ._types import Message

__all__ = ["Heartbeat", "Hold"]

T = TypeVar("T")

logger = logging.getLogger("driftq.worker")

# A lease is renewed when a third of it is gone: two renewals may fail before it is over.
RENEWALS_PER_LEASE = 3

# How long one renewal may take.
RENEWAL_S_MIN = 0.2
RENEWAL_S_MAX = 10.0

# While the broker is away, how often it is asked.
AWAY_BACKOFF = Backoff(base_s=0.1, cap_s=2.0)

# What the broker answers about a lease that is not ours, or about a message that is gone.
_LOST = (FailedPrecondition, InvalidArgument, NotFound)


class Hold:
    """One message in our hands, until it is settled or lost."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.lost: str | None = None
        self._task: asyncio.Task[Any] | None = None

    def attach(self, task: asyncio.Task[Any]) -> None:
        """Names the work that ends when the lease does."""
        self._task = task
        if self.lost is not None:
            task.cancel(self.lost)

    def lose(self, reason: str) -> None:
        """The lease is over: cancels the work. Call it from the worker's event loop."""
        if self.lost is None:
            self.lost = reason
            if self._task is not None:
                self._task.cancel(reason)

    def interrupt(self) -> None:
        """Cancels the work although the lease is ours: the worker stops."""
        if self._task is not None:
            self._task.cancel()

    async def insist(self, send: Callable[[], Awaitable[T]]) -> T:
        """Sends until the broker has answered, over its restarts; the heartbeat keeps the lease meanwhile.

        Ends with `LeaseLost` when the broker says that the message is not ours.
        """
        failures = 0
        while True:
            try:
                return await send()
            except FailedPrecondition as error:
                reason = error.reason or error.message
                self.lose(reason)
                raise LeaseLost(reason) from error
            except DriftqError as error:
                if not error.retryable:
                    raise
                failures += 1
            await asyncio.sleep(AWAY_BACKOFF.delay_s(failures))


class Heartbeat:
    """The thread that renews every lease of a worker."""

    def __init__(self, client: AsyncClient, *, lease_ms: int) -> None:
        self._client = client
        self._lease_ms = lease_ms
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="driftq-heartbeat", daemon=True)
        self._renewals: dict[Hold, asyncio.Task[None]] = {}
        self._home: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Starts the thread. Call it from the worker's event loop."""
        self._home = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Ends the thread and closes its connections; leases are left as they are."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)

    def watch(self, hold: Hold) -> None:
        """Keeps this message's lease from now on."""
        self._loop.call_soon_threadsafe(self._begin, hold)

    def forget(self, hold: Hold) -> None:
        """Stops keeping it: it is settled, or left to its end."""
        self._loop.call_soon_threadsafe(self._end, hold)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        # A renewal that hangs must leave time for the next one, and the repeats are counted here.
        patience_s = max(RENEWAL_S_MIN, self._lease_ms / 1000 / RENEWALS_PER_LEASE)
        client = self._client.twin(timeout_s=min(patience_s, RENEWAL_S_MAX), retry=RetryConfig(max_tries=1))
        self._twin = client
        try:
            self._loop.run_forever()
        finally:
            for renewal in self._renewals.values():
                renewal.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._renewals.values(), return_exceptions=True))
            self._loop.run_until_complete(client.aclose())
            self._loop.close()

    def _begin(self, hold: Hold) -> None:
        self._renewals[hold] = self._loop.create_task(self._renew(hold))

    def _end(self, hold: Hold) -> None:
        renewal = self._renewals.pop(hold, None)
        if renewal is not None:
            renewal.cancel()

    async def _renew(self, hold: Hold) -> None:
        interval_s = self._lease_ms / 1000 / RENEWALS_PER_LEASE
        failures = 0
        wait_s = interval_s
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._twin.extend(hold.message, lease_ms=self._lease_ms)
                failures, wait_s = 0, interval_s
            except _LOST as error:
                self._tell_lost(hold, error.reason or error.message)
                return
            except DriftqError as error:
                # Nobody told us that it is lost, and the broker keeps leases over its restart.
                failures += 1
                wait_s = min(interval_s, AWAY_BACKOFF.delay_s(failures))
                logger.debug("could not renew the lease of %s: %s", hold.message.message_id, error)

    def _tell_lost(self, hold: Hold, reason: str) -> None:
        if self._home is not None and not self._home.is_closed():
            self._home.call_soon_threadsafe(hold.lose, reason)
