"""A built wheel, as somebody gets it: installed into a fresh environment, its binaries run.

`DRIFTQ_WHEEL` names the wheel; `scripts/build_wheel.py` makes one.
"""

import os
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

WHEEL = Path(os.environ.get("DRIFTQ_WHEEL", "-"))

pytestmark = pytest.mark.skipif(not WHEEL.is_file(), reason="DRIFTQ_WHEEL names no wheel")

STORY = """
from driftq.testing import Driftqd

with Driftqd(memory=True) as broker, broker.client() as client:
    client.create_topic("orders")
    client.produce("orders", {"id": 7})
    message = client.poll("orders", "g")
    client.ack(message)
    print(message.value, client.version().version)
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    install = [str(scripts / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, str(WHEEL)], check=True)
    return scripts


def said(*words: str | Path) -> str:
    # Nothing of this process's environment that names a broker or a binary may help.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTQ")}
    return subprocess.run(words, check=True, capture_output=True, text=True, env=clean).stdout.strip()


def test_the_binaries_of_the_wheel_run(scripts: Path) -> None:
    version = said(scripts / "python", "-c", "import driftq; print(driftq.__version__)")
    assert said(scripts / "driftqd", "--version") == f"driftqd {version}"
    assert said(scripts / "driftq", "--version") == f"driftq {version}"


def test_a_message_goes_through_the_wheels_own_broker(scripts: Path) -> None:
    version = said(scripts / "driftqd", "--version").split()[1]
    assert said(scripts / "python", "-c", STORY) == f"{{'id': 7}} {version}"


def test_the_wheel_says_of_itself_what_the_package_says() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(WHEEL) as wheel:
        names = wheel.namelist()
        metadata = wheel.read(next(name for name in names if name.endswith("/METADATA"))).decode()
        points = ConfigParser()
        points.read_string(
            wheel.read(next(name for name in names if name.endswith("/entry_points.txt"))).decode()
        )
    assert "driftq/py.typed" in names
    assert not [name for name in names if name.startswith("tests/")]
    for extra in project["optional-dependencies"]:
        assert f"Provides-Extra: {extra}" in metadata
    assert f"Summary: {project['description']}" in metadata
    assert dict(points["pytest11"]) == project["entry-points"]["pytest11"]
