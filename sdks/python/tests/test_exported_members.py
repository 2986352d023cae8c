"""The public surface is a decision, so it is written down."""

import importlib
import inspect
from pathlib import Path

import pytest

import driftq
import driftq.fastapi
import driftq.testing


@pytest.mark.parametrize("module", [driftq, driftq.fastapi, driftq.testing])
def test_everything_in_all_is_there_and_documented(module: object) -> None:
    names = module.__all__  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    for name in names:
        member = getattr(module, name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert member.__doc__, f"{name} has no documentation"


def test_every_public_name_of_the_private_modules_is_exported() -> None:
    package = Path(driftq.__file__).parent
    for file in package.glob("_*.py"):
        if file.stem.startswith("__") or file.stem in {"_hold", "_events", "_requests", "_settings"}:
            continue
        module = importlib.import_module(f"driftq.{file.stem}")
        missing = set(module.__all__) - set(driftq.__all__) - {"describe"}
        assert not missing, f"{file.stem}: {missing}"


def test_both_clients_have_the_same_methods() -> None:
    def surface(client: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_") and name not in {"aclose", "close", "twin"}
        }

    assert surface(driftq.AsyncClient) == surface(driftq.Client)


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(driftq.__file__).parent / "py.typed").is_file()
