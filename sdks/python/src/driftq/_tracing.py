"""Traces: what the clients and the worker tell OpenTelemetry, when it is installed (`driftq[otel]`).

Without it every function here does nothing, at the cost of one test. Who produces writes its `traceparent`
into the message's headers (a run's into one of its tags, which are stored with it); the worker's span is its
child at the first delivery, and is linked to it at later ones.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ._requests import NewMessage
from ._types import Message

if TYPE_CHECKING:
    from types import ModuleType

#: The most tags that the broker takes.
TAGS_MAX = 32

#: A run's tag that begins so names the trace that started it.
TRACE_TAG = "traceparent="


def _bridge() -> ModuleType | None:
    if importlib.util.find_spec("opentelemetry") is None:
        return None
    from . import _otel

    return _otel


_otel = _bridge()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A delivery as a span tells of it."""

    name: str
    message: Message
    carrier: Mapping[str, str]
    first: bool
    attributes: Mapping[str, Any]


def injected(headers: Mapping[str, str]) -> dict[str, str]:
    """These headers, with those that name the present span."""
    return {**headers, **carrier()}


def carrier() -> dict[str, str]:
    """What names the present span: `traceparent`, perhaps `tracestate`; empty when there is none."""
    return {} if _otel is None else _otel.carrier()


def configured() -> bool:
    """Whether the application has set up OpenTelemetry."""
    return _otel is not None and _otel.configured()


@contextlib.contextmanager
def producing(messages: Sequence[NewMessage]) -> Iterator[list[NewMessage]]:
    """A span around sending these; yields them with its name in their headers, unless they have one."""
    if _otel is None or not messages:
        yield list(messages)
        return
    with _otel.sending({message.topic for message in messages}, len(messages)):
        named = carrier()
        yield [
            replace(message, headers={**named, **(message.headers or {})}) if named else message
            for message in messages
        ]


@contextlib.contextmanager
def starting_run(workflow: str, tags: Sequence[str] | None) -> Iterator[Sequence[str] | None]:
    """A span around creating a run; yields its tags with the one that names the span."""
    if _otel is None:
        yield tags
        return
    with _otel.starting_run(workflow):
        name = carrier().get("traceparent")
        # What the caller said comes first: a run without its trace is better than no run.
        room = len(tags or ()) < TAGS_MAX
        yield [*(tags or ()), TRACE_TAG + name] if name and room else tags


def carrier_of(tags: Sequence[str]) -> dict[str, str]:
    """What a run's tags say about the trace that started it."""
    named = next((tag for tag in tags if tag.startswith(TRACE_TAG)), None)
    return {"traceparent": named.removeprefix(TRACE_TAG)} if named else {}


@contextlib.contextmanager
def working(work: Work) -> Iterator[None]:
    """A span around a handler; an exception that leaves it is recorded."""
    if _otel is None:
        yield
        return
    with _otel.working(work):
        yield


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """A span around a step that is done for the first time."""
    if _otel is None:
        yield
        return
    with _otel.step(name):
        yield
