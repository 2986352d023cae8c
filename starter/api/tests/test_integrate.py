"""The playbook, docs/integrate.md: its files are written down as they are printed, and work."""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from driftq import AsyncClient
from driftq.testing import Driftqd, free_port

REPOSITORY = Path(__file__).parents[3]
PLAYBOOK = (REPOSITORY / "docs/integrate.md").read_text()
PATIENCE_S = 40
ANN = {"X-User": "ann", "X-Team": "one"}


def printed(name: str) -> str:
    """A file as the playbook prints it."""
    found = re.search(rf"```\w+\n(# {re.escape(name)}\n.*?)```", PLAYBOOK, re.DOTALL)
    assert found, f"the playbook prints no {name}"
    return found[1]


@dataclass
class App:
    """The playbook's API and worker as processes."""

    http: httpx2.AsyncClient
    broker: Driftqd
    folder: Path

    async def ended(self, run_id: str) -> dict[str, Any]:
        """Its run, once it has ended."""
        answer = await self.http.get(f"/api/runs/{run_id}", params={"wait_ms": 20_000}, headers=ANN)
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture
async def app(tmp_path: Path, driftqd_binary: Path) -> AsyncIterator[App]:
    folder = tmp_path / "backend"
    (folder / "app").mkdir(parents=True)
    (folder / "app/__init__.py").touch()
    for name in ("main", "worker", "mirror"):
        (folder / f"app/{name}.py").write_text(printed(f"app/{name}.py"))
    port = free_port()
    with Driftqd(binary=driftqd_binary, folder=tmp_path / "broker") as broker:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTQ_")}
        environment |= {"DRIFTQ_HTTP_URL": broker.url, "PYTHONPATH": str(folder)}
        commands = (
            ("uvicorn", "app.main:app", "--port", str(port), "--timeout-graceful-shutdown", "1"),
            ("driftq", "worker", "app.worker:worker"),
        )
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, "-m", *words, cwd=folder, env=environment)
            for words in commands
        ]
        try:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as http:
                async with asyncio.timeout(PATIENCE_S):
                    while True:
                        with contextlib.suppress(httpx2.TransportError):
                            if (await http.get("/healthz")).json() == {"driftq": "ok"}:
                                break
                yield App(http, broker, folder)
        finally:
            for process in processes:
                process.kill()
                await process.wait()


async def start(app: App, text: str, **headers: str) -> str:
    body = {"workflow": "summarize", "input": {"text": text}}
    answer = await app.http.post("/api/runs", json=body, headers=ANN | headers)
    assert answer.status_code in (200, 201), answer.text
    run_id: str = answer.json()["run_id"]
    return run_id


async def test_the_playbook_works_as_it_is_printed(app: App) -> None:
    assert (await app.http.post("/api/runs", json={"workflow": "summarize"})).status_code == 401
    other = await app.http.post("/api/runs", json={"workflow": "drop_tables"}, headers=ANN)
    assert other.status_code == 403, other.text

    run_id = await start(app, "  a   long text  ", **{"Idempotency-Key": "once"})
    assert await start(app, "  a   long text  ", **{"Idempotency-Key": "once"}) == run_id
    assert (await app.ended(run_id))["result"] == {"summary": "a long text"}
    events = (await app.http.get(f"/api/runs/{run_id}/events", headers=ANN)).json()["events"]
    assert [event["type"] for event in events][-1] == "run.succeeded"
    for path in (f"/api/runs/{run_id}", f"/api/runs/{run_id}/events"):
        assert (await app.http.get(path, headers=ANN | {"X-Team": "two"})).status_code == 404

    failed = await start(app, "   ")
    assert (await app.ended(failed))["status"] == "failed"
    letter = (await app.http.get(f"/api/runs/{failed}/dlq", headers=ANN)).json()
    assert (letter["reason"], letter["error"]["message"]) == (
        "non_retryable",
        "there is nothing to summarise",
    )
    again = await app.http.post(f"/api/runs/{failed}/replay", json={"patch": {"text": "mended"}}, headers=ANN)
    assert again.status_code == 200, again.text
    assert (await app.ended(failed))["result"] == {"summary": "mended"}

    mirrored: dict[str, Any] = {"__name__": "mirror"}
    exec(compile(printed("app/mirror.py"), "mirror.py", "exec"), mirrored)
    async with AsyncClient(app.broker.url) as client:
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            assert await mirrored["mirror"](client, database) == 2
            assert await mirrored["mirror"](client, database) == 0
            rows = database.execute("select status from runs").fetchall()
            assert rows == [("succeeded",), ("succeeded",)]


def test_the_compose_snippet_is_the_starters_broker() -> None:
    told = yaml.safe_load(printed("docker-compose.yml"))
    ours = yaml.safe_load((REPOSITORY / "starter/compose.yaml").read_text())
    broker = told["services"]["driftq"]
    for member in ("image", "ports", "volumes"):
        assert broker[member] == ours["services"]["driftq"][member]
    assert broker["healthcheck"]["test"] == ours["services"]["driftq"]["healthcheck"]["test"]
    assert set(told["volumes"]) == {"driftq_data"}
    assert json.dumps(told).count("8080") == 2
