"""The outbox table, and every statement over it; the relays only execute them.

A row is pending until it is sent or refused. Order is kept for each topic and key: a message goes only when
nothing earlier of its key is left, so one that is refused holds up its key and nobody else.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    JSON,
    BigInteger,
    Delete,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    Update,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, validates

from . import _tracing as tracing
from ._requests import NewMessage, jsonable

#: Dialects that hand each relay rows of its own; on others a relay reads, and marks in a second transaction.
LOCKING_DIALECTS = frozenset({"postgresql", "mysql", "mariadb", "oracle"})

#: How many refused messages a status names.
REFUSALS_SHOWN_MAX = 5

KEY_CHARS_MAX = 255
TOPIC_CHARS_MAX = 255

_COLUMNS = frozenset({"topic", "value", "key", "headers", "idempotency_key", "fingerprint"})


def now_ms() -> int:
    """The time, epoch milliseconds."""
    return time.time_ns() // 1_000_000


class OutboxMixin:
    """The columns of an outbox; mix it into your own declarative base.

    `class OutboxMessage(OutboxMixin, Base): pass`, then `db.add(OutboxMessage(topic="orders", value=…))`
    within your transaction: the message is sent if, and only if, that transaction is committed.
    """

    @declared_attr.directive
    def __tablename__(cls) -> str:  # noqa: N805 - a class method to SQLAlchemy
        """The table's name, unless your class says another."""
        return "driftq_outbox"

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        """Indexes for the two questions a relay asks."""
        name = str(cls.__tablename__)
        return (
            Index(f"ix_{name}_pending", "sent_at_ms", "id"),
            Index(f"ix_{name}_key", "topic", "key", "sent_at_ms", "id"),
        )

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    #: What the broker knows the message by, however often it is sent.
    message_id: Mapped[str] = mapped_column(String(64), unique=True, default=lambda: f"outbox-{uuid.uuid4()}")
    topic: Mapped[str] = mapped_column(String(TOPIC_CHARS_MAX))
    key: Mapped[str | None] = mapped_column(String(KEY_CHARS_MAX))
    value: Mapped[Any] = mapped_column(JSON)
    headers: Mapped[dict[str, str] | None] = mapped_column(
        JSON(none_as_null=True), default=lambda: tracing.carrier() or None
    )
    #: The rest of a `NewMessage`.
    options: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at_ms: Mapped[int] = mapped_column(BigInteger, default=now_ms)
    sent_at_ms: Mapped[int | None] = mapped_column(BigInteger)
    #: Why the broker will never take it as it is.
    refused: Mapped[str | None] = mapped_column(Text)

    @validates("value")
    def _as_json(self, _name: str, value: Any) -> Any:
        if value is None:
            # The broker takes no message without a value, so a relay could never send it.
            raise ValueError('an outbox message needs a value, and None is none: say {} or ""')
        return jsonable(value, "the value of an outbox message")

    @validates("topic", "key")
    def _within_bounds(self, name: str, value: str | None) -> str | None:
        # SQLite would store it whole, and another database cut it or fail at the flush.
        longest = TOPIC_CHARS_MAX if name == "topic" else KEY_CHARS_MAX
        if value is not None and len(value) > longest:
            raise ValueError(f"an outbox {name} has at most {longest} characters, not {len(value)}")
        return value

    @classmethod
    def of(cls, message: NewMessage) -> Self:
        """A row for a message with whatever a `NewMessage` can say."""
        if message.fingerprint and message.idempotency_key:
            raise ValueError("an outbox message has no fingerprint: say fingerprint=False with a key")
        said = {
            field.name: getattr(message, field.name)
            for field in fields(message)
            if field.name not in _COLUMNS and getattr(message, field.name) is not None
        }
        row = cls()
        row.topic, row.value, row.key = message.topic, message.value, message.key
        row.options = jsonable(said) or None
        if message.headers is not None:
            row.headers = dict(message.headers)
        if message.idempotency_key is not None:
            row.message_id = message.idempotency_key
        return row


