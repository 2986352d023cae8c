"""Talking HTTP with the standard library: health, JSON, and a stream of events."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from devstack.say import Failed

ASK_S_MAX = 5.0

# The broker and the API say something every 15 s; a stream that is silent for longer is dead.
STREAM_SILENCE_S_MAX = 45.0

# No proxy of the environment stands between us and this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def healthy(url: str) -> bool:
    """Whether it answers 200."""
    try:
        with _OPENER.open(url, timeout=ASK_S_MAX) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Returns as soon as the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not come within {seconds:g} s")
        time.sleep(0.05)


def ask(method: str, url: str, body: Any = None) -> Any:
    """A JSON request and its answer; a refusal is a `Failed` with the API's own words."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with _OPENER.open(request, timeout=ASK_S_MAX) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Failed(
            f"{method} {url} answered {error.code}: {error.read(500).decode(errors='replace')}"
        ) from error
    except OSError as error:
        raise Failed(f"{method} {url} did not answer: {error}") from error


def events(url: str, last_id: str | None, *, seconds: float) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """The events of a timeline with their ids, over broken connections, for at most so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        try:
            request = urllib.request.Request(url, headers=headers)
            with _OPENER.open(request, timeout=min(seconds, STREAM_SILENCE_S_MAX)) as stream:
                for found_id, event in _read(stream):
                    last_id = found_id or last_id
                    yield found_id, event
        except urllib.error.HTTPError as error:
            raise Failed(f"GET {url} answered {error.code}") from error
        except (OSError, http.client.HTTPException):
            # The connection broke: the next one goes on after the last event.
            time.sleep(0.2)


def _read(stream: Any) -> Iterator[tuple[str | None, dict[str, Any]]]:
    found_id: str | None = None
    data: str | None = None
    for raw in stream:
        text = raw.decode().rstrip("\r\n")
        if text.startswith("id:"):
            found_id = text[3:].strip()
        elif text.startswith("data:"):
            data = text[5:].strip()
        elif not text and data is not None:
            yield found_id, json.loads(data)
            found_id = data = None
