"""One request as a value: what to send, how its answer reads, and whether sending it twice can do harm."""

from __future__ import annotations

import hashlib
import json
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_json, to_jsonable_python

from .._errors import NotJson
from .._types import RetryPolicy

T = TypeVar("T")


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


#: Stands for "left out" where None is a value of its own.
UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request: what to send, how to read the answer, whether it may be sent again."""

    method: str
    path: str
    parse: Callable[[bytes], T]
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    #: How long the broker may think before it answers, beside the ordinary time-out.
    patience_s: float = 0.0


def model(kind: type[T]) -> Callable[[bytes], T]:
    """Reads an answer as this model."""
    return TypeAdapter(kind).validate_json


def nothing(_body: bytes) -> None:
    """Reads an answer that says no more than that it worked."""
    return


def part(text: str) -> str:
    """One path segment; a name with a slash or a question mark stays one segment."""
    return quote(text, safe="")


def body(**fields: Any) -> bytes:
    """The JSON of those fields that are not None."""
    return written({name: value for name, value in fields.items() if value is not None})


def said(**fields: Any) -> bytes:
    """The JSON of those fields that are not `UNSET`; None is said as null."""
    return written({name: value for name, value in fields.items() if value is not UNSET})


def params(**fields: Any) -> dict[str, str]:
    """The query of those fields that are not None."""
    return {name: _text(value) for name, value in fields.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def written(value: Any, what: str = "the request") -> bytes:
    """The JSON of a value; `NotJson`, naming `what` it is, when it has none."""
    try:
        text = to_json(value)
        if b"NaN" in text or b"Infinity" in text:
            # These words may stand in a text; as numbers they are no JSON.
            json.dumps(to_jsonable_python(value), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"{what} cannot be written as JSON: {error}") from error
    return text


def jsonable(value: Any, what: str = "the value") -> Any:
    """The value as plain JSON types: models, dates and the like become what they look like on the wire."""
    try:
        plain = to_jsonable_python(value, by_alias=True)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"{what} cannot be written as JSON: {error}") from error
    written(plain, what)
    return plain


def actor_header(actor: str | None) -> dict[str, str]:
    """The header that names who asks; nothing when it cannot stand in a header.

    The broker reads UTF-8, so only what would end a line (or the request) is left out.
    """
    name = (actor or "").strip()
    return {"X-Driftq-Actor": name} if name and _can_stand_in_a_header(name) else {}


def _can_stand_in_a_header(text: str) -> bool:
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def policy(given: RetryPolicy | Mapping[str, Any] | None) -> Any:
    """A retry policy as it is written."""
    return given.model_dump(exclude_none=True) if isinstance(given, BaseModel) else given


def fresh_key() -> str:
    """An idempotency key for somebody who gave none: our own repeats must do nothing twice."""
    return f"auto-{uuid.uuid4().hex}"


def fingerprint(topic: str, value: Any) -> str:
    """A short name for a payload: equal payloads have equal ones, whatever the order of their keys."""
    canonical = json.dumps(
        [topic, jsonable(value, f"the value for {topic!r}")], sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
