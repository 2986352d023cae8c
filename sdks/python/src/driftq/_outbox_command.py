"""`python -m driftq outbox relay|status|retry`: the outbox of a database, without code of yours."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from . import logs

if TYPE_CHECKING:
    from .outbox import AsyncOutboxRelay, OutboxMixin, OutboxStatus


def add_outbox(commands: Any) -> None:
    """Adds the command to a parser."""
    outbox = commands.add_parser("outbox", help="send what a database stored (driftq[outbox])")
    acts = outbox.add_subparsers(dest="act", required=True)
    relay = acts.add_parser("relay", help="send what is stored until SIGTERM")
    relay.add_argument("--once", action="store_true", help="send what is there now, and end")
    relay.add_argument(
        "--poll-s", type=float, default=0.5, help="the pause when nothing is there; default: 0.5"
    )
    relay.add_argument("--batch", type=int, default=100, help="how many are sent at once; default: 100")
    relay.add_argument(
        "--keep-s", type=float, default=86_400, help="how long what was sent is kept; default: a day"
    )
    acts.add_parser("status", help="count what waits, and say what is refused and why")
    retry = acts.add_parser("retry", help="send refused messages again")
    retry.add_argument("ids", nargs="*", type=int, help="which; none: all")
    for act in acts.choices.values():
        act.add_argument(
            "--database-url",
            default=os.environ.get("DRIFTQ_DATABASE_URL") or os.environ.get("DATABASE_URL"),
            help="as SQLAlchemy takes it; default: DRIFTQ_DATABASE_URL, DATABASE_URL",
        )
        act.add_argument("--table", default="driftq_outbox", help="default: driftq_outbox")
        logs.add_arguments(act)
        act.set_defaults(run=_run)


def _run(asked: argparse.Namespace, _given: list[str]) -> int:
    if not asked.database_url:
        raise ValueError("say where the outbox is: --database-url, or DRIFTQ_DATABASE_URL")
    return asyncio.run(_act(asked))


async def _act(asked: argparse.Namespace) -> int:
    async with _relay(asked) as relay:
        match asked.act:
            case "status":
                found = await relay.status()
                oldest = "" if found.oldest_ms is None else f", the oldest for {found.oldest_ms / 1000:.1f} s"
                sys.stdout.write(f"{found.pending} pending, {found.refused} refused{oldest}\n")
                sys.stdout.write(_told(found))
            case "retry":
                sys.stdout.write(f"{await relay.retry(asked.ids or None)} pending again\n")
            case _ if asked.once:
                return await _relay_all(relay)
            case _:
                loop = asyncio.get_running_loop()
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: loop.call_soon_threadsafe(relay.stop))
                await relay.run()
    return 0


async def _relay_all(relay: AsyncOutboxRelay) -> int:
    """Sends what is there; a failure as long as any of it is refused, for that will not go by itself."""
    while await relay.relay_once():
        pass
    found = await relay.status()
    if not found.refused:
        return 0
    sys.stderr.write(
        f"driftq outbox: {found.refused} refused; mend them, then `outbox retry`\n{_told(found)}"
    )
    return 1


def _told(found: OutboxStatus) -> str:
    """The refused messages, one a line."""
    lines = [f"  {one.id} for {one.topic}: {one.why}\n" for one in found.refusals]
    rest = found.refused - len(lines)
    return "".join(lines) + (f"  and {rest} more\n" if rest else "")


@contextlib.asynccontextmanager
async def _relay(asked: argparse.Namespace) -> AsyncIterator[AsyncOutboxRelay]:
    try:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.ext.asyncio import create_async_engine

        from .outbox import AsyncOutboxRelay
    except ImportError as error:
        raise ImportError("the outbox needs SQLAlchemy: pip install 'driftq[outbox]'") from error
    from ._async._client import AsyncClient

    url = make_url(asked.database_url)
    if not url.get_dialect().is_async:
        known = _ASYNC_DRIVERS.get(url.get_backend_name())
        if known is None:
            raise ValueError(f"say an asynchronous driver in the URL: {url.drivername}+…://")
        url = url.set(drivername=f"{url.get_backend_name()}+{known}")
    engine = create_async_engine(url)
    options = {name: getattr(asked, name) for name in ("batch", "poll_s", "keep_s") if hasattr(asked, name)}
    try:
        async with AsyncClient() as client:
            yield AsyncOutboxRelay(engine, _model(asked.table), client, **options)
    except SQLAlchemyError as error:
        raise ValueError(f"the database refuses: {getattr(error, 'orig', None) or error}") from error
    finally:
        await engine.dispose()


# An application's URL often names the blocking driver, or none.
_ASYNC_DRIVERS = {"sqlite": "aiosqlite", "postgresql": "asyncpg", "mysql": "asyncmy", "mariadb": "asyncmy"}


def _model(table: str) -> type[OutboxMixin]:
    from sqlalchemy.orm import DeclarativeBase

    from .outbox import OutboxMixin

    class Base(DeclarativeBase):
        pass

    class Message(OutboxMixin, Base):
        __tablename__ = table

    return Message
