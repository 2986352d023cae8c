"""Cutting streams, and resuming them."""

import json
import random
from collections.abc import AsyncIterator

import httpx2
import pytest

import driftq
from driftq import AsyncClient, Client
from driftq._events import Lines, SseBlocks

ITEM = {"topic": "t", "group": "g", "owner": "o", "partition": 0, "offset": 0, "value": "x"}


class Body(httpx2.AsyncByteStream):
    """Chunks as the network might cut them, and perhaps a break at the end."""

    def __init__(self, *chunks: bytes, breaks: bool = False) -> None:
        self._chunks = chunks
        self._breaks = breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._breaks:
            raise httpx2.ReadError("reset")


async def no_nap(_seconds: float) -> None:
    return None


def event(seq: int) -> bytes:
    return f"id: {seq}\ndata: {json.dumps({'seq': seq, 'type': 'run.log'})}\n\n".encode()


def cut(whole: bytes, seed: int) -> list[bytes]:
    draw = random.Random(seed)
    chunks = []
    while whole:
        size = draw.randint(1, 9)
        chunks.append(whole[:size])
        whole = whole[size:]
    return chunks


@pytest.mark.parametrize("seed", range(20))
def test_lines_are_the_same_however_the_network_cuts_them(seed: int) -> None:
    whole = b'{"a":1}\n\n\n{"b":"x y"}\n{"c":3}\n{"unfinished'
    lines = Lines()
    assert [line for chunk in cut(whole, seed) for line in lines.feed(chunk)] == [
        b'{"a":1}',
        b'{"b":"x y"}',
        b'{"c":3}',
    ]


@pytest.mark.parametrize("seed", range(20))
def test_blocks_are_whole_and_unchanged_however_the_network_cuts_them(seed: int) -> None:
    parts = [b"retry: 2000\n\n", event(1), b": a comment\n\n", event(2), b"id: 3\ndata: {}\n\n"]
    blocks = SseBlocks()
    found = [
        block for chunk in cut(b"".join(parts) + b"id: 4\ndata: {", seed) for block in blocks.feed(chunk)
    ]
    assert [block.raw for block in found] == parts
    assert [block.last_event_id for block in found] == [None, "1", None, "2", "3"]


async def test_a_follower_resumes_after_the_last_whole_event_and_skips_none() -> None:
    asked: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        headers = {"content-type": "text/event-stream"}
        match len(asked):
            case 1:
                # The third event is torn: it was not seen, so it must come again.
                torn = Body(b"retry: 2000\n\n" + event(1) + event(2) + event(3)[:12], breaks=True)
                return httpx2.Response(200, headers=headers, stream=torn)
            case 2:
                raise httpx2.ConnectError("refused")
            case 3:
                return httpx2.Response(200, headers=headers, stream=Body(event(3), event(4)))
            case _:
                return httpx2.Response(204)

    client = AsyncClient("http://b:1", transport=httpx2.MockTransport(answer), sleep=no_nap)
    events = [event async for event in client.follow_run("run_1", until="terminal")]
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert asked == [None, "2", "2", "4"]


async def test_a_run_that_is_absent_ends_the_following_at_once() -> None:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, json={"error": "NOT_FOUND", "message": "no run"})

    client = AsyncClient("http://b:1", transport=httpx2.MockTransport(answer), sleep=no_nap)
    with pytest.raises(driftq.NotFound):
        await anext(client.follow_run("run_1"))


async def test_a_consumer_comes_back_after_the_stream_broke() -> None:
    opened = 0

    def answer(_request: httpx2.Request) -> httpx2.Response:
        nonlocal opened
        opened += 1
        line = json.dumps({**ITEM, "offset": opened}).encode() + b"\n"
        return httpx2.Response(200, stream=Body(b"\n", line, b'{"torn', breaks=True))

    client = AsyncClient("http://b:1", transport=httpx2.MockTransport(answer), sleep=no_nap)
    offsets = []
    async for message in client.consume("t", "g", owner="o"):
        offsets.append(message.offset)
        if len(offsets) == 3:
            break
    assert offsets == [1, 2, 3]


async def test_a_consumer_that_must_not_reconnect_says_what_broke() -> None:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, stream=Body(json.dumps(ITEM).encode() + b"\n", breaks=True))

    client = AsyncClient("http://b:1", transport=httpx2.MockTransport(answer), sleep=no_nap)
    stream = client.consume("t", "g", owner="o", reconnect=False)
    assert (await anext(stream)).offset == 0
    with pytest.raises(driftq.ConnectionLost):
        await anext(stream)


async def test_an_unknown_topic_is_raised_and_not_waited_for() -> None:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(400, json={"error": "INVALID_ARGUMENT", "message": "unknown topic"})

    client = AsyncClient("http://b:1", transport=httpx2.MockTransport(answer), sleep=no_nap)
    with pytest.raises(driftq.InvalidArgument, match="unknown topic"):
        await anext(client.consume("t", "g", owner="o"))


def test_the_blocking_client_follows_alike() -> None:
    asked: list[str | None] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("last-event-id"))
        if len(asked) > 2:
            return httpx2.Response(204)
        content = event(1) + event(2)[:9] if len(asked) == 1 else event(2)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=content)

    client = Client("http://b:1", transport=httpx2.MockTransport(answer), sleep=lambda _seconds: None)
    assert [event.seq for event in client.follow_run("run_1", until="terminal")] == [1, 2]
    assert asked == [None, "1", "2"]
