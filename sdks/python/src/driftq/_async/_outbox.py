"""The relay: sends what an outbox table holds, and marks it sent."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Row
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from .._errors import (
    DriftqError,
    Expired,
    InvalidArgument,
    NotFound,
    PayloadTooLarge,
    Unprocessable,
)
from .._hold import AWAY_BACKOFF
from .._outbox_table import (
    LOCKING_DIALECTS,
    OutboxMixin,
    OutboxStatus,
    Refusal,
    Statements,
    message_of,
    now_ms,
    sendable,
)
from .._requests import messages as requests
from ._client import AsyncClient

logger = logging.getLogger("driftq.outbox")

# Half of what the broker takes in one batch by default: the other half is for what JSON and headers add.
BATCH_BYTES_MAX = 512 * 1024
BATCH_MESSAGES_MAX = 1_000

# How often what was sent is swept out.
PRUNE_EVERY_ROUNDS = 100

# The broker will never take such a message, whatever happens to the broker.
REFUSALS = (InvalidArgument, NotFound, Expired, PayloadTooLarge, Unprocessable)


@dataclass(slots=True)
class Outcome:
    """What became of the messages of one round."""

    sent: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    #: Keys whose next message must not overtake one that was refused.
    held_up: set[tuple[str, str]] = field(default_factory=set)
    error: DriftqError | None = None


class AsyncOutboxRelay:
    """Sends what is in an outbox, oldest first, in order for each topic and key.

    Every message has its own idempotency key, so a relay that dies between sending and marking doubles
    nothing, as long as another one comes within the broker's window (24 h by default). Several relays may run
    at once. What was sent is kept for `keep_s`.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        model: type[OutboxMixin],
        client: AsyncClient,
        *,
        batch: int = 100,
        poll_s: float = 0.5,
        keep_s: float = 86_400.0,
    ) -> None:
        if not 1 <= batch <= BATCH_MESSAGES_MAX:
            raise ValueError(f"batch must be 1 to {BATCH_MESSAGES_MAX}: {batch}")
        self._engine = engine
        self._statements = Statements(model)
        self._client = client
        self._batch = batch
        self._poll_s = poll_s
        self._keep_ms = round(keep_s * 1000)
        self._stopping = False

    def stop(self) -> None:
        """Ends `run` after the round that is going on, within `poll_s`."""
        self._stopping = True

    async def run(self) -> None:
        """Sends what comes until `stop()`, over outages of the broker."""
        self._stopping = False
        failures, rounds = 0, 0
        while not self._stopping:
            try:
                sent = await self.relay_once()
                if rounds % PRUNE_EVERY_ROUNDS == 0:
                    await self.prune()
                failures, rounds = 0, rounds + 1
            except (DriftqError, OperationalError) as error:
                # The broker or the database is away, or a lock was waited for too long.
                if failures == 0:
                    logger.warning("%s; trying again until it answers", error)
                failures, sent = failures + 1, 0
            if failures:
                await self._client._sleep(AWAY_BACKOFF.delay_s(failures))
            elif sent == 0:
                await self._client._sleep(self._poll_s)

    async def relay_once(self) -> int:
        """Sends up to `batch` messages and returns how many; what stops it is raised after it is marked."""
        if self._engine.dialect.name in LOCKING_DIALECTS:
            async with self._engine.begin() as connection:
                outcome = await self._send(await self._claim(connection))
                await self._mark(connection, outcome)
        else:
            # Nothing may be locked while the broker is asked, or every writer would wait for it.
            async with self._engine.connect() as connection:
                rows = await self._claim(connection)
            outcome = await self._send(rows)
            if outcome.sent or outcome.refused:
                async with self._engine.begin() as connection:
                    await self._mark(connection, outcome)
        if outcome.error is not None:
            raise outcome.error
        return len(outcome.sent)

    async def status(self) -> OutboxStatus:
        """Counts what waits, and says of a few that are refused why."""
        async with self._engine.connect() as connection:
            pending, refused, oldest = (await connection.execute(self._statements.status())).one()
            rows = (await connection.execute(self._statements.refusals())).all() if refused else []
        oldest_ms = None if oldest is None else now_ms() - oldest
        return OutboxStatus(pending, refused, oldest_ms, tuple(Refusal(*row) for row in rows))

    async def retry(self, ids: Sequence[int] | None = None) -> int:
        """Makes refused messages pending again, these or all, and returns how many."""
        async with self._engine.begin() as connection:
            return int((await connection.execute(self._statements.retry(ids))).rowcount)

    async def prune(self) -> int:
        """Deletes what was sent longer than `keep_s` ago, and returns how many."""
        async with self._engine.begin() as connection:
            return int((await connection.execute(self._statements.prune(self._keep_ms))).rowcount)

    async def _claim(self, connection: AsyncConnection) -> list[Row[Any]]:
        heads = (await connection.execute(self._statements.heads(self._batch))).all()
        more = self._statements.followers(heads, self._batch - len(heads))
        if more is None:
            return list(heads)
        return sendable(heads, (await connection.execute(more)).all())

    async def _send(self, rows: Sequence[Row[Any]]) -> Outcome:
        outcome = Outcome()
        for chunk in _chunks(rows):
            if outcome.held_up:
                await self._send_singly(chunk, outcome)
                continue
            try:
                await self._client.produce_batch([message_of(row) for row in chunk])
                outcome.sent += [row.id for row in chunk]
            except REFUSALS:
                # All or none: so one of them is wrong, and the others are not.
                await self._send_singly(chunk, outcome)
            except DriftqError as error:
                outcome.error = error
            if outcome.error is not None:
                break
        return outcome

    async def _send_singly(self, rows: Sequence[Row[Any]], outcome: Outcome) -> None:
        for row in rows:
            if outcome.error is not None or (row.topic, row.key) in outcome.held_up:
                continue
            try:
                await self._client.produce_batch([message_of(row)])
                outcome.sent.append(row.id)
            except REFUSALS as error:
                outcome.refused[row.id] = str(error)
                if row.key is not None:
                    outcome.held_up.add((row.topic, row.key))
                logger.error("outbox message %d for %s is refused: %s", row.id, row.topic, error)
            except DriftqError as error:
                outcome.error = error

    async def _mark(self, connection: AsyncConnection, outcome: Outcome) -> None:
        if outcome.sent:
            await connection.execute(self._statements.sent(outcome.sent))
        for row_id, why in outcome.refused.items():
            await connection.execute(self._statements.refused(row_id, why))


def _chunks(rows: Sequence[Row[Any]]) -> list[list[Row[Any]]]:
    """The rows in order, cut so that each part fits into one batch."""
    chunks: list[list[Row[Any]]] = []
    room = 0
    for row in rows:
        size = len(to_json(requests.wire_form(message_of(row))))
        if not chunks or size > room:
            chunks.append([])
            room = BATCH_BYTES_MAX
        chunks[-1].append(row)
        room -= size
    return chunks
