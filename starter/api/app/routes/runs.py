"""Runs: start, follow, dead letter, replay, emit.

The app keeps no table: the broker keeps the run. What is here adds the demo's `fail_at` to the router's
shapes; a client of the router works here too.
"""

import time
from typing import Annotated, Any, Literal

from driftq import InvalidArgument, Unprocessable
from driftq.fastapi import CreateRun, IdempotencyKeyHeader, ReplayRun, create_scoped_run, relay_events
from fastapi import APIRouter, Body, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from app.broker import driftq
from app.settings import BACKOFF_MS
from app.workflows.demo import DemoInput

router = APIRouter(tags=["runs"])

WORKFLOWS = frozenset({"demo"})

MAX_ATTEMPTS = 3
MAX_ATTEMPTS_MAX = 20

FailMode = Literal["none", "transform", "tool_call"]


class StartRun(CreateRun):
    """`POST /runs`: the router's shape, with defaults for the demo and its two knobs."""

    workflow: str = "demo"
    input: dict[str, Any] = Field(default_factory=dict)
    fail_at: FailMode | None = None
    max_attempts: int | None = Field(default=None, ge=1, le=MAX_ATTEMPTS_MAX)


class Replay(ReplayRun):
    """`POST /runs/{run_id}/replay`: `fail_at` left out: as it was; null: fixed; a name: that one fails."""

    fail_at: FailMode | None = None


class NewEvent(BaseModel):
    """An event of the app's own: a `type`, and whatever it wants to say."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(min_length=1)


class Emit(BaseModel):
    """`POST /runs/{run_id}/emit`."""

    model_config = ConfigDict(extra="forbid")

    event: NewEvent


@router.post("/runs", status_code=201)
async def start_run(wanted: StartRun, key: IdempotencyKeyHeader = None) -> Response:
    """Starts a run of the demo; it answers as soon as the run is stored."""
    given = {**wanted.input, **_switch(wanted.fail_at)}
    _checked(given)
    policy = {"max_attempts": MAX_ATTEMPTS, "backoff_ms": BACKOFF_MS}
    if wanted.retry_policy is not None:
        policy |= wanted.retry_policy.model_dump(exclude_none=True)
    if wanted.max_attempts is not None:
        policy["max_attempts"] = wanted.max_attempts
    fields = wanted.model_dump(exclude={"fail_at", "max_attempts"}) | {"input": given, "retry_policy": policy}
    return await create_scoped_run(driftq, CreateRun.model_validate(fields), None, WORKFLOWS, header_key=key)


@router.get("/runs/{run_id}/events")
async def follow_run(
    request: Request,
    run_id: str,
    client_id: str | None = None,
    after: Annotated[int | None, Query(ge=0)] = None,
    limit: Annotated[int | None, Query(ge=1)] = None,
    until: Literal["terminal"] | None = None,
    last_event_id: str | None = None,
) -> Response:
    """The timeline as server-sent events, resumed right after `Last-Event-ID`; JSON for those who ask."""
    accept = request.headers.get("accept", "")
    if "application/json" in accept and "text/event-stream" not in accept:
        page = await driftq.run_events(run_id, after=after, limit=limit)
        return JSONResponse(page.model_dump(mode="json", exclude_unset=True))
    # Not an event of the run: it has no id, so a browser resumes after the last real one.
    connected = {"type": "sse.connected", "run_id": run_id, "client_id": client_id, "ts": _now_ms()}
    return await relay_events(
        driftq,
        run_id,
        last_event_id=request.headers.get("last-event-id") or last_event_id,
        until=until,
        client_id=client_id,
        hello=format_sse_event(data_str=to_json(connected).decode()),
    )


@router.post("/runs/{run_id}/replay")
async def replay_run(run_id: str, wanted: Annotated[Replay | None, Body()] = None) -> dict[str, Any]:
    """Runs it again, with or without the fix. Finished steps are kept."""
    asked = wanted or Replay()
    run = await driftq.get_run(run_id)
    before = run.input if isinstance(run.input, dict) else {}
    changes: dict[str, Any] = {}
    from_step = asked.from_step
    if "input" in asked.model_fields_set:
        changes["input"] = asked.input
    if asked.patch is not None:
        changes["patch"] = asked.patch
    if "fail_at" in asked.model_fields_set:
        changes = _with_switch(changes, asked.fail_at)
        finished = {step.step for step in run.steps}
        # What is to fail must run again, so a result that is kept would hide the switch.
        if from_step is None and not asked.fresh and asked.fail_at in finished:
            from_step = asked.fail_at
    replayed = await driftq.replay_run(run_id, **changes, from_step=from_step, fresh=asked.fresh)
    return {
        **replayed.model_dump(mode="json"),
        "ok": True,
        "seq": replayed.replay_seq,
        "fail_at": _fail_at_after(before, changes),
    }


@router.post("/runs/{run_id}/emit")
async def emit(run_id: str, wanted: Emit) -> dict[str, Any]:
    """Writes an event of the app's own to the timeline, and answers its number there."""
    written = await driftq.append_events(run_id, [wanted.event.model_dump()])
    return {"ok": True, "seq": written.last_seq}


def _switch(fail_at: FailMode | None) -> dict[str, Any]:
    """The switch as it stands in an input: absent when nothing is to fail."""
    return {} if fail_at in (None, "none") else {"fail_at": fail_at}


def _with_switch(changes: dict[str, Any], fail_at: FailMode | None) -> dict[str, Any]:
    """The changes of a replay, and the switch set by them."""
    if isinstance(changes.get("input"), dict):
        kept = {name: value for name, value in changes["input"].items() if name != "fail_at"}
        return {**changes, "input": {**kept, **_switch(fail_at)}}
    # In a merge patch null takes the field away.
    return {**changes, "patch": {**changes.get("patch", {}), "fail_at": _switch(fail_at).get("fail_at")}}


def _fail_at_after(before: dict[str, Any], changes: dict[str, Any]) -> Any:
    if "input" in changes:
        return changes["input"].get("fail_at") if isinstance(changes["input"], dict) else None
    return {**before, **changes.get("patch", {})}.get("fail_at")


def _checked(given: dict[str, Any]) -> None:
    """Refuses here what the worker would refuse anyway."""
    try:
        DemoInput.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Unprocessable(
            f"input.{place}: {first['msg']}", status=422, code=InvalidArgument.code
        ) from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
