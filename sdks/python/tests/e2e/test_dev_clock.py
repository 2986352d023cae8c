"""`driftq.testing`: a broker for each test, whose clock the test moves."""

import time
from typing import Any

import pytest

import driftq
from driftq import AsyncClient, Client, RetryAfter, Run, Worker
from driftq.testing import Driftqd, working

THREE_DAYS_MS = 3 * 24 * 3_600_000

# What a retry after three days may cost; without the clock it would cost three days.
COST_S_MAX = 5.0


async def test_a_retry_after_three_days_is_over_at_once(driftqd: Driftqd) -> None:
    worker = Worker()

    @worker.workflow("dunning")
    async def dunning(run: Run[Any]) -> str:
        if run.attempt == 1:
            raise RetryAfter(3 * 24 * 3600, "not paid yet")
        return "paid"

    began = time.monotonic()
    async with driftqd.async_client() as client, working(worker, client):
        run = await client.create_run("dunning")
        scheduled = await run.wait_event("run.retry_scheduled")
        assert scheduled.data["delay_ms"] == THREE_DAYS_MS
        await driftqd.clock.aadvance(days=3)
        assert await run.result(timeout_s=10) == "paid"
    assert time.monotonic() - began < COST_S_MAX


def test_a_blocking_test_moves_the_clock_as_well(driftqd: Driftqd) -> None:
    with driftqd.client() as client:
        client.create_topic("mails")
        client.produce("mails", "a reminder", delay_ms=THREE_DAYS_MS)
        before = driftqd.clock.now_ms
        assert client.poll("mails", "g", wait_ms=0) is None
        driftqd.clock.advance(days=2, hours=23)
        assert client.poll("mails", "g", wait_ms=0) is None
        assert driftqd.clock.advance(hours=1) == before + THREE_DAYS_MS
        message = client.poll("mails", "g", wait_ms=5_000)
    assert message is not None
    assert message.value == "a reminder"


def test_the_clock_stands_still_by_itself(driftqd: Driftqd) -> None:
    with driftqd.client() as client:
        client.create_topic("t")
        client.produce("t", 1)
        first = client.poll("t", "g", owner="ann", lease_ms=100)
        assert first is not None
        assert client.poll("t", "g", owner="bob", wait_ms=300) is None
        driftqd.clock.advance(ms=100)
        again = client.poll("t", "g", owner="bob", wait_ms=5_000)
    assert again is not None
    assert again.attempts == 2


def test_each_test_has_a_broker_of_its_own_that_clients_find(driftqd: Driftqd) -> None:
    with Client() as client:
        assert client.url == driftqd.url
        assert client.list_topics().topics == []


async def test_a_broker_without_the_flag_says_which_one_it_needs(client: AsyncClient) -> None:
    with pytest.raises(driftq.NotFound, match="--dev-clock"):
        await client.advance_clock(days=1)


async def test_a_worker_that_cannot_start_says_so(driftqd: Driftqd) -> None:
    with pytest.raises(ValueError, match="no workflow"):
        async with working(Worker()):
            raise AssertionError("a worker without work began")
