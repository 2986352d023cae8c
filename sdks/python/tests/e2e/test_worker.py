"""The worker against a real driftqd: what is promised, over failures of either."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from driftq import AsyncClient, Message, NonRetryable, RetryAfter, Run, RunInfo, Worker
from driftq.testing import Driftqd

PATIENCE_S = 30
QUICK = {"max_attempts": 3, "backoff_ms": 20, "max_backoff_ms": 20}


class Doc(BaseModel):
    url: str
    pages: int = 1


@contextlib.asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    ready = asyncio.Event()
    task = asyncio.create_task(worker.run(on_ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        try:
            yield task
        finally:
            worker.stop()
            await task


async def ended(client: AsyncClient, run_id: str) -> RunInfo:
    run = await client.wait_run(run_id, timeout_s=PATIENCE_S)
    assert run.terminal, f"still {run.status}"
    return run


async def types(client: AsyncClient, run_id: str) -> list[str]:
    return [event.type for event in (await client.run_events(run_id)).events]


@pytest.fixture(autouse=True)
def url_in_the_environment(broker: Driftqd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTQ_HTTP_URL", broker.url)


@pytest.fixture
def worker() -> Worker:
    return Worker(concurrency=4, lease_ms=5_000)


async def test_a_retry_keeps_the_finished_step_and_sees_the_same_value(
    client: AsyncClient, worker: Worker
) -> None:
    fetched: list[str] = []
    seen: list[tuple[str, int]] = []

    def fetch(url: str) -> tuple[str, int]:
        assert threading.current_thread() is not threading.main_thread()
        fetched.append(url)
        return url.upper(), len(url)

    async def summarize(page: tuple[str, int]) -> dict[str, Any]:
        seen.append(page)
        if len(seen) < 3:
            raise ConnectionError("the model is busy")
        return {"title": page[0]}

    @worker.workflow("summarize")
    async def workflow(run: Run[Doc]) -> dict[str, Any]:
        page = await run.step("fetch", fetch, run.input.url)
        return await run.step("llm", summarize, page)

    async with running(worker):
        created = await client.create_run("summarize", Doc(url="abc"), retry_policy=QUICK)
        run = await ended(client, created.run_id)
    assert (run.status, run.result, run.attempts) == ("succeeded", {"title": "ABC"}, 3)
    assert fetched == ["abc"]
    assert seen == [("ABC", 3)] * 3
    assert await types(client, created.run_id) == [
        "run.created",
        *("worker.received", "run.started", "step.started", "step.completed", "step.started", "step.failed"),
        *("run.attempt_failed", "run.retry_scheduled"),
        *("worker.received", "run.started", "step.started", "step.failed"),
        *("run.attempt_failed", "run.retry_scheduled"),
        *("worker.received", "run.started", "step.started", "step.completed", "run.succeeded"),
    ]


async def test_an_error_travels_with_its_message_type_and_stack(client: AsyncClient, worker: Worker) -> None:
    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None:
        raise ConnectionError("the model is busy")

    async with running(worker):
        created = await client.create_run("w", retry_policy={"max_attempts": 1})
        assert (await ended(client, created.run_id)).status == "failed"
    letter = await client.run_dlq(created.run_id)
    assert (letter.reason, letter.error.message, letter.error.type) == (
        "max_attempts",
        "the model is busy",
        "ConnectionError",
    )
    assert [attempt.attempt for attempt in letter.attempts] == [1]
    assert letter.error.stack is None, "a run's page is open to browsers"
    (listed,) = (await client.list_dead_letters(run_id=created.run_id)).items
    whole = await client.get_dead_letter(listed.topic, listed.partition, listed.offset)
    error = whole.history[0].error
    assert error is not None
    stack = error.stack or ""
    assert "in workflow" in stack
    assert "driftq/_worker.py" not in stack


async def test_an_input_that_is_not_valid_is_not_retried(client: AsyncClient, worker: Worker) -> None:
    started = 0

    @worker.workflow("w")
    async def workflow(run: Run[Doc]) -> None:
        nonlocal started
        started += 1

    async with running(worker):
        created = await client.create_run("w", {"pages": "many"}, retry_policy=QUICK)
        run = await ended(client, created.run_id)
    assert (run.status, run.attempts, started) == ("failed", 1, 0)
    letter = await client.run_dlq(created.run_id)
    assert letter.reason == "non_retryable"
    assert "url: Field required" in letter.error.message
    assert "many" not in (letter.error.stack or "")


async def test_a_handler_may_say_never_again_or_not_before(client: AsyncClient, worker: Worker) -> None:
    @worker.workflow("never")
    async def never(run: Run[Any]) -> None:
        raise NonRetryable("the account is closed")

    @worker.workflow("later")
    async def later(run: Run[Any]) -> str:
        if run.attempt == 1:
            raise RetryAfter(0.05, "the provider asks for a pause")
        return "done"

    async with running(worker):
        first = await client.create_run("never", retry_policy=QUICK)
        second = await client.create_run(
            "later", retry_policy={"max_attempts": 3, "backoff_ms": 60_000, "max_backoff_ms": 60_000}
        )
        assert (await ended(client, first.run_id)).attempts == 1
        assert (await ended(client, second.run_id)).result == "done"
    assert (await client.run_dlq(first.run_id)).reason == "non_retryable"
    events = (await client.run_events(second.run_id)).events
    scheduled = next(event for event in events if event.type == "run.retry_scheduled")
    assert scheduled.data["delay_ms"] == 50


async def test_a_run_speaks_on_its_timeline(client: AsyncClient, worker: Worker) -> None:
    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None:
        await run.log("reading", page=2)
        await run.progress(50)
        await run.emit("invoice.sent", number=7)
        assert (run.attempt, run.replay_seq) == (1, 0)
        assert run.idempotency_key == f"{run.run_id}:0"

    async with running(worker):
        created = await client.create_run("w")
        assert (await ended(client, created.run_id)).status == "succeeded"
    said = {event.type: event for event in (await client.run_events(created.run_id)).events}
    assert said["run.log"].data.items() >= {"message": "reading", "level": "info", "page": 2}.items()
    assert said["run.progress"].data["percent"] == 50
    assert said["invoice.sent"].data["number"] == 7
    assert {event.attempt for type_, event in said.items() if type_ != "run.created"} == {1}


async def test_a_replay_with_a_patch_keeps_what_was_finished(client: AsyncClient, worker: Worker) -> None:
    calls: list[str] = []

    def note(name: str) -> str:
        calls.append(name)
        return name

    @worker.workflow("w")
    async def workflow(run: Run[dict[str, Any]]) -> str:
        await run.step("first", note, "first")
        if run.input.get("broken"):
            raise ValueError("broken")
        return await run.step("second", note, "second")

    async with running(worker):
        created = await client.create_run("w", {"broken": True}, retry_policy={"max_attempts": 1})
        assert (await ended(client, created.run_id)).status == "failed"
        replayed = await client.replay_run(created.run_id, patch={"broken": None}, actor="ann")
        assert replayed.replay_seq == 1
        run = await ended(client, created.run_id)
    assert (run.status, run.result, run.input) == ("succeeded", "second", {})
    assert calls == ["first", "second"]
    assert (await client.run_dlq(created.run_id)).state == "replayed"
    asked = [e for e in (await client.run_events(created.run_id)).events if e.type == "run.replay_requested"]
    assert [(event.data["changed"], event.data.get("actor")) for event in asked] == [(["broken"], "ann")]


async def test_a_handler_that_blocks_the_loop_keeps_its_lease(client: AsyncClient) -> None:
    worker = Worker(lease_ms=400)

    attempts: list[int] = []
    done = asyncio.Event()

    @worker.handler("slow")
    async def handler(message: Message) -> None:
        attempts.append(message.attempts)
        assert message.lease_until_ms is not None
        # Not a pause: it holds the event loop until the first lease would have been over twice.
        while time.time() * 1000 < message.lease_until_ms + 400:
            pass
        done.set()

    await client.create_topic("slow")
    await client.produce("slow", 1, retry_policy={"max_attempts": 1})
    async with running(worker):
        await done.wait()
    assert attempts == [1]
    assert (await client.list_dead_letters(topic="slow")).items == []
    assert await client.poll("slow", "workers", wait_ms=0) is None


async def test_a_cancelled_run_cancels_its_handler(client: AsyncClient) -> None:
    worker = Worker(lease_ms=600)
    began, over = asyncio.Event(), asyncio.Event()

    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    async with running(worker):
        created = await client.create_run("w")
        await began.wait()
        await client.cancel_run(created.run_id)
        await over.wait()
    run = await client.get_run(created.run_id)
    assert run.status == "cancelled"
    assert (await types(client, created.run_id))[-1] == "run.cancelled"


async def test_a_worker_that_was_busy_while_the_broker_was_killed_ends_its_attempt(
    broker: Driftqd, client: AsyncClient
) -> None:
    worker = Worker(lease_ms=20_000)
    began, go_on = asyncio.Event(), asyncio.Event()

    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> str:
        await run.step("before", lambda: 1)
        began.set()
        await go_on.wait()
        await run.step("after", lambda: 2)
        return "done"

    async with running(worker):
        created = await client.create_run("w")
        await began.wait()
        broker.kill()
        go_on.set()
        await asyncio.to_thread(broker.start)
        run = await ended(client, created.run_id)
        # The stream was opened again: the next run is done as well.
        second = await client.create_run("w")
        assert (await ended(client, second.run_id)).status == "succeeded"
    assert (run.status, run.attempts, run.result) == ("succeeded", 1, "done")


async def test_what_waits_for_its_turn_after_a_reconnect_keeps_its_lease(
    broker: Driftqd, client: AsyncClient
) -> None:
    worker = Worker(concurrency=1, lease_ms=1_000)
    began, go_on, all_done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    attempts: list[tuple[str, int]] = []

    @worker.handler("jobs")
    async def handler(message: Message) -> None:
        attempts.append((message.value, message.attempts))
        began.set()
        await go_on.wait()
        if len(attempts) == 2:
            all_done.set()

    await client.create_topic("jobs")
    await client.produce("jobs", "first")
    await client.produce("jobs", "second")
    async with running(worker):
        await began.wait()
        broker.kill()
        await asyncio.to_thread(broker.start)
        # The new stream brings the second message although the first is still worked on.
        await in_flight(client, "jobs", 2)
        both_would_be_over = time.time() + 2
        while time.time() < both_would_be_over:
            await in_flight(client, "jobs", 2)
        go_on.set()
        await all_done.wait()
    assert attempts == [("first", 1), ("second", 1)]


async def in_flight(client: AsyncClient, topic: str, count: int) -> None:
    """Returns once so many messages of the topic are leased."""
    async with httpx2.AsyncClient() as http:
        while True:
            groups = (await http.get(f"{client.url}/v1/topics/{topic}")).json()["groups"]
            if sum(group["in_flight"] for group in groups) == count:
                return


async def test_a_worker_may_be_started_before_its_broker(broker: Driftqd) -> None:
    broker.kill()
    worker = Worker()
    done = asyncio.Event()

    @worker.handler("jobs")
    async def handler(message: Message) -> None:
        done.set()

    task = asyncio.create_task(worker.run())
    await asyncio.to_thread(broker.start)
    async with asyncio.timeout(PATIENCE_S), AsyncClient(broker.url) as client:
        await client.create_topic("jobs")
        await client.produce("jobs", 1)
        await done.wait()
        worker.stop()
        await task


async def test_handlers_run_side_by_side_up_to_the_concurrency(client: AsyncClient, worker: Worker) -> None:
    together, all_done = asyncio.Barrier(4), asyncio.Event()
    now, most, done = 0, 0, 0

    @worker.handler("jobs")
    async def handler(message: Message) -> None:
        nonlocal now, most, done
        now += 1
        most = max(most, now)
        await together.wait()
        now, done = now - 1, done + 1
        if done == 8:
            all_done.set()

    await client.create_topic("jobs")
    for number in range(8):
        await client.produce("jobs", number)
    async with running(worker):
        await all_done.wait()
    assert most == 4
    assert await client.poll("jobs", "workers", wait_ms=0) is None


async def test_a_message_that_keeps_failing_is_dead_lettered_and_its_neighbour_is_not(
    client: AsyncClient, worker: Worker
) -> None:
    done = asyncio.Event()

    @worker.handler("jobs")
    def handler(message: Message) -> None:
        if message.value == "bad":
            raise ValueError("cannot be read")
        loop.call_soon_threadsafe(done.set)

    loop = asyncio.get_running_loop()
    await client.create_topic("jobs")
    await client.produce("jobs", "bad", retry_policy={"max_attempts": 2, "backoff_ms": 1})
    await client.produce("jobs", "good")
    async with running(worker):
        await done.wait()
        async with asyncio.timeout(PATIENCE_S):
            while not (items := (await client.list_dead_letters(topic="jobs")).items):
                pass
    assert [(item.value, item.attempts) for item in items] == [("bad", 2)]
    assert "cannot be read" in items[0].last_error


async def test_a_run_of_another_app_is_given_back_with_a_pause_and_advice_so_that_its_own_worker_gets_it(
    client: AsyncClient, worker: Worker
) -> None:
    @worker.workflow("theirs")
    async def theirs(run: Run[Any]) -> None:
        return None

    ours = Worker()

    @ours.workflow("ours")
    async def workflow(run: Run[Any]) -> str:
        return "done"

    async with running(worker):
        run = await client.create_run("ours", retry_policy=QUICK)
        async with asyncio.timeout(PATIENCE_S):
            waits = await run.wait_event("run.retry_scheduled")
    assert waits.data["delay_ms"] == 5_000
    error = (await run.attempts())[0].error
    assert error is not None
    assert error.type == "driftq.UnknownWorkflow"
    assert "read topic 'runs.commands' as group 'workers' take each other's runs" in error.message
    assert "Worker(topic=…)" in error.message
    async with running(ours):
        await run.retry_now()
        assert await run.result(timeout_s=PATIENCE_S) == "done"


async def test_a_workflow_that_nobody_knows_ends_as_a_dead_letter(
    client: AsyncClient, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftq._workflow.UNKNOWN_WORKFLOW_PAUSE_S", 0.02)

    @worker.workflow("known")
    async def workflow(run: Run[Any]) -> None:
        return None

    async with running(worker):
        created = await client.create_run("unknown", retry_policy=QUICK)
        run = await ended(client, created.run_id)
    assert (run.status, run.attempts) == ("failed", 3)
    assert run.error is not None
    assert "no workflow 'unknown'; it has: known" in run.error.message


async def test_a_step_name_used_twice_is_refused_for_good(client: AsyncClient, worker: Worker) -> None:
    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None:
        await run.step("same", lambda: 1)
        await run.step("same", lambda: 2)

    async with running(worker):
        created = await client.create_run("w", retry_policy=QUICK)
        run = await ended(client, created.run_id)
    assert (run.status, run.attempts) == ("failed", 1)


async def test_a_result_that_is_no_json_is_refused_for_good(client: AsyncClient, worker: Worker) -> None:
    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> object:
        return object()

    async with running(worker):
        created = await client.create_run("w", retry_policy=QUICK)
        run = await ended(client, created.run_id)
    assert (run.status, run.attempts) == ("failed", 1)
    assert run.error is not None
    assert "cannot be written as JSON" in run.error.message


async def test_a_steps_set_is_refused_by_its_name_and_not_stored(client: AsyncClient, worker: Worker) -> None:
    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> None:
        await run.step("tags", lambda: {"a", "b"})

    async with running(worker):
        run = await client.create_run("w", retry_policy=QUICK)
        ended_run = await ended(client, run.run_id)
    assert (ended_run.status, ended_run.attempts, ended_run.steps) == ("failed", 1, [])
    assert ended_run.error is not None
    assert "step 'tags' returned what would not survive" in ended_run.error.message
    assert "set would come back as list" in ended_run.error.message
    assert "step.completed" not in await types(client, run.run_id)


async def test_what_outlives_the_grace_is_cancelled_and_given_back_at_once(client: AsyncClient) -> None:
    worker = Worker(lease_ms=60_000, grace_s=0.01)
    began = asyncio.Event()

    @worker.workflow("w")
    async def workflow(run: Run[Any]) -> str:
        if run.attempt == 1:
            began.set()
            await asyncio.Event().wait()
        return "done"

    created = await client.create_run("w", retry_policy={"max_attempts": 2, "backoff_ms": 60_000})
    async with running(worker):
        await began.wait()
    # Neither the lease nor the backoff is waited for: the next worker has it at once.
    async with running(worker):
        run = await ended(client, created.run_id)
    assert (run.status, run.attempts) == ("succeeded", 2)
    events = (await client.run_events(created.run_id)).events
    failed = next(event for event in events if event.type == "run.attempt_failed")
    assert failed.data["error"]["type"] == "WorkerStopped"


# -- processes -----------------------------------------------------------------------------------------

MODULE = """
import asyncio, pathlib
from driftq import Run, Worker
from typing import Any

