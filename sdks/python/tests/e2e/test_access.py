"""Tokens and TLS, against a broker that wants them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import driftq
from driftq import AsyncClient, Client, Run, Worker
from driftq.testing import Driftqd, working

SECRET = "dq_" + "s" * 43
READER = "dq_" + "r" * 43
WORKER = "dq_" + "w" * 43


def entry(name: str, secret: str, verbs: list[str]) -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return f'[[token]]\nname = "{name}"\nhash = "sha256:{digest}"\nverbs = {verbs!r}\n'.replace("'", '"')


@pytest.fixture
def guarded(driftqd_binary: Path, tmp_path: Path) -> Iterator[Driftqd]:
    everything = ["produce", "consume", "runs:read", "runs:write", "dlq", "admin"]
    tokens = tmp_path / "tokens.toml"
    entries = [
        ("ops", SECRET, everything),
        ("reader", READER, ["runs:read"]),
        ("worker", WORKER, ["consume"]),
    ]
    tokens.write_text("".join(entry(*each) for each in entries))
    with Driftqd(binary=driftqd_binary, memory=True, arguments=["--token-file", str(tokens)]) as broker:
        yield broker


async def test_a_token_opens_what_its_verbs_name(guarded: Driftqd) -> None:
    async with guarded.async_client() as nobody:
        assert (await nobody.health()).status == "ok"
        with pytest.raises(driftq.Unauthenticated):
            await nobody.list_runs()
    async with guarded.async_client(token=READER) as reader:
        assert (await reader.list_runs()).runs == []
        with pytest.raises(driftq.PermissionDenied, match="runs:write"):
            await reader.create_run("w")


def test_the_token_is_read_from_the_environment(guarded: Driftqd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTQ_HTTP_URL", guarded.url)
    monkeypatch.setenv("DRIFTQ_TOKEN", SECRET)
    with Client() as client:
        client.create_topic("orders")
        assert client.list_topics().topics == ["orders"]


async def test_a_runs_own_token_reads_that_run_and_nothing_else(guarded: Driftqd) -> None:
    async with guarded.async_client(token=SECRET) as ops:
        run = await ops.create_run("w")
        other = await ops.create_run("w")
        token = await run.token(ttl_ms=60_000)
        assert token.token.startswith("dqr_")
        assert token.token not in repr(token)
    async with guarded.async_client(token=token.token) as browser:
        mine = browser.run(run.run_id)
        assert (await mine.info()).status == "queued"
        assert await mine.steps() == []
        assert (await mine.wait_event("run.created")).seq == 1
        with pytest.raises(driftq.NotFound):
            await browser.run(other.run_id).info()
        with pytest.raises((driftq.PermissionDenied, driftq.NotFound)):
            await mine.cancel()
    async with guarded.async_client(token=SECRET) as ops:
        assert (await ops.run(run.run_id).info()).status == "queued"


async def test_a_worker_needs_no_more_than_to_consume(guarded: Driftqd) -> None:
    worker = Worker()

    @worker.workflow("w")
    async def workflow(run: Run[int]) -> int:
        await run.log("begun")
        return await run.step("double", lambda: run.input * 2)

    async with guarded.async_client(token=SECRET) as ops, guarded.async_client(token=WORKER) as client:
        run = await ops.create_run("w", 21)
        async with working(worker, client):
            assert await run.result(int, timeout_s=30) == 42


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """An authority's certificate, beside one of its for the broker."""
    authority = trustme.CA()
    ours = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    return tmp_path / "ca.pem"


async def test_all_of_it_goes_over_tls(driftqd_binary: Path, authority: Path) -> None:
    folder = authority.parent
    tls = ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]
    worker = Worker()

    @worker.workflow("w")
    async def workflow(run: Run[int]) -> int:
        return run.input * 2

    with Driftqd(binary=driftqd_binary, memory=True, arguments=tls) as broker:
        assert broker.url.startswith("https://")
        async with AsyncClient(broker.url, ca_cert=authority) as client, working(worker, client):
            run = await client.create_run("w", 21)
            assert [event.type async for event in run.events()][-1] == "run.succeeded"
            assert await run.result(int) == 42
        async with broker.async_client() as stranger:
            with pytest.raises(driftq.Untrusted):
                await stranger.health()
