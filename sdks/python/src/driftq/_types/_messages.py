"""Messages: on their way in, under a lease, and why one is not on its way."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import Field, TypeAdapter

from .._validation import validated
from ._wire import Address, RetryPolicy, Wire

T = TypeVar("T")


class Envelope(Wire):
    """What travels beside a message's value."""

    run_id: str | None = None
    step_id: str | None = None
    parent_step_id: str | None = None
    tenant_id: str | None = None
    idempotency_key: str | None = None
    target_topic: str | None = None
    deadline: str | None = None
    retry_policy: RetryPolicy | None = None
    partition_override: int | None = None
    dlq: dict[str, Any] | None = None


class Produced(Wire):
    """Where a message was stored; `duplicate` when its idempotency key had been used before."""

    status: str = "produced"
    topic: str = ""
    partition: int = 0
    offset: int = 0
    message_id: str = ""
    duplicate: bool = False
    stored_topic: str | None = None


class RunContext(Wire):
    """What a worker gets beside a run's command: the attempt and the steps that are finished."""

    run_id: str
    replay_seq: int = 0
    attempt: int = 1
    steps: dict[str, Any] = Field(default_factory=dict)
    steps_more: bool = False


class Message(Wire):
    """A message under lease: ack it, nack it, or extend its lease."""

    topic: str
    group: str
    owner: str
    partition: int
    offset: int
    attempts: int = 1
    key: str = ""
    value: Any = None
    last_error: str = ""
    lease_id: str | None = None
    lease_until_ms: int | None = None
    message_id: str | None = None
    produced_at_ms: int | None = None
    headers: dict[str, str] | None = None
    envelope: Envelope | None = None
    routing: dict[str, Any] | None = None
    run: RunContext | None = None

    def read(self, kind: type[T]) -> T:
        """The value as a `kind`; one that does not fit is a `NonRetryable`, so a handler dead-letters it."""
        value: T = validated(TypeAdapter(kind), self.value, "value")
        return value


class Lease(Wire):
    """Until when a message is ours."""

    lease_until_ms: int


class RetriedNow(Wire):
    """What a `retry_now` found: the message was in `backoff`, `delayed`, or `due` already."""

    status: str = "due"
    was: str
    topic: str
    partition: int
    offset: int
    group: str | None = None


class ExplainedLease(Wire):
    """Who holds a message, and until when."""

    owner: str
    lease_id: str
    until_ms: int


class ExplainedDeadLetter(Address):
    """The dead letter that a message became."""

    state: str = "open"


class Explanation(Wire):
    """Why a message (or a run) is where it is: `code` for programs, `message` for people."""

    topic: str
    partition: int
    offset: int
    group: str | None = None
    run_id: str | None = None
    state: str
    code: str
    message: str
    until_ms: int | None = None
    lease: ExplainedLease | None = None
    attempts: int = 0
    max_attempts: int | None = None
    last_error: str | None = None
    ahead: int | None = None
    consumers: int | None = None
    dead_letter: ExplainedDeadLetter | None = None
    run_status: str | None = None
