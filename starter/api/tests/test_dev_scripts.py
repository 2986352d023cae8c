"""`dev_up.py` and `dev_down.py`: the choice, the faults, and real starts with their ends."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from devstack import mode, native, state
from devstack.places import Places
from devstack.say import Failed
from driftq.testing import free_port

SCRIPTS = Path(__file__).parents[1] / "scripts"
PATIENCE_S = 90
#: With the installation of the page's packages and its build.
PAGE_PATIENCE_S = 420

Run = Callable[..., subprocess.CompletedProcess[str]]


# -- the choice ----------------------------------------------------------------------------------------


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it but what a test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def fake_docker(
    folder: Path, *, info: str = "exit 0", compose: str = "exit 0", other: str = "exit 7"
) -> Path:
    """A `docker` that answers as it is told, and writes down what it was asked."""
    asked = folder / "asked"
    docker = folder / "docker"
    docker.write_text(
        f"""#!/bin/sh
echo "$@" >> {asked}
case "$1 $2" in
    "info "*) {info} ;;
    "compose version") {compose} ;;
    *) {other} ;;
esac
"""
    )
    docker.chmod(0o755)
    return asked


def test_docker_is_used_when_engine_and_compose_answer(bin_folder: Path) -> None:
    asked = fake_docker(bin_folder)
    assert mode.choose("auto") == mode.Choice("docker", "the engine and Compose answer")
    assert asked.read_text().splitlines() == ["info", "compose version"]


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (None, "docker is not installed"),
        ({"info": "exit 1"}, "the Docker engine does not answer"),
        ({"compose": "exit 1"}, "Docker has no Compose plugin"),
    ],
)
def test_otherwise_it_is_native_and_the_reason_is_said(
    bin_folder: Path, parts: dict[str, str] | None, why: str
) -> None:
    if parts is not None:
        fake_docker(bin_folder, **parts)
    assert mode.choose("auto") == mode.Choice("native", why)
    with pytest.raises(Failed, match=why):
        mode.choose("docker")


def test_an_engine_that_hangs_is_given_up(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "PROBE_S_MAX", 0.2)
    # It hangs until its pipe is closed, which is when it is killed.
    fake_docker(bin_folder, info="while :; do :; done")
    assert mode.choose("auto").why == "the Docker engine does not answer"


def test_native_can_be_asked_for_although_docker_answers(bin_folder: Path) -> None:
    asked = fake_docker(bin_folder)
    assert mode.choose("native").mode == "native"
    assert not asked.exists()


# -- as commands ---------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose environment is the one of these tests, so that nothing is downloaded."""
    home = tmp_path / "home"
    venv = home / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (venv / "stamp").write_text(native._fingerprint())
    return home


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """Runs a script as a user does, from some other folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(
        script: str, *arguments: str, patience_s: int = PATIENCE_S, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DRIFTQ_DEV_HOME": str(home), "CI": "1", "PYTHONUTF8": "1", **settings}
        return subprocess.run(
            [sys.executable, str(SCRIPTS / script), *arguments],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            timeout=patience_s,
        )

    return run


@pytest.fixture
def ports() -> list[str]:
    ports = ["--broker-port", str(free_port()), "--api-port", str(free_port())]
    return ["--mode", "native", *ports, "--no-web"]


def test_the_demo_plays_to_its_end_and_stops_what_it_started(
    run: Run, ports: list[str], home: Path, driftqd_binary: Path
) -> None:
    done = run("dev_up.py", "--demo", "--stop-after", *ports, DRIFTQD_BIN=str(driftqd_binary))
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    beats = ["run.created", "run.dlq", "run.failed", "max_attempts:", "run.replay_requested", "run.succeeded"]
    assert sorted(beats, key=told.index) == beats
    assert told.count("run.attempt_failed") == 3
    assert not (home / "state.json").exists()
    for port in (ports[3], ports[5]):
        assert native._port_is_free(int(port))


def test_a_stack_is_started_once_and_stopped_with_its_data_on_request(
    run: Run, ports: list[str], home: Path, driftqd_binary: Path
) -> None:
    started = run("dev_up.py", *ports, DRIFTQD_BIN=str(driftqd_binary))
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        assert f"http://localhost:{ports[5]}/docs" in started.stdout
        again = run("dev_up.py", *ports)
        assert again.returncode == 0
        assert "already up" in again.stdout

        # One of them dies: the next start is a whole one.
        stack = state.load(Places(home))
        assert stack is not None
        assert [process.name for process in stack.processes] == ["driftqd", "api", "worker"]
        state.stop(stack.processes[2])
        healed = run("dev_up.py", *ports, DRIFTQD_BIN=str(driftqd_binary))
        assert healed.returncode == 0, healed.stdout + healed.stderr
        assert "already up" not in healed.stdout
    finally:
        stopped = run("dev_down.py")
    assert stopped.stdout.count("stopped") == 3
    assert (home / "data").is_dir()
    wiped = run("dev_down.py", "--wipe", "--prune-images")
    assert "nothing of ours is running" in wiped.stdout
    assert f"wiped    {home / 'data'}" in wiped.stdout
    assert "--prune-images does nothing here" in wiped.stdout
    assert not (home / "data").exists()


def test_the_page_is_built_once_and_served_with_the_rest(
    run: Run, ports: list[str], home: Path, driftqd_binary: Path
) -> None:
    page_port = str(free_port())
    ports = [*ports[:-1], "--web-port", page_port]
    started = run("dev_up.py", *ports, DRIFTQD_BIN=str(driftqd_binary), patience_s=PAGE_PATIENCE_S)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        assert f"page     http://localhost:{page_port}" in started.stdout
        with urllib.request.urlopen(f"http://127.0.0.1:{page_port}/", timeout=10) as page:
            assert b"2-Minute Demo" in page.read()
        # By its proxy it reaches the API, and that the broker.
        with urllib.request.urlopen(f"http://127.0.0.1:{page_port}/api/runs", timeout=10) as runs:
            assert json.load(runs)["runs"] == []
        stopped = run("dev_down.py")
        assert stopped.stdout.count("stopped") == 4
        again = run("dev_up.py", *ports, DRIFTQD_BIN=str(driftqd_binary))
        assert again.returncode == 0, again.stdout + again.stderr
        assert "build" not in again.stdout
        assert "packages" not in again.stdout
    finally:
        run("dev_down.py")
    assert native._port_is_free(int(page_port))


def test_an_early_death_shows_the_end_of_its_log_and_leaves_nothing(
    run: Run, ports: list[str], home: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "driftqd"
    broken.write_text("#!/bin/sh\necho the folder is locked by another driftqd\nexit 73\n")
    broken.chmod(0o755)
    done = run("dev_up.py", *ports, DRIFTQD_BIN=str(broken))
    assert done.returncode == 1
    assert "driftqd ended with 73" in done.stderr
    assert "| the folder is locked by another driftqd" in done.stderr
    assert not (home / "state.json").exists()


def test_a_driftqd_that_is_named_is_taken_as_it_is_and_otherwise_cargo_builds_one(
    tmp_path: Path, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "cargo-asked"
    cargo = bin_folder / "cargo"
    cargo.write_text(f'#!/bin/sh\necho "$PWD: $@" >> {asked}\n')
    cargo.chmod(0o755)
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path / "target"))
    monkeypatch.setenv("DRIFTQD_BIN", str(tmp_path / "target/debug/driftqd"))
    assert native.build_driftqd() == tmp_path / "target/debug/driftqd"
    assert not asked.exists()

    monkeypatch.delenv("DRIFTQD_BIN")
    assert native.build_driftqd() == tmp_path / "target/release/driftqd"
    repository = SCRIPTS.parents[2]
    assert asked.read_text() == f"{repository}: build --release -p driftq-server --bin driftqd\n"

    cargo.write_text("#!/bin/sh\nexit 101\n")
    with pytest.raises(Failed, match="the build of driftqd failed with 101"):
        native.build_driftqd()


def test_all_faults_are_told_at_once(run: Run, home: Path, bin_folder: Path) -> None:
    with socket.socket() as taken, socket.socket() as taken_too:
        for one in (taken, taken_too):
            one.bind(("127.0.0.1", 0))
            one.listen()
        broker, api = (str(one.getsockname()[1]) for one in (taken, taken_too))
        ports = ("--broker-port", broker, "--api-port", api, "--web-port", str(free_port()))
        done = run("dev_up.py", *ports, DRIFTQD_BIN=str(home / "nowhere"))
    assert done.returncode == 1
    assert "mode: native (docker is not installed)" in done.stdout
    faults = (
        f"port {broker} is taken",
        f"port {api} is taken",
        "there is no Node.js with npm",
        "DRIFTQD_BIN names",
    )
    for number, fault in enumerate(faults, 1):
        told = f"{number}. {fault}"
        assert told in done.stderr


def test_docker_mode_builds_starts_and_waits_by_compose(run: Run, bin_folder: Path) -> None:
    asked = fake_docker(bin_folder)
    done = run("dev_up.py", "--mode", "docker")
    assert done.returncode == 1
    assert "up --build --detach --wait` failed" in done.stderr
    file = SCRIPTS.parents[1] / "compose.yaml"
    assert asked.read_text().splitlines()[-1] == f"compose --file {file} up --build --detach --wait"


def test_docker_mode_is_stopped_by_compose_with_volumes_and_images(
    run: Run, bin_folder: Path, home: Path
) -> None:
    asked = fake_docker(bin_folder, other="exit 0")
    state.Stack("docker").save(Places(home))
    assert run("dev_down.py", "--wipe", "--prune-images").returncode == 0
    file = SCRIPTS.parents[1] / "compose.yaml"
    assert asked.read_text().splitlines() == [f"compose --file {file} down --volumes --rmi local"]


def test_a_pid_that_was_given_to_somebody_else_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        ours = state.Running("driftqd", bystander.pid, "another time", ["driftqd"])
        assert state.began(bystander.pid) is not None
        assert not ours.alive()
        assert state.stop(ours) is False
        assert bystander.poll() is None
        bystander.communicate(b"\n")
    assert bystander.returncode == 0


def test_a_state_that_cannot_be_read_is_as_good_as_none(home: Path) -> None:
    places = Places(home)
    assert state.load(places) is None
    places.state.write_text('{"mode": "native"')
    assert state.load(places) is None
    stack = state.Stack("native", [state.Running("api", 1, "then", ["x"])], 1, 2)
    stack.save(places)
    assert state.load(places) == stack
    assert json.loads(places.state.read_text())["mode"] == "native"


def test_the_scripts_need_the_standard_library_only() -> None:
    found = set()
    for file in SCRIPTS.rglob("*.py"):
        for line in file.read_text().splitlines():
            words = line.split()
            if line.startswith(("import ", "from ")):
                found.add(words[1].split(".")[0])
    assert found <= {*sys.stdlib_module_names, "devstack"}


def test_the_environment_is_made_anew_when_the_packages_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = native._fingerprint()
    assert before == native._fingerprint()
    monkeypatch.setattr(native, "SDK", Path("/nowhere"))
    assert before != native._fingerprint()
    assert len(before) == len(hashlib.sha256().hexdigest())
