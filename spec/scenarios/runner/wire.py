"""Raw HTTP: the adapter that knows the OpenAPI document and nothing else.

Promise: every answer is held to what all answers must have: a request id, the media type, whole error bodies,
`Retry-After` and `Allow` where they belong, an id on each event of a stream.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from .adapter import UNSEEN, Call, Outcome, Refusal, Stream

_JSON = "application/json; charset=utf-8"
_ANSWER_S = 65
_METHODS = ("get", "post", "put", "delete", "patch")
_BY_PATH = re.compile(r"(GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS) (/\S*)")


@dataclass(frozen=True, slots=True)
class Operation:
    """Where an operation lies, and what it takes."""

    method: str
    path: str
    takes: frozenset[str]

    @property
    def in_path(self) -> list[str]:
        """The names within its path."""
        return re.findall(r"\{(\w+)\}", self.path)


def operations_of(document: Mapping[str, Any]) -> dict[str, Operation]:
    """Every operation of an OpenAPI document by its id."""
    found = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                found[operation["operationId"]] = Operation(method.upper(), path, _takes(document, operation))
    return found


def _takes(document: Mapping[str, Any], operation: Mapping[str, Any]) -> frozenset[str]:
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schemas = [media.get("schema", {})]
    while schemas:
        schema = schemas.pop()
        if "$ref" in schema:
            schemas.append(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
        names |= schema.get("properties", {}).keys()
        for choice in ("oneOf", "anyOf", "allOf"):
            schemas += schema.get(choice, [])
    return frozenset(names)


class Wire:
    """Speaks HTTP/1.1 to one server; a connection a request, so that threads need no order."""

    def __init__(self, address: str) -> None:
        self._address = address
        outcome = self._exchange("GET", "/v1/openapi.json", None, {})
        # A server with tokens shows its document to nobody without one.
        self.operations = operations_of(outcome.body) if outcome.status == 200 else {}

    def learn(self, operations: dict[str, Operation]) -> None:
        """Takes over what another server's document says."""
        self.operations = operations

    def knows(self, call: Call) -> bool:
        """Whether the server has the operation; a method and path of its own is always known."""
        return call.operation in self.operations or _BY_PATH.fullmatch(call.operation) is not None

    def call(self, call: Call) -> Outcome:
        """One request and its whole answer."""
        method, target, body, headers = self._request(call)
        return self._exchange(method, target, body, headers)

    def open(self, call: Call) -> Stream | Outcome:
        """A request whose answer goes on."""
        method, target, body, headers = self._request(call)
        if call.operation == "read_events":
            headers.setdefault("accept", "text/event-stream")
        connection = http.client.HTTPConnection(self._address, timeout=_ANSWER_S)
        connection.request(method, target, body, headers)
        sock = connection.sock
        answer = connection.getresponse()
        media = answer.headers.get("content-type", "")
        if answer.status == 200 and media.startswith("application/x-ndjson"):
            return Lines(connection, sock, answer)
        if answer.status == 200 and media.startswith("text/event-stream"):
            return Events(connection, sock, answer)
        return self._outcome(connection, answer)

    def start(self, call: Call) -> Waiting:
        """A request whose answer is awaited beside others."""
        return Waiting(self, *self._request(call))

    def close(self) -> None:
        """Nothing is kept open."""

    def _request(self, call: Call) -> tuple[str, str, bytes | None, dict[str, str]]:
        named = self.operations.get(call.operation)
        if named is None:
            found = _BY_PATH.fullmatch(call.operation)
            if found is None:
                raise LookupError(f"the server has no operation {call.operation!r}")
            named = Operation(found[1], found[2], frozenset())
        args = dict(call.args)
        path = named.path
        for name in named.in_path:
            path = path.replace(f"{{{name}}}", quote(_plain(args.pop(name)), safe=""))
        headers = {name.lower(): value for name, value in call.headers.items()}
        body: bytes | None = None
        query = dict(call.query or {})
        if call.raw is not None:
            body = call.raw.encode()
        elif call.body is not UNSEEN:
            body = json.dumps(call.body).encode()
        elif named.method in ("POST", "PUT", "PATCH") and (args or call.query is None):
            body = json.dumps(args).encode()
        else:
            query |= args
        if body and call.raw is None:
            headers.setdefault("content-type", "application/json")
        pairs = {name: _plain(value) for name, value in query.items()}
        separator = "&" if "?" in path else "?"
        return named.method, path + (separator + urlencode(pairs) if pairs else ""), body, headers

    def _exchange(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Outcome:
        connection = http.client.HTTPConnection(self._address, timeout=_ANSWER_S)
        connection.request(method, target, body, dict(headers))
        return self._outcome(connection, connection.getresponse())

    def _outcome(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Outcome:
        try:
            text = answer.read().decode()
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        is_json = "json" in headers.get("content-type", "") and text != ""
        body = json.loads(text) if is_json else (text or None)
        _hold(answer.status, headers, body)
        refusal = None
        if answer.status >= 400 and isinstance(body, dict) and "error" in body:
            refusal = Refusal(body["error"], body["message"], body.get("reason"), body.get("retry_after_ms"))
        return Outcome(body, answer.status, headers, text, refusal)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _hold(status: int, headers: Mapping[str, str], body: Any) -> None:
    """What every answer must have."""
    assert headers.get("x-request-id"), f"an answer with {status} lacks X-Request-Id"
    if status == 204:
        assert body is None, f"a 204 has a body: {body!r}"
        return
    if status < 400:
        return
    media = headers.get("content-type")
    assert media in (_JSON, "application/problem+json"), f"an error has the media type {media}"
    if isinstance(body, dict) and status == 503 and "error" not in body:
        return  # readyz
    missing = {"error", "message", "type", "title", "status", "detail", "retryable"} - body.keys()
    assert not missing, f"an error lacks {missing}: {body}"
    assert body["status"] == status, body
    slug = body["error"].lower().replace("_", "-")
    assert body["type"] == f"urn:driftq:error:{slug}", body
    assert body["retryable"] == (status in (429, 503)), body
    assert ("allow" in headers) == (status == 405), f"Allow belongs to 405: {status} {headers}"
    if status in (429, 503):
        wait = body["retry_after_ms"]
        assert int(headers["retry-after"]) == -(-wait // 1000), (headers, body)
    if status == 401:
        assert headers.get("www-authenticate", "").startswith("Bearer"), headers


class Waiting:
    """A request that is on its way."""

    def __init__(
        self, wire: Wire, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> None:
        self._wire = wire
        self._connection = http.client.HTTPConnection(wire._address, timeout=_ANSWER_S)
        self._connection.request(method, target, body, headers)
        self._sock = self._connection.sock

    def wait(self) -> Outcome:
        """Its answer."""
        return self._wire._outcome(self._connection, self._connection.getresponse())

    def abandon(self) -> None:
        """Leaves without reading the answer."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class _Chunks:
    """An answer that goes on, line by line; a thread reads it, so that a reader may give up waiting."""

    def __init__(
        self, connection: http.client.HTTPConnection, sock: socket.socket, answer: http.client.HTTPResponse
    ) -> None:
        headers = {name.lower(): value for name, value in answer.getheaders()}
        assert headers.get("x-request-id"), "a stream lacks X-Request-Id"
        self.headers = headers
        self._connection, self._sock, self._answer = connection, sock, answer
        self._lines: list[str] = []
        self._has_ended = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._answer:
                with self._changed:
                    self._lines.append(line.decode().rstrip("\n"))
                    self._changed.notify_all()
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def line(self, within_s: float) -> str:
        with self._changed:
            is_there = self._changed.wait_for(lambda: self._lines or self._has_ended, within_s)
            if not is_there:
                raise TimeoutError("nothing came in time")
            if not self._lines:
                raise EOFError("the stream has ended")
            return self._lines.pop(0)

    def close(self) -> None:
        """Leaves the stream."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class Lines(_Chunks):
    """Consumed messages, one JSON object a line."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        assert self.headers["content-type"] == "application/x-ndjson; charset=utf-8", self.headers

    def next(self, within_s: float) -> Any:
        """The next message."""
        while True:
            line = self.line(within_s)
            if line:
                return json.loads(line)


class Events(_Chunks):
    """Events of a timeline."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        assert self.headers.get("cache-control") == "no-cache, no-transform", self.headers
        assert self.headers.get("x-accel-buffering") == "no", self.headers
        assert "content-encoding" not in self.headers, self.headers

    def next(self, within_s: float) -> Any:
        """The next event; its id is held to its number."""
        data, number = None, None
        while True:
            line = self.line(within_s)
            if line == "" and data is not None:
                assert number is not None, f"an event without an id: {data}"
                event = json.loads(data)
                wanted = event["first_seq"] - 1 if event["type"] == "timeline.reset" else event["seq"]
                assert number == str(wanted), (number, event)
                return event
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            assert name != "event", f"events have no name of their own: {line}"
            if name == "data":
                assert data is None, "an event has one line of data"
                data = value
            elif name == "id":
                number = value
