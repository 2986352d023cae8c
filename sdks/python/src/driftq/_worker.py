"""The worker: takes messages, runs their handlers, and settles each by how it ended.

Promises: a lease is renewed for as long as its handler works; a handler whose lease is lost, or whose run is
cancelled, is cancelled and settles nothing; the broker may restart at any time; SIGTERM finishes what runs
and takes nothing new.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from . import _tracing as tracing
from ._async._client import AsyncClient
from ._hold import Hold
from ._requests import UNSET
from ._run import call_in_thread
from ._session import Manners, Session, Subscription
from ._workflow import Workflow, attempt

__all__ = ["Worker"]

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
LifespanT = TypeVar("LifespanT", bound=Callable[[], Any])

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]


class Worker:
    """Runs workflows and message handlers, up to `concurrency` at a time for each topic.

    A lease lasts `lease_ms` and is renewed while the handler works: it is how long a killed worker's messages
    rest. On SIGTERM what runs has `grace_s` to end; what does not is cancelled and given back. `version` is
    the release of your code (default: `DRIFTQ_WORKER_VERSION`); attempts are compared by it.
    """

    def __init__(
        self,
        client: AsyncClient | None = None,
        *,
        concurrency: int = 10,
        topic: str = "runs.commands",
        group: str = "workers",
        lease_ms: int = 30_000,
        grace_s: float = 8.0,
        owner: str | None = None,
        version: str | None = None,
    ) -> None:
        self._client = client
        self._concurrency = _at_least_one(concurrency)
        self._topic = topic
        self._group = group
        self._manners = Manners(
            owner=owner or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            version=version or os.environ.get("DRIFTQ_WORKER_VERSION") or None,
            lease_ms=lease_ms,
            grace_s=grace_s,
        )
        self._workflows: dict[str, Workflow] = {}
        self._subscriptions: dict[tuple[str, str], Subscription] = {}
        self._commands: set[tuple[str, str]] = set()
        self._lifespan: Lifespan = contextlib.nullcontext
        self._session: Session | None = None

    @property
    def owner(self) -> str:
        """The name under which this worker holds messages."""
        return self._manners.owner

    @property
    def resources(self) -> Any:
        """What the lifespan yielded; None without one, or while the worker does not run."""
        return None if self._session is None else self._session.resources

    @property
    def ready(self) -> bool:
        """Whether the broker has accepted a stream for every topic."""
        return self._session is not None and self._session.ready

    def lifespan(self, function: LifespanT) -> LifespanT:
        """Registers what is opened before the first message and closed after the last.

        An `async def` that yields once (or a function that makes an async context manager). What it yields
        is `run.resources`, and `worker.resources` for handlers.
        """
        if self._lifespan is not contextlib.nullcontext:
            raise ValueError("this worker has a lifespan already")
        if inspect.isasyncgenfunction(function):
            self._lifespan = contextlib.asynccontextmanager(function)
        else:
            self._lifespan = function
        return function

    def workflow(
        self, name: str, *, concurrency: int | None = None, topic: str | None = None
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers `async def …(run: Run[Input])`: what it returns is the run's result.

        A function that is not `async` takes a `BlockingRun[Input]` and works in a thread. An exception is a
        failed attempt. `RetryAfter(s)` sets the pause before the next; `NonRetryable`, or an input that does
        not validate, means that there is none.

        With a `concurrency` no more of its runs work at once; a few more wait for their turn here. One that
        must never hold up the others gets a `topic` of its own, and its runs are created for that topic.
        """

        def register(function: HandlerT) -> HandlerT:
            if name in self._workflows:
                raise ValueError(f"workflow {name!r} is registered twice")
            self._workflows[name] = Workflow.of(name, function)
            place = (topic or self._topic, self._group)
            if place in self._subscriptions and place not in self._commands:
                raise ValueError(f"topic {place[0]!r} has a handler for group {place[1]!r} already")
            there = self._subscriptions.setdefault(
                place, Subscription(*place, work=self._run_workflow, concurrency=self._concurrency)
            )
            self._commands.add(place)
            if concurrency is not None:
                there.limits[name] = _at_least_one(concurrency)
            return function

        return register

    def handler(
        self, topic: str, *, group: str = "workers", concurrency: int | None = None
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers a function for the raw messages of a topic; not `async`, it runs in a thread."""

        def register(function: HandlerT) -> HandlerT:
            async def work(session: Session, hold: Hold) -> Any:
                message = hold.message
                traced = tracing.Work(
                    name=f"process {topic}",
                    message=message,
                    carrier=message.headers or {},
                    first=message.attempts == 1,
                    attributes={},
                )
                with tracing.working(traced):
                    if inspect.iscoroutinefunction(function):
                        await function(message)
                    else:
                        await call_in_thread(session.threads, function, message)
                return UNSET

            place = (topic, group)
            if place in self._subscriptions:
                raise ValueError(f"topic {topic!r} has a handler for group {group!r} already")
            limit = self._concurrency if concurrency is None else _at_least_one(concurrency)
            self._subscriptions[place] = Subscription(*place, work=work, concurrency=limit)
            return function

        return register

    def stop(self) -> None:
        """Ends `run` gracefully; a second call ends it now. Call it from the event loop of `run`."""
        if self._session is not None:
            self._session.ask_to_stop()

    async def run(
        self,
        *,
        client: AsyncClient | None = None,
        on_ready: Callable[[], None] | None = None,
        handle_signals: bool = True,
    ) -> None:
        """Works until `stop()` or SIGTERM. `on_ready` is called once, when all streams are open.

        `client` is used instead of the worker's own for this once. Inside another server, which has signal
        handlers of its own, say `handle_signals=False` and call `stop()` when that server ends.
        """
        if not self._subscriptions:
            raise ValueError("this worker has no workflow and no handler")
        if self._session is not None:
            raise RuntimeError("this worker runs already")
        async with self._lifespan() as resources, _client_for(client or self._client) as ours:
            subscriptions = list(self._subscriptions.values())
            self._session = Session(
                self._manners, subscriptions, ours, resources=resources, on_ready=on_ready
            )
            try:
                with _stop_on_signals(self.stop) if handle_signals else contextlib.nullcontext():
                    await self._session.work()
            finally:
                self._session = None

    async def _run_workflow(self, session: Session, hold: Hold) -> Any:
        return await attempt(self._workflows, session, hold)


def _at_least_one(concurrency: int) -> int:
    if concurrency < 1:
        raise ValueError(f"concurrency must be at least 1: {concurrency}")
    return concurrency


@contextlib.asynccontextmanager
async def _client_for(given: AsyncClient | None) -> AsyncIterator[AsyncClient]:
    """The client that was given, which stays open; or one of our own."""
    if given is not None:
        yield given
        return
    async with AsyncClient() as client:
        yield client


@contextlib.contextmanager
def _stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT ask to stop; outside the main thread that is the caller's business."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in wanted}
    for number in wanted:
        # `signal.signal` works on Windows too, where the loop has no handlers of its own.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
