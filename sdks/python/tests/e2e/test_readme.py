"""The snippets of the README run as they are printed."""

import asyncio
import os
import re
import sys
from pathlib import Path

import httpx2

from driftq.testing import Driftqd, free_port

README = Path(__file__).parents[2] / "README.md"


def written_out(folder: Path) -> list[str]:
    """Writes every Python snippet to the file that its first line names."""
    names = []
    (folder / "app").mkdir()
    (folder / "app/__init__.py").touch()
    for snippet in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        name = re.match(r"# (\S+?\.py)", snippet)
        assert name, f"a snippet without a file name: {snippet[:40]}"
        (folder / name[1]).write_text(snippet)
        names.append(name[1])
    return names


async def test_the_worker_the_script_and_the_app_of_the_readme_work(broker: Driftqd, tmp_path: Path) -> None:
    assert written_out(tmp_path) == ["app/worker.py", "app/main.py", "script.py"]
    environment = {**os.environ, "DRIFTQ_HTTP_URL": broker.url}

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
        )

    port = str(free_port())
    worker = await start("-m", "driftq", "worker", "app.worker:worker")
    app = await start("-m", "uvicorn", "app.main:app", "--port", port, "--log-level", "warning")
    script = await start("script.py")
    try:
        said, _ = await asyncio.wait_for(script.communicate(), 30)
        assert said.decode().splitlines()[-2:] == [
            "9 run.succeeded",
            "{'summary': 'THE TEXT OF HTTPS://EXAMPLE.COM'}",
        ]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/api") as http, asyncio.timeout(30):
            body = {"workflow": "summarize", "input": {"url": "http://plain.example"}}
            while True:
                try:
                    created = (await http.post("/runs", json=body)).json()
                    break
                except httpx2.ConnectError:
                    continue
            run = await http.get(f"/runs/{created['run_id']}", params={"wait_ms": 20_000}, timeout=30)
            assert (run.json()["status"], run.json()["error"]["message"]) == (
                "failed",
                "only https is fetched",
            )
    finally:
        for process in (app, worker):
            process.terminate()
        codes = [await asyncio.wait_for(process.wait(), 30) for process in (app, worker)]
    assert codes[1] == 0
