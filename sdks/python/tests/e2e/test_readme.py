"""The snippets of the README run as they are printed."""

import asyncio
import os
import re
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from driftq.testing import Driftqd, free_port

README = Path(__file__).parents[2] / "README.md"

FILES = [
    "messages.py",
    "app/worker.py",
    "script.py",
    "app/main.py",
    "test_dunning.py",
    "shop.py",
    "traced.py",
    "mend.py",
    "redrive.py",
]

PATIENCE_S = 60


def snippets() -> dict[str, str]:
    """Every Python snippet by the file that its first line names."""
    found = {}
    for snippet in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        name = re.match(r"# (\S+?\.py)", snippet)
        assert name, f"a snippet without a file name: {snippet[:40]}"
        found[name[1]] = snippet
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__init__.py").touch()
    for name, snippet in snippets().items():
        (tmp_path / name).write_text(snippet)
    return tmp_path


class Shell:
    """Python over the README's files, with a broker that they find."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._environment = {**os.environ, "DRIFTQ_HTTP_URL": url}
        self._running: list[asyncio.subprocess.Process] = []

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
        )
        self._running.append(process)
        return process

    async def run(self, *arguments: str) -> list[str]:
        process = await self.start(*arguments)
        said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode == 0, said.decode()
        return said.decode().splitlines()

    async def end(self) -> None:
        for process in self._running:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), PATIENCE_S)


@pytest.fixture
async def shell(broker: Driftqd, folder: Path) -> AsyncIterator[Shell]:
    shell = Shell(folder, broker.url)
    yield shell
    await shell.end()


def test_every_snippet_is_run_here() -> None:
    assert list(snippets()) == FILES


async def test_the_snippets_are_typed(shell: Shell) -> None:
    assert "Success" in (await shell.run("-m", "mypy", "--strict", "."))[-1]


async def test_messages_go_in_and_come_out(shell: Shell) -> None:
    assert sorted(await shell.run("messages.py")) == ["7 attempt 1", "8 attempt 1", "9 attempt 1"]


async def test_the_worker_the_script_and_the_app_work_together(shell: Shell) -> None:
    port = str(free_port())
    worker = await shell.start("-m", "driftq", "worker", "app.worker:worker")
    await shell.start("-m", "uvicorn", "app.main:app", "--port", port, "--log-level", "warning")
    said = await shell.run("script.py")
    assert said[0] == "1 run.created"
    assert said[8] == "9 run.succeeded"
    assert said[9] == "summary='THE TEXT OF HTTPS://EXAMPLE.COM'"
    assert re.fullmatch(
        r"run run_\w+ failed after 1 attempt: driftq\.NonRetryable: only https is fetched", said[10]
    )
    assert said[11:] == ["THE TEXT OF HTTPS://EXAMPLE.ORG"]
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/api", timeout=30) as http,
        asyncio.timeout(PATIENCE_S),
    ):
        body = {"workflow": "summarize", "input": {"url": "http://plain.example"}}
        while True:
            try:
                created = (await http.post("/runs", json=body)).json()
                break
            except httpx2.ConnectError:
                continue
        run = (await http.get(f"/runs/{created['run_id']}", params={"wait_ms": 20_000})).json()
    assert (run["status"], run["error"]["message"]) == ("failed", "only https is fetched")
    worker.terminate()
    assert await asyncio.wait_for(worker.wait(), PATIENCE_S) == 0


async def test_the_blocking_workflow_and_the_handler_work(shell: Shell, broker: Driftqd) -> None:
    worker = await shell.start("-u", "-m", "driftq", "worker", "app.worker:worker")
    async with broker.async_client() as client:
        run = await client.create_run("report", 12)
        assert await run.result(timeout_s=PATIENCE_S) == 144
        await client.produce("orders", 7)
    assert worker.stdout is not None
    assert await asyncio.wait_for(worker.stdout.readline(), PATIENCE_S) == b"billed 7\n"


async def test_the_tests_pass(shell: Shell, driftqd_binary: Path) -> None:
    shell._environment["DRIFTQD_BIN"] = str(driftqd_binary)
    said = await shell.run("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_dunning.py")
    assert said[-1].startswith("2 passed")


async def test_the_outbox_sends_what_was_committed(shell: Shell, broker: Driftqd) -> None:
    assert await shell.run("shop.py") == ["1 sent"]
    async with broker.async_client() as client:
        (message,) = (await client.browse_topic("placed")).messages
    assert (message.key, message.value) == ("7", {"order": 7})


def test_the_extra_brings_what_its_snippet_imports() -> None:
    extras = tomllib.loads((README.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    brought = {re.split(r"[<>=]", wanted)[0] for wanted in extras["otel"]}
    imported = set(re.findall(r"^from (opentelemetry\S*)", snippets()["traced.py"], re.MULTILINE))
    needed = {"opentelemetry-sdk" if ".sdk" in name else "opentelemetry-api" for name in imported}
    assert needed == {"opentelemetry-api", "opentelemetry-sdk"}
    assert needed <= brought


async def test_spans_are_told(shell: Shell) -> None:
    assert await shell.run("traced.py") == ["send traced", "checkout"]


async def test_what_failed_is_mended(shell: Shell) -> None:
    assert await shell.run("mend.py") == ["max_attempts amount is no number [True]", "{'amount': 7}"]


async def test_many_that_failed_alike_are_sent_again(shell: Shell) -> None:
    said = await shell.run("redrive.py")
    assert said == ["20 TimeoutError", "would move 20", "done 20 of 20"]
