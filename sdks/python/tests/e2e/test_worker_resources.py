"""What a worker brings to its handlers, and how many of them it runs at once."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from driftq import AsyncClient, BlockingRun, Message, NonRetryable, RetryAfter, Run, RunFailed, Worker
from driftq.logs import JsonFormatter
from driftq.testing import Driftqd, working

PATIENCE_S = 30
QUICK = {"max_attempts": 3, "backoff_ms": 20, "max_backoff_ms": 20}


@dataclass
class Pool:
    open: bool = True
    used_by: list[str] = field(default_factory=list)


async def test_what_the_lifespan_yields_is_there_for_workflows_and_handlers(client: AsyncClient) -> None:
    worker = Worker()
    pool = Pool(open=False)
    handled = asyncio.Event()

    @worker.lifespan
    async def pools() -> AsyncIterator[Pool]:
        pool.open = True
        yield pool
        pool.open = False

    @worker.workflow("async")
    async def asynchronous(run: Run[Any, Pool]) -> bool:
        run.resources.used_by.append("async")
        return run.resources.open

    @worker.workflow("blocking")
    def blocking(run: BlockingRun[Any, Pool]) -> bool:
        run.resources.used_by.append("blocking")
        return run.resources.open

    @worker.handler("raw")
    async def raw(message: Message) -> None:
        worker.resources.used_by.append("raw")
        handled.set()

    async with working(worker, client):
        await client.produce("raw", 1)
        assert await (await client.create_run("async")).result(bool, timeout_s=PATIENCE_S)
        assert await (await client.create_run("blocking")).result(bool, timeout_s=PATIENCE_S)
        await asyncio.wait_for(handled.wait(), PATIENCE_S)
    assert (pool.open, sorted(pool.used_by)) == (False, ["async", "blocking", "raw"])
    assert worker.resources is None


async def test_a_lifespan_that_fails_takes_no_message(client: AsyncClient) -> None:
    worker = Worker()

    @worker.lifespan
    async def pools() -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None: ...

    run = await client.create_run("w")
    with pytest.raises(ConnectionError, match="no database"):
        await worker.run(client=client)
    assert (await run.info()).status == "queued"
    with pytest.raises(ValueError, match="has a lifespan"):
        worker.lifespan(pools)


async def test_a_limited_workflow_waits_for_its_turn_and_the_others_do_not(client: AsyncClient) -> None:
    worker = Worker(concurrency=4)
    now, most = 0, 0
    go_on = asyncio.Event()

    @worker.workflow("narrow", concurrency=1)
    async def narrow(run: Run[Any]) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await go_on.wait()
        now -= 1

    @worker.workflow("wide")
    async def wide(run: Run[Any]) -> str:
        return "done"

    async with working(worker, client):
        held_up = [await client.create_run("narrow") for _ in range(4)]
        free = await client.create_run("wide")
        assert await free.result(timeout_s=PATIENCE_S) == "done"
        go_on.set()
        for run in held_up:
            await run.result(timeout_s=PATIENCE_S)
    assert most == 1
    assert {(await run.info()).attempts for run in held_up} == {1}


async def test_a_workflow_with_a_topic_of_its_own_takes_runs_from_there(client: AsyncClient) -> None:
    worker = Worker()

    @worker.workflow("slow", topic="runs.slow", concurrency=1)
    async def slow(run: Run[Any]) -> str:
        return "slow"

    @worker.workflow("quick")
    async def quick(run: Run[Any]) -> str:
        return "quick"

    async with working(worker, client):
        first = await client.create_run("slow", topic="runs.slow")
        second = await client.create_run("quick")
        assert await first.result(timeout_s=PATIENCE_S) == "slow"
        assert await second.result(timeout_s=PATIENCE_S) == "quick"


async def test_a_blocking_workflow_has_steps_events_and_retries_too(client: AsyncClient) -> None:
    worker = Worker()
    calls: list[str] = []

    def fetch(url: str) -> tuple[str, int]:
        calls.append(url)
        return url.upper(), len(url)

    def flaky() -> str:
        raise RetryAfter(0.01, "busy")

    async def not_here() -> None: ...

    @worker.workflow("summarize")
    def summarize(run: BlockingRun[str]) -> list[Any]:
        page = run.step("fetch", fetch, run.input)
        run.log("fetched", size=page[1])
        run.progress(50, "half")
        run.emit("invoice.sent", number=7)
        if run.attempt == 1:
            run.step("flaky", flaky)
        return [*page, run.attempt, run.replay_seq, run.workflow, run.idempotency_key == f"{run.run_id}:0"]

    @worker.workflow("mixed")
    def mixed(run: BlockingRun[Any]) -> None:
        run.step("not_here", not_here)  # type: ignore[unused-coroutine]

    @worker.workflow("exhausted")
    def exhausted(run: BlockingRun[Any]) -> None:
        run.step("next", lambda: next(iter(())))

    async with working(worker, client):
        run = await client.create_run("summarize", "abc", retry_policy=QUICK)
        assert await run.result(timeout_s=PATIENCE_S) == ["ABC", 3, 2, 0, "summarize", True]
        wrong = await (await client.create_run("mixed")).wait(timeout_s=PATIENCE_S)
        empty = await client.create_run("exhausted", retry_policy={"max_attempts": 1})
        with pytest.raises(RunFailed, match="StopIteration"):
            await empty.result(timeout_s=PATIENCE_S)
    assert calls == ["abc"]
    types = [event.type async for event in run.events()]
    assert types.count("step.completed") == 1
    assert {"run.log", "run.progress", "invoice.sent", "step.failed"} <= set(types)
    assert wrong.error is not None
    assert "only an `async def` workflow can take it" in wrong.error.message


async def test_a_message_whose_value_does_not_fit_is_not_retried(client: AsyncClient) -> None:
    worker = Worker()
    came = asyncio.Event()

    class Order(BaseModel):
        id: int

    @worker.handler("orders")
    def bill(message: Message) -> None:
        assert message.read(Order).id == 7
        loop.call_soon_threadsafe(came.set)

    loop = asyncio.get_running_loop()
    await client.create_topic("orders")
    await client.produce("orders", {"id": "seven"}, retry_policy=QUICK)
    await client.produce("orders", {"id": 7})
    async with working(worker, client), asyncio.timeout(PATIENCE_S):
        await came.wait()
    (letter,) = (await client.list_dead_letters(topic="orders")).items
    assert (letter.reason, letter.attempts) == ("non_retryable", 1)
    assert "the value is not valid: id: Input should be a valid integer" in letter.last_error
    assert "seven" not in letter.last_error


async def test_inside_another_server_signals_are_left_alone(client: AsyncClient) -> None:
    worker = Worker()

    @worker.handler("orders")
    async def bill(message: Message) -> None: ...

    before = signal.getsignal(signal.SIGTERM)
    async with working(worker, client):
        assert signal.getsignal(signal.SIGTERM) is before


async def test_the_version_of_the_worker_is_told(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTQ_WORKER_VERSION", "1.4.2")
    worker = Worker()

    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None: ...

    async with working(worker, client):
        run = await client.create_run("w")
        assert (await run.wait_event("run.started")).data["version"] == "1.4.2"
        await run.result(timeout_s=PATIENCE_S)


async def test_a_cancelled_run_cancels_its_handler_and_the_reason_is_logged(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(lease_ms=600)
    began, over = asyncio.Event(), asyncio.Event()

    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    with caplog.at_level(logging.WARNING, "driftq.worker"):
        async with working(worker, client), asyncio.timeout(PATIENCE_S):
            run = await client.create_run("w")
            await began.wait()
            await run.cancel()
            await over.wait()
    told = next(record for record in caplog.records if "cancelled the handler" in record.message)
    assert (told.reason, run.run_id in told.message) == ("cancelled", True)  # type: ignore[attr-defined]


async def test_a_handler_whose_lease_is_lost_is_cancelled_and_settles_nothing(
    driftqd: Driftqd, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(concurrency=1, lease_ms=600)
    began, over = asyncio.Event(), asyncio.Event()

    @worker.handler("jobs")
    async def handler(message: Message) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    with caplog.at_level(logging.WARNING, "driftq.worker"):
        async with driftqd.async_client() as client, working(worker, client), asyncio.timeout(PATIENCE_S):
            await client.produce("jobs", 1)
            await began.wait()
            # As if the worker had been suspended: its lease is over, and somebody else waits for the message.
            other = asyncio.create_task(client.poll("jobs", "workers", owner="somebody else", wait_ms=50_000))
            while not other.done():
                await driftqd.clock.aadvance(ms=601)
                await asyncio.wait({other}, timeout=0.05)
            taken = other.result()
            assert taken is not None
            await over.wait()
    assert taken.attempts >= 2
    assert [record.message for record in caplog.records if "cancelled the handler" in record.message]
    assert not [record.message for record in caplog.records if "was done" in record.message]


async def test_logs_name_their_run_also_in_threads(client: AsyncClient) -> None:
    worker = Worker()
    lines: list[dict[str, Any]] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(self.format(record)))

    handler = Lines()
    handler.setFormatter(JsonFormatter())
    ours = logging.getLogger("somebody.else")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)

    def in_a_thread() -> None:
        ours.info("in a thread", extra={"page": 2})

    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None:
        ours.info("in the workflow")
        await run.step("s", in_a_thread)
        raise NonRetryable("enough")

    try:
        async with working(worker, client):
            run = await client.create_run("w")
            await run.wait(timeout_s=PATIENCE_S)
    finally:
        ours.removeHandler(handler)
    assert [line["message"] for line in lines] == ["in the workflow", "in a thread"]
    for line in lines:
        named = {
            "run_id": run.run_id,
            "workflow": "w",
            "attempt": 1,
            "topic": "runs.commands",
            "level": "info",
        }
        assert line.items() >= named.items()
    assert lines[1]["page"] == 2


MODULE = """
from typing import Any
from driftq import Run, Worker

