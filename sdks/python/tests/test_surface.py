"""Every route of the broker has its method, and every method says what its route takes."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from test_client import CREATED, MESSAGE

import driftq
from driftq import AsyncClient, DeadLetterFilter, Message, NewMessage, RetryPolicy

SPEC = Path(__file__).parents[3] / "spec/openapi.json"

# What only probes and scrapers ask, and what streams answer in another way.
NOT_OURS = {("GET", "/v1/livez"), ("GET", "/v1/openapi.json"), ("GET", "/metrics")}

Asked = tuple[str, str, dict[str, str], Any]

RUN = {"run_id": "run_1", "workflow": "w", "status": "queued"}
REPLAYED = {"run_id": "run_1", "replay_seq": 1, "status": "queued"}
JOB = {"job_id": "job_1", "status": "running", "matched": 3}
TOPIC = {"name": "t", "settings": {"idempotency_window_ms": 0}}
ATTEMPT = {"replay_seq": 0, "attempt": 1, "outcome": "failed"}
FAILED = {"attempt": 1}
ADDRESS = {"topic": "dlq.t", "partition": 0, "offset": 3}
LETTER = {**ADDRESS, "original_topic": "t", "original_partition": 0, "original_offset": 9}
RUN_LETTER = {"run_id": "run_1", "replay_seq": 0, "reason": "r", "error": {"message": "m"}, "command": {}}
EXPLAINED = {"topic": "t", "partition": 0, "offset": 1, "state": "waiting", "code": "due", "message": "m"}
WHICH = DeadLetterFilter(topic="t", fingerprint="abc")
message = Message.model_validate(MESSAGE)

#: A call, what the broker answers, and what must have been asked: method, path, query, body.
CALLS: list[tuple[Callable[[AsyncClient], Any], Any, Asked]] = [
    (lambda c: c.health(), {"status": "ok"}, ("GET", "/v1/healthz", {}, None)),
    (lambda c: c.ready(), {"status": "ready"}, ("GET", "/v1/readyz", {}, None)),
    (lambda c: c.version(), {"version": "1"}, ("GET", "/v1/version", {}, None)),
    (lambda c: c.stats(), {"version": "1", "runs": {"queued": 1}}, ("GET", "/v1/stats", {}, None)),
    (lambda c: c.clock(), {"now_ms": 1}, ("GET", "/v1/dev/clock", {}, None)),
    (
        lambda c: c.advance_clock(days=3, seconds=0.5),
        {"now_ms": 1},
        ("POST", "/v1/dev/clock", {}, {"advance_ms": 259_200_500}),
    ),
    (lambda c: c.list_topics(limit=2), {"topics": ["t"]}, ("GET", "/v1/topics", {"limit": "2"}, None)),
    (
        lambda c: c.list_topic_summaries(),
        {"topics": [{"name": "t", "partitions": 1}]},
        ("GET", "/v1/topics", {"detail": "1"}, None),
    ),
    (
        lambda c: c.create_topic("t", partitions=3, retry_policy=RetryPolicy(max_attempts=2)),
        {"status": "created", "name": "t", "partitions": 3},
        ("POST", "/v1/topics", {}, {"name": "t", "partitions": 3, "retry_policy": {"max_attempts": 2}}),
    ),
    (lambda c: c.get_topic("a b"), TOPIC, ("GET", "/v1/topics/a%20b", {}, None)),
    (
        lambda c: c.update_topic("t", retry_policy=None, idempotency_window_ms=0, reason="why"),
        TOPIC,
        ("PATCH", "/v1/topics/t", {}, {"retry_policy": None, "idempotency_window_ms": 0, "reason": "why"}),
    ),
    (lambda c: c.delete_topic("t", reason="why"), None, ("DELETE", "/v1/topics/t", {"reason": "why"}, None)),
    (
        lambda c: c.browse_topic("t", partition=1, start=0, limit=5),
        {"messages": []},
        ("GET", "/v1/topics/t/messages", {"partition": "1", "from": "0", "limit": "5"}, None),
    ),
    (lambda c: c.list_groups(topic="t"), {"groups": []}, ("GET", "/v1/groups", {"topic": "t"}, None)),
    (
        lambda c: c.seek_group("t", "g", to={"partition": 0, "offset": 7}, reason="again"),
        {"topic": "t", "group": "g", "partitions": [{"partition": 0, "offset": 7}]},
        (
            "POST",
            "/v1/groups/seek",
            {},
            {"topic": "t", "group": "g", "to": {"partition": 0, "offset": 7}, "reason": "again"},
        ),
    ),
    (
        lambda c: c.delete_group("t", "g"),
        None,
        ("DELETE", "/v1/groups", {"topic": "t", "group": "g"}, None),
    ),
    (
        lambda c: c.produce("t", 1, key="k", idempotency_key="i", deadline=datetime(2030, 1, 1, tzinfo=UTC)),
        {"offset": 1},
        (
            "POST",
            "/v1/produce",
            {},
            {
                "topic": "t",
                "key": "k",
                "value": 1,
                "envelope": {"idempotency_key": "i", "deadline": "2030-01-01T00:00:00+00:00"},
                "idempotency_fingerprint": ...,
            },
        ),
    ),
    (
        lambda c: c.produce_batch([NewMessage("t", 1), NewMessage("t", 2, key="k", idempotency_key="i")]),
        {"results": [{"offset": 1}, {"offset": 2}]},
        (
            "POST",
            "/v1/produce/batch",
            {},
            {
                "messages": [
                    {"topic": "t", "value": 1, "envelope": {"idempotency_key": ...}},
                    {
                        "topic": "t",
                        "value": 2,
                        "key": "k",
                        "envelope": {"idempotency_key": "i"},
                        "idempotency_fingerprint": ...,
                    },
                ]
            },
        ),
    ),
    (
        lambda c: c.poll("t", "g", owner="o", wait_ms=9, start="latest"),
        None,
        (
            "GET",
            "/v1/consume",
            {"topic": "t", "group": "g", "owner": "o", "mode": "poll", "wait_ms": "9", "start": "latest"},
            None,
        ),
    ),
    (lambda c: c.ack(message), None, ("POST", "/v1/ack", {}, MESSAGE)),
    (
        lambda c: c.nack(message, reason="r", retry_after_ms=5, retryable=False),
        None,
        ("POST", "/v1/nack", {}, {**MESSAGE, "reason": "r", "retry_after_ms": 5, "retryable": False}),
    ),
    (
        lambda c: c.extend(message, lease_ms=7),
        {"lease_until_ms": 1},
        ("POST", "/v1/extend", {}, {**MESSAGE, "lease_ms": 7}),
    ),
    (
        lambda c: c.retry_now("t", 0, 4, group="g", reason="now"),
        {"was": "backoff", "topic": "t", "partition": 0, "offset": 4},
        (
            "POST",
            "/v1/retry-now",
            {},
            {"topic": "t", "partition": 0, "offset": 4, "group": "g", "reason": "now"},
        ),
    ),
    (lambda c: c.explain(run_id="run_1"), EXPLAINED, ("GET", "/v1/explain", {"run_id": "run_1"}, None)),
    (
        lambda c: c.create_run("w", {"a": 1}, run_id="run_1", tags=["x"]),
        CREATED,
        (
            "POST",
            "/v1/runs",
            {},
            {"workflow": "w", "input": {"a": 1}, "run_id": "run_1", "idempotency_key": ..., "tags": ["x"]},
        ),
    ),
    (lambda c: c.list_runs(status="failed"), {"runs": []}, ("GET", "/v1/runs", {"status": "failed"}, None)),
    (lambda c: c.run("run_1").info(), RUN, ("GET", "/v1/runs/run_1", {}, None)),
    (
        lambda c: c.run("run_1").replay(from_step="s", actor="ann", reason="mended"),
        REPLAYED,
        ("POST", "/v1/runs/run_1/replay", {}, {"from_step": "s", "actor": "ann", "reason": "mended"}),
    ),
    (lambda c: c.run("run_1").cancel(), REPLAYED, ("POST", "/v1/runs/run_1/cancel", {}, {})),
    (
        lambda c: c.run("run_1").cancel(actor="ann", reason="a wrong number"),
        REPLAYED,
        ("POST", "/v1/runs/run_1/cancel", {}, {"actor": "ann", "reason": "a wrong number"}),
    ),
    (
        lambda c: c.run_events("run_1", after=3, limit=2),
        {"events": []},
        ("GET", "/v1/runs/run_1/events", {"after": "3", "limit": "2"}, None),
    ),
    (
        lambda c: c.append_events("run_1", [{"type": "a"}], lease_id="l"),
        {"first_seq": 1, "last_seq": 1},
        ("POST", "/v1/runs/run_1/events", {}, {"events": [{"type": "a"}], "lease_id": "l"}),
    ),
    (
        lambda c: c.put_step("run_1", "s", None, lease_id="l"),
        {"output": None},
        ("PUT", "/v1/runs/run_1/steps/s", {}, {"lease_id": "l", "output": None}),
    ),
    (lambda c: c.run("run_1").steps(), {"steps": []}, ("GET", "/v1/runs/run_1/steps", {}, None)),
    (lambda c: c.run("run_1").dead_letter(), RUN_LETTER, ("GET", "/v1/runs/run_1/dlq", {}, None)),
    (lambda c: c.run("run_1").attempts(), {"attempts": []}, ("GET", "/v1/runs/run_1/attempts", {}, None)),
    (
        lambda c: c.run("run_1").diff(a="0.1", b="1"),
        {"a": ATTEMPT, "b": ATTEMPT, "changed": [{"field": "outcome", "a": "failed", "b": 1}]},
        ("GET", "/v1/runs/run_1/diff", {"a": "0.1", "b": "1"}, None),
    ),
    (
        lambda c: c.run("run_1").token(ttl_ms=5),
        {"token": "dqr_x", "run_id": "run_1", "expires_at_ms": 1},
        ("POST", "/v1/runs/run_1/token", {}, {"ttl_ms": 5}),
    ),
    (
        lambda c: c.list_dead_letters(topic="t", q="boom", since_ms=0, limit=3),
        {"items": []},
        ("GET", "/v1/dlq", {"topic": "t", "q": "boom", "since_ms": "0", "limit": "3"}, None),
    ),
    (
        lambda c: c.list_fingerprints(WHICH),
        {"fingerprints": []},
        ("GET", "/v1/dlq/fingerprints", {"topic": "t", "fingerprint": "abc"}, None),
    ),
    (lambda c: c.get_dead_letter("dlq.t", 0, 3), LETTER, ("GET", "/v1/dlq/dlq.t/0/3", {}, None)),
    (
        lambda c: c.diff_dead_letter("dlq.t", 0, 3, a=1),
        {"a": FAILED, "b": FAILED},
        ("GET", "/v1/dlq/dlq.t/0/3/diff", {"a": "1"}, None),
    ),
    (
        lambda c: c.redrive_dead_letter("dlq.t", 0, 3, value={"fixed": 1}, reason="mended"),
        {"status": "redriven"},
        ("POST", "/v1/dlq/dlq.t/0/3/redrive", {}, {"value": {"fixed": 1}, "reason": "mended"}),
    ),
    (
        lambda c: c.discard_dead_letter("dlq.t", 0, 3, reason="known"),
        None,
        ("POST", "/v1/dlq/dlq.t/0/3/discard", {}, {"reason": "known"}),
    ),
    (
        lambda c: c.preview_redrive(WHICH),
        {"matched": 1, "sample": [{**ADDRESS, "original_topic": "t"}]},
        (
            "POST",
            "/v1/dlq/redrive",
            {},
            {"filter": {"topic": "t", "fingerprint": "abc"}, "dry_run": True},
        ),
    ),
    (
        lambda c: c.start_redrive(WHICH, rate_per_s=50, canary=10, stop_at_failure_share=0.1),
        JOB,
        (
            "POST",
            "/v1/dlq/redrive",
            {},
            {
                "filter": {"topic": "t", "fingerprint": "abc"},
                "rate_per_s": 50,
                "canary": 10,
                "stop_at_failure_share": 0.1,
            },
        ),
    ),
    (
        lambda c: c.list_redrive_jobs(status="running"),
        {"jobs": [JOB]},
        ("GET", "/v1/dlq/jobs", {"status": "running"}, None),
    ),
    (
        lambda c: c.get_redrive_job("job_1", wait_ms=5),
        JOB,
        ("GET", "/v1/dlq/jobs/job_1", {"wait_ms": "5"}, None),
    ),
    (lambda c: c.pause_redrive_job("job_1"), JOB, ("POST", "/v1/dlq/jobs/job_1/pause", {}, {})),
    (lambda c: c.resume_redrive_job("job_1"), JOB, ("POST", "/v1/dlq/jobs/job_1/resume", {}, {})),
    (
        lambda c: c.stop_redrive_job("job_1", reason="enough"),
        JOB,
        ("POST", "/v1/dlq/jobs/job_1/stop", {}, {"reason": "enough"}),
    ),
]


def same(wanted: Any, said: Any) -> bool:
    """Equal, where `...` stands for any value."""
    if wanted is ...:
        return bool(said)
    if isinstance(wanted, dict) and isinstance(said, dict):
        return wanted.keys() == said.keys() and all(same(wanted[name], said[name]) for name in wanted)
    if isinstance(wanted, list) and isinstance(said, list):
        return len(wanted) == len(said) and all(map(same, wanted, said))
    return bool(wanted == said)


@pytest.mark.parametrize(
    ("call", "answer", "wanted"), CALLS, ids=lambda value: "" if callable(value) else None
)
async def test_a_call_asks_what_its_route_takes(
    call: Callable[[AsyncClient], Any], answer: Any, wanted: Asked
) -> None:
    asked: list[httpx2.Request] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, content=json.dumps(answer))

    async with AsyncClient("http://b:1", transport=httpx2.MockTransport(broker)) as client:
        await call(client)
    request = asked[0]
    path = request.url.raw_path.decode().partition("?")[0]
    body = json.loads(request.content) if request.content else None
    assert (request.method, path, dict(request.url.params)) == wanted[:3]
    assert same(wanted[3], body), body


def operations() -> set[tuple[str, str]]:
    paths = json.loads(SPEC.read_text())["paths"]
    methods = {"get", "put", "post", "delete", "patch"}
    return {(method.upper(), path) for path, item in paths.items() for method in item if method in methods}


@pytest.mark.skipif(not SPEC.is_file(), reason="the broker's document is in its repository only")
def test_every_route_of_the_broker_has_its_method() -> None:
    reached = {(wanted[0], wanted[1]) for _, _, wanted in CALLS}

    def is_reached(method: str, path: str) -> bool:
        pattern = re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path))
        return any(method == asked and pattern.fullmatch(at) for asked, at in reached)

    missing = sorted(route for route in operations() - NOT_OURS if not is_reached(*route))
    assert not missing, f"the clients cannot ask {missing}"


async def test_a_job_is_watched_until_it_is_over_and_only_its_changes_are_told() -> None:
    states = [("running", 1), ("running", 1), ("running", 2), ("done", 3)]
    answers = iter([{**JOB, "status": status, "moved": moved} for status, moved in states])

    async def no_nap(_seconds: float) -> None:
        return None

    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, json=next(answers)))
    async with AsyncClient("http://b:1", transport=transport, sleep=no_nap) as client:
        seen = [(job.status, job.moved) async for job in client.watch_redrive_job("job_1")]
    assert seen == [("running", 1), ("running", 2), ("done", 3)]


def handle_over(*answers: Any) -> driftq.AsyncRunHandle:
    left = list(answers)
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, json=left.pop(0)))
    return AsyncClient("http://b:1", transport=transport).run("run_1")


async def test_a_result_is_waited_for_and_read_as_its_type() -> None:
    done = {**RUN, "status": "succeeded", "result": ["1", 2]}
    assert await handle_over(done).result() == ["1", 2]
    assert await handle_over(done).result(tuple[str, int]) == ("1", 2)
    assert await handle_over(RUN, done).result() == ["1", 2]


async def test_a_run_without_a_result_is_an_error_that_says_why() -> None:
    failed = {**RUN, "status": "failed", "attempts": 3, "error": {"message": "the model is busy"}}
    with pytest.raises(driftq.RunFailed, match="run_1 failed after 3 attempts: the model is busy") as caught:
        await handle_over(failed).result()
    assert caught.value.info.attempts == 3
    error = {"message": "the model is busy", "type": "ConnectionError"}
    said = "run_1 failed after 1 attempt: ConnectionError: the model is busy"
    with pytest.raises(driftq.RunFailed, match=said):
        await handle_over({**failed, "attempts": 1, "error": error}).result()
    with pytest.raises(driftq.RunCancelled, match="was cancelled"):
        await handle_over({**RUN, "status": "cancelled"}).result()
    with pytest.raises(TimeoutError, match="is queued after 0 s"):
        await handle_over(RUN).result(timeout_s=0)


async def test_a_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        await AsyncClient("http://b:1").advance_clock(days=-1)


async def test_an_actor_is_named_with_every_request() -> None:
    asked: list[str | None] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("x-driftq-actor"))
        return httpx2.Response(200, json={"status": "ok"})

    async with AsyncClient("http://b:1", actor="ann", transport=httpx2.MockTransport(broker)) as client:
        await client.health()
    assert asked == ["ann"]


@pytest.mark.parametrize(
    ("actor", "header"),
    [
        ("bob", b"bob"),
        ("Jörg Müller", "Jörg Müller".encode()),
        ("bob\r\nAuthorization: Bearer x", b"ann"),
    ],
)
async def test_who_replays_or_cancels_is_named_in_a_header_unless_it_cannot_stand_there(
    actor: str, header: bytes
) -> None:
    asked: list[bytes] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        asked.extend(value for name, value in request.headers.raw if name.lower() == b"x-driftq-actor")
        return httpx2.Response(200, json=REPLAYED)

    async with AsyncClient("http://b:1", actor="ann", transport=httpx2.MockTransport(broker)) as client:
        await client.run("run_1").replay(actor=actor)
        await client.run("run_1").cancel(actor=actor)
    assert asked == [header] * 2


def test_an_authority_that_cannot_be_read_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.pem cannot be used"):
        driftq.Client("https://b", ca_cert=tmp_path / "nowhere.pem")
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ValueError, match=r"empty\.pem cannot be used"):
        driftq.Client("https://b", ca_cert=tmp_path / "empty.pem")


async def test_every_page_is_asked_for_and_none_twice() -> None:
    asked: list[str | None] = []

    def broker(request: httpx2.Request) -> httpx2.Response:
        cursor = request.url.params.get("cursor")
        asked.append(cursor)
        at = int(cursor or 0)
        more = {} if at == 2 else {"next_cursor": str(at + 1)}
        letters = [] if at == 1 else [{**LETTER, "offset": at}]
        runs = [{**RUN, "run_id": f"run_{at}"}]
        return httpx2.Response(200, json={"items": letters, "runs": runs, **more})

    async with AsyncClient("http://b:1", transport=httpx2.MockTransport(broker)) as client:
        # A page may be empty although more pages follow.
        assert [letter.place[2] async for letter in client.iter_dead_letters(WHICH, q="x")] == [0, 2]
        assert [run.run_id async for run in client.iter_runs(status="failed")] == ["run_0", "run_1", "run_2"]
    assert asked == [None, "1", "2"] * 2
