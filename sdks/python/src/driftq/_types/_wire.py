"""The root of every model, and what several of them are made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A frozen answer that keeps what it does not know."""

    model_config = ConfigDict(frozen=True, extra="allow")


class RetryPolicy(Wire):
    """How failures are repeated; a field left out keeps the broker's default."""

    max_attempts: int | None = None
    backoff_ms: int | None = None
    max_backoff_ms: int | None = None
    jitter_ms: int | None = None


class ErrorInfo(Wire):
    """Why an attempt failed."""

    message: str
    type: str | None = None
    stack: str | None = None


class Address(Wire):
    """Where a message lies: a topic, a partition, an offset."""

    topic: str
    partition: int
    offset: int

    @property
    def place(self) -> tuple[str, int, int]:
        """Its three parts: `client.get_dead_letter(*letter.place)`."""
        return self.topic, self.partition, self.offset
