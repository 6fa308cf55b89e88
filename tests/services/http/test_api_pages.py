"""What the API pages are made of. That a browser shows them is tested on the running services."""

import base64
import hashlib
import re
from functools import cache
from http import HTTPStatus
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from fastapi import FastAPI

from tests.services.asgi_client import AsgiClient
from visionops_assets.roster.ours import SERVICES
from visionops_assets.services.http.api_pages import Tag, create_api
from visionops_assets.services.http.applications import application_of
from visionops_assets.services.http.problems import STATUS_BY_CODE, problems
from visionops_assets.settings import Settings

MODULES = {service.name: service.module for service in SERVICES if service.addresses}


@cache
def app_of(name: str) -> FastAPI:
    return application_of(MODULES[name], Settings())


@pytest.fixture(params=MODULES)
def app(request: pytest.FixtureRequest) -> FastAPI:
    return app_of(request.param)


def test_every_address_of_the_page_is_of_this_service(app: FastAPI) -> None:
    client = AsgiClient(app)
    page = client.get("/docs")
    addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"|url: '([^']+)'", page.text)
    assert len(addresses) == 4
    for address in ("".join(pair) for pair in addresses):
        assert ":" not in address
        assert client.get(f"/{address}").status_code == 200, address


def test_the_bare_address_says_what_it_is(app: FastAPI) -> None:
    client = AsgiClient(app)
    answer = client.get("/")
    if answer.is_redirect:
        # Relative, so that it holds behind a proxy that adds a prefix.
        assert answer.headers["location"] == "docs"
        answer = client.get("/docs")
    assert answer.status_code == 200
    assert "VisionOps" in answer.text
    assert client.post("/").status_code == 405


def test_the_policy_lets_the_pages_own_script_run_and_no_other_origin(app: FastAPI) -> None:
    page = AsgiClient(app).get("/docs")
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    (inline,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert policy.pop("script-src") == f"'self' 'sha256-{digest}'"
    assert policy.pop("img-src") == "'self' data:"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert policy["default-src"] == "'none'"


def test_no_page_of_before_is_left_that_needs_the_internet(app: FastAPI) -> None:
    assert AsgiClient(app).get("/redoc").status_code == 404


def test_every_operation_says_what_it_does_under_a_known_tag(app: FastAPI) -> None:
    schema: dict[str, Any] = app.openapi()
    known = {tag["name"] for tag in schema["tags"]}
    assert "Errors" in schema["info"]["description"]
    used = set()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            name = operation["operationId"].partition("_v1")[0].replace("_", " ").title()
            assert operation["summary"] != name, (method, path)
            assert operation["description"], (method, path)
            used |= set(operation["tags"])
    assert used == known


@pytest.mark.parametrize(("name", "answers"), [("ingest", 7), ("gateway", 12), ("alerts", 1)])
def test_every_answer_has_an_example_that_fits(name: str, answers: int) -> None:
    schema: dict[str, Any] = app_of(name).openapi()
    answered = [
        answer["content"]["application/json"]["schema"]
        for operations in schema["paths"].values()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        and "application/json" in answer.get("content", {})
        and "operation" not in operation["tags"]
    ]
    models = {one["$ref"] for answer in answered for one in answer.get("anyOf", [answer]) if one}
    assert len(models) == answers
    for model in models:
        described = schema["components"]["schemas"][model.rpartition("/")[2]]
        for shown in described["examples"]:
            jsonschema.validate(shown, schema | {"$ref": model})


def test_every_problem_shows_one_of_its_status() -> None:
    for status, answer in problems(HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS).items():
        content = answer["content"]["application/problem+json"]
        jsonschema.validate(content["example"], content["schema"])
        assert STATUS_BY_CODE[content["example"]["code"]] == status


def test_a_title_and_a_description_are_those_of_the_service() -> None:
    app = create_api("Doors", "Opens doors.", [Tag("doors", "All of them.")])
    schema = AsgiClient(app).get("/openapi.json").json()
    assert schema["info"]["title"] == "Doors"
    assert schema["info"]["description"].startswith("Opens doors.")
    assert [tag["name"] for tag in schema["tags"]] == ["doors", "operation"]
