"""Starting without Docker: driftqd, the API, a worker and the page as processes of this machine.

Everything is waited for by its health, never by a pause. What dies early is shown with the end of its log,
and what was started before it is stopped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from devstack import page
from devstack.places import API, REPOSITORY, SDK, WEB, Places
from devstack.say import Failed, line, step
from devstack.state import Running, Stack, began, stop
from devstack.web import healthy, wait_until

START_S_MAX = 60.0
LOG_LINES_SHOWN = 20


def preflight(places: Places) -> list[str]:
    """Everything that is in the way, all at once."""
    faults = []
    ports = ((places.broker_port, "the broker"), (places.api_port, "the API"), (places.web_port, "the page"))
    for port, who in ports:
        if port and not _port_is_free(port):
            faults.append(
                f"port {port} is taken; {who} needs it: stop what listens there, or choose another port"
            )
    if _given_driftqd() is None and not _built_driftqd().is_file() and shutil.which("cargo") is None:
        faults.append(
            "there is no driftqd, and no cargo to build it: install Rust (https://rustup.rs), start Docker, "
            "or set DRIFTQD_BIN"
        )
    lacks = page.what_node_lacks() if places.web_port else None
    if lacks:
        faults.append(
            f"{lacks}: install 20.9 or newer (https://nodejs.org), or leave the page out by --no-web"
        )
    named = os.environ.get("DRIFTQD_BIN")
    if named and not Path(named).is_file():
        faults.append(f"DRIFTQD_BIN names {named}, which is no file")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        faults.append(f"{sys.executable} cannot make virtual environments: install python3-venv")
    try:
        places.home.mkdir(parents=True, exist_ok=True)
        (places.home / ".probe").touch()
        (places.home / ".probe").unlink()
    except OSError as error:
        faults.append(f"{places.home} cannot be written: {error.strerror}")
    return faults


def start(places: Places, *, dev: bool = False) -> Stack:
    """Builds what is missing, starts all in order, and returns what runs. With `dev` edits are loaded."""
    driftqd = build_driftqd()
    python = make_venv(places)
    if places.web_port:
        page.prepare(places, dev=dev)
    places.logs.mkdir(parents=True, exist_ok=True)
    places.worker_ready.unlink(missing_ok=True)
    stack = Stack("native", [], places.broker_port, places.api_port, places.web_port, dev)
    address = f"127.0.0.1:{places.broker_port}"
    broker = [str(driftqd), "-addr", address, "-wal", str(places.data)]
    api = [
        *(python, "-m", "uvicorn", "app.main:app", "--host", "127.0.0.1", "--port", str(places.api_port)),
        # Open event streams must not hold up a stop.
        *("--timeout-graceful-shutdown", "2"),
        *(("--reload", "--reload-dir", str(API / "app")) if dev else ()),
    ]
    worker = [
        *(python, "-m", "driftq", "worker", "app.worker:worker", "--ready-file", str(places.worker_ready)),
        *(("--reload",) if dev else ()),
    ]
    try:
        with step("broker", places.broker_url):
            _begin(stack, places, "driftqd", broker, lambda: healthy(f"{places.broker_url}/v1/readyz"))
        with step("api", places.api_url):
            _begin(stack, places, "api", api, lambda: healthy(f"{places.api_url}/healthz"))
        with step("worker", "reads runs.commands"):
            _begin(stack, places, "worker", worker, places.worker_ready.exists)
        if places.web_port:
            with step("page", places.web_url):
                _begin_page(stack, places, dev=dev)
    except BaseException:
        for process in reversed(stack.processes):
            stop(process)
        places.state.unlink(missing_ok=True)
        raise
    return stack


def build_driftqd() -> Path:
    """The broker's binary: one that is given is taken as it is, our own is built or brought up to date."""
    given = _given_driftqd()
    if given is not None or shutil.which("cargo") is None:
        driftqd = given or _built_driftqd()
        line(f"  driftqd is {driftqd}")
        return driftqd
    if not _built_driftqd().is_file():
        line("  building driftqd; the first build takes some minutes")
    command = ["cargo", "build", "--release", "-p", "driftq-server", "--bin", "driftqd"]
    with step("build", " ".join(command)):
        built = subprocess.run(command, cwd=REPOSITORY)
        if built.returncode != 0:
            raise Failed(f"the build of driftqd failed with {built.returncode}; its words are above")
    return _built_driftqd()


