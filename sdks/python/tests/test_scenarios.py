"""The scenarios of `spec/scenarios`, played through both clients: what holds on the wire holds in Python."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from driftq import ApiError, AsyncClient, Client, DeadLetterFilter, ErrorInfo, Message, NewMessage

REPOSITORY = Path(__file__).parents[3]
sys.path.insert(0, str(REPOSITORY / "spec/scenarios"))

from runner import (  # type: ignore[import-not-found]  # noqa: E402 - it lies in another folder
    UNSEEN,
    Adapter,
    Call,
    Outcome,
    Refusal,
    Story,
    Stream,
    Suite,
    can_play,
    load_all,
)

#: Fewer than this, and the adapter has lost a method.
STORIES_MIN = 60

Arguments = dict[str, Any]


# -- from an operation to a method -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Method:
    """A client's method for an operation: which arguments of the wire it takes, under which names."""

    name: str
    takes: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    #: What it returns is what the broker answered (otherwise the body is not seen).
    returns: bool = True
    #: Under which member the broker answers what the method returns bare.
    within: str | None = None
    always: Mapping[str, Any] = field(default_factory=dict)

    def knows(self, args: Mapping[str, Any]) -> bool:
        return args.keys() <= {*self.takes, *self.renamed}


MESSAGE = (
    *("topic", "value", "key", "idempotency_key", "headers", "delay_ms", "deliver_at_ms", "tenant_id"),
    *("retry_policy", "run_id", "step_id", "parent_step_id", "target_topic", "partition", "deadline"),
)
ENVELOPE = {"partition_override": "partition"}
SETTINGS = (
    "retry_policy",
    "idempotency_window_ms",
    "partition_max_messages",
    "partition_max_bytes",
    "retention",
)
FILTER = ("topic", "group", "run_id", "reason", "fingerprint", "tenant_id", "since_ms", "until_ms")
PLACE = ("topic", "partition", "offset")
PAGE = ("limit", "cursor")
JOB = ("job_id", "reason")

METHODS: Mapping[str, Method] = {
    "healthz": Method("health"),
    "readyz": Method("ready"),
    "version": Method("version"),
    "stats": Method("stats"),
    "show_clock": Method("clock"),
    "list_topics": Method("list_topics", PAGE),
    "create_topic": Method("create_topic", ("name", "partitions", *SETTINGS, "routing"), returns=False),
    "show_topic": Method("get_topic", renamed={"topic": "name"}),
    "browse_topic": Method("browse_topic", ("partition", "limit"), {"topic": "name", "from": "start"}),
    "patch_topic": Method("update_topic", (*SETTINGS, "routing", "reason"), {"topic": "name"}),
    "delete_topic": Method("delete_topic", ("reason",), {"topic": "name"}, returns=False),
    "produce": Method("produce", MESSAGE, always={"fingerprint": False}),
    "produce_batch": Method("produce_batch", ("messages",), within="results"),
    "ack": Method("ack", ("result",), {"msg": "message"}, returns=False),
    "nack": Method(
        "nack", ("reason", "error", "retry_after_ms", "retryable"), {"msg": "message"}, returns=False
    ),
    "extend": Method("extend", ("lease_ms",), {"msg": "message"}),
    "retry_now": Method("retry_now", (*PLACE, "group", "run_id", "reason")),
    "explain": Method("explain", (*PLACE, "group", "run_id")),
    "list_groups": Method("list_groups", ("topic", *PAGE)),
    "seek_group": Method("seek_group", ("topic", "group", "to", "reason")),
    "delete_group": Method("delete_group", ("topic", "group", "reason"), returns=False),
    "start_run": Method(
        "create_run",
        (
            *("workflow", "input", "run_id", "idempotency_key", "tenant_id", "topic", "group"),
            *("retry_policy", "deliver_at_ms", "tags"),
        ),
        always={"fingerprint": False},
    ),
    "list_runs": Method("list_runs", ("status", "workflow", "tenant_id", "tag", *PAGE)),
    "show_run": Method("get_run", ("run_id",)),
    "replay_run": Method("replay_run", ("run_id", "input", "patch", "from_step", "fresh", "actor", "reason")),
    "cancel_run": Method("cancel_run", ("run_id", "actor", "reason")),
    "read_events": Method("run_events", ("run_id", "after", "limit")),
    "append_events": Method("append_events", ("run_id", "events", "lease_id")),
    "store_step": Method("put_step", ("run_id", "step", "output", "lease_id", "duration_ms")),
    "list_steps": Method("run_steps", ("run_id",), within="steps"),
    "show_run_dead_letter": Method("run_dlq", ("run_id", "replay_seq")),
    "list_attempts": Method("run_attempts", ("run_id", *PAGE)),
    "diff_attempts": Method("diff_run", ("run_id", "a", "b")),
    "make_run_token": Method("create_run_token", ("run_id", "ttl_ms")),
    "list_dead_letters": Method("list_dead_letters", (*FILTER, "q", *PAGE)),
    "list_fingerprints": Method("list_fingerprints", ("filter", *PAGE)),
    "show_dead_letter": Method("get_dead_letter", PLACE),
    "diff_dead_letter": Method("diff_dead_letter", (*PLACE, "a", "b")),
    "redrive_dead_letter": Method(
        "redrive_dead_letter", (*PLACE, "value", "target_topic", "all_groups", "reason")
    ),
    "discard_dead_letter": Method("discard_dead_letter", (*PLACE, "reason"), returns=False),
    "start_redrive_job": Method(
        "start_redrive", ("filter", "rate_per_s", "canary", "stop_at_failure_share", "reason")
    ),
    "list_redrive_jobs": Method("list_redrive_jobs", ("status", *PAGE)),
    "show_redrive_job": Method("get_redrive_job", ("job_id", "wait_ms")),
    "pause_redrive_job": Method("pause_redrive_job", JOB),
    "resume_redrive_job": Method("resume_redrive_job", JOB),
    "stop_redrive_job": Method("stop_redrive_job", JOB),
}
POLL = Method("poll", ("topic", "group", "owner", "lease_ms", "wait_ms", "start"))
POLL_MANY = Method("poll_many", POLL.takes, {"max": "most"})
WAIT = Method("wait_run", ("run_id",), {"wait_ms": "timeout_s"})
PREVIEW = Method("preview_redrive", ("filter",))
STREAM = Method("consume", ("topic", "group", "owner", "lease_ms", "max_in_flight", "start"))
FOLLOW = Method("follow_run", ("run_id", "until"), {"last_event_id": "after"})


