"""The whole integration of an app: `app.include_router(driftq_router(client, scope=…, workflows=[…]))`.

Promises: the routes take and answer what driftqd's `/v1/runs*` do; another tenant's run answers like one that
is absent; only listed workflows can be started; a stream is never ended, nor refused, because the broker is
away. The bytes of a timeline are passed on unread.
"""

# No `from __future__ import annotations` here: FastAPI reads the annotations of nested functions.

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ._async._client import AsyncClient
from ._errors import ApiError, DriftqError, NotFound, NotJson, PermissionDenied, UnexpectedAnswer
from ._relay import STREAM_HEADERS, relay_events, wants_stream
from ._requests import UNSET, Call, RunOptions
from ._requests import runs as requests
from ._types import (
    Cancelled,
    EventPage,
    Replayed,
    RetryPolicy,
    RunAttemptPage,
    RunCreated,
    RunDeadLetter,
    RunDiff,
    RunInfo,
    RunPage,
    RunToken,
)

__all__ = [
    "STREAM_HEADERS",
    "CancelRun",
    "CreateRun",
    "IdempotencyKeyHeader",
    "NewToken",
    "ReplayRun",
    "RouteName",
    "Scope",
    "create_scoped_run",
    "driftq_router",
    "error_answer",
    "relay_events",
    "wants_stream",
]

logger = logging.getLogger("driftq.fastapi")

RouteName = Literal[
    "create",
    "list",
    "get",
    "events",
    "steps",
    "dlq",
    "replay",
    "cancel",
    "attempts",
    "diff",
    "token",
]


class Scope(BaseModel):
    """Who asks: the tenant whose runs are seen, and the name that timelines and the audit log show."""

    model_config = ConfigDict(frozen=True)

    tenant_id: str = Field(min_length=1)
    actor: str | None = None


class CreateRun(BaseModel):
    """What `POST /runs` takes. Topic, group and tenant are the server's business, not a browser's."""

    model_config = ConfigDict(extra="forbid")

    workflow: str
    input: Any = None
    run_id: str | None = None
    idempotency_key: str | None = None
    retry_policy: RetryPolicy | None = None
    deliver_at_ms: int | None = None
    tags: list[str] | None = None


class ReplayRun(BaseModel):
    """What `POST /runs/{run_id}/replay` takes; all of it may be left out."""

    model_config = ConfigDict(extra="forbid")

    input: Any = None
    patch: dict[str, Any] | None = None
    from_step: str | None = None
    fresh: bool = False
    reason: str | None = None


class CancelRun(BaseModel):
    """What `POST /runs/{run_id}/cancel` takes; all of it may be left out."""

    model_config = ConfigDict(extra="forbid")

    reason: str | None = None


def _as_text(header: str | None) -> str | None:
    """A header as the broker reads it: UTF-8, without the space around it, and nothing when it is empty."""
    if header is None:
        return None
    try:
        return header.encode("latin-1").decode().strip() or None
    except UnicodeError:
        raise ValueError("it is not UTF-8") from None


#: The header `Idempotency-Key` as an argument of a route of yours, for `create_scoped_run`.
IdempotencyKeyHeader = Annotated[str | None, Header(alias="Idempotency-Key"), AfterValidator(_as_text)]


def driftq_router(
    client: AsyncClient,
    scope: Callable[..., Any] | None = None,
    workflows: Collection[str] = (),
    *,
    routes: Collection[RouteName] = get_args(RouteName),
    topic: str | None = None,
    group: str | None = None,
) -> APIRouter:
    """The routes of runs for an app of your own.

    `scope` is a dependency that returns a `Scope` (or raises, say a 401): every route applies it. Without it
    there is one tenant, and everybody sees every run. `workflows` are the ones that may be started here.
    `routes` leaves out what you write yourself. `topic` (and `group`) is what your worker reads, if that is
    not the default.
    """
    if scope is None:
        logger.warning("driftq_router has no scope: everybody who reaches it sees and replays every run")
    router = APIRouter(
        tags=["runs"], route_class=BrokerRoute, dependencies=[Depends(_remember(scope or _no_scope))]
    )
    ours = _Routes(client, frozenset(workflows), topic, group)
    for name in get_args(RouteName):
        if name in routes:
            method, path, endpoint, shape = ours.table()[name]
            status = 201 if name == "create" else 200
            router.add_api_route(
                path,
                endpoint,
                methods=[method],
                status_code=status,
                response_class=Response,
                responses={status: {"model": shape}},
            )
    return router


async def _no_scope() -> None:
    return None


def _remember(scope: Callable[..., Any]) -> Callable[..., Awaitable[None]]:
    async def remember(request: Request, found: Annotated[Any, Depends(scope)]) -> None:
        # A scope of yours that forgets its `return` must not open every door.
        if scope is not _no_scope and not isinstance(found, Scope):
            raise TypeError(f"scope must return a driftq.fastapi.Scope, not {type(found).__qualname__}")
        request.state.driftq_scope = found

    return remember


