"""Whether an answer is what a story expects.

Promise: an object expects its own members and leaves others alone; an array expects exactly its elements;
anything else expects itself. A matcher is a text that begins with `$`, or an object with one member that
does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

Variables = dict[str, Any]

ABSENT: Any = object()
"""What stands for a member that is not there."""

_KINDS: dict[str, Callable[[Any], bool]] = {
    "$any": lambda value: value is not ABSENT,
    "$absent": lambda value: value is ABSENT,
    "$number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "$integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "$string": lambda value: isinstance(value, str),
    "$boolean": lambda value: isinstance(value, bool),
    "$array": lambda value: isinstance(value, list),
    "$object": lambda value: isinstance(value, dict),
}

Matcher = Callable[[Any, Any, str, Variables], Iterator[str]]


def differences(expected: Any, actual: Any, variables: Variables, place: str = "") -> list[str]:
    """Every difference as a sentence with its place; captures go into `variables`."""
    return list(_differences(expected, actual, place, variables))


def _differences(expected: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    if isinstance(expected, str) and expected in _KINDS:
        if not _KINDS[expected](actual):
            yield f"{place or 'the whole'}: expected {expected}, got {shown(actual)}"
        return
    if isinstance(expected, dict) and len(expected) == 1:
        name, operand = next(iter(expected.items()))
        if name in _MATCHERS:
            yield from _MATCHERS[name](operand, actual, place, variables)
            return
        if name.startswith("$"):
            raise ValueError(f"{name} is no matcher")
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name, value in expected.items():
            yield from _differences(value, actual.get(name, ABSENT), f"{place}/{name}", variables)
        return
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{place or 'the whole'}: expected {len(expected)} elements, got {shown(actual)}"
            return
        for index, (left, right) in enumerate(zip(expected, actual, strict=True)):
            yield from _differences(left, right, f"{place}/{index}", variables)
        return
    if not _same(expected, actual):
        yield f"{place or 'the whole'}: expected {shown(expected)}, got {shown(actual)}"


def _same(left: Any, right: Any) -> bool:
    """Equality of JSON: `true` is not 1, while 1 and 1.0 are the same number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _exactly(operand: Any, actual: Any, place: str, _: Variables) -> Iterator[str]:
    if not _same(operand, actual):
        yield f"{place or 'the whole'}: expected exactly {shown(operand)}, got {shown(actual)}"


def _number(operand: Any, actual: Any, place: str, _: Variables) -> Iterator[str]:
    is_fit = _KINDS["$number"](actual)
    is_fit = is_fit and ("min" not in operand or actual >= operand["min"])
    is_fit = is_fit and ("max" not in operand or actual <= operand["max"])
    if not is_fit:
        yield f"{place}: expected a number {shown(operand)}, got {shown(actual)}"


def _string(operand: Any, actual: Any, place: str, _: Variables) -> Iterator[str]:
    is_fit = isinstance(actual, str)
    is_fit = is_fit and operand.get("has", "") in actual
    is_fit = is_fit and operand.get("lacks", "\0") not in actual
    is_fit = is_fit and re.search(operand.get("matches", ""), actual) is not None
    if not is_fit:
        yield f"{place}: expected a text {shown(operand)}, got {shown(actual)}"


def _capture(operand: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    if isinstance(operand, str):
        operand = {"as": operand}
    found = list(_differences(operand.get("is", "$any"), actual, place, variables))
    if not found:
        variables[operand["as"]] = actual
    yield from found


def _has(operand: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    """Each operand matches some element."""
    if not isinstance(actual, list):
        yield f"{place}: expected an array, got {shown(actual)}"
        return
    for wanted in operand:
        if all(list(_differences(wanted, element, place, variables)) for element in actual):
            yield f"{place}: no element is {shown(wanted)} in {shown(actual)}"


def _lacks(operand: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    """No element matches any operand."""
    if not isinstance(actual, list):
        yield f"{place}: expected an array, got {shown(actual)}"
        return
    for unwanted in operand:
        if not all(list(_differences(unwanted, element, place, dict(variables))) for element in actual):
            yield f"{place}: there is {shown(unwanted)} in {shown(actual)}"


def _each(operand: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    if not isinstance(actual, list):
        yield f"{place}: expected an array, got {shown(actual)}"
        return
    for index, element in enumerate(actual):
        yield from _differences(operand, element, f"{place}/{index}", variables)


def _size(operand: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    if not isinstance(actual, list | dict | str):
        yield f"{place}: expected something with a size, got {shown(actual)}"
        return
    yield from _differences(operand, len(actual), f"{place}#", variables)


def _names(operand: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    """An array's elements, each seen by one of its members alone."""
    if not isinstance(actual, list):
        yield f"{place}: expected an array, got {shown(actual)}"
        return
    yield from _differences(operand["are"], [element[operand["by"]] for element in actual], place, variables)


def _one_of(operand: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    if all(list(_differences(choice, actual, place, variables)) for choice in operand):
        yield f"{place}: expected one of {shown(operand)}, got {shown(actual)}"


def _optional(operand: Any, actual: Any, place: str, variables: Variables) -> Iterator[str]:
    if actual is not ABSENT:
        yield from _differences(operand, actual, place, variables)


_MATCHERS: dict[str, Matcher] = {
    "$exactly": _exactly,
    "$number": _number,
    "$string": _string,
    "$capture": _capture,
    "$has": _has,
    "$lacks": _lacks,
    "$each": _each,
    "$size": _size,
    "$names": _names,
    "$one_of": _one_of,
    "$optional": _optional,
}


def shown(value: Any) -> str:
    """A value in a sentence, cut to a readable length."""
    text = "nothing" if value is ABSENT else repr(value)
    return text if len(text) <= 600 else f"{text[:600]}…"
