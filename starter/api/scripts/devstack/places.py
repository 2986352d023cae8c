"""Where things are: the starter, the repository around it, and what a start leaves behind."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

STARTER = Path(__file__).resolve().parents[3]
REPOSITORY = STARTER.parent
API = STARTER / "api"
WEB = STARTER / "web"
SDK = REPOSITORY / "sdks" / "python"
TYPESCRIPT_SDK = REPOSITORY / "sdks" / "typescript"
COMPOSE_FILE = STARTER / "compose.yaml"


@dataclass(frozen=True)
class Places:
    """The folder of one stack (`starter/.driftq`), and the ports it listens on."""

    home: Path
    broker_port: int = 8080
    api_port: int = 8000
    #: 0: without the page.
    web_port: int = 3000

    @property
    def data(self) -> Path:
        """The broker's data: what `--wipe` removes."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """One log for each process."""
        return self.home / "logs"

    @property
    def venv(self) -> Path:
        """The packages of the API and the worker."""
        return self.home / "venv"

    @property
    def state(self) -> Path:
        """What runs."""
        return self.home / "state.json"

    @property
    def worker_ready(self) -> Path:
        """There while the worker reads its topics."""
        return self.home / "worker.ready"

    @property
    def broker_url(self) -> str:
        """The broker, for people and for the API."""
        return f"http://localhost:{self.broker_port}"

    @property
    def api_url(self) -> str:
        """The API."""
        return f"http://localhost:{self.api_port}"

    @property
    def web_url(self) -> str:
        """The page."""
        return f"http://localhost:{self.web_port}"


def default_home() -> Path:
    """`starter/.driftq`, or `DRIFTQ_DEV_HOME`."""
    chosen = os.environ.get("DRIFTQ_DEV_HOME")
    return Path(chosen).resolve() if chosen else STARTER / ".driftq"
