"""Dead letters, what they have in common, and the jobs that redrive many of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ._runs import Difference
from ._wire import Address, ErrorInfo, Wire


class FailedAttempt(Wire):
    """One attempt in a dead letter's history."""

    attempt: int
    owner: str = ""
    started_at_ms: int = 0
    ended_at_ms: int = 0
    reason: str = ""
    error: ErrorInfo | None = None
    worker_version: str | None = None


class RunDeadLetter(Wire):
    """A run's dead letter: its command, why it failed, and every attempt."""

    type: Literal["runs.dlq"] = "runs.dlq"
    run_id: str
    replay_seq: int
    reason: str
    error: ErrorInfo
    command: Any
    attempts: list[FailedAttempt] = Field(default_factory=list)
    state: str = "open"
    topic: str = ""
    partition: int = 0
    offset: int = 0
    routed_at_ms: int = 0


class Closing(Wire):
    """How a dead letter was closed, by whom and why."""

    state: str
    at_ms: int | None = None
    actor: str | None = None
    reason: str | None = None
    job_id: str | None = None
    redriven_to: Address | None = None
    edited: bool | None = None
    replay_seq: int | None = None


class DeadLetter(Address):
    """A dead letter; `topic`, `partition` and `offset` (its `place`) are its own and name it.

    Its `history` comes only with `get_dead_letter`.
    """

    original_topic: str
    original_partition: int
    original_offset: int
    group: str = ""
    reason: str = ""
    attempts: int = 0
    last_error: str = ""
    routed_at_ms: int = 0
    run_id: str | None = None
    tenant_id: str | None = None
    key: str = ""
    value: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    state: str = "open"
    fingerprint: str = ""
    closed: Closing | None = None
    history: list[FailedAttempt] = Field(default_factory=list)


class DeadLetterPage(Wire):
    """A page of open dead letters."""

    items: list[DeadLetter]
    next_cursor: str | None = None


class Redriven(Wire):
    """What a redrive did: `redriven` (see `message_id`), or `replayed` when it belonged to a run."""

    status: Literal["redriven", "replayed"]
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    message_id: str | None = None
    run_id: str | None = None
    replay_seq: int | None = None


class Fingerprint(Wire):
    """Dead letters that failed alike: how many, since when, where, and one of them."""

    fingerprint: str
    count: int
    error: ErrorInfo
    reason: str = ""
    first_at_ms: int = 0
    last_at_ms: int = 0
    topics: list[str] = Field(default_factory=list)
    groups: list[str] = Field(default_factory=list)
    sample: Address


class FingerprintPage(Wire):
    """A page of fingerprints, the most frequent first."""

    fingerprints: list[Fingerprint]
    next_cursor: str | None = None


class DeadLetterDiff(Wire):
    """Two attempts of a dead letter, what changed between them, and which fields are the same."""

    a: FailedAttempt
    b: FailedAttempt
    changed: list[Difference] = Field(default_factory=list)
    same: list[str] = Field(default_factory=list)


class RedriveSample(Address):
    """One of the dead letters that a redrive would move."""

    original_topic: str = ""
    last_error: str = ""


class RedrivePreview(Wire):
    """What a redrive would move."""

    dry_run: bool = True
    matched: int
    sample: list[RedriveSample] = Field(default_factory=list)


class RedriveProblem(Wire):
    """A dead letter that a job could not move, and why."""

    dead_letter: Address
    message: str


class RedriveJob(Wire):
    """A redrive of many dead letters, run by the broker.

    `moved` were sent again; of those `succeeded` and `failed` have ended, `waiting` have not. `skipped` were
    closed by somebody else meanwhile. `halted` means that too many failed; a resume goes on.
    """

    job_id: str
    status: str
    phase: str = ""
    filter: dict[str, Any] = Field(default_factory=dict)
    rate_per_s: float = 0
    canary: int | None = None
    stop_at_failure_share: float | None = None
    matched: int = 0
    moved: int = 0
    succeeded: int = 0
    failed: int = 0
    waiting: int = 0
    skipped: int = 0
    created_at_ms: int = 0
    ended_at_ms: int | None = None
    actor: str | None = None
    reason: str | None = None
    stop_reason: str | None = None
    problems: list[RedriveProblem] = Field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether nothing can make it go on."""
        return self.status in ("done", "stopped")


class RedriveJobPage(Wire):
    """A page of jobs, newest first."""

    jobs: list[RedriveJob]
    next_cursor: str | None = None
