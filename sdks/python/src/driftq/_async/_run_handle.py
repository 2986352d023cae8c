"""A handle to one run: `run = await client.create_run(…)`, then `await run.result()`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from pydantic import TypeAdapter

from .._errors import ConnectionLost, NotFound, RunCancelled, RunFailed, RunTimeout
from .._requests import UNSET
from .._types import (
    Cancelled,
    Event,
    Explanation,
    Replayed,
    RetriedNow,
    RunAttempt,
    RunCreated,
    RunDeadLetter,
    RunDiff,
    RunInfo,
    RunToken,
    Step,
)

if TYPE_CHECKING:
    from ._runs import RunCalls

T = TypeVar("T")


class AsyncRunHandle:
    """One run, by its id. It remembers nothing of the run: every method asks the broker."""

    def __init__(self, client: RunCalls, run_id: str, created: RunCreated | None = None) -> None:
        self._client = client
        self._run_id = run_id
        self._created = created

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._run_id!r})"

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._run_id

    @property
    def created(self) -> RunCreated | None:
        """What the broker said when the run was created; None for a handle by id."""
        return self._created

    async def info(self) -> RunInfo:
        """The run as it is now."""
        return await self._client.get_run(self._run_id)

    async def wait(self, *, timeout_s: float | None = None) -> RunInfo:
        """Waits for its end; `RunTimeout` when that does not come within `timeout_s`."""
        run = await self._client.wait_run(self._run_id, timeout_s=timeout_s)
        if not run.terminal:
            raise RunTimeout(self._run_id, run.status, timeout_s or 0)
        return run

    @overload
    async def result(self, *, timeout_s: float | None = None) -> Any: ...

    @overload
    async def result(self, kind: type[T], *, timeout_s: float | None = None) -> T: ...

    async def result(self, kind: type[Any] | None = None, *, timeout_s: float | None = None) -> Any:
        """Waits for its end and returns its result, as a `kind` if one is named.

        Raises `RunFailed` (its `info` has every detail) or `RunCancelled`, and `RunTimeout` when the end
        does not come within `timeout_s`; the run goes on then.
        """
        run = await self.wait(timeout_s=timeout_s)
        if run.status == "cancelled":
            raise RunCancelled(run)
        if run.status != "succeeded":
            raise RunFailed(run)
        return run.result if kind is None else TypeAdapter(kind).validate_python(run.result)

    async def events(
        self, *, after: int = 0, until: Literal["terminal"] | None = "terminal"
    ) -> AsyncGenerator[Event]:
        """Yields the timeline, over broken connections, to the run's end; `until=None`: for ever."""
        async with contextlib.aclosing(
            self._client.follow_run(self._run_id, after=after, until=until)
        ) as events:
            async for event in events:
                yield event

    async def wait_event(
        self,
        type: str,  # noqa: A002 - the wire's name
        *,
        after: int = 0,
        where: Callable[[Event], bool] | None = None,
    ) -> Event:
        """Returns the first event of this type (for which `where` is true) that comes after `after`."""
        async with contextlib.aclosing(self._client.follow_run(self._run_id, after=after)) as events:
            async for event in events:
                if event.type == type and (where is None or where(event)):
                    return event
        raise ConnectionLost(self._client.url, EOFError("the timeline ended"))

    async def replay(
        self,
        *,
        input: Any = UNSET,  # noqa: A002 - the wire's name
        patch: Mapping[str, Any] | None = None,
        from_step: str | None = None,
        fresh: bool = False,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Replayed:
        """Runs it again once it has ended; see `replay_run`."""
        return await self._client.replay_run(
            self._run_id,
            input=input,
            patch=patch,
            from_step=from_step,
            fresh=fresh,
            actor=actor,
            reason=reason,
        )

    async def cancel(self, *, actor: str | None = None, reason: str | None = None) -> Cancelled:
        """Ends it; its worker's handler is cancelled, see `cancel_run`."""
        return await self._client.cancel_run(self._run_id, actor=actor, reason=reason)

    async def steps(self) -> list[Step]:
        """Its finished steps with their results."""
        return await self._client.run_steps(self._run_id)

    async def dead_letter(self, *, replay_seq: int | None = None) -> RunDeadLetter | None:
        """Its newest dead letter, or that of one replay; None when it never had one."""
        try:
            return await self._client.run_dlq(self._run_id, replay_seq=replay_seq)
        except NotFound:
            # The run may be what is absent: that is raised.
            await self._client.get_run(self._run_id)
            return None

    async def attempts(self) -> list[RunAttempt]:
        """Every attempt over all of its replays."""
        found: list[RunAttempt] = []
        cursor: str | None = None
        while True:
            page = await self._client.run_attempts(self._run_id, cursor=cursor)
            found += page.attempts
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def diff(self, *, a: str | None = None, b: str | None = None) -> RunDiff:
        """What changed between two attempts; see `diff_run`."""
        return await self._client.diff_run(self._run_id, a=a, b=b)

    async def explain(self) -> Explanation:
        """Why it is where it is."""
        return await self._client.explain(run_id=self._run_id)

    async def retry_now(self, *, reason: str | None = None) -> RetriedNow:
        """Ends its backoff or delay."""
        return await self._client.retry_now(run_id=self._run_id, reason=reason)

    async def token(self, *, ttl_ms: int | None = None) -> RunToken:
        """A token that reads this run and nothing else."""
        return await self._client.create_run_token(self._run_id, ttl_ms=ttl_ms)
