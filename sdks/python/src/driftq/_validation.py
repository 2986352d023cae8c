"""Reading what came from outside as a type: what does not fit will never fit, so it is not retried."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from ._errors import NonRetryable


def validated(adapter: TypeAdapter[Any], value: Any, what: str) -> Any:
    """The value as its type; `NonRetryable`, naming every fault and quoting nothing, when it does not fit."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or what}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        # Without its cause: that one quotes the value, and errors travel further than values.
        raise NonRetryable(f"the {what} is not valid: {faults}") from None
