"""Driftqd, the API and workers as real processes, and a reader of timelines."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from driftq.testing import Driftqd, free_port

PATIENCE_S = 40

Event = dict[str, Any]


class Stack:
    """Everything that `dev_up.py` starts, on free ports and with quick steps."""

    def __init__(self, driftqd: Path, folder: Path) -> None:
        self.broker = Driftqd(binary=driftqd, folder=folder / "broker")
        self.http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{free_port()}", timeout=PATIENCE_S)
        self._folder = folder
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.broker.start)
        port = str(self.http.base_url.port)
        await self._start("-m", "uvicorn", "app.main:app", "--port", port, "--timeout-graceful-shutdown", "1")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    if (await self.http.get("/healthz")).is_success:
                        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self.broker.kill()
        if error is not None:
            print(self.broker.log)

    async def start_worker(self, *, step_ms: int = 5, lease_ms: int = 10_000) -> asyncio.subprocess.Process:
        """A worker; it is ready when it takes a run, so nobody waits for it here."""
        return await self._start(
            "-m", "driftq", "worker", "app.worker:worker", DEMO_STEP_MS=step_ms, WORKER_LEASE_MS=lease_ms
        )

    async def _start(self, *arguments: str, **settings: int) -> asyncio.subprocess.Process:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTQ_")}
        environment |= {"DRIFTQ_HTTP_URL": self.broker.url, "DEMO_BACKOFF_MS": "50"}
        environment |= {name: str(value) for name, value in settings.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=self._folder, env=environment
        )
        self._processes.append(process)
        return process

    async def restart_broker(self) -> None:
        """`kill -9`, and a new one over the same data."""
        self.broker.kill()
        await asyncio.to_thread(self.broker.start)

    async def create(self, **body: Any) -> str:
        """Starts a run of the demo."""
        answer = await self.http.post("/runs", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["run_id"])

    async def replay(self, run_id: str, **body: Any) -> dict[str, Any]:
        """Replays a run through the API."""
        answer = await self.http.post(f"/runs/{run_id}/replay", json=body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def timeline(self, run_id: str) -> list[Event]:
        """The whole timeline as JSON."""
        answer = await self.http.get(f"/runs/{run_id}/events", headers={"Accept": "application/json"})
        events: list[Event] = answer.json()["events"]
        return events

    @contextlib.asynccontextmanager
    async def reader(self, run_id: str, last_id: str | None = None) -> AsyncIterator["Reader"]:
        """One connection to the timeline, as a browser holds it."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        path = f"/runs/{run_id}/events"
        async with (
            asyncio.timeout(PATIENCE_S),
            self.http.stream("GET", path, headers=headers, params={"client_id": "test"}) as answer,
        ):
            assert answer.status_code == 200
            yield Reader(answer)


class Reader:
    """What came over one connection: `seen` are the run's events, `connected` what came before them."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.headers = answer.headers
        self.seen: list[Event] = []
        self.connected: list[Event] = []
        self._source = aiter(httpx2.EventSource(answer))

    async def until(self, kind: str, *, replay_seq: int = 0) -> Event:
        """Reads on to the next event of this kind."""
        while True:
            sse = await anext(self._source)
            if not sse.data:
                continue
            event: Event = json.loads(sse.data)
            if event["type"] == "sse.connected":
                assert sse.id == ""
                self.connected.append(event)
                continue
            assert sse.id == str(event["seq"])
            self.seen.append(event)
            if (event["type"], event["replay_seq"]) == (kind, replay_seq):
                return event

    def types(self) -> list[str]:
        return [event["type"] for event in self.seen]

    def assert_whole(self, *, first: int = 1) -> None:
        """No gap, no event twice, and all over one connection."""
        assert [event["seq"] for event in self.seen] == list(range(first, first + len(self.seen)))
        assert len(self.connected) == 1