def message_of(row: Row[Any]) -> NewMessage:
    """A row as the message that is sent: always under the same idempotency key."""
    options = dict(row.options or {})
    if "deadline" in options:
        options["deadline"] = datetime.fromisoformat(options["deadline"])
    return NewMessage(
        topic=row.topic,
        value=row.value,
        key=row.key,
        headers=row.headers,
        idempotency_key=row.message_id,
        fingerprint=False,
        **options,
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that the broker will not take as it is, and why."""

    id: int
    topic: str
    why: str


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """What waits in an outbox; `oldest_ms` is how long the oldest has waited.

    `refusals` are the oldest of what is refused, a few of them.
    """

    pending: int
    refused: int
    oldest_ms: int | None
    refusals: tuple[Refusal, ...] = ()


class Statements:
    """The statements over one outbox table."""

    def __init__(self, model: type[OutboxMixin]) -> None:
        table = getattr(model, "__table__", None)
        if not isinstance(table, Table):
            raise TypeError(f"{model.__qualname__} is no mapped class: mix OutboxMixin into your base")
        self.table = table

    def heads(self, limit: int) -> Select[Any]:
        """The oldest pending messages, one of each key; where it can, this locks them for one relay."""
        mine, earlier = self.table.c, self.table.alias("earlier").c
        has_earlier = exists().where(
            earlier.topic == mine.topic,
            earlier.key == mine.key,
            earlier.sent_at_ms.is_(None),
            earlier.id < mine.id,
        )
        wanted = select(self.table).where(mine.sent_at_ms.is_(None), mine.refused.is_(None), ~has_earlier)
        return wanted.order_by(mine.id).limit(limit).with_for_update(skip_locked=True, of=self.table)

    def followers(self, heads: Sequence[Row[Any]], limit: int) -> Select[Any] | None:
        """What comes after these of the same keys: who has the head has them all."""
        mine = self.table.c
        keys = [
            and_(mine.topic == head.topic, mine.key == head.key, mine.id > head.id)
            for head in heads
            if head.key is not None
        ]
        if not keys or limit < 1:
            return None
        return select(self.table).where(mine.sent_at_ms.is_(None), or_(*keys)).order_by(mine.id).limit(limit)

    def sent(self, ids: Iterable[int]) -> Update:
        """Marks messages that the broker has."""
        return update(self.table).where(self.table.c.id.in_(list(ids))).values(sent_at_ms=now_ms())

    def refused(self, row_id: int, why: str) -> Update:
        """Sets a message aside that the broker will never take."""
        return update(self.table).where(self.table.c.id == row_id).values(refused=why)

    def retry(self, ids: Sequence[int] | None) -> Update:
        """Makes refused messages pending again: these, or all."""
        again = update(self.table).where(self.table.c.refused.is_not(None)).values(refused=None)
        return again if ids is None else again.where(self.table.c.id.in_(ids))

    def prune(self, keep_ms: int) -> Delete:
        """Deletes messages that were sent longer ago."""
        return delete(self.table).where(self.table.c.sent_at_ms < now_ms() - keep_ms)

    def status(self) -> Select[Any]:
        """Counts what waits."""
        mine = self.table.c
        return select(
            func.count(case((mine.refused.is_(None), 1))),
            func.count(mine.refused),
            func.min(mine.created_at_ms),
        ).where(mine.sent_at_ms.is_(None))

    def refusals(self) -> Select[Any]:
        """The oldest messages that are refused, a few."""
        mine = self.table.c
        wanted = select(mine.id, mine.topic, mine.refused)
        wanted = wanted.where(mine.sent_at_ms.is_(None), mine.refused.is_not(None))
        return wanted.order_by(mine.id).limit(REFUSALS_SHOWN_MAX)


def sendable(heads: Sequence[Row[Any]], followers: Sequence[Row[Any]]) -> list[Row[Any]]:
    """In order, what may go now: of each key what comes before the first that was refused."""
    stopped: set[tuple[str, str]] = set()
    going = list(heads)
    for row in followers:
        key = (row.topic, row.key)
        if row.refused is not None:
            stopped.add(key)
        if key not in stopped:
            going.append(row)
    return sorted(going, key=lambda row: int(row.id))
