"""One attempt at a run: its command in, its input validated, its function called, its result out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from . import _tracing as tracing
from ._blocking_run import BlockingRun
from ._errors import DriftqError, NonRetryable, UnknownWorkflow
from ._hold import Hold
from ._run import Run, as_result, call_in_thread
from ._session import Session, logger
from ._settings import USER_AGENT
from ._types import RunContext
from ._validation import validated

# How long a run of a workflow that this worker does not have rests before somebody is handed it again.
UNKNOWN_WORKFLOW_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Workflow:
    """A registered function, and what its run's input is read as."""

    function: Callable[..., Any]
    input: TypeAdapter[Any]
    blocking: bool

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> Workflow:
        """Reads the signature: `Run[Input]`, in a function that is not `async` `BlockingRun[Input]`."""
        blocking = not inspect.iscoroutinefunction(function)
        return cls(function, _input_adapter(name, function, BlockingRun if blocking else Run), blocking)


async def attempt(workflows: Mapping[str, Workflow], session: Session, hold: Hold) -> Any:
    """Does what a command asks for, and returns the run's result."""
    command = hold.message.value
    if not isinstance(command, dict) or command.get("type") != "run.command":
        raise NonRetryable("this message is no run.command")
    context = hold.message.run or RunContext(
        run_id=str(command["run_id"]),
        replay_seq=int(command.get("replay_seq", 0)),
        attempt=hold.message.attempts,
    )
    name = str(command.get("workflow", ""))
    workflow = workflows.get(name)
    if workflow is None:
        raise _unknown(name, workflows, hold)
    with tracing.working(await _traced(session, hold, name, context)):
        return await _call(workflow, name, session, hold, context)


def _unknown(name: str, workflows: Mapping[str, Workflow], hold: Hold) -> UnknownWorkflow:
    # Another worker of the group may know it, or one whose release is on its way.
    known = ", ".join(sorted(workflows))
    place = f"topic {hold.message.topic!r} as group {hold.message.group!r}"
    return UnknownWorkflow(
        UNKNOWN_WORKFLOW_PAUSE_S,
        f"this worker has no workflow {name!r}; it has: {known}. Workers of several apps that read {place} "
        "take each other's runs: give each app a topic of its own, by Worker(topic=…), and say it where "
        "runs are started, create_run(…, topic=…)",
    )


async def _call(workflow: Workflow, name: str, session: Session, hold: Hold, context: RunContext) -> Any:
    started = {
        "type": "run.started",
        "workflow": name,
        "owner": session.manners.owner,
        "sdk": USER_AGENT,
        **({"version": session.manners.version} if session.manners.version else {}),
        **tracing.carrier(),
    }
    lease_id = hold.message.lease_id
    await hold.insist(
        lambda: session.client.append_events(context.run_id, [started], lease_id=lease_id, repeatable=True)
    )
    run: Run[Any] = Run(
        client=session.client,
        hold=hold,
        threads=session.threads,
        context=context,
        workflow=name,
        input=validated(workflow.input, hold.message.value.get("input"), "input"),
        resources=session.resources,
    )
    if workflow.blocking:
        return as_result(await call_in_thread(session.threads, workflow.function, BlockingRun(run)))
    return as_result(await workflow.function(run))


async def _traced(session: Session, hold: Hold, name: str, context: RunContext) -> tracing.Work:
    message = hold.message
    carrier: Mapping[str, str] = message.headers or {}
    if "traceparent" not in carrier and tracing.configured():
        # Only somebody who records spans pays for this question.
        try:
            carrier = tracing.carrier_of((await session.client.get_run(context.run_id)).tags)
        except DriftqError as error:
            logger.debug("the trace that started run %s is not known: %s", context.run_id, error)
    return tracing.Work(
        name=f"run {name}",
        message=message,
        carrier=carrier,
        first=context.attempt == 1 and context.replay_seq == 0,
        attributes={
            "driftq.run_id": context.run_id,
            "driftq.workflow": name,
            "driftq.replay_seq": context.replay_seq,
            "driftq.attempt": context.attempt,
        },
    )


def _input_adapter(name: str, function: Callable[..., Any], kind: type) -> TypeAdapter[Any]:
    """What `Run[Input]` in the signature asks for; a bare `Run` takes any JSON."""
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 1:
        raise TypeError(f"workflow {name!r} must take exactly one argument, its run: {kind.__name__}[Input]")
    try:
        hint = get_type_hints(function).get(parameters[0], Any)
    except NameError as error:
        raise TypeError(f"the annotation of workflow {name!r} cannot be resolved: {error}") from error
    if get_origin(hint) is kind:
        return TypeAdapter(get_args(hint)[0])
    if hint in (kind, Any):
        return TypeAdapter(Any)
    raise TypeError(f"workflow {name!r} must take a {kind.__name__}[Input], not {hint!r}{_advice(hint)}")


def _advice(hint: Any) -> str:
    if (get_origin(hint) or hint) is Run:
        return ": make it an `async def`, or take a BlockingRun"
    if (get_origin(hint) or hint) is BlockingRun:
        return ": an `async def` takes a Run"
    return ""
