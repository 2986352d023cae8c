"""The endpoints and their shapes, on a real broker without a worker."""

from typing import Any

import httpx2
import pytest
from stack import Stack


async def test_a_run_is_created_with_the_answer_of_the_playbook_and_more(stack: Stack) -> None:
    answer = await stack.http.post("/runs", json={"workflow": "demo", "input": {"text": "hi"}})
    told = answer.json()
    assert answer.status_code == 201
    assert told["events_topic"] == f"runs.events.{told['run_id']}"
    assert (told["status"], told["replay_seq"]) == ("queued", 0)
    run = (await stack.http.get(f"/runs/{told['run_id']}")).json()
    assert (run["input"], run["retry_policy"]["max_attempts"]) == ({"text": "hi"}, 3)


async def test_the_header_idempotency_key_starts_nothing_twice(stack: Stack) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await stack.http.post("/runs", json={}, headers=headers)
    second = await stack.http.post("/runs", json={}, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["run_id"] == second.json()["run_id"]


async def test_an_empty_body_starts_the_demo(stack: Stack) -> None:
    run_id = await stack.create()
    run = (await stack.http.get(f"/runs/{run_id}")).json()
    assert (run["workflow"], run["input"]) == ("demo", {})


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ({"fail_at": "none"}, {}),
        ({"fail_at": None}, {}),
        ({"fail_at": "transform"}, {"fail_at": "transform"}),
        ({"input": {"fail_at": "tool_call"}}, {"fail_at": "tool_call"}),
    ],
)
async def test_the_switch_travels_in_the_input(
    stack: Stack, body: dict[str, Any], given: dict[str, Any]
) -> None:
    run_id = await stack.create(**body, max_attempts=5)
    run = (await stack.http.get(f"/runs/{run_id}")).json()
    assert run["input"] == given
    assert run["retry_policy"]["max_attempts"] == 5


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"fail_at": "finalize"}, "fail_at"),
        ({"input": {"fail_at": "everything"}}, "fail_at"),
        ({"input": "text"}, "input"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 999}, "max_attempts"),
        ({"topic": "elsewhere"}, "topic"),
    ],
)
async def test_what_cannot_be_is_a_422_that_names_it(stack: Stack, body: dict[str, Any], named: str) -> None:
    answer = await stack.http.post("/runs", json=body)
    assert answer.status_code == 422
    assert named in answer.json()["message"]
    assert (await stack.http.get("/runs")).json()["runs"] == []


async def test_another_workflow_is_refused(stack: Stack) -> None:
    answer = await stack.http.post("/runs", json={"workflow": "other"})
    assert (answer.status_code, answer.json()["error"]) == (403, "PERMISSION_DENIED")