def flattened(call: Call) -> Arguments:
    """A call's arguments without what only says which method is meant."""
    args = dict(call.args)
    if call.operation == "produce":
        envelope = args.pop("envelope", {})
        args |= {ENVELOPE.get(name, name): value for name, value in envelope.items()}
    if call.operation == "consume":
        args.pop("mode", None)
    if call.operation == "list_fingerprints":
        wanted = {name: args.pop(name) for name in FILTER if name in args}
        args |= {"filter": wanted} if wanted else {}
    if call.operation == "start_redrive_job" and args.get("dry_run"):
        args.pop("dry_run")
    return args


def method_of(call: Call) -> Method | None:
    """The method that makes this call."""
    if call.operation == "consume":
        if call.args.get("mode") == "stream":
            return STREAM
        return POLL_MANY if "max" in call.args else POLL
    if call.operation == "show_run" and "wait_ms" in call.args:
        return WAIT
    if call.operation == "start_redrive_job" and call.args.get("dry_run"):
        return PREVIEW
    return METHODS.get(call.operation)


def keywords(method: Method, args: Arguments) -> Arguments:
    """Arguments of the wire as the method takes them."""
    found = {method.renamed.get(name, name): value for name, value in args.items()}
    if "message" in found:
        found["message"] = Message.model_validate(found["message"])
    if "error" in found:
        found["error"] = ErrorInfo.model_validate(found["error"])
    if "filter" in found:
        found["filter"] = DeadLetterFilter(**found["filter"])
    if "deadline" in found:
        found["deadline"] = datetime.fromisoformat(found["deadline"])
    if "messages" in found:
        found["messages"] = [NewMessage(**{**message, "fingerprint": False}) for message in found["messages"]]
    if "timeout_s" in found:
        found["timeout_s"] /= 1000
    if "after" in found and method is FOLLOW:
        found["after"] = int(found["after"])
    return {**method.always, **found}


def body_of(method: Method, returned: Any) -> Any:
    """What the broker answered, as JSON."""
    if not method.returns:
        return UNSEEN
    created = getattr(returned, "created", returned)
    plain = [plainly(item) for item in created] if isinstance(created, list) else plainly(created)
    return {method.within: plain} if method.within else plain


def plainly(value: Any) -> Any:
    """A model as it came over the wire."""
    return value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else value


def refused(error: ApiError) -> Outcome:
    """An exception as a refusal."""
    after_ms = error.body.get("retry_after_ms")
    return Outcome(
        dict(error.body),
        error.status,
        refusal=Refusal(error.code, error.message, error.reason, after_ms),
    )


