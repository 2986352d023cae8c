"""The curl lines of the README work as they are printed."""

import asyncio
import json
import re
from pathlib import Path

from stack import PATIENCE_S, Stack

README = Path(__file__).parents[1] / "README.md"


async def test_the_story_with_curl_ends_in_success(stack: Stack) -> None:
    await stack.start_worker()
    text = README.read_text()
    printed = re.search(r"tests/test_readme\.py -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert printed
    script = printed[1].replace("localhost:8000", f"127.0.0.1:{stack.http.base_url.port}")
    shell = await asyncio.create_subprocess_exec("bash", "-euc", script, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(shell.communicate(), PATIENCE_S)
    assert shell.returncode == 0
    for kind in ("sse.connected", "run.created", "run.retry_scheduled", "run.dlq", "run.failed"):
        assert f'"{kind}"'.encode() in said
    assert b'"type":"runs.dlq"' in said.replace(b": ", b":")
    run = json.JSONDecoder().raw_decode(said.decode()[said.decode().rindex('{"run_id"') :])[0]
    assert (run["status"], run["replay_seq"]) == ("succeeded", 1)


def test_the_routes_that_are_listed_are_there() -> None:
    from app.main import app

    def written(path: str) -> str:
        return path.replace("{run_id}", "{id}")

    text = README.read_text()
    for path in app.openapi()["paths"]:
        shown = written(path)
        short = f"…/{shown.rsplit('/', 1)[1]}"
        assert f"{shown}`" in text or f"{shown}?" in text or f"{shown} " in text or short in text, path
