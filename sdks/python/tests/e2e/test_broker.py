"""The client against a real driftqd: every method once, and over a restart."""

import asyncio

import pytest

import driftq
from driftq import AsyncClient, Client, ErrorInfo
from driftq.testing import Driftqd


async def test_it_says_that_nothing_answers_and_what_to_start(broker: Driftqd) -> None:
    broker.kill()
    async with AsyncClient(broker.url) as client:
        with pytest.raises(driftq.Unreachable, match=r"nothing answers at http.*start it with"):
            await client.health()


async def test_topics_are_made_once_and_listed(client: AsyncClient) -> None:
    assert (await client.health()).status == "ok"
    assert (await client.version()).wal_enabled
    made = await client.create_topic("orders", partitions=3)
    assert await client.create_topic("orders") == made
    assert (made.name, made.partitions) == ("orders", 3)
    assert "orders" in (await client.list_topics()).topics
    with pytest.raises(driftq.InvalidArgument):
        await client.create_topic("orders", partitions=2)


async def test_a_stream_delivers_in_order_and_a_nack_comes_again_with_its_reason(client: AsyncClient) -> None:
    await client.create_topic("orders")
    for number in range(3):
        await client.produce("orders", {"n": number}, headers={"traceparent": "00-1"})
    seen = []
    async for message in client.consume("orders", "g", owner="ann", lease_ms=30_000):
        seen.append((message.value["n"], message.attempts))
        if message.value["n"] == 1 and message.attempts == 1:
            await client.nack(message, reason="not yet", retry_after_ms=0)
        else:
            assert message.headers == {"traceparent": "00-1"}
            await client.ack(message)
        if len(seen) == 4:
            assert sorted(seen) == [(0, 1), (1, 1), (1, 2), (2, 1)]
            break


async def test_a_lease_is_renewed_for_its_holder_only(client: AsyncClient) -> None:
    await client.create_topic("orders")
    await client.produce("orders", 1)
    message = await client.poll("orders", "g", lease_ms=30_000)
    assert message is not None
    assert message.lease_until_ms is not None
    longer = await client.extend(message, lease_ms=60_000)
    assert longer.lease_until_ms > message.lease_until_ms
    with pytest.raises(driftq.FailedPrecondition):
        await client.extend(message.model_copy(update={"owner": "somebody else"}), lease_ms=60_000)


async def test_a_key_with_another_payload_is_told(client: AsyncClient) -> None:
    await client.create_topic("orders")
    first = await client.produce("orders", {"n": 1}, idempotency_key="k")
    again = await client.produce("orders", {"n": 1}, idempotency_key="k")
    assert (again.offset, again.duplicate) == (first.offset, True)
    with pytest.raises(driftq.Unprocessable):
        await client.produce("orders", {"n": 2}, idempotency_key="k")
    silent = await client.produce("orders", {"n": 3}, idempotency_key="k", fingerprint=False)
    assert silent.duplicate


async def test_dead_letters_are_listed_shown_redriven_and_discarded(client: AsyncClient) -> None:
    await client.create_topic("orders")
    for number in range(2):
        await client.produce("orders", {"n": number}, retry_policy={"max_attempts": 1})
        message = await client.poll("orders", "g")
        assert message is not None
        await client.nack(message, error=ErrorInfo(message="broken", type="ValueError"))
    items = (await client.list_dead_letters(topic="orders")).items
    assert sorted(item.value["n"] for item in items) == [0, 1]
    first = next(item for item in items if item.value["n"] == 0)
    second = next(item for item in items if item.value["n"] == 1)
    shown = await client.get_dead_letter(first.topic, first.partition, first.offset)
    assert shown.history[0].error is not None
    assert shown.history[0].error.message == "broken"
    redriven = await client.redrive_dead_letter(first.topic, first.partition, first.offset)
    assert redriven.status == "redriven"
    again = await client.poll("orders", "g")
    assert again is not None
    assert (again.value, again.attempts) == ({"n": 0}, 1)
    await client.discard_dead_letter(second.topic, second.partition, second.offset, reason="known")
    assert (await client.list_dead_letters(topic="orders")).items == []
    with pytest.raises(driftq.FailedPrecondition):
        await client.discard_dead_letter(second.topic, second.partition, second.offset, reason="again")


async def test_a_run_that_is_absent_is_not_found(client: AsyncClient) -> None:
    with pytest.raises(driftq.NotFound):
        await client.get_run("run_nobody")
    with pytest.raises(driftq.NotFound):
        await anext(client.follow_run("run_nobody"))


async def test_runs_are_created_listed_cancelled_and_waited_for(client: AsyncClient) -> None:
    first = await client.create_run("w", {"a": 1}, tenant_id="blue", tags=["x"], idempotency_key="k")
    again = await client.create_run("w", {"a": 1}, tenant_id="blue", tags=["x"], idempotency_key="k")
    assert again.run_id == first.run_id
    other = await client.create_run("w", {"a": 2}, tenant_id="red")
    assert [run.run_id for run in (await client.list_runs()).runs] == [other.run_id, first.run_id]
    assert [run.run_id for run in (await client.list_runs(tenant_id="blue")).runs] == [first.run_id]
    with pytest.raises(driftq.FailedPrecondition):
        await client.replay_run(first.run_id)
    assert (await client.cancel_run(first.run_id)).status == "cancelled"
    assert (await client.wait_run(first.run_id, timeout_s=5)).status == "cancelled"
    assert (await client.wait_run(other.run_id, timeout_s=0.05)).status == "queued"
    with pytest.raises(driftq.NotFound):
        await client.run_dlq(first.run_id)


async def test_a_follower_sees_every_event_once_over_a_kill(broker: Driftqd, client: AsyncClient) -> None:
    run = await client.create_run("w", {})
    seqs = []
    async with asyncio.timeout(30):
        async for event in client.follow_run(run.run_id):
            seqs.append(event.seq)
            if len(seqs) == 2:
                broker.kill()
                await asyncio.to_thread(broker.start)
            if len(seqs) == 5:
                break
            await client.append_events(run.run_id, [{"type": "run.log", "n": len(seqs)}])
    assert seqs == [1, 2, 3, 4, 5]
    page = await client.run_events(run.run_id, after=3, limit=2)
    assert [event.seq for event in page.events] == [4, 5]
    assert [event.data["n"] for event in page.events] == [3, 4]


async def test_a_consumer_goes_on_over_a_kill(broker: Driftqd, client: AsyncClient) -> None:
    await client.create_topic("orders")
    for number in range(4):
        await client.produce("orders", number)
    seen = []
    async with asyncio.timeout(30):
        async for message in client.consume("orders", "g", owner="ann", lease_ms=30_000):
            seen.append(message.value)
            if message.value == 1:
                broker.kill()
                await asyncio.to_thread(broker.start)
            await client.ack(message)
            if len(seen) == 4:
                break
    assert seen == [0, 1, 2, 3]


def test_the_blocking_client_does_the_same(broker: Driftqd) -> None:
    with Client(broker.url) as client:
        client.create_topic("orders")
        client.produce("orders", {"n": 1})
        message = next(client.consume("orders", "g", owner="ann"))
        client.ack(message)
        run = client.create_run("w", {"a": 1})
        assert next(client.follow_run(run.run_id)).type == "run.created"
        client.cancel_run(run.run_id)
        assert [event.type for event in client.follow_run(run.run_id, until="terminal")] == [
            "run.created",
            "run.cancelled",
        ]
