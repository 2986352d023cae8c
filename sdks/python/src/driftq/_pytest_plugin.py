"""The pytest fixtures of this package; pytest finds them by itself.

Nothing is imported, and no broker is started, before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Driftqd


@pytest.fixture(scope="session")
def driftqd_binary() -> Path:
    """Which driftqd is started; override it to choose another than `DRIFTQD_BIN` or the installed one."""
    from .testing import find_driftqd

    return find_driftqd()


@pytest.fixture
def driftqd(driftqd_binary: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Driftqd]:
    """A broker for this test alone, in memory, with a clock that is moved by hand.

    `DRIFTQ_HTTP_URL` names it while the test runs, so clients that are made without a URL find it.
    """
    from .testing import Driftqd

    with Driftqd(binary=driftqd_binary, memory=True, dev_clock=True) as broker:
        monkeypatch.setenv("DRIFTQ_HTTP_URL", broker.url)
        for name in ("DRIFTQ_TOKEN", "DRIFTQ_CA_CERT", "DRIFTQ_ACTOR"):
            monkeypatch.delenv(name, raising=False)
        yield broker
