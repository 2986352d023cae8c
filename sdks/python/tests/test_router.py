"""What of the router needs no broker: above all that a reader who leaves is left nowhere."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from driftq import AsyncClient
from driftq.fastapi import Scope, driftq_router

RUN = {"run_id": "run_1", "workflow": "w", "status": "failed"}


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


def every_route(app: FastAPI) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    return sorted((method.upper(), path) for path, item in paths.items() for method in item)


async def test_every_route_of_a_run_asks_the_scope_first_and_shows_nothing_of_another_tenant() -> None:
    asked: list[str] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        asked.append(f"{request.method} {request.url.path}")
        return httpx2.Response(
            200,
            json={"run_id": "run_1", "workflow": "w", "status": "failed", "tenant_id": "red", "secret": 1},
        )

    app = app_over(broker, scope=lambda: Scope(tenant_id="blue"))
    routes = [(method, path) for method, path in every_route(app) if "{run_id}" in path]
    assert len(routes) == 9
    async with asking(app) as http:
        for method, path in routes:
            for headers in ({}, {"Accept": "text/event-stream"}):
                asked.clear()
                answer = await http.request(method, path.format(run_id="run_1"), headers=headers)
                assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND"), path
                assert asked == ["GET /v1/runs/run_1"], path


@pytest.mark.parametrize(
    ("method", "path", "body", "upstream"),
    [
        ("GET", "/runs/run_1/attempts?limit=2&cursor=c", None, "/v1/runs/run_1/attempts?limit=2&cursor=c"),
        ("GET", "/runs/run_1/diff?a=0.1&b=1", None, "/v1/runs/run_1/diff?a=0.1&b=1"),
        ("POST", "/runs/run_1/token", {"ttl_ms": 5}, "/v1/runs/run_1/token"),
        ("POST", "/runs/run_1/token", None, "/v1/runs/run_1/token"),
    ],
)
async def test_what_is_asked_about_a_run_of_ones_own_is_passed_on(
    method: str, path: str, body: Any, upstream: str
) -> None:
    asked: list[httpx2.Request] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(
            200,
            json={"run_id": "run_1", "workflow": "w", "status": "failed", "tenant_id": "blue", "newer": 1},
        )

    async with asking(app_over(broker, scope=lambda: Scope(tenant_id="blue"))) as http:
        answer = await http.request(method, path, json=body)
    assert (answer.status_code, answer.json()["newer"]) == (200, 1)
    assert [request.url.raw_path.decode() for request in asked] == ["/v1/runs/run_1", upstream]
    if method == "POST":
        assert json.loads(asked[1].content) == (body or {})


@pytest.mark.parametrize("act", ["replay", "cancel"])
async def test_the_broker_is_told_who_asked_and_why(act: str) -> None:
    asked: list[httpx2.Request] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={**RUN, "tenant_id": "blue", "replay_seq": 1})

    app = app_over(broker, scope=lambda: Scope(tenant_id="blue", actor="Jörg"))
    async with asking(app) as http:
        assert (await http.post(f"/runs/run_1/{act}", json={"reason": "a typo"})).status_code == 200
        assert (await http.post(f"/runs/run_1/{act}")).status_code == 200
        assert (await http.post(f"/runs/run_1/{act}", json={"actor": "eve"})).status_code == 400
    posts = [request for request in asked if request.method == "POST"]
    assert [json.loads(request.content) for request in posts] == [
        {"actor": "Jörg", "reason": "a typo"},
        {"actor": "Jörg"},
    ]
    assert {dict(request.headers.raw)[b"X-Driftq-Actor"].decode() for request in posts} == {"Jörg"}


async def test_without_an_actor_older_brokers_are_told_what_they_know() -> None:
    asked: list[httpx2.Request] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={**RUN, "replay_seq": 1})

    async with asking(app_over(broker)) as http:
        await http.post("/runs/run_1/cancel")
    assert (asked[0].content, "x-driftq-actor" in asked[0].headers) == (b"{}", False)


@pytest.mark.parametrize(
    ("header", "field", "key"),
    [
        ("from the header", None, "from the header"),
        ("from the header", "from the body", "from the body"),
        ("from the header", "", "from the header"),
        ("straße".encode(), None, "straße"),
        ("  ", None, None),
    ],
)
async def test_an_idempotency_key_may_be_a_header_and_the_bodys_wins(
    header: str | bytes, field: str | None, key: str | None
) -> None:
    sent: list[Any] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content)["idempotency_key"])
        return httpx2.Response(201, json={"run_id": "run_1", "status": "queued"})

    body = {"workflow": "w"} if field is None else {"workflow": "w", "idempotency_key": field}
    headers = [(b"Idempotency-Key", header if isinstance(header, bytes) else header.encode())]
    async with asking(app_over(broker)) as http:
        assert (await http.post("/runs", json=body, headers=headers)).status_code == 201
    if key is None:
        assert sent[0].startswith("auto-")
    else:
        assert sent == [key]


async def test_runs_are_started_on_the_topic_and_for_the_group_of_the_apps_own_worker() -> None:
    sent: list[Any] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        return httpx2.Response(201, json={"run_id": "run_1", "status": "queued"})

    app = FastAPI()
    client = AsyncClient("http://b:1", transport=httpx2.MockTransport(broker))
    app.include_router(driftq_router(client, None, ["w"], topic="shop.commands", group="shop"))
    async with asking(app) as http:
        await http.post("/runs", json={"workflow": "w"})
    assert (sent[0]["topic"], sent[0]["group"]) == ("shop.commands", "shop")


@pytest.mark.parametrize("body", [b'{"workflow":"w","input":NaN}', b'{"workflow":"w","input":"\\ud800"}'])
async def test_an_input_that_is_no_json_is_the_callers_mistake(body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with asking(app_over(lambda _request: httpx2.Response(201, json={}))) as http:
        answer = await http.post("/runs", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_ARGUMENT")


async def test_a_key_that_is_no_text_is_refused_and_not_ignored() -> None:
    async with asking(app_over(lambda _request: httpx2.Response(201, json={}))) as http:
        answer = await http.post("/runs", json={"workflow": "w"}, headers=[(b"Idempotency-Key", b"\xff")])
    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_ARGUMENT")
    assert "Idempotency-Key" in answer.json()["message"]


async def test_a_token_for_no_time_is_refused_here() -> None:
    async with asking(app_over(lambda _request: httpx2.Response(200, json={}))) as http:
        answer = await http.post("/runs/run_1/token", json={"ttl_ms": 0})
    assert (answer.status_code, answer.json()["error"]) == (400, "INVALID_ARGUMENT")
