"""Spans from who produces over who works to what is written, over a real driftqd."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Session

from driftq import AsyncClient, Client, Message, NewMessage, Run, Worker
from driftq.outbox import OutboxMixin, OutboxRelay
from driftq.testing import Driftqd, working

PATIENCE_S = 30
QUICK = {"max_attempts": 3, "backoff_ms": 1, "max_backoff_ms": 1}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # `set_tracer_provider` works once in a process, and would leave it set for the tests after this one.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def traceparent(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


async def test_a_message_carries_its_trace_and_a_redelivery_is_linked_to_it(
    client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    worker = Worker()
    done = asyncio.Event()
    headers: list[dict[str, str] | None] = []

    @worker.handler("orders")
    def handle(message: Message) -> None:
        headers.append(message.headers)
        if message.attempts == 1:
            raise ValueError("not yet")
        loop.call_soon_threadsafe(done.set)

    loop = asyncio.get_running_loop()
    async with working(worker, client), asyncio.timeout(PATIENCE_S):
        with trace.get_tracer("app").start_as_current_span("request"):
            await client.produce("orders", 1, retry_policy=QUICK)
        await done.wait()
    (request,), (sent,) = named(spans, "request"), named(spans, "send orders")
    first, second = sorted(named(spans, "process orders"), key=lambda span: span.start_time or 0)
    assert sent.kind is SpanKind.PRODUCER
    assert ids(sent)[0] == ids(request)[0]
    assert [header and header["traceparent"] for header in headers] == [traceparent(sent)] * 2

    assert first.parent is not None
    assert (first.parent.span_id, ids(first)[0], first.links) == (ids(sent)[1], ids(sent)[0], ())
    assert first.status.status_code is StatusCode.ERROR
    assert [event.name for event in first.events] == ["exception"]
    assert first.attributes is not None
    wanted = {
        "messaging.system": "driftq",
        "messaging.destination.name": "orders",
        "messaging.consumer.group.name": "workers",
        "driftq.attempt": 1,
    }
    assert dict(first.attributes).items() >= wanted.items()

    assert second.parent is None
    assert ids(second)[0] != ids(sent)[0]
    assert [link.context.span_id for link in second.links] == [ids(sent)[1]]
    assert second.status.status_code is not StatusCode.ERROR


async def test_a_run_its_steps_and_its_events_are_in_the_trace_of_who_started_it(
    client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    worker = Worker()

    async def double(number: int) -> int:
        return number * 2

    @worker.workflow("w")
    async def workflow(run: Run[int]) -> int:
        await run.log("begun")
        if run.attempt == 1:
            raise ValueError("not yet")
        return await run.step("double", double, run.input)

    async with working(worker, client):
        with trace.get_tracer("app").start_as_current_span("request"):
            run = await client.create_run("w", 21, retry_policy=QUICK, tags=["mine"])
        assert await run.result(int, timeout_s=PATIENCE_S) == 42
    (created,), (step,) = named(spans, "create_run w"), named(spans, "step double")
    first, second = sorted(named(spans, "run w"), key=lambda span: span.start_time or 0)
    assert first.parent is not None
    assert (first.parent.span_id, ids(first)[0]) == (ids(created)[1], ids(created)[0])
    assert [link.context.span_id for link in second.links] == [ids(created)[1]]
    assert step.parent is not None
    assert step.parent.span_id == ids(second)[1]
    said = [event async for event in run.events()]
    logs = [event.data["traceparent"] for event in said if event.type == "run.log"]
    assert logs == [traceparent(first), traceparent(second)]
    steps = [event.data["traceparent"] for event in said if event.type == "step.started"]
    assert steps == [traceparent(step)]
    assert (await run.info()).tags == ["mine", f"traceparent={traceparent(created)}"]


async def test_a_cancelled_run_is_no_success_in_its_span(
    client: AsyncClient, spans: InMemorySpanExporter
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

    async with working(worker, client), asyncio.timeout(PATIENCE_S):
        run = await client.create_run("w")
        await began.wait()
        await run.cancel()
        await over.wait()
    (span,) = named(spans, "run w")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "cancelled: cancelled"


def test_the_blocking_client_sends_its_trace_as_well(broker: Driftqd, spans: InMemorySpanExporter) -> None:
    with Client(broker.url) as client:
        client.create_topic("orders")
        client.produce_batch(
            [NewMessage("orders", 1), NewMessage("orders", 2, headers={"traceparent": "own"})]
        )
        one, two = client.poll_many("orders", "g", most=2)
    (sent,) = named(spans, "send orders")
    assert sent.attributes is not None
    assert sent.attributes["messaging.batch.message_count"] == 2
    assert (one.headers, two.headers) == ({"traceparent": traceparent(sent)}, {"traceparent": "own"})


def test_what_an_outbox_sends_later_is_in_the_trace_of_who_stored_it(
    broker: Driftqd, spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    class Base(DeclarativeBase):
        pass

    class OutboxMessage(OutboxMixin, Base):
        pass

    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    Base.metadata.create_all(engine)
    with trace.get_tracer("app").start_as_current_span("checkout"), Session(engine) as db, db.begin():
        db.add(OutboxMessage(topic="orders", value=1))
    with Client(broker.url) as client:
        client.create_topic("orders")
        assert OutboxRelay(engine, OutboxMessage, client).relay_once() == 1
        message = client.poll("orders", "g")
    engine.dispose()
    (checkout,) = named(spans, "checkout")
    assert message is not None
    assert message.headers == {"traceparent": traceparent(checkout)}