def knows(call: Call) -> bool:
    """Whether a client has a method that takes these arguments."""
    if call.operation == "read_events" and call.args.keys() & {"last_event_id", "until"}:
        return FOLLOW.knows(call.args)
    method = method_of(call)
    return method is not None and method.knows(flattened(call))


# -- streams ---------------------------------------------------------------------------------------------


class Items:
    """What a stream brought, from the thread that reads it to the one that plays the story."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave
        self._arrived: queue.Queue[Any] = queue.Queue()

    def put(self, item: Any) -> None:
        self._arrived.put(plainly(item))

    def end(self, error: BaseException | None = None) -> None:
        self._arrived.put(error or EOFError("the stream has ended"))

    def next(self, within_s: float) -> Any:
        try:
            item = self._arrived.get(timeout=max(within_s, 0.001))
        except queue.Empty:
            raise TimeoutError("nothing came in time") from None
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        self._leave()


# -- the two clients -------------------------------------------------------------------------------------


class Blocking:
    """Through `Client`."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}"
        self._client = Client(self._url)

    def knows(self, call: Call) -> bool:
        return knows(call)

    def call(self, call: Call) -> Outcome:
        method = method_of(call)
        assert method is not None
        try:
            returned = getattr(self._client, method.name)(**keywords(method, flattened(call)))
        except ApiError as error:
            return refused(error)
        return Outcome(body_of(method, returned))

    def open(self, call: Call) -> Stream | Outcome:
        method = FOLLOW if call.operation == "read_events" else STREAM
        client = Client(self._url)
        iterator = getattr(client, method.name)(**keywords(method, flattened(call)))
        items = Items(client.close)

        def read() -> None:
            try:
                for item in iterator:
                    items.put(item)
            except Exception as error:  # closed under the reader, or refused
                items.end(error)
            else:
                items.end()

        threading.Thread(target=read, daemon=True).start()
        return items

    def close(self) -> None:
        self._client.close()


class Asynchronous:
    """Through `AsyncClient`, on an event loop of its own."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = AsyncClient(f"http://{address}")

    def knows(self, call: Call) -> bool:
        return knows(call)

    def _start(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, call: Call) -> Outcome:
        method = method_of(call)
        assert method is not None
        try:
            work = getattr(self._client, method.name)(**keywords(method, flattened(call)))
            returned = self._start(work).result(timeout=65)
        except ApiError as error:
            return refused(error)
        return Outcome(body_of(method, returned))

    def open(self, call: Call) -> Stream | Outcome:
        method = FOLLOW if call.operation == "read_events" else STREAM
        iterator = getattr(self._client, method.name)(**keywords(method, flattened(call)))
        reading: list[Future[Any]] = []
        items = Items(lambda: stopped(reading[0]))
        reading.append(self._start(read_all(iterator, items)))
        return items

    def close(self) -> None:
        self._start(self._client.aclose()).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


async def read_all(iterator: AsyncGenerator[Any], items: Items) -> None:
    try:
        async for item in iterator:
            items.put(item)
    except Exception as error:  # handed to whoever reads the story
        items.end(error)
    else:
        items.end()
    finally:
        await iterator.aclose()


def stopped(reading: Future[Any]) -> None:
    """Leaves a stream, and waits until it is left."""
    reading.cancel()


# -- the stories -----------------------------------------------------------------------------------------


STORIES: list[Story] = [story for story in load_all() if can_play(story, knows)]


@pytest.fixture(scope="module", params=[Blocking, Asynchronous], ids=["sync", "async"])
def suite(request: pytest.FixtureRequest, driftqd_binary: Path) -> Iterator[Suite]:
    connect: Callable[[str], Adapter] = request.param
    suite = Suite(str(driftqd_binary), connect)
    yield suite
    suite.close()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_story_of_the_wire_is_the_same_through_the_client(story: Story, suite: Suite) -> None:
    verdict, why = suite.run(story)
    if verdict == "skipped" and os.environ.get("DRIFTQ_ALLOW_SKIPS"):
        pytest.skip(why)
    assert verdict == "passed", why


def test_the_clients_play_most_stories() -> None:
    assert len(STORIES) >= STORIES_MIN, [story.name for story in STORIES]


def test_every_operation_that_a_client_has_is_one_of_the_wire() -> None:
    for name in {
        method.name for method in [*METHODS.values(), POLL, POLL_MANY, WAIT, PREVIEW, STREAM, FOLLOW]
    }:
        assert callable(getattr(Client, name)), name
        assert callable(getattr(AsyncClient, name)), name