worker = Worker()

@worker.workflow("w")
async def workflow(run: Run[Any]) -> str:
    return "{version}"
"""


async def test_a_worker_with_reload_does_what_the_file_says_now(
    broker: Driftqd, client: AsyncClient, tmp_path: Path
) -> None:
    module = tmp_path / "jobs.py"
    module.write_text(MODULE.format(version="before"))
    environment = {**os.environ, "DRIFTQ_HTTP_URL": broker.url, "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "driftq", "worker", "jobs:worker", "--reload", "--log-format", "json"),
        cwd=tmp_path,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await (await client.create_run("w")).result(timeout_s=PATIENCE_S) == "before"
            module.write_text(MODULE.format(version="after"))
            async for line in process.stderr:
                if "jobs.py changed" in json.loads(line)["message"]:
                    break
            while (await (await client.create_run("w")).result(timeout_s=PATIENCE_S)) != "after":
                pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            rest = await process.stderr.read()
            await process.wait()
    assert b"stopped" in rest


SLOW = """
import asyncio
from pathlib import Path
from typing import Any
from driftq import Run, Worker

worker = Worker(grace_s=10)

@worker.workflow("w")
async def workflow(run: Run[Any]) -> str:
    await run.emit("began")
    while not Path("go").exists():
        await asyncio.sleep(0.01)
    return "done"
