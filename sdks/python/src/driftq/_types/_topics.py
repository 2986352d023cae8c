"""Topics and the groups that read them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ._messages import Envelope
from ._wire import RetryPolicy, Wire


class TopicPage(Wire):
    """A page of topic names, sorted."""

    topics: list[str]
    next_cursor: str | None = None


class TopicCreated(Wire):
    """The answer to making a topic, also one that existed already."""

    name: str
    partitions: int
    status: str = "created"


class TopicSummary(Wire):
    """A topic in a list."""

    name: str
    partitions: int
    messages: int = 0
    bytes: int = 0
    groups: int = 0


class TopicSummaryPage(Wire):
    """A page of topics, sorted by name."""

    topics: list[TopicSummary]
    next_cursor: str | None = None


class TopicPartition(Wire):
    """One partition: which offsets are kept, and how much they take."""

    partition: int
    first_offset: int = 0
    next_offset: int = 0
    bytes: int = 0
    messages: int = 0


class GroupPartition(Wire):
    """How far a group is in one partition."""

    partition: int
    lag: int = 0
    in_flight: int = 0


class TopicGroup(Wire):
    """How far a group is in a topic."""

    group: str
    lag: int = 0
    in_flight: int = 0
    partitions: list[GroupPartition] = Field(default_factory=list)


class Retention(Wire):
    """What is kept; not `enforced` means that it is stored, and nothing is removed yet."""

    age_ms: int | None = None
    bytes: int | None = None
    dead_letter_age_ms: int | None = None
    enforced: bool = False


class Routing(Wire):
    """A label, and what goes with it, that consumers of a topic are handed."""

    label: str
    meta: dict[str, str] = Field(default_factory=dict)


class TopicSettings(Wire):
    """What a topic decides for itself; None is the default."""

    retry_policy: RetryPolicy | None = None
    idempotency_window_ms: int | None = None
    partition_max_messages: int | None = None
    partition_max_bytes: int | None = None
    retention: Retention | None = None
    routing: Routing | None = None


class Topic(Wire):
    """A topic whole: its own `settings`, and those that are `effective` after patterns and defaults."""

    name: str
    partitions: list[TopicPartition] = Field(default_factory=list)
    groups: list[TopicGroup] = Field(default_factory=list)
    settings: TopicSettings = TopicSettings()
    effective: TopicSettings = TopicSettings()
    pattern: str | None = None


class BrowsedMessage(Wire):
    """A message somebody looked at, without a lease."""

    partition: int
    offset: int
    key: str = ""
    value: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    envelope: Envelope | None = None
    produced_at_ms: int = 0
    message_id: str = ""


class BrowsePage(Wire):
    """A page of a partition, by offset."""

    messages: list[BrowsedMessage]
    next_from: int | None = None
    next_cursor: str | None = None


class GroupInfo(Wire):
    """A group: what it has not settled (`lag`), holds (`in_flight`), and repeats later (`waiting`)."""

    topic: str
    group: str
    lag: int = 0
    in_flight: int = 0
    waiting: int = 0
    consumers: int = 0
    used_at_ms: int = 0
    partitions: list[GroupPartition] = Field(default_factory=list)


class GroupPage(Wire):
    """A page of groups."""

    groups: list[GroupInfo]
    next_cursor: str | None = None


class GroupPlace(Wire):
    """Where a group stands in one partition after a seek."""

    partition: int
    offset: int


class Sought(Wire):
    """The answer to a seek."""

    topic: str
    group: str
    partitions: list[GroupPlace] = Field(default_factory=list)
