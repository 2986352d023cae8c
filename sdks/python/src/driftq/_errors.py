"""Every error this package raises, in one tree.

    DriftqError
    ├── Unreachable            nothing answers at the URL; nothing was sent
    ├── Untrusted              TLS failed: the certificate is not trusted, or it is no TLS
    ├── ConnectionLost         the request was sent, its outcome is unknown
    ├── UnexpectedAnswer       an answer that is not the broker's
    ├── NotJson                a value that cannot be written as JSON; nothing was sent
    ├── RunFailed              raised by `run.result()`; `RunCancelled` is one
    ├── RunTimeout             raised by `run.result()`: it has not ended yet
    ├── LeaseLost              the message belongs to another worker, or its run was cancelled
    ├── RetryAfter             raised by a handler: try again after so many seconds; `UnknownWorkflow` is one
    ├── NonRetryable           raised by a handler: never try again
    └── ApiError               the broker refused; one class for each of its codes
        ├── InvalidArgument 400         ├── PayloadTooLarge 413
        ├── Unauthenticated 401         ├── UnsupportedMediaType 415
        ├── PermissionDenied 403        ├── Unprocessable 422
        ├── NotFound, Expired 404       ├── ResourceExhausted 429
        ├── MethodNotAllowed 405        ├── Internal 500
        └── FailedPrecondition 409      └── Unavailable 503

Whether a repeat can help is `retryable`, never the text of a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ._types import RunInfo

__all__ = [
    "ApiError",
    "ConnectionLost",
    "DriftqError",
    "Expired",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "LeaseLost",
    "MethodNotAllowed",
    "NonRetryable",
    "NotFound",
    "NotJson",
    "PayloadTooLarge",
    "PermissionDenied",
    "ResourceExhausted",
    "RetryAfter",
    "RunCancelled",
    "RunFailed",
    "RunTimeout",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "UnknownWorkflow",
    "Unprocessable",
    "Unreachable",
    "UnsupportedMediaType",
    "Untrusted",
]


class DriftqError(Exception):
    """The root of the tree."""

    retryable: bool = False


class Unreachable(DriftqError):
    """Nothing answers at the broker's URL, and nothing was sent."""

    retryable = True

    def __init__(self, url: str) -> None:
        self.url = url
        address = urlsplit(url).netloc or "127.0.0.1:8080"
        super().__init__(f"nothing answers at {url}, start it with `driftqd -addr {address}`")


class Untrusted(DriftqError):
    """Something answers, but TLS with it failed, and nothing was sent."""

    def __init__(self, url: str, cause: BaseException) -> None:
        self.url = url
        super().__init__(
            f"{url} cannot be trusted: {cause}; name its authority by `ca_cert` or DRIFTQ_CA_CERT, "
            "or say http:// if it speaks no TLS"
        )


class ConnectionLost(DriftqError):
    """The connection broke before the answer came: the request took effect once or not at all."""

    retryable = True

    def __init__(self, url: str, cause: BaseException) -> None:
        self.url = url
        super().__init__(f"lost the connection to {url} before its answer ({type(cause).__name__}: {cause})")


class UnexpectedAnswer(DriftqError):
    """Something answered, but not as a broker does: mostly a wrong URL or a proxy in between."""


class NotJson(DriftqError, ValueError):
    """A value cannot be written as JSON (an object, NaN, bytes that are no text), and nothing was sent."""


class RunFailed(DriftqError):
    """A run ended without a result; `info` is the run, with its error, steps and replays."""

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self.run_id = info.run_id
        self.error = info.error
        super().__init__(self._said())

    def _said(self) -> str:
        tries = f"{self.info.attempts} attempt{'' if self.info.attempts == 1 else 's'}"
        return f"run {self.run_id} failed after {tries}{self._why()}"

    def _why(self) -> str:
        if self.error is None:
            return ""
        kind = f"{self.error.type}: " if self.error.type else ""
        return f": {kind}{self.error.message}"


class RunCancelled(RunFailed):
    """A run was cancelled before it had a result."""

    def _said(self) -> str:
        return f"run {self.run_id} was cancelled"


class RunTimeout(DriftqError, TimeoutError):
    """A run has not ended in time; it goes on."""

    def __init__(self, run_id: str, status: str, waited_s: float) -> None:
        self.run_id = run_id
        self.status = status
        super().__init__(f"run {run_id} is {status} after {waited_s:g} s of waiting")


