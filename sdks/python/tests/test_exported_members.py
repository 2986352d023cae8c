"""The public surface is a decision, so it is written down."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import driftq
import driftq.fastapi
import driftq.logs
import driftq.outbox
import driftq.testing

MODULES = [driftq, driftq.fastapi, driftq.logs, driftq.outbox, driftq.testing]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_everything_in_all_is_there_and_documented(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    for name in names:
        member = getattr(module, name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert member.__doc__, f"{name} has no documentation"


def test_every_public_name_of_the_private_modules_is_exported() -> None:
    for name in ("_errors", "_types", "_retry", "_worker"):
        module = importlib.import_module(f"driftq.{name}")
        assert set(module.__all__) <= set(driftq.__all__), name


@pytest.mark.parametrize(
    ("asynchronous", "blocking"),
    [
        (driftq.AsyncClient, driftq.Client),
        (driftq.AsyncRunHandle, driftq.RunHandle),
        (driftq.outbox.AsyncOutboxRelay, driftq.outbox.OutboxRelay),
    ],
)
def test_both_twins_have_the_same_surface(asynchronous: type, blocking: type) -> None:
    def surface(kind: type) -> dict[str, list[str]]:
        members = {
            name: [str(parameter) for parameter in inspect.signature(member).parameters.values()]
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }
        members["__init__"] = list(inspect.signature(kind).parameters)
        return members | {
            name: [] for name, member in inspect.getmembers(kind) if isinstance(member, property)
        }

    renamed = {"aclose": "close"}
    ours = {renamed.get(name, name): parameters for name, parameters in surface(asynchronous).items()}
    assert ours == surface(blocking)


def test_the_blocking_client_is_what_is_made_of_the_asynchronous_one() -> None:
    script = Path(__file__).parents[1] / "scripts/make_sync.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(driftq.__file__).parent / "py.typed").is_file()
