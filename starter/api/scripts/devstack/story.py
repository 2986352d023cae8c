"""The story, live in a terminal: a run fails, becomes a dead letter, is fixed, replayed, and succeeds.

It speaks to the API only, as a page would.
"""

from __future__ import annotations

from typing import Any

from devstack import web
from devstack.say import Failed, line

STORY_S_MAX = 120.0


def play(api_url: str) -> None:
    """Plays it; raises `Failed` unless it ends in `run.succeeded` after a replay."""
    line("1. A run whose tool_call is made to fail")
    run_id = web.ask("POST", f"{api_url}/runs", {"workflow": "demo", "fail_at": "tool_call"})["run_id"]
    line(f"   {run_id}")
    last_id = _follow(api_url, run_id, None, "run.failed", replay_seq=0)

    letter = web.ask("GET", f"{api_url}/runs/{run_id}/dlq")
    line("2. Its dead letter")
    line(f"   {letter['reason']}: {letter['error']['message']}")
    line(f"   {len(letter['attempts'])} attempts are kept, the command is {letter['command']}")

    line("3. Replay with the fix; what was finished is kept")
    replayed = web.ask("POST", f"{api_url}/runs/{run_id}/replay", {"fail_at": None})
    _follow(api_url, run_id, last_id, "run.succeeded", replay_seq=replayed["seq"])
    line("4. Success")


def _follow(api_url: str, run_id: str, last_id: str | None, end: str, *, replay_seq: int) -> str | None:
    """Shows events until the run ends; it must end as the story says, and skip or repeat no event."""
    expected = int(last_id or 0) + 1
    for found_id, event in web.events(f"{api_url}/runs/{run_id}/events", last_id, seconds=STORY_S_MAX):
        if found_id is None:
            continue
        if int(found_id) != expected:
            raise Failed(f"event {expected} was due, {found_id} came")
        expected += 1
        line(f"   {found_id:>3}  {event['type']:<22} {_detail(event)}".rstrip())
        if event["type"] in ("run.succeeded", "run.failed", "run.cancelled"):
            if event["type"] != end or event["replay_seq"] != replay_seq:
                raise Failed(f"the run ended in {event['type']}, not in {end}")
            return found_id
    raise Failed(f"{end} did not come within {STORY_S_MAX:g} s")


def _detail(event: dict[str, Any]) -> str:
    match event["type"]:
        case "worker.received":
            return f"attempt {event['attempt']}"
        case "step.started" | "step.completed" | "step.failed":
            return str(event.get("step", ""))
        case "run.attempt_failed":
            return f"attempt {event['attempt']} of {event['max_attempts']}: {event['error']['message']}"
        case "run.retry_scheduled":
            return f"attempt {event['next_attempt']} in {event['delay_ms'] / 1000:g} s"
        case "run.replay_requested":
            return f"replay {event['replay_seq']}, changed: {', '.join(event['changed']) or 'nothing'}"
        case "run.succeeded":
            return f"result {event['result']}"
        case _:
            return ""
