"""The asynchronous client: sends what `_requests` builds, again where that is safe, and follows streams.

It keeps no state of the broker's; one client may be shared by all tasks of an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx2

from . import _requests as requests
from ._errors import DriftqError
from ._events import Lines, events_of, message_of, resume_headers
from ._requests import UNSET, Call, ConsumeOptions, ProduceOptions, RunOptions
from ._retry import DEFAULT_RETRY, RetryConfig
from ._settings import LIMITS, Settings, answer_error, connection_error, connection_headers, read_answer
from ._types import (
    Appended,
    Cancelled,
    DeadLetter,
    DeadLetterPage,
    ErrorInfo,
    Event,
    EventPage,
    Health,
    Lease,
    Message,
    Produced,
    Redriven,
    Replayed,
    RetryPolicy,
    RunCreated,
    RunDeadLetter,
    RunInfo,
    RunPage,
    Step,
    StoredStep,
    TopicPage,
    Version,
)

__all__ = ["AsyncClient"]

T = TypeVar("T")

# The broker cuts a wait to 50 s; longer waits are several.
WAIT_MS_MAX = 50_000


class AsyncClient:
    """Talks to driftqd.

    `url` (with or without `/v1`) defaults to `DRIFTQ_HTTP_URL`, then `http://localhost:8080`; `token` to
    `DRIFTQ_TOKEN`. Close it with `await client.aclose()`, or use it as `async with AsyncClient() as client:`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        retry: RetryConfig = DEFAULT_RETRY,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = Settings.resolved(url, token, timeout_s, retry)
        self._transport = transport
        self._sleep = sleep
        self._http = httpx2.AsyncClient(
            base_url=self._settings.url,
            headers=self._settings.headers(),
            limits=LIMITS,
            transport=transport,
        )

    @property
    def url(self) -> str:
        """The broker's URL, without `/v1`."""
        return self._settings.url

    async def aclose(self) -> None:
        """Closes every connection; streams end."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def twin(self, *, timeout_s: float | None = None, retry: RetryConfig | None = None) -> AsyncClient:
        """A second client to the same broker, with connections of its own, for another event loop."""
        settings = self._settings
        return AsyncClient(
            settings.url,
            token=settings.token,
            timeout_s=timeout_s or settings.timeout_s,
            retry=retry or settings.retry,
            transport=self._transport,
        )

    # -- the broker itself -----------------------------------------------------------------------------

    async def health(self) -> Health:
        """Asks whether the broker answers."""
        return await self._send(requests.health())

    async def version(self) -> Version:
        """Asks which broker answers."""
        return await self._send(requests.version())

    async def list_topics(self, *, limit: int | None = None, cursor: str | None = None) -> TopicPage:
        """Lists topic names, sorted."""
        return await self._send(requests.list_topics(limit, cursor))

    async def create_topic(self, name: str, *, partitions: int | None = None) -> None:
        """Makes a topic; one that exists stays as it is."""
        await self._send(requests.create_topic(name, partitions))

    # -- messages --------------------------------------------------------------------------------------

    async def produce(
        self,
        topic: str,
        value: Any,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        fingerprint: bool = True,
        headers: Mapping[str, str] | None = None,
        delay_ms: int | None = None,
        deliver_at_ms: int | None = None,
        deadline: datetime | None = None,
        retry_policy: RetryPolicy | Mapping[str, Any] | None = None,
        run_id: str | None = None,
        step_id: str | None = None,
        parent_step_id: str | None = None,
        tenant_id: str | None = None,
        target_topic: str | None = None,
        partition: int | None = None,
    ) -> Produced:
        """Stores a message; when this returns, it survives a crash.

        Without an `idempotency_key` one is made up, so that our own repeats store nothing twice. With yours,
        another payload under the same key is an `Unprocessable`, unless `fingerprint` is false: then the
        first payload wins silently.
        """
        options = ProduceOptions(
            key=key,
            idempotency_key=idempotency_key,
            fingerprint=requests.fingerprint(topic, value) if idempotency_key and fingerprint else None,
            headers=headers,
            delay_ms=delay_ms,
            deliver_at_ms=deliver_at_ms,
            deadline=deadline,
            retry_policy=retry_policy,
            run_id=run_id,
            step_id=step_id,
            parent_step_id=parent_step_id,
            tenant_id=tenant_id,
            target_topic=target_topic,
            partition=partition,
        )
        return await self._send(requests.produce(topic, value, options))

    async def consume(
        self,
        topic: str,
        group: str,
        *,
        owner: str,
        lease_ms: int | None = None,
        max_in_flight: int | None = None,
        reconnect: bool = True,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[Message]:
        """Yields messages as they come, each under a lease of `lease_ms`.

        A broken connection is opened again, for ever, unless `reconnect` is false: then the iteration ends
        with the stream, or raises what broke it. A refusal (unknown topic, …) is always raised. At most
        `max_in_flight` messages (the broker's default: 1) are unsettled at a time. `on_open` is called
        whenever the broker has accepted the stream.
        """
        options = ConsumeOptions(
            topic=topic, group=group, owner=owner, lease_ms=lease_ms, max_in_flight=max_in_flight
        )
        failures = 0
        while True:
            try:
                async with self._open_stream(
                    "/v1/consume", requests.consume_params(options, "stream"), {}
                ) as answer:
                    lines = Lines()
                    if on_open is not None:
                        on_open()
                    async for chunk in answer.aiter_raw():
                        failures = 0
                        for line in lines.feed(chunk):
                            yield message_of(line)
                if not reconnect:
                    return
                failures += 1
            except DriftqError as error:
                if not (reconnect and error.retryable):
                    raise
                failures += 1
            await self._sleep(self._settings.retry.backoff.delay_s(failures))

    async def poll(
        self,
        topic: str,
        group: str,
        *,
        owner: str | None = None,
        lease_ms: int | None = None,
        wait_ms: int = 20_000,
    ) -> Message | None:
        """Waits up to `wait_ms` for one message; None when none came."""
        options = ConsumeOptions(topic=topic, group=group, owner=owner, lease_ms=lease_ms)
        return await self._send(requests.poll(options, min(wait_ms, WAIT_MS_MAX)))

    async def poll_many(
        self,
        topic: str,
        group: str,
        *,
        most: int,
        owner: str | None = None,
        lease_ms: int | None = None,
        wait_ms: int = 20_000,
    ) -> list[Message]:
        """Waits up to `wait_ms` for messages, at most `most` (1 to 1,000) of them."""
        options = ConsumeOptions(topic=topic, group=group, owner=owner, lease_ms=lease_ms)
        return await self._send(requests.poll_many(options, min(wait_ms, WAIT_MS_MAX), most))

    async def ack(self, message: Message, *, result: Any = UNSET) -> None:
        """Settles a message; `result` (also None) is what the run whose command this is returned."""
        await self._send(requests.ack(message, result))

    async def nack(
        self,
        message: Message,
        *,
        reason: str | None = None,
        error: ErrorInfo | None = None,
        retry_after_ms: int | None = None,
        retryable: bool | None = None,
    ) -> None:
        """Gives a message back as failed.

        `retry_after_ms` replaces the backoff once; `retryable=False` dead-letters the message now.
        """
        call = requests.nack(
            message, reason=reason, error=error, retry_after_ms=retry_after_ms, retryable=retryable
        )
        await self._send(call)

    async def extend(self, message: Message, *, lease_ms: int) -> Lease:
        """Renews a lease: it ends `lease_ms` from now. `FailedPrecondition` when it is not ours any more."""
        return await self._send(requests.extend(message, lease_ms))

    # -- runs ------------------------------------------------------------------------------------------

    async def create_run(
        self,
        workflow: str,
        input: Any = None,  # noqa: A002 - the wire's name
        *,
        run_id: str | None = None,
        idempotency_key: str | None = None,
        fingerprint: bool = True,
        tenant_id: str | None = None,
        topic: str | None = None,
        group: str | None = None,
        retry_policy: RetryPolicy | Mapping[str, Any] | None = None,
        deliver_at_ms: int | None = None,
        tags: Sequence[str] | None = None,
    ) -> RunCreated:
        """Starts a run. A repeat of its `idempotency_key` gives the first answer and starts nothing.

        Another workflow or input under the same key is an `Unprocessable`, unless `fingerprint` is false.
        """
        options = RunOptions(
            run_id=run_id,
            idempotency_key=idempotency_key,
            fingerprint=requests.fingerprint(workflow, input) if idempotency_key and fingerprint else None,
            tenant_id=tenant_id,
            topic=topic,
            group=group,
            retry_policy=retry_policy,
            deliver_at_ms=deliver_at_ms,
            tags=tags,
        )
        return await self._send(requests.create_run(workflow, input, options))

    async def list_runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        tenant_id: str | None = None,
        tag: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> RunPage:
        """Lists runs, newest first."""
        call = requests.list_runs(
            status=status, workflow=workflow, tenant_id=tenant_id, tag=tag, cursor=cursor, limit=limit
        )
        return await self._send(call)

    async def get_run(self, run_id: str) -> RunInfo:
        """Looks a run up."""
        return await self._send(requests.get_run(run_id))

    async def wait_run(self, run_id: str, *, timeout_s: float | None = None) -> RunInfo:
        """Waits until a run has ended, for ever or `timeout_s`; then it returns the run as it is."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_ms = WAIT_MS_MAX if deadline is None else int((deadline - time.monotonic()) * 1000)
            wait_ms = min(max(left_ms, 0), WAIT_MS_MAX)
            run = await self._send(requests.get_run(run_id, wait_ms))
            if run.terminal or left_ms <= 0:
                return run

    async def replay_run(
        self,
        run_id: str,
        *,
        input: Any = UNSET,  # noqa: A002 - the wire's name
        patch: Mapping[str, Any] | None = None,
        from_step: str | None = None,
        fresh: bool = False,
        actor: str | None = None,
    ) -> Replayed:
        """Runs an ended run again: as it was, with another `input`, or with a JSON merge `patch` to it.

        Finished steps are kept, but `from_step` forgets that one and all after it, and `fresh` all. The
        timeline names the `actor`.
        """
        call = requests.replay_run(
            run_id, input=input, patch=patch, from_step=from_step, fresh=fresh, actor=actor
        )
        return await self._send(call)

    async def cancel_run(self, run_id: str) -> Cancelled:
        """Ends a run; its worker learns it at its next word to the broker."""
        return await self._send(requests.cancel_run(run_id))

    async def run_events(
        self, run_id: str, *, after: int | None = None, limit: int | None = None
    ) -> EventPage:
        """Reads a page of a run's timeline: what comes after the event numbered `after`."""
        return await self._send(requests.run_events(run_id, after, limit))

    async def follow_run(
        self,
        run_id: str,
        *,
        after: int = 0,
        until: Literal["terminal"] | None = None,
    ) -> AsyncGenerator[Event]:
        """Yields a run's timeline as it grows, over broken connections, with no gap and no repeat.

        With `until="terminal"` the iteration ends with the run; otherwise it waits for a replay.
        """
        last_id = str(after) if after else None
        params = {"until": until} if until else {}
        failures = 0
        while True:
            try:
                path = f"{requests.run_path(run_id)}/events"
                async with self._open_stream(path, params, resume_headers(last_id)) as answer:
                    if answer.status_code == httpx2.codes.NO_CONTENT:
                        return
                    async for event_id, event in events_of(answer):
                        failures, last_id = 0, event_id
                        yield event
            except DriftqError as error:
                if not error.retryable:
                    raise
            failures += 1
            await self._sleep(self._settings.retry.backoff.delay_s(failures))

    async def append_events(
        self,
        run_id: str,
        events: Sequence[Mapping[str, Any]],
        *,
        lease_id: str | None = None,
        repeatable: bool = False,
    ) -> Appended:
        """Writes events of your own to a run's timeline.

        With `repeatable` they are sent again when an answer got lost: at least once instead of at most once.
        """
        call = requests.append_events(run_id, events, lease_id, repeatable=repeatable)
        return await self._send(call)

    async def put_step(
        self, run_id: str, step: str, output: Any, *, lease_id: str | None, duration_ms: int | None = None
    ) -> StoredStep:
        """Stores a step's result once; whoever comes second gets the first one's."""
        return await self._send(requests.put_step(run_id, step, output, lease_id, duration_ms))

    async def run_steps(self, run_id: str) -> list[Step]:
        """Lists a run's finished steps with their results."""
        return await self._send(requests.run_steps(run_id))

    async def run_dlq(self, run_id: str, *, replay_seq: int | None = None) -> RunDeadLetter:
        """Shows a run's newest dead letter, or that of one replay; `NotFound` when it never had one."""
        return await self._send(requests.run_dlq(run_id, replay_seq))

    # -- dead letters ----------------------------------------------------------------------------------

    async def list_dead_letters(
        self,
        *,
        topic: str | None = None,
        group: str | None = None,
        run_id: str | None = None,
        reason: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> DeadLetterPage:
        """Lists dead letters; `topic` is the one they came from."""
        call = requests.list_dead_letters(
            topic=topic, group=group, run_id=run_id, reason=reason, cursor=cursor, limit=limit
        )
        return await self._send(call)

    async def get_dead_letter(self, topic: str, partition: int, offset: int) -> DeadLetter:
        """Shows a dead letter whole; `topic` is its own (`dlq.…`)."""
        return await self._send(requests.get_dead_letter(topic, partition, offset))

    async def redrive_dead_letter(
        self,
        topic: str,
        partition: int,
        offset: int,
        *,
        value: Any = None,
        target_topic: str | None = None,
        all_groups: bool = False,
        idempotency_key: str | None = None,
    ) -> Redriven:
        """Sends a dead letter's message again, to the group that failed it."""
        call = requests.redrive_dead_letter(
            topic,
            partition,
            offset,
            value=value,
            target_topic=target_topic,
            all_groups=all_groups,
            idempotency_key=idempotency_key,
        )
        return await self._send(call)

    async def discard_dead_letter(self, topic: str, partition: int, offset: int, *, reason: str) -> None:
        """Takes a dead letter off the list, with a reason that is kept."""
        await self._send(requests.discard_dead_letter(topic, partition, offset, reason))

    # -- sending ---------------------------------------------------------------------------------------

    async def _send(self, call: Call[T]) -> T:
        return read_answer(call, await self._answer(call))

    async def _answer(self, call: Call[Any]) -> httpx2.Response:
        """The broker's answer as it came, if it is a 2xx; any other is raised."""
        failures = 0
        while True:
            try:
                return await self._answer_once(call)
            except DriftqError as error:
                failures += 1
                delay_s = self._settings.retry.delay_s(error, failures=failures, repeatable=call.repeatable)
                if delay_s is None:
                    raise
            await self._sleep(delay_s)

    async def _answer_once(self, call: Call[Any]) -> httpx2.Response:
        try:
            response = await self._http.request(
                call.method,
                call.path,
                params=call.params,
                content=call.body,
                headers=connection_headers(call),
                timeout=self._settings.timeout(call),
            )
        except httpx2.TransportError as error:
            raise connection_error(self.url, error) from error
        if not response.is_success:
            raise answer_error(response.status_code, response.headers, response.content)
        return response

    async def _follow_once(
        self, run_id: str, params: Mapping[str, str], last_event_id: str | None
    ) -> httpx2.Response:
        """Opens a run's timeline for somebody who passes its bytes on; who calls this closes the answer."""
        request = self._http.build_request(
            "GET",
            f"{requests.run_path(run_id)}/events",
            params=params,
            headers=resume_headers(last_event_id),
            timeout=self._settings.stream_timeout(),
        )
        try:
            response = await self._http.send(request, stream=True)
            if not response.is_success:
                await response.aread()
                raise answer_error(response.status_code, response.headers, response.content)
        except httpx2.TransportError as error:
            raise connection_error(self.url, error) from error
        return response

    @contextlib.asynccontextmanager
    async def _open_stream(
        self, path: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[httpx2.Response]:
        """Opens a stream; a refusal is raised, a connection that breaks later is a `ConnectionLost`."""
        try:
            async with self._http.stream(
                "GET", path, params=params, headers=headers, timeout=self._settings.stream_timeout()
            ) as response:
                if not response.is_success:
                    await response.aread()
                    raise answer_error(response.status_code, response.headers, response.content)
                yield response
        except httpx2.TransportError as error:
            raise connection_error(self.url, error) from error
