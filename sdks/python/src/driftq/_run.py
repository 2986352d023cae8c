"""What a workflow gets: its input, its steps, and a voice on the run's timeline.

A step's result is stored by the broker before the workflow sees it. So a retry does not run a finished step
again, and both the first attempt and a later one see the very same value.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints, overload

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from typing_extensions import TypeVar as TypeVarWithDefault

from . import _tracing as tracing
from ._async._client import AsyncClient
from ._errors import NonRetryable, NotJson
from ._hold import Hold
from ._requests import jsonable
from ._roundtrip import lost
from ._types import ErrorInfo, RunContext

__all__ = ["Run", "describe"]

InputT = TypeVar("InputT")
ResourcesT = TypeVarWithDefault("ResourcesT", default=Any)
P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("driftq.worker")

MESSAGE_CHARS_MAX = 4_000
STACK_CHARS_MAX = 8_000


class Run(Generic[InputT, ResourcesT]):
    """One attempt at a run, handed to the function under `@worker.workflow`.

    `Run[Doc]`, or with the type of what the worker's lifespan yields, `Run[Doc, Pool]`.
    """

    def __init__(
        self,
        *,
        client: AsyncClient,
        hold: Hold,
        threads: Executor,
        context: RunContext,
        workflow: str,
        input: InputT,  # noqa: A002 - the wire's name
        resources: ResourcesT,
    ) -> None:
        self._client = client
        self._hold = hold
        self._threads = threads
        self._context = context
        self._finished: dict[str, Any] = dict(context.steps)
        self._steps_more = context.steps_more
        self._named: set[str] = set()
        self._workflow = workflow
        self._input = input
        self._resources = resources

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._context.run_id

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self._workflow

    @property
    def input(self) -> InputT:
        """What the run was created (or replayed) with, validated."""
        return self._input

    @property
    def resources(self) -> ResourcesT:
        """What the worker's lifespan yielded."""
        return self._resources

    @property
    def attempt(self) -> int:
        """Which try this is, from 1; it starts again with each replay."""
        return self._context.attempt

    @property
    def replay_seq(self) -> int:
        """0 for the first start, then one more for each replay."""
        return self._context.replay_seq

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this start: hand it to services that take such a key."""
        return f"{self.run_id}:{self.replay_seq}"

    @overload
    async def step(
        self, name: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...

    @overload
    async def step(self, name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Runs `fn` once for this run, or returns what it returned in an earlier attempt.

        A function that is not `async` runs in a thread. The result must be JSON, or a type that Pydantic
        turns into JSON and, by the function's return annotation, back. Without such an annotation tuples
        come back as lists, models and dataclasses as dicts; whatever else would change is a `NonRetryable`.
        """
        if name in self._named:
            raise NonRetryable(
                f"step {name!r} was already used in this attempt; every step needs its own name"
            )
        self._named.add(name)
        try:
            if await self._is_finished(name):
                return _restore(fn, self._finished[name])
            with tracing.step(name):
                return await self._first_time(name, fn, args, kwargs)
        except BaseException:
            # A workflow may catch this and try the step again.
            self._named.discard(name)
            raise

    async def emit(self, type: str, /, **fields: Any) -> None:  # noqa: A002 - the wire's name
        """Writes an event to the timeline: `await run.emit("invoice.sent", number=7)`."""
        await self._append({**fields, "type": type})

    async def log(self, message: str, /, *, level: str = "info", **fields: Any) -> None:
        """Writes a line that people read to the timeline, as `run.log`."""
        await self._append({**fields, "type": "run.log", "level": level, "message": message})

    async def progress(self, percent: float, message: str | None = None) -> None:
        """Says how far this attempt is, as `run.progress`."""
        said = {} if message is None else {"message": message}
        await self._append({"type": "run.progress", "percent": percent, **said})

    async def _append(self, event: Mapping[str, Any]) -> None:
        event = {**tracing.carrier(), **event}
        lease_id = self._hold.message.lease_id
        await self._hold.insist(
            lambda: self._client.append_events(self.run_id, [event], lease_id=lease_id, repeatable=True)
        )

    async def _is_finished(self, name: str) -> bool:
        if name not in self._finished and self._steps_more:
            stored = await self._hold.insist(lambda: self._client.run_steps(self.run_id))
            self._finished.update({step.step: step.output for step in stored})
            self._steps_more = False
        return name in self._finished

    async def _first_time(
        self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        await self._append({"type": "step.started", "step": name})
        started = time.monotonic()
        try:
            value = await self._call(fn, args, kwargs)
            output = _as_json(value, f"step {name!r}")
            restored = _restored(fn, name, value, output)
        except Exception as error:
            duration_ms = round((time.monotonic() - started) * 1000)
            said = describe(error).model_dump(include={"message", "type"})
            if self._hold.lost is None:
                await self._append(
                    {"type": "step.failed", "step": name, "error": said, "duration_ms": duration_ms}
                )
            raise
        duration_ms = round((time.monotonic() - started) * 1000)
        lease_id = self._hold.message.lease_id
        stored = await self._hold.insist(
            lambda: self._client.put_step(
                self.run_id, name, output, lease_id=lease_id, duration_ms=duration_ms
            )
        )
        self._finished[name] = stored.output
        return restored if stored.output == output else _restore(fn, stored.output)

    async def _call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if _is_async(fn):
            return await fn(*args, **kwargs)
        return await call_in_thread(self._threads, fn, *args, **kwargs)


async def call_in_thread(threads: Executor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Runs a function in a thread, with the caller's context variables."""
    context = contextvars.copy_context()
    bound = functools.partial(context.run, fn, *args, **kwargs)
    result = await asyncio.get_running_loop().run_in_executor(threads, bound)
    return await result if inspect.isawaitable(result) else result


def describe(error: BaseException) -> ErrorInfo:
    """An exception as the broker stores it, bounded; of a long stack the end is kept."""
    stack = "".join(traceback.format_exception(type(error), error, _from_user_code(error.__traceback__)))
    message = str(error) or type(error).__qualname__
    return ErrorInfo(message=message[:MESSAGE_CHARS_MAX], type=_kind(error), stack=stack[-STACK_CHARS_MAX:])


def _kind(error: BaseException) -> str:
    module, name = type(error).__module__, type(error).__qualname__
    if module == "builtins":
        return name
    # Our own errors are known by the name they are imported under.
    public = "driftq" if module.startswith("driftq.") else module
    return f"{public}.{name}"


def _from_user_code(trace: TracebackType | None) -> TracebackType | None:
    """Drops the frames of this package that stand above the user's own."""
    here = str(Path(__file__).parent)
    while trace is not None and trace.tb_next and trace.tb_frame.f_code.co_filename.startswith(here):
        trace = trace.tb_next
    return trace


def as_result(value: Any) -> Any:
    """What a workflow returned, as JSON."""
    return _as_json(value, "the workflow")


def _as_json(value: Any, who: str) -> Any:
    try:
        return jsonable(value, f"{who} returned {type(value).__qualname__}, which")
    except NotJson as error:
        raise NonRetryable(str(error)) from error


def _is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def _restored(fn: Callable[..., Any], name: str, value: Any, output: Any) -> Any:
    """What every attempt sees of a step's value; `NonRetryable` when that would be another type."""
    restored = _restore(fn, output)
    found = lost(value, restored)
    if found is not None:
        raise NonRetryable(
            f"step {name!r} returned what would not survive being stored as JSON: {found}; "
            "return a list, a dict or a text instead, or say the type in the function's return annotation"
        )
    return restored


def _annotated(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function that was written down, beneath decorators and partial calls."""
    fn = inspect.unwrap(fn)
    while isinstance(fn, functools.partial):
        fn = inspect.unwrap(fn.func)
    return fn


def _restore(fn: Callable[..., Any], output: Any) -> Any:
    """A stored result as what the function's return annotation promises; without one it stays JSON."""
    try:
        hint = get_type_hints(_annotated(fn)).get("return", Any)
        return output if hint is Any else TypeAdapter(hint).validate_python(output)
    except (NameError, TypeError, PydanticSchemaGenerationError, PydanticUserError):
        return output
    except ValidationError as error:
        # The work is done and stored: an annotation that is not true must not undo it.
        logger.warning("a step's result does not fit its annotation, so it stays plain JSON: %s", error)
        return output
