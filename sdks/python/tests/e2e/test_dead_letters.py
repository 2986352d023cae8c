"""What failed, over a real driftqd: found, compared, mended, sent again by the thousand."""

import pytest

import driftq
from driftq import AsyncClient, DeadLetterFilter, ErrorInfo, NewMessage

QUICK = {"max_attempts": 2, "backoff_ms": 0}


async def fail_all(client: AsyncClient, topic: str, group: str = "billing") -> None:
    """Every message of the topic fails for good, for a reason that has its number in it."""
    while messages := await client.poll_many(topic, group, most=100, owner="ann", wait_ms=0):
        for message in messages:
            error = ErrorInfo(message=f"cannot bill order {message.value['n']}", type="BillingError")
            await client.nack(message, error=error, retryable=False)


async def dead(client: AsyncClient, count: int) -> None:
    await client.create_topic("orders")
    await client.produce_batch([NewMessage("orders", {"n": number}) for number in range(count)])
    await fail_all(client, "orders")


async def test_letters_are_found_by_what_is_in_them_and_counted_by_how_they_failed(
    client: AsyncClient,
) -> None:
    await dead(client, 12)
    found = (await client.list_dead_letters(topic="orders", q="ORDER 7")).items
    assert [letter.value for letter in found] == [{"n": 7}]
    (group,) = (await client.list_fingerprints(DeadLetterFilter(topic="orders"))).fingerprints
    assert (group.count, group.error.type, group.reason) == (12, "BillingError", "non_retryable")
    assert found[0].fingerprint == group.fingerprint
    same = DeadLetterFilter(fingerprint=group.fingerprint)
    assert len([letter async for letter in client.iter_dead_letters(same)]) == 12
    assert (await client.get_dead_letter(*group.sample.place)).fingerprint == group.fingerprint


async def test_a_letter_is_mended_and_its_original_is_kept(client: AsyncClient) -> None:
    await dead(client, 1)
    (letter,) = (await client.list_dead_letters(topic="orders")).items
    sent = await client.redrive_dead_letter(*letter.place, value={"n": "mended"}, reason="a typo")
    assert sent.status == "redriven"
    closed = await client.get_dead_letter(*letter.place)
    assert (closed.value, closed.state) == ({"n": 0}, "redriven")
    assert closed.closed is not None
    assert (closed.closed.reason, closed.closed.edited) == ("a typo", True)
    message = await client.poll("orders", "billing", wait_ms=5_000)
    assert message is not None
    assert message.value == {"n": "mended"}


async def test_two_attempts_of_a_letter_are_compared(client: AsyncClient) -> None:
    await client.create_topic("orders")
    await client.produce("orders", {"n": 1}, retry_policy=QUICK)
    for owner in ("ann", "bob"):
        message = await client.poll("orders", "billing", owner=owner, wait_ms=5_000)
        assert message is not None
        await client.nack(message, error=ErrorInfo(message="busy", type="BillingError"))
    (letter,) = (await client.list_dead_letters(topic="orders")).items
    diff = await client.diff_dead_letter(*letter.place)
    owners = next(change for change in diff.changed if change.field == "owner")
    assert (owners.a, owners.b) == ("ann", "bob")
    assert "error.message" in diff.same


async def test_many_letters_are_sent_again_by_a_job_that_is_watched(client: AsyncClient) -> None:
    await dead(client, 20)
    which = DeadLetterFilter(topic="orders", group="billing")
    preview = await client.preview_redrive(which)
    assert (preview.matched, len(preview.sample)) == (20, 5)
    job = await client.start_redrive(which, rate_per_s=1_000, reason="the bank is back")
    while True:
        for message in await client.poll_many("orders", "billing", most=100, wait_ms=20):
            await client.ack(message)
        if (await client.get_redrive_job(job.job_id)).over:
            break
    seen = [each async for each in client.watch_redrive_job(job.job_id)]
    assert (seen[-1].status, seen[-1].moved, seen[-1].succeeded) == ("done", 20, 20)
    assert [each.job_id for each in (await client.list_redrive_jobs()).jobs] == [job.job_id]
    assert (await client.list_dead_letters(topic="orders")).items == []


async def test_a_job_is_paused_resumed_and_stopped(client: AsyncClient) -> None:
    await dead(client, 20)
    job = await client.start_redrive(DeadLetterFilter(topic="orders"), rate_per_s=0.01)
    assert (await client.pause_redrive_job(job.job_id)).status == "paused"
    assert (await client.resume_redrive_job(job.job_id)).status == "running"
    stopped = await client.stop_redrive_job(job.job_id, reason="enough")
    assert (stopped.status, stopped.over) == ("stopped", True)
    with pytest.raises(driftq.FailedPrecondition):
        await client.resume_redrive_job(job.job_id)
    with pytest.raises(driftq.NotFound, match="no open dead letter"):
        await client.start_redrive(DeadLetterFilter(topic="nowhere"))


async def test_a_runs_attempts_are_listed_and_compared(client: AsyncClient) -> None:
    run = await client.create_run("w", {"a": 1}, retry_policy={"max_attempts": 1})
    first = await client.poll("runs.commands", "workers", owner="ann", worker_version="1.0")
    assert first is not None
    await client.nack(first, error=ErrorInfo(message="broken", type="ValueError"))
    await run.replay(patch={"a": 2})
    second = await client.poll("runs.commands", "workers", owner="bob", worker_version="1.1", wait_ms=5_000)
    assert second is not None
    await client.put_step(run.run_id, "fetch", 1, lease_id=second.lease_id)
    await client.ack(second, result="done")
    attempts = await run.attempts()
    told = [(each.replay_seq, each.outcome, each.worker_version, each.steps) for each in attempts]
    assert sorted(told) == [(0, "failed", "1.0", []), (1, "succeeded", "1.1", ["fetch"])]
    diff = await run.diff()
    changed = {change.field: (change.a, change.b) for change in diff.changed}
    assert changed["outcome"] == ("failed", "succeeded")
    assert changed["worker_version"] == ("1.0", "1.1")
    assert {"owner", "steps"} <= changed.keys()
