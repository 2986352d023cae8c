import pytest

import driftq
from driftq import ApiError, DriftqError
from driftq._errors import error_from_answer

CODES = [
    ("INVALID_ARGUMENT", 400, driftq.InvalidArgument, False),
    ("UNAUTHENTICATED", 401, driftq.Unauthenticated, False),
    ("PERMISSION_DENIED", 403, driftq.PermissionDenied, False),
    ("NOT_FOUND", 404, driftq.NotFound, False),
    ("EXPIRED", 404, driftq.Expired, False),
    ("METHOD_NOT_ALLOWED", 405, driftq.MethodNotAllowed, False),
    ("FAILED_PRECONDITION", 409, driftq.FailedPrecondition, False),
    ("PAYLOAD_TOO_LARGE", 413, driftq.PayloadTooLarge, False),
    ("UNSUPPORTED_MEDIA_TYPE", 415, driftq.UnsupportedMediaType, False),
    ("UNPROCESSABLE", 422, driftq.Unprocessable, False),
    ("RESOURCE_EXHAUSTED", 429, driftq.ResourceExhausted, True),
    ("INTERNAL", 500, driftq.Internal, False),
    ("UNAVAILABLE", 503, driftq.Unavailable, True),
]


@pytest.mark.parametrize(("code", "status", "kind", "retryable"), CODES)
def test_each_code_has_its_class(code: str, status: int, kind: type, retryable: bool) -> None:
    error = error_from_answer(status, {"x-request-id": "abc"}, {"error": code, "message": "do this"})
    assert type(error) is kind
    assert isinstance(error, ApiError)
    assert (error.code, error.status, error.retryable, error.request_id) == (code, status, retryable, "abc")
    assert "do this" in str(error)


def test_an_expired_run_is_not_mistaken_for_one_that_never_was() -> None:
    assert not issubclass(driftq.Expired, driftq.NotFound)


def test_the_broker_has_the_last_word_on_retryable() -> None:
    said = {"error": "INTERNAL", "message": "m", "retryable": True}
    assert error_from_answer(500, {}, said).retryable


def test_a_code_of_a_newer_broker_is_still_an_api_error() -> None:
    error = error_from_answer(418, {}, {"error": "TEAPOT", "message": "m"})
    assert type(error) is ApiError
    assert error.code == "TEAPOT"


def test_milliseconds_in_the_body_win_over_the_headers_seconds() -> None:
    body = {"error": "RESOURCE_EXHAUSTED", "message": "full", "retry_after_ms": 1500}
    error = error_from_answer(429, {"retry-after": "2"}, body)
    assert isinstance(error, ApiError)
    assert error.retry_after_s == 1.5
    del body["retry_after_ms"]
    error = error_from_answer(429, {"retry-after": "2"}, body)
    assert isinstance(error, ApiError)
    assert error.retry_after_s == 2.0


def test_an_answer_of_something_else_is_told_apart_from_the_brokers() -> None:
    assert isinstance(error_from_answer(404, {}, None), driftq.UnexpectedAnswer)
    assert isinstance(error_from_answer(502, {}, None), driftq.Unavailable)


def test_every_error_is_in_one_tree() -> None:
    for name in driftq.__all__:
        member = getattr(driftq, name)
        if isinstance(member, type) and issubclass(member, BaseException):
            assert issubclass(member, DriftqError), name


def test_a_handler_cannot_ask_for_a_negative_pause() -> None:
    with pytest.raises(ValueError, match="negative"):
        driftq.RetryAfter(-1)
