from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated

import pytest
from fastapi import FastAPI, Form

import visionops_assets.resources.object_store  # noqa: F401 - defines an error of its own
from tests.services.asgi_client import AsgiClient
from visionops_assets import errors
from visionops_assets.services.http.problems import (
    STATUS_BY_CODE,
    Problem,
    detail_of,
    install_problem_handlers,
    problems,
)


def _subclasses(cls: type[errors.VisionOpsError]) -> Iterator[type[errors.VisionOpsError]]:
    yield cls
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith(("visionops_assets.", "visionops_client.")):
            yield from _subclasses(subclass)


FAILURES = [
    error
    for error in _subclasses(errors.VisionOpsError)
    if error.__init__ is errors.VisionOpsError.__init__ and STATUS_BY_CODE[error.code] >= 500
]
WHERE = "10.1.2.3:9000, https://ann:hunter2@store.internal/a and /srv/visionops/a.py:3 failed."
WHERE_HIDDEN = "***, *** and *** failed."


@pytest.fixture
def client() -> AsgiClient:
    app = FastAPI()
    install_problem_handlers(app)

    @app.get("/raise/{name}")
    def raise_error(name: str) -> None:
        raise {c.__name__: c for c in _subclasses(errors.VisionOpsError)}[name]("What to do.")

    @app.get("/often")
    def often() -> None:
        raise errors.RateLimitedError("Come later.", 7)

    @app.get("/bug")
    def bug() -> None:
        raise RuntimeError("secret-in-a-traceback")

    @app.post("/form")
    def form(label: Annotated[str, Form(max_length=3)]) -> str:
        return label

    return AsgiClient(app)


def test_every_error_code_has_a_status() -> None:
    codes = {error.code for error in _subclasses(errors.VisionOpsError)}
    assert codes == set(STATUS_BY_CODE)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UnsupportedMediaError, 415),
        (errors.TooLargeError, 413),
        (errors.EmptyMediaError, 422),
        (errors.NotFoundError, 404),
        (errors.UnauthenticatedError, 401),
        (errors.ForbiddenError, 403),
    ],
)
def test_an_error_is_answered_as_a_problem(
    client: AsgiClient, error: type[errors.VisionOpsError], status: int
) -> None:
    response = client.get(f"/raise/{error.__name__}")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": f"urn:visionops:problem:{error.code}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": status,
        "detail": "What to do.",
        "code": error.code,
    }
    assert "retry-after" not in response.headers


@pytest.mark.parametrize(("public", "detail"), [(True, WHERE_HIDDEN), (False, None)])
@pytest.mark.parametrize("error", FAILURES, ids=lambda error: error.__name__)
def test_a_failure_of_ours_names_no_server_and_no_path(
    error: type[errors.VisionOpsError], public: bool, detail: str | None
) -> None:
    told = detail_of(error(WHERE, public=public))
    assert told == detail if detail else told.endswith((".", "again.", "soon."))
    for secret in ("10.1.2.3", "hunter2", "/srv", "store.internal"):
        assert secret not in told


def test_a_failure_says_when_to_come_again(client: AsgiClient) -> None:
    response = client.get("/raise/ServerUnreachableError")
    assert (response.status_code, response.json()["code"]) == (503, "server_unreachable")
    assert "What to do." not in response.text
    assert "retry-after" in response.headers


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (errors.NotFoundError, []),
        (errors.UnauthenticatedError, []),
        (errors.ServerUnreachableError, ["server_unreachable: What to do."]),
        (errors.ReleaseError, ["release_failed: What to do."]),
    ],
)
def test_what_is_our_fault_is_in_the_log_and_nothing_else_is(
    client: AsgiClient,
    caplog: pytest.LogCaptureFixture,
    error: type[errors.VisionOpsError],
    logged: list[str],
) -> None:
    """Anybody can send wrong requests, and would fill the log with them."""
    client.get(f"/raise/{error.__name__}")
    said = [r.getMessage() for r in caplog.records if r.name.startswith("visionops_assets")]
    assert said == logged


def test_a_refusal_says_by_headers_what_to_do(client: AsgiClient) -> None:
    assert client.get("/raise/UnauthenticatedError").headers["www-authenticate"] == "Bearer"
    often = client.get("/often")
    assert (often.status_code, often.headers["retry-after"]) == (429, "7")


def test_a_problem_is_what_openapi_says_of_it(client: AsgiClient) -> None:
    schema = problems(HTTPStatus.NOT_FOUND)[404]["content"]["application/problem+json"]["schema"]
    answer = client.get("/nowhere").json()
    assert set(schema["required"]) == set(schema["properties"]) == set(answer)
    assert Problem.model_validate(answer).status == 404


def test_an_unexpected_error_tells_the_caller_nothing(client: AsgiClient) -> None:
    response = client.get("/bug")
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "secret-in-a-traceback" not in response.text


def test_an_invalid_field_is_named_and_not_echoed(client: AsgiClient) -> None:
    response = client.post("/form", data={"label": "<script>"})
    assert response.status_code == 422
    assert response.json()["code"] == "invalid_request"
    assert response.json()["detail"].startswith("label: ")
    assert "<script>" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("PUT", "/bug", 405, "method_not_allowed")],
)
def test_unknown_routes_and_methods_are_problems(
    client: AsgiClient, method: str, path: str, status: int, code: str
) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert path in response.json()["detail"]
