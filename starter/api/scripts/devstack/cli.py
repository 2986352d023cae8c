"""The two commands: what they take, and in which order things happen."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from devstack import docker, native, state, story
from devstack.mode import choose, what_docker_lacks
from devstack.places import Places, default_home
from devstack.say import Failed, fault, line
from devstack.web import healthy

UP = "python starter/api/scripts/dev_up.py"
DOWN = "python starter/api/scripts/dev_down.py"


def up(arguments: list[str]) -> int:
    """`dev_up.py`: starts, waits for health, prints the links; 0 only if all is well."""
    parser = argparse.ArgumentParser(
        prog="dev_up.py", description="Starts the broker, the API, a worker and the page."
    )
    parser.add_argument("--mode", choices=["auto", "docker", "native"], default="auto", help="default: auto")
    parser.add_argument("--demo", action="store_true", help="play fail, dead letter, replay, success")
    parser.add_argument("--stop-after", action="store_true", help="with --demo: stop again what this started")
    parser.add_argument("--broker-port", type=int, default=8080, help="default: 8080 (native only)")
    parser.add_argument("--api-port", type=int, default=8000, help="default: 8000 (native only)")
    parser.add_argument("--web-port", type=int, default=3000, help="default: 3000 (native only)")
    parser.add_argument(
        "--no-web", action="store_true", help="without the page, which needs Node.js (native only)"
    )
    parser.add_argument("--dev", action="store_true", help="load what is edited again (native only)")
    asked = parser.parse_args(arguments)
    if asked.stop_after and not asked.demo:
        parser.error("--stop-after goes with --demo")
    if asked.mode == "docker" and (asked.dev or asked.no_web):
        parser.error("--dev and --no-web go with --mode native")
    mode = "native" if asked.mode == "auto" and (asked.dev or asked.no_web) else asked.mode
    web_port = 0 if asked.no_web else asked.web_port
    places = Places(default_home(), asked.broker_port, asked.api_port, web_port)
    try:
        started = _start(places, mode, dev=asked.dev)
        places = _as_running(places)
        try:
            if asked.demo:
                line()
                story.play(places.api_url)
                line()
        finally:
            if asked.stop_after and started:
                _stop(places, wipe=False, prune_images=False)
        if asked.stop_after and not started:
            line("Nothing is stopped: it ran before.")
        if not (asked.stop_after and started):
            _print_links(places)
    except Failed as failure:
        fault(f"✗ {failure}")
        return 1
    except KeyboardInterrupt:
        fault(f"\nstopped by you; what still runs is stopped by: {DOWN}")
        return 130
    return 0


def down(arguments: list[str]) -> int:
    """`dev_down.py`: stops what `dev_up.py` started."""
    parser = argparse.ArgumentParser(prog="dev_down.py", description="Stops what dev_up.py started.")
    parser.add_argument("--wipe", action="store_true", help="also remove the broker's data")
    parser.add_argument("--prune-images", action="store_true", help="also remove the images that were built")
    asked = parser.parse_args(arguments)
    try:
        _stop(Places(default_home()), wipe=asked.wipe, prune_images=asked.prune_images)
    except Failed as failure:
        fault(f"✗ {failure}")
        return 1
    return 0


def _start(places: Places, asked_mode: str, *, dev: bool) -> bool:
    """False if it ran already."""
    before = state.load(places)
    is_enough = (
        before is not None and (before.web_port > 0 or not places.web_port) and (before.dev or not dev)
    )
    if before is not None and is_enough and _runs(before):
        line("✓ already up")
        return False
    choice = choose(asked_mode)  # type: ignore[arg-type]  # argparse has checked it
    line(f"  mode: {choice.mode} ({choice.why})")
    if choice.mode == "docker":
        docker.start(places)
        return True
    # What an earlier start left half alive must go first, or its ports are taken by our own.
    if before is not None:
        _stop_processes(before)
    faults = native.preflight(places)
    if faults:
        listed = "\n".join(f"  {number}. {text}" for number, text in enumerate(faults, 1))
        raise Failed(f"this is in the way:\n{listed}")
    native.start(places, dev=dev)
    return True


def _runs(stack: state.Stack) -> bool:
    """Whether it all runs: a half-dead stack is started anew."""
    if stack.mode == "docker":
        urls = Places(default_home(), stack.broker_port, stack.api_port)
        return what_docker_lacks() is None and docker.runs() and healthy(f"{urls.api_url}/healthz")
    wanted = 4 if stack.web_port else 3
    return len(stack.processes) == wanted and all(process.alive() for process in stack.processes)


def _as_running(places: Places) -> Places:
    """The ports that are in use, which may not be those asked for if it ran already."""
    running = state.load(places)
    if running is None:
        return places
    return Places(places.home, running.broker_port, running.api_port, running.web_port)


def _stop(places: Places, *, wipe: bool, prune_images: bool) -> None:
    stack = state.load(places)
    if stack is None and what_docker_lacks() is None and docker.runs():
        stack = state.Stack("docker")
    if stack is None:
        line("  nothing of ours is running")
    elif stack.mode == "docker":
        docker.stop(wipe=wipe, prune_images=prune_images)
    else:
        _stop_processes(stack)
    places.state.unlink(missing_ok=True)
    if prune_images and (stack is None or stack.mode == "native"):
        line("  --prune-images does nothing here: no image was built")
    if wipe:
        _wipe(places.data)


def _stop_processes(stack: state.Stack) -> None:
    for process in reversed(stack.processes):
        was_there = state.stop(process)
        line(f"✓ {process.name:<8} {'stopped' if was_there else 'was gone already'}")


def _wipe(folder: Path) -> None:
    if not folder.exists():
        line(f"  {folder} is not there, nothing to wipe")
        return
    shutil.rmtree(folder)
    line(f"✓ wiped    {folder}")


def _print_links(places: Places) -> None:
    if places.web_port:
        line(f"  page     {places.web_url}  (press Start run, watch it fail, press Replay)")
    line(f"  API      {places.api_url}/docs")
    line(f"  health   {places.api_url}/healthz")
    line(f"  broker   {places.broker_url}/v1/healthz")
    running = state.load(places)
    if running is not None and running.mode == "native":
        line(f"  logs     {places.logs}")
    else:
        line(f"  logs     {' '.join(docker.compose('logs', '--follow'))}")
    line(f"  story    {UP} --demo")
    line(f"  stop     {DOWN}")
