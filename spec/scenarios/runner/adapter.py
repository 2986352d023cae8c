"""What carries a story's calls to a broker: raw HTTP, or an SDK.

Promise: an adapter turns one call into one request and says what came back. It judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol


class _Unseen:
    """The type of `UNSEEN`."""

    def __repr__(self) -> str:
        return "UNSEEN"


UNSEEN: Final = _Unseen()
"""The body of an answer that an SDK does not hand out, such as that of a method that returns nothing."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer."""

    code: str
    message: str
    reason: str | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back. `status`, `headers` and `text` are None where an SDK does not show them."""

    body: Any = None
    status: int | None = None
    headers: Mapping[str, str] | None = None
    text: str | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request: an operation of the OpenAPI document and its arguments by their names on the wire.

    The other members are for raw HTTP alone; `is_plain` says that none of them is used.
    """

    operation: str
    args: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] | None = None
    body: Any = UNSEEN
    raw: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether the arguments say everything, so that an SDK can send it."""
        return self.query is None and self.body is UNSEEN and self.raw is None and not self.headers


class Stream(Protocol):
    """An answer that goes on: consumed messages, or events of a timeline."""

    def next(self, within_s: float) -> Any:
        """The next item. `EOFError` when the stream has ended, `TimeoutError` when nothing came in time."""

    def close(self) -> None:
        """Leaves the stream."""


class Adapter(Protocol):
    """The way to the broker."""

    def knows(self, call: Call) -> bool:
        """Whether this call can be made at all; a story with another one is not played."""

    def call(self, call: Call) -> Outcome:
        """One request and its answer."""

    def open(self, call: Call) -> Stream | Outcome:
        """A request whose answer goes on; an `Outcome` when it was refused."""

    def close(self) -> None:
        """Lets go of every connection."""
