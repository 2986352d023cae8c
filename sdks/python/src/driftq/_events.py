"""Bytes of a stream to messages and events, resumable to the event.

A follower is a cursor: it remembers the last id it handed out and asks for what comes after it, over any
number of broken connections. It never repeats an event and never skips one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx2
from pydantic import ValidationError

from ._errors import UnexpectedAnswer
from ._types import Event, Message

__all__ = [
    "Lines",
    "SseBlock",
    "SseBlocks",
    "events_of",
    "events_of_blocking",
    "message_of",
    "resume_headers",
]

# The largest message is 1 MiB by default, an option at the broker; a line this long is no message.
LINE_BYTES_MAX = 64 * 1024 * 1024


class Lines:
    """Cuts chunks into lines; an unfinished line waits for its rest, an empty one is a heartbeat."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes."""
        self._rest += chunk
        if b"\n" not in chunk:
            if len(self._rest) > LINE_BYTES_MAX:
                raise UnexpectedAnswer(f"a line of the stream is longer than {LINE_BYTES_MAX} bytes")
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return [line for line in lines if line.strip()]


@dataclass(frozen=True, slots=True)
class SseBlock:
    """One whole block of an event stream, as it came, and the id it sets."""

    raw: bytes
    last_event_id: str | None


class SseBlocks:
    """Cuts an event stream into whole blocks without reading what is in them.

    Only whole blocks may be passed on: a torn one must not run into what the next connection says.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[SseBlock]:
        """The blocks that this chunk completes."""
        # The end of a block may be split over two chunks, so look a byte back.
        start, look_from = 0, max(0, len(self._rest) - 1)
        self._rest += chunk
        while (end := self._rest.find(b"\n\n", look_from)) >= 0:
            raw = bytes(self._rest[start : end + 2])
            yield SseBlock(raw, _block_id(raw))
            start = look_from = end + 2
        del self._rest[:start]
        if len(self._rest) > LINE_BYTES_MAX:
            raise UnexpectedAnswer(f"an event of the stream is longer than {LINE_BYTES_MAX} bytes")


def _block_id(raw: bytes) -> str | None:
    for line in raw.split(b"\n"):
        if line.startswith(b"id:"):
            return line[3:].strip().decode("ascii", errors="replace")
    return None


async def events_of(response: httpx2.Response) -> AsyncIterator[tuple[str, Event]]:
    """The events of one connection, each with the id to resume after."""
    async for sse in httpx2.EventSource(response, max_event_size=LINE_BYTES_MAX):
        if sse.data:
            yield sse.id, _event(sse.data)


def events_of_blocking(response: httpx2.Response) -> Iterator[tuple[str, Event]]:
    """The twin of `events_of` for the blocking client."""
    for sse in httpx2.EventSource(response, max_event_size=LINE_BYTES_MAX):
        if sse.data:
            yield sse.id, _event(sse.data)


def message_of(line: bytes) -> Message:
    """The message in one line of a consume stream."""
    try:
        return Message.model_validate_json(line)
    except ValidationError as error:
        raise UnexpectedAnswer(f"a line of the stream is no message: {error}") from error


def _event(data: str) -> Event:
    try:
        return Event.model_validate_json(data)
    except ValidationError as error:
        raise UnexpectedAnswer(f"a part of the stream is no event: {error}") from error


def resume_headers(last_event_id: str | None) -> dict[str, str]:
    """The headers that ask for a stream, right after an id."""
    headers = {"Accept": "text/event-stream"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    return headers
