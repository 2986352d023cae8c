"""The broker itself: whether it is well, how much it holds, what time it thinks it is."""

from __future__ import annotations

from pydantic import Field

from ._wire import Wire


class Health(Wire):
    """The answer of `/v1/healthz`."""

    status: str


class Version(Wire):
    """Which broker answers."""

    version: str
    commit: str = ""
    wal_enabled: bool = True


class Readiness(Wire):
    """Whether requests are welcome: `ready`, `recovering`, `draining`, `disk_full` or `damaged`."""

    status: str
    message: str | None = None
    recovery: dict[str, int] | None = None

    @property
    def ready(self) -> bool:
        """Whether requests are welcome."""
        return self.status == "ready"


class LogStats(Wire):
    """What the log takes on the disk."""

    bytes: int = 0
    segments: int | None = None
    disk_free_bytes: int | None = None


class Stats(Wire):
    """The broker in figures; `runs` counts them by status, `*_total` count since the start."""

    version: str
    uptime_ms: int = 0
    topics: int = 0
    groups: int = 0
    runs: dict[str, int] = Field(default_factory=dict)
    dead_letters_open: int = 0
    messages_total: int = 0
    delivered_total: int = 0
    acked_total: int = 0
    nacked_total: int = 0
    in_flight: int = 0
    consumers: int = 0
    log: LogStats = LogStats()
    memory_bytes: int | None = None


class DevClock(Wire):
    """What time it is for a broker whose clock is moved by hand."""

    now_ms: int
    manual: bool = True
