"""The helper for tests says what is missing; a test without a broker must fail, not pass."""

from pathlib import Path

import pytest

from driftq.testing import Driftqd, find_driftqd


def test_without_a_driftqd_it_says_where_it_looked_and_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DRIFTQD_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="cargo build -p driftq-server") as caught:
        find_driftqd([tmp_path / "target/debug/driftqd"])
    assert str(tmp_path / "target/debug/driftqd") in str(caught.value)


def test_a_name_that_is_wrong_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "driftqd"
    there.touch()
    monkeypatch.setenv("DRIFTQD_BIN", str(tmp_path / "other"))
    with pytest.raises(FileNotFoundError, match="DRIFTQD_BIN names"):
        find_driftqd([there])
    monkeypatch.setenv("DRIFTQD_BIN", str(there))
    assert find_driftqd() == there


def test_a_broker_that_does_not_start_says_why_and_leaves_nothing_behind(driftqd_binary: Path) -> None:
    broker = Driftqd(binary=driftqd_binary, memory=True, arguments=["--no-such-option"])
    with pytest.raises(RuntimeError, match="--no-such-option"), broker:
        raise AssertionError("it started")
    assert not broker.folder.exists()
