"""What a step returned against what a later attempt would read back: is anything of it lost on the way?

A step's result is stored as JSON. Tuples become lists, models and dataclasses become dicts, unless the
function's return annotation says what they were; that is documented and let pass. Whatever else would come
back as another type is named here, so that it can be refused before it is stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_PLAIN = (type(None), bool, int, float, str)


def lost(value: Any, restored: Any) -> str | None:
    """What would come back as another type, in words; None when all of it survives."""
    if isinstance(value, (*_PLAIN, BaseModel)) or dataclasses.is_dataclass(value):
        return None
    if isinstance(value, dict):
        return _lost_in_dict(value, restored)
    if isinstance(value, list) or type(value) is tuple:
        return _lost_in_list(value, restored)
    if isinstance(restored, type(value)) or isinstance(value, type(restored)):
        return None
    return f"{type(value).__qualname__} would come back as {type(restored).__qualname__}"


def _lost_in_dict(value: dict[Any, Any], restored: Any) -> str | None:
    if not isinstance(restored, Mapping):
        return None
    for key, item in value.items():
        if key not in restored:
            return f"a key of type {type(key).__qualname__} would come back as str"
        if (found := lost(item, restored[key])) is not None:
            return f"{found} (in {key!r})"
    return None


def _lost_in_list(value: list[Any] | tuple[Any, ...], restored: Any) -> str | None:
    if not isinstance(restored, list | tuple):
        return None
    found = (lost(item, there) for item, there in zip(value, restored, strict=False))
    return next((words for words in found if words is not None), None)
