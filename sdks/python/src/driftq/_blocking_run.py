"""A run for functions that are not `async`: they work in a thread and speak to the worker's event loop.

It is the same run: the same steps, the same timeline. A thread cannot be cancelled, so a handler whose lease
is lost learns it at its next word, as a `LeaseLost`.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import queue
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar

from typing_extensions import TypeVar as TypeVarWithDefault

from ._errors import NonRetryable
from ._run import Run

__all__ = ["BlockingRun"]

InputT = TypeVar("InputT")
ResourcesT = TypeVarWithDefault("ResourcesT", default=Any)
P = ParamSpec("P")
T = TypeVar("T")


class BlockingRun(Generic[InputT, ResourcesT]):
    """One attempt at a run, handed to a function under `@worker.workflow` that is not `async`."""

    def __init__(self, run: Run[InputT, ResourcesT]) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run.run_id

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self._run.workflow

    @property
    def input(self) -> InputT:
        """What the run was created (or replayed) with, validated."""
        return self._run.input

    @property
    def resources(self) -> ResourcesT:
        """What the worker's lifespan yielded."""
        return self._run.resources

    @property
    def attempt(self) -> int:
        """Which try this is, from 1; it starts again with each replay."""
        return self._run.attempt

    @property
    def replay_seq(self) -> int:
        """0 for the first start, then one more for each replay."""
        return self._run.replay_seq

    @property
    def idempotency_key(self) -> str:
        """The same in every attempt of this start: hand it to services that take such a key."""
        return self._run.idempotency_key

    def step(self, name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls `fn` once for this run, in this very thread, or returns what an earlier attempt got."""
        if inspect.iscoroutinefunction(fn):
            raise NonRetryable(f"step {name!r} is `async`: only an `async def` workflow can take it")
        asked: queue.SimpleQueue[asyncio.Future[T] | None] = queue.SimpleQueue()

        @functools.wraps(fn)
        async def call_here() -> T:
            answer: asyncio.Future[T] = self._loop.create_future()
            asked.put(answer)
            return await answer

        done = asyncio.run_coroutine_threadsafe(self._run.step(name, call_here), self._loop)
        done.add_done_callback(lambda _: asked.put(None))
        answer = asked.get()
        if answer is not None:
            self._answer(answer, functools.partial(fn, *args, **kwargs))
        return done.result()

    def _answer(self, answer: asyncio.Future[T], call: Callable[[], T]) -> None:
        try:
            result = call()
        except StopIteration as error:
            # A future cannot hold one.
            wrapped = RuntimeError(f"the step raised {error!r}")
            told: Callable[[], None] = functools.partial(_settle, answer.set_exception, answer, wrapped)
        except Exception as error:
            told = functools.partial(_settle, answer.set_exception, answer, error)
        except BaseException:
            self._loop.call_soon_threadsafe(answer.cancel)
            raise
        else:
            told = functools.partial(_settle, answer.set_result, answer, result)
        self._loop.call_soon_threadsafe(told)

    def emit(self, type: str, /, **fields: Any) -> None:  # noqa: A002 - the wire's name
        """Writes an event to the timeline."""
        self._wait(self._run.emit(type, **fields))

    def log(self, message: str, /, *, level: str = "info", **fields: Any) -> None:
        """Writes a line that people read to the timeline, as `run.log`."""
        self._wait(self._run.log(message, level=level, **fields))

    def progress(self, percent: float, message: str | None = None) -> None:
        """Says how far this attempt is, as `run.progress`."""
        self._wait(self._run.progress(percent, message))

    def _wait(self, said: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(said, self._loop).result()


def _settle(tell: Callable[[Any], None], answer: asyncio.Future[Any], outcome: Any) -> None:
    # The step may have been cancelled while its function worked.
    if not answer.done():
        tell(outcome)