def _scope_of(request: Request) -> Scope | None:
    found: Scope | None = request.state.driftq_scope
    return found


class BrokerRoute(APIRoute):
    """A route whose errors look like the broker's, wherever they come from."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # a coroutine function is one
        """Wraps the ordinary handler."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except RequestValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in first["loc"][1:]) or "body"
                return _problem(400, "INVALID_ARGUMENT", f"{place}: {first['msg']}", retryable=False)
            except DriftqError as error:
                return error_answer(error)

        return handle


def error_answer(error: DriftqError) -> Response:
    """An error of this package as an answer in the broker's shape."""
    if isinstance(error, ApiError):
        headers = {} if error.retry_after_s is None else {"Retry-After": str(-int(-error.retry_after_s // 1))}
        body = dict(error.body) or {
            "error": error.code,
            "message": error.message,
            "retryable": error.retryable,
        }
        return JSONResponse(body, status_code=error.status, headers=headers)
    if isinstance(error, NotJson):
        # Python reads NaN and lone surrogates out of a body, although they are no JSON.
        return _problem(400, "INVALID_ARGUMENT", str(error), retryable=False)
    if isinstance(error, UnexpectedAnswer):
        return _problem(502, "INTERNAL", str(error), retryable=False)
    if error.retryable:
        logger.warning("%s", error)
        return _problem(503, "UNAVAILABLE", "the broker does not answer, try again", retryable=True)
    return _problem(500, "INTERNAL", str(error), retryable=False)


def _problem(status: int, code: str, message: str, *, retryable: bool) -> Response:
    headers = {"Retry-After": "1"} if retryable else {}
    body = {"error": code, "message": message, "retryable": retryable}
    return JSONResponse(body, status_code=status, headers=headers)


def _absent(run_id: str) -> NotFound:
    # The same words for a run of somebody else and for one that never was.
    return NotFound(f"there is no run {run_id!r}", status=404)


async def create_scoped_run(
    client: AsyncClient,
    wanted: CreateRun,
    scope: Scope | None,
    workflows: Collection[str],
    *,
    header_key: str | None = None,
    topic: str | None = None,
    group: str | None = None,
) -> Response:
    """Starts a run as the router does: a listed workflow, for the scope's tenant.

    `header_key` is what the header `Idempotency-Key` said; a key in the body wins over it. `topic` and
    `group` are those of your worker.
    """
    if wanted.workflow not in workflows:
        allowed = ", ".join(sorted(workflows)) or "none"
        raise PermissionDenied(
            f"workflow {wanted.workflow!r} may not be started here; allowed: {allowed}", status=403
        )
    options = RunOptions(
        run_id=wanted.run_id,
        idempotency_key=wanted.idempotency_key or header_key,
        tenant_id=scope.tenant_id if scope else None,
        topic=topic,
        group=group,
        retry_policy=wanted.retry_policy,
        deliver_at_ms=wanted.deliver_at_ms,
        tags=wanted.tags,
    )
    return await _passed_on(client, requests.create_run(wanted.workflow, wanted.input, options))


async def _passed_on(client: AsyncClient, call: Call[Any]) -> Response:
    answer = await client._answer(call)
    return Response(answer.content, status_code=answer.status_code, media_type="application/json")


class NewToken(BaseModel):
    """What `POST /runs/{run_id}/token` takes; all of it may be left out."""

    model_config = ConfigDict(extra="forbid")

    ttl_ms: int | None = Field(default=None, ge=1)


class _Routes:
    """One method for each route; they extract, ask the broker, and pass its answer on."""

    def __init__(
        self, client: AsyncClient, workflows: frozenset[str], topic: str | None, group: str | None
    ) -> None:
        self._client = client
        self._workflows = workflows
        self._topic = topic
        self._group = group

    def table(self) -> dict[str, tuple[str, str, Callable[..., Awaitable[Response]], Any]]:
        """Every route: its method, path, endpoint, and what it answers."""
        return {
            "create": ("POST", "/runs", self.create_run, RunCreated),
            "list": ("GET", "/runs", self.list_runs, RunPage),
            "get": ("GET", "/runs/{run_id}", self.get_run, RunInfo),
            "events": ("GET", "/runs/{run_id}/events", self.run_events, EventPage),
            "steps": ("GET", "/runs/{run_id}/steps", self.run_steps, None),
            "dlq": ("GET", "/runs/{run_id}/dlq", self.run_dlq, RunDeadLetter),
            "replay": ("POST", "/runs/{run_id}/replay", self.replay_run, Replayed),
            "cancel": ("POST", "/runs/{run_id}/cancel", self.cancel_run, Cancelled),
            "attempts": ("GET", "/runs/{run_id}/attempts", self.run_attempts, RunAttemptPage),
            "diff": ("GET", "/runs/{run_id}/diff", self.diff_run, RunDiff),
            "token": ("POST", "/runs/{run_id}/token", self.create_token, RunToken),
        }

    async def create_run(
        self, request: Request, wanted: CreateRun, key: IdempotencyKeyHeader = None
    ) -> Response:
        """Starts a run of a listed workflow; the header `Idempotency-Key` is heeded as the body's field."""
        scope = _scope_of(request)
        return await create_scoped_run(
            self._client,
            wanted,
            scope,
            self._workflows,
            header_key=key,
            topic=self._topic,
            group=self._group,
        )

    async def list_runs(
        self,
        request: Request,
        status: str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        cursor: str | None = None,
        limit: Annotated[int | None, Query(ge=1)] = None,
    ) -> Response:
        """Lists runs, newest first."""
        scope = _scope_of(request)
        call = requests.list_runs(
            status=status,
            workflow=workflow,
            tenant_id=scope.tenant_id if scope else None,
            tag=tag,
            cursor=cursor,
            limit=limit,
        )
        return await _passed_on(self._client, call)

    async def get_run(
        self, request: Request, run_id: str, wait_ms: Annotated[int | None, Query(ge=0)] = None
    ) -> Response:
        """Shows a run, after waiting up to `wait_ms` for its end."""
        await self._authorise(request, run_id)
        return await _passed_on(self._client, requests.get_run(run_id, wait_ms))

    async def run_events(
        self,
        request: Request,
        run_id: str,
        after: Annotated[int | None, Query(ge=0)] = None,
        limit: Annotated[int | None, Query(ge=1)] = None,
        until: Literal["terminal"] | None = None,
        last_event_id: str | None = None,
        client_id: str | None = None,
    ) -> Response:
        """The timeline: a stream for `Accept: text/event-stream`, otherwise a page."""
        if not wants_stream(request):
            await self._authorise(request, run_id)
            return await _passed_on(self._client, requests.run_events(run_id, after, limit))
        return await relay_events(
            self._client,
            run_id,
            last_event_id=request.headers.get("last-event-id") or last_event_id,
            until=until,
            client_id=client_id,
            authorise=lambda: self._authorise(request, run_id),
        )

    async def run_steps(self, request: Request, run_id: str) -> Response:
        """Lists the finished steps."""
        await self._authorise(request, run_id)
        return await _passed_on(self._client, requests.run_steps(run_id))

    async def run_dlq(
        self, request: Request, run_id: str, replay_seq: Annotated[int | None, Query(ge=0)] = None
    ) -> Response:
        """Shows the dead letter; 404 while there is none."""
        await self._authorise(request, run_id)
        return await _passed_on(self._client, requests.run_dlq(run_id, replay_seq))

    async def replay_run(
        self, request: Request, run_id: str, wanted: Annotated[ReplayRun | None, Body()] = None
    ) -> Response:
        """Runs an ended run again; finished steps are kept."""
        await self._authorise(request, run_id)
        asked = wanted or ReplayRun()
        scope = _scope_of(request)
        call = requests.replay_run(
            run_id,
            input=asked.input if "input" in asked.model_fields_set else UNSET,
            patch=asked.patch,
            from_step=asked.from_step,
            fresh=asked.fresh,
            actor=scope.actor if scope else None,
            reason=asked.reason,
        )
        return await _passed_on(self._client, call)

    async def cancel_run(
        self, request: Request, run_id: str, wanted: Annotated[CancelRun | None, Body()] = None
    ) -> Response:
        """Ends a run."""
        await self._authorise(request, run_id)
        scope = _scope_of(request)
        actor = scope.actor if scope else None
        call = requests.cancel_run(run_id, actor=actor, reason=wanted.reason if wanted else None)
        return await _passed_on(self._client, call)

    async def run_attempts(
        self,
        request: Request,
        run_id: str,
        cursor: str | None = None,
        limit: Annotated[int | None, Query(ge=1)] = None,
    ) -> Response:
        """Lists the attempts over all replays."""
        await self._authorise(request, run_id)
        return await _passed_on(self._client, requests.run_attempts(run_id, limit, cursor))

    async def diff_run(
        self, request: Request, run_id: str, a: str | None = None, b: str | None = None
    ) -> Response:
        """Shows what changed between two attempts."""
        await self._authorise(request, run_id)
        return await _passed_on(self._client, requests.diff_run(run_id, a, b))

    async def create_token(
        self, request: Request, run_id: str, wanted: Annotated[NewToken | None, Body()] = None
    ) -> Response:
        """Makes a token that reads this run and nothing else."""
        await self._authorise(request, run_id)
        ttl_ms = None if wanted is None else wanted.ttl_ms
        return await _passed_on(self._client, requests.create_run_token(run_id, ttl_ms))

    async def _authorise(self, request: Request, run_id: str) -> None:
        scope = _scope_of(request)
        if scope is None:
            return
        try:
            run = await self._client.get_run(run_id)
        except NotFound as error:
            raise _absent(run_id) from error
        if run.tenant_id != scope.tenant_id:
            raise _absent(run_id)
