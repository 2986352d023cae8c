"""The real thing: driftqd, the API and workers as processes, each test with its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from driftq.testing import find_driftqd
from stack import Stack

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def driftqd_binary() -> Path:
    return find_driftqd([REPOSITORY / "target/debug/driftqd", REPOSITORY / "target/release/driftqd"])


@pytest.fixture
async def stack(driftqd_binary: Path, tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(driftqd_binary, tmp_path) as stack:
        yield stack
