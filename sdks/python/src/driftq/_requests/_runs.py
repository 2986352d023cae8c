"""Requests about runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from .._types import (
    Appended,
    Cancelled,
    EventPage,
    Replayed,
    RetryPolicy,
    RunAttemptPage,
    RunCreated,
    RunDeadLetter,
    RunDiff,
    RunInfo,
    RunPage,
    RunToken,
    Step,
    StoredStep,
)
from ._call import UNSET, Call, actor_header, body, fresh_key, jsonable, model, params, part, policy, written


def run_path(run_id: str) -> str:
    """Where a run lives."""
    return f"/v1/runs/{part(run_id)}"


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
    fields = body(
        workflow=workflow,
        input=jsonable(input, f"the input of workflow {workflow!r}"),
        run_id=options.run_id,
        idempotency_key=options.idempotency_key or fresh_key(),
        idempotency_fingerprint=options.fingerprint,
        tenant_id=options.tenant_id,
        topic=options.topic,
        group=options.group,
        retry_policy=policy(options.retry_policy),
        deliver_at_ms=options.deliver_at_ms,
        tags=list(options.tags) if options.tags else None,
    )
    return Call("POST", "/v1/runs", model(RunCreated), body=fields)


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
    query = params(status=status, workflow=workflow, tenant_id=tenant_id, tag=tag, cursor=cursor, limit=limit)
    return Call("GET", "/v1/runs", model(RunPage), params=query)


def get_run(run_id: str, wait_ms: int | None = None) -> Call[RunInfo]:
    """`GET /v1/runs/{id}`, after waiting up to `wait_ms` for its end."""
    return Call(
        "GET",
        run_path(run_id),
        model(RunInfo),
        params=params(wait_ms=wait_ms),
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
    reason: str | None = None,
) -> Call[Replayed]:
    """`POST /v1/runs/{id}/replay`; a second one would be a second replay, so it is not repeated blindly."""
    fields: dict[str, Any] = {}
    if input is not UNSET:
        fields["input"] = jsonable(input, "the input")
    if patch is not None:
        fields["patch"] = jsonable(patch, "the patch")
    if from_step is not None:
        fields["from_step"] = from_step
    if fresh:
        fields["fresh"] = True
    if actor is not None:
        fields["actor"] = actor
    if reason is not None:
        fields["reason"] = reason
    path = f"{run_path(run_id)}/replay"
    return Call(
        "POST",
        path,
        model(Replayed),
        body=written(fields),
        headers=actor_header(actor),
        repeatable=False,
    )


def cancel_run(run_id: str, *, actor: str | None = None, reason: str | None = None) -> Call[Cancelled]:
    """`POST /v1/runs/{id}/cancel`."""
    return Call(
        "POST",
        f"{run_path(run_id)}/cancel",
        model(Cancelled),
        body=body(actor=actor, reason=reason),
        headers=actor_header(actor),
        repeatable=False,
    )


def run_events(run_id: str, after: int | None, limit: int | None) -> Call[EventPage]:
    """`GET /v1/runs/{id}/events` as a JSON page."""
    return Call(
        "GET",
        f"{run_path(run_id)}/events",
        model(EventPage),
        params=params(after=after, limit=limit),
        headers={"Accept": "application/json"},
    )


def append_events(
    run_id: str, events: Sequence[Mapping[str, Any]], lease_id: str | None, *, repeatable: bool
) -> Call[Appended]:
    """`POST /v1/runs/{id}/events`; a repeat after a lost answer may append twice."""
    fields = body(events=jsonable(list(events), "an event"), lease_id=lease_id)
    return Call("POST", f"{run_path(run_id)}/events", model(Appended), body=fields, repeatable=repeatable)


def put_step(
    run_id: str, step: str, output: Any, lease_id: str | None, duration_ms: int | None
) -> Call[StoredStep]:
    """`PUT /v1/runs/{id}/steps/{step}`: the first result wins, whoever repeats."""
    fields: dict[str, Any] = {
        "lease_id": lease_id,
        "output": jsonable(output, f"the output of step {step!r}"),
    }
    if duration_ms is not None:
        fields["duration_ms"] = duration_ms
    return Call("PUT", f"{run_path(run_id)}/steps/{part(step)}", model(StoredStep), body=written(fields))


class _Steps(BaseModel):
    steps: list[Step]


def run_steps(run_id: str) -> Call[list[Step]]:
    """`GET /v1/runs/{id}/steps`."""
    return Call("GET", f"{run_path(run_id)}/steps", lambda body: _Steps.model_validate_json(body).steps)


def run_dlq(run_id: str, replay_seq: int | None) -> Call[RunDeadLetter]:
    """`GET /v1/runs/{id}/dlq`."""
    query = params(replay_seq=replay_seq)
    return Call("GET", f"{run_path(run_id)}/dlq", model(RunDeadLetter), params=query)


def run_attempts(run_id: str, limit: int | None, cursor: str | None) -> Call[RunAttemptPage]:
    """`GET /v1/runs/{id}/attempts`."""
    query = params(limit=limit, cursor=cursor)
    return Call("GET", f"{run_path(run_id)}/attempts", model(RunAttemptPage), params=query)


def diff_run(run_id: str, a: str | None, b: str | None) -> Call[RunDiff]:
    """`GET /v1/runs/{id}/diff`; an attempt is named `<replay>` or `<replay>.<attempt>`."""
    return Call("GET", f"{run_path(run_id)}/diff", model(RunDiff), params=params(a=a, b=b))


def create_run_token(run_id: str, ttl_ms: int | None) -> Call[RunToken]:
    """`POST /v1/runs/{id}/token`."""
    return Call("POST", f"{run_path(run_id)}/token", model(RunToken), body=body(ttl_ms=ttl_ms))
