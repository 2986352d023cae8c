"""`driftq_router` in an app, on a real uvicorn, over a real driftqd."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx2
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException

from driftq import AsyncClient
from driftq.fastapi import Scope, driftq_router
from driftq.testing import Driftqd, free_port

PATIENCE_S = 30
BLUE, RED = {"X-Team": "blue"}, {"X-Team": "red"}
STREAM = {"Accept": "text/event-stream"}


def current_team(x_team: Annotated[str | None, Header()] = None) -> str:
    if x_team is None:
        raise HTTPException(401, "who are you?")
    return x_team


def scope(team: Annotated[str, Depends(current_team)]) -> Scope:
    return Scope(tenant_id=team, actor=f"ann@{team}")


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The app on a real server: a test transport would gather a whole stream before it showed a byte."""
    port = free_port()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    up = threading.Event()
    startup = server.startup

    async def startup_and_tell(sockets: Any = None) -> None:
        await startup(sockets=sockets)
        up.set()

    server.startup = startup_and_tell  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    assert up.wait(PATIENCE_S), "the app did not start"
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


def app_over(url: str, *, scoped: bool) -> FastAPI:
    client = AsyncClient(url)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await client.aclose()

    app = FastAPI(lifespan=lifespan)
    app.include_router(driftq_router(client, scope if scoped else None, ["summarize"]), prefix="/api")
    return app


@pytest.fixture
async def scoped(broker: Driftqd) -> AsyncIterator[httpx2.AsyncClient]:
    with serving(app_over(broker.url, scoped=True)) as url:
        async with httpx2.AsyncClient(base_url=url + "/api", timeout=PATIENCE_S) as http:
            yield http


@pytest.fixture
async def open_(broker: Driftqd) -> AsyncIterator[httpx2.AsyncClient]:
    with serving(app_over(broker.url, scoped=False)) as url:
        async with httpx2.AsyncClient(base_url=url + "/api", timeout=PATIENCE_S) as http:
            yield http


async def start(http: httpx2.AsyncClient, headers: dict[str, str] | None = None) -> str:
    answer = await http.post("/runs", json={"workflow": "summarize", "input": {"n": 1}}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["run_id"])


