"""What schemathesis must know about driftqd beyond its OpenAPI document.

Promise: calls that would wait are made to end, and what is not valid is left as it was made. An invalid part of a
request that is by contract not looked at (a query beside a body, an empty parameter) need not be refused.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

SHORT_MS = 1


@schemathesis.hook
def before_call(_: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Polls instead of streams, and no wait that is longer than a test should take."""
    del kwargs
    operation = case.operation.definition.raw.get("operationId")
    query = case.query if isinstance(case.query, dict) else {}
    if operation == "consume" and query.get("mode", "stream") == "stream":
        query["mode"] = "poll"
    takes_wait = any(parameter.name == "wait_ms" for parameter in case.operation.query)
    if takes_wait and is_wait(query.get("wait_ms", 0)):
        query["wait_ms"] = SHORT_MS
    if query:
        case.query = query


@schemathesis.check
def refuses_what_is_invalid(ctx: Any, response: Any, case: Any) -> bool | None:
    """Invalid data gets a 4xx, if it is in a part that is read."""
    query = case.query if isinstance(case.query, dict) else {}
    has_body = bool(response.request.body)
    has_empty = any(value in ("", [], {}, None) for value in query.values())
    if query and (has_body or has_empty):
        return None
    return negative_data_rejection(ctx, response, case)


def is_wait(value: Any) -> bool:
    """Whether a value is one that the server would wait for."""
    text = str(value)
    return not isinstance(value, bool) and text.isascii() and text.isdigit()
