"""`deploy/compose.yaml` runs each service as it is declared; a failure says what is missing."""

from typing import Any

import pytest
import yaml

from tests.deploy.monitoring import DEPLOY
from visionops_assets.roster.ours import SERVICES
from visionops_assets.roster.service import Address, Need, Service

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
STORE_KEYS = {"VISIONOPS_S3_ACCESS_KEY_ID", "VISIONOPS_S3_SECRET_ACCESS_KEY"}
SIGNING = {"VISIONOPS_SIGNING_KEY_FILE": "/run/secrets/signing_key"}
ANSWERING = [service for service in SERVICES if service.addresses]


def variable(setting: str) -> str:
    return f"VISIONOPS_{setting.upper()}"


def of_compose(service: Service) -> dict[str, Any]:
    assert service.name in COMPOSE["services"], f"add a service `{service.name}`"
    found: dict[str, Any] = COMPOSE["services"][service.name]
    return found


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_has_its_variables(service: Service) -> None:
    given: dict[str, str] = of_compose(service)["environment"]
    listens = {variable(a.setting): a.at("0.0.0.0") for a in service.addresses}
    signing = SIGNING if service.signs else {}
    wanted = COMPOSE["x-settings"] | listens | signing
    assert {name: given.get(name) for name in wanted} == wanted
    keys = {variable(key.setting) for key in service.keys if not key.is_optional}
    assert all(given.get(name, "").startswith("${") for name in keys), keys
    assert (given.keys() & STORE_KEYS) == (STORE_KEYS if Need.STORE in service.needs else set())
    assert ("signing_key" in of_compose(service).get("secrets", [])) is service.signs


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_a_service_starts_after_the_preparation_and_publishes_what_is_public(
    service: Service,
) -> None:
    found = of_compose(service)
    assert found["command"] == ["-m", service.module]
    assert found["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
    published = [f"127.0.0.1:{a.number}:{a.number}" for a in service.addresses if a.is_public]
    assert found.get("ports", []) == published


@pytest.mark.parametrize("service", ANSWERING, ids=lambda service: service.name)
def test_a_service_is_found_asked_and_scraped(service: Service) -> None:
    settings = {variable(a.setting): a.at(service.name) for a in service.addresses}
    assert {name: COMPOSE["x-settings"].get(name) for name in settings} == settings
    first: Address = service.addresses[0]
    asked = f"urlopen('http://127.0.0.1:{first.number}{service.ready_path}')"
    assert asked in of_compose(service)["healthcheck"]["test"][-1]
    scraping = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"] for job in scraping}
    assert targets.get(service.name) == [{"targets": [f"{service.name}:{first.number}"]}]
