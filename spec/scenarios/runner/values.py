"""Texts of a story with its variables filled in.

Promise: `${name}` alone keeps the variable's kind, within a text it becomes text; an unknown name is an
error.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

_PLACE = re.compile(r"\$\{([a-z0-9_]+)((?:\.[A-Za-z0-9_]+)*)([+-]\d+)?\}")
_SIZED_MAX = 64 * 1024 * 1024


def filled(template: Any, variables: dict[str, Any]) -> Any:
    """The template with every `${…}` replaced and every `$times`, `$merge`, `$count` and `$text` made."""
    if isinstance(template, str):
        return _text(template, variables)
    if isinstance(template, list):
        return [filled(element, variables) for element in template]
    if not isinstance(template, dict):
        return template
    if template.keys() == {"$times"}:
        count, of = template["$times"]["count"], template["$times"]["of"]
        return [filled(of, {**variables, "index": index}) for index in range(count)]
    if template.keys() == {"$merge"}:
        return {name: value for part in filled(template["$merge"], variables) for name, value in part.items()}
    if template.keys() == {"$count"}:
        return len(filled(template["$count"], variables))
    if template.keys() == {"$text"}:
        return "x" * min(int(template["$text"]), _SIZED_MAX)
    return {filled(name, variables): filled(value, variables) for name, value in template.items()}


def _text(template: str, variables: dict[str, Any]) -> Any:
    whole = _PLACE.fullmatch(template)
    if whole:
        return _value(whole, variables)

    def inline(found: re.Match[str]) -> str:
        value = _value(found, variables)
        return value if isinstance(value, str) else json.dumps(value)

    return _PLACE.sub(inline, template)


def _value(found: re.Match[str], variables: dict[str, Any]) -> Any:
    name, path, plus = found.groups()
    value = _named(name, variables)
    for member in path.split(".")[1:]:
        value = value[int(member)] if isinstance(value, list) else value[member]
    if plus is None:
        return value
    return _later(value, int(plus)) if isinstance(value, str) else value + int(plus)


def _named(name: str, variables: dict[str, Any]) -> Any:
    now = datetime.now(UTC)
    if name == "now_ms":
        return int(now.timestamp() * 1000)
    if name == "now":
        return _rfc3339(now.timestamp() * 1000)
    if name not in variables:
        raise KeyError(f"the story has no variable {name!r}")
    return variables[name]


def _later(text: str, ms: int) -> str:
    return _rfc3339(datetime.fromisoformat(text).timestamp() * 1000 + ms)


def _rfc3339(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