def make_venv(places: Places) -> str:
    """The interpreter of an environment with the API's packages; made anew when they changed."""
    python = places.venv / "bin" / "python"
    stamp = places.venv / "stamp"
    wanted = _fingerprint()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    places.logs.mkdir(parents=True, exist_ok=True)
    log = places.logs / "packages.log"
    with step("packages", f"for the API and the worker, into {places.venv}"), log.open("wb") as words:
        # Editable: a change of the sources needs a restart, no installation.
        sources = ["-e", f"{SDK}[fastapi]"] if SDK.is_dir() else []
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
        install = [*pip, *sources, "-e", str(API)]
        for command in ([sys.executable, "-m", "venv", "--clear", str(places.venv)], install):
            done = subprocess.run(command, stdout=words, stderr=words)
            if done.returncode != 0:
                raise Failed(f"`{' '.join(command)}` failed:\n{_end_of(log)}")
        stamp.write_text(wanted)
    return str(python)


def _begin_page(stack: Stack, places: Places, *, dev: bool) -> None:
    command, told = page.command(places, dev=dev), page.environment(places)
    _begin(stack, places, "page", command, lambda: healthy(places.web_url), cwd=WEB, told=told)


def _begin(
    stack: Stack,
    places: Places,
    name: str,
    command: list[str],
    ready: Callable[[], bool],
    *,
    cwd: Path = API,
    told: Mapping[str, str] = MappingProxyType({}),
) -> None:
    log = places.logs / f"{name}.log"
    environment = {**os.environ, "DRIFTQ_HTTP_URL": places.broker_url, "PYTHONUNBUFFERED": "1", **told}
    with log.open("wb") as words:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            env=environment,
            start_new_session=True,
        )
    stack.processes.append(Running(name, process.pid, began(process.pid) or "", command))
    stack.save(places)

    def came() -> bool:
        if process.poll() is not None:
            raise Failed(f"{name} ended with {process.returncode}; the end of {log}:\n{_end_of(log)}")
        return ready()

    try:
        wait_until(came, seconds=START_S_MAX, what=name)
    except Failed as failure:
        if process.poll() is None:
            raise Failed(f"{failure}; the end of {log}:\n{_end_of(log)}") from None
        raise


def _given_driftqd() -> Path | None:
    """A binary from elsewhere: the one that is named, or the one on the PATH."""
    named = os.environ.get("DRIFTQD_BIN")
    if named:
        return Path(named).resolve()
    on_path = shutil.which("driftqd")
    return Path(on_path) if on_path else None


def _built_driftqd() -> Path:
    """Where a build of this repository leaves its binary."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or "target")
    # Cargo takes a relative one from where it is started: from the repository.
    return REPOSITORY / target / "release" / "driftqd"


def _port_is_free(port: int) -> bool:
    with socket.socket() as caller:
        # Where addresses may be shared, a bind says nothing about who else listens.
        if caller.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        # As a server binds: a connection that was closed a moment ago does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _fingerprint() -> str:
    """Changes when the environment must be made anew."""
    told = hashlib.sha256(f"{sys.version} {API}".encode())
    for project in (API, SDK):
        file = project / "pyproject.toml"
        told.update(file.read_bytes() if file.is_file() else b"")
    return told.hexdigest()


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    return "\n".join(f"  | {text}" for text in lines) or "  | (it said nothing)"
