"""The outbox: what a transaction stored is sent, once and in order, whenever its relay dies."""

import asyncio
import contextlib
import os
import re
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel
from sqlalchemy import Engine, create_engine, delete, event, func, select
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import driftq.outbox
from driftq import AsyncClient, Client, NewMessage
from driftq.__main__ import main
from driftq._outbox_table import Statements
from driftq.outbox import AsyncOutboxRelay, OutboxMixin, OutboxRelay
from driftq.testing import Driftqd

PATIENCE_S = 30


class Base(DeclarativeBase):
    pass


class OutboxMessage(OutboxMixin, Base):
    pass


class Order(BaseModel):
    id: int
    at: datetime


class Crash(BaseException):
    """A process that is gone: nothing catches it."""


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "app.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    engine.dispose()
    return str(path)


@contextlib.contextmanager
def session(database: str) -> Iterator[Session]:
    engine = create_engine(f"sqlite:///{database}")
    try:
        with Session(engine) as db:
            yield db
            db.commit()
    finally:
        engine.dispose()


def store(database: str, *rows: OutboxMessage) -> None:
    with session(database) as db:
        db.add_all(rows)


def left(database: str) -> int:
    with session(database) as db:
        return db.scalar(select(func.count()).where(OutboxMessage.sent_at_ms.is_(None))) or 0


async def stored(client: AsyncClient, topic: str) -> list[Any]:
    partitions = (await client.get_topic(topic)).partitions
    pages = [await client.browse_topic(topic, partition=each.partition, limit=1000) for each in partitions]
    return [message.value for page in pages for message in page.messages]


# -- one relay or the other, dying at a point of one's choice ------------------------------------------

Point = str
POINTS: list[Point] = ["before the send", "after the send", "at the mark", "at the commit"]


class AsyncDying(httpx2.AsyncHTTPTransport):
    def __init__(self, point: Point | None) -> None:
        super().__init__()
        self._point = point

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._point == "before the send":
            raise Crash
        response = await super().handle_async_request(request)
        if self._point == "after the send":
            await response.aread()
            raise Crash
        return response


class Dying(httpx2.HTTPTransport):
    def __init__(self, point: Point | None) -> None:
        super().__init__()
        self._point = point

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._point == "before the send":
            raise Crash
        response = super().handle_request(request)
        if self._point == "after the send":
            response.read()
            raise Crash
        return response


