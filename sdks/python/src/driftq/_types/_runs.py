"""Runs: their status, steps, replays, attempts and timeline."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ._wire import ErrorInfo, RetryPolicy, Wire

RunStatus = Literal["queued", "running", "retrying", "waiting", "succeeded", "failed", "cancelled"]

TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


class RunCreated(Wire):
    """The answer to creating a run."""

    run_id: str
    status: RunStatus
    replay_seq: int
    events_topic: str
    created_at_ms: int
    workflow: str = ""
    topic: str = ""
    group: str = ""
    tenant_id: str | None = None


class Appended(Wire):
    """Which numbers the events got."""

    first_seq: int
    last_seq: int


class Cancelled(Wire):
    """The answer to a cancel."""

    run_id: str
    replay_seq: int
    status: RunStatus


class Step(Wire):
    """A finished step and what it returned."""

    step: str
    replay_seq: int = 0
    attempt: int = 0
    completed_at_ms: int | None = None
    duration_ms: int | None = None
    output: Any = None


class StoredStep(Wire):
    """The answer to storing a step: `stored` is false when a result had been stored before."""

    step: str = ""
    output: Any = None
    stored: bool = True


class ReplayInfo(Wire):
    """One start of a run: the first (0) or a replay."""

    replay_seq: int
    status: RunStatus
    started_at_ms: int | None = None
    ended_at_ms: int | None = None


class RunInfo(Wire):
    """A run as the broker keeps it."""

    run_id: str
    workflow: str
    status: RunStatus
    replay_seq: int = 0
    events_topic: str = ""
    created_at_ms: int = 0
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    tenant_id: str | None = None
    topic: str = ""
    group: str = ""
    retry_policy: RetryPolicy | None = None
    input: Any = None
    attempts: int = 0
    tags: list[str] = Field(default_factory=list)
    steps: list[Step] = Field(default_factory=list)
    error: ErrorInfo | None = None
    result: Any = None
    replays: list[ReplayInfo] = Field(default_factory=list)

    @property
    def terminal(self) -> bool:
        """Whether the run is over, unless somebody replays it."""
        return self.status in TERMINAL_STATUSES


class RunPage(Wire):
    """Runs, newest first."""

    runs: list[RunInfo]
    next_cursor: str | None = None


class Replayed(Wire):
    """The answer to a replay."""

    run_id: str
    replay_seq: int
    status: RunStatus


class Event(Wire):
    """One event of a run's timeline; what is particular to its type is in `data`."""

    type: str
    seq: int = 0
    ts: int = 0
    run_id: str = ""
    replay_seq: int = 0
    attempt: int = 0

    @property
    def data(self) -> dict[str, Any]:
        """The fields beyond the six common ones."""
        return dict(self.model_extra or {})


class EventPage(Wire):
    """A page of a run's timeline."""

    events: list[Event]
    next_cursor: str | None = None


class RunAttempt(Wire):
    """One attempt at a run, and the steps that finished in it.

    `outcome` is `running`, `succeeded`, `failed`, `lease_expired` or `cancelled`.
    """

    replay_seq: int
    attempt: int
    owner: str = ""
    worker_version: str | None = None
    started_at_ms: int = 0
    ended_at_ms: int | None = None
    duration_ms: int | None = None
    outcome: str
    error: ErrorInfo | None = None
    steps: list[str] = Field(default_factory=list)


class RunAttemptPage(Wire):
    """A page of a run's attempts."""

    attempts: list[RunAttempt]
    next_cursor: str | None = None


class Difference(Wire):
    """One thing that differs between two attempts; `path` is a JSON pointer into what differs."""

    field: str
    path: str | None = None
    a: Any = None
    b: Any = None


class RunDiff(Wire):
    """Two attempts at a run, what changed between them, and which fields are the same."""

    a: RunAttempt
    b: RunAttempt
    changed: list[Difference] = Field(default_factory=list)
    same: list[str] = Field(default_factory=list)


class RunToken(Wire):
    """A token that reads one run, for a browser; it is not shown in a `repr`."""

    token: str = Field(repr=False)
    run_id: str
    expires_at_ms: int