worker = Worker(lease_ms={lease_ms}, grace_s=20)
here = pathlib.Path(__file__).parent

def note(name):
    with (here / "calls").open("a") as calls:
        calls.write(name + "\\n")

@worker.workflow("w")
async def workflow(run: Run[Any]) -> str:
    await run.step("first", note, "first")
    await run.step("second", second, run)
    return "done"

async def second(run):
    note("second")
    await run.emit("second.began")
    while not (here / "go").exists():
        await asyncio.sleep(0.01)
"""


@contextlib.asynccontextmanager
async def worker_process(folder: Path, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "DRIFTQ_HTTP_URL": url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "driftq", "worker", "jobs:worker", cwd=folder, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def event_of(client: AsyncClient, run_id: str, kind: str) -> None:
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(client.follow_run(run_id)) as events:
        async for event in events:
            if event.type == kind:
                return


async def test_sigterm_lets_the_running_handler_end(
    broker: Driftqd, client: AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "jobs.py").write_text(MODULE.format(lease_ms=10_000))
    created = await client.create_run("w")
    async with worker_process(tmp_path, broker.url) as process:
        await event_of(client, created.run_id, "second.began")
        process.send_signal(signal.SIGTERM)
        (tmp_path / "go").touch()
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    run = await client.get_run(created.run_id)
    assert (run.status, run.attempts) == ("succeeded", 1)


async def test_a_killed_workers_run_goes_on_elsewhere_with_its_finished_step(
    broker: Driftqd, client: AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "jobs.py").write_text(MODULE.format(lease_ms=700))
    created = await client.create_run("w", retry_policy=QUICK)
    async with worker_process(tmp_path, broker.url) as process:
        await event_of(client, created.run_id, "second.began")
        process.kill()
        await process.wait()
    (tmp_path / "go").touch()
    async with worker_process(tmp_path, broker.url):
        run = await ended(client, created.run_id)
    assert (run.status, run.attempts) == ("succeeded", 2)
    assert (tmp_path / "calls").read_text().split() == ["first", "second", "second"]
    failed = [
        event
        for event in (await client.run_events(created.run_id)).events
        if event.type == "run.attempt_failed"
    ]
    assert [event.data["reason"] for event in failed] == ["lease_expired"]
