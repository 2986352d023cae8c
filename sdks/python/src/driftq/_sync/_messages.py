# Made from `_async` by scripts/make_sync.py: change it there.

"""Calls about messages: producing, consuming, settling, and asking why."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from .. import _tracing as tracing
from .._errors import DriftqError
from .._events import Lines, message_of
from .._requests import UNSET, ConsumeOptions, NewMessage
from .._requests import messages as requests
from .._types import ErrorInfo, Explanation, Lease, Message, Produced, RetriedNow, RetryPolicy
from ._sender import WAIT_MS_MAX, Sender


class MessageCalls(Sender):
    """Messages in, messages out under a lease, and what became of one."""

    def produce(
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
        message = NewMessage(
            topic=topic,
            value=value,
            key=key,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
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
        with tracing.producing([message]) as traced:
            return self._send(requests.produce(traced[0]))

    def produce_batch(self, messages: Sequence[NewMessage]) -> list[Produced]:
        """Stores up to 1,000 messages and 1 MiB, all or none, in their order."""
        with tracing.producing(messages) as traced:
            return self._send(requests.produce_batch(traced))

    def consume(
        self,
        topic: str,
        group: str,
        *,
        owner: str,
        lease_ms: int | None = None,
        max_in_flight: int | None = None,
        start: Literal["earliest", "latest"] | None = None,
        worker_version: str | None = None,
        reconnect: bool = True,
        on_open: Callable[[], None] | None = None,
    ) -> Generator[Message]:
        """Yields messages as they come, each under a lease of `lease_ms`.

        A broken connection is opened again, for ever, unless `reconnect` is false: then the iteration ends
        with the stream, or raises what broke it. A refusal (unknown topic, …) is always raised. At most
        `max_in_flight` messages (the broker's default: 1) are unsettled at a time. A group that is new
        begins with the oldest message, or at the `start` that is said. `on_open` is called whenever the
        broker has accepted the stream.
        """
        options = ConsumeOptions(
            topic=topic,
            group=group,
            owner=owner,
            lease_ms=lease_ms,
            max_in_flight=max_in_flight,
            start=start,
            worker_version=worker_version,
        )
        failures = 0
        while True:
            try:
                with self._open_stream(
                    "/v1/consume", requests.consume_params(options, "stream"), {}
                ) as answer:
                    lines = Lines()
                    if on_open is not None:
                        on_open()
                    for chunk in answer.iter_raw():
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
            self._sleep(self._settings.retry.backoff.delay_s(failures))

    def poll(
        self,
        topic: str,
        group: str,
        *,
        owner: str | None = None,
        lease_ms: int | None = None,
        wait_ms: int = 20_000,
        start: Literal["earliest", "latest"] | None = None,
        worker_version: str | None = None,
    ) -> Message | None:
        """Waits up to `wait_ms` for one message; None when none came."""
        options = ConsumeOptions(
            topic=topic,
            group=group,
            owner=owner,
            lease_ms=lease_ms,
            start=start,
            worker_version=worker_version,
        )
        return self._send(requests.poll(options, min(wait_ms, WAIT_MS_MAX)))

    def poll_many(
        self,
        topic: str,
        group: str,
        *,
        most: int,
        owner: str | None = None,
        lease_ms: int | None = None,
        wait_ms: int = 20_000,
        start: Literal["earliest", "latest"] | None = None,
        worker_version: str | None = None,
    ) -> list[Message]:
        """Waits up to `wait_ms` for messages, at most `most` (1 to 1,000) of them."""
        options = ConsumeOptions(
            topic=topic,
            group=group,
            owner=owner,
            lease_ms=lease_ms,
            start=start,
            worker_version=worker_version,
        )
        return self._send(requests.poll_many(options, min(wait_ms, WAIT_MS_MAX), most))

    def ack(self, message: Message, *, result: Any = UNSET) -> None:
        """Settles a message; `result` (also None) is what the run whose command this is returned."""
        self._send(requests.ack(message, result))

    def nack(
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
        self._send(call)

    def extend(self, message: Message, *, lease_ms: int) -> Lease:
        """Renews a lease: it ends `lease_ms` from now. `FailedPrecondition` when it is not ours any more."""
        return self._send(requests.extend(message, lease_ms))

    def retry_now(
        self,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        *,
        group: str | None = None,
        run_id: str | None = None,
        reason: str | None = None,
    ) -> RetriedNow:
        """Ends a backoff or a delay: the message, or the run's command, is due at once."""
        call = requests.retry_now(
            topic=topic, partition=partition, offset=offset, group=group, run_id=run_id, reason=reason
        )
        return self._send(call)

    def explain(
        self,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        *,
        group: str | None = None,
        run_id: str | None = None,
    ) -> Explanation:
        """Says why a message, or a run, is where it is."""
        call = requests.explain(topic=topic, partition=partition, offset=offset, group=group, run_id=run_id)
        return self._send(call)
