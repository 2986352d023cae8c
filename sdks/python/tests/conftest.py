"""Fixtures: one event loop library, and a real broker for what is under `e2e`."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from driftq import AsyncClient
from driftq.testing import Driftqd, find_driftqd

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def driftqd_binary() -> Path:
    return find_driftqd([REPOSITORY / "target/debug/driftqd", REPOSITORY / "target/release/driftqd"])


@pytest.fixture
def broker(driftqd_binary: Path) -> Iterator[Driftqd]:
    with Driftqd(binary=driftqd_binary) as broker:
        yield broker


@pytest.fixture
async def client(broker: Driftqd) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(broker.url) as client:
        yield client
