"""Logs that name their run: `--log-format json` of the worker, or a formatter and a filter for your own.

Whatever is logged while a handler works, by this package or by your code, carries `run_id`, `attempt`,
`workflow` and the place of its message. Inputs, values and tokens are never logged here.
"""

from __future__ import annotations

import argparse
import contextlib
import contextvars
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from ._types import Message

__all__ = ["JsonFormatter", "RunContextFilter", "configure", "current"]

_CURRENT: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("driftq_log_fields")

#: What every record has; the rest was said by `extra`.
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def current() -> Mapping[str, Any]:
    """What names the work that is going on here; empty outside a handler."""
    return _CURRENT.get({})


@contextlib.contextmanager
def about(fields: Mapping[str, Any]) -> Iterator[None]:
    """Names the work that goes on inside, also in threads that are started from there."""
    token = _CURRENT.set({**current(), **fields})
    try:
        yield
    finally:
        _CURRENT.reset(token)


def fields_of(message: Message, owner: str | None = None) -> dict[str, Any]:
    """What names a delivery."""
    fields: dict[str, Any] = {
        "topic": message.topic,
        "group": message.group,
        "partition": message.partition,
        "offset": message.offset,
        "attempt": message.attempts,
    }
    if message.message_id:
        fields["message_id"] = message.message_id
    if owner:
        fields["owner"] = owner
    if message.run is not None:
        fields["run_id"] = message.run.run_id
        fields["replay_seq"] = message.run.replay_seq
        fields["attempt"] = message.run.attempt
        if isinstance(message.value, dict) and isinstance(message.value.get("workflow"), str):
            fields["workflow"] = message.value["workflow"]
    return fields


class RunContextFilter(logging.Filter):
    """Adds what names the present work to a handler's records, for formats with `%(run_id)s`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        for name, value in {"run_id": "-", "attempt": "-", "workflow": "-", **current()}.items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts`, `level`, `logger`, `message`, what names the work, and every `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as a line."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **current(),
            **{name: value for name, value in vars(record).items() if name not in _ORDINARY},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(*, level: str = "info", format: Literal["text", "json"] = "text") -> None:  # noqa: A002 - the flag's name
    """Logs to standard error, as `python -m driftq worker` does."""
    handler = logging.StreamHandler(sys.stderr)
    if format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.addFilter(RunContextFilter())
        handler.setFormatter(
            logging.Formatter("%(asctime)s %(levelname)-7s %(name)s [%(run_id)s]  %(message)s")
        )
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # One line for every request is the broker's business, not the worker's.
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds `--log-level` and `--log-format` to a command."""
    # What the environment says is read as what is typed, so it is refused in the same words.
    parser.add_argument(
        "--log-level",
        type=_level,
        default=os.environ.get("DRIFTQ_LOG_LEVEL") or "info",
        help="debug, info, warning, error or critical; default: info",
    )
    parser.add_argument(
        "--log-format",
        type=_format,
        metavar="{text,json}",
        default=os.environ.get("DRIFTQ_LOG_FORMAT") or "text",
        help="default: text",
    )


def _level(text: str) -> str:
    if text.upper() not in logging.getLevelNamesMapping():
        raise argparse.ArgumentTypeError(f"{text!r} is no level: say debug, info, warning, error or critical")
    return text


def _format(text: str) -> str:
    if text not in ("text", "json"):
        raise argparse.ArgumentTypeError(f"{text!r} is no format: say text or json")
    return text
