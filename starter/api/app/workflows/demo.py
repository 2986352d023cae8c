"""`demo`: fetch_input → transform → tool_call → finalize, with a switch that makes one step fail.

Each step is a `run.step`: a retry, and a replay after the fix, keep what was finished.
"""

import asyncio
from typing import Any, Literal

from driftq import Run
from pydantic import BaseModel, ConfigDict

from app.settings import STEP_MS

FailAt = Literal["transform", "tool_call"]


class DemoInput(BaseModel):
    """The input of a run; `fail_at` is the switch, and whatever else is there is carried along."""

    model_config = ConfigDict(extra="allow")

    text: str = "DriftQ keeps what was finished."
    fail_at: FailAt | None = None


async def demo(run: Run[DemoInput]) -> dict[str, Any]:
    """The whole workflow; what it returns is the run's result."""
    fail_at = run.input.fail_at
    document = await run.step("fetch_input", fetch_input, run.input.text)
    words = await run.step("transform", transform, document, fails=fail_at == "transform")
    answer = await run.step("tool_call", tool_call, words, fails=fail_at == "tool_call")
    return await run.step("finalize", finalize, words, answer)


async def fetch_input(text: str) -> str:
    """Reads what there is to do: a document, a prompt, a ticket."""
    await _work()
    return text.strip()


async def transform(document: str, *, fails: bool) -> list[str]:
    """Parses it. A model's answer that is no JSON would fail here."""
    await _work()
    if fails:
        raise ValueError("the answer cannot be parsed: expected a list of words (forced by fail_at)")
    return document.rstrip(".").split()


async def tool_call(words: list[str], *, fails: bool) -> dict[str, int]:
    """Calls somebody else's service, which may be slow, rate limited or down."""
    await _work()
    if fails:
        raise TimeoutError("the tool did not answer in time (forced by fail_at)")
    return {"longest": max(map(len, words), default=0)}


async def finalize(words: list[str], answer: dict[str, int]) -> dict[str, Any]:
    """Puts the result together."""
    await _work()
    return {"words": len(words), **answer}


async def _work() -> None:
    await asyncio.sleep(STEP_MS / 1000)