async def data_of(response: httpx2.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async for sse in httpx2.EventSource(response):
        if sse.data:
            yield sse.id, json.loads(sse.data)


RUN_ROUTES = [
    ("GET", "/runs/{id}", {}),
    ("GET", "/runs/{id}?wait_ms=1", {}),
    ("GET", "/runs/{id}/events", {}),
    ("GET", "/runs/{id}/events", STREAM),
    ("GET", "/runs/{id}/steps", {}),
    ("GET", "/runs/{id}/dlq", {}),
    ("POST", "/runs/{id}/replay", {}),
    ("POST", "/runs/{id}/cancel", {}),
]


@pytest.mark.parametrize(("method", "path", "headers"), RUN_ROUTES)
async def test_another_tenants_run_answers_like_one_that_is_absent(
    scoped: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    run_id = await start(scoped, BLUE)
    foreign = await scoped.request(method, path.format(id=run_id), headers=headers | RED)
    absent = await scoped.request(method, path.format(id="run_absent"), headers=headers | RED)
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert foreign.json()["error"] == "NOT_FOUND"
    assert foreign.text.replace(run_id, "ID") == absent.text.replace("run_absent", "ID")
    nobody = await scoped.request(method, path.format(id=run_id), headers=headers)
    assert nobody.status_code == 401


async def test_the_own_runs_are_seen_and_only_they(scoped: httpx2.AsyncClient) -> None:
    blue, red = await start(scoped, BLUE), await start(scoped, RED)
    assert [run["run_id"] for run in (await scoped.get("/runs", headers=BLUE)).json()["runs"]] == [blue]
    assert [run["run_id"] for run in (await scoped.get("/runs", headers=RED)).json()["runs"]] == [red]
    assert (await scoped.get("/runs")).status_code == 401
    assert (await scoped.post("/runs", json={"workflow": "summarize"})).status_code == 401
    run = (await scoped.get(f"/runs/{blue}", headers=BLUE)).json()
    assert run["tenant_id"] == "blue"
    cancelled = await scoped.post(f"/runs/{blue}/cancel", headers=BLUE)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")


async def test_only_listed_workflows_can_be_started_and_only_the_server_says_where(
    scoped: httpx2.AsyncClient,
) -> None:
    other = await scoped.post("/runs", json={"workflow": "delete_all"}, headers=BLUE)
    assert (other.status_code, other.json()["error"]) == (403, "PERMISSION_DENIED")
    for field in ("topic", "group", "tenant_id"):
        told = await scoped.post("/runs", json={"workflow": "summarize", field: "x"}, headers=BLUE)
        assert (told.status_code, told.json()["error"]) == (400, "INVALID_ARGUMENT")
        assert field in told.json()["message"]


async def test_the_timeline_names_who_asked_for_a_replay(scoped: httpx2.AsyncClient) -> None:
    run_id = await start(scoped, BLUE)
    early = await scoped.post(f"/runs/{run_id}/replay", headers=BLUE)
    assert (early.status_code, early.json()["error"]) == (409, "FAILED_PRECONDITION")
    await scoped.post(f"/runs/{run_id}/cancel", headers=BLUE)
    replayed = await scoped.post(f"/runs/{run_id}/replay", headers=BLUE)
    assert replayed.json() == {"run_id": run_id, "replay_seq": 1, "status": "queued"}
    events = (await scoped.get(f"/runs/{run_id}/events", headers=BLUE)).json()["events"]
    asked = next(event for event in events if event["type"] == "run.replay_requested")
    assert asked["actor"] == "ann@blue"


async def test_the_shapes_are_the_brokers_own(broker: Driftqd, open_: httpx2.AsyncClient) -> None:
    run_id = await start(open_)
    await open_.post(f"/runs/{run_id}/cancel")
    async with httpx2.AsyncClient(base_url=broker.url + "/v1") as direct:
        for path in (
            f"/runs/{run_id}",
            f"/runs/{run_id}/events?after=1&limit=1",
            f"/runs/{run_id}/steps",
            "/runs",
        ):
            ours, its = await open_.get(path), await direct.get(path)
            assert (ours.status_code, ours.content) == (its.status_code, its.content)
        for path in ("/runs/run_absent", f"/runs/{run_id}/dlq"):
            ours, its = await open_.get(path), await direct.get(path)
            assert (ours.status_code, ours.json()) == (its.status_code, its.json())
        ours = await open_.get(f"/runs/{run_id}/events", headers=STREAM, params={"until": "terminal"})
        its = await direct.get(f"/runs/{run_id}/events", headers=STREAM, params={"until": "terminal"})
        assert ours.content == its.content
        assert ours.headers["content-type"].startswith("text/event-stream")
        assert ours.headers["cache-control"] == "no-cache, no-transform"
        assert ours.headers["x-accel-buffering"] == "no"


async def test_a_key_that_is_used_again_gives_the_first_answer(open_: httpx2.AsyncClient) -> None:
    body = {"workflow": "summarize", "idempotency_key": "once"}
    first, second = await open_.post("/runs", json=body), await open_.post("/runs", json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["run_id"] == second.json()["run_id"]


async def test_the_header_is_a_key_as_it_is_at_the_broker(open_: httpx2.AsyncClient) -> None:
    body, headers = {"workflow": "summarize"}, {"Idempotency-Key": "once"}
    first = await open_.post("/runs", json=body, headers=headers)
    second = await open_.post("/runs", json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["run_id"] == second.json()["run_id"]


async def test_the_audit_log_names_who_replayed_and_who_cancelled(
    client: AsyncClient, scoped: httpx2.AsyncClient
) -> None:
    run_id = await start(scoped, BLUE)
    await scoped.post(f"/runs/{run_id}/cancel", headers=BLUE)
    await scoped.post(f"/runs/{run_id}/replay", headers=BLUE)
    acts = [message.value for message in (await client.browse_topic("driftq.audit")).messages]
    assert [(act["type"], act["actor"]) for act in acts] == [
        ("run.cancelled", "ann@blue"),
        ("run.replayed", "ann@blue"),
    ]


async def test_a_stream_at_the_end_of_its_run_is_a_204(open_: httpx2.AsyncClient) -> None:
    run_id = await start(open_)
    await open_.post(f"/runs/{run_id}/cancel")
    events = (await open_.get(f"/runs/{run_id}/events")).json()["events"]
    answer = await open_.get(
        f"/runs/{run_id}/events?until=terminal",
        headers=STREAM | {"Last-Event-ID": str(events[-1]["seq"])},
    )
    assert answer.status_code == 204


async def test_a_stream_goes_on_over_a_kill_of_the_broker(
    broker: Driftqd, client: AsyncClient, scoped: httpx2.AsyncClient
) -> None:
    run_id = await start(scoped, BLUE)
    seqs: list[int] = []
    async with (
        asyncio.timeout(PATIENCE_S),
        scoped.stream("GET", f"/runs/{run_id}/events", headers=STREAM | BLUE) as response,
    ):
        assert response.status_code == 200
        async for last_id, event in data_of(response):
            assert last_id == str(event["seq"])
            seqs.append(event["seq"])
            if len(seqs) == 6:
                break
            if len(seqs) in (2, 4):
                broker.kill()
                await asyncio.to_thread(broker.start)
            await client.append_events(run_id, [{"type": "run.log"}])
    assert seqs == [1, 2, 3, 4, 5, 6]


async def test_a_stream_that_is_opened_while_the_broker_is_away_waits_for_it(
    broker: Driftqd, scoped: httpx2.AsyncClient
) -> None:
    run_id = await start(scoped, BLUE)
    broker.kill()
    async with (
        asyncio.timeout(PATIENCE_S),
        scoped.stream("GET", f"/runs/{run_id}/events", headers=STREAM | BLUE) as response,
    ):
        assert response.status_code == 200
        chunks = response.aiter_bytes()
        assert (await anext(chunks)).startswith(b":")
        await asyncio.to_thread(broker.start)
        seen = b""
        while b'"run.created"' not in seen:
            seen += await anext(chunks)


async def test_a_stream_opened_meanwhile_shows_nothing_of_another_tenant(
    broker: Driftqd, scoped: httpx2.AsyncClient
) -> None:
    run_id = await start(scoped, BLUE)
    broker.kill()
    async with (
        asyncio.timeout(PATIENCE_S),
        scoped.stream("GET", f"/runs/{run_id}/events", headers=STREAM | RED) as response,
    ):
        await asyncio.to_thread(broker.start)
        body = await response.aread()
    assert b"data:" not in body


async def test_a_broker_that_is_away_is_a_503_that_may_be_repeated(
    broker: Driftqd, open_: httpx2.AsyncClient
) -> None:
    broker.kill()
    answer = await open_.get("/runs/run_1")
    assert (answer.status_code, answer.json()["error"]) == (503, "UNAVAILABLE")
    assert answer.json()["retryable"] is True
    assert answer.headers["retry-after"] == "1"


async def test_without_a_scope_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncClient("http://b:1") as client:
        driftq_router(client, workflows=["summarize"])
    assert "no scope" in caplog.text


async def test_routes_of_ones_own_can_be_left_out() -> None:
    async with AsyncClient("http://b:1") as client:
        router = driftq_router(client, scope, ["summarize"], routes=("list", "get"))
    assert [route.path for route in router.routes] == ["/runs", "/runs/{run_id}"]  # type: ignore[attr-defined]
