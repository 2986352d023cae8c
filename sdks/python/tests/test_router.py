"""What of the router needs no broker: above all that a reader who leaves is left nowhere."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from driftq import AsyncClient
from driftq.fastapi import Scope, driftq_router


class Endless(httpx2.AsyncByteStream):
    """A stream of the broker's that says one event and then nothing more."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'id: 1\ndata: {"seq":1,"type":"run.created"}\n\n'
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


def app_over(answer: Any, scope: Any = None) -> FastAPI:
    async def no_nap(_seconds: float) -> None:
        return None

    client = AsyncClient("http://b:1", transport=httpx2.MockTransport(answer), sleep=no_nap)
    app = FastAPI()
    app.include_router(driftq_router(client, scope, ["w"]))
    return app


def asking(app: FastAPI) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app")


async def test_a_reader_who_leaves_closes_the_brokers_stream() -> None:
    upstream = Endless()
    app = app_over(lambda _request: httpx2.Response(200, stream=upstream))
    said: list[bytes] = []
    first_event = asyncio.Event()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await first_event.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body"):
            said.append(message["body"])
            first_event.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/runs/run_1/events",
        "raw_path": b"/runs/run_1/events",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"accept", b"text/event-stream")],
        "client": None,
        "server": ("app", 80),
    }
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    assert b"".join(said).startswith(b"id: 1\n")
    assert upstream.closed


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "UNAUTHENTICATED"), (404, "NOT_FOUND"), (404, "EXPIRED"), (409, "FAILED_PRECONDITION")],
)
async def test_a_refusal_of_the_brokers_is_passed_on_as_it_is(status: int, code: str) -> None:
    body = {"error": code, "message": "no", "retryable": False, "newer": 1}
    async with asking(app_over(lambda _request: httpx2.Response(status, json=body))) as http:
        for headers in ({}, {"Accept": "text/event-stream"}):
            answer = await http.get("/runs/run_1/events", headers=headers)
            assert (answer.status_code, answer.json()) == (status, body)


async def test_overload_is_passed_on_with_its_pause() -> None:
    def full(_request: httpx2.Request) -> httpx2.Response:
        body = {"error": "RESOURCE_EXHAUSTED", "message": "full", "retry_after_ms": 1200}
        return httpx2.Response(429, json=body)

    async with asking(app_over(full)) as http:
        answer = await http.post("/runs", json={"workflow": "w"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


async def test_something_that_is_no_broker_is_a_502() -> None:
    async with asking(app_over(lambda _request: httpx2.Response(404, text="nginx"))) as http:
        answer = await http.get("/runs/run_1")
    assert (answer.status_code, answer.json()["error"]) == (502, "INTERNAL")


async def test_a_tenant_without_a_name_cannot_be() -> None:
    with pytest.raises(ValueError, match="tenant_id"):
        Scope(tenant_id="")


@pytest.mark.parametrize("wrong", [None, {"tenant_id": "blue"}])
async def test_a_scope_that_is_none_of_ours_is_a_mistake_and_no_open_door(wrong: Any) -> None:
    app = app_over(lambda _request: httpx2.Response(200, json={}), scope=lambda: wrong)
    async with asking(app) as http:
        with pytest.raises(TypeError, match="must return a"):
            await http.get("/runs")
