"""What operators ask, over a real driftqd: topics, groups, why something waits, figures."""

import pytest

import driftq
from driftq import AsyncClient, NewMessage, RetryPolicy
from driftq.testing import Driftqd

HOUR_MS = 3_600_000


async def test_a_topics_settings_are_made_changed_and_given_back(client: AsyncClient) -> None:
    await client.create_topic(
        "orders", partitions=2, retry_policy=RetryPolicy(max_attempts=4), idempotency_window_ms=1_000
    )
    made = await client.get_topic("orders")
    assert len(made.partitions) == 2
    assert made.settings.retry_policy is not None
    assert made.settings.retry_policy.max_attempts == 4
    assert made.settings.idempotency_window_ms == 1_000
    changed = await client.update_topic(
        "orders", retry_policy=None, partition_max_messages=10, reason="less is enough"
    )
    assert changed.settings.retry_policy is None
    assert changed.settings.partition_max_messages == 10
    assert changed.settings.idempotency_window_ms == 1_000
    assert changed.effective.partition_max_messages == 10


async def test_topics_are_summed_up_looked_into_and_deleted(client: AsyncClient) -> None:
    await client.create_topic("orders")
    await client.produce_batch([NewMessage("orders", number, key=str(number)) for number in range(3)])
    (summary,) = (await client.list_topic_summaries()).topics
    assert (summary.name, summary.messages) == ("orders", 3)
    page = await client.browse_topic("orders", start=1, limit=1)
    assert [(message.offset, message.value) for message in page.messages] == [(1, 1)]
    assert page.next_from == 2
    await client.delete_topic("orders", reason="the end")
    with pytest.raises(driftq.NotFound):
        await client.get_topic("orders")


async def test_a_batch_is_there_whole_or_not_at_all(client: AsyncClient) -> None:
    await client.create_topic("orders")
    with pytest.raises(driftq.ApiError):
        await client.produce_batch([NewMessage("orders", 1), NewMessage("nowhere", 2)])
    assert (await client.browse_topic("orders")).messages == []
    first = await client.produce_batch([NewMessage("orders", 1, idempotency_key="k")])
    again = await client.produce_batch(
        [NewMessage("orders", 1, idempotency_key="k"), NewMessage("orders", 2)]
    )
    assert [result.duplicate for result in first + again] == [False, True, False]


async def test_a_group_is_listed_moved_and_forgotten(client: AsyncClient) -> None:
    await client.create_topic("orders")
    await client.produce_batch([NewMessage("orders", number) for number in range(3)])
    for message in await client.poll_many("orders", "billing", most=3):
        await client.ack(message)
    (group,) = (await client.list_groups(topic="orders")).groups
    assert (group.group, group.lag) == ("billing", 0)
    sought = await client.seek_group("orders", "billing", to={"partition": 0, "offset": 1}, reason="again")
    assert [(place.partition, place.offset) for place in sought.partitions] == [(0, 1)]
    assert [m.value for m in await client.poll_many("orders", "billing", most=3)] == [1, 2]
    with pytest.raises(driftq.InvalidArgument):
        await client.seek_group("orders", "billing", to={"partition": 0, "offset": 99})
    await client.delete_group("orders", "billing")
    assert (await client.list_groups(topic="orders")).groups == []


async def test_why_a_message_waits_and_that_it_need_not(client: AsyncClient) -> None:
    await client.create_topic("orders")
    produced = await client.produce("orders", 1, retry_policy={"max_attempts": 3, "backoff_ms": HOUR_MS})
    place = ("orders", produced.partition, produced.offset)
    assert (await client.explain(*place, group="billing")).code == "no_group"
    message = await client.poll("orders", "billing", owner="ann")
    assert message is not None
    held = await client.explain(*place, group="billing")
    assert held.lease is not None
    assert (held.state, held.lease.owner) == ("leased", "ann")
    await client.nack(message, reason="not yet")
    waiting = await client.explain(*place, group="billing")
    assert (waiting.code, waiting.attempts, waiting.last_error) == ("backoff", 1, "not yet")
    assert (await client.retry_now(*place, group="billing", reason="now")).was == "backoff"
    again = await client.poll("orders", "billing", wait_ms=5_000)
    assert again is not None
    assert again.attempts == 2


async def test_why_a_run_waits(driftqd: Driftqd) -> None:
    async with driftqd.async_client() as client:
        run = await client.create_run("w", retry_policy={"backoff_ms": HOUR_MS, "max_backoff_ms": HOUR_MS})
        command = await client.poll("runs.commands", "workers")
        assert command is not None
        await client.nack(command, reason="not yet")
        told = await run.explain()
        assert (told.code, told.run_status) == ("backoff", "retrying")
        assert told.until_ms == driftqd.clock.now_ms + HOUR_MS
        assert (await run.retry_now()).was == "backoff"


async def test_figures(client: AsyncClient) -> None:
    before = await client.stats()
    await client.create_topic("orders")
    await client.produce("orders", 1)
    await client.create_run("w")
    stats = await client.stats()
    assert stats.messages_total - before.messages_total >= 1
    assert (stats.runs["queued"], stats.dead_letters_open) == (1, 0)
    assert (await client.ready()).ready
