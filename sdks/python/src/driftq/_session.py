"""One `run` of a worker: its streams, the handlers that work, its heartbeat, and how it stops.

A message is kept from the moment it comes: its lease is renewed also while it waits for its turn. A session
that cannot say how an attempt ended says nothing: the lease ends, and the broker tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ._async._client import AsyncClient
from ._errors import ApiError, DriftqError, LeaseLost, NonRetryable, PermissionDenied, RetryAfter
from ._hold import AWAY_BACKOFF, Heartbeat, Hold
from ._run import describe
from ._types import ErrorInfo, Message
from .logs import about, fields_of

logger = logging.getLogger("driftq.worker")

Work = Callable[["Session", Hold], Awaitable[Any]]

# After the grace is over, how long the broker is given to hear about what was cut off.
FAREWELL_S_MAX = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """Who a worker is, and how it treats its messages."""

    owner: str
    version: str | None
    lease_ms: int
    grace_s: float


@dataclass(slots=True)
class Subscription:
    """One topic: who works on its messages, how many at once, and which of them are here."""

    topic: str
    group: str
    work: Work
    concurrency: int
    #: Of these workflows fewer may run at once.
    limits: dict[str, int] = field(default_factory=dict)
    running: Counter[str] = field(default_factory=Counter)
    backlog: deque[Hold] = field(default_factory=deque)
    open: bool = False

    @property
    def window(self) -> int:
        """How many messages may be here: those that work, and some that wait for their workflow's turn."""
        return self.concurrency + sum(self.limits.values())

    def has_room_for(self, hold: Hold) -> bool:
        """Whether it may begin now."""
        kind = kind_of(hold.message)
        limit = self.limits.get(kind, self.concurrency)
        return self.running.total() < self.concurrency and self.running[kind] < limit

    def ended(self, hold: Hold) -> None:
        """It works no more. Names that nobody runs are forgotten: they come from outside."""
        kind = kind_of(hold.message)
        self.running[kind] -= 1
        self.running += Counter()

    def next(self) -> Hold | None:
        """The first that waits and may begin now."""
        for hold in self.backlog:
            if self.has_room_for(hold):
                self.backlog.remove(hold)
                return hold
        return None


def kind_of(message: Message) -> str:
    """The workflow that a command asks for; for any other message, nothing."""
    value = message.value
    return str(value.get("workflow", "")) if isinstance(value, Mapping) else ""


