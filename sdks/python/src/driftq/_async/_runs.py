"""Calls about runs; `create_run` and `run` give a handle to one of them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal

import httpx2

from .. import _tracing as tracing
from .._errors import DriftqError
from .._events import events_of, resume_headers
from .._requests import UNSET, RunOptions, fingerprint, run_path
from .._requests import runs as requests
from .._types import (
    Appended,
    Cancelled,
    Event,
    EventPage,
    Replayed,
    RetryPolicy,
    RunAttemptPage,
    RunDeadLetter,
    RunDiff,
    RunInfo,
    RunPage,
    RunToken,
    Step,
    StoredStep,
)
from ._messages import MessageCalls
from ._run_handle import AsyncRunHandle
from ._sender import WAIT_MS_MAX


class RunCalls(MessageCalls):
    """Runs: started, followed, replayed, cancelled, compared."""

    async def create_run(
        self,
        workflow: str,
        input: Any = None,  # noqa: A002 - the wire's name
        *,
        run_id: str | None = None,
        idempotency_key: str | None = None,
        fingerprint: bool = True,
        tenant_id: str | None = None,
        topic: str | None = None,
        group: str | None = None,
        retry_policy: RetryPolicy | Mapping[str, Any] | None = None,
        deliver_at_ms: int | None = None,
        tags: Sequence[str] | None = None,
    ) -> AsyncRunHandle:
        """Starts a run. A repeat of its `idempotency_key` gives the first answer and starts nothing.

        Another workflow or input under the same key is an `Unprocessable`, unless `fingerprint` is false.
        """
        prints = _fingerprint(workflow, input) if idempotency_key and fingerprint else None
        with tracing.starting_run(workflow, tags) as traced_tags:
            options = RunOptions(
                run_id=run_id,
                idempotency_key=idempotency_key,
                fingerprint=prints,
                tenant_id=tenant_id,
                topic=topic,
                group=group,
                retry_policy=retry_policy,
                deliver_at_ms=deliver_at_ms,
                tags=traced_tags,
            )
            created = await self._send(requests.create_run(workflow, input, options))
        return AsyncRunHandle(self, created.run_id, created)

    def run(self, run_id: str) -> AsyncRunHandle:
        """A handle to a run that exists; nothing is asked until it is used."""
        return AsyncRunHandle(self, run_id)

    async def list_runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        tenant_id: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> RunPage:
        """Lists runs, newest first."""
        call = requests.list_runs(
            status=status, workflow=workflow, tenant_id=tenant_id, tag=tag, cursor=cursor, limit=limit
        )
        return await self._send(call)

    async def iter_runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        tenant_id: str | None = None,
        tag: str | None = None,
    ) -> AsyncGenerator[RunInfo]:
        """Yields every run that fits, newest first, page after page."""
        cursor: str | None = None
        while True:
            page = await self.list_runs(
                status=status, workflow=workflow, tenant_id=tenant_id, tag=tag, cursor=cursor
            )
            for run in page.runs:
                yield run
            cursor = page.next_cursor
            if cursor is None:
                return

    async def get_run(self, run_id: str) -> RunInfo:
        """Looks a run up."""
        return await self._send(requests.get_run(run_id))

    async def wait_run(self, run_id: str, *, timeout_s: float | None = None) -> RunInfo:
        """Waits until a run has ended, for ever or `timeout_s`; then it returns the run as it is."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_ms = WAIT_MS_MAX if deadline is None else int((deadline - time.monotonic()) * 1000)
            wait_ms = min(max(left_ms, 0), WAIT_MS_MAX)
            run = await self._send(requests.get_run(run_id, wait_ms))
            if run.terminal or left_ms <= 0:
                return run

    async def replay_run(
        self,
        run_id: str,
        *,
        input: Any = UNSET,  # noqa: A002 - the wire's name
        patch: Mapping[str, Any] | None = None,
        from_step: str | None = None,
        fresh: bool = False,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Replayed:
        """Runs an ended run again: as it was, with another `input`, or with a JSON merge `patch` to it.

        Finished steps are kept, but `from_step` forgets that one and all after it, and `fresh` all. The
        timeline names the `actor`; the dead letter and the audit log keep the `reason`.
        """
        call = requests.replay_run(
            run_id, input=input, patch=patch, from_step=from_step, fresh=fresh, actor=actor, reason=reason
        )
        return await self._send(call)

    async def cancel_run(
        self, run_id: str, *, actor: str | None = None, reason: str | None = None
    ) -> Cancelled:
        """Ends a run; its worker learns it at its next word to the broker, at the latest its next heartbeat.

        The audit log keeps the `actor` and the `reason`.
        """
        return await self._send(requests.cancel_run(run_id, actor=actor, reason=reason))

    async def run_events(
        self, run_id: str, *, after: int | None = None, limit: int | None = None
    ) -> EventPage:
        """Reads a page of a run's timeline: what comes after the event numbered `after`."""
        return await self._send(requests.run_events(run_id, after, limit))

    async def follow_run(
        self,
        run_id: str,
        *,
        after: int = 0,
        until: Literal["terminal"] | None = None,
    ) -> AsyncGenerator[Event]:
        """Yields a run's timeline as it grows, over broken connections, with no gap and no repeat.

        With `until="terminal"` the iteration ends with the run; otherwise it waits for a replay.
        """
        last_id = str(after) if after else None
        params = {"until": until} if until else {}
        failures = 0
        while True:
            try:
                path = f"{run_path(run_id)}/events"
                async with self._open_stream(path, params, resume_headers(last_id)) as answer:
                    if answer.status_code == httpx2.codes.NO_CONTENT:
                        return
                    async for event_id, event in events_of(answer):
                        failures, last_id = 0, event_id
                        yield event
            except DriftqError as error:
                if not error.retryable:
                    raise
            failures += 1
            await self._sleep(self._settings.retry.backoff.delay_s(failures))

    async def append_events(
        self,
        run_id: str,
        events: Sequence[Mapping[str, Any]],
        *,
        lease_id: str | None = None,
        repeatable: bool = False,
    ) -> Appended:
        """Writes events of your own to a run's timeline.

        With `repeatable` they are sent again when an answer got lost: at least once instead of at most once.
        """
        call = requests.append_events(run_id, events, lease_id, repeatable=repeatable)
        return await self._send(call)

    async def put_step(
        self, run_id: str, step: str, output: Any, *, lease_id: str | None, duration_ms: int | None = None
    ) -> StoredStep:
        """Stores a step's result once; whoever comes second gets the first one's."""
        return await self._send(requests.put_step(run_id, step, output, lease_id, duration_ms))

    async def run_steps(self, run_id: str) -> list[Step]:
        """Lists a run's finished steps with their results."""
        return await self._send(requests.run_steps(run_id))

    async def run_dlq(self, run_id: str, *, replay_seq: int | None = None) -> RunDeadLetter:
        """Shows a run's newest dead letter, or that of one replay; `NotFound` when it never had one."""
        return await self._send(requests.run_dlq(run_id, replay_seq))

    async def run_attempts(
        self, run_id: str, *, limit: int | None = None, cursor: str | None = None
    ) -> RunAttemptPage:
        """Lists a run's attempts over all of its replays."""
        return await self._send(requests.run_attempts(run_id, limit, cursor))

    async def diff_run(self, run_id: str, *, a: str | None = None, b: str | None = None) -> RunDiff:
        """Compares two attempts: the newest that failed and the newest, unless others are named.

        An attempt is named `"<replay>.<attempt>"`, or `"<replay>"` for the newest of that replay.
        """
        return await self._send(requests.diff_run(run_id, a, b))

    async def create_run_token(self, run_id: str, *, ttl_ms: int | None = None) -> RunToken:
        """Makes a token that reads this run and nothing else, for a browser; it ends by itself."""
        return await self._send(requests.create_run_token(run_id, ttl_ms))


# The parameter of `create_run` has the function's name.
_fingerprint = fingerprint
