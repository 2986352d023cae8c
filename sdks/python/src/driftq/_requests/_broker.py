"""Requests about the broker itself."""

from __future__ import annotations

from .._types import DevClock, Health, Readiness, Stats, Version
from ._call import Call, body, model


def health() -> Call[Health]:
    """`GET /v1/healthz`."""
    return Call("GET", "/v1/healthz", model(Health))


def ready() -> Call[Readiness]:
    """`GET /v1/readyz`."""
    return Call("GET", "/v1/readyz", model(Readiness))


def version() -> Call[Version]:
    """`GET /v1/version`."""
    return Call("GET", "/v1/version", model(Version))


def stats() -> Call[Stats]:
    """`GET /v1/stats`."""
    return Call("GET", "/v1/stats", model(Stats))


def clock() -> Call[DevClock]:
    """`GET /v1/dev/clock`."""
    return Call("GET", "/v1/dev/clock", model(DevClock))


def advance_clock(advance_ms: int) -> Call[DevClock]:
    """`POST /v1/dev/clock`; a repeat would move it twice."""
    return Call(
        "POST",
        "/v1/dev/clock",
        model(DevClock),
        body=body(advance_ms=advance_ms),
        repeatable=False,
        patience_s=CLOCK_S_MAX,
    )


#: Everything that becomes due on the way is done before the answer comes.
CLOCK_S_MAX = 60.0