class Session:
    """Everything that lives while a worker runs."""

    def __init__(
        self,
        manners: Manners,
        subscriptions: list[Subscription],
        client: AsyncClient,
        *,
        resources: Any,
        on_ready: Callable[[], None] | None,
    ) -> None:
        self.manners = manners
        self.client = client
        self.resources = resources
        slots = sum(there.concurrency for there in subscriptions)
        self.threads = ThreadPoolExecutor(slots, "driftq-step")
        self._subscriptions = subscriptions
        self._on_ready = on_ready
        self._heartbeat = Heartbeat(client, lease_ms=manners.lease_ms)
        self._stopping = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._jobs: set[asyncio.Task[None]] = set()
        self._held: set[Hold] = set()

    @property
    def ready(self) -> bool:
        """Whether the broker has accepted a stream for every topic."""
        return all(there.open for there in self._subscriptions)

    def ask_to_stop(self) -> None:
        """First: gracefully. Again: now."""
        if self._stopping.is_set():
            self._stop_now.set()
        self._stopping.set()

    async def work(self) -> None:
        """Reads every topic until asked to stop, then drains."""
        self._heartbeat.start()
        readers = [asyncio.create_task(self._read(there)) for there in self._subscriptions]
        asked = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({asked, *readers}, return_when=asyncio.FIRST_COMPLETED)
            for reader in done - {asked}:
                reader.result()
        finally:
            self._stopping.set()
            asked.cancel()
            await _cancelled(readers)
            await self._drain()
            await self._heartbeat.stop()
            self.threads.shutdown(wait=False, cancel_futures=True)

    # -- taking ----------------------------------------------------------------------------------------

    async def _read(self, there: Subscription) -> None:
        """Keeps a stream open, over the broker's restarts."""
        failures, connected_once = 0, False

        def opened() -> None:
            nonlocal failures, connected_once
            logger.info(
                "reading %s as group %s, owner %s",
                *(there.topic, there.group, self.manners.owner),
                extra={"topic": there.topic, "group": there.group, "owner": self.manners.owner},
            )
            failures, connected_once, there.open = 0, True, True
            self._tell_ready()

        while True:
            try:
                # A broker that lost its data folder must not stop the worker for good. A token that may
                # only consume may not make topics; then the stream says whether there is one.
                with contextlib.suppress(PermissionDenied):
                    await self.client.create_topic(there.topic)
                stream = self.client.consume(
                    there.topic,
                    there.group,
                    owner=self.manners.owner,
                    lease_ms=self.manners.lease_ms,
                    max_in_flight=there.window,
                    worker_version=self.manners.version,
                    reconnect=False,
                    on_open=opened,
                )
                async with contextlib.aclosing(stream):
                    async for message in stream:
                        self._take(there, Hold(message))
            except DriftqError as error:
                # A wrong URL or token is said at once; later the same answer comes from some proxy.
                if not error.retryable and not connected_once:
                    raise
                if failures == 0:
                    logger.warning("%s; trying again until it answers", error)
            finally:
                there.open = False
            failures += 1
            await asyncio.sleep(AWAY_BACKOFF.delay_s(failures))

    def _tell_ready(self) -> None:
        if self._on_ready is not None and self.ready:
            self._on_ready()
            self._on_ready = None

    def _take(self, there: Subscription, hold: Hold) -> None:
        """A message has come. Its lease is kept from here on, also while it waits for its turn."""
        self._heartbeat.watch(hold)
        if there.has_room_for(hold):
            self._start(there, hold)
        else:
            # Its workflow is at its limit; or, after a reconnect, an earlier stream's messages still work.
            there.backlog.append(hold)

    def _start(self, there: Subscription, hold: Hold) -> None:
        there.running[kind_of(hold.message)] += 1
        job = asyncio.create_task(self._do(there, hold))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    # -- working ---------------------------------------------------------------------------------------

    async def _do(self, there: Subscription, hold: Hold) -> None:
        """One message from its handler to its settlement."""
        self._held.add(hold)
        try:
            with about(fields_of(hold.message, self.manners.owner)):
                task = asyncio.ensure_future(there.work(self, hold))
                hold.attach(task)
                try:
                    await asyncio.wait({task})
                finally:
                    task.cancel()
                await self._settle(hold, task)
        finally:
            self._heartbeat.forget(hold)
            self._held.discard(hold)
            there.ended(hold)
            while not self._stopping.is_set() and (following := there.next()) is not None:
                self._start(there, following)

    async def _settle(self, hold: Hold, task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and task.exception() is None:
            await self._ack(hold, task.result())
        elif hold.lost is not None:
            logger.warning(
                "cancelled the handler of %s: %s", _name(hold.message), hold.lost, extra={"reason": hold.lost}
            )
        elif task.cancelled():
            await self._give_back(hold, "the worker stopped before the handler ended")
        else:
            await self._nack(hold, task.exception())

    async def _ack(self, hold: Hold, result: Any) -> None:
        try:
            await hold.insist(lambda: self.client.ack(hold.message, result=result))
        except LeaseLost as error:
            logger.warning("%s was done, but %s", _name(hold.message), error, extra={"reason": error.reason})
        except ApiError as error:
            # The work was done, yet its result cannot be stored: the same again would end the same.
            await self._nack(hold, NonRetryable(f"the broker refused the result: {error}"))

    async def _nack(self, hold: Hold, error: BaseException | None) -> None:
        cause = error or RuntimeError("the handler ended without a reason")
        attempt = hold.message.attempts
        logger.warning(
            "%s failed in attempt %d: %r",
            *(_name(hold.message), attempt, cause),
            extra={"error_type": type(cause).__qualname__},
        )
        said = describe(cause)
        retry_after_ms = round(cause.seconds * 1000) if isinstance(cause, RetryAfter) else None
        retryable = False if isinstance(cause, NonRetryable) else None
        await self._nack_with(hold, said, retry_after_ms=retry_after_ms, retryable=retryable)

    async def _give_back(self, hold: Hold, why: str) -> None:
        await self._nack_with(hold, ErrorInfo(message=why, type="WorkerStopped"), retry_after_ms=0)

    async def _nack_with(
        self,
        hold: Hold,
        error: ErrorInfo,
        *,
        retry_after_ms: int | None = None,
        retryable: bool | None = None,
    ) -> None:
        try:
            await hold.insist(
                lambda: self.client.nack(
                    hold.message,
                    reason=error.message,
                    error=error,
                    retry_after_ms=retry_after_ms,
                    retryable=retryable,
                )
            )
        except (LeaseLost, ApiError) as refusal:
            logger.warning("%s could not be given back: %s", _name(hold.message), refusal)

    # -- stopping --------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        """Gives back what waits, lets run what runs for `grace_s`, then cancels it and gives it back."""
        waiting = [hold for there in self._subscriptions for hold in there.backlog]
        for there in self._subscriptions:
            there.backlog.clear()
        returns = [asyncio.create_task(self._return(hold)) for hold in waiting]
        grace_s = self.manners.grace_s
        if self._jobs:
            logger.info("stopping: %d running, up to %g s", len(self._jobs), grace_s)
            hurry = asyncio.create_task(self._stop_now.wait())
            await _first_of(asyncio.gather(*self._jobs, return_exceptions=True), hurry, timeout_s=grace_s)
        for hold in list(self._held):
            hold.interrupt()
        rest = {*self._jobs, *returns}
        if rest:
            _, unheard = await asyncio.wait(rest, timeout=FAREWELL_S_MAX)
            await _cancelled(list(unheard))
        logger.info("stopped")

    async def _return(self, hold: Hold) -> None:
        await self._give_back(hold, "the worker stopped before it began")
        self._heartbeat.forget(hold)


def _name(message: Message) -> str:
    run = message.run.run_id if message.run else None
    return f"run {run}" if run else f"{message.topic}/{message.partition}/{message.offset}"


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first_of(work: asyncio.Future[Any], hurry: asyncio.Task[Any], *, timeout_s: float) -> None:
    waits = {asyncio.ensure_future(asyncio.shield(work)), hurry}
    await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
