"""The bridge to OpenTelemetry; imported only where its API is installed.

Names follow the semantic conventions for messaging. It configures nothing: exporters and samplers are the
application's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ._version import __version__

if TYPE_CHECKING:
    from ._tracing import Work

_PROPAGATOR = TraceContextTextMapPropagator()

SYSTEM = {"messaging.system": "driftq"}


def _tracer() -> trace.Tracer:
    # Asked each time: the application may set its provider after it has imported us.
    return trace.get_tracer("driftq", __version__)


def carrier() -> dict[str, str]:
    """What names the present span; empty when there is none."""
    said: dict[str, str] = {}
    _PROPAGATOR.inject(said)
    return said


def configured() -> bool:
    """Whether a provider was set that may record."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def _pattern(topic: str) -> str:
    """A topic without the id in its name, so that spans can be counted by name."""
    return "runs.events.*" if topic.startswith("runs.events.") else topic


@contextlib.contextmanager
def sending(topics: set[str], count: int) -> Iterator[None]:
    """A span around a produce."""
    patterns = sorted({_pattern(topic) for topic in topics})
    attributes: dict[str, Any] = {
        **SYSTEM,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    if len(patterns) == 1:
        attributes["messaging.destination.name"] = patterns[0]
    if count > 1:
        attributes["messaging.batch.message_count"] = count
    name = f"send {patterns[0]}" if len(patterns) == 1 else "send"
    with _tracer().start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=attributes):
        yield


@contextlib.contextmanager
def starting_run(workflow: str) -> Iterator[None]:
    """A span around the creation of a run."""
    attributes = {
        **SYSTEM,
        "messaging.operation.name": "create_run",
        "messaging.operation.type": "send",
        "driftq.workflow": workflow,
    }
    name = f"create_run {workflow}"
    with _tracer().start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=attributes):
        yield


@contextlib.contextmanager
def working(work: Work) -> Iterator[None]:
    """A span around a handler: a child of who sent the message, later a new trace that is linked to it."""
    message = work.message
    sent = _PROPAGATOR.extract(work.carrier)
    sender = trace.get_current_span(sent).get_span_context()
    links = [Link(sender)] if sender.is_valid and not work.first else []
    attributes = {
        **SYSTEM,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": _pattern(message.topic),
        "messaging.destination.partition.id": str(message.partition),
        "messaging.consumer.group.name": message.group,
        "messaging.message.id": message.message_id or "",
        "driftq.attempt": message.attempts,
        **work.attributes,
    }
    with (
        _tracer().start_as_current_span(
            work.name,
            context=sent if work.first else trace.set_span_in_context(trace.INVALID_SPAN),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
            set_status_on_exception=True,
        ) as span,
        _cancellation_told(span),
    ):
        yield


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """A span around a step."""
    with (
        _tracer().start_as_current_span(f"step {name}", attributes={"driftq.step": name}) as span,
        _cancellation_told(span),
    ):
        yield


@contextlib.contextmanager
def _cancellation_told(span: Span) -> Iterator[None]:
    """A cancelled task is no exception to the API, yet the work was not done."""
    try:
        yield
    except asyncio.CancelledError as error:
        span.set_status(StatusCode.ERROR, f"cancelled: {error}" if str(error) else "cancelled")
        raise
