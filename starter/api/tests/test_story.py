"""Fail, dead letter, replay, success: over real processes, and over their deaths."""

import httpx2
import pytest
from stack import Stack

HAPPY = [
    *("run.created", "worker.received", "run.started"),
    *("step.started", "step.completed") * 4,
    "run.succeeded",
]

FINISHED_BEFORE = {"transform": ["fetch_input"], "tool_call": ["fetch_input", "transform"]}


async def test_nothing_fails_and_the_run_succeeds_at_once(stack: Stack) -> None:
    await stack.start_worker()
    run_id = await stack.create(input={"text": "one two three."})
    async with stack.reader(run_id) as reader:
        succeeded = await reader.until("run.succeeded")
        reader.assert_whole()
    assert reader.types() == HAPPY
    assert succeeded["result"] == {"words": 3, "longest": 5}
    assert (await stack.http.get(f"/runs/{run_id}/dlq")).status_code == 404


@pytest.mark.parametrize("fail_at", ["transform", "tool_call"])
async def test_a_step_fails_three_times_and_the_replay_with_the_fix_succeeds(
    stack: Stack, fail_at: str
) -> None:
    await stack.start_worker()
    run_id = await stack.create(fail_at=fail_at)
    async with stack.reader(run_id) as reader:
        await reader.until("run.failed")
        letter = (await stack.http.get(f"/runs/{run_id}/dlq")).json()
        assert (letter["type"], letter["run_id"], letter["replay_seq"]) == ("runs.dlq", run_id, 0)
        assert (letter["reason"], letter["state"]) == ("max_attempts", "open")
        assert "forced by fail_at" in letter["error"]["message"]
        assert letter["command"]["input"] == {"fail_at": fail_at}
        assert [attempt["attempt"] for attempt in letter["attempts"]] == [1, 2, 3]

        told = await stack.replay(run_id, fail_at=None)
        assert told.items() >= {"ok": True, "run_id": run_id, "seq": 1, "fail_at": None}.items()
        await reader.until("run.succeeded", replay_seq=1)
        reader.assert_whole()

    types = reader.types()
    due = {"run.attempt_failed": 3, "run.retry_scheduled": 2, "run.dlq": 1, "run.failed": 1}
    for kind, times in due.items():
        assert types.count(kind) == times, kind
    done = [event["step"] for event in reader.seen if event["type"] == "step.completed"]
    # Every step was finished once: neither a retry nor the replay repeated what was done.
    assert done == ["fetch_input", "transform", "tool_call", "finalize"]
    before = [e["step"] for e in reader.seen if e["type"] == "step.completed" and e["replay_seq"] == 0]
    assert before == FINISHED_BEFORE[fail_at]
    assert (await stack.http.get(f"/runs/{run_id}/dlq")).json()["state"] == "replayed"


async def test_a_replay_without_a_word_fails_as_it_did(stack: Stack) -> None:
    await stack.start_worker()
    run_id = await stack.create(fail_at="transform", max_attempts=1)
    async with stack.reader(run_id) as reader:
        await reader.until("run.failed")
        told = await stack.replay(run_id)
        assert (told["seq"], told["fail_at"]) == (1, "transform")
        await reader.until("run.failed", replay_seq=1)
        reader.assert_whole()


async def test_a_replay_that_names_a_finished_step_runs_it_again_and_fails_there(stack: Stack) -> None:
    await stack.start_worker()
    run_id = await stack.create(fail_at="tool_call", max_attempts=1)
    async with stack.reader(run_id) as reader:
        await reader.until("run.failed")
        told = await stack.replay(run_id, fail_at="transform")
        assert (told["seq"], told["fail_at"]) == (1, "transform")
        failed = await reader.until("step.failed", replay_seq=1)
        assert failed["step"] == "transform"
        await reader.until("run.failed", replay_seq=1)
        reader.assert_whole()
    asked = next(event for event in reader.seen if event["type"] == "run.replay_requested")
    assert (asked["from_step"], asked["changed"]) == ("transform", ["fail_at"])


async def test_a_worker_that_is_killed_in_a_step_is_replaced_and_the_run_succeeds(stack: Stack) -> None:
    # The first worker would take an hour for a step, so it dies in the middle of one.
    slow = await stack.start_worker(step_ms=3_600_000, lease_ms=500)
    run_id = await stack.create()
    async with stack.reader(run_id) as reader:
        await reader.until("step.started")
        slow.kill()
        await slow.wait()
        await stack.start_worker()
        failed = await reader.until("run.attempt_failed")
        assert failed["reason"] == "lease_expired"
        await reader.until("run.succeeded")
        reader.assert_whole()
    done = [event["step"] for event in reader.seen if event["type"] == "step.completed"]
    assert done == ["fetch_input", "transform", "tool_call", "finalize"]
    assert (await stack.http.get(f"/runs/{run_id}")).json()["attempts"] == 2


async def test_the_broker_is_killed_in_a_backoff_while_somebody_reads_and_nothing_is_missed(
    stack: Stack,
) -> None:
    await stack.start_worker()
    run_id = await stack.create(
        fail_at="tool_call", max_attempts=2, retry_policy={"backoff_ms": 1500, "max_backoff_ms": 1500}
    )
    async with stack.reader(run_id) as reader:
        scheduled = await reader.until("run.retry_scheduled")
        await stack.restart_broker()
        received = await reader.until("worker.received")
        # Neither earlier than it was told, nor from the beginning again.
        assert received["ts"] >= scheduled["at_ms"]
        assert received["attempt"] == 2
        await reader.until("run.failed")
        await stack.replay(run_id, fail_at=None)
        await reader.until("run.succeeded", replay_seq=1)
        reader.assert_whole()
    assert [event["seq"] for event in await stack.timeline(run_id)] == [e["seq"] for e in reader.seen]


async def test_a_reader_that_comes_back_goes_on_where_it_was(stack: Stack) -> None:
    await stack.start_worker()
    run_id = await stack.create()
    async with stack.reader(run_id) as reader:
        last = await reader.until("step.completed")
    async with stack.reader(run_id, last_id=str(last["seq"])) as reader:
        await reader.until("run.succeeded")
        reader.assert_whole(first=last["seq"] + 1)


async def test_two_tabs_see_the_same_events(stack: Stack) -> None:
    await stack.start_worker()
    run_id = await stack.create()
    async with stack.reader(run_id) as one, stack.reader(run_id) as two:
        await one.until("run.succeeded")
        await two.until("run.succeeded")
    assert one.seen == two.seen


async def test_the_app_says_so_while_the_broker_is_away_and_recovers(stack: Stack) -> None:
    assert (await stack.http.get("/healthz")).json() == {"ok": True, "driftq": {"status": "ok"}}
    stack.broker.kill()
    away = await stack.http.get("/healthz")
    assert away.status_code == 503
    assert away.json()["ok"] is False
    assert "nothing answers at" in away.json()["message"]
    refused: httpx2.Response = await stack.http.post("/runs", json={})
    assert (refused.status_code, refused.json()["error"]) == (503, "UNAVAILABLE")
    await stack.restart_broker()
    assert (await stack.http.get("/healthz")).status_code == 200
