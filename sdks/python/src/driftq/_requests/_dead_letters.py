"""Requests about dead letters, and about jobs that redrive many of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from .._types import (
    DeadLetter,
    DeadLetterDiff,
    DeadLetterPage,
    FingerprintPage,
    RedriveJob,
    RedriveJobPage,
    Redriven,
    RedrivePreview,
)
from ._call import UNSET, Call, body, fresh_key, jsonable, model, nothing, params, part, written


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Which dead letters: all that is said must fit. `topic` is the one they came from."""

    topic: str | None = None
    group: str | None = None
    run_id: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    tenant_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def said(self) -> dict[str, Any]:
        """What is asked for, without what is not."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def list_dead_letters(
    wanted: DeadLetterFilter, q: str | None, limit: int | None, cursor: str | None
) -> Call[DeadLetterPage]:
    """`GET /v1/dlq`."""
    query = params(**wanted.said(), q=q, limit=limit, cursor=cursor)
    return Call("GET", "/v1/dlq", model(DeadLetterPage), params=query)


def list_fingerprints(
    wanted: DeadLetterFilter, limit: int | None, cursor: str | None
) -> Call[FingerprintPage]:
    """`GET /v1/dlq/fingerprints`."""
    query = params(**wanted.said(), limit=limit, cursor=cursor)
    return Call("GET", "/v1/dlq/fingerprints", model(FingerprintPage), params=query)


def _path(topic: str, partition: int, offset: int) -> str:
    return f"/v1/dlq/{part(topic)}/{partition}/{offset}"


def get_dead_letter(topic: str, partition: int, offset: int) -> Call[DeadLetter]:
    """`GET /v1/dlq/{topic}/{partition}/{offset}`."""
    return Call("GET", _path(topic, partition, offset), model(DeadLetter))


def diff_dead_letter(
    topic: str, partition: int, offset: int, a: int | None, b: int | None
) -> Call[DeadLetterDiff]:
    """`GET …/diff`."""
    path = f"{_path(topic, partition, offset)}/diff"
    return Call("GET", path, model(DeadLetterDiff), params=params(a=a, b=b))


def redrive_dead_letter(
    topic: str,
    partition: int,
    offset: int,
    *,
    value: Any,
    target_topic: str | None,
    all_groups: bool,
    reason: str | None,
    idempotency_key: str | None,
) -> Call[Redriven]:
    """`POST …/redrive`, once for each idempotency key."""
    fields: dict[str, Any] = {} if value is UNSET else {"value": jsonable(value)}
    if target_topic is not None:
        fields["target_topic"] = target_topic
    if all_groups:
        fields["all_groups"] = True
    if reason is not None:
        fields["reason"] = reason
    return Call(
        "POST",
        f"{_path(topic, partition, offset)}/redrive",
        model(Redriven),
        body=written(fields),
        headers={"Idempotency-Key": idempotency_key or fresh_key()},
    )


def discard_dead_letter(topic: str, partition: int, offset: int, reason: str) -> Call[None]:
    """`POST …/discard`."""
    path = f"{_path(topic, partition, offset)}/discard"
    return Call("POST", path, nothing, body=body(reason=reason), repeatable=False)


# -- jobs ----------------------------------------------------------------------------------------------


def start_redrive(
    wanted: DeadLetterFilter,
    *,
    rate_per_s: float | None,
    canary: int | None,
    stop_at_failure_share: float | None,
    reason: str | None,
    idempotency_key: str | None,
) -> Call[RedriveJob]:
    """`POST /v1/dlq/redrive`, once for each idempotency key."""
    fields = body(
        filter=wanted.said(),
        rate_per_s=rate_per_s,
        canary=canary,
        stop_at_failure_share=stop_at_failure_share,
        reason=reason,
    )
    headers = {"Idempotency-Key": idempotency_key or fresh_key()}
    return Call("POST", "/v1/dlq/redrive", model(RedriveJob), body=fields, headers=headers)


def preview_redrive(wanted: DeadLetterFilter) -> Call[RedrivePreview]:
    """`POST /v1/dlq/redrive` as a dry run."""
    fields = body(filter=wanted.said(), dry_run=True)
    return Call("POST", "/v1/dlq/redrive", model(RedrivePreview), body=fields)


def list_redrive_jobs(status: str | None, limit: int | None, cursor: str | None) -> Call[RedriveJobPage]:
    """`GET /v1/dlq/jobs`."""
    query = params(status=status, limit=limit, cursor=cursor)
    return Call("GET", "/v1/dlq/jobs", model(RedriveJobPage), params=query)


def _job_path(job_id: str) -> str:
    return f"/v1/dlq/jobs/{part(job_id)}"


def get_redrive_job(job_id: str, wait_ms: int | None) -> Call[RedriveJob]:
    """`GET /v1/dlq/jobs/{job_id}`."""
    return Call(
        "GET",
        _job_path(job_id),
        model(RedriveJob),
        params=params(wait_ms=wait_ms),
        patience_s=(wait_ms or 0) / 1000,
    )


def steer_redrive_job(
    job_id: str, act: Literal["pause", "resume", "stop"], reason: str | None
) -> Call[RedriveJob]:
    """`POST /v1/dlq/jobs/{job_id}/pause|resume|stop`."""
    return Call("POST", f"{_job_path(job_id)}/{act}", model(RedriveJob), body=body(reason=reason))