class LeaseLost(DriftqError):
    """The worker no longer holds its message: the lease ended, or the run was cancelled."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the lease is lost: {reason}")


class RetryAfter(DriftqError):
    """Raised by a handler: this attempt failed, the next one starts after `seconds`, whatever the policy."""

    retryable = True

    def __init__(self, seconds: float, message: str = "") -> None:
        if seconds < 0:
            raise ValueError(f"seconds must not be negative: {seconds}")
        self.seconds = seconds
        super().__init__(message or f"try again after {seconds:g} s")


class UnknownWorkflow(RetryAfter):
    """A worker was handed a run of a workflow that it does not have; after a pause another may take it."""


class NonRetryable(DriftqError):
    """Raised by a handler: no further attempt can help, so the message is dead-lettered now."""


class ApiError(DriftqError):
    """The broker refused a request and said why."""

    code: str = ""
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        retryable: bool | None = None,
        reason: str | None = None,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self.message = message
        self.status = status
        self.code = code or type(self).code
        self.retryable = type(self).retryable if retryable is None else retryable
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.body: Mapping[str, Any] = body or {}
        super().__init__(f"{self.code or status}: {message}")


class InvalidArgument(ApiError):
    """A field or parameter is wrong; the message names it."""

    code = "INVALID_ARGUMENT"


class Unauthenticated(ApiError):
    """No token, or one the broker does not know."""

    code = "UNAUTHENTICATED"


class PermissionDenied(ApiError):
    """The origin or host is refused, or a workflow may not be started here."""

    code = "PERMISSION_DENIED"


class NotFound(ApiError):
    """There never was such a thing."""

    code = "NOT_FOUND"


class Expired(ApiError):
    """There was such a thing; retention removed it."""

    code = "EXPIRED"


class MethodNotAllowed(ApiError):
    """The path exists, its method does not."""

    code = "METHOD_NOT_ALLOWED"


class FailedPrecondition(ApiError):
    """The state forbids it: not the lease's owner, a run that is (or is not) terminal."""

    code = "FAILED_PRECONDITION"


class PayloadTooLarge(ApiError):
    """A message, a batch or a request is over its limit."""

    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(ApiError):
    """The body is encoded in a way the broker does not take."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class Unprocessable(ApiError):
    """An idempotency key was used again with another fingerprint."""

    code = "UNPROCESSABLE"


class ResourceExhausted(ApiError):
    """The broker is full for the moment; `retry_after_s` says for how long."""

    code = "RESOURCE_EXHAUSTED"
    retryable = True


class Internal(ApiError):
    """The broker failed."""

    code = "INTERNAL"


class Unavailable(ApiError):
    """The broker drains, or its disk is full."""

    code = "UNAVAILABLE"
    retryable = True


_BY_CODE: Mapping[str, type[ApiError]] = {
    error.code: error
    for error in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        Expired,
        MethodNotAllowed,
        FailedPrecondition,
        PayloadTooLarge,
        UnsupportedMediaType,
        Unprocessable,
        ResourceExhausted,
        Internal,
        Unavailable,
    )
}

# What a proxy between us and the broker answers while the broker is away.
_GATEWAY_STATUSES = frozenset({502, 503, 504})


def error_from_answer(status: int, headers: Mapping[str, str], body: Any) -> DriftqError:
    """Makes the one error that stands for an answer outside 2xx; `body` is its JSON, or None."""
    if not isinstance(body, Mapping) or not isinstance(body.get("error"), str):
        return _foreign_answer(status, headers)
    code = body["error"]
    retryable = body.get("retryable")
    reason = body.get("reason")
    return _BY_CODE.get(code, ApiError)(
        str(body.get("message", code)),
        status=status,
        code=code,
        retryable=retryable if isinstance(retryable, bool) else None,
        reason=reason if isinstance(reason, str) else None,
        retry_after_s=_retry_after_s(headers, body),
        request_id=headers.get("x-request-id"),
        body=body,
    )


def _foreign_answer(status: int, headers: Mapping[str, str]) -> DriftqError:
    if status in _GATEWAY_STATUSES:
        return Unavailable(
            f"a gateway answered {status} in the broker's place",
            status=status,
            retry_after_s=_retry_after_s(headers, {}),
        )
    return UnexpectedAnswer(f"got status {status} without the broker's error body: is the URL driftqd's?")


def _retry_after_s(headers: Mapping[str, str], body: Mapping[str, Any]) -> float | None:
    # The body knows milliseconds, the header whole seconds (rounded up).
    exact = body.get("retry_after_ms")
    if isinstance(exact, int) and exact >= 0:
        return exact / 1000
    header = headers.get("retry-after", "")
    return float(header) if header.isascii() and header.isdigit() else None
