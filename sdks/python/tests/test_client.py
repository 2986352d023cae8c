"""Requests, answers and retries of both clients, over a transport of our own."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

import driftq
from driftq import AsyncClient, Backoff, Client, Message, RetryConfig

NO_JSON: list[Any] = [object(), {"share": float("nan")}, [float("inf")], "\ud800", b"\xff", {object(): 1}]

Handler = Callable[[httpx2.Request], httpx2.Response]

MESSAGE = {"topic": "t", "group": "g", "owner": "o", "partition": 0, "offset": 7, "lease_id": "lease_1"}
CREATED = {
    "run_id": "run_1",
    "status": "queued",
    "replay_seq": 0,
    "events_topic": "runs.events.run_1",
    "created_at_ms": 1,
}


class Naps:
    """Stands in for sleeping: remembers how long."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


class Script:
    """Answers one request after the other, and keeps what was asked."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def body(self, index: int = 0) -> Any:
        return json.loads(self.asked[index].content)


def upper_end() -> Backoff:
    return Backoff(uniform=lambda _low, high: high)


def client_of(script: Handler, naps: Naps | None = None, **options: Any) -> AsyncClient:
    return AsyncClient(
        "http://broker:8080",
        transport=httpx2.MockTransport(script),
        sleep=naps or Naps(),
        retry=RetryConfig(backoff=upper_end()),
        **options,
    )


def refused(code: str, status: int, **more: Any) -> httpx2.Response:
    return httpx2.Response(status, json={"error": code, "message": "no", **more})


@pytest.mark.parametrize(
    "url", ["http://b:1", "http://b:1/", "http://b:1/v1", "http://b:1/v1/", " http://b:1 "]
)
def test_the_url_may_end_with_v1(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert AsyncClient(url).url == "http://b:1"
    monkeypatch.setenv("DRIFTQ_HTTP_URL", url)
    assert AsyncClient().url == "http://b:1"


def test_a_url_without_a_scheme_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        AsyncClient("localhost:8080")


async def test_the_token_travels_in_the_header_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTQ_TOKEN", "s3cret")
    script = Script(httpx2.Response(200, json={"status": "ok"}))
    client = client_of(script)
    await client.health()
    assert script.asked[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(client._settings)


async def test_every_produce_has_an_idempotency_key_and_keeps_it_over_its_retries() -> None:
    answer = {"status": "produced", "topic": "t", "partition": 0, "offset": 3}
    script = Script(httpx2.ReadError("reset"), refused("UNAVAILABLE", 503), httpx2.Response(200, json=answer))
    produced = await client_of(script).produce("t", {"n": 1})
    keys = {script.body(index)["envelope"]["idempotency_key"] for index in range(3)}
    assert len(keys) == 1
    assert produced.offset == 3
    assert "idempotency_fingerprint" not in script.body()


async def test_two_produces_have_two_keys() -> None:
    answer = {"topic": "t", "partition": 0, "offset": 0}
    script = Script(*(httpx2.Response(200, json=answer) for _ in range(2)))
    client = client_of(script)
    await client.produce("t", 1)
    await client.produce("t", 1)
    first, second = (script.body(index)["envelope"]["idempotency_key"] for index in range(2))
    assert first != second


async def test_a_key_of_ones_own_comes_with_a_fingerprint_of_the_payload() -> None:
    answer = {"topic": "t", "partition": 0, "offset": 0}
    script = Script(*(httpx2.Response(200, json=answer) for _ in range(4)))
    client = client_of(script)
    await client.produce("t", {"a": 1, "b": 2}, idempotency_key="k")
    await client.produce("t", {"b": 2, "a": 1}, idempotency_key="k")
    await client.produce("t", {"a": 2}, idempotency_key="k")
    await client.produce("t", {"a": 2}, idempotency_key="k", fingerprint=False)
    prints = [script.body(index).get("idempotency_fingerprint") for index in range(4)]
    assert prints[0] == prints[1]
    assert prints[0] != prints[2]
    assert prints[3] is None


async def test_values_keep_their_kind_also_very_large_numbers() -> None:
    answer = {"topic": "t", "partition": 0, "offset": 0}
    large = 123456789012345678901234567890
    script = Script(httpx2.Response(200, json=answer), httpx2.Response(200, json={**MESSAGE, "value": large}))
    client = client_of(script)
    await client.produce("t", large)
    assert script.asked[0].content.count(str(large).encode()) == 1
    message = await client.poll("t", "g")
    assert message is not None
    assert message.value == large


async def test_an_idle_poll_is_none() -> None:
    script = Script(httpx2.Response(200, content=b"null"), httpx2.Response(200, json=[]))
    client = client_of(script)
    assert await client.poll("t", "g") is None
    assert await client.poll_many("t", "g", most=10) == []
    assert script.asked[1].url.params["max"] == "10"


async def test_an_ack_tells_no_result_from_a_result_that_is_null() -> None:
    script = Script(httpx2.Response(204), httpx2.Response(204), httpx2.Response(204))
    client = client_of(script)
    message = Message.model_validate(MESSAGE)
    await client.ack(message)
    await client.ack(message, result=None)
    await client.ack(message, result="unset")
    assert "result" not in script.body(0)
    assert script.body(1)["result"] is None
    assert script.body(2)["result"] == "unset"
    assert script.body(0) == MESSAGE


async def test_a_replay_tells_no_input_from_an_input_that_is_null() -> None:
    answer = {"run_id": "run_1", "replay_seq": 1, "status": "queued"}
    script = Script(*(httpx2.Response(200, json=answer) for _ in range(3)))
    client = client_of(script)
    await client.replay_run("run_1")
    await client.replay_run("run_1", input=None)
    await client.replay_run("run_1", patch={"fail_at": None}, from_step="transform", actor="ann")
    assert [script.body(index) for index in range(3)] == [
        {},
        {"input": None},
        {"patch": {"fail_at": None}, "from_step": "transform", "actor": "ann"},
    ]


async def test_names_with_slashes_stay_one_part_of_the_path() -> None:
    stored = {"step": "a/b?", "output": 1, "stored": True}
    script = Script(httpx2.Response(200, json=stored))
    await client_of(script).put_step("run_1", "a/b?", 1, lease_id="l")
    assert script.asked[0].url.raw_path == b"/v1/runs/run_1/steps/a%2Fb%3F"


async def test_a_run_is_created_with_what_was_said_and_nothing_else() -> None:
    script = Script(httpx2.Response(201, json={**CREATED, "newer_field": 1}))
    created = await client_of(script).create_run("w", {"a": 1}, retry_policy={"max_attempts": 3})
    body = script.body()
    assert body.pop("idempotency_key").startswith("auto-")
    assert body == {"workflow": "w", "input": {"a": 1}, "retry_policy": {"max_attempts": 3}}
    assert created.run_id == "run_1"
    assert created.created is not None
    assert created.created.model_extra == {"newer_field": 1}


# -- retries -------------------------------------------------------------------------------------------


async def test_a_broker_that_is_down_is_named_with_the_command_that_starts_it() -> None:
    naps = Naps()
    script = Script(*(httpx2.ConnectError("refused") for _ in range(4)))
    with pytest.raises(driftq.Unreachable) as caught:
        await client_of(script, naps).health()
    said = "nothing answers at http://broker:8080, start it with `driftqd -addr broker:8080`"
    assert str(caught.value) == said
    assert naps.taken == [0.1, 0.2, 0.4]


async def test_the_pause_is_drawn_over_its_whole_range() -> None:
    drawn: list[tuple[float, float]] = []

    def lowest(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    naps = Naps()
    backoff = Backoff(base_s=1, cap_s=3, uniform=lowest)
    script = Script(*(httpx2.ConnectError("refused") for _ in range(4)))
    client = AsyncClient(
        "http://b:1", transport=httpx2.MockTransport(script), sleep=naps, retry=RetryConfig(backoff=backoff)
    )
    with pytest.raises(driftq.Unreachable):
        await client.health()
    assert drawn == [(0.0, 1.0), (0.0, 2.0), (0.0, 3.0)]


async def test_a_retry_after_is_obeyed_never_earlier() -> None:
    naps = Naps()
    answer = {"status": "ok"}
    full = httpx2.Response(
        429, headers={"Retry-After": "2"}, json={"error": "RESOURCE_EXHAUSTED", "message": "m"}
    )
    await client_of(Script(full, httpx2.Response(200, json=answer)), naps).health()
    assert naps.taken == [pytest.approx(2.1)]


async def test_a_retry_after_beyond_patience_is_the_callers_to_wait_for() -> None:
    naps = Naps()
    script = Script(refused("RESOURCE_EXHAUSTED", 429, retry_after_ms=31_000))
    with pytest.raises(driftq.ResourceExhausted) as caught:
        await client_of(script, naps).health()
    assert caught.value.retry_after_s == 31
    assert naps.taken == []


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "INTERNAL"])
async def test_what_is_not_retryable_is_asked_once(code: str) -> None:
    script = Script(refused(code, 400))
    with pytest.raises(driftq.ApiError):
        await client_of(script).produce("t", 1)
    assert len(script.asked) == 1


async def test_a_replay_whose_answer_got_lost_is_not_sent_again() -> None:
    script = Script(httpx2.ReadError("reset"))
    with pytest.raises(driftq.ConnectionLost):
        await client_of(script).replay_run("run_1")
    assert len(script.asked) == 1


async def test_a_replay_that_never_left_is_sent_again() -> None:
    answer = {"run_id": "run_1", "replay_seq": 1, "status": "queued"}
    script = Script(httpx2.ConnectError("refused"), httpx2.Response(200, json=answer))
    assert (await client_of(script).replay_run("run_1")).replay_seq == 1


async def test_an_answer_of_another_shape_is_no_crash_but_an_error_of_ours() -> None:
    script = Script(httpx2.Response(200, json={"surprise": 1}))
    with pytest.raises(driftq.UnexpectedAnswer, match="GET /v1/healthz answered 200"):
        await client_of(script).health()


def test_the_blocking_client_retries_alike() -> None:
    taken: list[float] = []
    script = Script(
        httpx2.ConnectError("refused"),
        refused("UNAVAILABLE", 503, retry_after_ms=500),
        httpx2.Response(200, json={"status": "ok"}),
    )
    client = Client(
        "http://b:1",
        transport=httpx2.MockTransport(script),
        sleep=taken.append,
        retry=RetryConfig(backoff=upper_end()),
    )
    assert client.health().status == "ok"
    assert taken == [pytest.approx(0.1), pytest.approx(0.6)]


@pytest.mark.parametrize("value", NO_JSON)
async def test_a_value_that_is_no_json_is_an_error_of_ours_and_nothing_is_sent(value: Any) -> None:
    script = Script()
    client = client_of(script)
    lease = Message.model_validate(MESSAGE)
    calls: list[Callable[[], Any]] = [
        lambda: client.produce("t", value),
        lambda: client.produce("t", value, idempotency_key="k"),
        lambda: client.produce_batch([driftq.NewMessage("t", 1), driftq.NewMessage("t", value)]),
        lambda: client.create_run("w", value),
        lambda: client.create_run("w", value, idempotency_key="k"),
        lambda: client.replay_run("run_1", input=value),
        lambda: client.replay_run("run_1", patch={"a": value}),
        lambda: client.put_step("run_1", "s", value, lease_id=None),
        lambda: client.append_events("run_1", [{"type": "x", "a": value}]),
        lambda: client.ack(lease, result=value),
        lambda: client.redrive_dead_letter("dlq.t", 0, 1, value=value),
    ]
    for call in calls:
        with pytest.raises(driftq.NotJson, match="cannot be written as JSON"):
            await call()
    with pytest.raises(driftq.NotJson, match="the value for topic 't'"):
        await client.produce("t", value)
    with pytest.raises(driftq.NotJson):
        await client.cancel_run("run_1", reason="\ud800")
    assert script.asked == []


async def test_the_words_nan_and_infinity_may_stand_in_a_text() -> None:
    script = Script(httpx2.Response(200, json={"topic": "t", "partition": 0, "offset": 1, "message_id": "m"}))
    await client_of(script).produce("t", "NaN is no Infinity")
    assert script.body()["value"] == "NaN is no Infinity"
