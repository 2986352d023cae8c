"""The outbox on PostgreSQL, where relays side by side lock rows of their own."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Session

from driftq import AsyncClient, Client
from driftq.outbox import AsyncOutboxRelay, OutboxMixin, OutboxRelay
from driftq.testing import Driftqd

pytestmark = pytest.mark.skipif(shutil.which("initdb") is None, reason="there is no PostgreSQL here")

MESSAGES = 300
KEYS = 7


class Base(DeclarativeBase):
    pass


class OutboxMessage(OutboxMixin, Base):
    pass


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("postgres")
    # It refuses to run as root.
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        for place in (folder, *folder.parents[:2]):
            place.chmod(0o755)
        shutil.chown(folder, user)

    def run(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, user=user, cwd=folder)

    data, log = str(folder / "data"), str(folder / "log")
    run("initdb", "-D", data, "-U", "app", "--auth", "trust", "--no-sync")
    run("pg_ctl", "-D", data, "-l", log, "-w", "-o", f"-c listen_addresses='' -k {folder} -F", "start")
    url = f"postgresql+psycopg://app@/postgres?host={folder}"
    try:
        engine = create_engine(url)
        Base.metadata.create_all(engine)
        engine.dispose()
        yield url
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")


def left(database: str) -> int:
    engine = create_engine(database)
    with Session(engine) as db:
        count = db.scalar(select(func.count()).where(OutboxMessage.sent_at_ms.is_(None))) or 0
    engine.dispose()
    return count


async def drain(url: str, database: str, batch: int) -> int:
    engine = create_async_engine(database)
    sent = 0
    async with AsyncClient(url) as client:
        relay = AsyncOutboxRelay(engine, OutboxMessage, client, batch=batch)
        while now := await relay.relay_once():
            sent += now
    await engine.dispose()
    return sent


def drain_blocking(url: str, database: str, batch: int) -> int:
    engine = create_engine(database)
    sent = 0
    with Client(url) as client:
        relay = OutboxRelay(engine, OutboxMessage, client, batch=batch)
        while now := relay.relay_once():
            sent += now
    engine.dispose()
    return sent


async def test_relays_side_by_side_share_the_work_and_keep_the_order_of_each_key(
    broker: Driftqd, client: AsyncClient, database: str, tmp_path: Path
) -> None:
    await client.create_topic("orders", partitions=4)
    engine = create_engine(database)
    with Session(engine) as db, db.begin():
        db.add_all(
            OutboxMessage(topic="orders", key=f"k{n % KEYS}", value=[n % KEYS, n]) for n in range(MESSAGES)
        )
    engine.dispose()
    sent = 0
    while left(database):
        sent += sum(
            await asyncio.gather(
                *(drain(broker.url, database, size) for size in (3, 7, 20)),
                asyncio.to_thread(drain_blocking, broker.url, database, 11),
            )
        )
    # Locked rows go through one relay: nothing was even sent twice.
    assert sent == MESSAGES
    pages = [await client.browse_topic("orders", partition=number, limit=1000) for number in range(4)]
    came = [message.value for page in pages for message in page.messages]
    assert sorted(number for _, number in came) == list(range(MESSAGES))
    for key in range(KEYS):
        assert [number for of, number in came if of == key] == list(range(key, MESSAGES, KEYS))
