"""What travels on the wire, as frozen models.

Unknown fields are kept (`model_extra`) and never an error: a newer broker may say more. Times that end in
`_ms` are integers: epoch milliseconds for `*_at_ms` and `*_until_ms`, durations otherwise.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Appended",
    "Cancelled",
    "DeadLetter",
    "DeadLetterPage",
    "Envelope",
    "ErrorInfo",
    "Event",
    "EventPage",
    "FailedAttempt",
    "Health",
    "Lease",
    "Message",
    "Produced",
    "Redriven",
    "ReplayInfo",
    "Replayed",
    "RetryPolicy",
    "RunContext",
    "RunCreated",
    "RunDeadLetter",
    "RunInfo",
    "RunPage",
    "RunStatus",
    "Step",
    "StoredStep",
    "TopicPage",
    "Version",
]

RunStatus = Literal["queued", "running", "retrying", "waiting", "succeeded", "failed", "cancelled"]

TERMINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Health(_Wire):
    """The answer of `/v1/healthz`."""

    status: str


class Version(_Wire):
    """Which broker answers."""

    version: str
    commit: str = ""
    wal_enabled: bool = True


class TopicPage(_Wire):
    """A page of topic names, sorted."""

    topics: list[str]
    next_cursor: str | None = None


class RetryPolicy(_Wire):
    """How failures are repeated; a field left out keeps the broker's default."""

    max_attempts: int | None = None
    backoff_ms: int | None = None
    max_backoff_ms: int | None = None
    jitter_ms: int | None = None


class ErrorInfo(_Wire):
    """Why an attempt failed."""

    message: str
    type: str | None = None
    stack: str | None = None


class Envelope(_Wire):
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


class Produced(_Wire):
    """Where a message was stored; `duplicate` when its idempotency key had been used before."""

    status: str = "produced"
    topic: str = ""
    partition: int = 0
    offset: int = 0
    message_id: str = ""
    duplicate: bool = False
    stored_topic: str | None = None


class RunContext(_Wire):
    """What a worker gets beside a run's command: the attempt and the steps that are finished."""

    run_id: str
    replay_seq: int = 0
    attempt: int = 1
    steps: dict[str, Any] = Field(default_factory=dict)
    steps_more: bool = False


class Message(_Wire):
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


class Lease(_Wire):
    """Until when a message is ours."""

    lease_until_ms: int


class RunCreated(_Wire):
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


class Appended(_Wire):
    """Which numbers the events got."""

    first_seq: int
    last_seq: int


class Cancelled(_Wire):
    """The answer to a cancel."""

    run_id: str
    replay_seq: int
    status: RunStatus


class Step(_Wire):
    """A finished step and what it returned."""

    step: str
    replay_seq: int = 0
    attempt: int = 0
    completed_at_ms: int | None = None
    duration_ms: int | None = None
    output: Any = None


class StoredStep(_Wire):
    """The answer to storing a step: `stored` is false when a result had been stored before."""

    step: str = ""
    output: Any = None
    stored: bool = True


class ReplayInfo(_Wire):
    """One start of a run: the first (0) or a replay."""

    replay_seq: int
    status: RunStatus
    started_at_ms: int | None = None
    ended_at_ms: int | None = None


class RunInfo(_Wire):
    """A run as the broker keeps it."""

    run_id: str
    workflow: str
    status: RunStatus
    replay_seq: int = 0
    events_topic: str = ""
    created_at_ms: int = 0
    tenant_id: str | None = None
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


class RunPage(_Wire):
    """Runs, newest first."""

    runs: list[RunInfo]
    next_cursor: str | None = None


class Replayed(_Wire):
    """The answer to a replay."""

    run_id: str
    replay_seq: int
    status: RunStatus


class Event(_Wire):
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


class EventPage(_Wire):
    """A page of a run's timeline."""

    events: list[Event]
    next_cursor: str | None = None


class FailedAttempt(_Wire):
    """One attempt in a dead letter's history."""

    attempt: int
    owner: str = ""
    started_at_ms: int = 0
    ended_at_ms: int = 0
    reason: str = ""
    error: ErrorInfo | None = None
    worker_version: str | None = None


class RunDeadLetter(_Wire):
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


class DeadLetter(_Wire):
    """A dead letter; `topic`, `partition` and `offset` are its own and name it.

    Its `history` comes only with `get_dead_letter`.
    """

    topic: str
    partition: int
    offset: int
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
    history: list[FailedAttempt] = Field(default_factory=list)


class DeadLetterPage(_Wire):
    """A page of open dead letters."""

    items: list[DeadLetter]
    next_cursor: str | None = None


class Redriven(_Wire):
    """What a redrive did: `redriven` (see `message_id`), or `replayed` when it belonged to a run."""

    status: Literal["redriven", "replayed"]
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    message_id: str | None = None
    run_id: str | None = None
    replay_seq: int | None = None
