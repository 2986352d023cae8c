"""Starting with Docker Compose. Compose knows what is healthy; we only wait for it."""

from __future__ import annotations

import subprocess

from devstack.places import COMPOSE_FILE, Places
from devstack.say import Failed, line, step
from devstack.state import Stack
from devstack.web import healthy, wait_until

START_S_MAX = 60.0


def compose(*arguments: str) -> list[str]:
    """A Compose command over the starter's file."""
    return ["docker", "compose", "--file", str(COMPOSE_FILE), *arguments]


def start(places: Places) -> Stack:
    """Builds the images, starts the services, and waits until they are healthy."""
    line("  docker compose builds and starts; the first build takes some minutes")
    command = compose("up", "--build", "--detach", "--wait")
    if subprocess.run(command).returncode != 0:
        raise Failed(f"`{' '.join(command)}` failed; its words are above. Logs: {' '.join(compose('logs'))}")
    stack = Stack("docker", [], places.broker_port, places.api_port, places.web_port)
    stack.save(places)
    for name, url, path in (
        ("broker", places.broker_url, "/v1/readyz"),
        ("api", places.api_url, "/healthz"),
        ("page", places.web_url, "/"),
    ):
        with step(name, url):
            wait_until(lambda: healthy(url + path), seconds=START_S_MAX, what=name)  # noqa: B023 - used at once
    return stack


def runs() -> bool:
    """Whether the services of the starter are there."""
    shown = subprocess.run(compose("ps", "--quiet"), capture_output=True)
    return shown.returncode == 0 and bool(shown.stdout.strip())


def stop(*, wipe: bool, prune_images: bool) -> None:
    """Stops and removes the services; data and images on request."""
    command = compose(
        "down",
        *(["--volumes"] if wipe else []),
        *(["--rmi", "local"] if prune_images else []),
    )
    if subprocess.run(command).returncode != 0:
        raise Failed(f"`{' '.join(command)}` failed; its words are above")