def die_in(engine: Engine, point: Point | None) -> None:
    def at_the_mark(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE"):
            raise Crash

    def at_the_commit(_connection: Any) -> None:
        raise Crash

    if point == "at the mark":
        event.listen(engine, "before_cursor_execute", at_the_mark)
    elif point == "at the commit":
        event.listen(engine, "commit", at_the_commit)


Round = Callable[..., Awaitable[int]]


async def asynchronous_round(url: str, database: str, *, dies: Point | None = None, batch: int = 100) -> int:
    engine: AsyncEngine = create_async_engine(f"sqlite+aiosqlite:///{database}")
    die_in(engine.sync_engine, dies)
    try:
        async with AsyncClient(url, transport=AsyncDying(dies)) as client:
            return await AsyncOutboxRelay(engine, OutboxMessage, client, batch=batch).relay_once()
    finally:
        await engine.dispose()


async def blocking_round(url: str, database: str, *, dies: Point | None = None, batch: int = 100) -> int:
    def go() -> int:
        engine = create_engine(f"sqlite:///{database}")
        die_in(engine, dies)
        try:
            with Client(url, transport=Dying(dies)) as client:
                return OutboxRelay(engine, OutboxMessage, client, batch=batch).relay_once()
        finally:
            engine.dispose()

    return await asyncio.to_thread(go)


@pytest.fixture(params=[asynchronous_round, blocking_round], ids=["async", "blocking"])
def relay_once(request: pytest.FixtureRequest) -> Round:
    chosen: Round = request.param
    return chosen


# -- what it promises ----------------------------------------------------------------------------------


async def test_what_was_committed_is_sent_and_what_was_rolled_back_is_not(
    broker: Driftqd, client: AsyncClient, database: str, relay_once: Round
) -> None:
    await client.create_topic("orders")
    with session(database) as db:
        db.add(OutboxMessage(topic="orders", value="rolled back"))
        db.flush()
        db.rollback()
    order = Order(id=7, at=datetime(2030, 1, 1, tzinfo=UTC))
    store(database, OutboxMessage(topic="orders", key="7", value=order, headers={"a": "b"}))
    assert await relay_once(broker.url, database) == 1
    assert await relay_once(broker.url, database) == 0
    (message,) = (await client.browse_topic("orders")).messages
    assert (message.key, message.value) == ("7", {"id": 7, "at": "2030-01-01T00:00:00Z"})
    assert message.headers == {"a": "b"}


@pytest.mark.parametrize("point", POINTS)
async def test_a_relay_that_dies_loses_nothing_and_doubles_nothing(
    broker: Driftqd, client: AsyncClient, database: str, relay_once: Round, point: Point
) -> None:
    await client.create_topic("orders")
    store(database, *(OutboxMessage(topic="orders", key="same", value=number) for number in range(6)))
    for _ in range(2):
        with pytest.raises(Crash):
            await relay_once(broker.url, database, dies=point, batch=4)
        assert left(database) == 6
    assert await relay_once(broker.url, database, batch=4) == 4
    assert await relay_once(broker.url, database, batch=4) == 2
    assert left(database) == 0
    assert await stored(client, "orders") == list(range(6))


async def test_a_message_that_is_refused_holds_up_its_key_and_nobody_else(
    broker: Driftqd, client: AsyncClient, database: str, relay_once: Round
) -> None:
    await client.create_topic("orders")
    store(
        database,
        OutboxMessage(topic="orders", key="a", value="a1"),
        OutboxMessage(topic="nowhere", key="a", value="lost 1"),
        OutboxMessage(topic="orders", key="b", value="b1"),
        OutboxMessage(topic="nowhere", key="a", value="lost 2"),
        OutboxMessage(topic="orders", key="a", value="a2"),
    )
    assert await relay_once(broker.url, database) == 3
    assert await relay_once(broker.url, database) == 0
    assert await stored(client, "orders") == ["a1", "b1", "a2"]
    with session(database) as db:
        (why,) = db.scalars(select(OutboxMessage.refused).where(OutboxMessage.refused.is_not(None)))
    assert why is not None
    assert "nowhere" in why
    await client.create_topic("nowhere")
    await retry_all(database, client)
    assert await relay_once(broker.url, database) == 2
    assert await stored(client, "nowhere") == ["lost 1", "lost 2"]


async def retry_all(database: str, client: AsyncClient) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
    relay = AsyncOutboxRelay(engine, OutboxMessage, client)
    before = await relay.status()
    assert (before.pending, before.refused, before.oldest_ms is not None) == (1, 1, True)
    assert await relay.retry() == 1
    assert (await relay.status()).refused == 0
    await engine.dispose()


async def test_relays_side_by_side_send_each_message_once_and_in_order(
    broker: Driftqd, client: AsyncClient, database: str
) -> None:
    await client.create_topic("orders", partitions=4)
    store(
        database,
        *(OutboxMessage(topic="orders", key=f"k{n % 5}", value=[n % 5, n]) for n in range(100)),
    )
    while left(database):
        await asyncio.gather(
            *(asynchronous_round(broker.url, database, batch=size) for size in (3, 7, 20)),
            blocking_round(broker.url, database, batch=11),
        )
    came = await stored(client, "orders")
    assert sorted(number for _, number in came) == list(range(100))
    for key in range(5):
        assert [number for of, number in came if of == key] == list(range(key, 100, 5))


async def test_a_large_outbox_is_cut_to_what_a_batch_may_weigh(
    broker: Driftqd, client: AsyncClient, database: str, relay_once: Round
) -> None:
    await client.create_topic("files")
    store(database, *(OutboxMessage(topic="files", value=str(n) + "x" * 200_000) for n in range(8)))
    store(
        database,
        OutboxMessage(topic="files", value="y" * 2_000_000),
        OutboxMessage(topic="files", value="end"),
    )
    assert await relay_once(broker.url, database) == 9
    assert [value[:1] for value in await stored(client, "files")] == [*"01234567", "e"]


async def test_what_a_new_message_can_say_survives_the_table(
    broker: Driftqd, client: AsyncClient, database: str, relay_once: Round
) -> None:
    await client.create_topic("orders", partitions=3)
    said = NewMessage(
        "orders",
        1,
        partition=2,
        tenant_id="blue",
        deadline=datetime(2099, 1, 1, tzinfo=UTC),
        retry_policy=driftq.RetryPolicy(max_attempts=3),
        idempotency_key="mine",
        fingerprint=False,
    )
    store(database, OutboxMessage.of(said))
    assert await relay_once(broker.url, database) == 1
    again = await client.produce("orders", 2, idempotency_key="mine", fingerprint=False, tenant_id="blue")
    assert (again.partition, again.duplicate) == (2, True)
    (message,) = (await client.browse_topic("orders", partition=2)).messages
    assert message.envelope is not None
    assert message.envelope.retry_policy == driftq.RetryPolicy(max_attempts=3)
    assert message.envelope.deadline == "2099-01-01T00:00:00+00:00"


def test_a_message_without_a_value_is_refused_when_it_is_made_and_not_for_ever_after() -> None:
    with pytest.raises(ValueError, match="an outbox message needs a value"):
        OutboxMessage(topic="orders", value=None)
    with pytest.raises(ValueError, match="an outbox message needs a value"):
        OutboxMessage.of(NewMessage("orders", None))
    values: list[Any] = [0, "", [], {}, False]
    for value in values:
        assert OutboxMessage(topic="orders", value=value).value == value


def test_what_the_table_cannot_hold_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at most 255"):
        OutboxMessage(topic="t", key="x" * 256, value=1)
    with pytest.raises(ValueError, match="fingerprint=False"):
        OutboxMessage.of(NewMessage("t", 1, idempotency_key="k"))
    with pytest.raises(TypeError, match="no mapped class"):
        Statements(OutboxMixin)


@pytest.mark.parametrize("dialect", [postgresql, mysql])
def test_where_a_database_can_it_gives_each_relay_rows_of_its_own(dialect: Any) -> None:
    said = str(Statements(OutboxMessage).heads(5).compile(dialect=dialect.dialect()))
    assert said.endswith("SKIP LOCKED")


def test_the_example_in_the_documentation_does_what_it_says(tmp_path: Path) -> None:
    class OurBase(DeclarativeBase):
        pass

    class Shop(OurBase):
        __tablename__ = "orders"
        id: Mapped[int] = mapped_column(primary_key=True)

    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    (written,) = re.findall(r"\n\n((?:    .*\n|\n)+)", driftq.outbox.__doc__ or "")
    table, transaction = textwrap.dedent(written).split("\n\n\n")
    names: dict[str, Any] = {
        "Base": OurBase,
        "Session": Session,
        "engine": engine,
        "order": Shop(id=7),
        **vars(driftq.outbox),
        "__name__": __name__,
    }
    exec(table, names)
    OurBase.metadata.create_all(engine)
    exec(transaction, names)
    with Session(engine) as db:
        (row,) = db.scalars(select(names["OutboxMessage"]))
        assert (row.topic, row.key, row.value) == ("orders", "7", {"id": 7})
    engine.dispose()


# -- as a process --------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def relay_process(broker: Driftqd, database: str) -> AsyncIterator[asyncio.subprocess.Process]:
    words = ["outbox", "relay", "--database-url", f"sqlite:///{database}", "--poll-s", "0.01", "--batch", "5"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "driftq", *words), env={**os.environ, "DRIFTQ_HTTP_URL": broker.url}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def count_reaches(client: AsyncClient, topic: str, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await client.get_topic(topic)).partitions[0].next_offset < count:
            pass


async def test_a_relay_that_is_killed_again_and_again_sends_each_message_once(
    broker: Driftqd, client: AsyncClient, database: str
) -> None:
    await client.create_topic("orders")
    for upto in (50, 100, 150):
        store(database, *(OutboxMessage(topic="orders", key="k", value=n) for n in range(upto - 50, upto)))
        async with relay_process(broker, database):
            await count_reaches(client, "orders", upto - 30)
    async with relay_process(broker, database) as process:
        await count_reaches(client, "orders", 150)
        broker.kill()
        store(database, OutboxMessage(topic="orders", key="k", value=150))
        await asyncio.to_thread(broker.start)
        await count_reaches(client, "orders", 151)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    assert await stored(client, "orders") == list(range(151))


def test_the_command_counts_and_says_what_is_wrong(
    broker: Driftqd, database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def outbox(*words: str) -> tuple[int, str]:
        code = main(["outbox", *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    monkeypatch.setenv("DRIFTQ_HTTP_URL", broker.url)
    assert outbox("status") == (
        1,
        "driftq outbox: say where the outbox is: --database-url, or DRIFTQ_DATABASE_URL\n",
    )
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{database}")
    store(database, OutboxMessage(topic="orders", value=1))
    code, said = outbox("relay", "--once")
    assert code == 1
    assert (
        "driftq outbox: 1 refused; mend them, then `outbox retry`\n  1 for orders: INVALID_ARGUMENT: " in said
    )
    code, said = outbox("status")
    assert (code, said.startswith("0 pending, 1 refused, the oldest for ")) == (0, True)
    assert '\n  1 for orders: INVALID_ARGUMENT: unknown topic "orders"' in said
    store(database, *(OutboxMessage(topic="nowhere", value=n) for n in range(6)))
    assert outbox("relay", "--once")[1].endswith("\n  and 2 more\n")
    with session(database) as db:
        db.execute(delete(OutboxMessage).where(OutboxMessage.topic == "nowhere"))
    with Client(broker.url) as client:
        client.create_topic("orders")
    assert outbox("retry") == (0, "1 pending again\n")
    assert outbox("relay", "--once", "--keep-s", "0")[0] == 0
    assert outbox("status") == (0, "0 pending, 0 refused\n")
    assert outbox("status", "--database-url", "mssql+pyodbc://db/app")[0] == 1
    code, said = outbox("relay", "--once", "--table", "elsewhere")
    assert (code, "the database refuses: no such table: elsewhere" in said) == (1, True)
    monkeypatch.setitem(sys.modules, "sqlalchemy.ext.asyncio", None)
    assert outbox("status") == (
        1,
        "driftq outbox: the outbox needs SQLAlchemy: pip install 'driftq[outbox]'\n",
    )


def test_a_relay_outlives_a_database_that_is_away(broker: Driftqd, tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    engine = create_engine(f"sqlite:///{path}")
    with Client(broker.url, sleep=lambda _seconds: when_it_waits()) as client:
        client.create_topic("orders")
        relay = OutboxRelay(engine, OutboxMessage, client)
        waited = 0

        def when_it_waits() -> None:
            nonlocal waited
            waited += 1
            if waited == 2:
                Base.metadata.create_all(engine)
                store(str(path), OutboxMessage(topic="orders", value=1))
            if waited == 3:
                relay.stop()

        relay.run()
        assert [message.value for message in client.browse_topic("orders").messages] == [1]
    engine.dispose()
