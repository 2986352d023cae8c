"""Requests about messages: producing, consuming, settling, and asking why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json

from .._types import ErrorInfo, Explanation, Lease, Message, Produced, RetriedNow, RetryPolicy
from ._call import (
    UNSET,
    Call,
    body,
    fingerprint,
    fresh_key,
    jsonable,
    model,
    nothing,
    params,
    policy,
    written,
)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to produce; `produce_batch` and the outbox take it.

    Without an `idempotency_key` one is made up when it is sent. With yours, another value under the same key
    is refused, unless `fingerprint` is false: then the first value wins silently.
    """

    topic: str
    value: Any
    key: str | None = None
    idempotency_key: str | None = None
    fingerprint: bool = True
    headers: Mapping[str, str] | None = None
    delay_ms: int | None = None
    deliver_at_ms: int | None = None
    deadline: datetime | None = None
    retry_policy: RetryPolicy | Mapping[str, Any] | None = None
    run_id: str | None = None
    step_id: str | None = None
    parent_step_id: str | None = None
    tenant_id: str | None = None
    target_topic: str | None = None
    partition: int | None = None


def produce(message: NewMessage) -> Call[Produced]:
    """`POST /v1/produce`, always with an idempotency key, so that a repeat stores nothing twice."""
    return Call("POST", "/v1/produce", model(Produced), body=body(**wire_form(message)))


class _Results(BaseModel):
    results: list[Produced]


def produce_batch(messages: Sequence[NewMessage]) -> Call[list[Produced]]:
    """`POST /v1/produce/batch`: all are stored or none."""
    fields = body(messages=[wire_form(message) for message in messages])
    return Call(
        "POST",
        "/v1/produce/batch",
        lambda answer: _Results.model_validate_json(answer).results,
        body=fields,
    )


def wire_form(message: NewMessage) -> dict[str, Any]:
    """A message as it is written, with an idempotency key."""
    envelope = {
        "run_id": message.run_id,
        "step_id": message.step_id,
        "parent_step_id": message.parent_step_id,
        "tenant_id": message.tenant_id,
        "idempotency_key": message.idempotency_key or fresh_key(),
        "target_topic": message.target_topic,
        "deadline": message.deadline.isoformat() if message.deadline else None,
        "retry_policy": policy(message.retry_policy),
        "partition_override": message.partition,
    }
    prints = message.idempotency_key and message.fingerprint
    written = {
        "topic": message.topic,
        "key": message.key,
        "value": jsonable(message.value, f"the value for topic {message.topic!r}"),
        "envelope": _given(envelope),
        "headers": dict(message.headers) if message.headers else None,
        "delay_ms": message.delay_ms,
        "deliver_at_ms": message.deliver_at_ms,
        "idempotency_fingerprint": fingerprint(message.topic, message.value) if prints else None,
    }
    return _given(written)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumeOptions:
    """Who reads which topic, and on what terms."""

    topic: str
    group: str
    owner: str | None = None
    lease_ms: int | None = None
    max_in_flight: int | None = None
    start: Literal["earliest", "latest"] | None = None
    worker_version: str | None = None


def consume_params(options: ConsumeOptions, mode: Literal["stream", "poll"]) -> dict[str, str]:
    """The query of `GET /v1/consume`."""
    return params(
        topic=options.topic,
        group=options.group,
        owner=options.owner,
        lease_ms=options.lease_ms,
        max_in_flight=options.max_in_flight,
        mode=mode,
        start=options.start,
        worker_version=options.worker_version,
    )


def poll(options: ConsumeOptions, wait_ms: int) -> Call[Message | None]:
    """`GET /v1/consume` for one message.

    A poll whose answer got lost may have leased a message, so repeating it leaves that one to its lease.
    """
    return Call(
        "GET",
        "/v1/consume",
        TypeAdapter(Message | None).validate_json,
        params=consume_params(options, "poll") | {"wait_ms": str(wait_ms)},
        patience_s=wait_ms / 1000,
    )


def poll_many(options: ConsumeOptions, wait_ms: int, most: int) -> Call[list[Message]]:
    """`GET /v1/consume` for up to so many messages at once."""
    return Call(
        "GET",
        "/v1/consume",
        TypeAdapter(list[Message]).validate_json,
        params=consume_params(options, "poll") | {"wait_ms": str(wait_ms), "max": str(most)},
        patience_s=wait_ms / 1000,
    )


def _position(message: Message) -> dict[str, Any]:
    return {
        "topic": message.topic,
        "group": message.group,
        "owner": message.owner,
        "partition": message.partition,
        "offset": message.offset,
        "lease_id": message.lease_id,
    }


def ack(message: Message, result: Any = UNSET) -> Call[None]:
    """`POST /v1/ack`; a result (None is one) ends the run whose command this is."""
    fields = body(**_position(message))
    if result is not UNSET:
        # `result: null` is a result, so it must be in the body although it is None.
        fields = written({**from_json(fields), "result": jsonable(result, "the result")})
    return Call("POST", "/v1/ack", nothing, body=fields)


def nack(
    message: Message,
    *,
    reason: str | None,
    error: ErrorInfo | None,
    retry_after_ms: int | None,
    retryable: bool | None,
) -> Call[None]:
    """`POST /v1/nack`; with a `lease_id` a repeat changes nothing."""
    fields = body(
        **_position(message),
        reason=reason,
        error=error.model_dump(exclude_none=True) if error else None,
        retry_after_ms=retry_after_ms,
        retryable=retryable,
    )
    return Call("POST", "/v1/nack", nothing, body=fields, repeatable=message.lease_id is not None)


def extend(message: Message, lease_ms: int) -> Call[Lease]:
    """`POST /v1/extend`: the lease now ends `lease_ms` from now."""
    return Call("POST", "/v1/extend", model(Lease), body=body(**_position(message), lease_ms=lease_ms))


def retry_now(
    *,
    topic: str | None,
    partition: int | None,
    offset: int | None,
    group: str | None,
    run_id: str | None,
    reason: str | None,
) -> Call[RetriedNow]:
    """`POST /v1/retry-now`; what is due already stays due."""
    fields = body(topic=topic, partition=partition, offset=offset, group=group, run_id=run_id, reason=reason)
    return Call("POST", "/v1/retry-now", model(RetriedNow), body=fields)


def explain(
    *, topic: str | None, partition: int | None, offset: int | None, group: str | None, run_id: str | None
) -> Call[Explanation]:
    """`GET /v1/explain`."""
    query = params(topic=topic, partition=partition, offset=offset, group=group, run_id=run_id)
    return Call("GET", "/v1/explain", model(Explanation), params=query)