async def test_the_stream_begins_with_a_message_that_has_no_id(stack: Stack) -> None:
    run_id = await stack.create()
    headers = {"Accept": "text/event-stream", "Origin": "http://localhost:3000"}
    path = f"/runs/{run_id}/events"
    async with stack.http.stream("GET", path, params={"client_id": "tab-1"}, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        first = await anext(answer.aiter_lines())
    assert first.startswith('data: {"type":"sse.connected"')
    assert '"client_id":"tab-1"' in first
    assert [event["type"] for event in await stack.timeline(run_id)] == ["run.created"]


async def test_curl_without_an_accept_header_gets_the_stream(stack: Stack) -> None:
    run_id = await stack.create()
    await stack.http.post(f"/runs/{run_id}/cancel")
    answer = await stack.http.get(f"/runs/{run_id}/events?until=terminal", headers={"Accept": "*/*"})
    data = [line for line in answer.text.splitlines() if line.startswith("data:")]
    assert ["sse.connected" in data[0], "run.created" in data[1], "run.cancelled" in data[2]] == [True] * 3
    ids = [line for line in answer.text.splitlines() if line.startswith("id:")]
    assert ids == ["id: 1", "id: 2"]


async def test_an_event_of_the_apps_own_gets_its_number(stack: Stack) -> None:
    run_id = await stack.create()
    answer = await stack.http.post(
        f"/runs/{run_id}/emit", json={"event": {"type": "note.added", "text": "hi"}}
    )
    assert answer.json() == {"ok": True, "seq": 2}
    last = (await stack.timeline(run_id))[-1]
    assert (last["type"], last["text"], last["seq"]) == ("note.added", "hi", 2)
    forged = await stack.http.post(f"/runs/{run_id}/emit", json={"event": {"type": "run.succeeded"}})
    assert forged.status_code == 400
    assert (await stack.http.post(f"/runs/{run_id}/emit", json={"event": {"text": "hi"}})).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/runs/run_absent", None),
        ("GET", "/runs/run_absent/events", None),
        ("GET", "/runs/run_absent/dlq", None),
        ("POST", "/runs/run_absent/replay", {}),
        ("POST", "/runs/run_absent/cancel", None),
        ("POST", "/runs/run_absent/emit", {"event": {"type": "x.y"}}),
    ],
)
async def test_a_run_that_is_absent_is_a_404(
    stack: Stack, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = await stack.http.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")


async def test_a_replay_of_a_run_that_has_not_ended_is_a_409(stack: Stack) -> None:
    run_id = await stack.create()
    answer = await stack.http.post(f"/runs/{run_id}/replay")
    assert (answer.status_code, answer.json()["error"]) == (409, "FAILED_PRECONDITION")
    wrong = await stack.http.post(f"/runs/{run_id}/replay", json={"fail_at": "finalize"})
    assert wrong.status_code == 422


async def test_a_client_of_the_package_works_on_the_apps_replay_too(stack: Stack) -> None:
    run_id = await stack.create(fail_at="transform")
    await stack.http.post(f"/runs/{run_id}/cancel")
    patched = await stack.replay(run_id, patch={"fail_at": None, "text": "new"})
    assert patched.items() >= {"replay_seq": 1, "status": "queued", "seq": 1, "fail_at": None}.items()
    assert (await stack.http.get(f"/runs/{run_id}")).json()["input"] == {"text": "new"}
    await stack.http.post(f"/runs/{run_id}/cancel")
    replaced = await stack.replay(run_id, input={"text": "other"}, fail_at="tool_call")
    assert (replaced["seq"], replaced["fail_at"]) == (2, "tool_call")
    assert (await stack.http.get(f"/runs/{run_id}")).json()["input"] == {
        "text": "other",
        "fail_at": "tool_call",
    }


async def test_the_newest_dead_letters_can_be_looked_at(stack: Stack) -> None:
    assert (await stack.http.get("/debug/dlq/peek")).json() == {"count": 0, "items": []}
    await stack.start_worker()
    for _ in range(2):
        run_id = await stack.create(fail_at="transform", max_attempts=1)
        assert (await stack.http.get(f"/runs/{run_id}?wait_ms=20000")).json()["status"] == "failed"
    told = (await stack.http.get("/debug/dlq/peek?limit=1")).json()
    assert told["count"] == len(told["items"]) == 1
    item = told["items"][0]
    assert (item["original_topic"], item["reason"]) == ("runs.commands", "max_attempts")
    assert (await stack.http.get("/debug/dlq/peek?limit=0")).status_code == 422


async def test_the_documentation_needs_no_network(stack: Stack) -> None:
    page = (await stack.http.get("/docs")).text
    assert "cdn" not in page
    script = await stack.http.get("/static-offline-docs/swagger-ui-bundle.js")
    assert script.status_code == 200
    paths = (await stack.http.get("/openapi.json")).json()["paths"]
    assert {path: sorted(methods) for path, methods in paths.items()} == {
        "/debug/dlq/peek": ["get"],
        "/healthz": ["get"],
        "/runs": ["get", "post"],
        "/runs/{run_id}": ["get"],
        "/runs/{run_id}/cancel": ["post"],
        "/runs/{run_id}/dlq": ["get"],
        "/runs/{run_id}/emit": ["post"],
        "/runs/{run_id}/events": ["get"],
        "/runs/{run_id}/replay": ["post"],
        "/runs/{run_id}/steps": ["get"],
    }
    assert paths["/runs"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "StartRun"
    )


async def test_only_the_page_of_this_machine_may_call_it_from_a_browser(stack: Stack) -> None:
    async def allowed(origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer: httpx2.Response = await stack.http.options("/runs", headers=headers)
        return answer.headers.get("access-control-allow-origin")

    assert await allowed("http://localhost:3000") == "http://localhost:3000"
    assert await allowed("http://127.0.0.1:3000") == "http://127.0.0.1:3000"
    assert await allowed("https://evil.example") is None
