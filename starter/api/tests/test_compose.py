"""The Compose file and the image: what they promise can be read from them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

STARTER = Path(__file__).parents[2]
REPOSITORY = STARTER.parent


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((STARTER / "compose.yaml").read_text())
    assert set(told["volumes"]) == {"driftq_data"}
    found: dict[str, Any] = told["services"]
    return found


def test_there_are_the_broker_the_api_a_worker_and_the_page(services: dict[str, Any]) -> None:
    assert list(services) == ["driftq", "api", "worker", "web"]


def test_the_broker_keeps_its_data_in_a_volume_and_listens_on_this_machine_only(
    services: dict[str, Any],
) -> None:
    broker = services["driftq"]
    assert broker["ports"] == ["127.0.0.1:8080:8080"]
    assert broker["volumes"] == ["driftq_data:/data"]
    assert broker["healthcheck"]["test"] == ["CMD", "driftqd", "healthcheck"]
    assert broker["image"].startswith("ghcr.io/driftq-org/driftqd:")
    assert services["api"]["ports"] == ["127.0.0.1:8000:8000"]


@pytest.mark.parametrize("name", ["driftq", "api", "worker", "web"])
def test_every_service_is_built_from_a_file_that_is_there(services: dict[str, Any], name: str) -> None:
    build = services[name]["build"]
    assert (STARTER / build["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / build["dockerfile"]).is_file()
    image = services[name]["image"]
    assert not image.endswith(":latest")


@pytest.mark.parametrize("name", ["api", "worker"])
def test_the_app_waits_for_a_healthy_broker_and_knows_its_address(
    services: dict[str, Any], name: str
) -> None:
    service = services[name]
    assert service["depends_on"] == {"driftq": {"condition": "service_healthy"}}
    assert service["environment"]["DRIFTQ_HTTP_URL"] == "http://driftq:8080"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_the_page_waits_for_a_healthy_api_and_listens_on_this_machine_only(services: dict[str, Any]) -> None:
    page = services["web"]
    assert page["depends_on"] == {"api": {"condition": "service_healthy"}}
    assert page["environment"] == {"API_URL": "http://api:8000"}
    assert page["ports"] == ["127.0.0.1:3000:3000"]
    assert page["healthcheck"]["test"][:3] == ["CMD", "node", "-e"]


@pytest.mark.parametrize("name", ["api", "web"])
def test_the_image_does_not_run_as_root(name: str) -> None:
    lines = (STARTER / name / "Dockerfile").read_text().splitlines()
    users = [number for number, line in enumerate(lines) if line.startswith("USER ")]
    assert users
    assert lines[users[-1]].split()[1] not in ("root", "0")
    assert not [line for line in lines[users[-1] :] if line.startswith("RUN ")]
    assert all(":" in line and ":latest" not in line for line in lines if line.startswith("FROM "))
