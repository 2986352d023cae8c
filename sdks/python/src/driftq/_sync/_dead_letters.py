# Made from `_async` by scripts/make_sync.py: change it there.

"""Calls about dead letters, and about jobs that redrive many of them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from .._requests import UNSET, DeadLetterFilter
from .._requests import dead_letters as requests
from .._types import (
    DeadLetter,
    DeadLetterDiff,
    DeadLetterPage,
    FingerprintPage,
    RedriveJob,
    RedriveJobPage,
    Redriven,
    RedrivePreview,
)
from ._sender import Sender

EVERYTHING = DeadLetterFilter()


class DeadLetterCalls(Sender):
    """What failed for good: found, looked at, sent again, given up."""

    def list_dead_letters(
        self,
        *,
        topic: str | None = None,
        group: str | None = None,
        run_id: str | None = None,
        reason: str | None = None,
        fingerprint: str | None = None,
        tenant_id: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        q: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> DeadLetterPage:
        """Lists open dead letters; `topic` is the one they came from, `q` is looked for in their text.

        With `q` a page may be empty although its `next_cursor` says that there is more to look at.
        """
        wanted = DeadLetterFilter(
            topic=topic,
            group=group,
            run_id=run_id,
            reason=reason,
            fingerprint=fingerprint,
            tenant_id=tenant_id,
            since_ms=since_ms,
            until_ms=until_ms,
        )
        return self._send(requests.list_dead_letters(wanted, q, limit, cursor))

    def iter_dead_letters(
        self,
        filter: DeadLetterFilter = EVERYTHING,  # noqa: A002 - the wire's name
        *,
        q: str | None = None,
    ) -> Generator[DeadLetter]:
        """Yields every open dead letter that fits, page after page."""
        cursor: str | None = None
        while True:
            page = self._send(requests.list_dead_letters(filter, q, None, cursor))
            for letter in page.items:
                yield letter
            cursor = page.next_cursor
            if cursor is None:
                return

    def list_fingerprints(
        self,
        filter: DeadLetterFilter = EVERYTHING,  # noqa: A002 - the wire's name
        *,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> FingerprintPage:
        """Groups open dead letters by how they failed, the most frequent first."""
        return self._send(requests.list_fingerprints(filter, limit, cursor))

    def get_dead_letter(self, topic: str, partition: int, offset: int) -> DeadLetter:
        """Shows a dead letter whole; `topic` is its own (`dlq.…`)."""
        return self._send(requests.get_dead_letter(topic, partition, offset))

    def diff_dead_letter(
        self, topic: str, partition: int, offset: int, *, a: int | None = None, b: int | None = None
    ) -> DeadLetterDiff:
        """Compares two of its attempts: the first and the newest, unless others are named."""
        return self._send(requests.diff_dead_letter(topic, partition, offset, a, b))

    def redrive_dead_letter(
        self,
        topic: str,
        partition: int,
        offset: int,
        *,
        value: Any = UNSET,
        target_topic: str | None = None,
        all_groups: bool = False,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> Redriven:
        """Sends a dead letter's message again, to the group that failed it; with a `value`, that one."""
        call = requests.redrive_dead_letter(
            topic,
            partition,
            offset,
            value=value,
            target_topic=target_topic,
            all_groups=all_groups,
            reason=reason,
            idempotency_key=idempotency_key,
        )
        return self._send(call)

    def discard_dead_letter(self, topic: str, partition: int, offset: int, *, reason: str) -> None:
        """Takes a dead letter off the list, with a reason that is kept."""
        self._send(requests.discard_dead_letter(topic, partition, offset, reason))

    def preview_redrive(
        self,
        filter: DeadLetterFilter,  # noqa: A002 - the wire's name
    ) -> RedrivePreview:
        """Counts what `start_redrive` would move, and moves nothing."""
        return self._send(requests.preview_redrive(filter))

    def start_redrive(
        self,
        filter: DeadLetterFilter,  # noqa: A002 - the wire's name
        *,
        rate_per_s: float | None = None,
        canary: int | None = None,
        stop_at_failure_share: float | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> RedriveJob:
        """Starts a job that redrives all that fits, `rate_per_s` of them, first `canary` as a trial.

        The broker runs it, over its restarts too; `NotFound` when nothing fits.
        """
        call = requests.start_redrive(
            filter,
            rate_per_s=rate_per_s,
            canary=canary,
            stop_at_failure_share=stop_at_failure_share,
            reason=reason,
            idempotency_key=idempotency_key,
        )
        return self._send(call)

    def list_redrive_jobs(
        self, *, status: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> RedriveJobPage:
        """Lists redrive jobs, newest first."""
        return self._send(requests.list_redrive_jobs(status, limit, cursor))

    def get_redrive_job(self, job_id: str, *, wait_ms: int | None = None) -> RedriveJob:
        """Shows a job, after waiting up to `wait_ms` for its end."""
        return self._send(requests.get_redrive_job(job_id, wait_ms))

    def watch_redrive_job(self, job_id: str, *, every_s: float = 0.5) -> Generator[RedriveJob]:
        """Yields a job as it changes, until it is over or halted: `done`, `stopped` or `halted` is last."""
        seen: RedriveJob | None = None
        while True:
            job = self._send(requests.get_redrive_job(job_id, None))
            if job != seen:
                seen = job
                yield job
            if job.over or job.status == "halted":
                return
            # It is asked again and not waited for: its progress is what a watcher wants.
            self._sleep(every_s)

    def pause_redrive_job(self, job_id: str, *, reason: str | None = None) -> RedriveJob:
        """Moves nothing more until `resume_redrive_job`."""
        return self._send(requests.steer_redrive_job(job_id, "pause", reason))

    def resume_redrive_job(self, job_id: str, *, reason: str | None = None) -> RedriveJob:
        """Goes on with a job that was paused, or that halted itself."""
        return self._send(requests.steer_redrive_job(job_id, "resume", reason))

    def stop_redrive_job(self, job_id: str, *, reason: str | None = None) -> RedriveJob:
        """Ends a job for good; what it moved stays moved."""
        return self._send(requests.steer_redrive_job(job_id, "stop", reason))
