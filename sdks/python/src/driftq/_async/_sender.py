"""Sending: every request of the asynchronous client goes through here, again where that is safe.

It keeps no state of the broker's; one client may be shared by all tasks of an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from .._errors import DriftqError
from .._events import resume_headers
from .._requests import Call, run_path
from .._retry import DEFAULT_RETRY, RetryConfig
from .._settings import LIMITS, Settings, answer_error, connection_error, connection_headers, read_answer

T = TypeVar("T")

# The broker cuts a wait to 50 s; longer waits are several.
WAIT_MS_MAX = 50_000


class AsyncSender:
    """A connection pool to one broker, and the manners of using it."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        ca_cert: str | Path | None = None,
        actor: str | None = None,
        timeout_s: float = 10.0,
        retry: RetryConfig = DEFAULT_RETRY,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = Settings.resolved(
            url, token=token, ca_cert=ca_cert, actor=actor, timeout_s=timeout_s, retry=retry
        )
        self._transport = transport
        self._sleep = sleep
        self._http = httpx2.AsyncClient(
            base_url=self._settings.url,
            headers=self._settings.headers(),
            limits=LIMITS,
            transport=transport,
            verify=self._settings.verify(),
        )

    @property
    def url(self) -> str:
        """The broker's URL, without `/v1`."""
        return self._settings.url

    async def aclose(self) -> None:
        """Closes every connection; streams end."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _send(self, call: Call[T]) -> T:
        return read_answer(call, await self._answer(call))

    async def _answer(self, call: Call[Any]) -> httpx2.Response:
        """The broker's answer as it came, if it is a 2xx; any other is raised."""
        failures = 0
        while True:
            try:
                return await self._answer_once(call)
            except DriftqError as error:
                failures += 1
                delay_s = self._settings.retry.delay_s(error, failures=failures, repeatable=call.repeatable)
                if delay_s is None:
                    raise
            await self._sleep(delay_s)

    async def _answer_once(self, call: Call[Any]) -> httpx2.Response:
        try:
            response = await self._http.request(
                call.method,
                call.path,
                params=call.params,
                content=call.body,
                headers=connection_headers(call),
                timeout=self._settings.timeout(call),
            )
        except httpx2.TransportError as error:
            raise connection_error(self.url, error) from error
        if not response.is_success:
            raise answer_error(response.status_code, response.headers, response.content)
        return response

    async def _follow_once(
        self, run_id: str, params: Mapping[str, str], last_event_id: str | None
    ) -> httpx2.Response:
        """Opens a run's timeline for somebody who passes its bytes on; who calls this closes the answer."""
        request = self._http.build_request(
            "GET",
            f"{run_path(run_id)}/events",
            params=params,
            headers=resume_headers(last_event_id),
            timeout=self._settings.stream_timeout(),
        )
        try:
            response = await self._http.send(request, stream=True)
            if not response.is_success:
                await response.aread()
                raise answer_error(response.status_code, response.headers, response.content)
        except httpx2.TransportError as error:
            raise connection_error(self.url, error) from error
        return response

    @contextlib.asynccontextmanager
    async def _open_stream(
        self, path: str, params: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[httpx2.Response]:
        """Opens a stream; a refusal is raised, a connection that breaks later is a `ConnectionLost`."""
        try:
            async with self._http.stream(
                "GET", path, params=params, headers=headers, timeout=self._settings.stream_timeout()
            ) as response:
                if not response.is_success:
                    await response.aread()
                    raise answer_error(response.status_code, response.headers, response.content)
                yield response
        except httpx2.TransportError as error:
            raise connection_error(self.url, error) from error
