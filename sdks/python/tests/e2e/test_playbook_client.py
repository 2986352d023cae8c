"""The pasted client runs unchanged against a real driftqd."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures.playbook_client import DriftQClient

from driftq import AsyncClient
from driftq.testing import Driftqd

TOPIC, GROUP = "runs.commands", "api"

VALUES: list[Any] = [
    {"type": "run.command", "input": {"n": 1, "deep": [1, {"x": None}]}},
    [1, "two", None],
    7,
    -2.5,
    9007199254740993,
    False,
    0,
    {},
    "plain text",
    '{"a string that": "looks like JSON"}',
    "null",
]


@pytest.fixture
async def pasted(broker: Driftqd, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DriftQClient]:
    monkeypatch.setenv("DRIFTQ_HTTP_URL", broker.url + "/")
    client = DriftQClient()
    yield client
    await client._http.aclose()


async def test_every_kind_of_value_comes_back_as_it_went(pasted: DriftQClient) -> None:
    assert await pasted.healthz() == {"status": "ok"}
    await pasted.ensure_topic(TOPIC)
    await pasted.ensure_topic(TOPIC)
    for value in VALUES:
        await pasted.produce(TOPIC, value)
    came = []
    async for message in pasted.consume_stream(topic=TOPIC, group=GROUP):
        came.append(pasted.extract_value(message))
        await pasted.ack(topic=TOPIC, group=GROUP, msg=message)
        if len(came) == len(VALUES):
            break
    assert [(type(value), value) for value in came] == [(type(value), value) for value in VALUES]


async def test_values_keep_their_kind_over_a_kill(broker: Driftqd, pasted: DriftQClient) -> None:
    await pasted.ensure_topic(TOPIC)
    for value in VALUES:
        await pasted.produce(TOPIC, value)
    broker.kill()
    await asyncio.to_thread(broker.start)
    came = []
    async for message in pasted.consume_stream(topic=TOPIC, group=GROUP):
        came.append(pasted.extract_value(message))
        await pasted.ack(topic=TOPIC, group=GROUP, msg=message)
        if len(came) == len(VALUES):
            break
    assert came == VALUES


async def test_an_idle_topic_answers_null_and_the_next_message_still_comes(
    pasted: DriftQClient, client: AsyncClient
) -> None:
    await pasted.ensure_topic(TOPIC)
    idle = await pasted._http.get(
        f"{pasted.base}/v1/consume", params={"topic": TOPIC, "group": GROUP, "wait_ms": 50}
    )
    assert idle.status_code == 200
    assert idle.json() is None
    waiting = asyncio.ensure_future(anext(pasted.consume_stream(topic=TOPIC, group=GROUP)))
    await pasted.produce(TOPIC, {"late": True})
    message = await asyncio.wait_for(waiting, 20)
    assert message["value"] == {"late": True}


async def test_the_same_key_is_stored_once(pasted: DriftQClient, client: AsyncClient) -> None:
    await pasted.ensure_topic(TOPIC)
    for attempt in range(3):
        await pasted.produce(TOPIC, {"stamp": attempt}, idempotency_key="once")
    await pasted.produce(TOPIC, "the end")
    stream = pasted.consume_stream(topic=TOPIC, group=GROUP)
    values = []
    for _ in range(2):
        message = await anext(stream)
        values.append(message["value"])
        await pasted.ack(topic=TOPIC, group=GROUP, msg=message)
    assert values == [{"stamp": 0}, "the end"]


async def test_an_ack_after_the_lease_was_lost_is_no_error_for_it(pasted: DriftQClient) -> None:
    await pasted.ensure_topic(TOPIC)
    await pasted.produce(TOPIC, {"n": 1})
    slow = await anext(pasted.consume_stream(topic=TOPIC, group=GROUP, lease_ms=100))
    # The next delivery is the proof that the first lease is over.
    quick = await anext(pasted.consume_stream(topic=TOPIC, group=GROUP))
    assert (slow["offset"], slow["attempts"], quick["attempts"]) == (quick["offset"], 1, 2)
    await pasted.ack(topic=TOPIC, group=GROUP, msg=slow)
    await pasted.ack(topic=TOPIC, group=GROUP, msg=quick)
    await pasted.ack(topic=TOPIC, group=GROUP, msg=quick)
