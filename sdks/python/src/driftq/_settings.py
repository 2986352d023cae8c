"""Where the broker is and how it is asked: what the blocking and the asynchronous client share.

Nothing here does IO. The environment is read once, when a client is made.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from pydantic import ValidationError
from pydantic_core import from_json

from . import _tracing as tracing
from ._errors import (
    ConnectionLost,
    DriftqError,
    UnexpectedAnswer,
    Unreachable,
    Untrusted,
    error_from_answer,
)
from ._requests import Call, actor_header
from ._retry import RetryConfig
from ._version import __version__

T = TypeVar("T")

DEFAULT_URL = "http://localhost:8080"
USER_AGENT = f"driftq-python/{__version__}"

# The broker says something on a stream every 15 s; after three times that the connection is dead.
STREAM_SILENCE_S_MAX = 45.0


@dataclass(frozen=True, slots=True)
class Settings:
    """A client's address, token and manners."""

    url: str
    token: str | None = field(repr=False)
    ca_cert: Path | None
    actor: str | None
    timeout_s: float
    retry: RetryConfig

    @classmethod
    def resolved(
        cls,
        url: str | None,
        *,
        token: str | None,
        ca_cert: str | Path | None,
        actor: str | None,
        timeout_s: float,
        retry: RetryConfig,
    ) -> Settings:
        """Fills what was left out from `DRIFTQ_HTTP_URL`, `DRIFTQ_TOKEN` and `DRIFTQ_CA_CERT`."""
        chosen = (url or os.environ.get("DRIFTQ_HTTP_URL") or DEFAULT_URL).strip().rstrip("/")
        if not chosen.startswith(("http://", "https://")):
            raise ValueError(f"the broker's URL must begin with http:// or https://: {chosen!r}")
        chosen = chosen.removesuffix("/v1")
        authority = ca_cert or os.environ.get("DRIFTQ_CA_CERT") or None
        return cls(
            url=chosen,
            token=token or os.environ.get("DRIFTQ_TOKEN") or None,
            ca_cert=Path(authority) if authority else None,
            actor=actor or os.environ.get("DRIFTQ_ACTOR") or None,
            timeout_s=timeout_s,
            retry=retry,
        )

    def headers(self) -> httpx2.Headers:
        """The headers of every request."""
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return _as_sent({**headers, **actor_header(self.actor)})

    def verify(self) -> ssl.SSLContext | bool:
        """Whom `https` trusts: the authority that was named and nobody else, or the usual ones."""
        if not self.url.startswith("https://"):
            # No redirect is followed, so nobody is ever trusted; a trust store would cost a start 20 ms.
            return False
        if self.ca_cert is None:
            return True
        try:
            return ssl.create_default_context(cafile=self.ca_cert)
        except OSError as error:
            # Also an `SSLError`: the file is there and holds no certificate.
            raise ValueError(f"the authority's certificate {self.ca_cert} cannot be used: {error}") from error

    def timeout(self, call: Call[Any]) -> httpx2.Timeout:
        """A call's time-outs; a long poll may be silent for its whole patience."""
        return httpx2.Timeout(self.timeout_s, read=self.timeout_s + call.patience_s)

    def stream_timeout(self) -> httpx2.Timeout:
        """A stream's time-outs: ordinary to connect, then as long as a living stream may be silent."""
        return httpx2.Timeout(self.timeout_s, read=STREAM_SILENCE_S_MAX)


#: Streams hold a connection each, so their number is the caller's business, not the pool's.
LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=20)


def connection_headers(call: Call[Any]) -> httpx2.Headers:
    """A call's own headers, with the type of its body and the name of the present span."""
    headers = tracing.injected(call.headers)
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    return _as_sent(headers)


def _as_sent(headers: Mapping[str, str]) -> httpx2.Headers:
    # Otherwise a name with an umlaut would be no header.
    return httpx2.Headers(headers, encoding="utf-8")


def connection_error(url: str, error: httpx2.TransportError) -> DriftqError:
    """Tells a request that never left from one whose outcome is unknown."""
    if isinstance(error, httpx2.SSEError):
        return UnexpectedAnswer(str(error))
    if isinstance(error, httpx2.ConnectError) and (fault := _tls_fault(error)) is not None:
        return Untrusted(url, fault)
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return Unreachable(url)
    return ConnectionLost(url, error)


def _tls_fault(error: BaseException) -> ssl.SSLError | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause


def read_answer(call: Call[T], response: httpx2.Response) -> T:
    """Reads a 2xx answer."""
    try:
        return call.parse(response.content)
    except ValidationError as error:
        what = f"{call.method} {call.path} answered {response.status_code}"
        raise UnexpectedAnswer(f"{what} with something else than expected: {error}") from error


def answer_error(status: int, headers: Mapping[str, str], content: bytes) -> DriftqError:
    """The error that stands for an answer outside 2xx."""
    try:
        body = from_json(content)
    except ValueError:
        body = None
    return error_from_answer(status, headers, body)