"""


async def until_said(stream: asyncio.StreamReader, words: str) -> list[str]:
    """What was logged up to the line with these words."""
    said: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        async for line in stream:
            said.append(line.decode())
            if words in said[-1]:
                return said
    raise AssertionError(f"{words!r} was not said: {said}")


@pytest.mark.parametrize("when", ["asked once", "asked twice", "while it is started anew"])
async def test_a_worker_with_reload_that_is_told_to_stop_while_a_run_drains_ends_without_a_traceback(
    broker: Driftqd, client: AsyncClient, tmp_path: Path, when: str
) -> None:
    (tmp_path / "jobs.py").write_text(SLOW)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "driftq", "worker", "jobs:worker", "--reload"),
        cwd=tmp_path,
        env={**os.environ, "DRIFTQ_HTTP_URL": broker.url, "PYTHONDONTWRITEBYTECODE": "1"},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        run = await client.create_run("w")
        async with asyncio.timeout(PATIENCE_S):
            await run.wait_event("began")
        if when == "while it is started anew":
            (tmp_path / "jobs.py").write_text(SLOW + "\n")
        else:
            process.terminate()
        said = await until_said(process.stderr, "stopping: 1 running")
        if when != "asked once":
            process.terminate()
        if when != "asked twice":
            (tmp_path / "go").touch()
        async with asyncio.timeout(PATIENCE_S):
            said.append((await process.stderr.read()).decode())
            assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert "Traceback" not in "".join(said)
    assert ((await run.info()).status == "succeeded") is (when != "asked twice")
