"""The worker: takes messages, runs their handlers, and settles each by how it ended.

Promises: a lease is renewed for as long as its handler works; a handler whose lease is lost is cancelled and
settles nothing; the broker may restart at any time; SIGTERM finishes what runs and takes nothing new. A
worker that cannot say how an attempt ended says nothing: the lease ends, and the broker tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import signal
import socket
import threading
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ._async._client import AsyncClient
from ._errors import ApiError, DriftqError, LeaseLost, NonRetryable, RetryAfter
from ._hold import AWAY_BACKOFF, Heartbeat, Hold
from ._requests import UNSET
from ._run import Run, as_result, call_in_thread, describe
from ._settings import USER_AGENT
from ._types import ErrorInfo, Message, RunContext

__all__ = ["Worker"]

logger = logging.getLogger("driftq.worker")

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

Work = Callable[[Hold], Awaitable[Any]]

# After the grace is over, how long the broker is given to hear about what was cut off.
FAREWELL_S_MAX = 2.0


@dataclass(slots=True)
class _Subscription:
    """One topic: who works on its messages, and which of them are here."""

    topic: str
    group: str
    work: Work
    running: int = 0
    backlog: deque[Hold] = field(default_factory=deque)
    open: bool = False


@dataclass(frozen=True, slots=True)
class _Workflow:
    function: Callable[[Run[Any]], Awaitable[Any]]
    input: TypeAdapter[Any]


class Worker:
    """Runs workflows and message handlers, up to `concurrency` at a time for each topic.

    A lease lasts `lease_ms` and is renewed while the handler works: it is how long a killed worker's messages
    rest. On SIGTERM what runs has `grace_s` to end; what does not is cancelled and given back.
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
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1: {concurrency}")
        self._client = client
        self._concurrency = concurrency
        self._topic = topic
        self._group = group
        self._lease_ms = lease_ms
        self._grace_s = grace_s
        self.owner = owner or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._workflows: dict[str, _Workflow] = {}
        self._subscriptions: list[_Subscription] = []
        self._session: _Session | None = None

    def workflow(self, name: str) -> Callable[[HandlerT], HandlerT]:
        """Registers `async def …(run: Run[Input])`: what it returns is the run's result.

        An exception is a failed attempt. `RetryAfter(s)` sets the pause before the next; `NonRetryable`, or
        an input that does not validate, means that there is none.
        """

        def register(function: HandlerT) -> HandlerT:
            if not inspect.iscoroutinefunction(function):
                raise TypeError(f"workflow {name!r} must be an `async def`")
            if name in self._workflows:
                raise ValueError(f"workflow {name!r} is registered twice")
            if not self._workflows:
                self._subscriptions.append(_Subscription(self._topic, self._group, self._run_workflow))
            self._workflows[name] = _Workflow(function, _input_adapter(name, function))
            return function

        return register

    def handler(self, topic: str, *, group: str = "workers") -> Callable[[HandlerT], HandlerT]:
        """Registers a function for the raw messages of a topic; not `async`, it runs in a thread."""

        def register(function: HandlerT) -> HandlerT:
            async def work(hold: Hold) -> Any:
                if inspect.iscoroutinefunction(function):
                    await function(hold.message)
                else:
                    await call_in_thread(self._live().threads, function, hold.message)
                return UNSET

            if any((there.topic, there.group) == (topic, group) for there in self._subscriptions):
                raise ValueError(f"topic {topic!r} has a handler for group {group!r} already")
            self._subscriptions.append(_Subscription(topic, group, work))
            return function

        return register

    @property
    def ready(self) -> bool:
        """Whether the broker has accepted a stream for every topic."""
        return self._session is not None and all(there.open for there in self._subscriptions)

    def stop(self) -> None:
        """Ends `run` gracefully; a second call ends it now. Call it from the event loop of `run`."""
        if self._session is not None:
            self._session.ask_to_stop()

    async def run(self, *, on_ready: Callable[[], None] | None = None) -> None:
        """Works until `stop()` or SIGTERM. `on_ready` is called once, when all streams are open."""
        if not self._subscriptions:
            raise ValueError("this worker has no workflow and no handler")
        if self._session is not None:
            raise RuntimeError("this worker runs already")
        client = self._client or AsyncClient()
        slots = self._concurrency * len(self._subscriptions)
        self._session = _Session(self, client, ThreadPoolExecutor(slots, "driftq-step"), on_ready)
        try:
            with _stop_on_signals(self.stop):
                await self._session.work()
        finally:
            self._session = None
            if self._client is None:
                await client.aclose()

    def _live(self) -> _Session:
        if self._session is None:
            raise RuntimeError("this worker does not run")
        return self._session

    async def _run_workflow(self, hold: Hold) -> Any:
        """One attempt at a run: its command in, its result out."""
        session = self._live()
        command = hold.message.value
        if not isinstance(command, dict) or command.get("type") != "run.command":
            raise NonRetryable("this message is no run.command")
        context = hold.message.run or RunContext(
            run_id=str(command["run_id"]),
            replay_seq=int(command.get("replay_seq", 0)),
            attempt=hold.message.attempts,
        )
        name = str(command.get("workflow", ""))
        workflow = self._workflows.get(name)
        if workflow is None:
            # Another worker of the group may know it, so this is an ordinary failure.
            known = ", ".join(sorted(self._workflows))
            raise LookupError(f"this worker has no workflow {name!r}; it has: {known}")
        started = {"type": "run.started", "workflow": name, "owner": self.owner, "sdk": USER_AGENT}
        lease_id = hold.message.lease_id
        await hold.insist(
            lambda: session.client.append_events(
                context.run_id, [started], lease_id=lease_id, repeatable=True
            )
        )
        run = Run(
            client=session.client,
            hold=hold,
            threads=session.threads,
            context=context,
            workflow=name,
            input=_validated(workflow, command.get("input")),
        )
        return as_result(await workflow.function(run))


