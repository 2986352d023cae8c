"""Every request this package can make, as a value; the clients only send it.

A `Call` knows its path, its body, how its answer reads, and whether sending it twice can do harm. The
blocking and the asynchronous client are twins over these builders.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json, to_json, to_jsonable_python

from ._types import (
    Appended,
    Cancelled,
    DeadLetter,
    DeadLetterPage,
    ErrorInfo,
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

T = TypeVar("T")


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


#: Stands for "left out" where None is a value of its own.
UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request: what to send, how to read the answer, whether it may be sent again."""

    method: str
    path: str
    parse: Callable[[bytes], T]
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    #: How long the broker may think before it answers, beside the ordinary time-out.
    patience_s: float = 0.0


def _model(model: type[T]) -> Callable[[bytes], T]:
    return TypeAdapter(model).validate_json


def _nothing(_body: bytes) -> None:
    return None


def _part(text: str) -> str:
    """One path segment; a name with a slash or a question mark stays one segment."""
    return quote(text, safe="")


def _body(**fields: Any) -> bytes:
    """The JSON of those fields that are not None."""
    return to_json({name: value for name, value in fields.items() if value is not None}, exclude_none=False)


def _params(**fields: Any) -> dict[str, str]:
    return {name: _text(value) for name, value in fields.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def jsonable(value: Any) -> Any:
    """The value as plain JSON types: models, dates and the like become what they look like on the wire."""
    return to_jsonable_python(value, by_alias=True)


def _policy(policy: RetryPolicy | Mapping[str, Any] | None) -> Any:
    return policy.model_dump(exclude_none=True) if isinstance(policy, BaseModel) else policy


# -- the broker itself ---------------------------------------------------------------------------------


def health() -> Call[Health]:
    """`GET /v1/healthz`."""
    return Call("GET", "/v1/healthz", _model(Health))


def version() -> Call[Version]:
    """`GET /v1/version`."""
    return Call("GET", "/v1/version", _model(Version))


def list_topics(limit: int | None, cursor: str | None) -> Call[TopicPage]:
    """`GET /v1/topics`."""
    return Call("GET", "/v1/topics", _model(TopicPage), params=_params(limit=limit, cursor=cursor))


def create_topic(name: str, partitions: int | None) -> Call[None]:
    """`POST /v1/topics`; asking again changes nothing."""
    return Call("POST", "/v1/topics", _nothing, body=_body(name=name, partitions=partitions))


# -- messages ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ProduceOptions:
    """What may be said beside a message's topic and value."""

    key: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
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


def produce(topic: str, value: Any, options: ProduceOptions) -> Call[Produced]:
    """`POST /v1/produce`, always with an idempotency key, so that a repeat stores nothing twice."""
    key = options.idempotency_key or f"auto-{uuid.uuid4().hex}"
    envelope = {
        "run_id": options.run_id,
        "step_id": options.step_id,
        "parent_step_id": options.parent_step_id,
        "tenant_id": options.tenant_id,
        "idempotency_key": key,
        "target_topic": options.target_topic,
        "deadline": options.deadline.isoformat() if options.deadline else None,
        "retry_policy": _policy(options.retry_policy),
        "partition_override": options.partition,
    }
    message: dict[str, Any] = {
        "topic": topic,
        "key": options.key,
        "value": jsonable(value),
        "envelope": {name: value for name, value in envelope.items() if value is not None},
        "headers": dict(options.headers) if options.headers else None,
        "delay_ms": options.delay_ms,
        "deliver_at_ms": options.deliver_at_ms,
    }
    if options.fingerprint:
        message["idempotency_fingerprint"] = options.fingerprint
    return Call("POST", "/v1/produce", _model(Produced), body=_body(**message))


def fingerprint(topic: str, value: Any) -> str:
    """A short name for a payload: equal payloads have equal ones, whatever the order of their keys."""
    canonical = json.dumps([topic, jsonable(value)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumeOptions:
    """Who reads which topic, and on what terms."""

    topic: str
    group: str
    owner: str | None = None
    lease_ms: int | None = None
    max_in_flight: int | None = None


def consume_params(options: ConsumeOptions, mode: Literal["stream", "poll"]) -> dict[str, str]:
    """The query of `GET /v1/consume`."""
    return _params(
        topic=options.topic,
        group=options.group,
        owner=options.owner,
        lease_ms=options.lease_ms,
        max_in_flight=options.max_in_flight,
        mode=mode,
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
    body = _body(**_position(message))
    if result is not UNSET:
        # `result: null` is a result, so it must be in the body although it is None.
        body = to_json({**from_json(body), "result": jsonable(result)})
    return Call("POST", "/v1/ack", _nothing, body=body)


def nack(
    message: Message,
    *,
    reason: str | None,
    error: ErrorInfo | None,
    retry_after_ms: int | None,
    retryable: bool | None,
) -> Call[None]:
    """`POST /v1/nack`; with a `lease_id` a repeat changes nothing."""
    body = _body(
        **_position(message),
        reason=reason,
        error=error.model_dump(exclude_none=True) if error else None,
        retry_after_ms=retry_after_ms,
        retryable=retryable,
    )
    return Call("POST", "/v1/nack", _nothing, body=body, repeatable=message.lease_id is not None)


def extend(message: Message, lease_ms: int) -> Call[Lease]:
    """`POST /v1/extend`: the lease now ends `lease_ms` from now."""
    return Call("POST", "/v1/extend", _model(Lease), body=_body(**_position(message), lease_ms=lease_ms))


# -- runs ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What may be said beside a run's workflow and input."""

    run_id: str | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None
    tenant_id: str | None = None
    topic: str | None = None
    group: str | None = None
    retry_policy: RetryPolicy | Mapping[str, Any] | None = None
    deliver_at_ms: int | None = None
    tags: Sequence[str] | None = None


def create_run(workflow: str, input: Any, options: RunOptions) -> Call[RunCreated]:  # noqa: A002 - the wire's name
    """`POST /v1/runs`, always with an idempotency key, so that a repeat starts nothing twice."""
    body = _body(
        workflow=workflow,
        input=jsonable(input),
        run_id=options.run_id,
        idempotency_key=options.idempotency_key or f"auto-{uuid.uuid4().hex}",
        idempotency_fingerprint=options.fingerprint,
        tenant_id=options.tenant_id,
        topic=options.topic,
        group=options.group,
        retry_policy=_policy(options.retry_policy),
        deliver_at_ms=options.deliver_at_ms,
        tags=list(options.tags) if options.tags else None,
    )
    return Call("POST", "/v1/runs", _model(RunCreated), body=body)


def list_runs(
    *,
    status: str | None,
    workflow: str | None,
    tenant_id: str | None,
    tag: str | None,
    cursor: str | None,
    limit: int | None,
) -> Call[RunPage]:
    """`GET /v1/runs`."""
    params = _params(
        status=status, workflow=workflow, tenant_id=tenant_id, tag=tag, cursor=cursor, limit=limit
    )
    return Call("GET", "/v1/runs", _model(RunPage), params=params)


def get_run(run_id: str, wait_ms: int | None = None) -> Call[RunInfo]:
    """`GET /v1/runs/{id}`, after waiting up to `wait_ms` for its end."""
    return Call(
        "GET",
        run_path(run_id),
        _model(RunInfo),
        params=_params(wait_ms=wait_ms),
        patience_s=(wait_ms or 0) / 1000,
    )


def replay_run(
    run_id: str,
    *,
    input: Any,  # noqa: A002 - the wire's name
    patch: Any,
    from_step: str | None,
    fresh: bool,
    actor: str | None,
) -> Call[Replayed]:
    """`POST /v1/runs/{id}/replay`; a second one would be a second replay, so it is not repeated blindly."""
    fields: dict[str, Any] = {}
    if input is not UNSET:
        fields["input"] = jsonable(input)
    if patch is not None:
        fields["patch"] = jsonable(patch)
    if from_step is not None:
        fields["from_step"] = from_step
    if fresh:
        fields["fresh"] = True
    if actor is not None:
        fields["actor"] = actor
    path = f"{run_path(run_id)}/replay"
    return Call("POST", path, _model(Replayed), body=to_json(fields), repeatable=False)


def cancel_run(run_id: str) -> Call[Cancelled]:
    """`POST /v1/runs/{id}/cancel`."""
    return Call("POST", f"{run_path(run_id)}/cancel", _model(Cancelled), body=b"{}", repeatable=False)


def run_events(run_id: str, after: int | None, limit: int | None) -> Call[EventPage]:
    """`GET /v1/runs/{id}/events` as a JSON page."""
    return Call(
        "GET",
        f"{run_path(run_id)}/events",
        _model(EventPage),
        params=_params(after=after, limit=limit),
        headers={"Accept": "application/json"},
    )


def append_events(
    run_id: str, events: Sequence[Mapping[str, Any]], lease_id: str | None, *, repeatable: bool
) -> Call[Appended]:
    """`POST /v1/runs/{id}/events`; a repeat after a lost answer may append twice."""
    body = _body(events=jsonable(list(events)), lease_id=lease_id)
    return Call("POST", f"{run_path(run_id)}/events", _model(Appended), body=body, repeatable=repeatable)


def put_step(
    run_id: str, step: str, output: Any, lease_id: str | None, duration_ms: int | None
) -> Call[StoredStep]:
    """`PUT /v1/runs/{id}/steps/{step}`: the first result wins, whoever repeats."""
    fields: dict[str, Any] = {"lease_id": lease_id, "output": jsonable(output)}
    if duration_ms is not None:
        fields["duration_ms"] = duration_ms
    body = to_json(fields)
    return Call("PUT", f"{run_path(run_id)}/steps/{_part(step)}", _model(StoredStep), body=body)


class _Steps(BaseModel):
    steps: list[Step]


def run_steps(run_id: str) -> Call[list[Step]]:
    """`GET /v1/runs/{id}/steps`."""
    return Call("GET", f"{run_path(run_id)}/steps", lambda body: _Steps.model_validate_json(body).steps)


def run_dlq(run_id: str, replay_seq: int | None) -> Call[RunDeadLetter]:
    """`GET /v1/runs/{id}/dlq`."""
    params = _params(replay_seq=replay_seq)
    return Call("GET", f"{run_path(run_id)}/dlq", _model(RunDeadLetter), params=params)


def run_path(run_id: str) -> str:
    """Where a run lives."""
    return f"/v1/runs/{_part(run_id)}"


# -- dead letters --------------------------------------------------------------------------------------


def list_dead_letters(
    *,
    topic: str | None,
    group: str | None,
    run_id: str | None,
    reason: str | None,
    cursor: str | None,
    limit: int | None,
) -> Call[DeadLetterPage]:
    """`GET /v1/dlq`; `topic` is the original one."""
    params = _params(topic=topic, group=group, run_id=run_id, reason=reason, cursor=cursor, limit=limit)
    return Call("GET", "/v1/dlq", _model(DeadLetterPage), params=params)


def _dead_letter_path(topic: str, partition: int, offset: int) -> str:
    return f"/v1/dlq/{_part(topic)}/{partition}/{offset}"


def get_dead_letter(topic: str, partition: int, offset: int) -> Call[DeadLetter]:
    """`GET /v1/dlq/{topic}/{partition}/{offset}`."""
    return Call("GET", _dead_letter_path(topic, partition, offset), _model(DeadLetter))


def redrive_dead_letter(
    topic: str,
    partition: int,
    offset: int,
    *,
    value: Any,
    target_topic: str | None,
    all_groups: bool,
    idempotency_key: str | None,
) -> Call[Redriven]:
    """`POST …/redrive`, once for each idempotency key."""
    body = _body(value=jsonable(value), target_topic=target_topic, all_groups=all_groups or None)
    return Call(
        "POST",
        f"{_dead_letter_path(topic, partition, offset)}/redrive",
        _model(Redriven),
        body=body,
        headers={"Idempotency-Key": idempotency_key or f"auto-{uuid.uuid4().hex}"},
    )


def discard_dead_letter(topic: str, partition: int, offset: int, reason: str) -> Call[None]:
    """`POST …/discard`."""
    path = f"{_dead_letter_path(topic, partition, offset)}/discard"
    return Call("POST", path, _nothing, body=_body(reason=reason), repeatable=False)
