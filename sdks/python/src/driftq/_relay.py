"""Passing a run's timeline on: whole events, unread, over any outage of the broker.

An open stream is never ended, nor refused, because the broker is away: a browser would give up for good.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Literal

import anyio
import httpx2
from fastapi import HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from ._async._client import AsyncClient
from ._errors import DriftqError
from ._events import SseBlocks
from ._hold import AWAY_BACKOFF

logger = logging.getLogger("driftq.fastapi")

#: What keeps proxies and compressing middleware from holding events back.
STREAM_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}

_AWAY = b": the broker is away, trying again\n\n"


def wants_stream(request: Request) -> bool:
    """Whether the caller asked for server-sent events."""
    return "text/event-stream" in request.headers.get("accept", "")


async def relay_events(
    client: AsyncClient,
    run_id: str,
    *,
    last_event_id: str | None = None,
    until: str | None = None,
    client_id: str | None = None,
    authorise: Callable[[], Awaitable[None]] | None = None,
    hello: bytes = b"",
) -> Response:
    """Passes a run's timeline on, from right after `last_event_id`.

    The broker is asked first, so that a 204, 401 or 404 of its is the answer. While it is away the answer
    is a 200 with comments; once it is back the stream goes on with the next event. `hello` is sent before
    all else.
    """
    params = {name: value for name, value in (("until", until), ("client_id", client_id)) if value}
    relay = _Relay(client, run_id, params, last_event_id, authorise)
    if await relay.open() == "ended":
        return Response(status_code=204)
    return _RelayResponse(relay, hello)


class _Relay:
    """One reader's way to the broker: at most one stream, opened again whenever it breaks."""

    def __init__(
        self,
        client: AsyncClient,
        run_id: str,
        params: Mapping[str, str],
        last_event_id: str | None,
        authorise: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._params = params
        self._last_event_id = last_event_id
        self._authorise = authorise
        self._upstream: httpx2.Response | None = None

    async def open(self) -> Literal["open", "away", "ended"]:
        """Opens the stream; raises what the broker (or the scope) refuses."""
        try:
            if self._authorise is not None:
                await self._authorise()
                self._authorise = None
            upstream = await self._client._follow_once(self._run_id, self._params, self._last_event_id)
        except DriftqError as error:
            if not error.retryable:
                raise
            return "away"
        self._upstream = upstream
        if upstream.status_code == httpx2.codes.NO_CONTENT:
            await self.close()
            return "ended"
        return "open"

    async def close(self) -> None:
        """Leaves the broker's stream."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            await upstream.aclose()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Whole events, over any number of outages, until the timeline ends or the run is gone."""
        failures = 0
        while True:
            if self._upstream is not None:
                async for whole in self._whole_blocks(self._upstream):
                    failures = 0
                    yield whole
                await self.close()
            try:
                state = await self.open()
            except (DriftqError, HTTPException) as error:
                # Too late for a status: the reader's next connection gets it.
                logger.info("the stream of run %s ends: %s", self._run_id, error)
                return
            if state == "ended":
                return
            # A stream that opens and breaks before its first event is no better than none.
            failures += 1
            if state == "away":
                yield _AWAY
            if state == "away" or failures > 1:
                await anyio.sleep(AWAY_BACKOFF.delay_s(failures))

    async def _whole_blocks(self, upstream: httpx2.Response) -> AsyncIterator[bytes]:
        blocks = SseBlocks()
        try:
            async for chunk in upstream.aiter_raw():
                for block in blocks.feed(chunk):
                    self._last_event_id = block.last_event_id or self._last_event_id
                    yield block.raw
        except httpx2.TransportError as error:
            logger.info("the stream of run %s broke: %s", self._run_id, error)


class _RelayResponse(StreamingResponse):
    """Closes the broker's stream however the reader leaves."""

    def __init__(self, relay: _Relay, hello: bytes) -> None:
        self._relay = relay
        super().__init__(self._body(hello), media_type="text/event-stream", headers=dict(STREAM_HEADERS))

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._relay.close()

    async def _body(self, hello: bytes) -> AsyncIterator[bytes]:
        if hello:
            yield hello
        async for chunk in self._relay.chunks():
            yield chunk