class _Session:
    """One `run` of a worker: its streams, its running handlers, its heartbeat."""

    def __init__(
        self,
        worker: Worker,
        client: AsyncClient,
        threads: ThreadPoolExecutor,
        on_ready: Callable[[], None] | None,
    ) -> None:
        self.client = client
        self.threads = threads
        self._worker = worker
        self._on_ready = on_ready
        self._heartbeat = Heartbeat(client, lease_ms=worker._lease_ms)
        self._stopping = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._jobs: set[asyncio.Task[None]] = set()
        self._held: set[Hold] = set()

    def ask_to_stop(self) -> None:
        """First: gracefully. Again: now."""
        if self._stopping.is_set():
            self._stop_now.set()
        self._stopping.set()

    async def work(self) -> None:
        """Reads every topic until asked to stop, then drains."""
        self._heartbeat.start()
        subscriptions = self._worker._subscriptions
        readers = [asyncio.create_task(self._read(there)) for there in subscriptions]
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

    async def _read(self, there: _Subscription) -> None:
        """Keeps a stream open, over the broker's restarts."""
        failures, connected_once = 0, False

        def opened() -> None:
            nonlocal failures, connected_once
            logger.info("reading %s as group %s, owner %s", there.topic, there.group, self._worker.owner)
            failures, connected_once, there.open = 0, True, True
            self._tell_ready()

        while True:
            try:
                # A broker that lost its data folder must not stop the worker for good.
                await self.client.create_topic(there.topic)
                stream = self.client.consume(
                    there.topic,
                    there.group,
                    owner=self._worker.owner,
                    lease_ms=self._worker._lease_ms,
                    max_in_flight=self._worker._concurrency,
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
        if self._on_ready is not None and self._worker.ready:
            self._on_ready()
            self._on_ready = None

    def _take(self, there: _Subscription, hold: Hold) -> None:
        """A message has come. Its lease is kept from here on, also while it waits for its turn."""
        self._heartbeat.watch(hold)
        if there.running < self._worker._concurrency:
            self._start(there, hold)
        else:
            # Only after a reconnect: the broker does not count what an earlier stream still holds.
            there.backlog.append(hold)

    def _start(self, there: _Subscription, hold: Hold) -> None:
        there.running += 1
        job = asyncio.create_task(self._do(there, hold))
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    # -- working ---------------------------------------------------------------------------------------

    async def _do(self, there: _Subscription, hold: Hold) -> None:
        """One message from its handler to its settlement."""
        self._held.add(hold)
        try:
            task = asyncio.ensure_future(there.work(hold))
            hold.attach(task)
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
            await self._settle(hold, task)
        finally:
            self._heartbeat.forget(hold)
            self._held.discard(hold)
            there.running -= 1
            if there.backlog and not self._stopping.is_set():
                self._start(there, there.backlog.popleft())

    async def _settle(self, hold: Hold, task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and task.exception() is None:
            await self._ack(hold, task.result())
        elif hold.lost is not None:
            logger.warning("left %s: %s", _name(hold.message), hold.lost)
        elif task.cancelled():
            await self._give_back(hold, "the worker stopped before the handler ended")
        else:
            await self._nack(hold, task.exception())

    async def _ack(self, hold: Hold, result: Any) -> None:
        try:
            await hold.insist(lambda: self.client.ack(hold.message, result=result))
        except LeaseLost as error:
            logger.warning("%s was done, but %s", _name(hold.message), error)
        except ApiError as error:
            # The work was done, yet its result cannot be stored: the same again would end the same.
            await self._nack(hold, NonRetryable(f"the broker refused the result: {error}"))

    async def _nack(self, hold: Hold, error: BaseException | None) -> None:
        cause = error or RuntimeError("the handler ended without a reason")
        logger.warning("%s failed in attempt %d: %r", _name(hold.message), hold.message.attempts, cause)
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
        waiting = [hold for there in self._worker._subscriptions for hold in there.backlog]
        for there in self._worker._subscriptions:
            there.backlog.clear()
        returns = [asyncio.create_task(self._return(hold)) for hold in waiting]
        grace_s = self._worker._grace_s
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


def _input_adapter(name: str, function: Callable[..., Any]) -> TypeAdapter[Any]:
    """What `Run[Input]` in the signature asks for; a bare `Run` takes any JSON."""
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 1:
        raise TypeError(f"workflow {name!r} must take exactly one argument, its run: Run[Input]")
    try:
        hint = get_type_hints(function).get(parameters[0], Any)
    except NameError as error:
        raise TypeError(f"the annotation of workflow {name!r} cannot be resolved: {error}") from error
    if get_origin(hint) is Run:
        return TypeAdapter(get_args(hint)[0])
    if hint in (Run, Any):
        return TypeAdapter(Any)
    raise TypeError(f"workflow {name!r} must take a Run[Input], not {hint!r}")


def _validated(workflow: _Workflow, value: Any) -> Any:
    try:
        return workflow.input.validate_python(value)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'input'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        # Without its cause: that one quotes the input, and errors travel further than inputs.
        raise NonRetryable(f"the input is not valid: {faults}") from None


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _first_of(work: asyncio.Future[Any], hurry: asyncio.Task[Any], *, timeout_s: float) -> None:
    waits = {asyncio.ensure_future(asyncio.shield(work)), hurry}
    await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()


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
